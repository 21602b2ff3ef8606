"""Ten nodes in one seeded world: what one publishes, all hold in the end."""

from __future__ import annotations

import logging

import pytest
import trio

from p2pnode.net.simulated import Weather
from p2pnode.services.neighbours import Manners
from p2pnode.swarm.simulation import Village, simulate

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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_stores_are_equal_after_a_partition_heals(seed: int) -> None:
    simulate(seed, partitioned, weather=ROUGH, manners=BRISK)


def test_the_same_seed_gives_the_same_trace() -> None:
    first = simulate(7, partitioned, weather=ROUGH, manners=BRISK)
    assert first == simulate(7, partitioned, weather=ROUGH, manners=BRISK)
    assert len(first) > 100
