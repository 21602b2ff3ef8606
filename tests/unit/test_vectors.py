"""The vectors: this implementation answers every stored case as it is written.

That the files are what `tests.generate` makes is checked by `test_specs`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocols.errors import Reason
from tests.generate import VECTORS
from tests.vectors import FORMAT, OPS, run

FOLDER = Path(__file__).parents[2] / "protocols/vectors"
SIZE_MAX = 4_000_000

SPOKEN_ELSEWHERE = {
    Reason.UNKNOWN_KIND: "reserved",
    Reason.UNKNOWN_SCOPE: "a store's",
    Reason.FORK: "a store's",
    Reason.UNEXPECTED_FRAME: "a session's",
    Reason.TOO_MUCH: "a session's",
    Reason.NO_ROOM: "a store's",
}
"""Reasons that no bytes alone can show."""


def held(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text("utf-8")


@pytest.mark.parametrize("name", VECTORS)
def test_every_stored_case_has_its_answer(name):
    stored = json.loads(held(name))
    assert (stored["format"], stored["spec"]) == (FORMAT, name[:4])
    for case in stored["cases"]:
        said = {key: case[key] for key in ("out", "reason", "missing") if key in case}
        assert run(case) == said, case["name"]


def test_the_files_are_these_and_small():
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(VECTORS)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < SIZE_MAX


def test_every_operation_and_every_reason_has_a_case():
    cases = [case for name in VECTORS for case in json.loads(held(name))["cases"]]
    assert {case["op"] for case in cases} == set(OPS)
    text = json.dumps(cases)
    unsaid = {
        reason
        for reason in Reason
        if f'"{reason.value}"' not in text and reason not in SPOKEN_ELSEWHERE
    }
    assert not unsaid
