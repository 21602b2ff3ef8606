"""Whom this node talks to: it dials, accepts, remembers, blocks.

Each stream is a `Link` in a task of its own. What one peer does wrong ends its
stream and delays the next; it touches no other.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.failures import BAD_REQUEST, NOT_FOUND, UNREACHABLE, Failure
from p2pnode.ports import (
    Seconds,
    StoreFull,
    StoreInDoubt,
    StreamClosed,
    Unreachable,
)
from p2pnode.services.addresses import is_loopback, peer_of, prefix_of, shown
from p2pnode.services.gauge import Gauge
from p2pnode.services.link import Link
from p2pnode.services.overdue import Overdue
from p2pnode.services.peers import ANCHORS, PEERS_MAX, Peer, PeerTable
from p2pnode.services.quota import Quota
from protocols.limits import ADDRESSES_MAX
from protocols.neighbour import Session
from protocols.peer_card import sign_card
from protocols.wire import Bye, Card, Goodbye, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from p2pnode.ports import Clock, Network, PeerId, Rng, Store, Stream
    from p2pnode.services.feeds import Change, Feeds
    from protocols.effects import PeerCards, Told
    from protocols.keys import Scope, SigningKey

CARD_FRESH_MS: Final = 3_600_000
"""How long a signed card of this node is shown, if its addresses stay."""

PING_SECONDS_MAX: Final = 10.0
"""How long an answer to a ping may take."""

STRANGE_SECONDS_MAX: Final = 10.0
"""How long a crowded node keeps a peer that shares no scope with it."""

BYE_SECONDS_MAX: Final = 1.0
"""How long saying bye may take, when this node stops or refuses a stream."""

FEEL_SECONDS_MAX: Final = 15.0
"""How long a peer that was dialled above the slots stays: all is compared by then."""

TELL_EVERY: Final = 10
"""Comparisons between two times that neighbours are told a few others' cards."""

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
    feel_s: Seconds = 120.0
    """How often one peer more is dialled while all those slots are taken: a net that
    was cut, and whose parts have filled their slots since, grows together again."""

    @property
    def inbound_max(self) -> int:
        """Streams that others dialled: the rest is kept for our own dials."""
        return self.links_max - min(self.outbound_max, self.links_max // 5)


class Neighbours:
    """The neighbours of a node.

    Args:
        feeds: what is kept and compared.
        store: keeps the peer table.
        network: streams to and from peers.
        clock: for when a peer was last reached.
        rng: for nonces and jitter.
        manners: how many neighbours, and how often they are compared.
        key: the transport key, signs what this node says of itself; None:
            others are not to pass it on.
    """

    def __init__(  # noqa: PLR0913 - the world, one by one
        self,
        feeds: Feeds,
        store: Store,
        network: Network,
        clock: Clock,
        rng: Rng,
        manners: Manners | None = None,
        *,
        key: SigningKey | None = None,
    ) -> None:
        self.peers = PeerTable(store, rng)
        self._feeds = feeds
        self._network = network
        self._clock = clock
        self._rng = rng
        self._manners = manners or Manners()
        self._links: dict[PeerId, Link] = {}
        self._quotas: dict[PeerId, Quota] = {}
        """They outlive links; the latest last."""
        self._key = key
        self._leaving = False
        self._dialling: dict[PeerId, str] = {}
        """The address of each dial under way."""
        self._overdue = Overdue(feeds, self._fed)
        self._strangers: dict[PeerId, Seconds] = {}
        """Since when a peer that said hello has shared nothing with this node."""
        self._feel_at: Seconds = 0.0
        """When one peer more is dialled than there are slots."""
        self._felt: dict[PeerId, Seconds] = {}
        """Such peers, and when they were dialled."""
        self._let_go: dict[Link, None] = {}
        """Links to strangers that are being ended."""
        self._own_card: Card | None = None
        """What was last signed of where this node can be reached."""
        self._wake = trio.Event()
        feeds.subscribe(self._changed)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen, dial and compare, until cancelled."""
        await self.peers.open()
        self._feel_at = trio.current_time() + self._manners.feel_s
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
        peer = self._given(address)
        peer.fixed = True
        await self.peers.save()

    async def invited(self, address: str) -> None:
        """Remember an address of an invite link, and dial it soon; as `add`."""
        peer = self._given(address)
        peer.invited = True
        await self.peers.save()

    async def leave(self) -> None:
        """Say bye to all neighbours, and take and dial no other."""
        self._leaving = True
        for link in self._links.values():
            link.close(Goodbye.STOPPING)
        with trio.move_on_after(BYE_SECONDS_MAX):
            while self._links:  # noqa: ASYNC110 - links end one by one
                await trio.sleep(0.01)

    def _given(self, address: str) -> Peer:
        """A peer whose address a person gave."""
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
        peer.failures, peer.dial_at = 0, 0.0
        self.peers.touch(peer)
        self._wake.set()
        return peer

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

    def gauges(self) -> Iterator[Gauge]:
        """What waits here because of peers."""
        yield Gauge("links", len(self._links), self._manners.links_max)
        yield Gauge("dials", len(self._dialling), self._manners.outbound_max + 1)
        for link in self._links.values():
            yield from link.gauges()

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
            "invited": peer.invited,
            "blocked": peer.blocked,
            "scopes": [
                {"scope": scope.hex(), "in_sync": link.session.in_sync(scope)}
                for scope in shared
                if link
            ],
            "success_ms": peer.success_ms,
            "error": peer.error,
            "fault": peer.fault,
        }

    def _changed(self, change: Change) -> None:
        """Pass on what is new to everybody but where it came from."""
        self._overdue.came(change.source, change.records)
        for link in self._links.values():
            link.offer(change)

    # Streams.

    async def _talk(self, stream: Stream, address: str | None = None) -> None:
        """Run a stream from hello to bye, if it may be."""
        name = stream.peer
        refusal = self._refusal(stream)
        if refusal is not None:
            await _decline(stream, refusal)
            return
        session = self._session(stream, address)
        link = Link(stream, session, self._feeds, self, address)
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

    def _refusal(self, stream: Stream) -> Goodbye | None:
        """Why a stream is not kept, or None; it may replace another.

        Of two streams dialled by different sides, both sides keep the one that
        the smaller peer id dialled; of two by one side, the later.
        """
        peer = self.peers.get(stream.peer)
        if self._leaving:
            return Goodbye.STOPPING
        if peer is not None and peer.blocked:
            return Goodbye.BLOCKED
        other = self._links.get(stream.peer)
        if other is not None:
            crossed = other.stream.dialled != stream.dialled
            mine_first = self._network.peer_id < stream.peer
            if crossed and stream.dialled is not mine_first:
                return Goodbye.DUPLICATE
            other.close(Goodbye.DUPLICATE)
            return None
        if self._has_room(dialled=stream.dialled):
            return None
        preferred = peer is not None and peer.preferred
        return None if preferred and self._drop_one(stream) else Goodbye.FULL

    def _side(self, *, dialled: bool) -> list[Link]:
        """The links of one direction, the oldest first."""
        return [x for x in self._links.values() if x.stream.dialled is dialled]

    def _has_room(self, *, dialled: bool) -> bool:
        """Whether one more stream of this direction fits."""
        manners = self._manners
        most = manners.inbound_max
        if dialled:
            most = manners.outbound_max + len(self._felt)
        some = len(self._side(dialled=dialled)) < most
        return some and len(self._links) < manners.links_max

    def _loose(self, *, dialled: bool) -> list[Link]:
        """The links of one direction that may be ended for a better one."""
        return [
            link
            for link in self._side(dialled=dialled)
            if not self._preferred(link) and not link.session.closed
        ]

    def _drop_one(self, stream: Stream) -> bool:
        """End the link that is worth least, for a preferred peer; if there is one.

        Of those in the prefix that most come from, the youngest goes.
        """
        loose = self._loose(dialled=stream.dialled)
        if not loose:
            return False
        crowd = Counter(self._prefix(link) for link in loose)
        worst = max(reversed(loose), key=lambda link: crowd[self._prefix(link)])
        worst.close(Goodbye.FULL)
        return True

    def _preferred(self, link: Link) -> bool:
        peer = self.peers.get(link.stream.peer)
        return peer is not None and peer.preferred

    def _prefix(self, link: Link) -> str:
        """Where in the net a peer is, as far as it is known."""
        peer = self.peers.get(link.stream.peer)
        said = peer.addresses[0] if peer and peer.addresses else ""
        return prefix_of(link.address or said)

    def _session(self, stream: Stream, address: str | None) -> Session:
        return Session(
            network=self._feeds.network,
            holdings=self._feeds,
            dialled=stream.dialled,
            nonce=self._rng.token(32),
            card=self._card(address),
        )

    def _card(self, dialled: str | None) -> Card:
        """How this node can be reached, for a peer."""
        addresses = shown(self._network.addresses, dialled)[:ADDRESSES_MAX]
        now_ms = self._clock.now_ms()
        if self._key is None:
            return Card(
                peer=self._network.peer_id,
                addresses=addresses,
                time_ms=now_ms,
                signature=b"",
            )
        card = self._own_card
        fresh = card is not None and 0 <= now_ms - card.time_ms < CARD_FRESH_MS
        if card is None or card.addresses != addresses or not fresh:
            card = sign_card(self._key, self._feeds.network, addresses, now_ms)
            self._own_card = card
        return card

    def _is_local(self) -> bool:
        """Whether this node is only on loopback."""
        return all(map(is_loopback, self._network.addresses))

    # What links say: `Circle`.

    def learned(self, link: Link, cards: PeerCards) -> None:
        """A hello came, or what a neighbour says of others."""
        if cards.own:
            self._met(link, cards.cards[0])
            return
        now_ms, local = self._clock.now_ms(), self._is_local()
        others = [card for card in cards.cards if card.peer != self._network.peer_id]
        for card in others:
            if self.peers.hear(link.stream.peer, card, now_ms, local=local):
                self._wake.set()

    def _met(self, link: Link, card: Card) -> None:
        """The peer is who it says, and says where it is."""
        name, dialled = link.stream.peer, link.address
        if card.peer != name:
            return
        local = self._is_local() or (dialled is not None and is_loopback(dialled))
        now_ms = self._clock.now_ms()
        self.peers.met(card, now_ms, dialled=dialled is not None, local=local)
        self._introduce(link)

    def _introduce(self, link: Link) -> None:
        """Tell a neighbour of a few others; strangers are told nothing."""
        if link.session.shared:
            now_ms, local = self._clock.now_ms(), self._is_local()
            name = link.stream.peer
            link.introduce(self.peers.to_tell(name, now_ms, local=local))

    def quota(self, peer: PeerId) -> Quota:
        """How much of a peer's talk is read; one that comes back owes what it owed."""
        now = trio.current_time()
        quota = self._quotas.pop(peer, None) or Quota(now)
        self._quotas[peer] = quota
        idle = [x for x in self._quotas if x not in self._links and x != peer]
        for name in idle[: max(0, len(self._quotas) - PEERS_MAX)]:
            del self._quotas[name]
        return quota

    def told(self, link: Link, told: Told) -> None:
        """A peer has heads that are not here: they should come by another link."""
        self._overdue.told(link, told, trio.current_time())

    def repeated(self, link: Link, scope: Scope) -> None:
        """A peer pushed what was known: another link is enough, if there is one."""
        others = [other for other in self._fed(scope) if other is not link]
        if self._overdue.suffices(others, scope):
            link.prune(scope)

    def _fed(self, scope: Scope) -> list[Link]:
        """The links that are to push what is new in a scope."""
        return [link for link in self._links.values() if link.session.fed(scope)]

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
                self._dialling[peer.peer] = peer.next_address
                nursery.start_soon(self._dial, peer)
                await trio.sleep(self._manners.dial_s)

    def _next_to_dial(self) -> Peer | None:
        """Whom to dial now: within the slots, or whom another would make room for."""
        if self._leaving:
            return None
        dialled = len(self._side(dialled=True)) + len(self._dialling)
        total = len(self._links) + len(self._dialling)
        spare = self._manners.outbound_max - dialled
        if total >= self._manners.links_max or spare < 0:
            return None
        gains = bool(spare or self._loose(dialled=True))
        if not gains and trio.current_time() < self._feel_at:
            return None
        used = [link.address or "" for link in self._side(dialled=True)]
        crowd = Counter(map(prefix_of, [*used, *self._dialling.values()]))
        idle = [
            peer
            for peer in self.peers.candidates(trio.current_time(), crowd)
            if peer.peer not in self._links and peer.peer not in self._dialling
        ]
        if not idle:
            return None
        if spare or (idle[0].preferred and gains):
            return idle[0]
        return self._next_to_feel(idle)

    def _next_to_feel(self, idle: Sequence[Peer]) -> Peer | None:
        """Whom to dial for a moment, though all slots are taken; any, now and then."""
        now = trio.current_time()
        if now < self._feel_at:
            return None
        self._feel_at = now + self._manners.feel_s
        chosen = idle[int.from_bytes(self._rng.token(2), "big") % len(idle)]
        self._felt[chosen.peer] = now
        return chosen

    async def _dial(self, peer: Peer) -> None:
        address = self._dialling[peer.peer]
        try:
            stream = await self._network.dial(address)
        except Exception as error:  # noqa: BLE001 - no address may end the node
            if not isinstance(error, Unreachable):
                log.warning("dialling %s: %r", address, error)
            now = trio.current_time()
            self.peers.failed(peer, str(error), now, fault=False)
            self._felt.pop(peer.peer, None)
            return
        finally:
            del self._dialling[peer.peer]
        try:
            await self._talk(stream, address)
        finally:
            self._felt.pop(peer.peer, None)

    async def _compare_loop(self) -> None:
        """Compare all neighbours now and then; tell them of others, more rarely."""
        turn = 0
        while True:
            await trio.sleep(self._manners.reconcile_s)
            self.reconcile()
            turn += 1
            if turn % TELL_EVERY == 0:
                for link in self._links.values():
                    self._introduce(link)

    async def _room_loop(self) -> None:
        """Let strangers go while there is little room; save the peer table."""
        while True:
            await trio.sleep(1)
            self._make_room(trio.current_time())
            dialled = self._side(dialled=True)
            settled = [link.stream.peer for link in dialled if link.session.shared]
            self.peers.anchors(settled[:ANCHORS])
            try:
                await self.peers.save()
            except (StoreInDoubt, StoreFull) as error:
                log.warning("the peer table was not saved: %s", error)

    def _make_room(self, now: Seconds) -> None:
        """Let go whom nothing connects with this node, the longest first.

        As long as half of the slots are free they may stay: they may follow
        something that is followed here in a moment.
        """
        for name, felt in self._felt.items():
            if now - felt >= FEEL_SECONDS_MAX and name in self._links:
                self._links[name].close(Goodbye.FULL)
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
        link = self._links[name]
        known = bool(link.session.shared) or not link.session.greeted
        return not (known or self._preferred(link) or link in self._let_go)


async def _decline(stream: Stream, reason: Goodbye) -> None:
    """Say why a stream is not kept, and close it."""
    with trio.move_on_after(BYE_SECONDS_MAX), contextlib.suppress(StreamClosed):
        await stream.send([encode_frame(Bye(reason=str(reason)))])
    await stream.close()


def _unknown(name: PeerId) -> Failure:
    return Failure(
        "unknown-peer",
        "This node does not know the peer {peer}.",
        "A peer id from the list of peers.",
        "See `p2pnode peer list`.",
        NOT_FOUND,
        peer=name,
    )
