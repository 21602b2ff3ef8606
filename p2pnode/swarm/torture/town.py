"""The nodes of one tortured world: born, crashed, born again on the same disk.

Each runs the real `Node` under the real `Keeper`; only clock, randomness, disk
and network are simulated.
"""

from __future__ import annotations

import random  # noqa: TID251 - the seed is the argument: nothing here is secret
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.keeper import Keeper
from p2pnode.net.simulated import Weather, World
from p2pnode.node import Node
from p2pnode.ports import Store, StoreFull, StoreInDoubt
from p2pnode.services.neighbours import Manners
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.simulation import EPOCH_MS, NETWORK_NAME, SeededRng
from p2pnode.swarm.torture.carrier import carry
from p2pnode.swarm.torture.disk import Crashed, Drive
from p2pnode.swarm.torture.plan import Trouble
from protocols.keys import Seed, SigningKey, neighbourhood_scope, network_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from p2pnode.swarm.torture.plan import Plan
    from protocols.record import Record

MANNERS: Final = Manners(outbound_max=2, dial_s=1.0, reconcile_s=45.0, feel_s=30.0)
"""Few links: what a node with two does badly it does badly with forty."""

SUNSHINE: Final = Weather(latency_s_min=0.01, latency_s_max=0.05)
NO_TROUBLE: Final = Trouble()
RETRY_S: Final = 1.0
TRACE_LINES: Final = 40
"""Lines of the trace that are kept for whoever reads a failure."""

STREET: Final = neighbourhood_scope(network_id(NETWORK_NAME), "street")


class Down(Exception):
    """A node is not at work just now."""


class Trace:
    """Everything that happened, as one digest and its last lines."""

    def __init__(self) -> None:
        self.lines = 0
        self.last: deque[str] = deque(maxlen=TRACE_LINES)
        self._hash = sha256()

    def note(self, line: str) -> None:
        """Add a line."""
        self.lines += 1
        self.last.append(line)
        self._hash.update(line.encode() + b"\n")

    @property
    def digest(self) -> str:
        """The same for the same seed, whatever else is different."""
        return self._hash.hexdigest()


class Clock:
    """One node's wall clock: as wrong as it is set."""

    def __init__(self, skew_s: float) -> None:
        self.skew_ms = round(1000 * skew_s)

    def now_ms(self) -> int:
        """Milliseconds since 1970, as this node believes."""
        return EPOCH_MS + round(1000 * trio.current_time()) + self.skew_ms


class Home:
    """One node's place: what outlives its crashes, and its present life."""

    def __init__(self, town: Town, name: str, forged: Sequence[Record]) -> None:
        self.name = name
        self._forged = forged
        self.town = town
        self.identity = identity_of(town.plan, name)
        self.disk = MemoryStore()
        self.clock = Clock(town.plan.skew_s.get(name, 0.0))
        self.keeper: Keeper | None = None
        self.friends: list[str] = []
        """Whose addresses it was given by hand."""
        self.away_s = 1.0
        """How long it stays down after the next crash."""
        self.lives = 0
        self.is_gone = False
        self._drive: Drive | None = None
        self._life = trio.CancelScope()
        self._rng = random.Random(f"{town.plan.seed} disk {name}")  # noqa: S311

    @property
    def node(self) -> Node | None:
        """The node at work, or None while it is down."""
        try:
            return None if self.keeper is None else self.keeper.node
        except Failure:
            return None

    @property
    def records(self) -> list[Record]:
        """All that lies on the disk, of whichever branch."""
        return [held.record for held in self.disk.snapshot().held.values()]

    def crash(self, why: str) -> None:
        """End this life at once; its disk remains."""
        if self._drive is None or self._drive.dead:
            return
        self._drive.dead = True
        if self.node is not None:
            self.node.feeds.in_doubt = True  # tasks that still run sign nothing
        self.town.world.crash(self.name)
        self.town.note(f"dead {self.name} {why}")
        self._life.cancel()

    def leave(self) -> None:
        """Go for ever."""
        self.is_gone = True
        self.crash("left for ever")

    async def run(self) -> None:
        """Live, crash, live again, until it leaves for ever."""
        await self.disk.append(self._forged)
        while not self.is_gone:
            self.lives += 1
            self.keeper = Keeper(self._open, self._build)
            with trio.CancelScope() as self._life:
                try:
                    await self.keeper.run()
                except* Crashed:
                    pass
                except* (StoreInDoubt, StoreFull):
                    self.crash("the store does not open")
            self.keeper = None
            await trio.sleep(self.away_s)

    async def _open(self) -> Store:
        town = self.town
        await trio.lowlevel.checkpoint()
        drive = Drive(self.disk, self._trouble, self._rng.random, self._struck)
        self._drive = drive
        town.note(f"open {self.name} {self.lives}")
        return cast("Store", drive)

    def _build(self, store: Store) -> Node:
        town = self.town
        node = Node(
            self.identity,
            store=store,
            network=town.world.network(self.name),
            clock=self.clock,
            rng=SeededRng(f"{town.plan.seed} {self.name} {town.births()}"),
            manners=MANNERS,
        )
        town.watch(self, node)
        return node

    def _trouble(self) -> Trouble:
        town = self.town
        return (
            NO_TROUBLE if town.calm else town.plan.troubles.get(self.name, NO_TROUBLE)
        )

    def _struck(self, why: str) -> None:
        """The disk kills its node, while there are deaths left to die."""
        if self.town.deaths_left > 0:
            self.town.deaths_left -= 1
            self.away_s = self._rng.choice((0.0, 0.5, 5.0))
            self.crash(why)


class Town:
    """All homes of one seed, in one simulated world.

    Args:
        plan: who lives here and what strikes them.
        nursery: in which they live.
        watch: told each node before it runs, in each of its lives.
    """

    def __init__(
        self, plan: Plan, nursery: trio.Nursery, watch: Callable[[Home, Node], None]
    ) -> None:
        self.plan = plan
        self.nursery = nursery
        self.trace = Trace()
        self.world = World(plan.seed, weather=SUNSHINE, observe=self.trace.note)
        self.homes: dict[str, Home] = {}
        self.calm = False
        self.deaths_left = 2 + plan.nodes // 4
        """Crashes by disks that there may still be: each costs much time."""
        self.rng = random.Random(f"town {plan.seed}")  # noqa: S311 - simulation
        self.secrets: list[bytes] = []
        """What must never stand in a log."""
        self.corrupt: Callable[[Home, Node], None] = _leave_honest
        """Makes a cheat of a node that is about to run, if it is to be one."""
        self._watch = watch
        self._births = 0

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.note(f"{trio.current_time():.3f} {line}")

    def watch(self, home: Home, node: Node) -> None:
        """Look over a node that is about to run."""
        self._watch(home, node)
        self.corrupt(home, node)

    def births(self) -> int:
        """How many nodes were ever built: no two draw the same randomness."""
        self._births += 1
        return self._births

    def born(self, name: str, *friends: str, forged: Sequence[Record] = ()) -> Home:
        """Start a node that knows the addresses of some friends.

        `forged` records are on its disk already, unchecked.
        """
        home = self.homes[name] = Home(self, name, forged)
        home.friends = list(friends)
        identity = home.identity
        self.secrets += [identity.transport_seed, identity.root_seed]
        broken = self.plan.carriers.get(name)
        if broken is not None:
            rng = random.Random(f"{self.plan.seed} carrier {name}")  # noqa: S311
            carried = carry(broken, rng, lambda: self.calm)
            self.world.network(name).carry = carried
        self.nursery.start_soon(home.run)
        self.nursery.start_soon(self._introduce, home)
        return home

    def node(self, name: str) -> Node:
        """The node at work.

        Raises:
            Down: it is not at work.
        """
        home = self.homes.get(name)
        node = None if home is None else home.node
        if node is None:
            raise Down(name)
        return node

    async def until(
        self, act: Callable[[], Awaitable[bool]], within_s: float = 1e9
    ) -> bool:
        """Try until it returns True: who acts may be down, crash or lack something."""
        deadline = trio.current_time() + within_s
        while trio.current_time() < deadline:
            try:
                if await act():
                    return True
            except (Down, Failure, StoreInDoubt, StoreFull, Crashed):
                pass
            await trio.sleep(RETRY_S)
        return False

    def settle_down(self) -> None:
        """End all faults: who is down comes back, what was broken is renewed."""
        self.calm = True
        self.world.weather = SUNSHINE
        self.world.slow = {}
        self.world.heal()
        for name in self.plan.carriers:
            for end in tuple(self.world.network(name).ends):
                end.kill("its carrier was mended")

    async def _introduce(self, home: Home) -> None:
        """Tell a node its friends' addresses; follow the street with it."""
        for friend in home.friends:
            address = self.world.network(friend).addresses[0]

            async def add(address: str = address) -> bool:
                await self.node(home.name).neighbours.add(address)
                return True

            await self.until(add)

        if not self.plan.has_street:
            return

        async def follow() -> bool:
            await self.node(home.name).feeds.follow(STREET)
            return True

        await self.until(follow)


def _leave_honest(_home: Home, _node: Node) -> None:
    """Nobody cheats."""


def identity_of(plan: Plan, name: str) -> Identity:
    """Keys that only this seed has."""
    seed = sha256(f"{plan.seed} {name}".encode()).digest()
    merchant = name in (*plan.shops, plan.sponsor, plan.charity)
    author = Seed(sha256(b"author" + seed).digest())
    return Identity(
        role="merchant" if merchant else "resident",
        name=name,
        network=NETWORK_NAME,
        transport_seed=sha256(b"transport" + seed).digest(),
        author_key=SigningKey(author) if merchant else None,
        root_seed=sha256(b"root" + seed).digest(),
    )
