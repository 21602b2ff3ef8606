"""New records in a mesh of whole nodes: how often each travels, and how long.

Everything is simulated, so the figures are those of the protocol, the same on
every machine: payload copies, bytes, and virtual time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio

from p2pnode.ports import Stream
from p2pnode.services.feeds import Change, Report
from p2pnode.services.neighbours import Manners
from p2pnode.swarm.simulation import Village, Villager, simulate
from tests.bench.figures import Row, scaled

DEGREE = 6
COPIES_MOST = 1.5
GOSSIPSUB_COPIES = 6.3
"""Of GossipSub as published, at the same degree."""
MESHES = ((10, 100, 1), (20, 100, 1), (20, 50, 16), (100, 40, 1), (200, 20, 1))
"""Nodes, publications, records in each."""
CALM = Manners(reconcile_s=30.0)
PAUSE_S = 0.25
"""Between two publications, whoever makes them."""


def measure(share: float) -> list[Row]:
    """Copies, bytes and delay, in meshes from small to large."""
    rows: list[Row] = []
    for nodes, count, size in MESHES:
        rows += _rows(nodes, size, meshed(nodes, scaled(count, share), size))
    return rows


@dataclass(slots=True)
class Tally:
    """What happened in a mesh since it was settled."""

    copies: int = 0
    """Records that arrived, known ones among them."""
    delivered: int = 0
    """Records that were new where they arrived."""
    sent_bytes: int = 0
    """Of all frames of all nodes."""
    slowest_s: float = 0.0
    """From the last publication until all had everything."""


class Meter:
    """A stream that counts what is sent."""

    def __init__(self, stream: Stream, tally: Tally) -> None:
        self._stream = stream
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send and count."""
        self._tally.sent_bytes += sum(4 + len(frame) for frame in frames)
        await self._stream.send(frames)


def meshed(nodes: int, count: int, size: int) -> Tally:
    """Publish `count` batches in turns, in a mesh that has settled."""
    tally = Tally()

    async def play(village: Village) -> None:
        names = await mesh(village, nodes)
        chance = random.Random(nodes)
        await publish(village, names, nodes, 1, chance)
        for name in names:
            watch(village.villagers[name], tally)
        await publish(village, names, count, size, chance)
        began = trio.current_time()
        assert await village.agree(within_s=60)
        tally.slowest_s = trio.current_time() - began

    simulate(nodes, play, manners=CALM)
    return tally


async def mesh(village: Village, nodes: int) -> list[str]:
    """Nodes that know one another as the corners of a random regular graph."""
    names = [f"n{i:03}" for i in range(nodes)]
    for name in names:
        await village.born(name)
    chance = random.Random(nodes)
    for _ in range(DEGREE // 2):  # each a ring in another order
        ring = chance.sample(names, nodes)
        for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
            await village.introduce(one, other)
    await trio.sleep(10)
    return names


async def publish(
    village: Village, names: list[str], count: int, size: int, chance: random.Random
) -> None:
    """Let nodes publish batches, one after the other."""
    for turn in range(count):
        who = village.villagers[chance.choice(names)]
        await who.announce_many(village.scope, [f"{turn} {i}" for i in range(size)])
        await trio.sleep(PAUSE_S)


def watch(villager: Villager, tally: Tally) -> None:
    """Count from now on what a node sends and what arrives there."""
    ingest = villager.feeds.ingest

    async def counted(batch: Sequence[bytes], source: object = None) -> Report:
        tally.copies += len(batch)
        return await ingest(batch, source)

    def note(change: Change) -> None:
        tally.delivered += len(change.records) if change.source is not None else 0

    vars(villager.feeds)["ingest"] = counted
    villager.feeds.subscribe(note)
    for link in villager.neighbours._links.values():
        link.stream = Meter(link.stream, tally)


def _rows(nodes: int, size: int, tally: Tally) -> list[Row]:
    where = f"{nodes} nodes, batches of {size}"
    return [
        Row(
            subject="mesh",
            figure=f"{where}: payload copies a delivery",
            value=tally.copies / tally.delivered,
            unit="copies",
            most=COPIES_MOST,
            beside=f"GossipSub: {GOSSIPSUB_COPIES}; {DEGREE} links a node",
        ),
        Row(
            subject="mesh",
            figure=f"{where}: bytes a delivered record, all told",
            value=tally.sent_bytes / tally.delivered,
            unit="bytes",
            beside="with heads told to the other links, comparing, credit",
        ),
        Row(
            subject="mesh",
            figure=f"{where}: until all have the last",
            value=tally.slowest_s,
            unit="s",
            beside="virtual; each way takes 10 to 80 ms and 20 ms on purpose",
        ),
    ]
