"""The local API on a real loopback socket, with a toy application behind it."""

from __future__ import annotations

import functools
import json
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from starlette.responses import JSONResponse
from starlette.routing import Route

from cli import client
from p2pnode.api import app, folder, server
from p2pnode.failures import Failure
from protocols.errors import ProtocolError, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

pytestmark = pytest.mark.net


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(
        {"format": "p2pnode.echo/1", "got": await app.json_body(request)}
    )


async def refuse(_request: Request) -> JSONResponse:
    raise Failure("too-early", "It is too early.", "A later hour.", "Wait.", 409)


async def break_rule(_request: Request) -> JSONResponse:
    raise ProtocolError(Reason.GAP, "seq 7 after 5")


async def crash(_request: Request) -> JSONResponse:
    raise RuntimeError("secret inside")


ROUTES = [
    Route("/echo", echo, methods=["POST"]),
    Route("/refuse", refuse),
    Route("/break", break_rule),
    Route("/crash", crash),
]


@pytest.fixture
async def home(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Path]:
    with folder.locked(tmp_path):
        await nursery.start(server.serve, app.build(ROUTES), tmp_path)
        yield tmp_path


async def call(home: Path, method: str, path: str, body: Any = None) -> dict[str, Any]:
    ask = functools.partial(client.call, method, path, body, data=home)
    return await trio.to_thread.run_sync(ask)


async def raw(home: Path, text: str, until: bytes | None = None) -> bytes:
    """Send bytes as they are; return what comes back, to `until` or the end."""
    door = client.door(home)
    stream = await trio.open_tcp_stream("127.0.0.1", door.port)
    text = text.replace("PORT", str(door.port)).replace("TOKEN", door.token)
    async with stream:
        await stream.send_all(text.replace("\n", "\r\n").encode())
        with trio.fail_after(4):
            got = bytearray()
            async for piece in stream:
                got += piece
                if until and until in got:
                    break
            return bytes(got)


async def test_answers_the_cli(home: Path) -> None:
    answer = await call(home, "POST", "/echo", {"name": "面包店"})
    assert answer == {"format": "p2pnode.echo/1", "got": {"name": "面包店"}}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/refuse", 409, "too-early"),
        ("/break", 422, "gap"),
        ("/crash", 500, "internal"),
        ("/nowhere", 404, "unknown-path"),
        ("/echo", 405, "wrong-method"),
    ],
)
async def test_failures_arrive_as_failures(
    home: Path, path: str, status: int, reason: str
) -> None:
    with pytest.raises(Failure) as caught:
        await call(home, "GET", path)
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert "secret" not in json.dumps(caught.value.document())


async def test_a_body_that_is_no_object_is_refused(home: Path) -> None:
    body: Any
    for body in ([], 7, None):
        with pytest.raises(Failure, match="not a JSON object"):
            await call(home, "POST", "/echo", body)


async def test_a_body_above_the_limit_is_refused(home: Path) -> None:
    head = (
        "POST /echo HTTP/1.1\nHost: 127.0.0.1:PORT\nAuthorization: Bearer TOKEN\n"
        "Content-Length: 1073741824\n\n"
    )
    answer = await raw(home, head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in answer


async def test_a_flood_is_refused_and_the_next_is_served(home: Path) -> None:
    head = (
        "POST /echo HTTP/1.1\nHost: 127.0.0.1:PORT\nAuthorization: Bearer TOKEN\n"
        "Transfer-Encoding: chunked\n\n"
    )
    flood = head + "10000\n" + "x" * 0x10000 + "\n"
    answer = await raw(home, flood + ("10000\n" + "x" * 0x10000 + "\n") * 63 + "0\n\n")
    assert b"body-too-large" in answer
    assert (await call(home, "POST", "/echo", {}))["got"] == {}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /refuse HTTP/1.1\nHost: evil.com\n\n", b"421"),
        ("GET /refuse HTTP/1.1\nHost: 127.0.0.1:PORT\n\n", b"401"),
        ("GET /refuse?token=TOKEN HTTP/1.1\nHost: 127.0.0.1:PORT\n\n", b"401"),
        ("GET /refuse HTTP/1.1\n\n", b"400"),
        ("GET /refuse HTTP/1.1\nHost: 127.0.0.1:PORT\nHost: evil.com\n\n", b"400"),
        ("GET / HTTP/1.1\nHost: 127.0.0.1:PORT\nX: " + "x" * 20_000, b"431"),
        ("nonsense\n\n", b"400"),
    ],
)
async def test_strangers_are_refused(home: Path, head: str, status: bytes) -> None:
    assert (await raw(home, head)).startswith(b"HTTP/1.1 " + status)


async def test_http_2_reaches_no_route(home: Path) -> None:
    head = (
        "GET /refuse HTTP/1.1\nHost: 127.0.0.1:PORT\nAuthorization: Bearer TOKEN\n"
        "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: \n\n"
    )
    answer = await raw(home, head, until=b"wrong-http")
    assert b"wrong-http" in answer
    assert b"too-early" not in answer


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such mode bits")
async def test_only_this_account_reads_the_token(home: Path) -> None:
    assert stat.S_IMODE(folder.api_file(home).stat().st_mode) == 0o600


async def test_the_announcement_goes_with_the_server(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, app.build(ROUTES), tmp_path)
        assert folder.api_file(tmp_path).is_file()
        nursery.cancel_scope.cancel()
    assert not folder.api_file(tmp_path).exists()
    with pytest.raises(Failure) as caught:
        await call(tmp_path, "GET", "/refuse")
    assert (caught.value.reason, caught.value.status) == ("no-daemon", 503)


async def test_an_announcement_left_by_a_killed_node_is_no_node(tmp_path: Path) -> None:
    file = folder.api_file(tmp_path)
    file.parent.mkdir()
    text = '{"format": "p2pnode.api/1", "pid": 1, "port": 1, "token": "x"}'
    file.write_text(text, "ascii")
    with pytest.raises(Failure) as caught:
        await call(tmp_path, "GET", "/refuse")
    assert caught.value.reason == "no-daemon"


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with folder.locked(tmp_path):
        with pytest.raises(folder.FolderInUse) as caught, folder.locked(tmp_path):
            pass
        assert caught.value.pid > 0
    with folder.locked(tmp_path):
        pass


def test_who_asks_for_the_owner_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder.owned(tmp_path)
    with folder.locked(tmp_path):
        assert folder.owned(tmp_path)
    assert not folder.owned(tmp_path)
    with folder.locked(tmp_path):
        pass


def test_who_took_the_port_of_a_killed_node_is_told_nothing(tmp_path: Path) -> None:
    with folder.locked(tmp_path):
        pass
    with socket.create_server(("127.0.0.1", 0)) as thief:
        thief.settimeout(0.2)
        port = thief.getsockname()[1]
        said = {"format": "p2pnode.api/1", "pid": 1, "port": port, "token": "x"}
        file = folder.api_file(tmp_path)
        file.write_text(json.dumps(said), "ascii")
        with pytest.raises(Failure) as caught:
            client.call("POST", "/scan", {"code": "secret"}, data=tmp_path)
        assert caught.value.reason == "no-daemon"
        with pytest.raises(TimeoutError):
            thief.accept()
    with folder.locked(tmp_path):  # the next node, before it listens
        assert not file.exists()
