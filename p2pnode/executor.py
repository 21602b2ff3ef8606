"""Where pure work that takes seconds is done: here, or in a thread.

A thread shares Python's lock with the loop, which gets it back within the switch
interval (`daemon.SWITCH_S`): work takes as long as before, and nobody else waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from p2pnode.ports import Executor

T = TypeVar("T")


class OwnExecutor(Executor):
    """Does it at once; nothing else goes on meanwhile. The simulator has no threads."""

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` does."""
        return work()


class ThreadExecutor(Executor):
    """Does it in a thread, one after the other."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` does; who is cancelled still waits for it."""
        return await trio.to_thread.run_sync(work, limiter=self._limiter)
