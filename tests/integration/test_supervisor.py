"""Starting and ending processes, with a toy in the place of a node."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p2pnode.failures import Failure
from p2pnode.swarm.supervisor import ROOT, Process, stop_all

SAY = """import json, os, signal, time
{first}
print(json.dumps({{
    "format": "p2pnode.ready/1",
    "pid": os.getpid(),
    "api": "http://127.0.0.1:1",
    "addresses": ["/ip4/127.0.0.1/tcp/1"],
    "peer_id": "P",
}}), flush=True)
time.sleep(60)
"""
SLEEP = SAY.format(first="")
STUBBORN = SAY.format(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")

SUPERVISOR = """import sys, time
from pathlib import Path
from p2pnode.swarm.supervisor import Process
process = Process(Path(sys.argv[1]), command=[sys.executable, "-c", sys.argv[2]])
process.start()
print(process.ready().pid, flush=True)
time.sleep(60)
"""


def toy(home: Path, script: str = SLEEP) -> Process:
    return Process(home, command=[sys.executable, "-c", script])


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Wait until a process ended; one that nobody has buried yet counts as ended."""
    state = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if state.read_text("ascii").rpartition(") ")[2].startswith("Z"):
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_node_is_there_from_start_to_the_end_of_the_block(tmp_path: Path) -> None:
    with toy(tmp_path) as process:
        ready = process.ready()
        assert ready.addresses == ("/ip4/127.0.0.1/tcp/1",)
        assert process.running()
    assert not process.running()


def test_a_killed_node_starts_again(tmp_path: Path) -> None:
    process = toy(tmp_path)
    process.start()
    first = process.ready().pid
    process.kill()
    assert not process.running()
    process.start()
    assert process.ready().pid != first
    stop_all()
    assert not process.running()


def test_a_node_that_does_not_listen_to_reason_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pnode.swarm.supervisor.STOP_S", 0.05)
    with toy(tmp_path, STUBBORN) as process:
        process.ready()
    assert not process.running()


def test_a_node_that_ends_says_why(tmp_path: Path) -> None:
    process = toy(tmp_path, "import sys; sys.exit('the disk is full')")
    process.start()
    with pytest.raises(Failure, match="the disk is full"):
        process.ready()
    process.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_no_node_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), SLEEP]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        supervisor.send_signal(signal.SIGKILL)
    assert gone(pid)
