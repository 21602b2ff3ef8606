"""What each kind of record says: the claim of every kind. Spec 0003, 0004.

A claim is a canonical array whose first element is a 16-byte random salt. The
registry `CLAIMS` below is complete; kinds 21 to 63 are reserved: stored,
relayed and covered by witnesses, ignored by settlement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any, TypeAlias

from protocols.codec import Value, decode, decode_fitting, encode
from protocols.errors import ProtocolError, Reason
from protocols.join import (
    CARD,
    Card,
    continue_shape,
    join_shape,
)
from protocols.keys import AuthorKey, RecordId, Scope, TagId
from protocols.limits import (
    AFTER_MAX,
    CLAIM_MAX,
    HEADER_MAX,
    HEADS_MAX,
    INT_MAX,
    NAME_MAX,
    PART_MAX,
    ROUNDS_MAX,
    SERIALS_MAX,
    STAGES_MAX,
    TAGS_PER_RECORD_MAX,
    WITNESSES_MAX,
)
from protocols.shape import (
    Shape,
    ascending,
    blob,
    checked,
    flag,
    listof,
    option,
    row,
    struct,
    text,
    uint,
)
from protocols.tags.entry import ENTRY, EVIDENCE, TagEntry, TagEvidence
from protocols.terms import TERMS, Terms

Claim: TypeAlias = Any
"""The dataclass that a record's kind says."""


class Kind(IntEnum):
    """What a record is. Complete; numbers are never reused."""

    TERMS = 0
    ENTER = 1
    JOIN = 2
    CONTINUE = 3
    TAGS = 4
    SCAN = 5
    ATTEST = 6
    OUTCOME = 7
    REVERSAL = 8
    PART = 9
    CLOSE = 10
    ERASE = 11
    REDEEM = 12
    OWE = 13
    PAID = 14
    NET = 15
    SEEN = 16
    FORK = 17
    PROFILE = 18
    ANNOUNCE = 19
    DISPUTE = 20


KIND_MAX = 63
"""Kinds above are refused; 21..63 are reserved."""

GENESIS_KINDS = frozenset({Kind.TERMS, Kind.ENTER, Kind.JOIN, Kind.CONTINUE})
"""Kinds that stand at seq 0 of a campaign feed, and only there."""

CAMPAIGN_KINDS = frozenset(range(Kind.TAGS, Kind.NET + 1))
"""Kinds that never stand at seq 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsClaim:
    """Kind 0: the sponsor's terms. Their hash is the campaign id."""

    salt: bytes
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter:
    """Kind 1: a key that the terms name begins its feed."""

    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Kind 4: tags of one group, and tags that are revoked from now on."""

    salt: bytes
    group: str
    offset: int
    """Position in the group of the first entry below."""
    tags: tuple[tuple[TagEntry, tuple[bytes, ...] | None], ...]
    """Each entry with its serial keys, or nil: they came as `part`s."""
    revoked: tuple[TagId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Kind 5: I read this tag, with this evidence, for this stage."""

    salt: bytes
    stage: int
    tag: TagId
    evidence: TagEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest:
    """Kind 6: I stand behind that act of that participant."""

    salt: bytes
    author: AuthorKey
    """The participant's key."""
    act: RecordId
    """Her scan or join that is attested."""
    stage: int | None
    """The stage this attest is itself an act of; None: it only vouches."""
    amount: int
    card: Card | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Kind 7: this person did this, for this amount, after these records."""

    salt: bytes
    stage: int
    author: AuthorKey
    amount: int
    after: tuple[RecordId, ...]
    """Her scans that led here; the first of this merchant's tag binds."""
    card: Card | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """Kind 8: of that outcome, this much was refunded."""

    salt: bytes
    outcome: RecordId
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Kind 9: a piece of the list whose root a later record names."""

    salt: bytes
    tree: int
    """The tree's number: 1 cut, 2 forks, 3 rows, 4 statement, 5 serials, 6 group."""
    root: bytes
    index: int
    data: bytes
    """A canonical array of whole leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Kind 10: the sponsor declares a round's cut, statement and money."""

    salt: bytes
    round: int
    previous: bytes
    """Id of the close before; at first the campaign id."""
    finals: tuple[RecordId, ...]
    cut_root: bytes
    cut_count: int
    forks_root: bytes
    forks_count: int
    rows_root: bytes
    rows_count: int
    statement_root: bytes
    lines: int
    paid: int
    """Earned shares so far, cumulative, in minor units."""
    residue: int
    unspent: int
    last: bool
    unit: str
    redeem_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """Kind 11: drop that note of mine; and that scan's claim."""

    salt: bytes
    record: RecordId
    claim: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """Kind 12: I spend this much of my line at this acceptor."""

    salt: bytes
    close: RecordId
    line: int
    amount: int
    total_before: int
    acceptor: AuthorKey
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Owe:
    """Kind 13: I, the issuer, recognise this redeem and owe its acceptor."""

    salt: bytes
    redeem: RecordId
    acceptor: AuthorKey
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """Kind 14: I, the creditor, received this much of that `owe`."""

    salt: bytes
    owe: RecordId
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Kind 16: a witness saw these heads; `final` marks a round's final."""

    salt: bytes
    final: int | None
    heads: tuple[tuple[AuthorKey, int, RecordId], ...]
    """(author, seq, id), ascending: campaign heads that moved since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Kind 17: two signed headers at one place of one feed."""

    salt: bytes
    header_a: bytes
    signature_a: bytes
    header_b: bytes
    signature_b: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Kind 18: who I am to my neighbours."""

    salt: bytes
    name: str
    trade: str
    place: str
    peer: str
    """The peer id of my node."""
    peer_signature: bytes
    """By the transport key over (network, author)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Kind 19: this campaign exists; here is a public invite, if any."""

    salt: bytes
    campaign: Scope
    title: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Kind 20: of that close I computed this other statement root."""

    salt: bytes
    close: RecordId
    statement_root: bytes


SALT = blob(16)
_KEY = blob(32)
_ID = blob(32)
_AMOUNT = uint(INT_MAX)
_ROOT = blob(32)

_TAG_WITH_SERIALS = row(ENTRY, option(listof(_KEY, SERIALS_MAX, 1)))

HEAD = row(_KEY, uint(), _ID)

CLAIMS: dict[Kind, Shape[Any]] = {
    Kind.TERMS: struct(TermsClaim, salt=SALT, terms=TERMS),
    Kind.ENTER: struct(Enter, salt=SALT),
    Kind.JOIN: join_shape(),
    Kind.CONTINUE: continue_shape(),
    Kind.TAGS: struct(
        Tags,
        salt=SALT,
        group=text(NAME_MAX),
        offset=uint(2**32 - 1),
        tags=listof(_TAG_WITH_SERIALS, TAGS_PER_RECORD_MAX),
        revoked=listof(_ID, TAGS_PER_RECORD_MAX),
    ),
    Kind.SCAN: struct(
        Scan, salt=SALT, stage=uint(STAGES_MAX - 1), tag=_ID, evidence=EVIDENCE
    ),
    Kind.ATTEST: struct(
        Attest,
        salt=SALT,
        author=_KEY,
        act=_ID,
        stage=option(uint(STAGES_MAX - 1)),
        amount=_AMOUNT,
        card=option(CARD),
    ),
    Kind.OUTCOME: struct(
        Outcome,
        salt=SALT,
        stage=uint(STAGES_MAX - 1),
        author=_KEY,
        amount=_AMOUNT,
        after=listof(_ID, AFTER_MAX),
        card=option(CARD),
    ),
    Kind.REVERSAL: struct(Reversal, salt=SALT, outcome=_ID, amount=_AMOUNT),
    Kind.PART: struct(
        Part,
        salt=SALT,
        tree=uint(6, 1),
        root=_ROOT,
        index=uint(2**32 - 1),
        data=blob(1, PART_MAX),
    ),
    Kind.CLOSE: struct(
        Close,
        salt=SALT,
        round=uint(ROUNDS_MAX, 1),
        previous=_ID,
        finals=ascending(listof(_ID, WITNESSES_MAX, 1)),
        cut_root=_ROOT,
        cut_count=uint(),
        forks_root=_ROOT,
        forks_count=uint(),
        rows_root=_ROOT,
        rows_count=uint(),
        statement_root=_ROOT,
        lines=uint(),
        paid=_AMOUNT,
        residue=_AMOUNT,
        unspent=_AMOUNT,
        last=flag(),
        unit=text(16),
        redeem_until=uint(),
    ),
    Kind.ERASE: struct(Erase, salt=SALT, record=_ID, claim=flag()),
    Kind.REDEEM: struct(
        Redeem,
        salt=SALT,
        close=_ID,
        line=uint(),
        amount=_AMOUNT,
        total_before=_AMOUNT,
        acceptor=_KEY,
        nonce=blob(16),
    ),
    Kind.OWE: struct(Owe, salt=SALT, redeem=_ID, acceptor=_KEY, amount=_AMOUNT),
    Kind.PAID: struct(Paid, salt=SALT, owe=_ID, amount=_AMOUNT),
    Kind.SEEN: struct(
        Seen,
        salt=SALT,
        final=option(uint(ROUNDS_MAX, 1)),
        heads=checked(
            listof(HEAD, HEADS_MAX),
            lambda heads: (
                None
                if all(a[0] < b[0] for a, b in pairwise(heads))
                else "one head an author, ascending"
            ),
        ),
    ),
    Kind.FORK: struct(
        Fork,
        salt=SALT,
        header_a=blob(1, HEADER_MAX),
        signature_a=blob(64),
        header_b=blob(1, HEADER_MAX),
        signature_b=blob(64),
    ),
    Kind.PROFILE: struct(
        Profile,
        salt=SALT,
        name=text(NAME_MAX),
        trade=text(NAME_MAX),
        place=text(NAME_MAX),
        peer=text(128),
        peer_signature=blob(64),
    ),
    Kind.ANNOUNCE: struct(
        Announce, salt=SALT, campaign=_ID, title=text(NAME_MAX), link=text()
    ),
    Kind.DISPUTE: struct(Dispute, salt=SALT, close=_ID, statement_root=_ROOT),
}
"""The shape of every kind whose claim is read; of the others (`net` and the
reserved kinds) only the salt is checked."""


def read_claim(kind: int, data: bytes) -> Any:
    """Return the claim dataclass for `data`; for a reserved kind the raw array.

    Raises:
        ProtocolError: the codec's reasons, or BAD_CLAIM for the wrong shape.
    """
    return _read(kind, decode(data, CLAIM_MAX))


def check_claim(kind: int, data: bytes) -> None:
    """Raise what `read_claim` would, without building the claim if it can.

    Raises:
        ProtocolError: the codec's reasons, or BAD_CLAIM for the wrong shape.
    """
    shape = CLAIMS.get(kind)  # type: ignore[call-overload]
    fits = SALT.fits if shape is None else shape.fits
    value, known = decode_fitting(data, CLAIM_MAX, fits)
    if not known:
        _read(kind, value)


def _read(kind: int, value: Value) -> Any:
    if not isinstance(value, list) or not value:
        raise ProtocolError(Reason.BAD_CLAIM, "a claim is an array")
    try:
        SALT.read(value[0])
        shape = CLAIMS.get(kind)  # type: ignore[call-overload]
        return value if shape is None else shape.read(value)
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_CLAIM, f"kind {kind}: {error.detail}") from error


def write_claim(kind: Kind, claim: Any) -> bytes:
    """Return the canonical bytes of a claim dataclass."""
    return encode(CLAIMS[kind].write(claim))


def check_note(data: bytes, size_max: int) -> None:
    """A note is a canonical array that begins with a salt.

    Raises:
        ProtocolError: the codec's reasons, or BAD_CLAIM.
    """
    value: Value = decode(data, size_max)
    if not isinstance(value, list) or not value:
        raise ProtocolError(Reason.BAD_CLAIM, "a note is an array")
    try:
        SALT.read(value[0])
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_CLAIM, "a note begins with a salt") from error
