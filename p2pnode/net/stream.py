"""`Stream` over one stream of libp2p: framing, deadlines, a close that closes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import trio

from p2pnode.net.mends import WRITE_SECONDS_MAX
from p2pnode.ports import PeerId, Stream, StreamClosed
from protocols.errors import ProtocolError
from protocols.framing import Deframer, frame

WRITE_SIZE: Final = 65_507
"""Bytes written at once: with its header they fill one Noise record."""

READ_SIZE: Final = 65_536
"""Bytes read at once, at most."""

log = logging.getLogger(__name__)


class Libp2pStream(Stream):
    """Whole frames over one libp2p stream."""

    def __init__(
        self,
        raw: Any,
        peer: PeerId,
        *,
        dialled: bool,
        drop: Callable[[], Awaitable[None]],
    ) -> None:
        self._raw = raw
        self._peer = peer
        self._dialled = dialled
        self._drop = drop
        self._closed = False
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        self._deframer = Deframer()
        self._frames: deque[bytes] = deque()

    @property
    def peer(self) -> PeerId:
        """The authenticated peer at the other end."""
        return self._peer

    @property
    def dialled(self) -> bool:
        """Whether this side opened it."""
        return self._dialled

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send whole frames, in order, in one write.

        If it is cancelled while writing, the peer has half a frame: the stream
        is reset. If the peer does not read for 5 s, its connection is dropped.

        Raises:
            StreamClosed: the stream is gone; nothing says how much arrived.
            ProtocolError: a frame is empty or too large; nothing was sent.
        """
        data = b"".join(map(frame, frames))
        async with self._sending:
            self._check_open()
            whole = False
            try:
                for start in range(0, len(data), WRITE_SIZE):
                    await self._write(data[start : start + WRITE_SIZE])
                whole = True
            finally:
                if not whole:
                    await self._end(self._raw.reset)

    async def receive(self) -> bytes:
        """Return the next frame; a cancelled call loses nothing.

        Raises:
            StreamClosed: end, reset, or a frame that breaks the framing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        while not self._frames:
            self._frames.extend(await self._read())
        return self._frames.popleft()

    async def close(self) -> None:
        """Close at once; never raises, safe to call twice and when cancelled.

        What was sent before still arrives.
        """
        if not self._closed:
            await self._end(self._raw.close)

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosed(f"the stream to {self._peer} was closed on this side")

    async def _write(self, data: bytes) -> None:
        """Write at most one yamux frame; it is whole or the connection is gone."""
        try:
            with trio.fail_after(WRITE_SECONDS_MAX):
                await self._raw.write(data)
        except trio.TooSlowError:
            await self._drop()
            raise StreamClosed(f"{self._peer} stopped reading: dropped") from None
        except Exception as fault:
            why = f"the stream to {self._peer} broke: {fault!r}"
            raise StreamClosed(why) from fault

    async def _read(self) -> list[bytes]:
        """Wait for bytes, return the frames they complete (often none)."""
        with trio.CancelScope() as self._reading:
            try:
                data = await self._raw.read(READ_SIZE)
            except Exception as fault:
                why = f"the stream of {self._peer} ended: {fault!r}"
                raise StreamClosed(why) from fault
            return await self._cut(data)
        raise StreamClosed(f"the stream to {self._peer} was closed on this side")

    async def _cut(self, data: bytes) -> list[bytes]:
        try:
            return self._deframer.feed(data)
        except ProtocolError as fault:
            await self._end(self._raw.reset)
            raise StreamClosed(f"{self._peer} broke the framing: {fault}") from fault

    async def _end(self, how: Callable[[], Awaitable[None]]) -> None:
        """Close or reset the raw stream, and wake a `receive` that waits."""
        self._closed = True
        self._reading.cancel()
        try:
            with trio.move_on_after(2, shield=True) as scope:
                await how()
            if scope.cancelled_caught:
                await self._drop()
        except Exception as fault:  # noqa: BLE001 - it is gone either way
            log.debug("closing the stream to %s: %r", self._peer, fault)
