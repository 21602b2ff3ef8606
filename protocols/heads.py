"""Heads that one side tells the other, on links that do not push. Spec 0006 §7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.limits import BATCH_RECORDS_MAX, HEADS_KNOWN_MAX
from protocols.wire import Have, NewHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.keys import AuthorKey, Scope
    from protocols.record import Record


class Heads:
    """What the peer told that it has, and what it is to be told.

    Of what the peer told at most `HEADS_KNOWN_MAX` heads are kept, the latest. What
    waits to be told is bounded by who calls: once `full`, it is to be told.
    """

    def __init__(self) -> None:
        self._untold: dict[tuple[Scope, AuthorKey], NewHead] = {}
        """Heads that moved here in scopes that are not pushed."""
        self._theirs: dict[tuple[Scope, AuthorKey], int] = {}
        """The seqs of heads that the peer told."""

    def hear(self, scope: Scope, heads: Sequence[NewHead]) -> None:
        """The peer told of these heads."""
        for head in heads:
            self._theirs.pop((scope, head.author), None)
            self._theirs[scope, head.author] = head.seq
        while len(self._theirs) > HEADS_KNOWN_MAX:
            del self._theirs[next(iter(self._theirs))]

    def has(self, record: Record) -> bool:
        """Whether the peer told that it has a record."""
        return record.seq <= self._theirs.get((record.scope, record.author), -1)

    def note(self, records: Sequence[Record]) -> None:
        """Remember to tell of records, of each feed only of the last."""
        for record in records:
            head = NewHead(author=record.author, seq=record.seq, id=record.id)
            self._untold[record.scope, record.author] = head

    @property
    def waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._untold)

    @property
    def full(self) -> bool:
        """Whether so much waits that it is to be told at once."""
        return len(self._untold) > BATCH_RECORDS_MAX

    def tell(self, scopes: Sequence[Scope]) -> list[Have]:
        """What waits, as far as the peer did not tell it by now; then nothing waits.

        Args:
            scopes: those that are shared; what waits in others is forgotten.
        """
        untold, self._untold = self._untold, {}
        told: list[Have] = []
        for scope in scopes:
            heads = [
                head
                for (where, author), head in untold.items()
                if where == scope and head.seq > self._theirs.get((scope, author), -1)
            ]
            for at in range(0, len(heads), BATCH_RECORDS_MAX):
                chosen = tuple(heads[at : at + BATCH_RECORDS_MAX])
                told.append(Have(scope=scope, heads=chosen))
        return told
