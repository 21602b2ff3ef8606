"""`Network` over py-libp2p: TCP, Noise, yamux, one protocol, no pubsub.

The only module besides `mends` that imports libp2p. A host lives as long as
`Libp2pNetwork.run`; `run` may be called again after it failed, with the same
identity.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.rcmgr import ResourceLimits, new_resource_manager
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.utils.address_validation import expand_wildcard_address
from multiaddr import Multiaddr

from p2pnode.net import mends
from p2pnode.net.stream import Libp2pStream
from p2pnode.ports import Network, PeerId, Stream, StreamClosed, Unreachable

PROTOCOL: Final = "/p2pnode/neighbour/1.0.0"
"""The one protocol of ours; spec 0006."""

DIAL_SECONDS_MAX: Final = 10.0
"""Connecting, proving identities and agreeing on the protocol, together."""

NEGOTIATE_SECONDS_MAX: Final = 5
"""Each side's patience with a handshake or with naming a protocol."""

IDLE_SECONDS_MAX: Final = 20.0
"""How long a crowded host keeps a connection that carries no stream of ours."""

SWEEP_SECONDS: Final = 2.0
"""How often such connections are looked for."""

log = logging.getLogger(__name__)


class CannotListen(OSError):
    """An address cannot be listened on: "cannot listen on ..., because"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """What one host holds open at most."""

    connections_max: int = 40
    """Connections, whoever opened them."""

    inbound_max: int = 32
    """Connections others opened, so that some are left for our own dials."""

    streams_per_peer_max: int = 8
    """Streams one peer may have open towards us at a time."""


class Libp2pNetwork(Network):
    """Streams over py-libp2p 0.8.1, mended.

    Args:
        seed: 32 bytes, the secret of the transport identity.
        listen: multiaddrs to listen on; port 0 lets the system choose.
        limits: what the host holds open at most.
        allow: asked for every peer as soon as its identity is proved and
            before any of its streams is looked at; False refuses it.
    """

    def __init__(
        self,
        seed: bytes,
        *,
        listen: Sequence[str] = ("/ip4/127.0.0.1/tcp/0",),
        limits: HostLimits | None = None,
        allow: Callable[[PeerId], bool] | None = None,
    ) -> None:
        if len(seed) != 32:
            raise ValueError(f"a transport seed has 32 bytes, not {len(seed)}")
        mends.mend_process()
        self._key_pair = create_new_key_pair(seed)
        self._peer_id: PeerId = str(ID.from_pubkey(self._key_pair.public_key))
        self._listen = tuple(_parse_listen(address) for address in listen)
        self._limits = limits or HostLimits()
        self._allow = allow or _everyone
        self._accept: Callable[[Stream], Awaitable[None]] | None = None
        self._host: Any = None
        self._streams: list[Any] = []
        """The raw streams of ours that were open at the last look."""

    @property
    def peer_id(self) -> PeerId:
        """This node's own transport identity."""
        return self._peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses others can dial, each ending in `/p2p/<peer id>`.

        Empty while the network does not run.
        """
        if self._host is None:
            return ()
        return tuple(str(address) for address in self._host.get_addrs())

    async def run(
        self,
        accept: Callable[[Stream], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and hand every inbound stream to `accept`, until cancelled.

        Raises:
            CannotListen: an address is taken, or not of this machine.
            RuntimeError: the host stopped by itself; run again.
        """
        for address in self._listen:
            _assert_free(address)
        self._accept = accept
        host = self._build()
        try:
            fault = await self._live(host, task_status)
        except Exception as group:
            raise RuntimeError("the libp2p host failed, see its cause") from group
        finally:
            self._host = None
        raise fault

    async def _live(
        self, host: Any, task_status: trio.TaskStatus[None]
    ) -> CannotListen | RuntimeError:
        """Keep the host running; return why it cannot go on.

        Returning, not raising: the nurseries would wrap it in a group.
        """
        async with trio.open_nursery() as nursery, host.run(listen_addrs=self._listen):
            try:
                if len(host.get_network().listeners) < len(self._listen):
                    wanted = ", ".join(map(str, self._listen))
                    return CannotListen(f"cannot listen on {wanted}")
                self._host = host
                nursery.start_soon(host.get_peerstore().start_cleanup_task, 300)
                nursery.start_soon(self._sweep, host)
                task_status.started()
                await host.get_network().get_manager().wait_finished()
            finally:
                await _close_host(host)
                nursery.cancel_scope.cancel()
        return RuntimeError("the libp2p host stopped by itself, the log says why")

    async def dial(self, address: str) -> Stream:
        """Connect to `address` (ending in `/p2p/<peer id>`), open a stream.

        A connection to that peer which is open already is used again; the
        address is not tried then.

        Raises:
            Unreachable: no connection, another identity, or the deadline.
        """
        host = self._host
        where, peer_id = _parse(address)
        if host is None:
            raise Unreachable(f"cannot reach {address}: the network does not run")
        if str(peer_id) == self._peer_id:
            raise Unreachable(f"cannot reach {address}: that is this node itself")
        if not self._allow(str(peer_id)):
            raise Unreachable(f"cannot reach {address}: the peer is blocked here")
        try:
            with trio.fail_after(DIAL_SECONDS_MAX):
                return await self._open(host, peer_id, where)
        except trio.TooSlowError:
            await mends.hard_drop(host, peer_id)
            why = f"no answer within {DIAL_SECONDS_MAX:.0f} s"
            raise Unreachable(f"cannot reach {address}: {why}") from None
        except Exception as fault:
            raise Unreachable(f"cannot reach {address}: {_why(fault)}") from fault

    async def drop(self, peer: PeerId) -> None:
        """Close every connection to `peer`; never raises."""
        host = self._host
        if host is None:
            return
        try:
            await mends.hard_drop(host, ID.from_base58(peer))
        except Exception as fault:  # noqa: BLE001 - promised: never raises
            log.info("dropping %s: %r", peer, fault)

    async def _open(self, host: Any, peer_id: Any, where: Multiaddr) -> Stream:
        """Connect if need be, then open a stream; a fresh failure leaves nothing."""
        fresh = not mends.is_connected(host, peer_id)
        opened = False
        try:
            if fresh:
                await mends.dial_once(host, peer_id, where)
            raw = await host.new_stream(peer_id, [TProtocol(PROTOCOL)])
            opened = True
        finally:
            if fresh and not opened:
                await mends.hard_drop(host, peer_id)
        return self._wrap(host, raw, dialled=True)

    async def _serve(self, host: Any, raw: Any) -> None:
        """Run `accept` on an inbound stream, whatever it does."""
        assert self._accept is not None
        stream = self._wrap(host, raw, dialled=False)
        try:
            await self._accept(stream)
        except StreamClosed as end:
            log.debug("the stream of %s ended: %s", stream.peer, end)
        except Exception:
            log.exception("serving the stream of %s failed", stream.peer)
        finally:
            await stream.close()

    def _wrap(self, host: Any, raw: Any, *, dialled: bool) -> Libp2pStream:
        carrier = raw.muxed_conn
        drop = functools.partial(mends.hard_drop, host, carrier.peer_id)
        self._streams.append(raw)
        return Libp2pStream(raw, str(carrier.peer_id), dialled=dialled, drop=drop)

    async def _sweep(self, host: Any) -> None:
        """Close connections that carry nothing while they crowd others out.

        Without it whoever connects and never says a word, or ends its stream,
        keeps one of the slots for as long as it likes.
        """
        since: dict[Any, float] = {}
        network = host.get_network()
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            carriers = [each.muxed_conn for each in network.get_connections()]
            self._streams = [
                raw
                for raw in self._streams
                if raw.muxed_conn in carriers and not raw.is_closed
            ]
            busy = {raw.muxed_conn for raw in self._streams}
            idle = [carrier for carrier in carriers if carrier not in busy]
            since = {carrier: since.get(carrier, now) for carrier in idle}
            spare = len(carriers) - self._limits.connections_max // 2
            for carrier in sorted(idle, key=since.__getitem__)[: max(spare, 0)]:
                if now - since[carrier] >= IDLE_SECONDS_MAX:
                    await mends.close_socket(carrier)

    def _build(self) -> Any:
        """Build a mended host that speaks Noise and yamux over TCP, no more."""
        noise_key = create_noise_key_pair().private_key
        noise = Noise(self._key_pair, noise_privkey=noise_key)
        host = new_host(
            key_pair=self._key_pair,
            sec_opt={NOISE: cast("Any", _GatedNoise(noise, self._allow))},
            muxer_opt={TProtocol(YAMUX): Yamux},
            listen_addrs=list(self._listen),
            connection_config=self._connection_config(),
            resource_manager=self._resource_manager(),
            negotiate_timeout=NEGOTIATE_SECONDS_MAX,
            addrs_factory=_diallable,
            disable_identify_address_discovery=True,
        )
        mends.mend_host(
            host,
            allow=self._allow,
            streams_per_peer_max=self._limits.streams_per_peer_max,
        )
        handler = functools.partial(self._serve, host)
        host.set_stream_handler(TProtocol(PROTOCOL), handler)
        return host

    def _connection_config(self) -> Any:
        return ConnectionConfig(
            max_connections=self._limits.connections_max,
            min_connections=0,
            low_watermark=0,
            high_watermark=self._limits.connections_max,
            max_connections_per_peer=2,  # two nodes may dial each other at once
            inbound_upgrade_timeout=NEGOTIATE_SECONDS_MAX,
            outbound_upgrade_timeout=NEGOTIATE_SECONDS_MAX,
            inbound_stream_protocol_negotiation_timeout=NEGOTIATE_SECONDS_MAX,
            outbound_stream_protocol_negotiation_timeout=NEGOTIATE_SECONDS_MAX,
        )

    def _resource_manager(self) -> Any:
        limits = self._limits
        streams_max = limits.connections_max * mends.STREAMS_MAX
        # A connection counts twice while it is upgraded, hence the doubling.
        return new_resource_manager(
            limits=ResourceLimits(
                max_connections=2 * limits.connections_max, max_streams=streams_max
            ),
            connection_limits=ConnectionLimits(
                max_established_inbound=limits.inbound_max,
                max_established_per_peer=2,
                max_established_total=limits.connections_max,
            ),
            enable_metrics=False,
            enable_memory_limits=False,
            enable_memory_pooling=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
        )


class _GatedNoise:
    """Noise that refuses a peer as soon as its identity is proved."""

    def __init__(self, noise: Any, allow: Callable[[PeerId], bool]) -> None:
        self._noise = noise
        self._allow = allow

    async def secure_inbound(self, connection: Any) -> Any:
        secured = await self._noise.secure_inbound(connection)
        if not self._allow(str(secured.get_remote_peer())):
            await secured.close()
            raise HandshakeFailure("the peer is blocked")
        return secured

    async def secure_outbound(self, connection: Any, peer_id: Any) -> Any:
        return await self._noise.secure_outbound(connection, peer_id)


def _everyone(_peer: PeerId) -> bool:
    return True


def _parse(address: str) -> tuple[Multiaddr, Any]:
    """Return the address, if it is TCP without more, and the peer it names.

    Raises:
        Unreachable: it is something else.
    """
    try:
        where = Multiaddr(address)
        names = [protocol.name for protocol in where.protocols()]
        peer = where.value_for_protocol("p2p") if "p2p" in names else ""
        peer_id = ID.from_base58(peer)
    except Exception as fault:
        raise Unreachable(f"cannot read the address {address!r}: {fault}") from fault
    hosts = ("ip4", "ip6", "dns", "dns4", "dns6")
    if len(names) != 3 or names[0] not in hosts or names[1:] != ["tcp", "p2p"]:
        example = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW..."
        raise Unreachable(f"cannot dial {address!r}: expected the form {example}")
    return where, peer_id


def _parse_listen(address: str) -> Multiaddr:
    """Return the address if it is plain TCP on an interface.

    Raises:
        CannotListen: it is something else.
    """
    try:
        where = Multiaddr(address)
        names = [protocol.name for protocol in where.protocols()]
    except Exception as fault:
        raise CannotListen(f"cannot listen on {address!r}: no address") from fault
    if len(names) != 2 or names[0] not in ("ip4", "ip6") or names[1] != "tcp":
        raise CannotListen(f"cannot listen on {address!r}: not an IP and a TCP port")
    return where


def _diallable(bound: Sequence[Multiaddr]) -> list[Multiaddr]:
    """Replace 0.0.0.0 and :: by the addresses of this machine's interfaces."""
    expanded = [real for address in bound for real in _expand(address)]
    return list(dict.fromkeys(expanded))


def _expand(address: Multiaddr) -> list[Multiaddr]:
    if not _is_wildcard(address):
        return [address]
    reals = expand_wildcard_address(address)
    return [real for real in reals if not _is_wildcard(real)]


def _is_wildcard(address: Multiaddr) -> bool:
    return str(address).startswith(("/ip4/0.0.0.0/", "/ip6/::/"))


def is_free(address: str) -> bool:
    """Whether nobody listens at a TCP address of this machine."""
    try:
        _assert_free(Multiaddr(address))
    except CannotListen:
        return False
    return True


def _assert_free(address: Multiaddr) -> None:
    """Fail if another program listens there.

    libp2p sets SO_REUSEPORT: a second node on the same port would start without
    a word and get every other connection.
    """
    names = {protocol.name for protocol in address.protocols()}
    family = "ip6" if "ip6" in names else "ip4"
    port = int(address.value_for_protocol("tcp"))
    kind = socket.AF_INET6 if family == "ip6" else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.value_for_protocol(family), port))
        except OSError as fault:
            why = fault.strerror or str(fault)
            raise CannotListen(f"cannot listen on {address}: {why}") from fault


async def _close_host(host: Any) -> None:
    """Close every socket now; leaving `host.run` alone leaks them all."""
    with trio.move_on_after(5, shield=True):
        async with trio.open_nursery() as nursery:
            for peer_id in host.get_connected_peers():
                nursery.start_soon(mends.hard_drop, host, peer_id)
        await host.close()


def _why(fault: BaseException) -> str:
    """The sentence for people: the deepest cause, or a known one above it."""
    cause: BaseException | None = fault
    deepest = fault
    while cause is not None:
        if isinstance(cause, PeerIDMismatchesPubkey):
            return "another identity answered there"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there (connection refused)"
        deepest = cause
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__
    return str(deepest) or repr(deepest)
