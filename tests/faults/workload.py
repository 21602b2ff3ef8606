"""A thousand records through the real services and store, on a disk in memory.

It runs once. The disk's log then says what would be there had the power failed
before any of its changes, so each is tried with a restart and no second run.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import apsw
import trio

from p2pnode.ports import Store
from p2pnode.services.feeds import Change, Draft, Feeds
from p2pnode.store.memory import MemoryStore
from p2pnode.store.sqlite import SqliteStore, open_store
from p2pnode.swarm.simulation import NETWORK, SeededRng
from protocols.claims import Announce, Kind
from protocols.codec import encode
from protocols.feed import ForkProof
from protocols.keys import AuthorKey, RecordId, Scope, SigningKey, neighbourhood_scope
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record
from tests.faults.disk import Change as Changed
from tests.faults.disk import Disk, MemoryVfs
from tests.worlds import key_of

HERE: Final = neighbourhood_scope(NETWORK, "here")
THERE: Final = neighbourhood_scope(NETWORK, "there")
OWN: Final = key_of("shop")
RECORDS: Final = 1_000
NOTE: Final = encode([b"salt" * 4, "a note"])
FILE: Final = "records.sqlite"
NEIGHBOURS: Final = 16
NEVER: Final = sys.maxsize

Contents = tuple[dict[RecordId, tuple[object, ...]], dict[Scope, Any], dict[str, bytes]]


class Clock:
    """It stands still, so that a workload is the same each time."""

    def now_ms(self) -> int:
        return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of a story, and where in the disk's log it began and ended."""

    begun: int
    acknowledged: int
    records: tuple[Record, ...] = ()
    branch: tuple[Record, ...] = ()
    forks: tuple[ForkProof, ...] = ()
    state: Mapping[str, bytes | None] = field(default_factory=dict)
    dropped: tuple[RecordId, ...] = ()

    async def do(self, store: Store) -> None:
        """Write it to a store."""
        if self.dropped:
            await store.drop_parts(self.dropped, claims=False, notes=True)
        elif self.branch:
            await store.append_branch(self.branch)
        else:
            await store.append(self.records, self.forks, self.state)


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened, by places in the disk's log; -1: before it."""

    disk: Disk
    writes: list[Write] = field(default_factory=list)
    shown: list[tuple[int, Record]] = field(default_factory=list)
    """Records of which others were told, and when."""

    def acknowledged(self, place: int) -> int:
        """How many writes were acknowledged before change `place`."""
        return sum(write.acknowledged <= place for write in self.writes)

    def begun(self, place: int) -> int:
        """How many writes were begun before change `place`."""
        return sum(write.begun <= place for write in self.writes)

    def after(self, place: int, writes: int, disk: Disk) -> Story:
        """The story of a node that has just opened what was left at `place`.

        It found `writes` writes; those of them that nobody was told of are there
        for good only now.
        """
        now = len(disk.log)
        past = [
            replace(write, begun=-1, acknowledged=-1 if told else now)
            for write in self.writes[:writes]
            for told in [write.acknowledged <= place]
        ]
        shown = [(-1, record) for when, record in self.shown if when <= place]
        return Story(disk=disk, writes=past, shown=shown)


class Observed:
    """A store that tells a story: what it was given, when it acknowledged it."""

    def __init__(self, store: SqliteStore, story: Story) -> None:
        self._store = store
        self._story = story

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(
        self,
        records: Sequence[Record],
        forks: Sequence[ForkProof] = (),
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        await self._write(
            records=tuple(records), forks=tuple(forks), state=dict(state or {})
        )

    async def append_branch(self, records: Sequence[Record]) -> None:
        await self._write(branch=tuple(records))

    async def drop_parts(
        self, record_ids: Sequence[RecordId], *, claims: bool, notes: bool
    ) -> None:
        assert (claims, notes) == (False, True)
        await self._write(dropped=tuple(record_ids))

    async def _write(self, **what: Any) -> None:
        log, writes = self._story.disk.log, self._story.writes
        number = len(writes)
        write = Write(begun=len(log), acknowledged=NEVER, **what)
        writes.append(write)
        await write.do(self._store)
        writes[number] = replace(write, acknowledged=len(log))

    async def feeds(self) -> Feeds:
        """The feeds of a node that starts on it, which tells what it shows."""
        feeds = Feeds(cast("Store", self), NETWORK, Clock(), SeededRng("node"))

        def told(change: Change) -> None:
            when = len(self._story.disk.log)
            self._story.shown += [(when, record) for record in change.records]

        await feeds.open()
        feeds.own(OWN.author)
        feeds.subscribe(told)
        for scope in (HERE, THERE):
            await feeds.follow(scope)
        return feeds


def drafts(title: str, count: int = 1) -> list[Draft]:
    """Claims to be signed; no two are alike."""
    claims = [
        Announce(salt=bytes(16), campaign=HERE, title=f"{title} {number}", link="")
        for number in range(count)
    ]
    return [Draft(kind=Kind.ANNOUNCE, claim=claim, note=NOTE) for claim in claims]


def chain(
    key: SigningKey,
    scope: Scope,
    count: int,
    after: Sequence[Record] = (),
    title: str = "of a neighbour",
) -> list[Record]:
    """Records of a neighbour's feed, on top of others."""
    made = list(after[-1:])
    for draft in drafts(title, count):
        record = sign_record(
            key,
            network=NETWORK,
            scope=scope,
            seq=made[-1].seq + 1 if made else 0,
            backlink=made[-1].id if made else NO_BACKLINK,
            time_ms=1,
            kind=draft.kind,
            claim=draft.claim,
            note=draft.note,
        )
        made.append(record)
    return made[len(after[-1:]) :]


async def play(
    story: Story, vfs: MemoryVfs, folder: Path, seed: int, size: int = RECORDS
) -> None:
    """Run the workload: two lives of a node, ended in order."""
    rng = random.Random(seed)
    for life in range(2):
        node = Observed(await open_store(folder / FILE, vfs=vfs.name), story)
        try:
            await _live(node, await node.feeds(), rng, life, size // 2)
        finally:
            with suppress(apsw.Error):  # SQLite ignores them, apsw tells them
                await node.close()


async def _live(
    store: Observed, feeds: Feeds, rng: random.Random, life: int, size: int
) -> None:
    """Half of the records: a third signed here, the others from neighbours."""
    others = [
        (key_of(f"{life}/{number}"), (HERE, THERE)[number % 2])
        for number in range(NEIGHBOURS)
    ]
    each = size * 2 // 3 // NEIGHBOURS
    held = [chain(key, scope, each) for key, scope in others]
    waiting = [record for records in zip(*held, strict=True) for record in records]
    own = size - len(waiting)
    for turn in itertools.count():
        if not waiting and not own:
            break
        if own:
            count = min(own, rng.randint(1, 4))
            own -= count
            scope = rng.choice((HERE, THERE))
            await feeds.publish_many(OWN, scope, drafts(f"own {life}", count))
        count = rng.choice((1, 1, 2, 8, 24))
        batch, waiting = waiting[:count], waiting[count:]
        if turn % 3:
            rng.shuffle(batch)
            await feeds.ingest([encode_record(record) for record in batch])
        else:
            await _together(store, batch, {f"turn/{turn % 7}": rng.randbytes(40)})
            await feeds.open()
    for key, _ in others[:3]:
        await _fork(feeds, key, held.pop(0))
    some = [records[0].id for records in held[:3]]
    await store.drop_parts(some, claims=False, notes=True)


async def _together(
    store: Observed, records: Sequence[Record], state: dict[str, bytes | None]
) -> None:
    """Several writes at once, which wait for the thread and share a commit."""
    by_author: dict[AuthorKey, list[Record]] = defaultdict(list)
    for record in records:
        by_author[record.author].append(record)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store._call, hold)
        await trio.to_thread.run_sync(held.wait)
        nursery.start_soon(store.append, (), (), state)
        for feed in by_author.values():
            await trio.testing.wait_all_tasks_blocked()  # in order, not as trio likes
            nursery.start_soon(store.append, feed)
        await trio.testing.wait_all_tasks_blocked()
        go.set()


async def _fork(feeds: Feeds, key: SigningKey, records: list[Record]) -> None:
    """A neighbour signed a place twice; its other branch comes by id."""
    place = len(records) // 2
    other = chain(key, records[0].scope, 2, records[:place], "another branch")
    wires = [encode_record(record) for record in other]
    await feeds.ingest(wires[:1])
    feeds.ask_for((records[0].scope,), [record.id for record in other])
    await feeds.ingest_by_id(wires)


# What a restart must find.


class Oracle:
    """What a store holds after each of the first writes of a story."""

    def __init__(self) -> None:
        self.contents: list[Contents] = []
        self.roots: list[dict[Scope, bytes]] = []

    async def read(self, story: Story) -> None:
        """Do the writes in memory, one after the other."""
        store = MemoryStore()
        ids = list(branches(story))
        await self._note(store, ids)
        for write in story.writes:
            await write.do(store)
            await self._note(store, ids)

    async def _note(self, store: Store, ids: Sequence[RecordId]) -> None:
        self.contents.append(await contents(store, ids))
        self.roots.append(await roots(store))


def branches(story: Story) -> Iterator[RecordId]:
    """The ids that are found in no feed."""
    for write in story.writes:
        yield from (record.id for record in write.branch)


async def contents(store: Store, ids: Sequence[RecordId]) -> Contents:
    """All that a store holds, for comparison; `ids` are those of branches."""
    held: dict[RecordId, tuple[object, ...]] = {}
    for scope in (HERE, THERE):
        feeds: dict[AuthorKey, RecordId] = {}
        for record in await store.scope_records(scope):
            before = feeds.get(record.author, NO_BACKLINK)
            assert record.header.backlink == before, "a feed has a gap"
            feeds[record.author] = record.id
            held[record.id] = _parts(record)
    for one in ids:
        found = await store.get(one)
        if found is not None:
            held[one] = _parts(found)
    forks = {scope: await store.forks(scope) for scope in (HERE, THERE)}
    return held, forks, await store.state("")


def _parts(record: Record) -> tuple[object, ...]:
    """Every byte of a record."""
    return (
        record.header_bytes,
        record.claim_bytes,
        record.note_bytes,
        record.signature,
    )


async def roots(store: Store) -> dict[Scope, bytes]:
    """The frontiers of a node that starts on a store."""
    feeds = Feeds(store, NETWORK, Clock(), SeededRng("roots"))
    await feeds.open()
    return {scope: feeds.frontier(scope).root for scope in feeds.followed}


def cuts(
    log: Sequence[Changed], before: Disk | None = None
) -> Iterator[tuple[int, Disk]]:
    """The disk before each change, and after the last: not to be changed."""
    disk = Disk() if before is None else before.copy()
    yield 0, disk
    for place, change in enumerate(log, 1):
        disk.apply(change)
        yield place, disk


async def restart(
    story: Story, oracle: Oracle, place: int, vfs: MemoryVfs, folder: Path
) -> Story:
    """Start a node on `vfs.disk`, left by a cut before change `place` of a story.

    Checks all that is promised, signs a little; returns the story as it is now.
    """
    store = await open_store(folder / FILE, vfs=vfs.name)
    found = await contents(store, list(branches(story)))
    there = [
        number
        for number in range(story.acknowledged(place), story.begun(place) + 1)
        if oracle.contents[number] == found
    ]
    assert there, "what was acknowledged is not there, or more than that"
    told = [record.id for when, record in story.shown if when <= place]
    assert set(told) <= found[0].keys(), "shown before it was durable"
    assert await roots(store) == oracle.roots[there[0]]
    assert await store.check() == []
    after = story.after(place, there[0], vfs.disk)
    node = Observed(store, after)
    feeds = await node.feeds()
    for scope in (HERE, THERE):
        head = feeds.head(scope, OWN.author)
        (record,) = await feeds.publish_many(OWN, scope, drafts(f"after {place}"))
        assert record.seq == (0 if head is None else head.seq + 1)
    own = [one for _, one in after.shown if one.author == OWN.author]
    places = [(one.scope, one.seq) for one in own]
    assert len(places) == len(set(places)), "signed twice"
    await store.close()
    return after
