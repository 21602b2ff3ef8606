"""What `campaign check` says of limits, and of terms whose time is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import client, limits, params
from p2pnode import identity
from p2pnode.failures import Failure
from protocols.terms import Limits, Once, Party, Role
from protocols.text import author_text
from tests.nodes import ROUNDS, TERMS, Said, cli
from tests.worlds import SCAN_STAGE, World, key_of

OVER = """\
first  = 2020-01-02T00:00:00Z
every  = "1d"
count  = 2
"""


def test_every_limit_of_the_terms_is_said_in_words() -> None:
    shop = Party(
        keys=(key_of("shop").author,),
        role=int(Role.MERCHANT),
        name="Bakery",
        amount_max=20_000,
        per_day_max=500_000,
        total_max=2_000_000,
    )
    host = replace(shop, keys=(key_of("bar").author,), role=int(Role.HOST), name="Bar")
    terms = World().terms
    seen = (
        "When each key acted can be read by all who take part, to 5 s: so often"
        " witnesses list what they see."
    )
    assert limits.sentences(terms) == [seen]
    bounds = Limits(paid_levels=3, per_person_per_day=3, place_interval_ms=1_800_000)
    stage = replace(SCAN_STAGE, once=Once.PERSON_DAY, late_ms=7_200_000, per_window=5)
    full = replace(terms, limits=bounds, named=(shop, host), stages=(stage,))
    assert limits.sentences(full) == [
        "One person is paid for at most 3 acts a day.",
        (
            "Scans of one person at two places count only if at least 30 min lies"
            " between them."
        ),
        "Stage find counts once a day for each person.",
        (
            "Who was offline has 2 h to send what she did in stage find: so long a"
            " forwarded code works, too."
        ),
        "Of one changing code of stage find the first 5 count.",
        (
            "Bakery may record at most 200.00 CNY at once, 5,000.00 CNY a day,"
            " 20,000.00 CNY in all."
        ),
        seen,
    ]
    assert [one["name"] for one in limits.document(full)["shops"]] == ["Bakery"]


@pytest.mark.parametrize(
    ("ms", "says"), [(7_200_000, "2 h"), (90_000, "90 s"), (1_500, "1500 ms")]
)
def test_a_span_is_said_in_the_largest_whole_unit(ms: int, says: str) -> None:
    bounds = replace(World().terms.limits, place_interval_ms=ms)
    said, _ = limits.sentences(replace(World().terms, limits=bounds))
    assert f"at least {says} lies" in said


@pytest.fixture
def home(tmp_path: Path) -> Path:
    identity.create(tmp_path / "home", role="merchant", name="shop")
    return tmp_path / "home"


def terms_file(home: Path, rounds: str) -> str:
    """A terms file with its tags, in a node's folder."""
    tags = ("--group", "balloons", "--count", "1")
    file = str(home / "balloons.tags")
    assert cli(home, "tag", "new", *tags, "--file", file).code == 0
    key = identity.load(home).author_key
    assert key is not None
    text = TERMS.format(
        me=author_text(key.author), title='"t"', seen="1s", rounds=rounds
    )
    (home / "campaign.toml").write_text(text, "utf-8")
    return str(home / "campaign.toml")


@pytest.mark.parametrize(("rounds", "warned"), [(OVER, True), (ROUNDS, False)])
def test_terms_whose_rounds_are_over_are_warned_of(
    rounds: str, warned: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"title": "t", "campaign": "p2pc1x", "same_title": warned}
    monkeypatch.setattr(client, "call", lambda *_args: dict(answer))
    file = terms_file(home, rounds)

    def codes(said: Said) -> list[Any]:
        return [one["code"] for one in said.document["warnings"]]

    for verb in ("check", "publish"):
        said = cli(home, "campaign", verb, file)
        assert said.code == 0
        assert ("All rounds are over" in said.out + said.err) is warned
        again = "another campaign of this title" in said.err
        assert again is (warned and verb == "publish")
        assert (
            "rounds-over" in codes(cli(home, "campaign", verb, file, "--json"))
        ) is warned


def test_an_amount_is_read_whole_however_long_it_is() -> None:
    assert params.amount("0" * 22 + "15") == 15
    for text in ("9" * 22, "0" * 40 + "15"):
        with pytest.raises(Failure):
            params.amount(text)
