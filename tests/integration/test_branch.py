"""A member that forks cannot stall the sponsor or change what others are paid."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.net.simulated import World as SimulatedWorld
from p2pnode.node import Node
from p2pnode.services.branches import NAMED_MAX
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.simulation import SeededRng
from protocols.claims import Kind, Seen
from protocols.keys import AuthorKey, RecordId, SigningKey, witness_scope
from protocols.record import decode_record, encode_record
from protocols.settlement.verify import Verdict
from tests.worlds import World


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
