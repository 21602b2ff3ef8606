"""Settlement: from signed records to the statement, to the last fen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from protocols.bundle import read_bundle, write_bundle
from protocols.errors import ProtocolError, Reason
from protocols.settlement.cut import Incomplete
from protocols.settlement.verify import (
    Evidence,
    Verdict,
    find_terms,
    judge_cut,
    verify_close,
    verify_closes,
)
from protocols.settlement.voucher import (
    check_voucher,
    make_voucher,
    read_voucher,
    voucher_text,
)
from tests.cheats import ZOE, padded
from tests.shufflings import shuffled
from tests.worlds import NETWORK, balloon_world, key_of

BALLOON = 400_000


def lines_of(closing):
    return {line.payee: line.amount for line in closing.settlement.lines}


def test_ten_balloons_pay_the_chain_and_the_charity():
    world = balloon_world()
    world.finish_round(1)
    closing = world.settle(1)
    lines = lines_of(closing)
    assert lines[key_of("dave").author] == 200_000
    assert lines[key_of("carol").author] == 100_000
    assert lines[key_of("bob").author] == 50_000
    assert lines[key_of("alice").author] == 25_000
    assert lines[key_of("zoe").author] == 9 * 200_000
    assert lines[world.charity.author] == 25_000 + 9 * 200_000
    assert sum(lines.values()) == world.terms.budget
    settled = closing.settlement
    assert settled.last
    assert settled.earned + settled.residue + settled.unspent == world.terms.budget


def test_nine_balloons_pay_nothing():
    world = balloon_world()
    world.records = [r for r in world.records if r.author != key_of("dave").author]
    world.heads.pop((world.scope, key_of("dave").author))
    world.finish_round(1)
    settled = world.settle(1).settlement
    assert settled.lines == ()
    assert (settled.earned, settled.residue) == (0, 0)
    assert settled.unspent == world.terms.budget
    assert not settled.last


def test_close_verifies_and_a_lie_in_it_does_not():
    world = balloon_world()
    world.finish_round(1)
    close = world.close(1)
    report = verify_close(world.terms, close, world.evidence())
    assert (report.statement, report.cut, report.reason) == (
        Verdict.OK,
        Verdict.OK,
        None,
    )
    liar = balloon_world()
    liar.finish_round(1)
    wrong = verify_close(liar.terms, liar.close(1, residue=7), liar.evidence())
    assert (wrong.statement, wrong.reason) == (Verdict.WRONG, Reason.WRONG_CLOSE)


def test_missing_records_give_no_digest():
    world = balloon_world()
    world.finish_round(1)
    close = world.close(1)
    kept = [r for r in world.records if r.author != key_of("bob").author]
    report = verify_close(world.terms, close, Evidence(kept))
    assert report.statement is Verdict.INCOMPLETE
    assert report.settlement is None
    assert report.missing


def test_two_finals_are_not_enough():
    world = balloon_world()
    world.finish_round(1, only=[0, 1])
    with pytest.raises(Incomplete) as caught:
        world.settle(1)
    assert set(caught.value.missing) == {k.author for k in world.witness_keys[2:]}


def test_a_dead_witness_changes_nothing():
    whole, hurt = balloon_world(), balloon_world()
    whole.finish_round(1)
    hurt.finish_round(1, only=[0, 2, 3])
    assert lines_of(whole.settle(1)) == lines_of(hurt.settle(1))


def test_what_only_one_witness_saw_does_not_count():
    world = balloon_world()
    world.see()
    late = world.join("late")
    world.see(only=[2])
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})
    counted = {item.record.id for item in world.settle(1).settlement.counted}
    assert late.id not in counted
    assert len(counted) == len(world.records) - 1 - 9


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [*range(4), *(pytest.param(n, marks=pytest.mark.untraced) for n in range(4, 24))],
)
def test_same_verdicts_in_any_order_of_arrival(seed):
    assert shuffled(seed, 12)[1] is None


@pytest.mark.slow
def test_same_verdicts_under_any_hash_seed():
    found = {
        subprocess.run(
            [sys.executable, "-m", "tests.shufflings", "60", "--first", "10"],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1


def test_second_finder_of_a_balloon_is_refused():
    world = balloon_world()
    again = world.scan("alice", 3)
    world.finish_round(1)
    refused = {act.id: why for act, why in world.settle(1).settlement.refused}
    assert refused == {again.id: Reason.ONCE}


def test_joins_beyond_the_uses_of_an_invite_are_refused():
    world = balloon_world()
    made = world.invite("alice", uses=1, tag="link")
    world.join_by("erin", made)
    world.see()
    world.now += 10_000
    world.join_by("frank", made)
    world.finish_round(1)
    admission = world.settle(1).settlement.admission
    assert admission.reason(key_of("erin").author) is None
    assert admission.reason(key_of("frank").author) is Reason.INVITE_USED_UP


def test_a_cycle_of_invites_is_never_admitted():
    world = balloon_world()
    world.join("mallory", "trudy")
    world.join("trudy", "mallory")
    world.finish_round(1)
    admission = world.settle(1).settlement.admission
    assert admission.reason(key_of("mallory").author) is Reason.NOT_ADMITTED
    assert admission.reason(key_of("trudy").author) is Reason.NOT_ADMITTED


def test_rounds_fold_and_a_late_balloon_pays_all():
    world = balloon_world()
    last_scan = world.records.pop()
    head = world.heads[world.scope, last_scan.author]
    world.heads[world.scope, last_scan.author] = type(head)(
        head.seq - 1, last_scan.header.backlink
    )
    world.finish_round(1)
    first = world.close(1)
    assert first.claim().lines == 0
    world.scan("zoe", 9)
    world.finish_round(2)
    second = world.close(2, first)
    report = verify_close(world.terms, second, world.evidence())
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)
    assert report.settlement is not None
    assert sum(line.amount for line in report.settlement.lines) == 4_000_000
    assert [row.author for row in report.settlement.rows] == [key_of("zoe").author]
    assert report.claim.last


def test_a_cut_that_pads_or_omits_is_found():
    world = balloon_world()
    world.see()
    world.finish_round(1)
    closing = world.settle(1)
    omitted = closing.declared.cut[1:]
    declared = type(closing.declared)(
        round=1, finals=closing.declared.finals, cut=omitted, forks=()
    )
    verdict, findings, _ = judge_cut(world.terms, [declared], world.evidence())
    assert verdict is Verdict.WRONG
    assert [finding.kind for finding in findings] == ["omitted"]


def test_what_was_padded_stays_counted():
    """The close is proven wrong; the next one goes on from it (decision 0013)."""
    world = padded()
    first = world.records[-1]
    world.finish_round(2)
    world.close(2, first)
    one, other = verify_closes(world.terms, world.evidence())
    assert [finding.kind for finding in one.findings] == ["padded"]
    assert (other.statement, other.cut) == (Verdict.OK, Verdict.OK)
    assert other.settlement is not None
    hers = [one for one in other.settlement.counted if one.record.author == ZOE]
    assert {item.round for item in hers} == {1}
    assert hers[-1].record.seq == max(
        record.seq for record in world.records if record.author == ZOE
    )


def test_voucher_proves_itself_and_no_other_amount():
    world = balloon_world()
    world.finish_round(1)
    closing, close = world.settle(1), world.close(1)
    dave = key_of("dave").author
    voucher = make_voucher(close, closing.settlement.lines, dave)
    assert voucher is not None
    text = voucher_text(voucher)
    assert len(text) < 1_500
    read = read_voucher(text)
    assert check_voucher(read).round == 1
    assert (read.line.payee, read.line.amount) == (dave, 200_000)
    assert read.issuer == world.sponsor.author
    from dataclasses import replace

    more = replace(read, line=replace(read.line, amount=200_001))
    with pytest.raises(ProtocolError) as caught:
        check_voucher(more)
    assert caught.value.reason is Reason.BAD_PROOF


def test_bundle_verifies_with_nothing_else():
    world = balloon_world()
    world.finish_round(1)
    world.close(1)
    data = b"".join(write_bundle(NETWORK, world.scope, world.records))
    network, campaign, records = read_bundle([data[:100], data[100:]])
    assert (network, campaign) == (NETWORK, world.scope)
    ((_, terms),) = find_terms(records)
    evidence = Evidence(records)
    (report,) = verify_closes(terms, evidence)
    assert report.statement is Verdict.OK
    with pytest.raises(ProtocolError):
        read_bundle([data[:-1]])
