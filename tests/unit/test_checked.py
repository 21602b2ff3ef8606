"""What was checked once is not checked again, and what failed always is."""

from __future__ import annotations

import gc

import pytest

from protocols import join
from protocols.checked import Checked
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.keys import RecordId
from protocols.settlement.settle import settle
from tests.worlds import balloon_world, key_of

ID = RecordId(bytes(32))


def test_a_check_that_passed_is_not_run_again():
    runs: list[int] = []
    checked = Checked()
    checked.once(ID, lambda: runs.append(1))
    checked.once(ID, lambda: runs.append(2))
    assert runs == [1]


def test_a_check_that_failed_is_run_again():
    def fail() -> None:
        raise ProtocolError(Reason.BAD_SIGNATURE)

    checked, runs = Checked(), []
    with pytest.raises(ProtocolError):
        checked.once(ID, fail)
    checked.once(ID, lambda: runs.append(1))
    assert runs == [1]


def test_a_second_settlement_verifies_nothing_and_says_the_same(monkeypatch):
    world = balloon_world()
    world.finish_round(1)
    declared, evidence = world.settle(1).declared, world.evidence()
    checked = Checked()
    first = settle(world.terms, [declared], evidence.lookup, checked)

    def never(*_: object) -> None:
        raise AssertionError("verified again")

    for module in ("protocols.join", "protocols.tags.entry"):
        monkeypatch.setattr(f"{module}.verify_value", never)
    again = settle(world.terms, [declared], evidence.lookup, checked)
    assert again.lines == first.lines
    assert again.rows == first.rows
    with pytest.raises(AssertionError, match="again"):
        settle(world.terms, [declared], evidence.lookup)


def test_a_forged_invite_is_refused_however_often_it_is_settled():
    world = balloon_world()
    invite, _, secret = world.invite("zoe", tag="eve")
    forged = join.sign_invite(key_of("eve"), invite)
    claim = join.make_join(invite, forged, secret, key_of("eve").author, bytes(16))
    world.write(key_of("eve"), Kind.JOIN, claim)
    world.finish_round(1)
    declared, evidence = world.settle(1).declared, world.evidence()
    for _ in range(2):
        settled = settle(world.terms, [declared], evidence.lookup, evidence.checked)
        assert settled.admission.refused[key_of("eve").author] is Reason.BAD_INVITE


def test_what_a_settlement_made_needs_no_collector_to_go():
    world = balloon_world()
    world.finish_round(1)
    declared, evidence = world.settle(1).declared, world.evidence()
    gc.collect()
    settle(world.terms, [declared], evidence.lookup)
    assert gc.collect() == 0
