"""What an `erase` drops, and which records may come without a claim. Spec 0003 §5."""

from __future__ import annotations

from typing import NamedTuple

from protocols.claims import Erase, Kind
from protocols.errors import ProtocolError, Reason
from protocols.record import Record


class Dropped(NamedTuple):
    """Which parts of a record an erase names."""

    note: bool
    claim: bool


NOTHING = Dropped(note=False, claim=False)


def dropped(erase: Record | None, record: Record) -> Dropped:
    """What `erase`, whose signature was checked, drops of `record`.

    Only what the same author wrote in the same scope; a claim only of a scan.
    When a claim is really deleted, each node decides by 0003 §5.
    """
    if erase is None or erase.kind != Kind.ERASE or erase.claim_bytes is None:
        return NOTHING
    one, other = erase.header, record.header
    mine = (one.network, one.author, one.scope) == (
        other.network,
        other.author,
        other.scope,
    )
    said: Erase = erase.claim()
    if not mine or said.record != record.id:
        return NOTHING
    return Dropped(note=True, claim=said.claim and record.kind == Kind.SCAN)


def check_claim_here(record: Record, erase: Record | None) -> None:
    """Check that a new record has its claim, or comes with the erase that drops it.

    Raises:
        ProtocolError: BAD_CLAIM.
    """
    if record.claim_bytes is None and not dropped(erase, record).claim:
        raise ProtocolError(Reason.BAD_CLAIM, "the claim is absent")
