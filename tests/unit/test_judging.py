"""Judging acts: each test of spec 0008 §6 refuses what it should, in its order."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from protocols.claims import Kind, Part
from protocols.codec import encode
from protocols.errors import Reason
from protocols.keys import Seed, SigningKey
from protocols.limits import CHAIN_MAX, INT_MAX
from protocols.merkle import Tree
from protocols.settlement import judge
from protocols.settlement.admission import Person, admit
from protocols.settlement.cut import Counted, Incomplete, OrderKey
from protocols.settlement.judge import Judge
from protocols.settlement.money import Accounts, split
from protocols.settlement.settle import settle
from protocols.settlement.verify import Verdict, declared_chain, verify_close
from protocols.tags.entry import (
    Bare,
    Gs1,
    Gs1Text,
    Machine,
    Printed,
    PrintedText,
    Rotating,
    RotatingCode,
    Serials,
    TagEntry,
    TapProof,
    Taps,
    serial_root,
    sign_entry,
    sign_serial,
    tag_id,
)
from protocols.terms import (
    Act,
    After,
    Condition,
    Count,
    Flat,
    Halving,
    Limits,
    Once,
    Party,
    Reward,
    Role,
)
from tests.worlds import (
    MINUTE,
    NETWORK,
    OPENS,
    SCAN_STAGE,
    World,
    balloon_world,
    key_of,
    salt_of,
)

DAVE = key_of("dave").author
FREE = {"conditions": ()}


def reward(amount=1_000, percent_bp=0, host_bp=0, back_bp=0, rule=None):
    return Reward(
        rule=rule or Flat(first=0),
        amount=0 if percent_bp else amount,
        percent_bp=percent_bp,
        host_bp=host_bp,
        back_bp=back_bp,
    )


def party(name, role=Role.MERCHANT, amount_max=10**9, day=10**9, total=10**9, keys=()):
    named = sorted(key_of(one).author for one in (name, *keys))
    return Party(
        keys=tuple(named),
        role=role,
        name=name,
        amount_max=amount_max,
        per_day_max=day,
        total_max=total,
    )


def by_key(*parties):
    return tuple(sorted(parties, key=lambda one: one.keys[0]))


def entry_of(world, index=0, public=None, host=None, place="", **more):
    return TagEntry(
        issuer=world.sponsor.author,
        batch=salt_of("shop tags"),
        index=index,
        public=public or Printed(),
        host=None if host is None else key_of(host).author,
        label=f"tag {index}",
        place=place,
        valid_from=more.get("valid_from", 0),
        valid_until=more.get("valid_until", 0),
    )


def visit_world(stage=None, tags=(), **changes):
    """Dave joined; printed tags of the group `shops` can be scanned for money."""
    changed = {
        "id": "visit",
        "tags": "shops",
        "grade": 1,
        "once": Once.NEVER,
        "reward": reward(),
        **(stage or {}),
    }
    world = World(stages=(replace(SCAN_STAGE, **changed),), changes={**FREE, **changes})
    world.join("dave")
    return world


def photo(world, name, entry, stage=0):
    return world.read(
        name,
        entry,
        PrintedText(signature=sign_entry(world.sponsor, entry)),
        stage,
    )


def shop_world(stage=None, parties=None, **changes):
    """Dave joined; the merchant `shop` can report what he bought there."""
    changed = {
        "id": "buy",
        "act": Act.OUTCOME,
        "tags": None,
        "grade": 5,
        "once": Once.NEVER,
        "reward": reward(percent_bp=1_000),
        **(stage or {}),
    }
    visit = replace(
        SCAN_STAGE, id="visit", tags="shops", grade=1, once=Once.NEVER, reward=None
    )
    named = by_key(*(parties or [party("shop")]))
    world = World(
        stages=(replace(SCAN_STAGE, **changed), visit),
        changes={**FREE, "named": named, **changes},
    )
    world.join("dave")
    world.enter(key_of("shop"))
    return world


def judged(world, number=1, previous=None):
    world.finish_round(number)
    return world.settle(number, previous).settlement


def reasons(settlement):
    return {act.id: reason for act, reason in settlement.refused}


def paid(settlement):
    return {line.payee: line.amount for line in settlement.lines}


def balanced(world, settlement):
    total = settlement.earned + settlement.residue + settlement.unspent
    return total == world.terms.budget


# persons and their keys


def test_a_further_key_is_the_same_person_and_the_latest_is_paid():
    world = visit_world(stage={"once": Once.PERSON})
    entry = entry_of(world)
    world.tags("shops", [entry])
    world.go_on("dave 2", "dave", world.records[2])
    first = photo(world, "dave", entry)
    world.see()
    second = photo(world, "dave 2", entry)
    settled = judged(world)
    assert reasons(settled) == {second.id: Reason.ONCE}
    assert [grant.act.id for grant in settled.grants] == [first.id]
    assert paid(settled) == {key_of("dave 2").author: 1_000}


def test_a_further_key_earns_on_one_account_over_rounds():
    world = visit_world(stage={"once": Once.NEVER})
    entry = entry_of(world)
    world.tags("shops", [entry])
    photo(world, "dave", entry)
    world.finish_round(1)
    first = world.close(1)
    assert paid(world.settle(1).settlement) == {DAVE: 1_000}
    world.go_on("dave 2", "dave", world.records[2])
    photo(world, "dave 2", entry)
    settled = judged(world, 2, first)
    assert paid(settled) == {key_of("dave 2").author: 1_000}
    assert balanced(world, settled)


def counted(record, witness_time):
    order = OrderKey(1, witness_time, b"", record.author, record.seq, record.id)
    return Counted(record=record, order=order, time_max=witness_time)


def test_a_phone_lost_after_the_invite_expired_can_still_be_replaced():
    world = visit_world()
    joined = world.records[2]
    again = world.go_on("dave 2", "dave", joined)
    late = joined.claim().invite.expires_ms + 1
    found = admit(world.terms, [counted(joined, OPENS), counted(again, late)])
    assert found.reason(again.author) is None
    alone = admit(world.terms, [counted(again, late)])
    assert alone.reason(again.author) is Reason.INVITE_EXPIRED


def test_a_ninth_further_key_is_refused():
    world = visit_world()
    for index in range(9):
        world.go_on(f"dave {index}", "dave", world.records[2])
        world.see()
    admission = judged(world).admission
    assert admission.reason(key_of("dave 7").author) is None
    assert admission.reason(key_of("dave 8").author) is Reason.TOO_MANY_KEYS


# tags


def test_a_tag_that_nobody_listed_is_unknown():
    world = visit_world()
    act = photo(world, "dave", entry_of(world))
    assert reasons(judged(world)) == {act.id: Reason.UNKNOWN_TAG}


def test_a_revoked_tag_pays_what_came_before_and_nothing_after():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    before = photo(world, "dave", entry)
    world.see()
    world.tags("shops", [], revoked=(tag_id(entry),))
    world.see()
    after = photo(world, "dave", entry)
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [before.id]
    assert reasons(settled) == {after.id: Reason.UNKNOWN_TAG}


def test_a_tag_of_a_condition_cannot_be_revoked():
    world = World(balloons=1, budget=400_000)
    world.tags("balloons", [], revoked=(tag_id(world.entries[0]),))
    world.join("dave")
    world.see()
    world.scan("dave", 0)
    assert not reasons(judged(world))


def test_a_tag_of_the_terms_cannot_be_moved_into_another_group():
    world = World(balloons=1, budget=400_000)
    world.tags("aaa", world.entries)
    world.join("dave")
    world.scan("dave", 0)
    settled = judged(world)
    assert not reasons(settled)
    assert paid(settled)[DAVE] == 200_000


def test_a_group_that_is_not_the_one_in_the_terms_is_no_group():
    world = World(balloons=2)
    world.terms = replace(world.terms, conditions=())
    other = World(balloons=2, changes={"groups": world.terms.groups})
    other.records = [r for r in other.records if r.kind != Kind.TAGS]
    other.heads[other.scope, other.sponsor.author] = type(
        other.heads[other.scope, other.sponsor.author]
    )(0, other.records[0].id)
    other.tags("balloons", other.entries[:1])
    other.join("dave")
    act = other.scan("dave", 0)
    assert reasons(judged(other)) == {act.id: Reason.UNKNOWN_TAG}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"valid_from": OPENS + 50 * MINUTE}, Reason.UNKNOWN_TAG),
        ({"valid_until": OPENS}, Reason.UNKNOWN_TAG),
        ({"valid_from": OPENS, "valid_until": OPENS + 50 * MINUTE}, None),
    ],
)
def test_a_tag_counts_within_its_own_times(times, expected):
    world = visit_world()
    entry = entry_of(world, **times)
    world.tags("shops", [entry])
    act = photo(world, "dave", entry)
    assert reasons(judged(world)).get(act.id) is expected


# grades


def rotating(world, device="screen", window_ms=MINUTE):
    return entry_of(
        world, public=Rotating(device=key_of(device).author, window_ms=window_ms)
    )


def code_at(entry, start, device="screen"):
    signature = key_of(device).sign_value("code", [tag_id(entry), start])
    return RotatingCode(window_start=start, signature=signature)


@pytest.mark.parametrize(
    ("windows_ago", "expected"), [(0, None), (1, None), (3, Reason.GRADE)]
)
def test_a_rotating_code_is_evidence_while_it_is_fresh(windows_ago, expected):
    world = visit_world(stage={"grade": 3, "fresh_ms": 10_000})
    entry = rotating(world)
    world.tags("shops", [entry])
    start = world.now - world.now % MINUTE - windows_ago * MINUTE
    act = world.read("dave", entry, code_at(entry, start))
    settled = judged(world)
    assert reasons(settled).get(act.id) is expected
    (row,) = settled.rows
    assert (row.own_grade, row.window) == (1 if expected else 3, start)


def test_a_code_off_its_grid_or_by_another_key_proves_nothing():
    world = visit_world()
    entry = rotating(world)
    world.tags("shops", [entry])
    start = world.now - world.now % MINUTE
    acts = [
        world.read("dave", entry, code_at(entry, start + 1)),
        world.read("dave", entry, code_at(entry, start, device="forger")),
        world.read("dave", entry, Bare()),
    ]
    settled = judged(world)
    assert reasons(settled) == {act.id: Reason.GRADE for act in acts}
    assert {(row.own_grade, row.window) for row in settled.rows} == {(0, None)}


def test_a_window_pays_only_so_many():
    world = visit_world(stage={"grade": 3, "fresh_ms": MINUTE, "per_window": 1})
    entry = rotating(world)
    world.tags("shops", [entry])
    world.join("zoe")
    world.see()
    start = world.now - world.now % MINUTE
    first = world.read("dave", entry, code_at(entry, start))
    world.see()
    second = world.read("zoe", entry, code_at(entry, start))
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [first.id]
    assert reasons(settled) == {second.id: Reason.PER_WINDOW}


def test_a_scan_that_the_host_attests_has_grade_five():
    world = visit_world(stage={"grade": 5}, named=by_key(party("shop", role=Role.HOST)))
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    world.enter(key_of("shop"))
    alone = photo(world, "dave", entry)
    vouched = photo(world, "dave", entry)
    world.attest("shop", "dave", vouched)
    settled = judged(world)
    assert reasons(settled) == {alone.id: Reason.GRADE}
    assert [grant.act.id for grant in settled.grants] == [vouched.id]


def test_a_hosts_next_key_attests_for_its_tag_too():
    world = visit_world(
        stage={"grade": 5},
        named=by_key(party("shop", role=Role.HOST, keys=("till",))),
    )
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    world.enter(key_of("till"))
    world.attest("till", "dave", photo(world, "dave", entry))
    assert not reasons(judged(world))


def test_one_persons_card_does_not_vouch_for_anothers_scan():
    world = visit_world(stage={"grade": 5}, named=by_key(party("shop")))
    entry = entry_of(world)
    world.tags("shops", [entry])
    world.enter(key_of("shop"))
    world.join("mallory")
    act = photo(world, "mallory", entry)
    world.attest("shop", "dave", act, card=world.card("dave"))
    assert reasons(judged(world)) == {act.id: Reason.GRADE}


def test_a_one_time_serial_is_used_up_whatever_the_stage_allows():
    world = visit_world(stage={"tags": "balloons", "grade": 2, "once": Once.PERSON})
    world.join("zoe")
    first = world.scan("dave", 0)
    world.see()
    second = world.scan("zoe", 0)
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [first.id]
    assert reasons(settled) == {second.id: Reason.ONCE}


def test_serials_that_travel_as_parts_count():
    world = visit_world(stage={"grade": 2})
    seeds = [Seed(sha256(bytes([i])).digest()) for i in range(3)]
    keys = [SigningKey(seed).author for seed in seeds]
    top = serial_root(keys)
    for index in range(3):
        part = Part(
            salt=salt_of(index),
            tree=Tree.SERIALS,
            root=top,
            index=index,
            data=encode([keys[index]]),
        )
        world.write(world.sponsor, Kind.PART, part)
    entry = entry_of(world, public=Serials(count=3, root=top))
    world.tags("shops", [entry])
    proof = sign_serial(seeds[2], 2, NETWORK, world.scope, DAVE, tag_id(entry))
    good = world.read("dave", entry, proof)
    bad = world.read("dave", entry, replace(proof, index=1))
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [good.id]
    assert reasons(settled) == {bad.id: Reason.GRADE}


# carriers of their own


def tapped(world, entry, counter, name="dave"):
    proof = sign_serial(
        SEEDS[counter],
        counter,
        NETWORK,
        world.scope,
        key_of(name).author,
        tag_id(entry),
    )
    evidence = TapProof(counter=counter, key=proof.key, signature=proof.signature)
    return world.read(name, entry, evidence)


SEEDS = [Seed(sha256(bytes([i])).digest()) for i in range(4)]
TAPS = [SigningKey(seed).author for seed in SEEDS]


def tap_world():
    world = visit_world(stage={"grade": 4})
    chip = Taps(first=0, count=4, root=serial_root(TAPS))
    entry = entry_of(world, public=chip)
    world.tags("shops", [entry], [TAPS])
    return world, entry


def test_each_tap_of_a_chip_is_good_once():
    world, entry = tap_world()
    first, second = tapped(world, entry, 0), tapped(world, entry, 1)
    again = tapped(world, entry, 1)
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [first.id, second.id]
    assert reasons(settled) == {again.id: Reason.ONCE}


def test_a_tap_kept_back_while_later_ones_were_seen_is_harvested():
    world, entry = tap_world()
    tapped(world, entry, 3)
    world.see()
    world.now += MINUTE
    late = tapped(world, entry, 0)
    assert reasons(judged(world)) == {late.id: Reason.GRADE}


def test_a_tap_outside_the_chips_list_proves_nothing():
    world, entry = tap_world()
    good = tapped(world, entry, 0).claim().evidence
    world.read("dave", entry, replace(good, counter=9))
    world.read("dave", entry, replace(good, counter=1))
    assert [row.own_grade for row in judged(world).rows] == [4, 0, 0]


@pytest.mark.parametrize(
    ("public", "evidence", "grade"),
    [
        (Gs1(key="01"), Gs1Text(key="01"), 1),
        (Gs1(key="01"), Gs1Text(key="02"), 0),
        (Machine(device=DAVE), Bare(), 4),
        (Machine(device=key_of("gate").author), Bare(), 0),
        (Printed(), Bare(), 0),
        (Printed(), Gs1Text(key="01"), 0),
    ],
)
def test_each_carrier_has_evidence_of_its_own(public, evidence, grade):
    world = visit_world()
    entry = entry_of(world, public=public)
    world.tags("shops", [entry])
    world.read("dave", entry, evidence)
    (row,) = judged(world).rows
    assert row.own_grade == grade


def test_a_join_can_be_an_act_and_an_attest_gives_it_grade_five():
    stage = {"act": Act.JOIN, "tags": None, "grade": 5, "once": Once.PERSON}
    world = visit_world(stage=stage, named=by_key(party("shop")))
    world.enter(key_of("shop"))
    alone = world.join("zoe")
    joined = next(r for r in world.records if r.author == DAVE)
    world.attest("shop", "dave", joined, card=world.card("dave"))
    settled = judged(world)
    assert paid(settled) == {DAVE: 1_000}
    assert reasons(settled) == {alone.id: Reason.GRADE}


def test_an_attest_can_be_an_act_itself():
    world = shop_world(
        stage={"act": Act.ATTEST, "reward": reward()}, parties=[party("shop")]
    )
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    visit = photo(world, "dave", entry, 1)
    world.attest("shop", "dave", visit, stage=0)
    vouched = world.attest("shop", "dave", visit)
    settled = judged(world)
    assert paid(settled) == {DAVE: 1_000}
    assert vouched.id not in reasons(settled)


def test_what_an_invited_person_did_opens_a_stage():
    first = replace(SCAN_STAGE, id="first", tags="shops", grade=1, once=0, reward=None)
    thanks = (After(stage=0, by_invitee=True),)
    then = replace(first, id="then", after=thanks, reward=reward())
    world = World(stages=(first, then), changes=FREE)
    world.join("dave")
    world.join("erin", "dave")
    entry = entry_of(world)
    world.tags("shops", [entry])
    photo(world, "dave", entry, 0)
    early = photo(world, "dave", entry, 1)
    world.see()
    photo(world, "erin", entry, 0)
    world.see()
    photo(world, "dave", entry, 1)
    settled = judged(world)
    assert reasons(settled) == {early.id: Reason.AFTER}
    assert paid(settled) == {DAVE: 1_000}


@pytest.mark.parametrize(
    ("count", "least", "met"),
    [
        (Count.ACTS, 3, True),
        (Count.ACTS, 4, False),
        (Count.PERSONS, 2, True),
        (Count.PERSONS, 3, False),
    ],
)
def test_conditions_count_acts_or_persons(count, least, met):
    condition = Condition(stage=0, count=count, least=least)
    world = visit_world(conditions=(condition,))
    world.join("zoe")
    entry = entry_of(world)
    world.tags("shops", [entry])
    for name in ("dave", "dave", "zoe"):
        photo(world, name, entry)
    settled = judged(world)
    assert settled.conditions == (met,)
    assert bool(settled.lines) is met


def test_conditions_are_judged_before_the_budget():
    condition = Condition(stage=0, count=Count.ACTS, least=3)
    stages = visit_world().terms.stages
    world = World(budget=1_500, stages=stages, changes={"conditions": (condition,)})
    world.join("dave")
    entry = entry_of(world)
    world.tags("shops", [entry])
    for _ in range(3):
        photo(world, "dave", entry)
    settled = judged(world)
    assert settled.conditions == (True,)
    assert settled.last
    assert paid(settled) == {DAVE: 1_500}


def test_a_close_is_not_the_last_while_a_condition_is_open():
    condition = Condition(stage=0, count=Count.ACTS, least=3)
    stages = visit_world().terms.stages
    world = World(budget=1_500, stages=stages, changes={"conditions": (condition,)})
    world.join("dave")
    entry = entry_of(world)
    world.tags("shops", [entry])
    for _ in range(2):
        photo(world, "dave", entry)
    settled = judged(world)
    assert sum(grant.pool for grant in settled.grants) == 1_500
    assert (settled.earned, settled.unspent, settled.last) == (0, 1_500, False)


# limits


def test_a_day_pays_only_so_many():
    world = visit_world(
        limits=Limits(paid_levels=0, per_person_per_day=2, place_interval_ms=0)
    )
    entry = entry_of(world)
    world.tags("shops", [entry])
    acts = [photo(world, "dave", entry) for _ in range(3)]
    assert reasons(judged(world)) == {acts[2].id: Reason.DAY}


def test_two_places_cannot_be_visited_at_once():
    world = visit_world(
        limits=Limits(paid_levels=0, per_person_per_day=0, place_interval_ms=5 * MINUTE)
    )
    here, there = entry_of(world, 0, place="lake"), entry_of(world, 1, place="hill")
    world.tags("shops", [here, there])
    photo(world, "dave", here)
    photo(world, "dave", here)
    world.see()
    hasty = photo(world, "dave", there)
    world.see()
    world.now += 6 * MINUTE
    photo(world, "dave", there)
    assert reasons(judged(world)) == {hasty.id: Reason.VELOCITY}


@pytest.mark.parametrize("seed", range(60))
def test_the_stays_of_a_person_say_what_all_her_scans_say(seed, monkeypatch):
    monkeypatch.setattr(judge, "_place", lambda act: act.place)
    rng, fake = Random(seed), cast("Any", SimpleNamespace)
    plain: list[tuple[int, str]] = []
    interval, span = rng.choice((1, 2, 5, 30)), rng.choice((20, 60, 200))
    limits = fake(place_interval_ms=interval)
    tally = fake(stays={})
    self = fake(tally=tally, terms=fake(limits=limits))
    dave = fake(root=DAVE)
    for _ in range(40):
        time, place = rng.randrange(span), rng.choice("ABC")
        act = fake(person=dave, act_time=time, place=place)
        expected = any(
            place != other and abs(time - then) < interval for then, other in plain
        )
        refused = Judge._velocity(self, act, fake()) is Reason.VELOCITY
        assert refused == expected
        if not refused:
            plain.append((time, place))
            Judge._note_place(self, act, dave)
    assert len(tally.stays[DAVE]) <= span // interval + 1


def test_only_the_first_n_acts_of_a_flat_stage_are_paid():
    world = visit_world(stage={"reward": reward(rule=Flat(first=2))})
    entry = entry_of(world)
    world.tags("shops", [entry])
    acts = [photo(world, "dave", entry) for _ in range(3)]
    settled = judged(world)
    assert reasons(settled) == {acts[2].id: Reason.ONCE}
    assert paid(settled) == {DAVE: 2_000}


def test_only_the_paid_levels_are_paid_and_the_rest_is_residue():
    world = balloon_world(
        changes={
            "limits": Limits(paid_levels=2, per_person_per_day=0, place_interval_ms=0)
        }
    )
    settled = judged(world)
    lines = paid(settled)
    assert lines[DAVE] == 200_000
    assert lines[key_of("carol").author] == 100_000
    assert key_of("bob").author not in lines
    assert lines[world.charity.author] == 4_000_000 - 300_000 - 9 * 200_000
    assert balanced(world, settled)


def test_in_the_longest_chain_the_nearest_share_as_in_the_accounts():
    made, rule = cast("Any", None), reward(INT_MAX, rule=Halving())
    limits = Limits(paid_levels=0, per_person_per_day=0, place_interval_ms=0)
    chain: list[Person] = []
    for level in range(1, CHAIN_MAX + 1):
        key = key_of(f"level {level}").author
        above = chain[-1] if chain else None
        chain.append(
            Person(root=key, join=made, admitted_by=made, inviter=above, level=level)
        )
    shares = split(rule, limits, INT_MAX, chain[-1], None)
    accounts = Accounts(limits=limits)
    accounts.add(rule, INT_MAX, chain[-1].root, None, ())
    assert {one.payee: one.amount for one in shares} == accounts.earned(chain)
    assert shares[-1].amount == 1


def test_the_budget_runs_out_in_order_and_the_last_grant_is_cut():
    world = visit_world()
    world = World(
        budget=2_500,
        stages=world.terms.stages,
        changes=FREE,
    )
    world.join("dave")
    entry = entry_of(world)
    world.tags("shops", [entry])
    acts = [photo(world, "dave", entry) for _ in range(4)]
    settled = judged(world)
    assert [grant.pool for grant in settled.grants] == [1_000, 1_000, 500]
    assert reasons(settled) == {acts[3].id: Reason.BUDGET}
    assert paid(settled) == {DAVE: 2_500}
    assert settled.last
    assert balanced(world, settled)


def test_what_comes_after_a_stage_waits_for_it():
    first = replace(SCAN_STAGE, id="first", tags="shops", grade=1, once=0, reward=None)
    then = replace(
        first, id="then", after=(After(stage=0, by_invitee=False),), reward=reward()
    )
    world = World(stages=(first, then), changes=FREE)
    world.join("dave")
    entry = entry_of(world)
    world.tags("shops", [entry])
    early = photo(world, "dave", entry, 1)
    photo(world, "dave", entry, 0)
    late = photo(world, "dave", entry, 1)
    settled = judged(world)
    assert reasons(settled) == {early.id: Reason.AFTER}
    assert late.id in {grant.act.id for grant in settled.grants}


def test_an_unknown_stage_is_refused_after_admission():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    lost = photo(world, "dave", entry, 31)
    world.join("stranger", "nobody")
    worse = photo(world, "stranger", entry, 31)
    assert reasons(judged(world)) == {
        lost.id: Reason.UNKNOWN_STAGE,
        worse.id: Reason.NOT_ADMITTED,
    }


def test_an_act_outside_its_stages_times_is_refused():
    world = visit_world(stage={"closes": OPENS + 10 * MINUTE})
    entry = entry_of(world)
    world.tags("shops", [entry])
    photo(world, "dave", entry)
    world.see()
    world.now = OPENS + 11 * MINUTE
    late = photo(world, "dave", entry)
    assert reasons(judged(world)) == {late.id: Reason.STAGE_WINDOW}


# outcomes


def test_an_outcome_is_bound_by_a_card_once():
    world = shop_world()
    card = world.card("dave")
    bound = world.outcome("shop", "dave", 5_000, card=card)
    again = world.outcome("shop", "dave", 5_000, card=card)
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [bound.id]
    assert reasons(settled) == {again.id: Reason.GRADE}
    assert paid(settled) == {DAVE: 500}


def test_a_nonce_that_another_person_also_used_is_still_good():
    world = shop_world()
    world.join("mallory")
    world.outcome("shop", "mallory", 5_000, card=world.card("mallory"))
    world.see()
    world.outcome("shop", "dave", 5_000, card=world.card("dave"))
    assert paid(judged(world))[DAVE] == 500


def test_a_card_of_one_person_does_not_bind_another():
    world = shop_world()
    world.join("puppet")
    act = world.outcome("shop", "puppet", 5_000, card=world.card("dave"))
    assert reasons(judged(world)) == {act.id: Reason.GRADE}


def test_an_outcome_is_bound_by_her_scan_of_the_shops_tag_once():
    world = shop_world()
    entry, other = entry_of(world, 0, host="shop"), entry_of(world, 1)
    world.tags("shops", [entry, other])
    visit = photo(world, "dave", entry, 1)
    elsewhere = photo(world, "dave", other, 1)
    bound = world.outcome("shop", "dave", 5_000, after=(elsewhere.id, visit.id))
    again = world.outcome("shop", "dave", 5_000, after=(visit.id,))
    settled = judged(world)
    assert bound.id in {grant.act.id for grant in settled.grants}
    assert reasons(settled) == {again.id: Reason.GRADE}


def earlier_word_world(stage=None):
    """Two purchases by one scan; the first names a key that counts from round 2 on."""
    world = shop_world(stage=stage)
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    visit = photo(world, "dave", entry, 1)
    world.see()
    early = world.outcome("shop", "tablet", 3_000, after=(visit.id,))
    world.see()
    late = world.outcome("shop", "dave", 5_000, after=(visit.id,))
    world.finish_round(1)
    close = world.close(1)
    (join,) = [one for one in world.records if one.kind == Kind.JOIN]
    world.go_on("tablet", "dave", join)
    return world, early, late, close


def test_a_scan_binds_one_purchase_over_all_rounds():
    world, early, late, close = earlier_word_world()
    settled = judged(world, 2, close)
    bought = [one for one in settled.grants if one.act.amount]
    assert [(one.act.id, one.round) for one in bought] == [(late.id, 1)]
    assert reasons(settled) == {early.id: Reason.GRADE}


def test_a_purchase_that_waits_keeps_its_scan():
    world, early, late, close = earlier_word_world({"refund_ms": 70 * MINUTE})
    settled = judged(world, 2, close)
    bought = [one for one in settled.grants if one.act.amount]
    assert [(one.act.id, one.round) for one in bought] == [(late.id, 2)]
    assert reasons(settled) == {early.id: Reason.GRADE}


def test_a_card_that_bound_a_purchase_is_spent_also_where_its_scan_fits_later():
    world = shop_world()
    entry = entry_of(world, host="shop")
    visit, card = photo(world, "dave", entry, 1), world.card("dave")
    world.see()
    first = world.outcome("shop", "dave", 5_000, after=(visit.id,), card=card)
    world.see()
    again = world.outcome("shop", "dave", 5_000, card=card)
    world.finish_round(1)
    close = world.close(1)
    world.tags("shops", [entry])
    settled = judged(world, 2, close)
    assert [one.act.id for one in settled.grants if one.act.amount] == [first.id]
    assert reasons(settled)[again.id] is Reason.GRADE


def test_an_unbound_outcome_is_refused_even_where_no_grade_is_asked():
    world = shop_world(stage={"grade": 0})
    act = world.outcome("shop", "dave", 5_000)
    assert reasons(judged(world)) == {act.id: Reason.NOT_BOUND}


def test_an_outcome_by_somebody_the_terms_do_not_name_is_refused():
    world = shop_world()
    world.join("mallory")
    act = world.outcome("mallory", "dave", 5_000, card=world.card("dave"))
    assert reasons(judged(world)) == {act.id: Reason.NOT_NAMED}


def test_the_host_of_a_tag_vouches_for_visits_but_sells_nothing():
    world = shop_world(parties=[party("shop"), party("cafe", role=Role.HOST)])
    world.enter(key_of("cafe"))
    entry = entry_of(world, host="cafe")
    world.tags("shops", [entry])
    visit = photo(world, "dave", entry, 1)
    act = world.outcome("cafe", "dave", 5_000, after=(visit.id,))
    assert reasons(judged(world)) == {act.id: Reason.NOT_NAMED}


@pytest.mark.parametrize(
    ("caps", "granted"),
    [
        ({"amount_max": 4_000}, [3_000, 3_000, 3_000]),
        ({"day": 6_000}, [3_000, 3_000]),
        ({"total": 8_000}, [3_000, 5_000]),
    ],
)
def test_a_merchant_is_held_to_its_caps(caps, granted):
    world = shop_world(parties=[party("shop", **caps)])
    amounts = [3_000, 5_000, 3_000, 3_000]
    if "day" in caps:
        amounts = [3_000, 7_000, 3_000, 3_000]
    for index, amount in enumerate(amounts):
        card = world.card("dave", nonce=bytes([index]) * 8)
        world.outcome("shop", "dave", amount, card=card)
    settled = judged(world)
    assert [grant.act.amount for grant in settled.grants] == granted
    assert set(reasons(settled).values()) == {Reason.MERCHANT_CAP}


def test_two_tills_of_a_merchant_share_its_caps():
    world = shop_world(parties=[party("shop", total=6_000, keys=("till",))])
    world.enter(key_of("till"))
    world.outcome("shop", "dave", 5_000, card=world.card("dave", b"nonce  1"))
    world.see()
    second = world.outcome("till", "dave", 5_000, card=world.card("dave", b"nonce  2"))
    assert reasons(judged(world)) == {second.id: Reason.MERCHANT_CAP}


def test_a_refundable_outcome_is_paid_once_its_window_is_past():
    world = shop_world(stage={"refund_ms": 30 * MINUTE, "grade": 7})
    world.now = OPENS + 50 * MINUTE
    act = world.outcome("shop", "dave", 10_000, card=world.card("dave"))
    world.see()
    world.reverse("shop", act, 4_000)
    first = judged(world)
    assert reasons(first) == {act.id: Reason.NOT_MATURE}
    close = world.close(1)
    second = judged(world, 2, close)
    assert paid(second) == {DAVE: 600}
    assert balanced(world, second)


def test_a_refund_after_its_window_changes_nothing():
    world = shop_world(stage={"refund_ms": 10 * MINUTE})
    act = world.outcome("shop", "dave", 10_000, card=world.card("dave"))
    world.see()
    world.now += 11 * MINUTE
    world.reverse("shop", act, 10_000)
    assert paid(judged(world)) == {DAVE: 1_000}


def test_a_wholly_refunded_outcome_has_no_grade():
    world = shop_world(stage={"refund_ms": 10 * MINUTE, "grade": 0})
    act = world.outcome("shop", "dave", 10_000, card=world.card("dave"))
    world.reverse("shop", act, 6_000)
    world.reverse("shop", act, 6_000)
    assert reasons(judged(world)) == {act.id: Reason.GRADE}


def test_somebody_elses_refund_changes_nothing():
    world = shop_world(
        stage={"refund_ms": 10 * MINUTE}, parties=[party("shop"), party("rival")]
    )
    world.enter(key_of("rival"))
    act = world.outcome("shop", "dave", 10_000, card=world.card("dave"))
    world.reverse("rival", act, 10_000)
    assert paid(judged(world)) == {DAVE: 1_000}


# hosts and what goes back


def hosted(host_bp, back_bp, rule=None, parties=None):
    world = visit_world(
        stage={
            "reward": reward(
                amount=1_001,
                host_bp=host_bp,
                back_bp=back_bp,
                rule=rule or Halving(),
            )
        },
        named=by_key(*(parties or [party("cafe", role=Role.HOST)])),
    )
    entry = entry_of(world, host="cafe")
    world.tags("shops", [entry])
    return world, entry


def test_host_and_actor_get_their_part_before_the_chain_shares():
    world, entry = hosted(host_bp=1_000, back_bp=2_500)
    world.enter(key_of("cafe"))
    photo(world, "dave", entry)
    settled = judged(world)
    host, back = 1_001 * 1_000 // 10_000, 1_001 * 2_500 // 10_000
    chain = (1_001 - host - back) // 2
    assert paid(settled) == {key_of("cafe").author: host, DAVE: back + chain}
    assert settled.residue == 1_001 - host - back - chain
    assert balanced(world, settled)


def test_a_host_that_scans_its_own_tag_gets_no_hosts_share():
    world, entry = hosted(host_bp=1_000, back_bp=0, rule=Flat(first=0))
    world.join("cafe")
    photo(world, "cafe", entry)
    settled = judged(world)
    assert paid(settled) == {key_of("cafe").author: 1_001 - 100}
    assert settled.residue == 100


def test_a_hosts_second_key_scanning_its_tag_gets_no_hosts_share():
    world, entry = hosted(
        host_bp=1_000,
        back_bp=0,
        rule=Flat(first=0),
        parties=[party("cafe", role=Role.HOST, keys=("till",))],
    )
    world.join("till")
    photo(world, "till", entry)
    assert judged(world).residue == 100


def test_a_host_key_that_is_also_a_persons_key_is_paid_once():
    world, entry = hosted(host_bp=1_000, back_bp=0, rule=Flat(first=0))
    world.go_on("cafe", "dave", world.records[2])
    world.join("zoe")
    photo(world, "zoe", entry)
    world.finish_round(1)
    first = world.close(1)
    assert paid(world.settle(1).settlement)[key_of("cafe").author] == 100
    second = judged(world, 2, first)
    assert paid(second) == {}
    assert balanced(world, second)


def test_a_partys_latest_key_is_paid():
    world, entry = hosted(
        host_bp=1_000,
        back_bp=0,
        parties=[party("cafe", role=Role.HOST, keys=("till",))],
    )
    world.enter(key_of("cafe"))
    world.see()
    world.enter(key_of("till"))
    photo(world, "dave", entry)
    assert paid(judged(world))[key_of("till").author] == 100


# act time


@pytest.mark.parametrize(
    ("ahead", "late", "expected"),
    [(30, 0, 0), (30, 9, 0), (-30, 0, 0), (-30, 9, -9), (-5, 9, -5)],
)
def test_an_act_happened_within_late_ms_of_its_witness_time(ahead, late, expected):
    world = visit_world(stage={"late_ms": late * MINUTE})
    entry = entry_of(world)
    world.tags("shops", [entry])
    seen = OPENS + 40 * MINUTE
    world.now = seen + ahead * MINUTE
    photo(world, "dave", entry)
    world.now = seen
    _, second, *_ = world.see()
    (row,) = judged(world).rows
    assert round((row.act_time - second.header.time_ms) / MINUTE) == expected


# erasure


def late_attest_world():
    """Dave's scan counts in round 1, and is attested in round 2."""
    world = visit_world(stage={"grade": 5}, named=by_key(party("shop")))
    entry = entry_of(world, host="shop")
    world.tags("shops", [entry])
    world.enter(key_of("shop"))
    act = photo(world, "dave", entry)
    world.finish_round(1)
    assert reasons(world.settle(1).settlement) == {act.id: Reason.GRADE}
    close = world.close(1)
    world.attest("shop", "dave", act)
    return world, act, close


def test_what_is_attested_later_is_paid_later():
    world, act, close = late_attest_world()
    assert [grant.act.id for grant in judged(world, 2, close).grants] == [act.id]


def test_an_erase_that_counts_later_than_the_scan_changes_nothing():
    world, act, close = late_attest_world()
    world.erase("dave", act)
    assert paid(judged(world, 2, close)) == {DAVE: 1_000}


def test_a_fork_listed_after_an_act_counted_withholds_nothing_of_it():
    world, act, close = late_attest_world()
    other = world.fork("dave", Kind.ERASE, world.erase_claim(act))
    world.report_fork(act, other)
    settled = judged(world, 2, close)
    assert paid(settled) == {DAVE: 1_000}
    assert settled.residue == 0


def test_a_scan_erased_before_it_counts_is_not_paid():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    act = photo(world, "dave", entry)
    world.erase("dave", act)
    assert reasons(judged(world)) == {act.id: Reason.ERASED}


def test_a_committed_row_stands_for_a_claim_that_was_dropped_later():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    act = photo(world, "dave", entry)
    world.finish_round(1)
    close = world.close(1)
    expected = world.settle(1).settlement
    world.erase("dave", act)
    world.drop_claim(act)
    report = verify_close(world.terms, close, world.evidence())
    assert (report.statement, report.not_judged) == (Verdict.OK, 1)
    assert report.settlement is not None
    assert report.settlement.statement_root == expected.statement_root


def test_a_dropped_claim_without_a_row_gives_no_answer():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    act = photo(world, "dave", entry)
    world.finish_round(1)
    world.drop_claim(act)
    with pytest.raises(Incomplete) as caught:
        world.settle(1)
    assert caught.value.missing == (act.id,)


def test_a_row_must_say_what_the_header_says():
    world = visit_world()
    entry = entry_of(world)
    world.tags("shops", [entry])
    act = photo(world, "dave", entry)
    world.finish_round(1)
    close = world.close(1)
    world.drop_claim(act)
    evidence = world.evidence()
    (declared,) = declared_chain(world.terms, close, evidence)
    (row,) = declared.rows
    for lie in ({"seq": 5}, {"author": world.sponsor.author}, {"act_time": OPENS}):
        wrong = replace(declared, rows=(replace(row, **lie),))
        with pytest.raises(Exception, match="a row contradicts its header"):
            settle(world.terms, [wrong], evidence.lookup)


def test_a_merchants_fork_costs_no_customer():
    world = shop_world()
    sold = world.outcome("shop", "dave", 5_000, card=world.card("dave"))
    other = world.fork("shop", Kind.ERASE, world.erase_claim(sold))
    world.report_fork(sold, other)
    settled = judged(world)
    assert [grant.act.id for grant in settled.grants] == [sold.id]
    assert paid(settled) == {DAVE: 500}
