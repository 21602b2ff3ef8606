"""Decode, verify, store durably: through `Feeds.ingest` into SQLite."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from p2pnode.daemon import SWITCH_S
from p2pnode.services.feeds import Feeds
from p2pnode.store.memory import MemoryStore
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng
from protocols.record import check_signature, decode_record
from tests.bench.ed25519 import bare_rate, rate
from tests.bench.figures import Row, scaled
from tests.bench.records import NETWORK, SCOPE, make, wires

BATCH = 256
ONE_BY_ONE_LEAST = 9_000
"""Each signature checked by itself, on one core."""


def measure(share: float) -> list[Row]:
    """Records a second, and where the time goes."""
    records = make(scaled(12_000, share, 60))
    batch = wires(records)
    few = len(batch) // 6
    bare = bare_rate(records[:few])
    decode = rate(decode_record, batch[:few])
    verify = rate(check_signature, records[:few])
    with switching():
        single = trio.run(ingest, batch[:few], 1)
        grouped = trio.run(ingest, batch, BATCH)
        memory = trio.run(ingest, batch, BATCH, True)
    return [
        _row(f"batches of {BATCH}, one commit each", grouped, ONE_BY_ONE_LEAST),
        Row(
            subject="ingest",
            figure="the same by CPU, of bare libsodium's rate",
            value=100 * grouped.cpu / bare,
            unit="%",
            least=50,
            beside=f"bare libsodium {bare:,.0f}/s, ours {grouped.cpu:,.0f}/s of CPU",
        ),
        _row("batches of 1, one commit each", single),
        _row(f"batches of {BATCH}, into memory", memory),
        Row(
            subject="ingest",
            figure="decode_record alone",
            value=1e6 / decode,
            unit="µs",
            beside=f"check_signature alone {1e6 / verify:.0f} µs; "
            f"bare libsodium {1e6 / bare:.0f} µs",
        ),
    ]


@contextmanager
def switching() -> Iterator[None]:
    """Let threads take turns as often as in the daemon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@dataclass(frozen=True, slots=True)
class Rate:
    """Records a second by the clock, and by the CPU all threads took."""

    clock: float
    cpu: float


async def ingest(batch: Sequence[bytes], size: int, in_memory: bool = False) -> Rate:
    """Ingest `size` records a call."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "node.db")
        store = MemoryStore() if in_memory else await open_store(file)
        feeds = Feeds(store, NETWORK, SystemClock(), SystemRng())
        await feeds.open()
        await feeds.follow(SCOPE)
        start, cpu = time.perf_counter(), time.process_time()
        for at in range(0, len(batch), size):
            await feeds.ingest(batch[at : at + size], source=feeds)
        rate = Rate(
            len(batch) / (time.perf_counter() - start),
            len(batch) / (time.process_time() - cpu),
        )
        held = (await store.counts())["records"]
        await store.close()
        assert held == len(batch), f"{held} of {len(batch)} were kept"
        return rate


def _row(figure: str, rate: Rate, least: float | None = None) -> Row:
    return Row(
        subject="ingest",
        figure=figure,
        value=rate.clock,
        unit="records/s",
        least=least,
        beside=f"{1e6 / rate.cpu:.0f} µs CPU a record",
    )
