"""Sponsors that cheat when they close."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.services.feeds import Draft
from p2pnode.swarm.torture.cheats.cheat import Cheat
from p2pnode.swarm.torture.liars import Pen
from protocols.claims import Kind, Part
from protocols.errors import Reason
from protocols.evidence import cover
from protocols.record import encode_record
from protocols.settlement.close import Closing, close_claim, parts
from protocols.settlement.cut import CutEntry, Declared, Incomplete, StatementLine
from protocols.settlement.settle import settle
from protocols.settlement.verify import Verdict, finals_at_hand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.services.library import View
    from p2pnode.swarm.torture.judgement import Scene
    from protocols.keys import AuthorKey, SigningKey
    from protocols.record import Record

HANDED_S: Final = 10.0
"""How long it tries to give something to one node."""


class Closer(Cheat):
    """A sponsor that signs what it likes instead of what `Books` would."""

    async def close(self) -> bool:
        """Find out what an honest close would be, and cheat."""
        sponsor = self.town.plan.sponsor
        view = await self.play.view(sponsor)
        closing = (await self.town.node(sponsor).books.verified(view)).unclosed
        if closing is None:
            return False
        try:
            await self.cheat(view, closing)
        except Incomplete:  # what it lies about has not come to the sponsor yet
            return False
        return True

    async def cheat(self, view: View, closing: Closing) -> None:
        """Sign something in place of an honest closing."""
        await self.publish(view, closing)

    async def publish(self, view: View, closing: Closing) -> Record:
        """Sign a close and its lists, as `Books` does."""
        feeds = self.town.node(self.town.plan.sponsor).feeds
        drafts = self.drafts(view, closing)
        return (await feeds.publish_many(self.pen, view.campaign, drafts))[-1]

    def drafts(self, view: View, closing: Closing) -> list[Draft]:
        """The lists of a first close, and the close."""
        token = self.town.node(self.town.plan.sponsor).feeds.rng.token
        drafts = [
            Draft(
                kind=Kind.PART,
                claim=Part(salt=token(16), tree=tree, root=top, index=index, data=data),
            )
            for tree, top, index, data in parts(closing.lists())
        ]
        claim = close_claim(view.terms, closing, view.campaign, token(16))
        return [*drafts, Draft(kind=Kind.CLOSE, claim=claim)]

    @property
    def pen(self) -> SigningKey:
        """The sponsor's key."""
        key = self.town.homes[self.town.plan.sponsor].identity.author_key
        assert key is not None
        return key

    def victim(self, closing: Closing) -> CutEntry:
        """Whose evidence is tampered with: the last who found a balloon, else any.

        Raises:
            Incomplete: nobody's evidence counts yet.
        """
        cut = {entry.author: entry for entry in closing.declared.cut}
        finders = [promise.person for promise in self.play.campaign.promises]
        people = [self.author(name) for name in self.town.plan.people]
        mine = self.pen.author
        others = [author for author in cut if author != mine]
        found = [one for one in [*finders[::-1], *people, *others] if one in cut]
        if not found:
            raise Incomplete([])
        return cut[found[0]]


def settled(view: View, declared: Declared) -> Closing:
    """What follows from a cut, right or wrong."""
    settlement = settle(view.terms, [declared], view.evidence.lookup)
    return Closing(declared=declared, settlement=settlement)


def with_entry(declared: Declared, entry: CutEntry) -> Declared:
    """A cut in which one author's entry is another, or new."""
    others = [one for one in declared.cut if one.author != entry.author]
    cut = sorted([*others, entry], key=lambda one: one.author)
    return replace(declared, cut=tuple(cut))


class WrongCut(Closer):
    """Signs a cut that its finals do not support; what follows is right."""

    kind: str
    """What `verify` must call it."""

    author_cheated: AuthorKey | None = None
    """Whose entry is wrong."""

    def tamper(self, closing: Closing) -> Declared:
        """The cut that is signed."""
        raise NotImplementedError

    async def cheat(self, view: View, closing: Closing) -> None:
        """Sign the wrong cut and what follows from it."""
        await self.publish(view, settled(view, self.tamper(closing)))

    def expect(self, scene: Scene) -> None:
        """Everybody finds it, and nothing else is wrong."""
        for name, report in scene.reports():
            found = [(one.author, one.kind) for one in report.findings]
            wanted = [(self.author_cheated, self.kind)]
            scene.want(found == wanted, f"{self.kind} found at {name}", found)
            right = report.statement is Verdict.OK and report.cut is Verdict.WRONG
            scene.want(right, f"a wrong cut at {name}", report.cut)
        super().expect(scene)


class Omits(WrongCut):
    """Leaves out of the cut what its finals support, whole or the end of it."""

    kind = "omitted"

    def tamper(self, closing: Closing) -> Declared:
        """Cut a person off before her last record."""
        gone = self.victim(closing)
        self.author_cheated = gone.author
        first, left = gone.steps[0][0], gone.seq - 1
        if left < first or self.town.rng.random() < 0.3:
            cut = tuple(e for e in closing.declared.cut if e.author != gone.author)
            return replace(closing.declared, cut=cut)
        below = self._below(gone)
        steps = tuple(step for step in gone.steps if step[0] <= left)
        entry = replace(gone, seq=left, id=below.id, steps=steps)
        return with_entry(closing.declared, entry)

    def _below(self, entry: CutEntry) -> Record:
        disk = self.town.homes[self.town.plan.sponsor].disk
        top = disk.peek(entry.id)
        assert top is not None
        below = disk.peek(top.header.backlink)
        assert below is not None
        return below


class Misdates(WrongCut):
    """Says that witnesses saw something earlier than they did."""

    kind = "misdated"

    def tamper(self, closing: Closing) -> Declared:
        """Move the first step of a person's entry."""
        entry = self.victim(closing)
        self.author_cheated = entry.author
        (seq, time), *rest = entry.steps
        back = self.town.rng.choice((1, 1_000, 15_000))
        moved = replace(entry, steps=((seq, time - back), *rest))
        return with_entry(closing.declared, moved)


class Pads(WrongCut):
    """Counts a puppet, made after the finals, that finds a balloon."""

    kind = "padded"

    async def cheat(self, view: View, closing: Closing) -> None:
        """The sponsor knows every serial: it takes one nobody found, or any."""
        sponsor = self.town.plan.sponsor
        link = await self.play.link(sponsor)
        code = self.code() or next((c for c, _ in self.play.campaign.found), None)
        records = await self.puppet(sponsor, link, "pads", code)
        top = records[-1]
        self.author_cheated = top.author
        one = view.terms.rounds[closing.declared.round - 1]
        entry = CutEntry(
            author=top.author, seq=top.seq, id=top.id, steps=((0, one.closes),)
        )
        await self.publish(view, settled(view, with_entry(closing.declared, entry)))


class KeepsAPart(Closer):
    """Signs a close and gives one of its lists to nobody."""

    kept = False
    """Whether there was one: in bad weather nothing may count."""

    async def cheat(self, view: View, closing: Closing) -> None:
        """Publish all but one part."""
        feeds = self.town.node(self.town.plan.sponsor).feeds
        drafts = self.drafts(view, closing)
        self.kept = len(drafts) > 1
        if self.kept:
            del drafts[self.town.rng.randrange(len(drafts) - 1)]
        await feeds.publish_many(self.pen, view.campaign, drafts)

    def expect(self, scene: Scene) -> None:
        """Nobody has an answer, and nobody says that it is wrong."""
        for name, report in scene.reports() if self.kept else ():
            silent = report.statement is Verdict.INCOMPLETE and report.missing
            scene.want(silent, f"an incomplete close at {name}", report.statement)


class LiesInARoot(Closer):
    """Pays a friend in the statement, though nothing says so."""

    async def cheat(self, view: View, closing: Closing) -> None:
        """Add a line, or to a line."""
        lines = list(closing.settlement.lines)
        if lines and self.town.rng.random() < 0.5:
            lines[0] = StatementLine(lines[0].payee, lines[0].amount + 1)
        else:
            lines.append(StatementLine(self.key("friend").author, 10_000))
        lines.sort(key=lambda line: line.payee)
        settlement = replace(closing.settlement, lines=tuple(lines))
        forged = Closing(declared=closing.declared, settlement=settlement)
        await self.publish(view, forged)

    def expect(self, scene: Scene) -> None:
        """Everybody finds the statement wrong, and the cut right."""
        for name, report in scene.reports():
            wrong = report.statement is Verdict.WRONG
            said = wrong and report.reason is Reason.WRONG_STATEMENT
            scene.want(said, f"a wrong statement at {name}", report.reason)
            scene.want(report.cut is Verdict.OK, "a right cut", report.cut)


class NeverCloses(Closer):
    """Signs no close at all."""

    closes = False

    async def cheat(self, view: View, closing: Closing) -> None:
        """Do nothing."""

    def expect(self, scene: Scene) -> None:
        """Everybody can show what the evidence says."""
        for name, found in scene.found.items():
            scene.want(not found.reports, "no close", name)
            scene.want(found.unclosed is not None, "what the evidence says", name)
        super().expect(scene)


class ClosesTwice(Closer):
    """Closes one round two times, each by other finals if there are such."""

    async def cheat(self, view: View, closing: Closing) -> None:
        """Both are right by themselves."""
        await self.publish(view, closing)
        finals = finals_at_hand(view.terms, closing.declared.round, view.evidence)
        named = tuple(sorted(one.id for one in finals[-view.terms.quorum :]))
        number, lookup = closing.declared.round, view.evidence.lookup
        found = cover(view.terms, number, named, lookup, {})
        if not found.lacks:
            closing = settled(
                view,
                Declared(round=number, finals=named, cut=found.cut, forks=found.forks),
            )
        await self.publish(view, closing)

    def expect(self, scene: Scene) -> None:
        """Everybody holds both, and can show them."""
        for name, found in scene.found.items():
            rounds = [report.claim.round for report in found.reports]
            twice = len(rounds) == 2 and len(set(rounds)) == 1
            scene.want(twice, f"two closes of a round at {name}", rounds)
        super().expect(scene)


class ForksItsClose(Closer):
    """Gives two halves of the town two closes, at one place of its feed."""

    closes = False

    async def cheat(self, view: View, closing: Closing) -> None:
        """One half is told the truth, the other that somebody was not there."""
        sponsor = self.town.plan.sponsor
        node = self.town.node(sponsor)
        one, other = self.halves()
        self.town.world.partition([[*one, sponsor]])
        gone = self.victim(closing).author
        cut = tuple(e for e in closing.declared.cut if e.author != gone)
        forged = settled(view, replace(closing.declared, cut=cut))
        pen = Pen(key=self.pen, scope=view.campaign)
        pen.head = node.feeds.head(view.campaign, self.pen.author)
        first = 0 if pen.head is None else pen.head.seq + 1
        drafts = self.drafts(view, forged)
        branch = [encode_record(pen.write(draft.kind, draft.claim)) for draft in drafts]
        seq = (await self.publish(view, closing)).seq
        feed = view.evidence.feed(view.campaign, self.pen.author)
        told = [encode_record(one) for one in feed[first:]]
        await self._hand(one, told, seq)
        await self._hand(other, branch, seq)
        await trio.sleep(8)
        self.town.world.partition([])

    async def _hand(
        self, names: Sequence[str], branch: Sequence[bytes], seq: int
    ) -> None:
        """Give a branch up to `seq` to somebody of a half, who passes it on."""
        campaign = self.play.campaign.id
        assert campaign is not None
        plan, homes = self.town.plan, self.town.homes
        for name in names:
            if name not in (*plan.people, *plan.shops) or homes[name].is_gone:
                continue

            async def act(name: str = name) -> bool:
                feeds = self.town.node(name).feeds
                await feeds.ingest(branch)
                held = feeds.head(campaign, self.pen.author)
                return held is not None and held.seq >= seq

            if await self.town.until(act, HANDED_S):
                return

    def expect(self, scene: Scene) -> None:
        """The fork is proven everywhere; who holds a close judges it alike."""
        campaign = scene.view.campaign
        for name in scene.found:
            node = self.town.homes[name].node
            proof = node and node.feeds.fork(campaign, self.pen.author)
            scene.want(proof, f"a proof of the sponsor's fork at {name}", proof)
        super().expect(scene)
