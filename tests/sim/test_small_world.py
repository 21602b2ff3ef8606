"""Ten nodes in one seeded world: what one publishes, all hold in the end."""

from __future__ import annotations

import logging

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.net.simulated import Weather
from p2pnode.services.feeds import FeedStopped
from p2pnode.services.neighbours import Manners
from p2pnode.swarm.simulation import NETWORK, Village, simulate
from protocols.record import sign_record

pytestmark = pytest.mark.sim

NAMES = [f"n{i}" for i in range(10)]
ROUGH = Weather(loss=0.01, reset=0.01, refuse=0.1)
BRISK = Manners(reconcile_s=10.0)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


async def ring(village: Village) -> None:
    """Ten nodes, each knowing the next two."""
    for name in NAMES:
        await village.born(name)
    for i, name in enumerate(NAMES):
        await village.introduce(name, NAMES[(i + 1) % 10], NAMES[(i + 2) % 10])


async def stores_equal(village: Village) -> bool:
    held = [
        [(r.id, r.claim_bytes) for r in await v.store.scope_records(village.scope)]
        for v in village.villagers.values()
    ]
    return all(each == held[0] for each in held)


async def partitioned(village: Village) -> None:
    await ring(village)
    for name in NAMES:
        await village.villagers[name].announce(village.scope, f"hello from {name}")
    await trio.sleep(20)
    village.world.partition([NAMES[:5], NAMES[5:]])
    for day in range(3):
        for name in NAMES:
            titles = [f"{name} {day} {i}" for i in range(4)]
            await village.villagers[name].announce_many(village.scope, titles)
        await trio.sleep(7)
    assert not village.agreed()
    village.world.heal()
    assert await village.agree(within_s=120)
    assert await stores_equal(village)
    head = village.villagers["n0"].feeds.frontier(village.scope)
    assert len(head) == 10
    assert {leaf.seq for leaf in head.leaves()} == {12}


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.untraced) for n in (2, 3))]
)
def test_all_stores_are_equal_after_a_partition_heals(seed: int) -> None:
    simulate(seed, partitioned, weather=ROUGH, manners=BRISK)


@pytest.mark.untraced
def test_the_same_seed_gives_the_same_trace() -> None:
    first = simulate(7, partitioned, weather=ROUGH, manners=BRISK)
    assert first == simulate(7, partitioned, weather=ROUGH, manners=BRISK)
    assert len(first) > 100


async def forked(village: Village) -> None:
    """One key on two machines, far apart: both branches grow, then meet."""
    await ring(village)
    twin = village.villagers["n5"]
    twin.key = village.villagers["n0"].key
    await village.villagers["n0"].announce(village.scope, "the same beginning")
    assert await village.agree(within_s=60)
    village.world.partition([NAMES[:5], NAMES[5:]])
    await trio.sleep(10)
    await village.villagers["n0"].announce_many(village.scope, list("abcdefgh"))
    await twin.announce_many(village.scope, list("12345"))
    await trio.sleep(30)
    village.world.heal()
    assert await village.agree(within_s=200)
    for villager in village.villagers.values():
        (leaf,) = villager.feeds.frontier(village.scope).leaves()
        assert (leaf.seq, leaf.forked) == (1, True)
        (proof,) = await villager.store.forks(village.scope)
        assert proof.seq == 1
        with pytest.raises(FeedStopped):
            await twin.announce(village.scope, "never again")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_forked_feed_becomes_one_proof_everywhere(seed: int) -> None:
    simulate(seed, forked, weather=ROUGH, manners=BRISK)


async def crashing(village: Village) -> None:
    await ring(village)
    for turn in range(6):
        name = NAMES[(turn * 3) % 10]
        await village.villagers[name].announce_many(village.scope, ["a", "b"])
        store = await village.crash(name)
        await trio.sleep(5)
        back = await village.born(name, store)
        await back.announce(village.scope, "I am back")
    assert await village.agree(within_s=300)
    assert await stores_equal(village)


def test_crashes_lose_nothing() -> None:
    simulate(5, crashing, weather=ROUGH, manners=BRISK)


async def catching_up(village: Village) -> None:
    """A node comes late; it meets all the others at once."""
    for name in NAMES[:4]:
        await village.born(name)
    for name in NAMES[1:4]:
        await village.introduce(name, "n0")
    for name in NAMES[:4]:
        for _ in range(10):
            titles = [f"{i}" for i in range(100)]
            await village.villagers[name].announce_many(village.scope, titles)
    assert await village.agree(within_s=60)
    await village.born("n9")
    await village.introduce("n9", *NAMES[:4])
    assert await village.agree(within_s=60)
    assert await stores_equal(village)


@pytest.mark.untraced
def test_a_late_node_catches_up() -> None:
    simulate(3, catching_up)


async def manners(village: Village) -> None:
    for name in NAMES[:2]:
        await village.born(name)
    one, two = (village.villagers[name].neighbours for name in NAMES[:2])
    await village.introduce("n0", "n1")
    await village.introduce("n1", "n0")
    await trio.sleep(5)
    assert await one.ping("peer-n1") > 0
    (entry,) = one.listing()
    assert (entry["state"], entry["address"]) == ("connected", "/sim/n1/p2p/peer-n1")
    assert entry["scopes"] == [{"scope": village.scope.hex(), "in_sync": True}]
    await two.block("peer-n0")
    await trio.sleep(60)
    assert two.listing()[0]["state"] == "blocked"
    assert not one.listing()[0]["connected"]
    with pytest.raises(Failure):
        await one.ping("peer-n1")
    await two.unblock("peer-n0")
    await trio.sleep(200)
    assert one.listing()[0]["connected"]
    with pytest.raises(Failure):
        await one.add("/ip4/1.2.3.4/tcp/1")


def test_ping_block_unblock() -> None:
    simulate(1, manners)


def test_more_neighbours_by_hand_than_may_be_dialled_are_not_dialled_in_vain():
    async def play(village):
        for name in ("alice", "bob", "carol", "dave"):
            await village.born(name)
        await village.introduce("alice", "bob", "carol", "dave")
        await trio.sleep(60)

    trace = simulate(1, play, manners=Manners(outbound_max=2))
    assert len([line for line in trace if " dial " in line]) == 2


def test_what_was_asked_for_in_vain_comes_when_it_is_there():
    async def play(village):
        alice, bob, carol = [await village.born(each) for each in ("a", "b", "c")]
        await village.introduce("a", "b")
        await village.introduce("b", "c")
        first = await carol.announce(village.scope, "one branch")
        assert await village.agree(within_s=20)
        other = sign_record(
            carol.key,
            network=NETWORK,
            scope=village.scope,
            seq=first.seq,
            backlink=first.header.backlink,
            time_ms=1,
            kind=first.kind,
            claim=first.claim(),
        )
        await carol.store.append_branch([other])
        alice.feeds.ask_for((village.scope,), [other.id])
        await trio.sleep(3)
        assert await alice.store.get(other.id) is None, "only Bob is asked"
        bob.feeds.ask_for((village.scope,), [other.id])
        await trio.sleep(3)  # long before the next comparison
        assert await alice.store.get(other.id) == other

    simulate(1, play)
