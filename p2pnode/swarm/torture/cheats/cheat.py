"""What all cheats have in common: a part in the play beside the honest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import trio

from p2pnode.failures import Failure
from p2pnode.swarm.simulation import EPOCH_MS
from p2pnode.swarm.torture.liars import liar_key, scan_of
from protocols.claims import Kind
from protocols.errors import Reason
from protocols.join import make_join
from protocols.keys import SigningKey

if TYPE_CHECKING:
    from p2pnode.node import Node
    from p2pnode.services.library import View
    from p2pnode.swarm.torture.judgement import Scene
    from p2pnode.swarm.torture.play import Play
    from p2pnode.swarm.torture.town import Home
    from protocols.invite_link import InviteLink
    from protocols.keys import AuthorKey
    from protocols.record import Record
    from protocols.tags.code import TagCode
    from protocols.terms import Round

PREPARED_S: Final = 60.0
"""How long a cheat tries to get its preparations done."""


TOO_LATE: Final = (Reason.NOT_ADMITTED, Reason.STAGE_WINDOW)
"""Tests that come before the one a cheat fails, where bad weather delayed it."""

LATE_S: Final = 1.5
"""After a deadline by every honest witness's clock, and before the first final."""


class Cheat:
    """Nobody cheats: everything is as an honest play has it.

    Args:
        play: in which it cheats.
    """

    closes: ClassVar[bool] = True
    """Whether every honest node holds a close in the end."""

    converges: ClassVar[bool] = True
    """Whether all honest nodes come to hold the same."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.town = play.town
        self.claims: list[tuple[Record, Reason]] = []
        """What it signed to be paid for, and why that must be refused."""

    def corrupt(self, home: Home, node: Node) -> None:
        """Make a cheat of a node that is about to run, in each of its lives."""

    async def act(self) -> None:
        """Do what is to be done while the others play; counted as busy."""

    async def close(self) -> bool:
        """Have the sponsor close the latest round that can be closed."""
        sponsor = self.town.plan.sponsor
        view = await self.play.view(sponsor)
        await self.town.node(sponsor).books.close(view)
        return True

    async def after(self) -> None:
        """Do what is to be done once the sponsor has closed."""

    def expect(self, scene: Scene) -> None:
        """Say what must be found: by default that no claim was granted."""
        for _, report in scene.reports():
            if report.settlement is not None:
                refused = {act.id: why for act, why in report.settlement.refused}
                granted = {grant.act.id for grant in report.settlement.grants}
                for record, reason in self.claims:
                    one = record.id
                    scene.want(one not in granted, f"{reason}, no pay", one.hex()[:8])
                    why = refused.get(one, reason)
                    known = why in (reason, *TOO_LATE)
                    scene.want(known, f"{reason}", f"{why} {one.hex()[:8]}")

    # What cheats need.

    def key(self, name: str) -> SigningKey:
        """A key that only this seed's cheats have."""
        return liar_key(self.town.plan.seed, name)

    async def join(self, name: str, link: InviteLink) -> None:
        """Have a node join as honest people do."""
        await self.play.have(name, lambda node: node.acts.join(link))

    async def puppet(
        self, home: str, link: InviteLink, name: str, code: TagCode | None = None
    ) -> list[Record]:
        """Have a node sign for one more person that it made up.

        Returns:
            Her join, and her scan of the code if one is given.
        """
        key, campaign = self.key(name), link.invite.campaign

        async def act() -> bool:
            feeds = self.town.node(home).feeds
            head = feeds.head(campaign, key.author)
            if head is None:
                salt = feeds.rng.token(16)
                claim = make_join(
                    link.invite, link.signature, link.secret, key.author, salt
                )
                await feeds.publish(key, campaign, Kind.JOIN, claim)
            if code is not None and (head is None or head.seq == 0):
                scan = scan_of(code, campaign, key, name)
                await feeds.publish(key, campaign, Kind.SCAN, scan)
            return True

        await self.town.until(act, PREPARED_S)
        mine = [
            one for one in self.town.homes[home].records if one.author == key.author
        ]
        return sorted(mine, key=lambda one: one.seq)

    def code(self) -> TagCode | None:
        """A balloon that nobody else found, if one is left."""
        codes = self.play.campaign.codes
        return codes.pop() if codes else None

    def halves(self) -> tuple[list[str], list[str]]:
        """The honest in two halves, the sponsor in the first."""
        names = [name for name in self.play.honest if name != self.town.plan.sponsor]
        self.town.rng.shuffle(names)
        half = len(names) // 2
        return names[:half], names[half:]

    async def deadline(self, before_s: float = 0.0) -> Round:
        """Wait for the next `accept_until` that comes in calm weather.

        Returns:
            The round, some seconds before that; negative: after it.
        """
        await trio.sleep_until(self.town.plan.calm_s)
        view = await self._any_view()
        now_ms = EPOCH_MS + round(1000 * (trio.current_time() + before_s))
        for one in view.terms.rounds:
            if one.accept_until > now_ms + 1_000:
                at_s = (one.accept_until - EPOCH_MS) / 1_000
                await trio.sleep_until(at_s - before_s)
                return one
        raise AssertionError("the campaign is longer than the play")

    async def finished(self, one: Round) -> None:
        """Wait until the finals of a round are likely everywhere."""
        await trio.sleep_until((one.final_from - EPOCH_MS) / 1_000 + 5)

    async def _any_view(self) -> View:
        found: list[View] = []

        async def look() -> bool:
            for name in self.play.honest:
                try:
                    found.append(await self.play.view(name))
                except Failure:
                    continue
                return True
            return False

        await self.town.until(look)
        return found[0]

    def author(self, name: str) -> AuthorKey:
        """The key by which a node takes part, as its owner or as a person."""
        assert self.play.campaign.id is not None
        identity = self.town.homes[name].identity
        if identity.author_key is not None:
            return identity.author_key.author
        return identity.person_key(self.play.campaign.id, 0).author
