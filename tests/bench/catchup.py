"""A node that was away fetches everything, verified and durable."""

from __future__ import annotations

import time

import trio

from tests.bench.figures import Row, scaled
from tests.bench.ingest import cpu_of, switching
from tests.bench.pair import Party, two
from tests.bench.records import make

RATE_LEAST = 10_000


def measure(share: float) -> list[Row]:
    """Records a second, from the dial on."""
    count = scaled(10_000, share, 200)
    with switching():
        rate, cpu_ms = trio.run(fetch, count)
    return [
        Row(
            subject="catchup",
            figure=f"{count:,} records in {count // 20:,} feeds, one process",
            value=rate,
            unit="records/s",
            least=RATE_LEAST,
            beside=f"{cpu_ms:.2f} ms CPU a record, both ends",
        )
    ]


async def fetch(count: int) -> tuple[float, float]:
    """Let an empty node fetch `count` records; records/s and CPU ms a record."""
    found: list[float] = []
    records = make(count)

    async def play(a: Party, b: Party) -> None:
        await a.store.append(records)
        await a.feeds.open()
        start, cpu = time.perf_counter(), cpu_of(b.verifier)
        await b.neighbours.add(a.network.addresses[0])
        await b.has_taken(len(records))
        found.append(len(records) / (time.perf_counter() - start))
        found.append(1000 * (cpu_of(b.verifier) - cpu) / len(records))

    await two(play)
    return found[0], found[1]
