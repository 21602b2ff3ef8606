"""Records and feeds: round trips, every refusal with its reason, fork proofs."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.claims import Enter, Kind, Reversal
from protocols.codec import Value, decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.feed import Head, check_fork, check_next, prove_fork
from protocols.keys import RecordId, Scope, Signature, network_id, preimage
from protocols.limits import CLAIM_MAX, HEADER_MAX, INT_MAX, NOTE_MAX, RECORD_MAX
from protocols.record import (
    HEADER,
    NO_BACKLINK,
    Header,
    Record,
    build_record,
    check_signature,
    decode_header,
    decode_record,
    encode_record,
    record_id,
    sign_record,
    without_parts,
)
from tests.worlds import NETWORK, key_of, salt_of

SCOPE = Scope(b"\x07" * 32)
ENTER = Enter(salt=bytes(range(16)))
NOTE = encode([bytes(16), "good tea"])


def signed(**changes) -> Record:
    fields = {
        "network": NETWORK,
        "scope": SCOPE,
        "seq": 0,
        "backlink": NO_BACKLINK,
        "time_ms": 1_800_000_000_000,
        "kind": Kind.ENTER,
        "claim": ENTER,
        "note": NOTE,
    }
    return sign_record(key_of("alice"), **{**fields, **changes})


def refused(data, *, decoder=decode_record):
    with pytest.raises(ProtocolError) as caught:
        decoder(data)
    return caught.value.reason


def wire(header=None, claim=b"", note=b"", signature=bytes(64)):
    good = signed()
    return encode(
        [
            encode(HEADER.write(header or good.header)),
            good.claim_bytes if claim == b"" else claim,
            good.note_bytes if note == b"" else note,
            signature,
        ]
    )


def test_a_record_comes_back_as_it_went():
    record = signed()
    again = decode_record(encode_record(record))
    check_signature(again)
    assert again == record
    assert again.claim() == ENTER


def test_a_records_id_is_the_hash_of_its_header_alone():
    record = signed()
    assert record.id == sha256(preimage("record", record.header_bytes)).digest()
    resigned = replace(record, signature=Signature(bytes(64)))
    assert decode_record(encode_record(resigned)).id == record.id
    with pytest.raises(ProtocolError) as caught:
        check_signature(resigned)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_a_record_stands_without_its_erased_parts():
    bare = without_parts(signed(), claim=True, note=True)
    again = decode_record(encode_record(bare))
    check_signature(again)
    assert (again.id, again.claim_bytes, again.note_bytes) == (bare.id, None, None)
    with pytest.raises(ProtocolError) as caught:
        again.claim()
    assert caught.value.reason is Reason.BAD_CLAIM


def header(**changes):
    return signed().header._replace(**changes)


REFUSALS = {
    "too large": (b"\xc4" * (RECORD_MAX + 1), Reason.TOO_LARGE),
    "not canonical": (b"\xc1", Reason.NOT_CANONICAL),
    "no record": (encode([1, 2]), Reason.BAD_SHAPE),
    "short signature": (wire(signature=bytes(63)), Reason.BAD_SHAPE),
    "header is text": (encode(["x", None, None, bytes(64)]), Reason.BAD_SHAPE),
    "header too large": (
        encode([bytes(HEADER_MAX + 1), None, None, bytes(64)]),
        Reason.BAD_SHAPE,
    ),
    "header not canonical": (
        encode([b"\xcc\x01", None, None, bytes(64)]),
        Reason.NOT_CANONICAL,
    ),
    "kind 64": (wire(header(kind=64)), Reason.BAD_SHAPE),
    "claim of no bytes": (wire(header(claim_size=0)), Reason.BAD_SHAPE),
    "version before genesis": (
        wire(header(version=2, seq=1)),
        Reason.WRONG_VERSION,
    ),
    "genesis above seq 0": (wire(header(seq=1)), Reason.WRONG_GENESIS),
    "scan at seq 0": (wire(header(kind=Kind.SCAN)), Reason.WRONG_GENESIS),
    "backlink at seq 0": (
        wire(header(backlink=RecordId(b"\1" * 32))),
        Reason.WRONG_BACKLINK,
    ),
    "hash of no note": (wire(header(note_size=0), note=None), Reason.WRONG_HASH),
    "another claim": (wire(claim=encode([bytes(16)])), Reason.WRONG_HASH),
    "claim of another size": (wire(header(claim_size=5)), Reason.WRONG_HASH),
    "another note": (wire(note=encode([bytes(16), "x"])), Reason.WRONG_HASH),
    "note of another size": (wire(header(note_size=5)), Reason.WRONG_HASH),
}


@pytest.mark.parametrize(("data", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_the_first_check_that_fails_names_the_reason(data, reason):
    assert refused(data) is reason


@pytest.mark.parametrize(
    ("claim", "note", "reason"),
    [
        (b"\xc1", None, Reason.NOT_CANONICAL),
        (encode([]), None, Reason.BAD_CLAIM),
        (encode(b"salt"), None, Reason.BAD_CLAIM),
        (encode([bytes(15)]), None, Reason.BAD_CLAIM),
        (encode([bytes(16), 1]), None, Reason.BAD_CLAIM),
        (encode([bytes(16)]), b"\xc1", Reason.NOT_CANONICAL),
        (encode([bytes(16)]), encode("note"), Reason.BAD_CLAIM),
        (encode([bytes(16)]), encode([bytes(15), "note"]), Reason.BAD_CLAIM),
        (encode([bytes(16)]), encode([bytes(16), b"any", [1]]), None),
    ],
)
def test_what_claim_and_note_hold_is_judged_last(claim, note, reason):
    head = header(
        claim_size=len(claim),
        claim_hash=sha256(claim).digest(),
        note_size=len(note or b""),
        note_hash=sha256(note or b"").digest(),
    )
    data = wire(head, claim, note)
    if reason is None:
        assert decode_record(data).header == head
    else:
        assert refused(data) is reason


@pytest.mark.parametrize("kind", [Kind.NET, 21, 63])
def test_a_reserved_kind_is_kept_whatever_it_says(kind):
    claim = encode([bytes(16), "from a later version", [1, [2]]])
    head = header(
        kind=kind,
        seq=3,
        backlink=RecordId(b"\1" * 32),
        claim_size=len(claim),
        claim_hash=sha256(claim).digest(),
    )
    assert decode_record(wire(head, claim)).claim()[1] == "from a later version"


def test_the_largest_record_fits_its_bound():
    head = header(
        seq=INT_MAX,
        backlink=RecordId(b"\xff" * 32),
        time_ms=INT_MAX,
        kind=21,
        claim_size=CLAIM_MAX,
        note_size=NOTE_MAX,
    )
    data = encode(HEADER.write(head))
    assert len(data) <= HEADER_MAX
    parts: list[Value] = [data, bytes(CLAIM_MAX), bytes(NOTE_MAX), bytes(64)]
    assert len(encode(parts)) <= RECORD_MAX


@given(st.binary(max_size=80))
def test_garbage_is_refused_and_nothing_else_happens(data):
    refused(data)
    refused(data, decoder=decode_header)


@given(st.data())
def test_a_changed_byte_never_passes_for_the_record(data):
    whole = bytearray(encode_record(signed()))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        check_signature(decode_record(bytes(whole)))


# feeds


def test_a_feed_grows_by_one_and_links_back():
    first = signed()
    check_next(None, first)
    head = Head(0, first.id)
    second = signed(
        seq=1,
        backlink=first.id,
        kind=Kind.REVERSAL,
        claim=Reversal(salt=salt_of(2), outcome=first.id, amount=1),
    )
    check_next(head, second)
    for at, reason in (
        (None, Reason.GAP),
        (Head(1, second.id), Reason.GAP),
        (Head(0, second.id), Reason.WRONG_BACKLINK),
    ):
        with pytest.raises(ProtocolError) as caught:
            check_next(at, second)
        assert caught.value.reason is reason


def test_two_headers_at_one_place_prove_a_fork():
    one, other = signed(), signed(time_ms=5)
    proof = prove_fork(one, other)
    assert proof == prove_fork(other, one)
    assert proof.ids == tuple(sorted((one.id, other.id)))
    assert (proof.author, proof.scope, proof.seq) == (one.author, SCOPE, 0)
    check_fork(proof, NETWORK)


@pytest.mark.parametrize(
    "other",
    [
        signed(),
        signed(scope=Scope(b"\x08" * 32)),
        signed(
            seq=1,
            backlink=RecordId(b"\1" * 32),
            kind=Kind.REVERSAL,
            claim=Reversal(salt=bytes(16), outcome=RecordId(bytes(32)), amount=1),
        ),
    ],
    ids=["itself", "another scope", "another seq"],
)
def test_what_is_no_fork_is_not_proven(other):
    with pytest.raises(ProtocolError) as caught:
        prove_fork(signed(), other)
    assert caught.value.reason is Reason.NOT_A_FORK


def test_a_changed_proof_fails():
    proof = prove_fork(signed(), signed(time_ms=5))
    swapped = replace(
        proof,
        header_a=proof.header_b,
        signature_a=proof.signature_b,
        header_b=proof.header_a,
        signature_b=proof.signature_a,
    )
    for changed, network, reason in (
        (swapped, NETWORK, Reason.NOT_A_FORK),
        (proof, network_id("other"), Reason.WRONG_NETWORK),
        (
            replace(proof, signature_b=Signature(bytes(64))),
            NETWORK,
            Reason.BAD_SIGNATURE,
        ),
        (replace(proof, header_a=b"\xc1"), NETWORK, Reason.NOT_CANONICAL),
    ):
        with pytest.raises(ProtocolError) as caught:
            check_fork(changed, network)
        assert caught.value.reason is reason


def test_parts_build_the_same_record():
    record = signed()
    parts = (record.header_bytes, record.claim_bytes, None, record.signature)
    assert build_record(*parts).id == record_id(record.header_bytes)


@given(st.integers(0, 400), st.integers(0, 255))
def test_reading_a_header_fast_says_what_reading_it_field_by_field_says(at, byte):
    good = signed().header_bytes
    data = good[: at % len(good)] + bytes([byte]) + good[at % len(good) + 1 :]
    slow = outcome(lambda: HEADER.read(decode(data, HEADER_MAX)))
    fast = outcome(lambda: decode_header(data))
    assert fast == slow or (isinstance(slow, Header) and fast[0] in OF_HEADERS)


OF_HEADERS = (
    *(Reason.WRONG_VERSION, Reason.WRONG_GENESIS),
    *(Reason.WRONG_BACKLINK, Reason.WRONG_HASH),
)


def outcome(read):
    try:
        return read()
    except ProtocolError as error:
        return error.reason, error.detail
