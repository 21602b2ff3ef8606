"""A member that forks cannot stall the sponsor or change what others are paid."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import Any

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.net.simulated import World as SimulatedWorld
from p2pnode.node import Node
from p2pnode.services.branches import NAMED_MAX, Branches
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.simulation import SeededRng
from protocols.claims import Kind, Seen
from protocols.feed import Head, prove_fork
from protocols.keys import AuthorKey, RecordId, SigningKey, witness_scope
from protocols.record import Record, decode_record, encode_record
from protocols.settlement.verify import Verdict
from tests.integration.test_room import grow
from tests.worlds import World, key_of


class StoppedClock:
    """Always the same time."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


def make_node(
    name: str, network: SimulatedWorld, ms: int, key: SigningKey | None = None
) -> Node:
    identity = Identity(
        role="merchant" if key else "resident",
        name=name,
        network="test",
        transport_seed=secrets.token_bytes(32),
        author_key=key,
        root_seed=secrets.token_bytes(32),
    )
    return Node(
        identity,
        store=MemoryStore(),
        network=network.network(name),
        clock=StoppedClock(ms),
        rng=SeededRng(name),
    )


@pytest.mark.parametrize("lies", [0, 300])
async def test_the_sponsor_fetches_the_branch_that_the_finals_name(lies: int) -> None:
    """Also where one witness names many records that exist nowhere."""
    world = World(balloons=3, rounds=2, changes={"conditions": ()})
    world.join("honest")
    world.join("mallory")
    world.join("carol", "mallory")
    world.scan("honest", 0)
    world.scan("carol", 1)
    seen = world.scan("mallory", 2)
    shown = world.fork("mallory", Kind.SCAN, replace(seen.claim(), salt=b"x" * 16))
    for place in range(lies):
        _lie(world, RecordId(place.to_bytes(32, "big")))
    world.finish_round(1)
    expected = [line.amount for line in world.settle(1).settlement.lines]
    network = SimulatedWorld(1)
    sponsor = make_node("sponsor", network, world.now, world.sponsor)
    friend = make_node("friend", network, world.now)
    came = [decode_record(encode_record(record)) for record in world.records]
    await sponsor.store.append([r for r in came if r.id != seen.id])
    await friend.store.append([r for r in came if r.id != shown.id])
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for node in (sponsor, friend):
                await nursery.start(node.run)
                await node.library.follow(world.scope)
            await sponsor.neighbours.add(friend.network.addresses[0])
            await _close(sponsor, world)
            report = await _verified(friend, world)
            nursery.cancel_scope.cancel()
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)
    assert report.settlement is not None
    assert [line.amount for line in report.settlement.lines] == expected


async def test_everybody_fetches_the_branches_that_witnesses_name() -> None:
    """Also who closes nothing, and where one witness names hundreds of others."""
    world = World(balloons=1, rounds=2, changes={"conditions": ()})
    world.join("mallory")
    held = world.scan("mallory", 0)
    other = world.fork("mallory", Kind.SCAN, replace(held.claim(), salt=b"x" * 16))
    for place in range(NAMED_MAX + 1):
        _lie(world, RecordId(place.to_bytes(32, "big")), held.author, held.seq)
    world.finish_round(1)
    network = SimulatedWorld(1)
    nodes = [make_node(name, network, world.now) for name in ("one", "other")]
    came = [decode_record(encode_record(record)) for record in world.records]
    await nodes[0].store.append([r for r in came if r.id != held.id])
    await nodes[1].store.append([r for r in came if r.id != other.id])
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                await nursery.start(node.run)
                await node.library.follow(world.scope)
                await node.library.view(world.scope)
            await nodes[0].neighbours.add(nodes[1].network.addresses[0])
            while await nodes[0].store.get(held.id) is None:  # noqa: ASYNC110
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()


def forked_world(length: int, **caps: int) -> tuple[World, list[Record], list[Record]]:
    """Mallory writes two branches as long; the first witness names the second."""
    base = World().terms.caps
    world = World(
        balloons=1,
        rounds=2,
        changes={"conditions": (), "caps": replace(base, **caps)},
    )
    join = world.join("mallory")
    place = (world.scope, join.author)
    branches: list[list[Record]] = []
    for title in ("one", "other"):
        world.heads[place] = Head(join.seq, join.id)
        branches.append(grow(world, key_of("mallory"), length, title))
    one, other = branches
    _lie(world, other[-1].id, other[-1].author, other[-1].seq)
    return world, one, other


async def fetched(
    world: World, mine: list[Record], theirs: list[Record]
) -> list[Record]:
    """What a node that has one branch gets of the other in twenty seconds."""
    network = SimulatedWorld(1)
    node, friend = (make_node(name, network, world.now) for name in ("one", "other"))
    await node.store.append([r for r in world.records if r not in theirs])
    await friend.store.append([r for r in world.records if r not in mine])
    async with trio.open_nursery() as nursery:
        for one in (node, friend):
            await nursery.start(one.run)
            await one.library.follow(world.scope)
            await one.library.view(world.scope)
            await one.feeds.ingest_forks([prove_fork(mine[0], theirs[0])])
        await node.neighbours.add(friend.network.addresses[0])
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    return [one for one in theirs if await node.store.get(one.id) is not None]


async def test_a_long_branch_is_fetched_as_fast_as_it_is_brought(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world, one, other = forked_world(60)
    assert await fetched(world, one, other) == other


async def test_of_a_branch_no_more_is_fetched_than_one_feed_may_take(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world, one, other = forked_world(60, bytes_per_feed=1_000)
    size = other[0].header.claim_size
    assert await fetched(world, one, other) == other[-(1_000 // size + 1) :]


async def test_a_new_fork_has_only_what_names_it_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, _, other = forked_world(1)
    node = make_node("one", SimulatedWorld(1), world.now)
    await node.store.append([r for r in world.records if r not in other])
    await node.feeds.open()
    await node.library.open()
    await node.library.follow(world.scope)
    await node.library.view(world.scope)
    world.join("guest")
    (held,) = grow(world, key_of("guest"), 1)
    for _ in range(8):
        world.join(f"guest {world.now}")
        world.see()
    await node.feeds.ingest([encode_record(record) for record in world.records])
    twin = world.fork("guest", Kind.ANNOUNCE, replace(held.claim(), salt=b"x" * 16))
    branches = Branches(node.library, node.feeds)
    await branches._look(world.scope)
    read: list[int] = []
    feed = node.store.feed

    async def noted(*place: Any) -> list[Record]:
        some = await feed(*place)
        if place[0] == witness_scope(world.scope):
            read.extend(record.seq for record in some)
        return some

    monkeypatch.setattr(node.store, "feed", noted)
    await branches._look(world.scope)
    assert read == []
    await node.feeds.ingest_forks([prove_fork(held, twin)])
    await branches._look(world.scope)
    assert len(read) == len(world.witness_keys), "each named her once"


async def test_two_closes_at_once_sign_one_round_once() -> None:
    world = World(balloons=1, witnesses=1)
    world.join("alice")
    world.scan("alice", 0)
    world.finish_round(1)
    sponsor = make_node("sponsor", SimulatedWorld(1), world.now, world.sponsor)
    await sponsor.store.append(world.records)
    await sponsor.feeds.open()
    await sponsor.library.follow(world.scope)
    view = await sponsor.library.view(world.scope)
    refused = []

    async def close() -> None:
        try:
            await sponsor.books.close(view)
        except Failure as failure:
            refused.append(failure.reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close)
        nursery.start_soon(close)
    assert len(refused) == 1
    assert len((await sponsor.books.verify(view)).reports) == 1


async def test_two_acts_at_once_enter_once() -> None:
    world = World(balloons=1, witnesses=1)
    shop = make_node("shop", SimulatedWorld(1), world.now, world.witness_keys[0])
    await shop.store.append(world.records)
    await shop.feeds.open()
    await shop.library.follow(world.scope)
    view = await shop.library.view(world.scope)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.acts.enter, view)
        nursery.start_soon(shop.acts.enter, view)
    head = shop.feeds.head(world.scope, world.witness_keys[0].author)
    assert head is not None
    assert head.seq == 0


def _lie(
    world: World, head: RecordId, author: AuthorKey | None = None, seq: int = 0
) -> None:
    """The first witness names a head that it never saw."""
    heads = ((author or AuthorKey(head), seq, head),)
    claim = Seen(salt=head[16:], final=None, heads=heads)
    world.now += 1
    scope = witness_scope(world.scope)
    world.write(world.witness_keys[0], Kind.SEEN, claim, scope=scope)


async def _close(sponsor: Node, world: World) -> None:
    view = await sponsor.library.view(world.scope)
    closed = False
    while not closed:
        with contextlib.suppress(Failure):
            await sponsor.books.close(view)
            closed = True
        await trio.sleep(0.1)


async def _verified(node: Node, world: World):
    while True:
        view = await node.library.view(world.scope)
        reports = (await node.books.verified(view)).reports
        if reports and reports[-1].statement is not Verdict.INCOMPLETE:
            return reports[-1]
        await trio.sleep(0.1)


pytestmark = pytest.mark.sim
