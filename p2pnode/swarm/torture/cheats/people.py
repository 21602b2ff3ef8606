"""Participants that cheat."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.swarm.torture.cheats.cheat import LATE_S, PREPARED_S, Cheat
from p2pnode.swarm.torture.liars import liar_key, scan_of
from p2pnode.swarm.torture.offer import SEEN_S
from protocols.claims import Erase, Kind
from protocols.errors import Reason
from protocols.evidence import receipts
from protocols.keys import Scope, witness_scope

if TYPE_CHECKING:
    from p2pnode.node import Node
    from p2pnode.swarm.torture.judgement import Scene
    from protocols.invite_link import InviteLink
    from protocols.record import Record
    from protocols.tags.code import TagCode

PUPPETS: Final = 4
SURE_S: Final = 3.0
"""Longer than honest witnesses' clocks are apart."""


class Crook(Cheat):
    """A resident who joins as everybody does."""

    @property
    def crook(self) -> str:
        """Its node."""
        return self.town.plan.crook

    async def enter(self) -> InviteLink:
        """Join by an invite of the sponsor's, which is given back."""
        link = await self.play.link(self.town.plan.sponsor)
        await self.join(self.crook, link)
        return link

    async def publish(self, kind: Kind, claim: object) -> Record | None:
        """Sign by the crook's own key."""
        made: list[Record] = []

        async def act(node: Node) -> None:
            campaign = self.play.campaign.id
            assert campaign is not None
            key = node.identity.person_key(campaign, 0)
            made.append(await node.feeds.publish(key, campaign, kind, claim))

        await self.play.have(self.crook, act)
        return made[-1] if made else None


class ForksAFeed(Cheat):
    """A key that feeds two branches to two halves: the twins of `liars`."""

    def expect(self, scene: Scene) -> None:
        """The fork is proven everywhere, if both branches came to honest nodes."""
        author = liar_key(self.town.plan.seed, "twins").author
        ids = {
            (one.seq, one.id)
            for one in scene.oracle.by_id.values()
            if one.author == author
        }
        if len({seq for seq, _ in ids}) == len(ids):
            return
        for name in scene.found:
            node = self.town.homes[name].node
            proof = node and node.feeds.fork(scene.view.campaign, author)
            scene.want(proof, f"a proof of the twins' fork at {name}", proof)
        super().expect(scene)


class StealsSerials(Crook):
    """Scans what others found, as soon as their witnesses have seen it."""

    async def act(self) -> None:
        """Take every serial whose finder is safe."""
        await self.enter()
        await trio.sleep_until(self.town.plan.calm_s + SURE_S)
        for code, promise in list(self.play.campaign.found)[:2]:
            if not await self._wait(promise.record):
                continue
            await trio.sleep(SURE_S)

            async def scan(node: Node, code: TagCode = code) -> None:
                record = (await node.acts.scan(code)).record
                self.claims.append((record, Reason.ONCE))

            await self.play.have(self.crook, scan)
        one = await self.deadline(SEEN_S)
        await self.finished(one)

    async def _wait(self, record: Record) -> bool:
        """Wait until 2f+1 witnesses say that they saw a scan."""

        async def seen() -> bool:
            view = await self.play.view(self.crook)
            terms, scope = view.terms, witness_scope(view.campaign)
            feeds = {w.key: view.evidence.feed(scope, w.key) for w in terms.witnesses}
            found = receipts(terms, feeds, view.evidence.lookup)
            return len(found.get(record.id, ())) >= terms.quorum

        return await self.town.until(seen, PREPARED_S)


class OverusesAnInvite(Crook):
    """Brings friends by an invite for one."""

    async def act(self) -> None:
        """All of them also scan, as long as there are balloons."""
        link = await self.enter()
        for number in range(PUPPETS):
            await trio.sleep(float(self.town.rng.randrange(5)))
            await self.puppet(self.crook, link, f"friend {number}", self.code())

    def expect(self, scene: Scene) -> None:
        """One of them is admitted, whoever it is; `judgement` counts."""
        friends = {self.key(f"friend {n}").author for n in range(PUPPETS)}
        friends.add(self.author(self.crook))
        for _, report in scene.reports():
            settled = report.settlement
            persons = settled.admission.persons.values() if settled else ()
            came = [one for one in persons if one.root in friends]
            most = sum(one.refused is None for one in came)
            scene.want(most <= 1, "one person by an invite for one", most)
            for one in came:
                why = one.refused in (None, Reason.INVITE_USED_UP)
                scene.want(why, "an invite used up", one.refused)


class FloodsAnInvite(Crook):
    """Joins by a public invite as often as it can, with the work it asks for.

    Beyond the terms' cap nodes keep different joins, as they came.
    """

    converges = False

    async def act(self) -> None:
        """More than the terms' cap, and than nodes keep."""
        sponsor, made = self.town.plan.sponsor, []

        async def invite() -> bool:
            view = await self.play.view(sponsor)
            made.append(await self.town.node(sponsor).acts.invite(view, uses=0))
            return True

        await self.town.until(invite)
        self.town.secrets.append(made[0].secret)
        await self.play.have(
            self.crook, lambda node: node.acts.follow(made[0].invite.campaign)
        )
        for number in range(self.town.plan.feeds_max * 3 // 2):
            await self.puppet(self.crook, made[0], f"flood {number}")


class ReplaysAScan(Crook):
    """Shows a serial's signature that it made for another campaign."""

    async def act(self) -> None:
        """Sign it here as a scan."""
        link, code = await self.enter(), self.code()
        if code is None:
            return
        other = Scope(sha256(b"another campaign").digest())
        key = self.town.homes[self.crook].identity.person_key(link.invite.campaign, 0)
        record = await self.publish(Kind.SCAN, scan_of(code, other, key, "replay"))
        if record is not None:
            self.claims.append((record, Reason.GRADE))


class Erases(Crook):
    """Erases a scan right before the witnesses finish the round."""

    async def act(self) -> None:
        """Scan, and erase it between the last receipts and the finals."""
        await self.enter()
        code, found = self.code(), []
        if code is None:
            return

        async def scan(node: Node) -> None:
            found.append((await node.acts.scan(code)).record)

        await self.play.have(self.crook, scan)
        if not found:
            return
        before_s = self.town.rng.choice((15.0, 3.0, 0.5, -0.5))
        one = await self.deadline(before_s)
        claim = Erase(salt=bytes(16), record=found[-1].id, claim=True)
        await self.publish(Kind.ERASE, claim)
        await self.finished(one)


class ComesLate(Crook):
    """Joins and scans after the deadline, with a clock that says it was before."""

    until: int = 0
    """The deadline it missed."""

    async def act(self) -> None:
        """What witnesses see late is late, whatever it says of itself."""
        link = await self.play.link(self.town.plan.sponsor)
        campaign, code = link.invite.campaign, self.code()
        one = await self.deadline(-LATE_S)
        self.town.homes[self.crook].clock.skew_ms = -60_000
        await self.join(self.crook, link)
        if code is not None:
            key = self.town.homes[self.crook].identity.person_key(campaign, 0)
            await self.publish(Kind.SCAN, scan_of(code, campaign, key, "late"))
        self.until = one.accept_until
        await self.finished(one)

    def expect(self, scene: Scene) -> None:
        """Rounds up to that one do not count it."""
        for _, report in scene.reports():
            terms = scene.view.terms.rounds[report.claim.round - 1]
            if report.settlement is None or terms.accept_until > self.until:
                continue
            mine = self.author(self.crook)
            early = [c for c in report.settlement.counted if c.record.author == mine]
            scene.want(not early, "what came late not to count", len(early))
