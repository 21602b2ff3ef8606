"""How much of a link's talk is read per second. What is beyond is read later.

Buckets of tokens, one for each thing a peer can make this node do. A peer may
run into debt by one frame; until the debt is paid it is not read, so its stream
fills up and it waits. Honest neighbours stay far below, also when one of them
catches up with a long history: that is what the depth of the buckets is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocols.effects import (
    Ingest,
    IngestForks,
    IngestFound,
    PeerCards,
    Serve,
    ServeIds,
    Told,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pnode.ports import Seconds
    from protocols.effects import Step


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket's size and how fast it fills."""

    per_second: float
    depth: float


RATES: Final[Mapping[str, Rate]] = {
    "frames": Rate(500, 20_000),
    "records": Rate(500, 1_000_000),
    "bytes": Rate(131_072, 536_870_912),
    "wasted": Rate(100, 20_000),
    "answers": Rate(262_144, 16_777_216),
    "ranges": Rate(1_000, 50_000),
    "ids": Rate(256, 8_192),
    "cards": Rate(4, 64),
    "proofs": Rate(50, 2_048),
}
"""What one peer may cause, whatever its number of streams:

frames of any kind · records to judge, and their bytes · records judged in vain:
known, refused, or beyond a gap · bytes of answers, so of comparisons · ranges
to serve · records to look up by id, or heads told · cards and fork proofs to verify.
"""

PAUSE_SECONDS_MAX: Final = 10.0
"""Longest pause in reading: the peer must not look dead, nor take us to be."""


class Quota:
    """The buckets of one peer; they outlive its links.

    Args:
        now: by the same clock as all later calls.
    """

    def __init__(self, now: Seconds) -> None:
        self._left = {name: rate.depth for name, rate in RATES.items()}
        self._at = now

    def read(self, data: bytes, step: Step, now: Seconds) -> None:
        """A frame came, and this is what it leads to."""
        self._fill(now)
        self._take("frames", 1)
        self._take("answers", sum(map(len, step.frames)))
        for effect in step.effects:
            if isinstance(effect, Ingest | IngestFound):
                self._take("records", len(effect.records))
                self._take("bytes", len(data))
            elif isinstance(effect, Serve):
                self._take("ranges", 1)
            elif isinstance(effect, ServeIds):
                self._take("ids", len(effect.ids))
            elif isinstance(effect, Told):
                self._take("ids", len(effect.heads) / 8)
            elif isinstance(effect, PeerCards):
                self._take("cards", len(effect.cards))
            elif isinstance(effect, IngestForks):
                self._take("proofs", len(effect.proofs))

    def wasted(self, records: int) -> None:
        """So many of the records were judged in vain."""
        self._take("wasted", records)

    def pause(self, now: Seconds) -> Seconds:
        """How long the peer is not to be read now."""
        self._fill(now)
        waits = (-left / RATES[name].per_second for name, left in self._left.items())
        return min(max(0.0, *waits), PAUSE_SECONDS_MAX)

    def _take(self, name: str, amount: float) -> None:
        self._left[name] -= amount

    def _fill(self, now: Seconds) -> None:
        passed, self._at = now - self._at, now
        for name, rate in RATES.items():
            more = self._left[name] + rate.per_second * passed
            self._left[name] = min(rate.depth, more)
