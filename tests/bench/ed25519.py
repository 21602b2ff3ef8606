"""Verifying one signature after the other: bare libsodium, and ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from nacl.bindings import crypto_sign_open

from protocols.keys import preimage
from protocols.record import Record, check_signature
from tests.bench.figures import Row, scaled
from tests.bench.records import make

T = TypeVar("T")

TARGET = 0.5
"""Of libsodium's rate, one by one."""

PASSES = 3


def measure(share: float) -> list[Row]:
    """Verifications a second on one core."""
    records = make(scaled(4_000, share, 40))
    prepared = bare_inputs(records)
    bare = ours = 0.0
    for _pass in range(PASSES):  # in turns: other work on the machine hits both
        bare = max(bare, rate(bare_verify, prepared))
        ours = max(ours, rate(check_signature, records))
    return [
        Row(
            subject="ed25519",
            figure="bare libsodium (PyNaCl)",
            value=bare,
            unit="verifications/s",
        ),
        Row(
            subject="ed25519",
            figure="check_signature",
            value=ours,
            unit="verifications/s",
            least=TARGET * bare,
            beside=f"{ours / bare:.2f} of bare libsodium",
        ),
    ]


def bare_rate(records: Sequence[Record]) -> float:
    """What libsodium does a second with everything prepared; the best of a few."""
    prepared = bare_inputs(records)
    return max(rate(bare_verify, prepared) for _pass in range(PASSES))


def bare_inputs(records: Sequence[Record]) -> list[tuple[bytes, bytes]]:
    """Signed bytes and key of each record, as libsodium takes them."""
    return [
        (r.signature + preimage("record", r.header_bytes), bytes(r.author))
        for r in records
    ]


def bare_verify(prepared: tuple[bytes, bytes]) -> None:
    """Verify one, without a word of ours."""
    crypto_sign_open(*prepared)


def rate(action: Callable[[T], object], items: Sequence[T]) -> float:
    """How many items a second of this process's CPU."""
    start = time.process_time()
    for item in items:
        action(item)
    return len(items) / (time.process_time() - start)
