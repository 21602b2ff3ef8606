"""The demos of fraud, on real processes: each ends with a proof that holds alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.demo_cheats import CHEATS
from p2pnode.swarm.supervisor import ROOT
from protocols.proof import check_proof
from protocols.settlement.redeem import check_double, read_double_text
from protocols.text import author_text
from tests.integration.test_demo import node_processes

pytestmark = [pytest.mark.slow, pytest.mark.net]

SECONDS_MAX = 240
"""A demo takes about 30 s alone on two cores; the suite shares them."""

SAMPLE = ("omit", "witness")
"""What is played unless P2PNODE_CHEATS=all asks for every fraud."""

PLAYED = sorted(CHEATS) if os.environ.get("P2PNODE_CHEATS") == "all" else SAMPLE

STANDING = {"fork": "participant", "witness": "witness"}
"""Who cheats, where it is not the sponsor."""


@pytest.mark.long
@pytest.mark.parametrize("name", PLAYED)
def test_the_fraud_is_proven_to_who_had_no_part_in_it(
    name: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "P2PNODE_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--cheat", name, "--json"],
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
    assert (document["format"], document["cheat"]) == ("p2pnode.demo/1", name)
    file = Path(document["proof"]["file"])
    assert list(tmp_path.rglob("*")) == [file.parent, file]
    assert document["proof"]["kind"] == CHEATS[name].kind
    if name == "double-spend":
        first, _ = check_double(read_double_text(file.read_text("ascii")))
        assert document["culprits"] == [author_text(first.purse.payee)]
    else:
        found = check_proof([file.read_bytes()])
        assert found.kind.word == CHEATS[name].kind
        assert [author_text(key) for key in found.culprits] == document["culprits"]
        assert found.standing.value == STANDING.get(name, "sponsor")
    if Path("/proc").is_dir():
        assert node_processes(tmp_path) == []
