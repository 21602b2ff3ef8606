"""Which backups were made of a folder, and which of them were verified since.

A small file beside the records, for the owner's sake only: losing it costs a reminder.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from p2pnode.backup import Header

FILE: Final = "backups.json"
FORMAT: Final = "p2pnode.backups/1"

NOTES_MAX: Final = 16
"""The latest are remembered."""

SIZE_MAX: Final = 1 << 16
"""Bytes of the file that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One backup."""

    store: str
    """SHA-256 of the copied records: which backup it is."""
    made_ms: int
    verified: bool


def made(home: Path, header: Header) -> None:
    """Remember that a backup was made of `home`."""
    note = Note(store=header.store_sha256, made_ms=header.made_ms, verified=False)
    _write(home, [*read(home), note][-NOTES_MAX:])


def verified(home: Path, header: Header) -> None:
    """Remember that a backup was verified, if it is one of `home`."""
    notes = read(home)
    again = [
        replace(note, verified=True)
        if (note.store, note.made_ms) == (header.store_sha256, header.made_ms)
        else note
        for note in notes
    ]
    if again != notes:
        _write(home, again)


def read(home: Path) -> list[Note]:
    """The backups of `home` that are remembered, oldest first."""
    try:
        with (home / FILE).open("rb") as file:
            rows: list[dict[str, Any]] = json.loads(file.read(SIZE_MAX))["made"]
        return [
            Note(
                store=str(row["store"]),
                made_ms=int(row["made_ms"]),
                verified=row["verified"] is True,
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return []


def _write(home: Path, notes: list[Note]) -> None:
    """Put the file in place whole; a folder that does not take it stays as it is."""
    rows = [
        {"store": one.store, "made_ms": one.made_ms, "verified": one.verified}
        for one in notes
    ]
    partial = home / f"{FILE}.partial"
    with contextlib.suppress(OSError):
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"format": FORMAT, "made": rows}, file)
        partial.replace(home / FILE)
