"""Which of several causes of one reason it was: what settlement's code leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.services import foresight
from protocols.claims import Kind
from protocols.errors import Reason
from protocols.terms import Flat, Once

if TYPE_CHECKING:
    from p2pnode.services.foresight import Doubt
    from p2pnode.services.library import View
    from protocols.keys import AuthorKey
    from protocols.settlement.judge import ActFacts, Grant
    from protocols.settlement.settle import Settlement
    from protocols.terms import Terms

BINDING = frozenset(
    {
        "unbound",
        "card-used",
        "card-of-another-person",
        "card-of-another-campaign",
        "card-for-another-shop",
    }
)
"""Doubts of `foresight` that leave a word without a grade."""


def detail(
    view: View, settlement: Settlement, act: ActFacts, reason: Reason
) -> Doubt | None:
    """The cause of a refusal, with the facts it takes; None: the reason says it all."""
    match reason:
        case Reason.GRADE | Reason.NOT_BOUND if act.item.record.kind in (
            Kind.OUTCOME,
            Kind.ATTEST,
        ):
            return _unbound(view, act)
        case Reason.MERCHANT_CAP:
            return _over(view.terms, settlement, act)
        case Reason.ONCE:
            return _taken(settlement, act)
        case _:
            return None


def _unbound(view: View, act: ActFacts) -> Doubt | None:
    record = act.item.record
    if record.claim_bytes is None:
        return None
    back = foresight.taken_back(view, record)
    if act.amount and back >= act.amount:
        return {"code": "refunded"}
    return next(
        (one for one in foresight.doubts(view, record) if one["code"] in BINDING), None
    )


def _over(terms: Terms, settlement: Settlement, act: ActFacts) -> Doubt | None:
    party = terms.party(act.item.record.author)
    if party is None:
        return None
    day = terms.day(act.act_time)
    mine = [
        grant.act
        for grant in settlement.grants
        if grant.act.item.record.kind == Kind.OUTCOME
        and terms.party(grant.act.item.record.author) is party
    ]
    today = sum(one.amount for one in mine if terms.day(one.act_time) == day)
    for code, before, most in (
        ("over-amount", 0, party.amount_max),
        ("over-day", today, party.per_day_max),
        ("over-total", sum(one.amount for one in mine), party.total_max),
    ):
        if before + act.amount > most:
            return {"code": code, "most": most, "before": before}
    return None


def _taken(settlement: Settlement, act: ActFacts) -> Doubt | None:
    """Whether it came after the last act that is paid, and repeats none of them."""
    rule = None if act.stage is None or not act.stage.reward else act.stage.reward.rule
    if not isinstance(rule, Flat) or not rule.first:
        return None
    same = [one for one in settlement.grants if one.act.stage_index == act.stage_index]
    if len(same) < rule.first or any(_repeats(act, grant) for grant in same):
        return None
    return {"code": "first-taken", "first": rule.first}


def _repeats(act: ActFacts, grant: Grant) -> bool:
    """Whether an act uses what a granted one of its stage used, but for the day."""
    other, stage = grant.act, act.stage
    slot = None if act.row is None else act.row.slot
    if slot is not None and other.row is not None and other.row.slot == slot:
        return True
    her = _root(act) == _root(other)
    tag = act.row is not None and other.row is not None and act.row.tag == other.row.tag
    match None if stage is None else stage.once:
        case Once.TAG:
            return tag and slot is None
        case Once.PERSON | Once.PERSON_DAY:
            return her
        case Once.PERSON_TAG:
            return her and tag
        case _:
            return False


def _root(act: ActFacts) -> AuthorKey | None:
    return None if act.person is None else act.person.root
