"""A neighbour session written from spec 0006 alone, against ours, over a pipe."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pnode.ports import Stream, StreamClosed
from p2pnode.services.feeds import Draft, Feeds
from p2pnode.services.neighbours import Neighbours
from p2pnode.store.memory import MemoryStore
from p2pnode.system import SystemClock, SystemRng
from protocols.claims import Announce, Erase, Kind, Scan
from protocols.framing import Deframer, frame
from protocols.keys import Scope, TagId, network_id
from protocols.neighbour import Session
from protocols.record import Record, encode_record, without_parts
from protocols.tags.entry import Bare
from protocols.wire import (
    Bye,
    Card,
    Found,
    Frame,
    Nonce,
    Push,
    decode_frame,
    encode_frame,
)
from tests.integration.test_javascript import JS, NODE, too_old
from tests.worlds import key_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(too_old()), reason=too_old() or "node is here"),
]

NETWORK = network_id("test")
SCOPE = Scope(b"s" * 32)
ADDRESS = "/ip4/127.0.0.1/tcp/1/p2p/js"


class Pipe:
    """A neighbour stream to a process."""

    peer = "js"

    def __init__(self, process: trio.Process, *, dialled: bool) -> None:
        self.dialled = dialled
        self._process = process
        self._deframer = Deframer()
        self._frames: list[bytes] = []

    async def send(self, frames: Sequence[bytes]) -> None:
        assert self._process.stdin
        try:
            await self._process.stdin.send_all(b"".join(map(frame, frames)))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise StreamClosed("the process reads no more") from error

    async def receive(self) -> bytes:
        assert self._process.stdout
        while not self._frames:
            data = await self._process.stdout.receive_some()
            if not data:
                raise StreamClosed("the process has ended")
            self._frames += self._deframer.feed(bytes(data))
        return self._frames.pop(0)

    async def close(self) -> None:
        assert self._process.stdin
        await self._process.stdin.aclose()


class OneNeighbour:
    """A network in which there is one process to talk to."""

    peer_id = "python"
    addresses = ()

    def __init__(self, stream: Pipe) -> None:
        self._stream = stream

    async def run(
        self,
        accept: Callable[[Stream], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        task_status.started()
        if not self._stream.dialled:
            await accept(self._stream)
        await trio.sleep_forever()

    async def dial(self, address: str) -> Stream:
        assert address == ADDRESS
        return self._stream

    async def drop(self, peer: str) -> None:
        await self._stream.close()


async def opened() -> Feeds:
    feeds = Feeds(MemoryStore(), NETWORK, SystemClock(), SystemRng())
    await feeds.open()
    await feeds.follow(SCOPE)
    return feeds


async def say(feeds: Feeds, number: int, count: int = 1, size: int = 9) -> list[bytes]:
    """Sign records by one of many keys; return them as they travel."""
    claims = [
        Announce(
            salt=secrets.token_bytes(16), campaign=SCOPE, title="t", link="x" * size
        )
        for _ in range(count)
    ]
    drafts = [Draft(kind=Kind.ANNOUNCE, claim=claim) for claim in claims]
    records = await feeds.publish_many(key_of(f"{number}"), SCOPE, drafts)
    return [encode_record(record) for record in records]


class Other:
    """The JavaScript side, as it tells what happens."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = b""
        self.events: list[dict[str, Any]] = []

    async def until(self, **expected: Any) -> dict[str, Any]:
        """Wait for an event with these values."""
        assert self._process.stderr
        while True:
            while b"\n" in self._lines:
                line, _, self._lines = self._lines.partition(b"\n")
                self.events.append(json.loads(line))
                if expected.items() <= self.events[-1].items():
                    return self.events[-1]
            data = await self._process.stderr.receive_some()
            assert data, f"it ended after {self.events[-3:]}"
            self._lines += data


@asynccontextmanager
async def started(
    folder: Path, held: Sequence[bytes], side: str
) -> AsyncIterator[trio.Process]:
    """The JavaScript side, which holds records to begin with."""
    file = folder / "held"
    file.write_bytes(b"".join(map(frame, held)))
    command = [NODE or "", str(JS / "pipe.mjs"), NETWORK.hex(), SCOPE.hex(), side]
    process = await trio.lowlevel.open_process(
        [*command, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.mark.parametrize("side", ["dialler", "listener"])
@pytest.mark.parametrize("feeds_count", [1, 90])
async def test_both_come_to_hold_the_same(
    tmp_path: Path, side: str, feeds_count: int
) -> None:
    """Some feeds are here only, some there only, some longer on either side."""
    mine, theirs, held = await opened(), await opened(), []
    for number in range(feeds_count):
        both = await say(theirs, number, 2)
        held += both
        if number % 4:
            await mine.ingest(both)
        if number % 4 == 2:
            held += await say(theirs, number)
        if number % 4 == 3:
            await say(mine, number)
    for number in range(200, 200 + feeds_count // 9):
        await say(mine, number, 40, 1_000)  # more than the first credit
    with trio.fail_after(30):
        async with (
            started(tmp_path, held, side) as process,
            trio.open_nursery() as nursery,
        ):
            network = OneNeighbour(Pipe(process, dialled=side == "listener"))
            neighbours = Neighbours(
                mine, mine.store, network, SystemClock(), SystemRng()
            )
            await nursery.start(neighbours.run)
            if side == "listener":
                await neighbours.add(ADDRESS)
            other = Other(process)
            total = len(mine.frontier(SCOPE)) + (feeds_count + 3) // 4
            await other.until(event="in-sync", feeds=total)
            assert len(mine.frontier(SCOPE)) == total
            await say(mine, 250)
            seen = await other.until(event="new", how="push")
            assert seen["author"] == key_of("250").author.hex()
            assert not [one for one in other.events if one["event"] == "ended"]
            nursery.cancel_scope.cancel()


async def erased(feeds: Feeds) -> Record:
    """Have a scan that was erased, and a record between it and its erase."""
    key, salt = key_of("erasing"), bytes(16)
    tag = TagId(bytes(32))
    scan = Scan(salt=salt, stage=0, tag=tag, evidence=Bare())
    said = Announce(salt=salt, campaign=SCOPE, title="", link="")
    drafts = [Draft(kind=Kind.ANNOUNCE, claim=said), Draft(kind=Kind.SCAN, claim=scan)]
    _, record = await feeds.publish_many(key, SCOPE, drafts)
    erase = Erase(salt=salt, record=record.id, claim=True)
    drafts = [
        Draft(kind=Kind.ANNOUNCE, claim=said),
        Draft(kind=Kind.ERASE, claim=erase),
    ]
    await feeds.publish_many(key, SCOPE, drafts)
    await feeds.drop([record], claims=True)
    return record


@pytest.mark.parametrize("theirs", [False, True])
async def test_a_scan_goes_bare_with_its_erase(tmp_path: Path, theirs: bool) -> None:
    holder, mine = await opened(), await opened()
    scan = await erased(holder)
    held = [encode_record(one) for one in await holder.store.scope_records(SCOPE)]
    with trio.fail_after(60):
        async with (
            started(tmp_path, held if theirs else [], "listener") as process,
            trio.open_nursery() as nursery,
        ):
            here = mine if theirs else holder
            network = OneNeighbour(Pipe(process, dialled=True))
            neighbours = Neighbours(
                here, here.store, network, SystemClock(), SystemRng()
            )
            await nursery.start(neighbours.run)
            await neighbours.add(ADDRESS)
            other = Other(process)
            await other.until(event="in-sync", feeds=1)
            assert not [one for one in other.events if one["event"] == "ended"]
            nursery.cancel_scope.cancel()
    if theirs:
        bare = without_parts(scan, claim=True, note=True)
        assert await mine.store.get(scan.id) == bare
        assert mine.head(SCOPE, scan.author) == holder.head(SCOPE, scan.author)


def turned(wire: bytes, place: int) -> bytes:
    """A record with one bit changed."""
    changed = bytearray(wire)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (lambda wire: Push(scope=SCOPE, records=(turned(wire, -1),)), "bad-signature"),
        (lambda wire: Push(scope=SCOPE, records=(turned(wire, -70),)), "wrong-hash"),
        (lambda wire: Push(scope=Scope(b"x" * 32), records=()), "unexpected-frame"),
        (lambda wire: Found(scope=SCOPE, records=(wire,)), "unexpected-frame"),
        (lambda wire: Nonce(nonce=b"n" * 32), "unexpected-frame"),
    ],
)
async def test_it_ends_the_session_of_a_liar(
    tmp_path: Path, lie: Callable[[bytes], Frame], reason: str
) -> None:
    (wire,) = await say(await opened(), 1)
    with trio.fail_after(20):
        async with started(tmp_path, [], "listener") as process:
            pipe = Pipe(process, dialled=True)
            session = Session(
                network=NETWORK,
                holdings=await opened(),
                dialled=True,
                nonce=secrets.token_bytes(32),
                card=Card(peer="p", addresses=(), time_ms=0, signature=b""),
            )
            await pipe.send(session.start().frames)
            while not session.shared:
                await pipe.send(session.receive(await pipe.receive()).frames)
            await pipe.send([encode_frame(lie(wire))])
            while not isinstance(said := decode_frame(await pipe.receive()), Bye):
                pass
            assert said.reason == reason
            other = Other(process)
            await other.until(event="ended")
            assert not [one for one in other.events if one["event"] == "new"]
