"""What an author erases is dropped by every node, and nobody settles otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from p2pnode.failures import Failure
from p2pnode.ports import Store, StoreFull
from p2pnode.services import documents
from p2pnode.services.closing import Books
from p2pnode.services.erasing import AGAIN_S, PAUSE_S, Erasing
from p2pnode.services.feeds import Feeds
from p2pnode.services.library import Library, View
from p2pnode.services.witness import Witness
from p2pnode.store.sqlite import open_store
from protocols.claims import Dispute, Erase, Kind
from protocols.codec import encode
from protocols.errors import Reason
from protocols.keys import RecordId, Scope, witness_scope
from protocols.record import Record, encode_record, without_parts
from protocols.settlement.verify import Verdict
from protocols.tags.code import read_code
from tests.integration.test_services import (
    Dice,
    HandClock,
    Player,
    carry,
    make_campaign,
)
from tests.worlds import NETWORK, key_of

MARK = b"where the cat sleeps"
NOTE = encode([bytes(16), MARK.decode()])
SALT = bytes(16)


@pytest.fixture
def clock() -> HandClock:
    """The time of records; that of waiting passes by itself."""
    return HandClock()


@dataclass
class Play:
    """A shop and Alice, who scanned its balloon and wrote a note to it."""

    shop: Player
    alice: Player
    scan: Record

    async def carry(self) -> None:
        await carry(self.shop, self.alice)

    async def erase(self, *, claim: bool = True) -> Record:
        view = await self.alice.view()
        return await self.alice.acts.erase(view, self.scan.id, claim=claim)

    async def round(self) -> None:
        """Everybody sees everything, and the shop closes the first round."""
        await self.carry()
        terms = (await self.shop.view()).terms
        await self.shop.witness.tend(await self.shop.view())
        self.shop.feeds._clock.ms = terms.rounds[0].final_from  # type: ignore[attr-defined]
        await self.shop.witness.tend(await self.shop.view())
        await self.shop.books.close(await self.shop.view())
        await self.carry()


async def opened(name: str, role: str, clock: HandClock) -> Player:
    player = Player(name, role, clock)
    await player.feeds.open()
    await player.library.open()
    return player


async def restarted(old: Player, clock: HandClock) -> Player:
    """A new node on the disk and with the keys of an old one."""
    new = Player(old.identity.name, old.identity.role, clock)
    new.identity, new.store, rng = old.identity, old.store, Dice()
    new.feeds = Feeds(new.store, NETWORK, clock, rng)
    new.library = Library(new.identity, new.feeds, new.store)
    new.books = Books(new.library, new.feeds, rng)
    new.witness = Witness(new.library, new.feeds, new.books, clock, rng)
    await new.feeds.open()
    await new.library.open()
    return new


@pytest.fixture
async def play(clock: HandClock) -> Play:
    shop = await opened("shop", "merchant", clock)
    alice = await opened("alice", "resident", clock)
    code = await make_campaign(shop)
    await alice.acts.join(await shop.acts.invite(await shop.view(), uses=1))
    await carry(shop, alice)
    clock.ms += 1_000
    scanned = await alice.acts.scan(read_code(code))
    view, key = scanned.view, alice.library.require_key(scanned.view)
    claim = scanned.record.claim()
    again = await alice.feeds.publish(key, view.campaign, Kind.SCAN, claim, NOTE)
    assert again.note_bytes == NOTE
    return Play(shop, alice, again)


@asynccontextmanager
async def erasing(*players: Player) -> AsyncIterator[None]:
    """Each player's node drops what it may, until all is quiet."""
    async with trio.open_nursery() as nursery:
        for one in players:
            nursery.start_soon(Erasing(one.library, one.feeds, one.books).run)
        await trio.sleep(PAUSE_S)
        yield
        await trio.sleep(3 * PAUSE_S)
        nursery.cancel_scope.cancel()


async def held(player: Player, record_id: RecordId) -> Record:
    record = await player.store.get(record_id)
    assert record is not None
    return record


def shown(view: View, record_id: RecordId) -> Record:
    record = view.evidence.lookup(record_id)
    assert record is not None
    return record


async def test_a_note_goes_at_once_and_a_claim_when_its_round_is_settled(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    await play.carry()
    both = (play.shop, play.alice)
    views = [await one.view() for one in both]
    async with erasing(*both):
        await play.erase()
        await play.carry()
    for one, view in zip(both, views, strict=True):
        assert (await held(one, play.scan.id)).note_bytes is None
        assert shown(view, play.scan.id).note_bytes is None
        assert (await held(one, play.scan.id)).claim_bytes is not None, "may count yet"
    async with erasing(*both):
        await play.round()
        (before,) = (await play.shop.books.verify(views[0])).reports
    for one, view in zip(both, views, strict=True):
        assert (await held(one, play.scan.id)).claim_bytes is None
        assert shown(view, play.scan.id).claim_bytes is None
        (after,) = (await one.books.verify(view)).reports
        assert (after.statement, after.cut) == (Verdict.OK, Verdict.OK)
        assert after.settlement is not None
        assert before.settlement is not None
        assert after.settlement.statement_root == before.settlement.statement_root
        assert after.not_judged == 1
    alice_view = views[1]
    mine = documents.evidence(alice_view, [play.scan.author], play.alice.feeds.erasures)
    assert [one["erased"] for one in mine["records"]] == ["no", "no", "claim", "no"]


async def test_what_a_crash_left_is_done_at_the_next_start(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    await play.erase()
    await play.round()
    again = await restarted(play.alice, HandClock())
    assert (await held(again, play.scan.id)).note_bytes == NOTE
    async with erasing(again):
        await trio.lowlevel.checkpoint()
    bare = without_parts(play.scan, claim=True, note=True)
    assert await held(again, play.scan.id) == bare
    assert shown(await again.view(), play.scan.id) == bare


async def test_a_newcomer_gets_it_bare_with_its_erase_and_settles_alike(
    play: Play, clock: HandClock, autojump_clock: trio.testing.MockClock
) -> None:
    view, between = await play.alice.view(), await older(play)
    key = play.alice.library.require_key(view)
    await play.alice.feeds.publish(key, view.campaign, Kind.SCAN, between.claim())
    async with erasing(play.shop, play.alice):
        await play.erase()
        await play.round()
    carol = await opened("carol", "resident", clock)
    campaign = (await play.shop.view()).campaign
    await carol.library.follow(campaign)
    erase = play.shop.feeds.erase_of(play.scan)
    assert erase is not None
    records = await play.shop.store.scope_records(campaign)
    assert records.index(erase) > [one.id for one in records].index(play.scan.id)
    upto = [
        one for one in records if one.author != erase.author or one.seq <= play.scan.seq
    ]
    stripped = await carol.feeds.ingest(wires(upto))
    assert [one.reason for one in stripped.refused] == [Reason.BAD_CLAIM]
    assert stripped.refused[0].fault
    report = await carol.feeds.ingest(wires([erase, *upto]))
    assert not report.refused
    assert await carol.store.get(erase.id) == erase, "kept for those behind"
    head = carol.feeds.head(campaign, erase.author)
    assert head is not None
    assert head.seq < erase.seq
    await carry(play.shop, carol)
    assert carol.feeds.head(campaign, erase.author) == play.shop.feeds.head(
        campaign, erase.author
    )
    async with erasing(carol):
        await trio.lowlevel.checkpoint()
    assert await digest(carol) == await digest(play.shop)
    assert carol.feeds.erase_of(play.scan) == erase


async def digest(player: Player) -> bytes:
    """The statement of the only close, as this player finds it."""
    (report,) = (await player.books.verify(await player.view())).reports
    assert report.statement is Verdict.OK
    assert report.settlement is not None
    return report.settlement.statement_root


def wires(records: Sequence[Record]) -> list[bytes]:
    return [encode_record(record) for record in records]


async def test_an_erased_part_never_comes_back(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    async with erasing(play.shop, play.alice):
        await play.erase()
        await play.round()
    bare = without_parts(play.scan, claim=True, note=True)
    await play.shop.feeds.ingest(wires([play.scan]))
    await play.shop.feeds.ingest_by_id(wires([play.scan]))
    assert await held(play.shop, play.scan.id) == bare
    assert shown(await play.shop.view(), play.scan.id) == bare


async def test_a_claim_that_came_bare_is_asked_for_while_it_may_count(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    """Else a neighbour that strips it keeps its witness from seeing the feed."""
    erase = await play.erase()
    view = await play.shop.view()
    theirs = await play.alice.store.scope_records(view.campaign)
    lying = [
        without_parts(one, claim=one.id == play.scan.id, note=False) for one in theirs
    ]
    asked: list[RecordId] = []
    async with erasing(play.shop):
        report = await play.shop.feeds.ingest(wires([erase, *lying]))
        assert not report.refused
        await play.shop.witness.tend(view)
        listed = [
            head
            for one in view.evidence.by_id.values()
            if one.kind == Kind.SEEN
            for head in one.claim().heads
        ]
        assert all(
            seq < play.scan.seq
            for author, seq, _ in listed
            if author == play.scan.author
        )
        await trio.sleep(3 * PAUSE_S)
        asked += play.shop.feeds.missing
        bare = wires([without_parts(play.scan, claim=True, note=True)])
        await play.shop.feeds.ingest_by_id(bare)
        assert play.scan.id in play.shop.feeds.missing, "a bare answer is none"
        await play.shop.feeds.ingest_by_id(wires([play.scan]))
    assert asked == [play.scan.id]
    assert not play.shop.feeds.missing
    whole = without_parts(play.scan, claim=False, note=True)
    assert await held(play.shop, play.scan.id) == whole
    assert shown(view, play.scan.id) == whole
    await play.shop.books.verified(view)


async def test_a_witness_goes_on_with_a_feed_that_has_erased_claims(
    play: Play, clock: HandClock, autojump_clock: trio.testing.MockClock
) -> None:
    """Also one that has seen nothing of it before, once it has settled the close."""
    async with erasing(play.shop, play.alice):
        await play.erase()
        await play.round()
        later = await play.alice.acts.erase(
            await play.alice.view(), (await older(play)).id, claim=True
        )
        await play.carry()
    reborn = await restarted(play.shop, clock)
    clock.ms += 60_000
    view = await reborn.view()
    async with erasing(reborn):
        await reborn.witness.tend(view)
        await trio.sleep(AGAIN_S)
        clock.ms += 60_000
        await reborn.witness.tend(view)
    scope = witness_scope(view.campaign)
    listed = {
        head
        for record in await reborn.store.scope_records(scope)
        for _, _, head in record.claim().heads
    }
    assert later.id in listed


async def older(play: Play) -> Record:
    """The scan before the one with the note."""
    view = await play.alice.view()
    return view.evidence.feed(view.campaign, play.scan.author)[play.scan.seq - 1]


async def test_what_can_never_count_is_dropped_after_the_last_finals(
    play: Play, clock: HandClock, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody lists it, and no close comes: 2f+1 witnesses have ended all rounds."""
    await play.shop.witness.tend(await play.shop.view())
    await play.erase()
    await play.carry()
    rounds = (await play.shop.view()).terms.rounds
    author = play.scan.author
    view = await play.shop.view()
    async with erasing(play.shop):
        for one in rounds:
            clock.ms = one.final_from
            duty = play.shop.witness._duty(view, view.terms.witnesses[0].key)
            duty.moved.pop(author, None)
            await play.shop.witness.tend(view)
    assert (await held(play.shop, play.scan.id)).claim_bytes is None


async def test_others_records_and_other_parts_stay(
    play: Play, clock: HandClock, autojump_clock: trio.testing.MockClock
) -> None:
    key = play.shop.identity.author_key
    assert key is not None
    view = await play.shop.view()
    claim = Erase(salt=SALT, record=play.scan.id, claim=True)
    async with erasing(play.shop, play.alice):
        await play.shop.feeds.publish(key, view.campaign, Kind.ERASE, claim)
        join = shown(await play.alice.view(), (await older(play)).header.backlink)
        mine = play.alice.library.require_key(await play.alice.view())
        said = Erase(salt=SALT, record=join.id, claim=True)
        await play.alice.feeds.publish(mine, view.campaign, Kind.ERASE, said)
        await play.round()
    for player in (play.shop, play.alice):
        assert await held(player, play.scan.id) == play.scan
        assert (await held(player, join.id)).claim_bytes is not None


async def test_erasing_refuses_what_it_cannot_do(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    view = await play.alice.view()
    await play.carry()
    acts = play.alice.acts
    genesis = view.evidence.feed(view.campaign, view.terms.sponsor[0])[0]
    join = view.evidence.feed(view.campaign, play.scan.author)[0]
    for record, claim, reason in (
        (RecordId(bytes(32)), True, "unknown-record"),
        (genesis.id, False, "not-yours"),
        (join.id, True, "only-scans"),
        (join.id, False, "nothing-to-erase"),
    ):
        with pytest.raises(Failure) as caught:
            await acts.erase(view, record, claim=claim)
        assert caught.value.reason == reason
    await play.erase(claim=False)
    await play.erase(claim=True)
    with pytest.raises(Failure, match="nothing more"):
        await play.erase(claim=True)


async def test_a_full_disk_leaves_it_for_later(
    play: Play, autojump_clock: trio.testing.MockClock
) -> None:
    await play.erase(claim=False)

    def full(call: str) -> None:
        if call == "drop_parts":
            raise StoreFull("disk")

    play.alice.store.before = full
    async with erasing(play.alice):
        await trio.sleep(3 * PAUSE_S)
        assert (await held(play.alice, play.scan.id)).note_bytes == NOTE
        play.alice.store.before = None
    assert (await held(play.alice, play.scan.id)).note_bytes is None


def bytes_below(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(folder.iterdir()))


async def test_the_bytes_are_gone_from_the_files(
    tmp_path: Path, clock: HandClock
) -> None:
    store: Store = await open_store(tmp_path / "records.sqlite")
    key, home = key_of("alice"), witness_scope(Scope(bytes(32)))
    feeds = Feeds(store, NETWORK, clock, Dice())
    await feeds.open()
    await feeds.follow(home)
    nobody: Any = SimpleNamespace(campaign_of=lambda _: None)
    claim = Dispute(salt=SALT, close=RecordId(bytes(32)), statement_root=bytes(32))
    record = await feeds.publish(key, home, Kind.DISPUTE, claim, NOTE)
    for size in range(0, 8_000, 200):
        note = encode([SALT, "x" * size])
        await feeds.publish(key, home, Kind.DISPUTE, claim, note)
    assert MARK in bytes_below(tmp_path)
    done = trio.Event()
    feeds.subscribe(lambda change: done.set() if change.dropped else None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Erasing(nobody, feeds, nobody).run)
        said = Erase(salt=SALT, record=record.id, claim=False)
        await feeds.publish(key, home, Kind.ERASE, said)
        await done.wait()
        assert MARK not in bytes_below(tmp_path)
        nursery.cancel_scope.cancel()
    assert await store.get(record.id) == without_parts(record, claim=False, note=True)
    await store.close()
