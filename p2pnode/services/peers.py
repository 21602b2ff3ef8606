"""The peers this node knows: how to reach them, and when to try again.

What is known has ranks. A peer that was dialled and said hello is worth more
than one that came by itself, and that more than one others told of. Those told
of take at most half of the table, of one teller at most a sixteenth; and no
word of others moves a peer that was added by hand, invited us, or is an anchor.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from p2pnode.services.addresses import is_loopback, is_plausible, prefix_of
from protocols.codec import decode, encode
from protocols.errors import ProtocolError
from protocols.limits import ADDRESS_MAX, ADDRESSES_MAX, CARDS_MAX
from protocols.shape import flag, listof, option, struct, text, uint
from protocols.wire import PEER_CARD, Card

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pnode.ports import PeerId, Rng, Seconds, Store

PEER: Final = "peer/"
"""Prefix of the state that holds the table."""

PEERS_MAX: Final = 1_024
"""Peers that are remembered; those added by hand are never forgotten."""

TOLD_MAX: Final = PEERS_MAX // 2
"""Peers that only others told of."""

TOLD_SHARE: Final = PEERS_MAX // 16
"""Of these, those of one teller."""

PREFIX_MAX: Final = 2
"""Peers dialled within one part of the internet."""

ANCHORS: Final = 2
"""Peers dialled for the longest, dialled first after a restart."""

CARD_AHEAD_MS_MAX: Final = 86_400_000
"""How far ahead of our clock a card may be: a day."""

CARD_AGE_MS_MAX: Final = 30 * 86_400_000
"""How old a card may be that others tell, or that is told."""

TELL_MAX: Final = CARDS_MAX // 2
"""Cards told at once."""

BACK_OFF_SECONDS: Final = 1.0
"""Pause after the first failure; it doubles with each, half to all of it."""

BACK_OFF_SECONDS_MAX: Final = 600.0
"""Longest pause."""

FAULT_FAILURES: Final = 6
"""A peer that broke a rule waits as after so many failures."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Peer:
    """One peer that is known."""

    peer: PeerId
    addresses: tuple[str, ...] = ()
    """Latest first, each ending in `/p2p/<peer id>`."""
    fixed: bool = False
    """Added by hand: dialled first, never forgotten."""
    invited: bool = False
    """In an invite link that was used here: dialled next, never forgotten."""
    anchor: bool = False
    """Dialled for long: dialled then, not forgotten while it is one."""
    blocked: bool = False
    reached: bool = False
    """Dialled from here, and it said hello."""
    success_ms: int = 0
    """When a hello last came; 0: never."""
    card: Card | None = None
    """Its latest signed card."""
    teller: str = ""
    """Who told of it, as long as it did not say hello itself."""
    failures: int = 0
    """In a row; not remembered over restarts."""
    dial_at: Seconds = 0.0
    """Not dialled before."""
    error: str = ""
    """What went wrong last."""
    fault: bool = False
    """Whether that was a rule the peer broke."""
    turn: int = 0
    """Which of the addresses is tried next."""

    @property
    def kept(self) -> bool:
        """Whether it is never forgotten to make room."""
        return self.fixed or self.invited or self.anchor or self.blocked

    @property
    def preferred(self) -> bool:
        """Whether no other peer's link is worth more."""
        return self.fixed or self.invited or self.anchor

    @property
    def rank(self) -> int:
        """How well it is known: 2 dialled, 1 met, 0 told of."""
        return 2 if self.reached else int(self.success_ms > 0)

    @property
    def next_address(self) -> str:
        """The address that is dialled next."""
        return self.addresses[self.turn % len(self.addresses)]


_FORMAT = struct(
    Peer,
    peer=text(ADDRESS_MAX),
    addresses=listof(text(ADDRESS_MAX), ADDRESSES_MAX),
    fixed=flag(),
    invited=flag(),
    anchor=flag(),
    blocked=flag(),
    reached=flag(),
    success_ms=uint(),
    card=option(PEER_CARD),
    teller=text(ADDRESS_MAX),
)


class PeerTable:
    """Known peers, kept in the store's state."""

    def __init__(self, store: Store, rng: Rng) -> None:
        self._store = store
        self._rng = rng
        self._salt = rng.token(16)
        self._peers: dict[PeerId, Peer] = {}
        self._changed: dict[PeerId, None] = {}

    async def open(self) -> None:
        """Read the table."""
        for name, data in (await self._store.state(PEER)).items():
            try:
                peer = _FORMAT.read(decode(data, 65_536))
            except ProtocolError as error:
                log.warning("forgetting %s: %s", name, error)
                continue
            self._peers[peer.peer] = peer

    async def save(self) -> None:
        """Write what changed since the last call."""
        changed, self._changed = self._changed, {}
        state: dict[str, bytes | None] = {}
        for name in changed:
            peer = self._peers.get(name)
            state[PEER + name] = encode(_FORMAT.write(peer)) if peer else None
        saved = False
        try:
            if state:
                await self._store.append((), state=state)
            saved = True
        finally:
            if not saved:
                self._changed = {**changed, **self._changed}

    def all(self) -> list[Peer]:
        """Every known peer, by id."""
        return [self._peers[name] for name in sorted(self._peers)]

    def get(self, name: PeerId) -> Peer | None:
        """A known peer, or None."""
        return self._peers.get(name)

    def know(self, name: PeerId) -> Peer:
        """A peer, known from now on."""
        if name not in self._peers:
            self._make_room()
            self._peers[name] = Peer(peer=name)
        return self._peers[name]

    def touch(self, peer: Peer) -> None:
        """Note that a peer must be saved."""
        self._changed[peer.peer] = None

    def learn(self, name: PeerId, addresses: Sequence[str]) -> Peer:
        """Put addresses of a peer first; those of another peer are ignored."""
        peer = self.know(name)
        sound = [one for one in addresses if is_plausible(one, name, local=True)]
        self._put(peer, [*sound, *peer.addresses])
        return peer

    def met(self, card: Card, now_ms: int, *, dialled: bool, local: bool) -> None:
        """A peer said hello with this card, which is its own."""
        peer = self.know(card.peer)
        said = [x for x in card.addresses if is_plausible(x, peer.peer, local=local)]
        self._put(peer, [*said, *peer.addresses])
        if card.signature and _is_later(card, peer.card):
            peer.card = card
        peer.failures, peer.error, peer.fault = 0, "", False
        peer.success_ms = now_ms
        peer.reached, peer.teller = peer.reached or dialled, ""
        self.touch(peer)

    def hear(self, teller: PeerId, card: Card, now_ms: int, *, local: bool) -> bool:
        """A neighbour told another's card, whose signature was checked.

        Returns:
            Whether it said anything new.
        """
        said = [x for x in card.addresses if is_plausible(x, card.peer, local=local)]
        age = now_ms - card.time_ms
        if not said or not -CARD_AHEAD_MS_MAX <= age <= CARD_AGE_MS_MAX:
            return False
        peer = self._peers.get(card.peer)
        if peer is None:
            if not self._make_room_for(teller):
                return False
            peer = self._peers[card.peer] = Peer(peer=card.peer, teller=teller)
        elif not _is_later(card, peer.card):
            return False
        peer.card = card
        known = peer.addresses if peer.preferred else ()
        self._put(peer, [*known, *said, *peer.addresses])
        self.touch(peer)
        return True

    def to_tell(self, listener: PeerId, now_ms: int, *, local: bool) -> list[Card]:
        """A few cards for a neighbour: of others that said hello here."""
        found = [
            peer.card
            for peer in self.all()
            if peer.card is not None
            and peer.peer != listener
            and peer.rank > 0
            and not peer.blocked
            and now_ms - peer.card.time_ms <= CARD_AGE_MS_MAX
            and peer.card.addresses
            and (local or not any(map(is_loopback, peer.card.addresses)))
        ]
        return self._shuffled(found, self._rng.token(16))[:TELL_MAX]

    def anchors(self, names: Sequence[PeerId]) -> None:
        """Say who has been dialled for the longest; fewer than two move nobody."""
        old = sorted(name for name, peer in self._peers.items() if peer.anchor)
        now = list(dict.fromkeys([*names, *old]))[:ANCHORS]
        for name in dict.fromkeys([*old, *now]):
            peer = self.know(name)
            if peer.anchor is not (name in now):
                peer.anchor = name in now
                self.touch(peer)

    def failed(self, peer: Peer, error: str, now: Seconds, *, fault: bool) -> None:
        """Wait before the next dial, longer each time, never in step with others."""
        peer.failures = max(peer.failures + 1, FAULT_FAILURES if fault else 0)
        peer.turn += 1
        peer.error, peer.fault = error, fault
        pause = BACK_OFF_SECONDS * 2 ** min(peer.failures - 1, 16)
        share = int.from_bytes(self._rng.token(2), "big") / 65_536
        peer.dial_at = now + min(pause, BACK_OFF_SECONDS_MAX) * (0.5 + share / 2)

    def candidates(self, now: Seconds, crowd: Mapping[str, int]) -> list[Peer]:
        """Whom to dial, best first.

        By hand, anchors, inviters; then whoever lies where few links lead, is
        best known, and said hello last. Of one prefix no more than two.

        Args:
            now: by trio's clock.
            crowd: how many links that were dialled lead into each prefix.
        """
        due = [
            peer
            for peer in self.all()
            if peer.addresses and not peer.blocked and peer.dial_at <= now
        ]
        places = {peer.peer: prefix_of(peer.next_address) for peer in due}
        crowds = {
            name: crowd.get(place, 0) if place else 0 for name, place in places.items()
        }
        return sorted(
            (p for p in due if p.preferred or crowds[p.peer] < PREFIX_MAX),
            key=lambda peer: (
                not peer.fixed,
                not peer.anchor,
                not peer.invited,
                crowds[peer.peer],
                -peer.rank,
                -peer.success_ms,
                sha256(self._salt + peer.peer.encode()).digest(),
            ),
        )

    def _put(self, peer: Peer, addresses: Sequence[str]) -> None:
        merged = tuple(dict.fromkeys(addresses))[:ADDRESSES_MAX]
        if merged != peer.addresses:
            peer.addresses = merged
            self.touch(peer)

    def _shuffled(self, cards: list[Card], salt: bytes) -> list[Card]:
        return sorted(cards, key=lambda c: sha256(salt + c.peer.encode()).digest())

    def _make_room_for(self, teller: PeerId) -> bool:
        """Make room for a peer that is only told of; whether there is any."""
        told = [peer for peer in self._peers.values() if peer.teller and not peer.kept]
        shares = Counter(peer.teller for peer in told)
        if shares[teller] >= TOLD_SHARE:
            self._forget(next(peer for peer in told if peer.teller == teller))
        elif len(told) >= TOLD_MAX:
            largest = max(shares, key=lambda name: (shares[name], name))
            self._forget(next(peer for peer in told if peer.teller == largest))
        return self._make_room(rank=0)

    def _make_room(self, rank: int = 2) -> bool:
        """Forget one if the table is full: the least known, longest without hello."""
        if len(self._peers) < PEERS_MAX:
            return True
        loose = [p for p in self.all() if not p.kept and p.rank <= rank]
        if loose:
            self._forget(min(loose, key=lambda peer: (peer.rank, peer.success_ms)))
        return bool(loose)

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer.peer]
        self._changed[peer.peer] = None


def _is_later(card: Card, known: Card | None) -> bool:
    return known is None or card.time_ms > known.time_ms
