"""A seeded world of networks that is nastier than the real one.

    world = World(seed=7, weather=Weather(reset=0.01))
    alice, bob = world.network("alice"), world.network("bob")

Streams keep what TCP promises, order without gaps, and nothing more: they
delay, stall, lose the tail of a batch, reset half-way and stay half-open
behind a cut. All time is trio's and all chance comes from the seed, so under
`MockClock(autojump_threshold=0)` with trio's scheduler seeded as well, a run
can be repeated exactly. There are no tasks but those of `accept`, no threads,
and no iteration over sets.
"""

from __future__ import annotations

import logging
import random  # noqa: TID251 - the seed is the argument: nothing here is secret
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final

import trio

from p2pnode.net.simulated_stream import End
from p2pnode.ports import (
    Network,
    PeerId,
    Seconds,
    Stream,
    StreamClosed,
    Unreachable,
)

DIAL_SECONDS_MAX: Final = 10.0
"""How long a dial into a cut waits before it gives up."""

LATE_SECONDS_MAX: Final = 4.0
"""How late a stalled batch is."""

Carry = Callable[[Sequence[bytes]], list[bytes]]
"""What becomes of frames on the way, worse than any stream may treat them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad the world is. Probabilities are per `send`."""

    latency_s_min: Seconds = 0.01
    """Shortest way of a batch from one end to the other."""

    latency_s_max: Seconds = 0.08
    """Longest way; a batch never overtakes the one before it."""

    loss: float = 0.0
    """A prefix of the batch arrives, then nothing; both ends reset after 5 s."""

    reset: float = 0.0
    """A prefix of the batch arrives, then both ends are reset."""

    stall: float = 0.0
    """A batch, and all after it, comes up to 4 s later."""

    refuse: float = 0.0
    """A dial fails although the peer listens. (Per dial.)"""


class World:
    """The networks of all simulated nodes and the weather between them.

    Args:
        seed: all chance comes from it.
        weather: latency and faults; may be replaced at any time.
        observe: is told each event as one line, for traces.
    """

    def __init__(
        self,
        seed: int,
        *,
        weather: Weather | None = None,
        observe: Callable[[str], None] | None = None,
    ) -> None:
        self.weather = weather or Weather()
        self._rng = random.Random(seed)  # noqa: S311 - simulation
        self._observe = observe
        self._networks: dict[str, SimulatedNetwork] = {}
        self._cuts: dict[tuple[str, str], None] = {}
        self._sides: dict[str, int] = {}
        self._alarms: list[tuple[Seconds, int, trio.lowlevel.ParkingLot]] = []
        self._order = 0
        self._ringer: trio.CancelScope | None = None
        self.slow: dict[str, float] = {}
        """How many times longer everything takes from and to a node."""

    def network(
        self, name: str, *, allow: Callable[[PeerId], bool] | None = None
    ) -> SimulatedNetwork:
        """Return the network of the node `name`, the same one for each call."""
        if name not in self._networks:
            self._networks[name] = SimulatedNetwork(self, name, allow)
        return self._networks[name]

    def cut(self, sender: str, receiver: str) -> None:
        """Let nothing through from `sender` to `receiver`; the way back stays."""
        self._cuts[sender, receiver] = None
        self._note("cut", sender, receiver)
        self._let_feel()

    def partition(self, groups: Sequence[Sequence[str]]) -> None:
        """Let nothing through between groups; unnamed nodes are one more group."""
        pairs = enumerate(groups, 1)
        self._sides = {name: side for side, group in pairs for name in group}
        self._note("partition", *("+".join(group) for group in groups))
        self._let_feel()

    def heal(self) -> None:
        """End all cuts and partitions. What did not die meanwhile goes on."""
        self._cuts.clear()
        self._sides.clear()
        self._note("heal")
        self._let_feel()

    def crash(self, name: str) -> None:
        """End every stream of a node and refuse dials until it runs again.

        Its peers learn of it like of any reset, after the latency. Cancelling
        the node's tasks is up to the caller.
        """
        self._note("crash", name)
        network = self.network(name)
        network.accept = None
        for end in tuple(network.ends):
            end.kill("the node crashed")

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether nothing gets through from `sender` to `receiver` now."""
        apart = self._sides.get(sender, 0) != self._sides.get(receiver, 0)
        return apart or (sender, receiver) in self._cuts

    def named(self, name: str) -> SimulatedNetwork | None:
        """The network of the node `name`, if there is one."""
        return self._networks.get(name)

    def latency(self, *names: str) -> Seconds:
        """Draw how long a batch takes between nodes."""
        weather = self.weather
        seconds = self._rng.uniform(weather.latency_s_min, weather.latency_s_max)
        if self.slow:
            seconds *= max(self.slow.get(name, 1.0) for name in names)
        if self.happens(weather.stall):
            seconds += self._rng.uniform(0, LATE_SECONDS_MAX)
        return seconds

    def happens(self, probability: float) -> bool:
        """Draw whether something with this probability happens."""
        return probability > 0 and self._rng.random() < probability

    def below(self, stop: int) -> int:
        """Draw an integer from 0 to `stop` - 1."""
        return self._rng.randrange(stop)

    def alarm(self, at: Seconds, sleepers: trio.lowlevel.ParkingLot) -> None:
        """Wake whoever is parked there at a time; `inf`: never.

        One task for all is much cheaper than a deadline for each that waits.
        """
        if at == inf:
            return
        self._order += 1
        heappush(self._alarms, (at, self._order, sleepers))
        if self._ringer is None:
            self._ringer = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._ring)
        self._ringer.deadline = min(self._ringer.deadline, at)

    async def _ring(self) -> None:
        while True:
            next_at = self._alarms[0][0] if self._alarms else inf
            with trio.CancelScope(deadline=next_at) as self._ringer:
                await trio.sleep_forever()
            while self._alarms and self._alarms[0][0] <= trio.current_time():
                heappop(self._alarms)[2].unpark_all()

    def later(self, seconds: Seconds) -> Seconds:
        """The time in so many seconds, in whole hundredths.

        What happens at the same time costs one turn of the scheduler, not many.
        """
        return round(trio.current_time() + seconds, 2)

    def note(self, event: str, end: End, detail: object = "") -> None:
        """Report what happened to a stream."""
        self._note(event, end.network.name, end.other.network.name, str(detail))

    def _note(self, *words: str) -> None:
        if self._observe is not None:
            self._observe(f"{trio.current_time():.6f} {' '.join(words)}")

    def _let_feel(self) -> None:
        for network in self._networks.values():
            for end in tuple(network.ends):
                end.feel_cuts()


class SimulatedNetwork(Network):
    """One node's network in a `World`; get it from `World.network`."""

    def __init__(
        self, world: World, name: str, allow: Callable[[PeerId], bool] | None
    ) -> None:
        self.world = world
        self.name = name
        self.allow = allow or (lambda _peer: True)
        self.accept: Callable[[Stream], Awaitable[None]] | None = None
        self.ends: dict[End, None] = {}
        self.carry: Carry | None = None
        """Applied to all that this node sends; None: a stream is a stream."""
        self._nursery: trio.Nursery | None = None

    @property
    def peer_id(self) -> PeerId:
        """This node's own transport identity."""
        return f"peer-{self.name}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one address others can dial."""
        return (f"/sim/{self.name}/p2p/{self.peer_id}",)

    async def run(
        self,
        accept: Callable[[Stream], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Hand every inbound stream to `accept`, until cancelled."""
        async with trio.open_nursery() as nursery:
            self.accept, self._nursery = accept, nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                if self._nursery is nursery:  # not when it crashed and runs again
                    self._stop()

    async def dial(self, address: str) -> Stream:
        """Connect to `address` (ending in `/p2p/<peer id>`), open a stream.

        Raises:
            Unreachable: no connection, another identity, or the deadline.
        """
        there = await self._connect(address)
        dialled, accepted = End(self, dialled=True), End(there, dialled=False)
        dialled.join(accepted)
        self.world.note("dial", dialled)
        there.take(accepted)
        return dialled

    async def drop(self, peer: PeerId) -> None:
        """Close every connection to `peer`; never raises."""
        for end in tuple(self.ends):
            if end.peer == peer:
                end.kill("the peer was dropped")

    def take(self, end: End) -> None:
        """Serve an inbound stream in a task of its own."""
        assert self._nursery is not None
        assert self.accept is not None
        self._nursery.start_soon(self._serve, self.accept, end)

    async def _connect(self, address: str) -> SimulatedNetwork:
        """Wait as a dial does; return who answered and is who was asked for."""
        name, _, peer = address.removeprefix("/sim/").partition("/p2p/")
        there = self.world.named(name)
        why = f"cannot reach {address}: "
        if there is None or there is self:
            await trio.lowlevel.checkpoint()
            raise Unreachable(why + "no such peer to dial")
        await trio.sleep(3 * self.world.latency(self.name, there.name))
        if self._is_cut_off(there):
            await trio.sleep(DIAL_SECONDS_MAX)
            raise Unreachable(f"{why}no answer within {DIAL_SECONDS_MAX:.0f} s")
        if there.accept is None or self.world.happens(self.world.weather.refuse):
            raise Unreachable(why + "connection refused")
        if there.peer_id != peer:
            raise Unreachable(why + "another identity answered there")
        if not self.allow(peer) or not there.allow(self.peer_id):
            raise Unreachable(why + "the peer is blocked")
        return there

    def _is_cut_off(self, there: SimulatedNetwork) -> bool:
        ways = ((self.name, there.name), (there.name, self.name))
        return any(self.world.is_cut(*way) for way in ways)

    async def _serve(
        self, accept: Callable[[Stream], Awaitable[None]], end: End
    ) -> None:
        try:
            await accept(end)
        except StreamClosed as closed:
            log.debug("the stream of %s ended: %s", end.peer, closed)
        except Exception:
            log.exception("serving the stream of %s failed", end.peer)
        finally:
            await end.close()

    def _stop(self) -> None:
        self.accept = self._nursery = None
        for end in tuple(self.ends):
            end.kill("the network stopped")
