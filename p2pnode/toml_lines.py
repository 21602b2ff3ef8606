"""Where each key of a TOML text stands: `tomllib` reads values, not lines.

The text has already passed `tomllib`, so this reader only has to follow its
structure, never to judge it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final

Path = tuple[str | int, ...]
"""Keys and list positions from the root to a value."""

BLANK: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")
"""Between values; commas carry no meaning for positions."""

KEY: Final = re.compile(
    r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[ \t]*\.[ \t]*)+""", re.ASCII
)
STRING: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'{3}.*?\'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*\'''',
    re.DOTALL,
)
SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def lines(text: str) -> dict[Path, int]:
    """Return the 1-based line of every key and list item of a valid TOML text."""
    return _Reader(text).read()


class _Reader:
    """Follows the text once, from statement to statement."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [i for i, c in enumerate(text) if c == "\n"]
        self._found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        """How many tables each `[[name]]` has so far."""

    def read(self) -> dict[Path, int]:
        """Read all statements."""
        table: Path = ()
        self._skip(BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(BLANK)
        return self._found

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`; return where its keys belong."""
        mark = self._skip(re.compile(r"\[\[?[ \t]*"))
        path: Path = ()
        keys = self._key()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self._note(path)
            if number == len(keys) and mark.startswith("[["):
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        self._note(path)
        self._skip(re.compile(r"[ \t]*\]\]?"))
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for key in self._key():
            path = (*path, key)
            self._note(path, start)
        self._skip(re.compile(r"[ \t]*=[ \t]*"))
        self._value(path)

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._at += 1
            while self._more("}"):
                self._pair(path)
        elif first in "\"'":
            self._skip(STRING)
        else:
            self._skip(SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._more("]"):
            self._note((*path, index))
            self._value((*path, index))
            index += 1

    def _more(self, end: str) -> bool:
        """Whether another value follows before `end`, which is passed over."""
        self._skip(BLANK)
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _key(self) -> list[str]:
        """Read a dotted key, its parts unquoted."""
        nested: object = tomllib.loads(f"{self._skip(KEY)}=0")
        parts: list[str] = []
        while isinstance(nested, dict):
            key, nested = next(iter(nested.items()))
            parts.append(key)
        return parts

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return found.group()

    def _note(self, path: Path, at: int | None = None) -> None:
        where = self._at if at is None else at
        self._found.setdefault(path, bisect_right(self._breaks, where - 1) + 1)
