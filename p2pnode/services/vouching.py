"""What a shop vouched for, as JSON: what was signed, and what is known against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.services import foresight
from protocols.claims import Attest, Kind, Outcome, Reversal
from protocols.text import author_text, campaign_text

if TYPE_CHECKING:
    from p2pnode.services.documents import Document
    from p2pnode.services.library import View
    from protocols.keys import RecordId
    from protocols.record import Record


def word(view: View, record: Record) -> Document:
    """`p2pnode.attest/1`, `p2pnode.outcome/1`: who did what, and what binds it."""
    claim: Attest | Outcome = record.claim()
    scan = foresight.bound_by(view, record)
    act = claim.act if isinstance(claim, Attest) else None
    return {
        **_signed(view, record),
        "stage": _stage(view, claim.stage),
        "person": author_text(claim.author),
        "amount": claim.amount,
        "refund_until": _refund_until(view, record, claim),
        "by": "scan" if scan else "card" if claim.card else None,
        "act": None if act is None else act.hex(),
        "act_kind": None if act is None else _kind(view, act),
        **_place(view, scan or act),
        "warnings": foresight.doubts(view, record),
    }


def reversal(view: View, record: Record) -> Document:
    """`p2pnode.reversal/1`: how much of which outcome is taken back."""
    claim: Reversal = record.claim()
    target = view.evidence.lookup(claim.outcome)
    known = target is not None and target.claim_bytes is not None
    sold = target.claim() if target is not None and known else None
    found: Document = {"stage": None, "person": None, "left": None}
    if isinstance(sold, Outcome):
        before = foresight.reversed_before(view, record)
        found = {
            "stage": _stage(view, sold.stage),
            "person": author_text(sold.author),
            "left": max(0, sold.amount - before - claim.amount),
        }
    return {
        **_signed(view, record),
        "outcome": claim.outcome.hex(),
        "amount": claim.amount,
        **found,
        "warnings": foresight.doubts(view, record),
    }


def _refund_until(view: View, record: Record, claim: Attest | Outcome) -> int | None:
    """Until when an outcome can be taken back, by my clock; None: it never can."""
    index, stages = claim.stage, view.terms.stages
    if isinstance(claim, Attest) or index is None or index >= len(stages):
        return None
    refund_ms = stages[index].refund_ms
    return record.header.time_ms + refund_ms if refund_ms else None


def _signed(view: View, record: Record) -> Document:
    return {
        "format": f"p2pnode.{Kind(record.kind).name.lower()}/1",
        "campaign": campaign_text(view.campaign),
        "title": view.terms.title,
        "unit": view.terms.unit,
        "record": record.id.hex(),
        "seq": record.seq,
    }


def _stage(view: View, index: int | None) -> str | None:
    stages = view.terms.stages
    return None if index is None or index >= len(stages) else stages[index].id


def _kind(view: View, act: RecordId) -> str | None:
    record = view.evidence.lookup(act)
    known = record is not None and record.kind <= max(Kind)
    return Kind(record.kind).name.lower() if record is not None and known else None


def _place(view: View, scan: RecordId | None) -> Document:
    """The tag of a scan, where it hangs and with whom."""
    entry = None if scan is None else foresight.tag_of(view, scan)
    if entry is None:
        return {"tag": None, "place": None, "host": None, "host_name": None}
    party = None if entry.host is None else view.terms.party(entry.host)
    return {
        "tag": entry.label,
        "place": entry.place,
        "host": None if entry.host is None else author_text(entry.host),
        "host_name": None if party is None else party.name,
    }
