"""A disk in memory that knows what a power cut would leave of it.

A program reads what it wrote at once. After a cut there is what was synced, and
of the rest whatever a seed draws: nothing, all, the first part, or any sectors
in any order; a file that grew without its data ends in zeros or rubbish; a name
that was made or deleted without a sync of the folder is as it was, or as it is.

`MemoryVfs` lets SQLite work on such a disk. It does what SQLite's own layer for
POSIX does: the first sync of a new journal or WAL syncs the folder, too.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final, Self

import apsw

from p2pnode.store import sqlite
from p2pnode.store.mark_file import NAME, SLOT, MarkFile

SECTOR: Final = 512
"""A cut leaves each of these whole, in its old or in its new state."""

WAYS: Final = ("none", "all", "first", "any")
"""What a power cut keeps of what was not synced, drawn for each file."""

DIR_SYNCED: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One call that changes the disk."""

    call: str
    """create, delete, write, truncate, sync, sync-folder; sync-fails, see `Disk`."""
    name: str
    offset: int = 0
    """Of a write; the size of a truncate; the seed of a sync that fails."""
    data: bytes = b""


class File:
    """What a file holds for programs, and what of it would survive."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.durable = bytearray(data)
        self.pending: list[Change] = []
        """Since the last sync."""

    def copy(self) -> File:
        """The same file on another disk."""
        file = File()
        file.data, file.durable = bytearray(self.data), bytearray(self.durable)
        file.pending = list(self.pending)
        return file

    def after_cut(self, rng: random.Random) -> bytes:
        """What the file holds after a power cut."""
        way = rng.choice(WAYS)
        data = bytearray(self.durable)
        if way == "none":
            return bytes(data)
        whole = len(self.pending)
        if way == "first":
            whole = rng.randrange(whole + 1)
        share = rng.random()
        for number, change in enumerate(self.pending):
            if way != "any" and number < whole:
                _apply(data, change)
            elif way == "any" or number == whole:
                for part in _sectors(change):
                    if rng.random() < share:
                        _apply(data, part, rubbish=rng)
        return bytes(data)


def _apply(
    data: bytearray, change: Change, *, rubbish: random.Random | None = None
) -> None:
    if change.call == "truncate":
        del data[change.offset :]
    grown = change.offset - len(data)
    if grown > 0:
        stale = rubbish is not None and rubbish.random() < 0.5
        data += rubbish.randbytes(grown) if rubbish and stale else bytes(grown)
    if change.call == "write":
        data[change.offset : change.offset + len(change.data)] = change.data


def _sectors(change: Change) -> list[Change]:
    """The parts of a write that a cut keeps or loses each for itself."""
    if change.call != "write":
        return [change]
    end = change.offset + len(change.data)
    edges = [
        change.offset,
        *range(change.offset // SECTOR * SECTOR + SECTOR, end, SECTOR),
    ]
    return [
        Change(
            call="write",
            name=change.name,
            offset=start,
            data=change.data[start - change.offset : stop - change.offset],
        )
        for start, stop in zip(edges, [*edges[1:], end], strict=True)
    ]


Reading = Callable[[str, int, bytes], bytes]
"""Given name, offset and what is there: what a read returns."""


class Disk:
    """One folder of files.

    A sync that fails does on Linux what `sync-fails` does here: it drops what it
    did not write, still shows it to programs, and the next sync is content.
    """

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.log: list[Change] = []
        """Every change, in order."""
        self.before: Callable[[Change], Change | None] | None = None
        """Hook: the change that is done instead, None for none; or it raises."""
        self.reading: Reading | None = None
        self._durable: dict[str, File] = {}
        self._renamed: list[str] = []
        """Names made or deleted since the folder was synced."""

    def copy(self) -> Self:
        """The same disk once more, with an empty log."""
        disk = type(self)()
        twins = {
            id(file): file.copy()
            for file in (*self.files.values(), *self._durable.values())
        }
        disk.files = {name: twins[id(file)] for name, file in self.files.items()}
        disk._durable = {name: twins[id(file)] for name, file in self._durable.items()}
        disk._renamed = list(self._renamed)
        return disk

    def after_cut(self, seed: str) -> Disk:
        """The disk as a power cut leaves it."""
        rng = random.Random(seed)
        found = dict(self._durable)
        for name in dict.fromkeys(self._renamed):
            if rng.random() < 0.5:
                found.pop(name, None)
                if name in self.files:
                    found[name] = self.files[name]
        disk = Disk()
        disk.files = {name: File(file.after_cut(rng)) for name, file in found.items()}
        disk._durable = dict(disk.files)
        return disk

    def do(self, change: Change) -> None:
        """Change the disk, unless the hook objects."""
        done = change if self.before is None else self.before(change)
        if done is not None:
            self.log.append(done)
            self.apply(done)

    def apply(self, change: Change) -> None:
        """Change the disk."""
        match change.call:
            case "create":
                self.files[change.name] = File()
                self._renamed.append(change.name)
            case "delete":
                del self.files[change.name]
                self._renamed.append(change.name)
            case "sync-folder":
                self._durable = dict(self.files)
                self._renamed.clear()
            case "sync":
                file = self.files[change.name]
                for past in file.pending:
                    _apply(file.durable, past)
                file.pending.clear()
            case "sync-fails":
                file = self.files[change.name]
                rng = random.Random(change.offset)
                file.durable = bytearray(file.after_cut(rng))
                file.pending.clear()
            case _:
                file = self.files[change.name]
                _apply(file.data, change)
                file.pending.append(change)


class _Handle:
    """An open file, with the methods that SQLite calls."""

    def __init__(self, vfs: MemoryVfs, name: str, *, new_journal: bool) -> None:
        self._vfs = vfs
        self._name = name
        self._folder_unsynced = new_journal

    @property
    def _data(self) -> bytearray:
        return self._vfs.disk.files[self._name].data

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's names
        data = bytes(self._data[offset : offset + amount])
        reading = self._vfs.disk.reading
        return data if reading is None else reading(self._name, offset, data)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._do("write", offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._do("truncate", size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._do("sync")
        if self._folder_unsynced:
            self._do("sync-folder")
            self._folder_unsynced = False

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._data)

    def xLock(self, level: int) -> None:  # noqa: N802
        """There is nobody else."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """There is nobody else."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4_096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """As SQLite's own layer says of Linux."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE | apsw.SQLITE_IOCAP_SUBPAGE_READ

    def xClose(self) -> None:  # noqa: N802
        """Closing syncs nothing."""

    def _do(self, call: str, offset: int = 0, data: bytes = b"") -> None:
        change = Change(call=call, name=self._name, offset=offset, data=data)
        self._vfs.disk.do(change)


class MemoryVfs(apsw.VFS):
    """SQLite's way to `disk`; the clock and the dice are the system's."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        super().__init__(name, "")

    def xOpen(  # type: ignore[override]  # noqa: N802 - it wants what acts as a file
        self, name: apsw.URIFilename | str | None, flags: list[int]
    ) -> _Handle:
        assert name is not None, "temp_store is memory"
        base = _base(name if isinstance(name, str) else name.filename())
        new = base not in self.disk.files
        if new:  # the store makes its main file by itself, with the system's calls
            if not flags[0] & (apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_MAIN_DB):
                raise apsw.CantOpenError(base)
            self.disk.do(Change(call="create", name=base))
        flags[1] = flags[0]
        return _Handle(self, base, new_journal=new and bool(flags[0] & DIR_SYNCED))

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        file = self.disk.files.get(_base(pathname))
        return file is not None and bool(file.data)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        base = _base(filename)
        if base not in self.disk.files:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        self.disk.do(Change(call="delete", name=base))
        if syncdir:
            self.disk.do(Change(call="sync-folder", name=base))


class DiskMark(MarkFile):
    """The mark beside the store, on the same disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(Path(NAME))
        self._disk = disk

    def _load(self) -> tuple[bytes, int] | None:
        file = self._disk.files.get(NAME)
        return None if file is None else (bytes(file.data), 1)

    def _number(self) -> int:
        if NAME not in self._disk.files:  # as the real one: named once it is whole
            self._do("create")
            self._put(0, b" " * (2 * SLOT))
            self._flush()
            self._do("sync-folder")
        return 1

    def _put(self, at: int, data: bytes) -> None:
        self._do("write", at, data)

    def _flush(self) -> None:
        self._do("sync")

    def _do(self, call: str, offset: int = 0, data: bytes = b"") -> None:
        try:
            self._disk.do(Change(call=call, name=NAME, offset=offset, data=data))
        except apsw.Error as error:
            raise OSError(errno.EIO, "injected") from error


@contextmanager
def mounted() -> Iterator[MemoryVfs]:
    """A VFS on an empty disk, which the store's own syncs of the folder reach."""

    def sync_folder(folder: Path) -> None:
        vfs.disk.do(Change(call="sync-folder", name="."))

    vfs, before = MemoryVfs("faults", Disk()), sqlite._sync_folder
    sqlite._sync_folder = sync_folder
    try:
        yield vfs
    finally:
        sqlite._sync_folder = before
        vfs.unregister()


def _base(path: str) -> str:
    return PurePath(path).name


def failing_syncs(disk: Disk, working: int) -> Callable[[Change], Change]:
    """A hook: so many syncs work, and none after them."""
    left = itertools.count(working, -1)

    def before(change: Change) -> Change:
        if change.call == "sync" and next(left) <= 0:
            disk.log.append(replace(change, call="sync-fails", offset=working))
            disk.apply(disk.log[-1])
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        return change

    return before


def calls(log: Sequence[Change]) -> dict[str, int]:
    """How many changes there were of each sort."""
    return {
        call: sum(change.call == call for change in log)
        for call in sorted({change.call for change in log})
    }
