"""A wrong close among services: who holds the evidence proves it, and says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pnode.failures import Failure
from p2pnode.services import documents
from p2pnode.services.closing import close_drafts
from p2pnode.services.feeds import Draft
from p2pnode.services.proofs import DISPUTES_MAX
from p2pnode.swarm.cheater import lie
from protocols.claims import Dispute, Kind
from protocols.feed import prove_fork
from protocols.keys import RecordId
from protocols.proof import ProofKind, check_proof
from protocols.record import encode_record, sign_record
from protocols.settlement.verify import Verdict, declare
from protocols.tags.code import read_code
from tests.integration.test_services import (
    Dice,
    HandClock,
    Player,
    carry,
    make_campaign,
)


class Street:
    """A sponsor that is its own witness, Alice who found the balloon, and Bob."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.sponsor = Player("shop", "merchant", self.clock)
        self.alice = Player("alice", "resident", self.clock)
        self.bob = Player("bob", "resident", self.clock)
        self.players = (self.sponsor, self.alice, self.bob)

    async def play(self) -> None:
        """Until round 1 can be closed; Bob follows and takes no part."""
        for player in self.players:
            await player.feeds.open()
            await player.library.open()
        code = await make_campaign(self.sponsor)
        view = await self.sponsor.view()
        link = await self.sponsor.acts.invite(view, uses=1)
        await self.alice.acts.join(link)
        await self.bob.library.follow(view.campaign)
        await self.share()
        await self.alice.acts.scan(read_code(code))
        await self.share()
        await self.finish(1)

    async def finish(self, number: int) -> None:
        """Let the witness see all and publish its final."""
        view = await self.sponsor.view()
        await self.sponsor.witness.tend(view)
        self.clock.ms = view.terms.rounds[number - 1].final_from
        await self.sponsor.witness.tend(view)
        await self.share()

    async def leave_out(self, *, again: bool = False) -> None:
        """Let the sponsor sign a close without Alice."""
        view, key = await self.sponsor.view(), self.sponsor.identity.author_key
        alice = self.alice.library.require_key(await self.alice.view()).author
        closing, previous = lie(view, alice, again=again)
        drafts = close_drafts(view.terms, closing, previous, Dice())
        assert key is not None
        await self.sponsor.feeds.publish_many(key, view.campaign, drafts)
        await self.share()

    async def share(self) -> None:
        """Let everybody have everything."""
        for _ in range(2):
            await carry(self.sponsor, self.alice)
            await carry(self.alice, self.bob)

    async def verified(self, player: Player) -> dict[str, Any]:
        """What a player's node says of the campaign."""
        view = await player.view()
        found = await player.proofs.find(view)
        return documents.verification(view, await player.books.verify(view), found)


@pytest.fixture
async def street() -> Street:
    made = Street()
    await made.play()
    return made


async def test_who_is_left_out_disputes_and_others_compute(street: Street) -> None:
    await street.leave_out()
    alice, bob = street.alice, street.bob
    (signed,) = await alice.proofs.dispute(await alice.view())
    assert await alice.proofs.dispute(await alice.view()) == ()
    await street.share()
    said = await street.verified(bob)
    assert said["verdict"] == "wrong"
    assert [one["kind"] for one in said["proofs"]] == ["omitted"]
    (dispute,) = said["disputes"]
    assert (dispute["round"], dispute["verdict"]) == (1, "wrong")
    assert dispute["close"] == signed.claim().close.hex()
    view = await bob.view()
    shown = documents.campaign(view, await bob.books.verify(view), None)
    assert [one["round"] for one in shown["disputes"]] == [1]
    proven = check_proof(await bob.proofs.file(view))
    assert proven.kind is ProofKind.OMITTED
    with pytest.raises(Failure) as caught:
        await bob.proofs.dispute(view)
    assert caught.value.reason == "not-joined"


async def test_settlement_ignores_a_dispute_and_the_next_round_heals(
    street: Street,
) -> None:
    await street.leave_out()
    await street.alice.proofs.dispute(await street.alice.view())
    await street.share()
    await street.finish(2)
    await street.sponsor.books.close(await street.sponsor.view())
    await street.share()
    view = await street.bob.view()
    first, second = (await street.bob.books.verify(view)).reports
    assert (first.cut, second.cut) == (Verdict.WRONG, Verdict.OK)
    assert second.statement is Verdict.OK
    assert second.settlement is not None
    alice = street.alice.library.require_key(await street.alice.view()).author
    paid = {line.payee: line.amount for line in second.settlement.lines}
    assert paid[alice] == 200_000


async def test_nobody_believes_a_dispute_of_a_right_close(street: Street) -> None:
    await street.sponsor.books.close(await street.sponsor.view())
    await street.share()
    alice, view = street.alice, await street.alice.view()
    (report,) = (await alice.books.verify(view)).reports
    assert await alice.proofs.dispute(view) == ()
    await alice.feeds.publish(
        alice.library.require_key(view),
        view.campaign,
        Kind.DISPUTE,
        Dispute(salt=bytes(16), close=report.close.id, statement_root=bytes(32)),
    )
    await street.share()
    said = await street.verified(street.bob)
    assert (said["verdict"], said["proofs"]) == ("ok", [])
    assert [one["verdict"] for one in said["disputes"]] == ["ok"]
    with pytest.raises(Failure) as caught:
        await street.bob.proofs.file(await street.bob.view())
    assert caught.value.reason == "nothing-proven"


async def test_what_a_wrong_close_signed_is_owed_all_the_same(street: Street) -> None:
    view, key = await street.sponsor.view(), street.sponsor.identity.author_key
    assert key is not None
    closing = declare(view.terms, 1, [], view.evidence)
    alice = street.alice.library.require_key(await street.alice.view()).author
    more = replace(
        closing.settlement,
        lines=tuple(
            replace(one, amount=one.amount + (one.payee == alice))
            for one in closing.settlement.lines
        ),
    )
    drafts = close_drafts(
        view.terms, replace(closing, settlement=more), view.campaign, Dice()
    )
    await street.sponsor.feeds.publish_many(key, view.campaign, drafts)
    await street.share()
    line = await street.alice.books.claim(await street.alice.view())
    assert (line.verdict, line.amount) == (Verdict.WRONG, 200_001)
    (dispute,) = await street.alice.proofs.dispute(await street.alice.view())
    assert dispute.claim().statement_root == closing.settlement.statement_root


async def test_a_close_that_a_dispute_names_is_asked_for(street: Street) -> None:
    alice, view = street.alice, await street.alice.view()
    elsewhere = RecordId(b"\1" * 32)
    await alice.feeds.publish(
        alice.library.require_key(view),
        view.campaign,
        Kind.DISPUTE,
        Dispute(salt=bytes(16), close=elsewhere, statement_root=bytes(32)),
    )
    await street.share()
    said = await street.verified(street.bob)
    assert elsewhere in street.bob.feeds.missing
    (dispute,) = said["disputes"]
    assert (dispute["round"], dispute["verdict"]) == (None, "incomplete")


async def test_two_closes_of_one_round_are_disputed_both(street: Street) -> None:
    await street.sponsor.books.close(await street.sponsor.view())
    await street.leave_out(again=True)
    said = await street.verified(street.bob)
    assert [one["kind"] for one in said["proofs"]] == ["double-close", "omitted"]
    assert said["verdict"] == "wrong"
    signed = await street.alice.proofs.dispute(await street.alice.view())
    assert {one.claim().close.hex() for one in signed} == {
        one["close"] for one in said["closes"]
    }


async def test_a_thousand_wrong_closes_fill_nobodys_feed(street: Street) -> None:
    await street.leave_out()
    view, key = await street.sponsor.view(), street.sponsor.identity.author_key
    assert key is not None
    feed = view.evidence.feed(view.campaign, key.author)
    (close,) = [one for one in feed if one.kind == Kind.CLOSE]
    again = [
        replace(close.claim(), salt=turn.to_bytes(16, "big"), round=1 + turn % 3)
        for turn in range(30)
    ]
    drafts = [Draft(kind=Kind.CLOSE, claim=claim) for claim in again]
    await street.sponsor.feeds.publish_many(key, view.campaign, drafts)
    await street.share()
    alice = street.alice
    assert len(await alice.proofs.dispute(await alice.view())) == DISPUTES_MAX
    assert await alice.proofs.dispute(await alice.view()) == ()


async def test_a_fork_that_a_node_was_told_of_is_proven(street: Street) -> None:
    alice, bob = street.alice, street.bob
    view = await alice.view()
    key = alice.library.require_key(view)
    last = view.evidence.feed(view.campaign, key.author)[-1]
    other = sign_record(
        key,
        network=view.terms.network,
        scope=view.campaign,
        seq=last.seq,
        backlink=last.header.backlink,
        time_ms=last.header.time_ms,
        kind=Kind.SCAN,
        claim=replace(last.claim(), salt=bytes(16)),
    )
    await bob.feeds.ingest([encode_record(other)])
    (held,) = bob.feeds.forks(view.campaign)
    assert held == prove_fork(last, other)
    proven = check_proof(await bob.proofs.file(await bob.view(), "fork"))
    assert proven.culprits == (key.author,)
    assert (await street.verified(bob))["verdict"] == "unclosed"
