"""Ten nodes settle alike before and after one of them erases what she scanned."""

from __future__ import annotations

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.swarm.simulation import Village, simulate
from protocols.claims import Kind
from protocols.keys import RecordId
from protocols.settlement.verify import Verdict
from tests.sim.test_balloons import ROUGH, Town, _verified, play

pytestmark = [pytest.mark.sim, pytest.mark.slow]


async def _bare(town: Town, scan: RecordId) -> None:
    """Whether every disk has the scan, and none what it said."""
    for name in town.nodes:
        record = town.stores[name].peek(scan)
        if record is None or record.claim_bytes is not None:
            raise Failure("not-yet", name)


def test_a_claim_erased_after_the_close_goes_everywhere_and_changes_nothing() -> None:
    digests: dict[str, list[bytes]] = {}

    async def note_digests(town: Town) -> None:
        for name in town.nodes:
            report = await town.until(lambda name=name: _verified(town, name))
            assert report.statement is Verdict.OK
            assert report.settlement is not None
            digests.setdefault(name, []).append(report.settlement.statement_root)

    async def run(village: Village) -> None:
        town = Town(village)
        await play(village, town)
        await note_digests(town)
        dave = town.nodes["dave"]
        view = await town.view("dave")
        key = dave.library.require_key(view)
        feed = view.evidence.feed(view.campaign, key.author)
        (scan,) = [record for record in feed if record.kind == Kind.SCAN]
        await dave.acts.erase(view, scan.id, claim=True)
        await trio.sleep(0.3)
        await town.crash("charity")
        await town.until(lambda: _bare(town, scan.id), within_s=120)
        await town.born("charity")
        newcomer = await town.born("erin")
        await newcomer.acts.follow(view.campaign, dave.network.addresses)
        await town.until(lambda: _bare(town, scan.id), within_s=300)
        await note_digests(town)
        report = await _verified(town, "erin")
        assert (report.not_judged, report.resting) == (1, 200_000 + 175_000)

    simulate(3, run, weather=ROUGH)
    assert len(digests) == 11
    assert len({one for both in digests.values() for one in both}) == 1
