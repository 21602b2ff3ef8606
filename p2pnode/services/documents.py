"""What the node knows, as the JSON documents of the local API.

Every document begins with its format. Keys are bech32m text, amounts integers
of the minor unit, times Unix milliseconds. Readers ignore keys they do not
know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from p2pnode.services import foresight, proofs
from protocols.claims import Enter, Erase, Kind
from protocols.evidence import receipts
from protocols.join import Continue, Join
from protocols.keys import AuthorKey, RecordId, witness_scope
from protocols.proof import ProofKind, Proven
from protocols.proving import Charge
from protocols.settlement.voucher import voucher_text
from protocols.tags.entry import tag_id
from protocols.terms import Act, Role, Stage, Terms
from protocols.text import author_text, campaign_text, tag_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.services.acts import Scanned
    from p2pnode.services.closing import Line, Verified
    from p2pnode.services.erasures import Erasures
    from p2pnode.services.library import View
    from protocols.record import Record
    from protocols.settlement.settle import Settlement
    from protocols.settlement.verify import CloseReport

Document = dict[str, Any]

NEVER_LATE = frozenset(
    (Kind.PART, Kind.CLOSE, Kind.ERASE, Kind.REDEEM, Kind.OWE, Kind.PAID, Kind.DISPUTE)
)
"""Kinds that are good without being counted: no round is too late for them."""


def campaign(
    view: View,
    verified: Verified,
    me: AuthorKey | None,
    found: Sequence[Charge] = (),
) -> Document:
    """`p2pnode.campaign/1`: the terms in short, and how far it has come."""
    terms = view.terms
    feeds = {r.author for r in view.evidence.by_id.values() if r.scope == view.campaign}
    settlement = verified.settlement
    return {
        "format": "p2pnode.campaign/1",
        "campaign": campaign_text(view.campaign),
        "title": terms.title,
        "unit": terms.unit,
        "budget": terms.budget,
        "sponsor": [author_text(key) for key in terms.sponsor],
        "me": None if me is None else author_text(me),
        "role": _role(view, me),
        "residue": {
            "author": author_text(terms.residue.key),
            "name": terms.residue.name,
        },
        "witnesses": [
            {"author": author_text(w.key), "owner": w.owner} for w in terms.witnesses
        ],
        "faults": terms.faults,
        "rounds": [
            {
                "opens": r.opens,
                "closes": r.closes,
                "accept_until": r.accept_until,
                "final_from": r.final_from,
            }
            for r in terms.rounds
        ],
        "stages": [
            {
                "id": stage.id,
                "act": Act(stage.act).name.lower(),
                "grade": stage.grade,
                "reward": _reward(stage),
                "accepted": _accepted(settlement, index),
                "acts": _acts(view, index),
            }
            for index, stage in enumerate(terms.stages)
        ],
        "conditions": [
            {
                "stage": terms.stages[c.stage].id,
                "least": c.least,
                "met": settlement.conditions[i] if settlement else False,
            }
            for i, c in enumerate(terms.conditions)
        ],
        "feeds": len(feeds),
        "records": len(view.evidence.by_id),
        "closes": [close(report) for report in verified.reports],
        "disputes": disputed(view, verified, found),
        "next_round": verified.next_round,
        "waits_for": list(verified.waits_for),
        "silent": list(verified.silent),
        "liars": _liars(view, found),
        "missing": len(verified.missing),
    }


def _liars(view: View, found: Sequence[Charge]) -> list[str]:
    """Owners of the witnesses that are proven to have signed two feeds."""
    scope = witness_scope(view.campaign)
    forks = [charge.fork for charge in found if charge.fork is not None]
    forked = {fork.author for fork in forks if fork.scope == scope}
    return [w.owner for w in view.terms.witnesses if w.key in forked]


def _role(view: View, me: AuthorKey | None) -> str:
    if me is None:
        return "follower"
    if me in view.terms.sponsor:
        return "sponsor"
    if any(me == w.key for w in view.terms.witnesses):
        return "witness"
    party = view.terms.party(me)
    if party is not None:
        return str(Role(party.role & -party.role).name).lower()
    return "payee" if me == view.terms.residue.key else "participant"


def _accepted(settlement: Settlement | None, index: int) -> int:
    if settlement is None:
        return 0
    return sum(grant.act.stage_index == index for grant in settlement.grants)


def _acts(view: View, index: int) -> int:
    """Acts of a stage that are here, counted or not."""
    found = 0
    for record in view.evidence.by_id.values():
        if record.kind == Act.JOIN:
            found += view.terms.stages[index].act == Act.JOIN
        elif record.kind in set(Act) and record.claim_bytes is not None:
            found += record.claim().stage == index
    return found


def _reward(stage: Stage) -> Document | None:
    """What one accepted act is worth, and by which rule it is shared."""
    reward = stage.reward
    if reward is None:
        return None
    return {
        "rule": type(reward.rule).__name__.lower(),
        "amount": reward.amount,
        "percent_bp": reward.percent_bp,
        "host_bp": reward.host_bp,
        "back_bp": reward.back_bp,
    }


def close(report: CloseReport) -> Document:
    """One close and what this node found of it."""
    claim = report.claim
    return {
        "round": claim.round,
        "close": report.close.id.hex(),
        "signer": author_text(report.close.author),
        "statement": report.statement.value,
        "cut": report.cut.value,
        "reason": report.reason,
        "detail": report.detail,
        "digest": claim.statement_root.hex(),
        "own_digest": report.settlement.statement_root.hex()
        if report.settlement
        else None,
        "lines": claim.lines,
        "paid": claim.paid,
        "residue": claim.residue,
        "unspent": claim.unspent,
        "last": claim.last,
        "missing": [item.hex() for item in report.missing],
        "findings": [
            {"author": author_text(f.author), "kind": f.kind} for f in report.findings
        ],
        "not_judged": report.not_judged,
        "resting": report.resting,
    }


def disputed(view: View, verified: Verified, found: Sequence[Charge]) -> list[Document]:
    """What others say of closes, each beside what was computed here."""
    return [
        {
            "close": one.close.hex(),
            "round": one.round,
            "author": author_text(one.record.author),
            "digest": one.statement_root.hex(),
            "verdict": one.verdict.value,
        }
        for one in proofs.disputes(view, verified, found)
    ]


def charge(one: Charge) -> Document:
    """A cheat that can be proven, in short."""
    return {
        "kind": one.kind.word,
        "subjects": [subject.hex() for subject in one.subjects],
    }


def proven(found: Proven) -> Document:
    """`p2pnode.proven/1`: what a proof file proves."""
    author = found.author
    return {
        "format": "p2pnode.proven/1",
        "verdict": "proven",
        "kind": found.kind.word,
        "campaign": campaign_text(found.campaign),
        "title": found.terms.title,
        "culprits": [author_text(key) for key in found.culprits],
        "standing": found.standing.value,
        "names": [_name(found.terms, key) for key in found.culprits],
        "rounds": list(found.rounds),
        "records": [one.hex() for one in found.records],
        "author": None if author is None else author_text(author),
        "seq": found.seq,
        "reason": found.reason,
    }


def _name(terms: Terms, key: AuthorKey) -> str:
    """What the terms call a key; empty: they do not."""
    owners = {one.key: one.owner for one in terms.witnesses}
    party = terms.party(key)
    if key in owners:
        return owners[key]
    if party is not None:
        return party.name
    return terms.residue.name if key == terms.residue.key else ""


def verification(
    view: View, verified: Verified, found: Sequence[Charge] = ()
) -> Document:
    """`p2pnode.verification/1`: every close, recomputed, and who is shown to cheat."""
    worst = "ok"
    for report in verified.reports:
        if "wrong" in (report.statement, report.cut):
            worst = "wrong"
        elif "incomplete" in (report.statement, report.cut) and worst == "ok":
            worst = "incomplete"
    if not verified.reports:
        worst = "unclosed"
    if any(one.kind is ProofKind.DOUBLE_CLOSE for one in found):
        worst = "wrong"
    return {
        "format": "p2pnode.verification/1",
        "campaign": campaign_text(view.campaign),
        "title": view.terms.title,
        "sponsor": [author_text(key) for key in view.terms.sponsor],
        "unit": view.terms.unit,
        "verdict": worst,
        "closes": [close(report) for report in verified.reports],
        "proofs": [charge(one) for one in found],
        "disputes": disputed(view, verified, found),
        "statement": statement(verified.settlement),
        "unclosed": verified.unclosed is not None,
        "next_round": verified.next_round,
        "waits_for": list(verified.waits_for),
        "silent": list(verified.silent),
        "missing": len(verified.missing),
    }


def statement(settlement: Settlement | None) -> Document | None:
    """The lines and the money of a settlement."""
    if settlement is None:
        return None
    return {
        "round": settlement.round,
        "digest": settlement.statement_root.hex(),
        "lines": [
            {"payee": author_text(line.payee), "amount": line.amount}
            for line in settlement.lines
        ],
        "earned": settlement.earned,
        "residue": settlement.residue,
        "unspent": settlement.unspent,
        "last": settlement.last,
    }


def evidence(view: View, mine: Sequence[AuthorKey], erasures: Erasures) -> Document:
    """`p2pnode.evidence/1`: records of my keys, who has seen them, what is erased."""
    scope = witness_scope(view.campaign)
    feeds = {w.key: view.evidence.feed(scope, w.key) for w in view.terms.witnesses}
    covers = receipts(view.terms, feeds, view.evidence.lookup)
    until, faults = view.terms.rounds[-1].accept_until, view.terms.faults
    seen = {one: len(times) for one, times in covers.items()}
    in_time = {one: sum(t <= until for t in times) for one, times in covers.items()}
    surest = {
        (key, never_late): _surest(view, key, seen if never_late else in_time)
        for key in mine
        for never_late in (False, True)
    }

    def receipt(key: AuthorKey, record: Record) -> str:
        never_late = record.kind in NEVER_LATE
        count = (seen if never_late else in_time).get(record.id, 0)
        late = seen.get(record.id, 0) - count
        return _receipt(count, late, surest[key, never_late], faults)

    return {
        "format": "p2pnode.evidence/1",
        "campaign": campaign_text(view.campaign),
        "witnesses": len(view.terms.witnesses),
        "invite_used_up": _used_up(view, mine),
        "records": [
            {
                "record": record.id.hex(),
                "seq": record.seq,
                "kind": Kind(record.kind).name.lower()
                if record.kind <= max(Kind)
                else str(record.kind),
                "time": record.header.time_ms,
                "seen_by": seen.get(record.id, 0),
                "receipt": receipt(key, record),
                "erased": _erased(record, erasures),
            }
            for key in mine
            for record in view.evidence.feed(view.campaign, key)
        ],
    }


def first_receipt(view: View, key: AuthorKey, erasures: Erasures) -> str:
    """The receipt of a key's first record; the sponsor's own need none."""
    if key in view.terms.sponsor:
        return "safe"
    records = evidence(view, [key], erasures)["records"]
    return str(records[0]["receipt"]) if records else "none"


def _used_up(view: View, mine: Sequence[AuthorKey]) -> bool:
    """Whether others joined by my invite, as many as may use it."""
    joins = [join for key in mine if (join := foresight.join_of(view, key))]
    return any(foresight.invite_used_up(view, one.invite, mine) for one in joins)


def _erased(record: Record, erasures: Erasures) -> str:
    """What became of an erasure: no, note, asked (the claim is needed yet) or claim."""
    parts = erasures.drops(record)
    if parts.claim:
        return "claim" if record.claim_bytes is None else "asked"
    return "note" if parts.note else "no"


def _surest(view: View, author: AuthorKey, seen: Mapping[RecordId, int]) -> int:
    """How many witnesses saw every genesis from `author` up to the sponsor's.

    What is not here is seen by nobody. The sponsor's own need not count.
    """
    surest = len(view.terms.witnesses)
    for _ in range(view.terms.depth + 2):
        if author in view.terms.sponsor:
            return surest
        feed = view.evidence.feed(view.campaign, author)
        if not feed or feed[0].claim_bytes is None:
            return 0
        surest = min(surest, seen.get(feed[0].id, 0))
        claim = feed[0].claim()
        if isinstance(claim, Enter) and view.terms.names(author):
            return surest
        join = claim.join if isinstance(claim, Continue) else claim
        if not isinstance(join, Join):
            return 0
        author = join.invite.inviter
    return 0


def _receipt(in_time: int, late: int, surest: int, faults: int) -> str:
    """none, seen, can-count (f+1) or safe (2f+1, as is every join above).

    Late: 2f+1 first saw it when no round accepts any more, so f+1 never will
    have seen it before.
    """
    if late > 2 * faults:
        return "late"
    if min(in_time, surest) >= 2 * faults + 1:
        return "safe"
    if in_time >= faults + 1:
        return "can-count"
    return "seen" if in_time + late else "none"


def erased(view: View, target: Record, erase: Record) -> Document:
    """`p2pnode.erase/1`: what everybody was asked to drop."""
    said: Erase = erase.claim()
    return {
        "format": "p2pnode.erase/1",
        "campaign": campaign_text(view.campaign),
        "record": target.id.hex(),
        "seq": target.seq,
        "erase": erase.id.hex(),
        "note": target.header.note_size > 0,
        "claim": said.claim,
    }


def scanned(result: Scanned) -> Document:
    """`p2pnode.scan/1`: what was signed."""
    return {
        "format": "p2pnode.scan/1",
        "campaign": campaign_text(result.view.campaign),
        "title": result.view.terms.title,
        "record": result.record.id.hex(),
        "seq": result.record.seq,
        "tag": tag_text(tag_id(result.entry)),
        "label": result.entry.label,
        "issuer": author_text(result.entry.issuer),
        "warning": result.warning,
        "warnings": foresight.doubts(result.view, result.record),
    }


def line(found: Line, mine: Sequence[AuthorKey], now_ms: int) -> Document:
    """One line of mine, with its voucher, and what of it can still be spent."""
    return {
        "campaign": campaign_text(found.view.campaign),
        "title": found.view.terms.title,
        "round": found.round,
        "close": found.close.id.hex(),
        "payee": author_text(found.voucher.line.payee),
        "amount": found.amount,
        "left": max(0, found.amount - found.spent(mine)),
        "unit": found.view.terms.unit,
        "redeem_until": found.redeem_until,
        "expired": found.redeem_until < now_ms,
        "issuer": author_text(found.close.author),
        "verdict": found.verdict.value,
        "voucher": voucher_text(found.voucher),
    }
