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


def measure(share: float) -> list[Row]:
    """Verifications a second on one core."""
    records = make(scaled(4_000, share, 40))
    bare, ours = bare_rate(records), rate(check_signature, records)
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
    """What libsodium does a second with everything prepared."""
    prepared = [
        (r.signature + preimage("record", r.header_bytes), bytes(r.author))
        for r in records
    ]
    return rate(lambda item: crypto_sign_open(*item), prepared)


def rate(action: Callable[[T], object], items: Sequence[T]) -> float:
    """How many items a second; the better of two passes."""
    best = 0.0
    for _pass in range(2):
        start = time.perf_counter()
        for item in items:
            action(item)
        best = max(best, len(items) / (time.perf_counter() - start))
    return best
