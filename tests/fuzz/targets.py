"""Every door through which bytes or text of strangers become values.

A target reads bytes: it returns a value, or raises the one error it promises,
and nothing else. Where one value has one spelling, `write` gives back the very
bytes that were read. Seeds come from `protocols/vectors`.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio
from starlette.requests import Request

from p2pnode import tag_file, terms_file
from p2pnode.api.app import json_body
from p2pnode.api.routes import GROUPS
from p2pnode.failures import Failure
from p2pnode.toml_table import decode_text
from protocols.bundle import read_bundle
from protocols.claims import CLAIMS, Kind, check_note, read_claim, write_claim
from protocols.codec import Value, decode, decode_fitting, encode
from protocols.errors import ProtocolError, Reason
from protocols.feed import check_fork
from protocols.framing import Deframer, frame
from protocols.genesis import check_genesis
from protocols.invite_link import invite_link_text, read_invite_link
from protocols.join import CARD, INVITE, check_card
from protocols.keys import Scope, Seed, SigningKey, network_id
from protocols.limits import FRAME_MAX, NOTE_MAX
from protocols.proof import check_proof
from protocols.record import (
    HEADER,
    WIRE,
    Record,
    check_signature,
    decode_header,
    decode_record,
    encode_record,
)
from protocols.settlement.cut import CUT_ENTRY, FORK_ENTRY, LINE, ROW
from protocols.settlement.redeem import (
    check_double,
    check_slip,
    double_text,
    read_double,
    read_double_text,
    read_slip,
    slip_text,
    write_double,
)
from protocols.settlement.voucher import (
    VOUCHER,
    check_voucher,
    read_voucher,
    voucher_text,
)
from protocols.shape import Shape
from protocols.tags.code import CODE, About, code_text, read_code
from protocols.tags.entry import ENTRY, EVIDENCE
from protocols.terms import TERMS, check_terms
from protocols.text import (
    LINK_MAX,
    Letter,
    author_text,
    campaign_text,
    decode_link,
    encode_link,
    read_author,
    read_campaign,
    read_tag,
    tag_text,
)
from protocols.wire import decode_frame, encode_frame
from tests import nodes
from tests.fuzz.mutate import SIZE_MAX
from tests.nodes import TERMS as TERMS_FILE

ROOT: Final = Path(__file__).parents[2]
VECTORS: Final = ROOT / "protocols" / "vectors"
TEMPLATES: Final = ROOT / "p2pnode" / "templates"
NETWORK: Final = network_id("test")
KEY: Final = SigningKey(Seed(bytes(32))).author


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One door."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes] | None = None
    """None: several spellings are one value, or there is nothing to write."""
    plain: Callable[[bytes], bytes] = bytes
    """The one spelling among those that a person may type."""
    refuses: type[Exception] = ProtocolError
    seeds: tuple[bytes, ...] = ()
    covers: tuple[str, ...] = field(default=())
    """Public functions of `protocols` that take strangers' bytes and are here."""

    def check(self, data: bytes) -> bool:
        """Read; whether it was a value.

        Raises:
            AssertionError: the value has another spelling.
            Exception: whatever should never come out.
        """
        try:
            value = self.read(data)
        except self.refuses:
            return False
        if self.write is not None:
            assert self.write(value) == self.plain(data), "another spelling"
        return True


# ---------------------------------------------------------------------- seeds


@functools.cache
def _cases() -> tuple[Mapping[str, Any], ...]:
    files = sorted(VECTORS.glob("*.json"))
    return tuple(case for f in files for case in json.loads(f.read_bytes())["cases"])


def seeds(op: str, name: str = "bytes") -> tuple[bytes, ...]:
    """What the vectors of an operation are about, the refused ones too."""
    found = [case["in"][name] for case in _cases() if case["op"] == op]
    if name == "text":
        return tuple(text.encode("utf-8", "surrogatepass") for text in found)
    if name == "base64":
        return tuple(map(base64.b64decode, found))
    return tuple(map(bytes.fromhex, found))


def _records() -> list[Record]:
    """The records of the vectors that are well-formed."""
    found = []
    for one in seeds("record"):
        try:
            found.append(decode_record(one))
        except ProtocolError:
            continue
    return found


def _claims() -> tuple[bytes, ...]:
    """A kind, then a claim."""
    cases = [case["in"] for case in _cases() if case["op"] == "claim"]
    bad = [bytes([c["kind"] % 256]) + bytes.fromhex(c["bytes"]) for c in cases]
    return (*bad, *(bytes([r.kind]) + (r.claim_bytes or b"") for r in _records()))


def _linked(shape: Shape[Any], op: str) -> tuple[bytes, ...]:
    """The bytes inside the links of an operation."""
    found = []
    for text in seeds(op, "text"):
        try:
            value = decode_link(_text(text))[1]
            found.append(encode(shape.write(shape.read(value))))
        except ProtocolError:
            continue
    return tuple(found)


# ---------------------------------------------------------------------- doors


def _text(data: bytes) -> str:
    """Text as a command line hands it on, with bytes that are none."""
    return data.decode("utf-8", "surrogateescape")


def _upper(data: bytes) -> bytes:
    return _text(data).strip().upper().encode()


def _lower(data: bytes) -> bytes:
    return _text(data).strip().lower().encode()


def vouched(shape: Shape[Any], data: bytes) -> Value:
    """Decode; what a shape vouches for really is one of its values.

    Raises:
        ProtocolError: as `decode` does.
        AssertionError: it is none.
    """
    value, known = decode_fitting(data, SIZE_MAX, shape.fits)
    if known:
        try:
            shape.read(decode(data, SIZE_MAX))
        except ProtocolError as fault:
            raise AssertionError("vouched for what is no value") from fault
    return value


def _shaped(
    shape: Shape[Any],
    found: tuple[bytes, ...],
    check: Callable[[Any], object] | None = None,
) -> Target:
    """A shape behind the codec."""

    def read(data: bytes) -> Any:
        value = shape.read(vouched(shape, data))
        if check is not None:
            check(value)
        return value

    return Target(
        read=read, write=lambda value: encode(shape.write(value)), seeds=found
    )


def _said(op: str, name: str) -> tuple[bytes, ...]:
    """Rows of a list that the vectors of an operation come to."""
    outs = [case.get("out") or {} for case in _cases() if case["op"] == op]
    found = [row for out in outs for row in out.get(name) or ()]
    return tuple(dict.fromkeys(encode(_plain(row)) for row in found))


def _plain(value: Any) -> Any:
    """A value as JSON vectors write it: bytes are {"bin": hex}."""
    if isinstance(value, dict):
        return bytes.fromhex(value["bin"])
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _rows() -> tuple[bytes, ...]:
    """The rows of the settlements."""
    outs = [case.get("out") or {} for case in _cases() if case["op"] == "settle"]
    rounds = [one for out in outs for one in out.get("rounds", ())]
    found = [row for one in rounds for row in one.get("rows", ())]
    return tuple(dict.fromkeys(encode(_plain(row)) for row in found))


_TAGS: Final = (encode([["g", []]]), encode([]))
_LINE: Final = (encode([bytes(32), 0]),)


def _read_claim(data: bytes) -> tuple[int, Any]:
    kind, claim = (data[0], data[1:]) if data else (0, b"")
    shape = CLAIMS.get(kind)  # type: ignore[call-overload]
    if shape is not None:
        vouched(shape, claim)
    return kind, read_claim(kind, claim)


def _write_claim(found: tuple[int, Any]) -> bytes:
    kind, claim = found
    known = kind in CLAIMS
    return bytes([kind]) + (write_claim(Kind(kind), claim) if known else encode(claim))


def _read_frame(data: bytes) -> Any:
    found = decode_frame(data)
    for proof in getattr(found, "proofs", ()):
        try:
            check_fork(proof, NETWORK)
        except ProtocolError:
            continue
    return found


def _read_signed(data: bytes) -> Any:
    record = decode_record(data)
    if record.claim_bytes is not None:
        record.claim()
    check_genesis(record)
    check_signature(record)
    return record


def _read_bundle(data: bytes) -> Any:
    return read_bundle(data[i : i + 1_000] for i in range(0, len(data), 1_000))


def _read_proof(data: bytes) -> Any:
    return check_proof(data[i : i + 1_000] for i in range(0, len(data), 1_000))


def _read_frames(data: bytes) -> list[bytes]:
    """However the bytes are cut, the same frames or the same refusal."""
    ways = [_cut(data, size) for size in (1, 7, max(len(data), 1))]
    assert ways.count(ways[0]) == len(ways), "cut differently, read differently"
    if isinstance(ways[0], Reason):
        raise ProtocolError(ways[0], "")
    return ways[0]


def _cut(data: bytes, size: int) -> list[bytes] | Reason:
    deframer, found = Deframer(), list[bytes]()
    try:
        for start in range(0, len(data), size):
            found += deframer.feed(data[start : start + size])
    except ProtocolError as fault:
        return fault.reason
    return found


def _read_voucher(data: bytes) -> Any:
    voucher = read_voucher(_text(data))
    try:
        check_voucher(voucher)
    except ProtocolError:
        return voucher
    return voucher


def _read_slip(data: bytes) -> Any:
    slip = read_slip(_text(data))
    with suppress(ProtocolError):
        check_slip(slip)
    return slip


def _read_double(data: bytes) -> Any:
    proof = read_double(data)
    with suppress(ProtocolError):
        check_double(proof)
    return proof


def _double_texts() -> tuple[bytes, ...]:
    return tuple(
        encode_link(Letter.DOUBLE, decode(one, LINK_MAX)).encode()
        for one in seeds("double")
        if len(one) > 1
    )


def _compile(data: bytes) -> Any:
    return terms_file.compile_terms(
        decode_text(data, "campaign.toml"),
        network=NETWORK,
        nonce=bytes(16),
        read_file=lambda _name: _tag_file(),
        own=[KEY],
    )


def _json_body(data: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": data, "more_body": False}

    return trio.run(json_body, Request({"type": "http", "headers": []}, receive))


def _try_card(card: Any) -> None:
    """A card's signature may well be false: the right error, or none."""
    try:
        check_card(card, NETWORK, Scope(bytes(32)))
    except ProtocolError:
        return


def _ids(
    read: Callable[[str], Any], write: Callable[[Any], str], *covers: str
) -> Target:
    return Target(
        read=lambda data: read(_text(data)),
        write=lambda found: write(found).encode(),
        plain=_lower,
        seeds=(write(bytes(range(32))).encode(), *seeds("id-text", "text")),
        covers=covers,
    )


@functools.cache
def _tag_file() -> bytes:
    key = SigningKey(Seed(bytes(32)))
    return tag_file.dump(tag_file.make(key, "balloons", ["a", "b"], 2, bytes, About()))


def _terms_files() -> tuple[bytes, ...]:
    """Filled in, and as people find them."""
    whole = TERMS_FILE.format(
        me=author_text(KEY), title='"t"', seen="1s", rounds=nodes.ROUNDS
    ).encode()
    found = (each.read_bytes() for each in sorted(TEMPLATES.glob("*.toml")))
    return (whole, b"\xef\xbb\xbf" + whole, whole.replace(b"\n", b"\r\n"), *found)


TARGETS: Final[dict[str, Target]] = {
    "codec": Target(
        read=lambda data: decode(data, FRAME_MAX),
        write=encode,
        seeds=seeds("decode"),
        covers=("codec.decode", "codec.decode_fitting"),
    ),
    "frames": Target(
        read=_read_frame,
        write=encode_frame,
        seeds=seeds("frame"),
        covers=("wire.decode_frame",),
    ),
    "framing": Target(read=_read_frames, seeds=(*seeds("frames"), frame(b"x") * 3)),
    "records, outside": _shaped(WIRE, seeds("record")),
    "headers, inside": _shaped(HEADER, tuple(one.header_bytes for one in _records())),
    "records": Target(
        read=decode_record,
        write=encode_record,
        seeds=seeds("record"),
        covers=("record.decode_record",),
    ),
    "signed records": Target(read=_read_signed, seeds=seeds("record")),
    "headers": Target(
        read=decode_header,
        write=lambda header: encode(HEADER.write(header)),
        seeds=tuple(record.header_bytes for record in _records()),
        covers=("record.decode_header",),
    ),
    "claims": Target(
        read=_read_claim,
        write=_write_claim,
        seeds=_claims(),
        covers=("claims.read_claim",),
    ),
    "notes": Target(
        read=lambda data: check_note(data, NOTE_MAX),
        seeds=(encode([bytes(16), "a note"]),),
    ),
    "bundles": Target(
        read=_read_bundle,
        seeds=seeds("bundle", "base64"),
        covers=("bundle.read_bundle",),
    ),
    "proofs": Target(
        read=_read_proof,
        seeds=seeds("proof", "base64"),
        covers=("proof.read_proof", "bundle.read_records"),
    ),
    "terms": _shaped(TERMS, seeds("terms"), check_terms),
    "invites": _shaped(INVITE, seeds("invite")),
    "cards": _shaped(CARD, seeds("card"), _try_card),
    "tag entries": _shaped(ENTRY, seeds("entry")),
    "tag evidence": _shaped(EVIDENCE, seeds("evidence", "evidence")),
    "tag codes, inside": _shaped(CODE, _linked(CODE, "code")),
    "vouchers, inside": _shaped(VOUCHER, _linked(VOUCHER, "voucher")),
    "cut entries": _shaped(CUT_ENTRY, _said("cover", "cut")),
    "fork entries": _shaped(FORK_ENTRY, _said("cover", "forks")),
    "rows": _shaped(ROW, _rows()),
    "statement lines": _shaped(LINE, _LINE),
    "published tags": _shaped(GROUPS, _TAGS),
    "links": Target(
        read=lambda data: decode_link(_text(data)),
        write=lambda found: encode_link(*found).encode(),
        plain=_upper,
        seeds=seeds("link", "text"),
        covers=("text.decode_link",),
    ),
    "invite links": Target(
        read=lambda data: read_invite_link(_text(data)),
        write=lambda link: invite_link_text(link).encode(),
        plain=_upper,
        seeds=seeds("invite-link", "text"),
        covers=("invite_link.read_invite_link",),
    ),
    "tag codes": Target(
        read=lambda data: read_code(_text(data)),
        write=lambda code: code_text(code).encode(),
        plain=_upper,
        seeds=seeds("code", "text"),
        covers=("tags.code.read_code",),
    ),
    "vouchers": Target(
        read=_read_voucher,
        write=lambda voucher: voucher_text(voucher).encode(),
        plain=_upper,
        seeds=seeds("voucher", "text"),
        covers=("settlement.voucher.read_voucher", "text.decode_lettered"),
    ),
    "slips": Target(
        read=_read_slip,
        write=lambda slip: slip_text(slip).encode(),
        plain=_upper,
        seeds=seeds("slip", "text"),
        covers=("settlement.redeem.read_slip",),
    ),
    "double spendings": Target(
        read=_read_double,
        write=write_double,
        seeds=seeds("double"),
        covers=("settlement.redeem.read_double",),
    ),
    "double spendings, as text": Target(
        read=lambda data: read_double_text(_text(data)),
        write=lambda proof: double_text(proof).encode(),
        plain=_upper,
        seeds=_double_texts(),
        covers=("settlement.redeem.read_double_text",),
    ),
    "author ids": _ids(read_author, author_text, "text.read_author", "text.decode_id"),
    "campaign ids": _ids(read_campaign, campaign_text, "text.read_campaign"),
    "tag ids": _ids(read_tag, tag_text, "text.read_tag"),
    "terms files": Target(read=_compile, refuses=Failure, seeds=_terms_files()),
    "tag files": Target(
        read=lambda data: tag_file.parse(data, "t.tags"),
        refuses=Failure,
        seeds=(_tag_file(),),
    ),
    "request bodies": Target(
        read=_json_body,
        refuses=Failure,
        seeds=(b'{"code": "P2P:T/AAAA"}', b'{"uses": 1}'),
    ),
}
"""Every door, by name."""
