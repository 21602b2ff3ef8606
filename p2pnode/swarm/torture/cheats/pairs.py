"""A sponsor that cheats together with one of its witnesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pnode.swarm.torture.cheats.sponsor import Closer, WrongCut, settled, with_entry
from p2pnode.swarm.torture.cheats.witness import Backdates, LyingWitness
from p2pnode.swarm.torture.liars import Pen
from protocols.claims import Kind, Seen
from protocols.feed import Head
from protocols.keys import witness_scope
from protocols.settlement.cut import CutEntry
from protocols.settlement.verify import Evidence, Verdict, declare

if TYPE_CHECKING:
    from p2pnode.node import Node
    from p2pnode.services.library import View
    from p2pnode.swarm.torture.judgement import Scene
    from protocols.settlement.close import Closing


class SponsorAndWitness(WrongCut, Backdates):
    """A witness says that a puppet came in time; the sponsor takes its word."""

    kind = "padded"

    async def cheat(self, view: View, closing: Closing) -> None:
        """Count what one witness says it saw."""
        top = self.late[-1]
        self.author_cheated = top.author
        cut = closing.declared.cut
        if any((one.author, one.seq) == (top.author, top.seq) for one in cut):
            self.kind = "misdated"  # the round before could not be closed
        one = view.terms.rounds[closing.declared.round - 1]
        entry = CutEntry(
            author=top.author, seq=top.seq, id=top.id, steps=((0, one.closes),)
        )
        await self.publish(view, settled(view, with_entry(closing.declared, entry)))


class KeepsAFinal(Closer, LyingWitness):
    """The sponsor closes by a final that its witness gives to nobody else."""

    named = False
    """Whether it could: what the witness said later than its time voids that final."""

    async def say(self, _node: Node, final: int | None, honestly: Any) -> None:
        """Finish no round before everybody's eyes."""
        if final is None:
            await honestly()

    async def cheat(self, view: View, closing: Closing) -> None:
        """Have the witness finish the round in secret, and name that."""
        number, key = closing.declared.round, self.town.homes[self.liar].identity
        assert key.author_key is not None
        scope = witness_scope(view.campaign)
        pen = Pen(key=key.author_key, scope=scope)
        feed = view.evidence.feed(scope, key.author_key.author)
        pen.head = Head(feed[-1].seq, feed[-1].id) if feed else None
        time_ms = view.terms.rounds[number - 1].final_from
        claim = Seen(salt=bytes(16), final=number, heads=())
        secret = pen.write(Kind.SEEN, claim, time_ms)
        evidence = Evidence([*view.evidence.by_id.values(), secret])
        forged = declare(view.terms, number, [], evidence)
        self.named = secret.id in forged.declared.finals
        await self.publish(view, forged)

    def expect(self, scene: Scene) -> None:
        """Nobody can say whether the cut is right, and nobody says so."""
        for name, report in scene.reports() if self.named else ():
            silent = report.cut is Verdict.INCOMPLETE and report.missing
            scene.want(silent, f"an incomplete close at {name}", report.cut)
