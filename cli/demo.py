"""`p2pnode demo`: a neighbourhood plays Ten Red Balloons.

Every part is played through what people have: this program's own commands,
files, and signals to processes that the demo started itself.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from cli import accounts, frame, output
from cli.i18n import _
from p2pnode.failures import REFUSED, TOO_SLOW, UNVERIFIED, Failure
from p2pnode.swarm.supervisor import ROOT, Process, stop_all
from p2pnode.system import SystemClock

NODES: Final = 12
BALLOONS: Final = 10
POOL: Final = 400_000
BUDGET: Final = BALLOONS * POOL
UNIT: Final = "CNY"

SHOPS: Final = ("Bakery", "Bookshop", "Pharmacy", "Teahouse")
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

ROUND_S: Final = 5
ROUNDS: Final = 60
PATIENCE_S: Final = 60.0
POLL_S: Final = 0.3

OFFLINE: Final = """
import sys

def no_network(event, _arguments):
    if event.startswith("socket."):
        raise SystemExit("the verifier used the network: " + event)

sys.addaudithook(no_network)
from cli.main import main
main()
"""
"""Runs the program and ends it at the first use of a socket."""

TERMS: Final = """\
title  = "Ten Red Balloons 十个红气球"
unit   = "{unit}"
budget = {budget}
residue = {{ to = "charity", key = "{charity}", name = "Charity" }}
redeem_until = {redeem}

[rounds]
opens  = {opens}
first  = {first}
every  = "{every}s"
count  = {rounds}
accept = "1s"
final  = "2s"

[witnesses]
keys   = {keys}
owners = {owners}
seen_interval = "1s"

[limits]
paid_levels        = 0
per_person_per_day = 0
place_interval_s   = 0
day_offset_min     = 480

[[tag_group]]
name  = "balloons"
file  = "balloons.tags"

[[stage]]
id    = "find"
line  = "offline"
act   = "scan"
tags  = "balloons"
grade = 2
once  = "tag"
reward = {{ rule = "halving", amount = {pool} }}

[[condition]]
stage = "find"
distinct_tags = {balloons}
"""


@dataclass(slots=True)
class Member:
    """One node of the neighbourhood, driven by the command line."""

    name: str
    home: Path
    role: str = "resident"
    author: str = ""
    """Its key in the campaign, once it has one."""
    peer_id: str = ""
    addresses: tuple[str, ...] = ()
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        """Have a process at hand, not started yet."""
        self.process = Process(self.home)

    def cli(self, *arguments: str) -> dict[str, Any]:
        """Run one command on this node's folder and return its document.

        Raises:
            Failure: whatever the command failed with.
        """
        return run([sys.executable, "-m", "cli.main"], self.home, *arguments)

    def listen(self) -> None:
        """Wait until the started process listens."""
        ready = self.process.ready(PATIENCE_S)
        self.peer_id, self.addresses = ready.peer_id, ready.addresses


def run(program: Sequence[str], home: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with `--json` and return the last document it printed.

    Raises:
        Failure: the command's own, or `demo-failed` if it said nothing.
    """
    done = subprocess.run(  # noqa: S603  # our own program
        [*program, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "P2PNODE_HOME": str(home), "P2PNODE_LANG": "en"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if done.returncode == 0:
        return answer
    if answer.get("format") == "p2pnode.error/1":
        raise Failure.from_document(answer, REFUSED)
    raise Failure(
        "demo-failed",
        f"p2pnode {' '.join(arguments[:2])}: {done.stderr.strip()[-500:]}",
        cure="Run it again with --keep and read the nodes' logs.",
    )


class Neighbourhood:
    """The members, and the story they play."""

    def __init__(self, folder: Path, nodes: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        extra = [f"Resident{number}" for number in range(13, nodes + 1)]
        self.members = {
            name: Member(name=name, home=folder / name, role=role)
            for name, role in [
                ("Sponsor", "merchant"),
                *((shop, "merchant") for shop in SHOPS),
                ("Charity", "merchant"),
                *((one, "resident") for one in (*PEOPLE, *extra)),
            ]
        }
        self.extra = extra
        self.campaign = ""
        self.bundle = folder / "ten-red-balloons.bundle"

    def member(self, name: str) -> Member:
        """One member by name."""
        return self.members[name]

    # the story, in its order

    def play(self) -> dict[str, Any]:
        """Play it all and return the demo's document."""
        began = time.monotonic()
        self.start()
        self.publish()
        self.join()
        self.find()
        self.close()
        digests = self.verify_everywhere()
        self.sponsor_leaves()
        answer = self.member("Dave").cli("campaign", "explain", self.campaign)
        return self.document(digests, answer, time.monotonic() - began)

    def start(self) -> None:
        """Make every node; start all but Frank, who is offline for now."""
        self.say(_("Starting {count} nodes.").format(count=len(self.members)))
        with ThreadPoolExecutor(4) as pool:
            made = pool.map(self._init, self.members.values())
            for member, answer in zip(self.members.values(), made, strict=True):
                member.author = answer.get("author") or ""
        awake = [one for one in self.members.values() if one.name != "Frank"]
        for member in awake:
            member.process.start()
        for member in awake:
            member.listen()
        address = self.member("Sponsor").addresses[0]
        self._all(
            [self.member(name) for name in (*SHOPS, "Charity")],
            lambda one: one.cli("peer", "add", address),
        )

    def _init(self, member: Member) -> dict[str, Any]:
        return member.cli(
            "init", "--role", member.role, "--name", member.name, "--network", "demo"
        )

    def publish(self) -> None:
        """Make ten tags, print them, write the terms, check and publish them."""
        sponsor = self.member("Sponsor")
        tags = self.folder / "balloons.tags"
        sponsor.cli(
            *("tag", "new", "--group", "balloons", "--count", str(BALLOONS)),
            *("--label", "red balloon {n}", "--file", str(tags)),
        )
        drawn = sponsor.cli("tag", "print", str(tags), "--out", str(self.pictures))
        self.say(
            _("The sponsor prints {count} tags.").format(count=len(drawn["files"]))
        )
        file = self.folder / "campaign.toml"
        file.write_text(self._terms(), encoding="utf-8")
        sponsor.cli("campaign", "check", str(file))
        published = sponsor.cli("campaign", "publish", str(file))
        self.campaign = str(published["campaign"])
        self.say(_("Published {title}.").format(title=published["title"]))
        self._all(
            [self.member(name) for name in (*SHOPS, "Charity")],
            lambda one: one.cli("campaign", "follow", self.campaign),
        )

    @property
    def pictures(self) -> Path:
        """Where the tags' pictures are."""
        return self.folder / "pictures"

    def _terms(self) -> str:
        keys = {self.member(shop).author: shop for shop in SHOPS}
        now = SystemClock().now_ms() // 1_000
        return TERMS.format(
            unit=UNIT,
            budget=BUDGET,
            pool=POOL,
            balloons=BALLOONS,
            charity=self.member("Charity").author,
            keys=json.dumps(list(keys)),
            owners=json.dumps(list(keys.values())),
            opens=_utc(now - 5),
            first=_utc(now + 2 * ROUND_S),
            every=ROUND_S,
            rounds=ROUNDS,
            redeem=_utc(now + 90 * 86_400),
        )

    def join(self) -> None:
        """Alice by the sponsor's link, Bob by Alice's, and so on."""
        links: dict[str, str] = {}
        for name in ("Alice", "Bob", "Carol", "Dave", "Erin"):
            self._join(name, INVITED_BY[name])
        links["Frank"] = self._invite("Erin")
        self.say(_("Frank is offline, and keeps Erin's link for later."))
        inviters = ["Sponsor", "Alice", "Erin", "Bob"]
        for place, name in enumerate(self.extra):
            self._join(name, inviters[place % len(inviters)])
        frank = self.member("Frank")
        frank.process.start()
        frank.listen()
        self._join("Frank", "Erin", links["Frank"])

    def _invite(self, inviter: str) -> str:
        member = self.member(inviter)
        return str(member.cli("campaign", "invite", self.campaign)["link"])

    def _join(self, name: str, inviter: str, link: str = "") -> None:
        answer = self.member(name).cli(
            "campaign", "join", link or self._invite(inviter)
        )
        self.member(name).author = str(answer["author"])
        self.say(_("{name} joins by {inviter}.").format(name=name, inviter=inviter))

    def find(self) -> None:
        """Scan the pictures; kill one node and cut off another in the middle."""
        numbers = itertools.count(1)
        for name in FOUND_FIRST:
            self._scan(name, next(numbers))
        bob = self.member("Bob")
        bob.process.kill()
        self.say(_("Bob's node is killed (SIGKILL)."))
        with self._cut_off(self.member("Frank")):
            for name in FOUND_CUT_OFF:
                self._scan(name, next(numbers))
        bob.process.start()
        bob.listen()
        self.say(_("Bob's node is back."))
        for name in FOUND_LAST:
            self._scan(name, next(numbers))

    def _scan(self, name: str, number: int) -> None:
        picture = sorted(self.pictures.iterdir())[number - 1]
        member = self.member(name)
        found = self._until(lambda: member.cli("scan", str(picture)))
        self.say(_("{name} finds {label}.").format(name=name, label=found["label"]))

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

        closed = self._until(close)["closes"][-1]
        self.say(_("The sponsor closes round {round}.").format(round=closed["round"]))

    def verify_everywhere(self) -> dict[str, str]:
        """Let every node recompute the statement; return their digests."""

        def verify(member: Member) -> str:
            def once() -> dict[str, Any]:
                answer = member.cli("campaign", "verify", self.campaign)
                if not answer["closes"]:
                    raise Failure("not-yet", "The close has not arrived yet.")
                return answer

            return str(self._until(once)["closes"][-1]["own_digest"])

        members = list(self.members.values())
        found = self._all(members, verify)
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
        dave.cli("campaign", "bundle", self.campaign, "--out", str(self.bundle))
        elsewhere = self.folder / "elsewhere"
        offline = [sys.executable, "-c", OFFLINE]
        answer = run(offline, elsewhere, "campaign", "verify", str(self.bundle))
        run(offline, elsewhere, "reward", "check", str(voucher))
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
            "bundle": str(self.bundle),
            "seconds": round(seconds, 1),
        }

    # waiting

    def _all(self, members: list[Member], act: Callable[[Member], Any]) -> list[Any]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(act, members))

    def _until(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Try until it works, because records are still on their way."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return act()
            except Failure as error:
                if time.monotonic() > deadline:
                    raise Failure(
                        "demo-too-slow",
                        f"Still not there after {PATIENCE_S:.0f} s: {error.message}",
                        cure="Run it again with --keep and read the nodes' logs.",
                        status=TOO_SLOW,
                    ) from error
                time.sleep(POLL_S)


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@frame.command(
    "demo",
    _("Watch a neighbourhood play Ten Red Balloons."),
    example="p2pnode demo",
)
@click.option(
    "--nodes",
    type=click.IntRange(NODES, 40),
    default=NODES,
    show_default=True,
    help=_("How many node processes."),
)
@click.option("--keep", is_flag=True, help=_("Keep the nodes' folders and logs."))
def command(*, nodes: int, keep: bool, as_json: bool) -> None:
    """Play it in a new temporary folder; only the bundle stays."""
    folder = Path(tempfile.mkdtemp(prefix="p2pnode-demo-"))

    def say(text: str) -> None:
        output.say(text, stream=sys.stderr if as_json else None)

    play = Neighbourhood(folder, nodes, say)
    try:
        result = play.play()
    finally:
        stop_all()
        if not keep:
            _tidy(folder, play.bundle)
    if as_json:
        output.document("demo", result)
        return
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


def _tidy(folder: Path, bundle: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != bundle:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
