"""The services of two nodes play a campaign, records carried over by hand."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial

import pytest
import trio
import trio.testing

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.services import documents, explaining
from p2pnode.services.acts import Acts
from p2pnode.services.closing import Books
from p2pnode.services.feeds import Feeds
from p2pnode.services.library import Library, View
from p2pnode.services.proofs import Proofs
from p2pnode.services.till import Till
from p2pnode.services.witness import Witness
from p2pnode.store.memory import MemoryStore
from protocols.errors import Reason
from protocols.keys import AuthorKey, Scope, Seed, SigningKey, witness_scope
from protocols.record import encode_record
from protocols.settlement.verify import Verdict
from protocols.tags.code import About, make_batch, make_serial, read_code
from protocols.tags.entry import group_root
from protocols.terms import (
    Act,
    Condition,
    Count,
    Flat,
    Group,
    Once,
    Party,
    Reward,
    Stage,
)
from protocols.terms import Witness as TermsWitness
from tests.worlds import MINUTE, NETWORK, OPENS, SCAN_STAGE, World, key_of


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.ms = OPENS

    def now_ms(self) -> int:
        return self.ms


class Dice:
    """Real random numbers."""

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class Player:
    """The services of one node, without a network."""

    def __init__(
        self, name: str, role: str, clock: HandClock, store: MemoryStore | None = None
    ) -> None:
        author = SigningKey(Seed(key_of(name).author)) if role == "merchant" else None
        self.identity = Identity(
            role=role,
            name=name,
            network="test",
            transport_seed=key_of(f"{name} transport").author,
            author_key=author,
            root_seed=key_of(f"{name} root").author,
        )
        self.store = store or MemoryStore()
        rng = Dice()
        self.feeds = Feeds(self.store, NETWORK, clock, rng)
        self.library = Library(self.identity, self.feeds, self.store)
        self.books = Books(self.library, self.feeds, rng)
        self.witness = Witness(self.library, self.feeds, self.books, clock, rng)
        self.dialled: list[str] = []
        self.acts = Acts(
            library=self.library,
            feeds=self.feeds,
            clock=clock,
            rng=rng,
            addresses=lambda: ("/ip4/127.0.0.1/tcp/1/p2p/x",),
            remember=self._remember,
        )
        self.till = Till(
            library=self.library,
            feeds=self.feeds,
            books=self.books,
            acts=self.acts,
            store=self.store,
            clock=clock,
            rng=rng,
        )

        self.proofs = Proofs(self.library, self.feeds, self.books, self.acts, rng)

    async def open(self) -> None:
        """Read the store, as a started node does."""
        await self.feeds.open()
        await self.library.open()
        await self.till.open()

    async def _remember(self, address: str) -> None:
        self.dialled.append(address)

    async def view(self) -> View:
        """The only campaign it follows."""
        return await self.library.view(self.library.entries[0].campaign)


async def carry(one: Player, other: Player) -> None:
    """Let both have what either has."""
    for giver, taker in ((one, other), (other, one)):
        for entry in taker.library.entries:
            for scope in (entry.campaign, witness_scope(entry.campaign)):
                records = await giver.store.scope_records(scope)
                await taker.feeds.ingest([encode_record(r) for r in records])


async def make_campaign(
    sponsor: Player,
    stages: tuple[Stage, ...] = (),
    named: tuple[Party, ...] = (),
    sponsors: tuple[AuthorKey, ...] = (),
    witnesses: tuple[AuthorKey, ...] = (),
) -> str:
    """Publish a campaign of one balloon, the sponsor its only witness, if not told.

    Returns the text of the balloon's code.
    """
    key = sponsor.identity.author_key
    assert key is not None
    tags = make_batch(key.author, b"b" * 16, ["balloon"], [[b"s" * 16]], About())
    own = {
        "sponsor": tuple(
            sorted((*(one.author for one in sponsor.identity.author_keys), *sponsors))
        ),
        "witnesses": tuple(
            TermsWitness(key=one, owner="me") for one in witnesses or (key.author,)
        ),
        "groups": (Group(name="balloons", count=1, root=group_root([tags[0].entry])),),
        "conditions": (Condition(stage=0, count=Count.DISTINCT_TAGS, least=1),),
        "budget": 500_000,
        "stages": (SCAN_STAGE, *stages),
        "named": named,
    }
    terms = World(witnesses=1, balloons=1, changes=own).terms
    rows = [(tag.entry, tag.serial_keys()) for tag in tags]
    await sponsor.acts.publish(terms, [("balloons", rows)])
    return make_serial(key, tags[0].entry, 0, tags[0].secrets[0])


@pytest.mark.parametrize("first", [False, True], ids=["after it", "before it"])
async def test_a_link_that_names_a_witness_scope_takes_it_from_nobody(
    first: bool,
) -> None:
    clock = HandClock()
    sponsor, witness = (Player(name, "merchant", clock) for name in ("a", "b"))
    await sponsor.open()
    await make_campaign(sponsor)
    view = await sponsor.view()
    scope = witness_scope(view.campaign)
    await witness.open()
    for campaign in (scope, view.campaign) if first else (view.campaign, scope):
        await witness.library.follow(campaign)
    await sponsor.library.follow(scope)
    for _ in range(3):
        clock.ms += MINUTE
        await sponsor.witness.tend(view)
        await carry(sponsor, witness)
    me = view.terms.witnesses[0].key
    assert len(view.evidence.feed(scope, me)) == 1
    other = await witness.library.view(view.campaign)
    assert len(other.evidence.feed(scope, me)) == 1
    assert witness.library.campaign_of(scope) == view.campaign


async def test_publish_invite_join_scan_witness_close_claim() -> None:
    clock = HandClock()
    sponsor = Player("shop", "merchant", clock)
    alice = Player("alice", "resident", clock)
    for player in (sponsor, alice):
        await player.feeds.open()
        await player.library.open()
    code = await make_campaign(sponsor)
    link = await sponsor.acts.invite(await sponsor.view(), uses=1)
    await alice.acts.join(link)
    assert alice.dialled == ["/ip4/127.0.0.1/tcp/1/p2p/x"]
    with pytest.raises(Failure, match="joined"):
        await alice.acts.join(link)
    with pytest.raises(Failure, match="No campaign"):
        await alice.acts.scan(read_code(code))
    await carry(sponsor, alice)
    clock.ms += MINUTE
    scanned = await alice.acts.scan(read_code(code))
    assert scanned.warning is None
    await carry(sponsor, alice)
    await sponsor.witness.tend(await sponsor.view())
    again = await sponsor.acts.scan(read_code(code))
    assert again.warning is Reason.ONCE
    with pytest.raises(Failure) as caught:
        await sponsor.books.close(await sponsor.view())
    assert caught.value.reason == "waits-for-finals"
    clock.ms = (await sponsor.view()).terms.rounds[0].final_from
    await sponsor.witness.tend(await sponsor.view())
    await sponsor.books.close(await sponsor.view())
    with pytest.raises(Failure) as caught:
        await sponsor.books.close(await sponsor.view(), 2)
    assert caught.value.reason == "waits-for-finals"
    await carry(sponsor, alice)
    view = await alice.view()
    (report,) = (await alice.books.verify(view)).reports
    assert (report.statement, report.cut) == (Verdict.OK, Verdict.OK)
    line = await alice.books.claim(view)
    assert line.amount == 200_000
    shown = documents.verification(view, await alice.books.verify(view))
    assert shown["verdict"] == "ok"
    assert shown["statement"]["residue"] == 200_000
    keys = alice.library.my_keys(view)
    mine = documents.evidence(view, keys, alice.feeds.erasures)
    assert [one["receipt"] for one in mine["records"]] == ["safe", "safe"]
    why = explaining.explanation(view, await alice.books.verify(view), None)
    assert why["refused"] == []
    assert [one["actor"] for one in why["accepted"]] == [why["people"][0]["author"]]


async def test_a_restarted_library_follows_again() -> None:
    clock = HandClock()
    sponsor = Player("shop", "merchant", clock)
    await sponsor.feeds.open()
    await make_campaign(sponsor)
    later = Player("shop", "merchant", clock)
    later.store = sponsor.store
    later.feeds = Feeds(sponsor.store, NETWORK, clock, Dice())
    later.library = Library(sponsor.identity, later.feeds, sponsor.store)
    await later.feeds.open()
    await later.library.open()
    assert [one.title for one in later.library.entries] == ["ten red balloons"]
    assert later.library.find("p2pc").title == "ten red balloons"


BUY = replace(
    SCAN_STAGE,
    id="buy",
    act=Act.OUTCOME,
    tags=None,
    grade=5,
    once=Once.NEVER,
    reward=Reward(rule=Flat(first=0), amount=0, percent_bp=500, host_bp=0, back_bp=0),
)


@pytest.mark.parametrize("first", [None, 0])
async def test_who_joins_while_she_begins_to_follow_has_joined(
    first: int | None,
) -> None:
    alice = Player("alice", "resident", HandClock())
    await alice.open()
    scope = Scope(bytes(32))
    async with trio.open_nursery() as nursery:
        for index in (first, None if first == 0 else 0):
            follow = partial(alice.library.follow, scope, person_index=index)
            nursery.start_soon(follow)
    again = Player("alice", "resident", HandClock(), alice.store)
    await again.open()
    for library in (alice.library, again.library):
        assert [entry.person_index for entry in library.entries] == [0]


async def test_a_purchase_by_card_pays_its_percentage_once() -> None:
    clock = HandClock()
    shop, alice = (
        Player("shop", "merchant", clock),
        Player("alice", "resident", clock),
    )
    for player in (shop, alice):
        await player.feeds.open()
        await player.library.open()
    code = await make_campaign(shop, (BUY,))
    await alice.acts.join(await shop.acts.invite(await shop.view(), uses=1))
    await carry(shop, alice)
    await alice.acts.scan(read_code(code))
    await carry(shop, alice)
    await shop.witness.tend(await shop.view())
    clock.ms += MINUTE
    card = await alice.acts.show_card(await alice.view(), None)
    for _twice in range(2):
        await shop.acts.outcome(
            await shop.view(), author=card.author, amount=12_800, card=card
        )
    with pytest.raises(Failure) as caught:
        await alice.acts.outcome(await alice.view(), author=card.author, amount=1)
    assert caught.value.reason == "not-a-merchant"
    await carry(shop, alice)
    await shop.witness.tend(await shop.view())
    clock.ms = (await shop.view()).terms.rounds[0].final_from
    await shop.witness.tend(await shop.view())
    await shop.books.close(await shop.view())
    await carry(shop, alice)
    view = await alice.view()
    why = explaining.explanation(view, await alice.books.verify(view), card.author)
    assert [(one["stage"], one["pool"]) for one in why["accepted"]] == [
        ("find", 400_000),
        ("buy", 640),
    ]
    assert [one["reason"] for one in why["refused"]] == ["grade"]
