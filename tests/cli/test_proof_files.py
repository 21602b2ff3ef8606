"""Proofs at `campaign verify`: written where a bundle is wrong, checked alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import client
from protocols.bundle import write_bundle
from protocols.proof import ProofKind
from protocols.text import author_text
from tests import cheats
from tests.cheats import WORLDS, file_of, proof_of
from tests.nodes import cli
from tests.worlds import NETWORK, World, key_of


@pytest.fixture(autouse=True)
def _no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file proves itself: nobody is asked."""

    def refuse(*_args: object) -> None:
        raise AssertionError("the verifier asked a node")

    monkeypatch.setattr(client, "_asked", refuse)


def bundle(folder: Path, world: World) -> Path:
    path = folder / "it.bundle"
    path.write_bytes(b"".join(write_bundle(NETWORK, world.scope, world.records)))
    return path


def test_a_wrong_bundle_leaves_its_proof_beside_it(tmp_path):
    path = bundle(tmp_path, cheats.omitted())
    said = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert said.code == 3
    verification = _first(said.out)
    assert [one["kind"] for one in verification["proofs"]] == ["omitted"]
    written = verification["proof"]
    assert written["kind"] == "omitted"
    assert Path(written["file"]).parent == tmp_path
    again = cli(tmp_path / "none", "campaign", "verify", written["file"], "--json")
    assert again.code == 0
    assert again.document["format"] == "p2pnode.proven/1"
    assert again.document["proof"] == written
    assert again.document["culprits"] == [author_text(key_of("sponsor").author)]
    assert again.document["author"] == author_text(cheats.DAVE)
    once_more = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert _first(once_more.out)["proof"] == written


def _first(out: str) -> Any:
    return json.loads(out.splitlines()[0])


def test_a_verdict_is_said_where_its_proof_cannot_be_written(tmp_path, monkeypatch):
    path = bundle(tmp_path, cheats.omitted())
    monkeypatch.setattr("protocols.proof.PROOF_MAX", 1_000)
    said = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert said.code == 3
    assert _first(said.out)["verdict"] == "wrong"
    assert _first(said.out)["proof"] is None
    wanted = str(tmp_path / "wanted.proof")
    said = cli(
        tmp_path / "none",
        *("campaign", "verify", str(path), "--proof", wanted, "--json"),
    )
    assert (said.code, said.document["reason"]) == (3, "too-large")
    assert [*tmp_path.iterdir()] == [path]


def test_a_right_bundle_leaves_nothing(tmp_path):
    world = cheats.played()
    world.close(1)
    path = bundle(tmp_path, world)
    said = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert (said.code, said.document["proof"], said.document["proofs"]) == (0, None, [])
    wanted = tmp_path / "wanted.proof"
    said = cli(
        tmp_path / "none",
        *("campaign", "verify", str(path), "--proof", str(wanted), "--json"),
    )
    assert (said.code, said.document["reason"]) == (1, "nothing-proven")
    assert [*tmp_path.iterdir()] == [path]


def test_a_fork_is_proven_and_no_close_is_wrong(tmp_path):
    path, wanted = bundle(tmp_path, cheats.fork()), tmp_path / "mallory.proof"
    said = cli(
        tmp_path / "none",
        *("campaign", "verify", str(path), "--proof", str(wanted), "--json"),
    )
    assert (said.code, said.document["verdict"]) == (0, "ok")
    assert said.document["proof"] == {"kind": "fork", "file": str(wanted)}
    again = cli(tmp_path / "none", "campaign", "verify", str(wanted))
    assert again.code == 0
    assert author_text(cheats.DAVE) in again.out
    assert "number 1" in again.out


def test_two_closes_of_one_round_are_wrong_though_each_follows(tmp_path):
    world = cheats.second_above()
    said = cli(
        tmp_path / "none",
        *("campaign", "verify", str(bundle(tmp_path, world)), "--json"),
    )
    assert said.code == 3
    verification = _first(said.out)
    assert verification["verdict"] == "wrong"
    assert [one["statement"] for one in verification["closes"]] == ["ok", "ok"]
    assert verification["proof"]["kind"] == "double-close"


@pytest.mark.parametrize("kind", list(ProofKind), ids=lambda kind: kind.word)
def test_every_kind_has_its_sentence(tmp_path, kind):
    path = tmp_path / "a.proof"
    path.write_bytes(file_of(proof_of(WORLDS[kind](), kind)))
    said = cli(tmp_path / "none", "campaign", "verify", str(path))
    assert said.code == 0
    assert "{" not in said.out
    assert "ten red balloons" in said.out


def test_a_damaged_proof_is_refused(tmp_path):
    whole = bytearray(file_of(proof_of(cheats.omitted(), ProofKind.OMITTED)))
    whole[-1] ^= 1
    path = tmp_path / "a.proof"
    path.write_bytes(bytes(whole))
    said = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert (said.code, said.document["reason"]) == (3, "bad-signature")
    path.write_bytes(bytes(whole[:200]))
    said = cli(tmp_path / "none", "campaign", "verify", str(path), "--json")
    assert (said.code, said.document["reason"]) == (3, "bad-proof")
