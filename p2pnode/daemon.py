"""The node as a process: folder lock, store, network, local API, signals."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

import trio

from p2pnode import identity as identities
from p2pnode.api import app, folder, server
from p2pnode.api.routes import routes
from p2pnode.net.host import Libp2pNetwork
from p2pnode.node import Node
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng

STORE_FILE: Final = "records.sqlite"
LISTEN: Final = ("/ip4/127.0.0.1/tcp/0",)
"""Loopback only, until the owner says where to listen."""

SWITCH_S: Final = 0.0005
"""How long Python may keep a thread waiting. The store's thread waits for the
main one at every step, and the default of 5 ms costs it most of its speed."""

SEALED_BY: Final = "P2PNODE_PASSPHRASE_FILE"
"""The variable that names the file with the passphrase of sealed keys."""

STOP_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGBREAK")


def run(home: Path, listen: tuple[str, ...] = ()) -> None:
    """Run the node of the folder `home` until a signal ends it.

    Raises:
        Failure: no keys, another node on the folder.
        StoreTooNew, StoreInUse, StoreDamaged, StoreFull: the store cannot open.
        OSError: an address is taken, or the folder cannot be written.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)  # peers can make it talk
    sys.setswitchinterval(SWITCH_S)
    passphrase = identities.read_passphrase(os.environ.get(SEALED_BY))
    identity = identities.load(home, passphrase)
    with folder.locked(home):
        trio.run(_main, home, identity, listen or LISTEN)


async def _main(
    home: Path, identity: identities.Identity, listen: tuple[str, ...]
) -> None:
    store = await open_store(home / STORE_FILE)
    try:

        def allow(peer: str) -> bool:
            known = node.neighbours.peers.get(peer)
            return known is None or not known.blocked

        network = Libp2pNetwork(identity.transport_seed, listen=listen, allow=allow)
        node = Node(
            identity,
            store=store,
            network=network,
            clock=SystemClock(),
            rng=SystemRng(),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
            await nursery.start(node.run)
            port = await nursery.start(server.serve, app.build(routes(node)), home)
            _say_ready(node, port)
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


def _say_ready(node: Node, port: int) -> None:
    document = {
        "format": "p2pnode.ready/1",
        "pid": os.getpid(),
        "api": f"http://127.0.0.1:{port}",
        "addresses": list(node.network.addresses),
        "peer_id": node.network.peer_id,
    }
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    with trio.open_signal_receiver(*numbers) as signals:
        async for _number in signals:
            scope.cancel()
            return
