"""Joining: invites are capabilities, work prices public ones, roots vouch for keys."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from protocols.errors import ProtocolError, Reason
from protocols.join import (
    Invite,
    check_card,
    check_continue,
    check_join,
    invite_id,
    make_continue,
    make_join,
    sign_card,
    sign_invite,
    work_bits,
)
from protocols.keys import Scope, Seed, SigningKey, network_id
from tests.worlds import NETWORK, balloon_world, key_of, salt_of

SCOPE = Scope(b"\x07" * 32)
ALICE, BOB, EVE = key_of("alice"), key_of("bob"), key_of("eve")
SECRET = Seed(b"\x01" * 32)


def invite(**changes):
    made = {
        "network": NETWORK,
        "campaign": SCOPE,
        "inviter": ALICE.author,
        "invite_key": SigningKey(SECRET).author,
        "uses": 1,
        "expires_ms": 1_900_000_000_000,
    }
    return Invite(**{**made, **changes})


def join(made=None, joiner=BOB, signer=ALICE, secret=SECRET, salt=bytes(16)):
    made = made or invite()
    return make_join(made, sign_invite(signer, made), secret, joiner.author, salt)


def refused(check, *args):
    with pytest.raises(ProtocolError) as caught:
        check(*args)
    return caught.value.reason


def judge(claim, joiner=BOB, network=NETWORK, scope=SCOPE, bits=0):
    check_join(claim, joiner.author, network, scope, bits)


def test_whoever_holds_the_secret_joins_under_the_inviter():
    judge(join())


@pytest.mark.parametrize("field", [field.name for field in fields(Invite)])
def test_no_field_of_an_invite_can_be_changed(field):
    claim = join()
    old = getattr(claim.invite, field)
    new = old + 1 if isinstance(old, int) else bytes(len(old))
    assert refused(judge, replace(claim, invite=replace(claim.invite, **{field: new})))


def test_an_invite_signed_by_another_is_none():
    assert refused(judge, join(signer=EVE)) is Reason.BAD_INVITE


def test_a_join_without_the_secret_is_none():
    assert refused(judge, join(secret=Seed(bytes(32)))) is Reason.BAD_INVITE


def test_a_join_cannot_be_copied_by_another_joiner():
    assert refused(judge, join(), EVE) is Reason.BAD_INVITE


def test_a_join_holds_in_one_campaign_of_one_network():
    other = Scope(b"\x08" * 32)
    assert refused(judge, join(), BOB, NETWORK, other) is Reason.WRONG_CAMPAIGN
    wrong = network_id("other")
    assert refused(judge, join(), BOB, wrong) is Reason.WRONG_CAMPAIGN


def test_campaign_then_work_then_signatures():
    bad = join(invite(uses=0), signer=EVE)
    other = Scope(b"\x08" * 32)
    assert refused(judge, bad, BOB, NETWORK, other, 30) is Reason.WRONG_CAMPAIGN
    assert refused(judge, bad, BOB, NETWORK, SCOPE, 30) is Reason.TOO_LITTLE_WORK
    assert refused(judge, bad, BOB, NETWORK, SCOPE, 0) is Reason.BAD_INVITE


def salts():
    return (number.to_bytes(16, "big") for number in range(10_000))


def test_a_public_invite_asks_for_work_and_others_do_not():
    done = next(s for s in salts() if work_bits(SCOPE, BOB.author, s) >= 8)
    idle = next(s for s in salts() if work_bits(SCOPE, BOB.author, s) < 8)
    public = invite(uses=0)
    judge(join(public, salt=done), bits=8)
    reason = refused(judge, join(public, salt=idle), BOB, NETWORK, SCOPE, 8)
    assert reason is Reason.TOO_LITTLE_WORK
    judge(join(salt=idle), bits=30)


def test_work_is_done_for_one_joiner_in_one_campaign():
    done = next(s for s in salts() if work_bits(SCOPE, BOB.author, s) >= 10)
    assert work_bits(SCOPE, EVE.author, done) < 10
    assert work_bits(Scope(b"\x08" * 32), BOB.author, done) < 10


def test_invites_have_names_of_their_own():
    assert invite_id(invite()) != invite_id(invite(uses=2))
    assert len(invite_id(invite())) == 32


def judge_continue(claim, author=EVE, scope=SCOPE):
    check_continue(claim, author.author, NETWORK, scope, 0)


def test_a_root_vouches_for_one_further_key():
    claim = make_continue(BOB, join(), EVE.author, salt_of(1))
    judge_continue(claim)
    assert refused(judge_continue, claim, ALICE) is Reason.BAD_INVITE


def test_nobody_but_the_root_vouches():
    claim = make_continue(EVE, join(), EVE.author, salt_of(1))
    assert refused(judge_continue, claim) is Reason.BAD_INVITE
    stolen = replace(claim, root=BOB.author)
    assert refused(judge_continue, stolen) is Reason.BAD_INVITE


def test_a_further_key_needs_the_roots_own_join():
    claim = make_continue(BOB, join(joiner=ALICE), EVE.author, salt_of(1))
    assert refused(judge_continue, claim) is Reason.BAD_INVITE


@pytest.mark.parametrize("merchant", [None, ALICE.author])
def test_a_card_holds_as_it_was_signed(merchant):
    card = sign_card(BOB, NETWORK, SCOPE, 5, b"nonce  1", merchant)
    check_card(card, NETWORK, SCOPE)
    for changed in (
        replace(card, window_ms=6),
        replace(card, nonce=b"nonce  2"),
        replace(card, merchant=EVE.author),
        replace(card, author=EVE.author),
    ):
        assert refused(check_card, changed, NETWORK, SCOPE) is Reason.BAD_SIGNATURE
    other = Scope(b"\x08" * 32)
    assert refused(check_card, card, NETWORK, other) is Reason.BAD_SIGNATURE


# admission


def test_a_chain_is_as_long_as_the_terms_allow():
    world = balloon_world(changes={"depth": 3})
    world.finish_round(1)
    admission = world.settle(1).settlement.admission
    assert admission.reason(key_of("carol").author) is None
    assert admission.reason(key_of("dave").author) is Reason.TOO_DEEP


def test_a_named_key_that_entered_is_the_root_of_chains():
    world = balloon_world()
    world.join("erin", world.charity)
    world.join("frank", "passer-by")
    world.enter(world.charity)
    world.finish_round(1)
    admission = world.settle(1).settlement.admission
    person = admission.by_key[key_of("erin").author]
    assert (person.refused, person.level, person.inviter) == (None, 1, None)
    assert admission.reason(key_of("frank").author) is Reason.NOT_ADMITTED


def test_a_second_join_through_another_invite_changes_nothing():
    world = balloon_world()
    second = join_of_dave_under_zoe(world)
    assert second.claim().join.invite.inviter == key_of("zoe").author
    world.finish_round(1)
    person = world.settle(1).settlement.admission.by_key[key_of("dave 2").author]
    assert person.root == key_of("dave").author
    assert person.inviter is not None
    assert person.inviter.root == key_of("carol").author


def join_of_dave_under_zoe(world):
    """Dave's root key vouches for a second one, with a join under Zoe in it."""
    from protocols.claims import Kind

    world.see()
    made, signature, secret = world.invite("zoe", tag="second")
    dave = key_of("dave")
    other = make_join(made, signature, secret, dave.author, salt_of("again"))
    claim = make_continue(dave, other, key_of("dave 2").author, salt_of("dave 2"))
    return world.write(key_of("dave 2"), Kind.CONTINUE, claim)


def test_the_latest_key_is_a_further_one_even_if_the_root_was_seen_last():
    world = balloon_world()
    from protocols.claims import Kind

    joined = next(r for r in world.records if r.author == key_of("zoe").author)
    assert joined.kind == Kind.JOIN
    world.go_on("zoe 2", "zoe", joined)
    zoe = key_of("zoe").author
    without = {
        author: head
        for (scope, author), head in world.heads.items()
        if scope == world.scope and author != zoe
    }
    world.see(heads=without)
    world.finish_round(1)
    person = world.settle(1).settlement.admission.by_key[zoe]
    assert person.keys == [key_of("zoe 2").author, zoe]
    assert person.payee == key_of("zoe 2").author
