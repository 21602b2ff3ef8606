"""How ingest, and what it takes, grow with the store: 1,000 to 100,000 records.

`python -m tests.bench.growth 1000000` goes further, by hand. A process of its
own, so that the memory is that of a node's services and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import trio

from p2pnode.services.feeds import Feeds
from p2pnode.store.sqlite import open_store
from p2pnode.swarm.supervisor import ROOT
from p2pnode.system import SystemClock, SystemRng
from tests.bench.daemon import memory_mb
from tests.bench.figures import Row, scaled
from tests.bench.ingest import BATCH, switching
from tests.bench.records import NETWORK, SCOPE, feed, wires

SIZES = (1_000, 10_000, 100_000, 1_000_000)
AHEAD = 2_000
"""Records made at once, outside of what is measured."""


@dataclass(slots=True)
class Size:
    """What the store held, and what the last records up to there took."""

    records: int
    cpu_us: float
    """CPU a record, of the last tenth or more."""
    memory_mb: float
    """Resident, of the process."""
    file_bytes: int
    open_ms: float = 0.0
    """Reading where all feeds stand, as a start does."""


def measure(share: float) -> list[Row]:
    """A row for each size."""
    command = (sys.executable, "-m", "tests.bench.growth", str(scaled(100_000, share)))
    done = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600
    )
    return [_row(Size(**json.loads(line))) for line in done.stdout.splitlines()]


def _row(size: Size) -> Row:
    return Row(
        subject="growth",
        figure=f"{size.records:,} records: CPU of ingesting one more",
        value=size.cpu_us,
        unit="µs",
        beside=f"memory {size.memory_mb:.0f} MB, file {size.file_bytes / 1e6:.1f} MB, "
        f"reading all heads {size.open_ms:.0f} ms",
    )


def forever() -> Iterator[bytes]:
    """Records of feed after feed."""
    number = 0
    while True:
        number += 1
        yield from wires(feed(number))


async def grow(count: int) -> None:
    """Ingest up to `count` records; print a line at each size."""
    source = forever()
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder, "node.db"))
        feeds = Feeds(store, NETWORK, SystemClock(), SystemRng())
        await feeds.open()
        await feeds.follow(SCOPE)
        held = 0
        for size in [size for size in SIZES if size < count] + [count]:
            while size - held > max(AHEAD, size // 10):
                held += await take(feeds, source, AHEAD)
            rest, cpu = size - held, 0.0
            while held < size:
                some = [*islice(source, min(AHEAD, size - held))]
                before = time.process_time()
                held += await take(feeds, iter(some), len(some))
                cpu += time.process_time() - before
            start = time.perf_counter()
            await feeds.open()
            found = Size(
                records=(await store.counts())["records"],
                cpu_us=1e6 * cpu / rest,
                memory_mb=memory_mb(os.getpid()),
                file_bytes=(await store.counts())["bytes"],
                open_ms=1000 * (time.perf_counter() - start),
            )
            assert found.records == size
            print(json.dumps({k: getattr(found, k) for k in Size.__slots__}))
        await store.close()


async def take(feeds: Feeds, source: Iterator[bytes], count: int) -> int:
    """Ingest `count` records in batches."""
    for at in range(0, count, BATCH):
        await feeds.ingest([*islice(source, min(BATCH, count - at))], source=feeds)
    return count


if __name__ == "__main__":
    with switching():
        trio.run(grow, int(sys.argv[1]))
