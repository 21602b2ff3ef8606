"""Decode, verify, store durably: through `Feeds.ingest` into SQLite."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from p2pnode.daemon import tune
from p2pnode.ports import Store, Verifier
from p2pnode.services.feeds import Feeds
from p2pnode.store.memory import MemoryStore
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng
from p2pnode.verifier import BACKLOG_MIN, SharingVerifier, cores
from protocols.record import Record, check_signature, decode_record, is_signed
from tests.bench.daemon import cpu_seconds
from tests.bench.ed25519 import bare_rate, rate
from tests.bench.figures import Row, scaled
from tests.bench.records import NETWORK, SCOPE, make, wires

BATCH = 256
ONE_BY_ONE_LEAST = 9_000
"""Each signature checked by itself, on one core."""

TWO_CORES_LEAST = 15_000
RUNS_LEAST = 50_000


def measure(share: float) -> list[Row]:
    """Records a second, and where the time goes."""
    runs = wires(make(scaled(12_000, share, BATCH), BATCH))
    records = make(scaled(12_000, share, 60))
    batch = wires(records)
    few = len(batch) // 6
    bare = bare_rate(records[:few])
    decode = rate(decode_record, batch[:few])
    verify = rate(check_signature, records[:few])
    with switching():
        single = trio.run(ingest, batch[:few], 1)
        grouped = trio.run(ingest, batch, BATCH)
        memory = trio.run(ingest, batch, BATCH, MemoryStore())
        shared = trio.run(ingest_on_two_cores, batch)
        last = trio.run(ingest, runs, BATCH, None, LastOnly())
    return [
        _row(f"batches of {BATCH}, one commit each", grouped, ONE_BY_ONE_LEAST),
        _row(
            f"batches of {BATCH}, on {min(cores(), 2)} cores", shared, TWO_CORES_LEAST
        ),
        _row(f"kernel: runs of {BATCH} on their last signature", last, RUNS_LEAST),
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
    """Set the interpreter up as the daemon does."""
    before, garbage = sys.getswitchinterval(), gc.get_threshold()
    tune()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*garbage)
        sys.setswitchinterval(before)


@dataclass(frozen=True, slots=True)
class Rate:
    """Records a second by the clock, and by the CPU all threads took."""

    clock: float
    cpu: float


class LastOnly(Verifier):
    """What taking a run on its last signature would give; the node does not do it.

    Everything else on the way into the store is as it is.
    """

    async def verify(self, records: Sequence[Record]) -> Sequence[bool]:
        """Check the last signature, trust the hashes for the others."""
        return [True] * (len(records) - 1) + [*map(is_signed, records[-1:])]


async def ingest_on_two_cores(batch: Sequence[bytes]) -> Rate:
    """Ingest large batches while a second process checks signatures too."""
    verifier = SharingVerifier()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(verifier.run)
        with trio.move_on_after(30 if cores() > 1 else 0):
            while verifier.helper is None:
                await verifier.verify([decode_record(batch[0])] * BACKLOG_MIN)
                await trio.sleep(0.05)
        found = await ingest(batch, BATCH, None, verifier)
        nursery.cancel_scope.cancel()
    return found


async def ingest(
    batch: Sequence[bytes],
    size: int,
    memory: Store | None = None,
    verifier: Verifier | None = None,
) -> Rate:
    """Ingest `size` records a call."""
    with tempfile.TemporaryDirectory() as folder:
        store = memory or await open_store(Path(folder, "node.db"))
        feeds = Feeds(store, NETWORK, SystemClock(), SystemRng(), verifier)
        await feeds.open()
        await feeds.follow(SCOPE)
        start, cpu = time.perf_counter(), cpu_of(verifier)
        for at in range(0, len(batch), size):
            await feeds.ingest(batch[at : at + size], source=feeds)
        rate = Rate(
            len(batch) / (time.perf_counter() - start),
            len(batch) / (cpu_of(verifier) - cpu),
        )
        held = (await store.counts())["records"]
        await store.close()
        assert held == len(batch), f"{held} of {len(batch)} were kept"
        return rate


def cpu_of(verifier: Verifier | None) -> float:
    """CPU seconds so far, of this process and of the one that verifies."""
    helper = verifier.helper if isinstance(verifier, SharingVerifier) else None
    there = 0.0 if helper is None else cpu_seconds(helper.process.pid)
    return time.process_time() + there


def _row(figure: str, rate: Rate, least: float | None = None) -> Row:
    return Row(
        subject="ingest",
        figure=figure,
        value=rate.clock,
        unit="records/s",
        least=least,
        beside=f"{1e6 / rate.cpu:.0f} µs CPU a record",
    )
