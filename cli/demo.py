"""`p2pnode demo`: a neighbourhood plays Ten Red Balloons.

Every part is played through what people have: this program's own commands,
files, and signals to processes that the demo started itself.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from cli import accounts, frame, output, params
from cli.demo_cheats import CHEATS
from cli.demo_play import OFFLINE, SHOPS, UNIT, Member, Play, run, tidy
from cli.i18n import _
from p2pnode.failures import UNVERIFIED, Failure
from p2pnode.swarm.supervisor import stop_all

NODES: Final = 12
BALLOONS: Final = 10
PEOPLE: Final = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank")
INVITED_BY: Final = {
    "Alice": "Sponsor",
    "Bob": "Alice",
    "Carol": "Bob",
    "Dave": "Carol",
    "Erin": "Sponsor",
    "Frank": "Erin",
}
FOUND_FIRST: Final = ("Dave", "Alice", "Erin", "Bob", "Carol")
"""Who finds balloons 1 to 5."""

FOUND_CUT_OFF: Final = ("Frank", "Erin")
"""Who finds balloons 6 and 7, while Bob is dead and Frank is cut off."""

FOUND_LAST: Final = ("Carol", "Bob", "Dave")
"""Who finds balloons 8 to 10."""


class Neighbourhood(Play):
    """The members, and the story they play."""

    def __init__(self, folder: Path, nodes: int, say: Callable[[str], None]) -> None:
        self.extra = [f"Resident{number}" for number in range(13, nodes + 1)]
        roles = [
            ("Sponsor", "merchant"),
            *((shop, "merchant") for shop in SHOPS),
            ("Charity", "merchant"),
            *((one, "resident") for one in (*PEOPLE, *self.extra)),
        ]
        super().__init__(folder, roles, BALLOONS, say)
        self.kept = folder / "ten-red-balloons.bundle"

    # the story, in its order

    def play(self) -> dict[str, Any]:
        """Play it all and return the demo's document."""
        began = time.monotonic()
        self.start(asleep=["Frank"])  # he is offline for now
        self.publish()
        self.join()
        self.find()
        self.close()
        digests = self.verify_everywhere()
        self.sponsor_leaves()
        answer = self.member("Dave").cli("campaign", "explain", self.campaign)
        return self.document(digests, answer, time.monotonic() - began)

    def join(self) -> None:
        """Alice by the sponsor's link, Bob by Alice's, and so on."""
        links: dict[str, str] = {}
        for name in ("Alice", "Bob", "Carol", "Dave", "Erin"):
            self.join_by(name, INVITED_BY[name])
        links["Frank"] = self.invite("Erin")
        self.say(_("Frank is offline, and keeps Erin's link for later."))
        inviters = ["Sponsor", "Alice", "Erin", "Bob"]
        for place, name in enumerate(self.extra):
            self.join_by(name, inviters[place % len(inviters)])
        frank = self.member("Frank")
        frank.process.start()
        frank.listen()
        self.join_by("Frank", "Erin", links["Frank"])

    def find(self) -> None:
        """Scan the pictures; kill one node and cut off another in the middle."""
        numbers = itertools.count(1)
        for name in FOUND_FIRST:
            self.scan(name, next(numbers))
        bob = self.member("Bob")
        bob.process.kill()
        self.say(_("Bob's node is killed (SIGKILL)."))
        with self._cut_off(self.member("Frank")):
            for name in FOUND_CUT_OFF:
                self.scan(name, next(numbers))
        bob.process.start()
        bob.listen()
        self.say(_("Bob's node is back."))
        for name in FOUND_LAST:
            self.scan(name, next(numbers))

    @contextlib.contextmanager
    def _cut_off(self, member: Member) -> Iterator[None]:
        """Block a member on both sides, and let it come back."""
        listing = member.cli("peer", "list")["peers"]
        known = {str(peer["peer"]) for peer in listing}
        others = [m for m in self.members.values() if m.peer_id in known]
        others = [m for m in others if m.process.running()]
        for verb in ("block", "unblock"):
            word = _("cut off") if verb == "block" else _("back")
            for other in others:
                member.cli("peer", verb, other.peer_id)
                other.cli("peer", verb, member.peer_id)
            self.say(_("{name} is {word}.").format(name=member.name, word=word))
            if verb == "block":
                yield

    def close(self) -> None:
        """Close the first round in which ten balloons count."""
        sponsor = self.member("Sponsor")
        self.say(_("Waiting for the witnesses' finals."))

        def close() -> dict[str, Any]:
            shown = sponsor.cli("campaign", "show", self.campaign)
            if not all(one["met"] for one in shown["conditions"]):
                raise Failure("not-yet", "The condition is not met yet.")
            return sponsor.cli("campaign", "close", self.campaign)

        closed = self.until(close)["closes"][-1]
        self.say(_("The sponsor closes round {round}.").format(round=closed["round"]))

    def verify_everywhere(self) -> dict[str, str]:
        """Let every node recompute the statement; return their digests."""

        def verify(member: Member) -> str:
            def once() -> dict[str, Any]:
                answer = member.cli("campaign", "verify", self.campaign)
                if not answer["closes"]:
                    raise Failure("not-yet", "The close has not arrived yet.")
                return answer

            return str(self.until(once)["closes"][-1]["own_digest"])

        members = list(self.members.values())
        found = self.all(members, verify)
        digests = {m.name: d for m, d in zip(members, found, strict=True)}
        if len(set(found)) != 1:
            raise Failure(
                "digests-differ", f"Digests differ: {digests}", status=UNVERIFIED
            )
        self.say(
            _("All {count} nodes find the same digest {digest}.").format(
                count=len(digests), digest=found[0][:16]
            )
        )
        return digests

    def sponsor_leaves(self) -> None:
        """Stop the sponsor; Dave still verifies, claims, and writes a bundle."""
        self.member("Sponsor").process.stop()
        self.say(_("The sponsor's node is off."))
        dave = self.member("Dave")
        dave.cli("campaign", "verify", self.campaign)
        voucher = self.folder / "dave.png"
        claim = dave.cli("reward", "claim", self.campaign, "--out", str(voucher))
        self.say(
            _("Dave claims {amount}.").format(
                amount=accounts.money(claim["amount"], UNIT)
            )
        )
        dave.cli("campaign", "bundle", self.campaign, "--out", str(self.kept))
        elsewhere = self.folder / "elsewhere"
        answer = run(OFFLINE, elsewhere, "campaign", "verify", str(self.kept))
        run(OFFLINE, elsewhere, "reward", "check", str(voucher))
        self.say(
            _("A process without network checks the bundle: {verdict}").format(
                verdict=accounts.verdict(answer["verdict"])
            )
        )

    # results

    def document(
        self, digests: dict[str, str], answer: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        """The demo's result, with what people see of it."""
        statement = answer["statement"]
        paid = {line["payee"]: line["amount"] for line in statement["lines"]}
        names = {m.author: m.name for m in self.members.values() if m.author}
        shown = self.member("Dave").cli("campaign", "show", self.campaign)
        self.say("")
        for line in accounts.tree(answer, names, paid, UNIT):
            self.say(line)
        charity = self.member("Charity").author
        self.say(
            _("Charity: {amount}").format(
                amount=accounts.money(statement["residue"], UNIT)
            )
        )
        return {
            "nodes": len(self.members),
            "records": shown["records"],
            "digests": digests,
            "payouts": [
                {"name": names[key], "author": key, "minor_units": amount}
                for key, amount in paid.items()
                if key != charity
            ],
            "residue": {"to": "Charity", "minor_units": statement["residue"]},
            "unspent_minor_units": statement["unspent"],
            "budget_minor_units": shown["budget"],
            "bundle": str(self.kept),
            "seconds": round(seconds, 1),
        }


@frame.command(
    "demo",
    _("Watch a neighbourhood play Ten Red Balloons."),
    example="p2pnode demo",
)
@click.option(
    "--nodes",
    type=params.Whole(NODES, 40),
    default=NODES,
    show_default=True,
    help=_("How many node processes."),
)
@click.option(
    "--cheat",
    type=click.Choice(sorted(CHEATS)),
    help=_("Watch this fraud instead, and who proves it."),
)
@click.option("--keep", is_flag=True, help=_("Keep the nodes' folders and logs."))
def command(*, nodes: int, cheat: str | None, keep: bool, as_json: bool) -> None:
    """Play it in a new temporary folder; only the bundle, or the proof, stays."""
    folder = Path(tempfile.mkdtemp(prefix="p2pnode-demo-"))

    def say(text: str) -> None:
        output.say(text, stream=sys.stderr if as_json else None)

    story = CHEATS[cheat](folder, say) if cheat else Neighbourhood(folder, nodes, say)
    try:
        result = story.play()
    finally:
        stop_all()
        if not keep:
            tidy(folder, story.kept)
    if as_json:
        output.document("demo", result)
    elif cheat:
        output.say(
            _("The proof is in {file}. Anybody can check it alone:").format(
                file=story.kept
            ),
            f"  {sys.argv[0]} {story.checking} {story.kept}",
        )
    else:
        _say_sum(result)


def _say_sum(result: dict[str, Any]) -> None:
    total = sum(one["minor_units"] for one in result["payouts"])
    output.say(
        _("{paid} to people and {residue} to charity make {budget} exactly.").format(
            paid=accounts.money(total, UNIT),
            residue=accounts.money(result["residue"]["minor_units"], UNIT),
            budget=accounts.money(result["budget_minor_units"], UNIT),
        ),
        _("The evidence is in {file}: check it yourself with").format(
            file=result["bundle"]
        ),
        f"  {sys.argv[0]} campaign verify {result['bundle']}",
    )
