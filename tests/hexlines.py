"""Bytes for people: canonical values as lines of hex, one name each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from protocols.codec import Value, encode

NAME_WIDTH = 28
"""Columns of a name with its indent; the longest takes 26."""

HEX_WIDTH = 64
"""Hex digits in a line: 32 bytes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes and what they are."""

    depth: int
    name: str
    head: bytes
    """Type and length."""
    body: bytes
    said: str = ""
    """Words beside it."""
    folded: bool = False
    """Not printed again."""


def block(item: Any, value: Value, known: Mapping[bytes, str]) -> str:
    """The lines of a dataclass and its wire value; they join to its encoding.

    Args:
        item: the dataclass, for the names.
        value: what its shape wrote.
        known: encodings or keys that have a name already.
    """
    pieces = list(_pieces(0, "", item, value, known))
    assert b"".join(p.head + p.body for p in pieces) == encode(value)
    return "\n".join(line for piece in pieces for line in _lines(piece))


def _pieces(
    depth: int, name: str, item: Any, value: Value, known: Mapping[bytes, str]
) -> Iterator[Piece]:
    data = encode(value)
    if isinstance(value, list) and data in known:
        said = f"{known[data]}, {len(data)} bytes"
        yield Piece(depth, name, b"", data, said, folded=True)
    elif isinstance(value, list):
        inner = b"".join(encode(each) for each in value)
        head = data[: len(data) - len(inner)]
        yield Piece(depth, name, head, b"", f"array of {len(value)}")
        for label, part, each in _members(item, value):
            yield from _pieces(depth + 1, label, part, each, known)
    else:
        body = _body(value)
        said = _said(value, known)
        yield Piece(depth, name, data[: len(data) - len(body)], body, said)


def _members(item: Any, value: Sequence[Value]) -> Iterator[tuple[str, Any, Value]]:
    """Each element of an array with its name and what it was written from."""
    if is_dataclass(item):
        names = [field.name for field in fields(item) if field.init]
        parts = [getattr(item, name) for name in names]
        if len(value) == len(names) + 1:
            variant = getattr(item, "tag", None)
            names, parts = ["variant", *names], [variant, *parts]
    else:
        parts = [*item]
        names = [*getattr(item, "_fields", map(str, range(len(parts))))]
    for name, part, each in zip(names, parts, value, strict=True):
        if isinstance(part, bytes | str | int):
            assert part == each, f"{name} stands in another place"
        yield name, part, each


def _body(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


def _said(value: Value, known: Mapping[bytes, str]) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}" if value < 10**9 else str(value)
        case str():
            return f'"{value}"'
        case bytes():
            return known.get(value, "")
        case _:
            return ""


def _lines(piece: Piece) -> Iterator[str]:
    label = "  " * piece.depth + piece.name
    assert len(label) < NAME_WIDTH, f"{label} is too long a name"
    if piece.folded:
        yield f"{label:{NAME_WIDTH}}({piece.said})"
        return
    head, body = piece.head.hex(), piece.body.hex()
    rows = [body[at : at + HEX_WIDTH] for at in range(0, len(body), HEX_WIDTH)] or [""]
    for place, row in enumerate(rows):
        left = label if place == 0 else ""
        digits = f"{head if place == 0 else '':{len(head)}} {row}".strip()
        if place and head:
            digits = " " * (len(head) + 1) + digits
        said = f"  # {piece.said}" if piece.said and place == len(rows) - 1 else ""
        yield f"{left:{NAME_WIDTH}}{digits}{said}".rstrip()
