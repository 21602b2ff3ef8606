"""Attacks below the neighbour protocol: sockets, handshakes, yamux, framing."""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from p2pnode.net.host import PROTOCOL
from tests.hostile.peer import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    PING,
    RST,
    SYN,
    WINDOW,
    Attack,
    Muxed,
    Victim,
    muxed,
    outcome,
    stranger,
    tcp,
    tell,
)

CONNECTIONS: Final = 60
STREAMS: Final = 10_000


def line(text: bytes) -> bytes:
    """A line of multistream."""
    return bytes([len(text) + 1]) + text + b"\n"


MULTISTREAM: Final = line(b"/multistream/1.0.0")
NOISE: Final = line(b"/noise")

OPENINGS: Final = {
    "multistream: not UTF-8": line(b"\xff\xfe\xfd\xfc"),
    "multistream: an endless varint": b"\xff" * 4_096,
    "multistream: a line of 2^63": b"\x80" * 9 + b"\x01" + b"x" * 64,
    "multistream: a line of 2^32-1": b"\xff\xff\xff\xff\x0f" + b"x" * 64,
    "multistream: an empty line": b"\x00" * 64,
    "multistream: a line without an end": b"\x05hello",
    "multistream: plaintext asked for": MULTISTREAM + line(b"/plaintext/2.0.0"),
    "multistream: 1,000 unknown protocols": MULTISTREAM + line(b"/x") * 1_000,
    "noise: a message of 65,535 cut": MULTISTREAM + NOISE + b"\xff\xff" + bytes(99),
    "noise: an empty message": MULTISTREAM + NOISE + b"\x00\x00" * 99,
    "noise: random bytes": MULTISTREAM + NOISE + b"\x00\x20" + bytes(range(32)) * 9,
    "http instead": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
"""What is said before anybody proved anything."""


async def openings(victim: Victim) -> str:
    """Say each of them on a connection of its own, all at once."""
    ends: list[str] = []

    async def say(words: bytes) -> None:
        async with tcp(victim) as stream:
            await tell(stream, words)
            ends.append(await outcome(stream, victim.patience_s))

    async with trio.open_nursery() as nursery:
        for words in OPENINGS.values():
            nursery.start_soon(say, words)
    return " or ".join(sorted(dict.fromkeys(ends)))


@asynccontextmanager
async def crowd(victim: Victim, count: int) -> AsyncIterator[list[trio.SocketStream]]:
    """Many connections at once, closed at the end."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(tcp(victim)) for _ in range(count)]


async def connect_flood(victim: Victim) -> str:
    """Connect and hang up, as fast as it goes."""
    for _ in range(5):
        async with crowd(victim, CONNECTIONS):
            pass
    return "taken"


async def half_open(victim: Victim) -> str:
    """Begin handshakes and never go on."""
    async with crowd(victim, CONNECTIONS) as streams:
        for stream in streams:
            await tell(stream, MULTISTREAM + NOISE)
        return await outcome(streams[-1], victim.patience_s)


async def slow_loris(victim: Victim) -> str:
    """Begin handshakes a byte at a time."""
    async with crowd(victim, CONNECTIONS // 2) as streams:
        for byte in MULTISTREAM + NOISE:
            for stream in streams:
                await tell(stream, bytes([byte]))
            await trio.sleep(0.1)
        return await outcome(streams[-1], victim.patience_s)


# ---------------------------------------------------------------------- yamux


async def many_streams(victim: Victim) -> str:
    """Open 10,000 streams."""
    async with muxed(victim) as evil:
        for _ in range(STREAMS // 100):
            await evil.raw(b"".join(_syn(evil) for _ in range(100)))
        return await evil.outcome(victim.patience_s)


def _syn(evil: Muxed) -> bytes:
    evil.stream_id += 2
    return struct.pack(">BBHII", 0, WINDOW, SYN, evil.stream_id, 0)


async def rapid_reset(victim: Victim) -> str:
    """Open streams and reset them at once, 10,000 times."""
    async with muxed(victim) as evil:
        for _ in range(STREAMS // 100):
            pairs = []
            for _ in range(100):
                pairs.append(_syn(evil))
                pairs.append(struct.pack(">BBHII", 0, WINDOW, RST, evil.stream_id, 0))
            await evil.raw(b"".join(pairs))
        return await evil.outcome(victim.patience_s)


async def half_closed(victim: Victim) -> str:
    """Open streams, name the protocol, close this half, wait."""
    async with muxed(victim) as evil:
        words = MULTISTREAM + line(PROTOCOL.encode())
        for _ in range(32):
            stream = await evil.opened(words)
            await evil.send(DATA, FIN, stream, 0)
        return await evil.outcome(victim.patience_s)


async def unread_window(victim: Victim) -> str:
    """Send 8 MB on a stream that nobody reads, whatever was granted."""
    async with muxed(victim) as evil:
        stream = await evil.opened(MULTISTREAM)
        for _ in range(128):
            await evil.send(DATA, 0, stream, 65_000, bytes(65_000))
        return await evil.outcome(victim.patience_s)


async def announced_frame(victim: Victim) -> str:
    """Announce 2^32-1 bytes of data and send some."""
    async with muxed(victim) as evil:
        stream = await evil.opened(MULTISTREAM)
        await evil.send(DATA, 0, stream, 2**32 - 1, bytes(4_096))
        return await evil.outcome(victim.patience_s)


async def windows_without_end(victim: Victim) -> str:
    """Grant 2^32-1 bytes, 100 times over."""
    async with muxed(victim) as evil:
        stream = await evil.opened(MULTISTREAM)
        for _ in range(100):
            await evil.send(WINDOW, 0, stream, 2**32 - 1)
        return await evil.outcome(victim.patience_s)


async def yamux_pings(victim: Victim) -> str:
    """Ask for 10,000 pongs and read none."""
    async with muxed(victim) as evil:
        ping = struct.pack(">BBHII", 0, PING, SYN, 0, 7)
        for _ in range(100):
            await evil.raw(ping * 100)
        return await evil.outcome(victim.patience_s)


async def strange_yamux(victim: Victim) -> str:
    """Frames that mean nothing: types, flags, streams nobody opened."""
    async with muxed(victim) as evil:
        for kind, flags in ((DATA, ACK), (DATA, 0), (WINDOW, FIN), (PING, ACK)):
            await evil.send(kind, flags, 77_777, 0)
        await evil.send(9, 0xFFFF, 0xFFFFFFFF, 0)
        return await evil.outcome(victim.patience_s)


async def cut_yamux(victim: Victim) -> str:
    """A header that is cut, then nothing."""
    async with muxed(victim) as evil:
        await evil.raw(b"\x00\x00\x00")
        return await evil.outcome(victim.patience_s)


async def random_yamux(victim: Victim) -> str:
    """Random bytes below the streams."""
    async with muxed(victim) as evil:
        for _ in range(20):
            await evil.raw(secrets.token_bytes(4_096))
        return await evil.outcome(victim.patience_s)


async def go_away(victim: Victim) -> str:
    """Say goodbye and stay."""
    async with muxed(victim) as evil:
        await evil.send(GO_AWAY, 0, 0, 0)
        return await evil.outcome(victim.patience_s)


async def stream_openings(victim: Victim) -> str:
    """Everything that must not be said before the handshake, on streams after it."""
    async with muxed(victim) as evil:
        for words in OPENINGS.values():
            await evil.opened(words)
        return await evil.outcome(victim.patience_s)


# -------------------------------------------------------------------- framing

LENGTHS: Final = {
    "a frame of 2^32-1": b"\xff\xff\xff\xff" + bytes(64),
    "an empty frame": bytes(4),
    "a frame one too long": (65_537).to_bytes(4, "big") + bytes(64),
    "a frame cut": (1_000).to_bytes(4, "big") + bytes(64),
}


def framing(data: bytes) -> Attack:
    """Say something where a frame is expected."""

    async def attack(victim: Victim) -> str:
        async with stranger(victim) as attacker:
            await attacker.stream._raw.write(data)  # type: ignore[attr-defined]
            return await attacker.outcome(victim.patience_s)

    return attack


ATTACKS: Final[dict[str, Attack]] = {
    "connect flood": connect_flood,
    "half-open handshakes": half_open,
    "slow-loris": slow_loris,
    "bad words before the handshake": openings,
    "yamux: 10,000 streams": many_streams,
    "yamux: rapid reset": rapid_reset,
    "yamux: half-closed streams": half_closed,
    "yamux: an unread window": unread_window,
    "yamux: 2^32-1 bytes announced": announced_frame,
    "yamux: windows without end": windows_without_end,
    "yamux: pings": yamux_pings,
    "yamux: strange frames": strange_yamux,
    "yamux: a header cut": cut_yamux,
    "yamux: random bytes": random_yamux,
    "yamux: go away": go_away,
    "bad words on streams": stream_openings,
    **{f"framing: {name}": framing(data) for name, data in LENGTHS.items()},
}
