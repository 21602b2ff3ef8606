"""How fast records become durable: `python -m tests.bench.store`."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from p2pnode.store.sqlite import SqliteStore, open_store
from protocols.claims import Announce, Kind
from protocols.keys import Scope, Seed, SigningKey, network_id
from protocols.record import NO_BACKLINK, Record, sign_record

NETWORK = network_id("bench")
SCOPE = Scope(b"\x01" * 32)
FEED_RECORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    records: int
    commits: int
    records_per_second: int


def feed(number: int) -> list[Record]:
    """A feed of small records, all of its own author."""
    key = SigningKey(Seed(number.to_bytes(32, "big")))
    records: list[Record] = []
    backlink = NO_BACKLINK
    for seq in range(FEED_RECORDS):
        claim = Announce(salt=bytes(16), campaign=SCOPE, title=f"{seq}", link="")
        record = sign_record(
            key,
            network=NETWORK,
            scope=SCOPE,
            seq=seq,
            backlink=backlink,
            time_ms=0,
            kind=Kind.ANNOUNCE,
            claim=claim,
        )
        records.append(record)
        backlink = record.id
    return records


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


async def measure() -> list[Figure]:
    """Append in batches and from many tasks, then read it back."""
    records = [record for number in range(800) for record in feed(number)]
    cases = [
        ("batches of 1", append_in_batches, 1, 2_000, False),
        ("batches of 16", append_in_batches, 16, 16_000, False),
        ("batches of 256", append_in_batches, 256, 16_000, False),
        ("64 tasks, 1 each", append_concurrently, 64, 4_000, False),
        ("busy, batches of 1", append_in_batches, 1, 100, True),
        ("busy, batches of 256", append_in_batches, 256, 4_000, True),
        ("busy, 64 tasks, 1 each", append_concurrently, 64, 1_000, True),
    ]
    figures = []
    for name, append, size, count, load in cases:
        with tempfile.TemporaryDirectory() as folder, busy(on=load):
            store = await open_store(Path(folder, "node.db"))
            before, start = store.commits, time.perf_counter()
            await append(store, records[:count], size)
            seconds = time.perf_counter() - start
            commits = store.commits - before
            figures.append(figure(name, count, commits, seconds))
            if name == "batches of 256":
                start = time.perf_counter()
                found = await store.scope_records(SCOPE)
                seconds = time.perf_counter() - start
                figures.append(figure("read the scope", len(found), 0, seconds))
            await store.close()
    return figures


def figure(name: str, records: int, commits: int, seconds: float) -> Figure:
    """A line of the table."""
    return Figure(
        name=name,
        records=records,
        commits=commits,
        records_per_second=round(records / seconds),
    )


def main() -> None:
    """Print the table, one JSON object a line."""
    for line in trio.run(measure):
        print(json.dumps(asdict(line)))


if __name__ == "__main__":
    main()
