"""What the evidence here already says against an act: for warnings, never a verdict.

Settlement judges, over all evidence and in an order that only witnesses give. What
is seen here is nearly always what it will find: an act is signed all the same, and
whoever signed it is told at once. Codes and numbers only; `cli` makes the sentences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from protocols.claims import Attest, Kind, Outcome, Reversal, Scan, Tags
from protocols.errors import ProtocolError
from protocols.join import Card, Continue, Invite, Join, check_card
from protocols.settlement.bind import may_vouch
from protocols.settlement.money import pool_of
from protocols.tags.entry import SerialProof, TagEntry, tag_id
from protocols.terms import Once

if TYPE_CHECKING:
    from p2pnode.services.library import View
    from protocols.keys import AuthorKey, RecordId
    from protocols.record import Record
    from protocols.terms import Stage, Terms

Doubt = dict[str, Any]
"""`code`, kebab-case and never renamed, and the facts beside it."""

Word = Attest | Outcome


def doubts(view: View, record: Record) -> list[Doubt]:
    """What is known here against a scan, attest, outcome or reversal of mine."""
    claim = record.claim()
    if isinstance(claim, Scan):
        return [*_against_moment(view, record, view.terms.stages[claim.stage])]
    if isinstance(claim, Reversal):
        return list(_against_reversal(view, record, claim))
    word: Word = claim
    return [
        *_against_signer(view, record, word),
        *_against_binding(view, record, word),
        *_against_time(view, record, word),
        *_against_amount(view, record, word),
    ]


def tags_of(view: View) -> Iterator[Tags]:
    """The sponsor's `tags` claims that are here."""
    for key in view.terms.sponsor:
        for record in view.evidence.feed(view.campaign, key):
            if record.kind == Kind.TAGS and record.claim_bytes is not None:
                yield record.claim()


def tag_of(view: View, scan: RecordId) -> TagEntry | None:
    """The tag that a scan read, if both are here."""
    record = view.evidence.lookup(scan)
    if record is None or record.kind != Kind.SCAN or record.claim_bytes is None:
        return None
    wanted = record.claim().tag
    entries = (entry for claim in tags_of(view) for entry, _ in claim.tags)
    return next((entry for entry in entries if tag_id(entry) == wanted), None)


def bound_by(view: View, record: Record) -> RecordId | None:
    """The first scan by which a word of mine names her: of my tag, free and in time."""
    word: Word = record.claim()
    return next((one for one in _named(word) if _binds(view, record, one)), None)


def serial_used(view: View, key: bytes) -> bool:
    """Whether somebody scanned this one-time code."""
    return any(
        isinstance(one.claim().evidence, SerialProof)
        and one.claim().evidence.key == key
        for one in _of(view, Kind.SCAN)
    )


def invite_used_up(view: View, invite: Invite, mine: Collection[AuthorKey]) -> bool:
    """Whether so many others joined by this invite as may use it."""
    others = {
        one.author
        for one in _of(view, Kind.JOIN)
        if one.author not in mine and one.claim().invite == invite
    }
    return 0 < invite.uses <= len(others)


def _of(view: View, *kinds: Kind) -> Iterator[Record]:
    """The campaign's records of some kinds whose claim is here."""
    for record in view.evidence.by_id.values():
        if record.kind in kinds and record.claim_bytes is not None:
            yield record


def _others(view: View, record: Record, *kinds: Kind) -> Iterator[Record]:
    return (one for one in _of(view, *kinds) if one.id != record.id)


# who


def _against_signer(view: View, record: Record, word: Word) -> Iterator[Doubt]:
    hosts = isinstance(word, Attest) and _hosts(view, record, word)
    if not hosts and not may_vouch(view.terms, record.author):
        yield {"code": "not-a-merchant"}
    known = view.terms.names(word.author) or view.evidence.feed(
        view.campaign, word.author
    )
    if not known:
        yield {"code": "unknown-person"}


def _root(view: View, key: AuthorKey) -> AuthorKey:
    """The key that stands for a person, as her records here say."""
    feed = view.evidence.feed(view.campaign, key)
    if feed and feed[0].kind == Kind.CONTINUE and feed[0].claim_bytes is not None:
        claim: Continue = feed[0].claim()
        return claim.root
    return key


# what ties it to her


def _named(word: Word) -> tuple[RecordId, ...]:
    return word.after if isinstance(word, Outcome) else (word.act,)


def _against_binding(view: View, record: Record, word: Word) -> Iterator[Doubt]:
    scan = bound_by(view, record)
    if scan is not None:
        entry = tag_of(view, scan)
        if entry is not None and entry.host is not None:
            yield from _against_host(view, word, entry.host)
    elif word.card is None:
        yield {"code": "unbound"}
    else:
        yield from _against_card(view, record, word, word.card)


def _hosts(view: View, record: Record, word: Attest) -> bool:
    """Whether a host vouches for a scan of its own tag."""
    entry = tag_of(view, word.act)
    if entry is None or entry.host is None:
        return False
    return view.terms.desk(entry.host) == view.terms.desk(record.author)


def _against_host(view: View, word: Word, host: AuthorKey) -> Iterator[Doubt]:
    stage = _stage(view.terms, word)
    paid = stage is not None and stage.reward is not None and stage.reward.host_bp
    if paid and view.terms.party(host) is None:
        yield {"code": "host-not-named"}


def _against_card(
    view: View, record: Record, word: Word, card: Card
) -> Iterator[Doubt]:
    terms = view.terms
    if card.author != word.author:
        yield {"code": "card-of-another-person"}
    try:
        check_card(card, terms.network, view.campaign)
    except ProtocolError:
        yield {"code": "card-of-another-campaign"}
    desk = terms.desk(record.author)
    if card.merchant is not None and terms.desk(card.merchant) != desk:
        yield {"code": "card-for-another-shop"}
    used = any(
        one.claim().card is not None
        and (one.claim().card.author, one.claim().card.nonce)
        == (card.author, card.nonce)
        for one in _others(view, record, Kind.ATTEST, Kind.OUTCOME)
    )
    if used:
        yield {"code": "card-used"}


def _binds(view: View, record: Record, scan: RecordId) -> bool:
    word: Word = record.claim()
    entry, read = tag_of(view, scan), view.evidence.lookup(scan)
    if entry is None or read is None:
        return False
    owners = {view.terms.desk(entry.issuer)}
    if entry.host is not None:
        owners.add(view.terms.desk(entry.host))
    mine = view.terms.desk(record.author)
    hers = _root(view, read.author) == _root(view, word.author)
    if not hers or mine not in owners or not _in_time(view.terms, record, read):
        return False
    return not any(
        scan in _named(one.claim()) and view.terms.desk(one.author) == mine
        for one in _others(view, record, Kind(record.kind))
    )


def _in_time(terms: Terms, record: Record, scan: Record) -> bool:
    index = scan.claim().stage
    bind_ms = terms.stages[index].bind_ms if index < len(terms.stages) else 0
    elapsed = record.header.time_ms - scan.header.time_ms
    return bind_ms == 0 or elapsed <= bind_ms


# when, and how much


def _stage(terms: Terms, word: Word) -> Stage | None:
    index = word.stage
    return None if index is None or index >= len(terms.stages) else terms.stages[index]


def _against_time(view: View, record: Record, word: Word) -> Iterator[Doubt]:
    stage = _stage(view.terms, word)
    yield from _against_moment(view, record, stage)
    if stage is not None and _is_again(view, record, word, stage):
        yield {"code": "again", "once": Once(stage.once).name.lower().replace("_", "-")}


def _against_moment(view: View, record: Record, stage: Stage | None) -> Iterator[Doubt]:
    rounds, now = view.terms.rounds, record.header.time_ms
    opens, closes = rounds[0].opens, rounds[-1].closes
    if stage is not None:
        opens, closes = max(opens, stage.opens), min(closes, stage.closes or closes)
    if now < opens:
        yield {"code": "too-early", "time": opens}
    if now > closes:
        yield {"code": "too-late", "time": closes}
    elif view.may_have_ended:
        yield {"code": "ended"}


def _is_again(view: View, record: Record, word: Word, stage: Stage) -> bool:
    """Whether she has such an act already, where one for each person or day counts."""
    if stage.once not in (Once.PERSON, Once.PERSON_DAY):
        return False
    day = view.terms.day(record.header.time_ms)
    return any(
        one.claim().stage == word.stage
        and _root(view, one.claim().author) == _root(view, word.author)
        and (stage.once == Once.PERSON or view.terms.day(one.header.time_ms) == day)
        for one in _others(view, record, Kind(record.kind))
    )


def _against_amount(view: View, record: Record, word: Word) -> Iterator[Doubt]:
    if not isinstance(word, Outcome):
        return
    terms, stage = view.terms, _stage(view.terms, word)
    party = terms.party(record.author)
    if party is not None:
        before = [
            one
            for one in _others(view, record, Kind.OUTCOME)
            if terms.desk(one.author) == party.keys[0]
        ]
        total = sum(one.claim().amount for one in before)
        day = terms.day(record.header.time_ms)
        today = sum(
            one.claim().amount for one in before if terms.day(one.header.time_ms) == day
        )
        for code, so_far, most in (
            ("over-amount", 0, party.amount_max),
            ("over-day", today, party.per_day_max),
            ("over-total", total, party.total_max),
        ):
            if so_far + word.amount > most:
                yield {"code": code, "most": most, "before": so_far}
                break
    if stage is not None and stage.reward is not None:
        pool = pool_of(stage.reward, word.amount, 0)
        if pool > terms.budget:
            yield {"code": "over-budget", "most": terms.budget}


# taking back


def _against_reversal(view: View, record: Record, claim: Reversal) -> Iterator[Doubt]:
    target = view.evidence.lookup(claim.outcome)
    if target is None or target.claim_bytes is None:
        yield {"code": "unknown-outcome"}
        return
    if target.kind != Kind.OUTCOME:
        yield {"code": "not-an-outcome"}
        return
    outcome: Outcome = target.claim()
    if view.terms.desk(target.author) != view.terms.desk(record.author):
        yield {"code": "not-yours"}
    stage = _stage(view.terms, outcome)
    if stage is not None and not stage.refund_ms:
        yield {"code": "not-refundable"}
    elif stage is not None:
        until = target.header.time_ms + stage.refund_ms
        if record.header.time_ms > until:
            yield {"code": "refund-over", "time": until}
    before = reversed_before(view, record)
    if before + claim.amount > outcome.amount:
        yield {"code": "more-than-outcome", "most": max(0, outcome.amount - before)}


def reversed_before(view: View, record: Record) -> int:
    """How much of a reversal's outcome other reversals of this shop took back."""
    claim: Reversal = record.claim()
    others = _others(view, record, Kind.REVERSAL)
    return _sum_back(view.terms, others, claim.outcome, record.author)


def taken_back(view: View, outcome: Record) -> int:
    """How much of an outcome its shop took back."""
    reversals = _of(view, Kind.REVERSAL)
    return _sum_back(view.terms, reversals, outcome.id, outcome.author)


def _sum_back(
    terms: Terms, reversals: Iterator[Record], outcome: RecordId, shop: AuthorKey
) -> int:
    return sum(
        one.claim().amount
        for one in reversals
        if one.claim().outcome == outcome and terms.desk(one.author) == terms.desk(shop)
    )


def join_of(view: View, author: AuthorKey) -> Join | None:
    """The join by which a key takes part, if it is here."""
    feed = view.evidence.feed(view.campaign, author)
    if not feed or feed[0].claim_bytes is None:
        return None
    claim = feed[0].claim()
    found = claim.join if isinstance(claim, Continue) else claim
    return found if isinstance(found, Join) else None
