"""A table of a TOML file, read key by key; whatever is wrong has file and line.

    table = open_toml(text, "campaign.toml", ("title", "budget"))
    budget = table.whole("budget", low=1)

A table refuses keys it was not told of before any value is read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from p2pnode import toml_faults as faults
from p2pnode import toml_lines, typed
from p2pnode.file_fault import FileFault, words
from protocols.codec import check_text
from protocols.errors import ProtocolError
from protocols.limits import INT_MAX, NAME_MAX
from protocols.text import read_author

if TYPE_CHECKING:
    from p2pnode.toml_lines import Path
    from protocols.keys import AuthorKey

T = TypeVar("T")

FILE_MAX: Final = 1_000_000
"""Bytes of a file that people write: the largest terms take a tenth."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
QUOTED_OR_COMMENT: Final = re.compile(r"\"[^\"]*\"|'[^']*'|#.*")
DURATION: Final = re.compile(r"([0-9]{1,9}) ?(ms|s|m|h|d)", re.ASCII)


def decode_text(data: bytes, file: str) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises:
        FileFault: `too-large` or `bad-encoding`.
    """
    if len(data) > FILE_MAX:
        raise FileFault(
            "too-large",
            words("This file is too large."),
            words("At most {most} bytes of text."),
            words("Check that it is the right file."),
            most=FILE_MAX,
        ).at(file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFault(
            "bad-encoding",
            words("This file is not UTF-8; it may be GBK or UTF-16."),
            words("Text in UTF-8."),
            words('Open it in your editor and save it again with encoding "UTF-8".'),
        ).at(file, data.count(b"\n", 0, error.start) + 1) from error


def open_toml(text: str, file: str, keys: Sequence[str]) -> Table:
    """Parse a TOML text and return its root table, which may have `keys`.

    Raises:
        FileFault: `bad-toml` or `unknown-key`.
    """
    plain = text.removeprefix("\ufeff")
    try:
        data = tomllib.loads(plain)
        source = Source(file, toml_lines.lines(plain))
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else 1
        raise _bad_toml(plain, number, error).at(file, number) from error
    return Table(source, (), data, keys)


def _bad_toml(text: str, number: int, error: Exception) -> FileFault:
    """What is wrong with a line: most often a character of a Chinese keyboard."""
    line = "".join(text.split("\n")[number - 1 : number])
    wide = typed.wide(QUOTED_OR_COMMENT.sub("", line))
    if wide:
        return FileFault(
            "bad-toml",
            words("This is not TOML: {error}."),
            words('Lines such as: title = "..."'),
            words("Type {wide} in half width: outside of quotes only that is read."),
            error=str(error),
            wide=wide,
        )
    return FileFault(
        "bad-toml",
        words("This is not TOML: {error}."),
        words('Lines such as: title = "..."'),
        words("Correct this line; text stands in quotes, comments after #."),
        error=str(error) or type(error).__name__,
    )


class Source:
    """A file's name and where its keys stand."""

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self._file = file
        self._lines = lines

    def place(self, fault: FileFault, path: Path) -> FileFault:
        """Put a fault at the line of `path`, or of what it would stand in."""
        inside = (path[:end] for end in range(len(path), 0, -1))
        line = next((self._lines[at] for at in inside if at in self._lines), 1)
        return fault.at(self._file, line, _dotted(path))


class Table:
    """One table: typed access to its keys, and nothing unknown in it."""

    def __init__(
        self,
        source: Source,
        path: Path,
        data: Mapping[str, object],
        keys: Sequence[str],
    ) -> None:
        self._source = source
        self._path = path
        self._data = data
        for key in data:
            if key not in keys:
                raise self.fault(faults.unknown(key, keys), key)

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def fault(self, fault: FileFault, *path: str | int) -> FileFault:
        """Return `fault` at the line of a key of this table."""
        return self._source.place(fault, (*self._path, *path))

    def text(
        self, key: str, default: str | None = None, *, bytes_max: int = NAME_MAX
    ) -> str:
        """A line of text, not empty unless that is the default."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._wrong_type((key,), value, words("Text in quotes."))
        return self._checked((key,), value, bytes_max, empty=value == default)

    def whole(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = INT_MAX
    ) -> int:
        """A whole number low..high."""
        value = self._get(key, default)
        if type(value) is not int:
            raise self._wrong_type((key,), value, words("A whole number."))
        if not low <= value <= high:
            raise self.fault(faults.out_of_range(value, low, high), key)
        return value

    def time(self, key: str, default: int | None = None) -> int:
        """A date and time with its offset, as Unix ms."""
        value = self._get(key, default)
        if value == default and isinstance(value, int):
            return value
        if not isinstance(value, datetime) or value.tzinfo is None:
            expected = words("A date and time, such as 2027-03-31T23:59:59+08:00.")
            raise self._wrong_type((key,), value, expected)
        found = (value - EPOCH) // timedelta(milliseconds=1)
        if found < 0:
            raise self.fault(faults.out_of_range(value.year, 1970, 9999), key)
        return found

    def duration(
        self,
        key: str,
        default: str | None = None,
        *,
        low: int = 0,
        high: int = 400 * UNITS_MS["d"],
    ) -> int:
        """A duration such as "15m", as ms in low..high."""
        value = self._get(key, default)
        expected = words('A duration in quotes, such as "10m": ms, s, m, h or d.')
        if not isinstance(value, str):
            raise self._wrong_type((key,), value, expected)
        match = DURATION.fullmatch(typed.plain(value))
        if match is None:
            raise self.fault(faults.bad_word(value, expected), key)
        found = int(match[1]) * UNITS_MS[match[2]]
        if not low <= found <= high:
            raise self.fault(faults.out_of_range(value, f"{low}ms", f"{high}ms"), key)
        return found

    def word(self, key: str, choices: Mapping[str, T], default: str | None = None) -> T:
        """One of a few words, as what it stands for."""
        value = typed.plain(self.text(key, default))
        if value not in choices:
            raise self.fault(faults.bad_word(value, ", ".join(choices)), key)
        return choices[value]

    def author(self, key: str) -> AuthorKey:
        """One author key, `p2p1...`."""
        return self._author((key,), self.text(key))

    def authors(self, key: str, *, most: int) -> list[AuthorKey]:
        """1..most author keys in the file's order, each once."""
        found: list[AuthorKey] = []
        for index, text in enumerate(self.texts(key)):
            author = self._author((key, index), text)
            if author in found:
                raise self.fault(faults.duplicate(text), key, index)
            found.append(author)
        if not 1 <= len(found) <= most:
            raise self.fault(faults.wrong_count(len(found), 1, most), key)
        return found

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        return [str(value) for value in self._list(key, str, words("Texts in quotes."))]

    def values(self, key: str) -> list[object]:
        """A list of anything, by default empty."""
        return self._list(key, object, "") if key in self else []

    def table(self, key: str, keys: Sequence[str], *, needed: bool = True) -> Table:
        """A table with `keys`; an absent one that is not needed is empty."""
        value = self._get(key, None if needed else {})
        return self.nested(value, (key,), keys)

    def tables(self, key: str, keys: Sequence[str], *, most: int) -> list[Table]:
        """A list of at most `most` tables with `keys`, by default empty."""
        found = self._list(key, dict, f"[[{key}]]") if key in self else []
        if len(found) > most:
            raise self.fault(faults.wrong_count(len(found), 0, most), key, most)
        return [self.nested(item, (key, i), keys) for i, item in enumerate(found)]

    def nested(self, value: object, path: Path, keys: Sequence[str]) -> Table:
        """The table `value` at `path` below this one."""
        if not isinstance(value, dict):
            expected = words("A table, in [ ] or {{ }}.")
            raise self._wrong_type(path, value, expected)
        return Table(self._source, (*self._path, *path), value, keys)

    def _get(self, key: str, default: object) -> object:
        if key in self._data:
            return self._data[key]
        if default is None:
            raise self.fault(faults.missing(key), key)
        return default

    def _list(self, key: str, kind: type[object], expected: str) -> list[object]:
        value = self._get(key, None)
        if not isinstance(value, list):
            raise self._wrong_type((key,), value, words("A list in [ ]."))
        for index, item in enumerate(value):
            if not isinstance(item, kind):
                raise self._wrong_type((key, index), item, expected)
            if isinstance(item, str):
                self._checked((key, index), item, NAME_MAX, empty=False)
        return value

    def _checked(self, path: Path, text: str, bytes_max: int, *, empty: bool) -> str:
        try:
            check_text(text)
        except ProtocolError as error:
            raise self.fault(faults.bad_text(), *path) from error
        size = len(text.encode())
        if size > bytes_max or (not size and not empty):
            raise self.fault(faults.text_size(size, bytes_max), *path)
        return text

    def _author(self, path: Path, text: str) -> AuthorKey:
        try:
            return read_author(typed.code(text))
        except ProtocolError as error:
            raise self.fault(faults.bad_key(text), *path) from error

    def _wrong_type(self, path: Path, value: object, expected: str) -> FileFault:
        return self.fault(faults.wrong_type(value, expected), *path)


def _dotted(path: Path) -> str:
    """`stage.2.reward`: list positions are counted from 1."""
    return ".".join(str(p + 1) if isinstance(p, int) else p for p in path)
