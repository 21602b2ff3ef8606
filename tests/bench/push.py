"""New records to a neighbour over libp2p, verified and durable at both ends."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

import trio

from p2pnode.services.feeds import Draft
from p2pnode.services.outbox import BATCH_SECONDS
from protocols.claims import Kind
from tests.bench.figures import Row, scaled
from tests.bench.ingest import switching
from tests.bench.pair import Party, two
from tests.bench.records import SCOPE, claim_of, key_of

CPU_SINGLE_MOST_MS = 0.5
CPU_BATCH_MOST_MS = 0.12
CASES = ((1, 60), (16, 60), (256, 24))
"""Records published at once, and how often."""


@dataclass(slots=True)
class Measured:
    """What one case gave."""

    alone_ms: float
    """CPU of publishing one record with nobody there."""
    both_ms: float
    """CPU of publishing one record and delivering it, both ends."""
    waits_ms: list[float] = field(default_factory=list)
    """From publishing a batch until it is durable at the neighbour."""
    rate: float = 0.0


def measure(share: float) -> list[Row]:
    """CPU for each delivered record, delay, and records a second."""
    rows: list[Row] = []
    for size, times in CASES:
        with switching():
            rows += _rows(size, trio.run(deliver, size, scaled(times, share, 3)))
    return rows


async def deliver(size: int, times: int) -> Measured:
    """Publish `times` batches of `size`, first alone, then to a neighbour."""
    found = Measured(0.0, 0.0)

    async def play(a: Party, b: Party) -> None:
        count = size * times
        found.alone_ms = 1000 * await _publish(a, None, size, times, []) / count
        await b.neighbours.add(a.network.addresses[0])
        await b.has_taken(count)
        await a.greeted()
        await trio.sleep(0.2)
        start = time.perf_counter()
        cpu = await _publish(a, b, size, times, found.waits_ms)
        found.rate = count / (time.perf_counter() - start)
        found.both_ms = 1000 * cpu / count

    await two(play)
    return found


async def _publish(
    a: Party, b: Party | None, size: int, times: int, waits_ms: list[float]
) -> float:
    """Publish batches, wait for each; return the CPU seconds of the process."""
    key = key_of(1)
    before = time.process_time()
    for _ in range(times):
        start = time.perf_counter()
        drafts = [Draft(kind=Kind.ANNOUNCE, claim=claim_of(i)) for i in range(size)]
        await a.feeds.publish_many(key, SCOPE, drafts)
        if b is not None:
            await b.has_taken(a.taken)
        else:
            await trio.sleep(BATCH_SECONDS)  # as idle in between as with a neighbour
        waits_ms.append(1000 * (time.perf_counter() - start))
    return time.process_time() - before


def _rows(size: int, found: Measured) -> list[Row]:
    most = CPU_SINGLE_MOST_MS if size == 1 else CPU_BATCH_MOST_MS
    cpu = found.both_ms - found.alone_ms
    wait = statistics.median(found.waits_ms)
    return [
        Row(
            subject="push",
            figure=f"CPU a delivered record, both ends, batches of {size}",
            value=cpu,
            unit="ms",
            most=most,
            beside=f"signing and storing it at home: {found.alone_ms:.2f} ms more",
        ),
        Row(
            subject="push",
            figure=f"delivered and stored, batches of {size}",
            value=found.rate,
            unit="records/s",
            beside=f"{wait:.0f} ms until durable there (20 of them on purpose)",
        ),
    ]
