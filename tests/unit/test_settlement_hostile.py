"""Settlement under attack: what liars, forgers and forks gain, which is nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.claims import Dispute, Enter, Kind, Part, Profile, Seen, Tags, TermsClaim
from protocols.errors import ProtocolError, Reason
from protocols.feed import Head
from protocols.join import make_continue
from protocols.keys import RecordId, Scope, network_id, witness_scope
from protocols.merkle import Tree
from protocols.record import build_record, sign_record, without_parts
from protocols.settlement.cut import CutEntry, Declared, ForkEntry, Incomplete
from protocols.settlement.settle import settle
from protocols.settlement.verify import (
    Evidence,
    Verdict,
    declare,
    declared_chain,
    finals_at_hand,
    judge_cut,
    verify_close,
    verify_closes,
)
from protocols.tags.entry import Rotating, RotatingCode, tag_id
from protocols.terms import Flat, Geometric, Halving, Limits, Once
from tests.unit.test_judging import (
    DAVE,
    balanced,
    entry_of,
    judged,
    paid,
    photo,
    reasons,
    reward,
    shop_world,
    visit_world,
)
from tests.worlds import (
    MINUTE,
    SCAN_STAGE,
    World,
    balloon_world,
    key_of,
    salt_of,
)

ZERO = RecordId(bytes(32))

# nothing else than ProtocolError and Incomplete


def settle_or_refuse(terms, rounds, lookup):
    try:
        return settle(terms, rounds, lookup)
    except (ProtocolError, Incomplete) as error:
        return error


def test_a_good_code_for_a_stage_that_is_none_stops_nobody():
    world = visit_world()
    entry = entry_of(world, public=Rotating(device=DAVE, window_ms=MINUTE))
    world.tags("shops", [entry])
    start = world.now - world.now % MINUTE
    signature = key_of("dave").sign_value("code", [tag_id(entry), start])
    act = world.read(
        "dave", entry, RotatingCode(window_start=start, signature=signature), stage=31
    )
    assert reasons(judged(world)) == {act.id: Reason.UNKNOWN_STAGE}


@pytest.mark.parametrize("kind", [Kind.PROFILE, Kind.DISPUTE])
def test_a_feed_that_begins_with_anything_else_is_not_admitted(kind):
    world = visit_world()
    claims = {
        Kind.DISPUTE: Dispute(salt=bytes(16), close=ZERO, statement_root=bytes(32)),
        Kind.PROFILE: Profile(
            salt=bytes(16),
            name="x",
            trade="",
            place="",
            peer="",
            peer_signature=bytes(64),
        ),
    }
    world.write(key_of("odd"), kind, claims[kind])
    admission = judged(world).admission
    assert admission.reason(key_of("odd").author) is Reason.WRONG_GENESIS


def test_terms_or_entry_by_a_key_that_the_terms_do_not_name_admit_nobody():
    world = visit_world()
    claim = TermsClaim(salt=salt_of("x"), terms=world.terms)
    world.write(key_of("mallory"), Kind.TERMS, claim)
    world.write(key_of("trudy"), Kind.ENTER, Enter(salt=salt_of("y")))
    world.join("puppet", "mallory")
    admission = judged(world).admission
    assert admission.reason(key_of("mallory").author) is Reason.NOT_NAMED
    assert admission.reason(key_of("trudy").author) is Reason.NOT_NAMED
    assert admission.reason(key_of("puppet").author) is Reason.NOT_ADMITTED


def test_other_terms_in_the_campaigns_scope_are_no_entry():
    keys = tuple(sorted(key_of(name).author for name in ("sponsor", "second")))
    world = World(balloons=1, changes={"sponsor": keys})
    other = replace(world.terms, title="another")
    claim = TermsClaim(salt=salt_of("x"), terms=other)
    world.write(key_of("second"), Kind.TERMS, claim)
    admission = judged(world).admission
    assert admission.refused == {key_of("second").author: Reason.WRONG_CAMPAIGN}
    assert set(admission.entered) == {world.sponsor.author}


def test_a_close_of_another_campaign_is_no_predecessor():
    world, other = balloon_world(), balloon_world(changes={"title": "another"})
    for one in (world, other):
        one.finish_round(1)
    foreign, first = other.close(1), world.close(1)
    world.finish_round(2)
    lie = replace(world.close(2, first).claim(), previous=foreign.id)
    close = world.write(world.sponsor, Kind.CLOSE, lie)
    evidence = Evidence([*world.records, *other.records])
    report = verify_close(world.terms, close, evidence)
    assert (report.statement, report.reason) == (Verdict.WRONG, Reason.WRONG_CLOSE)


def test_absent_claims_make_no_answer_and_no_accusation():
    world = balloon_world()
    world.finish_round(1)
    close = world.close(1)
    for record in world.records:
        others = [one for one in world.records if one.id != record.id]
        evidence = Evidence([*others, without_parts(record, claim=True, note=True)])
        for report in verify_closes(world.terms, evidence):
            assert report.statement in {Verdict.OK, Verdict.INCOMPLETE}
            assert report.cut in {Verdict.OK, Verdict.INCOMPLETE}
    assert close.claim().last


def test_absent_records_make_no_accusation():
    world = balloon_world()
    world.finish_round(1)
    world.close(1)
    for record in world.records:
        kept = Evidence(one for one in world.records if one.id != record.id)
        for report in verify_closes(world.terms, kept):
            assert report.statement in {Verdict.OK, Verdict.INCOMPLETE}
            assert report.cut in {Verdict.OK, Verdict.INCOMPLETE}


def test_a_copy_without_its_claim_does_not_displace_the_whole_record():
    world = balloon_world()
    bare = [without_parts(one, claim=True, note=True) for one in world.records]
    for records in ([*bare, *world.records], [*world.records, *bare]):
        assert all(r.claim_bytes is not None for r in Evidence(records).by_id.values())


def test_a_rule_that_is_not_paid_yet_refuses_the_settlement():
    rule = Geometric(gamma=(1, 2), delta=(1, 2))
    world = visit_world(stage={"reward": reward(rule=rule)})
    entry = entry_of(world)
    world.tags("shops", [entry])
    photo(world, "dave", entry)
    world.finish_round(1)
    with pytest.raises(ProtocolError) as caught:
        world.settle(1)
    assert caught.value.reason is Reason.BAD_TERMS


def lies_about(declared):
    (first, *rest) = declared.cut
    at = next(place for place, entry in enumerate(declared.cut) if entry.seq)
    long, since = declared.cut[at], declared.cut[at].steps[0][1]

    def dated(*steps):
        entry = replace(long, steps=steps)
        return replace(
            declared, cut=(*declared.cut[:at], entry, *declared.cut[at + 1 :])
        )

    a, b = (ForkEntry(author=n * 32, seq=0, id_a=a, id_b=b) for n, a, b in FORKS)
    return {
        "no such round": replace(declared, round=9),
        "round nought": replace(declared, round=0),
        "authors fall": replace(declared, cut=(*rest, first)),
        "one author twice": replace(declared, cut=(first, first, *rest)),
        "no steps": replace(declared, cut=(replace(first, steps=()), *rest)),
        "steps begin late": replace(
            declared, cut=(replace(first, steps=((1, 5),)), *rest)
        ),
        "steps end late": dated((0, since), (long.seq + 1, since + 1)),
        "times fall": dated((0, since), (1, since - 1)),
        "seen too late": replace(
            declared, cut=(replace(first, steps=((0, 2**52),)), *rest)
        ),
        "another seq": replace(declared, cut=(replace(first, seq=2**52), *rest)),
        "another author": replace(
            declared, cut=(replace(first, author=b"\0" * 32), *rest)
        ),
        "two finals": replace(declared, finals=declared.finals[:2]),
        "one final twice": replace(
            declared, finals=(*declared.finals, declared.finals[0])
        ),
        "forks fall": replace(declared, forks=(b, a)),
        "one fork twice": replace(declared, forks=(a, a)),
    }


FORKS: Any = ((b"a", b"1" * 32, b"2" * 32), (b"b", b"1" * 32, b"2" * 32))


def test_a_cut_that_contradicts_itself_is_refused():
    world = balloon_world()
    world.finish_round(1)
    declared = world.settle(1).declared
    for name, lie in lies_about(declared).items():
        error = settle_or_refuse(world.terms, [lie], world.evidence().lookup)
        assert isinstance(error, ProtocolError), name
        assert error.reason is Reason.WRONG_CUT, name


def test_a_cut_may_only_grow_round_after_round():
    world = balloon_world()
    world.finish_round(1)
    one = world.settle(1).declared
    again = replace(one, round=2)
    for rounds in ([one, again], [again, one], [one, one], []):
        error = settle_or_refuse(world.terms, rounds, world.evidence().lookup)
        assert isinstance(error, ProtocolError)


def test_a_later_cut_stays_on_its_branch():
    world = visit_world()
    first = world.erase("dave", world.records[2])
    world.finish_round(1)
    one = world.settle(1).declared
    other = world.fork("dave", Kind.ERASE, world.erase_claim(first))
    after = Head(other.seq, other.id)
    top = world.write(key_of("dave"), Kind.ERASE, world.erase_claim(other), after=after)
    entry = CutEntry(author=DAVE, seq=2, id=top.id, steps=((2, world.now),))
    two = replace(one, round=2, cut=(entry,))
    error = settle_or_refuse(world.terms, [one, two], world.evidence().lookup)
    assert isinstance(error, ProtocolError)
    assert error.reason is Reason.WRONG_CUT


@pytest.mark.parametrize(
    "place", [{"network": network_id("other")}, {"scope": Scope(bytes(32))}]
)
def test_a_record_of_another_network_or_scope_never_counts(place):
    world = visit_world()
    head = world.heads[world.scope, DAVE]
    stray = sign_record(
        key_of("dave"),
        seq=head.seq + 1,
        backlink=head.id,
        time_ms=world.now,
        kind=Kind.ERASE,
        claim=world.erase_claim(world.records[0]),
        **{"network": world.terms.network, "scope": world.scope, **place},
    )
    world.records.append(stray)
    world.heads[world.scope, DAVE] = Head(stray.seq, stray.id)
    with pytest.raises(Incomplete) as lacking:
        judged(world)
    assert lacking.value.missing == (stray.id,), "finals that list it are not named"
    entry = CutEntry(author=DAVE, seq=1, id=stray.id, steps=((0, world.now),))
    finals = tuple(RecordId(bytes([i]) * 32) for i in range(3))
    declared = Declared(round=2, finals=finals, cut=(entry,), forks=())
    error = settle_or_refuse(world.terms, [declared], world.evidence().lookup)
    assert isinstance(error, ProtocolError)
    assert error.reason is Reason.WRONG_CUT


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_small_change_to_a_close_is_judged_without_a_crash(data):
    world = balloon_world(balloons=2, budget=800_000)
    world.finish_round(1)
    world.close(1)
    at = data.draw(st.integers(0, len(world.records) - 1))
    record = world.records[at]
    claim = bytearray(record.claim_bytes)
    spot = data.draw(st.integers(0, len(claim) - 1))
    claim[spot] ^= data.draw(st.integers(1, 255))
    try:
        changed = build_record(
            record.header_bytes, bytes(claim), None, record.signature
        )
    except ProtocolError:
        changed = without_parts(record, claim=True, note=True)
    world.records[at] = changed
    verify_closes(world.terms, world.evidence())


@pytest.mark.untraced
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_mix_of_claims_settles_to_the_budget(data):
    world = shop_world(stage={"refund_ms": data.draw(st.sampled_from([0, MINUTE]))})
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    photo(world, "dave", entry, 1)
    names = st.sampled_from(["dave", "shop", "sponsor", "mallory", "witness 0"])
    world.enter(key_of("witness 0"))
    world.join("mallory", "dave")
    stages = st.sampled_from([0, 1, 2, 31])
    for _ in range(data.draw(st.integers(1, 12))):
        who, whom = data.draw(names), data.draw(names)
        target = data.draw(st.sampled_from(world.records))
        card = data.draw(st.sampled_from([None, world.card(whom)]))
        amount = data.draw(st.sampled_from([0, 1, 9_999, 2**53 - 1]))
        match data.draw(st.integers(0, 4)):
            case 0:
                stage = data.draw(st.none() | stages)
                world.attest(who, whom, target, stage=stage, card=card, amount=amount)
            case 1:
                after, stage = (target.id,), data.draw(stages)
                world.outcome(who, whom, amount, stage=stage, after=after, card=card)
            case 2:
                world.reverse(who, target, amount)
            case 3:
                world.erase(who, target)
            case _:
                photo(world, who, entry, data.draw(stages))
    settled = judged(world)
    assert balanced(world, settled)
    assert verify_close(world.terms, world.close(1), world.evidence()).reason is None


# forks


def forked_world():
    """Dave finds a balloon, then signs another record at its place."""
    world = World(balloons=1, budget=400_000)
    world.join("alice")
    world.join("dave", "alice")
    one = world.scan("dave", 0)
    world.see()
    other = world.fork("dave", Kind.ERASE, world.erase_claim(one))
    world.report_fork(one, other)
    return world


def test_a_forkers_own_shares_go_to_the_residue_and_no_others():
    world = forked_world()
    settled = judged(world)
    lines = paid(settled)
    assert DAVE not in lines
    assert lines[key_of("alice").author] == 100_000
    assert lines[world.charity.author] == 300_000
    assert settled.conditions == (True,)
    assert balanced(world, settled)


def test_a_fork_above_an_act_takes_nothing_from_it():
    world = World(balloons=1, budget=400_000)
    world.join("dave")
    one = world.scan("dave", 0)
    first = world.erase("dave", world.records[-2])
    second = world.fork("dave", Kind.ERASE, world.erase_claim(one))
    world.report_fork(first, second)
    assert paid(judged(world))[DAVE] == 200_000


def test_a_fork_listed_later_takes_nothing_that_counted_before():
    world = World(balloons=2, budget=800_000, changes={"conditions": ()})
    world.join("dave")
    world.scan("dave", 0)
    world.finish_round(1)
    first = world.close(1)
    one = world.scan("dave", 1)
    other = world.fork("dave", Kind.ERASE, world.erase_claim(one))
    world.report_fork(one, other)
    settled = judged(world, 2, first)
    assert [share.withheld for grant in settled.grants for share in grant.shares] == [
        False,
        True,
    ]
    assert paid(settled) == {world.charity.author: 600_000}


def test_a_sponsor_that_spares_or_invents_a_fork_is_found():
    world = forked_world()
    world.finish_round(1)
    declared = world.settle(1).declared
    (fork,) = declared.forks
    alice = key_of("alice").author
    invented = replace(fork, author=alice)
    both = tuple(sorted((fork, invented), key=lambda one: one.author))
    for forks, who in (((), DAVE), (both, alice)):
        lie = replace(declared, forks=forks)
        verdict, findings, _ = judge_cut(world.terms, [lie], world.evidence())
        assert verdict is Verdict.WRONG
        assert [(one.author, one.kind) for one in findings] == [(who, "fork")]


# rounds and closes


def test_two_closes_of_a_round_are_both_owed():
    world = balloon_world()
    world.finish_round(1)
    one = world.close(1)
    other = world.close(1)
    reports = verify_closes(world.terms, world.evidence())
    assert {report.close.id for report in reports} == {one.id, other.id}
    assert {report.statement for report in reports} == {Verdict.OK}
    roots = {report.claim.statement_root for report in reports}
    assert len(roots) == 1


def test_what_a_close_signed_too_much_is_not_paid_again():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    photo(world, "dave", entry)
    world.finish_round(1)
    (one,) = declared_chain(world.terms, world.close(1), world.evidence())
    (line,) = one.lines
    generous = replace(one, lines=(replace(line, amount=1_500),))
    photo(world, "dave", entry)
    world.finish_round(2)
    two = declare(world.terms, 2, [generous], world.evidence()).settlement
    assert {line.payee: line.amount for line in two.lines} == {DAVE: 500}
    assert balanced(world, two)


def test_a_round_may_be_skipped():
    world = balloon_world()
    world.finish_round(1)
    world.finish_round(2)
    close = world.close(2)
    report = verify_close(world.terms, close, world.evidence())
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)


def test_a_chain_of_closes_must_fall_back_to_the_campaign():
    world = balloon_world()
    world.finish_round(1)
    first = world.close(1)
    world.finish_round(2)
    second = world.close(2, first).claim()
    same_round, nowhere, no_close = (
        world.write(world.sponsor, Kind.CLOSE, replace(second, **lie))
        for lie in (
            {"round": 1},
            {"previous": bytes(32)},
            {"previous": world.records[0].id},
        )
    )
    verdicts = {
        report.close.id: (report.statement, report.reason)
        for report in verify_closes(world.terms, world.evidence())
    }
    assert verdicts[same_round.id] == (Verdict.WRONG, Reason.WRONG_CLOSE)
    assert verdicts[nowhere.id] == (Verdict.INCOMPLETE, Reason.INCOMPLETE)
    assert verdicts[no_close.id] == (Verdict.WRONG, Reason.WRONG_CLOSE)


def test_parts_of_another_branch_of_the_sponsors_feed_change_nothing():
    world = balloon_world()
    world.finish_round(1)
    base = world.heads[world.scope, world.sponsor.author]
    close = world.close(1)
    junk = Part(
        salt=salt_of("junk"),
        tree=Tree.CUT,
        root=close.claim().cut_root,
        index=0,
        data=b"\x90",
    )
    world.write(world.sponsor, Kind.PART, junk, after=base)
    report = verify_close(world.terms, close, world.evidence())
    assert report.statement is Verdict.OK


def test_a_witness_that_forks_its_feed_cannot_stop_a_close():
    world = balloon_world()
    world.see()
    scope, liar = witness_scope(world.scope), world.witness_keys[0]
    base = world.heads[scope, liar.author]
    world.now = world.terms.rounds[0].final_from
    for final in (None, 1, 1):
        claim = Seen(salt=salt_of(final, world.now), final=final, heads=())
        world.write(liar, Kind.SEEN, claim, scope=scope, after=base)
    world.see(final=1)
    found = finals_at_hand(world.terms, 1, world.evidence())
    assert len(found) == 4
    closing = world.settle(1)
    verdict, _, _ = judge_cut(world.terms, [closing.declared], world.evidence())
    assert verdict is Verdict.OK


# the identity


@st.composite
def small_worlds(draw):
    """A campaign of visits: any chain, any reward, any budget, two rounds."""
    rule = draw(st.sampled_from([Flat(first=0), Flat(first=2), Halving()]))
    share = reward(
        amount=draw(st.integers(1, 5_000)),
        host_bp=draw(st.integers(0, 5_000)),
        back_bp=draw(st.integers(0, 5_000)),
        rule=rule,
    )
    stage = replace(
        SCAN_STAGE,
        tags="balloons",
        once=draw(st.sampled_from([Once.NEVER, Once.TAG, Once.PERSON])),
        reward=share,
    )
    limits = Limits(
        paid_levels=draw(st.integers(0, 3)),
        per_person_per_day=draw(st.integers(0, 2)),
        place_interval_ms=0,
    )
    changes: dict[str, Any] = {"limits": limits}
    if draw(st.booleans()):
        changes["conditions"] = ()
    budget = draw(st.integers(0, 12_000))
    world = World(balloons=3, rounds=2, budget=budget, stages=(stage,), changes=changes)
    names = ["ann", "ben", "cem", "dia"]
    for index, name in enumerate(names):
        above = draw(st.sampled_from([None, *names[:index], "nobody"]))
        world.join(name, above)
    plan = draw(
        st.lists(
            st.tuples(
                st.sampled_from(names), st.integers(0, 2), st.sampled_from("sswef")
            ),
            max_size=10,
        )
    )
    return world, plan, draw(st.integers(0, len(plan)))


def play(world, steps):
    for name, balloon, what in steps:
        if what == "w":
            world.see()
            continue
        act = world.scan(name, balloon)
        if what == "e":
            world.erase(name, act)
        if what == "f":
            other = world.fork(name, Kind.ERASE, world.erase_claim(act))
            world.report_fork(act, other)


@pytest.mark.untraced
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(small_worlds())
def test_shares_residue_and_what_is_left_always_make_the_budget(made):
    world, plan, middle = made
    play(world, plan[:middle])
    world.finish_round(1)
    first = world.settle(1).settlement
    close = world.close(1)
    play(world, plan[middle:])
    world.finish_round(2)
    second = world.settle(2, close).settlement
    for settled in (first, second):
        assert balanced(world, settled)
        assert min(settled.earned, settled.residue, settled.unspent) >= 0
        assert all(line.amount > 0 for line in settled.lines)
        keys = [line.payee for line in settled.lines]
        assert keys == sorted(set(keys))
    assert first.earned <= second.earned
    signed = sum(line.amount for one in (first, second) for line in one.lines)
    assert signed == second.earned + second.residue
    assert second.last
    report = verify_close(world.terms, world.close(2, close), world.evidence())
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)


def test_a_key_is_one_persons_for_ever_and_nobody_is_paid_twice():
    """A root that later continues another person moved her signed lines once."""
    world = World(balloons=2, rounds=2, changes={"conditions": ()})
    world.join("honest")
    world.join("p")
    root_join = world.join("k")
    world.records.remove(root_join)
    del world.heads[world.scope, key_of("k").author]
    further = make_continue(
        key_of("k"), root_join.claim(), key_of("n").author, salt_of("n")
    )
    world.write(key_of("n"), Kind.CONTINUE, further)
    world.scan("n", 0)
    world.finish_round(1)
    first = world.close(1)
    (p_join,) = [r for r in world.records if r.author == key_of("p").author]
    taken = make_continue(key_of("p"), p_join.claim(), key_of("k").author, salt_of("k"))
    world.write(key_of("k"), Kind.CONTINUE, taken)
    world.scan("honest", 1)
    world.finish_round(2)
    second = world.close(2, first)
    report = verify_close(world.terms, second, world.evidence())
    assert report.settlement is not None
    signed = sum(
        line.amount
        for number, close in ((1, None), (2, first))
        for line in world.settle(number, close).settlement.lines
    )
    assert signed == report.settlement.earned + (
        report.settlement.residue if report.settlement.last else 0
    )


def test_a_tag_listed_beside_a_fixed_group_voids_nothing():
    world = balloon_world(balloons=2, budget=800_000)
    extra = replace(world.entries[0], label="one too many")
    claim = Tags(
        salt=salt_of("extra"),
        group="balloons",
        offset=2,
        tags=((extra, None),),
        revoked=(),
    )
    world.write(world.sponsor, Kind.TAGS, claim)
    world.finish_round(1)
    settled = world.settle(1).settlement
    assert len(settled.grants) == 2
    assert settled.unspent == 0
