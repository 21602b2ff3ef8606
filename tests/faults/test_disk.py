"""Disks that refuse, lie or forget, under the real services and store."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.keeper import Keeper
from p2pnode.net.simulated import World
from p2pnode.node import Node
from p2pnode.ports import Store, StoreDamaged, StoreFull, StoreInDoubt
from p2pnode.store import sqlite
from p2pnode.store.sqlite import open_store
from p2pnode.swarm.simulation import SeededRng
from tests.faults.disk import Change, Disk, MemoryVfs, mounted
from tests.faults.workload import (
    FILE,
    HERE,
    OWN,
    Clock,
    Oracle,
    Story,
    branches,
    contents,
    cuts,
    drafts,
    play,
    restart,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # of errors that SQLite ignores
)

FEW = 96


@pytest.fixture
def vfs() -> Iterator[MemoryVfs]:
    with mounted() as vfs:
        yield vfs


def refusing(call: str, code: int) -> Callable[[Change], Change]:
    """A hook: from now on a call fails."""

    def before(change: Change) -> Change:
        if change.call == call:
            raise apsw.exception_for(code)
        return change

    return before


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("sync", apsw.SQLITE_IOERR_FSYNC),
        ("write", apsw.SQLITE_IOERR_WRITE),  # so it is when remounted read-only
    ],
)
@pytest.mark.slow
async def test_a_node_says_why_it_stopped_signing_and_recovers(
    vfs: MemoryVfs,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    call: str,
    code: int,
) -> None:
    network = World(1)
    identity = Identity(
        role="merchant",
        name="shop",
        network="test",
        transport_seed=bytes(32),
        author_key=OWN,
        root_seed=bytes(32),
    )

    def build(store: Store) -> Node:
        return Node(
            identity,
            store=store,
            network=network.network("shop"),
            clock=Clock(),
            rng=SeededRng("shop"),
        )

    async def publish(node: Node, title: str) -> int:
        (record,) = await node.feeds.publish_many(OWN, HERE, drafts(title))
        return record.seq

    keeper = Keeper(functools.partial(open_store, tmp_path / FILE, vfs=vfs.name), build)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        first = keeper.node
        await first.feeds.follow(HERE)
        assert await publish(first, "0") == 0
        vfs.disk.before = refusing(call, code)
        for _ in range(2):
            with pytest.raises(StoreInDoubt):
                await publish(first, "1")
        while "the store did not open: " not in caplog.text:  # noqa: ASYNC110
            await trio.sleep(0.01)
        with pytest.raises(Failure, match="opens its store again"):
            _ = keeper.node
        vfs.disk.before = None
        while not (second := working(keeper)):  # noqa: ASYNC110
            await trio.sleep(0.01)
        seq = await publish(second, "1 or 2")
        nursery.cancel_scope.cancel()
    assert "the store is in doubt: IOError" in caplog.text
    vfs.disk = vfs.disk.after_cut(call)
    store = await open_store(tmp_path / FILE, vfs=vfs.name)
    found = await store.scope_records(HERE)
    assert [record.seq for record in found] == list(range(seq + 1))
    await store.close()


def working(keeper: Keeper) -> Node | None:
    try:
        return keeper.node
    except Failure:
        return None


@pytest.mark.slow
async def test_a_disk_that_fills_at_any_write_keeps_what_was_acknowledged(
    vfs: MemoryVfs, tmp_path: Path
) -> None:
    """Half of the write that finds no room is done; then the power fails."""
    for number in (0, 1, 2, 5, 17, 24, 39, *random.Random(3).sample(range(40, 400), 9)):
        vfs.disk = Disk()
        story, oracle, room = Story(disk=vfs.disk), Oracle(), iter(range(number))
        vfs.disk.before = functools.partial(fill, vfs.disk, room)
        with pytest.raises((StoreFull, ExceptionGroup)) as caught:
            await play(story, vfs, tmp_path, 1, FEW)
        assert all(isinstance(error, StoreFull) for error in leaves(caught.value))
        await oracle.read(story)
        place = len(vfs.disk.log)
        vfs.disk = vfs.disk.after_cut(f"full/{number}")
        after = await restart(story, oracle, place, vfs, tmp_path)
        past = [write for write in after.writes if write.begun == -1]
        unsaid = [write for write in past if write.acknowledged != -1]
        # A part that was dropped stays dropped, also if the WAL could not be emptied.
        assert all(write.dropped for write in unsaid), "StoreFull, but it is there"


def fill(disk: Disk, room: Iterator[int], change: Change) -> Change:
    """A hook: there is no more room."""
    if change.call == "write" and next(room, None) is None:
        half = change.data[: len(change.data) // 2]
        file = disk.files[change.name]
        if len(file.data) < change.offset + len(change.data):
            part = Change(
                call="write", name=change.name, offset=change.offset, data=half
            )
            disk.log.append(part)
            disk.apply(part)
            raise apsw.FullError("injected")
    return change


def leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def lied(change: Change) -> bool:
    return change.call.startswith("sync")


def forgot(change: Change) -> bool:
    return False


@pytest.mark.slow
@pytest.mark.parametrize("skipped", [lied, forgot])
async def test_what_a_lying_disk_lost_is_never_shown_as_something_else(
    vfs: MemoryVfs, tmp_path: Path, skipped: Callable[[Change], bool]
) -> None:
    """Syncs that did nothing, or a WAL that somebody deleted.

    What was acknowledged may be gone then, and nothing here can tell. What is
    shown is what was stored, or the store says that it is damaged.
    """
    story, oracle = Story(disk=vfs.disk), Oracle()
    await play(story, vfs, tmp_path, 1, FEW)
    await oracle.read(story)
    log, rng = story.disk.log, random.Random(4)
    everything = oracle.contents[-1][0]
    for seed in range(12):
        start = rng.randrange(60, len(log))
        stop = min(len(log), start + rng.randrange(100))
        real = [
            change
            for place, change in enumerate(log[:stop])
            if place < start or not skipped(change)
        ]
        *_, (_, disk) = cuts(real)
        vfs.disk = disk.after_cut(f"lie/{seed}")
        if skipped is forgot:
            vfs.disk.files.pop(f"{FILE}-wal", None)
        try:
            store = await open_store(tmp_path / FILE, vfs=vfs.name)
        except StoreDamaged:
            continue
        for record_id, (header, _, _, signature) in everything.items():
            with suppress(StoreDamaged):
                if record := await store.get(record_id):
                    assert (record.header_bytes, record.signature) == (
                        header,
                        signature,
                    )
        await store.close()


@pytest.mark.slow
async def test_a_migration_that_is_cut_anywhere_is_done_again(
    vfs: MemoryVfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, oracle = Story(disk=vfs.disk), Oracle()
    await play(story, vfs, tmp_path, 1, FEW)
    await oracle.read(story)
    old, versions = vfs.disk.copy(), sqlite._migrations()
    newer = [
        *versions,
        "CREATE INDEX kinds ON records (kind)",
        "ALTER TABLE records ADD COLUMN more TEXT; UPDATE records SET more = hex(id)",
    ]
    monkeypatch.setattr(sqlite, "_migrations", lambda: newer)
    vfs.disk = old.copy()
    await (await open_store(tmp_path / FILE, vfs=vfs.name)).close()
    log = vfs.disk.log
    assert len(log) > 30
    for place, disk in cuts(log, old):
        if place % 3 == 0:
            vfs.disk = disk.after_cut(f"migration/{place}")
            store = await open_store(tmp_path / FILE, vfs=vfs.name)
            found = await contents(store, list(branches(story)))
            assert found == oracle.contents[-1]
            connection = store._database.connection()
            assert connection.pragma("user_version") == len(newer)
            assert await store.check() == []
            await store.close()
