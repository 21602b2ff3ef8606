"""Frames: a value or one error, and never a frame that is too large."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import limits
from protocols.codec import Value, encode
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof
from protocols.flow import batches
from protocols.keys import AuthorKey, NetworkId, RecordId, Scope, Signature
from protocols.wire import (
    FRAMES,
    Bucket,
    Bye,
    Card,
    Compare,
    Credit,
    Forks,
    Found,
    Frame,
    Graft,
    Have,
    HeadRow,
    Hello,
    NewHead,
    Node,
    Nonce,
    Peers,
    Ping,
    Pong,
    Prune,
    Push,
    Range,
    Records,
    Row,
    Scopes,
    Want,
    WantIds,
    decode_frame,
    encode_frame,
)

SCOPE = Scope(bytes(32))
ID = RecordId(bytes(32))
HANDLE = bytes(8)
CARD = Card(peer="12D3", addresses=("/ip4/1.2.3.4",), time_ms=1, signature=b"")
PROOF = ForkProof(
    header_a=b"a",
    signature_a=Signature(bytes(64)),
    header_b=b"b",
    signature_b=Signature(bytes(64)),
)
SAMPLES: list[Frame] = [
    Nonce(nonce=bytes(32)),
    Hello(version=1, network=NetworkId(bytes(16)), scopes=(), credit=0, card=CARD),
    Scopes(scopes=(bytes(16), b"\1" * 16)),
    Compare(
        scope=SCOPE,
        opener=True,
        root=bytes(8),
        start="",
        stop="0f",
        nodes=(Node(prefix="", mask=0b101, digests=bytes(2 * limits.DIGEST_SIZE)),),
        buckets=(Bucket(prefix="a", rows=(Row(name=bytes(12), seq=3, forked=True),)),),
        heads=(HeadRow(feed=HANDLE, seq=1, forked=False),),
    ),
    Want(scope=SCOPE, ranges=(Range(feed=HANDLE, start=0, stop=2**53 - 1),)),
    Records(scope=SCOPE, records=(b"r",), done=(HANDLE,)),
    WantIds(scope=SCOPE, ids=(ID,)),
    Found(scope=SCOPE, records=(b"r",)),
    Push(scope=SCOPE, records=(b"r",)),
    Forks(scope=SCOPE, proofs=(PROOF,)),
    Have(scope=SCOPE, heads=(NewHead(author=AuthorKey(ID), seq=1, id=ID),)),
    Graft(scope=SCOPE),
    Prune(scope=SCOPE),
    Credit(size=1),
    Peers(cards=(CARD,)),
    Ping(token=HANDLE),
    Pong(token=HANDLE),
    Bye(reason="stopping"),
]


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda f: type(f).__name__)
def test_frames_come_back(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


def test_every_frame_has_a_sample() -> None:
    assert [frame.tag for frame in SAMPLES] == sorted(FRAMES)


values: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, limits.INT_MAX)
    | st.binary(max_size=40)
    | st.text("0123456789abcdef/", max_size=20),
    lambda inner: st.lists(inner, max_size=10),
    max_leaves=40,
)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_frame_or_one_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except ProtocolError:
        return
    assert encode_frame(frame) == data


@pytest.mark.untraced
@given(st.sampled_from(sorted(FRAMES)), st.lists(values, max_size=9))
def test_any_fields_give_a_frame_or_one_error(tag: int, fields: list[Value]) -> None:
    data = encode([tag, *fields])
    try:
        frame = decode_frame(data)
    except ProtocolError as error:
        refused = error.reason
    else:
        assert encode_frame(frame) == data
        return
    assert refused is Reason.BAD_FRAME


@given(st.sampled_from(SAMPLES), st.data())
def test_any_flipped_byte_gives_a_frame_or_one_error(
    frame: Frame, data: st.DataObject
) -> None:
    raw = bytearray(encode_frame(frame))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        assert encode_frame(decode_frame(bytes(raw))) == bytes(raw)


REFUSED: list[tuple[str, list[Value]]] = [
    ("unknown tag", [99]),
    ("no tag", []),
    ("an empty range", [4, bytes(32), [[HANDLE, 3, 3]]]),
    ("scopes not ascending", [2, [bytes(16), bytes(16)]]),
    ("a prefix that is not hex", [3, SCOPE, True, HANDLE, "G", "", [], [], []]),
    ("digests without mask", [3, SCOPE, True, HANDLE, "", "", [["", 1, b""]], [], []]),
    (
        "seq at the limit",
        [3, SCOPE, True, HANDLE, "", "", [], [], [[HANDLE, 2**53 - 1, False]]],
    ),
    ("signature of 63", [14, [["p", [], 1, bytes(63)]]]),
]


@pytest.mark.parametrize(("why", "value"), REFUSED, ids=[w for w, _ in REFUSED])
def test_refused(why: str, value: list[Value]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_frame(encode(value))
    assert caught.value.reason is Reason.BAD_FRAME


@given(st.lists(st.integers(1, limits.RECORD_MAX), max_size=30))
def test_batches_fit_frames_and_lose_nothing(sizes: list[int]) -> None:
    wires = [bytes(size) for size in sizes]
    cut = list(batches([(wire,) for wire in wires]))
    assert [wire for batch in cut for wire in batch] == wires
    done = tuple(bytes(8) for _ in range(limits.WANTS_OPEN_MAX))
    for batch in cut:
        frame = Records(scope=SCOPE, records=batch, done=done)
        assert len(encode_frame(frame)) <= limits.FRAME_MAX


def test_the_largest_frames_fit() -> None:
    proof = ForkProof(
        header_a=bytes(limits.HEADER_MAX),
        signature_a=Signature(bytes(64)),
        header_b=bytes(limits.HEADER_MAX),
        signature_b=Signature(bytes(64)),
    )
    encode_frame(Forks(scope=SCOPE, proofs=(proof,) * limits.PROOFS_MAX))
    address = "a" * limits.ADDRESS_MAX
    card = Card(
        peer=address,
        addresses=(address,) * limits.ADDRESSES_MAX,
        time_ms=limits.INT_MAX,
        signature=bytes(64),
    )
    encode_frame(Peers(cards=(card,) * limits.CARDS_MAX))
    heads = (NewHead(author=AuthorKey(ID), seq=limits.INT_MAX - 1, id=ID),)
    encode_frame(Have(scope=SCOPE, heads=heads * limits.BATCH_RECORDS_MAX))
