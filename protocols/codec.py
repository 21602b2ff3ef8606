"""Canonical MessagePack: one value, one encoding. Spec 0001.

Values are None, bool, int 0..2^53-1, bytes, str and lists of values. The
decoder bounds sizes before it allocates, then re-encodes and compares, so
every accepted input is the only spelling of its value.
"""

from __future__ import annotations

from collections.abc import Callable

import msgpack

from protocols.errors import ProtocolError, Reason
from protocols.limits import DEPTH_MAX, INT_MAX, LIST_MAX

Value = None | bool | int | bytes | str | list["Value"]

_pack: Callable[[Value], bytes] = msgpack.Packer(use_bin_type=True).pack
"""Kept: making one for each value costs as much as packing it."""


def encode(value: Value) -> bytes:
    """Return the canonical bytes of `value`.

    Raises:
        ProtocolError: NOT_CANONICAL for a type or integer outside the format,
            BAD_TEXT for text with control characters or lone surrogates.
    """
    _check(value, DEPTH_MAX)
    return _pack(value)


def encode_parts(parts: list[bytes | None]) -> bytes:
    """`encode` for byte strings and nil, in which there is nothing to check."""
    return _pack(parts)  # type: ignore[arg-type]


def decode(data: bytes, size_max: int) -> Value:
    """Return the value of canonical `data`, at most `size_max` bytes long.

    Raises:
        ProtocolError: TOO_LARGE, NOT_CANONICAL or BAD_TEXT, in this order.
    """
    return decode_fitting(data, size_max, _vouch_for_nothing)[0]


def decode_fitting(
    data: bytes, size_max: int, fits: Callable[[Value], bool]
) -> tuple[Value, bool]:
    """Return what `decode` does, and whether `fits` holds for it.

    Where it holds, nobody needs to walk through the value once more.

    Args:
        data: the bytes.
        size_max: how many of them there may be.
        fits: true only for values of the format; see `Shape.fits`.

    Raises:
        ProtocolError: as `decode` does.
    """
    if len(data) > size_max:
        raise ProtocolError(Reason.TOO_LARGE, f"{len(data)} > {size_max} bytes")
    try:
        value: Value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=len(data),
            max_bin_len=len(data),
            max_array_len=min(LIST_MAX, len(data)),
            max_map_len=0,
            max_ext_len=0,
        )
    except UnicodeDecodeError as error:
        raise ProtocolError(Reason.BAD_TEXT, "not UTF-8") from error
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise ProtocolError(Reason.NOT_CANONICAL, type(error).__name__) from error
    known = fits(value)
    if not known:
        _check(value, DEPTH_MAX)
    if _pack(value) != data:
        raise ProtocolError(Reason.NOT_CANONICAL, "not the shortest form")
    return value, known


def decode_known(data: bytes) -> Value:
    """The value in bytes that `decode` took before: nothing is checked."""
    value: Value = msgpack.unpackb(data)
    return value


def _vouch_for_nothing(_value: Value) -> bool:
    return False


def _check(value: object, depth: int) -> None:
    kind = type(value)
    if kind is int:
        if not 0 <= value <= INT_MAX:  # type: ignore[operator]
            raise ProtocolError(Reason.NOT_CANONICAL, "integer out of range")
    elif kind is str:
        check_text(value)  # type: ignore[arg-type]
    elif kind is list:
        if depth == 0 or len(value) > LIST_MAX:  # type: ignore[arg-type]
            raise ProtocolError(Reason.NOT_CANONICAL, "too deep or too long")
        for item in value:  # type: ignore[attr-defined]
            _check(item, depth - 1)
    elif kind is not bytes and kind is not bool and value is not None:
        raise ProtocolError(Reason.NOT_CANONICAL, kind.__name__)


def check_text(text: str) -> None:
    """Refuse text that is not UTF-8 or holds a C0, C1 or DEL character.

    Raises:
        ProtocolError: BAD_TEXT.
    """
    if text.isprintable():
        return
    if any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text):
        raise ProtocolError(Reason.BAD_TEXT, "control character")
