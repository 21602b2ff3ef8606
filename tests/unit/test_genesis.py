"""A feed that shows by its own first record that it is none is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols.claims import Kind, TermsClaim
from protocols.errors import ProtocolError, Reason
from protocols.genesis import check_genesis
from protocols.join import Invite, make_continue, make_join, sign_invite
from protocols.keys import Scope, network_id
from protocols.record import without_parts
from tests.worlds import NETWORK, World, key_of, salt_of


def refusal(record: object) -> Reason:
    with pytest.raises(ProtocolError) as caught:
        check_genesis(record)  # type: ignore[arg-type]
    return caught.value.reason


def test_honest_feeds_begin() -> None:
    world = World()
    joined = world.join("alice")
    for record in (world.records[0], joined, world.enter(key_of("witness 0"))):
        check_genesis(record)
    root, claim = key_of("alice"), joined.claim()
    further = make_continue(root, claim, key_of("alice 2").author, salt_of(2))
    check_genesis(world.write(key_of("alice 2"), Kind.CONTINUE, further))
    check_genesis(without_parts(joined, claim=True, note=True))


def test_terms_stand_only_in_their_own_scope_by_their_own_sponsor() -> None:
    world = World()
    claim = TermsClaim(salt=salt_of(0), terms=world.terms)
    foreign = world.write(world.sponsor, Kind.TERMS, claim, scope=Scope(b"x" * 32))
    assert refusal(foreign) is Reason.WRONG_CAMPAIGN
    stolen = world.write(key_of("mallory"), Kind.TERMS, claim)
    assert refusal(stolen) is Reason.NOT_NAMED
    other = replace(world.terms, network=network_id("elsewhere"))
    wrong = TermsClaim(salt=salt_of(0), terms=other)
    record = world.write(key_of("sponsor 2"), Kind.TERMS, wrong)
    assert refusal(record) is Reason.WRONG_NETWORK
    broken = replace(world.terms, witnesses=world.terms.witnesses[:2])
    record = world.write(
        key_of("sponsor 3"), Kind.TERMS, TermsClaim(salt=salt_of(0), terms=broken)
    )
    assert refusal(record) is Reason.BAD_TERMS


def test_a_join_without_an_invite_that_was_signed_for_it_is_refused() -> None:
    world = World()
    invite, signature, secret = world.invite(world.sponsor)
    mallory = key_of("mallory")
    meant_for_alice = make_join(
        invite, signature, secret, key_of("alice").author, salt_of(1)
    )
    record = world.write(mallory, Kind.JOIN, meant_for_alice)
    assert refusal(record) is Reason.BAD_INVITE
    elsewhere = Invite(
        network=NETWORK,
        campaign=Scope(b"y" * 32),
        inviter=world.sponsor.author,
        invite_key=invite.invite_key,
        uses=1,
        expires_ms=invite.expires_ms,
    )
    joined = make_join(
        elsewhere,
        sign_invite(world.sponsor, elsewhere),
        secret,
        key_of("trudy").author,
        salt_of(2),
    )
    record = world.write(key_of("trudy"), Kind.JOIN, joined)
    assert refusal(record) is Reason.WRONG_CAMPAIGN
