"""Bundles: one file proves a campaign, and a broken one says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.bundle import FORMAT, read_bundle, write_bundle
from protocols.claims import Kind, Part
from protocols.codec import Value, encode
from protocols.errors import ProtocolError, Reason
from protocols.framing import frame
from protocols.keys import Signature, network_id
from protocols.merkle import Tree, root
from protocols.record import encode_record
from protocols.settlement.verify import Evidence, Verdict, find_terms, verify_closes
from tests.worlds import NETWORK, balloon_world, salt_of

WORLD = balloon_world(balloons=2, budget=800_000)
WORLD.finish_round(1)
WORLD.close(1)
WHOLE = b"".join(write_bundle(NETWORK, WORLD.scope, WORLD.records))
HEADER = frame(encode([FORMAT, NETWORK, WORLD.scope, len(WORLD.records)]))


def refused(data):
    with pytest.raises(ProtocolError) as caught:
        read_bundle([data])
    return caught.value.reason


def test_any_order_of_records_makes_the_same_file():
    backwards = write_bundle(NETWORK, WORLD.scope, reversed(WORLD.records))
    assert b"".join(backwards) == WHOLE


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_file_may_be_read_in_pieces(size):
    pieces = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    network, campaign, records = read_bundle(pieces)
    assert (network, campaign) == (NETWORK, WORLD.scope)
    assert {one.id for one in records} == {one.id for one in WORLD.records}


RECORD = encode_record(WORLD.records[0])
FORGED = encode_record(replace(WORLD.records[0], signature=Signature(bytes(64))))

BROKEN = {
    "nothing": (b"", Reason.BAD_BUNDLE),
    "cut short": (WHOLE[:-1], Reason.BAD_BUNDLE),
    "cut between two records": (
        HEADER + b"".join(frame(encode_record(r)) for r in WORLD.records[:-1]),
        Reason.BAD_BUNDLE,
    ),
    "no header": (WHOLE[len(HEADER) :], Reason.BAD_BUNDLE),
    "another format": (
        frame(encode(["p2pnode.bundle/2", NETWORK, WORLD.scope, 1])),
        Reason.BAD_BUNDLE,
    ),
    "a frame of nothing": (HEADER + bytes(4), Reason.FRAME_SIZE),
    "a frame of 4 GiB": (HEADER + b"\xff" * 4, Reason.FRAME_SIZE),
    "no record": (HEADER + frame(b"\xc0"), Reason.BAD_SHAPE),
    "a forged record": (HEADER + frame(FORGED), Reason.BAD_SIGNATURE),
    "another network": (
        frame(encode([FORMAT, network_id("other"), WORLD.scope, 1])) + frame(RECORD),
        Reason.WRONG_NETWORK,
    ),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_says_what_is_wrong(data, reason):
    assert refused(data) is reason


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(at, flip):
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ flip]) + WHOLE[at + 1 :]
    try:
        _, campaign, records = read_bundle([changed])
    except ProtocolError:
        return
    assert campaign != WORLD.scope or {r.id for r in records} <= {
        r.id for r in WORLD.records
    }


def test_leaving_a_record_out_never_gives_another_statement():
    for record in WORLD.records:
        kept = [one for one in WORLD.records if one.id != record.id]
        data = b"".join(write_bundle(NETWORK, WORLD.scope, kept))
        _, _, records = read_bundle([data])
        for _, terms in find_terms(records):
            for report in verify_closes(terms, Evidence(records)):
                assert report.statement is not Verdict.WRONG


def test_a_list_out_of_shape_makes_a_wrong_close():
    world = balloon_world(balloons=2, budget=800_000)
    world.finish_round(1)
    leaf: Value = [b"no payee", 5]
    top = root(Tree.STATEMENT, [leaf])
    part = Part(
        salt=salt_of(1), tree=Tree.STATEMENT, root=top, index=0, data=encode([leaf])
    )
    world.write(world.sponsor, Kind.PART, part)
    world.close(1, statement_root=top, lines=1)
    (report,) = verify_closes(world.terms, world.evidence())
    assert (report.statement, report.reason) == (Verdict.WRONG, Reason.WRONG_CLOSE)


@pytest.mark.parametrize("data", [b"\xc1", b"\x00", encode([1, 2])])
def test_a_list_that_is_not_the_roots_is_incomplete(data):
    world = balloon_world(balloons=2, budget=800_000)
    world.finish_round(1)
    top = bytes(32)
    part = Part(salt=salt_of(1), tree=Tree.CUT, root=top, index=0, data=data)
    world.write(world.sponsor, Kind.PART, part)
    world.close(1, cut_root=top)
    (report,) = verify_closes(world.terms, world.evidence())
    assert report.statement is Verdict.INCOMPLETE
    assert report.missing == (top,)
