"""The tree by which new records travel: few copies, and nothing lost."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from p2pnode.services.neighbours import Manners
from p2pnode.swarm.simulation import Village, simulate
from tests.bench.mesh import COPIES_MOST, mesh, meshed, publish

pytestmark = pytest.mark.sim

Play = Callable[[Village], Awaitable[None]]

NEVER = Manners(reconcile_s=3_600.0)
"""Only the tree helps: nothing is compared by the clock."""


def test_a_settled_mesh_sends_few_copies() -> None:
    tally = meshed(nodes=12, count=30, size=2)
    assert tally.delivered >= 11 * 30 * 2
    assert tally.copies <= COPIES_MOST * tally.delivered


async def swallowed(village: Village) -> None:
    """A quarter of the nodes keep for themselves what they get; one crashes."""
    names = await mesh(village, 12)
    chance = random.Random(1)
    await publish(village, names, 12, 1, chance)
    for name in names[:3]:
        for link in village.villagers[name].neighbours._links.values():
            vars(link)["offer"] = lambda _change: None
    await village.crash(names[11])
    await publish(village, names[3:11], 20, 1, chance)
    assert await village.agree(within_s=10)


async def told_in_vain(village: Village) -> None:
    """A quarter of the nodes tell of heads, first of all, and never serve."""
    names = await mesh(village, 12)
    chance = random.Random(2)
    await publish(village, names, 12, 1, chance)
    for name in names[:3]:
        for link in village.villagers[name].neighbours._links.values():
            link.session._shared[village.scope].eager = False
            vars(link._out)["plan"] = lambda _asked: None
    await publish(village, names[3:], 20, 1, chance)
    assert await village.agree(within_s=10)


@pytest.mark.parametrize("play", [swallowed, told_in_vain])
def test_the_tree_grows_around_those_who_swallow(play: Play) -> None:
    simulate(1, play, manners=NEVER)
