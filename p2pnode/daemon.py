"""The node as a process: folder lock, store, network, local API, signals."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from p2pnode import identity as identities
from p2pnode.api import app, folder, server
from p2pnode.api.folder import STORE_FILE
from p2pnode.api.routes import routes
from p2pnode.executor import ThreadExecutor
from p2pnode.failures import Failure
from p2pnode.keeper import Keeper
from p2pnode.net.host import CannotListen, Libp2pNetwork, is_free
from p2pnode.node import Node
from p2pnode.ports import Store
from p2pnode.store import mark_file
from p2pnode.store.mark_file import MarkFile
from p2pnode.store.sqlite import open_store
from p2pnode.store_failures import store_failure
from p2pnode.system import SystemClock, SystemRng
from p2pnode.verifier import SharingVerifier

PORTS_FILE: Final = "run/ports"
"""The ports of the last start."""

LISTEN: Final = ("/ip4/127.0.0.1/tcp/0",)
"""Loopback only, until the owner says where to listen."""

SWITCH_S: Final = 0.0005
"""How long Python may keep a thread waiting. The store's thread waits for the
main one at every step, and the default of 5 ms costs it most of its speed."""

STOP_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGBREAK")


GARBAGE_MIN: Final = 2_000
"""New objects before Python looks for cycles among them, five times as many before
it looks among those that stayed, and again five times for all: much rarer, and cycles
that outlived a first look would hardly ever be freed."""


def tune() -> None:
    """Set the interpreter up for a node: call it once all is imported.

    What was imported stays for ever, and is not looked through again.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(GARBAGE_MIN, 5, 5)


def run(
    home: Path,
    listen: tuple[str, ...] = (),
    *,
    ready: Callable[[dict[str, Any]], object],
) -> None:
    """Run the node of the folder `home` until a signal ends it.

    `ready` is told `p2pnode.ready/1` once, when all doors are open.

    Raises:
        Failure: no keys, another node on the folder, a store that cannot be
            opened, an address that cannot be listened on.
        OSError: the folder cannot be written.
    """
    _log_in_words()
    tune()
    identity = identities.load_unsealed(home)
    with folder.locked(home), _in_words():
        trio.run(_main, home, identity, listen or _last_addresses(home), ready)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Put what keeps a node from running into words."""
    try:
        yield
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        failure = store_failure(first)
        if isinstance(first, CannotListen):
            failure = Failure(
                "cannot-listen",
                "The node {error}.",
                "An address of this machine and a free port: /ip4/0.0.0.0/tcp/4001.",
                "Choose another: p2pnode run --listen ADDRESS",
                error=first,
            )
        raise failure or first from error


def _last_addresses(home: Path) -> tuple[str, ...]:
    """Where this node listened last, if the ports are free: others know them."""
    try:
        ports = [int(line) for line in (home / PORTS_FILE).read_text("ascii").split()]
    except (OSError, ValueError):
        return LISTEN
    known = [f"/ip4/127.0.0.1/tcp/{port}" for port in ports if 0 < port < 65_536]
    return tuple(filter(is_free, known[:1])) or LISTEN


def _remember_ports(home: Path, addresses: Sequence[str]) -> None:
    """Note where this node listens, so that it is found there again."""
    ports = [parts[4] for one in addresses if (parts := one.split("/"))[3:4] == ["tcp"]]
    with contextlib.suppress(OSError):
        (home / PORTS_FILE).write_text("\n".join(ports) + "\n", encoding="ascii")


async def _main(
    home: Path,
    identity: identities.Identity,
    listen: tuple[str, ...],
    ready: Callable[[dict[str, Any]], object],
) -> None:
    verifier, executor = SharingVerifier(), ThreadExecutor()

    def build(store: Store) -> Node:
        def allow(peer: str) -> bool:
            known = node.neighbours.peers.get(peer)
            return known is None or not known.blocked

        here = identity.apart(mark.written.twin)
        node = Node(
            here,
            store=store,
            network=Libp2pNetwork(here.transport_seed, listen=listen, allow=allow),
            clock=SystemClock(),
            rng=SystemRng(),
            verifier=verifier,
            executor=executor,
        )
        return node

    mark = MarkFile(home / mark_file.NAME, due=identity.marked)
    opening = functools.partial(open_store, home / STORE_FILE, mark=mark)
    keeper = Keeper(opening, build)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope, keeper)
        nursery.start_soon(verifier.run)
        await nursery.start(keeper.run)
        table = routes(lambda: keeper.node)
        port = await nursery.start(server.serve, app.build(table), home)
        _remember_ports(home, keeper.node.network.addresses)
        ready(_ready(keeper.node, port))
        sys.stdout.flush()


def _ready(node: Node, port: int) -> dict[str, Any]:
    return {
        "format": "p2pnode.ready/1",
        "pid": os.getpid(),
        "api": f"http://127.0.0.1:{port}",
        "addresses": list(node.network.addresses),
        "peer_id": node.network.peer_id,
    }


async def _stop_on_signal(scope: trio.CancelScope, keeper: Keeper) -> None:
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    with trio.open_signal_receiver(*numbers) as signals:
        async for _number in signals:
            with contextlib.suppress(Failure):  # no node at work: nobody to tell
                await keeper.node.neighbours.leave()
            scope.cancel()
            return


class _Words(logging.Formatter):
    """Log lines from which nothing that a peer said steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines()
        return "\n".join(
            "".join(c if c.isprintable() else "?" for c in line) for line in lines
        )


def _log_in_words() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Words("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)  # peers can make it talk
