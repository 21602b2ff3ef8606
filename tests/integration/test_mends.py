"""One test for each mend: it fails when the mend is taken away.

Run them against a new libp2p without its mend to see whether that can go.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import libp2p
import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import Yamux

from p2pnode.net import mends
from p2pnode.net.host import HostLimits, Libp2pNetwork
from p2pnode.ports import Unreachable

if TYPE_CHECKING:
    from p2pnode.ports import Stream

pytestmark = pytest.mark.net


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


async def serve(stream: Stream) -> None:
    await stream.receive()


@asynccontextmanager
async def two(
    limits: HostLimits | None = None,
) -> AsyncIterator[tuple[Libp2pNetwork, Libp2pNetwork]]:
    a, b = Libp2pNetwork(b"a" * 32, limits=limits), Libp2pNetwork(b"b" * 32)
    async with trio.open_nursery() as nursery:
        await nursery.start(a.run, serve)
        await nursery.start(b.run, serve)
        yield a, b
        nursery.cancel_scope.cancel()


def connection(network: Libp2pNetwork) -> Any:
    return network._host.get_network().get_connections()[0]


class SlowPipe:
    """The secured connection below yamux: writes take `seconds`."""

    is_initiator = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.written: list[bytes] = []
        self.closed = False

    async def write(self, data: bytes) -> None:
        await trio.sleep(self.seconds)
        self.written.append(data)

    async def close(self) -> None:
        self.closed = True


def muxed(pipe: SlowPipe) -> Any:
    mends.mend_process()
    return Yamux(pipe, None)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libp2p, "__version__", "0.9.0")
    with pytest.raises(RuntimeError, match=r"libp2p==0\.8\.1"):
        mends.mend_process.__wrapped__()


async def test_cap_protocol_lines() -> None:
    class Announces500Megabytes:
        length = iter(b"\xff\xff\xff\xff\x01")

        async def read(self, size: int) -> bytes:
            assert size == 1, "the announced line is read"
            return bytes([next(self.length)])

    mends.mend_process()
    with pytest.raises(MultiselectCommunicatorError):
        await MultiselectCommunicator(Announces500Megabytes()).read()


async def test_write_whole_frames_finishes_what_it_began(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pipe = SlowPipe(seconds=1)
    with trio.move_on_after(0.5):
        await muxed(pipe)._write_frame(b"f" * 12)
    assert pipe.written == [b"f" * 12]


async def test_write_whole_frames_gives_up_on_a_peer_that_does_not_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pipe = SlowPipe(seconds=60)
    with pytest.raises(ConnectionClosedError, match="stopped reading"):
        await muxed(pipe)._write_frame(b"f" * 12)
    assert pipe.closed


async def test_send_fewer_window_updates(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pipe = SlowPipe(seconds=0)
    stream = await muxed(pipe).open_stream()
    for _ in range(129):
        await stream._auto_tune_and_send_window_update(bytes_read=1_024)
    assert len(pipe.written) == 2  # the opening, one update


async def test_a_window_update_is_not_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream = await muxed(SlowPipe(seconds=1)).open_stream()
    with trio.move_on_after(0.5) as scope:
        await stream._auto_tune_and_send_window_update(bytes_read=1 << 17)
    assert not scope.cancelled_caught


async def test_read_ahead() -> None:
    class Socket:
        reads = 0

        def setsockopt(self, *_option: object) -> None: ...

        async def receive_some(self, size: int) -> bytes:
            assert size == mends.READ_AHEAD_MAX
            self.reads += 1
            await trio.lowlevel.checkpoint()
            return (b"\x00\x03abc\x00\x02de", b"fghi", b"")[self.reads - 1]

    mends.mend_process()
    source = Socket()
    stream = TrioTCPStream(source)
    taken = [await stream.read(n) for n in (2, 3, 0, 2, 2)]
    assert taken == [b"\x00\x03", b"abc", b"", b"\x00\x02", b"de"]
    assert source.reads == 1
    assert [await stream.read(9), await stream.read(9)] == [b"fghi", b""]


async def test_cap_unread_bytes(autojump_clock: trio.testing.MockClock) -> None:
    pipe = SlowPipe(seconds=0)
    yamux = muxed(pipe)
    yamux.stream_buffers[2] = bytearray(mends.UNREAD_BYTES_MAX)
    with pytest.raises(OSError, match="more than it was granted"):
        await yamux._read_data_body(1)
    assert pipe.closed


async def test_cap_stream_table() -> None:
    async with two(HostLimits(streams_per_peer_max=1_000)) as (a, b):
        await b.dial(a.addresses[0])
        here, there = connection(a).muxed_conn, connection(b).muxed_conn
        for _ in range(mends.STREAMS_MAX + 1):
            with suppress(MuxedStreamError):
                await there.open_stream()
        with trio.fail_after(5):
            await here.event_closed.wait()
            await there.event_closed.wait()
        await b.dial(a.addresses[0])  # the host itself lives on


async def test_notice_dead_peers() -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    mends.mend_process()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            TrioTCPStream(stream)
            asked = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert asked == mends.UNACKED_MS_MAX


@pytest.mark.parametrize(
    "opening",
    [b"\x05\xff\xfe\xfd\xfc\n", b"\xff" * 64, b"\x13/multistream/1.0.0\n\x01\n"],
)
async def test_guard_streams(opening: bytes) -> None:
    async with two() as (a, b):
        await b.dial(a.addresses[0])
        raw = await connection(b).new_stream()
        await raw.write(opening)
        await trio.sleep(0.05)
        await b.dial(a.addresses[0])


async def test_cap_stream_table_also_of_streams_that_are_reset() -> None:
    async with two() as (a, b):
        await b.dial(a.addresses[0])
        here, there = connection(a).muxed_conn, connection(b).muxed_conn
        with trio.fail_after(10):
            while not there.event_closed.is_set():
                assert len(here.streams) < mends.STREAMS_MAX // 2
                with suppress(MuxedStreamError):
                    await (await there.open_stream()).reset()
        await b.dial(a.addresses[0])


async def test_release_inbound_slots() -> None:
    async with two(HostLimits(connections_max=2, inbound_max=2)) as (a, b):
        for _ in range(8):
            await b.dial(a.addresses[0])
            await b.drop(a.peer_id)
            with trio.fail_after(5):
                while a._host.get_network().get_connections():  # noqa: ASYNC110
                    await trio.sleep(0.01)


async def test_connect_only_when_told() -> None:
    async with two() as (a, b):
        where = b._host.get_addrs()
        a._host.get_peerstore().add_addrs(b._host.get_id(), where, 600)
        swarm = a._host.get_network()
        await swarm.auto_connector.maybe_connect()
        await trio.sleep(0.1)
        assert not swarm.get_connections()


async def test_a_dial_right_after_a_drop() -> None:
    async with two() as (a, b), trio.open_nursery() as nursery:
        await b.dial(a.addresses[0])
        nursery.start_soon(a.drop, b.peer_id)
        with trio.fail_after(5):
            await connection(b).muxed_conn.event_closed.wait()
        await b.dial(a.addresses[0])


async def test_dial_once_tries_the_address_it_is_told() -> None:
    async with two() as (a, b):
        with pytest.raises(Unreachable):
            await b.dial(f"/ip4/127.0.0.1/tcp/1/p2p/{a.peer_id}")
        await b.dial(a.addresses[0])


async def test_answer_identify_only() -> None:
    async with two() as (a, b):
        await b.dial(a.addresses[0])
        await trio.sleep(0.1)
        for here, there in ((a, b), (b, a)):
            store = here._host.get_peerstore()
            peer_id = there._host.get_id()
            known = store.peer_ids()
            assert peer_id not in known or not store.get_protocols(peer_id)
