"""What is kept of a campaign that strangers write into."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.services.feeds import Draft, FeedFull, Feeds
from p2pnode.services.library import Library
from protocols.claims import Announce, Erase, Kind, Seen
from protocols.errors import Reason
from protocols.evidence import witness_room
from protocols.keys import RecordId, Scope, SigningKey, witness_scope
from protocols.limits import PART_SPARE
from protocols.record import Record, encode_record
from tests.integration.test_services import Dice, HandClock, Player
from tests.worlds import NETWORK, World, key_of


async def follower(**caps: int) -> tuple[Player, World]:
    """A follower of a campaign with narrow caps."""
    player = Player("alice", "resident", HandClock())
    await player.feeds.open()
    await player.library.open()
    world = World(changes={"caps": replace(World().terms.caps, **caps)})
    await player.library.follow(world.scope)
    await take(player, [r for r in world.records if r.kind == Kind.TERMS])
    return player, world


async def take(player: Player, records: list[Record]) -> list[Reason]:
    report = await player.feeds.ingest([encode_record(r) for r in records])
    assert not any(refusal.fault for refusal in report.refused)
    return [refusal.reason for refusal in report.refused]


def grow(world: World, key: SigningKey, count: int, title: str = "") -> list[Record]:
    """Announcements of a member, after what she wrote before."""
    claim = Announce(salt=bytes(16), campaign=world.scope, title=title, link="")
    return [world.write(key, Kind.ANNOUNCE, claim) for _ in range(count)]


def kept(player: Player, world: World, key: SigningKey) -> int:
    head = player.feeds.head(world.scope, key.author)
    return 0 if head is None else head.seq + 1


async def again(player: Player) -> None:
    """Start its services anew on the same store."""
    player.feeds = Feeds(player.store, NETWORK, HandClock(), Dice())
    await player.feeds.open()
    player.library = Library(player.identity, player.feeds, player.store)
    await player.library.open()


async def test_records_beyond_the_terms_are_not_kept() -> None:
    player, world = await follower(records_per_feed=10)
    join, alice = world.join("alice"), key_of("alice")
    assert await take(player, [join, *grow(world, alice, 9)]) == []
    assert await take(player, grow(world, alice, PART_SPARE)) == []
    assert await take(player, grow(world, alice, 3)) == [Reason.NO_ROOM] * 3
    assert kept(player, world, alice) == 10 + PART_SPARE


async def test_what_nobody_would_keep_is_not_signed() -> None:
    player, world = await follower(records_per_feed=3)
    alice = key_of("alice")
    await take(player, [world.join("alice")])
    claim = Announce(salt=bytes(16), campaign=world.scope, title="", link="")
    draft = Draft(kind=Kind.ANNOUNCE, claim=claim)
    with pytest.raises(FeedFull):
        await player.feeds.publish_many(alice, world.scope, [draft] * 3)
    assert kept(player, world, alice) == 1, "all or none"
    await player.feeds.publish_many(alice, world.scope, [draft] * 2)
    with pytest.raises(FeedFull):
        await player.feeds.publish_many(alice, world.scope, [draft])
    erase = Erase(salt=bytes(16), record=RecordId(bytes(32)), claim=False)
    await player.feeds.publish(alice, world.scope, Kind.ERASE, erase)
    assert kept(player, world, alice) == 4


async def test_bytes_beyond_the_terms_are_not_kept_after_a_restart_either() -> None:
    cap = 4_000
    player, world = await follower(bytes_per_feed=cap)
    join, alice = world.join("alice"), key_of("alice")
    wrote = [join, *grow(world, alice, 20, "x" * 190)]
    sizes = [record.header.claim_size for record in wrote]
    fits = next(count for count in range(20) if sum(sizes[: count + 1]) > cap)
    for number, record in enumerate(wrote):
        refused = await take(player, [record])
        assert refused == ([] if number < fits else [Reason.NO_ROOM])
    assert kept(player, world, alice) == fits
    await again(player)
    assert await take(player, [wrote[fits]]) == [Reason.NO_ROOM]


async def test_feeds_beyond_the_terms_are_not_kept() -> None:
    player, world = await follower(feeds=8)
    joins = [world.join(f"guest {number}") for number in range(20)]
    refused = [await take(player, [join]) for join in joins]
    assert refused == [[]] * 10 + [[Reason.NO_ROOM]] * 10
    more = grow(world, key_of("guest 0"), 2)
    assert await take(player, more) == [], "who is in may write on"


FEEDS = 16
SHARE = FEEDS // 4 + 1
"""Of the feeds, those that one invite brings, and a quarter of that more."""


def flood(world: World, count: int) -> list[Record]:
    """Strangers by one public invite, and below the first of them."""
    made = world.invite(world.sponsor, uses=0, tag="public")
    half = count // 2
    direct = [world.join_by(f"flood {number}", made) for number in range(half)]
    more = range(half, count)
    return direct + [world.join(f"flood {n}", "flood 0", tag=str(n)) for n in more]


async def test_one_invite_locks_nobody_else_out() -> None:
    player, world = await follower(feeds=FEEDS)
    joins = flood(world, 100)
    assert len(await take(player, joins)) == 100 - SHARE, "also in one batch"
    assert await take(player, [world.join("bob")]) == []
    below = world.join("carol", "bob")
    await again(player)
    assert await take(player, joins[-3:]) == [Reason.NO_ROOM] * 3
    assert await take(player, [below]) == []


async def test_what_came_before_the_terms_locks_nobody_out() -> None:
    player = Player("alice", "resident", HandClock())
    await player.feeds.open()
    await player.library.open()
    world = World(changes={"caps": replace(World().terms.caps, feeds=FEEDS)})
    await player.library.follow(world.scope)
    assert await take(player, flood(world, 100)) == [], "nobody knows how many may"
    await take(player, [r for r in world.records if r.kind == Kind.TERMS])
    assert await take(player, [world.join("bob"), world.join("carol", "bob")]) == []
    for number in range(FEEDS):
        await take(player, [world.join(f"guest {number}")])
    assert await take(player, [world.join("late")]) == [Reason.NO_ROOM]


async def test_whom_witnesses_list_locks_nobody_out() -> None:
    player, world = await follower(feeds=FEEDS)
    joins = flood(world, 100)
    heads = sorted((one.author, one.seq, one.id) for one in joins[:FEEDS])
    seen = Seen(salt=bytes(16), final=None, heads=tuple(heads))
    scope = witness_scope(world.scope)
    record = world.write(world.witness_keys[0], Kind.SEEN, seen, scope=scope)
    assert await take(player, [record]) == []
    await take(player, joins)
    assert await take(player, [world.join("bob"), world.join("carol", "bob")]) == []


async def test_those_whom_nobody_invited_lock_nobody_out() -> None:
    player, world = await follower(feeds=FEEDS)
    joins = [world.join(f"orphan {n}", f"nobody {n}") for n in range(100)]
    assert len(await take(player, joins)) == 100 - SHARE
    assert await take(player, [world.join("bob"), world.join("carol", "bob")]) == []


async def test_what_comes_below_an_own_key_counts_as_its_inviters() -> None:
    player, world = await follower(feeds=FEEDS)
    made = world.invite(world.sponsor, uses=0, tag="public")
    mine = world.join_by("alice", made)
    claim, key = mine.claim(), key_of("alice")
    assert len(await take(player, flood(world, 100))) == 100 - SHARE
    await player.feeds.publish(key, world.scope, Kind.JOIN, claim)
    assert await take(player, [world.join("bob", "alice")]) == [Reason.NO_ROOM]


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_witness_lists_is_kept(restarted: bool) -> None:
    player, world = await follower(feeds=FEEDS)
    joins = flood(world, 100)
    refused = await take(player, joins)
    assert len(refused) == 100 - SHARE
    late = [one for one in joins if player.feeds.head(world.scope, one.author) is None]
    heads = sorted((one.author, one.seq, one.id) for one in late[:3])
    seen = Seen(salt=bytes(16), final=None, heads=tuple(heads))
    scope = witness_scope(world.scope)
    record = world.write(world.witness_keys[0], Kind.SEEN, seen, scope=scope)
    assert await take(player, [record]) == []
    if restarted:
        await again(player)
    assert await take(player, late) == [Reason.NO_ROOM] * (len(late) - 3)
    assert all(player.feeds.head(world.scope, author) for author, _, _ in heads)


async def test_the_witness_scope_is_for_witnesses() -> None:
    player, world = await follower()
    witness, stranger = world.witness_keys[0], key_of("stranger")
    scope = witness_scope(world.scope)
    for key, answer in ((witness, []), (stranger, [Reason.NO_ROOM])):
        seen = Seen(salt=bytes(16), final=None, heads=())
        record = world.write(key, Kind.SEEN, seen, scope=scope)
        assert await take(player, [record]) == answer


async def test_until_the_terms_came_all_is_kept() -> None:
    world = World()
    player = Player("alice", "resident", HandClock())
    await player.feeds.open()
    await player.library.follow(world.scope)
    assert await player.library.room(world.scope) is None
    assert await player.library.room(Scope(bytes(32))) is None
    assert await take(player, [world.join("alice")]) == []


def say(world: World, key: SigningKey, count: int) -> list[Record]:
    """What a witness says in so many records: nothing."""
    seen = Seen(salt=bytes(16), final=None, heads=())
    scope = witness_scope(world.scope)
    return [world.write(key, Kind.SEEN, seen, scope=scope) for _ in range(count)]


async def test_a_witness_that_floods_is_kept_as_far_as_an_honest_one_may_write() -> (
    None
):
    player, world = await follower(
        feeds=1, records_per_feed=1, named_records_per_feed=1
    )
    room, witness = witness_room(world.terms), world.witness_keys[0]
    assert room.records < 100
    assert await take(player, say(world, witness, room.records)) == []
    beyond = say(world, witness, 2)
    assert await take(player, beyond) == [Reason.NO_ROOM] * 2
    wire = [encode_record(beyond[1])]
    await player.feeds.ingest_by_id(wire)
    assert await player.store.get(beyond[1].id) is None, "nobody named it"
    player.feeds.ask_for((beyond[1].scope,), [beyond[1].id])
    await player.feeds.ingest_by_id(wire)
    assert await player.store.get(beyond[1].id) == beyond[1]
    head = player.feeds.head(beyond[1].scope, witness.author)
    assert head is not None
    assert head.seq == room.records - 1


async def test_what_a_witness_says_takes_no_room_of_what_it_does() -> None:
    cap = 400
    player, world = await follower(named_bytes_per_feed=cap)
    witness = world.witness_keys[0]
    entered = world.enter(witness)
    assert await take(player, [entered, *say(world, witness, 40)]) == []
    acts = grow(world, witness, 2, "x" * 100)
    assert sum(r.header.claim_size for r in [entered, *acts]) < cap
    assert await take(player, acts) == []
