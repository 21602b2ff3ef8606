"""What a broken carrier, or a liar, does to the frames that a node sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random  # noqa: TID251 - the seed is the argument
    from collections.abc import Callable, Sequence

    from p2pnode.swarm.torture.plan import Carrier

TAIL: Final = 64
"""The last bytes of a push are a signature: turned, it must be refused."""

SMALL: Final = 200
"""Frames below hold no record."""


def carry(
    carrier: Carrier, rng: random.Random, calm: Callable[[], bool]
) -> Callable[[Sequence[bytes]], list[bytes]]:
    """What to do with the frames of each write, until it is `calm`."""

    def treat(frames: Sequence[bytes]) -> list[bytes]:
        out: list[bytes] = []
        if calm():
            return list(frames)
        for frame in frames:
            if rng.random() < carrier.lose:
                continue
            out.append(_spoilt(frame, rng) if rng.random() < carrier.spoil else frame)
            if rng.random() < carrier.repeat:
                out.append(frame)
            if len(out) > 1 and rng.random() < carrier.swap:
                out[-1], out[-2] = out[-2], out[-1]
        return out

    return treat


def _spoilt(frame: bytes, rng: random.Random) -> bytes:
    """A frame with one bit turned, or noise of its length."""
    if rng.random() < 0.1:
        return rng.randbytes(len(frame))
    near_end = len(frame) > SMALL and rng.random() < 0.7
    at = len(frame) - 1 - rng.randrange(TAIL) if near_end else rng.randrange(len(frame))
    return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1 :]
