"""What was checked is not checked again: signatures inside claims.

Joins, cards, serials, taps and codes carry signatures of their own. A record's
id commits to its author, scope and claim, a scope to the terms, a tag's id to
its entry: so whether they hold is a fact of the id, for ever. Nothing fills
this memory but checking, so whoever shares one trusts only the process it is in.
"""

from __future__ import annotations

from collections.abc import Callable

from protocols.keys import RecordId

CHECKED_MAX = 4_000_000
"""Ids that are remembered: some 300 MB where the records are not held besides."""


class Checked:
    """Records whose claim's signatures were found good, `CHECKED_MAX` at most."""

    __slots__ = ("_good",)

    def __init__(self) -> None:
        self._good: set[RecordId] = set()

    def once(self, record_id: RecordId, check: Callable[[], None]) -> None:
        """Run `check` unless it passed before; what fails is checked each time.

        Raises:
            ProtocolError: what `check` raises.
        """
        if record_id not in self._good:
            check()
            if len(self._good) < CHECKED_MAX:
                self._good.add(record_id)
