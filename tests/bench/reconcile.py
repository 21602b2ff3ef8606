"""How two neighbours find the feeds in which they differ: bytes and round trips."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from hashlib import sha256

from protocols.effects import Serve, Step
from protocols.feed import ForkProof
from protocols.framing import LENGTH_SIZE
from protocols.frontier import Frontier, Leaf
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.neighbour import Session
from protocols.record import Record
from protocols.wire import Card
from tests.bench.figures import Row, scaled
from tests.bench.records import NETWORK, SCOPE

FEEDS = 10_000
DIFFER = 100
BYTES_MOST = 20_000
TRIPS_MOST = 4
CARD = Card(peer="a", addresses=(), time_ms=0, signature=b"")


@dataclass(slots=True)
class Held:
    """The holdings of one side: a frontier, no forks."""

    feeds: Frontier = field(default_factory=Frontier)
    followed: tuple[Scope, ...] = (SCOPE,)

    def frontier(self, scope: Scope) -> Frontier:
        """Where the feeds stand."""
        return self.feeds

    def fork(self, scope: Scope, author: AuthorKey) -> ForkProof | None:
        """Nobody forked."""
        return None

    def erase_of(self, record: Record) -> Record | None:
        """Nothing was erased."""
        return None


@dataclass(slots=True)
class Walk:
    """What finding the differences took."""

    sent: int = 0
    """Bytes with their lengths, both directions."""
    legs: int = 0
    """Times the direction changed."""
    served: int = 0
    """Feeds that are asked for in the end."""
    seconds: float = 0.0


def measure(share: float) -> list[Row]:
    """Bytes, round trips and time for one comparison."""
    feeds = scaled(FEEDS, share, 200)
    differ = max(2, feeds * DIFFER // FEEDS)
    start = time.perf_counter()
    mine, theirs = holdings(feeds, differ)
    built = time.perf_counter() - start
    walk = compare(mine, theirs)
    assert walk.served == differ, f"{walk.served} of {differ} were found"
    naive = feeds * (32 + 3 + 34)
    what = f"{feeds:,} feeds, {differ} differ"
    return [
        Row(
            subject="reconcile",
            figure=f"{what}: hello, compare and want, both ways",
            value=walk.sent,
            unit="bytes",
            most=BYTES_MOST,
            beside=f"the whole list of heads: {naive:,} bytes",
        ),
        Row(
            subject="reconcile",
            figure=f"{what}: until all are asked for",
            value=walk.legs / 2,
            unit="round trips",
            most=TRIPS_MOST,
            beside="the nonces and hellos are one of them",
        ),
        Row(
            subject="reconcile",
            figure=f"{what}: CPU, both ends",
            value=1000 * walk.seconds,
            unit="ms",
            beside=f"building both frontiers at start: {1000 * built:.0f} ms",
        ),
    ]


def holdings(feeds: int, differ: int) -> tuple[Held, Held]:
    """Two frontiers; in `differ` feeds the second is one record further."""
    mine, theirs = Held(), Held()
    for number in range(feeds):
        author = AuthorKey(sha256(number.to_bytes(4, "big")).digest())
        for side, seq in ((mine, 99), (theirs, 100 if number < differ else 99)):
            record = RecordId(sha256(author + seq.to_bytes(4, "big")).digest())
            side.feeds.set(Leaf(author, seq, record))
    return mine, theirs


def compare(mine: Held, theirs: Held) -> Walk:
    """Let two sessions talk until nothing is left to say but the records."""
    sides = [
        Session(network=NETWORK, holdings=held, dialled=first, nonce=nonce, card=CARD)
        for held, first, nonce in (
            (mine, True, b"\x01" * 32),
            (theirs, False, b"\x02" * 32),
        )
    ]
    walk = Walk()
    start = time.perf_counter()
    inbox: list[list[bytes]] = [[], []]
    for number, side in enumerate(sides):
        inbox[1 - number] = _posted(side.start(), walk)
    while inbox[0] or inbox[1]:
        walk.legs += 1
        now, inbox = inbox, [[], []]
        for number, side in enumerate(sides):
            for data in now[number]:
                inbox[1 - number] += _posted(side.receive(data), walk)
    walk.seconds = time.perf_counter() - start
    return walk


def _posted(step: Step, walk: Walk) -> list[bytes]:
    walk.sent += sum(len(data) + LENGTH_SIZE for data in step.frames)
    walk.served += sum(isinstance(effect, Serve) for effect in step.effects)
    return step.frames
