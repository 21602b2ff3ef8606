"""Who may speak to the local API: programs of this account, and no web page.

The checks run in this order, the first that fails answers:

1. HTTP/1.1 (the server below would also take HTTP/2): `wrong-http`, 505
2. one Host header that is one of three literals: `wrong-host`, 421. A page whose
   name was rebound to 127.0.0.1 sends its own name here.
3. no Origin header, which only browsers send: `wrong-origin`, 403
4. one Authorization header with the token of `run/api.json`: `wrong-token`, 401
5. a body of at most `BODY_MAX` bytes: `body-too-large`, 413
6. that is complete within `BODY_DEADLINE_S`: `too-slow`, 408

The application starts when its whole body is here.
"""

from __future__ import annotations

import contextlib
import hmac
from typing import TYPE_CHECKING, Final

import trio
from starlette.responses import JSONResponse

from p2pnode.failures import Failure

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX: Final = 2**20
"""Bytes: the largest request is a terms file with its pictures left out."""

BODY_DEADLINE_S: Final = 10.0
LINGER_S: Final = 0.5
"""How long a refused body is still read: a sender cut off reads no refusal."""

Headers = list[tuple[bytes, bytes]]


class Guard:
    """An ASGI application that lets only permitted requests through to another."""

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app = app
        self._hosts = {
            f"{host}:{port}".encode() for host in ("127.0.0.1", "localhost", "[::1]")
        }
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope["http_version"], list(scope["headers"]))
            body = await _read(receive)
        except Failure as failure:
            await _refuse(failure, scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    def _check(self, version: str, headers: Headers) -> None:
        if version != "1.1":
            raise _refusal("wrong-http", 505, "HTTP/1.1.")
        hosts = _values(headers, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise _refusal("wrong-host", 421, "One Host header: 127.0.0.1:PORT.")
        if _values(headers, b"origin"):
            raise _refusal("wrong-origin", 403, "A program, not a web page.")
        tokens = _values(headers, b"authorization")
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._authorization):
            raise _refusal("wrong-token", 401, "The token of run/api.json.")
        sizes = _values(headers, b"content-length")
        if any(size.isdigit() and int(size[:20]) > BODY_MAX for size in sizes):
            raise _too_large()


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client went away."""
    body = bytearray()
    with trio.move_on_after(BODY_DEADLINE_S):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > BODY_MAX:
                raise _too_large()
            if not message.get("more_body", False):
                return bytes(body)
    raise _refusal(
        "too-slow", 408, f"The whole request within {BODY_DEADLINE_S:.0f} seconds."
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what the server says."""
    pending: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False}
    ]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _refusal(reason: str, status: int, expected: str) -> Failure:
    return Failure(
        reason,
        "The node's local door refused the request.",
        expected,
        "Use the p2pnode command of the account that runs the node.",
        status,
    )


def _too_large() -> Failure:
    return _refusal("body-too-large", 413, f"A body of at most {BODY_MAX} bytes.")


async def _refuse(failure: Failure, scope: Scope, receive: Receive, send: Send) -> None:
    with trio.move_on_after(LINGER_S):
        while (await receive()).get("more_body", False):
            pass
    closing = {"Connection": "close"} if scope["http_version"] == "1.1" else {}
    response = JSONResponse(failure.document(), failure.status, closing)
    with contextlib.suppress(trio.BusyResourceError):
        # the server itself may be answering just then that the body is no HTTP
        await response(scope, receive, send)
