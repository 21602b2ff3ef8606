"""The real clock and the real dice."""

from __future__ import annotations

import secrets
import time

from p2pnode.ports import Clock, Rng


class SystemClock(Clock):
    """This machine's wall clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000


class SystemRng(Rng):
    """The operating system's random numbers."""

    def token(self, size: int) -> bytes:
        """Return `size` unpredictable bytes."""
        return secrets.token_bytes(size)
