"""A second implementation, written from the specs, finds the same digests."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from protocols.bundle import write_bundle
from protocols.proof import ProofKind
from tests.cheats import DAVE, file_of, omitted, proof_of
from tests.vectors_closing import two_rounds
from tests.worlds import NETWORK, World, balloon_world

JS = Path(__file__).parents[1] / "js"
NODE = shutil.which("node")
NODE_MAJOR_MIN = 18
EDGE_CASES = Path(__file__).parents[2] / "protocols/vectors/ed25519/edge-cases.json"


def too_old() -> str:
    """Why these tests cannot run here, or nothing."""
    if NODE is None:
        return "node is not installed"
    said = subprocess.run(
        [NODE, "--version"], capture_output=True, text=True, check=False
    ).stdout
    major = said.removeprefix("v").partition(".")[0]
    fits = major.isdigit() and int(major) >= NODE_MAJOR_MIN
    return "" if fits else f"node {said.strip()} is older than {NODE_MAJOR_MIN}"


pytestmark = pytest.mark.skipif(bool(too_old()), reason=too_old() or "node is here")


def node(script: str, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Run one of our scripts; its exit code and the JSON it prints."""
    command = [NODE or "", str(JS / script), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def bundle_of(world: World) -> bytes:
    return b"".join(write_bundle(NETWORK, world.scope, world.records))


def verified(folder: Path, data: bytes) -> tuple[int, dict[str, Any]]:
    path = folder / "a.bundle"
    path.write_bytes(data)
    return node("verify.mjs", path)


def test_it_answers_every_vector():
    code, summary = node("vectors.mjs")
    assert not summary["failures"]
    assert code == 0
    counts = summary["files"].values()
    assert not any(count["skipped"] for count in counts)
    assert sum(count["passed"] for count in counts) > 600


def test_it_checks_a_proof_file(tmp_path):
    path = tmp_path / "a.proof"
    path.write_bytes(file_of(proof_of(omitted(), ProofKind.OMITTED)))
    code, said = node("proof.mjs", path)
    assert (code, said["kind"], said["author"]) == (0, "omitted", DAVE.hex())
    path.write_bytes(path.read_bytes()[:-1])
    assert node("proof.mjs", path)[0] == 3


@pytest.mark.parametrize("witnesses", [1, 4])
def test_it_finds_the_digest_of_the_balloons(tmp_path, witnesses):
    world = balloon_world(witnesses=witnesses)
    world.finish_round(1)
    settlement = world.settle(1).settlement
    world.close(1)
    code, said = verified(tmp_path, bundle_of(world))
    assert (code, said["verdict"]) == (0, "ok")
    (close,) = said["closes"]
    assert close["digest"] == settlement.statement_root.hex()
    lines = [[line.payee.hex(), line.amount] for line in settlement.lines]
    assert close["statement"] == lines
    assert (close["cut"], said["lines"]) == ("ok", len(lines))


def test_it_finds_the_digests_of_two_rounds(tmp_path):
    world, second = two_rounds(witnesses=4)
    code, said = verified(tmp_path, bundle_of(world))
    assert (code, said["verdict"]) == (0, "ok")
    assert [close["round"] for close in said["closes"]] == [1, 2]
    assert [close["cut"] for close in said["closes"]] == ["ok", "ok"]
    assert said["closes"][1]["digest"] == second.claim().statement_root.hex()


def test_it_believes_the_row_of_an_erased_scan(tmp_path):
    world = World(balloons=1, witnesses=1, rounds=1, budget=1_000)
    world.join("alice")
    scan = world.scan("alice", 0)
    world.finish_round(1)
    digest = world.close(1).claim().statement_root.hex()
    world.erase("alice", scan)
    whole = verified(tmp_path, bundle_of(world))
    world.drop_claim(scan)
    code, said = verified(tmp_path, bundle_of(world))
    assert (code, said["verdict"]) == (0, "ok")
    assert (code, said["lines"]) == (whole[0], whole[1]["lines"])
    assert [close["digest"] for close in said["closes"]] == [digest]


def test_no_bit_can_be_turned_unseen(tmp_path):
    world = World(balloons=1, witnesses=1, rounds=1, budget=1_000)
    world.join("alice")
    world.scan("alice", 0)
    world.finish_round(1)
    world.close(1)
    data = bundle_of(world)
    folder = tmp_path / "turned"
    folder.mkdir()
    places = range(4, len(data), max(1, len(data) // 150))
    for place in places:
        turned = bytearray(data)
        turned[place] ^= 1 << place % 8
        (folder / f"{place:06}.bundle").write_bytes(turned)
    code, said = node("verify.mjs", *sorted(folder.iterdir()))
    assert code == 3
    assert len(said["files"]) == len(places)
    for name, one in said["files"].items():
        assert one["verdict"] in {"refused", "incomplete"}, name
        assert one["verdict"] != "refused" or one["reason"], name


def test_a_lying_close_is_refused(tmp_path):
    world = World(balloons=1, witnesses=1, rounds=1, budget=1_000)
    world.join("alice")
    world.finish_round(1)
    world.close(1, unspent=7)
    code, said = verified(tmp_path, bundle_of(world))
    assert (code, said["verdict"], said["reason"]) == (3, "wrong", "wrong-close")


def test_it_takes_the_43_signatures_that_libsodium_takes():
    cases = json.loads(EDGE_CASES.read_text("utf-8"))
    valid = [case["number"] for case in cases if case["valid"]]
    code, said = node("edges.mjs", EDGE_CASES)
    assert code == 0
    assert said == {"cases": 914, "accepted": valid}
