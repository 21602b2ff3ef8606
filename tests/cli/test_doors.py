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
from p2pnode.swarm.supervisor import ROOT
from tests.nodes import Daemon, Said, cli, until

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

LONG_RUNNING = {"run", "demo", "init"}
"""Commands tried by hand below, or in other tests."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running merchant's node with one campaign of a hostile title."""
    with Daemon(tmp_path_factory.mktemp("doors") / "shop", "merchant") as node:
        node.ready()
        node.publish(balloons=1, title='"cmd|\\u202e evil"')
        yield node


@pytest.fixture
def rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with things that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("P2PNODE_DEBUG", raising=False)
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
        elif name not in LONG_RUNNING:
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
def test_garbage_gets_words(
    shop: Daemon, rubbish: Path, path: tuple[str, ...]
) -> None:
    for value in GARBAGE.values():
        for args in fillings(COMMANDS[path], value):
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
