"""Feeds: one author's records in one scope, and proofs that one forked. Spec 0003."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, NetworkId, RecordId, Scope, Signature, verify
from protocols.record import Header, Record, decode_header, record_id


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a feed."""

    seq: int
    id: RecordId


def is_next(head: Head | None, record: Record) -> bool:
    """Whether `check_next` would take `record`."""
    header = record.header
    if head is None:
        return header.seq == 0
    return header.seq == head.seq + 1 and header.backlink == head.id


def check_next(head: Head | None, record: Record) -> None:
    """Check that `record` extends the feed that ends at `head`.

    Raises:
        ProtocolError: GAP, or WRONG_BACKLINK (the predecessor here is another
            one: this feed forked at or below `head`).
    """
    expected = 0 if head is None else head.seq + 1
    if record.seq != expected:
        raise ProtocolError(Reason.GAP, f"seq {record.seq}, expected {expected}")
    if head is not None and record.header.backlink != head.id:
        raise ProtocolError(Reason.WRONG_BACKLINK, f"seq {record.seq}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkProof:
    """Two signed headers at one place of one feed, the smaller id first."""

    header_a: bytes
    signature_a: Signature
    header_b: bytes
    signature_b: Signature

    @property
    def header(self) -> Header:
        """One of the two headers: both name the same feed and seq."""
        return decode_header(self.header_a)

    @property
    def ids(self) -> tuple[RecordId, RecordId]:
        """The two record ids, ascending."""
        return record_id(self.header_a), record_id(self.header_b)

    @property
    def scope(self) -> Scope:
        """The scope of the forked feed."""
        return self.header.scope

    @property
    def author(self) -> AuthorKey:
        """Who signed both."""
        return self.header.author

    @property
    def seq(self) -> int:
        """Where the feed forked."""
        return self.header.seq


def prove_fork(one: Record, other: Record) -> ForkProof:
    """The proof that two records fork their feed.

    Raises:
        ProtocolError: NOT_A_FORK if they do not.
    """
    a, b = sorted((one, other), key=lambda record: record.id)
    proof = ForkProof(
        header_a=a.header_bytes,
        signature_a=a.signature,
        header_b=b.header_bytes,
        signature_b=b.signature,
    )
    check_fork(proof, one.header.network)
    return proof


def check_fork(proof: ForkProof, network: NetworkId) -> None:
    """Check a fork proof.

    Raises:
        ProtocolError: those of `decode_header`, WRONG_NETWORK, NOT_A_FORK if
            the two are not two ids in order at one place, BAD_SIGNATURE.
    """
    a, b = decode_header(proof.header_a), decode_header(proof.header_b)
    if a.network != network or b.network != network:
        raise ProtocolError(Reason.WRONG_NETWORK, a.network.hex())
    same_place = (a.author, a.scope, a.seq) == (b.author, b.scope, b.seq)
    first, second = proof.ids
    if not same_place or not first < second:
        raise ProtocolError(Reason.NOT_A_FORK, f"seq {a.seq} and {b.seq}")
    verify(a.author, "record", proof.header_a, proof.signature_a)
    verify(b.author, "record", proof.header_b, proof.signature_b)
