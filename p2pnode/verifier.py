"""Who checks the signatures of records: this process, or one more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.ports import Verifier
from protocols.record import is_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.record import Record


class OwnVerifier(Verifier):
    """Checks them itself, one after the other."""

    async def verify(self, records: Sequence[Record]) -> Sequence[bool]:
        """For each record whether its author signed it."""
        return [is_signed(record) for record in records]
