"""The composition root: one node out of its ports and services.

Everything a node does runs in one nursery, opened here. The daemon builds a
node from the real world, the simulator from a seeded one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from p2pnode.services.acts import Acts
from p2pnode.services.branches import Branches
from p2pnode.services.closing import Books
from p2pnode.services.erasing import Erasing
from p2pnode.services.feeds import MISSING_MAX, Feeds
from p2pnode.services.gauge import Gauge
from p2pnode.services.library import Library
from p2pnode.services.neighbours import Neighbours
from p2pnode.services.peers import PEERS_MAX
from p2pnode.services.proofs import Proofs
from p2pnode.services.succession import Succession
from p2pnode.services.till import Till
from p2pnode.services.witness import Witness
from protocols.keys import Seed, SigningKey
from protocols.text import author_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pnode.identity import Identity
    from p2pnode.ports import Clock, Executor, Network, Rng, Store, Verifier
    from p2pnode.services.neighbours import Manners


class Node:
    """A node: its services, wired."""

    def __init__(  # noqa: PLR0913 - the world, one by one
        self,
        identity: Identity,
        *,
        store: Store,
        network: Network,
        clock: Clock,
        rng: Rng,
        verifier: Verifier | None = None,
        executor: Executor | None = None,
        manners: Manners | None = None,
    ) -> None:
        self.identity = identity
        self.store = store
        self.network = network
        self.clock = clock
        self.feeds = Feeds(store, identity.network_id, clock, rng, verifier)
        self.library = Library(identity, self.feeds, store)
        self.neighbours = Neighbours(
            self.feeds,
            store,
            network,
            clock,
            rng,
            manners,
            key=SigningKey(Seed(identity.transport_seed)),
        )
        self.books = Books(self.library, self.feeds, rng, executor)
        self.branches = Branches(self.library, self.feeds)
        self.erasing = Erasing(self.library, self.feeds, self.books)
        self.witness = Witness(self.library, self.feeds, self.books, clock, rng)
        self.succession = Succession(self.library, self.feeds, store, clock, rng)
        self.acts = Acts(
            library=self.library,
            feeds=self.feeds,
            clock=clock,
            rng=rng,
            addresses=self.reachable,
            remember=self.neighbours.invited,
            join_again=self.succession.join_again,
        )
        self.till = Till(
            library=self.library,
            feeds=self.feeds,
            books=self.books,
            acts=self.acts,
            store=store,
            clock=clock,
            rng=rng,
        )
        self.proofs = Proofs(self.library, self.feeds, self.books, self.acts, rng)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Read the store, listen, and work until cancelled.

        Returns when a commit is in doubt: what is in memory is not to be
        trusted then, and a new node is to be built on the store opened again.
        """
        await self.feeds.open()
        await self.library.open()
        await self.till.open()
        await self.succession.open()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.neighbours.run)
            nursery.start_soon(self.witness.run)
            nursery.start_soon(self.branches.run)
            nursery.start_soon(self.erasing.run)
            nursery.start_soon(self.till.run)
            nursery.start_soon(self.succession.run)
            task_status.started()
            await self.store.doubted()
            await self.neighbours.leave()
            nursery.cancel_scope.cancel()

    def gauges(self) -> Iterator[Gauge]:
        """What waits in this node, each with its bound."""
        for asked in Counter(self.feeds.missing.values()).values():
            yield Gauge(
                "records asked for by id in the same scopes", asked, MISSING_MAX
            )
        yield Gauge("peers", len(self.neighbours.peers.all()), PEERS_MAX)
        yield from self.neighbours.gauges()

    def reachable(self) -> tuple[str, ...]:
        """Addresses for an invite link: mine, then my neighbours'."""
        others = [
            str(peer["address"])
            for peer in self.neighbours.listing()
            if peer.get("connected") and peer.get("address")
        ]
        return (*self.network.addresses[:2], *others)

    def scopes(self) -> dict[str, Any]:
        """`p2pnode.scopes/1`: two nodes with one root hold the same feeds."""
        frontiers = [(each, self.feeds.frontier(each)) for each in self.feeds.followed]
        return {
            "format": "p2pnode.scopes/1",
            "scopes": [
                {
                    "scope": scope.hex(),
                    "feeds": len(frontier),
                    "records": sum(
                        leaf.seq + (not leaf.forked) for leaf in frontier.leaves()
                    ),
                    "root": frontier.root.hex(),
                }
                for scope, frontier in frontiers
            ],
        }

    async def status(self) -> dict[str, Any]:
        """`p2pnode.status/1`: the node in short."""
        key = self.library.author_key
        peers = self.neighbours.listing()
        counts = await self.store.counts()
        return {
            "format": "p2pnode.status/1",
            "name": self.identity.name,
            "role": self.identity.role,
            "network": self.identity.network,
            "peer_id": self.network.peer_id,
            "author": None if key is None else author_text(key.author),
            "addresses": list(self.network.addresses),
            "neighbours": sum(bool(peer.get("connected")) for peer in peers),
            "campaigns": len(self.library.entries),
            **counts,
            "forks": sum(len(self.feeds.forks(s)) for s in self.feeds.followed),
            "time_ms": self.clock.now_ms(),
            **self.succession.document(),
        }
