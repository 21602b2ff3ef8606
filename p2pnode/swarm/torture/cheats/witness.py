"""Witnesses that cheat: one of them may, and nothing changes by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from p2pnode.swarm.simulation import EPOCH_MS
from p2pnode.swarm.torture.cheats.cheat import LATE_S, Cheat
from p2pnode.swarm.torture.liars import Pen, scan_of
from protocols.claims import Kind, Seen
from protocols.feed import Head
from protocols.join import make_join
from protocols.keys import witness_scope
from protocols.record import Record, encode_record

if TYPE_CHECKING:
    from p2pnode.node import Node
    from p2pnode.swarm.torture.judgement import Scene
    from p2pnode.swarm.torture.town import Home


class LyingWitness(Cheat):
    """A witness whose node says something else than it should."""

    @property
    def liar(self) -> str:
        """The witness that cheats."""
        return next(name for name in self.town.plan.cheats if name != "sponsor")

    def corrupt(self, home: Home, node: Node) -> None:
        """Stand between the witness and its feed."""
        if home.name != self.liar:
            return
        say = vars(type(node.witness))["_say"]

        async def lie(duty: Any, key: Any, final: int | None, authors: Any) -> None:
            async def honestly() -> None:
                await say(node.witness, duty, key, final, authors)

            await self.say(node, final, honestly)

        vars(node.witness)["_say"] = lie

    async def say(self, _node: Node, _final: int | None, honestly: Any) -> None:
        """Say what is due, in a witness's own way."""
        await honestly()

    async def publish_seen(self, heads: tuple[Any, ...]) -> bool:
        """List something besides what the node lists."""
        node, campaign = self.town.node(self.liar), self.play.campaign.id
        assert campaign is not None
        key = node.identity.author_key
        assert key is not None
        claim = Seen(salt=node.feeds.rng.token(16), final=None, heads=heads)
        await node.feeds.publish(key, witness_scope(campaign), Kind.SEEN, claim)
        return True


class _Stopped:
    """A clock that stands still."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The same for ever; records in a feed still go up by one."""
        return self._now_ms


class Backdates(LyingWitness):
    """Dates all it sees as early as it may, and sees a puppet that came late."""

    late: tuple[Record, ...] = ()
    """The puppet's records."""

    async def say(self, node: Node, final: int | None, honestly: Any) -> None:
        """Only a final has to be late enough."""
        if final is None:
            clock, vars(node.feeds)["_clock"] = node.clock, _Stopped(EPOCH_MS)
            try:
                await honestly()
            finally:
                vars(node.feeds)["_clock"] = clock
        else:
            await honestly()

    async def act(self) -> None:
        """Let a puppet come late to this witness, which says that it was early."""
        link = await self.play.link(self.town.plan.sponsor)
        one = await self.deadline(-LATE_S)
        self.late = tuple(await self.puppet(self.liar, link, "late", self.code()))
        feed = [(r.author, r.seq, r.id) for r in self.late[-1:]]
        node = self.town.homes[self.liar].node
        if node is not None and feed:

            async def early() -> None:
                await self.publish_seen(tuple(feed))

            await self.say(node, None, early)
        await self.finished(one)


class ListsNothing(LyingWitness):
    """Lists records that it gives to nobody, until all is closed."""

    hidden: tuple[Record, ...] = ()

    async def act(self) -> None:
        """List a puppet's feed, which only this witness has."""
        link = await self.play.link(self.town.plan.sponsor)
        campaign, key, code = link.invite.campaign, self.key("hidden"), self.code()
        await trio.sleep(float(self.town.rng.randrange(10, 30)))
        pen = Pen(key=key, scope=campaign)
        salt = bytes(16)
        join = make_join(link.invite, link.signature, link.secret, key.author, salt)
        records = [pen.write(Kind.JOIN, join)]
        if code is not None:
            records.append(pen.write(Kind.SCAN, scan_of(code, campaign, key, "hidden")))
        self.hidden = tuple(records)
        top = records[-1]

        async def act() -> bool:
            return await self.publish_seen(((top.author, top.seq, top.id),))

        await self.town.until(act)

    async def after(self) -> None:
        """Show them now: who closed honestly is not to blame."""

        async def act() -> bool:
            node = self.town.node(self.liar)
            await node.feeds.ingest([encode_record(one) for one in self.hidden])
            return True

        await self.town.until(act)

    def expect(self, scene: Scene) -> None:
        """What one witness lists does not count."""
        hidden = {one.id for one in self.hidden}
        for _, report in scene.reports():
            settled = report.settlement
            counted = settled.counted if settled else ()
            listed = [one for one in counted if one.record.id in hidden]
            scene.want(not listed, "what one witness lists not to count", len(listed))


class SwitchesBranches(LyingWitness):
    """Lists one branch of a fork, then more of the other: `liars` has it so."""


class OneSidedFinal(LyingWitness):
    """Hands its final to one half of the town, and is never seen again."""

    async def act(self) -> None:
        """Be cut off from the other half when the final is due."""
        one = await self.deadline(-1.5)
        half, _ = self.halves()
        side = [*half, self.liar]
        if self.town.rng.random() < 0.5:
            side.append(self.town.plan.sponsor)
        self.town.world.partition([side])
        self.town.nursery.start_soon(self._vanish)
        await trio.sleep_until((one.final_from - EPOCH_MS) / 1_000 + 2)

    async def _vanish(self) -> None:
        await trio.sleep(4)
        self.town.homes[self.liar].leave()
        await trio.sleep(8)
        self.town.world.partition([])


class ForksItsFinal(LyingWitness):
    """Hands the two halves of the town two finals, at one place of its feed."""

    other: str = ""
    """Somebody of the half that is told the second."""
    forked: bool = False

    async def act(self) -> None:
        """Keep the halves apart while the final is due."""
        one = await self.deadline(-1.5)
        half, others = self.halves()
        shops = (*self.town.plan.shops, *self.town.plan.people)
        self.other = next((name for name in others if name in shops), "")
        side = [*half, self.liar]
        if self.town.rng.random() < 0.5:
            side.append(self.town.plan.sponsor)
        self.town.world.partition([side])
        self.town.nursery.start_soon(self._heal)
        await trio.sleep_until((one.final_from - EPOCH_MS) / 1_000 + 3)

    async def _heal(self) -> None:
        await trio.sleep(12)
        self.town.world.partition([])

    async def say(self, node: Node, final: int | None, honestly: Any) -> None:
        """Sign a second final beside the first, that lists nothing."""
        key, campaign = node.identity.author_key, self.play.campaign.id
        assert key is not None
        assert campaign is not None
        scope = witness_scope(campaign)
        below = node.feeds.head(scope, key.author)
        await honestly()
        if final is None or not self.other or self.forked:
            return
        self.forked = True
        pen = Pen(key=key, scope=scope)
        pen.head = None if below is None else Head(below.seq, below.id)
        claim = Seen(salt=node.feeds.rng.token(16), final=final, heads=())
        second = encode_record(pen.write(Kind.SEEN, claim))
        self.town.nursery.start_soon(self._hand, second)

    async def _hand(self, second: bytes) -> None:
        async def act() -> bool:
            report = await self.town.node(self.other).feeds.ingest([second])
            return bool(report.accepted or report.forks)

        await self.town.until(act, 20)
