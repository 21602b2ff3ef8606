"""The data folder: who owns it, and where its node says how to reach it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from p2pnode.failures import Failure

STORE_FILE: Final = "records.sqlite"
"""The name of the store in the folder."""

API_FORMAT: Final = "p2pnode.api/1"

TRIES: Final = 20
PAUSE_S: Final = 0.01
"""How often and how long apart a lock is tried: who asks holds it for an instant."""


def api_file(home: Path) -> Path:
    """Return the file that says how to reach the node: format, pid, port, token."""
    return home / "run" / "api.json"


class FolderInUse(Failure):
    """Another node owns the folder.

    Attributes:
        pid: its process, or 0 if it has not said yet.
    """

    def __init__(self, home: Path, pid: int) -> None:
        super().__init__(
            "folder-in-use",
            "Another node (process {pid}) runs on {home}.",
            "One node per data folder.",
            "Use the running one, stop it, or give this one another P2PNODE_HOME.",
            home=home,
            pid=pid or "?",
        )
        self.pid = pid


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Own `home`, created if absent, until left or until the process dies.

    The system holds the lock, so a killed node leaves none behind. The file
    itself stays: removing it would let two nodes lock two files of one name.

    Raises:
        FolderInUse: another process owns it.
        OSError: the folder cannot be created or written.
    """
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / "run" / "lock"
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        if not _lock_patiently(descriptor):
            raise FolderInUse(home, _read_pid(descriptor))
        api_file(home).unlink(missing_ok=True)  # a killed node's: its port is anybody's
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def owned(home: Path) -> bool:
    """Whether a running node owns `home`: nobody else can hold its lock.

    Raises:
        OSError: no node has ever run there, or the lock cannot be asked.
    """
    descriptor = os.open(home / "run" / "lock", os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        return not _lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def owner(home: Path) -> int | None:
    """The process that owns `home` now, if any.

    Whoever got the number of a node that has ended holds no lock here.
    """
    flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(home / "run" / "lock", flags)
    except OSError:
        return None
    try:
        return None if _lock(descriptor, shared=True) else _read_pid(descriptor) or None
    finally:
        os.close(descriptor)


def _lock_patiently(descriptor: int) -> bool:
    """Lock it, though somebody may be asking just now whether it is locked."""
    for _ in range(TRIES):
        if _lock(descriptor):
            return True
        time.sleep(PAUSE_S)
    return False


LOCK_AT: Final = 2**20
"""Where Windows locks one byte: beyond the pid, which others want to read."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001  # Windows knows no shared lock of bytes
        os.lseek(descriptor, LOCK_AT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> bool:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _read_pid(descriptor: int) -> int:
    text = os.read(descriptor, 20).strip()
    return int(text) if text.isdigit() else 0
