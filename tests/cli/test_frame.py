"""The frame every command stands in: start, help, errors, exit codes, terminals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

import click
import pytest

from cli import client, i18n, main, output
from p2pnode.failures import Failure
from protocols.errors import ProtocolError, Reason

ROOT = Path(__file__).parents[2]
HEAVY = {"libp2p", "trio", "apsw", "msgpack", "starlette", "hypercorn", "cryptography"}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("P2PNODE_HOME", str(tmp_path))
    monkeypatch.setenv("P2PNODE_LANG", "en")
    monkeypatch.delenv("P2PNODE_DEBUG", raising=False)
    i18n._catalogue.cache_clear()


@pytest.fixture
def languages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    i18n._catalogue.cache_clear()
    for name in i18n.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    i18n._catalogue.cache_clear()


def p2pnode(
    *args: str, flags: Sequence[str] = (), stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run the program as people do; return the finished process."""
    return subprocess.run(
        [sys.executable, *flags, "-m", "cli.main", *args],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=30,
    )


def commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[str, click.Command]]:
    """Yield (path, command) of every command there is."""
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found
        yield f"{context.command_path} {name}", found
        if isinstance(found, click.Group):
            inner = click.Context(found, parent=context, info_name=name)
            yield from commands(found, inner)


def every_command() -> dict[str, click.Command]:
    program = main._program()
    return dict(commands(program, click.Context(program, info_name="p2pnode")))


def test_help_imports_nothing_heavy() -> None:
    done = p2pnode("--help", flags=("-X", "importtime"))
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.decode().splitlines()
    }
    assert done.returncode == 0
    assert "click" in imported
    assert not imported & HEAVY


def test_help_lists_the_commands_that_are_there() -> None:
    text = p2pnode("--help").stdout.decode()
    assert text.startswith("Example:\n  p2pnode ")
    listed = text.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == [
        name for name in main._commands() if (ROOT / "cli" / f"{name}.py").is_file()
    ]


@pytest.mark.parametrize("path", every_command())
def test_every_command_explains_itself(path: str) -> None:
    found = every_command()[path]
    with click.Context(found, info_name=path) as context:
        text = found.get_help(context)
    assert text.startswith("Example:\n  p2pnode ")
    assert found.help
    if not isinstance(found, click.Group):
        assert "--json" in text
        return
    for each in found.commands.values():
        assert (each.help or "") in " ".join(text.split()), "cut off in the list"


def test_a_usage_error_says_what_to_do() -> None:
    done = p2pnode("frobnicate\x1b[31m\u202e")
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"What to do: 'p2pnode --help'" in done.stderr
    assert b"\x1b" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_noun_without_verb_shows_its_help() -> None:
    done = p2pnode("peer")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Commands:" in done.stderr


def test_json_errors_are_documents_on_standard_output() -> None:
    done = p2pnode("peer", "add", "--json")
    assert (done.returncode, done.stderr) == (2, b"")
    document = json.loads(done.stdout)
    assert document["format"] == "p2pnode.error/1"
    assert document["reason"] == "usage"
    assert set(document) == {"format", "reason", "message", "expected", "cure"}


def test_no_daemon_is_exit_code_4_and_says_how_to_start_one() -> None:
    done = p2pnode("status")
    assert done.returncode == 4
    assert b"Start it with: p2pnode run" in done.stderr


@pytest.mark.parametrize("encoding", ["cp936", "ascii", "utf-8"])
def test_any_text_survives_any_code_page(encoding: str) -> None:
    script = (
        "from cli import main, output; output.survive();"
        "output.say('\\U0001f388 caf\\xe9 庄园 \\ud800');"
        "output.document('x', {'a': '🎈'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    )
    text, document = done.stdout.decode(encoding).splitlines()
    assert "caf" in text
    assert json.loads(document)["a"] == "🎈"


def test_a_closed_pipe_is_not_a_complaint() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        done = p2pnode("--help", stdout=pipe)
    assert (done.returncode, done.stderr) == (main.PIPE_CLOSED, b"")


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Failure("too-early", "m"), 1, "too-early"),
        (Failure("bad", "m", status=400), 2, "bad"),
        (ProtocolError(Reason.GAP, "seq 7"), 3, "gap"),
        (Failure("no-peer", "m", status=503), 4, "no-peer"),
        (Failure("slow", "m", status=504), 4, "slow"),
        (OSError(28, "No space left on device"), 1, "system"),
        (RuntimeError("bug"), 1, "internal"),
        (RecursionError("deep"), 1, "internal"),
        (ExceptionGroup("nursery", [Failure("in-use", "m")]), 1, "in-use"),
    ],
)
def test_whatever_fails_becomes_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    reason: str,
) -> None:
    def fail(*_args: object, **_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(client, "call", fail)
    assert main.run(["status"]) == code
    assert capsys.readouterr().err.startswith("p2pnode: ")
    assert main.run(["status", "--json"]) == code
    captured = capsys.readouterr()
    assert json.loads(captured.out)["reason"] == reason
    assert captured.err == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> NoReturn:
        raise RuntimeError("bug")

    monkeypatch.setattr(client, "call", fail)
    monkeypatch.setenv("P2PNODE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main.run(["status"])


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("nursery", [KeyboardInterrupt()])],
)
def test_ctrl_c_ends_quietly(
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_args: object, **_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(client, "call", interrupt)
    assert main.run(["status"]) == main.INTERRUPTED
    assert capsys.readouterr() == ("", "\nStopped.\n")


def test_status_shows_what_the_node_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts: dict[str, object] = {
        "format": "p2pnode.status/1",
        "name": "\x1b[2J面包店",
        "addresses": ["/ip4/1", "/ip4/2"],
        "new_fact": 7,
        "author": None,
    }
    monkeypatch.setattr(client, "call", lambda *_args: facts)
    assert main.run(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "name       [2J面包店",
        "addresses  /ip4/1",
        "           /ip4/2",
        "new fact   7",
    ]
    assert main.run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts


def test_no_text_steers_the_terminal() -> None:
    hostile = "a\x1b[2J\x07\u202e\u200b\u2066\x9b31m\ud800\ufeffb\r\nc\td\u2028e"
    assert output.clean(hostile) == "a[2J31mb  c d e"


def test_tables_align_full_width_characters() -> None:
    rows = [("面包店", 7), ("Café", 1234), ("e\u0301", 0)]
    assert output.table(("shop", "fen"), rows) == [
        "shop     fen",
        "面包店     7",
        "Café    1234",
        "e\u0301          0",
    ]
    assert output.table(("a", "b"), []) == ["a  b"]


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, text in [(io.StringIO(), "x\n"), (Terminal(), "\x1b[31mx\x1b[0m\n")]:
        output.say("x", colour="red", stream=stream)
        assert stream.getvalue() == text
    monkeypatch.setenv("NO_COLOR", "1")
    output.say("x", colour="red", stream=(stream := Terminal()))
    assert stream.getvalue() == "x\n"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, []),
        ({"LANG": "C.UTF-8"}, ["C"]),
        ({"LANG": "zh_CN.UTF-8"}, ["zh_CN"]),
        ({"LANG": "de_DE", "LC_ALL": "zh_CN.GBK"}, ["zh_CN"]),
        ({"LC_ALL": "de", "LANGUAGE": "zh-HK:en"}, ["zh_HK", "en"]),
        ({"LANGUAGE": "de", "P2PNODE_LANG": "zh_CN@x"}, ["zh_CN"]),
    ],
)
def test_the_language_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    languages: None,
    environment: dict[str, str],
    wanted: list[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert i18n._languages() == wanted


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh_CN", "已停止。"),
        ("zh_HK", "已停止。"),
        ("en", "Stopped."),
        ("fr", "Stopped."),
    ],
)
def test_sentences_come_from_the_catalogue(
    monkeypatch: pytest.MonkeyPatch,
    languages: None,
    tmp_path: Path,
    language: str,
    text: str,
) -> None:
    folder = tmp_path / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "p2pnode.mo").write_bytes(catalogue("Stopped.", "已停止。"))
    monkeypatch.setattr(i18n, "LOCALES", tmp_path)
    monkeypatch.setenv("P2PNODE_LANG", language)
    assert i18n._("Stopped.") == text
    assert i18n._("not translated") == "not translated"


def catalogue(source: str, target: str) -> bytes:
    """Return a .mo file with the header entry and one sentence."""
    pairs = [(b"", b"Content-Type: text/plain; charset=UTF-8\n")]
    pairs.append((source.encode(), target.encode()))
    head = [0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0]
    at, words, tables = 28 + 16 * len(pairs), b"", []
    for side in zip(*pairs, strict=True):
        for text in side:
            tables += [len(text), at + len(words)]
            words += text + b"\0"
    return b"".join(n.to_bytes(4, "little") for n in head + tables) + words
