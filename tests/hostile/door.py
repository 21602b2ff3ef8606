"""Attacks on the local API by whoever reaches loopback, without its token."""

from __future__ import annotations

from typing import Final

import trio

from tests.hostile.peer import Attack, Victim, outcome, tell

SECONDS: Final = 2.0
HOST: Final = b"Host: 127.0.0.1:%d\r\n"

REQUESTS: Final = {
    "rebound name": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1.evil.com\r\n\r\n",
    "short host": b"GET /status HTTP/1.1\r\nHost: 127.1:80\r\n\r\n",
    "no host": b"GET /status HTTP/1.1\r\n\r\n",
    "no token": b"GET /status HTTP/1.1\r\n" + HOST + b"\r\n",
    "a wrong token": b"GET /status HTTP/1.1\r\n"
    + HOST
    + b"Authorization: Bearer x\r\n\r\n",
    "a form": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Origin: https://evil.example\r\nContent-Length: 3\r\n\r\na=b",
    "1 GB announced": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1073741824\r\n\r\n",
    "a length of 2^63": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 9223372036854775808\r\n\r\n",
    "a length below 0": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a chunk of 2^63": b"POST /scan HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n8000000000000000\r\n",
    "endless headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "no HTTP": bytes(range(256)) * 16,
    "a terminal escape": b"GET /\x1b[2J HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def request(data: bytes) -> Attack:
    """Send a request that is none, or nobody's."""

    async def attack(victim: Victim) -> str:
        if not victim.door:
            return "no door"
        words = data.replace(b"%d", b"%d" % victim.door)
        async with await trio.open_tcp_stream("127.0.0.1", victim.door) as stream:
            await tell(stream, words)
            with trio.move_on_after(SECONDS):
                try:
                    answer = await stream.receive_some(4_096)
                except trio.BrokenResourceError:
                    return "hung up"
                return answer[9:12].decode("latin-1") if answer else "hung up"
            return "held"

    return attack


async def slow_body(victim: Victim) -> str:
    """Twenty requests whose bodies never end."""
    if not victim.door:
        return "no door"
    async with trio.open_nursery() as nursery:
        streams = []
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", victim.door)
            streams.append(stream)
            head = b"POST /scan HTTP/1.1\r\n" + HOST % victim.door
            await tell(stream, head + b"Content-Length: 1000\r\n\r\n")
        for _ in range(10):
            for stream in streams:
                await tell(stream, b"x")
            await trio.sleep(SECONDS / 10)
        end = await outcome(streams[-1], SECONDS)
        nursery.cancel_scope.cancel()
    for stream in streams:
        await stream.aclose()
    return end


ATTACKS: Final[dict[str, Attack]] = {
    **{f"door: {name}": request(data) for name, data in REQUESTS.items()},
    "door: slow bodies": slow_body,
}
