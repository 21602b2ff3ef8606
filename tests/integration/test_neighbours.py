"""Neighbours over loopback: they tell of one another, and say bye."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest
import trio

from p2pnode.net.host import Libp2pNetwork
from p2pnode.services import neighbours
from p2pnode.services.feeds import Feeds
from p2pnode.services.neighbours import Manners, Neighbours
from p2pnode.services.peers import Peer
from p2pnode.store.memory import MemoryStore
from p2pnode.system import SystemClock, SystemRng
from protocols.keys import Seed, SigningKey, neighbourhood_scope, network_id
from protocols.wire import Goodbye
from tests.integration.test_host import until

pytestmark = [pytest.mark.slow, pytest.mark.net]

NETWORK = network_id("neighbours")
SCOPE = neighbourhood_scope(NETWORK, "street")
BRISK = Manners(dial_s=0.05)


class House:
    """A node that follows the street, on loopback."""

    def __init__(self, name: str, manners: Manners = BRISK) -> None:
        seed = sha256(name.encode()).digest()
        store, clock, rng = MemoryStore(), SystemClock(), SystemRng()
        self.network = Libp2pNetwork(seed)
        self.feeds = Feeds(store, NETWORK, clock, rng)
        self.neighbours = Neighbours(
            self.feeds,
            store,
            self.network,
            clock,
            rng,
            manners,
            key=SigningKey(Seed(seed)),
        )

    def knows(self, other: House) -> Peer:
        return self.neighbours.peers.know(other.network.peer_id)

    def talks_to(self, *others: House) -> bool:
        names = [one["peer"] for one in self.neighbours.listing() if one["connected"]]
        return sorted(names) == sorted(other.network.peer_id for other in others)


@asynccontextmanager
async def street(*houses: House) -> AsyncIterator[None]:
    """Houses that are up."""
    async with trio.open_nursery() as nursery:
        for house in houses:
            await house.feeds.follow(SCOPE)
            await nursery.start(house.neighbours.run)
        yield
        nursery.cancel_scope.cancel()


async def test_a_neighbours_neighbour_is_found_by_its_card() -> None:
    a, b, c = House("a"), House("b"), House("c")
    async with street(a, b, c):
        await b.neighbours.add(a.network.addresses[0])
        await until(lambda: a.talks_to(b) and a.knows(b).card is not None)
        await c.neighbours.invited(b.network.addresses[0])
        await until(lambda: c.talks_to(a, b) and a.talks_to(b, c))
        found = c.knows(a)
        await until(lambda: found.rank > 0)  # its hello came; either may dial first
        assert not found.fixed
        assert not found.invited
        assert c.knows(b).invited


async def test_who_leaves_says_so_and_it_is_nobodys_fault() -> None:
    a, b = House("a"), House("b")
    async with street(a, b):
        await b.neighbours.add(a.network.addresses[0])
        await until(lambda: a.talks_to(b))
        await a.neighbours.leave()
        assert a.talks_to()
        await until(b.talks_to)
        assert b.knows(a).error == Goodbye.STOPPING
        assert not b.knows(a).fault
        b.knows(a).dial_at = 0.0
        await until(lambda: b.knows(a).failures > 1)
        assert b.knows(a).error == Goodbye.STOPPING


async def test_whom_a_person_named_gets_a_place_where_all_are_taken() -> None:
    narrow = Manners(dial_s=0.05, links_max=5, outbound_max=1)
    a, b, c, d = House("a", narrow), House("b"), House("c"), House("d")
    async with street(a, b, c, d):
        a.neighbours.peers.learn(b.network.peer_id, b.network.addresses)
        a.neighbours._wake.set()
        await until(lambda: a.talks_to(b))
        a.neighbours.peers.learn(c.network.peer_id, c.network.addresses)
        await trio.sleep(0.3)
        assert a.talks_to(b)
        await a.neighbours.add(d.network.addresses[0])
        await until(lambda: a.talks_to(d))
        await until(lambda: b.knows(a).error == Goodbye.FULL)


async def test_where_all_slots_are_taken_one_more_is_met_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So two parts of a net that were cut, and filled their slots, meet again."""
    monkeypatch.setattr(neighbours, "FEEL_SECONDS_MAX", 0.2)
    narrow = Manners(dial_s=0.05, outbound_max=1, feel_s=0.4)
    a, b, c = House("a", narrow), House("b"), House("c")
    async with street(a, b, c):
        a.neighbours.peers.learn(b.network.peer_id, b.network.addresses)
        a.neighbours.peers.anchors([b.network.peer_id])
        await until(lambda: a.talks_to(b))
        a.neighbours.peers.learn(c.network.peer_id, c.network.addresses)
        await until(lambda: c.knows(a).rank > 0)
        await until(lambda: a.talks_to(b))
        await until(lambda: c.knows(a).error == Goodbye.FULL)
