"""Bad bundles at `campaign verify FILE`: a reason and exit code 3, nothing else."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli import client
from p2pnode.swarm.supervisor import ROOT
from protocols.bundle import read_bundle, write_bundle
from protocols.codec import encode
from protocols.framing import frame
from protocols.keys import Scope
from protocols.record import Record, encode_record
from tests.nodes import Said, cli
from tests.worlds import NETWORK, World, balloon_world

pytestmark = pytest.mark.slow

SEED = 7
FLIPS = 200
MEMORY_MAX = 512 * 2**20
"""Bytes of address space a verifier gets: about 100 MiB are Python's."""


@pytest.fixture(scope="module")
def world() -> World:
    """Ten balloons found, seen, and closed."""
    made = balloon_world()
    made.finish_round(1)
    made.close(1)
    return made


def pack(campaign: Scope, records: list[Record]) -> bytes:
    return b"".join(write_bundle(NETWORK, campaign, records))


@pytest.fixture(scope="module")
def good(world: World) -> bytes:
    return pack(world.scope, world.records)


def verify(folder: Path, data: bytes) -> Said:
    file = folder / "it.bundle"
    file.write_bytes(data)
    said = cli(folder / "none", "campaign", "verify", str(file), "--json")
    assert said.code in (0, 3), said
    if said.code == 3:
        assert said.document["reason"], said
        assert said.document["reason"] not in ("internal", "usage"), said
        assert said.document["message"]
    return said


@pytest.fixture(scope="module")
def verdict(good: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    said = verify(tmp_path_factory.mktemp("good"), good)
    assert said.code == 0
    found: dict[str, object] = said.document
    assert found["verdict"] == "ok"
    return found


@pytest.fixture(autouse=True)
def _no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle proves itself: nobody is asked."""

    def refuse(*_args: object) -> None:
        raise AssertionError("the verifier asked a node")

    monkeypatch.setattr(client, "_asked", refuse)


def test_every_flipped_byte_is_found(
    good: bytes, verdict: dict[str, object], tmp_path: Path
) -> None:
    dice = random.Random(SEED)
    for place in sorted(dice.sample(range(len(good)), FLIPS)):
        bad = bytearray(good)
        bad[place] ^= 1 << dice.randrange(8)
        assert verify(tmp_path, bytes(bad)).code == 3, f"byte {place} of {len(good)}"


def test_a_truncated_one_is_found(good: bytes, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    for size in [0, 1, 4, 60, len(good) - 1, *dice.sample(range(len(good)), 30)]:
        said = verify(tmp_path, good[:size])
        if said.code == 0:  # cut between two records: fewer closes, or none
            assert said.document["verdict"] == "unclosed", size


def test_each_missing_record_is_missed(
    world: World, verdict: dict[str, object], tmp_path: Path
) -> None:
    """Without one record it is the same verdict, or a reason why not."""
    for gone in range(len(world.records)):
        records = world.records[:gone] + world.records[gone + 1 :]
        said = verify(tmp_path, pack(world.scope, records))
        if said.code == 0 and said.document["verdict"] == "ok":
            assert said.document["statement"] == verdict["statement"]


def test_order_and_repetition_change_nothing(
    world: World, good: bytes, verdict: dict[str, object], tmp_path: Path
) -> None:
    head = frame(encode(["p2pnode.bundle/1", NETWORK, world.scope]))
    frames = [frame(encode_record(record)) for record in world.records]
    for order in (frames[::-1], frames + frames, frames[1:] + frames[:1]):
        said = verify(tmp_path, head + b"".join(order))
        assert said.code == 3 or said.document == verdict


def test_records_of_another_campaign(
    world: World, good: bytes, verdict: dict[str, object], tmp_path: Path
) -> None:
    other = World(changes={"title": "another", "nonce": bytes(16)})
    other.join("alice")
    mixed = verify(tmp_path, pack(world.scope, world.records + other.records))
    assert mixed.code == 3 or mixed.document["statement"] == verdict["statement"]
    only = verify(tmp_path, pack(world.scope, other.records))
    assert (only.code, only.document["reason"]) == (3, "bad-bundle")
    named = verify(tmp_path, pack(other.scope, world.records))
    assert (named.code, named.document["reason"]) == (3, "bad-bundle")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(1_000),
        bytes(1_000),
        b"\xff" * 1_000,
        frame(b"\x93"),
        frame(encode(["p2pnode.bundle/2", bytes(16), bytes(32)])),
        frame(encode(["p2pnode.bundle/1", bytes(16), bytes(32)])),
        frame(encode(["p2pnode.bundle/1", bytes(16), bytes(32)])) + frame(b"\xc0"),
        frame(b"\xdd\xff\xff\xff\xff"),
        frame(b"\x91" * 60_000),
    ],
)
def test_what_is_no_bundle(data: bytes, tmp_path: Path) -> None:
    assert verify(tmp_path, data).code == 3
    for verb in ("verify", "explain"):
        said = cli(tmp_path / "none", "campaign", verb, str(tmp_path / "it.bundle"))
        assert said.code == 3
        assert "What to do: " in said.err


@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")
@pytest.mark.parametrize("size", [2**30, 2**28 - 1])
def test_a_huge_file_takes_little_memory(
    good: bytes, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "sparse.bundle"
    for start in (b"", good):
        file.write_bytes(start)
        with file.open("r+b") as out:
            out.truncate(size)
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "campaign", "verify", str(file)],
            cwd=ROOT,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX)
            ),
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"What to do: " in done.stderr


def test_what_the_node_writes_is_read(world: World, good: bytes) -> None:
    network, campaign, records = read_bundle([good])
    assert (network, campaign) == (NETWORK, world.scope)
    assert {r.id for r in records} == {r.id for r in world.records}
