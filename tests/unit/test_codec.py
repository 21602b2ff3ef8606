"""The codec: every accepted input is the only spelling of its value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.limits import DEPTH_MAX, INT_MAX, LIST_MAX

CANONICAL = [
    ("c0", None),
    ("c2", False),
    ("c3", True),
    ("00", 0),
    ("7f", 127),
    ("cc80", 128),
    ("ccff", 255),
    ("cd0100", 256),
    ("ce00010000", 65_536),
    ("cf0000000100000000", 2**32),
    ("cf001fffffffffffff", INT_MAX),
    ("c400", b""),
    ("c403666f6f", b"foo"),
    ("a0", ""),
    ("a3666f6f", "foo"),
    ("a3e699ae", "普"),
    ("90", []),
    ("93010203", [1, 2, 3]),
    ("9291c0c3", [[None], True]),
]

REFUSED = {
    "nothing": ("", Reason.NOT_CANONICAL),
    "a byte too many": ("c0c0", Reason.NOT_CANONICAL),
    "a byte too few": ("92c0", Reason.NOT_CANONICAL),
    "never used": ("c1", Reason.NOT_CANONICAL),
    "5 in two bytes": ("cc05", Reason.NOT_CANONICAL),
    "5 in three bytes": ("cd0005", Reason.NOT_CANONICAL),
    "255 in three bytes": ("cd00ff", Reason.NOT_CANONICAL),
    "65,535 in five bytes": ("ce0000ffff", Reason.NOT_CANONICAL),
    "2^32-1 in nine bytes": ("cf00000000ffffffff", Reason.NOT_CANONICAL),
    "5, signed": ("d005", Reason.NOT_CANONICAL),
    "minus one": ("ff", Reason.NOT_CANONICAL),
    "minus one in two bytes": ("d0ff", Reason.NOT_CANONICAL),
    "2^53": ("cf0020000000000000", Reason.NOT_CANONICAL),
    "2^64-1": ("cfffffffffffffffff", Reason.NOT_CANONICAL),
    "a float": ("ca3f800000", Reason.NOT_CANONICAL),
    "a double": ("cb3ff0000000000000", Reason.NOT_CANONICAL),
    "foo with a long length": ("d903666f6f", Reason.NOT_CANONICAL),
    "foo with a longer length": ("da0003666f6f", Reason.NOT_CANONICAL),
    "bytes with a long length": ("c50003666f6f", Reason.NOT_CANONICAL),
    "bytes with a longer length": ("c600000003666f6f", Reason.NOT_CANONICAL),
    "an array with a long length": ("dc0000", Reason.NOT_CANONICAL),
    "an array with a longer length": ("dd00000000", Reason.NOT_CANONICAL),
    "a map": ("80", Reason.NOT_CANONICAL),
    "a map with a pair": ("8100c0", Reason.NOT_CANONICAL),
    "an extension": ("d40100", Reason.NOT_CANONICAL),
    "an empty extension": ("c70001", Reason.NOT_CANONICAL),
    "an empty timestamp": ("c700ff", Reason.NOT_CANONICAL),
    "a timestamp": ("d6ff00000000", Reason.NOT_CANONICAL),
    "a promise of 2^32 elements": ("ddffffffff", Reason.NOT_CANONICAL),
    "a promise of 2^32 bytes": ("c6ffffffff", Reason.NOT_CANONICAL),
    "not UTF-8": ("a1ff", Reason.BAD_TEXT),
    "an overlong slash": ("a2c0af", Reason.BAD_TEXT),
    "half a surrogate pair": ("a3eda080", Reason.BAD_TEXT),
    "a line feed": ("a10a", Reason.BAD_TEXT),
    "nul": ("a100", Reason.BAD_TEXT),
    "delete": ("a17f", Reason.BAD_TEXT),
    "a C1 control": ("a2c285", Reason.BAD_TEXT),
}


@pytest.mark.parametrize(("spelling", "value"), CANONICAL)
def test_each_value_has_one_spelling(spelling, value):
    data = bytes.fromhex(spelling)
    assert encode(value) == data
    assert decode(data, len(data)) == value


@pytest.mark.parametrize(("spelling", "reason"), REFUSED.values(), ids=REFUSED)
def test_any_other_spelling_is_refused(spelling, reason):
    with pytest.raises(ProtocolError) as caught:
        decode(bytes.fromhex(spelling), 1_000)
    assert caught.value.reason is reason


def test_size_is_judged_before_anything_else():
    with pytest.raises(ProtocolError) as caught:
        decode(b"\xc1\xc1", 1)
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("deeper", [0, 1, 100, 2_000])
def test_nesting_is_bounded(deeper):
    data = b"\x91" * (DEPTH_MAX - 1 + deeper) + b"\x90"
    if not deeper:
        assert encode(decode(data, 100)) == data
        return
    with pytest.raises(ProtocolError) as caught:
        decode(data, 5_000)
    assert caught.value.reason is Reason.NOT_CANONICAL


def test_arrays_are_bounded():
    assert len(encode([0] * LIST_MAX)) == LIST_MAX + 3
    for length in (LIST_MAX + 1, 60_000):
        with pytest.raises(ProtocolError):
            encode([0] * length)
        data = b"\xdc" + length.to_bytes(2, "big") + bytes(length)
        with pytest.raises(ProtocolError):
            decode(data, 70_000)


@pytest.mark.parametrize("value", [-1, 2**53, 1.0, (1,), {}, bytearray(b"x"), "\ud800"])
def test_what_has_no_spelling_is_not_written(value):
    with pytest.raises(ProtocolError):
        encode([value])


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, INT_MAX)
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@given(values)
def test_values_come_back_as_they_went(value):
    assert decode(encode(value), 100_000) == value


def read(data):
    """The value, after its only spelling was checked; None if refused."""
    try:
        value = decode(data, 100)
    except ProtocolError:
        return None
    assert encode(value) == data
    return value


@given(st.binary(max_size=60))
def test_bytes_are_a_value_or_one_error(data):
    read(data)


@given(values, st.data())
def test_a_changed_byte_is_another_value_or_one_error(value, data):
    whole = encode([value])
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    found = read(changed)
    # True == 1 in Python, not on the wire
    assert found is None or repr(found) != repr([value])
