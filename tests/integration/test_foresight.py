"""What a shop is told at once of a word that will not count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pnode.failures import Failure
from p2pnode.services import documents, explaining, vouching
from protocols.keys import RecordId, Seed, SigningKey
from protocols.record import Record
from protocols.tags.code import read_code
from protocols.terms import Once, Party, Role
from protocols.text import campaign_text
from tests.integration.test_services import (
    BUY,
    HandClock,
    Player,
    carry,
    make_campaign,
)
from tests.worlds import MINUTE, key_of

SHOP = Party(
    keys=(SigningKey(Seed(key_of("shop").author)).author,),
    role=int(Role.MERCHANT),
    name="shop",
    amount_max=20_000,
    per_day_max=30_000,
    total_max=35_000,
)
DAY = 24 * 60 * MINUTE


class Counter:
    """A shop and Alice, who joined and scanned the shop's balloon."""

    def __init__(self, **buy: Any) -> None:
        self.clock = HandClock()
        self.shop = Player("shop", "merchant", self.clock)
        self.alice = Player("alice", "resident", self.clock)
        self.buy = replace(BUY, **buy)

    async def open(self) -> Record:
        """Begin; return Alice's scan."""
        shop, alice = self.shop, self.alice
        for player in (shop, alice):
            await player.open()
        code = await make_campaign(shop, (self.buy,), named=(SHOP,))
        await alice.acts.join(await shop.acts.invite(await shop.view(), uses=1))
        await carry(shop, alice)
        scan = (await alice.acts.scan(read_code(code))).record
        await carry(shop, alice)
        return scan

    async def sell(self, amount: int = 1_000, **how: Any) -> documents.Document:
        """Record an outcome, by default with a fresh card of Alice's."""
        view = await self.shop.view()
        if not how:
            how = {"card": await self.alice.acts.show_card(view, None)}
        who = how.pop("author", None) or (
            how["card"].author if how.get("card") else self.me()
        )
        record = await self.shop.acts.outcome(view, author=who, amount=amount, **how)
        return vouching.word(view, record)

    def me(self) -> Any:
        entry = self.alice.library.entries[0]
        return self.alice.identity.person_key(entry.campaign, 0).author


def codes(document: documents.Document) -> list[str]:
    return [one["code"] for one in document["warnings"]]


async def test_a_good_sale_is_echoed_without_a_doubt() -> None:
    counter = Counter(refund_ms=60 * MINUTE)
    scan = await counter.open()
    by_card = await counter.sell()
    sale = await counter.sell(after=(scan.id,))
    for one, by in ((by_card, "card"), (sale, "scan")):
        assert codes(one) == []
        assert (one["stage"], one["amount"], one["by"]) == ("buy", 1_000, by)
    assert sale["refund_until"] // MINUTE == counter.clock.ms // MINUTE + 60
    assert (sale["tag"], sale["place"], sale["host"]) == ("balloon", "", None)
    view = await counter.shop.view()
    back = await counter.shop.acts.reverse(
        view, RecordId(bytes.fromhex(sale["record"])), 400
    )
    told = vouching.reversal(view, back)
    assert (told["stage"], told["left"], codes(told)) == ("buy", 600, [])


async def test_what_binds_nothing_is_told() -> None:
    counter = Counter()
    scan = await counter.open()
    view = await counter.shop.view()
    card = await counter.alice.acts.show_card(view, None)
    assert codes(await counter.sell(card=card)) == []
    assert codes(await counter.sell(card=card)) == ["card-used"]
    elsewhere = await counter.alice.acts.show_card(view, key_of("rival").author)
    assert codes(await counter.sell(card=elsewhere)) == ["card-for-another-shop"]
    changed = replace(card, nonce=bytes(8))
    assert codes(await counter.sell(card=changed)) == ["card-of-another-campaign"]
    assert codes(await counter.sell(author=counter.me())) == ["unbound"]
    assert codes(await counter.sell(after=(scan.id,))) == []
    assert codes(await counter.sell(after=(scan.id,))) == ["unbound"]
    stranger = await counter.sell(author=key_of("zoe").author, card=card)
    assert codes(stranger) == ["unknown-person", "card-of-another-person", "card-used"]


async def test_caps_of_the_terms_are_told() -> None:
    counter = Counter()
    await counter.open()
    assert codes(await counter.sell(20_001)) == ["over-amount"]
    assert codes(await counter.sell(9_000)) == []
    (day,) = (await counter.sell(1_000))["warnings"]
    assert day == {"code": "over-day", "most": 30_000, "before": 29_001}
    counter.clock.ms += DAY
    assert codes(await counter.sell(5_000)) == ["too-late", "over-total"]
    assert codes(await counter.sell(20_000_000)) == [
        "too-late",
        "over-amount",
        "over-budget",
    ]


async def test_a_second_act_that_counts_once_is_told() -> None:
    counter = Counter(once=Once.PERSON)
    await counter.open()
    assert codes(await counter.sell()) == []
    (again,) = (await counter.sell())["warnings"]
    assert again == {"code": "again", "once": "person"}


async def test_what_a_reversal_will_not_take_back_is_told() -> None:
    counter = Counter(refund_ms=60 * MINUTE)
    scan = await counter.open()
    shop, view = counter.shop, await counter.shop.view()
    sale = RecordId(bytes.fromhex((await counter.sell())["record"]))

    async def back(amount: int, of: RecordId = sale) -> list[str]:
        return codes(vouching.reversal(view, await shop.acts.reverse(view, of, amount)))

    assert await back(600) == []
    assert await back(500) == ["more-than-outcome"]
    assert await back(1, scan.id) == ["not-an-outcome"]
    assert await back(1, RecordId(bytes(32))) == ["unknown-outcome"]
    counter.clock.ms += 61 * MINUTE
    assert await back(1) == ["refund-over", "more-than-outcome"]


async def test_a_stage_without_refunds_is_told() -> None:
    counter = Counter()
    await counter.open()
    view = await counter.shop.view()
    sale = RecordId(bytes.fromhex((await counter.sell())["record"]))
    told = vouching.reversal(view, await counter.shop.acts.reverse(view, sale, 1))
    assert codes(told) == ["not-refundable"]


async def test_an_attest_says_what_it_confirms() -> None:
    counter = Counter()
    scan = await counter.open()
    view = await counter.shop.view()
    record = await counter.shop.acts.attest(view, scan.id)
    told = vouching.word(view, record)
    assert (told["act_kind"], told["tag"], codes(told)) == ("scan", "balloon", [])
    again = await counter.shop.acts.attest(view, scan.id)
    assert codes(vouching.word(view, again)) == ["unbound"]


async def test_an_invite_that_others_used_up_is_refused() -> None:
    clock = HandClock()
    shop, alice, bob = (
        Player("shop", "merchant", clock),
        Player("alice", "resident", clock),
        Player("bob", "resident", clock),
    )
    for player in (shop, alice, bob):
        await player.open()
    await make_campaign(shop)
    view = await shop.view()
    link = await shop.acts.invite(view, uses=1)
    await alice.acts.join(link)
    await carry(shop, alice)
    mine = alice.library.my_keys(view)
    known = alice.feeds.erasures
    told = documents.evidence(await alice.view(), mine, known)
    assert told["invite_used_up"] is False
    await bob.acts.follow(view.campaign)
    await carry(shop, bob)
    with pytest.raises(Failure) as caught:
        await bob.acts.join(link)
    assert caught.value.reason == "invite-used-up"
    await bob.acts.join(await shop.acts.invite(view, uses=2))


async def test_who_joined_too_late_sees_it_once_the_evidence_is_here() -> None:
    clock = HandClock()
    shop, alice, bob = (
        Player("shop", "merchant", clock),
        Player("alice", "resident", clock),
        Player("bob", "resident", clock),
    )
    for player in (shop, alice, bob):
        await player.open()
    await make_campaign(shop)
    link = await shop.acts.invite(await shop.view(), uses=1)
    await alice.acts.join(link)
    await bob.acts.join(link)  # nothing of the campaign is here yet
    await carry(shop, alice)
    await carry(shop, bob)
    view = await bob.view()
    told = documents.evidence(view, bob.library.my_keys(view), bob.feeds.erasures)
    assert told["invite_used_up"] is True


async def test_a_reused_card_and_a_cap_are_told_apart() -> None:
    counter = Counter()
    await counter.open()
    shop, alice = counter.shop, counter.alice
    await shop.witness.tend(await shop.view())
    counter.clock.ms += MINUTE
    card = await alice.acts.show_card(await alice.view(), None)
    for amount in (1_000, 2_000):
        await counter.sell(amount, card=card)
    for amount in (20_001, 19_000, 12_000):
        await counter.sell(amount)
    await counter.sell(5, author=counter.me())
    await carry(shop, alice)
    await shop.witness.tend(await shop.view())
    counter.clock.ms = (await shop.view()).terms.rounds[0].final_from
    await shop.witness.tend(await shop.view())
    await shop.books.close(await shop.view())
    view = await shop.view()
    why = explaining.explanation(view, await shop.books.verify(view), None)
    refused = why["refused"]
    assert [(x["amount"], x["reason"], x["detail"]["code"]) for x in refused] == [
        (2_000, "grade", "card-used"),
        (20_001, "merchant-cap", "over-amount"),
        (12_000, "merchant-cap", "over-day"),
        (5, "grade", "unbound"),
    ]


async def test_a_scan_after_the_last_round_is_told_of() -> None:
    counter = Counter()
    await counter.open()
    code = read_code(await make_campaign(counter.shop, (counter.buy,)))
    view = await counter.shop.library.view(counter.shop.library.entries[-1].campaign)
    where = campaign_text(view.campaign)
    early = await counter.shop.acts.scan(code, where)
    assert documents.scanned(early)["warnings"] == []
    counter.clock.ms = view.terms.rounds[-1].closes + 1
    late = await counter.shop.acts.scan(code, where)
    (found,) = documents.scanned(late)["warnings"]
    assert found == {"code": "too-late", "time": view.terms.rounds[-1].closes}
