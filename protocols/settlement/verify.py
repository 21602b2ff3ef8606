"""Verify: everybody recomputes every close. Spec 0009 §4.

Two questions, answered apart. First: does the statement follow from the cut
the close declares? That needs only the campaign's records. Second: is the cut
right? That needs the witnesses' feeds, and has provable answers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, pairwise, zip_longest

from protocols.checked import Checked
from protocols.claims import Close, Kind
from protocols.errors import ProtocolError, Reason
from protocols.evidence import Cover, Lack, cover, feed_up_to
from protocols.feed import Head
from protocols.keys import AuthorKey, RecordId, Scope, witness_scope
from protocols.limits import CLOSES_MAX, STEPS_MAX
from protocols.record import Record
from protocols.settlement.close import Closing, close_claim, read_lists
from protocols.settlement.cut import CutEntry, Declared, ForkEntry, Incomplete
from protocols.settlement.judge import Grant
from protocols.settlement.settle import Settlement, settle
from protocols.terms import Terms, campaign_id, check_terms
from protocols.testimony import Finals, Testimonies


class Verdict(StrEnum):
    """What a recomputation says."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFinding:
    """One author whose declared cut is not what the finals support."""

    author: AuthorKey
    kind: str
    """`padded`, `omitted` or `misdated`; `fork` for an entry of the forks list."""
    declared: CutEntry | ForkEntry | None
    supported: CutEntry | ForkEntry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReport:
    """One close, judged."""

    close: Record
    claim: Close
    statement: Verdict
    """The first question."""
    reason: Reason | None
    detail: str
    settlement: Settlement | None
    """As recomputed here, if it could be."""
    cut: Verdict
    """The second question."""
    findings: tuple[CutFinding, ...]
    missing: tuple[bytes, ...]
    not_judged: int = 0
    """Scans of this round whose claims are erased: their rows are believed."""
    resting: int = 0
    """Shares granted in this round, in minor units, that rest on believed rows."""


class Evidence:
    """A campaign's records as they are at hand, with lookups.

    Attributes:
        by_id: every record, with its claim if any copy had it.
        version: grows with each record that is added.
        checked: signatures inside claims that were found good here.
        testimonies: what was read of the witnesses; judging goes on from there.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.by_id: dict[RecordId, Record] = {}
        self.version = 0
        self.checked = Checked()
        self.testimonies = Testimonies()
        self._feeds: dict[tuple[Scope, AuthorKey], list[Record]] = {}
        self._finals: dict[tuple[Scope, AuthorKey], tuple[int, Finals]] = {}
        """Of witnesses, and when a record had last come out of turn by then."""
        self._inserted: dict[tuple[Scope, AuthorKey], int] = {}
        """The version at which a record of a feed last came out of turn."""
        self._written: set[tuple[Scope, AuthorKey]] | None = None
        """Feeds written since the last snapshot; None: there is none."""
        for record in records:
            self.add(record)

    def snapshot(self) -> Evidence:
        """All this as it is now, to be read while more is added here.

        Feeds are shared until the next record of each. What is remembered of
        judging stays shared; the later snapshot is to be judged later.
        """
        copy = Evidence()
        copy.by_id = dict(self.by_id)
        copy.version = self.version
        copy.checked = self.checked
        copy.testimonies = self.testimonies
        copy._finals = self._finals
        copy._inserted = dict(self._inserted)
        copy._feeds = dict(self._feeds)
        copy._written = set()
        self._written = set()
        return copy

    def add(self, record: Record) -> None:
        """Take one more record, or the claim that a known one lacked."""
        known = self.by_id.get(record.id)
        if known is not None and known.claim_bytes is not None:
            return
        self.version += 1
        self.by_id[record.id] = record
        header = record.header
        feed = self._own_feed((header.scope, header.author))
        if not feed or feed[-1].header.seq < header.seq:
            feed.append(record)
            return
        self._inserted[header.scope, header.author] = self.version
        place = bisect_left(feed, (record.seq, record.id), key=_place)
        if known is None:
            feed.insert(place, record)
        else:
            feed[place] = record

    def replace(self, record: Record) -> None:
        """Hold a record that is here as it is now: erased parts of it are gone."""
        if record.id not in self.by_id:
            return
        self.version += 1
        self.by_id[record.id] = record
        feed = self._own_feed((record.scope, record.author))
        feed[bisect_left(feed, (record.seq, record.id), key=_place)] = record

    def _own_feed(self, key: tuple[Scope, AuthorKey]) -> list[Record]:
        """The list of a feed, which no snapshot reads."""
        if self._written is not None and key not in self._written:
            self._written.add(key)
            self._feeds[key] = [*self._feeds.get(key, ())]
        return self._feeds.setdefault(key, [])

    def lookup(self, record_id: RecordId) -> Record | None:
        """A record by its id."""
        return self.by_id.get(record_id)

    def feed(self, scope: Scope, author: AuthorKey) -> list[Record]:
        """What is here of one feed, by seq."""
        return self._feeds.get((scope, author), [])

    def finals(self, terms: Terms, witness: AuthorKey) -> Mapping[int, Record]:
        """The first valid final of each round in what is here of a witness."""
        place = witness_scope(campaign_id(terms)), witness
        inserted = self._inserted.get(place, 0)
        known = self._finals.get(place)
        if known is None or known[0] != inserted:
            known = self._finals[place] = inserted, Finals(terms)
        known[1].read(self.feed(*place))
        return known[1].found

    def forked(self) -> Iterator[tuple[Record, Record]]:
        """Of every feed that forks here the lowest two at one place, by feed."""
        for _, feed in sorted(self._feeds.items()):
            for one, other in pairwise(feed):
                if one.seq == other.seq:
                    yield one, other
                    break


def _place(record: Record) -> tuple[int, RecordId]:
    return record.seq, record.id


def find_terms(records: Iterable[Record]) -> list[tuple[Record, Terms]]:
    """Every valid `terms` record that stands in its own campaign's scope."""
    found = []
    for record in records:
        if record.kind != Kind.TERMS or record.claim_bytes is None:
            continue
        terms: Terms = record.claim().terms
        try:
            check_terms(terms)
        except ProtocolError:
            continue
        ours = record.author in terms.sponsor and record.header.network == terms.network
        if ours and campaign_id(terms) == record.scope:
            found.append((record, terms))
    return found


def sponsor_closes(terms: Terms, evidence: Evidence) -> list[Record]:
    """All closes of the sponsor's keys, by (round, id)."""
    closes = [close for key in terms.sponsor for close in _closes(terms, key, evidence)]
    return sorted(closes, key=_by_round)


def verify_closes(terms: Terms, evidence: Evidence) -> list[CloseReport]:
    """Judge the closes of the campaign, by (round, id).

    Of one round by one key the first `CLOSES_MAX`, in the order of its feed: a
    sponsor that signs thousands has nobody settle them all.
    """
    judged: list[Record] = []
    for key in terms.sponsor:
        count: Counter[int] = Counter()
        for close in _closes(terms, key, evidence):
            count[close.claim().round] += 1
            if count[close.claim().round] <= CLOSES_MAX:
                judged.append(close)
    judged.sort(key=_by_round)
    return [verify_close(terms, close, evidence) for close in judged]


def _closes(terms: Terms, key: AuthorKey, evidence: Evidence) -> Iterator[Record]:
    for record in evidence.feed(campaign_id(terms), key):
        if record.kind == Kind.CLOSE and record.claim_bytes is not None:
            yield record


def _by_round(close: Record) -> tuple[int, RecordId]:
    return close.claim().round, close.id


def verify_close(terms: Terms, close: Record, evidence: Evidence) -> CloseReport:
    """Judge one close, folding over the closes it chains to."""
    claim: Close = close.claim()
    try:
        declared = declared_chain(terms, close, evidence)
        settlement = settle(terms, declared, evidence.lookup, evidence.checked)
    except Incomplete as error:
        return _report(close, claim, Verdict.INCOMPLETE, missing=error.missing)
    except ProtocolError as error:
        # A rule this version does not settle is no lie of the sponsor's.
        unknown = error.reason is Reason.BAD_TERMS
        verdict = Verdict.INCOMPLETE if unknown else Verdict.WRONG
        return _report(close, claim, verdict, error.reason, error.detail)
    own = close_claim(
        terms,
        Closing(declared=declared[-1], settlement=settlement),
        claim.previous,
        claim.salt,
    )
    cut, findings, missing = judge_cut(terms, declared, evidence)
    reason, detail = _difference(own, claim)
    return CloseReport(
        close=close,
        claim=claim,
        statement=Verdict.OK if reason is None else Verdict.WRONG,
        reason=reason,
        detail=detail,
        settlement=settlement,
        cut=cut,
        findings=findings,
        missing=missing,
        not_judged=_not_judged(settlement, evidence),
        resting=_resting(settlement),
    )


def _report(
    close: Record,
    claim: Close,
    verdict: Verdict,
    reason: Reason | None = Reason.INCOMPLETE,
    detail: str = "",
    missing: Sequence[bytes] = (),
) -> CloseReport:
    return CloseReport(
        close=close,
        claim=claim,
        statement=verdict,
        reason=reason,
        detail=detail,
        settlement=None,
        cut=Verdict.INCOMPLETE,
        findings=(),
        missing=tuple(missing),
    )


def _difference(own: Close, claim: Close) -> tuple[Reason | None, str]:
    """The first field in which a close differs from its recomputation."""
    if own.statement_root != claim.statement_root or own.lines != claim.lines:
        return Reason.WRONG_STATEMENT, own.statement_root.hex()
    for name in Close.__dataclass_fields__:
        if getattr(own, name) != getattr(claim, name):
            return Reason.WRONG_CLOSE, name
    return None, ""


def _not_judged(settlement: Settlement, evidence: Evidence) -> int:
    rows = (evidence.by_id.get(row.id) for row in settlement.rows)
    return sum(record is not None and record.claim_bytes is None for record in rows)


def _resting(settlement: Settlement) -> int:
    """What the grants of a round pay because of scans that nobody can judge again.

    Of acts that are such a scan, and of words that may be bound by one.
    """
    bare = {
        item.record.id for item in settlement.counted if item.record.claim_bytes is None
    }
    if not bare:
        return 0
    return sum(
        share.amount
        for grant in settlement.grants
        if grant.round == settlement.round and _rests(grant, bare)
        for share in grant.shares
        if not share.withheld
    )


def _rests(grant: Grant, bare: Container[RecordId]) -> bool:
    act = grant.act
    by_scan = act.row is None and act.tag is not None
    return act.id in bare or (
        by_scan and any(one in bare for one in act.item.claim.named)
    )


def declared_chain(
    terms: Terms,
    close: Record,
    evidence: Evidence,
    read: Callable[[Record], Declared] | None = None,
) -> list[Declared]:
    """What `close` and the closes before it declare, rounds ascending.

    Args:
        terms: the campaign's terms.
        close: the last of them.
        evidence: where the others are.
        read: what one close declares; None: read from its feed's prefix.

    Raises:
        Incomplete: a close of the chain or its lists are not here.
        ProtocolError: WRONG_CLOSE if the chain is not one.
    """
    scope = campaign_id(terms)
    chain: list[Declared] = []
    here: Record = close
    while True:
        ours = here.author in terms.sponsor and here.scope == scope
        if not ours or here.kind != Kind.CLOSE:
            raise ProtocolError(Reason.WRONG_CLOSE, "not a close of the sponsor")
        claim: Close = here.claim()
        if read is None:
            feed = feed_up_to(here.id, evidence.lookup)
            chain.append(read_lists(claim, feed[:-1]))
        else:
            chain.append(read(here))
        if claim.previous == scope:
            chain.reverse()
            return chain
        before = evidence.lookup(RecordId(claim.previous))
        if before is None or before.claim_bytes is None:
            raise Incomplete([claim.previous])
        if before.kind != Kind.CLOSE or before.claim().round >= claim.round:
            raise ProtocolError(Reason.WRONG_CLOSE, "rounds ascend along the chain")
        here = before


def heads_of(rounds: Sequence[Declared]) -> dict[AuthorKey, Head]:
    """The heads that the cuts of `rounds` reached."""
    return {
        entry.author: Head(entry.seq, entry.id)
        for declared in rounds
        for entry in declared.cut
    }


def judge_cut(
    terms: Terms,
    rounds: Sequence[Declared],
    evidence: Evidence,
    only: AuthorKey | None = None,
) -> tuple[Verdict, tuple[CutFinding, ...], tuple[bytes, ...]]:
    """The second question: is the last cut what its named finals support?

    With `only` it is asked for that author alone, and nobody else's records are
    missed.

    What is omitted is proven also with records missing: more evidence can add to
    what the finals support and never take away, but for an entry as full as one may
    be: then it may show more steps, and so a lower head. What is padded or misdated is
    proven unless a chain of that author's is missing that could make it right:
    so neither is an honest sponsor accused, nor can a witness keep a liar's cut
    in doubt by naming what exists nowhere.
    """
    declared = rounds[-1]
    before = heads_of(rounds[:-1])
    try:
        supported = cover(
            terms,
            declared.round,
            declared.finals,
            evidence.lookup,
            before,
            evidence.testimonies,
        )
    except Incomplete as error:
        return Verdict.INCOMPLETE, (), error.missing
    except ProtocolError:
        return Verdict.WRONG, (), ()
    lacking = {lack.author: lack.record for lack in supported.lacks}
    found = _compare(declared, supported)
    unknown: Iterable[bytes] = supported.unknown
    if only is not None:
        found = tuple(finding for finding in found if finding.author == only)
        unknown = [lack.record for lack in supported.lacks if lack.author == only]
    open_ = [
        finding
        for finding in found
        if finding.author in lacking
        and isinstance(finding.declared, CutEntry)
        and (
            len(finding.declared.steps) == STEPS_MAX
            if finding.kind == "omitted"
            else supported.may_support(
                terms, finding.declared, before.get(finding.author), evidence.lookup
            )
        )
    ]
    undecided = frozenset(open_)
    findings = tuple(finding for finding in found if finding not in undecided)
    named = {lacking[one.author] for one in open_}
    missing = tuple(sorted({*unknown, *named}))
    if findings:
        return Verdict.WRONG, findings, missing
    return Verdict.INCOMPLETE if missing else Verdict.OK, (), missing


def _compare(declared: Declared, supported: Cover) -> tuple[CutFinding, ...]:
    ours = {entry.author: entry for entry in supported.cut}
    theirs = {entry.author: entry for entry in declared.cut}
    findings = []
    for author in sorted({*ours, *theirs}):
        own, said = ours.get(author), theirs.get(author)
        if own == said:
            continue
        if said is None or (own is not None and own.seq > said.seq):
            kind = "omitted"
        elif own is None or own.seq < said.seq:
            kind = "padded"
        else:
            kind = "misdated"
        findings.append(
            CutFinding(author=author, kind=kind, declared=said, supported=own)
        )
    return (*findings, *_compare_forks(declared, supported))


def _compare_forks(declared: Declared, supported: Cover) -> list[CutFinding]:
    """Forks that the sponsor left out, made up or moved."""
    ours = {fork.author: fork for fork in supported.forks}
    theirs = {fork.author: fork for fork in declared.forks}
    return [
        CutFinding(
            author=author,
            kind="fork",
            declared=theirs.get(author),
            supported=ours.get(author),
        )
        for author in sorted({*ours, *theirs})
        if ours.get(author) != theirs.get(author)
    ]


def finals_at_hand(terms: Terms, number: int, evidence: Evidence) -> list[Record]:
    """The valid finals of a round that are here, earliest first."""
    if not 1 <= number <= len(terms.rounds):
        return []
    heard = (evidence.finals(terms, witness.key) for witness in terms.witnesses)
    found = [finals[number] for finals in heard if number in finals]
    return sorted(found, key=lambda record: (record.header.time_ms, record.id))


def _in_turn(lacks: Iterable[Lack]) -> list[RecordId]:
    """What is missing: the first of each witness, then the second."""
    named: dict[AuthorKey, list[RecordId]] = {}
    for lack in lacks:
        named.setdefault(lack.witness, []).append(lack.record)
    turns = chain.from_iterable(zip_longest(*named.values()))
    return list(dict.fromkeys(one for one in turns if one is not None))


def declare(
    terms: Terms, number: int, before: Sequence[Declared], evidence: Evidence
) -> Closing:
    """Settle round `number` over the first 2f+1 finals whose heads are all here.

    A final that lists what is not here cannot be named: if it exists after all,
    it would prove the cut wrong. Honest ones list only what they hold and
    serve, so 2f+1 can be named in the end whatever the others list.

    This is what an honest sponsor closes with, and what anybody can show as
    "unclosed: what the evidence says" when the sponsor does not close.

    Raises:
        Incomplete: fewer than 2f+1 finals (missing: the silent witnesses'
            keys), or records that finals list are not here, and without
            those finals there are fewer than 2f+1: each witness's in turn, so
            that one that names much keeps nobody from the others'.
        ProtocolError: WRONG_CUT.
    """
    finals = finals_at_hand(terms, number, evidence)
    if len(finals) < terms.quorum:
        heard = {final.author for final in finals}
        silent = [w.key for w in terms.witnesses if w.key not in heard]
        raise Incomplete(silent)
    lacks: list[Lack] = []
    while True:
        named = tuple(sorted(final.id for final in finals[: terms.quorum]))
        found = cover(
            terms,
            number,
            named,
            evidence.lookup,
            heads_of(before),
            evidence.testimonies,
        )
        if not found.lacks:
            break
        lacks += found.lacks
        lacking = {lack.witness for lack in found.lacks}
        finals = [final for final in finals if final.author not in lacking]
        if len(finals) < terms.quorum:
            raise Incomplete(_in_turn(lacks))
    declared = Declared(round=number, finals=named, cut=found.cut, forks=found.forks)
    settlement = settle(terms, [*before, declared], evidence.lookup, evidence.checked)
    return Closing(declared=declared, settlement=settlement)
