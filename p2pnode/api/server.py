"""Serves the local API on a loopback port and says in `run/api.json` which."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import hypercorn.trio
import trio
from hypercorn.config import Config

from p2pnode.api.folder import API_FORMAT, api_file
from p2pnode.api.guard import Guard

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework
    from starlette.types import ASGIApp

HEADERS_MAX: Final = 16 * 1024
"""Bytes of a request's line and headers."""

SILENCE_S: Final = 120
"""How long a client may send nothing while its answer is made."""

IDLE_S: Final = 5
"""How long headers may take, and a connection live without a request."""


async def serve(app: ASGIApp, home: Path, *, task_status: trio.TaskStatus[int]) -> None:
    """Serve `app` behind the guard until cancelled; started with the port.

    `run/api.json` is there as long as somebody listens.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    port = int(listener.getsockname()[1])
    token = secrets.token_urlsafe(32)
    guard = cast("ASGIFramework", Guard(app, port=port, token=token))
    run = functools.partial(
        hypercorn.trio.serve, guard, _config(listener.detach()), mode="asgi"
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        with _announced(home, port, token):
            task_status.started(port)
            await trio.sleep_forever()


def _config(descriptor: int) -> Config:
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.errorlog = logging.getLogger("p2pnode.api")
    config.accesslog = None
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    config.h11_max_incomplete_size = HEADERS_MAX
    config.read_timeout = SILENCE_S
    config.keep_alive_timeout = IDLE_S
    config.keep_alive_max_requests = 1000
    # The guard reads every body as it comes and stops at its limit. A bounded
    # queue would not bound memory further, and hangs when a refused body goes on.
    config.max_app_queue_size = cast("int", math.inf)
    return config


@contextlib.contextmanager
def _announced(home: Path, port: int, token: str) -> Iterator[None]:
    """Keep `run/api.json`, readable by this account only, while entered."""
    path = api_file(home)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {"format": API_FORMAT, "pid": os.getpid(), "port": port, "token": token}
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="ascii") as file:
        json.dump(document, file)
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
