"""What can be wrong with a value in a file that people write."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date, time

from p2pnode.file_fault import FileFault, words


def unknown(key: str, keys: Sequence[str]) -> FileFault:
    """A key that the table does not have."""
    near = difflib.get_close_matches(key, keys, 1)
    cure = (
        words("Did you mean {near}? Else delete the line.")
        if near
        else words("Delete the line, or write a # before it.")
    )
    return FileFault(
        "unknown-key",
        words("{name} is not a key here."),
        words("One of: {known}."),
        cure,
        name=key,
        known=", ".join(keys),
        near="".join(near),
    )


def missing(key: str) -> FileFault:
    """A key that must be there."""
    return FileFault(
        "missing-key",
        words("{name} is missing."),
        words("A value for {name}."),
        words("Add it; 'p2pnode campaign new' writes a file that has every key."),
        name=key,
    )


def wrong_type(value: object, expected: str) -> FileFault:
    """A value of another type; fractions and local times get their own cure."""
    if isinstance(value, float):
        return FileFault(
            "float",
            words("{value} is a number with a fraction."),
            expected,
            words("Write amounts in the smallest unit: 12.50 yuan is 1_250 fen."),
            value=value,
        )
    if isinstance(value, (date, time)):
        return FileFault(
            "local-time",
            words("{value} does not say in which time zone."),
            expected,
            words("Write date, time and offset: 2026-12-05T10:00:00+08:00."),
            value=value,
        )
    return FileFault(
        "wrong-type",
        words("This value is of the wrong type."),
        expected,
        words("Correct this line."),
    )


def out_of_range(value: object, low: object, high: object) -> FileFault:
    """A number or time outside its bounds."""
    return FileFault(
        "out-of-range",
        words("{value} is not possible here."),
        words("{low} to {high}."),
        words("Choose a value between."),
        value=value,
        low=low,
        high=high,
    )


def bad_word(value: str, expected: str) -> FileFault:
    """A text that is none of those allowed."""
    return FileFault(
        "bad-word",
        words("{value} means nothing here."),
        expected,
        words("Choose one of these."),
        value=value,
    )


def bad_text() -> FileFault:
    """A text that could steer a terminal."""
    return FileFault(
        "bad-text",
        words("This text has an invisible control character."),
        words("Letters, digits, signs and blanks, on one line."),
        words("Type the text again instead of pasting it."),
    )


def text_size(size: int, most: int) -> FileFault:
    """A text that is empty or too long."""
    return FileFault(
        "text-size",
        words("This text has {size} bytes."),
        words("1 to {most} bytes; a Chinese character has 3."),
        words("Shorten it, or write something."),
        size=size,
        most=most,
    )


def bad_key(text: str) -> FileFault:
    """A text that is not an author key."""
    return FileFault(
        "bad-key",
        words("{text} is not an author key, or was mistyped."),
        words("A key that begins with p2p1, 62 characters long."),
        words("Copy it from 'p2pnode status' on the node whose key it is."),
        text=text,
    )


def duplicate(text: str) -> FileFault:
    """A value that may stand only once."""
    return FileFault(
        "duplicate",
        words("{text} stands here twice."),
        words("Each once."),
        words("Delete one."),
        text=text,
    )


def wrong_count(count: int, low: int, high: int) -> FileFault:
    """A list that is too short or too long."""
    return FileFault(
        "wrong-count",
        words("There are {count} of them."),
        words("{low} to {high}."),
        words("Add or delete some."),
        count=count,
        low=low,
        high=high,
    )
