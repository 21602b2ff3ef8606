"""Two nodes' services in one process, joined by real libp2p over loopback."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from p2pnode.net.host import Libp2pNetwork
from p2pnode.ports import Store
from p2pnode.services.feeds import Change, Feeds
from p2pnode.services.neighbours import Manners, Neighbours
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng
from p2pnode.verifier import SharingVerifier
from tests.bench.records import NETWORK, SCOPE

PATIENCE_S = 60.0
"""How long anything may take before a benchmark gives up."""

BRISK = Manners(reconcile_s=600.0)
"""No comparison of the clock's disturbs a measurement."""


class Party:
    """One node without keys of its own."""

    def __init__(self, letter: bytes, store: Store) -> None:
        self.store = store
        self.network = Libp2pNetwork(letter * 32)
        clock, rng = SystemClock(), SystemRng()
        self.verifier = SharingVerifier()
        self.feeds = Feeds(store, NETWORK, clock, rng, self.verifier)
        self.neighbours = Neighbours(self.feeds, store, self.network, clock, rng, BRISK)
        self.taken = 0
        """Records made durable here since it started."""
        self._moved = trio.Event()
        self.feeds.subscribe(self._count)

    def _count(self, change: Change) -> None:
        self.taken += len(change.records)
        self._moved.set()

    async def has_taken(self, count: int) -> None:
        """Wait until so many records are durable here."""
        with trio.fail_after(PATIENCE_S):
            while self.taken < count:
                self._moved = trio.Event()
                await self._moved.wait()

    async def greeted(self) -> None:
        """Wait until a neighbour shares the scope."""
        with trio.fail_after(PATIENCE_S):
            while not self._shares():  # noqa: ASYNC110 - nothing announces it
                await trio.sleep(0.005)

    def _shares(self) -> bool:
        return any(peer["scopes"] for peer in self.neighbours.listing())


@asynccontextmanager
async def party(nursery: trio.Nursery, letter: bytes) -> AsyncIterator[Party]:
    """A node on a fresh store that listens on loopback and follows the scope."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder, "node.db"))
        try:
            one = Party(letter, store)
            await one.feeds.open()
            await one.feeds.follow(SCOPE)
            nursery.start_soon(one.verifier.run)
            await nursery.start(one.neighbours.run)
            yield one
        finally:
            with trio.CancelScope(shield=True):
                await store.close()


async def two(play: Callable[[Party, Party], Awaitable[None]]) -> None:
    """Start two nodes, let `play` use them, end both."""
    async with (
        trio.open_nursery() as nursery,
        party(nursery, b"a") as a,
        party(nursery, b"b") as b,
    ):
        await play(a, b)
        nursery.cancel_scope.cancel()
