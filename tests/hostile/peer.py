"""A peer that means harm: raw sockets, raw yamux, raw frames.

The attacks beside this file are built on it. They run against a node that the
tests or the soak started themselves on loopback, and are bounded in memory.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import trio
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2pnode.net.host import Libp2pNetwork
from p2pnode.ports import Stream, StreamClosed
from protocols import wire
from protocols.errors import ProtocolError
from protocols.invite_link import InviteLink
from protocols.keys import NetworkId, Scope
from protocols.neighbour import scope_hash

PATIENCE_S: Final = 8.0
"""How long an answer of the victim's may take."""

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
"""Types and flags of yamux frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """Whom the attacks are for."""

    address: str
    """Ends in /p2p/ and a peer id."""
    network: NetworkId
    scope: Scope
    """A scope that it follows."""
    link: InviteLink | None = None
    """A public invite to a campaign; `scope` is that campaign then."""
    door: int = 0
    """The port of its local API; 0: leave it alone."""
    chain: int = 100
    """Joins in the longest referral chain."""
    patience_s: float = 6.0
    """How long an attack goes on that only waits what becomes of it."""


Attack = Callable[[Victim], Awaitable[str]]
"""Does its worst and returns what became of it, in a word or two."""


# ------------------------------------------------------------------ raw bytes


@asynccontextmanager
async def tcp(victim: Victim) -> AsyncIterator[trio.SocketStream]:
    """A connection to its peer port, and not a byte on it."""
    where = Multiaddr(victim.address)
    port = int(where.value_for_protocol("tcp"))
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


async def tell(stream: trio.SocketStream, data: bytes) -> None:
    """Send bytes that the victim may have stopped taking."""
    try:
        await stream.send_all(data)
    except trio.BrokenResourceError:
        await trio.lowlevel.checkpoint()


async def outcome(stream: trio.SocketStream, seconds: float) -> str:
    """Read until the victim hangs up, or as long as the attack lasts."""
    with trio.move_on_after(seconds):
        try:
            while await stream.receive_some(65_536):
                pass
        except trio.BrokenResourceError:
            pass
        return "hung up"
    return "held"


# ---------------------------------------------------------------------- yamux


class Muxed:
    """The authenticated connection below the streams, frame by frame."""

    def __init__(self, network: Libp2pNetwork, connection: Any) -> None:
        self.network = network
        self._muxed = connection.muxed_conn
        self.stream_id = 1_001
        """Odd: the dialler's; above those that were used honestly."""

    async def send(
        self, kind: int, flags: int, stream: int, length: int, body: bytes = b""
    ) -> None:
        """Send a frame whose length need not be that of its body."""
        head = struct.pack(">BBHII", 0, kind, flags, stream, length)
        await self.raw(head + body)

    async def raw(self, data: bytes) -> None:
        """Send bytes below yamux; the victim may have hung up."""
        try:
            await self._muxed._write_frame(data)
        except Exception:  # noqa: BLE001 - whatever libp2p says of a lost socket
            await trio.lowlevel.checkpoint()

    async def opened(self, words: bytes = b"") -> int:
        """Open a stream the quick way: SYN, then `words` as its first bytes."""
        self.stream_id += 2
        await self.send(DATA, SYN, self.stream_id, len(words), words)
        return self.stream_id

    async def outcome(self, seconds: float) -> str:
        """Whether the victim ends the connection while the attack lasts."""
        with trio.move_on_after(seconds):
            await self._muxed.event_closed.wait()
            return "hung up"
        return "held"


@asynccontextmanager
async def running() -> AsyncIterator[Libp2pNetwork]:
    """A libp2p host with a fresh identity."""
    network = Libp2pNetwork(secrets.token_bytes(32))

    async def ignore(_stream: Stream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(network.run, ignore)
        try:
            yield network
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def muxed(victim: Victim) -> AsyncIterator[Muxed]:
    """An authenticated connection on which the neighbour protocol was opened."""
    async with running() as network:
        await network.dial(victim.address)
        peer_id = ID.from_base58(victim.address.rpartition("/")[2])
        (connection,) = network._host.get_network().get_connections(peer_id)
        yield Muxed(network, connection)


# --------------------------------------------------------------------- frames


class Attacker:
    """One stream to a victim, on which anything may be said."""

    def __init__(self, stream: Stream, network: NetworkId) -> None:
        self.stream = stream
        self.network = network
        self.nonce = secrets.token_bytes(32)

    async def send(self, *frames: bytes | wire.Frame) -> None:
        """Send frames; the victim may have hung up already."""
        data = [f if isinstance(f, bytes) else wire.encode_frame(f) for f in frames]
        try:
            await self.stream.send(data)
        except StreamClosed:
            await trio.lowlevel.checkpoint()

    async def hear(self, kind: type[Any], seconds: float = PATIENCE_S) -> Any:
        """The next frame of a kind; None if the stream ends before."""
        try:
            with trio.fail_after(seconds):
                while True:
                    frame = wire.decode_frame(await self.stream.receive())
                    if isinstance(frame, kind):
                        return frame
        except StreamClosed:
            return None

    async def outcome(self, seconds: float) -> str:
        """`bye` and why, `hung up` without a word, or `held`: it talks on."""
        try:
            bye = await self.hear(wire.Bye, seconds)
        except trio.TooSlowError:
            return "held"
        except ProtocolError:
            return "garbage"
        return "hung up" if bye is None else f"bye {bye.reason}"

    def hello(self, peer: bytes, scopes: Sequence[Scope]) -> wire.Hello:
        """A hello with which nothing is wrong."""
        card = wire.Card(peer=self.stream.peer, addresses=(), time_ms=0, signature=b"")
        hashes = sorted(scope_hash(scope, self.nonce, peer) for scope in scopes)
        return wire.Hello(
            version=wire.VERSION,
            network=self.network,
            scopes=tuple(hashes),
            credit=0,
            card=card,
        )

    async def greet(self, scopes: Sequence[Scope]) -> wire.Nonce:
        """Become a neighbour; return the victim's nonce."""
        await self.send(wire.Nonce(nonce=self.nonce))
        peer: wire.Nonce | None = await self.hear(wire.Nonce)
        if peer is None:
            raise StreamClosed("the victim did not greet")
        await self.send(self.hello(peer.nonce, scopes))
        await self.hear(wire.Hello)
        return peer


@asynccontextmanager
async def stranger(victim: Victim) -> AsyncIterator[Attacker]:
    """A stream of the neighbour protocol, before any frame."""
    async with running() as network:
        yield Attacker(await network.dial(victim.address), victim.network)


@asynccontextmanager
async def neighbour(victim: Victim) -> AsyncIterator[Attacker]:
    """A stream on which both said hello and share the victim's scope."""
    async with stranger(victim) as attacker:
        await attacker.greet([victim.scope])
        yield attacker
