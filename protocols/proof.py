"""Proofs: what a cheat signed, in one file that proves it alone. Spec 0012.

A file of frames like a bundle (0010): a head that says what is claimed of whom,
then the records that show it. Nothing else is believed: no node, no network, no
word of whoever made the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from itertools import pairwise

from protocols.bundle import read_records
from protocols.claims import Close, Kind
from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.evidence import cover
from protocols.feed import prove_fork
from protocols.framing import frame
from protocols.keys import AuthorKey, NetworkId, RecordId, Scope, witness_scope
from protocols.limits import PROOF_MAX
from protocols.merkle import Tree
from protocols.record import Record, encode_record
from protocols.settlement.close import read_lists
from protocols.settlement.cut import Declared, Incomplete
from protocols.settlement.verify import (
    Evidence,
    Verdict,
    declared_chain,
    find_terms,
    judge_cut,
    verify_close,
)
from protocols.shape import blob, checked, listof, struct, text, uint
from protocols.terms import Terms

FORMAT = "p2pnode.proof/1"
HEAD_MAX = 256
"""Bytes of the first frame: with two subjects it takes 159."""


class ProofKind(IntEnum):
    """What is proven, the gravest first. The number stands in the file."""

    DOUBLE_CLOSE = 1
    """Two closes of one round, or above one close."""
    STATEMENT = 2
    """A close that does not follow from the cut it declares."""
    FINALS = 3
    """A close of what are not 2f+1 finals of its round."""
    OMITTED = 4
    """A cut without records of one author that its finals cover in time."""
    PADDED = 5
    """A cut with records of one author that its finals do not cover in time."""
    MISDATED = 6
    """A cut with another branch or witness time of one author."""
    FORKS_LIST = 7
    """A forks list that is not its finals' for one author."""
    FORK = 8
    """Two records of one author at one place of a feed."""

    @property
    def word(self) -> str:
        """The kind as documents name it."""
        return self.name.lower().replace("_", "-")


class Standing(StrEnum):
    """Who the culprit is in the campaign."""

    SPONSOR = "sponsor"
    WITNESS = "witness"
    PARTY = "party"
    """A merchant, host or device of the terms."""
    PAYEE = "payee"
    """The payee of the residue."""
    PARTICIPANT = "participant"


CUT_WORDS = {
    ProofKind.OMITTED: "omitted",
    ProofKind.PADDED: "padded",
    ProofKind.MISDATED: "misdated",
    ProofKind.FORKS_LIST: "fork",
}
"""The findings of 0009 §4 that are proven, each for one author."""

_SUBJECTS = {ProofKind.DOUBLE_CLOSE: 2, **dict.fromkeys(CUT_WORDS, 2)}
"""How many subjects a kind has, where it is not one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofHead:
    """The first frame: what is claimed, and how many records show it."""

    format: str
    kind: ProofKind
    network: NetworkId
    campaign: Scope
    subjects: tuple[bytes, ...]
    """Two closes, ascending; a close; a close and the author whose entry is wrong;
    or the author of a fork."""
    count: int


_KIND = uint(max(ProofKind), 1)

_HEAD = checked(
    struct(
        ProofHead,
        format=text(32),
        kind=replace(_KIND, read=lambda value: ProofKind(_KIND.read(value))),
        network=blob(16),
        campaign=blob(32),
        subjects=listof(blob(32), 2, 1),
        count=uint(),
    ),
    lambda head: (
        None
        if len(head.subjects) == _SUBJECTS.get(head.kind, 1)
        else "another number of subjects"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a file claims, and its records: they are not judged yet."""

    kind: ProofKind
    network: NetworkId
    campaign: Scope
    subjects: tuple[bytes, ...]
    records: tuple[Record, ...]
    """Ascending by (scope, author, seq, id); each well signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a file proves."""

    kind: ProofKind
    network: NetworkId
    campaign: Scope
    terms: Terms
    culprits: tuple[AuthorKey, ...]
    """Whose signatures show it, ascending."""
    standing: Standing
    rounds: tuple[int, ...]
    """The rounds of the closes it is about, ascending; none of a fork."""
    records: tuple[RecordId, ...]
    """The closes, or the two records of a fork, ascending."""
    author: AuthorKey | None = None
    """Whose entry of a list is wrong."""
    seq: int | None = None
    """Where a feed forked."""
    reason: Reason | None = None
    """Why a statement does not follow."""


def write_proof(proof: Proof) -> Iterator[bytes]:
    """Yield the bytes of a proof file."""
    head = ProofHead(
        format=FORMAT,
        kind=proof.kind,
        network=proof.network,
        campaign=proof.campaign,
        subjects=proof.subjects,
        count=len(proof.records),
    )
    yield frame(encode(_HEAD.write(head)))
    for record in proof.records:
        yield frame(encode_record(record))


def read_proof(chunks: Iterable[bytes]) -> Proof:
    """Read a proof file: its shape and every signature; nothing is proven yet.

    Raises:
        ProtocolError: TOO_LARGE, FRAME_SIZE, BAD_PROOF, or a record's reason.
    """
    head, records = read_records(_bounded(chunks), _read_head, Reason.BAD_PROOF)
    scopes = (head.campaign, witness_scope(head.campaign))
    if not all(record.scope in scopes for record in records):
        raise ProtocolError(Reason.BAD_PROOF, "a record of another campaign")
    if any(not place(one) < place(other) for one, other in pairwise(records)):
        raise ProtocolError(Reason.BAD_PROOF, "records are not ascending")
    return Proof(
        kind=head.kind,
        network=head.network,
        campaign=head.campaign,
        subjects=head.subjects,
        records=tuple(records),
    )


def place(record: Record) -> tuple[Scope, AuthorKey, int, RecordId]:
    """The order of a file's records."""
    return record.scope, record.author, record.seq, record.id


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > PROOF_MAX:
            raise ProtocolError(Reason.TOO_LARGE, f"more than {PROOF_MAX} bytes")
        yield chunk


def _read_head(payload: bytes) -> ProofHead:
    try:
        head = _HEAD.read(decode(payload, HEAD_MAX))
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_PROOF, "not a proof") from error
    if head.format != FORMAT:
        raise ProtocolError(Reason.BAD_PROOF, f"format {head.format}")
    return head


def check_proof(chunks: Iterable[bytes]) -> Proven:
    """What a proof file proves, from its bytes alone.

    Raises:
        ProtocolError: as `read_proof`; INCOMPLETE, records that it needs are not in
            it; NOT_PROVEN, nothing shows what it claims.
    """
    return judge_proof(read_proof(chunks))


def judge_proof(proof: Proof) -> Proven:
    """As `check_proof`, for a file that was read."""
    terms = next(
        (
            t
            for record, t in find_terms(proof.records)
            if record.scope == proof.campaign
        ),
        None,
    )
    if terms is None:
        raise ProtocolError(Reason.BAD_PROOF, "it does not hold its terms")
    try:
        return _CHECKS[proof.kind](proof, terms, Evidence(proof.records))
    except Incomplete as error:
        raise ProtocolError(Reason.INCOMPLETE, str(error)) from error
    except ProtocolError as error:
        if error.reason in (Reason.NOT_PROVEN, Reason.INCOMPLETE):
            raise
        raise ProtocolError(Reason.NOT_PROVEN, str(error)) from error


def _not(words: str) -> ProtocolError:
    return ProtocolError(Reason.NOT_PROVEN, words)


def _fork(proof: Proof, terms: Terms, evidence: Evidence) -> Proven:
    forked = [*evidence.forked()]
    if len(forked) != 1 or forked[0][0].author != proof.subjects[0]:
        raise _not("not one fork of that author")
    found = prove_fork(*forked[0])
    return _proven(
        proof,
        terms,
        (found.author,),
        standing=_standing(terms, found.scope == proof.campaign, found.author),
        records=found.ids,
        seq=found.seq,
    )


def _standing(terms: Terms, in_campaign: bool, author: AuthorKey) -> Standing:
    witness = any(author == one.key for one in terms.witnesses)
    if not in_campaign and not witness:
        raise _not("no witness's feed")
    if author in terms.sponsor and in_campaign:
        return Standing.SPONSOR
    if witness:
        return Standing.WITNESS
    if terms.party(author) is not None:
        return Standing.PARTY
    return Standing.PAYEE if author == terms.residue.key else Standing.PARTICIPANT


def _proven(
    proof: Proof, terms: Terms, culprits: Iterable[AuthorKey], **more: object
) -> Proven:
    fields = {"standing": Standing.SPONSOR, "rounds": (), **more}
    return Proven(
        kind=proof.kind,
        network=proof.network,
        campaign=proof.campaign,
        terms=terms,
        culprits=tuple(sorted(set(culprits))),
        **fields,  # type: ignore[arg-type]
    )


def _close(proof: Proof, terms: Terms, evidence: Evidence, subject: bytes) -> Record:
    """A close of the sponsor in this campaign, with its claim."""
    close = evidence.lookup(RecordId(subject))
    if close is None or close.claim_bytes is None:
        raise Incomplete([subject])
    ours = close.author in terms.sponsor and close.scope == proof.campaign
    if not ours or close.kind != Kind.CLOSE:
        raise _not("not a close of the sponsor's")
    return close


def _double_close(proof: Proof, terms: Terms, evidence: Evidence) -> Proven:
    one, other = (_close(proof, terms, evidence, x) for x in proof.subjects)
    a, b = one.claim(), other.claim()
    if not one.id < other.id:
        raise _not("not two closes, ascending")
    if a.round != b.round and a.previous != b.previous:
        raise _not("two rounds, above two closes")
    return _proven(
        proof,
        terms,
        (one.author, other.author),
        rounds=tuple(sorted({a.round, b.round})),
        records=(one.id, other.id),
    )


def _about(proof: Proof, terms: Terms, close: Record, **more: object) -> Proven:
    return _proven(
        proof,
        terms,
        (close.author,),
        rounds=(close.claim().round,),
        records=(close.id,),
        **more,
    )


def _statement(proof: Proof, terms: Terms, evidence: Evidence) -> Proven:
    close = _close(proof, terms, evidence, proof.subjects[0])
    report = verify_close(terms, close, evidence)
    if report.statement is Verdict.INCOMPLETE:
        raise Incomplete(report.missing or [close.id])
    if report.statement is not Verdict.WRONG:
        raise _not("the statement follows from the cut")
    return _about(proof, terms, close, reason=report.reason)


def _finals(proof: Proof, terms: Terms, evidence: Evidence) -> Proven:
    close = _close(proof, terms, evidence, proof.subjects[0])
    claim: Close = close.claim()
    finals = [RecordId(final) for final in claim.finals]
    try:
        cover(terms, claim.round, finals, evidence.lookup, {})
    except ProtocolError as error:
        return _about(proof, terms, close, reason=error.reason)
    raise _not("the finals are finals of that round")


def _cut(proof: Proof, terms: Terms, evidence: Evidence) -> Proven:
    close = _close(proof, terms, evidence, proof.subjects[0])
    author = AuthorKey(proof.subjects[1])
    with_forks = proof.kind is ProofKind.FORKS_LIST

    def read(here: Record) -> Declared:
        """The lists asked for: the root vouches for them wherever they stand."""
        last = with_forks and here.id == close.id
        trees = (Tree.CUT, Tree.FORKS) if last else (Tree.CUT,)
        return read_lists(here.claim(), proof.records, trees)

    declared = declared_chain(terms, close, evidence, read)
    verdict, findings, missing = judge_cut(terms, declared, evidence, author)
    word = CUT_WORDS[proof.kind]
    if any(one.kind == word for one in findings):
        return _about(proof, terms, close, author=author)
    if verdict is Verdict.INCOMPLETE:
        raise Incomplete(missing)
    raise _not(f"nothing {word} of that author")


_CHECKS: dict[ProofKind, Callable[[Proof, Terms, Evidence], Proven]] = {
    ProofKind.DOUBLE_CLOSE: _double_close,
    ProofKind.STATEMENT: _statement,
    ProofKind.FINALS: _finals,
    **dict.fromkeys(CUT_WORDS, _cut),
    ProofKind.FORK: _fork,
}
