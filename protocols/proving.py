"""Proving: which cheats the evidence shows, and what shows each. Spec 0012 §3.

What is chosen here is judged by `proof` from the file alone, so a mistake in this
module can make a file that proves nothing, and none that proves what is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocols.claims import Close, Kind
from protocols.errors import ProtocolError
from protocols.evidence import feed_up_to
from protocols.feed import ForkProof, check_fork
from protocols.keys import AuthorKey, RecordId, witness_scope
from protocols.merkle import Tree
from protocols.proof import CUT_WORDS, Proof, ProofKind, place
from protocols.record import Record, build_record, without_parts
from protocols.settlement.close import list_of, read_lists
from protocols.settlement.cut import Incomplete
from protocols.settlement.verify import CloseReport, Evidence, Verdict
from protocols.terms import Terms, campaign_id
from protocols.testimony import fork_proof

_KINDS = {word: kind for kind, word in CUT_WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A cheat that the evidence shows: what its proof's head says."""

    kind: ProofKind
    subjects: tuple[bytes, ...]
    fork: ForkProof | None = None
    """Of a fork."""


def charges(
    terms: Terms,
    evidence: Evidence,
    reports: Sequence[CloseReport],
    forks: Iterable[ForkProof] = (),
) -> list[Charge]:
    """Every cheat that can be proven, the gravest first.

    Args:
        terms: the campaign's terms.
        evidence: its records.
        reports: every close of it, judged over them.
        forks: checked proofs that are at hand besides those in the records.
    """
    found = {(one.kind, one.subjects): one for one in _doubles(reports)}
    for report in reports:
        for one in _of_close(report):
            found[one.kind, one.subjects] = one
    for fork in sorted(_forks(terms, evidence, forks), key=lambda one: one.seq):
        # Of several forks of one author the lowest; in either scope it is the same key.
        one = Charge(kind=ProofKind.FORK, subjects=(fork.author,), fork=fork)
        found.setdefault((one.kind, one.subjects), one)
    return [found[key] for key in sorted(found)]


def _doubles(reports: Sequence[CloseReport]) -> list[Charge]:
    """Each close that is the second of its round, or above the same close."""
    rounds: dict[int, RecordId] = {}
    above: dict[bytes, RecordId] = {}
    found = []
    for report in reports:
        close, claim = report.close.id, report.claim
        other = rounds.get(claim.round) or above.get(claim.previous)
        if other is not None:
            subjects = tuple(sorted((close, other)))
            found.append(Charge(kind=ProofKind.DOUBLE_CLOSE, subjects=subjects))
        rounds.setdefault(claim.round, close)
        above.setdefault(claim.previous, close)
    return found


def _of_close(report: CloseReport) -> list[Charge]:
    close = report.close.id
    found = [
        Charge(kind=_KINDS[one.kind], subjects=(close, one.author))
        for one in report.findings
    ]
    if report.statement is Verdict.WRONG:
        found.append(Charge(kind=ProofKind.STATEMENT, subjects=(close,)))
    elif report.cut is Verdict.WRONG and not found:
        found.append(Charge(kind=ProofKind.FINALS, subjects=(close,)))
    return found


def _forks(
    terms: Terms, evidence: Evidence, forks: Iterable[ForkProof]
) -> list[ForkProof]:
    """The forks of the campaign's feeds and its witnesses' that are shown here."""
    campaign = campaign_id(terms)
    watched = witness_scope(campaign)
    witnesses = [witness.key for witness in terms.witnesses]
    held = [_of_records(*pair) for pair in evidence.forked()]
    found = [
        fork
        for fork in (*held, *forks)
        if fork.scope == campaign
        or (fork.scope == watched and fork.author in witnesses)
    ]
    known = {fork.author for fork in found}
    for witness in witnesses:
        for record in evidence.feed(watched, witness):
            if record.kind != Kind.FORK or record.claim_bytes is None:
                continue
            said = fork_proof(record.claim())
            if _holds(said, terms) and said.author not in known:
                known.add(said.author)
                found.append(said)
    return found


def _of_records(one: Record, other: Record) -> ForkProof:
    return ForkProof(
        header_a=one.header_bytes,
        signature_a=one.signature,
        header_b=other.header_bytes,
        signature_b=other.signature,
    )


def _holds(fork: ForkProof, terms: Terms) -> bool:
    """Whether what a witness says of a fork in the campaign is one."""
    try:
        check_fork(fork, terms.network)
    except ProtocolError:
        return False
    return fork.scope == campaign_id(terms)


def make_proof(terms_record: Record, evidence: Evidence, charge: Charge) -> Proof:
    """The proof of a charge, with as few records as show it.

    Raises:
        Incomplete: what shows it is not all here.
        ProtocolError: the close stands on no feed, or on no chain.
    """
    terms: Terms = terms_record.claim().terms
    chosen = _Chosen(terms, evidence)
    chosen.take([terms_record])
    if charge.fork is not None:
        chosen.take_bare(_records_of(charge.fork))
    elif charge.kind is ProofKind.DOUBLE_CLOSE:
        chosen.take([_held(evidence, one) for one in charge.subjects])
    elif charge.kind is ProofKind.STATEMENT:
        chosen.take_statement(_held(evidence, charge.subjects[0]))
    else:
        chosen.take_cut(_held(evidence, charge.subjects[0]), charge)
    return Proof(
        kind=charge.kind,
        network=terms.network,
        campaign=campaign_id(terms),
        subjects=charge.subjects,
        records=tuple(sorted(chosen.records.values(), key=place)),
    )


def _held(evidence: Evidence, record_id: bytes) -> Record:
    record = evidence.lookup(RecordId(record_id))
    if record is None:
        raise Incomplete([record_id])
    return record


def _records_of(fork: ForkProof) -> list[Record]:
    return [
        build_record(fork.header_a, None, None, fork.signature_a),
        build_record(fork.header_b, None, None, fork.signature_b),
    ]


class _Chosen:
    """The records of a proof so far: each once, with its claim if any needs it."""

    def __init__(self, terms: Terms, evidence: Evidence) -> None:
        self._terms = terms
        self._evidence = evidence
        self.records: dict[RecordId, Record] = {}
        self._walked: set[RecordId] = set()

    def take(self, records: Iterable[Record]) -> None:
        """Take records with their claims; nothing needs a note."""
        for record in records:
            self.records[record.id] = without_parts(record, claim=False, note=True)

    def take_bare(self, records: Iterable[Record]) -> None:
        """Take records whose headers are enough."""
        for record in records:
            bare = without_parts(record, claim=True, note=True)
            self.records.setdefault(record.id, bare)

    def take_statement(self, close: Record) -> None:
        """What the first question of 0009 §4 reads of a close."""
        for here in self._chain(close):
            feed = feed_up_to(here.id, self._evidence.lookup)
            self.take(feed)
            try:
                cut = read_lists(here.claim(), feed[:-1]).cut
            except ProtocolError:
                continue  # a list that breaks its shape is what is wrong
            for entry in cut:
                self.take(self._down(entry.id))

    def take_cut(self, close: Record, charge: Charge) -> None:
        """What the second question reads of a close, for one author."""
        claim: Close = close.claim()
        finals = [
            feed_up_to(RecordId(final), self._evidence.lookup) for final in claim.finals
        ]
        for feed in finals:
            self.take(feed)
        if charge.kind is ProofKind.FINALS:
            self.take([close])
            return
        self._take_lists(close, forks=charge.kind is ProofKind.FORKS_LIST)
        if charge.kind is not ProofKind.FORKS_LIST:
            self._take_author(close, finals, AuthorKey(charge.subjects[1]))

    def _take_lists(self, close: Record, *, forks: bool) -> None:
        """The closes up to this one, with the parts behind their cuts."""
        for here in self._chain(close):
            claim: Close = here.claim()
            roots = {list_of(claim, Tree.CUT)[0]}
            if forks and here is close:
                roots.add(list_of(claim, Tree.FORKS)[0])
            feed = feed_up_to(here.id, self._evidence.lookup)
            named = [r for r in feed if r.kind == Kind.PART and r.claim().root in roots]
            self.take([here, *named])

    def _take_author(
        self, close: Record, finals: list[list[Record]], author: AuthorKey
    ) -> None:
        """The headers below every head of an author that finals or the cut name."""
        feed = feed_up_to(close.id, self._evidence.lookup)
        cut = read_lists(close.claim(), feed[:-1], (Tree.CUT,)).cut
        heads = [entry.id for entry in cut if entry.author == author]
        for record in (one for final in finals for one in final):
            if record.kind == Kind.SEEN:
                heads += [head for by, _, head in record.claim().heads if by == author]
        for head in heads:
            self.take_bare(self._down(head))

    def _chain(self, close: Record) -> list[Record]:
        """A close and those before it, down to what cannot be one."""
        chain = [close]
        while chain[-1].claim().previous != campaign_id(self._terms):
            before = _held(self._evidence, chain[-1].claim().previous)
            self.take([before])
            if before.kind != Kind.CLOSE:
                break
            if before.claim().round >= chain[-1].claim().round:
                break
            chain.append(before)
        return chain

    def _down(self, head: RecordId) -> list[Record]:
        """From a record down its feed, as far as it is here and was not walked yet."""
        found: list[Record] = []
        record = self._evidence.lookup(head)
        while record is not None and record.id not in self._walked:
            found.append(record)
            self._walked.add(record.id)
            record = self._evidence.lookup(record.header.backlink)
        return found
