"""Why each line is what it is: `p2pnode.explanation/1`, the JSON of `campaign explain`.

Codes and numbers only; `cli` makes the sentences. Of a person everything is shown
that pays her or was refused to her, and the sums by which her line comes about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.services.documents import statement
from p2pnode.services.refusals import detail
from protocols.claims import Kind
from protocols.settlement.money import BP, Why
from protocols.settlement.rules import share as share_of
from protocols.settlement.settle import account_of
from protocols.terms import Act, Once
from protocols.text import author_text, campaign_text

if TYPE_CHECKING:
    from p2pnode.services.closing import Verified
    from p2pnode.services.documents import Document
    from p2pnode.services.library import View
    from protocols.keys import AuthorKey
    from protocols.settlement.judge import ActFacts, Grant
    from protocols.settlement.money import Share
    from protocols.settlement.settle import Settlement
    from protocols.terms import Terms


def explanation(view: View, verified: Verified, person: AuthorKey | None) -> Document:
    """`p2pnode.explanation/1`: which act led to which share, and why not."""
    settlement, terms = verified.settlement, view.terms
    found: Document = {
        "format": "p2pnode.explanation/1",
        "campaign": campaign_text(view.campaign),
        "title": terms.title,
        "unit": terms.unit,
        "person": None if person is None else author_text(person),
        "residue": {
            "author": author_text(terms.residue.key),
            "name": terms.residue.name,
        },
        "depth": terms.depth,
        "round": None if settlement is None else settlement.round,
        "conditions_met": settlement is not None and all(settlement.conditions),
        "conditions": [],
        "accepted": [],
        "refused": [],
        "people": [],
        "sums": [],
        "statement": statement(settlement),
    }
    if settlement is None:
        return found
    desk = None if person is None else account_of(terms, settlement.admission, person)
    found["conditions"] = [
        {"stage": terms.stages[one.stage].id, "least": one.least, "met": met}
        for one, met in zip(terms.conditions, settlement.conditions, strict=True)
    ]
    found["accepted"] = [
        _granted(grant)
        for grant in settlement.grants
        if desk is None or _concerns(grant, desk)
    ]
    found["refused"] = [
        {
            **_act(act),
            "reason": reason.value,
            "detail": detail(view, settlement, act, reason),
            "needed": _needed(terms, settlement, act),
        }
        for act, reason in settlement.refused
        if desk is None or _is_of(act, desk)
    ]
    found["people"] = _tree(settlement)
    found["sums"] = [
        one
        for one in _sums(terms, verified, settlement)
        if desk is None or one["author"] == author_text(desk)
    ]
    return found


def _concerns(grant: Grant, desk: AuthorKey) -> bool:
    return _is_of(grant.act, desk) or any(one.payee == desk for one in grant.shares)


def _is_of(act: ActFacts, desk: AuthorKey) -> bool:
    actor = act.item.record.author if act.person is None else act.person.root
    return actor == desk


def _act(act: ActFacts) -> Document:
    record = act.item.record
    return {
        "record": record.id.hex(),
        "kind": Kind(record.kind).name.lower(),
        "stage": act.stage.id if act.stage is not None else None,
        "actor": author_text(act.person.root) if act.person else None,
        "signer": author_text(record.author),
        "tag": act.tag.entry.label if act.tag is not None else None,
        "grade": act.grade,
        "amount": act.amount,
        "act_time": act.act_time,
        "witness_time": act.item.witness_time,
        "round": act.item.round,
        "erased": record.claim_bytes is None,
    }


def _needed(terms: Terms, settlement: Settlement, act: ActFacts) -> Document:
    """What the act's stage asks for: by its reason `cli` picks what was lacking."""
    stage, limits = act.stage, terms.limits
    found: Document = {
        "depth": terms.depth,
        "per_day": limits.per_person_per_day,
        "interval_ms": limits.place_interval_ms,
    }
    if stage is None:
        return found
    ends = terms.rounds[settlement.round - 1].closes
    return {
        **found,
        "act": Act(stage.act).name.lower(),
        "grade": stage.grade,
        "tags": stage.tags,
        "opens": max(terms.rounds[0].opens, stage.opens),
        "closes": min(ends, stage.closes or ends),
        "after": [
            {"stage": terms.stages[one.stage].id, "by_invitee": one.by_invitee}
            for one in stage.after
        ],
        "once": Once(stage.once).name.lower().replace("_", "-"),
        "per_window": stage.per_window,
        "matures": act.item.witness_time + stage.refund_ms,
    }


def _granted(grant: Grant) -> Document:
    act, pool, shares = grant.act, grant.pool, grant.shares
    reward = None if act.stage is None else act.stage.reward
    percent = 0 if reward is None else reward.percent_bp
    full = 0 if reward is None or percent else reward.amount
    bp = 0 if reward is None else reward.host_bp
    back_bp = 0 if reward is None else reward.back_bp
    rest = pool - pool * bp // BP - pool * back_bp // BP
    return {
        **_act(act),
        "granted_in_round": grant.round,
        "rule": None if reward is None else type(reward.rule).__name__.lower(),
        "percent_bp": percent,
        "pool": pool,
        "cut_by_budget": max(0, full - pool),
        "rest": rest,
        "shares": [_share(grant, one) for one in shares],
        "left_over": pool - sum(one.amount for one in shares),
        "hostless": 0 if grant.host is not None else pool * bp // BP,
    }


def _share(grant: Grant, share: Share) -> Document:
    found: Document = {
        "payee": author_text(share.payee),
        "why": share.why.value,
        "level": share.level,
        "amount": share.amount,
        "withheld": share.withheld,
    }
    person, stage = grant.act.person, grant.act.stage
    if share.why is not Why.CHAIN or person is None or stage is None:
        return found
    chain = person.chain()
    distance = len(chain) - share.level
    assert stage.reward is not None
    through = None if not distance else author_text(chain[share.level].root)
    fraction = str(share_of(stage.reward.rule, distance))
    return {**found, "distance": distance, "through": through, "fraction": fraction}


def _sums(terms: Terms, verified: Verified, settlement: Settlement) -> list[Document]:
    """How each line comes about: shares and left-overs, less what was signed before.

    `due` is what is earned and not signed yet: the line, if it is above 0.
    """

    def add(to: dict[AuthorKey, int], key: AuthorKey, amount: int) -> None:
        desk = account_of(terms, settlement.admission, key)
        to[desk] = to.get(desk, 0) + amount

    shares: dict[AuthorKey, int] = {}
    for one in (one for grant in settlement.grants for one in grant.shares):
        if not one.withheld:
            add(shares, one.payee, one.amount)
    left_overs: dict[AuthorKey, int] = {}
    if settlement.last and settlement.residue:
        add(left_overs, terms.residue.key, settlement.residue)
    before: dict[AuthorKey, int] = {}
    for report in verified.reports:
        if report.claim.round < settlement.round and report.settlement is not None:
            for line in report.settlement.lines:
                add(before, line.payee, line.amount)
    paid = all(settlement.conditions)
    return [
        {
            "author": author_text(desk),
            "shares": shares.get(desk, 0),
            "left_overs": left_overs.get(desk, 0),
            "signed_before": before.get(desk, 0),
            "due": max(
                0,
                (shares.get(desk, 0) if paid else 0)
                + left_overs.get(desk, 0)
                - before.get(desk, 0),
            ),
        }
        for desk in sorted({**shares, **left_overs})
    ]


def _tree(settlement: Settlement) -> list[Document]:
    return [
        {
            "author": author_text(person.root),
            "payee": author_text(person.payee),
            "inviter": None
            if person.inviter is None
            else author_text(person.inviter.root),
            "level": person.level,
            "refused": person.refused,
        }
        for person in settlement.admission.persons.values()
    ]
