"""Frames: every cut of the stream gives the same payloads, nothing grows."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ProtocolError, Reason
from protocols.framing import LENGTH_SIZE, Deframer, frame
from protocols.limits import FRAME_MAX

payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


def test_the_example_of_the_module() -> None:
    assert frame(b"foo") == bytes.fromhex("00000003666f6f")


@pytest.mark.parametrize("size", [1, FRAME_MAX])
def test_the_smallest_and_the_largest_payload_pass(size: int) -> None:
    assert Deframer().feed(frame(bytes(size))) == [bytes(size)]


@pytest.mark.parametrize("size", [0, FRAME_MAX + 1])
def test_frame_refuses_other_sizes(size: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        frame(bytes(size))
    assert caught.value.reason is Reason.FRAME_SIZE


@pytest.mark.parametrize("size", [0, FRAME_MAX + 1, 2**32 - 1])
def test_a_faulty_length_is_refused_before_its_payload_arrives(size: int) -> None:
    deframer = Deframer()
    with pytest.raises(ProtocolError) as caught:
        deframer.feed(size.to_bytes(LENGTH_SIZE, "big"))
    assert caught.value.reason is Reason.FRAME_SIZE


def test_after_a_fault_nothing_is_read_any_more() -> None:
    deframer = Deframer()
    with pytest.raises(ProtocolError):
        deframer.feed(bytes(LENGTH_SIZE))
    with pytest.raises(ProtocolError):
        deframer.feed(frame(b"fine"))
    assert not deframer.incomplete


@given(payloads, st.data())
def test_pieces_of_any_size_give_the_same_payloads(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, sent))
    deframer, received = Deframer(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += deframer.feed(stream[:cut])
        stream = stream[cut:]
    assert received == sent
    assert not deframer.incomplete


@given(st.binary(max_size=2_000))
def test_garbage_parses_or_raises_one_error(garbage: bytes) -> None:
    received: list[bytes] = []
    with contextlib.suppress(ProtocolError):
        received = Deframer().feed(garbage)
    assert garbage.startswith(b"".join(map(frame, received)))


@given(payloads)
def test_it_keeps_at_most_one_incomplete_frame(sent: list[bytes]) -> None:
    deframer = Deframer()
    deframer.feed(b"".join(map(frame, sent)) + frame(bytes(FRAME_MAX))[:-1])
    assert deframer.incomplete
    assert deframer.feed(b"\0") == [bytes(FRAME_MAX)]
    assert not deframer.incomplete
