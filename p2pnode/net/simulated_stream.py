# ruff: noqa: SLF001 - an end reaches into its other end, which is one of its kind
"""One end of a simulated stream: what is on the way, and when it dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import PeerId, Seconds, Stream, StreamClosed
from protocols.errors import ProtocolError, Reason
from protocols.limits import FRAME_MAX

if TYPE_CHECKING:
    from p2pnode.net.simulated import SimulatedNetwork

STALL_SECONDS_MAX: Final = 5.0
"""How long a stream lives whose bytes do not get through."""

BUFFER_BYTES_MAX: Final = 256 * 1024
"""Bytes on their way or unread, one direction of one stream: a yamux window."""


class End(Stream):
    """One end of a stream. Its inbox holds what is on the way to it.

    Death is a time, not an act: `dies_at` and `stalls_at` may lie in the
    future, and each call looks at the clock.
    """

    other: End

    def __init__(self, network: SimulatedNetwork, *, dialled: bool) -> None:
        self.network = network
        self._world = network.world
        self._dialled = dialled
        self._inbox: deque[tuple[Seconds, bytes]] = deque()
        self._inbox_bytes = 0
        self._arrived_at: Seconds = 0.0
        self._ends_at: Seconds = inf
        """When the other end's close arrives."""
        self._dies_at: Seconds = inf
        """When a reset arrives or arrived."""
        self._stalls_at: Seconds = inf
        """When bytes held back by a cut count as lost; healing takes it back."""
        self._why = ""
        self._deaf = False
        """Whether a lost batch keeps all later ones from arriving here."""
        self._sending = trio.Lock()
        self._waiting = trio.lowlevel.ParkingLot()
        """Whoever waits for something to change here."""
        self._room = trio.lowlevel.ParkingLot()
        """Whoever waits for the other end to read."""

    def join(self, other: End) -> None:
        """Make two ends one stream."""
        self.other, other.other = other, self
        self.network.ends[self] = None
        other.network.ends[other] = None

    @property
    def peer(self) -> PeerId:
        """The authenticated peer at the other end."""
        return self.other.network.peer_id

    @property
    def dialled(self) -> bool:
        """Whether this side opened it."""
        return self._dialled

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send whole frames, in order; the weather decides how many arrive.

        Raises:
            StreamClosed: the stream is gone; nothing says how much arrived.
            ProtocolError: a frame is empty or too large; nothing was sent.
        """
        _check_sizes(frames)
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        whole = False
        try:
            self._check()
            await self._push_all(frames)
            whole = True
        finally:
            self._sending.release()
            if not whole:
                self.kill("a send was broken off")

    async def receive(self) -> bytes:
        """Return the next frame that has arrived.

        Raises:
            StreamClosed: closed, reset or stalled.
        """
        waited = False
        while True:
            self._check()
            now = trio.current_time()
            held = self._world.is_cut(self.other.network.name, self.network.name)
            if self._inbox and not held and self._inbox[0][0] <= now:
                if waited:
                    return self._take()
                await trio.lowlevel.checkpoint()
                waited = True
                continue
            if not self._inbox and not held and self._ends_at <= now:
                self.kill("the peer closed the stream")
                continue
            head = self._inbox[0][0] if self._inbox else self._ends_at
            await self._wait(inf if held else head, self._waiting)
            waited = True

    async def close(self) -> None:
        """Close at once; what was sent before may still arrive."""
        if self not in self.network.ends:
            return
        self._world.note("close", self)
        self._bury("the stream was closed on this side")
        self.other.hear_end()

    def kill(self, why: str) -> None:
        """Reset: this end now, the other when the news arrives."""
        if self not in self.network.ends:
            return
        self._world.note("reset", self, why)
        self._bury(why)
        self.other.hear_reset(self._latency())

    def hear_end(self) -> None:
        """The other end closed: let the news arrive after what it sent."""
        self._ends_at = self._arrival()
        self._notify()

    def hear_reset(self, after: Seconds) -> None:
        """The other end is gone: let the news arrive, unless it is cut off."""
        if self._world.is_cut(self.other.network.name, self.network.name):
            return  # half-open; `feel_cuts` tells
        self._die_at(trio.current_time() + after, f"reset by {self.peer}")

    def feel_cuts(self) -> None:
        """The cuts changed: stall, go on, or learn that the other end is gone."""
        if self._is_over():
            self.kill(self._why or "stalled by a cut")
            return
        if not self._stall_if_cut():
            self._stalls_at = inf
        if self.other._is_gone() and self._ends_at == inf:
            self.hear_reset(self._latency())
        self._notify()

    async def _push_all(self, frames: Sequence[bytes]) -> None:
        """Put the frames into the other inbox, as the weather allows."""
        weather, other = self._world.weather, self.other
        if self.network.carry is not None:
            frames = self.network.carry(frames)
        lost = self._world.happens(weather.loss)
        reset = not lost and self._world.happens(weather.reset)
        count = self._world.below(len(frames) + 1) if lost or reset else len(frames)
        self._world.note("send", self, f"{count}/{len(frames)}")
        at = max(other._arrived_at, self._world.later(self._latency()))
        for payload in frames[:count]:
            await self._wait_for_room(len(payload))
            other._put(at, payload)
        if lost:
            self._lose_the_rest()
        if reset:
            other._die_at(at + self._latency(), "reset half-way")
            raise StreamClosed(f"the stream to {self.peer} was reset half-way")
        if other._is_gone() and self._ends_at == inf:
            self._stall()  # a reset that could not be heard: nobody acknowledges
        self._stall_if_cut()

    def _lose_the_rest(self) -> None:
        """From here on nothing arrives; both ends notice after the stall."""
        self.other._deaf = True
        for end in (self, self.other):
            end._die_at(trio.current_time() + STALL_SECONDS_MAX, "a lost batch")

    async def _wait_for_room(self, size: int) -> None:
        """Wait until the other inbox takes `size` more bytes.

        Raises:
            StreamClosed: this end died, or nothing was read there for 5 s.
        """
        deadline = trio.current_time() + STALL_SECONDS_MAX
        unread = self.other._inbox_bytes
        while self.other._inbox_bytes + size > BUFFER_BYTES_MAX:
            await self._wait(deadline, self._room)
            self._check()
            if self.other._inbox_bytes < unread:
                deadline = trio.current_time() + STALL_SECONDS_MAX
            elif trio.current_time() >= deadline:
                self.kill("the peer did not read for 5 s")
                self._check()
            unread = self.other._inbox_bytes

    def _put(self, at: Seconds, payload: bytes) -> None:
        """Let a frame arrive here at a time, if anything still does."""
        if self._deaf or self not in self.network.ends:
            return
        self._arrived_at = at
        self._inbox.append((at, payload))
        self._inbox_bytes += len(payload)
        if len(self._inbox) == 1:
            self._world.alarm(at, self._waiting)

    def _take(self) -> bytes:
        _, payload = self._inbox.popleft()
        self._inbox_bytes -= len(payload)
        self.other._room.unpark_all()
        return payload

    def _latency(self) -> Seconds:
        return self._world.latency(self.network.name, self.other.network.name)

    def _arrival(self) -> Seconds:
        return max(self._arrived_at, self._world.later(self._latency()))

    async def _wait(self, until: Seconds, where: trio.lowlevel.ParkingLot) -> None:
        """Wait for news, but not beyond `until` nor this end's own death."""
        self._world.alarm(min(until, self._dies_at, self._stalls_at), where)
        await where.park()

    def _notify(self) -> None:
        self._waiting.unpark_all()
        self._room.unpark_all()

    def _stall_if_cut(self) -> bool:
        """Start the countdown if bytes are held back; return whether it is cut."""
        cut = self._world.is_cut(self.network.name, self.other.network.name)
        if cut and self.other._inbox:
            self._stall()
        return cut

    def _stall(self) -> None:
        """Start the countdown to giving up, unless it runs already."""
        if self._stalls_at == inf:
            self._stalls_at = trio.current_time() + STALL_SECONDS_MAX
            self._notify()

    def _is_gone(self) -> bool:
        return self._is_over() or self not in self.network.ends

    def _is_over(self) -> bool:
        return min(self._dies_at, self._stalls_at) <= trio.current_time()

    def _die_at(self, at: Seconds, why: str) -> None:
        if at < self._dies_at:
            self._dies_at, self._why = at, why
        self._notify()

    def _check(self) -> None:
        """Raise if this end is dead, and clear up if it died just now."""
        if not self._is_over():
            return
        if self in self.network.ends:
            self.kill(self._why or "stalled by a cut")
        raise StreamClosed(f"the stream to {self.peer}: {self._why}")

    def _bury(self, why: str) -> None:
        self._dies_at, self._why = -inf, why
        self._inbox.clear()
        self._inbox_bytes = 0
        del self.network.ends[self]
        self._notify()
        self.other._notify()  # whoever waits for room looks again


def _check_sizes(frames: Sequence[bytes]) -> None:
    for payload in frames:
        if not 1 <= len(payload) <= FRAME_MAX:
            detail = f"a frame of {len(payload)} bytes, expected 1 to {FRAME_MAX}"
            raise ProtocolError(Reason.FRAME_SIZE, detail)
