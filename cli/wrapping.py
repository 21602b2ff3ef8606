"""Text in lines of so many columns, where Chinese may break at any character."""

from __future__ import annotations

import unicodedata
from typing import Final

from cli import output

NEVER_FIRST: Final = frozenset({"Pe", "Pf", "Po"})
"""Unicode categories of what ends: brackets, quotes, stops."""

NEVER_LAST: Final = frozenset({"Ps", "Pi"})
"""Unicode categories of what begins: brackets, quotes."""


def wrap_text(
    text: str,
    width: int = 78,
    initial_indent: str = "",
    subsequent_indent: str = "",
    preserve_paragraphs: bool = False,
) -> str:
    """Do what click's function of this name does, counting columns."""
    paragraphs = text.split("\n\n") if preserve_paragraphs else [text]
    return "\n\n".join(
        "\n".join(_lines(paragraph, width, initial_indent, subsequent_indent))
        for paragraph in paragraphs
    )


def _lines(text: str, width: int, first: str, other: str) -> list[str]:
    lines, line, blank = [], first, ""
    empty = True
    for piece, ends_word in _pieces(text):
        if not empty and output.width(line + blank + piece) > width:
            lines.append(line)
            line, blank = other, ""
        line += blank + piece
        blank, empty = " " if ends_word else "", False
    return [*lines, line]


def _pieces(text: str) -> list[tuple[str, bool]]:
    """What no line breaks within, and whether a blank follows it."""
    found: list[tuple[str, bool]] = []
    for word in text.split():
        start = 0
        for at in range(1, len(word)):
            if _may_break(word[at - 1], word[at]):
                found.append((word[start:at], False))
                start = at
        found.append((word[start:], True))
    return found


def _may_break(before: str, after: str) -> bool:
    if unicodedata.category(before) in NEVER_LAST:
        return False
    if unicodedata.category(after) in NEVER_FIRST:
        return False
    return output.width(before) == 2 or output.width(after) == 2
