"""The erases that are held, in memory: which parts of which records are not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocols.claims import Erase, Kind
from protocols.erasing import NOTHING, Dropped, dropped
from protocols.record import Record, without_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protocols.keys import AuthorKey, RecordId, Scope

    Target = tuple[Scope, AuthorKey, RecordId]
    """What an erase names: only a record of its own scope and author."""

ERASES: Final = "erase/"
"""Prefix of the state that remembers the erases: the target -> the erase's id."""


class Erasures:
    """The erases of all followed scopes, by what they name."""

    def __init__(self) -> None:
        self.gone: dict[RecordId, None] = {}
        """Scans whose erased claim nobody needs any more: settled here."""
        self._by_target: dict[Target, Record] = {}

    def __iter__(self) -> Iterator[Record]:
        """Every erase that is held, as far as another does not say more."""
        return iter([*self._by_target.values()])

    def note(self, records: Iterable[Record]) -> dict[str, bytes]:
        """Take note of erases among well-signed records; return the state to keep."""
        state: dict[str, bytes] = {}
        for record in records:
            if record.kind != Kind.ERASE or record.claim_bytes is None:
                continue
            target = target_of(record)
            known = self._by_target.get(target)
            if known is None or (_of_claim(record) and not _of_claim(known)):
                self._by_target[target] = record
                state[ERASES + b"".join(target).hex()] = record.id
        return state

    def of(self, record: Record) -> Record | None:
        """The erase that names a record, if one is held."""
        return self._by_target.get((record.scope, record.author, record.id))

    def drops(self, record: Record) -> Dropped:
        """Which parts of a record are erased."""
        erase = self.of(record)
        return NOTHING if erase is None else dropped(erase, record)

    def kept(self, record: Record) -> Record:
        """A record as it is kept: no erased note, and the claim until it is gone."""
        if not self._by_target:
            return record
        parts = self.drops(record)
        gone = parts.claim and record.id in self.gone
        return without_parts(record, claim=gone, note=True) if parts.note else record


def target_of(erase: Record) -> Target:
    """What an erase names."""
    said: Erase = erase.claim()
    return erase.scope, erase.author, said.record


def _of_claim(erase: Record) -> bool:
    said: Erase = erase.claim()
    return said.claim
