"""Real nodes under load that are killed, again and again.

Two nodes hold one campaign. One of them is killed while it signs, or while it
starts after the kill before; the other keeps every record it ever saw.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from p2pnode.failures import Failure
from protocols.keys import AuthorKey, RecordId, Scope
from tests.nodes import Daemon, until

THREADS = 2
"""That scan at the victim at once."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of it."""

    kills: int = 0
    early: int = 0
    """Of these, while the node was starting."""
    acknowledged: list[str] = field(default_factory=list)
    """Ids of records that a node said it keeps."""
    places: dict[tuple[Scope, AuthorKey, int], RecordId] = field(default_factory=dict)
    """Every record that either node ever showed, by its place."""

    def saw(self, node: Daemon) -> None:
        """Take in what a node shows."""
        for record in node.records().values():
            place = (record.scope, record.author, record.seq)
            assert self.places.setdefault(place, record.id) == record.id, "signed twice"


def kill_often(folder: Path, kills: int, seed: int) -> Tally:
    """Kill nodes; assert that nothing is lost or signed twice.

    Returns:
        what came of it.
    """
    with Daemon(folder / "shop", "merchant") as shop, Daemon(folder / "alice") as alice:
        shop.ready()
        alice.ready()
        codes = itertools.cycle(shop.publish(balloons=3))
        alice.do("campaign", "join", shop.do("campaign", "invite")["link"])
        until(lambda: alice.do("campaign", "list")["campaigns"][0]["terms"])
        tally, rng = Tally(), random.Random(seed)
        for turn in range(kills):
            victim, other = (alice, shop) if turn % 2 == 0 else (shop, alice)
            _kill(victim, codes, tally, rng)
            tally.acknowledged += [other.scan(next(codes)) for _ in range(3)]
            victim.up()
            for node in (victim, other):
                tally.saw(node)
        for node in (shop, alice):
            until(lambda node=node: set(tally.acknowledged) <= set(node.records()))  # type: ignore[misc]
            tally.saw(node)
            assert node.do("status")["forks"] == 0
            assert "Traceback" not in node.log_text()
    return tally


def _kill(
    victim: Daemon, codes: Iterator[str], tally: Tally, rng: random.Random
) -> None:
    """Kill a node that is busy; one time in three again while it starts."""

    def busy() -> None:
        try:
            while True:
                tally.acknowledged.append(victim.scan(next(codes)))
        except Failure:
            """It is gone."""

    work = [threading.Thread(target=busy) for _ in range(THREADS)]
    for thread in work:
        thread.start()
    time.sleep(rng.uniform(0.05, 0.4))
    victim.kill()
    for thread in work:
        thread.join()
    tally.kills += 1
    if rng.random() < 1 / 3:
        victim.start()
        time.sleep(rng.uniform(0.3, 2.0))
        victim.kill()
        tally.kills += 1
        tally.early += 1
