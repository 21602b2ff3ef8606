"""What takes long is done aside: the loop turns, and the views grow meanwhile."""

from __future__ import annotations

import gc
import threading

import pytest
import trio

from p2pnode.executor import ThreadExecutor
from p2pnode.services import closing
from p2pnode.services.closing import Books, Verified
from p2pnode.services.collector import collector_paused
from p2pnode.services.library import View
from protocols.settlement.verify import Evidence, Verdict
from tests.integration.test_services import Dice, HandClock, Player
from tests.worlds import World

PATIENCE_S = 60
"""Only a loop that stands still waits as long."""


class Gate:
    """Holds work up in its thread until the loop has turned."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.times = 0

    def wait(self) -> None:
        self.times += 1
        self.begun.set()
        assert self.open.wait(PATIENCE_S), "the loop stood still"

    async def entered(self) -> None:
        while not self.begun.is_set():
            await trio.lowlevel.checkpoint()


@pytest.fixture
def world() -> World:
    """A round that is closed, and one that is not."""
    world = World(balloons=1, rounds=2, changes={"conditions": ()})
    world.join("alice")
    world.scan("alice", 0)
    world.finish_round(1)
    world.close(1)
    return world


async def follow(world: World) -> tuple[View, Books]:
    player = Player("bakery", "merchant", HandClock())
    await player.store.append(world.records)
    await player.feeds.open()
    await player.library.open()
    await player.library.follow(world.scope)
    books = Books(player.library, player.feeds, Dice(), ThreadExecutor())
    return await player.view(), books


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """What every verification waits for."""
    gate, verify = Gate(), closing.verify

    def slow(view: View) -> Verified:
        gate.wait()
        return verify(view)

    monkeypatch.setattr(closing, "verify", slow)
    return gate


async def test_the_loop_turns_and_a_view_grows_while_it_is_verified(
    world: World, gate: Gate
) -> None:
    view, books = await follow(world)
    asked = view.evidence.version
    found: list[Verified] = []

    async def ask() -> None:
        found.append(await books.verified(view))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await gate.entered()
        view.evidence.add(world.join("bob"))
        gate.open.set()
    assert found[0] is found[1]
    assert gate.times == 1, "who waited is given what was found"
    assert [report.statement for report in found[0].reports] == [Verdict.OK]
    assert view.evidence.version > asked
    assert await books.verify(view) is not found[0]


def test_a_snapshot_stays_and_what_it_came_from_grows() -> None:
    world = World(balloons=2, witnesses=1, changes={"conditions": ()})
    world.join("alice")
    first = world.scan("alice", 0)
    evidence = Evidence(world.records)
    one, count = evidence.snapshot(), len(evidence.by_id)
    second = world.scan("alice", 1)
    evidence.add(second)
    other = evidence.snapshot()
    other.add(world.join("bob"))
    place = (world.scope, second.author)
    assert one.feed(*place)[-1:] == [first]
    assert evidence.feed(*place)[-1:] == [second]
    assert [len(each.by_id) for each in (one, evidence, other)] == [
        count,
        count + 1,
        count + 2,
    ]
    assert one.lookup(second.id) is None
    assert one.checked is evidence.checked is other.checked


def test_the_collector_rests_until_the_last_leaves() -> None:
    assert gc.isenabled()
    first, second = collector_paused(), collector_paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
