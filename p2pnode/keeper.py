"""Keeps a node at work: when its store is in doubt, both are made anew.

A commit that reports an error may have happened or not. Nobody may go on from
what is in memory then: the store is opened again, and a new node reads from it
where every feed stands before anything is signed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.failures import UNREACHABLE, Failure
from p2pnode.ports import StoreFull, StoreInDoubt

if TYPE_CHECKING:
    from p2pnode.node import Node
    from p2pnode.ports import Store

PAUSE_S_MIN: Final = 0.2
"""Before the store is opened again; it doubles each time."""

PAUSE_S_MAX: Final = 30.0
CALM_S: Final = 60.0
"""A node that worked so long was well: the next pause is the shortest again."""

log = logging.getLogger(__name__)


class Keeper:
    """A node that outlives doubts about its store.

    Args:
        open_store: opens the store; called again after a doubt.
        build: makes a node on an opened store.
    """

    def __init__(
        self, open_store: Callable[[], Awaitable[Store]], build: Callable[[Store], Node]
    ) -> None:
        self._open_store = open_store
        self._build = build
        self._node: Node | None = None
        self._calm_since = 0.0

    @property
    def node(self) -> Node:
        """The node at work.

        Raises:
            Failure: `store-reopening`, there is none for the moment.
        """
        if self._node is None:
            raise Failure(
                "store-reopening",
                "The node opens its store again, because the disk reported an error.",
                "A disk that keeps what it is given.",
                "Try again in a moment; the node's log says what happened.",
                UNREACHABLE,
            )
        return self._node

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run a node until cancelled, and the next one after each doubt.

        Raises:
            StoreInDoubt, StoreFull: the store does not open the first time.
            StoreDamaged: what it finds after a doubt cannot be read.
        """
        await self._life(task_status)
        pause_s = PAUSE_S_MIN
        while True:
            log.error("the node stopped signing and opens its store again")
            await trio.sleep(pause_s)
            began = trio.current_time()
            try:
                await self._life(trio.TASK_STATUS_IGNORED)
            except* (StoreInDoubt, StoreFull) as errors:
                log.error("the store did not open: %s", errors.exceptions[0])  # noqa: TRY400  # expected, and said in words
            calm = trio.current_time() - began > CALM_S
            pause_s = PAUSE_S_MIN if calm else min(2 * pause_s, PAUSE_S_MAX)

    async def _life(self, task_status: trio.TaskStatus[None]) -> None:
        """One store and one node, until the store is in doubt."""
        store = await self._open_store()
        try:
            node = self._build(store)
            async with trio.open_nursery() as nursery:
                await nursery.start(node.run)
                self._node = node
                log.info("the store is open: %s", await store.counts())
                task_status.started()
        finally:
            self._node = None
            with trio.CancelScope(shield=True):
                await store.close()
