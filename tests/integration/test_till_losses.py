"""Vouchers, slips and debts after a loss: of the customer, the shop, the sponsor."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from cli import client, losses, spreadsheet
from p2pnode import backup
from p2pnode import identity as identities
from p2pnode.api.folder import STORE_FILE
from p2pnode.failures import Failure
from p2pnode.node import Node
from p2pnode.services import documents, till_documents
from p2pnode.services.till import Level
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, witness_scope
from protocols.limits import RECORD_MAX
from protocols.record import encode_record
from protocols.settlement.redeem import Slip, make_slip
from protocols.settlement.verify import Verdict
from protocols.tags.code import read_code
from protocols.terms import Party, Role
from protocols.text import author_text
from tests.integration.test_services import HandClock
from tests.integration.test_succession import (
    make,
    no_fork,
    node,
    publish,
    settled,
    view,
)
from tests.nodes import cli
from tests.worlds import MINUTE

LINE = 200_000
"""What the first close pays Alice."""


@asynccontextmanager
async def street(folder: Path) -> AsyncIterator[Street]:
    async with trio.open_nursery() as nursery:
        made = Street(folder, nursery)
        for name in ("a", "w", "b", "alice"):
            await made.start(name)
        yield made
        for name in [*made.up]:
            await made.stop(name)


class Street:
    """Folders of a sponsor A, a witness W, a shop B and Alice; who of them is up."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.up: dict[str, Node] = {}
        self._nursery = nursery
        self._stop: dict[str, trio.Event] = {}
        self._stopped: dict[str, trio.Event] = {}
        for name, role in (("a", "merchant"), ("w", "merchant"), ("b", "merchant")):
            make(folder / name, role)
        make(folder / "alice")

    async def start(self, name: str) -> Node:
        return await self._nursery.start(self._run, name)  # type: ignore[no-any-return]

    async def _run(self, name: str, *, task_status: trio.TaskStatus[Node]) -> None:
        async with node(self.folder / name, self.clock) as one:
            self.up[name], self._stop[name] = one, trio.Event()
            task_status.started(one)
            await self._stop[name].wait()
            del self.up[name]
        self._stopped[name].set()

    async def stop(self, name: str) -> None:
        self._stopped[name] = trio.Event()
        self._stop[name].set()
        await self._stopped[name].wait()

    async def back_up(self, name: str) -> Path:
        """A backup of a node, which runs on."""
        home, out = self.folder / name, self.folder / f"{name}.backup"
        await self.stop(name)
        copy = partial(backup.copy_at_rest, home)
        make_it = partial(
            backup.create, home, out, copy, passphrase=None, in_clear=True
        )
        await trio.to_thread.run_sync(make_it)
        await self.start(name)
        return out

    async def restore(self, name: str, file: Path) -> Node:
        """The node is lost; its backup goes on."""
        await self.stop(name)
        shutil.rmtree(self.folder / name)
        await trio.to_thread.run_sync(backup.restore, file, self.folder / name)
        return await self.start(name)

    def keys(self, name: str) -> tuple[AuthorKey, ...]:
        found = identities.load(self.folder / name).author_keys
        return tuple(key.author for key in found)

    async def carry(self) -> None:
        """Let all have what any has, also records by own keys that they lack."""
        (entry,) = self.up["a"].library.entries
        for scope in (entry.campaign, witness_scope(entry.campaign)):
            held = {
                name: await one.store.scope_records(scope)
                for name, one in self.up.items()
                if scope in one.feeds.followed
            }
            all_of_them = {one.id: one for found in held.values() for one in found}
            for name, found in held.items():
                lacks = {*all_of_them}.difference(one.id for one in found)
                new = [one for one in all_of_them.values() if one.id in lacks]
                feeds = self.up[name].feeds
                await feeds.ingest([encode_record(one) for one in new])
        for one in self.up.values():
            await settled(one)

    async def see(self) -> None:
        """The witness says what moved, and all hear it."""
        await self.carry()
        self.clock.ms += MINUTE
        await self.up["w"].witness.tend(await view(self.up["w"]))
        await self.carry()

    async def redeem(self, amount: int, at: AuthorKey | None = None) -> Slip:
        """Alice signs it; as people do it, for the key that B had first."""
        alice, shop = self.up["alice"], at or self.keys("b")[0]
        return (await alice.till.redeem(await view(alice), amount, shop)).slip

    async def redeem_again(self, slip: Slip) -> Slip:
        """Alice's client lies: a second redeem of the same part, at the same shop."""
        alice, record = self.up["alice"], slip.redeem.record()
        claim = replace(record.claim(), nonce=b"another nonce ..")
        key = alice.library.require_key(await view(alice))
        again = await alice.feeds.publish(key, record.scope, Kind.REDEEM, claim)
        return make_slip(slip.voucher, again)

    async def owed(self) -> None:
        """All redeems come to the sponsor, and what it signs to all."""
        await self.carry()
        await self.up["a"].till.recognise_all()
        await self.carry()

    async def play(self, balloons: int = 1) -> list[str]:
        """Alice finds the first balloon."""
        a, alice = self.up["a"], self.up["alice"]
        b = Party(
            keys=tuple(sorted(self.keys("b"))),
            role=Role.MERCHANT,
            name="b",
            amount_max=10**9,
            per_day_max=10**9,
            total_max=10**9,
        )
        codes = await publish(a, self.keys("w")[0], balloons, named=(b,))
        (entry,) = a.library.entries
        for name in ("w", "b"):
            await self.up[name].library.follow(entry.campaign)
        await alice.acts.join(await a.acts.invite(await view(a), uses=1))
        await self.carry()
        await alice.acts.scan(read_code(codes[0]))
        await self.see()
        return codes

    async def close(self, number: int = 1) -> None:
        a, w = self.up["a"], self.up["w"]
        self.clock.ms = (await view(a)).terms.rounds[number - 1].final_from
        await w.witness.tend(await view(w))
        await self.carry()
        await a.books.close(await view(a), number)
        await self.carry()

    async def books(self, name: str) -> dict[str, Any]:
        one = self.up[name]
        return await till_documents.books(one.library, one.till)


async def refused(reason: Reason | str, call: Any) -> None:
    with pytest.raises((Failure, ProtocolError)) as caught:
        await call
    failed = caught.value
    assert isinstance(failed, Failure | ProtocolError)
    assert failed.reason == reason


async def test_a_restored_phone_spends_what_is_payable_to_its_old_key(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as s:
        await s.play()
        file = await s.back_up("alice")
        await s.close()
        spent = await s.redeem(50_000)  # and is known to all
        await s.carry()
        alice = await s.restore("alice", file)
        (entry,) = alice.library.entries
        assert entry.person_index
        await s.carry()
        old, new = (
            alice.identity.person_key(entry.campaign, index).author
            for index in (0, entry.person_index)
        )
        slip = await s.redeem(100_000)
        assert slip.voucher.line.payee == old
        assert slip.redeem.record().author == new
        assert slip.redeem.record().claim().total_before == 50_000
        b, a = s.up["b"], s.up["a"]
        for one in (spent, slip):
            _, level = await b.till.accept(one, LINE)
            assert level is Level.OFFLINE
        found = await s.books("b")
        assert [one["level"] for one in found["accepted"]] == ["offline"] * 2
        await s.stop("b")
        b = await s.start("b")
        assert len(b.till.accepted) == 2, "read again after a restart"
        await s.carry()
        assert len((await s.books("a"))["waiting"]) == 2
        assert len(await a.till.recognise_all()) == 2
        await s.carry()
        found = await s.books("b")
        assert [one["level"] for one in found["accepted"]] == ["owed"] * 2
        assert sum(one["open"] for one in found["owed_to_me"]) == 150_000
        (owed,) = [one for one in found["owed_to_me"] if one["amount"] == 100_000]
        assert owed["redeem"] == slip.redeem.record().id.hex()
        hers = await s.books("alice")
        assert [one["level"] for one in hers["redeemed"]] == ["owed"] * 2
        await b.till.paid(s.keys("a")[0], 150_000)
        await s.carry()
        for name in ("a", "b"):
            found = await s.books(name)
            for debt in (*found["i_owe"], *found["owed_to_me"]):
                assert debt["open"] == 0
            assert found["doubles"] == found["waiting"] == []
        await refused("not-enough-left", s.redeem(50_001))
        s.clock.ms = (await view(alice)).terms.rounds[-1].final_from
        last = await s.redeem(50_000)
        await s.see()
        await s.owed()
        _, level = await b.till.accept(last)
        assert level is Level.OWED, "by another key of hers, and owed before"
        mine = await view(alice)
        keys = alice.library.my_keys(mine)
        records = documents.evidence(mine, keys, alice.feeds.erasures)["records"]
        receipts = [one["receipt"] for one in records if one["kind"] == "redeem"]
        assert receipts == ["safe"] * 3, "no redeem is too late for a round"
        await no_fork(*s.up.values())


async def test_a_part_that_the_lost_phone_spent_is_refused_and_the_next_is_taken(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as s:
        await s.play()
        await s.close()
        file = await s.back_up("alice")
        b, a = s.up["b"], s.up["a"]
        await b.till.accept(await s.redeem(50_000), LINE)  # only the shop has it
        await s.restore("alice", file)
        await s.carry()
        again = await s.redeem(50_000)
        assert again.redeem.record().claim().total_before == 0, "nobody told her"
        await refused(Reason.OVERSPENT, b.till.accept(again))
        await b.till.accept(await s.redeem(50_000))
        for noted in [*b.till.accepted.values()]:
            await a.till.recognise(noted.slip)
        await s.owed()
        for name, side in {"a": "i_owe", "b": "owed_to_me"}.items():
            debts = (await s.books(name))[side]
            assert [one["open"] for one in debts] == [50_000, 50_000]


async def test_a_restored_shop_is_one_creditor_under_both_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(tmp_path) as s:
        await s.play()
        await s.close()
        alice, old, new = s.up["alice"], *s.keys("b")
        before = await s.redeem(50_000)
        await s.up["b"].till.accept(before, LINE)
        await s.owed()
        b = await s.restore("b", await s.back_up("b"))
        assert b.library.author_keys[0].author == new
        await s.carry()
        await refused(Reason.REDEEMED, b.till.accept(before))
        s.clock.ms += MINUTE
        found = await alice.till.redeem(await view(alice), 15_000, new)
        for slip in (await s.redeem(10_000), found.slip):
            _, level = await b.till.accept(slip)
            assert level is Level.OFFLINE
        await s.owed()
        sides = {"a": "i_owe", "b": "owed_to_me"}
        for name, side in sides.items():
            books = await s.books(name)
            debts = books[side]
            assert {one["creditor"] for one in debts} == {
                author_text(key) for key in (old, new)
            }
            assert len({one["creditor_party"] for one in debts}) == 1
            assert sum(one["open"] for one in debts) == 75_000
            monkeypatch.setattr(client, "call", lambda *_args, said=books: said)
            table = cli(tmp_path, "reward", "books").out.splitlines()
            row = table[2]
            assert row.split()[-6:] == ["750.00", "CNY", "0.00", "CNY", "750.00", "CNY"]
            written = spreadsheet.written(books).decode("utf-8-sig")
            rows = [*csv.DictReader(io.StringIO(written))]
            mine = [one for one in rows if one["what"] in ("i owe", "owed to me")]
            assert len({one["creditor party"] for one in mine}) == 1
            assert sum(float(one["open"]) for one in mine) == 750
        signed = await b.till.paid(s.keys("a")[0], 75_000)
        assert {one.author for one in signed} == {new}
        await s.carry()
        for name, side in sides.items():
            assert [one["open"] for one in (await s.books(name))[side]] == [0, 0, 0]
        await no_fork(*s.up.values())


@pytest.mark.parametrize("how", ["restored", "slips"])
async def test_a_till_put_back_takes_no_slip_again_that_it_may_have_accepted(
    tmp_path: Path, how: str
) -> None:
    async with street(tmp_path) as s:
        await s.play()
        await s.close()
        known, lost, other = [await s.redeem(10_000 * n) for n in (1, 2, 3)]
        await s.up["b"].till.accept(known, LINE)
        await s.carry()
        file = await s.back_up("b")
        old = tmp_path / "old"
        await s.stop("b")
        shutil.copy(tmp_path / "b" / STORE_FILE, old)
        b = await s.start("b")
        await b.till.accept(lost)
        await s.owed()
        s.clock.ms += MINUTE
        if how == "restored":
            b = await s.restore("b", file)
        else:  # an old copy of the records, and nothing was signed since
            await s.stop("b")
            shutil.copy(old, tmp_path / "b" / STORE_FILE)
            b = await s.start("b")
        told = b.succession.document()
        assert [one["why"] for one in told["losses"]] == [how]
        assert told["keys_given_up"] == (how == "restored")
        texts = [one.text for one in losses.remarks(told, tmp_path / "b")]
        assert ("is accepted only if you are sure" in texts[0]) == (how == "slips")
        await s.carry()
        await refused(Reason.REDEEMED, b.till.accept(known))
        for slip in (lost, other):
            await refused("may-be-accepted", b.till.accept(slip))
        _, level = await b.till.accept(other, sure=True)
        assert level is Level.OWED
        s.clock.ms += MINUTE
        fresh = await s.redeem(40_000)
        _, level = await b.till.accept(fresh)
        assert level is Level.OFFLINE
        # Who is wrong about it has given goods away twice; one debt it is.
        await b.till.accept(lost, sure=True)
        await s.owed()
        for name, side in {"a": "i_owe", "b": "owed_to_me"}.items():
            debts = (await s.books(name))[side]
            assert sorted(one["open"] for one in debts) == [
                *(10_000, 20_000, 30_000, 40_000)
            ]
        await s.stop("b")
        b = await s.start("b")
        assert len(b.succession.document()["losses"]) == 1, "noticed once"
        await refused(Reason.REDEEMED, b.till.accept(fresh))
        await no_fork(*s.up.values())


async def test_a_sponsors_next_key_owes_once_it_knows_what_the_lost_one_owed(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as s:
        await s.play()
        await s.close()
        first, spare = s.keys("a")
        alice, b = s.up["alice"], s.up["b"]
        file = await s.back_up("a")
        owed = await s.redeem(120_000)
        await b.till.accept(owed, LINE)
        await s.owed()
        await s.see()
        double = await s.redeem_again(owed)
        a = await s.restore("a", file)
        assert a.library.author_keys[0].author == spare
        campaign, alice_key = owed.voucher.close.scope, owed.redeem.record().author
        for slip in (owed, double):
            await refused("successor-not-seen", a.till.recognise(slip))
        assert await a.till.recognise_all() == [], "it knows of no redeem"
        hers = await alice.store.feed(campaign, alice_key, 0, 9, RECORD_MAX)
        await a.feeds.ingest([encode_record(one) for one in hers])
        await refused("successor-not-seen", a.till.recognise_all())
        genesis = await a.store.feed(campaign, spare, 0, 9, RECORD_MAX)
        assert [one.kind for one in genesis] == [Kind.ENTER], "once"
        # The witness sees the next key; what it says comes before what it saw.
        w = s.up["w"]
        await w.feeds.ingest([encode_record(one) for one in genesis])
        s.clock.ms += MINUTE
        await w.witness.tend(await view(w))
        said = await w.store.scope_records(witness_scope(campaign))
        await a.feeds.ingest([encode_record(one) for one in said])
        await refused("sponsor-records-missing", a.till.recognise(double))
        await s.carry()
        record, new = await a.till.recognise(owed)
        assert (record.author, new) == (first, False), "it is owed already"
        await refused(Reason.OVERSPENT, a.till.recognise(double))
        assert await a.till.recognise_all() == []
        rest = await s.redeem(80_000)
        await b.till.accept(rest, LINE)
        await s.carry()
        assert [one.author for one in await a.till.recognise_all()] == [spare]
        await s.carry()
        found = (await s.books("b"))["owed_to_me"]
        assert [one["debtor"] for one in found] == [
            author_text(key) for key in (first, spare)
        ]
        assert len({one["debtor_party"] for one in found}) == 1
        await b.till.paid(first, LINE)  # by whichever key
        await s.carry()
        assert [one["open"] for one in (await s.books("a"))["i_owe"]] == [0, 0]
        await no_fork(*s.up.values())


async def test_a_sponsors_next_key_closes_and_owes_what_both_closed(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as s:
        codes = await s.play(balloons=2)
        await s.close()
        first, spare = s.keys("a")
        a = await s.restore("a", await s.back_up("a"))
        await refused("successor-not-seen", a.books.close(await view(a)))
        s.clock.ms += MINUTE
        at_a = await s.redeem(10_000, at=first)
        await refused("successor-not-seen", a.till.accept(at_a))
        alice = s.up["alice"]
        await alice.acts.scan(read_code(codes[1]))
        await s.see()
        await s.close(2)
        reports = (await alice.books.verify(await view(alice))).reports
        assert [one.close.author for one in reports] == [first, spare]
        assert {one.statement for one in reports} == {Verdict.OK}
        assert {one.cut for one in reports} == {Verdict.OK}
        _, level = await a.till.accept(at_a)
        assert level is Level.OWED
        found = await s.books("a")
        assert found["i_owe"] == found["owed_to_me"] == [], "to itself"
        await refused("not-owed", a.till.paid(spare, 10_000))
