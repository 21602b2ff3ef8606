"""Decode, verify, store durably: through `Feeds.ingest` into SQLite."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        _row(f"batches of {BATCH}, one commit each", grouped, bare, ONE_BY_ONE_LEAST),
        Row(
            subject="ingest",
            figure=f"the same, against bare libsodium's {bare:,.0f}/s",
            value=100 * grouped / bare,
            unit="%",
            least=50,
        ),
        _row("batches of 1, one commit each", single, bare),
        _row(f"batches of {BATCH}, into memory", memory, bare),
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


async def ingest(batch: Sequence[bytes], size: int, in_memory: bool = False) -> float:
    """Ingest `size` records a call; return records a second."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "node.db")
        store = MemoryStore() if in_memory else await open_store(file)
        feeds = Feeds(store, NETWORK, SystemClock(), SystemRng())
        await feeds.open()
        await feeds.follow(SCOPE)
        start = time.perf_counter()
        for at in range(0, len(batch), size):
            await feeds.ingest(batch[at : at + size], source=feeds)
        seconds = time.perf_counter() - start
        held = (await store.counts())["records"]
        await store.close()
        assert held == len(batch), f"{held} of {len(batch)} were kept"
        return len(batch) / seconds


def _row(figure: str, value: float, bare: float, least: float | None = None) -> Row:
    return Row(
        subject="ingest",
        figure=figure,
        value=value,
        unit="records/s",
        least=least,
        beside=f"{value / bare:.2f} of bare libsodium",
    )
