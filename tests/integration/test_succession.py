"""What goes on after a loss: the same person, the next key, nothing signed twice."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pnode import identity as identities
from p2pnode.api.folder import STORE_FILE
from p2pnode.failures import Failure
from p2pnode.node import Node
from p2pnode.services import documents, explaining
from p2pnode.services.feeds import FeedStopped, KeyRetired
from p2pnode.store import mark_file
from p2pnode.store.mark_file import MarkFile
from p2pnode.store.sqlite import open_store
from protocols.claims import Kind
from protocols.keys import AuthorKey, witness_scope
from protocols.limits import CONTINUES_MAX
from protocols.record import Record, encode_record
from protocols.settlement.verify import Verdict
from protocols.tags.code import About, make_batch, make_serial, read_code
from protocols.tags.entry import group_root
from protocols.terms import Condition, Count, Group, Once
from protocols.terms import Witness as TermsWitness
from tests.integration.test_services import Dice, HandClock
from tests.worlds import MINUTE, SCAN_STAGE, World


class NoNetwork:
    """Nobody to talk to: records are carried by hand."""

    peer_id = "me"
    addresses = ("/ip4/127.0.0.1/tcp/1/p2p/me",)


@asynccontextmanager
async def node(home: Path, clock: HandClock) -> AsyncIterator[Node]:
    """The node of a folder, as the daemon opens it."""
    keys = identities.load(home)
    mark = MarkFile(home / mark_file.NAME, due=keys.marked)
    store = await open_store(home / STORE_FILE, mark=mark)
    network: Any = NoNetwork()
    made = Node(keys, store=store, network=network, clock=clock, rng=Dice())
    try:
        await made.feeds.open()
        await made.library.open()
        await made.till.open()
        await made.succession.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.succession.run)
            await trio.testing.wait_all_tasks_blocked(0.01)
            yield made
            nursery.cancel_scope.cancel()
    finally:
        await store.close()


async def settled(one: Node) -> None:
    """Let it continue what is due: the store's thread answers in between."""
    with trio.fail_after(20):
        while any(one.succession._is_due(entry) for entry in one.library.entries):
            if one.succession._failed:
                return
            await trio.sleep(0.01)


async def carry(*nodes: Node) -> None:
    """Let all have what any has, foreign records by own keys too."""
    for giver in nodes:
        for taker in nodes:
            if giver is taker:
                continue
            for entry in taker.library.entries:
                for scope in (entry.campaign, witness_scope(entry.campaign)):
                    records = await giver.store.scope_records(scope)
                    await taker.feeds.ingest([encode_record(r) for r in records])
    for one in nodes:
        await settled(one)


def make(home: Path, role: str = "resident", spares: int = 1) -> Path:
    identities.create(home, role=role, name=home.name, network="test", spares=spares)
    return home


async def view(one: Node) -> Any:
    return await one.library.view(one.library.entries[0].campaign)


async def publish(
    sponsor: Node, witness: AuthorKey, balloons: int = 1, **changes: Any
) -> list[str]:
    """Publish a campaign of one-time tags; return their codes."""
    key = sponsor.library.author_key
    assert key is not None
    labels = [f"b{n}" for n in range(balloons)]
    secrets = [[bytes([n]) * 16] for n in range(balloons)]
    tags = make_batch(key.author, b"b" * 16, labels, secrets, About())
    root = group_root([tag.entry for tag in tags])
    own = {
        "sponsor": tuple(sorted(k.author for k in sponsor.library.author_keys)),
        "witnesses": (TermsWitness(key=witness, owner="w"),),
        "groups": (Group(name="balloons", count=balloons, root=root),),
        "conditions": (Condition(stage=0, count=Count.DISTINCT_TAGS, least=1),),
        "budget": 400_000 * balloons,
        "stages": (replace(SCAN_STAGE, once=Once.PERSON),),
        **changes,
    }
    terms = World(witnesses=1, balloons=balloons, changes=own).terms
    rows = [(tag.entry, tag.serial_keys()) for tag in tags]
    await sponsor.acts.publish(terms, [("balloons", rows)])
    return [make_serial(key, tag.entry, 0, tag.secrets[0]) for tag in tags]


def places(records: list[Record]) -> dict[tuple[bytes, int], set[bytes]]:
    """Author and seq -> ids: a fork has two."""
    found: dict[tuple[bytes, int], set[bytes]] = {}
    for record in records:
        found.setdefault((record.author, record.seq), set()).add(record.id)
    return found


async def no_fork(*nodes: Node) -> None:
    everything: list[Record] = []
    for one in nodes:
        for scope in one.feeds.followed:
            everything += await one.store.scope_records(scope)
            assert not one.feeds.forks(scope)
    assert all(len(ids) == 1 for ids in places(everything).values())


def put_back(home: Path, copy: Path) -> None:
    """Put an older copy of the records' file back, as people do."""
    shutil.copy(copy, home / STORE_FILE)


async def test_an_old_copy_of_the_records_makes_no_fork_and_no_second_person(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop, alice = make(tmp_path / "shop", "merchant"), make(tmp_path / "alice")
    async with node(shop, clock) as sponsor:
        first = sponsor.library.author_keys[0].author
        codes = await publish(sponsor, first, balloons=3)
        link = await sponsor.acts.invite(await view(sponsor), uses=1)
        async with node(alice, clock) as one:
            await one.acts.join(link)
            await carry(sponsor, one)
        shutil.copy(alice / STORE_FILE, tmp_path / "hour-old")
        async with node(alice, clock) as one:
            clock.ms += MINUTE
            await one.acts.scan(read_code(codes[0]))
            await carry(sponsor, one)
        put_back(alice, tmp_path / "hour-old")
        async with node(alice, clock) as one:
            await settled(one)
            (entry,) = one.library.entries
            assert entry.past == (0,)
            root = one.identity.person_key(entry.campaign, 0)
            with pytest.raises(FeedStopped):
                await one.feeds.publish(root, entry.campaign, Kind.ERASE, None)
            told = one.succession.document()
            assert [loss["why"] for loss in told["losses"]] == ["older"]
            assert [each["code"] for each in told["troubles"]] == ["continued"]
            clock.ms += MINUTE
            await one.acts.scan(read_code(codes[1]))
            await carry(sponsor, one)
            await carry(sponsor, one)
            await no_fork(sponsor, one)
            clock.ms += MINUTE
            await sponsor.witness.tend(await view(sponsor))
            clock.ms = (await view(sponsor)).terms.rounds[0].final_from
            await sponsor.witness.tend(await view(sponsor))
            await sponsor.books.close(await view(sponsor))
            await carry(sponsor, one)
            mine = await view(one)
            (report,) = (await one.books.verify(mine)).reports
            assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)
            assert report.settlement is not None
            (person,) = report.settlement.admission.persons.values()
            assert len(person.keys) == 2
            assert len(report.settlement.grants) == 1, "once per person holds"
            (line,) = await one.books.lines()
            assert line.voucher.line.payee == person.payee
            known = one.library.known_as(mine)
            why = explaining.explanation(mine, await one.books.verify(mine), known)
            assert len(why["accepted"]) == 1
        async with node(alice, clock) as one:
            assert not one.succession._is_due(one.library.entries[0]), "once is enough"
            assert one.library.entries[0].past == (0,)


async def test_the_next_key_of_a_sponsor_goes_on_where_witnesses_know_it(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop, other = make(tmp_path / "shop", "merchant"), make(tmp_path / "w", "merchant")
    async with node(other, clock) as witness:
        seer = witness.library.author_keys[0].author
        async with node(shop, clock) as sponsor:
            codes = await publish(sponsor, seer)
            campaign = sponsor.library.entries[0].campaign
            await witness.library.follow(campaign)
            await carry(sponsor, witness)
        shutil.copy(shop / STORE_FILE, tmp_path / "before-the-close")
        async with node(shop, clock) as sponsor:
            clock.ms = (await view(sponsor)).terms.rounds[0].final_from
            await witness.witness.tend(await view(witness))
            await carry(sponsor, witness)
            await sponsor.books.close(await view(sponsor), 1)
            await carry(sponsor, witness)
            clock.ms += MINUTE
            await witness.witness.tend(await view(witness))
        put_back(shop, tmp_path / "before-the-close")
        async with node(shop, clock) as sponsor:
            first, second = sponsor.identity.author_keys
            assert sponsor.library.author_key == second
            assert sponsor.library.my_key(await view(sponsor)) == second
            with pytest.raises(KeyRetired):
                await sponsor.feeds.publish(first, campaign, Kind.ERASE, None)
            reasons = []
            for _ in range(2):
                with pytest.raises(Failure) as caught:
                    await sponsor.books.close(await view(sponsor), 1)
                reasons.append(caught.value.reason)
            assert reasons == ["successor-not-seen"] * 2, "it entered, and waits"
            await carry(sponsor, witness)
            clock.ms += MINUTE
            await witness.witness.tend(await view(witness))
            await carry(sponsor, witness)
            with pytest.raises(Failure) as caught:
                await sponsor.books.close(await view(sponsor), 1)
            assert caught.value.reason == "already-closed", "it knows the first close"
            scanned = await sponsor.acts.scan(read_code(codes[0]))
            assert scanned.record.author == second.author
            await no_fork(sponsor, witness)


async def test_a_witness_that_lost_its_store_never_signs_there_again(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop = make(tmp_path / "shop", "merchant", spares=0)
    async with node(shop, clock) as sponsor:
        key = sponsor.library.author_keys[0].author
        await publish(sponsor, key)
        campaign = sponsor.library.entries[0].campaign
        await sponsor.witness.tend(await view(sponsor))
        records = await sponsor.store.scope_records(campaign)
    (shop / STORE_FILE).unlink()
    async with node(shop, clock) as sponsor:
        assert sponsor.library.author_keys == ()
        await sponsor.library.follow(campaign)
        await sponsor.feeds.ingest([encode_record(record) for record in records])
        clock.ms += MINUTE
        await sponsor.witness.tend(await view(sponsor))
        assert not await sponsor.store.scope_records(witness_scope(campaign))
        with pytest.raises(Failure) as caught:
            await sponsor.books.close(await view(sponsor))
        assert caught.value.reason == "key-retired"
        codes = [one["code"] for one in sponsor.succession.document()["troubles"]]
        assert codes == ["no-key-left", "key-retired"]
        shown = documents.campaign(
            await view(sponsor),
            await sponsor.books.verify(await view(sponsor)),
            sponsor.library.my_keys(await view(sponsor))[0],
        )
        assert shown["role"] == "sponsor", "reading goes on"
    identities.add_key(shop)
    async with node(shop, clock) as sponsor:
        assert len(sponsor.library.author_keys) == 1
        await publish(sponsor, sponsor.library.author_keys[0].author)
        assert len(sponsor.library.entries) == 2


async def test_a_resident_alive_twice_continues_on_both(tmp_path: Path) -> None:
    clock = HandClock()
    shop, alice = make(tmp_path / "shop", "merchant"), make(tmp_path / "alice")
    async with node(shop, clock) as sponsor:
        codes = await publish(sponsor, sponsor.library.author_keys[0].author, 3)
        link = await sponsor.acts.invite(await view(sponsor), uses=1)
        async with node(alice, clock) as one:
            await one.acts.join(link)
            await carry(sponsor, one)
        twin = tmp_path / "twin"
        twin.mkdir()
        for name in (STORE_FILE, identities.FILE, mark_file.NAME):
            shutil.copy2(alice / name, twin / name)
        # A snapshot of a whole disk: even the file beside the store looks the same.
        mark = MarkFile(twin / mark_file.NAME)
        found = mark.read().mark
        assert found is not None
        mark.write(found, sync=True)
        mark.close()
        async with node(alice, clock) as one, node(twin, clock) as two:
            assert not two.succession.document()["losses"]
            clock.ms += MINUTE
            await one.acts.scan(read_code(codes[0]))
            await two.acts.scan(read_code(codes[1]))
            await carry(sponsor, one, two)
            await carry(sponsor, one, two)
            indices = [each.library.entries[0].person_index for each in (one, two)]
            assert len({*indices}) == 2
            assert 0 not in indices
            for each in (one, two):
                clock.ms += MINUTE
                await each.acts.scan(read_code(codes[2]))
            await carry(sponsor, one, two)
            (proof,) = sponsor.feeds.forks(sponsor.library.entries[0].campaign)
            assert proof.seq == 1, "only what both signed before they met"
            assert [
                trouble["code"] for trouble in two.succession.document()["troubles"]
            ] == ["continued"]


async def test_a_shop_alive_twice_stops_until_its_owner_says_which(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop = make(tmp_path / "shop", "merchant")
    async with node(shop, clock) as sponsor:
        await publish(sponsor, sponsor.library.author_keys[0].author)
        campaign = sponsor.library.entries[0].campaign
    twin = tmp_path / "twin"
    shutil.copytree(shop, twin)
    mark = MarkFile(twin / mark_file.NAME)
    found = mark.read().mark
    assert found is not None
    mark.write(found, sync=True)
    mark.close()
    async with node(shop, clock) as one, node(twin, clock) as two:
        clock.ms += MINUTE
        await two.witness.tend(await view(two))
        await carry(one, two)
        (trouble,) = one.succession.document()["troubles"]
        assert trouble["code"] == "copy-at-work"
        key = one.library.author_key
        assert key is not None
        assert one.feeds.is_stopped(witness_scope(campaign), key.author)
        await one.succession.next_key()
        assert one.library.author_key == one.identity.author_keys[1]
        with pytest.raises(Failure) as caught:
            await one.succession.next_key()
        assert caught.value.reason == "no-next-key"


async def test_after_a_loss_of_everything_a_new_invite_makes_no_new_person(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop, alice = make(tmp_path / "shop", "merchant"), make(tmp_path / "alice")
    async with node(shop, clock) as sponsor:
        await publish(sponsor, sponsor.library.author_keys[0].author)
        link = await sponsor.acts.invite(await view(sponsor), uses=2)
        async with node(alice, clock) as one:
            old = await one.acts.join(link)
            await carry(sponsor, one)
        (alice / STORE_FILE).unlink()
        async with node(alice, clock) as one:
            record = await one.acts.join(link)
            assert record.kind == Kind.CONTINUE
            assert record.claim().root == old.author
            await carry(sponsor, one)
            await no_fork(sponsor, one)
            with pytest.raises(Failure) as caught:
                await one.acts.join(link)
            assert caught.value.reason == "already-joined"


async def test_a_device_that_only_follows_continues_when_it_is_told(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop, alice = make(tmp_path / "shop", "merchant"), make(tmp_path / "alice")
    async with node(shop, clock) as sponsor:
        await publish(sponsor, sponsor.library.author_keys[0].author)
        link = await sponsor.acts.invite(await view(sponsor), uses=1)
        async with node(alice, clock) as one:
            await one.acts.join(link)
            await carry(sponsor, one)
        (alice / STORE_FILE).unlink()
        async with node(alice, clock) as one:
            campaign = sponsor.library.entries[0].campaign
            await one.acts.follow(campaign)
            with pytest.raises(Failure) as caught:
                await one.succession.proceed(campaign)
            assert caught.value.reason == "no-join-here"
            await carry(sponsor, one)
            made = await one.succession.proceed(campaign)
            assert made.kind == Kind.CONTINUE
            for _ in range(CONTINUES_MAX - 1):
                await one.succession.proceed(campaign)
            with pytest.raises(Failure) as caught:
                await one.succession.proceed(campaign)
            assert caught.value.reason == "person-keys-used-up"


async def test_a_shop_whose_copy_went_on_under_the_next_key_signs_no_more(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    shop = make(tmp_path / "shop", "merchant", spares=2)
    async with node(shop, clock) as sponsor:
        keys = sponsor.library.author_keys
        await publish(sponsor, keys[0].author)
    twin = tmp_path / "twin"
    shutil.copytree(shop, twin)
    async with node(shop, clock) as one, node(twin, clock) as two:
        assert two.library.retired == (keys[0].author,)
        entered = await two.acts.enter(await view(two))
        assert entered.author == keys[1].author
        assert one.succession.document()["troubles"] == []
        await carry(two, one)
        (trouble,) = one.succession.document()["troubles"]
        assert trouble["code"] == "copy-at-work"
        clock.ms = (await view(one)).terms.rounds[0].final_from
        await one.witness.tend(await view(one))  # no other key is the witness's
        with pytest.raises(FeedStopped):
            await one.books.close(await view(one))
        await carry(one, two)
        await two.books.close(await view(two))
        await one.succession.next_key()
        (left,) = one.library.author_keys
        assert left.author == keys[2].author, "the second is the copy's"
        with pytest.raises(Failure) as caught:
            await one.succession.next_key()
        assert caught.value.reason == "no-next-key"
