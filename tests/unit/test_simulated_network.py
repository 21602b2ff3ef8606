"""The simulated network: repeatable, and as nasty as it says."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio._core import _run

from p2pnode.net.simulated import SimulatedNetwork, Weather, World
from p2pnode.net.simulated_stream import BUFFER_BYTES_MAX, STALL_SECONDS_MAX
from p2pnode.ports import Stream, StreamClosed, Unreachable
from protocols.errors import ProtocolError

LATENCY_S_MAX = Weather().latency_s_max


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)


@asynccontextmanager
async def joined(
    world: World,
) -> AsyncIterator[tuple[Stream, Stream]]:
    """A stream from alice to bob: (alice's end, bob's end)."""
    arrived: list[Stream] = []

    async def accept(stream: Stream) -> None:
        arrived.append(stream)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        bob = world.network("bob")
        await nursery.start(bob.run, accept)
        here = await world.network("alice").dial(bob.addresses[0])
        await trio.testing.wait_all_tasks_blocked()
        yield here, arrived[0]
        nursery.cancel_scope.cancel()


async def count(stream: Stream) -> int:
    frames = 0
    try:
        while True:
            await stream.receive()
            frames += 1
    except StreamClosed:
        return frames


async def test_frames_arrive_in_order_both_ways(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, bob):
        sent = [bytes([n]) for n in range(200)]
        for frame in sent:
            await alice.send([frame])
        await bob.send(sent)
        assert [await bob.receive() for _ in sent] == sent
        assert [await alice.receive() for _ in sent] == sent
        assert (alice.peer, bob.peer) == ("peer-bob", "peer-alice")
        assert alice.dialled
        assert not bob.dialled


async def test_what_was_sent_before_a_close_arrives(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, bob):
        await alice.send([b"bye"])
        await alice.close()
        await alice.close()
        assert await bob.receive() == b"bye"
        with pytest.raises(StreamClosed):
            await bob.receive()
        with pytest.raises(StreamClosed):
            await alice.receive()


async def test_a_close_wakes_its_own_receive(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, _), trio.open_nursery() as nursery:
        nursery.start_soon(count, alice)
        await trio.testing.wait_all_tasks_blocked()
        await alice.close()


async def test_a_reader_that_stalls_for_5_s_costs_both_the_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, bob):
        await alice.send([bytes(65_536)] * 4)
        start = trio.current_time()
        with pytest.raises(StreamClosed, match="did not read"):
            await alice.send([b"one too many"])
        assert trio.current_time() - start == pytest.approx(STALL_SECONDS_MAX)
        await trio.sleep(LATENCY_S_MAX)
        with pytest.raises(StreamClosed):
            await bob.receive()


async def test_a_slow_reader_costs_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, bob), trio.open_nursery() as nursery:
        frames = 3 * BUFFER_BYTES_MAX // 65_536
        nursery.start_soon(alice.send, [bytes(65_536)] * frames)
        for _ in range(frames):
            await trio.sleep(STALL_SECONDS_MAX - 1)
            await bob.receive()


async def test_a_broken_off_send_resets_the_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined(World(1)) as (alice, _):
        with trio.move_on_after(1) as scope:
            await alice.send([bytes(65_536)] * 5)
        assert scope.cancelled_caught
        with pytest.raises(StreamClosed):
            await alice.send([b"x"])


@pytest.mark.parametrize("size", [0, 65_537])
async def test_a_frame_of_a_wrong_size_is_not_sent(
    autojump_clock: trio.testing.MockClock, size: int
) -> None:
    async with joined(World(1)) as (alice, bob):
        with pytest.raises(ProtocolError):
            await alice.send([b"fine", bytes(size)])
        await alice.send([b"first"])
        assert await bob.receive() == b"first"


@pytest.mark.parametrize(
    "weather", [Weather(loss=1.0), Weather(reset=1.0)], ids=["loss", "reset"]
)
async def test_bad_weather_delivers_a_prefix_then_ends_the_stream(
    autojump_clock: trio.testing.MockClock, weather: Weather
) -> None:
    prefixes = []
    for seed in range(30):
        async with joined(World(seed, weather=weather)) as (alice, bob):
            start = trio.current_time()
            with trio.move_on_after(0.001):
                try:
                    await alice.send([b"x"] * 3)
                except StreamClosed:
                    assert weather.reset
            prefixes.append(await count(bob))
            assert trio.current_time() - start <= STALL_SECONDS_MAX + 0.001
            with pytest.raises(StreamClosed):
                await alice.receive()
    assert sorted(dict.fromkeys(prefixes)) == [0, 1, 2, 3]


async def test_a_cut_is_one_way_and_a_short_one_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world) as (alice, bob):
        world.cut("alice", "bob")
        await alice.send([b"late"])
        await bob.send([b"other way"])
        assert await alice.receive() == b"other way"
        with trio.move_on_after(STALL_SECONDS_MAX - 1) as scope:
            await bob.receive()
        assert scope.cancelled_caught
        world.heal()
        assert await bob.receive() == b"late"


async def test_another_partition_may_join_what_the_first_parted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world) as (alice, bob):
        world.partition([["alice"], ["bob"]])
        await alice.send([b"late"])
        world.partition([["alice", "bob"], ["carol"]])
        await trio.sleep(STALL_SECONDS_MAX + 1)
        assert await bob.receive() == b"late"
        await alice.send([b"go on"])


async def test_a_long_cut_kills_the_sender_and_leaves_the_receiver_half_open(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world) as (alice, bob):
        await alice.send([b"on its way"])
        world.cut("alice", "bob")
        with pytest.raises(StreamClosed):
            await alice.receive()
        with trio.move_on_after(60) as scope:
            await bob.receive()
        assert scope.cancelled_caught
        world.heal()
        assert await count(bob) <= 1


async def test_a_half_open_end_dies_when_it_sends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world) as (_, bob):
        world.cut("alice", "bob")
        await world.network("alice").drop("peer-bob")
        await trio.sleep(60)
        await bob.send([b"anyone?"])
        await trio.sleep(STALL_SECONDS_MAX)
        with pytest.raises(StreamClosed):
            await bob.send([b"no"])


async def test_a_partition_keeps_dials_waiting_then_fails_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world):
        world.partition([["alice"], ["bob"]])
        start = trio.current_time()
        with pytest.raises(Unreachable, match="no answer"):
            await world.network("alice").dial("/sim/bob/p2p/peer-bob")
        assert trio.current_time() - start >= 10
        world.heal()
        await (await world.network("alice").dial("/sim/bob/p2p/peer-bob")).close()


async def test_a_crash_resets_the_peer_and_refuses_until_it_runs_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    async with joined(world) as (alice, bob):
        world.crash("bob")
        with pytest.raises(StreamClosed):
            await bob.send([b"dead"])
        with pytest.raises(StreamClosed):
            await alice.receive()
        with pytest.raises(Unreachable, match="refused"):
            await world.network("alice").dial("/sim/bob/p2p/peer-bob")
        async with trio.open_nursery() as nursery:
            await nursery.start(world.network("bob").run, count)
            await world.network("alice").dial("/sim/bob/p2p/peer-bob")
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/sim/carol/p2p/peer-carol", "no such peer"),
        ("/sim/bob/p2p/peer-carol", "another identity"),
        ("/sim/alice/p2p/peer-alice", "no such peer"),
    ],
)
async def test_a_dial_says_why_it_failed(
    autojump_clock: trio.testing.MockClock, address: str, why: str
) -> None:
    world = World(1)
    async with joined(world):
        with pytest.raises(Unreachable, match=why):
            await world.network("alice").dial(address)


async def test_a_blocked_peer_cannot_dial(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World(1)
    world.network("bob", allow=lambda peer: peer != "peer-alice")
    async with trio.open_nursery() as nursery:
        await nursery.start(world.network("bob").run, count)
        with pytest.raises(Unreachable, match="blocked"):
            await world.network("alice").dial("/sim/bob/p2p/peer-bob")
        nursery.cancel_scope.cancel()


async def test_a_failing_accept_ends_its_stream_only(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def accept(stream: Stream) -> None:
        if await stream.receive() == b"fail":
            raise RuntimeError("told to")
        await stream.send([b"fine"])

    world = World(1)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.network("bob").run, accept)
        bad = await world.network("alice").dial("/sim/bob/p2p/peer-bob")
        good = await world.network("alice").dial("/sim/bob/p2p/peer-bob")
        with caplog.at_level(logging.CRITICAL):
            await bad.send([b"fail"])
            assert await count(bad) == 0
        await good.send([b"go on"])
        assert await good.receive() == b"fine"
        nursery.cancel_scope.cancel()


NAMES = ("a", "b", "c", "d", "e")


async def echo(stream: Stream) -> None:
    while True:
        await stream.send([await stream.receive()])


async def talk(network: SimulatedNetwork, trace: list[str]) -> None:
    for other in [name for name in NAMES if name != network.name] * 3:
        try:
            stream = await network.dial(f"/sim/{other}/p2p/peer-{other}")
            for _ in range(10):
                await stream.send([b"x"] * 4)
                await stream.receive()
        except (StreamClosed, Unreachable) as end:
            trace.append(f"{trio.current_time():.6f} {network.name} {end}")


async def disturb(world: World) -> None:
    await trio.sleep(3)
    world.cut("a", "b")
    world.partition([["c", "d"]])
    await trio.sleep(7)
    world.heal()
    world.crash("e")


async def five_nodes_in_bad_weather(seed: int, trace: list[str]) -> None:
    weather = Weather(loss=0.02, reset=0.05, refuse=0.1)
    world = World(seed, weather=weather, observe=trace.append)
    async with trio.open_nursery() as nursery:
        for name in NAMES:
            await nursery.start(world.network(name).run, echo)
        async with trio.open_nursery() as talks:
            talks.start_soon(disturb, world)
            for name in NAMES:
                talks.start_soon(talk, world.network(name), trace)
        nursery.cancel_scope.cancel()


def trace_of(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    _run._r.seed(seed)
    trace: list[str] = []
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(five_nodes_in_bad_weather, seed, trace, clock=clock)
    return trace


def test_the_same_seed_gives_the_same_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    first = trace_of(7, monkeypatch)
    assert len(first) > 200
    assert trace_of(7, monkeypatch) == first
    assert trace_of(8, monkeypatch) != first
