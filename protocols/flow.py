"""Credit: how many bytes of records one side may still send the other. Spec 0006 §6.

What counts is the bytes of the records in `records`, `found` and `push`. Who
receives grants, and grants again what it has dealt with, so a slow receiver
makes nobody hold anything: the sender keeps only what its store holds anyhow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.errors import ProtocolError, Reason
from protocols.limits import (
    BATCH_MAX,
    BATCH_RECORDS_MAX,
    CREDIT_GRANT,
    CREDIT_MAX,
    INT_MAX,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def size_of(records: Sequence[bytes]) -> int:
    """What a frame with these wire records costs."""
    return sum(len(record) for record in records)


def batches(groups: Sequence[Sequence[bytes]]) -> Iterator[tuple[bytes, ...]]:
    """Cut wire records into what fits into frames.

    Args:
        groups: records in order; those of one group go in one frame: a scan without
            its claim, and before it the erase that says so (§5).
    """
    batch: list[bytes] = []
    size = 0
    for group in groups:
        more = sum(len(wire) + 3 for wire in group)
        full = size + more > BATCH_MAX or len(batch) + len(group) > BATCH_RECORDS_MAX
        if batch and full:
            yield tuple(batch)
            batch, size = [], 0
        batch += group
        size += more
    if batch:
        yield tuple(batch)


class Outflow:
    """What this side may still send."""

    def __init__(self) -> None:
        self.left = 0
        self._bounded = True

    def open(self, first: int) -> None:
        """Take the grant of the peer's hello; 0: no bound.

        Raises:
            ProtocolError: TOO_MUCH.
        """
        self._bounded = first > 0
        if self._bounded:
            self.grant(first)
        else:
            self.left = INT_MAX

    def grant(self, size: int) -> None:
        """Take a further grant; without a bound it changes nothing.

        Raises:
            ProtocolError: TOO_MUCH.
        """
        if not self._bounded:
            return
        if self.left + size > CREDIT_MAX:
            raise ProtocolError(Reason.TOO_MUCH, "credit beyond its bound")
        self.left += size

    def spend(self, size: int) -> None:
        """Send something: never more than is left."""
        if self._bounded:
            assert size <= self.left, "the driver looked at `room` before"
            self.left -= size


class Inflow:
    """What the peer may still send."""

    def __init__(self) -> None:
        self.left = CREDIT_GRANT
        self._done = 0
        """Bytes that were dealt with and not granted again."""

    def take(self, size: int) -> None:
        """Something came.

        Raises:
            ProtocolError: TOO_MUCH.
        """
        self.left -= size
        if self.left < 0:
            raise ProtocolError(Reason.TOO_MUCH, "records beyond the credit")

    def renew(self, size: int) -> int:
        """Something was dealt with; return what to grant now, or 0."""
        self._done += size
        if self._done < CREDIT_GRANT // 2:
            return 0
        granted, self._done = self._done, 0
        self.left += granted
        return granted
