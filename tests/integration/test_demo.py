"""The demo, played once on real processes, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import demo, demo_play
from p2pnode.swarm.supervisor import ROOT
from tests.nodes import cli

pytestmark = [pytest.mark.slow, pytest.mark.net]

SECONDS_MAX = 120
"""The demo takes about 35 s alone on two cores; the suite shares them."""


def node_processes(below: Path) -> list[str]:
    """Command lines of processes whose data folder lies below `below`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        home = next((v for v in variables if v.startswith(b"P2PNODE_HOME=")), b"")
        if str(below).encode() in home:
            found.append((process / "cmdline").read_bytes().decode())
    return found


def payout(document: dict[str, Any], name: str) -> int:
    (found,) = [one for one in document["payouts"] if one["name"] == name]
    return int(found["minor_units"])


@pytest.mark.long
def test_the_demo_pays_to_the_last_unit(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "P2PNODE_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--json"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert document["format"] == "p2pnode.demo/1"
    assert set(document) == {
        *("format", "nodes", "records", "digests", "payouts", "residue"),
        *("unspent_minor_units", "budget_minor_units", "bundle", "seconds"),
    }
    assert document["nodes"] == len(document["digests"]) == demo.NODES == 12
    (digest,) = set(document["digests"].values())
    assert len(bytes.fromhex(digest)) == 32
    check_money(document)
    check_bundle(document, tmp_path, digest)
    assert list(tmp_path.rglob("*")) == [
        Path(document["bundle"]).parent,
        Path(document["bundle"]),
    ]
    if Path("/proc").is_dir():
        assert node_processes(tmp_path) == []


def check_money(document: dict[str, Any]) -> None:
    """Everything adds up, and each chain is paid by halves."""
    paid = sum(one["minor_units"] for one in document["payouts"])
    residue, unspent = document["residue"], document["unspent_minor_units"]
    assert document["budget_minor_units"] == 4_000_000
    assert paid + residue["minor_units"] + unspent == 4_000_000
    assert (residue["to"], unspent) == ("Charity", 0)
    finders = [*demo.FOUND_FIRST, *demo.FOUND_CUT_OFF, *demo.FOUND_LAST]
    assert len(finders) == demo.BALLOONS
    expected = dict.fromkeys(demo.PEOPLE, 0)
    left = 0
    for finder in finders:
        share, person = demo_play.POOL // 2, finder
        pool = demo_play.POOL
        while person in demo.INVITED_BY:
            expected[person] += share
            pool -= share
            share, person = share // 2, demo.INVITED_BY[person]
        left += pool
    assert {name: payout(document, name) for name in expected} == expected
    assert residue["minor_units"] == left
    assert payout(document, "Dave") == 2 * 200_000  # and to Carol 100,000 for each


def check_bundle(document: dict[str, Any], folder: Path, digest: str) -> None:
    """Anybody finds the same with the bundle alone."""
    nobody = folder.parent / "nobody"
    said = cli(nobody, "campaign", "verify", document["bundle"], "--json")
    assert said.code == 0, said
    assert said.document["verdict"] == "ok"
    assert said.document["statement"]["digest"] == digest
    assert not nobody.exists()
