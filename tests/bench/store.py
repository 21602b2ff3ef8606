"""How fast records become durable, without decoding or verifying them."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from p2pnode.store.sqlite import SqliteStore, open_store
from protocols.record import Record
from tests.bench.figures import Row, scaled
from tests.bench.ingest import switching
from tests.bench.records import SCOPE, make

CASES: Final = (
    # name, how many at once, records, whether another thread computes meanwhile
    ("batches of 1", 1, 2_000, False),
    ("batches of 16", 16, 8_000, False),
    ("batches of 256", 256, 16_000, False),
    ("64 tasks, 1 each", -64, 4_000, False),
    ("another thread busy, batches of 1", 1, 400, True),
    ("another thread busy, batches of 256", 256, 8_000, True),
)


@contextmanager
def busy(*, on: bool) -> Iterator[None]:
    """Have another thread compute in Python meanwhile, as ingest would."""
    stop = threading.Event()

    def compute() -> None:
        while on and not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def append_in_batches(
    store: SqliteStore, records: list[Record], batch: int
) -> None:
    """One call after the other, `batch` records each."""
    for start in range(0, len(records), batch):
        await store.append(records[start : start + batch])


async def append_concurrently(
    store: SqliteStore, records: list[Record], tasks: int
) -> None:
    """Single records, from `tasks` tasks at once."""
    async with trio.open_nursery() as nursery:
        for start in range(tasks):
            nursery.start_soon(append_in_batches, store, records[start::tasks], 1)


def measure(share: float) -> list[Row]:
    """Append in batches and from many tasks, then read it back."""
    records = make(scaled(16_000, share, 512))
    with switching():
        return trio.run(_measure, records, share)


async def _measure(records: list[Record], share: float) -> list[Row]:
    rows: list[Row] = []
    for name, size, count, load in CASES:
        some = records[: scaled(count, share, 64)]
        with tempfile.TemporaryDirectory() as folder, busy(on=load):
            store = await open_store(Path(folder, "node.db"))
            before, start = store.commits, time.perf_counter()
            if size > 0:
                await append_in_batches(store, some, size)
            else:
                await append_concurrently(store, some, -size)
            rate = len(some) / (time.perf_counter() - start)
            commits = store.commits - before
            rows.append(_row(name, rate, f"{commits:,} commits"))
            if name == "batches of 256":
                start = time.perf_counter()
                found = await store.scope_records(SCOPE)
                rate = len(found) / (time.perf_counter() - start)
                rows.append(_row("read a scope back", rate, "all at once"))
            await store.close()
    return rows


def _row(figure: str, rate: float, beside: str) -> Row:
    return Row(
        subject="store", figure=figure, value=rate, unit="records/s", beside=beside
    )
