"""What a witness lists, in which order, and what strangers cannot make it do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio

from p2pnode.ports import StoreFull
from p2pnode.services import witness as witness_module
from p2pnode.services.closing import Books
from p2pnode.services.library import View
from p2pnode.services.witness import FORKS_MAX, Duty, Witness
from protocols import join as join_module
from protocols.claims import Announce, Enter, Erase, Kind
from protocols.evidence import witness_room
from protocols.feed import ForkProof, prove_fork
from protocols.join import Invite, make_join, sign_invite
from protocols.keys import AuthorKey, Scope, Seed, SigningKey, witness_scope
from protocols.limits import HEADS_MAX
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record
from protocols.testimony import fork_proof
from tests.integration.test_services import Dice, HandClock, Player, make_campaign
from tests.worlds import NETWORK, key_of, salt_of


@dataclass
class Shop:
    """A sponsor who is the only witness of its campaign, and its clock."""

    player: Player
    view: View
    clock: HandClock

    @property
    def me(self) -> AuthorKey:
        key = self.player.identity.author_key
        assert key is not None
        return key.author

    @property
    def root(self) -> SigningKey:
        key = self.player.identity.author_key
        assert key is not None
        return key

    async def take(self, *records: Record) -> None:
        wires = [encode_record(record) for record in records]
        report = await self.player.feeds.ingest(wires)
        assert report.refused == ()

    async def tend(self) -> list[Record]:
        """Tend when it is time again; what that lists."""
        before = len(self.own())
        self.clock.ms += self.view.terms.seen_interval_ms + 1
        await self.player.witness.tend(self.view)
        return self.own()[before:]

    def own(self) -> list[Record]:
        return list(self.view.evidence.feed(witness_scope(self.view.campaign), self.me))

    def joined(self, key: SigningKey, inviter: SigningKey, uses: int = 1) -> Record:
        """`key` joins below `inviter`, by an invite for so many; 0: for anybody."""
        secret = Seed(salt_of(key.author) * 2)
        invite = Invite(
            network=NETWORK,
            campaign=self.view.campaign,
            inviter=inviter.author,
            invite_key=SigningKey(secret).author,
            uses=uses,
            expires_ms=2**52,
        )
        signed = sign_invite(inviter, invite)
        claim = make_join(invite, signed, secret, key.author, salt_of(0))
        return self.write(key, Kind.JOIN, claim)

    def write(
        self,
        key: SigningKey,
        kind: Kind,
        claim: Any,
        after: Record | None = None,
    ) -> Record:
        return sign_record(
            key,
            network=NETWORK,
            scope=self.view.campaign,
            seq=0 if after is None else after.seq + 1,
            backlink=NO_BACKLINK if after is None else after.id,
            time_ms=1,
            kind=kind,
            claim=claim,
        )

    def fork(self, key: SigningKey, after: Record | None = None) -> ForkProof:
        """A proof that `key` wrote two records after `after`."""
        kind = Kind.ENTER if after is None else Kind.ANNOUNCE
        claims = [_claim(kind, salt=bytes([n]) * 16) for n in (1, 2)]
        return prove_fork(*(self.write(key, kind, claim, after) for claim in claims))


def _claim(kind: Kind, salt: bytes) -> Enter | Announce:
    if kind is Kind.ENTER:
        return Enter(salt=salt)
    return Announce(salt=salt, campaign=Scope(bytes(32)), title="", link="")


@pytest.fixture
async def shop() -> Shop:
    clock = HandClock()
    player = Player("shop", "merchant", clock)
    await player.feeds.open()
    await player.library.open()
    await make_campaign(player)
    return Shop(player, await player.view(), clock)


def listed(records: Sequence[Record]) -> list[AuthorKey]:
    """Whom these `seen`s list, in order."""
    seens = [record.claim() for record in records if record.kind == Kind.SEEN]
    return [author for seen in seens for author, _, _ in seen.heads]


def forked(records: Sequence[Record]) -> list[AuthorKey]:
    """Whose forks these records list."""
    claims = [record.claim() for record in records if record.kind == Kind.FORK]
    return [fork_proof(claim).author for claim in claims]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[AuthorKey]:
    """The authors whose joins the witness verifies, in order."""
    found: list[AuthorKey] = []
    check = join_module.check_join

    def count(join: Any, joiner: AuthorKey, *more: Any) -> None:
        found.append(joiner)
        check(join, joiner, *more)

    monkeypatch.setattr(witness_module, "check_join", count)
    return found


async def test_joins_below_nobody_are_never_verified(
    shop: Shop, checked: list[AuthorKey]
) -> None:
    await shop.tend()
    boss = key_of("nobody")
    strangers = [shop.joined(key_of(f"sybil {n}"), boss) for n in range(50)]
    await shop.take(*strangers)
    for _ in range(3):
        assert await shop.tend() == []
    assert checked == []
    alice = key_of("alice")
    await shop.take(shop.joined(alice, shop.root))
    assert listed(await shop.tend()) == [alice.author]
    assert checked == [alice.author]


async def test_who_came_before_her_inviter_is_listed_with_her(
    shop: Shop, checked: list[AuthorKey]
) -> None:
    await shop.tend()
    alice, bob, carol = (key_of(name) for name in ("alice", "bob", "carol"))
    await shop.take(shop.joined(carol, bob), shop.joined(bob, alice))
    assert await shop.tend() == []
    await shop.take(shop.joined(alice, shop.root))
    (seen,) = await shop.tend()
    assert listed([seen]) == sorted(key.author for key in (alice, bob, carol))
    assert sorted(checked) == listed([seen])


async def test_parents_are_listed_before_children_each_seen_sorted(
    shop: Shop,
) -> None:
    keys = sorted(
        (key_of(f"link {n}") for n in range(HEADS_MAX + 20)),
        key=lambda key: key.author,
        reverse=True,
    )
    above = [shop.root, *keys]
    await shop.take(*map(shop.joined, keys, above))
    seens = await shop.tend()
    assert len(seens) == 2
    for seen in seens:
        assert listed([seen]) == sorted(listed([seen]))
    place = {who: n for n, seen in enumerate(seens) for who in listed([seen])}
    assert {key.author for key in keys} <= set(place)
    for key, inviter in zip(keys, above, strict=False):
        assert place[inviter.author] <= place[key.author]


async def test_the_cap_on_feeds_leaves_room_for_the_named(shop: Shop) -> None:
    terms = shop.view.terms
    tight = replace(terms, caps=replace(terms.caps, feeds=3))
    shop.view = replace(shop.view, terms=tight)
    keys = [key_of(f"guest {n}") for n in range(5)]
    await shop.take(*(shop.joined(key, shop.root) for key in keys))
    first = listed(await shop.tend())
    assert (len(first), shop.me in first) == (3, True)
    await shop.take(shop.joined(key_of("late"), keys[0]))
    assert await shop.tend() == []


async def test_a_feed_is_listed_up_to_the_caps_and_spare_records_beyond(
    shop: Shop,
) -> None:
    terms = shop.view.terms
    shop.view = replace(
        shop.view, terms=replace(terms, caps=replace(terms.caps, records_per_feed=3))
    )
    alice = key_of("alice")
    feed = [shop.joined(alice, shop.root)]
    kinds = (Kind.ANNOUNCE, Kind.ANNOUNCE, Kind.ERASE, Kind.ANNOUNCE, Kind.ERASE)
    for number, kind in enumerate(kinds):
        claim: Any = _claim(Kind.ANNOUNCE, salt=bytes([number]) * 16)
        if kind is Kind.ERASE:
            claim = Erase(salt=bytes(16), record=feed[0].id, claim=False)
        feed.append(shop.write(alice, kind, claim, after=feed[-1]))
    await shop.take(*feed)
    (seen,) = await shop.tend()
    heads = {author: seq for author, seq, _ in seen.claim().heads}
    assert heads[alice.author] == 3, "an erase above three records, no announce"


async def test_a_feed_is_listed_up_to_the_bytes_it_may_have(shop: Shop) -> None:
    alice = key_of("alice")
    feed = [shop.joined(alice, shop.root)]
    for number in range(3):
        claim = _claim(Kind.ANNOUNCE, salt=bytes([number]) * 16)
        feed.append(shop.write(alice, Kind.ANNOUNCE, claim, after=feed[-1]))
    await shop.take(*feed)
    most = sum(record.header.claim_size for record in feed[:3])
    caps = replace(shop.view.terms.caps, bytes_per_feed=most)
    shop.view = replace(shop.view, terms=replace(shop.view.terms, caps=caps))
    (seen,) = await shop.tend()
    heads = {author: seq for author, seq, _ in seen.claim().heads}
    assert heads[alice.author] == 2


async def test_a_genesis_without_its_work_is_not_listed(shop: Shop) -> None:
    await shop.tend()
    shop.view = replace(shop.view, terms=replace(shop.view.terms, join_bits=30))
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(alice, shop.root, uses=0), shop.joined(bob, shop.root))
    assert listed(await shop.tend()) == [bob.author]


async def test_what_moved_is_listed_once_and_once_an_interval(shop: Shop) -> None:
    await shop.tend()
    interval_ms = shop.view.terms.seen_interval_ms
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(alice, shop.root))
    assert listed(await shop.tend()) == [alice.author]
    await shop.take(shop.joined(bob, shop.root))
    before = shop.own()
    for pause_ms in (0, interval_ms - 1):
        shop.clock.ms += pause_ms
        await shop.player.witness.tend(shop.view)
        assert shop.own() == before
    shop.clock.ms += 1
    await shop.player.witness.tend(shop.view)
    assert listed(shop.own()[len(before) :]) == [bob.author]


async def test_below_one_invite_comes_no_more_than_a_quarter(shop: Shop) -> None:
    terms = shop.view.terms
    tight = replace(terms, caps=replace(terms.caps, feeds=20))
    shop.view = replace(shop.view, terms=tight)
    flooder, guest, late = (key_of(name) for name in ("flooder", "guest", "late"))
    await shop.take(shop.joined(flooder, shop.root))
    await shop.tend()
    chain = [flooder]
    for number in range(12):  # half of them below her, half in a chain
        puppet = key_of(f"puppet {number}")
        await shop.take(shop.joined(puppet, chain[-1] if number % 2 else flooder))
        chain.append(puppet)
    await shop.take(shop.joined(guest, shop.root))
    first = listed(await shop.tend())
    assert len(first) == 4 + 1, "the flooder is the fifth of hers"
    assert guest.author in first
    await shop.take(shop.joined(key_of("one more"), flooder))
    await shop.take(shop.joined(late, guest))
    again = Witness(
        shop.player.library, shop.player.feeds, shop.player.books, shop.clock, Dice()
    )
    shop.player.witness = again
    assert listed(await shop.tend()) == [late.author]


async def test_a_stranger_forks_and_no_witness_says_so(shop: Shop) -> None:
    await shop.tend()
    proofs = [shop.fork(key_of(f"forker {n}")) for n in range(40)]
    await shop.player.feeds.ingest_forks(proofs)
    assert await shop.tend() == []


async def test_forks_of_the_rooted_are_listed_after_heads_a_few_at_a_time(
    shop: Shop,
) -> None:
    keys = [key_of(f"guest {n}") for n in range(FORKS_MAX + 4)]
    joins = [shop.joined(key, shop.root) for key in keys]
    await shop.take(*joins)
    await shop.tend()
    for key, join in zip(keys, joins, strict=True):
        await shop.player.feeds.ingest_forks([shop.fork(key, join)])
    late = key_of("late")
    await shop.take(shop.joined(late, shop.root))
    first, second = await shop.tend(), await shop.tend()
    assert [record.kind for record in first] == [Kind.SEEN, *[Kind.FORK] * FORKS_MAX]
    assert listed(first) == [late.author]
    authors = sorted(key.author for key in keys)
    assert forked(first) + forked(second) == authors
    assert listed(second) == []
    assert await shop.tend() == []


async def test_a_final_stands_on_the_forks_known_before_it(shop: Shop) -> None:
    alice = key_of("alice")
    join = shop.joined(alice, shop.root)
    await shop.take(join)
    await shop.tend()
    await shop.player.feeds.ingest_forks([shop.fork(alice, join)])
    shop.clock.ms = shop.view.terms.rounds[0].final_from
    fork, final = await shop.tend()
    assert forked([fork]) == [alice.author]
    assert final.claim().final == 1


async def test_a_feed_forked_at_its_root_is_not_listed_nor_is_who_stands_below(
    shop: Shop,
) -> None:
    await shop.tend()
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(alice, shop.root), shop.joined(bob, alice))
    await shop.player.feeds.ingest_forks([shop.fork(alice)])
    records = await shop.tend()
    assert (listed(records), forked(records)) == ([], [alice.author])


async def test_nothing_is_looked_at_when_nothing_came(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.tend()
    await shop.tend()

    async def looked(_duty: Duty, _moved: Any) -> list[AuthorKey]:
        pytest.fail("nothing had changed")

    with monkeypatch.context() as patch:
        patch.setattr(Duty, "order", looked)
        for _ in range(3):
            assert await shop.tend() == []
    await shop.take(shop.joined(key_of("alice"), shop.root))
    assert listed(await shop.tend()) == [key_of("alice").author]


async def test_what_a_full_disk_refused_is_listed_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(bob, alice), shop.joined(alice, shop.root))

    async def full(*_all: Any) -> Record:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(shop.player.feeds, "publish", full)
        with pytest.raises(StoreFull):
            await shop.tend()
    want = sorted([shop.me, alice.author, bob.author])
    assert listed(await shop.tend()) == want


async def test_a_restarted_witness_goes_on_where_it_was(shop: Shop) -> None:
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(alice, shop.root))
    await shop.tend()
    one = shop.player
    books = Books(one.library, one.feeds, Dice())
    one.witness = Witness(one.library, one.feeds, books, shop.clock, Dice())
    assert await shop.tend() == []
    await shop.take(shop.joined(bob, alice))
    assert listed(await shop.tend()) == [bob.author]


async def test_receipts_do_not_wait_until_the_last_close_is_judged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, autojump_clock: Any
) -> None:
    await shop.tend()
    asked, answer = trio.Event(), trio.Event()

    async def ended(_view: View) -> bool:
        asked.set()
        await answer.wait()
        return False

    monkeypatch.setattr(View, "may_have_ended", True)
    monkeypatch.setattr(shop.player.books, "ended", ended)
    shop.clock.ms = shop.view.terms.rounds[0].final_from
    before = len(shop.own())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.player.witness.run)
        await asked.wait()
        alice = key_of("alice")
        await shop.take(shop.joined(alice, shop.root))
        await trio.sleep(1)
        assert listed(shop.own()[before:]) == [alice.author]
        answer.set()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [one.claim().final for one in shop.own()[before:]] == [None, 1]


async def test_an_honest_witness_keeps_room_for_its_finals(shop: Shop) -> None:
    await shop.tend()
    room = witness_room(shop.view.terms)
    few = replace(room, records=shop.own()[-1].seq + 2 + len(shop.view.terms.rounds))
    shop.player.witness._duties[shop.view.campaign].allowance = few
    alice, bob = key_of("alice"), key_of("bob")
    await shop.take(shop.joined(alice, shop.root))
    assert listed(await shop.tend()) == [alice.author]
    await shop.take(shop.joined(bob, shop.root))
    assert await shop.tend() == [], "no room is left but for finals"
    shop.clock.ms = shop.view.terms.rounds[0].final_from
    (final,) = await shop.tend()
    assert final.claim().final == 1
