"""Whole nodes in a simulated world: real code, one seed, no waiting.

    async def play(village: Village) -> None:
        await village.born("alice")
        ...

    trace = simulate(7, play)

Time is trio's mock clock, chance comes from the seed, and trio's scheduler is
seeded too: the same seed gives the same trace.
"""

from __future__ import annotations

import random  # noqa: TID251 - the seed is the argument: nothing here is secret
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio
import trio.testing
from trio._core import _run as trio_run

from p2pnode.net.simulated import Weather, World
from p2pnode.services.feeds import Draft, Feeds
from p2pnode.services.neighbours import Manners, Neighbours
from p2pnode.store.memory import MemoryStore
from protocols.claims import Announce, Kind
from protocols.keys import Scope, Seed, SigningKey, neighbourhood_scope, network_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from protocols.record import Record

NETWORK_NAME: Final = "simulation"
NETWORK: Final = network_id(NETWORK_NAME)
EPOCH_MS: Final = 1_800_000_000_000


class SimulatedClock:
    """Wall-clock time that follows trio's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return EPOCH_MS + round(1000 * trio.current_time())


class SeededRng:
    """Randomness that a seed repeats; for simulations only."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - simulation

    def token(self, size: int) -> bytes:
        """Return `size` bytes."""
        return self._random.randbytes(size)


@dataclass(slots=True)
class Villager:
    """One node: its disk and keys last, the rest is new after each crash."""

    name: str
    store: MemoryStore
    key: SigningKey
    feeds: Feeds
    neighbours: Neighbours
    life: trio.CancelScope
    """Cancelled when the node crashes or the simulation ends."""

    async def announce(self, scope: Scope, title: str) -> Record:
        """Publish a small record."""
        return (await self.announce_many(scope, [title]))[0]

    async def announce_many(
        self, scope: Scope, titles: Sequence[str]
    ) -> tuple[Record, ...]:
        """Publish a batch of small records."""
        drafts = [
            Draft(
                kind=Kind.ANNOUNCE,
                claim=Announce(
                    salt=self.feeds.rng.token(16), campaign=scope, title=title, link=""
                ),
            )
            for title in titles
        ]
        return await self.feeds.publish_many(self.key, scope, drafts)


class Village:
    """Nodes that share one scope, in one simulated world.

    Args:
        seed: all chance comes from it.
        nursery: in which the nodes run.
        weather: how bad the network is.
        manners: how the nodes treat their neighbours.
    """

    def __init__(
        self,
        seed: int,
        nursery: trio.Nursery,
        *,
        weather: Weather | None = None,
        manners: Manners | None = None,
    ) -> None:
        self.trace: list[str] = []
        self.world = World(seed, weather=weather, observe=self.trace.append)
        self.scope = neighbourhood_scope(NETWORK, "village")
        self.villagers: dict[str, Villager] = {}
        self._seed = seed
        self.nursery = nursery
        self._manners = manners
        self._births = 0

    async def born(self, name: str, store: MemoryStore | None = None) -> Villager:
        """Start a node; with a store it is one that ran before."""
        self._births += 1
        store = store or MemoryStore()
        store.reopen()
        rng = SeededRng(f"{self._seed} {name} {self._births}")
        feeds = Feeds(store, NETWORK, SimulatedClock(), rng)
        await feeds.open()
        await feeds.follow(self.scope)
        network = self.world.network(name)
        neighbours = Neighbours(
            feeds, store, network, SimulatedClock(), rng, self._manners
        )
        seed = Seed(sha256(name.encode()).digest())
        villager = Villager(
            name=name,
            store=store,
            key=SigningKey(seed),
            feeds=feeds,
            neighbours=neighbours,
            life=trio.CancelScope(),
        )
        feeds.own(villager.key.author)
        self.villagers[name] = villager
        await self.nursery.start(self._live, villager)
        return villager

    async def crash(self, name: str) -> MemoryStore:
        """End a node at once; its disk remains."""
        villager = self.villagers.pop(name)
        self.world.crash(name)
        villager.life.cancel()
        await trio.lowlevel.checkpoint()
        return villager.store

    async def introduce(self, name: str, *others: str) -> None:
        """Tell a node the addresses of others."""
        for other in others:
            address = self.world.network(other).addresses[0]
            await self.villagers[name].neighbours.add(address)

    async def agree(self, within_s: float) -> bool:
        """Wait until all frontiers are equal; False if it takes too long."""
        with trio.move_on_after(within_s):
            while not self.agreed():  # noqa: ASYNC110 - time is virtual
                await trio.sleep(0.1)
        return self.agreed()

    def agreed(self) -> bool:
        """Whether the frontiers of all nodes are equal now."""
        feeds = [villager.feeds for villager in self.villagers.values()]
        return len({each.frontier(self.scope).root for each in feeds}) == 1

    async def _live(
        self,
        villager: Villager,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with villager.life:
            await villager.neighbours.run(task_status=task_status)


def simulate(
    seed: int,
    play: Callable[[Village], Awaitable[None]],
    *,
    weather: Weather | None = None,
    manners: Manners | None = None,
) -> list[str]:
    """Run a play in a village of its own; return the trace of its network."""

    async def run() -> list[str]:
        async with trio.open_nursery() as nursery:
            village = Village(seed, nursery, weather=weather, manners=manners)
            await play(village)
            nursery.cancel_scope.cancel()
        return village.trace

    with scheduler_seeded(seed):
        return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def scheduler_seeded(seed: int) -> Iterator[None]:
    """Make trio run its tasks in the same order each time: a private switch."""
    before = vars(trio_run).copy()
    seeded = random.Random(seed)  # noqa: S311 - simulation
    vars(trio_run).update(_r=seeded, _ALLOW_DETERMINISTIC_SCHEDULING=True)
    try:
        yield
    finally:
        names = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")
        vars(trio_run).update({name: before[name] for name in names})
