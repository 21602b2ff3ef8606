"""New inputs out of old ones: bytes changed, values changed, spellings changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from protocols.codec import Value, decode, encode
from protocols.errors import ProtocolError
from protocols.limits import INT_MAX

SIZE_MAX: Final = 70_000

TREASURES: Final[tuple[bytes, ...]] = (
    b"\xc0", b"\xc2", b"\xc3", b"\x80", b"\xc1", b"\xff", b"\xcc\x05", b"\xd0\xff",
    b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00", b"\xcf" + b"\xff" * 8,
    b"\xca\x7f\xc0\x00\x00", b"\xcb\x7f\xf8" + bytes(6), b"\xd4\x01\x00",
    b"\xc7\x00\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
    b"\xdc\x00\x01", b"\xa1\xff", b"\xa2\xc0\xaf", b"\xa3\xed\xa0\x80", b"\xa1\x00",
    b"\x91" * 40, b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
    "\u202e".encode(), "\u200b".encode(), b"\x1b[2J", b"=cmd|' /C calc'!A0",
    "\ufeff".encode(), "\u0130\u017f".encode(), b"\r\n",
)  # fmt: skip
"""Bytes with a history."""

VALUES: Final[tuple[Value, ...]] = (
    None, True, False, 0, 1, 2**31, 2**32, 2**53 - 1, b"", bytes(32), b"\xff" * 32,
    bytes(64), "", "a", "é", "e\u0301", "x" * 1_024, [], [None], [[]], [0] * 40,
)  # fmt: skip
"""Values with a history."""


def mutate(data: bytes, dice: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`data` after one to four changes."""
    for _ in range(dice.randint(1, 4)):
        change = dice.choice(CHANGES)
        data = change(data, dice)
        if others and dice.random() < 0.1:
            data = _spliced(data, dice.choice(others), dice)
    return data[:SIZE_MAX]


def _flip(data: bytes, dice: random.Random) -> bytes:
    if not data:
        return b"\x00"
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ dice.randint(1, 255)]) + data[at + 1 :]


def _cut(data: bytes, dice: random.Random) -> bytes:
    start, stop = sorted(dice.randint(0, len(data)) for _ in range(2))
    return data[:start] + data[stop:]


def _again(data: bytes, dice: random.Random) -> bytes:
    start = dice.randint(0, len(data))
    piece = data[start : start + dice.randint(0, 64)]
    return data[:start] + piece * dice.randint(2, 9) + data[start:]


def _insert(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(TREASURES) + data[at:]


def _overwrite(data: bytes, dice: random.Random) -> bytes:
    at, treasure = dice.randint(0, len(data)), dice.choice(TREASURES)
    return data[:at] + treasure + data[at + len(treasure) :]


def _spliced(data: bytes, other: bytes, dice: random.Random) -> bytes:
    return data[: dice.randint(0, len(data))] + other[dice.randint(0, len(other)) :]


def _restructured(data: bytes, dice: random.Random) -> bytes:
    """Another value of nearly the same shape, well spelled."""
    try:
        return encode(_changed(decode(data, SIZE_MAX), dice))
    except ProtocolError:
        return _flip(data, dice)


def _changed(value: Any, dice: random.Random) -> Any:
    """The value with one thing in it changed."""
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        match dice.randint(0, 9):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value[:at], value[at], *value[at:]]
            case 2:
                return value[::-1]
            case _:
                return [*value[:at], _changed(value[at], dice), *value[at + 1 :]]
    if isinstance(value, bytes | str) and value and dice.random() < 0.5:
        return value[1:] if dice.random() < 0.5 else value * 2
    if type(value) is int and dice.random() < 0.5:
        return min(max(0, value + dice.choice((-1, 1, 256))), INT_MAX)
    return dice.choice(VALUES)


CHANGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    _flip, _flip, _cut, _again, _insert, _overwrite, _restructured, _restructured,
)  # fmt: skip
