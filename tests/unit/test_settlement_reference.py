"""Settlement says what the slow reference, written from spec 0008 alone, says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocols.errors import ProtocolError
from protocols.limits import INT_MAX
from protocols.settlement.rules import LANE, LANE_BITS, lanes, share
from protocols.settlement.verify import Evidence
from protocols.terms import FairSplit, Flat, Halving
from tests.differential import compare, difference
from tests.reference_settlement import Reference
from tests.vectors import declared_of, read_terms, records_of


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [0, *(pytest.param(n, marks=pytest.mark.untraced) for n in range(20, 200, 20))],
)
def test_random_campaigns_settle_as_by_the_reference(first):
    differ = {seed: difference(seed) for seed in range(first, first + 20)}
    assert not {seed: said for seed, said in differ.items() if said}


def test_stored_campaigns_settle_as_by_the_reference():
    stored = Path(__file__).parents[2] / "protocols/vectors/0008-settlement.json"
    cases = json.loads(stored.read_text("utf-8"))["cases"]
    differ = {
        case["name"]: said
        for case in cases
        if case["op"] == "settle" and "out" in case and (said := _compared(case["in"]))
    }
    assert not differ


def _compared(given):
    evidence = Evidence(records_of(given))
    reference = Reference(read_terms(given["terms"]), evidence.lookup)
    rounds = []
    for one in given["rounds"]:
        rounds.append(declared_of(one))
        wrong = compare(reference, rounds, evidence.lookup)
        if wrong:
            return wrong
    return None


@pytest.mark.parametrize("levels", [0, 1, 2, 3, 53, 60])
@pytest.mark.parametrize("pool", [0, 1, 2, 3, 4_001, 2**40 + 1, INT_MAX - 1, INT_MAX])
@pytest.mark.parametrize("rule", [Flat(first=0), Halving()])
def test_lanes_hold_the_exact_shares_rounded_down(rule, pool, levels):
    found = lanes(rule, pool, levels)
    for distance in range(60):
        part = share(rule, distance) if not levels or distance < levels else 0
        assert found >> LANE_BITS * distance & LANE == int(pool * part)
    assert found >> LANE_BITS * 60 == 0


def test_halving_goes_on_as_long_as_the_chain():
    assert [1 / share(Halving(), distance) for distance in range(60)] == [
        2**n for n in range(1, 61)
    ]


def test_a_rule_that_is_not_paid_has_no_lanes():
    with pytest.raises(ProtocolError):
        lanes(FairSplit(), 1_000, 0)
