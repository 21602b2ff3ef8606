"""What `swarm up` does: it makes nodes, runs them and gives them something to do."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from cli import campaign_terms, client
from cli.i18n import _
from cli.swarm_state import MARK, START, Swarm, load, members
from p2pnode import identity
from p2pnode.api import folder
from p2pnode.failures import BAD_REQUEST, REFUSED, UNREACHABLE, Failure
from p2pnode.swarm import layout
from p2pnode.swarm.supervisor import POLL_S, ROOT, Process, stop_all

TICK_S: Final = 0.1
"""How often it looks whether a node is to be started."""

STOP_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C first."""

TERMS: Final = """\
title  = "p2pnode test swarm 测试群"
unit   = "CNY"
budget = 1_000
residue = {{ to = "sponsor" }}
redeem_until = 2099-12-31T00:00:00Z
[rounds]
opens  = 2020-01-01T00:00:00Z
first  = 2099-01-01T00:00:00Z
every  = "1d"
count  = 1
accept = "5s"
final  = "10s"
[witnesses]
keys   = ["{sponsor}"]
owners = ["A"]
seen_interval = "5s"
[limits]
paid_levels        = 0
per_person_per_day = 0
place_interval_s   = 0
day_offset_min     = 0
[[tag_group]]
name = "door"
file = "door.tags"
[[stage]]
id    = "visit"
line  = "offline"
act   = "scan"
tags  = "door"
grade = 1
once  = "never"
"""
"""A campaign that nothing ends and nobody is paid by, with one printed tag."""


class Supervisor:
    """The nodes of a swarm, and the process that started them.

    Args:
        where: the swarm's folder.
        count: how many nodes there are at least.
        network: of nodes that are new.
        heed: raises KeyboardInterrupt if that is due.

    Raises:
        Failure: `not-of-the-swarm`, a folder of that name holds something else.
    """

    def __init__(
        self,
        where: Path,
        count: int,
        network: str,
        heed: Callable[[], None] = lambda: None,
    ) -> None:
        self._where = where
        self._heed = heed
        names = sorted(
            {*members(where), *layout.names(count)}, key=lambda name: (len(name), name)
        )
        self._processes = {name: Process(where / name) for name in names}
        for name in names:
            _make(where / name, first=name == names[0], network=network)
        self._me = identity.load(where / names[0])
        self._turn = itertools.cycle(names)

    def start(self) -> Swarm:
        """Start every node, connect them, and let all take part in one campaign.

        Raises:
            Failure: a node does not start.
        """
        for process in self._processes.values():
            process.start()
        peers = {name: one.ready().peer_id for name, one in self._processes.items()}
        self._heed()
        campaign, code = self._campaign()
        self.swarm = Swarm(
            folder=self._where,
            network=self._me.network,
            campaign=campaign,
            code=code,
            peers=peers,
        )
        self.swarm.save()
        first, *others = peers
        invite = self.swarm.call(
            first, "POST", f"/campaigns/{campaign}/invite", {"uses": max(len(peers), 2)}
        )
        self.swarm.each(others, lambda name: self._join(name, str(invite["link"])))
        cut = self.swarm.cut
        self.swarm.each(list(peers), lambda name: self.swarm.apply(name, cut))
        self._heed()
        return self.swarm

    def run(self, records_per_second: int) -> None:
        """Start nodes that are asked for, and have nodes scan, until interrupted."""
        due = time.monotonic()
        while True:
            self._heed()
            self._start_asked()
            now = time.monotonic()
            due = max(due, now - 1)  # after a stall it does not hurry for long
            while records_per_second and due <= now:
                self._scan()
                due += 1 / records_per_second
            time.sleep(TICK_S)

    def _campaign(self) -> tuple[str, str]:
        """The swarm's campaign and the code of its tag, published if it is new."""
        with contextlib.suppress(Failure):
            known = load(self._where)
            return known.campaign, known.code
        from p2pnode import tag_file
        from p2pnode.terms_file import compile_terms
        from protocols.tags.code import About
        from protocols.text import author_text

        key = self._me.author_key
        assert key is not None, "the first node is a merchant's"
        tags = tag_file.make(key, "door", ["door"], 0, os.urandom, About())
        terms = compile_terms(
            TERMS.format(sponsor=author_text(key.author)),
            network=self._me.network_id,
            nonce=os.urandom(16),
            read_file=lambda _name: tag_file.dump(tags),
            own=(key.author,),
            file="swarm.toml",
        )
        body = campaign_terms.publication(terms, [tags])
        first = next(iter(self._processes.values()))
        answer = client.call("POST", "/campaigns", body, data=first.home)
        return str(answer["campaign"]), tags.codes()[0][1][0]

    def _join(self, name: str, link: str) -> None:
        try:
            self.swarm.call(name, "POST", "/campaigns/join", {"link": link})
        except Failure as failure:
            if failure.reason != "already-joined":
                raise

    def _start_asked(self) -> None:
        """Start the nodes that another terminal asked for."""
        asked = [name for name in self._processes if self._is_asked(name)]
        idle = [name for name in asked if not self._processes[name].running()]
        for name in idle:
            self._processes[name].start()
        for name in idle:
            with contextlib.suppress(Failure):  # its log says why it ended
                self._processes[name].ready()
                self.swarm.apply(name, self.swarm.cut)
        for name in asked:
            (self._where / name / START).unlink(missing_ok=True)

    def _is_asked(self, name: str) -> bool:
        return (self._where / name / START).exists()

    def _scan(self) -> None:
        """Have the next node that runs sign a scan; it may not be able to yet."""
        for _place in self._processes:
            name = next(self._turn)
            if self._processes[name].running():
                body = {"code": self.swarm.code, "campaign": self.swarm.campaign}
                with contextlib.suppress(Failure):
                    self.swarm.call(name, "POST", "/scan", body)
                return


def _make(home: Path, *, first: bool, network: str) -> None:
    """Make a node's folder, marked as the swarm's, unless it is there."""
    mark = home / MARK
    if not mark.exists() and home.exists():
        raise Failure(
            "not-of-the-swarm",
            _("{folder} is there, and no swarm has made it.").format(folder=home),
            _("A folder in which only a swarm's nodes are."),
            _("Choose another folder with --home."),
            BAD_REQUEST,
        )
    home.mkdir(mode=0o700, exist_ok=True)
    mark.touch()
    if not (home / identity.FILE).exists():
        role = "merchant" if first else "resident"
        identity.create(home, role=role, name=home.name, network=network)


@contextlib.contextmanager
def heeding_signals() -> Iterator[Callable[[], None]]:
    """Let every signal that ends a program end this one as Ctrl-C does, inside.

    Python drops an exception that a signal raises while it tidies up objects; so
    what is yielded, called now and then, raises once more what was asked for.
    """
    asked: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        asked.append(number)
        raise KeyboardInterrupt

    def heed() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {}
    for name in STOP_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        yield heed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def supervised(where: Path, count: int, network: str) -> Iterator[Supervisor]:
    """Own the swarm's folder and end every node when left, however it is left.

    Raises:
        Failure: `swarm-is-up`, somebody else runs it.
    """
    try:
        with heeding_signals() as heed, folder.locked(where):
            try:
                yield Supervisor(where, count, network, heed)
            finally:
                stop_all()
    except folder.FolderInUse as error:
        if error.facts["home"] != where:
            raise
        raise Failure(
            "swarm-is-up",
            _("The swarm in {folder} is up already.").format(folder=where),
            _("A folder whose swarm is down."),
            _("See p2pnode swarm status; p2pnode swarm start starts what is missing."),
        ) from None


def detached(arguments: Sequence[str], where: Path) -> client.Document:
    """Run the same in a process of its own that goes on; return its document.

    Raises:
        Failure: what it failed with.
    """
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    said, log = where / "up.out", where / "up.log"
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with said.open("wb") as out, log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", "cli.main", "swarm", "up", "--json", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
            creationflags=flags,
        )
    try:
        while b"\n" not in said.read_bytes() and process.poll() is None:
            time.sleep(POLL_S)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    line = said.read_bytes().partition(b"\n")[0]
    document: client.Document = json.loads(line or b"{}")
    if process.poll() is None:
        process.returncode = 0  # it goes on without us
        return document
    status = {2: BAD_REQUEST, 4: UNREACHABLE}.get(process.returncode, REFUSED)
    if document:
        raise Failure.from_document(document, status)
    raise Failure(
        "swarm-failed",
        _("The swarm ended before it was up."),
        cure=_("Read {log}.").format(log=log),
        status=status,
    )
