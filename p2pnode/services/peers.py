"""The peers this node knows: how to reach them, and when to try again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from protocols.codec import decode, encode
from protocols.errors import ProtocolError
from protocols.limits import ADDRESS_MAX, ADDRESSES_MAX
from protocols.shape import flag, listof, struct, text, uint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.ports import PeerId, Rng, Seconds, Store

PEER: Final = "peer/"
"""Prefix of the state that holds the table."""

PEERS_MAX: Final = 1_024
"""Peers that are remembered; those added by hand are never forgotten."""

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
    blocked: bool = False
    success_ms: int = 0
    """When a hello last came; 0: never."""
    failures: int = 0
    """In a row; not remembered over restarts."""
    dial_at: Seconds = 0.0
    """Not dialled before."""
    error: str = ""
    """What went wrong last."""
    turn: int = field(default=0)
    """Which of the addresses is tried next."""


_FORMAT = struct(
    Peer,
    addresses=listof(text(ADDRESS_MAX), ADDRESSES_MAX),
    fixed=flag(),
    blocked=flag(),
    success_ms=uint(),
    peer=text(ADDRESS_MAX),
)


def peer_of(address: str) -> PeerId | None:
    """The peer id an address ends in, or None."""
    before, _, peer = address.rpartition("/p2p/")
    sound = bool(before) and bool(peer) and "/" not in peer
    return peer if sound and len(address.encode()) <= ADDRESS_MAX else None


class PeerTable:
    """Known peers, kept in the store's state."""

    def __init__(self, store: Store, rng: Rng) -> None:
        self._store = store
        self._rng = rng
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
            self._forget_one()
            self._peers[name] = Peer(peer=name)
        return self._peers[name]

    def touch(self, peer: Peer) -> None:
        """Note that a peer must be saved."""
        self._changed[peer.peer] = None

    def learn(self, name: PeerId, addresses: Sequence[str]) -> Peer:
        """Put addresses of a peer first; those of another peer are ignored."""
        peer = self.know(name)
        sound = [each for each in addresses if peer_of(each) == name]
        merged = tuple(dict.fromkeys([*sound, *peer.addresses]))[:ADDRESSES_MAX]
        if merged != peer.addresses:
            peer.addresses = merged
            self.touch(peer)
        return peer

    def failed(self, peer: Peer, error: str, now: Seconds, *, fault: bool) -> None:
        """Wait before the next dial, longer each time, never in step with others."""
        peer.failures = max(peer.failures + 1, FAULT_FAILURES if fault else 0)
        peer.turn += 1
        peer.error = error
        pause = BACK_OFF_SECONDS * 2 ** min(peer.failures - 1, 16)
        share = int.from_bytes(self._rng.token(2), "big") / 65_536
        peer.dial_at = now + min(pause, BACK_OFF_SECONDS_MAX) * (0.5 + share / 2)

    def succeeded(self, peer: Peer, now_ms: int) -> None:
        """A hello came."""
        peer.failures, peer.error, peer.success_ms = 0, "", now_ms
        self.touch(peer)

    def candidates(self, now: Seconds) -> list[Peer]:
        """Whom to dial, best first: by hand, then the latest success."""
        due = [
            peer
            for peer in self.all()
            if peer.addresses and not peer.blocked and peer.dial_at <= now
        ]
        return sorted(due, key=lambda peer: (not peer.fixed, -peer.success_ms))

    def _forget_one(self) -> None:
        """Make room: the peer goes that was longest without success."""
        if len(self._peers) < PEERS_MAX:
            return
        loose = [peer for peer in self.all() if not (peer.fixed or peer.blocked)]
        if loose:
            oldest = min(loose, key=lambda peer: peer.success_ms)
            del self._peers[oldest.peer]
            self._changed[oldest.peer] = None
