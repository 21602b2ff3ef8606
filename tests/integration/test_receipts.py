"""What `campaign evidence` says of a record while four witnesses hear of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli import client
from p2pnode.services import documents
from protocols.tags.code import read_code
from tests.integration.test_services import HandClock, Player, carry, make_campaign
from tests.nodes import cli
from tests.worlds import MINUTE

if TYPE_CHECKING:
    import pytest

WORDS = {
    "none": "not seen yet",
    "seen": "seen, not enough",
    "can-count": "can count",
    "safe": "safe",
    "late": "too late to count",
}


class Town:
    """A sponsor, Alice and four witnesses; records are carried by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.sponsor = Player("shop", "merchant", self.clock)
        self.alice = Player("alice", "resident", self.clock)
        self.witnesses = [
            Player(f"w{number}", "merchant", self.clock) for number in range(4)
        ]

    async def open(self) -> str:
        """Publish, and let Alice join; return the balloon's code."""
        for player in (self.sponsor, self.alice, *self.witnesses):
            await player.open()
        found = [one.identity.author_key for one in self.witnesses]
        keys = sorted(key.author for key in found if key is not None)
        code = await make_campaign(self.sponsor, witnesses=tuple(keys))
        for one in self.witnesses:
            await one.library.follow(self.sponsor.library.entries[0].campaign)
        link = await self.sponsor.acts.invite(await self.sponsor.view(), uses=1)
        await self.alice.acts.join(link)
        await carry(self.sponsor, self.alice)
        return code

    async def see(self, *numbers: int) -> None:
        """These witnesses hear of what Alice has, and she of what they say."""
        self.clock.ms += MINUTE
        for number in numbers:
            one = self.witnesses[number]
            await carry(self.alice, one)
            await one.witness.tend(await one.view())
            await carry(self.alice, one)

    async def shown(self) -> documents.Document:
        view = await self.alice.view()
        keys = self.alice.library.my_keys(view)
        return documents.evidence(view, keys, self.alice.feeds.erasures)


async def test_from_none_to_safe_and_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town()
    code = read_code(await town.open())

    async def says(*receipts: str) -> None:
        shown = await town.shown()
        assert tuple(one["receipt"] for one in shown["records"]) == receipts
        monkeypatch.setattr(client, "call", lambda *_args: shown)
        said = cli(tmp_path, "campaign", "evidence", "--mine")
        rows = said.out.splitlines()[-len(receipts) :]
        for row, receipt, record in zip(rows, receipts, shown["records"], strict=True):
            seen = f"{record['seen_by']}/4 {WORDS[receipt]}"
            assert seen in " ".join(row.split())

    async def standing() -> str:
        view = await town.alice.view()
        (mine,) = town.alice.library.my_keys(view)
        return documents.first_receipt(view, mine, town.alice.feeds.erasures)

    await says("none")
    assert await standing() == "none", "whom she invites now counts only later"
    for number, receipt in enumerate(("seen", "can-count", "safe", "safe")):
        await town.see(number)
        await says(receipt)
    assert await standing() == "safe"
    rounds = (await town.alice.view()).terms.rounds
    await town.alice.acts.scan(code)
    await town.see(0, 1)
    await says("safe", "can-count")
    town.clock.ms = rounds[0].accept_until
    await town.see(2)  # a later round counts it
    await says("safe", "safe")
    await town.alice.acts.scan(code)
    town.clock.ms = rounds[-1].accept_until - 2 * MINUTE
    await town.see(0, 1)
    await says("safe", "safe", "can-count")
    town.clock.ms = rounds[-1].accept_until
    await town.see(2, 3)
    await says("safe", "safe", "can-count")
    await town.alice.acts.scan(code)
    await says("safe", "safe", "can-count", "none")
    await town.see(0)
    await says("safe", "safe", "can-count", "seen")
    await town.see(1, 2, 3)
    await says("safe", "safe", "can-count", "late")
