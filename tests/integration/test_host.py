"""Real hosts on loopback: what they promise, and what they survive."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2pnode.net import host as host_module
from p2pnode.net import stream as stream_module
from p2pnode.net.host import HostLimits, Libp2pNetwork
from p2pnode.ports import PeerId, Stream, StreamClosed, Unreachable
from protocols.errors import ProtocolError

pytestmark = pytest.mark.net


class Node:
    """A network that keeps the streams it accepted until the test ends."""

    def __init__(
        self,
        letter: bytes,
        *,
        limits: HostLimits | None = None,
        allow: Callable[[PeerId], bool] | None = None,
    ) -> None:
        self.network = Libp2pNetwork(letter * 32, limits=limits, allow=allow)
        self._send, self.accepted = trio.open_memory_channel[Stream](100)

    @property
    def address(self) -> str:
        return self.network.addresses[0]

    async def accept(self, stream: Stream) -> None:
        await self._send.send(stream)
        await trio.sleep_forever()

    async def echo(self, stream: Stream) -> None:
        while True:
            await stream.send([await stream.receive()])

    async def raw_stream(self, to: Node, protocol: str | None = None) -> Any:
        """A libp2p stream without our framing; without a protocol, negotiate none."""
        host = self.network._host
        peer_id = ID.from_base58(to.network.peer_id)
        await (await self.network.dial(to.address)).close()
        if protocol is None:
            return await host.get_network().new_stream(peer_id)
        return await host.new_stream(peer_id, [protocol])

    def connections(self) -> int:
        return len(self.network._host.get_network().get_connections())


@asynccontextmanager
async def running(*nodes: Node, echo: bool = False) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.network.run, node.echo if echo else node.accept)
        yield nursery
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Stream, Stream]]:
    """A stream from b to a: (b's end, a's end)."""
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        here = await b.network.dial(a.address)
        yield here, await a.accepted.receive()


async def until(true: Callable[[], bool]) -> None:
    """Wait until something has come true: what happens in real hosts."""
    with trio.fail_after(15):
        while not true():  # noqa: ASYNC110 - libp2p has no event for it
            await trio.sleep(0.01)


def open_files() -> int:
    """Open files of this process; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


async def test_whole_frames_both_ways_in_order() -> None:
    async with joined() as (b, a), trio.open_nursery() as nursery:
        frames = [bytes([n % 251]) * (n * 131 % 4_000 + 1) for n in range(500)]
        frames += [bytes(65_536)] * 8
        nursery.start_soon(a.send, frames)
        nursery.start_soon(b.send, frames)
        for end in (a, b):
            assert [await end.receive() for _ in frames] == frames
    assert b.dialled
    assert not a.dialled
    assert a.peer == Libp2pNetwork(b"b" * 32).peer_id


async def test_addresses_have_the_real_port_and_the_identity() -> None:
    a, idle = Node(b"a"), Node(b"b")
    assert idle.network.addresses == ()
    async with running(a):
        (address,) = a.network.addresses
        assert address.startswith("/ip4/127.0.0.1/tcp/")
        assert address.endswith(f"/p2p/{a.network.peer_id}")
        assert "/tcp/0/" not in address


def test_addresses_of_all_interfaces_are_real_ones() -> None:
    bound = [Multiaddr("/ip4/0.0.0.0/tcp/4001")]
    named = [str(address) for address in host_module._diallable(bound)]
    assert named
    assert not [address for address in named if "/0.0.0.0/" in address]
    assert all(address.endswith("/tcp/4001") for address in named)


async def test_an_identity_is_its_seed_and_runs_again() -> None:
    a, b = Node(b"a"), Node(b"b")
    assert a.network.peer_id == Libp2pNetwork(b"a" * 32).peer_id
    for _ in range(2):
        async with running(a, b):
            await b.network.dial(a.address)


async def test_closing_lets_the_last_frames_arrive_and_wakes_both() -> None:
    async with joined() as (b, a):
        await b.send([b"bye"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed, b)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await b.close()
            await b.close()
        assert await a.receive() == b"bye"
        await expect_closed(a)
        with pytest.raises(StreamClosed):
            await b.send([b"x"])


async def expect_closed(stream: Stream) -> None:
    with pytest.raises(StreamClosed):
        await stream.receive()


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with joined() as (b, a), trio.open_nursery() as nursery:
        frames = [n.to_bytes(4, "big") * 500 for n in range(1_000)]
        nursery.start_soon(b.send, frames)
        received: list[bytes] = []
        while len(received) < len(frames):
            with trio.move_on_after(0.0003):
                while True:
                    received.append(await a.receive())
        assert received == frames


async def test_a_cancelled_send_resets_its_stream_and_spares_the_connection() -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        first = await b.network.dial(a.address)
        with trio.move_on_after(0.1) as scope:
            await first.send([bytes(65_536)] * 20)
        assert scope.cancelled_caught
        with pytest.raises(StreamClosed):
            await first.send([b"x"])
        second = await b.network.dial(a.address)
        await second.send([b"fine"])
        await a.accepted.receive()
        assert await (await a.accepted.receive()).receive() == b"fine"


async def test_a_peer_that_stops_reading_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "WRITE_SECONDS_MAX", 0.2)
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        stream = await b.network.dial(a.address)
        with pytest.raises(StreamClosed, match="stopped reading"):
            await stream.send([bytes(65_536)] * 20)
        assert b.connections() == 0


@pytest.mark.parametrize("length", [0, 65_537])
async def test_a_frame_of_a_wrong_size_ends_the_stream_only(length: int) -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        raw = await b.raw_stream(a, host_module.PROTOCOL)
        await a.accepted.receive()
        bad = await a.accepted.receive()
        await raw.write(length.to_bytes(4, "big") + b"x")
        with pytest.raises(StreamClosed, match="framing"):
            await bad.receive()
        await (await b.network.dial(a.address)).send([b"fine"])
        assert await (await a.accepted.receive()).receive() == b"fine"


async def test_our_own_frame_of_a_wrong_size_is_not_sent() -> None:
    async with joined() as (b, a):
        with pytest.raises(ProtocolError):
            await b.send([b"fine", b""])
        await b.send([b"first"])
        assert await a.receive() == b"first"


async def test_a_failing_accept_ends_its_stream_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(stream: Stream) -> None:
        raise RuntimeError("told to")

    a, b = Node(b"a"), Node(b"b")
    async with trio.open_nursery() as nursery:
        await nursery.start(a.network.run, fail)
        await nursery.start(b.network.run, b.accept)
        for _ in range(2):
            await expect_closed(await b.network.dial(a.address))
        assert "told to" in caplog.text
        nursery.cancel_scope.cancel()


async def test_a_stopped_node_closes_its_sockets() -> None:
    a, b = Node(b"a"), Node(b"b")
    before = open_files()
    async with running(b):
        async with running(a):
            stream = await b.network.dial(a.address)
        await expect_closed(stream)
        await until(lambda: b.connections() == 0)
    await until(lambda: open_files() <= before)


async def test_a_taken_port_is_an_error() -> None:
    a = Node(b"a")
    async with running(a):
        address = a.address.partition("/p2p/")[0]
        second = Libp2pNetwork(b"b" * 32, listen=[address])
        with pytest.raises(OSError, match="cannot listen on"):
            await second.run(a.accept)


async def test_run_says_when_the_host_stopped_by_itself() -> None:
    a = Node(b"a")
    failed = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(RuntimeError, match="libp2p host"):
            await a.network.run(a.accept, task_status=task_status)
        failed.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        await a.network._host.get_network().get_manager().stop()
        with trio.fail_after(10):
            await failed.wait()
    async with running(a):
        assert a.network.addresses


async def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Libp2pNetwork(b"short")


# ------------------------------------------------------------------------- dial


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "cannot read the address"),
        ("/ip4/127.0.0.1/tcp/1", "expected the form"),
        ("/ip4/127.0.0.1/udp/1/quic-v1/p2p/{b}", "expected the form"),
        ("/ip4/127.0.0.1/tcp/1/p2p/{a}", "this node itself"),
    ],
)
async def test_a_dial_says_why_it_failed(address: str, why: str) -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a):
        peers = {"a": a.network.peer_id, "b": b.network.peer_id}
        with pytest.raises(Unreachable, match=why):
            await a.network.dial(address.format(**peers))


async def test_a_dial_says_that_nothing_listens() -> None:
    a, b = Node(b"a"), Node(b"b")
    with trio.socket.socket() as bound:
        await bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with running(a):
            with pytest.raises(Unreachable, match="nothing listens there"):
                await a.network.dial(
                    f"/ip4/127.0.0.1/tcp/{port}/p2p/{b.network.peer_id}"
                )


async def test_a_dial_before_run_says_so() -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a):
        with pytest.raises(Unreachable, match="does not run"):
            await b.network.dial(a.address)


async def test_another_identity_is_refused() -> None:
    a, b, c = Node(b"a"), Node(b"b"), Node(b"c")
    async with running(a, b):
        wrong = a.address.replace(a.network.peer_id, c.network.peer_id)
        with pytest.raises(Unreachable, match="another identity"):
            await b.network.dial(wrong)
        await b.network.dial(a.address)


async def test_a_silent_listener_costs_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_module, "DIAL_SECONDS_MAX", 0.3)
    a, b = Node(b"a"), Node(b"b")

    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener, running(a) as nursery:
        nursery.start_soon(trio.serve_listeners, silent, [listener])
        with pytest.raises(Unreachable, match="no answer"):
            await a.network.dial(f"/ip4/127.0.0.1/tcp/{port}/p2p/{b.network.peer_id}")


async def test_two_nodes_that_dial_each_other_at_once_both_get_a_stream() -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b), trio.open_nursery() as nursery:

        async def talk(here: Node, there: Node) -> None:
            stream = await here.network.dial(there.address)
            await stream.send([b"hello"])
            assert await (await here.accepted.receive()).receive() == b"hello"

        nursery.start_soon(talk, a, b)
        nursery.start_soon(talk, b, a)


async def test_drop_closes_every_connection() -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        stream = await b.network.dial(a.address)
        await a.network.drop(b.network.peer_id)
        await expect_closed(stream)
        assert a.connections() == 0
        await a.network.drop(b.network.peer_id)
        await a.network.drop("not a peer id")


# ----------------------------------------------------------------------- limits


async def test_a_blocked_peer_gets_nowhere() -> None:
    blocked: list[PeerId] = []
    a, b = Node(b"a", allow=lambda peer: peer not in blocked), Node(b"b")
    async with running(a, b):
        blocked.append(b.network.peer_id)
        with pytest.raises(Unreachable):
            await b.network.dial(a.address)
        with pytest.raises(Unreachable, match="blocked"):
            await a.network.dial(b.address)
        assert a.connections() == 0


async def test_a_peer_blocked_while_connected_gets_no_new_stream() -> None:
    blocked: list[PeerId] = []
    a, b = Node(b"a", allow=lambda peer: peer not in blocked), Node(b"b")
    async with running(a, b):
        await b.network.dial(a.address)
        blocked.append(b.network.peer_id)
        with pytest.raises(Unreachable):
            await b.network.dial(a.address)


async def test_one_peer_cannot_take_all_streams(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, b, c = (
        Node(b"a", limits=HostLimits(streams_per_peer_max=2)),
        Node(b"b"),
        Node(b"c"),
    )
    async with running(a, b, c):
        streams = [await b.network.dial(a.address) for _ in range(2)]
        with pytest.raises(Unreachable):
            await b.network.dial(a.address)
        await c.network.dial(a.address)
        assert len(streams) == 2


async def test_connections_beyond_the_cap_are_refused() -> None:
    a = Node(b"a", limits=HostLimits(connections_max=2, inbound_max=2))
    others = [Node(letter) for letter in (b"b", b"c", b"d")]
    async with running(a, *others):
        for other in others[:2]:
            await other.network.dial(a.address)
        with pytest.raises(Unreachable):
            await others[2].network.dial(a.address)
        assert a.connections() == 2


async def test_some_connections_are_kept_for_our_own_dials() -> None:
    a = Node(b"a", limits=HostLimits(connections_max=2, inbound_max=1))
    b, c, d = (Node(letter) for letter in (b"b", b"c", b"d"))
    async with running(a, b, c, d):
        await b.network.dial(a.address)
        with pytest.raises(Unreachable):
            await c.network.dial(a.address)
        await a.network.dial(d.address)


async def test_connections_that_carry_nothing_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_module, "IDLE_SECONDS_MAX", 0.3)
    monkeypatch.setattr(host_module, "SWEEP_SECONDS", 0.05)
    a = Node(b"a", limits=HostLimits(connections_max=4, inbound_max=4))
    others = [Node(letter) for letter in (b"b", b"c", b"d", b"e")]
    async with running(a, *others):
        streams = [await other.network.dial(a.address) for other in others]
        ends = [await a.accepted.receive() for _ in others]
        await trio.sleep(0.6)
        assert a.connections() == 4
        for end in ends[1:]:
            await end.close()
        await until(lambda: a.connections() == 2)
        await trio.sleep(0.6)
        assert a.connections() == 2
        await streams[0].send([b"still here"])
        assert await ends[0].receive() == b"still here"


# ------------------------------------------------------------- other protocols


async def test_identify_and_ping_answer_and_nothing_else_does() -> None:
    a, b = Node(b"a"), Node(b"b")
    async with running(a, b):
        handlers = sorted(filter(None, a.network._host.get_mux().handlers))
        assert handlers == ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", host_module.PROTOCOL]
        identify = await b.raw_stream(a, "/ipfs/id/1.0.0")
        assert host_module.PROTOCOL.encode() in await identify.read(4_096)
        ping = await b.raw_stream(a, "/ipfs/ping/1.0.0")
        await ping.write(b"p" * 32)
        assert await ping.read(32) == b"p" * 32


@pytest.mark.parametrize("security", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_no_security_but_noise_is_spoken(security: str) -> None:
    def line(text: str) -> bytes:
        return bytes([len(text) + 1]) + text.encode() + b"\n"

    a = Node(b"a")
    async with running(a):
        port = int(a.address.split("/")[4])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(line("/multistream/1.0.0") + line(security))
            expected, received = line("/multistream/1.0.0") + line("na"), b""
            while len(received) < len(expected):
                received += await stream.receive_some()
        assert received == expected


def test_libp2p_says_what_it_has_to_say() -> None:
    assert logging.getLogger("libp2p").propagate
