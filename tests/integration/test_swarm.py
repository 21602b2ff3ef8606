"""`p2pnode swarm`: real processes, cut, killed, healed, and ended to the last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p2pnode.api import folder
from p2pnode.swarm.supervisor import ROOT
from tests.integration.test_demo import node_processes
from tests.nodes import Daemon, Said, cli, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.net,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc"),
]


class Terminal:
    """Somebody who types `p2pnode swarm`."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = tmp_path / "swarm"
        self.own = tmp_path / "own"

    def type(self, verb: str, *args: str) -> Said:
        """Run one command on the swarm."""
        return cli(self.own, "swarm", verb, *args, "--home", str(self.home), "--json")

    def do(self, verb: str, *args: str) -> Any:
        """Run one that works, return its document."""
        said = self.type(verb, *args)
        assert said.code == 0, said
        return said.document

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What status says of each node."""
        return {one["name"]: one for one in self.do("status")["nodes"]}

    def neighbours(self) -> list[int]:
        return [one["neighbours"] for one in self.nodes().values()]

    def records(self, name: str) -> int:
        return int(self.nodes()[name]["records"])

    def agree(self) -> bool:
        return bool(self.do("status")["agree"])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.type("down", "--delete")


@pytest.mark.long
def test_a_swarm_is_cut_killed_and_healed(terminal: Terminal) -> None:
    t = terminal
    assert t.type("status").code == 4
    made = t.do("up", "--nodes", "4", "--records-per-second", "10", "--detach")
    assert [node["name"] for node in made["nodes"]] == ["A", "B", "C", "D"]
    said = t.type("up")
    assert (said.code, said.document["reason"]) == (1, "swarm-is-up")
    until(lambda: t.neighbours() == [3, 3, 3, 3])
    until(lambda: t.records("D") > 10 and t.agree())

    t.do("partition", "a,b", "/", "c,d")
    until(lambda: t.neighbours() == [1, 1, 1, 1])
    cut_at = t.nodes()
    for name in "AC":
        until(lambda name=name: t.records(name) > cut_at[name]["records"])  # type: ignore[misc]
    assert not t.agree()

    t.do("kill", "B")
    assert [one["running"] for one in t.nodes().values()] == [True, False, True, True]
    said = t.type("kill", "B")
    assert (said.code, said.document["reason"]) == (1, "not-running")
    assert t.type("kill", "X").code == 2
    assert t.do("start")["nodes"] == ["B"]
    until(lambda: t.neighbours() == [1, 1, 1, 1])  # it is still cut off

    with Daemon(t.own) as mine:
        mine.ready()
        t.do("heal")
        until(lambda: t.neighbours() == [3, 3, 3, 3] and t.agree())
        assert t.do("join", made["address"])["campaign"] == made["campaign"]
        until(lambda: mine.do("campaign", "list")["campaigns"][0]["terms"])
        until(lambda: mine.do("status")["records"] > 10)

    supervisor = folder.owner(t.home)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)  # `up` crashes
    t.do("down", "--delete")
    assert not t.home.exists()
    assert node_processes(t.home) == []


@pytest.fixture
def heeded() -> Iterator[None]:
    """Let processes started here heed Ctrl-C: who starts the tests may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_while_it_starts_leaves_nobody(terminal: Terminal) -> None:
    command = [sys.executable, "-m", "cli.main", "swarm", "up", "--nodes", "2"]
    with subprocess.Popen(
        [*command, "--home", str(terminal.home)],
        cwd=ROOT,
        env={**os.environ, "P2PNODE_LANG": "en"},
        stderr=subprocess.PIPE,
    ) as process:
        try:
            until((terminal.home / "B" / "node.log").exists)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert b"Traceback" not in said
    assert process.returncode == 130
    assert node_processes(terminal.home) == []
