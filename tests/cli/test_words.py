"""What the node's documents call things reaches people in words of their language."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cli import accounts, client, i18n, main, output, peer
from cli.campaign_terms import guarantees
from cli.words import word
from p2pnode import daemon
from p2pnode.terms_check import Guarantees
from protocols.claims import Kind
from protocols.settlement.verify import Verdict
from protocols.tags.entry import Carrier
from protocols.terms import Act, Role

SHOWN: dict[str, Any] = {
    "title": "Balloons",
    "campaign": "p2pc1x",
    "unit": "CNY",
    "budget": 10_000,
    "residue": {"name": "shop"},
    "role": "participant",
    "records": 7,
    "feeds": 2,
    "stages": [
        {
            "id": "find",
            "reward": {"rule": "halving", "amount": 10_000, "percent_bp": 0},
            "acts": 1,
            "accepted": 1,
        }
    ],
    "rounds": [
        {"closes": 1_000_000 * n, "final_from": 1_000_000 * n + 10} for n in (1, 2, 3)
    ],
    "closes": [{"round": 1}],
    "conditions": [],
    "waits_for": [],
}


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("P2PNODE_LANG", "zh_CN")
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


@pytest.mark.usefixtures("chinese")
def test_what_documents_call_things_is_said_in_chinese() -> None:
    codes = [
        *(kind.name for kind in (*Act, Kind.ENTER, Kind.REVERSAL, Kind.CLOSE)),
        *(each.name for each in (*Role, *Carrier) if each.name),
        *(each.value for each in Verdict),
        *("flat", "halving", "connected", "known", "blocked", "follower", "sponsor"),
        *("witness", "payee", "participant", "resident", "fork", "omitted", "padded"),
    ]
    english = [code for code in codes if word(code.lower()).isascii()]
    assert not english


def test_a_word_nobody_knows_stays() -> None:
    assert word("brand-new") == "brand-new"


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    program = main.Program("p2pnode")
    context = click.Context(program)
    said = main._commands()
    for name in program.list_commands(context):
        found = program.get_command(context, name)
        assert found is not None
        assert (found.help or "").startswith(said[name].rstrip("."))


def test_amounts_stand_to_the_right() -> None:
    rows = [("Anna", accounts.money(5, "CNY")), ("Bo", accounts.money(123_450, "CNY"))]
    assert output.table(("payee", "amount"), rows) == [
        "payee        amount",
        "Anna       0.05 CNY",
        "Bo     1,234.50 CNY",
    ]


@pytest.mark.parametrize("next_round", [2, None])
def test_show_names_the_rounds_to_come_or_the_last(
    next_round: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        client, "call", lambda *_args: {**SHOWN, "next_round": next_round}
    )
    assert main.run(["campaign", "show"]) == 0
    said = capsys.readouterr().out
    assert ("round 2: ends" in said, "round 3: ends" in said) == (
        (True, True) if next_round else (False, False)
    )
    assert ("Round 1 was the last" in said) == (next_round is None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"liars": ["W1", "W2"]},
            [
                "Proven to have signed two feeds: the witnesses of W1, W2.",
                (
                    "With 4 witnesses 1 may lie. These are more: what counts, and since"
                    " when, rests on nobody's word any more."
                ),
            ],
        ),
        (
            {"liars": ["W1"]},
            ["Proven to have signed two feeds: the witnesses of W1."],
        ),
        ({"silent": ["W1"]}, ["Not heard of round 2: W1. It can close without."]),
        (
            {"waits_for": ["W2", "W3"]},
            [
                (
                    "Round 2 waits for finals of W2, W3, since"
                    f" {accounts.moment(2_000_010)}."
                ),
                "With 4 witnesses 1 may be off; the nodes of the others must run.",
            ],
        ),
        (
            {
                "waits_for": ["W2"],
                "rounds": [SHOWN["rounds"][0], {"closes": 2**52, "final_from": 2**52}],
            },
            ["Round 2 waits until these witnesses have finished it: W2."],
        ),
        (
            {"missing": 3},
            [
                (
                    "3 records that witnesses or closes name are not here yet:"
                    " neighbours are asked for them."
                )
            ],
        ),
    ],
)
def test_show_says_whom_a_round_waits_for(
    changes: dict[str, Any],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    witnesses = {"witnesses": [{}] * 4, "faults": 1, "next_round": 2}
    shown = {**SHOWN, **witnesses, **changes}
    monkeypatch.setattr(client, "call", lambda *_args: shown)
    assert main.run(["campaign", "show"]) == 0
    said = capsys.readouterr().out.splitlines()
    last = max(place for place, line in enumerate(said) if line.startswith("round "))
    assert said[last + 1 :] == expected


@pytest.mark.parametrize("number", [1, 4, 7])
def test_check_says_what_so_many_witnesses_guarantee(number: int) -> None:
    faults = (number - 1) // 3
    found = Guarantees(
        witnesses=number,
        faults=faults,
        counts_from=2 * faults + 1,
        never_below=faults + 1,
    )
    said = " ".join(guarantees(found))
    assert "{" not in said
    if number == 1:
        assert said.startswith("One witness")
        return
    assert f"What {2 * faults + 1} of them saw in time counts" in said
    assert f"fewer than {faults + 1} saw never counts" in said
    assert f"If {faults + 1} lie together" in said


@pytest.mark.parametrize(
    ("terminal", "args", "begins"),
    [
        (True, [], "The node runs until Ctrl-C. Others reach it at /ip4/"),
        (True, ["--json"], '{"format": "p2pnode.ready/1"'),
        (False, [], '{"format": "p2pnode.ready/1"'),
    ],
)
def test_the_ready_line_is_words_on_a_terminal(
    terminal: bool,
    args: list[str],
    begins: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_home: Path, _listen: tuple[str, ...], *, ready: Any) -> None:
        ready({"format": "p2pnode.ready/1", "addresses": ["/ip4/127.0.0.1/tcp/1"]})

    monkeypatch.setattr(daemon, "run", run)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert main.run(["run", *args]) == 0
    assert capsys.readouterr().out.startswith(begins)


@pytest.mark.usefixtures("chinese")
def test_no_english_is_left_in_init_and_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("P2PNODE_HOME", str(tmp_path / "home"))
    assert main.run(["init", "--role", "merchant"]) == 0
    assert "merchant" not in capsys.readouterr().out
    main.run(["doctor"])
    said = capsys.readouterr().out.splitlines()
    levels = [line.split()[0] for line in said if not line.startswith(" ")]
    assert levels
    assert not [level for level in levels if level.isascii()]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("cannot read the address '/ip4/x': no", "the address is mistyped"),
        ("cannot reach /ip4/...: no answer within 10 s", "no answer from there"),
        ("something new", "something new"),
        ("", "still trying"),
    ],
)
def test_why_a_peer_does_not_answer_is_said_in_one_language(
    error: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = "/ip4/192.0.2.7/tcp/1/p2p/12D3KooWx"
    known = {"peers": [{"peer": "12D3KooWx", "connected": False, "error": error}]}
    monkeypatch.setattr(client, "call", lambda *_args: known)
    monkeypatch.setattr(peer, "LOOK_S", 0)
    assert main.run(["peer", "add", address]) == 0
    assert f"does not answer yet: {says}" in capsys.readouterr().out


def test_nobody_is_me_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.bundle").write_bytes(b"")
    file = str(tmp_path / "x.bundle")
    assert main.run(["campaign", "explain", file, "--person", "me"]) == 2
    assert "who you are" in capsys.readouterr().err


def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("P2PNODE_DEBUG", raising=False)

    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'nacl'", name="nacl")

    monkeypatch.setattr("importlib.import_module", absent)
    assert main.run(["status"]) == 1
    said = capsys.readouterr().err
    assert "nacl is not installed" in said
    assert "p2pnode doctor" in said


def test_a_round_that_is_closed_twice_is_called_that() -> None:
    found = {"verdict": "wrong", "proofs": [{"kind": "omitted"}]}
    assert "does NOT follow" in accounts.finding(found)
    found["proofs"] = [{"kind": "double-close"}]
    assert "closed twice" in accounts.finding(found)
