"""`p2pnode demo --cheat`: frauds on real processes, and who proves them.

The nodes are as everybody's; what a cheat's changed software does is
`p2pnode.swarm.cheater`. Each story ends with a proof file that a node which had no part
in it checks, and a process without network.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from cli import proof_file
from cli.accounts import money
from cli.demo_play import OFFLINE, PATIENCE_S, SHOPS, UNIT, Member, Play, run
from cli.i18n import _
from p2pnode.failures import UNVERIFIED, Failure
from p2pnode.swarm.supervisor import ROOT

CHEATER: Final = (sys.executable, "-m", "p2pnode.swarm.cheater")
STRANGER: Final = "Zoe"
"""Follows the campaign and takes no part: she believes nobody."""


class Cheat(Play):
    """A sponsor, four witnesses, a few people and a stranger; somebody cheats."""

    name: ClassVar[str]
    kind: ClassVar[str]
    """Of the proof."""
    people: ClassVar[tuple[str, ...]] = ("Dave",)
    """Who takes part; there is a balloon for each, and the first finds one."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        roles = [
            ("Sponsor", "merchant"),
            *((shop, "merchant") for shop in SHOPS),
            ("Charity", "merchant"),
            *((one, "resident") for one in (*self.people, STRANGER)),
        ]
        super().__init__(folder, roles, len(self.people), say)
        self.kept = folder / f"{self.name}.proof"

    def play(self) -> dict[str, Any]:
        """Play it all and return the demo's document."""
        began = time.monotonic()
        self.begin()
        self.cheat()
        found = self.prove()
        return {
            "cheat": self.name,
            "proof": {"kind": found["kind"], "file": str(self.kept)},
            "culprits": found["culprits"],
            "standing": found["standing"],
            "nodes": sum(one.process.running() for one in self.members.values()),
            "seconds": round(time.monotonic() - began, 1),
        }

    def cheat(self) -> None:
        """What is done."""
        raise NotImplementedError

    # what all stories share

    def begin(self) -> None:
        """Publish, join, find; the witnesses have seen it all."""
        self.start(asleep=["Charity"])
        stranger = self.member(STRANGER)
        stranger.cli("peer", "add", self.member(SHOPS[0]).addresses[0])
        self.publish()
        stranger.cli("campaign", "follow", self.campaign)
        for name in self.people:
            self.join_by(name, "Sponsor")
        self.scan(self.people[0], 1)
        for name in self.people:
            self.until(partial(self._safe, name))
        self.say(_("The witnesses have seen it all."))

    def _safe(self, name: str) -> None:
        shown = self.member(name).cli("campaign", "evidence", self.campaign)
        if not all(one["receipt"] == "safe" for one in shown["records"]):
            raise Failure("not-yet", f"Not all of {name}'s records are safe yet.")

    def verify(self, member: Member, *more: str) -> dict[str, Any]:
        """What a member's node computes of the campaign, right or wrong."""
        return member.cli("campaign", "verify", self.campaign, *more, codes=(0, 3))

    def ready_to_close(self, *paid: str) -> None:
        """Wait until the sponsor's evidence pays these, and nobody else."""
        keys = {self.member(name).author for name in (*paid, "Charity")}
        names = {self.member(name).author for name in paid}

        def once() -> None:
            answer = self.verify(self.member("Sponsor"))
            lines = (answer["statement"] or {}).get("lines", ())
            payees = {line["payee"] for line in lines}
            if not (answer["unclosed"] and names <= payees <= keys):
                raise Failure("not-yet", "The finals do not say so yet.")

        self.say(_("Waiting for the witnesses' finals."))
        self.until(once)

    def close(self) -> dict[str, Any]:
        """Let the sponsor's own node close, as an honest one does."""
        sponsor = self.member("Sponsor")
        closed: dict[str, Any] = self.until(
            lambda: sponsor.cli("campaign", "close", self.campaign)
        )["closes"][-1]
        self.say(_("The sponsor closes round {round}.").format(round=closed["round"]))
        return closed

    def leave_out(self, name: str, *more: str) -> None:
        """Let the sponsor's changed software sign a close without somebody."""
        sponsor = self.member("Sponsor")
        sponsor.process.stop()
        author = self.member(name).author
        _cheater("leave-out", str(sponsor.home), self.campaign, author, *more)
        sponsor.process.start()
        sponsor.listen()

    def copy(self, name: str) -> Member:
        """Stop a node and start it again, and beside it a copy that nobody knows."""
        member = self.member(name)
        twin = Member(name=f"{name} 2", home=self.folder / f"{name} 2")
        member.process.stop()
        _cheater("copy", str(member.home), str(twin.home))
        self.members[twin.name] = twin
        for one in (member, twin):
            one.process.start()
        for one in (member, twin):
            one.listen()
        self.say(_("{name} runs the same keys on two machines.").format(name=name))
        return twin

    def show_itself(self, twin: Member) -> None:
        """Let the copy talk to the stranger."""
        twin.cli("peer", "add", self.member(STRANGER).addresses[0])
        self.say(_("Its copy meets {name}.").format(name=STRANGER))

    def prove(self) -> dict[str, Any]:
        """Let somebody write the proof, and those check it who had no part in it."""
        prover = self.member(self.people[0])

        def once() -> None:
            answer = self.verify(prover, "--proof", str(self.kept))
            if answer["proof"]["kind"] != self.kind:
                self.kept.unlink()
                raise Failure("not-yet", f"Proven is only {answer['proof']['kind']}.")

        self.until(once)
        stranger = self.member(STRANGER)
        found = stranger.cli("campaign", "verify", str(self.kept))
        again = run(
            OFFLINE, self.folder / "elsewhere", "campaign", "verify", str(self.kept)
        )
        if again["culprits"] != found["culprits"] or again["kind"] != self.kind:
            raise Failure("proof-differs", "It proves two things.", status=UNVERIFIED)
        self.tell(prover.name, proof_file.sentence(found), found["culprits"])
        return found

    def tell(self, prover: str, sentence: str, culprits: Sequence[str]) -> None:
        """Say who proved what of whom."""
        self.say(
            _("{name} writes the proof, {size} bytes. {stranger} checks it:").format(
                name=prover, size=self.kept.stat().st_size, stranger=STRANGER
            )
        )
        self.say("  " + sentence)
        names = {one.author: one.name for one in self.members.values()}
        known = [names.get(key, key) for key in culprits]
        self.say("  " + _("It was {names}.").format(names=", ".join(known)))
        self.say(_("A process without network finds the same."))


class Omit(Cheat):
    """The sponsor leaves a finder out of the cut, and pays nobody."""

    name = "omit"
    kind = "omitted"

    def cheat(self) -> None:
        """Close without Dave; he disputes it, and the stranger computes it herself."""
        self.ready_to_close("Dave")
        self.leave_out("Dave")
        self.say(
            _("The sponsor's changed software leaves {name} out.").format(name="Dave")
        )
        disputed(self, "Dave")


class DoubleClose(Cheat):
    """The sponsor signs a second close of a round that it closed."""

    name = "double-close"
    kind = "double-close"

    def cheat(self) -> None:
        """Close as the evidence says, then once more without Dave."""
        self.ready_to_close("Dave")
        self.close()
        self.leave_out("Dave", "--again")
        self.say(
            _("It closes the same round again, without {name}.").format(name="Dave")
        )
        disputed(self, "Dave")


class Fork(Cheat):
    """A participant signs two records at one place: one for these, one for those."""

    name = "fork"
    kind = "fork"
    people: ClassVar[tuple[str, ...]] = ("Dave", "Mallory")

    def cheat(self) -> None:
        """Two machines scan with one key; the cheat is not paid, Dave is."""
        twin = self.copy("Mallory")
        self.members[twin.name].author = self.member("Mallory").author
        self.scan("Mallory", 2)
        self.scan(twin.name, 1)
        self.until(lambda: self._safe("Mallory"))
        self.show_itself(twin)
        self.ready_to_close("Dave")
        self.close()
        self.say(
            _("The fork's share goes to charity; {name} is paid.").format(name="Dave")
        )


class WitnessFork(Cheat):
    """A witness says two things: its feed has two finals of one round."""

    name = "witness"
    kind = "fork"

    def cheat(self) -> None:
        """One witness of four lies: every node finds one digest all the same."""
        shop = SHOPS[-1]
        twin = self.copy(shop)
        self.members[twin.name].author = self.member(shop).author
        before = {one.name: self._finals(one) for one in (self.member(shop), twin)}
        for one in (self.member(shop), twin):
            self.until(partial(self._more_finals, one, before[one.name]))
        self.say(_("Both sign finals, on two branches."))
        self.show_itself(twin)
        self.ready_to_close("Dave")
        closed = self.close()
        others = [one for one in self.members.values() if one.process.running()]
        found = self.all(others, lambda one: self.until(lambda: self._digest(one)))
        if set(found) != {closed["digest"]}:
            raise Failure("digests-differ", f"{set(found)}", status=UNVERIFIED)
        self.say(
            _("All {count} nodes find the same digest {digest}.").format(
                count=len(found), digest=found[0][:16]
            )
        )

    def _finals(self, member: Member) -> int:
        """How many records a node holds: while nothing happens, finals alone come."""
        return int(member.cli("campaign", "show", self.campaign)["records"])

    def _more_finals(self, member: Member, before: int) -> None:
        if self._finals(member) <= before:
            raise Failure("not-yet", "It has not signed a final yet.")

    def _digest(self, member: Member) -> str:
        closes = self.verify(member)["closes"]
        if not closes or closes[-1]["statement"] != "ok" or closes[-1]["cut"] != "ok":
            raise Failure("not-yet", "The close is not whole there yet.")
        return str(closes[-1]["own_digest"])


class DoubleSpend(Cheat):
    """A participant spends one part of a voucher at two shops."""

    name = "double-spend"
    kind = "double-spend"
    checking = "reward check"
    spent: ClassVar[int] = 150_000
    """At each shop, in minor units: more than half of the line."""

    def cheat(self) -> None:
        """Two machines redeem the same part; both shops accept it offline."""
        self.ready_to_close("Dave")
        self.close()
        dave = self.member("Dave")
        self.until(lambda: dave.cli("reward", "claim", self.campaign))
        twin = self.copy("Dave")
        self.members[twin.name].author = dave.author
        self.slips = [
            self._spend(spender, shop)
            for spender, shop in ((twin, SHOPS[1]), (dave, SHOPS[0]))
        ]

    def _spend(self, spender: Member, shop: str) -> str:
        slip, amount = self.folder / f"{shop}.slip", str(self.spent)
        at = self.member(shop)
        spender.cli(
            *("reward", "redeem", self.campaign, amount),
            *("--at", at.author, "--out", str(slip)),
        )
        taken = at.cli("reward", "accept", str(slip), "--limit", amount)
        if taken["level"] != "offline":
            raise Failure("demo-failed", f"It was taken as {taken['level']}.")
        self.say(
            _("{name} redeems {amount} at {shop}, which takes it offline.").format(
                name=spender.name, amount=money(self.spent, UNIT), shop=shop
            )
        )
        return str(slip)

    def prove(self) -> dict[str, Any]:
        """Let the shops lay their two slips side by side."""
        shop, kept = self.member(SHOPS[0]), str(self.kept)
        shop.cli("reward", "prove", *self.slips, "--out", kept)
        found = self.member(STRANGER).cli("reward", "check", kept)
        again = run(OFFLINE, self.folder / "elsewhere", "reward", "check", kept)
        if again != found or len(found["redeems"]) != 2:
            raise Failure("proof-differs", "It proves two things.", status=UNVERIFIED)
        self.tell(
            shop.name,
            _("One part of a voucher was redeemed at two shops."),
            [found["payee"]],
        )
        return {
            "kind": self.kind,
            "culprits": [found["payee"]],
            "standing": "participant",
        }


def disputed(story: Cheat, name: str) -> None:
    """Let somebody dispute; the stranger hears of it, and computes."""

    def disputes() -> None:
        if not story.verify(story.member(name)).get("disputed"):
            raise Failure("not-yet", "The close has not arrived yet.")

    def hears() -> dict[str, Any]:
        shown = story.member(STRANGER).cli("campaign", "show", story.campaign)
        heard = [one for one in shown["disputes"] if one["verdict"] == "wrong"]
        if not heard:
            raise Failure("not-yet", "The dispute has not arrived yet.")
        return dict(heard[0])

    story.until(disputes)
    story.say(_("{name} disputes it.").format(name=name))
    story.until(hears)
    story.say(
        _("{name} hears of it, believes nobody, computes: wrong.").format(name=STRANGER)
    )


def _cheater(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own program
        [*CHEATER, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode:
        raise Failure("demo-failed", f"The cheater: {done.stderr.strip()[-500:]}")


CHEATS: Final[dict[str, type[Cheat]]] = {
    one.name: one for one in (Omit, Fork, DoubleClose, DoubleSpend, WitnessFork)
}
"""Every fraud that is played, by name."""
