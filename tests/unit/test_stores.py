"""Both stores against one table of scenarios, then what only a disk can do."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from p2pnode.ports import (
    Store,
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreInDoubt,
    StoreInUse,
    StoreTooNew,
)
from p2pnode.store import sqlite
from p2pnode.store.memory import MemoryStore, wire_size
from p2pnode.store.sqlite import SqliteStore, open_store
from protocols.claims import Announce, Kind
from protocols.codec import encode
from protocols.feed import Head, prove_fork
from protocols.keys import (
    RecordId,
    Scope,
    Seed,
    SigningKey,
    network_id,
)
from protocols.record import (
    NO_BACKLINK,
    Record,
    encode_record,
    sign_record,
    without_parts,
)

NETWORK = network_id("test")
HERE, THERE = Scope(b"\x01" * 32), Scope(b"\x02" * 32)
NOTE = encode([b"salt" * 4, "a note"])


def key(number: int) -> SigningKey:
    return SigningKey(Seed(number.to_bytes(32, "big")))


ANNA, BEN = sorted((key(1), key(2)), key=lambda one: one.author)


def write(
    author: SigningKey, before: Record | None, text: str, scope: Scope = HERE
) -> Record:
    """The next record of a feed, with a note."""
    claim = Announce(salt=bytes(16), campaign=scope, title=text, link="")
    return sign_record(
        author,
        network=NETWORK,
        scope=scope,
        seq=0 if before is None else before.seq + 1,
        backlink=NO_BACKLINK if before is None else before.id,
        time_ms=0,
        kind=Kind.ANNOUNCE,
        claim=claim,
        note=NOTE,
    )


def chain(author: SigningKey, count: int, scope: Scope = HERE) -> list[Record]:
    feed: list[Record] = []
    for number in range(count):
        feed.append(write(author, feed[-1] if feed else None, f"{number}", scope))
    return feed


A = chain(ANNA, 5)
B = chain(BEN, 2)
FAR = chain(ANNA, 1, THERE)
OTHER_2 = write(ANNA, A[1], "another branch")
OTHER_3 = write(ANNA, OTHER_2, "of the other branch")
OTHER_4 = write(ANNA, A[3], "a later fork")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = (
        MemoryStore()
        if request.param == "memory"
        else await open_store(tmp_path / "node.db")
    )
    yield made
    await made.close()


async def appends_and_reads(store: Store) -> None:
    await store.append([*A, *B, *FAR])
    assert await store.get(A[3].id) == A[3]
    assert await store.get(RecordId(bytes(32))) is None
    assert await store.scope_records(HERE) == [*A, *B]
    assert await store.scope_records(THERE) == FAR
    assert await store.scopes() == [HERE, THERE]
    assert await store.heads(HERE) == {
        ANNA.author: Head(4, A[4].id),
        BEN.author: Head(1, B[1].id),
    }


async def is_empty_at_first(store: Store) -> None:
    assert await store.scopes() == []
    assert await store.heads(HERE) == {}
    assert await store.scope_records(HERE) == []
    assert await store.feed(HERE, ANNA.author, 0, 9, 10**6) == []
    assert await store.forks(HERE) == []
    assert await store.state("") == {}


async def appends_nothing(store: Store) -> None:
    await store.append([])
    await store.append_branch([])
    await store.drop_parts([], claims=True, notes=True)
    assert await store.scopes() == []


async def reads_a_stretch_of_a_feed(store: Store) -> None:
    await store.append([*A, *B])
    assert await store.feed(HERE, ANNA.author, 1, 3, 10**6) == A[1:3]
    assert await store.feed(HERE, ANNA.author, 3, 99, 10**6) == A[3:]
    assert await store.feed(HERE, ANNA.author, 3, 3, 10**6) == []
    assert await store.feed(THERE, ANNA.author, 0, 9, 10**6) == []


async def bounds_a_stretch_by_bytes(store: Store) -> None:
    await store.append(A)
    two = wire_size(A[0]) + wire_size(A[1])
    assert await store.feed(HERE, ANNA.author, 0, 9, 0) == A[:1]
    assert await store.feed(HERE, ANNA.author, 0, 9, two - 1) == A[:1]
    assert await store.feed(HERE, ANNA.author, 0, 9, two) == A[:2]


async def appends_again(store: Store) -> None:
    await store.append(A)
    await store.append([*A[2:], *A[2:]])
    assert await store.scope_records(HERE) == A


async def fills_in_absent_parts(store: Store) -> None:
    await store.append([without_parts(one, claim=True, note=True) for one in A])
    await store.append([without_parts(one, claim=False, note=True) for one in A])
    assert (await store.scope_records(HERE))[0].note_bytes is None
    await store.append([without_parts(one, claim=True, note=False) for one in A])
    assert await store.scope_records(HERE) == A


async def drops_parts_for_good(store: Store) -> None:
    await store.append(A)
    await store.drop_parts([A[1].id, RecordId(bytes(32))], claims=False, notes=True)
    await store.drop_parts([A[2].id], claims=True, notes=False)
    await store.append(A)
    assert await store.get(A[1].id) == without_parts(A[1], claim=False, note=True)
    assert await store.get(A[2].id) == without_parts(A[2], claim=True, note=False)
    assert await store.get(A[3].id) == A[3]


async def keeps_the_lowest_fork(store: Store) -> None:
    early, late = prove_fork(A[2], OTHER_2), prove_fork(A[4], OTHER_4)
    await store.append(A, forks=[late])
    assert await store.forks(HERE) == [late]
    await store.append([], forks=[early])
    await store.append([], forks=[late])
    assert await store.forks(HERE) == [early]
    assert await store.forks(THERE) == []


async def orders_forks_by_author(store: Store) -> None:
    other = write(BEN, B[0], "another branch")
    forks = [prove_fork(A[2], OTHER_2), prove_fork(B[1], other)]
    await store.append([], forks=list(reversed(forks)))
    assert await store.forks(HERE) == forks


async def holds_the_other_branch_apart(store: Store) -> None:
    await store.append(A)
    await store.append_branch([OTHER_2, OTHER_3, A[4]])
    assert await store.get(OTHER_3.id) == OTHER_3
    assert await store.scope_records(HERE) == A
    assert await store.feed(HERE, ANNA.author, 0, 9, 10**6) == A
    assert (await store.heads(HERE))[ANNA.author] == Head(4, A[4].id)


async def a_branch_can_become_the_feed(store: Store) -> None:
    await store.append(A[:2])
    await store.append_branch([OTHER_2])
    await store.append([OTHER_2, OTHER_3])
    assert await store.scope_records(HERE) == [*A[:2], OTHER_2, OTHER_3]


async def refuses_a_taken_place(store: Store) -> None:
    await store.append(A)
    with pytest.raises(StoreConflict):
        await store.append([*B, OTHER_2], state={"key": b"value"})
    assert await store.scope_records(HERE) == A
    assert await store.state("") == {}
    await store.append(B)
    assert await store.scope_records(HERE) == [*A, *B]


async def refuses_two_for_one_place(store: Store) -> None:
    with pytest.raises(StoreConflict):
        await store.append([*A, OTHER_2])
    assert await store.scopes() == []


async def keeps_state(store: Store) -> None:
    await store.append([], state={"b/2": b"2", "b/1": b"", "a%_": b"\x00", "c": b"c"})
    assert list((await store.state("b/")).items()) == [("b/1", b""), ("b/2", b"2")]
    await store.append([], state={"b/1": b"new", "b/2": None, "absent": None})
    assert await store.state("b/") == {"b/1": b"new"}
    assert await store.state("a%") == {"a%_": b"\x00"}
    assert len(await store.state("")) == 3


async def counts_what_it_holds(store: Store) -> None:
    await store.append([*A, *B, *FAR])
    await store.append_branch([OTHER_2])
    counts = await store.counts()
    assert (counts["records"], counts["feeds"]) == (9, 3)
    assert counts["bytes"] > sum(map(wire_size, A))


async def refuses_calls_once_closed(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreInDoubt):
        await store.append(A)
    with pytest.raises(StoreInDoubt):
        await store.get(A[0].id)


async def stores_all_of_many_at_once(store: Store) -> None:
    feeds = [chain(key(number), 3) for number in range(3, 33)]
    async with trio.open_nursery() as nursery:
        for feed in feeds:
            nursery.start_soon(store.append, feed)
    feeds.sort(key=lambda feed: feed[0].author)
    assert await store.scope_records(HERE) == [one for feed in feeds for one in feed]
    assert list(await store.heads(HERE)) == [feed[0].author for feed in feeds]


SCENARIOS = [
    is_empty_at_first,
    appends_nothing,
    appends_and_reads,
    reads_a_stretch_of_a_feed,
    bounds_a_stretch_by_bytes,
    appends_again,
    fills_in_absent_parts,
    drops_parts_for_good,
    keeps_the_lowest_fork,
    orders_forks_by_author,
    holds_the_other_branch_apart,
    a_branch_can_become_the_feed,
    refuses_a_taken_place,
    refuses_two_for_one_place,
    keeps_state,
    counts_what_it_holds,
    refuses_calls_once_closed,
    stores_all_of_many_at_once,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
async def test_both(store: Store, scenario: Callable[[Store], Awaitable[None]]) -> None:
    await scenario(store)


def test_wire_size_bounds_the_encoding() -> None:
    for record in (A[0], without_parts(A[0], claim=True, note=True)):
        assert 0 <= wire_size(record) - len(encode_record(record)) <= 8


# The memory store only.


async def test_memory_crashes_before_or_after_a_write() -> None:
    calls: list[str] = []

    def crash(call: str) -> None:
        raise KeyboardInterrupt(call)

    store, twin = MemoryStore(before=calls.append), MemoryStore()
    await store.append(A[:1])
    await store.heads(HERE)
    assert calls == ["append", "heads"]
    store.before = crash
    with pytest.raises(KeyboardInterrupt, match="append"):
        await store.append(A[1:])
    await twin.append(A[:1])
    assert store.snapshot() == twin.snapshot()
    store.before, store.after = None, crash
    with pytest.raises(KeyboardInterrupt, match="append"):
        await store.append(A[1:])
    assert store.snapshot() != twin.snapshot()
    await twin.append(A[1:])
    assert store.snapshot() == twin.snapshot()


async def test_memory_in_doubt_closes_until_reopened() -> None:
    def doubt(call: str) -> None:
        raise StoreInDoubt(call)

    store = MemoryStore(after=doubt)
    with pytest.raises(StoreInDoubt):
        await store.append(A)
    with pytest.raises(StoreInDoubt, match="closed"):
        await store.heads(HERE)
    store.reopen()
    assert await store.scope_records(HERE) == A


# The SQLite store only.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


CHILD = """
import sys, trio
from pathlib import Path
from p2pnode.store.sqlite import open_store
from test_stores import A, HERE, chain, key

async def main():
    store = await open_store(Path(sys.argv[1]))
    for number in range(100, 10_000):
        (record,) = chain(key(number), 1)
        await store.append([record])
        print(record.id.hex(), flush=True)

trio.run(main)
"""


def acknowledged(path: Path, count: int) -> list[RecordId]:
    """Ids that a child acknowledged before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{Path.cwd()}:{Path(__file__).parent}"},
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(count)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    return [RecordId(bytes.fromhex(line)) for line in lines if len(line) == 65]


async def test_acknowledged_records_survive_a_kill(path: Path) -> None:
    ids = await trio.to_thread.run_sync(acknowledged, path, 40)
    store = await open_store(path)
    assert len(ids) >= 40
    assert all([await store.get(one) is not None for one in ids])
    assert await store.check() == []
    assert (await store.counts())["records"] - len(ids) in {0, 1}
    await store.close()


async def test_writes_that_wait_are_committed_together(path: Path) -> None:
    store = await open_store(path)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(store.append, chain(key(number + 3), 1))
    assert store.commits < 20
    assert (await store.counts())["records"] == 200
    await store.close()


async def test_each_of_a_group_fails_alone(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    failed: list[Exception] = []

    async def conflicting() -> None:
        with pytest.raises(StoreConflict) as caught:
            await store.append([OTHER_2])
        failed.append(caught.value)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(store.append, chain(key(number + 3), 1))
        nursery.start_soon(conflicting)
    assert len(failed) == 1
    assert (await store.counts())["records"] == 15
    await store.close()


async def test_a_cancelled_append_is_not_abandoned(path: Path) -> None:
    store = await open_store(path)

    async def append(scope: trio.CancelScope) -> None:
        with scope:
            await store.append(A)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(append, scope)
        await trio.lowlevel.checkpoint()
        scope.cancel()
    assert await store.scope_records(HERE) in (A, [])
    await store.close()


async def test_reopens_with_everything(path: Path) -> None:
    store = await open_store(path)
    proof = prove_fork(A[2], OTHER_2)
    await store.append([*A, *B], forks=[proof], state={"key": b"value"})
    await store.close()
    store = await open_store(path)
    assert await store.scope_records(HERE) == [*A, *B]
    assert await store.forks(HERE) == [proof]
    assert await store.state("") == {"key": b"value"}
    await store.close()


async def test_reads_a_scope_in_pages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pnode.store.rows.PAGE_ROWS", 2)
    monkeypatch.setattr("p2pnode.store.rows.HEADS_PAGE", 1)
    store = await open_store(path)
    await store.append([*A, *B, *FAR])
    assert await store.scope_records(HERE) == [*A, *B]
    assert list(await store.heads(HERE)) == [ANNA.author, BEN.author]
    await store.close()


async def test_the_file_is_private_and_for_one(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    for file in folder(path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with pytest.raises(StoreInUse):
        await open_store(path)
    await store.close()
    assert [file.name for file in folder(path)] == ["node.db"]


async def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    await (await open_store(path)).close()
    sql(path, "PRAGMA user_version = 99")
    before = content(path)
    with pytest.raises(StoreTooNew, match="99"):
        await open_store(path)
    assert content(path) == before


async def test_what_is_not_a_store_is_refused(path: Path) -> None:
    overwrite(path, 0, b"not a database" * 100)
    with pytest.raises(StoreDamaged):
        await open_store(path)
    path = path.with_name("theirs.db")
    sql(path, "CREATE TABLE theirs (column)")
    with pytest.raises(StoreDamaged, match="not a p2pnode store"):
        await open_store(path)


async def test_a_migration_keeps_a_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(path)
    await store.append(A)
    await store.close()
    first = sqlite._migrations()
    broken = [*first, "CREATE TABLE second (x); SELECT * FROM nowhere"]
    monkeypatch.setattr(sqlite, "_migrations", lambda: broken)
    with pytest.raises(StoreDamaged):
        await open_store(path)
    monkeypatch.setattr(
        sqlite, "_migrations", lambda: [*first, "CREATE TABLE second (x)"]
    )
    store = await open_store(path)
    assert await store.scope_records(HERE) == A
    await store.close()
    monkeypatch.undo()
    copy = path.with_name(f"node.db.v{len(first)}")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    store = await open_store(copy)
    assert await store.scope_records(HERE) == A
    await store.close()
    with pytest.raises(StoreTooNew):
        await open_store(path)


async def test_backup_while_writing(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    copy = path.with_name("copy.db")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.backup, copy)
        nursery.start_soon(store.append, B)
    with pytest.raises(FileExistsError):
        await store.backup(copy)
    await store.close()
    store = await open_store(copy)
    assert await store.scope_records(HERE) in (A, [*A, *B])
    await store.close()
    assert [one.name for one in folder(path)] == ["copy.db", "node.db"]


async def test_a_backup_ends_when_the_store_does(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite._Copy.step, "__defaults__", (0,))  # never done
    store = await open_store(path)
    await store.append(A)

    async def backup() -> None:
        with pytest.raises(StoreInDoubt):
            await store.backup(path.with_name("copy.db"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(backup)
        await trio.testing.wait_all_tasks_blocked()
        await store.close()
    assert [one.name for one in folder(path)] == ["node.db"]


async def test_a_backup_ends_when_the_store_is_in_doubt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite._Copy.step, "__defaults__", (0,))  # never done
    store = await open_store(path)
    await store.append(A)
    connection = store._database.connection()
    await store._call(lambda: connection.set_commit_hook(lambda: True))

    async def backup() -> None:
        with pytest.raises((StoreInDoubt, StoreDamaged)):
            await store.backup(path.with_name("copy.db"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(backup)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreInDoubt):
            await store.append(B)
    await store.close()
    assert "copy.db" not in [one.name for one in folder(path)]


async def test_full_is_full_and_usable_after(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    await in_thread(store, "PRAGMA max_page_count = 20")
    with pytest.raises(StoreFull):
        await store.append(chain(BEN, 200))
    assert await store.scope_records(HERE) == A
    await in_thread(store, "PRAGMA max_page_count = 1000000")
    await store.append(B)
    assert await store.scope_records(HERE) == [*A, *B]
    await store.close()


async def test_a_dropped_note_leaves_the_files(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    await store.drop_parts([one.id for one in A], claims=False, notes=True)
    assert all(NOTE not in file.read_bytes() for file in folder(path))
    await store.close()


@pytest.mark.parametrize("column", ["header", "claim", "note", "signature"])
async def test_a_flipped_bit_is_found_and_mended(path: Path, column: str) -> None:
    store = await open_store(path)
    await store.append(A)
    flipped = f"substr({column}, 1, 3) || x'7f' || substr({column}, 5)"
    await in_thread(
        store, f"UPDATE records SET {column} = CAST({flipped} AS BLOB) WHERE seq = 2"
    )
    with pytest.raises(StoreDamaged) as caught:
        await store.get(A[2].id)
    assert caught.value.record_id == A[2].id
    await store.append([A[2]])
    assert await store.scope_records(HERE) == A
    await store.close()


async def test_signatures_of_an_older_store_get_their_sums(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    await store.close()
    sql(path, "ALTER TABLE records DROP COLUMN signature_sum; PRAGMA user_version = 1")
    store = await open_store(path)
    assert await store.scope_records(HERE) == A
    await store.close()


async def test_check_reports_damage(path: Path) -> None:
    store = await open_store(path)
    await store.append([*A, *chain(BEN, 200)])
    assert await store.check() == []
    await store.close()
    overwrite(path, 4096 * 8, b"\xff" * 4096 * 4)
    store = await open_store(path)
    assert await store.check() != []
    with pytest.raises(StoreDamaged):
        await store.scope_records(HERE)
    await store.close()


class FaultyFile(apsw.VFSFile):
    """A file whose writes or syncs fail as its VFS says."""

    def __init__(self, vfs: FaultyVfs, name: apsw.URIFilename | str, flags: list[int]):
        self.vfs = vfs
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self.vfs.sync_fails:
            raise apsw.IOError("injected")
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.vfs.disk_full or self.vfs.writes_left == 0:
            raise apsw.FullError("injected")
        if self.vfs.writes_left is not None:
            self.vfs.writes_left -= 1
        super().xWrite(data, offset)


class FaultyVfs(apsw.VFS):
    """The real file system, until told otherwise."""

    def __init__(self) -> None:
        self.sync_fails = False
        self.disk_full = False
        self.writes_left: int | None = None
        super().__init__("faulty", "")

    def xOpen(  # noqa: N802
        self, name: apsw.URIFilename | str | None, flags: list[int]
    ) -> FaultyFile:
        assert name is not None
        return FaultyFile(self, name, flags)


@pytest.fixture
def vfs() -> Iterator[FaultyVfs]:
    faulty = FaultyVfs()
    yield faulty
    faulty.unregister()


async def test_a_failed_sync_leaves_the_commit_in_doubt(
    path: Path, vfs: FaultyVfs
) -> None:
    store = await open_store(path, vfs="faulty")
    await store.append(A)
    vfs.sync_fails = True
    with pytest.raises(StoreInDoubt):
        await store.append(B)
    with pytest.raises(StoreInDoubt):
        await store.append(B)
    with pytest.raises(StoreInDoubt):
        await store.heads(HERE)
    await store.close()
    with pytest.raises(StoreInDoubt):
        await open_store(path, vfs="faulty")
    vfs.sync_fails = False
    store = await open_store(path, vfs="faulty")
    assert await store.scope_records(HERE) in (A, [*A, *B])
    await store.append([*A, *B])
    assert await store.scope_records(HERE) == [*A, *B]
    assert await store.check() == []
    await store.close()


async def test_all_of_a_group_are_in_doubt(path: Path, vfs: FaultyVfs) -> None:
    store = await open_store(path, vfs="faulty")
    vfs.sync_fails = True
    doubts: list[int] = []

    async def append(number: int) -> None:
        with pytest.raises(StoreInDoubt):
            await store.append(chain(key(number), 1))
        doubts.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3, 13):
            nursery.start_soon(append, number)
    assert sorted(doubts) == list(range(3, 13))
    await store.close()


async def test_a_refused_commit_is_in_doubt(path: Path) -> None:
    store = await open_store(path)
    await store.append(A)
    connection = store._database.connection()
    await store._call(lambda: connection.set_commit_hook(lambda: True))
    with pytest.raises(StoreInDoubt):
        await store.append(B)
    await store.close()
    store = await open_store(path)
    assert await store.scope_records(HERE) == A
    await store.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_disk_that_fills_at_any_write_keeps_nothing(
    path: Path, vfs: FaultyVfs, crash: bool
) -> None:
    """Also when the last page of the commit is the one that finds no room."""
    full = 0
    while True:
        store = await open_store(path, vfs="faulty")
        if not full:
            await store.append(A)
        vfs.writes_left = full
        full += 1
        try:
            await store.append(B)
        except StoreFull:
            vfs.writes_left = None
            assert await store.scope_records(HERE) == A
            if crash:
                await store._call(store._database.abandon)
            await store.close()
        else:
            break
    vfs.writes_left = None
    assert full > 4
    assert await store.scope_records(HERE) == [*A, *B]
    await store.close()


async def test_a_full_disk_is_found_before_the_commit(
    path: Path, vfs: FaultyVfs
) -> None:
    store = await open_store(path, vfs="faulty")
    await store.append(A)
    vfs.disk_full = True
    with pytest.raises(StoreFull):
        await store.append(B)
    assert await store.scope_records(HERE) == A
    vfs.disk_full = False
    await store.append(B)
    assert await store.scope_records(HERE) == [*A, *B]
    await store.close()


def folder(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Change the file behind the store's back."""
    path.touch()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def sql(path: Path, text: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(text)
    connection.close()


async def in_thread(store: SqliteStore, text: str) -> None:
    """Run SQL on the store's own connection."""
    connection = store._database.connection()
    await store._call(lambda: connection.execute(text).fetchall())
