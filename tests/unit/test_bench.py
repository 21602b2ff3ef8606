"""The benchmarks run, and say what they promise to say. Nothing is timed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import SUBJECTS, main, run
from tests.bench.figures import Row, document, number, table

TINY = 0.002
ROW_KEYS = {
    "subject",
    "figure",
    "value",
    "unit",
    "target_least",
    "target_most",
    "met",
    "beside",
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return run(["ed25519", "reconcile", "settle"], TINY)


def test_the_document_has_its_shape(rows: list[Row]) -> None:
    made = json.loads(json.dumps(document(rows, 1.25)))
    assert made["format"] == "p2pnode.bench/1"
    assert set(made["machine"]) == {"cores", "cpu", "system", "python", "load_1min"}
    assert {row["subject"] for row in made["rows"]} == {
        "ed25519",
        "reconcile",
        "settle",
    }
    for row in made["rows"]:
        assert set(row) == ROW_KEYS
        assert row["value"] > 0


def test_the_table_has_a_line_for_each_row_and_fits_no_wider_one(
    rows: list[Row],
) -> None:
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({len(line) for line in lines}) == 1


def row_of(value: float, least: float | None = None, most: float | None = None) -> Row:
    return Row(subject="a", figure="b", value=value, unit="s", least=least, most=most)


@pytest.mark.parametrize(
    ("row", "met", "target"),
    [
        (row_of(3, most=2), False, "≤ 2 (missed)"),
        (row_of(2, most=2), True, "≤ 2"),
        (row_of(9, least=9_000), False, "≥ 9,000 (missed)"),
        (row_of(9_000, least=9_000), True, "≥ 9,000"),
        (row_of(9), None, ""),
    ],
)
def test_a_target_says_when_it_is_missed(
    row: Row, met: bool | None, target: str
) -> None:
    assert (row.met, row.target) == (met, target)


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (98.76, "98.8"), (12_345.6, "12,346")]
)
def test_three_figures_count(value: float, text: str) -> None:
    assert number(value) == text


def test_an_unknown_subject_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["gossip"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in SUBJECTS)


def test_the_machine_is_described_without_names_or_paths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["--json", "--quick", "reconcile"])
    said = capsys.readouterr().out
    assert json.loads(said)["machine"]["cores"]
    assert str(Path.cwd()) not in said
    assert str(Path.home()) not in said
