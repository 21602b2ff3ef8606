"""The reminder to make a backup ends when one was made and verified."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cli import losses
from p2pnode import backup, backup_notes, identity
from tests.nodes import cli

LOST_MS = 1_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    identity.create(tmp_path / "home", role="merchant", name="shop")
    return tmp_path / "home"


def reminded(home: Path, lost_ms: int = LOST_MS) -> tuple[str, str]:
    status: dict[str, Any] = {"losses": [{"why": "restored", "time_ms": lost_ms}]}
    (one,) = losses.remarks(status, home)
    return one.level, one.cure


def test_the_reminder_ends_with_a_verified_backup(home: Path, tmp_path: Path) -> None:
    assert reminded(home)[1].startswith("Make a new backup")
    file = str(tmp_path / "it.backup")
    assert cli(home, "backup", "create", "--keys-in-clear", file).code == 0
    assert reminded(home)[1].startswith("See that the new backup is whole")
    assert cli(home, "backup", "verify", file).code == 0
    assert reminded(home) == ("ok", "")
    later = backup_notes.read(home)[0].made_ms + 1
    assert reminded(home, later)[1].startswith("Make a new backup")


def test_another_nodes_backup_ends_no_reminder(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    identity.create(other, role="merchant", name="shop")
    for one in (home, other):
        file = str(tmp_path / f"{one.name}.backup")
        assert cli(one, "backup", "create", "--keys-in-clear", file).code == 0
    assert cli(home, "backup", "verify", str(tmp_path / "other.backup")).code == 0
    assert reminded(home)[0] == "warn"
    shutil.rmtree(other)
    assert cli(other, "backup", "verify", str(tmp_path / "other.backup")).code == 0
    assert not other.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"made": 1}', '{"made": [{}]}', "[" * 60_000]
)
def test_a_damaged_note_is_no_note(home: Path, text: str) -> None:
    (home / backup_notes.FILE).write_text(text, "ascii")
    assert backup_notes.read(home) == []


def test_only_the_latest_are_remembered(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "it.backup"
    assert cli(home, "backup", "create", "--keys-in-clear", str(file)).code == 0
    header = backup.verify(file)
    for _ in range(40):
        backup_notes.made(home, header)
    assert len(backup_notes.read(home)) == backup_notes.NOTES_MAX
    assert {one.name for one in home.iterdir()} >= {backup_notes.FILE}


def test_a_wrong_passphrase_speaks_of_the_backup(home: Path, tmp_path: Path) -> None:
    right, wrong, file = (tmp_path / name for name in ("right", "wrong", "it.backup"))
    right.write_text("right")
    wrong.write_text("wrong")
    sealed = ("--passphrase-file", str(right))
    assert cli(home, "backup", "create", *sealed, str(file)).code == 0
    for verb in ("verify", "restore"):
        by = ("--passphrase-file", str(wrong), str(file))
        said = cli(tmp_path / "new", "backup", verb, *by)
        assert said.code == 1
        assert "keys of this backup" in said.err
        assert "init" not in said.err
    said = cli(tmp_path / "new", "backup", "restore", str(file))
    assert "of this backup are sealed" in said.err
