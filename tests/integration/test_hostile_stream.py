"""A peer that breaks every rule of the stream, and a neighbour served meanwhile."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamError

from p2pnode.identity import Identity
from p2pnode.net import stream as stream_module
from p2pnode.net.host import PROTOCOL, Libp2pNetwork
from p2pnode.node import Node
from p2pnode.services import neighbours as neighbours_module
from p2pnode.services.neighbours import Manners
from p2pnode.services.outbox import Outbox
from p2pnode.store.memory import MemoryStore
from p2pnode.system import SystemClock, SystemRng
from protocols import wire
from protocols.claims import Announce, Kind, Part
from protocols.codec import encode
from protocols.effects import ServeIds
from protocols.keys import NetworkId, Scope, SigningKey, neighbourhood_scope, network_id
from protocols.limits import FRAME_MAX
from protocols.record import (
    NO_BACKLINK,
    Record,
    decode_record,
    encode_record,
    sign_record,
)
from tests.hostile.peer import PATIENCE_S, Attacker, running
from tests.worlds import World, key_of

pytestmark = [pytest.mark.slow, pytest.mark.net]

NETWORK = network_id("test")
SCOPE = neighbourhood_scope(NETWORK, "street")
ELSEWHERE = neighbourhood_scope(NETWORK, "elsewhere")
MALLORY = key_of("mallory")


def write(
    seq: int = 0,
    before: Record | None = None,
    *,
    key: SigningKey = MALLORY,
    scope: Scope = SCOPE,
    network: NetworkId = NETWORK,
    title: str = "mine",
) -> Record:
    """A record as an attacker makes it: at any place, for any network."""
    backlink = before.id if before else NO_BACKLINK
    if seq and not before:
        backlink = type(backlink)(b"\x07" * 32)
    return sign_record(
        key,
        network=network,
        scope=scope,
        seq=seq,
        backlink=backlink,
        time_ms=0,
        kind=Kind.ANNOUNCE,
        claim=Announce(salt=bytes(16), campaign=scope, title=title, link=""),
    )


def push(*records: Record | bytes, scope: Scope = SCOPE) -> bytes:
    wires = tuple(r if isinstance(r, bytes) else encode_record(r) for r in records)
    return wire.encode_frame(wire.Push(scope=scope, records=wires))


@pytest.fixture(autouse=True)
def _no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a peer sends, our own log holds no traceback."""
    yield
    ours = [r for r in caplog.records if r.name.startswith("p2pnode")]
    assert [r.getMessage() for r in ours if r.levelno >= logging.ERROR] == []


class Person:
    """A node on loopback, with a key that announces."""

    def __init__(self, name: str) -> None:
        self.key = key_of(name)
        identity = Identity(
            role="merchant",
            name=name,
            network="test",
            transport_seed=secrets.token_bytes(32),
            author_key=self.key,
            root_seed=secrets.token_bytes(32),
        )
        self.node = Node(
            identity,
            store=MemoryStore(),
            network=Libp2pNetwork(identity.transport_seed),
            clock=SystemClock(),
            rng=SystemRng(),
        )

    async def announce(self) -> Record:
        claim = Announce(
            salt=secrets.token_bytes(16), campaign=SCOPE, title="hello", link=""
        )
        return await self.node.feeds.publish(self.key, SCOPE, Kind.ANNOUNCE, claim)

    async def gets(self, record: Record) -> None:
        async def got() -> bool:
            return await self.node.store.get(record.id) is not None

        await until(got)

    async def sees_a_fork(self) -> None:
        async def seen() -> bool:
            return bool((await self.node.status())["forks"] == 1)

        await until(seen)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has come true: what happens in two real hosts."""
    with trio.fail_after(PATIENCE_S):
        while not await true():  # noqa: ASYNC110  # two real hosts, no event
            await trio.sleep(0.01)


@asynccontextmanager
async def street() -> AsyncIterator[tuple[Person, Person, Attacker, Libp2pNetwork]]:
    """A victim with a good neighbour, and somebody else who dials it."""
    victim, friend = Person("victim"), Person("friend")
    async with running() as evil, trio.open_nursery() as nursery:
        for person in (victim, friend):
            await nursery.start(person.node.run)
            await person.node.feeds.follow(SCOPE)
        address = victim.node.network.addresses[0]
        await friend.node.neighbours.add(address)
        await victim.gets(await friend.announce())
        yield victim, friend, Attacker(await evil.dial(address), NETWORK), evil
        nursery.cancel_scope.cancel()


async def served(victim: Person, friend: Person) -> None:
    """Both ways between the victim and its neighbour, now."""
    await victim.gets(await friend.announce())
    await friend.gets(await victim.announce())
    assert (await victim.node.status())["neighbours"] >= 1


PING = wire.encode_frame(wire.Ping(token=bytes(8)))

BEFORE_HELLO = {
    "garbage": (b"\xc1garbage", None),
    "nested": (b"\x91" * 1_000, None),
    "announces 4 GB": (b"\xdd\xff\xff\xff\xff", None),
    "one byte": (b"\x00", None),
    "no tag": (encode([]), "bad-frame"),
    "unknown tag": (encode([99, b"x"]), "bad-frame"),
    "another shape": (encode([0, "nonce"]), "bad-frame"),
    "the largest": (b"\x00" * FRAME_MAX, None),
    "ping first": (PING, "unexpected-frame"),
    "push first": (push(write()), "unexpected-frame"),
}


@pytest.mark.parametrize("name", BEFORE_HELLO)
async def test_bad_frames_end_only_their_stream(name: str) -> None:
    frame, reason = BEFORE_HELLO[name]
    async with street() as (victim, friend, attacker, _):
        await attacker.send(frame)
        bye = await attacker.hear(wire.Bye)
        assert bye is not None
        assert reason in (None, bye.reason)
        assert await attacker.hear(object) is None
        await served(victim, friend)


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "network": ({"network": network_id("other")}, "wrong-network"),
    "version": ({"version": 2}, "wrong-version"),
}


@pytest.mark.parametrize("name", LIES)
async def test_strangers_in_the_hello_are_told_why(name: str) -> None:
    lies, reason = LIES[name]
    async with street() as (victim, friend, attacker, _):
        await attacker.send(wire.Nonce(nonce=attacker.nonce))
        peer = await attacker.hear(wire.Nonce)
        hello = replace(attacker.hello(peer.nonce, [SCOPE]), **lies)
        await attacker.send(hello)
        bye = await attacker.hear(wire.Bye)
        assert bye is not None
        assert bye.reason == reason
        await served(victim, friend)


FIRST, OTHER = write(), write(title="other")
SECOND = write(1, FIRST)

FAULTS: dict[str, tuple[Record | bytes, str | None]] = {
    "wrong network": (write(network=network_id("x")), "wrong-network"),
    "forged": (
        encode_record(replace(FIRST, signature=SECOND.signature)),
        "bad-signature",
    ),
    "no record": (b"\x00", None),
    "cut": (encode_record(FIRST)[:-1], None),
    "longer": (encode_record(FIRST) + b"\x00", None),
    "no claim's hash": (
        encode_record(replace(FIRST, claim_bytes=OTHER.claim_bytes)),
        "wrong-hash",
    ),
    "a header cut": (
        encode_record(replace(FIRST, header_bytes=FIRST.header_bytes[:-1])),
        None,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_bad_records_are_not_kept(name: str) -> None:
    record, reason = FAULTS[name]
    async with street() as (victim, friend, attacker, _):
        before = (await victim.node.store.counts())["records"]
        await attacker.greet([SCOPE])
        await attacker.send(push(record), push(FIRST))
        bye = await attacker.hear(wire.Bye)
        assert bye is not None
        assert reason in (None, bye.reason)
        assert (await victim.node.store.counts())["records"] == before
        await served(victim, friend)


async def test_what_anybody_may_send_by_mistake_is_not_kept_and_no_fault() -> None:
    async with street() as (victim, friend, attacker, _):
        await attacker.greet([SCOPE])
        await attacker.send(push(write(scope=ELSEWHERE)), push(write(7)), PING)
        assert await attacker.hear(wire.Pong)
        held = await victim.node.store.get(write(7).id)
        assert held is None
        await served(victim, friend)


async def test_a_scope_that_is_not_shared_is_refused() -> None:
    async with street() as (victim, friend, attacker, _):
        await attacker.greet([SCOPE])
        await attacker.send(push(write(scope=ELSEWHERE), scope=ELSEWHERE))
        bye = await attacker.hear(wire.Bye)
        assert bye is not None
        assert bye.reason == "unexpected-frame"
        await served(victim, friend)


async def test_a_fork_is_kept_as_a_proof_that_everybody_sees() -> None:
    async with street() as (victim, friend, attacker, _):
        await attacker.greet([SCOPE])
        await attacker.send(push(FIRST, SECOND), push(OTHER), PING)
        assert await attacker.hear(wire.Pong)
        await served(victim, friend)
        for person in (victim, friend):
            await person.sees_a_fork()
            (proof,) = person.node.feeds.forks(SCOPE)
            assert (proof.author, proof.seq) == (MALLORY.author, 0)


async def test_a_stolen_key_stops_the_victims_feed() -> None:
    async with street() as (victim, friend, attacker, _):
        mine = await victim.announce()
        theirs = write(0, key=victim.key, title="stolen")
        assert mine.seq == 0
        await attacker.greet([SCOPE])
        await attacker.send(push(theirs), PING)
        assert await attacker.hear(wire.Pong)
        assert victim.node.feeds.is_stopped(SCOPE, victim.key.author)
        with pytest.raises(Exception, match="is stopped") as caught:
            await victim.announce()
        assert getattr(caught.value, "reason", "") == "feed-stopped"
        await victim.gets(await friend.announce())


async def test_ten_thousand_tiny_frames_are_answered() -> None:
    async with street() as (victim, friend, attacker, _):
        await attacker.greet([SCOPE])

        async def flood() -> None:
            for _ in range(100):
                await attacker.send(*[PING] * 100)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await served(victim, friend)
            with trio.fail_after(20):
                for _ in range(10_000):
                    assert await attacker.hear(wire.Pong)


async def test_who_never_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "WRITE_SECONDS_MAX", 0.5)
    async with street() as (victim, friend, attacker, evil):
        await attacker.greet([SCOPE])
        with trio.move_on_after(30) as patience:
            while evil.peer_id in victim.node.neighbours._links:
                await attacker.send(*[PING] * 2_000)
                await trio.lowlevel.checkpoint()
        assert not patience.cancelled_caught
        await served(victim, friend)


@pytest.mark.parametrize(
    "head", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x01\x00\x01"]
)
async def test_announced_lengths_are_not_believed(head: bytes) -> None:
    async with street() as (victim, friend, attacker, evil):
        await attacker.stream.close()
        peer_id = ID.from_base58(victim.node.network.peer_id)
        raw = await evil._host.new_stream(peer_id, [PROTOCOL])
        await raw.write(head + b"x" * 100)
        with trio.fail_after(PATIENCE_S):
            await read_to_the_end(raw)
        await served(victim, friend)


async def read_to_the_end(raw: Any) -> None:
    """Read until the other side has closed or reset the stream."""
    with contextlib.suppress(MuxedStreamError, StreamError):
        while await raw.read(1_000):
            pass


async def test_streams_without_a_word_do_not_keep_others_out() -> None:
    async with street() as (victim, friend, _, evil):
        peer_id = ID.from_base58(victim.node.network.peer_id)
        for _ in range(20):
            with trio.move_on_after(1):
                try:
                    await evil._host.new_stream(peer_id, [PROTOCOL])
                except Exception:  # noqa: BLE001  # refused: as it should be
                    break
        await served(victim, friend)


async def test_idle_strangers_do_not_keep_others_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours_module, "STRANGE_SECONDS_MAX", 0.5)
    async with street() as (victim, friend, attacker, _):
        neighbours = victim.node.neighbours
        neighbours._manners = Manners(links_max=8)
        await served(victim, friend)
        await attacker.greet([SCOPE])
        crowd: list[str] = []
        async with contextlib.AsyncExitStack() as crowded:
            for _number in range(4):
                evil = await crowded.enter_async_context(running())
                crowd.append(evil.peer_id)
                address = victim.node.network.addresses[0]
                await Attacker(await evil.dial(address), NETWORK).greet([])
            fixed = neighbours.peers.know(crowd[0])
            fixed.fixed = True

            async def left() -> bool:
                return crowd[1] not in neighbours._links

            await until(left)
            await trio.sleep(1.5)
            assert crowd[0] in neighbours._links
            assert friend.node.network.peer_id in neighbours._links
            assert neighbours.peers.know(crowd[1]).failures
        await served(victim, friend)


async def test_records_wanted_by_id_are_read_a_frame_at_a_time() -> None:
    large = [write(title="x")]
    for seq in range(1, 12):
        claim = Part(salt=bytes(16), tree=1, root=SCOPE, index=seq, data=bytes(32_000))
        large.append(
            sign_record(
                MALLORY,
                network=NETWORK,
                scope=SCOPE,
                seq=seq,
                backlink=large[-1].id,
                time_ms=0,
                kind=Kind.PART,
                claim=claim,
            )
        )
    ids = tuple(sorted(record.id for record in large))
    async with street() as (victim, friend, attacker, evil):
        await attacker.greet([SCOPE])
        for record in large:
            await attacker.send(push(record))
        await victim.gets(large[-1])
        link = victim.node.neighbours._links[evil.peer_id]
        box = Outbox(link.session, victim.node.feeds, lambda *_: None)
        box.plan(ServeIds(scope=SCOPE, ids=ids))
        turns = 0
        while box._ids:
            frames = await box.next()
            assert sum(map(len, frames)) <= 2 * FRAME_MAX
            turns += 1
        assert turns > len(large) // 3
        await attacker.send(wire.WantIds(scope=SCOPE, ids=ids))
        got: list[bytes] = []
        while len(got) < len(ids):
            got += (await attacker.hear(wire.Found)).records
        assert sorted(decode_record(each).id for each in got) == list(ids)
        await served(victim, friend)


async def test_strangers_in_a_campaign_do_no_harm() -> None:
    """A forged join is refused at the door, a join below nobody is settled later."""
    world = World()
    good = world.join("eve", key_of("nobody"))
    claim = good.claim()
    forged = sign_record(
        key_of("mallory"),
        network=NETWORK,
        scope=world.scope,
        seq=0,
        backlink=NO_BACKLINK,
        time_ms=0,
        kind=Kind.JOIN,
        claim=replace(claim, salt=bytes(16)),
    )
    async with street() as (victim, friend, attacker, _):
        await victim.node.feeds.follow(world.scope)
        await attacker.greet([SCOPE, world.scope])
        terms = [r for r in world.records if r.author == world.sponsor.author]
        await attacker.send(push(*terms, good, scope=world.scope), PING)
        assert await attacker.hear(wire.Pong)
        await attacker.send(push(forged, scope=world.scope), PING)
        await attacker.hear(wire.Pong)
        assert await victim.node.store.get(terms[0].id)
        assert await victim.node.store.get(forged.id) is None
        await served(victim, friend)
