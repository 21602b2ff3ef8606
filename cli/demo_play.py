"""What demos are made of: nodes as real processes, and a campaign of balloons.

Every part is played through what people have: this program's own commands,
files, and signals to processes that the demo started itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from cli.i18n import _
from p2pnode.failures import REFUSED, TOO_SLOW, Failure
from p2pnode.swarm.supervisor import ROOT, Process
from p2pnode.system import SystemClock

T = TypeVar("T")

POOL: Final = 400_000
UNIT: Final = "CNY"
SHOPS: Final = ("Bakery", "Bookshop", "Pharmacy", "Teahouse")
"""The witnesses."""

ROUND_S: Final = 5
ROUNDS: Final = 100
PATIENCE_S: Final = 60.0
POLL_S: Final = 0.3

PROGRAM: Final = (sys.executable, "-m", "cli.main")

OFFLINE: Final = (
    sys.executable,
    "-c",
    """
import sys

def no_network(event, _arguments):
    if event.startswith("socket."):
        raise SystemExit("the verifier used the network: " + event)

sys.addaudithook(no_network)
from cli.main import main
main()
""",
)
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

    def cli(self, *arguments: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
        """Run one command on this node's folder and return its document.

        Raises:
            Failure: whatever the command failed with.
        """
        return run(PROGRAM, self.home, *arguments, codes=codes)

    def listen(self) -> None:
        """Wait until the started process listens."""
        ready = self.process.ready(PATIENCE_S)
        self.peer_id, self.addresses = ready.peer_id, ready.addresses


def run(
    program: Sequence[str], home: Path, *arguments: str, codes: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Run a command with `--json` and return the first document it printed.

    Args:
        program: what runs it.
        home: the node's folder.
        arguments: of the command.
        codes: exit codes at which that document is what was asked for.

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
    answers: list[dict[str, Any]] = [json.loads(line) for line in lines]
    if done.returncode in codes and answers:
        return answers[0]
    if answers and answers[-1].get("format") == "p2pnode.error/1":
        raise Failure.from_document(answers[-1], REFUSED)
    raise Failure(
        "demo-failed",
        f"p2pnode {' '.join(arguments[:2])}: {done.stderr.strip()[-500:]}",
        cure="Run it again with --keep and read the nodes' logs.",
    )


class Play:
    """The members, their campaign, and what they do in it."""

    checking: ClassVar[str] = "campaign verify"
    """The command that checks what is kept of it."""

    def __init__(
        self,
        folder: Path,
        roles: Iterable[tuple[str, str]],
        balloons: int,
        say: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.say = say
        self.balloons = balloons
        self.members = {
            name: Member(name=name, home=folder / name, role=role)
            for name, role in roles
        }
        self.campaign = ""

    def member(self, name: str) -> Member:
        """One member by name."""
        return self.members[name]

    def start(self, asleep: Sequence[str] = ()) -> None:
        """Make every node, and start all but those named."""
        self.say(_("Starting {count} nodes.").format(count=len(self.members)))
        members = list(self.members.values())
        made = self.all(members, self._init)
        for member, answer in zip(members, made, strict=True):
            member.author = answer.get("author") or ""
        awake = [one for one in members if one.name not in asleep]
        for member in awake:
            member.process.start()
        for member in awake:
            member.listen()
        address = self.member("Sponsor").addresses[0]
        self.all(self.parties(), lambda one: one.cli("peer", "add", address))

    def _init(self, member: Member) -> dict[str, Any]:
        return member.cli(
            "init", "--role", member.role, "--name", member.name, "--network", "demo"
        )

    def parties(self) -> list[Member]:
        """The witnesses and the charity, as far as their nodes run."""
        named = [self.member(name) for name in (*SHOPS, "Charity")]
        return [one for one in named if one.process.running()]

    def publish(self) -> None:
        """Make the tags, print them, write the terms, check and publish them."""
        sponsor = self.member("Sponsor")
        tags = self.folder / "balloons.tags"
        sponsor.cli(
            *("tag", "new", "--group", "balloons", "--count", str(self.balloons)),
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
        self.all(
            self.parties(), lambda one: one.cli("campaign", "follow", self.campaign)
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
            budget=self.balloons * POOL,
            pool=POOL,
            balloons=self.balloons,
            charity=self.member("Charity").author,
            keys=json.dumps(list(keys)),
            owners=json.dumps(list(keys.values())),
            opens=_utc(now - 5),
            first=_utc(now + 2 * ROUND_S),
            every=ROUND_S,
            rounds=ROUNDS,
            redeem=_utc(now + 90 * 86_400),
        )

    def invite(self, inviter: str) -> str:
        """A link of somebody's."""
        member = self.member(inviter)
        return str(member.cli("campaign", "invite", self.campaign)["link"])

    def join_by(self, name: str, inviter: str, link: str = "") -> None:
        """Let somebody join, by a fresh link unless one is given."""
        answer = self.member(name).cli("campaign", "join", link or self.invite(inviter))
        self.member(name).author = str(answer["author"])
        self.say(_("{name} joins by {inviter}.").format(name=name, inviter=inviter))

    def scan(self, name: str, number: int) -> None:
        """Let somebody find a balloon, numbered from 1."""
        picture = sorted(self.pictures.iterdir())[number - 1]
        member = self.member(name)
        found = self.until(lambda: member.cli("scan", str(picture)))
        self.say(_("{name} finds {label}.").format(name=name, label=found["label"]))

    # waiting

    def all(self, members: Sequence[Member], act: Callable[[Member], T]) -> list[T]:
        """Let several do something, four at a time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(act, members))

    def until(self, act: Callable[[], T]) -> T:
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


def tidy(folder: Path, kept: Path) -> None:
    """Leave nothing of a demo's folder but one file."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != kept:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
