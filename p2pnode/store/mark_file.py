"""The file beside the database that says how far own keys have signed.

Two slots of one disk block each, written in turn, each with its sum: a write
that is cut off leaves the other. A slot is written after the commit it speaks
of and before anybody is told of it. It is fsynced then too, unless that was
done within the last second: so a lone record costs one fsync more, and a burst
one a second. A process that is killed loses nothing of it; a power cut at most
the last second of a burst, and that matters only where the database is put
back from a copy made in that second.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Final
from zlib import crc32

from p2pnode.high_water import Beside, Mark, Place

FORMAT: Final = "p2pnode.mark/1"
NAME: Final = "mark"

SLOT: Final = 4_096
"""Bytes of a slot: what disks write whole or spoil whole."""

SYNC_S: Final = 1.0
"""The file is fsynced at most this often while records are signed."""

MACHINE_FILES: Final = (
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/hostid",
)


class MarkFile:
    """The mark of one data folder; used by one thread at a time.

    Args:
        path: of the file; its folder exists once it is written.
        due: the keys were made with a mark, so its absence is a loss.

    Attributes:
        written: the mark that was written last by this object.
    """

    def __init__(self, path: Path, *, due: bool = False) -> None:
        self.written = Mark()
        self._path = path
        self._due = due
        self._descriptor: int | None = None
        self._turn = 0
        self._synced_s = -SYNC_S
        self._dirty = False
        self._machine = machine()

    def read(self) -> Beside:
        """What is there, and whether it is where it was written.

        Raises:
            OSError: the disk cannot be read.
        """
        there = self._load()
        if there is None:
            return Beside(mark=None, due=self._due)
        data, number = there
        found = [one for at in (0, SLOT) if (one := _slot(data[at : at + SLOT]))]
        if not found:
            return Beside(mark=None, due=True)
        self._turn, mark, written = max(found, key=lambda one: one[0])
        here = Place(machine=self._machine, file=number)
        return Beside(mark=mark, moved=written.differs(here), due=self._due)

    def write(self, mark: Mark, *, sync: bool = False) -> None:
        """Note a mark; with `sync` it is durable when this returns.

        Raises:
            OSError: the disk did not take it.
        """
        self._turn += 1
        place = Place(machine=self._machine, file=self._number())
        self._put(SLOT * (self._turn % 2), _bytes(self._turn, mark, place))
        self.written, self._dirty = mark, True
        if sync or time.monotonic() - self._synced_s >= SYNC_S:
            self._sync()

    def close(self) -> None:
        """Make durable what was written, and let go of the file; never raises."""
        with contextlib.suppress(OSError):
            if self._dirty:
                self._sync()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _sync(self) -> None:
        self._flush()
        self._synced_s, self._dirty = time.monotonic(), False

    # What it does with the system: `tests/faults` does the same in memory.

    def _load(self) -> tuple[bytes, int] | None:
        """The file's bytes and its number on the disk; None: it is not there."""
        try:
            return self._path.read_bytes(), self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _number(self) -> int:
        """The number of the file, which is made if it is not there."""
        if self._descriptor is None:
            self._descriptor = self._open()
        return os.fstat(self._descriptor).st_ino

    def _put(self, at: int, data: bytes) -> None:
        assert self._descriptor is not None, "after `_number`"
        os.lseek(self._descriptor, at, os.SEEK_SET)
        os.write(self._descriptor, data)

    def _flush(self) -> None:
        assert self._descriptor is not None, "after `_number`"
        os.fsync(self._descriptor)

    def _open(self) -> int:
        """Open the file; a new one gets its name when it is whole."""
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
        with contextlib.suppress(FileNotFoundError):
            return os.open(self._path, flags)
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, flags | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, b" " * (2 * SLOT))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.rename(self._path)
        sync_folder(self._path.parent)
        return os.open(self._path, flags)


def machine() -> str:
    """A hash of what the system calls this machine; empty where it does not say."""
    name = _windows() if sys.platform == "win32" else _unix()
    return sha256(b"p2pnode/machine\0" + name).hexdigest()[:32] if name else ""


def _unix() -> bytes:
    for file in MACHINE_FILES:
        with contextlib.suppress(OSError):
            if name := Path(file).read_bytes().strip():
                return name
    with contextlib.suppress(Exception):  # macOS; elsewhere there is no such call
        import ctypes  # noqa: PLC0415  # only where no file says it

        number = ctypes.create_string_buffer(16)
        wait = (ctypes.c_long * 2)(1, 0)
        if ctypes.CDLL(None).gethostuuid(number, wait) == 0:
            return number.raw
    return b""


def _windows() -> bytes:
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415  # Windows has it

        with contextlib.suppress(OSError):
            path = "SOFTWARE\\Microsoft\\Cryptography"
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "MachineGuid")[0]).encode()
    return b""


def _bytes(turn: int, mark: Mark, place: Place) -> bytes:
    fields = {
        "format": FORMAT,
        "turn": turn,
        "mark": json.loads(mark.encode()),
        "machine": place.machine,
        "file": place.file,
    }
    body = json.dumps(fields).encode()
    return b"%08x %s\n" % (crc32(body), body.ljust(SLOT - 10))


def _slot(data: bytes) -> tuple[int, Mark, Place] | None:
    """What one slot says, or None for one that is not whole."""
    try:
        head, body = data[:8], data[9:].rstrip()
        if int(head, 16) != crc32(body):
            return None
        fields = json.loads(body)
        if fields["format"] != FORMAT:
            return None
        place = Place(machine=str(fields["machine"]), file=int(fields["file"]))
        mark = Mark.decode(json.dumps(fields["mark"]).encode())
        return int(fields["turn"]), mark, place
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def sync_folder(folder: Path) -> None:
    """Make a new name durable; Windows has no way to ask, and no need."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system that cannot be asked
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
