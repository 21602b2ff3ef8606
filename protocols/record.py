"""Records: what an author signs. Spec 0003.

A wire record is [header, claim or nil, note or nil, signature]. The id is the
hash of the header, so no digest ever covers a signature: two signatures over
one header are one record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple, cast

from protocols.claims import (
    CAMPAIGN_KINDS,
    GENESIS_KINDS,
    KIND_MAX,
    Kind,
    check_claim,
    check_note,
    read_claim,
    write_claim,
)
from protocols.codec import decode_fitting, decode_known, encode, encode_parts
from protocols.ed25519 import is_valid
from protocols.errors import ProtocolError, Reason
from protocols.keys import (
    RECORD_PREFIX,
    AuthorKey,
    NetworkId,
    RecordId,
    Scope,
    Signature,
    SigningKey,
    verify,
)
from protocols.limits import CLAIM_MAX, HEADER_MAX, INT_MAX, NOTE_MAX, RECORD_MAX
from protocols.shape import Shape, blob, option, row, struct, uint

VERSION = 1
EMPTY_HASH = sha256(b"").digest()
NO_BACKLINK = RecordId(bytes(32))


class Header(NamedTuple):
    """The signed part of a record: its fields in the order of the wire.

    A tuple, because that is what decoding gives: building a dataclass of it
    took as long as all else about it.
    """

    version: int
    network: NetworkId
    author: AuthorKey
    scope: Scope
    seq: int
    """Position in the feed (network, author, scope), from 0."""
    backlink: RecordId
    """Id of the record before; 32 zero bytes at seq 0."""
    time_ms: int
    """The author's clock; decides nothing by itself."""
    kind: int
    claim_size: int
    claim_hash: bytes
    """SHA-256 of the claim's bytes."""
    note_size: int
    """0: there is no note."""
    note_hash: bytes


HEADER: Shape[Header] = struct(
    Header,
    version=uint(),
    network=blob(16),
    author=blob(32),
    scope=blob(32),
    seq=uint(INT_MAX),
    backlink=blob(32),
    time_ms=uint(),
    kind=uint(KIND_MAX),
    claim_size=uint(CLAIM_MAX, 1),
    claim_hash=blob(32),
    note_size=uint(NOTE_MAX),
    note_hash=blob(32),
)

WIRE = row(
    blob(1, HEADER_MAX),
    option(blob(1, CLAIM_MAX)),
    option(blob(1, NOTE_MAX)),
    blob(64),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A signed header with its claim and note, as far as they are here."""

    header: Header
    header_bytes: bytes
    claim_bytes: bytes | None
    """None: erased or absent."""
    note_bytes: bytes | None
    signature: Signature
    id: RecordId

    @property
    def author(self) -> AuthorKey:
        """Whose feed it is in."""
        return self.header.author

    @property
    def scope(self) -> Scope:
        """Which campaign, witness scope or neighbourhood it is in."""
        return self.header.scope

    @property
    def seq(self) -> int:
        """Its position in the feed."""
        return self.header.seq

    @property
    def kind(self) -> int:
        """What it is: a `Kind`, or a reserved number."""
        return self.header.kind

    def claim(self) -> Any:
        """The claim dataclass of its kind.

        Raises:
            ProtocolError: BAD_CLAIM if the claim is erased or absent.
        """
        if self.claim_bytes is None:
            raise ProtocolError(Reason.BAD_CLAIM, "the claim is absent")
        return read_claim(self.kind, self.claim_bytes)


def record_id(header_bytes: bytes) -> RecordId:
    """The id of a record: the tagged hash of its header's bytes."""
    return RecordId(sha256(RECORD_PREFIX + header_bytes).digest())


def sign_record(  # noqa: PLR0913 - the fields of a header
    key: SigningKey,
    *,
    network: NetworkId,
    scope: Scope,
    seq: int,
    backlink: RecordId,
    time_ms: int,
    kind: Kind,
    claim: Any,
    note: bytes | None = None,
) -> Record:
    """Make and sign a record; `claim` is the dataclass of `kind`."""
    claim_bytes = write_claim(kind, claim)
    header = Header(
        version=VERSION,
        network=network,
        author=key.author,
        scope=scope,
        seq=seq,
        backlink=backlink,
        time_ms=time_ms,
        kind=kind,
        claim_size=len(claim_bytes),
        claim_hash=sha256(claim_bytes).digest(),
        note_size=len(note or b""),
        note_hash=sha256(note or b"").digest(),
    )
    header_bytes = encode(HEADER.write(header))
    record = Record(
        header=header,
        header_bytes=header_bytes,
        claim_bytes=claim_bytes,
        note_bytes=note,
        signature=key.sign("record", header_bytes),
        id=record_id(header_bytes),
    )
    _check_header(header)
    _check_parts(record)
    return record


def encode_record(record: Record) -> bytes:
    """The wire bytes of a record."""
    return encode_parts(
        [record.header_bytes, record.claim_bytes, record.note_bytes, record.signature]
    )


def decode_record(data: bytes) -> Record:
    """Read a wire record; its signature is not checked here.

    Raises:
        ProtocolError: in this order the codec's reasons and BAD_SHAPE for the
            wire array, the same for the header, then those of `decode_header`,
            WRONG_HASH for the claim, the codec's reasons and BAD_CLAIM for what
            it says, and the same for the note.
    """
    value, fits = decode_fitting(data, RECORD_MAX, WIRE.fits)
    parts = cast("list[Any]", value) if fits else WIRE.read(value)
    return build_record(*parts)


def build_record(
    header_bytes: bytes, claim: bytes | None, note: bytes | None, signature: bytes
) -> Record:
    """A record from its four parts, checked as in `decode_record`."""
    record = Record(
        header=decode_header(header_bytes),
        header_bytes=header_bytes,
        claim_bytes=claim,
        note_bytes=note,
        signature=Signature(signature),
        id=record_id(header_bytes),
    )
    _check_parts(record)
    return record


def decode_header(data: bytes) -> Header:
    """Read a header.

    Raises:
        ProtocolError: the codec's reasons, BAD_SHAPE, WRONG_VERSION,
            WRONG_GENESIS, WRONG_BACKLINK at seq 0, WRONG_HASH without a note.
    """
    value, fits = decode_fitting(data, HEADER_MAX, HEADER.fits)
    header = Header(*cast("list[Any]", value)) if fits else HEADER.read(value)
    _check_header(header)
    return header


def known_header(data: bytes) -> Header:
    """The header in bytes that `decode_header` took before: nothing is checked."""
    return Header(*cast("list[Any]", decode_known(data)))


def check_signature(record: Record) -> None:
    """Check the author's signature over the header.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    verify(record.author, "record", record.header_bytes, record.signature)


def is_signed(record: Record) -> bool:
    """Whether `check_signature` takes the record."""
    signed = RECORD_PREFIX + record.header_bytes
    return is_valid(record.header.author, signed, record.signature)


def without_parts(record: Record, *, claim: bool, note: bool) -> Record:
    """The record without its claim and/or note, as after an erase."""
    return replace(
        record,
        claim_bytes=None if claim else record.claim_bytes,
        note_bytes=None if note else record.note_bytes,
    )


def _check_header(header: Header) -> None:
    if header.version != VERSION:
        raise ProtocolError(Reason.WRONG_VERSION, str(header.version))
    genesis, first = header.kind in GENESIS_KINDS, header.seq == 0
    if first and header.kind in CAMPAIGN_KINDS:
        raise ProtocolError(Reason.WRONG_GENESIS, f"kind {header.kind} at seq 0")
    if genesis and not first:
        raise ProtocolError(Reason.WRONG_GENESIS, f"kind {header.kind} above seq 0")
    if first and header.backlink != NO_BACKLINK:
        raise ProtocolError(Reason.WRONG_BACKLINK, "seq 0 links to nothing")
    if header.note_size == 0 and header.note_hash != EMPTY_HASH:
        raise ProtocolError(Reason.WRONG_HASH, "no note, but a hash")


def _check_parts(record: Record) -> None:
    header = record.header
    if record.claim_bytes is not None:
        if sha256(record.claim_bytes).digest() != header.claim_hash:
            raise ProtocolError(Reason.WRONG_HASH, "claim")
        if len(record.claim_bytes) != header.claim_size:
            raise ProtocolError(Reason.WRONG_HASH, "claim size")
        check_claim(header.kind, record.claim_bytes)
    if record.note_bytes is not None:
        if sha256(record.note_bytes).digest() != header.note_hash:
            raise ProtocolError(Reason.WRONG_HASH, "note")
        if len(record.note_bytes) != header.note_size:
            raise ProtocolError(Reason.WRONG_HASH, "note size")
        check_note(record.note_bytes, NOTE_MAX)
