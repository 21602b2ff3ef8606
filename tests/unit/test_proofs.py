"""Proof files: each shows its cheat alone, and none frames anybody. Spec 0012."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.keys import RecordId, witness_scope
from protocols.limits import STEPS_MAX
from protocols.proof import (
    Proof,
    ProofKind,
    Standing,
    check_proof,
    judge_proof,
    place,
    read_proof,
)
from protocols.proving import charges, make_proof
from protocols.record import without_parts
from protocols.settlement.verify import Evidence, verify_close, verify_closes
from tests import cheats
from tests.cheats import DAVE, WORLDS, charged, file_of, proof_of
from tests.random_worlds import HonestWorld
from tests.worlds import OPENS, World, key_of

SPONSOR = key_of("sponsor").author
CUT_KINDS = (
    ProofKind.OMITTED,
    ProofKind.PADDED,
    ProofKind.MISDATED,
    ProofKind.FORKS_LIST,
)


@cache
def made(kind: ProofKind) -> tuple[World, Proof, bytes]:
    """A world in which somebody cheats so, the proof, and its file."""
    world = WORLDS[kind]()
    proof = proof_of(world, kind)
    return world, proof, file_of(proof)


def refused(proof: Proof | bytes) -> Reason:
    data = proof if isinstance(proof, bytes) else file_of(proof)
    with pytest.raises(ProtocolError) as caught:
        check_proof([data])
    return caught.value.reason


@pytest.mark.parametrize("kind", list(ProofKind), ids=lambda kind: kind.word)
def test_every_kind_is_proven_by_its_file_alone(kind):
    world, _, data = made(kind)
    found = check_proof([data])
    assert (found.kind, found.campaign) == (kind, world.scope)
    culprit = DAVE if kind is ProofKind.FORK else SPONSOR
    assert found.culprits == (culprit,)
    closes = [one for one in world.records if one.kind == Kind.CLOSE]
    if kind is ProofKind.FORK:
        assert (found.standing, found.rounds) == (Standing.PARTICIPANT, ())
    else:
        assert (found.standing, found.rounds) == (Standing.SPONSOR, (1,))
        assert set(found.records) == {one.id for one in closes}
    if kind in CUT_KINDS:
        assert found.author in {DAVE, cheats.ZOE}


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_file_may_be_read_in_pieces(size):
    _, proof, data = made(ProofKind.OMITTED)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert read_proof(pieces) == proof


@pytest.mark.parametrize("kind", list(ProofKind), ids=lambda kind: kind.word)
def test_every_record_of_a_file_is_needed(kind):
    _, proof, _ = made(kind)
    padding = max((r.seq for r in proof.records if r.author == cheats.ZOE), default=0)
    for one in proof.records:
        if one.author == cheats.ZOE and one.seq == padding:
            continue  # it matters only if a final lists what is not here
        rest = tuple(other for other in proof.records if other is not one)
        assert refused(replace(proof, records=rest)) in {
            Reason.INCOMPLETE,
            Reason.NOT_PROVEN,
            Reason.BAD_PROOF,
        }


@pytest.mark.parametrize("kind", list(ProofKind), ids=lambda kind: kind.word)
def test_another_kind_is_not_proven_by_it(kind):
    _, proof, _ = made(kind)
    for other in ProofKind:
        if other is kind:
            continue
        subjects = proof.subjects
        with_author = other in CUT_KINDS or other is ProofKind.DOUBLE_CLOSE
        subjects = (subjects * 2)[:2] if with_author else subjects[:1]
        assert refused(replace(proof, kind=other, subjects=subjects)) in {
            Reason.INCOMPLETE,
            Reason.NOT_PROVEN,
        }


@settings(max_examples=200)
@given(st.sampled_from(list(ProofKind)), st.data())
def test_a_changed_file_proves_nothing(kind, data):
    _, _, whole = made(kind)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != whole[at]))
    with pytest.raises(ProtocolError):
        check_proof([whole[:at] + bytes([byte]) + whole[at + 1 :]])


@given(st.sampled_from(list(ProofKind)), st.data())
def test_a_file_that_is_cut_short_proves_nothing(kind, data):
    _, _, whole = made(kind)
    at = data.draw(st.integers(0, len(whole) - 1))
    assert refused(whole[:at]) in {Reason.BAD_PROOF, Reason.FRAME_SIZE}


@given(st.binary(max_size=300))
def test_garbage_is_refused(data):
    with pytest.raises(ProtocolError):
        check_proof([data])


def test_more_than_a_proof_may_have_is_not_read(monkeypatch):
    _, _, data = made(ProofKind.FORK)
    monkeypatch.setattr("protocols.proof.PROOF_MAX", len(data) - 1)
    assert refused(data) is Reason.TOO_LARGE


# what else is proven


def test_two_closes_that_both_stand_on_one_are_two():
    world = cheats.second_above()
    found = judge_proof(proof_of(world, ProofKind.DOUBLE_CLOSE))
    assert found.rounds == (1, 2)


def test_a_witness_that_forks_is_named_as_one():
    world = cheats.witness_fork()
    found = judge_proof(proof_of(world, ProofKind.FORK))
    assert found.standing is Standing.WITNESS
    assert found.culprits == (world.witness_keys[0].author,)
    assert [one.kind for one in charged(world)] == [ProofKind.FORK]


def test_a_fork_is_shown_by_what_a_witness_says_of_it():
    world = cheats.reported_fork()
    assert judge_proof(proof_of(world, ProofKind.FORK)).culprits == (DAVE,)


def test_the_gravest_comes_first():
    kinds = [one.kind for one in charged(cheats.double_close())]
    assert kinds == [ProofKind.DOUBLE_CLOSE, ProofKind.OMITTED]


def test_a_wrong_close_above_a_right_one_is_proven_with_both():
    world = cheats.played()
    first = world.close(1)
    world.scan("dave", 1)
    world.finish_round(2)
    world.close(2, first, declaring=cheats.without(DAVE))
    proof = proof_of(world, ProofKind.OMITTED)
    assert judge_proof(proof).rounds == (2,)
    rest = tuple(one for one in proof.records if one.id != first.id)
    assert refused(replace(proof, records=rest)) is Reason.INCOMPLETE


def test_a_sponsors_own_records_can_be_left_out_too():
    world = cheats.played()
    world.close(1, declaring=cheats.without(SPONSOR))
    assert judge_proof(proof_of(world, ProofKind.OMITTED)).author == SPONSOR


# nobody is framed


def omission(world: World, close, author) -> Reason:
    """What becomes of the claim that a close leaves an author out."""
    return refused(cheats.omission_of(world, close, author))


def test_a_receipt_minted_after_the_finals_proves_no_omission():
    world = cheats.played()
    close = world.close(1)
    world.scan("dave", 1)
    world.now = world.terms.rounds[0].opens  # every witness lies about its clock
    world.see()
    assert omission(world, close, DAVE) is Reason.NOT_PROVEN


def test_what_one_witness_saw_proves_no_omission():
    world = World(balloons=2, budget=800_000)
    world.join("dave")
    world.see()
    world.scan("dave", 0)
    world.see(only=[0])
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})
    assert omission(world, world.close(1), DAVE) is Reason.NOT_PROVEN


def test_a_receipt_on_a_branch_that_is_not_named_proves_no_omission():
    world = World(balloons=2, budget=800_000)
    world.join("dave")
    world.see()
    world.scan("dave", 0)
    liars, scope = world.witness_keys[:2], witness_scope(world.scope)
    heads = {key.author: world.heads[scope, key.author] for key in liars}
    world.see(only=[0, 1])
    for key in liars:  # their finals stand on another branch than their receipts
        world.heads[scope, key.author] = heads[key.author]
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})
    close = world.close(1)
    assert omission(world, close, DAVE) is Reason.NOT_PROVEN


def test_what_was_seen_too_late_proves_no_omission():
    world = World(balloons=2, budget=800_000)
    world.join("dave")
    world.see()
    world.now = world.terms.rounds[0].accept_until + 1
    world.scan("dave", 0)
    world.finish_round(1)
    assert omission(world, world.close(1), DAVE) is Reason.NOT_PROVEN


def test_a_close_of_a_stranger_accuses_nobody():
    world = cheats.played()
    close = world.close(1)
    stranger = key_of("dave")
    forged = world.write(stranger, Kind.CLOSE, replace(close.claim(), paid=1))
    proof = Proof(
        kind=ProofKind.STATEMENT,
        network=world.terms.network,
        campaign=world.scope,
        subjects=(forged.id,),
        records=tuple(
            sorted(
                (one for one in world.records if one.scope == world.scope), key=place
            )
        ),
    )
    assert refused(proof) is Reason.NOT_PROVEN


def full_entry() -> tuple[World, RecordId]:
    """A cut as full as one may be, and a record that shows that it had to stop there.

    Two of four witnesses list Dave's records one by one, or all at once; the third
    saw all before. So there are many steps, unless its head is not here.
    """
    world = World(balloons=1, budget=400_000)
    join = world.join("dave")
    for _ in range(STEPS_MAX):
        world.scan("dave", 0)
    mine = [one for one in world.records if one.author == DAVE]
    beyond = world.scan("dave", 0)

    def head(record):
        return {
            DAVE: replace(world.heads[world.scope, DAVE], seq=record.seq, id=record.id)
        }

    world.now = OPENS
    world.see(only=[2], heads=head(beyond))
    for one in mine:
        world.see(only=[0], heads=head(one))
    world.see(only=[1], heads=head(mine[-1]))
    assert join is mine[0]
    world.now = world.terms.rounds[0].final_from
    world.see(only=[0, 1, 2], final=1, heads={})
    return world, beyond.id


@pytest.mark.untraced
@pytest.mark.slow
def test_an_entry_that_had_to_stop_is_no_omission_where_records_are_missing():
    world, beyond = full_entry()
    close = world.close(1)
    whole = verify_close(world.terms, close, world.evidence())
    assert (whole.findings, whole.missing) == ((), ())
    less = Evidence(one for one in world.records if one.id != beyond)
    report = verify_close(world.terms, close, less)
    assert report.findings == ()
    assert beyond in report.missing


@pytest.mark.untraced
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_no_honest_world_yields_a_proof_against_its_sponsor(seed):
    world = HonestWorld(seed)
    for evidence in world.closes():
        terms = world.world.terms
        reports = verify_closes(terms, evidence)
        for charge in charges(terms, evidence, reports):
            assert charge.kind is ProofKind.FORK
            proof = make_proof(world.world.records[0], evidence, charge)
            found = judge_proof(proof)
            assert found.standing not in {Standing.SPONSOR, Standing.WITNESS}


@pytest.mark.untraced
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2_000), st.data())
def test_no_choice_of_honest_records_frames_the_sponsor(seed, data):
    world = HonestWorld(seed)
    (*_, evidence) = world.closes()
    records = sorted(evidence.by_id.values(), key=place)
    closes = [one for one in records if one.kind == Kind.CLOSE]
    kind = data.draw(
        st.sampled_from([one for one in ProofKind if one != ProofKind.FORK])
    )
    close = data.draw(st.sampled_from(closes))
    second: bytes = data.draw(st.sampled_from([one.author for one in records]))
    if kind is ProofKind.DOUBLE_CLOSE:
        second = data.draw(st.sampled_from(closes)).id
    subjects = (close.id, second) if kind in CUT_KINDS else (close.id,)
    if kind is ProofKind.DOUBLE_CLOSE:
        subjects = tuple(sorted((close.id, second)))
    lost = data.draw(st.sets(st.sampled_from([one.id for one in records]), max_size=4))
    bare = data.draw(st.sets(st.sampled_from([one.id for one in records]), max_size=4))
    chosen = tuple(
        without_parts(one, claim=one.id in bare, note=True)
        for one in records
        if one.id not in lost
    )
    proof = Proof(
        kind=kind,
        network=world.world.terms.network,
        campaign=world.world.scope,
        subjects=subjects,
        records=chosen,
    )
    with pytest.raises(ProtocolError) as caught:
        judge_proof(proof)
    assert caught.value.reason in {
        Reason.NOT_PROVEN,
        Reason.INCOMPLETE,
        Reason.BAD_PROOF,
    }
