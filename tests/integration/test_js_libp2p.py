"""A js-libp2p node and ours: identify, ping, and the neighbour protocol, both ways.

Runs where `make js` has installed js-libp2p beside `tests/js-libp2p/node.mjs`.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pnode.net.host import PROTOCOL
from protocols.text import read_campaign
from tests.integration.test_javascript import JS, NODE, too_old
from tests.nodes import Daemon, until

HERE = JS.parent / "js-libp2p"
MISSING = too_old() or (
    "" if (HERE / "node_modules").is_dir() else "'make js' has not installed js-libp2p"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.net,
    pytest.mark.skipif(bool(MISSING), reason=MISSING or "js-libp2p is here"),
]

SECONDS_MAX = 60
"""How long the JavaScript node may live."""


class JsNode:
    """The process, and what it tells."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    def until(self, event: str, **expected: Any) -> dict[str, Any]:
        """Read on until something happens; a node that ends, ends the test."""
        assert self._process.stdout
        wanted = {"event": event, **expected}
        for line in self._process.stdout:
            self.told.append(json.loads(line))
            if wanted.items() <= self.told[-1].items():
                return self.told[-1]
        raise AssertionError(f"it ended after {self.told[-3:]}")

    @property
    def ids(self) -> set[str]:
        """The records it has verified."""
        return {one["id"] for one in self.told if one["event"] == "new"}


@contextmanager
def js_node(scope: bytes, address: str) -> Iterator[JsNode]:
    """A js-libp2p node that follows a scope and dials `address`."""
    command = [NODE or "", str(HERE / "node.mjs"), "main", scope.hex(), address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        patience = threading.Timer(SECONDS_MAX, process.kill)
        patience.start()
        try:
            yield JsNode(process)
        finally:
            patience.cancel()
            process.kill()


def test_feeds_travel_through_a_js_node(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path / "shop", "merchant") as shop,
        Daemon(tmp_path / "alice") as alice,
    ):
        address = shop.ready().addresses[0]
        codes = shop.publish(balloons=3)
        for code in codes:
            shop.scan(code)
        campaign = shop.do("campaign", "list")["campaigns"][0]["campaign"]
        scope = read_campaign(campaign)
        held = {i for i, one in shop.records().items() if one.scope == scope}
        with js_node(scope, address) as js:
            (own,) = js.until("listening")["addresses"]
            assert js.until("pinged")["ms"] >= 0
            js.until("in-sync", feeds=1)
            (agent,) = [one for one in js.told if one["event"] == "identified"]
            assert PROTOCOL in agent["protocols"]
            assert js.ids == held

            # ours dials it, and gets what it has never heard from its author
            alice.ready()
            alice.do("campaign", "follow", campaign)
            assert alice.do("peer", "add", own)["connected"]
            peer = own.rpartition("/")[2]
            assert alice.do("peer", "ping", peer)["ms"] >= 0
            until(lambda: alice.do("campaign", "list")["campaigns"][0]["terms"])
            until(lambda: held == set(alice.records()))

            later = shop.scan(codes[0])
            js.until("new", id=later, how="push")
            until(lambda: later in alice.records())
            assert not [one for one in js.told if one["event"] == "ended"]
        assert {one["peer"] for one in alice.do("peer", "list")["peers"]} == {peer}
