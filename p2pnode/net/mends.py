# ruff: noqa: SLF001 - every mend reaches into private parts, which is why libp2p
#                     is pinned: see p2pnode/net/README.md
"""Mends of py-libp2p 0.8.1: what fails without each, and no more.

`mend_process` changes classes, once for the whole process. `mend_host` changes
one host between `new_host` and `host.run`. The functions at the end replace
calls that hang, give up early or answer wrongly.
"""

from __future__ import annotations

import functools
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import libp2p
import trio
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.io.exceptions import ConnectionClosedError, MessageTooLarge
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.protocol_muxer import multiselect_communicator
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable
from libp2p.stream_muxer.yamux import yamux
from libp2p.utils.varint import read_varint_prefixed_bytes_limited as read_limited

VERSION: Final = "0.8.1"
"""The version these mends were written for and are tested with."""

WRITE_SECONDS_MAX: Final = 5.0
"""A write that takes longer costs the connection, as does a zero window."""

LINE_BYTES_MAX: Final = 1_024
"""Bytes of a protocol's name when it is negotiated; ours has 24."""

UNREAD_BYTES_MAX: Final = 1 << 20
"""Unread bytes of one connection, all its streams together: four windows."""

READ_AHEAD_MAX: Final = 1 << 16
"""Bytes read from a socket at once: about one Noise message."""

STREAMS_MAX: Final = 64
"""Streams of one connection, also half-closed ones; an honest peer needs five."""

STREAMS_PER_SECOND: Final = 1.0
"""How fast a peer may go on opening streams after the first `STREAMS_MAX`."""

UNACKED_MS_MAX: Final = 20_000
"""How long sent bytes may stay unacknowledged before the peer counts as gone."""

log = logging.getLogger(__name__)


@functools.cache
def mend_process() -> None:
    """Mend what is shared by all hosts of the process.

    Raises:
        RuntimeError: another version of libp2p is installed.
    """
    if libp2p.__version__ != VERSION:
        raise RuntimeError(
            f"libp2p {libp2p.__version__} is installed, but p2pnode/net/mends.py "
            f"mends {VERSION}: install libp2p=={VERSION}"
        )
    show_logs()
    cap_protocol_lines()
    write_whole_frames()
    send_fewer_window_updates()
    read_ahead()
    cap_unread_bytes()
    cap_stream_table()
    notice_dead_peers()


def mend_host(
    host: Any, *, allow: Callable[[str], bool], streams_per_peer_max: int
) -> None:
    """Mend one host; call it before `host.run`."""
    guard_streams(host, allow, streams_per_peer_max)
    release_inbound_slots(host)
    connect_only_when_told(host)
    answer_identify_only(host)


# ---------------------------------------------------------------- the process


def show_logs() -> None:
    """Let the warnings of libp2p reach the handlers of the program.

    Without it `import libp2p` leaves its logger cut off from the root logger
    and without a handler: nothing it reports is ever seen.
    """
    logging.getLogger("libp2p").propagate = True


def cap_protocol_lines() -> None:
    """Refuse a protocol name longer than 1 kB before reading it.

    Without it anybody, before any handshake, may announce a line of any length
    and have it kept in memory until the handshake times out.
    """

    async def read_delim(reader: Any) -> bytes:
        try:
            line: bytes = await read_limited(reader, LINE_BYTES_MAX)
        except MessageTooLarge as fault:
            raise ParseError("the protocol line is too long") from fault
        if not line.endswith(b"\n"):
            raise ParseError("the protocol line does not end")
        return line[:-1]

    multiselect_communicator.read_delim = read_delim


def write_whole_frames() -> None:
    """Never cancel a write half-way; close the connection if it takes too long.

    Without it a cancelled or timed-out write leaves half a Noise record on the
    wire: the connection looks alive, and every later stream on it times out.
    A peer that stops reading TCP holds the write lock, and with it every
    writer, for ever.
    """

    async def _write_frame(self: Any, data: bytes) -> None:
        async with self._write_lock:
            deadline = trio.current_time() + WRITE_SECONDS_MAX
            with trio.CancelScope(shield=True, deadline=deadline) as scope:
                await self.secured_conn.write(data)
            if scope.cancelled_caught:
                await close_socket(self)
                raise ConnectionClosedError("the peer stopped reading", transport="tcp")

    yamux.Yamux._write_frame = _write_frame


def send_fewer_window_updates() -> None:
    """Grant credit once per half window, and keep the window at 256 KiB.

    Without it every small read sends an update (40 % more CPU for small
    frames), the window doubles up to 16 MiB a stream, and a `receive`
    cancelled during the update loses the bytes it had taken already.
    """

    async def tune(self: Any, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self._pending_recv_release < yamux.DEFAULT_WINDOW_SIZE // 2:
            return
        credit, self._pending_recv_release = self._pending_recv_release, 0
        self.recv_window += credit
        with trio.CancelScope(shield=True):  # bounded by write_whole_frames
            await self.send_window_update(credit)

    yamux.YamuxStream._auto_tune_and_send_window_update = tune


def read_ahead() -> None:
    """Read what the socket has at once, and cut messages out of that.

    Without it every Noise message costs two reads of the socket, one of them
    for the two bytes of its length, and five turns of trio's loop for two.
    """
    read_socket = TrioTCPStream.read

    async def read(self: Any, n: int | None = None) -> bytes:
        if n == 0:
            return b""
        ahead: bytes = self.__dict__.pop("ahead", b"")
        if not ahead:
            ahead = await read_socket(self, READ_AHEAD_MAX)
        if n is not None and n < len(ahead):
            self.ahead = ahead[n:]
        return ahead[:n]

    TrioTCPStream.read = read


def cap_unread_bytes() -> None:
    """Close a connection whose peer sends far beyond the window it was granted.

    Without it the window is only warned about: one unread stream held 60 MB.
    """
    read = yamux.Yamux._read_data_body

    async def _read_data_body(self: Any, length: int) -> Any:
        unread = sum(map(len, self.stream_buffers.values()))
        if unread + length > UNREAD_BYTES_MAX:
            await close_socket(self)
            raise OSError("the peer sent more than it was granted")
        return await read(self, length)

    yamux.Yamux._read_data_body = _read_data_body


def cap_stream_table() -> None:
    """Close a connection whose peer opens streams without end.

    Without it every opened stream takes a table entry, a buffer and a task,
    and one the peer never closes keeps its entry as long as the connection.
    One it resets at once leaves a task that waits to answer: 10,000 of them
    took 30 MB, and 1 ms of CPU each.
    """
    accept = yamux.Yamux.accept_stream
    spent: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
    began: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def spend(carrier: Any) -> float:
        """Streams opened so far, less what time has given back."""
        now = trio.current_time()
        gone = (now - began.get(carrier, now)) * STREAMS_PER_SECOND
        began[carrier] = now
        spent[carrier] = max(0.0, spent.get(carrier, 0.0) - gone) + 1
        return spent[carrier]

    async def accept_stream(self: Any) -> Any:
        stream = await accept(self)
        if max(len(self.streams), spend(self)) > STREAMS_MAX:
            await close_socket(self)
            raise MuxedConnUnavailable("the peer opened too many streams")
        return stream

    yamux.Yamux.accept_stream = accept_stream


def notice_dead_peers() -> None:
    """Let the kernel give up a connection whose peer does not acknowledge.

    Without it a peer that vanished (power, network) stays connected for a
    quarter of an hour: yamux pings every 30 s but ignores a missing answer.
    Only Linux has the option; elsewhere the neighbour protocol's own silence
    rule is what notices.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None:
        return
    construct = TrioTCPStream.__init__

    def __init__(self: Any, stream: Any) -> None:  # noqa: N807 - replaces one
        construct(self, stream)
        stream.setsockopt(socket.IPPROTO_TCP, option, UNACKED_MS_MAX)

    TrioTCPStream.__init__ = __init__


# ------------------------------------------------------------------- one host


def guard_streams(
    host: Any, allow: Callable[[str], bool], streams_per_peer_max: int
) -> None:
    """Keep a failing stream from stopping the host; refuse what is too much.

    Without it any exception in any stream handler, even a protocol line that
    is not UTF-8, cancels the whole host; and one peer can take all streams of
    the node.
    """
    inner = host._swarm_stream_handler
    running: Counter[str] = Counter()

    async def guarded(stream: Any) -> None:
        peer = str(stream.muxed_conn.peer_id)
        if running[peer] >= streams_per_peer_max or not allow(peer):
            await stream.reset()
            return
        running[peer] += 1
        try:
            await inner(stream)
        except Exception as fault:  # noqa: BLE001 - that is the mend
            log.info("a stream of %s failed and was reset: %r", peer, fault)
            await stream.reset()
        finally:
            running[peer] -= 1
            if not running[peer]:
                del running[peer]

    host.get_network().set_stream_handler(guarded)


def release_inbound_slots(host: Any) -> None:
    """Give an inbound connection's slot back when the connection closes.

    Without it the handler waits for the end of the host instead: after as many
    inbound connections as there are slots, ever, the node refuses the next.
    """
    swarm = host.get_network()

    async def handle(incoming: Any, address: Any, _event: Any) -> None:
        remote = swarm._build_remote_multiaddr(incoming)
        if remote is not None and not await swarm.connection_gate.is_allowed(remote):
            await incoming.close()
            return
        try:
            raw = RawConnection(incoming, False)
            muxed = await swarm.upgrade_inbound_raw_conn(raw, address)
        except Exception as fault:  # noqa: BLE001 - the upgrade raises anything
            log.debug("an inbound connection was not upgraded: %r", fault)
            await incoming.close()
            return
        await muxed.event_closed.wait()

    swarm._do_handle_inbound_connection = handle


def connect_only_when_told(host: Any) -> None:
    """Leave the choice of neighbours to the node.

    Without it an "auto-connector" dials every address it ever heard of until
    it holds (low + high) / 2 connections.
    """

    async def nothing() -> None:
        return None

    host.get_network().auto_connector.maybe_connect = nothing


def answer_identify_only(host: Any) -> None:
    """Answer `identify`, but neither ask for it nor take pushes of it.

    Without it whatever a peer says about itself goes into the address book,
    unasked and without a bound, and each connection opens a stream (3 ms of
    CPU) for answers the node has no use for.
    """
    host.remove_stream_handler(TProtocol(ID_PUSH))
    host._schedule_identify = lambda *_args, **_kwargs: None
    host._push_identify_to_all_peers = _push_nothing


async def _push_nothing() -> None:
    return None


# ---------------------------------------------------------- instead of a call


async def close_socket(muxed: Any) -> None:
    """Close the socket below a muxed connection, which wakes all who wait."""
    with trio.CancelScope(shield=True), trio.move_on_after(1):
        await muxed.secured_conn.close()


def is_connected(host: Any, peer_id: Any) -> bool:
    """Whether a connection to the peer can take a stream.

    `host.is_peer_connected` also counts those that are closing, which takes
    libp2p 0.2 s: a dial right after a drop would fail.
    """
    connections = host.get_network().get_connections(peer_id)
    return any(
        connection.muxed_conn.is_established and not connection.is_closed
        for connection in connections
    )


async def hard_drop(host: Any, peer_id: Any) -> None:
    """Close every connection to a peer, within a few seconds.

    `host.disconnect` alone writes a farewell first, and hangs with the peer
    that stopped reading.
    """
    with trio.move_on_after(3, shield=True):
        for connection in host.get_network().get_connections(peer_id):
            await close_socket(connection.muxed_conn)
        await host.disconnect(peer_id)


async def dial_once(host: Any, peer_id: Any, address: Any) -> None:
    """Connect to one address.

    `host.connect` waits 250 ms even if there is one address, tries one address
    per transport and then refuses the peer for 60 s, also at another address.
    """
    await host.get_network()._dial_addr_single_attempt(address, peer_id)
