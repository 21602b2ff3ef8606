"""Feeds: what is accepted, refused, missing, forked; what is signed."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from p2pnode.ports import Store, StoreInDoubt
from p2pnode.services.feeds import MISSING_MAX, Change, Draft, Feeds, FeedStopped
from p2pnode.services.intake import Gap
from p2pnode.store.memory import MemoryStore
from protocols.claims import Announce, Kind
from protocols.errors import ProtocolError, Reason
from protocols.feed import Head, prove_fork
from protocols.keys import (
    NetworkId,
    RecordId,
    Scope,
    Seed,
    Signature,
    SigningKey,
    neighbourhood_scope,
    network_id,
)
from protocols.record import (
    NO_BACKLINK,
    Record,
    encode_record,
    sign_record,
    without_parts,
)

NETWORK = network_id("feeds")
SCOPE = neighbourhood_scope(NETWORK, "here")
ALICE = SigningKey(Seed(bytes(32)))
BOB = SigningKey(Seed(b"\1" * 32))


class StoppedClock:
    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms


class CountingRng:
    def token(self, size: int) -> bytes:
        return bytes(size)


def claim(title: str) -> Announce:
    salt = sha256(title.encode()).digest()[:16]
    return Announce(salt=salt, campaign=Scope(bytes(32)), title=title, link="")


def chain(
    key: SigningKey,
    *titles: str,
    after: Record | None = None,
    network: NetworkId = NETWORK,
) -> list[Record]:
    """Records of one feed, each after the other."""
    made: list[Record] = []
    last = after
    for title in titles:
        last = sign_record(
            key,
            network=network,
            scope=SCOPE,
            seq=0 if last is None else last.seq + 1,
            backlink=NO_BACKLINK if last is None else last.id,
            time_ms=1,
            kind=Kind.ANNOUNCE,
            claim=claim(title),
        )
        made.append(last)
    return made


def wires(*records: Record) -> list[bytes]:
    return [encode_record(record) for record in records]


async def claim_held(feeds: Feeds, record: Record) -> bytes | None:
    held = await feeds.store.get(record.id)
    assert held is not None
    return held.claim_bytes


async def opened(store: Store | None = None) -> Feeds:
    feeds = Feeds(store or MemoryStore(), NETWORK, StoppedClock(), CountingRng())
    await feeds.open()
    await feeds.follow(SCOPE)
    return feeds


async def test_runs_of_several_feeds_in_any_order() -> None:
    feeds = await opened()
    a, b = chain(ALICE, "1", "2", "3"), chain(BOB, "1", "2")
    report = await feeds.ingest(wires(b[1], a[2], a[0], b[0], a[1]))
    assert {r.id for r in report.accepted} == {r.id for r in a + b}
    assert not report.refused
    assert feeds.head(SCOPE, ALICE.author) == feeds.head(SCOPE, a[2].author)
    assert len(feeds.frontier(SCOPE)) == 2


async def test_a_gap_names_what_is_missing() -> None:
    feeds = await opened()
    a = chain(ALICE, "1", "2", "3", "4")
    report = await feeds.ingest(wires(a[0], a[2], a[3]))
    assert report.accepted == (a[0],)
    assert report.gaps == (Gap(scope=SCOPE, author=ALICE.author, start=1, stop=4),)
    assert (await feeds.ingest(wires(*a[1:]))).accepted == tuple(a[1:])


async def test_duplicates_are_ignored() -> None:
    feeds = await opened()
    a = chain(ALICE, "1", "2")
    await feeds.ingest(wires(*a))
    report = await feeds.ingest(wires(*a, *a))
    assert report == type(report)()


async def test_a_new_record_without_its_claim_is_refused() -> None:
    feeds = await opened()
    (record,) = chain(ALICE, "1")
    stripped = without_parts(record, claim=True, note=False)
    report = await feeds.ingest(wires(stripped))
    assert [item.reason for item in report.refused] == [Reason.BAD_CLAIM]
    assert (await feeds.ingest(wires(record))).accepted == (record,)


async def test_a_duplicate_may_fill_in_its_claim() -> None:
    store = MemoryStore()
    (record,) = chain(ALICE, "1")
    await store.append([without_parts(record, claim=True, note=False)])
    feeds = await opened(store)
    assert (await claim_held(feeds, record)) is None
    assert not (await feeds.ingest(wires(record))).accepted
    assert (await claim_held(feeds, record)) == record.claim_bytes


async def test_one_bad_record_spoils_only_its_feed() -> None:
    feeds = await opened()
    a, b = chain(ALICE, "1", "2"), chain(BOB, "1")
    forged = replace(a[1], signature=Signature(bytes(64)))
    report = await feeds.ingest([b"junk", *wires(forged, a[0], *b)])
    assert report.accepted == (a[0], *b)
    assert [item.reason for item in report.refused] == [
        Reason.NOT_CANONICAL,
        Reason.BAD_SIGNATURE,
    ]


async def test_wrong_network_and_unknown_scope() -> None:
    feeds = await opened()
    foreign = chain(ALICE, "1", network=network_id("other"))
    report = await feeds.ingest(wires(*foreign))
    assert [item.reason for item in report.refused] == [Reason.WRONG_NETWORK]
    lonely = Feeds(MemoryStore(), NETWORK, StoppedClock(), CountingRng())
    await lonely.open()
    report = await lonely.ingest(wires(*chain(ALICE, "1")))
    assert [item.reason for item in report.refused] == [Reason.UNKNOWN_SCOPE]
    assert not report.refused[0].fault


async def test_a_fork_is_proven_at_its_lowest_place() -> None:
    feeds = await opened()
    root = chain(ALICE, "0")
    mine = root + chain(ALICE, *"123456789", after=root[0])
    theirs = root + chain(ALICE, *"abcdefghi", after=root[0])
    await feeds.ingest(wires(*mine))
    report = await feeds.ingest(wires(chain(ALICE, "z", after=theirs[-1])[0]))
    steps = 0
    while report.gaps:
        (gap,) = report.gaps
        report = await feeds.ingest(wires(*theirs[gap.start : gap.stop]))
        steps += 1
    assert steps <= 5
    proof = feeds.fork(SCOPE, ALICE.author)
    assert proof is not None
    assert set(proof.ids) == {mine[1].id, theirs[1].id}
    (leaf,) = feeds.frontier(SCOPE).leaves()
    assert (leaf.seq, leaf.id, leaf.forked) == (1, root[0].id, True)
    assert (await feeds.store.forks(SCOPE)) == [proof]


async def test_nothing_follows_a_fork_but_branches_by_id() -> None:
    feeds = await opened()
    (first,) = chain(ALICE, "1")
    (other,) = chain(ALICE, "2")
    await feeds.ingest(wires(first, other))
    assert feeds.fork(SCOPE, ALICE.author) is not None
    report = await feeds.ingest(wires(*chain(ALICE, "3", after=first)))
    assert [item.reason for item in report.refused] == [Reason.FORK]
    assert not report.refused[0].fault
    (refusal,) = (await feeds.ingest_by_id(wires(other))).refused
    assert refusal.fault  # however many there are, nobody asked for them
    feeds.ask_for((SCOPE,), [other.id])
    assert (await feeds.ingest_by_id(wires(other))).accepted == (other,)
    assert (await feeds.ingest_by_id(wires(other))).refused == ()  # two were asked
    assert not feeds.missing
    assert await feeds.store.get(other.id) == other
    assert feeds.head(SCOPE, ALICE.author) == Head(0, first.id)


async def test_an_answer_by_id_that_belongs_into_a_chain_is_no_fault() -> None:
    feeds = await opened()
    first, second = chain(ALICE, "1", "2")
    feeds.ask_for((SCOPE,), [second.id])
    report = await feeds.ingest_by_id(wires(second))
    assert (report.accepted, report.refused) == ((), ())
    await feeds.ingest(wires(first, second))
    assert not feeds.missing
    assert (await feeds.ingest_by_id(wires(second))).refused == ()


async def test_what_is_missing_is_bounded_and_the_latest_names_come_first() -> None:
    feeds = await opened()
    names = [RecordId(n.to_bytes(32, "big")) for n in range(2 * MISSING_MAX)]
    feeds.ask_for((SCOPE,), names)
    feeds.ask_for((SCOPE,), names[-2:])
    assert list(feeds.missing) == [*names[-2:], *names[: MISSING_MAX - 2]]


async def test_fork_proofs_are_checked_and_the_lowest_holds() -> None:
    feeds = await opened()
    root = chain(ALICE, "0")
    low = prove_fork(root[0], chain(ALICE, "x")[0])
    one, two = chain(ALICE, "1", after=root[0]), chain(ALICE, "2", after=root[0])
    high = prove_fork(one[0], two[0])
    forged = replace(low, signature_a=Signature(bytes(64)))
    report = await feeds.ingest_forks([forged])
    assert [item.reason for item in report.refused] == [Reason.BAD_SIGNATURE]
    assert (await feeds.ingest_forks([high])).forks == (high,)
    assert not list(feeds.frontier(SCOPE).leaves()), "not complete below the fork"
    await feeds.ingest(wires(*root))
    (leaf,) = feeds.frontier(SCOPE).leaves()
    assert leaf.forked
    assert (await feeds.ingest_forks([low])).forks == (low,)
    assert (await feeds.ingest_forks([high])).forks == ()
    again = await opened(feeds.store)
    assert again.frontier(SCOPE).root == feeds.frontier(SCOPE).root


async def test_publish_chains_and_times_rise() -> None:
    feeds = await opened()
    seen: list[Change] = []
    feeds.subscribe(seen.append)
    first = await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("1"))
    drafts = [Draft(kind=Kind.ANNOUNCE, claim=claim(t)) for t in "23"]
    rest = await feeds.publish_many(ALICE, SCOPE, drafts)
    records = (first, *rest)
    assert [r.seq for r in records] == [0, 1, 2]
    assert [r.header.time_ms for r in records] == [1_000, 1_001, 1_002]
    assert [change.records for change in seen] == [(first,), rest]
    again = await opened(feeds.store)
    last = await again.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("4"))
    assert (last.seq, last.header.time_ms) == (3, 1_003)


async def test_a_foreign_record_by_an_own_key_stops_the_feed() -> None:
    feeds = await opened()
    feeds.own(ALICE.author)
    mine = await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("1"))
    assert not (await feeds.ingest(wires(mine))).stopped
    foreign = chain(ALICE, "2", after=mine)
    report = await feeds.ingest(wires(*foreign))
    assert report.stopped == ((SCOPE, ALICE.author),)
    with pytest.raises(FeedStopped):
        await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("3"))
    again = await opened(feeds.store)
    with pytest.raises(FeedStopped):
        await again.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("3"))


async def test_nothing_is_signed_while_a_commit_is_in_doubt() -> None:
    def doubt(call: str) -> None:
        if call == "append":
            raise StoreInDoubt("disk")

    store = MemoryStore()
    feeds = await opened(store)
    store.after = doubt
    with pytest.raises(StoreInDoubt):
        await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("1"))
    assert feeds.in_doubt
    store.after = None
    store.reopen()
    with pytest.raises(StoreInDoubt):
        await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("1"))
    await feeds.open()
    assert (await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("2"))).seq == 1


async def test_nobody_hears_of_what_may_not_be_stored() -> None:
    def doubt(call: str) -> None:
        if call == "append":
            raise StoreInDoubt("disk")

    store, heard = MemoryStore(), list[Change]()
    feeds = await opened(store)
    feeds.subscribe(heard.append)
    store.after = doubt
    with pytest.raises(StoreInDoubt):
        await feeds.publish(ALICE, SCOPE, Kind.ANNOUNCE, claim("1"))
    assert heard == []


async def test_publishing_in_an_unknown_scope_is_refused() -> None:
    feeds = await opened()
    with pytest.raises(ProtocolError) as caught:
        await feeds.publish(ALICE, Scope(bytes(32)), Kind.ANNOUNCE, claim("1"))
    assert caught.value.reason is Reason.UNKNOWN_SCOPE
