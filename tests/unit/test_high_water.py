"""How far own keys have signed: what the file beside the store finds, whatever ends
its writing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pnode import identity
from p2pnode.high_water import (
    LOSS,
    MARK,
    NO_KEY,
    RESTORED,
    TWINS,
    Beside,
    Loss,
    Mark,
    Place,
    after,
    compare,
)
from p2pnode.ports import StoreInDoubt
from p2pnode.store import mark_file
from p2pnode.store.mark_file import SLOT, MarkFile
from p2pnode.store.sqlite import SqliteStore, open_store

A, B = "a" * 32, "b" * 32


def mark(store: str = A, count: int = 5, used: int = 1, taken: int = 0) -> Mark:
    return Mark(store=store, count=count, used=used, taken=taken)


CASES: list[tuple[Beside, Mark | None, Loss | None]] = [
    (Beside(mark=None), None, None),
    (Beside(mark=None, due=True), None, Loss.MARK),
    (Beside(mark=None), mark(), Loss.MARK),
    (Beside(mark=mark()), mark(), None),
    (Beside(mark=mark()), mark(count=6), None),
    (Beside(mark=mark()), mark(count=4), Loss.OLDER),
    (Beside(mark=mark()), mark(B), Loss.STORE),
    (Beside(mark=mark()), None, Loss.STORE),
    (Beside(mark=mark(count=0)), None, None),
    (Beside(mark=mark(taken=2)), mark(taken=2), None),
    (Beside(mark=mark(taken=2)), mark(taken=3), None),
    (Beside(mark=mark(taken=2)), mark(taken=1), Loss.SLIPS),
    (Beside(mark=mark(taken=2)), mark(count=4, taken=1), Loss.OLDER),
    (Beside(mark=mark(taken=2)), mark(B, taken=2), Loss.STORE),
    (Beside(mark=mark(count=0, taken=2)), mark(B, 0), Loss.SLIPS),
    (Beside(mark=mark(count=0, taken=2)), None, Loss.SLIPS),
    (Beside(mark=mark(RESTORED)), mark(), Loss.RESTORED),
    (Beside(mark=mark(RESTORED, 0)), None, Loss.RESTORED),
    (Beside(mark=mark(), moved=Loss.COPIED), mark(), Loss.COPIED),
    (Beside(mark=mark(count=0), moved=Loss.MACHINE), None, Loss.MACHINE),
]


@pytest.mark.parametrize(("beside", "kept", "loss"), CASES)
def test_what_does_not_agree_is_a_loss(
    beside: Beside, kept: Mark | None, loss: Loss | None
) -> None:
    assert compare(beside, kept) is loss


def test_after_a_loss_the_next_key_signs_and_the_count_goes_on() -> None:
    new = after(Loss.OLDER, mark(count=9), mark(count=4), B)
    assert new == mark(B, 10, 2)
    assert after(None, mark(count=9), mark(count=10), B) == mark(count=10)
    assert after(None, None, None, B) == mark(B, 0)
    assert after(Loss.MARK, None, None, B).used == NO_KEY, "nobody knows which signed"
    assert after(Loss.MARK, None, mark(used=2), B).used == 3
    assert after(Loss.SLIPS, mark(taken=2), mark(taken=1), B) == mark(B, taken=2)


@pytest.mark.parametrize("loss", TWINS)
def test_who_may_be_at_work_twice_is_told_apart_for_good(loss: Loss) -> None:
    twin = after(loss, mark(), mark(), B)
    assert twin.twin == B
    assert after(Loss.OLDER, mark(), twin, "c" * 32).twin == B
    assert Mark.decode(twin.encode()) == twin
    assert Mark.decode(b'{"store": "", "count": 0, "used": 1}') == Mark()


@pytest.mark.parametrize(
    "made_up",
    [
        b'{"store": "", "count": Infinity, "used": 1}',
        b'{"store": "", "count": 0.5, "used": 1}',
        b'{"store": "", "count": -1, "used": 1}',
        b'{"store": "", "count": 0, "used": -3}',
        b'{"store": "", "count": true, "used": 1}',
        b"[" * 100_000,
    ],
)
def test_a_made_up_mark_is_none(made_up: bytes) -> None:
    with pytest.raises(ValueError, match=r"counts|deep"):
        Mark.decode(made_up)


def test_a_twin_has_another_peer_id_and_the_same_author_keys(tmp_path: Path) -> None:
    alice = identity.create(tmp_path / "alice", role="resident", name="alice")
    twin = alice.apart(B)
    assert twin.transport_seed not in {
        alice.transport_seed,
        alice.apart(A).transport_seed,
    }
    assert replace(twin, transport_seed=alice.transport_seed) == alice
    assert alice.apart("") is alice
    shop = identity.create(tmp_path / "shop", role="merchant", name="shop")
    assert shop.apart(B) is shop, "its customers know where it is"


def test_a_place_is_told_by_machine_and_file_and_the_unknown_never_differs() -> None:
    here = Place(machine="m", file=1)
    assert here.differs(here) is None
    assert here.differs(Place(machine="n", file=1)) is Loss.MACHINE
    assert here.differs(Place(machine="m", file=2)) is Loss.COPIED
    assert here.differs(Place(machine="", file=0)) is None


def test_a_write_that_is_torn_anywhere_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    file = MarkFile(path)
    file.write(mark(count=1), sync=True)
    before = path.read_bytes()
    file.write(mark(count=2), sync=True)
    file.close()
    after_ = path.read_bytes()
    changed = [n for n in range(len(before)) if before[n] != after_[n]]
    assert changed[-1] - changed[0] < SLOT
    for cut in range(changed[0], changed[0] + 300):
        path.write_bytes(after_[:cut] + before[cut:])
        found = MarkFile(path).read().mark
        assert found in (mark(count=1), mark(count=2))
    path.write_bytes(b"\xff" * (2 * SLOT))
    assert MarkFile(path).read() == Beside(mark=None, due=True), "damaged is not absent"


def test_a_copy_of_the_file_is_another_file(tmp_path: Path) -> None:
    file = MarkFile(tmp_path / "mark")
    file.write(mark(), sync=True)
    file.close()
    shutil.copy2(tmp_path / "mark", tmp_path / "copy")
    (tmp_path / "mark").rename(tmp_path / "moved")
    assert MarkFile(tmp_path / "copy").read().moved is Loss.COPIED
    assert MarkFile(tmp_path / "moved").read().moved is None


def test_another_machine_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = MarkFile(tmp_path / "mark")
    file.write(mark(), sync=True)
    file.close()
    monkeypatch.setattr(mark_file, "machine", lambda: "elsewhere")
    assert MarkFile(tmp_path / "mark").read().moved is Loss.MACHINE
    monkeypatch.setattr(mark_file, "machine", lambda: "")
    assert MarkFile(tmp_path / "mark").read().moved is None


async def opened(home: Path, *, due: bool = True) -> SqliteStore:
    file = MarkFile(home / mark_file.NAME, due=due)
    return await open_store(home / "records.sqlite", mark=file)


async def kept(store: SqliteStore) -> Mark:
    return Mark.decode((await store.state(MARK))[MARK])


async def lost(store: SqliteStore) -> bool:
    return LOSS in await store.state(LOSS)


async def sign(store: SqliteStore, records: int) -> None:
    """Count so many records as signed, as `Feeds` does."""
    for _ in range(records):
        old = await kept(store)
        new = Mark(store=old.store, count=old.count + 1, used=old.used)
        await store.append((), state={MARK: new.encode()})


async def made(home: Path, records: int) -> None:
    store = await opened(home, due=False)
    await sign(store, records)
    await store.close()


async def test_each_commit_is_beside_the_store_before_anybody_is_told(
    tmp_path: Path,
) -> None:
    store = await opened(tmp_path, due=False)
    for count in (1, 2, 3):
        await sign(store, 1)
        found = MarkFile(tmp_path / mark_file.NAME).read().mark
        assert found is not None
        assert found.count == count
    await store.close()
    again = await opened(tmp_path)
    assert not await lost(again)
    await again.close()


def older(home: Path) -> None:
    (home / "old").rename(home / "records.sqlite")


def gone(home: Path) -> None:
    (home / "records.sqlite").unlink()


def no_mark(home: Path) -> None:
    (home / mark_file.NAME).unlink()


def copied(home: Path) -> None:
    path = home / mark_file.NAME
    shutil.copy2(path, home / "x")
    (home / "x").replace(path)


@pytest.mark.parametrize("harm", [older, gone, no_mark, copied])
async def test_a_loss_is_noted_once_wherever_its_noting_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    await made(tmp_path, 3)
    shutil.copy(tmp_path / "records.sqlite", tmp_path / "old")
    await made(tmp_path, 2)
    harm(tmp_path)
    for fails in ("write", "fsync"):  # the store has noted it, the file has not
        with monkeypatch.context() as patch:

            def refuse(*_: object) -> None:
                raise OSError(5, "the disk")

            patch.setattr(os, fails, refuse)
            with pytest.raises((StoreInDoubt, OSError)):
                await opened(tmp_path)
    store = await opened(tmp_path)
    assert await lost(store)
    now = await kept(store)
    assert (now.used, now.count) == (2, 6)
    await store.close()
    again = await opened(tmp_path)
    assert (await kept(again)) == now, "seen to: not a second loss"
    await again.close()


async def test_a_store_that_cannot_write_the_mark_is_in_doubt_and_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(tmp_path, due=False)
    await sign(store, 1)

    def refuse(*_: object) -> int:
        raise OSError(5, "the disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(StoreInDoubt):
            await sign(store, 1)
    await store.close()
    again = await opened(tmp_path)
    assert (await kept(again)).count == 2
    assert not await lost(again), "the store is ahead of its mark: nothing was lost"
    await again.close()


async def test_a_store_of_an_older_version_gets_its_mark(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "records.sqlite")
    await store.append((), state={"x": b"1"})
    await store.close()
    again = await opened(tmp_path, due=False)
    assert not await lost(again)
    assert (await kept(again)).count == 0
    await again.close()
    assert (tmp_path / mark_file.NAME).stat().st_mode & 0o077 == 0
