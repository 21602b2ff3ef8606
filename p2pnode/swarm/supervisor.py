"""Starts and ends real node processes on this machine.

Only processes started here are ever ended, and none outlives the program that
started it: leaving the `with` block, an exception, Ctrl-C and `sys.exit` end
them, and on Linux the kernel does when the starting program is killed.

    with Process(home) as node:
        print(node.ready().addresses)
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from p2pnode.failures import UNREACHABLE, Failure

READY_FORMAT: Final = "p2pnode.ready/1"
READY_S: Final = 30.0
"""How long a node may take from start to its ready line."""

STOP_S: Final = 5.0
"""How long a node may take to stop by itself before it is killed."""

POLL_S: Final = 0.02
NODE: Final = (sys.executable, "-m", "cli.main", "run")
ROOT: Final = Path(__file__).parents[2]
"""Where `cli` and `p2pnode` lie, in a clone as in site-packages."""

PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a node says once it listens."""

    pid: int
    api: str
    addresses: tuple[str, ...]
    peer_id: str


class Process:
    """One node process on the data folder `home`, which `p2pnode init` made."""

    def __init__(
        self,
        home: Path,
        *,
        listen: Sequence[str] = (),
        command: Sequence[str] = NODE,
    ) -> None:
        self.home = home.absolute()
        self.log = self.home / "node.log"
        """What the node wrote to standard error, over all its starts."""
        self._command = [*command]
        for address in listen:
            self._command += ["--listen", address]
        self._said = self.home / "node.out"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; `ready` waits until it listens."""
        assert not self.running(), "started twice"
        with self._said.open("wb") as said, self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                self._command,
                cwd=ROOT,
                env={**os.environ, "P2PNODE_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we end it in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # single-threaded, one system call
            )
        if self not in _running:
            _running.append(self)

    def ready(self, timeout_s: float = READY_S) -> Ready:
        """Wait for the ready line of a started process and return it.

        Raises:
            Failure: `node-not-ready`, it ended or took too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            running = self.running()  # asked first: a line written last still counts
            line = self._said.read_bytes().partition(b"\n")
            if line[1]:
                return _parse(line[0])
            if not running:
                break
            time.sleep(POLL_S)
        raise Failure(
            "node-not-ready",
            f"The node on {self.home} did not start: {self._last_words()}",
            f"Its ready line within {timeout_s:.0f} seconds.",
            f"Read {self.log}.",
            UNREACHABLE,
        )

    def running(self) -> bool:
        """Whether the process runs now."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the process at once, as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        self.ask()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self.kill()

    def ask(self) -> None:
        """Ask the process to end, without waiting for it."""
        if self._process is not None:
            self._process.terminate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _forget(self) -> None:
        if self in _running:
            _running.remove(self)

    def _last_words(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return lines[-1] if lines else "it said nothing."


def stop_all() -> None:
    """End every process started here and still running, all at the same time."""
    processes = list(_running)
    for process in processes:
        process.ask()
    for process in processes:
        process.stop()


_running: list[Process] = []
atexit.register(stop_all)


def _parse(line: bytes) -> Ready:
    document = json.loads(line)
    assert document["format"] == READY_FORMAT, document
    return Ready(
        pid=int(document["pid"]),
        api=str(document["api"]),
        addresses=tuple(map(str, document["addresses"])),
        peer_id=str(document["peer_id"]),
    )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
