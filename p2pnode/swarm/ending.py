"""Ends node processes that another process started, and nobody else's.

Whose folder it is says the folder's lock, which the system takes back from a
process that ends. So a number that now belongs to a stranger is never
signalled; on Linux not even if it changes hands between looking and sending.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from p2pnode.api import folder

STOP_S: Final = 8.0
"""How long processes may take to end by themselves: nodes take 5 at most."""

POLL_S: Final = 0.02

KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows knows no SIGKILL: there SIGTERM ends a process as hard."""


def kill(home: Path) -> bool:
    """End the owner of a folder at once; whether there was one."""
    found = _send(home, KILL)
    _wait([home])
    return found


def stop(homes: Iterable[Path]) -> list[Path]:
    """Ask the owners of folders to end, kill those that do not.

    Returns:
        The folders that had an owner.
    """
    asked = [home for home in homes if _send(home, signal.SIGTERM)]
    for home in _wait(asked):
        kill(home)
    return asked


def _send(home: Path, number: int) -> bool:
    pid = folder.owner(home)
    if pid is None:
        return False
    try:
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, number)
            return True
        handle = os.pidfd_open(pid)
        try:
            if folder.owner(home) != pid:
                return False
            signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
    except ProcessLookupError:
        return False
    return True


def _wait(homes: list[Path]) -> list[Path]:
    """Wait until nobody owns the folders; return those still owned in the end."""
    deadline = time.monotonic() + STOP_S
    left = homes
    while left and time.monotonic() < deadline:
        left = [home for home in left if folder.owner(home) is not None]
        time.sleep(POLL_S)
    return left
