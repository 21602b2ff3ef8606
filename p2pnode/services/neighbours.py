"""Whom this node talks to: it dials, accepts, remembers, blocks.

Each stream is a `Link` in a task of its own. What one peer does wrong ends its
stream and delays the next; it touches no other.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.failures import BAD_REQUEST, NOT_FOUND, UNREACHABLE, Failure
from p2pnode.ports import Seconds, StoreFull, StoreInDoubt, Unreachable
from p2pnode.services.link import Link
from p2pnode.services.overdue import Overdue
from p2pnode.services.peers import Peer, PeerTable, peer_of
from protocols.limits import ADDRESSES_MAX
from protocols.neighbour import Session
from protocols.wire import Card, Goodbye

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Network, PeerId, Rng, Store, Stream
    from p2pnode.services.feeds import Change, Feeds
    from protocols.effects import PeerCards, Told
    from protocols.keys import Scope

PING_SECONDS_MAX: Final = 10.0
"""How long an answer to a ping may take."""

STRANGE_SECONDS_MAX: Final = 10.0
"""How long a crowded node keeps a peer that shares no scope with it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How many neighbours a node has, and how often it turns to them."""

    links_max: int = 40
    """Streams at once."""
    outbound_max: int = 8
    """Streams that this side dialled, dials under way among them."""
    dial_s: Seconds = 0.5
    """Pause between dials: home routers die of thousands."""
    reconcile_s: Seconds = 30.0
    """How often all neighbours are compared, as a safety net."""


class Neighbours:
    """The neighbours of a node.

    Args:
        feeds: what is kept and compared.
        store: keeps the peer table.
        network: streams to and from peers.
        clock: for when a peer was last reached.
        rng: for nonces and jitter.
        manners: how many neighbours, and how often they are compared.
    """

    def __init__(
        self,
        feeds: Feeds,
        store: Store,
        network: Network,
        clock: Clock,
        rng: Rng,
        manners: Manners | None = None,
    ) -> None:
        self.peers = PeerTable(store, rng)
        self._feeds = feeds
        self._network = network
        self._clock = clock
        self._rng = rng
        self._manners = manners or Manners()
        self._links: dict[PeerId, Link] = {}
        self._dialling: dict[PeerId, None] = {}
        self._overdue = Overdue(feeds)
        self._strangers: dict[PeerId, Seconds] = {}
        """Since when a peer that said hello has shared nothing with this node."""
        self._let_go: dict[Link, None] = {}
        """Links to strangers that are being ended."""
        self._wake = trio.Event()
        feeds.subscribe(self._changed)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen, dial and compare, until cancelled."""
        await self.peers.open()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._network.run, self._talk)
            nursery.start_soon(self._dial_loop, nursery)
            nursery.start_soon(self._compare_loop)
            nursery.start_soon(self._room_loop)
            nursery.start_soon(self._overdue.run)
            task_status.started()

    async def add(self, address: str) -> None:
        """Remember an address by hand, and dial it soon.

        Raises:
            Failure: it does not end in a peer id, or it is this node's own.
        """
        name = peer_of(address)
        if name is None or name == self._network.peer_id:
            raise Failure(
                "bad-address",
                "{address} is not the address of another node.",
                "An address that ends in /p2p/ and a peer id.",
                "Copy it from what the other node prints when it starts.",
                BAD_REQUEST,
                address=address,
            )
        peer = self.peers.learn(name, [address])
        peer.fixed, peer.failures, peer.dial_at = True, 0, 0.0
        self.peers.touch(peer)
        await self.peers.save()
        self._wake.set()

    async def block(self, name: PeerId) -> None:
        """Drop a peer and refuse it from now on, over restarts too."""
        peer = self.peers.know(name)
        peer.blocked = True
        self.peers.touch(peer)
        await self.peers.save()
        if name in self._links:
            self._links[name].close(Goodbye.BLOCKED)
        await self._network.drop(name)

    async def unblock(self, name: PeerId) -> None:
        """Let a blocked peer come back.

        Raises:
            Failure: it is not known.
        """
        peer = self.peers.get(name)
        if peer is None:
            raise _unknown(name)
        peer.blocked, peer.dial_at = False, 0.0
        self.peers.touch(peer)
        await self.peers.save()
        self._wake.set()

    async def ping(self, name: PeerId) -> int:
        """How many milliseconds a connected peer takes to answer.

        Raises:
            Failure: it is not connected, or does not answer.
        """
        link = self._links.get(name)
        if link is not None:
            with trio.move_on_after(PING_SECONDS_MAX):
                return round(1000 * await link.ping(self._rng.token(8)))
        raise Failure(
            "no-answer",
            "{peer} is not connected, or does not answer.",
            "A connected peer.",
            "See `p2pnode peer list`.",
            UNREACHABLE,
            peer=name,
        )

    def listing(self) -> list[dict[str, Any]]:
        """Every known peer, for the API, by id."""
        return [self._entry(peer) for peer in self.peers.all()]

    def reconcile(self) -> None:
        """Compare all neighbours now."""
        for link in self._links.values():
            link.reconcile()

    def _entry(self, peer: Peer) -> dict[str, Any]:
        link = self._links.get(peer.peer)
        shared = link.session.shared if link else ()
        state = "connected" if link else "blocked" if peer.blocked else "known"
        return {
            "peer": peer.peer,
            "state": state,
            "address": peer.addresses[0] if peer.addresses else "",
            "addresses": list(peer.addresses),
            "connected": link is not None,
            "direction": "" if not link else "out" if link.stream.dialled else "in",
            "fixed": peer.fixed,
            "blocked": peer.blocked,
            "scopes": [
                {"scope": scope.hex(), "in_sync": link.session.in_sync(scope)}
                for scope in shared
                if link
            ],
            "success_ms": peer.success_ms,
            "error": peer.error,
        }

    def _changed(self, change: Change) -> None:
        """Pass on what is new to everybody but where it came from."""
        for link in self._links.values():
            link.offer(change)

    # Streams.

    async def _talk(self, stream: Stream) -> None:
        """Run a stream from hello to bye, if it may be."""
        name = stream.peer
        if not self._may_talk(stream):
            await stream.close()
            return
        link = Link(stream, self._session(stream), self._feeds, self)
        self._links[name] = link
        try:
            await link.run()
        except Exception:
            log.exception("the stream of %s failed here", name)
        finally:
            if self._links.get(name) is link:
                del self._links[name]
                self._overdue.gone(link)
                self._ended(name, link)
        strange = link in self._let_go
        self._let_go.pop(link, None)
        if strange and name not in self._links:
            await self._network.drop(name)

    def _may_talk(self, stream: Stream) -> bool:
        """Whether a stream is kept; it may replace another to the same peer.

        Of two streams dialled by different sides, both sides keep the one that
        the smaller peer id dialled; of two by one side, the later.
        """
        peer = self.peers.get(stream.peer)
        if peer is not None and peer.blocked:
            return False
        other = self._links.get(stream.peer)
        if other is None:
            return len(self._links) < self._manners.links_max
        crossed = other.stream.dialled != stream.dialled
        mine_first = self._network.peer_id < stream.peer
        if crossed and stream.dialled is not mine_first:
            return False
        other.close(Goodbye.DUPLICATE)
        return True

    def _session(self, stream: Stream) -> Session:
        card = Card(
            peer=self._network.peer_id,
            addresses=self._network.addresses[:ADDRESSES_MAX],
            time_ms=self._clock.now_ms(),
            signature=b"",
        )
        return Session(
            network=self._feeds.network,
            holdings=self._feeds,
            dialled=stream.dialled,
            nonce=self._rng.token(32),
            card=card,
        )

    # What links say: `Circle`.

    def learned(self, link: Link, cards: PeerCards) -> None:
        """A hello came: the peer is who it says, and says where it is."""
        name = link.stream.peer
        for card in cards.cards:
            if card.peer == name:
                peer = self.peers.learn(name, card.addresses)
                self.peers.succeeded(peer, self._clock.now_ms())

    def told(self, link: Link, told: Told) -> None:
        """A peer has heads that are not here: they should come by another link."""
        self._overdue.told(link, told, trio.current_time())

    def repeated(self, link: Link, scope: Scope) -> None:
        """A peer pushed what was known: another link is enough, if there is one."""
        others = (other for other in self._links.values() if other is not link)
        if any(other.session.fed(scope) for other in others):
            link.prune(scope)

    def _ended(self, name: PeerId, link: Link) -> None:
        peer = self.peers.know(name)
        log.info("the stream of %s ended: %s", name, link.error or "no fault")
        now = trio.current_time()
        fault = link.fault or link in self._let_go
        self.peers.failed(peer, link.error, now, fault=fault)
        self._wake.set()

    # Loops.

    async def _dial_loop(self, nursery: trio.Nursery) -> None:
        """Dial whom it is time to dial, one every `dial_s`."""
        while True:
            with trio.move_on_after(self._manners.dial_s):
                await self._wake.wait()
            self._wake = trio.Event()
            peer = self._next_to_dial()
            if peer is not None:
                self._dialling[peer.peer] = None
                nursery.start_soon(self._dial, peer)
                await trio.sleep(self._manners.dial_s)

    def _next_to_dial(self) -> Peer | None:
        dialled = [link for link in self._links.values() if link.stream.dialled]
        if len(dialled) + len(self._dialling) >= self._manners.outbound_max:
            return None
        if len(self._links) + len(self._dialling) >= self._manners.links_max:
            return None
        for peer in self.peers.candidates(trio.current_time()):
            if peer.peer not in self._links and peer.peer not in self._dialling:
                return peer
        return None

    async def _dial(self, peer: Peer) -> None:
        address = peer.addresses[peer.turn % len(peer.addresses)]
        try:
            stream = await self._network.dial(address)
        except Exception as error:  # noqa: BLE001 - no address may end the node
            if not isinstance(error, Unreachable):
                log.warning("dialling %s: %r", address, error)
            now = trio.current_time()
            self.peers.failed(peer, str(error), now, fault=False)
            return
        finally:
            del self._dialling[peer.peer]
        await self._talk(stream)

    async def _compare_loop(self) -> None:
        """Compare all neighbours now and then."""
        while True:
            await trio.sleep(self._manners.reconcile_s)
            self.reconcile()

    async def _room_loop(self) -> None:
        """Let strangers go while there is little room; save the peer table."""
        while True:
            await trio.sleep(1)
            self._make_room(trio.current_time())
            try:
                await self.peers.save()
            except (StoreInDoubt, StoreFull) as error:
                log.warning("the peer table was not saved: %s", error)

    def _make_room(self, now: Seconds) -> None:
        """Let go whom nothing connects with this node, the longest first.

        As long as half of the slots are free they may stay: they may follow
        something that is followed here in a moment.
        """
        strangers = [name for name in self._links if self._is_strange(name)]
        since = {name: self._strangers.get(name, now) for name in strangers}
        self._strangers = since
        spare = len(self._links) - len(self._let_go) - self._manners.links_max // 2
        for name in sorted(strangers, key=lambda name: since[name])[: max(spare, 0)]:
            if now - since[name] >= STRANGE_SECONDS_MAX:
                link = self._links[name]
                self._let_go[link] = None
                link.error = "shares nothing with this node"
                link.close(Goodbye.FULL)

    def _is_strange(self, name: PeerId) -> bool:
        """Whether a peer may have to go: greeted, in nothing shared, not by hand."""
        link, peer = self._links[name], self.peers.get(name)
        fixed = peer is not None and peer.fixed
        known = bool(link.session.shared) or not link.session.greeted
        return not (known or fixed or link in self._let_go)


def _unknown(name: PeerId) -> Failure:
    return Failure(
        "unknown-peer",
        "This node does not know the peer {peer}.",
        "A peer id from the list of peers.",
        "See `p2pnode peer list`.",
        NOT_FOUND,
        peer=name,
    )
