"""Real node processes for tests, driven as people drive them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import client, main
from p2pnode import identity, tag_file
from p2pnode.swarm.supervisor import ROOT, Process, Ready
from protocols.bundle import read_bundle

ROUNDS = """\
first  = 2099-01-01T00:00:00Z
every  = "1d"
count  = 2
"""
"""Rounds that never end while a test runs."""

TERMS = """\
title  = {title}
unit   = "CNY"
budget = 400_000
residue = {{ to = "charity", key = "{me}", name = "self" }}
redeem_until = 2099-12-31T00:00:00Z
[rounds]
opens  = 2020-01-01T00:00:00Z
{rounds}
accept = "5s"
final  = "10s"
[witnesses]
keys   = ["{me}"]
owners = ["self"]
seen_interval = "{seen}"
[limits]
paid_levels        = 3
per_person_per_day = 0
place_interval_s   = 0
day_offset_min     = 480
[[tag_group]]
name = "balloons"
file = "balloons.tags"
[[stage]]
id     = "find"
line   = "offline"
act    = "scan"
tags   = "balloons"
grade  = 2
once   = "tag"
reward = {{ rule = "halving", amount = 1_000 }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The last document it printed."""
        return json.loads(self.out.splitlines()[-1])


def cli(home: Path, *args: str) -> Said:
    """Run a command of the program in this process, on the folder `home`."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ |= {"P2PNODE_HOME": str(home), "P2PNODE_LANG": "en"}
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main.run(args)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Said(code=code, out=out.getvalue(), err=err.getvalue())


def program(
    *args: str, home: Path, prefix: Sequence[str] = (), timeout_s: float = 20
) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own until it ends."""
    environment = {**os.environ, "P2PNODE_HOME": str(home), "P2PNODE_LANG": "en"}
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "cli.main", *args],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(home: Path, *args: str) -> Said:
    """Run a node in this process that cannot start: seconds faster than outside."""
    level, interval = logging.getLogger("libp2p").level, sys.getswitchinterval()
    guard = threading.Timer(20, os.kill, (os.getpid(), signal.SIGINT))
    guard.start()  # ends a node that starts nevertheless
    try:
        return cli(home, "run", *args)
    finally:
        guard.cancel()
        guard.join()
        logging.getLogger("libp2p").setLevel(level)
        sys.setswitchinterval(interval)


class Daemon(Process):
    """A node process with keys, and what its owner does with it."""

    def __init__(self, home: Path, role: str = "resident", **how: Any) -> None:
        self.keys = identity.create(home, role=role, name=home.name)
        super().__init__(home, **how)

    def up(self) -> Ready:
        """Start it and wait until it listens."""
        self.start()
        return self.ready()

    def do(self, *args: str) -> Any:
        """Run a command that works, return its document."""
        said = cli(self.home, *args, "--json")
        assert said.code == 0, said.out
        return said.document

    def log_text(self) -> str:
        """What it wrote to standard error."""
        return self.log.read_text("utf-8", "replace")

    def publish(
        self,
        balloons: int,
        title: str = '"t"',
        seen: str = "1s",
        rounds: str = ROUNDS,
        more: str = "",
    ) -> list[str]:
        """Publish a campaign with so many one-time tags; return their codes."""
        tags = self.home / "balloons.tags"
        self.do(
            *("tag", "new", "--group", "balloons", "--count", str(balloons)),
            *("--file", str(tags)),
        )
        from protocols.text import author_text

        assert self.keys.author_key is not None
        me = author_text(self.keys.author_key.author)
        terms = self.home / "campaign.toml"
        text = TERMS.format(me=me, title=title, seen=seen, rounds=rounds)
        terms.write_text(text + more, "utf-8")
        self.do("campaign", "publish", str(terms))
        return [code for _, codes in tag_file.read(tags).codes() for code in codes]

    def scan(self, code: str) -> str:
        """Sign a scan; return its record's id: it is acknowledged."""
        answer = client.call("POST", "/scan", {"code": code}, data=self.home)
        return str(answer["record"])

    def records(self) -> dict[str, Any]:
        """What it holds of its only campaign, by id."""
        out = self.home / "check.bundle"
        out.unlink(missing_ok=True)
        client.download("/campaigns/-/bundle", out, data=self.home)
        records = read_bundle([out.read_bytes()])[2]
        return {record.id.hex(): record for record in records}


def until(true: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until something has come true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def wrapped(script: str) -> Sequence[str]:
    """The command of a node in which `script` runs first."""
    run = "\nimport sys\nfrom cli.main import main\nsys.argv[1:] = ['run']\nmain()\n"
    return [sys.executable, "-c", script + run]
