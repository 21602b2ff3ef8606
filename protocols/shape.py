"""Shapes: one declaration that bounds, reads and writes a positional array.

A shape turns a decoded `Value` into a typed Python value or raises BAD_SHAPE,
and back. Claims, frames and terms are declared with them once, so the format,
its bounds and both directions cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import call
from typing import Any, Generic, TypeVar, cast

from protocols.codec import Value
from protocols.errors import ProtocolError, Reason
from protocols.limits import INT_MAX, LIST_MAX, TEXT_MAX

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """How one value stands on the wire.

    `read` raises ProtocolError BAD_SHAPE; `write` trusts its argument. `fits`
    builds nothing and is true only for a value that the codec's checks and
    `read` take; false says that they have to look.
    """

    name: str
    read: Callable[[Value], T]
    write: Callable[[T], Value]
    fits: Callable[[Value], bool]


def _plain(name: str, fits: Callable[[Any], bool]) -> Shape[Any]:
    """A shape whose values are written as they are."""

    def read(value: Value) -> Value:
        if not fits(value):
            raise _bad(name, value)
        return value

    return Shape(name, read, lambda value: value, fits)


def _bad(name: str, value: Value) -> ProtocolError:
    return ProtocolError(Reason.BAD_SHAPE, f"{name}, not {type(value).__name__}")


def uint(maximum: int = INT_MAX, minimum: int = 0) -> Shape[int]:
    """An integer minimum..maximum."""
    name = f"uint {minimum}..{maximum}"

    def fits(value: Any) -> bool:
        return type(value) is int and minimum <= value <= maximum

    return replace(_plain(name, fits), write=int)


def flag() -> Shape[bool]:
    """True or false."""
    return _plain("bool", lambda value: type(value) is bool)


def blob(size: int, maximum: int | None = None) -> Shape[bytes]:
    """Exactly `size` bytes, or `size`..`maximum` bytes."""
    top = size if maximum is None else maximum
    name = f"bin {size}" if maximum is None else f"bin {size}..{maximum}"

    def fits(value: Any) -> bool:
        return type(value) is bytes and size <= len(value) <= top

    return _plain(name, fits)


def text(bytes_max: int = TEXT_MAX) -> Shape[str]:
    """UTF-8 text of at most `bytes_max` bytes (control characters: codec)."""
    name = f"str 0..{bytes_max}"

    def read(value: Value) -> str:
        if type(value) is not str or len(value.encode()) > bytes_max:
            raise _bad(name, value)
        return value

    def fits(value: Value) -> bool:
        return (
            type(value) is str
            and value.isprintable()
            and len(value.encode()) <= bytes_max
        )

    return Shape(name, read, lambda value: value, fits)


def option(shape: Shape[T]) -> Shape[T | None]:
    """Nil or the shape."""
    return Shape(
        f"{shape.name} or nil",
        lambda value: None if value is None else shape.read(value),
        lambda value: None if value is None else shape.write(value),
        lambda value: value is None or shape.fits(value),
    )


def listof(
    shape: Shape[T], maximum: int = LIST_MAX, minimum: int = 0
) -> Shape[tuple[T, ...]]:
    """An array of minimum..maximum values of one shape."""
    name = f"array {minimum}..{maximum} of ({shape.name})"

    def read(value: Value) -> tuple[T, ...]:
        if type(value) is not list or not minimum <= len(value) <= maximum:
            raise _bad(name, value)
        return tuple(shape.read(item) for item in value)

    def fits(value: Value) -> bool:
        return (
            type(value) is list
            and minimum <= len(value) <= maximum
            and all(map(shape.fits, value))
        )

    return Shape(name, read, lambda items: [shape.write(item) for item in items], fits)


def struct(build: Callable[..., T], **fields: Shape[Any]) -> Shape[T]:
    """An array with one position per field, read into `build(**fields)`.

    `build` is a keyword-only dataclass whose attributes have the fields' names.
    """
    names = tuple(fields)
    shapes = tuple(fields.values())
    label = getattr(build, "__name__", "struct")
    name = f"{label} [{', '.join(f'{n}: {s.name}' for n, s in fields.items())}]"

    def read(value: Value) -> T:
        if type(value) is not list or len(value) != len(shapes):
            raise ProtocolError(Reason.BAD_SHAPE, f"{label}: {len(shapes)} fields")
        try:
            parts = {n: s.read(v) for n, s, v in zip(names, shapes, value, strict=True)}
        except ProtocolError as error:
            raise ProtocolError(error.reason, f"{label}: {error.detail}") from error
        return build(**parts)

    def write(item: T) -> Value:
        return [
            shape.write(getattr(item, field))
            for field, shape in zip(names, shapes, strict=True)
        ]

    return Shape(name, read, write, _each_fits(shapes))


def row(*shapes: Shape[Any]) -> Shape[Any]:
    """An array with one shape per position, read into a tuple."""
    name = f"[{', '.join(shape.name for shape in shapes)}]"

    def read(value: Value) -> tuple[object, ...]:
        if type(value) is not list or len(value) != len(shapes):
            raise _bad(name, value)
        return tuple(s.read(v) for s, v in zip(shapes, value, strict=True))

    def write(items: tuple[object, ...]) -> Value:
        return [s.write(v) for s, v in zip(shapes, items, strict=True)]

    return Shape(name, read, write, _each_fits(shapes))


def _each_fits(shapes: Sequence[Shape[Any]]) -> Callable[[Value], bool]:
    """Whether a value is an array with one shape per position."""
    checks = tuple(shape.fits for shape in shapes)

    def fits(value: Value) -> bool:
        return (
            type(value) is list
            and len(value) == len(checks)
            and all(map(call, checks, value))
        )

    return fits


def choice(name: str, table: Mapping[int, Shape[Any]]) -> Shape[Any]:
    """A tagged array: the first position selects the shape of the whole.

    Values are dataclasses with an attribute `tag` of that number.
    """

    def read(value: Value) -> object:
        if type(value) is not list or not value or type(value[0]) is not int:
            raise _bad(name, value)
        if value[0] not in table:
            raise ProtocolError(Reason.BAD_SHAPE, f"{name}: no variant {value[0]}")
        return table[value[0]].read(value[1:])

    def write(item: object) -> Value:
        tag = cast("int", item.tag)  # type: ignore[attr-defined]
        return [int(tag), *cast("list[Value]", table[tag].write(item))]

    def fits(value: Value) -> bool:
        if type(value) is not list or not value or type(value[0]) is not int:
            return False
        return value[0] in table and table[value[0]].fits(value[1:])

    return Shape(name, read, write, fits)


def checked(shape: Shape[T], check: Callable[[T], str | None]) -> Shape[T]:
    """`shape` with a further check that returns what is wrong, or None."""

    def read(value: Value) -> T:
        item = shape.read(value)
        wrong = check(item)
        if wrong is not None:
            raise ProtocolError(Reason.BAD_SHAPE, wrong)
        return item

    def fits(value: Value) -> bool:
        return shape.fits(value) and check(shape.read(value)) is None

    return Shape(shape.name, read, shape.write, fits)


def ascending(shape: Shape[tuple[T, ...]]) -> Shape[tuple[T, ...]]:
    """A list that must be strictly ascending (and so has no duplicates)."""

    def check(items: tuple[Any, ...]) -> str | None:
        for before, after in pairwise(items):
            if not before < after:
                return "not strictly ascending"
        return None

    return checked(shape, check)
