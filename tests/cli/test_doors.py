"""Garbage at every door of the command line: words and an exit code, no traceback.

The same rubbish is given to every argument and option of every command, with a
real node listening, so that what the CLI lets through meets the API too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from cli import accounts, client, main, output
from p2pnode.api import folder
from p2pnode.swarm.supervisor import ROOT
from tests.nodes import Daemon, Said, cli

pytestmark = [pytest.mark.slow, pytest.mark.net]

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u200b=cmd|'/c calc'!A1\x9b31m"
"""What a foreign title or name may hold: escapes, bidi, zero width, a formula."""

GARBAGE = {
    "empty": "",
    "blank": " ",
    "dash": "--",
    "nul": "a\0b",
    "escape": EVIL,
    "newline": "a\r\nHost: evil.com\r\n",
    "surrogate": "\udcff\ud800",
    "huge": "x" * 200_000,
    "huge link": "P2PNODE:I/" + "A" * 200_000,
    "link": "P2PNODE:T/AAAA",
    "unknown link": "P2PNODE:Z/AAAA",
    "wide": "面包店🎈",
    "path": "../../../../etc/passwd",
    "query": "x?person=me&y#z%00%zz",
    "hex": "ab" * 32,
    "number": str(2**80),
    "minus": "-1",
    "id": "p2pc1" + "q" * 60,
    "address": "/ip4/127.0.0.1/tcp/1/p2p/" + "b" * 300,
    "cid": "/ip4/127.0.0.1/tcp/1/p2p/bafzaajaiaejcbs4lcm6ulvj4xwmbqvyrpxjxd4ylh",
    "FOLDER": "folder",
    "BINARY": "binary",
    "PICTURE": "picture.png",
    "ABSENT": "absent/file",
}

LONG_RUNNING = {"run", "demo", "init", "up"}
"""Commands tried by hand below, or in other tests."""

FOR_GOOD = {("key", "next")}
"""Changes the node for all that comes after it; see test_succession."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running merchant's node with one campaign of a hostile title."""
    with Daemon(tmp_path_factory.mktemp("doors") / "shop", "merchant") as node:
        node.ready()
        node.publish(balloons=1, title='"cmd|\\u202e evil"')
        yield node


def _no_reports(*_: object) -> Iterator[object]:
    yield from ()


@pytest.fixture
def rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with things that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("P2PNODE_DEBUG", raising=False)
    monkeypatch.setattr("cli.swarm_state.default_folder", lambda: tmp_path / "swarm")
    monkeypatch.setattr("cli.sim._reports", _no_reports)
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return tmp_path


def commands(
    group: click.Group, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*before, name))
        elif name not in LONG_RUNNING and (*before, name) not in FOR_GOOD:
            yield (*before, name), found


COMMANDS = dict(commands(main._program()))


def steers(text: str) -> list[str]:
    """The characters of a text that a terminal would obey."""
    return [
        c
        for c in text
        if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]


def check(said: Said, args: Sequence[str]) -> None:
    """Words and a code, whatever was typed."""
    told = repr(args)[:300] + said.err[:600]
    assert said.code in (0, 1, 2, 3, 4), told
    assert not steers(said.out + said.err), told
    assert "A fault in p2pnode" not in said.err, told
    assert "The node failed at this request" not in said.err, told
    assert len(said.err) < 20_000, told
    if said.code:
        assert said.err.startswith("p2pnode: "), told
        assert "What to do: " in said.err or "Usage" in said.err, told


def fillings(found: click.Command, value: str) -> Iterator[list[str]]:
    """Arguments for a command: garbage in each place in turn, sense elsewhere."""
    needed: list[str] = []
    places = [p for p in found.params if p.name not in ("as_json", "help")]
    for one in places:
        if isinstance(one, click.Option) and one.required:
            sense = "1" if isinstance(one.type, click.types.IntParamType) else "out"
            needed += [one.opts[0], sense]
    arguments = [p for p in places if isinstance(p, click.Argument)]
    yield [*needed, *["--" for _ in arguments[:1]], *[value for _ in arguments]]
    for one in places:
        if isinstance(one, click.Option) and not one.is_flag:
            yield [
                *needed,
                f"{one.opts[0]}={value}",
                *["P2PNODE:T/AAAA" for _ in arguments],
            ]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_garbage_gets_words(shop: Daemon, rubbish: Path, path: tuple[str, ...]) -> None:
    every = [fillings(COMMANDS[path], value) for value in GARBAGE.values()]
    for args in dict.fromkeys(tuple(args) for rows in every for args in rows):
        check(cli(shop.home, *path, *args), [*path, *args])
    assert "Traceback" not in shop.log_text()
    assert shop.running()


@pytest.mark.parametrize("value", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_makes_no_half_a_node(rubbish: Path, value: str) -> None:
    home = rubbish / "home"
    for option in ("--name", "--network", "--passphrase-file", "--role"):
        said = cli(home, "init", f"{option}={value}")
        check(said, ["init", option, value])
        made = home / "identity.json"
        assert made.exists() is (said.code == 0)
        made.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["campaign", "close", "--round", "99"], 1, "no round 99"),
        (["campaign", "close", "--round", "1"], 1, "cannot be closed before"),
        (["campaign", "explain", "--person", "x"], 3, "bad-code"),
        (["campaign", "explain", "--person", "me"], 0, ""),
        (["campaign", "verify", "folder"], 2, "There is no file folder"),
        (["campaign", "check", "folder"], 2, "cannot be read"),
        (["campaign", "check", "/dev/zero"], 2, ""),
        (["campaign", "check", "binary"], 1, "UTF-8"),
        (
            ["campaign", "invite", "--picture", "absent/x.png"],
            1,
            "There is no folder absent",
        ),
        (["campaign", "bundle", "--out", "folder"], 1, "exists"),
        (["campaign", "bundle", "--out", "absent/x"], 1, "cannot be written"),
        (["attest", "ab" * 32], 1, "not here"),
        (["attest", "ab"], 2, "32 bytes in hex"),
        (["outcome", "reverse", "ab" * 32, "--amount", str(2**60)], 2, "not an amount"),
        (["outcome", "add", "--amount", "1", "--person", "x"], 3, "bad-code"),
        (["peer", "block", "me"], 2, "a peer id"),
        (["peer", "add", "/ip4/127.0.0.1/tcp/1"], 2, "/p2p/"),
        (["peer", "add", GARBAGE["cid"]], 0, ""),
        (["scan", "picture.png"], 1, "not a picture"),
        (["scan", "/dev/zero"], 1, "no such picture"),
        (["reward", "check", "P2PNODE:V/AAAA"], 3, "does not hold"),
        (["reward", "claim"], 1, "pays this node"),
        (["card", "--merchant", "x"], 3, "bad-code"),
        (["tag", "list", "/dev/zero"], 1, ""),
        (["tag", "print", "binary", "--out", "x"], 1, ""),
    ],
)
def test_near_misses(
    shop: Daemon, rubbish: Path, args: list[str], code: int, says: str
) -> None:
    said = cli(shop.home, *args)
    check(said, args)
    assert (said.code, says in said.err) == (code, True), said
    assert not (rubbish / "x").exists()


def test_foreign_words_do_not_steer(
    shop: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a node answers, with escapes in every text of it."""
    paths = [
        ["status"],
        ["peer", "list"],
        ["campaign", "list"],
        ["campaign", "show"],
        ["campaign", "evidence"],
        ["campaign", "verify"],
        ["campaign", "explain"],
        ["settle", "show"],
        ["reward", "list"],
        ["campaign", "invite"],
    ]
    ask = client.call

    def evil(answer: Any) -> Any:
        match answer:
            case dict():
                return {key: evil(value) for key, value in answer.items()}
            case list():
                return [evil(value) for value in answer]
            case str() if answer not in ("none", "ok", "unclosed", "incomplete"):
                return answer + EVIL
            case int() if answer > 10**9 and not isinstance(answer, bool):
                return 2**53 - 1
        return answer

    monkeypatch.setattr(client, "call", lambda *a, **k: evil(ask(*a, **k)))
    for args in paths:
        said = cli(shop.home, *args)
        assert said.code in (0, 3), said
        assert not steers(said.out + said.err)
        assert "A fault" not in said.err, said
        said = cli(shop.home, *args, "--json")
        assert said.out.isascii()
        assert not steers(said.out)


def test_a_stale_or_foreign_announcement_is_no_node(rubbish: Path) -> None:
    file = rubbish / "home" / "run" / "api.json"
    good = '{"format": "p2pnode.api/1", "pid": 1, "port": %s, "token": "%s"}'
    for text in (
        "",
        "[]",
        "[" * 50_000,
        good % (1, "x"),
        good % (70_000, "x"),
        good % (-1, "x"),
        good % ('"x"', "x"),
        good % (1, "\\ud800"),
        good % (1, "a\\r\\nb"),
    ):
        with folder.locked(rubbish / "home"):
            file.write_text(text, "utf-8")
            said = cli(rubbish / "home", "status")
        assert (said.code, "No node is running" in said.err) == (4, True), text


def shell(line: str, home: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run one line of sh, in which $P is the program."""
    program = f"{sys.executable} -m cli.main"
    kept = {"PATH": os.environ["PATH"], "P2PNODE_HOME": str(home), "P": program}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=ROOT,
        env=kept | env,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_closed_and_full_streams(shop: Daemon) -> None:
    assert shell("$P status <&-", shop.home).returncode == 0
    assert shell("$P status >&-", shop.home).returncode == 0
    assert shell("$P status >&- 2>&- <&-", shop.home).returncode == 0
    assert shell("$P frobnicate 2>&-", shop.home).returncode == 2
    done = shell("$P status --json | true; exit ${PIPESTATUS:-0}", shop.home)
    assert done.stderr == b""
    if Path("/dev/full").exists():
        done = shell("$P status >/dev/full", shop.home)
        assert (done.returncode, b"No space left" in done.stderr) == (1, True)
        assert shell("$P status --json >/dev/full", shop.home).returncode == 1
        assert shell("$P frob >/dev/full 2>/dev/full", shop.home).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp936"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"COLUMNS": "20"},
        {"TERM": "dumb"},
    ],
    ids=str,
)
def test_any_environment(shop: Daemon, env: dict[str, str]) -> None:
    done = shell("$P campaign show && $P campaign show --json", shop.home, **env)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    done = shell("$P scan 面包店.png", shop.home, **env)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(b"p2pnode: ")


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
def test_no_home_is_said(tmp_path: Path) -> None:
    line = "unset P2PNODE_HOME; HOME= $P status"
    done = shell(line, tmp_path)
    assert done.returncode in (2, 4)
    assert b"What to do: " in done.stderr


NEW_TAG = ["tag", "new", "--group", "g", "--count", "1"]


def test_a_home_that_is_a_file(rubbish: Path) -> None:
    for args in (["init"], ["run"], ["status"], NEW_TAG):
        for home in (rubbish / "binary", rubbish / "binary" / "deeper"):
            said = cli(home, *args)
            check(said, args)
            assert said.code in (1, 4)
    assert output.clean(EVIL) == "[2J]0;owned=cmd|'/c calc'!A131m"
    assert accounts.moment(2**53 - 1) == "never"
