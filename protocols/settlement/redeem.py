"""Spending a voucher: the slip at the till, and the proof of a double spending.

Spec 0011 §1 to §3. A redeem takes the part [total before, total before + amount)
of its line, so a line is overspent exactly where two good redeems overlap: two
signatures of the payee, and nobody's word, prove it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from protocols.claims import Kind, Redeem
from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, RecordId, Signature
from protocols.limits import HEADER_MAX
from protocols.record import Record, build_record, check_signature
from protocols.settlement.voucher import VOUCHER, Voucher, check_voucher
from protocols.shape import Shape, blob, struct
from protocols.text import LINK_MAX, Letter, decode_lettered, encode_link

SLIP_LETTER = Letter.REDEEM
DOUBLE_LETTER = Letter.DOUBLE

Place = tuple[RecordId, int]
"""Which line: the close's id and the line's index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """One line of a close: what can be spent, by whom, until when."""

    close: RecordId
    line: int
    payee: AuthorKey
    amount: int
    """In minor units of the campaign's unit."""
    redeem_until: int

    @property
    def place(self) -> Place:
        """What a redeem names it by."""
        return self.close, self.line


Vouched = Mapping[AuthorKey, frozenset[AuthorKey]]
"""Which root keys vouch for a key, by well signed `continue` records."""


def one_person(one: AuthorKey, other: AuthorKey, vouched: Vouched) -> bool:
    """Whether a key vouched for the other, or a third for both. Spec 0011 §1.

    No chains: what one key signed takes nothing from the others of its person.
    """
    mine = vouched.get(one, frozenset()) | {one}
    return not mine.isdisjoint(vouched.get(other, frozenset()) | {other})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """A redeem that is good by itself, and the line it spends from."""

    record: Record
    claim: Redeem
    purse: Purse
    own_key: bool
    """By the line's key; else by another key of that person."""

    @property
    def end(self) -> int:
        """What of the line is spent once this is."""
        return self.claim.total_before + self.claim.amount

    def overlaps(self, other: Spending) -> bool:
        """Whether both spend a unit of one line."""
        apart = (
            self.end <= other.claim.total_before or other.end <= self.claim.total_before
        )
        return self.purse.place == other.purse.place and not apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A record without a note, in its parts."""

    header: bytes
    claim: bytes
    signature: bytes

    def record(self) -> Record:
        """The record, checked as `decode_record` does; not its signature."""
        return build_record(self.header, self.claim, None, Signature(self.signature))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """What a customer hands over at the till: the voucher and one redeem of it."""

    voucher: Voucher
    redeem: Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Double:
    """A voucher and two redeems by its key that overlap, ids ascending."""

    voucher: Voucher
    first: Signed
    second: Signed


SIGNED: Shape[Signed] = struct(
    Signed, header=blob(1, HEADER_MAX), claim=blob(1, 256), signature=blob(64)
)
SLIP: Shape[Slip] = struct(Slip, voucher=VOUCHER, redeem=SIGNED)
DOUBLE: Shape[Double] = struct(Double, voucher=VOUCHER, first=SIGNED, second=SIGNED)


def purse_of(voucher: Voucher) -> Purse:
    """The line of a voucher, proven.

    Raises:
        ProtocolError: those of `check_voucher`.
    """
    claim = check_voucher(voucher)
    return Purse(
        close=voucher.close.id,
        line=voucher.index,
        payee=voucher.line.payee,
        amount=voucher.line.amount,
        redeem_until=claim.redeem_until,
    )


def judge_redeem(purse: Purse, record: Record, vouched: Vouched) -> Spending:
    """Whether a redeem is good by itself.

    Args:
        purse: the line it names.
        record: a redeem with its claim.
        vouched: who vouches for whom (`vouched_in`).

    Raises:
        ProtocolError: NO_AMOUNT, OVER_LINE, NOT_PAYEE, in this order.
    """
    claim: Redeem = record.claim()
    if claim.amount == 0:
        raise ProtocolError(Reason.NO_AMOUNT, "a redeem of nothing")
    if claim.total_before + claim.amount > purse.amount:
        raise ProtocolError(Reason.OVER_LINE, f"the line is {purse.amount}")
    signer, payee = record.author, purse.payee
    if not one_person(signer, payee, vouched):
        raise ProtocolError(Reason.NOT_PAYEE, signer.hex())
    return Spending(record=record, claim=claim, purse=purse, own_key=signer == payee)


def check_slip(slip: Slip, vouched: Vouched | None = None) -> Spending:
    """Check everything that a slip's own bytes show.

    Args:
        slip: what was handed over.
        vouched: as in `judge_redeem`; None: only the line's key is known.

    Raises:
        ProtocolError: the voucher's reasons; the redeem record's and
            BAD_SIGNATURE; BAD_PROOF, it is no redeem of this line; those of
            `judge_redeem`.
    """
    return _spending(purse_of(slip.voucher), slip.voucher, slip.redeem, vouched or {})


def check_spending(
    found: Spending,
    *,
    acceptors: Collection[AuthorKey] | None,
    now_ms: int,
    earlier: Iterable[Spending],
    owed: bool = False,
) -> None:
    """Whether a shop may accept a good redeem, or an issuer recognise it.

    Args:
        found: the redeem.
        acceptors: the keys of whoever accepts; None: it is the issuer.
        now_ms: the time of whoever asks.
        earlier: what it accepted, or recognised, before; of any line.
        owed: the issuer owes the acceptor for this very redeem, in full: no date and
            no other redeem of the line takes that away.

    Raises:
        ProtocolError: WRONG_ACCEPTOR, VOUCHER_EXPIRED, REDEEMED, OVERSPENT, in
            this order.
    """
    claim, place = found.claim, found.purse.place
    if acceptors is not None and claim.acceptor not in acceptors:
        raise ProtocolError(Reason.WRONG_ACCEPTOR, claim.acceptor.hex())
    if now_ms > found.purse.redeem_until and not owed:
        raise ProtocolError(Reason.VOUCHER_EXPIRED, str(found.purse.redeem_until))
    before = [one for one in earlier if one.purse.place == place]
    if any(
        one.record.id == found.record.id or one.claim.nonce == claim.nonce
        for one in before
    ):
        raise ProtocolError(Reason.REDEEMED, found.record.id.hex())
    for one in before:
        if one.overlaps(found) and not owed:
            raise ProtocolError(Reason.OVERSPENT, one.record.id.hex())


def make_slip(voucher: Voucher, record: Record) -> Slip:
    """The slip of a redeem that is here with its claim."""
    return Slip(voucher=voucher, redeem=_signed(record))


def slip_text(slip: Slip) -> str:
    """The text of the slip's QR code."""
    return encode_link(SLIP_LETTER, SLIP.write(slip))


def read_slip(text: str) -> Slip:
    """Read a slip's text; `check_slip` proves it.

    Raises:
        ProtocolError: BAD_CODE or BAD_SHAPE.
    """
    return SLIP.read(decode_lettered(text, SLIP_LETTER))


# double spending


def make_double(voucher: Voucher, one: Record, other: Record) -> Double:
    """The proof that two redeems overlap.

    Raises:
        ProtocolError: those of `check_double`, where it is none.
    """
    first, second = sorted((one, other), key=lambda record: record.id)
    proof = Double(voucher=voucher, first=_signed(first), second=_signed(second))
    check_double(proof)
    return proof


def check_double(proof: Double) -> tuple[Spending, Spending]:
    """Check that the line's key spent a part of its line twice.

    Only the line's own key: that another key is the same person's stands in no
    voucher.

    Raises:
        ProtocolError: those of `check_slip` for each redeem, the first first;
            BAD_PROOF, they are one, not ascending, or do not overlap.
    """
    purse = purse_of(proof.voucher)
    first, second = (
        _spending(purse, proof.voucher, one, {}) for one in (proof.first, proof.second)
    )
    if not first.record.id < second.record.id:
        raise ProtocolError(Reason.BAD_PROOF, "two redeems, ids ascending")
    if not first.overlaps(second):
        raise ProtocolError(Reason.BAD_PROOF, "they do not overlap")
    return first, second


def write_double(proof: Double) -> bytes:
    """The bytes of a proof."""
    return encode(DOUBLE.write(proof))


def read_double(data: bytes) -> Double:
    """Read a proof's bytes; `check_double` proves it.

    Raises:
        ProtocolError: the codec's reasons, BAD_SHAPE.
    """
    return DOUBLE.read(decode(data, LINK_MAX))


def double_text(proof: Double) -> str:
    """The text of a proof's QR code."""
    return encode_link(DOUBLE_LETTER, DOUBLE.write(proof))


def read_double_text(text: str) -> Double:
    """Read a proof's text; `check_double` proves it.

    Raises:
        ProtocolError: BAD_CODE or BAD_SHAPE.
    """
    return DOUBLE.read(decode_lettered(text, DOUBLE_LETTER))


def _signed(record: Record) -> Signed:
    assert record.claim_bytes is not None, "a redeem without its claim proves nothing"
    return Signed(
        header=record.header_bytes,
        claim=record.claim_bytes,
        signature=record.signature,
    )


def _spending(
    purse: Purse, voucher: Voucher, signed: Signed, vouched: Vouched
) -> Spending:
    record = signed.record()
    check_signature(record)
    header, close = record.header, voucher.close.header
    if record.kind != Kind.REDEEM:
        raise ProtocolError(Reason.BAD_PROOF, f"kind {record.kind} is no redeem")
    claim: Redeem = record.claim()
    same = (header.network, header.scope) == (close.network, close.scope)
    if not same or (claim.close, claim.line) != purse.place:
        raise ProtocolError(Reason.BAD_PROOF, "a redeem of another line")
    return judge_redeem(purse, record, vouched)
