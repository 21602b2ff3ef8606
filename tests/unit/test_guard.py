"""The guard of the local API, spoken to as an ASGI server would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from p2pnode.api.guard import BODY_DEADLINE_S, BODY_MAX, Guard, Headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message, Receive, Scope, Send

HOST = (b"host", b"127.0.0.1:4711")
TOKEN = (b"authorization", b"Bearer secret")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def ask(
    *headers: tuple[bytes, bytes],
    body: Sequence[bytes] = (b"",),
    version: str = "1.1",
    wait: float = 0.0,
) -> tuple[int, bytes]:
    """Return (status, body) of one request whose body comes in pieces."""
    pieces = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        await trio.sleep(wait)
        if not pieces:
            await trio.sleep_forever()
        piece = pieces.pop(0)
        more = bool(pieces) or wait > 0
        return {"type": "http.request", "body": piece, "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(echo, port=4711, token="secret")
    scope = {"type": "http", "http_version": version, "headers": list(headers)}
    await guard(scope, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


async def refusal(
    *headers: tuple[bytes, bytes],
    body: Sequence[bytes] = (b"",),
    version: str = "1.1",
    wait: float = 0.0,
) -> tuple[int, str]:
    status, answer = await ask(*headers, body=body, version=version, wait=wait)
    document = json.loads(answer)
    assert document["format"] == "p2pnode.error/1"
    return status, document["reason"]


@pytest.mark.parametrize("host", [b"127.0.0.1:4711", b"localhost:4711", b"[::1]:4711"])
async def test_passes_its_own_names(host: bytes) -> None:
    assert await ask((b"host", host), TOKEN, body=(b"a", b"b")) == (200, b"ab")


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b""],
        [b"127.0.0.1"],
        [b"127.0.0.1:4712"],
        [b"127.0.0.1.evil.com:4711"],
        [b"evil.com"],
        [b"127.1:4711"],
        [b"2130706433:4711"],
        [b"0x7f000001:4711"],
        [b"LOCALHOST:4711"],
        [b"localhost.:4711"],
        [b"user@127.0.0.1:4711"],
        [b"127.0.0.1:4711 "],
        [b"::1:4711"],
        [b"127.0.0.1:4711", b"127.0.0.1:4711"],
        [b"127.0.0.1:4711", b"evil.com"],
    ],
)
async def test_refuses_every_other_host(hosts: list[bytes]) -> None:
    headers = [(b"host", host) for host in hosts]
    assert await refusal(*headers, TOKEN) == (421, "wrong-host")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer secre")],
        [(b"authorization", b"Bearer secrets")],
        [(b"authorization", b"bearer secret")],
        [(b"authorization", b"Basic secret")],
        [(b"authorization", b"\xff")],
        [TOKEN, TOKEN],
    ],
)
async def test_refuses_every_other_token(headers: Headers) -> None:
    assert await refusal(HOST, *headers) == (401, "wrong-token")


@pytest.mark.parametrize("origin", [b"null", b"http://127.0.0.1:4711", b""])
async def test_refuses_pages_even_with_the_token(origin: bytes) -> None:
    status = await refusal(HOST, TOKEN, (b"Origin", origin))
    assert status == (403, "wrong-origin")


@pytest.mark.parametrize("version", ["1.0", "2"])
async def test_speaks_http_1_1_only(version: str) -> None:
    assert await refusal(HOST, TOKEN, version=version) == (505, "wrong-http")


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def test_refuses_websockets() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(echo, port=4711, token="secret")
    await guard({"type": "websocket", "headers": [HOST, TOKEN]}, nothing, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_the_first_failed_check_names_the_reason() -> None:
    origin = (b"origin", b"null")
    assert await refusal(version="2") == (505, "wrong-http")
    assert await refusal(origin) == (421, "wrong-host")
    assert await refusal(HOST, origin) == (403, "wrong-origin")


async def test_takes_a_body_of_the_limit() -> None:
    size = (b"content-length", str(BODY_MAX).encode())
    status, body = await ask(HOST, TOKEN, size, body=(b"x" * BODY_MAX,))
    assert (status, len(body)) == (200, BODY_MAX)


@pytest.mark.parametrize("announced", [str(BODY_MAX + 1), str(2**63), "9" * 5000])
async def test_refuses_an_announced_body_unread(announced: str) -> None:
    size = (b"content-length", announced.encode())
    assert await refusal(HOST, TOKEN, size) == (413, "body-too-large")


async def test_refuses_a_body_that_grows(autojump_clock: object) -> None:
    half = b"x" * (BODY_MAX // 2)
    answer = await refusal(HOST, TOKEN, body=(half, half, b"x", half))
    assert answer == (413, "body-too-large")


async def test_refuses_a_slow_body(autojump_clock: object) -> None:
    start = trio.current_time()
    answer = await refusal(HOST, TOKEN, body=[b"x"] * 100, wait=1.0)
    assert answer == (408, "too-slow")
    assert trio.current_time() - start <= BODY_DEADLINE_S + 1


async def test_says_nothing_to_a_client_that_went_away() -> None:
    async def send(message: Message) -> None:
        raise AssertionError(message)

    guard = Guard(echo, port=4711, token="secret")
    scope = {"type": "http", "http_version": "1.1", "headers": [HOST, TOKEN]}
    await guard(scope, nothing, send)
