"""Every decoder, on anything: a valid value or its one error, nothing else.

By hand for longer: `HYPOTHESIS_EXAMPLES=20000 pytest tests/unit/test_decoders.py`,
and with coverage as a guide `python -m tests.fuzz`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocols
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "200"))

ELSEWHERE = {
    "codec.decode_known": "reads only what `decode` took before",
    "settlement.close.read_lists": "reads records: test_settlement_hostile.py",
    "settlement.rows.read_tags": "reads counted records: test_judging.py",
}
"""Public readers that no bytes of a stranger reach."""

names = st.sampled_from(sorted(TARGETS))


def test_every_reader_is_a_target():
    found = set()
    for module in pkgutil.walk_packages(protocols.__path__, "protocols."):
        for name, item in vars(importlib.import_module(module.name)).items():
            mine = getattr(item, "__module__", "") == module.name
            if (
                mine
                and inspect.isfunction(item)
                and name.startswith(("read_", "decode"))
            ):
                found.add(f"{module.name.removeprefix('protocols.')}.{name}")
    covered = {one for target in TARGETS.values() for one in target.covers}
    assert found == covered | ELSEWHERE.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_values_or_refused(name):
    ends = [TARGETS[name].check(seed) for seed in TARGETS[name].seeds]
    assert True in ends


@settings(max_examples=EXAMPLES, deadline=None)
@given(names, st.binary(max_size=300))
def test_any_bytes(name, data):
    TARGETS[name].check(data)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(names, st.integers(0, 2**32), st.data())
def test_changed_values(name, number, data):
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(target.seeds))
    target.check(mutate(seed, random.Random(number), target.seeds))
