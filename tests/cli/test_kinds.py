"""The wrong thing in hand: it is said what it is, and which command takes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import client, kinds, main
from p2pnode import pictures, typed
from tests.nodes import cli

Say = Callable[..., str]


def wide(text: str) -> str:
    """As a Chinese keyboard in full width types it."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


COMMA = wide(",")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command that fails in a folder of its own; return what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> str:
        said = cli(tmp_path / "none", *args)
        assert said.code == 3, said
        assert (
            cli(tmp_path / "none", *args, "--json").document["reason"] == "wrong-kind"
        )
        return said.err

    return run


FILES = {
    "x.bundle": (b"\x00\x00\x00\x44\x93\xb0p2pnode.bundle/1", "a bundle of a campaign"),
    "x.proof": (b"\x00\x00\x00\x44\x93\xafp2pnode.proof/1", "a proof of a cheat"),
    "x.backup": (b"P2PNODE-BACKUP/1\n{", "a backup of a node"),
    "x.tags": (b'{"format":"p2pnode.tags/1","group"', "a tag file"),
    "identity.json": (b'{"format": "p2pnode.identity/1"', "with a node's keys"),
    "x.webp": (b"RIFF\0\0\0\0WEBP", "a picture"),
    "x.toml": (b'title = "x"\n[witnesses]\n', "a terms file"),
    "x.txt": (b"P2PNODE:V/AAAA\n", "a voucher"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_known_where_another_is_wanted(
    name: str, say: Say, tmp_path: Path
) -> None:
    data, what = FILES[name]
    (tmp_path / name).write_bytes(data)
    takes = {
        "x.bundle": ("campaign", "verify"),
        "x.proof": ("campaign", "verify"),
        "x.backup": ("backup", "verify"),
        "x.tags": ("tag", "list"),
        "x.toml": ("campaign", "check"),
        "x.txt": ("reward", "check"),
        "x.webp": ("scan",),
    }
    for args in {*takes.values(), ("reward", "accept"), ("scan",)}:
        if takes.get(name) == args or (name == "x.webp" and args[0] == "reward"):
            continue
        if name == "x.txt" and args == ("reward", "accept"):
            assert "a slip" in say(*args, name)
        told = say(*args, name)
        assert f"{name} is" in told or "P2PNODE:V/AAAA is" in told
        assert what in told
        assert "What to do: " in told


@pytest.mark.parametrize(
    ("args", "what", "cure"),
    [
        (("scan", "P2PNODE:I/AAAA"), "an invite link", "campaign join"),
        (("campaign", "join", "P2PNODE:V/AAAA"), "a voucher", "reward check"),
        (("reward", "check", "P2PNODE:T/AAAA"), "the code of a tag", "p2pnode scan"),
        (("reward", "accept", "P2PNODE:V/AAAA"), "a voucher", "reward check"),
        (("reward", "accept", "P2PNODE:Z/AAAA"), "no node understands", "right one"),
        (("attest", "ab" * 32, "--card", "P2PNODE:T/AA"), "the code of a tag", "scan"),
        (("campaign", "show", "P2PNODE:I/AAAA"), "an invite link", "campaign join"),
        (("campaign", "follow", "P2PNODE:T/AAAA"), "the code of a tag", "scan"),
        (("campaign", "follow", "p2p1qqqq"), "the key of a person", "right one"),
        (("campaign", "join", "p2pc1qqqq"), "the id of a campaign", "campaign show"),
        (("reward", "redeem", "1", "--at", "p2pc1qq"), "the id of a campaign", "show"),
        (("peer", "add", "P2PNODE:I/AAAA"), "an invite link", "campaign join"),
        (("peer", "ping", "/ip4/192.0.2.7/tcp/1"), "the address of a node", "peer add"),
        (("campaign", "check", "P2PNODE:I/AAAA"), "an invite link", "campaign join"),
    ],
)
def test_every_kind_of_text_is_known(
    args: tuple[str, ...], what: str, cure: str, say: Say
) -> None:
    told = say(*args)
    assert what in told
    assert cure in told


def test_a_picture_of_another_code_is_known(say: Say, tmp_path: Path) -> None:
    pictures.draw("P2PNODE:I/SIA4IATBMI", tmp_path / "x.png")
    assert "x.png is an invite link" in say("reward", "accept", "x.png")


def test_a_files_name_is_not_read_as_a_code(tmp_path: Path) -> None:
    (tmp_path / "p2p1-shop").write_bytes(b"[witnesses]")
    kinds.check_file(str(tmp_path / "p2p1-shop"), ["terms-file"])
    assert kinds.of_file(tmp_path) == ""
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "p2p1pipe")
        kinds.check_file(str(tmp_path / "p2p1pipe"), [])


def test_a_long_code_is_not_shown_whole(say: Say) -> None:
    secret = "A" * 300 + "SECRET"
    assert secret not in say("scan", "P2PNODE:I/" + secret)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the node would be asked."""
    made: list[Any] = []

    def call(_method: str, path: str, body: Any = None, **_more: Any) -> Any:
        made.append((path, body))
        raise SystemExit

    monkeypatch.setattr(client, "call", call)
    return made


@pytest.mark.parametrize(
    ("args", "path", "body"),
    [
        (
            ("reward", "redeem", wide("1500"), "--at", wide("p2p1ABC") + "。"),
            "/campaigns/-/redeem",
            {"amount": 1500, "acceptor": "p2p1ABC", "again": False},
        ),
        (
            ("reward", "paid", "「p2p1abc」", wide("15")),
            "/till/paid",
            {"debtor": "p2p1abc", "amount": 15, "campaign": ""},
        ),
        (
            ("campaign", "join", f"“{wide('P2PNODE:I/AAAA')}”{COMMA}"),
            "/campaigns/join",
            {"link": "P2PNODE:I/AAAA"},
        ),
        (
            ("campaign", "invite", "--uses", wide("3")),
            "/campaigns/-/invite",
            {"uses": 3},
        ),
        (("campaign", "show", wide("p2pc1") + "ab"), "/campaigns/p2pc1ab", None),
        (
            ("outcome", "reverse", wide("ab") * 32, "--amount", wide("128")),
            "/campaigns/-/reverse",
            {"record": "ab" * 32, "amount": 128},
        ),
        (
            ("peer", "add", wide("/ip4/192.0.2.7/tcp/1")),
            "/peers",
            {"address": "/ip4/192.0.2.7/tcp/1"},
        ),
    ],
)
def test_full_width_is_read_as_half_width(
    args: tuple[str, ...], path: str, body: Any, asked: list[Any]
) -> None:
    with pytest.raises(SystemExit):
        main.run(args)
    assert asked == [(path, body)]


@pytest.mark.parametrize(
    "amount", ["12.80", "1,500", f"1{COMMA}500", "-1", "", "15元", "0x1"]
)
@pytest.mark.parametrize(
    "args",
    [
        ("reward", "redeem", "--at", "p2p1a"),
        ("reward", "paid", "p2p1a"),
        ("outcome", "add", "--amount"),
        ("outcome", "reverse", "3", "--amount"),
        ("attest", "3", "--amount"),
        ("reward", "accept", "x", "--limit"),
    ],
)
def test_no_command_guesses_what_an_amount_means(
    args: tuple[str, ...], amount: str, tmp_path: Path
) -> None:
    amounts = ("--", amount) if not args[-1].startswith("--") else (amount,)
    said = cli(tmp_path / "none", *args[:2], "--json", *args[2:], *amounts)
    assert (said.code, said.document["reason"]) == (2, "bad-amount"), said


@pytest.mark.parametrize("number", ["x", "1.5", "1_000", "", "0x1", "\u0663"])
def test_what_is_no_number_is_said_without_clicks_words(
    number: str, tmp_path: Path
) -> None:
    said = cli(tmp_path / "none", "campaign", "invite", "--uses", number)
    assert said.code == 2
    assert "is not a whole number" in said.err
    assert "range" not in said.err


def test_what_is_wide_and_what_is_not() -> None:
    assert typed.code(f"\u3000{wide('(P2PNODE:T/AB)')}。") == "P2PNODE:T/AB"
    assert [
        typed.wide(line) for line in ("title = 1", f"title {wide('=')} 1", "t = “x”")
    ] == [
        "",
        wide("="),
        "“",
    ]
