"""What is read of a peer per second, and what it waits for."""

from __future__ import annotations

import pytest

from p2pnode.services.quota import PAUSE_SECONDS_MAX, RATES, Quota
from protocols.effects import (
    Effect,
    Ingest,
    PeerCards,
    Serve,
    ServeIds,
    Step,
    Told,
)
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.limits import BATCH_RECORDS_MAX, FRAME_MAX
from protocols.wire import Card, NewHead

SCOPE = Scope(bytes(32))
ID = RecordId(bytes(32))
AUTHOR = AuthorKey(bytes(32))
SECONDS = 50
"""Of a flood: its bursts are over long before."""

CARD = Card(peer="", addresses=(), time_ms=0, signature=b"")
FLOODS: dict[str, tuple[int, Step]] = {
    "frames": (1, Step()),
    "records": (100, Step(effects=[Ingest(records=(b"r",) * BATCH_RECORDS_MAX)])),
    "bytes": (FRAME_MAX, Step(effects=[Ingest(records=(b"r",))])),
    "answers": (1, Step(frames=[bytes(FRAME_MAX)])),
    "ranges": (
        1,
        Step(
            effects=[
                Serve(scope=SCOPE, author=AUTHOR, feed=bytes(8), start=0, stop=1)
                for _ in range(256)
            ]
        ),
    ),
    "ids": (1, Step(effects=[ServeIds(scope=SCOPE, ids=(ID,) * 256)])),
    "heads": (
        1,
        Step(
            effects=[
                Told(scope=SCOPE, heads=(NewHead(author=AUTHOR, seq=0, id=ID),) * 512)
            ]
        ),
    ),
    "cards": (1, Step(effects=[PeerCards(cards=(CARD,) * 16, own=False)])),
}


def flooded(quota: Quota, size: int, step: Step, until_s: float) -> int:
    """How many frames are read of a peer that always has another one."""
    now, frames = 0.0, 0
    while now < until_s:
        quota.read(bytes(size), step, now)
        frames += 1
        now += quota.pause(now) + 0.000_01
    return frames


@pytest.mark.parametrize("what", list(FLOODS))
def test_a_flood_is_read_at_its_rate(what: str) -> None:
    size, step = FLOODS[what]
    first = flooded(Quota(0.0), size, step, SECONDS)
    longer = flooded(Quota(0.0), size, step, 2 * SECONDS)
    name = "ids" if what == "heads" else what
    costs = {
        "records": BATCH_RECORDS_MAX,
        "bytes": FRAME_MAX,
        "answers": FRAME_MAX,
        "ranges": 256,
        "ids": 256 if what == "ids" else 64,
        "cards": 16,
    }
    cost = costs.get(name, 1)
    most = (RATES[name].depth + RATES[name].per_second * SECONDS) / cost
    assert first <= most + 2
    assert abs((longer - first) - RATES[name].per_second * SECONDS / cost) <= 3


def test_records_judged_in_vain_are_paid_for() -> None:
    quota = Quota(0.0)
    quota.wasted(int(RATES["wasted"].depth))
    assert quota.pause(0.0) == 0
    quota.wasted(50)
    assert quota.pause(0.0) == 50 / RATES["wasted"].per_second
    quota.wasted(100_000)
    assert quota.pause(0.0) == PAUSE_SECONDS_MAX


def test_who_catches_up_with_a_history_never_waits() -> None:
    """A million records in 250 MB, at ten thousand a second."""
    quota, now = Quota(0.0), 0.0
    effects: list[Effect] = [Ingest(records=(b"r",) * 200)]
    for _ in range(5_000):
        quota.read(bytes(50_000), Step(effects=effects), now)
        assert quota.pause(now) == 0
        now += 0.02
