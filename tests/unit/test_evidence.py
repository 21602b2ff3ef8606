"""Witnesses: receipts are irrevocable, f+1 count, and nobody waits for liars."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from p2pnode.services import closing, documents
from p2pnode.services.erasures import Erasures
from p2pnode.services.library import View
from protocols import testimony as testimonies
from protocols.claims import Erase, Kind, Seen
from protocols.errors import ProtocolError, Reason
from protocols.evidence import cover, feed_up_to, receipts, view
from protocols.feed import Head
from protocols.keys import RecordId, witness_scope
from protocols.record import without_parts
from protocols.settlement import verify
from protocols.settlement.cut import Declared, Incomplete
from protocols.settlement.verify import (
    Evidence,
    Verdict,
    declare,
    finals_at_hand,
    judge_cut,
)
from protocols.terms import Party, Role
from tests.worlds import MINUTE, OPENS, World, key_of, salt_of

DAVE = key_of("dave").author


def small_world(witnesses=4, **settings):
    world = World(balloons=1, witnesses=witnesses, budget=400_000, **settings)
    world.join("dave")
    return world


def seen(world, liar, heads, final=None):
    """Let one witness list whatever it likes."""
    claim = Seen(
        salt=salt_of("lie", world.now),
        final=final,
        heads=tuple(sorted(heads)),
    )
    key = world.witness_keys[liar]
    return world.write(key, Kind.SEEN, claim, scope=witness_scope(world.scope))


def other_branch_seen():
    """Dave's scan and its twin on another branch, which the first witness lists."""
    world = small_world()
    scan = world.scan("dave", 0)
    below = world.heads[world.scope, DAVE]
    other = world.fork("dave", Kind.SCAN, replace(scan.claim(), salt=b"x" * 16))
    world.heads[world.scope, DAVE] = below
    seen(world, 0, [head_of(other)])
    world.now += 60_000
    return world, other


def head_of(record):
    return (record.author, record.seq, record.id)


def feeds_of(world):
    scope, evidence = witness_scope(world.scope), world.evidence()
    return {key.author: evidence.feed(scope, key.author) for key in world.witness_keys}


def view_of(world, witness=0, evidence=None):
    key = world.witness_keys[witness].author
    lookup = (evidence or world.evidence()).lookup
    return view(key, world.terms, feeds_of(world)[key], lookup)


def supported(world, number=1, finals=None, evidence=None):
    evidence = evidence or world.evidence()
    finals = finals or [f.id for f in finals_at_hand(world.terms, number, evidence)]
    quorum = tuple(sorted(finals[: world.terms.quorum]))
    return cover(world.terms, number, quorum, evidence.lookup, {})


def heads_in(cut):
    return {entry.author: (entry.seq, entry.id) for entry in cut}


# one witness


def test_a_head_covers_all_below_it_from_that_time_on():
    world = small_world()
    joined = world.records[-1]
    scan = world.scan("dave", 0)
    (first,) = world.see(only=[0])
    more = world.erase("dave", scan)
    (second,) = world.see(only=[0])
    covered = view_of(world).first_seen
    assert covered[joined.id] == covered[scan.id] == first.header.time_ms
    assert covered[more.id] == second.header.time_ms


@pytest.mark.parametrize("listed", [(0, 1), (1,)])
def test_a_later_head_on_another_branch_is_void(listed):
    world = small_world()
    scan = world.scan("dave", 0)
    world.see(only=[0])
    other = world.fork("dave", Kind.ERASE, world.erase_claim(scan))
    after = world.write(
        key_of("dave"),
        Kind.ERASE,
        world.erase_claim(other),
        after=Head(other.seq, other.id),
    )
    for place in listed:
        seen(world, 0, [head_of((other, after)[place])])
    covered = view_of(world).first_seen
    assert scan.id in covered
    assert other.id not in covered
    assert after.id not in covered


def test_a_receipt_cannot_be_taken_back():
    world = small_world()
    scan = world.scan("dave", 0)
    world.see(only=[0])
    garbage = (DAVE, 50, RecordId(b"\xee" * 32))
    for heads in ([], [(DAVE, 0, scan.id)], [garbage], [(DAVE, 1, garbage[2])]):
        seen(world, 0, heads)
        assert scan.id in view_of(world).first_seen


def test_after_a_head_of_another_branch_nothing_more_is_covered():
    world = small_world()
    scan = world.scan("dave", 0)
    world.see(only=[0])
    seen(world, 0, [(DAVE, 1, RecordId(b"\xee" * 32))])
    more = world.erase("dave", scan)
    seen(world, 0, [head_of(more)])
    assert more.id not in view_of(world).first_seen


def test_a_head_whose_chain_is_not_here_decides_nothing():
    world = small_world()
    scan = world.scan("dave", 0)
    more = world.erase("dave", scan)
    world.see(only=[0])
    kept = Evidence(r for r in world.records if r.id != scan.id)
    found = view_of(world, evidence=kept)
    assert not {scan.id, more.id} & set(found.first_seen)
    assert found.unknown[DAVE][0] == scan.id


def test_a_seen_that_is_not_later_than_the_last_is_void():
    world = small_world()
    world.see(only=[0])
    scan = world.scan("dave", 0)
    world.now -= 60_000
    world.see(only=[0])
    assert scan.id not in view_of(world).first_seen


def test_the_first_final_in_time_is_the_only_one():
    world = small_world()
    early = seen(world, 0, [], final=1)
    world.now = world.terms.rounds[0].final_from
    first = seen(world, 0, [], final=1)
    seen(world, 0, [], final=1)
    key = world.witness_keys[0].author
    testimony = testimonies.Testimony(world.terms, key)
    for record in feeds_of(world)[key]:
        testimony.read(record)
    assert testimony.finals == {1: first.id}
    assert early.seq == 0


def test_a_witness_feed_is_followed_along_its_own_links_only():
    world = small_world()
    (mine,) = world.see(only=[0])
    (theirs,) = world.see(only=[1])
    scope = witness_scope(world.scope)
    claim = Seen(salt=salt_of("x"), final=1, heads=())
    stolen = world.write(
        world.witness_keys[0],
        Kind.SEEN,
        claim,
        scope=scope,
        after=Head(theirs.seq, theirs.id),
    )
    lookup = world.evidence().lookup
    assert feed_up_to(mine.id, lookup) == [mine]
    with pytest.raises(ProtocolError) as caught:
        feed_up_to(stolen.id, lookup)
    assert caught.value.reason is Reason.WRONG_BACKLINK


def test_a_witness_feed_without_a_claim_is_incomplete():
    world = small_world()
    (mine,) = world.see(only=[0])
    bare = Evidence([without_parts(mine, claim=True, note=False)])
    with pytest.raises(Incomplete) as caught:
        feed_up_to(mine.id, bare.lookup)
    assert caught.value.missing == (mine.id,)


def test_receipts_count_witnesses():
    world = small_world()
    scan = world.scan("dave", 0)
    for count, only in enumerate(([0], [2], [3], [3]), 1):
        world.see(only=only)
        found = receipts(world.terms, feeds_of(world), world.evidence().lookup)
        assert len(found[scan.id]) == min(count, 3)


@pytest.mark.parametrize(
    ("in_time", "late", "surest", "said"),
    [
        (0, 0, 4, "none"),
        (1, 0, 4, "seen"),
        (2, 0, 1, "can-count"),
        (3, 0, 2, "can-count"),
        (3, 0, 3, "safe"),
        (4, 0, 2, "can-count"),
        (3, 1, 4, "safe"),
        (2, 2, 4, "can-count"),
        (1, 2, 4, "seen"),
        (0, 2, 4, "seen"),
        (1, 3, 4, "late"),
        (0, 4, 4, "late"),
    ],
)
def test_a_receipt_in_words(in_time, late, surest, said):
    assert documents._receipt(in_time, late, surest, faults=1) == said


def receipts_of(world, name, evidence=None):
    """What `campaign evidence` says of somebody's records."""
    shown = documents.evidence(
        View(
            campaign=world.scope,
            terms=world.terms,
            terms_record=world.records[0],
            evidence=evidence or world.evidence(),
        ),
        [key_of(name).author],
        Erasures(),
    )
    return [one["receipt"] for one in shown["records"]]


def test_what_all_witnesses_saw_after_the_last_round_is_not_safe():
    world = small_world(rounds=2)
    world.see()
    world.now = world.terms.rounds[0].accept_until
    world.scan("dave", 0)
    world.see()
    assert receipts_of(world, "dave") == ["safe", "safe"]  # it counts in round 2
    world.now = world.terms.rounds[1].accept_until
    late = world.scan("dave", 0)
    world.see()
    assert receipts_of(world, "dave") == ["safe", "safe", "late"]
    world.erase("dave", late)  # needs no round
    world.see()
    assert receipts_of(world, "dave") == ["safe", "safe", "late", "safe"]


def test_nothing_is_safe_below_an_inviter_who_is_not_here():
    world = small_world()
    join = world.join("zoe", "dave")
    world.see()
    assert receipts_of(world, "zoe") == ["safe"]
    dave = {one.id for one in world.evidence().feed(world.scope, DAVE)}
    others = Evidence(one for one in world.records if one.id not in dave)
    assert others.lookup(join.id) is not None
    assert receipts_of(world, "zoe", others) == ["can-count"]


def test_nothing_is_safe_below_a_named_inviter_whom_witnesses_did_not_see_enter():
    bar = Party(
        keys=(key_of("bar").author,),
        role=Role.HOST,
        name="bar",
        amount_max=0,
        per_day_max=0,
        total_max=0,
    )
    world = small_world(changes={"named": (bar,)})
    world.join("zoe", "bar")
    world.see()
    assert receipts_of(world, "zoe") == ["can-count"]
    world.enter(key_of("bar"))
    world.see()
    assert receipts_of(world, "zoe") == ["safe"]


# 2f+1 finals


@pytest.mark.parametrize(
    ("witnesses", "saw", "counts"),
    [(1, 1, True), (4, 1, False), (4, 2, True), (7, 2, False), (7, 3, True)],
)
def test_what_f_plus_one_of_the_named_saw_counts(witnesses, saw, counts):
    world = small_world(witnesses=witnesses)
    world.see()
    scan = world.scan("dave", 0)
    world.see(only=list(range(saw)))
    world.now = world.terms.rounds[0].final_from
    finals = [seen(world, index, [], final=1).id for index in range(world.terms.quorum)]
    found = heads_in(supported(world, finals=finals).cut)
    assert (found[DAVE] == (1, scan.id)) is counts


def test_witness_time_is_the_f_plus_first_smallest():
    world = small_world()
    times = []
    for index in range(4):
        world.now += 10_000
        (one,) = world.see(only=[index])
        times.append(one.header.time_ms)
    world.finish_round(1)
    named = [f.id for f in finals_at_hand(world.terms, 1, world.evidence())][:3]
    entry = next(e for e in supported(world, finals=named).cut if e.author == DAVE)
    assert entry.steps == ((0, times[1]),)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_whatever_finals_are_named_the_guarantees_hold(seed):
    """The first of four witnesses lies: two people's scans, seen at random times."""
    dice = Random(seed)
    world = small_world()
    world.join("eve")
    world.see()
    began = world.now
    scans = {name: world.scan(name, 0) for name in ("dave", "eve")}
    times = sightings(dice, honest_saw_dave_first=bool(seed % 2))
    for moment in range(1, 9):
        world.now = began + moment * MINUTE
        for witness in range(4):
            here = [n for n in scans if times[witness, n] == moment]
            if here:
                seen(world, witness, [head_of(scans[n]) for n in here])
    world.now = world.terms.rounds[0].final_from
    finals = [seen(world, witness, [], final=1).id for witness in range(4)]
    for left_out in range(4):
        named = [one for place, one in enumerate(finals) if place != left_out]
        cut = supported(world, finals=named).cut
        when = {entry.author: entry.steps[-1][1] for entry in cut if entry.seq == 1}
        for name in scans:
            counts = key_of(name).author in when
            seen_by = sum(times[witness, name] is not None for witness in range(4))
            assert counts or seen_by < 3, "2f+1 saw it"
            assert not counts or seen_by >= 2, "f+1 did not"
        for names in (("dave", "eve"), ("eve", "dave")):
            one, other = (when.get(key_of(name).author) for name in names)
            if before_honest(times, *names) and one and other:
                assert one < other


def sightings(dice, *, honest_saw_dave_first):
    """When each witness lists whose scan, if it does; the first of them lies."""
    times = {
        (witness, name): dice.choice((None, *range(1, 9)))
        for witness in range(4)
        for name in ("dave", "eve")
    }
    if honest_saw_dave_first:
        times |= {(w, "dave"): dice.randrange(1, 5) for w in range(1, 4)}
        times |= {(w, "eve"): dice.randrange(5, 9) for w in range(1, 4)}
    return times


def before_honest(times, one, other):
    """Whether the last honest witness saw one before the first saw the other."""
    ones, others = ([times[w, name] for w in range(1, 4)] for name in (one, other))
    known = None not in ones and None not in others
    return known and max(ones) < min(others)


def test_what_was_seen_too_late_waits_for_the_next_round():
    world = small_world()
    world.see()
    world.now = world.terms.rounds[0].accept_until + 1
    scan = world.scan("dave", 0)
    world.finish_round(1)
    assert heads_in(supported(world).cut)[DAVE][0] == 0
    first = world.close(1)
    world.finish_round(2)
    counted = world.settle(2, first).settlement.counted
    assert scan.id in {item.record.id for item in counted if item.round == 2}


def test_only_one_branch_of_a_fork_is_in_a_cut():
    world = small_world()
    scan = world.scan("dave", 0)
    world.see(only=[0, 1])
    other = world.fork("dave", Kind.ERASE, world.erase_claim(scan))
    seen(world, 2, [head_of(world.records[2]), head_of(other)][1:])
    world.now = world.terms.rounds[0].final_from
    finals = [seen(world, index, [], final=1).id for index in range(3)]
    assert heads_in(supported(world, finals=finals).cut)[DAVE] == (1, scan.id)


def test_finals_are_two_f_plus_one_of_distinct_witnesses_in_time():
    world = small_world()
    early = [seen(world, index, [], final=1).id for index in range(4)]
    world.now = world.terms.rounds[0].final_from
    good = [seen(world, index, [], final=1).id for index in range(4)]
    second = seen(world, 0, [], final=1).id
    world.enter(key_of("dave 2"))
    lookup = world.evidence().lookup
    cover(world.terms, 1, good[:3], lookup, {})
    for finals in (
        good[:2],
        good,
        [*good[:2], good[1]],
        [*good[:2], early[2]],
        [second, *good[1:3]],
        [*good[:2], world.records[0].id],
    ):
        with pytest.raises(ProtocolError) as caught:
            cover(world.terms, 1, finals, lookup, {})
        assert caught.value.reason is Reason.WRONG_CUT
    for number in (0, 2, 4):
        with pytest.raises(ProtocolError):
            cover(world.terms, number, good[:3], lookup, {})
    with pytest.raises(Incomplete):
        cover(world.terms, 1, [*good[:2], RecordId(bytes(32))], lookup, {})


def test_the_forks_of_a_cut_are_those_the_named_witnesses_prove():
    world = small_world()
    scan = world.scan("dave", 0)
    world.see()
    other = world.fork("dave", Kind.ERASE, world.erase_claim(scan))
    world.report_fork(scan, other)
    world.finish_round(1)
    (fork,) = supported(world).forks
    assert (fork.author, fork.seq) == (DAVE, 1)
    assert (fork.id_a, fork.id_b) == tuple(sorted((scan.id, other.id)))


def test_a_fork_that_is_reported_after_the_named_finals_is_not_in_their_list():
    world = small_world()
    scan = world.scan("dave", 0)
    world.finish_round(1)
    other = world.fork("dave", Kind.ERASE, world.erase_claim(scan))
    world.report_fork(scan, other)
    world.finish_round(2)
    evidence = world.evidence()

    def forked(number):
        finals = [f.id for f in finals_at_hand(world.terms, number, evidence)][:3]
        known = evidence.testimonies
        return cover(world.terms, number, finals, evidence.lookup, {}, known).forks

    assert [one.author for one in forked(2)] == [DAVE]
    assert forked(1) == ()


# what liars cannot do


def test_a_head_that_exists_nowhere_does_not_keep_a_verdict_waiting():
    world = small_world()
    world.scan("dave", 0)
    garbage = (DAVE, 50, RecordId(b"\xee" * 32))
    seen(world, 0, [garbage])
    world.finish_round(1)
    named = [f.id for f in finals_at_hand(world.terms, 1, world.evidence())][:3]
    assert supported(world, finals=named).unknown == ()
    verdict, _, _ = judge_cut(world.terms, [world.settle(1).declared], world.evidence())
    assert verdict is Verdict.OK


def test_a_sponsor_names_no_final_that_lists_what_is_not_here():
    """What turned up later would prove its cut wrong, though it is honest."""
    world, other = other_branch_seen()
    world.finish_round(1, only=[1, 2, 3])
    (final,) = world.see(only=[0], final=1, heads={})
    kept = Evidence(r for r in world.records if r.id != other.id)
    declared = declare(world.terms, 1, [], kept).declared
    assert final.id not in declared.finals
    for evidence in (kept, world.evidence()):
        verdict, _, _ = judge_cut(world.terms, [declared], evidence)
        assert verdict is Verdict.OK
    three = Evidence(
        r for r in kept.by_id.values() if r.author != world.witness_keys[3].author
    )
    with pytest.raises(Incomplete) as error:
        declare(world.terms, 1, [], three)
    assert error.value.missing == (other.id,)


def test_no_misdating_is_proven_while_a_chain_of_hers_is_missing():
    world, other = other_branch_seen()
    world.see(only=[1])
    world.now += 60_000
    world.finish_round(1, only=[2])
    world.see(only=[0, 1], final=1, heads={})
    declared = declare(world.terms, 1, [], world.evidence()).declared
    kept = Evidence(r for r in world.records if r.id != other.id)
    verdict, findings, missing = judge_cut(world.terms, [declared], kept)
    assert (verdict, findings, missing) == (Verdict.INCOMPLETE, (), (other.id,))


def test_no_witness_keeps_a_padded_cut_in_doubt():
    """One of f that names what exists nowhere, and a sponsor that pays for it."""
    world = small_world()
    world.see()
    scan = world.scan("dave", 0)
    seen(world, 0, [(DAVE, 50, RecordId(b"\xee" * 32))])
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={}, only=[0, 1, 2])
    evidence = world.evidence()
    finals = tuple(sorted(f.id for f in finals_at_hand(world.terms, 1, evidence)))
    found = cover(world.terms, 1, finals, evidence.lookup, {})
    at = next(i for i, entry in enumerate(found.cut) if entry.author == DAVE)
    entry = found.cut[at]
    since = found.views[0].unknown or found.views[1].unknown or found.views[2].unknown
    late = (*entry.steps, (1, since[DAVE][1]))
    for lie, kind in (
        (replace(entry, seq=1, id=scan.id, steps=late), "padded"),
        (replace(entry, steps=((0, OPENS + MINUTE * 2),)), "misdated"),
    ):
        cut = (*found.cut[:at], lie, *found.cut[at + 1 :])
        declared = Declared(round=1, finals=finals, cut=cut, forks=())
        verdict, findings, _ = judge_cut(world.terms, [declared], evidence)
        assert verdict is Verdict.WRONG
        assert [one.kind for one in findings] == [kind]


def test_without_a_close_the_evidence_speaks_or_says_whom_it_waits_for():
    world = small_world()
    world.scan("dave", 0)
    world.finish_round(1, only=[0, 1])

    def verified():
        view = View(
            campaign=world.scope,
            terms=world.terms,
            terms_record=world.records[0],
            evidence=world.evidence(),
        )
        return closing.verify(view)

    assert verified().unclosed is None
    assert verified().waits_for == ("shop 2", "shop 3")
    world.see(only=[2], final=1)
    assert verified().waits_for == ()
    lines = verified().unclosed.settlement.lines
    assert {line.payee: line.amount for line in lines}[DAVE] == 200_000


def test_an_omission_is_proven_though_other_records_are_missing():
    world = small_world()
    world.join("zoe")
    world.scan("dave", 0)
    world.finish_round(1)
    declared = world.settle(1).declared
    cut = tuple(entry for entry in declared.cut if entry.author != DAVE)
    zoe = key_of("zoe").author
    kept = Evidence(r for r in world.records if r.author != zoe)
    lie = replace(declared, cut=cut)
    verdict, findings, missing = judge_cut(world.terms, [lie], kept)
    assert verdict is Verdict.WRONG
    assert [(one.author, one.kind) for one in findings] == [(DAVE, "omitted")]
    assert missing


def test_padding_and_misdating_are_found():
    world = small_world()
    world.see()
    scan = world.scan("dave", 0)
    world.see(only=[0])
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})
    declared = world.settle(1).declared
    at = next(i for i, entry in enumerate(declared.cut) if entry.author == DAVE)
    entry = declared.cut[at]
    for kind, lie in (
        ("padded", replace(entry, seq=1, id=scan.id)),
        ("misdated", replace(entry, steps=((0, OPENS + MINUTE * 2),))),
    ):
        cut = (*declared.cut[:at], lie, *declared.cut[at + 1 :])
        verdict, findings, _ = judge_cut(
            world.terms, [replace(declared, cut=cut)], world.evidence()
        )
        assert verdict is Verdict.WRONG
        assert [one.kind for one in findings] == [kind]


def test_an_entry_of_too_many_steps_goes_on_in_the_next_round(monkeypatch):
    from protocols import evidence as module

    monkeypatch.setattr(module, "STEPS_MAX", 3)
    world = small_world()
    world.see()
    target = world.records[-1]
    for _ in range(4):
        claim = Erase(salt=salt_of(world.now), record=target.id, claim=False)
        world.write(key_of("dave"), Kind.ERASE, claim)
        world.see()
    world.finish_round(1)
    first = world.close(1)
    entry = next(e for e in world.settle(1).declared.cut if e.author == DAVE)
    assert (entry.seq, len(entry.steps)) == (2, 3)
    world.finish_round(2)
    second = world.settle(2, first).declared
    (rest,) = (e for e in second.cut if e.author == DAVE)
    assert (rest.seq, rest.steps[0][0]) == (4, 3)
    (report,) = verify.verify_closes(world.terms, world.evidence())
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)


def told_in_two_rounds():
    """Two rounds of four witnesses, one with a fork and a chain it made up."""
    world = World(balloons=4, rounds=2, changes={"conditions": ()})
    for name in ("dave", "erin", "mallory"):
        world.join(name)
    world.scan("dave", 0)
    world.see()
    scan = world.scan("mallory", 1)
    world.see(only=[0, 1])
    other = world.fork("mallory", Kind.SCAN, replace(scan.claim(), salt=b"x" * 16))
    world.see(only=[2, 3])
    seen(world, 0, [(DAVE, 7, RecordId(bytes(32)))])
    world.report_fork(scan, other)
    world.finish_round(1)
    world.scan("erin", 2)
    world.finish_round(2)
    return world


@pytest.mark.parametrize("seed", range(8))
def test_what_was_read_before_is_judged_as_if_it_was_read_anew(seed):
    world, dice = told_in_two_rounds(), Random(seed)
    finals = [
        [f.id for f in finals_at_hand(world.terms, number, world.evidence())]
        for number in (1, 2)
    ]
    come = dice.sample(world.records, len(world.records))
    grown, found = Evidence(), [None]
    for count, record in enumerate(come, 1):
        grown.add(record)
        anew = Evidence(come[:count])
        for number in (1, 2):
            at_hand = [finals_at_hand(world.terms, number, x) for x in (grown, anew)]
            assert at_hand[0] == at_hand[1]
        number, some = dice.choice([*enumerate(finals, 1)])
        named = dice.sample(some, world.terms.quorum)
        found = [answer(world, number, named, one) for one in (grown, anew)]
        assert found[0] == found[1]
    assert not isinstance(found[0], Reason)


def answer(world, number, named, evidence):
    """What the finals support by the evidence, or why that cannot be said."""
    known = evidence.testimonies
    try:
        return cover(world.terms, number, named, evidence.lookup, {}, known)
    except Incomplete as error:
        return error.missing
    except ProtocolError as error:
        return error.reason


def test_each_record_of_a_witness_is_read_once(monkeypatch):
    world = told_in_two_rounds()
    evidence, read, named = world.evidence(), [], []
    reading = testimonies.Testimony.read

    def noted(self, record):
        read.append(record.id)
        reading(self, record)

    monkeypatch.setattr(testimonies.Testimony, "read", noted)
    for number in (1, 2, 1, 2):
        named = finals_at_hand(world.terms, number, evidence)[: world.terms.quorum]
        assert not isinstance(
            answer(world, number, [final.id for final in named], evidence), Reason
        )
    assert len(read) == len(set(read))
    scope = witness_scope(world.scope)
    assert len(read) >= len(evidence.feed(scope, named[0].author))
