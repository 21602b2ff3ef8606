"""Vouchers: one line of a close that proves itself. Spec 0009 §5.

Line, Merkle path and the signed close in one QR of about 0.8 kB. It is the
sponsor's word, provable to anybody; it is not collateral.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.claims import Close, Kind
from protocols.codec import Value
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey
from protocols.merkle import Tree, check_path, path
from protocols.record import Record, build_record, check_signature
from protocols.settlement.cut import LINE, StatementLine
from protocols.shape import Shape, blob, listof, struct, uint
from protocols.text import Letter, decode_lettered, encode_link

LETTER = Letter.VOUCHER
PATH_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """One payee's line with its proof."""

    line: StatementLine
    index: int
    path: tuple[bytes, ...]
    header: bytes
    claim: bytes
    signature: bytes

    @property
    def close(self) -> Record:
        """The signed close it rests on."""
        return build_record(self.header, self.claim, None, self.signature)

    @property
    def issuer(self) -> AuthorKey:
        """Who owes it: the close's author."""
        return self.close.author


VOUCHER: Shape[Voucher] = struct(
    Voucher,
    line=LINE,
    index=uint(),
    path=listof(blob(32), PATH_MAX),
    header=blob(1, 1_024),
    claim=blob(1, 2_048),
    signature=blob(64),
)


def make_voucher(
    close: Record, lines: Sequence[StatementLine], payee: AuthorKey
) -> Voucher | None:
    """The voucher of `payee` in a close with these lines, or None."""
    index = next((i for i, line in enumerate(lines) if line.payee == payee), None)
    if index is None or close.claim_bytes is None:
        return None
    leaves: list[Value] = [LINE.write(line) for line in lines]
    return Voucher(
        line=lines[index],
        index=index,
        path=path(Tree.STATEMENT, leaves, index),
        header=close.header_bytes,
        claim=close.claim_bytes,
        signature=close.signature,
    )


def check_voucher(voucher: Voucher) -> Close:
    """Check that the close is signed and contains the line.

    Whether the issuer is the sponsor of a campaign stands in that campaign's
    terms, not here.

    Raises:
        ProtocolError: the record's reasons, BAD_SIGNATURE, BAD_PROOF.
    """
    close = voucher.close
    check_signature(close)
    if close.kind != Kind.CLOSE:
        raise ProtocolError(Reason.BAD_PROOF, "not a close")
    claim: Close = close.claim()
    leaf = LINE.write(voucher.line)
    check_path(
        Tree.STATEMENT,
        leaf,
        voucher.index,
        claim.lines,
        voucher.path,
        claim.statement_root,
    )
    return claim


def voucher_text(voucher: Voucher) -> str:
    """The text of the voucher's QR code."""
    return encode_link(LETTER, VOUCHER.write(voucher))


def read_voucher(text: str) -> Voucher:
    """Read a voucher's text; `check_voucher` proves it.

    Raises:
        ProtocolError: BAD_CODE or BAD_SHAPE.
    """
    return VOUCHER.read(decode_lettered(text, LETTER))
