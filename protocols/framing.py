"""Frames on a byte stream: a 4-byte big-endian length, then the payload.

    00 00 00 03  66 6f 6f        the frame `foo`

A payload has 1 to `FRAME_MAX` bytes. Anything else is a fault of the sender,
and the stream cannot be read further: nothing says where the next frame starts.
"""

from __future__ import annotations

from typing import Final

from protocols.errors import ProtocolError, Reason
from protocols.limits import FRAME_MAX

LENGTH_SIZE: Final = 4
"""Bytes of the length before each payload."""


def frame(payload: bytes) -> bytes:
    """Return `payload` with its length in front.

    Raises:
        ProtocolError: `FRAME_SIZE`, the payload is empty or too large.
    """
    _check(len(payload))
    return len(payload).to_bytes(LENGTH_SIZE, "big") + payload


class Deframer:
    """Cuts a byte stream, fed in pieces of any size, into payloads.

    It keeps at most one incomplete frame between calls. After it raised it
    raises for ever, because the rest of the stream has no meaning.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._fault: ProtocolError | None = None

    @property
    def incomplete(self) -> bool:
        """Whether bytes of an unfinished frame are waiting for their end."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes, return the payloads they complete, in order.

        Payloads in front of a faulty length are lost with it: the stream is
        to be dropped anyway.

        Raises:
            ProtocolError: `FRAME_SIZE`, a length is 0 or above `FRAME_MAX`.
        """
        if self._fault is not None:
            raise self._fault
        self._rest += data
        try:
            return self._take()
        except ProtocolError as fault:
            self._fault = fault
            self._rest.clear()
            raise

    def _take(self) -> list[bytes]:
        """Cut every complete frame off the front, in one move of the rest."""
        payloads: list[bytes] = []
        start = 0
        while len(self._rest) - start >= LENGTH_SIZE:
            body = start + LENGTH_SIZE
            size = int.from_bytes(self._rest[start:body], "big")
            _check(size)
            if len(self._rest) - body < size:
                break
            payloads.append(bytes(self._rest[body : body + size]))
            start = body + size
        del self._rest[:start]
        return payloads


def _check(size: int) -> None:
    if not 1 <= size <= FRAME_MAX:
        detail = f"a frame of {size} bytes, expected 1 to {FRAME_MAX}"
        raise ProtocolError(Reason.FRAME_SIZE, detail)
