"""What is printed: standard output is data, standard error is talk.

Text from peers, files and pictures never reaches a terminal as it came: all
text goes through `clean`, which leaves nothing that moves a cursor, hides a
word or turns a line around. JSON is plain ASCII, so it survives every code page.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from cli.i18n import _

if TYPE_CHECKING:
    from p2pnode.failures import Failure


UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that steer a terminal: controls, bidi, zero width."""

COLOURS: Final = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}
SENTENCE_MAX: Final = 1_000
"""Characters of a sentence that are shown: it may quote what was typed."""

GAP: Final = "  "
"""Between two columns of a table."""


def survive() -> None:
    """Let a stream that cannot say a character write its number instead.

    Where a stream was closed before we began, what is said goes nowhere.
    """
    if sys.stdout is None or sys.stderr is None:
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # for good
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish(stream: TextIO | None = None) -> None:
    """Hand over what was printed; what a full disk does not take is dropped.

    Raises:
        BrokenPipeError: nobody reads standard output any more.
    """
    stream = stream or sys.stdout
    try:
        stream.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError) and stream is sys.stdout:
            raise
        # Python would try, and complain, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def clean(text: object) -> str:
    """Return `text` as one line that a terminal shows and does nothing else with.

    White space of any kind becomes a blank, other steering characters vanish.
    """
    blank = "".join(" " if c.isspace() else c for c in str(text))
    return "".join(c for c in blank if unicodedata.category(c) not in UNPRINTABLE)


def width(text: str) -> int:
    """Return how many terminal columns `text` takes; full-width characters take 2."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Figure(str):
    """A number with its unit: stands to the right in a table."""

    __slots__ = ()


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; numbers stand to the right, "" among them."""
    rows = list(rows)
    cells = [[clean(cell) for cell in row] for row in (header, *rows)]
    wide = [max(map(width, column)) for column in zip(*cells, strict=True)]
    right = [
        bool(rows)
        and all(row[i] == "" or isinstance(row[i], int | Figure) for row in rows)
        for i in range(len(header))
    ]
    return [GAP.join(map(_pad, line, wide, right)).rstrip() for line in cells]


def _pad(cell: str, columns: int, right: bool) -> str:
    space = " " * (columns - width(cell))
    return space + cell if right else cell + space


def say(*lines: object, colour: str = "", stream: TextIO | None = None) -> None:
    """Print lines of text to `stream`, by default standard output, cleaned.

    A colour is used only on a terminal and never when NO_COLOR is set.
    """
    stream = stream or sys.stdout
    for line in lines:
        stream.write(_paint(clean(line), colour, stream) + "\n")


def _paint(text: str, colour: str, stream: TextIO) -> str:
    if not colour or not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def talk(*lines: object) -> None:
    """Print to standard error, for people, not for pipes; they need not listen."""
    with contextlib.suppress(OSError):
        say(*lines, stream=sys.stderr)


def document(name: str, body: Mapping[str, object]) -> None:
    """Print one JSON document of the CLI's own, format `p2pnode.<name>/1`."""
    as_json({"format": f"p2pnode.{name}/1", **body})


def as_json(value: object) -> None:
    """Print `value` as one line of JSON, such as the node's own answer."""
    sys.stdout.write(json.dumps(value) + "\n")


def failure(failed: Failure) -> None:
    """Tell people what happened, what was expected and what to do."""
    with contextlib.suppress(OSError):
        message = f"p2pnode: {_cut(failed.message)}"
        say(message, colour="red", stream=sys.stderr)
    if failed.expected:
        talk("  " + _("Expected: {text}").format(text=_cut(failed.expected)))
    if failed.cure:
        talk("  " + _("What to do: {text}").format(text=_cut(failed.cure)))


def _cut(text: str) -> str:
    """The beginning and the end of a sentence that quotes something endless."""
    if len(text) <= SENTENCE_MAX:
        return text
    half = SENTENCE_MAX // 2
    return f"{text[:half]} … {text[-half:]}"
