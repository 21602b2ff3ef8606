"""Terms files: the templates compile, and every bad file names line, key and cure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode import tag_file, templates, terms_check, toml_lines
from p2pnode.file_fault import FileFault
from p2pnode.tag_file import TagFile
from p2pnode.terms_file import compile_terms
from p2pnode.toml_table import decode_text
from protocols.keys import Seed, SigningKey, network_id
from protocols.tags.code import About
from protocols.terms import (
    TERMS,
    Act,
    After,
    Condition,
    Flat,
    Halving,
    Limits,
    Once,
    Role,
    Terms,
    campaign_id,
)
from protocols.text import author_text

NETWORK = network_id("main")
SPONSOR = SigningKey(Seed(b"s" * 32))
KEYS = [SigningKey(Seed(bytes([n]) * 32)).author for n in range(1, 30)]


def tags(count: int = 10, group: str = "balloons") -> TagFile:
    numbers = itertools.count()
    labels = [f"balloon {n}" for n in range(count)]
    return tag_file.make(
        SPONSOR, group, labels, 1, lambda n: next(numbers).to_bytes(n, "big"), About()
    )


TAGS = tag_file.dump(tags())


BLANKS = {
    "{me}": author_text(SPONSOR.author),
    "{opens}": "2026-12-05T10:00:00+08:00",
    "{first}": "2026-12-05T10:03:00+08:00",
    "{redeem}": "2027-03-05T10:00:00+08:00",
}
"""What `campaign new` fills into a template, in place of a clock and an identity."""


def filled(name: str) -> str:
    keys = iter(KEYS)
    text = re.sub(
        r'"p2p1\.\.\."', lambda _: f'"{author_text(next(keys))}"', templates.read(name)
    )
    for blank, value in BLANKS.items():
        text = text.replace(blank, value)
    return text


BALLOONS = filled("balloons")
SHOP = filled("everyday-shop")


def read_tags(name: str) -> bytes:
    if name != "balloons.tags":
        raise FileNotFoundError(name)
    return TAGS


def compiled(text: str, **options: Any) -> Terms:
    wanted: dict[str, Any] = {
        "read_file": read_tags,
        "own": [SPONSOR.author],
    } | options
    return compile_terms(text, network=NETWORK, nonce=b"n" * 16, **wanted)


def refused(text: str, **options: Any) -> FileFault:
    with pytest.raises(FileFault) as caught:
        compiled(text, **options)
    fault = caught.value
    assert fault.file == "campaign.toml"
    assert fault.message.startswith(f"campaign.toml:{fault.line}: ")
    assert fault.expected
    assert fault.cure
    return fault


def line_of(text: str, wanted: str) -> int:
    """The 1-based line in which `wanted` begins."""
    assert text.count(wanted) == 1, wanted
    return text[: text.index(wanted)].count("\n") + 1


# What is right


@pytest.mark.parametrize("name", templates.NAMES)
def test_templates_compile_and_survive_the_wire(name: str) -> None:
    terms = compiled(filled(name))
    assert TERMS.read(TERMS.write(terms)) == terms


def test_the_balloons_in_full() -> None:
    terms = compiled(BALLOONS)
    assert terms.title == "十个红气球"
    assert terms.budget == 4_000_000
    assert terms.sponsor == (SPONSOR.author,)
    assert [w.key for w in terms.witnesses] == sorted(KEYS[2:6])
    owners = dict(zip(KEYS[2:6], ["面包店", "书店", "药店", "茶馆"], strict=True))
    assert all(owners[w.key] == w.owner for w in terms.witnesses)
    assert terms.limits == Limits(
        paid_levels=0, per_person_per_day=0, place_interval_ms=0
    )
    assert terms.groups == (tags().terms_group(),)
    assert terms.conditions == (Condition(stage=0, count=1, least=10),)
    (stage,) = terms.stages
    assert (stage.id, stage.act, stage.grade, stage.once) == ("find", 5, 2, Once.TAG)
    assert stage.reward is not None
    assert (stage.reward.rule, stage.reward.amount) == (Halving(), 400_000)
    first, second = terms.rounds[:2]
    assert len(terms.rounds) == 5
    assert first.closes - first.opens == 7_200_000
    assert (second.opens, second.closes) == (first.closes, first.closes + 7_200_000)
    assert first.accept_until - first.closes == 600_000
    assert first.final_from - first.closes == 900_000
    assert first.opens == 1_796_436_000_000  # 2026-12-05T10:00:00+08:00


def test_the_shop_in_full() -> None:
    terms = compiled(SHOP)
    assert terms.residue.key == SPONSOR.author
    assert {party.role for party in terms.named} == {Role.MERCHANT, Role.HOST}
    buy, review = terms.stages[2:]
    assert buy.after == (After(stage=1, by_invitee=False),)
    assert buy.reward is not None
    assert (buy.reward.percent_bp, buy.reward.amount) == (500, 0)
    assert buy.refund_ms == 7 * 86_400_000
    assert review.reward is not None
    assert review.reward.rule == Flat(first=100)
    assert review.act == Act.ATTEST


def test_defaults() -> None:
    text = BALLOONS.replace('seen_interval = "5s"\n', "")
    limits = text.index("[limits]")
    text = text[:limits] + text[text.index("[[tag_group]]") :]
    terms = compiled(text)
    assert terms.limits == Limits(
        paid_levels=3, per_person_per_day=3, place_interval_ms=1_800_000
    )
    assert terms.seen_interval_ms == 5_000
    assert terms.day_offset_min == 480


def test_the_file_can_name_the_sponsor_and_an_invitee() -> None:
    first, second = sorted(KEYS[20:22])
    keys = f'sponsor = ["{author_text(second)}", "{author_text(first)}"]'
    text = re.sub("# sponsor = .*", keys, SHOP)
    text = text.replace(
        'after  = ["visit"]', 'after = ["visit", { stage = "share", by = "invitee" }]'
    )
    terms = compiled(text)
    assert terms.sponsor == (first, second)
    assert terms.stages[2].after[1] == After(stage=0, by_invitee=True)


def test_a_shop_that_is_merchant_and_host_is_one_party() -> None:
    merchant = author_text(KEYS[5])
    text = re.sub(
        r'(\[\[host\]\].*?keys = \[)"\w+"', rf'\1"{merchant}"', SHOP, flags=re.DOTALL
    )
    (party,) = compiled(text).named
    assert party.role == Role.MERCHANT | Role.HOST
    assert party.amount_max == 20_000


@pytest.mark.parametrize(
    "change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")]
)
def test_byte_order_mark_and_crlf_change_nothing(change: Callable[[str], str]) -> None:
    data = change(BALLOONS).encode()
    assert campaign_id(compiled(decode_text(data, "x"))) == campaign_id(
        compiled(BALLOONS)
    )
    bad = change(BALLOONS.replace("budget =", "budgett ="))
    assert refused(decode_text(bad.encode(), "x")).line == line_of(BALLOONS, "budget =")


# What is wrong

CASES = [
    # what stands in the file, what is written instead, reason, key
    ("budget =", "budgett =", "unknown-key", "budgett"),
    ("[limits]", "[limitz]", "unknown-key", "limitz"),
    ("accept = ", "acept = ", "unknown-key", "rounds.acept"),
    ("seen_interval =", "seen =", "unknown-key", "witnesses.seen"),
    ("place_interval_s ", "place_interval ", "unknown-key", "limits.place_interval"),
    ('file = "balloons.tags"', 'path = "x"', "unknown-key", "tag_group.1.path"),
    ("grade  = 2", "grades = 2", "unknown-key", "stage.1.grades"),
    ("amount = 400_000", "amont = 400_000", "unknown-key", "stage.1.reward.amont"),
    ("distinct_tags = 10", "tags = 10", "unknown-key", "condition.1.tags"),
    ('to = "charity"', 'too = "charity"', "unknown-key", "residue.too"),
    ("unit   =", "# unit =", "missing-key", "unit"),
    ("grade  = 2", "# ", "missing-key", "stage.1.grade"),
    ("final  = ", "# ", "missing-key", "rounds.final"),
    ("distinct_tags = 10", "", "bad-condition", "condition.1"),
    ("distinct_tags = 10", "distinct_tags = 11", "too-many-tags", None),
    ("distinct_tags = 10", "distinct_tags = 0", "out-of-range", None),
    ("4_000_000 ", "40_000.00 ", "float", "budget"),
    ("4_000_000 ", "nan ", "float", "budget"),
    ("4_000_000 ", "0 ", "out-of-range", "budget"),
    ("4_000_000 ", "9_007_199_254_740_992 ", "out-of-range", "budget"),
    ("4_000_000 ", '"4000000" ', "wrong-type", "budget"),
    ("4_000_000 ", "true ", "wrong-type", "budget"),
    ("4_000_000 ", "4 yuan", "bad-toml", ""),
    ("2026-12-05T10:00:00+08:00", "2026-12-05T10:00:00", "local-time", "rounds.opens"),
    ("2026-12-05T10:00:00+08:00", "2026-12-05", "local-time", "rounds.opens"),
    ("2026-12-05T10:00:00+08:00", "10:00:00", "local-time", "rounds.opens"),
    ("2026-12-05T10:00:00+08:00", '"tomorrow"', "wrong-type", "rounds.opens"),
    ("2026-12-05T10:00:00+08:00", "1969-12-05T10:00:00Z", "out-of-range", None),
    ("2026-12-05T12:00:00+08:00", "2026-12-05T10:00:00+08:00", "bad-order", None),
    ("2027-03-31T23:59:59+08:00", "2026-12-05T12:00:00+08:00", "bad-order", None),
    ('"2h"', '"2 hours"', "bad-word", "rounds.every"),
    ('"2h"', '"0h"', "out-of-range", "rounds.every"),
    ('"2h"', "7200", "wrong-type", "rounds.every"),
    ('"15m"', '"10m"', "bad-order", "rounds.final"),
    ("count  = 5", "count = 101", "out-of-range", "rounds.count"),
    ('"5s"', '"50ms"', "out-of-range", "witnesses.seen_interval"),
    ('to = "charity"', 'to = "me"', "bad-word", "residue.to"),
    ('to = "charity"', 'to = "sponsor"', "bad-residue", "residue.key"),
    ('"balloons.tags"', '"absent.tags"', "no-file", "tag_group.1.file"),
    ('name = "balloons"', 'name = "ballons"', "other-group", "tag_group.1.name"),
    ('tags   = "balloons"', 'tags = "ballons"', "group-not-fixed", "condition.1.stage"),
    ('tags   = "balloons"', "", "missing-key", "stage.1.tags"),
    ('act    = "scan"', 'act = "scna"', "bad-word", "stage.1.act"),
    ('line   = "offline"', 'line = "off"', "bad-word", "stage.1.line"),
    ('once   = "tag"', 'once = "twice"', "bad-word", "stage.1.once"),
    ("grade  = 2", "grade = 8", "out-of-range", "stage.1.grade"),
    ("after  = []", 'after = ["find"]', "unknown-stage", "stage.1.after.1"),
    ("after  = []", "after = [1]", "wrong-type", "stage.1.after.1"),
    ("after  = []", 'refund = "7d"', "bad-refund", "stage.1.refund"),
    ('stage = "find"', 'stage = "fidn"', "unknown-stage", "condition.1.stage"),
    ('rule = "halving"', 'rule = "pachira"', "rule-not-available", None),
    ('rule = "halving"', 'rule = "geometric"', "rule-not-available", None),
    ('rule = "halving"', 'rule = "thirds"', "bad-word", "stage.1.reward.rule"),
    ('rule = "halving"', 'rule = "halving", first = 3', "bad-reward", None),
    ("amount = 400_000", "percent_bp = 500", "bad-reward", "stage.1.reward.percent_bp"),
    ("amount = 400_000", "amount = -1", "out-of-range", "stage.1.reward.amount"),
    (
        "after  = []",
        "opens = 2026-12-06T00:00:00Z\ncloses = 2026-12-06T00:00:00Z",
        "bad-order",
        None,
    ),
    ("amount = 400_000", "amount = 1.5", "float", "stage.1.reward.amount"),
    ("amount = 400_000", "amount = 9, percent_bp = 5", "bad-reward", "stage.1.reward"),
    (
        "amount = 400_000",
        "amount = 9, host_bp = 6_000, back_bp = 4_001",
        "bad-reward",
        "stage.1.reward.host_bp",
    ),
    ('title  = "十个红气球"', 'title = ""', "text-size", "title"),
    ('title  = "十个红气球"', f'title = "{"酬" * 65}"', "text-size", "title"),
    ('title  = "十个红气球"', r'title = "\u001b[2J"', "bad-text", "title"),
    ('"面包店", ', "", "wrong-count", "witnesses.owners"),
    ("day_offset_min     = 480", "day_offset_min = 1441", "out-of-range", None),
    ("[rounds]", "[[rounds]]", "wrong-type", "rounds"),
]

ELSEWHERE = {
    ("missing-key", "unit"): "",
    ("missing-key", "stage.1.grade"): "[[stage]]",
    ("missing-key", "stage.1.tags"): "[[stage]]",
    ("missing-key", "rounds.final"): "[rounds]",
    ("bad-condition", "condition.1"): "[[condition]]",
    ("group-not-fixed", "condition.1.stage"): 'stage = "find"',
}
"""Where a fault is shown that is not in the line that was changed; "": line 1."""


@pytest.mark.parametrize(("old", "new", "reason", "key"), CASES)
def test_a_bad_file_names_line_key_and_cure(
    old: str, new: str, reason: str, key: str | None
) -> None:
    fault = refused(BALLOONS.replace(old, new))
    assert fault.reason == reason
    if key is not None:
        assert fault.key == key
    elsewhere = ELSEWHERE.get((reason, fault.key))
    line = 1 if elsewhere == "" else line_of(BALLOONS, elsewhere or old)
    assert fault.line == line + (reason == "bad-order" and "closes" in new)


def witnesses(count: int) -> str:
    keys = ",\n  ".join(f'"{author_text(key)}"' for key in KEYS[:count])
    start = BALLOONS.index("keys   = [")
    end = BALLOONS.index("seen_interval")
    return f"{BALLOONS[:start]}keys = [{keys}]\n{BALLOONS[end:]}"


@pytest.mark.parametrize("count", [1, 4, 7])
def test_one_four_or_seven_witnesses(count: int) -> None:
    assert len(compiled(witnesses(count)).witnesses) == count


@pytest.mark.parametrize("count", [2, 3, 5, 6, 8, 11])
def test_other_numbers_of_witnesses_are_refused(count: int) -> None:
    fault = refused(witnesses(count))
    assert (fault.reason, fault.key) == ("witness-count", "witnesses.keys")
    assert fault.line == line_of(BALLOONS, "[witnesses]") + 1
    assert ("no better than 1" in fault.message) == (count < 4)


def test_a_key_in_a_list_is_refused_at_its_own_line() -> None:
    text = witnesses(4)
    third = author_text(KEYS[2])
    fault = refused(text.replace(third, third[:-1] + "q"))
    assert (fault.reason, fault.key) == ("bad-key", "witnesses.keys.3")
    assert fault.line == line_of(text, third)
    fault = refused(text.replace(third, author_text(KEYS[0])))
    assert (fault.reason, fault.key) == ("duplicate", "witnesses.keys.3")
    assert fault.line == line_of(text, third)


SHOP_CASES = [
    ("amount_max  = 20_000 ", "# ", "missing-key", "[[merchant]]"),
    ('id    = "share"', 'id = "visit"', "duplicate", 'id         = "visit"'),
    ('after      = ["share"]', 'after = ["buy"]', "unknown-stage", "after      ="),
    ('amount_from = "outcome", ', "", "missing-key", "amount_from"),
    ('amount_from = "outcome"', 'amount_from = "sale"', "bad-word", "amount_from"),
    ('act    = "outcome"', 'act = "attest"', "bad-refund", 'refund = "7d"'),
    ('refund = "7d"', 'refund = "200d"', "bad-refund", 'refund = "7d"'),
    ("keys = [", 'name2 = "x"\nkeys = [', "unknown-key", "keys = ["),
]


@pytest.mark.parametrize(("old", "new", "reason", "at"), SHOP_CASES)
def test_a_bad_shop_file(old: str, new: str, reason: str | None, at: str) -> None:
    fault = refused(SHOP.replace(old, new))
    assert (fault.reason, fault.line) == (reason, line_of(SHOP, at))


def wide(text: str) -> str:
    """As a Chinese keyboard in full width types it."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def test_full_width_is_read_in_quotes_and_named_outside() -> None:
    keyed = SHOP.replace('"7d"', f'"{wide("7d")}"')
    key = author_text(KEYS[5])
    assert compiled(keyed.replace(key, wide(key))) == compiled(SHOP)
    for old in ('unit   = "CNY"', '"书店", "药店"'):
        sign = "=" if "=" in old else ","
        fault = refused(SHOP.replace(old, old.replace(sign, wide(sign))))
        assert fault.reason == "bad-toml"
        assert wide(sign) in fault.cure
    assert "half width" not in refused(SHOP + "\nx").cure


def test_a_key_of_two_parties_is_refused() -> None:
    merchant, extra = author_text(KEYS[5]), author_text(KEYS[20])
    text = re.sub(
        r'(\[\[host\]\].*?keys = \[)"\w+"',
        rf'\1"{merchant}", "{extra}"',
        SHOP,
        flags=re.DOTALL,
    )
    fault = refused(text)
    assert (fault.reason, fault.key) == ("duplicate", "host.1.keys")


def test_where_the_file_names_one_of_my_keys_it_means_all_of_them() -> None:
    (merchant,) = [one for one in compiled(SHOP).named if one.role & Role.MERCHANT]
    (key,), spare = merchant.keys, SPONSOR.author
    terms = compiled(SHOP, own=[key, spare])
    both = tuple(sorted([key, spare]))
    assert terms.sponsor == both
    assert [one.keys for one in terms.named if one.role & Role.MERCHANT] == [both]
    others = [one.keys for one in terms.named if not one.role & Role.MERCHANT]
    assert others == [
        one.keys for one in compiled(SHOP).named if not one.role & Role.MERCHANT
    ]


def test_without_a_sponsor() -> None:
    assert refused(BALLOONS, own=[]).key == "sponsor"


def test_without_a_stage() -> None:
    text = BALLOONS[: BALLOONS.index("[[stage]]")]
    fault = refused(text)
    assert (fault.reason, fault.key) == ("missing-key", "stage")


@pytest.mark.parametrize(
    "data", [b"", b"{}", TAGS[:-9], TAGS.replace(b'"secrets":["', b'"secrets":["ff')]
)
def test_a_damaged_tag_file_is_refused_at_its_line(data: bytes) -> None:
    fault = refused(BALLOONS, read_file=lambda _: data)
    assert (fault.reason, fault.key) == ("bad-tag-file", "tag_group.1.file")
    assert fault.line == line_of(BALLOONS, 'file = "balloons.tags"')


def test_gbk_is_refused_with_the_cure() -> None:
    data = BALLOONS.encode("gbk")
    with pytest.raises(FileFault) as caught:
        decode_text(data, "campaign.toml")
    assert caught.value.reason == "bad-encoding"
    assert caught.value.line == 1
    assert "UTF-8" in caught.value.cure


def test_utf_16_and_huge_files_are_refused() -> None:
    for data, reason in [
        (BALLOONS.encode("utf-16"), "bad-encoding"),
        (b"#" * 2_000_000, "too-large"),
    ]:
        with pytest.raises(FileFault) as caught:
            decode_text(data, "campaign.toml")
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 50_000, "a = " + "9" * 9_999, "[a]\n[a]", "a = 1\nb", "\x00"],
)
def test_no_toml(text: str) -> None:
    assert refused(text).reason == "bad-toml"


@given(st.data())
def test_a_file_with_a_hole_compiles_or_is_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(BALLOONS)))
    end = data.draw(st.integers(start, min(len(BALLOONS), start + 60)))
    filler = data.draw(st.sampled_from(["", '"', "]", "1.5", "\n", "{", "酬", "\x1b"]))
    text = BALLOONS[:start] + filler + BALLOONS[end:]
    try:
        compiled(text)
    except FileFault as fault:
        assert 1 <= fault.line <= text.count("\n") + 1  # noqa: PT017


def test_lines_of_everything_toml_can_write() -> None:
    text = (
        '"a b".c = """x\n[y]\n"""\n'
        "d = [ # ]\n  'p, ]',\n  { x = 1, y = [1,\n2] },\n]\n"
        "[t]\nk = 2026-12-05 10:00:00+08:00 # t\n"
        '[[s]]\n[s.u]\ne = "\\"]"\n[[s]]\n[[s.v]]\nw = 1'
    )
    assert toml_lines.lines(text) == {
        ("a b",): 1,
        ("a b", "c"): 1,
        ("d",): 4,
        ("d", 0): 5,
        ("d", 1): 6,
        ("d", 1, "x"): 6,
        ("d", 1, "y"): 6,
        ("d", 1, "y", 0): 6,
        ("d", 1, "y", 1): 7,
        ("t",): 9,
        ("t", "k"): 10,
        ("s",): 11,
        ("s", 0): 11,
        ("s", 0, "u"): 12,
        ("s", 0, "u", "e"): 13,
        ("s", 1): 14,
        ("s", 1, "v"): 15,
        ("s", 1, "v", 0): 15,
        ("s", 1, "v", 0, "w"): 16,
    }


# The review


def codes(text: str, **options: Any) -> list[str]:
    return [w.code for w in terms_check.review(compiled(text, **options)).warnings]


def test_the_review_of_the_balloons() -> None:
    found = terms_check.review(compiled(BALLOONS))
    assert found.cost_max == 4_000_000
    assert found.guarantees == terms_check.Guarantees(
        witnesses=4, faults=1, counts_from=3, never_below=2
    )
    assert [(w.code, w.stage) for w in found.warnings] == [
        ("paid-levels", ""),
        ("issuer-knows-serials", "find"),
    ]
    (gain,) = found.clone_gains
    assert (gain.honest_bp, gain.clones_bp) == (5_000, 9_999)


def test_the_review_of_the_shop() -> None:
    found = terms_check.review(compiled(SHOP))
    assert [w.code for w in found.warnings] == ["payee-is-sponsor", "tags-not-fixed"]
    assert found.clone_gains[0].clones_bp == 8_750


@pytest.mark.parametrize("levels", [0, 4, 100])
def test_many_paid_levels_are_allowed_but_warned_of(levels: int) -> None:
    text = BALLOONS.replace("paid_levels        = 0", f"paid_levels = {levels}")
    assert "paid-levels" in codes(text)


def test_owners_of_one_name_are_warned_of() -> None:
    found = compiled(BALLOONS)
    (one, two, three, four) = found.witnesses
    owners = ("Tea House", "\uff34\uff25\uff21  house", "", found.residue.name.upper())
    named = tuple(
        replace(witness, owner=owner)
        for witness, owner in zip((one, two, three, four), owners, strict=True)
    )
    residue = replace(found.residue, key=found.sponsor[0])
    terms = replace(found, witnesses=named, residue=residue)
    said = {w.code: (w.name, w.value) for w in terms_check.review(terms).warnings}
    assert said["same-owner"] == ("\uff34\uff25\uff21  house", 2)
    assert said["no-owner"] == ("", 1)
    assert said["owner-is-payee"] == (owners[3], 0)
    assert "payee-is-sponsor" in said


def test_conflicts_of_interest_are_warned_of() -> None:
    for key, code in [
        (compiled(BALLOONS).residue.key, "witness-is-payee"),
        (KEYS[3], "witness-is-sponsor"),
    ]:
        text = BALLOONS.replace(author_text(KEYS[3]), author_text(key))
        sponsor = [SPONSOR.author if code == "witness-is-payee" else KEYS[3]]
        assert code in codes(text, own=sponsor)
    witness = author_text(compiled(SHOP).witnesses[0].key)
    for head, code in [
        ("host", "witness-is-host"),
        ("merchant", "witness-is-merchant"),
    ]:
        text = re.sub(
            rf'(\[\[{head}\]\].*?keys\s*= \[)"\w+"',
            rf'\1"{witness}"',
            SHOP,
            flags=re.DOTALL,
        )
        assert code in codes(text)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('once   = "tag"', 'once = "person"', "free-keys"),
        ("grade  = 2", "grade = 1", "photo-is-enough"),
        ("4_000_000 ", "3_999_999 ", "budget-below-condition"),
        ("4_000_000 ", "399_999 ", "pool-above-budget"),
        ("reward = {", "# {", "no-reward"),
    ],
)
def test_other_warnings(old: str, new: str, code: str) -> None:
    assert code not in codes(BALLOONS)
    assert code in codes(BALLOONS.replace(old, new))


def test_a_long_delay_is_warned_of() -> None:
    assert "late-is-long" in codes(SHOP.replace('late   = "2h"', 'late = "25h"'))
    assert "fresh-is-short" not in codes(SHOP)
    assert "fresh-is-short" in codes(SHOP.replace('late       = "2h"', 'late = "1s"'))


def test_one_witness_is_warned_of() -> None:
    assert "one-witness" in codes(witnesses(1))


def test_the_cost_of_a_bounded_campaign() -> None:
    text = BALLOONS.replace(
        '"halving", amount = 400_000', '"flat", first = 7, amount = 1_000'
    )
    assert terms_check.review(compiled(text)).cost_max == 7_000
