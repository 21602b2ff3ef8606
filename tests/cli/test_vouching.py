"""What a shop reads after it vouched: what was recorded, its number, every doubt."""

from __future__ import annotations

from typing import Any

import pytest

from cli import client, main

ID = "ab" * 32
SALE: dict[str, Any] = {
    "title": "Balloons",
    "unit": "CNY",
    "record": ID,
    "seq": 3,
    "stage": "buy",
    "person": "p2p1alice",
    "amount": 12_800,
    "refund_until": None,
    "by": "card",
    "act": None,
    "act_kind": None,
    "tag": None,
    "place": None,
    "host": None,
    "host_name": None,
    "warnings": [],
}
BACK: dict[str, Any] = {
    **{name: SALE[name] for name in ("title", "unit", "record", "seq", "stage")},
    "person": "p2p1alice",
    "outcome": "cd" * 32,
    "amount": 800,
    "left": 12_000,
    "warnings": [],
}


def say(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Any,
    *args: str,
) -> tuple[list[str], list[str]]:
    monkeypatch.setattr(client, "call", lambda *_args: answer)
    assert main.run(args) == 0
    said = capsys.readouterr()
    return said.out.splitlines(), said.err.splitlines()


def test_an_outcome_is_echoed_with_its_number_and_how_to_take_it_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("outcome", "add", "--person", "p2p1alice", "--amount", "12800")
    out, err = say(monkeypatch, capsys, SALE, *args)
    assert out == [
        "Balloons: buy by p2p1alice, 128.00 CNY.",
        "  bound to her by her card",
        f"Your record no. 3: {ID}",
    ]
    assert err == []
    out, _ = say(monkeypatch, capsys, {**SALE, "refund_until": 1}, *args)
    assert out[-1].endswith(": p2pnode outcome reverse 3 --amount 12800")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (("", None, None), "her scan of sticker"),
        (("gate", None, None), "her scan of sticker at gate"),
        (("", "p2p1bar", "Bar"), "her scan of sticker, with Bar"),
        (("gate", "p2p1bar", None), "her scan of sticker at gate, with p2p1bar"),
    ],
)
def test_the_scan_that_binds_is_named_with_its_place_and_host(
    place: Any,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = dict(zip(("place", "host", "host_name"), place, strict=True))
    sale = {**SALE, "by": "scan", "tag": "sticker", **where}
    out, _ = say(monkeypatch, capsys, sale, "outcome", "add", "--amount", "12800")
    assert out[1] == f"  {says}"


def test_an_attest_says_what_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attest = {**SALE, "by": "scan", "act": ID, "act_kind": "scan"}
    out, _ = say(
        monkeypatch, capsys, {**attest, "stage": None}, "attest", "abababababab"
    )
    assert out[0] == "Balloons: you confirm a scan of p2p1alice."
    out, _ = say(monkeypatch, capsys, attest, "attest", "abababababab")
    assert out[0] == "Balloons: buy by p2p1alice; you confirm her scan."


def test_doubts_are_told_and_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doubts = [
        {"code": "card-used"},
        {"code": "over-day", "most": 30_000, "before": 29_001},
        {"code": "too-late", "time": 2**53},
        {"code": "again", "once": "person"},
        {"code": "brand-new"},
    ]
    sale = {**SALE, "warnings": doubts}
    _, err = say(monkeypatch, capsys, sale, "outcome", "add", "--amount", "12800")
    assert len(err) == len(doubts) + 1
    assert "was used before, and it is good once" in err[0]
    assert "300.00 CNY a day; it recorded 290.01 CNY" in err[1]
    assert "once for each person" in err[3]
    assert err[4] == "Note: brand-new"
    assert err[5] == "It is signed all the same; the settlement decides."


def test_a_reversal_says_what_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("outcome", "reverse", "cdcdcdcdcdcd", "--amount", "800")
    out, _ = say(monkeypatch, capsys, BACK, *args)
    assert out[0] == (
        "Balloons: 8.00 CNY of buy by p2p1alice is taken back; 120.00 CNY of it stays."
    )
    out, _ = say(monkeypatch, capsys, {**BACK, "left": None}, *args)
    assert out[0] == "Balloons: 8.00 CNY of the outcome cdcdcdcdcdcd is taken back."


def test_an_outcome_is_taken_back_by_its_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def call(method: str, path: str, body: Any = None) -> Any:
        asked.append((path, body))
        if path.endswith("evidence"):
            return {"records": [{"seq": 3, "record": ID}]}
        return BACK

    monkeypatch.setattr(client, "call", call)
    assert main.run(["outcome", "reverse", "3", "--amount", "800"]) == 0
    assert asked[-1] == ("/campaigns/-/reverse", {"record": ID, "amount": 800})
    assert main.run(["outcome", "reverse", "4", "--amount", "800"]) == 1
    assert "no record with the number 4" in capsys.readouterr().err
