"""Every reason has its sentence, every share its why, and the amounts add up."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import i18n
from cli.doubts import _doubts, doubt
from cli.explaining import show_explanation
from cli.reasons import needed, reason
from p2pnode.services import explaining, foresight, refusals
from p2pnode.services.closing import verify
from p2pnode.services.library import View
from protocols.bundle import write_bundle
from protocols.errors import Reason
from protocols.keys import AuthorKey
from protocols.terms import Flat, Once
from protocols.text import author_text
from tests.nodes import cli
from tests.worlds import NETWORK, SCAN_STAGE, World, key_of

NOT_OF_SETTLEMENT = {
    *(Reason.TOO_LARGE, Reason.NOT_CANONICAL, Reason.BAD_TEXT, Reason.BAD_SHAPE),
    *(Reason.FRAME_SIZE, Reason.WRONG_VERSION, Reason.UNKNOWN_KIND, Reason.WRONG_HASH),
    *(Reason.BAD_CLAIM, Reason.GAP, Reason.FORK, Reason.NOT_A_FORK, Reason.BAD_CODE),
    *(Reason.UNKNOWN_SCOPE, Reason.NO_ROOM, Reason.BAD_FRAME, Reason.TOO_MUCH),
    *(Reason.UNEXPECTED_FRAME, Reason.BAD_PROOF, Reason.BAD_BUNDLE),
    *(Reason.NO_AMOUNT, Reason.OVER_LINE, Reason.NOT_PAYEE, Reason.WRONG_ACCEPTOR),
    *(Reason.VOUCHER_EXPIRED, Reason.REDEEMED, Reason.OVERSPENT, Reason.UNKNOWN_LINE),
    *(Reason.NOT_ISSUER, Reason.UNKNOWN_OWE, Reason.NOT_CREDITOR, Reason.NOT_PROVEN),
}
"""Reasons of doors, codecs, tills, proofs: what they refuse is never settled."""

SETTLED = [one for one in Reason if one not in NOT_OF_SETTLEMENT]


@pytest.fixture(params=["en", "zh_CN"])
def language(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("P2PNODE_LANG", request.param)
    i18n._catalogue.cache_clear()
    yield request.param
    i18n._catalogue.cache_clear()


def test_every_reason_of_settlement_has_a_sentence(language: str) -> None:
    for one in SETTLED:
        said = reason(one.value)
        assert said != one.value, one
        assert said.isascii() == (language == "en"), (one, said)


def test_every_test_of_an_act_says_what_it_would_have_taken(language: str) -> None:
    order = [*Reason]
    tests = order[order.index(Reason.NOT_ADMITTED) : order.index(Reason.BUDGET) + 1]
    for one in [*tests, Reason.INVITE_EXPIRED, Reason.TOO_DEEP, Reason.NOT_NAMED]:
        said = needed(one.value, {})
        assert said, one
        assert said.isascii() == (language == "en"), (one, said)


def view_of(world: World) -> View:
    return View(
        campaign=world.scope,
        terms=world.terms,
        terms_record=world.records[0],
        evidence=world.evidence(),
    )


@pytest.fixture
def world() -> World:
    """Alice, Bob below her, Carol below him; one balloon each, one found twice."""
    made = World(balloons=2, witnesses=1, rounds=2, budget=1_000_000)
    made.join("alice")
    made.join("bob", "alice")
    made.join("carol", "bob")
    for name, balloon in (("carol", 0), ("bob", 1), ("alice", 1)):
        made.scan(name, balloon)
        made.see()
    made.finish_round(1)
    made.close(1)
    return made


def explained(world: World, person: AuthorKey | None = None) -> dict[str, Any]:
    view = view_of(world)
    return explaining.explanation(view, verify(view), person)


def test_shares_say_why_and_by_which_part(world: World) -> None:
    found = explained(world)
    (first, second) = found["accepted"]
    names = {author_text(key_of(n).author): n for n in ("alice", "bob", "carol")}
    assert [
        (names[one["payee"]], one["fraction"], one["distance"], one["amount"])
        for one in first["shares"]
    ] == [
        ("carol", "1/2", 0, 200_000),
        ("bob", "1/4", 1, 100_000),
        ("alice", "1/8", 2, 50_000),
    ]
    assert [names.get(one["through"] or "") for one in first["shares"]] == [
        None,
        "carol",
        "bob",
    ]
    for act in (first, second):
        parts = sum(one["amount"] for one in act["shares"]) + act["left_over"]
        assert parts == act["pool"]
    (refused,) = found["refused"]
    assert (refused["reason"], refused["needed"]["once"]) == ("once", "tag")


@pytest.mark.parametrize("once", Once)
def test_after_the_last_act_that_is_paid_it_says_so(
    once: Once, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SCAN_STAGE.reward is not None
    reward = replace(SCAN_STAGE.reward, rule=Flat(first=2), amount=1_000)
    stage = replace(SCAN_STAGE, once=once, reward=reward)
    made = World(balloons=3, witnesses=1, rounds=1, stages=(stage,))
    for name in ("alice", "bob", "carol"):
        made.join(name)
    for name, balloon in (("alice", 0), ("bob", 1), ("carol", 2), ("carol", 1)):
        made.scan(name, balloon)
        made.see()
    made.finish_round(1)
    made.close(1)
    found = explained(made)
    late, again = found["refused"]
    assert (late["reason"], again["reason"]) == ("once", "once")
    assert late["detail"] == {"code": "first-taken", "first": 2}
    assert again["detail"] is None, "it repeats one that is paid"
    show_explanation(found)
    said = capsys.readouterr().out
    assert "only the first 2 acts of this stage are paid" in said
    assert said.count("It would have taken") == 1


def test_every_doubt_has_a_sentence(language: str) -> None:
    facts = {"most": 1, "before": 1, "time": 1, "once": "person", "first": 1}
    for code in _doubts():
        said = doubt({"code": code, **facts}, "CNY")
        assert said != code
        assert "{" not in said
        assert said.isascii() == (language == "en"), (code, said)
    source = inspect.getsource(foresight) + inspect.getsource(refusals)
    said_codes = set(re.findall(r'"code": "([a-z-]+)"|\("(over-[a-z]+)"', source))
    assert {a or b for a, b in said_codes} <= set(_doubts())


def test_sums_are_the_statement_in_every_round(world: World) -> None:
    for number in (1, 2):
        if number == 2:
            previous = world.records[-1]
            world.finish_round(2)
            world.close(2, previous)
        found = explained(world)
        lines = {one["payee"]: one["amount"] for one in found["statement"]["lines"]}
        sums = {one["author"]: one for one in found["sums"]}
        assert {k: v["due"] for k, v in sums.items() if v["due"]} == lines
        for one in sums.values():
            parts = one["shares"] + one["left_overs"] - one["signed_before"]
            assert parts == one["due"]


def test_it_is_said_in_words_that_add_up(
    world: World, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {author_text(key_of(n).author): n for n in ("alice", "bob", "carol")}
    show_explanation(explained(world), names)
    said = capsys.readouterr().out
    assert "{" not in said
    assert "?" not in said
    assert said.count("carol") >= 3
    if language == "zh_CN":
        return
    assert "carol: 2,000.00 CNY, half of 4,000.00 CNY, for the act itself" in said
    assert "bob: 1,000.00 CNY, a quarter of 4,000.00 CNY, for inviting carol" in said
    assert "an eighth of 4,000.00 CNY, for inviting bob, above carol (level 1)" in said
    assert "It would have taken: to be the first: it counts once for each tag." in said
    assert "alice: shares 1,500.00 CNY = due now 1,500.00 CNY" in said
    for line in re.findall(r"^(\w+): shares ([\d.,]+) CNY = due now (.*) CNY", said):
        assert line[1] == line[2]


def test_of_a_person_only_what_concerns_her(world: World) -> None:
    found = explained(world, key_of("alice").author)
    alice = author_text(key_of("alice").author)
    assert [one["author"] for one in found["sums"]] == [alice]
    assert [one["actor"] for one in found["refused"]] == [alice]
    assert all(
        any(share["payee"] == alice for share in act["shares"])
        for act in found["accepted"]
    )
    assert explained(world, key_of("carol").author)["refused"] == []


def test_a_bundle_is_explained_with_no_node(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a.bundle"
    file.write_bytes(b"".join(write_bundle(NETWORK, world.scope, world.records)))
    person = author_text(key_of("alice").author)
    said = cli(tmp_path / "none", "campaign", "explain", str(file), "--person", person)
    assert said.code == 0, said
    assert "It would have taken" in said.out
