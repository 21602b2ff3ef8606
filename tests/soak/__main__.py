"""Honest traffic beside a hostile peer: `python -m tests.soak --minutes 60 [--json]`.

Two real daemons, a shop and its neighbour, sign records at a steady rate, while
a third process goes through every attack of `tests/hostile` on the shop, round
after round. Once a second the shop is measured. Progress goes to standard
error, at the end a table or a document `p2pnode.soak/1` to standard output.

Exits 1 if memory is not flat or passes 256 MiB, a record was lost or did not
arrive, a node died, or p99 of status is 300 ms or more. Everything runs on
loopback in a temporary folder and ends with this program.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Final

from cli import client
from p2pnode.failures import Failure
from p2pnode.swarm.supervisor import ROOT, Process
from protocols.text import read_campaign
from tests.bench.daemon import cpu_seconds, memory_mb
from tests.nodes import Daemon, until
from tests.soak.figures import FORMAT, Sample, Soak, table

SAMPLE_S: Final = 1.0
COMMAND_S: Final = 10.0
"""How often the real command is run; also how often a line of progress comes."""

SETTLE_S: Final = 60.0
"""How long the last records may take to the other node."""

SAID_MAX: Final = 4_000
"""Characters of a node's last words that are shown."""

ROUND_S: Final = 900.0
"""How long a round of attacks may take before it is ended and the next begins."""

BALLOONS: Final = 20

CAPS: Final = """
[caps]
records_per_feed = 1_000_000
bytes_per_feed = 1_000_000_000
"""
"""An hour of a customer's scans is more than terms allow by default."""


def main() -> int:
    """Run the soak and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2.0, help="honest records/s")
    parser.add_argument("--peace", action="store_true", help="no attacks")
    parser.add_argument("--only", action="append", default=[], metavar="ATTACK")
    parser.add_argument("--json", action="store_true", help=f"print {FORMAT}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = run(
            Path(folder),
            seconds=60 * given.minutes,
            rate=given.rate,
            only=None if given.peace else given.only,
        )
    document = soak.document()
    print(json.dumps(document, indent=1) if given.json else table(document))
    return 1 if soak.faults() else 0


def run(folder: Path, *, seconds: float, rate: float, only: list[str] | None) -> Soak:
    """Let honest and hostile work side by side for so long."""
    soak = Soak()
    shop, alice = Daemon(folder / "shop", "merchant"), Daemon(folder / "alice")
    with ExitStack() as stack:
        for node in (shop, alice):
            stack.callback(node.stop)
            node.up()
        codes = shop.publish(balloons=BALLOONS, seen="10s", more=CAPS)
        alice.do("campaign", "join", shop.do("campaign", "invite")["link"])
        until(lambda: alice.do("campaign", "list")["campaigns"][0]["terms"])
        traffic = Traffic([shop, alice], codes, rate)
        say(f"two nodes, {rate:g} records a second, {seconds / 60:g} minutes")
        with hostile(soak, shop, folder, only), traffic.flowing():
            measure(soak, traffic, seconds)
            traffic.stop()
            settle(soak, traffic)
        look_at_the_disks(soak, traffic)
    for node in (shop, alice):
        if words := node.log_text().strip():
            soak.said[node.home.name] = words[-SAID_MAX:]
    soak.acknowledged = sum(map(len, traffic.acknowledged.values()))
    soak.refused = traffic.refused
    return soak


class Traffic:
    """Both nodes' owners scan, in turn, at a steady rate."""

    def __init__(self, nodes: Sequence[Daemon], codes: Sequence[str], rate: float):
        self.nodes = nodes
        self.acknowledged: dict[Path, list[bytes]] = {node.home: [] for node in nodes}
        """Ids of records, by the folder of the node that acknowledged them."""
        self.refused = 0
        self._codes = itertools.cycle(codes)
        self._pause_s = 1 / rate
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._flow)

    @property
    def everything(self) -> set[bytes]:
        """The ids of all acknowledged records."""
        return {one for ids in self.acknowledged.values() for one in ids}

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Sign records while entered."""
        self._thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """Sign no more."""
        self._end.set()
        self._thread.join()

    def _flow(self) -> None:
        due = time.monotonic()
        for node in itertools.cycle(self.nodes):
            due = max(due + self._pause_s, time.monotonic())
            if self._end.wait(due - time.monotonic()):
                return
            try:
                signed = node.scan(next(self._codes))
            except Failure:
                self.refused += 1
            else:
                self.acknowledged[node.home].append(bytes.fromhex(signed))


# ---------------------------------------------------------------- the hostile


@contextmanager
def hostile(
    soak: Soak, shop: Daemon, folder: Path, only: list[str] | None
) -> Iterator[None]:
    """Attack the shop in another process, round after round, while entered."""
    if only is None:
        yield
        return
    home = folder / "mallory"
    home.mkdir()
    invite = home / "invite"
    invite.write_text(shop.do("campaign", "invite", "--uses", "0")["link"], "utf-8")
    (campaign,) = shop.do("campaign", "list")["campaigns"]
    port = client.door(shop.home).port
    command = [
        *(sys.executable, "-m", "tests.hostile"),
        *(shop.ready().addresses[0], read_campaign(campaign["campaign"]).hex()),
        *("--network", shop.keys.network, "--invite", str(invite)),
        *("--door", str(port)),
        *itertools.chain.from_iterable(("--only", part) for part in only),
    ]
    end = threading.Event()
    thread = threading.Thread(target=_rounds, args=(soak, home, command, end))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _rounds(
    soak: Soak, home: Path, command: Sequence[str], end: threading.Event
) -> None:
    while not end.is_set():
        mallory = Process(home, command=command)
        mallory.start()
        deadline = time.monotonic() + ROUND_S
        before = soak.attacks.total()
        with (home / "node.out").open(encoding="utf-8") as told:
            while mallory.running() and time.monotonic() < deadline:
                if end.wait(SAMPLE_S):
                    break
                _count(soak, told)
            mallory.stop()
            _count(soak, told)
        soak.rounds += 1
        if soak.attacks.total() == before and end.wait(5):
            return


def _count(soak: Soak, told: IO[str]) -> None:
    """Read what is new of what the attacker wrote."""
    while (line := told.readline()).endswith("\n"):
        one = json.loads(line)
        soak.attacks[one["attack"], one["end"]] += 1
    told.seek(told.tell() - len(line.encode()))


# ------------------------------------------------------------------ measuring


def measure(soak: Soak, traffic: Traffic, seconds: float) -> None:
    """Look at the shop once a second, until the time is over or a node is dead."""
    shop, neighbour = traffic.nodes
    pid, start = shop.ready().pid, time.monotonic()
    next_command = COMMAND_S
    while (at := time.monotonic() - start) < seconds:
        dead = [node for node in traffic.nodes if not node.running()]
        if dead:
            words = dead[0].log_text().splitlines()
            soak.died = f"{dead[0].home.name} died: {words[-1] if words else ''}"
            return
        soak.samples.append(sample(shop, pid, at))
        soak.calm_ms.append(answered(neighbour)[0])
        if at >= next_command:
            next_command += COMMAND_S
            soak.command_ms.append(command_ms(shop, "status", "--json"))
            soak.floor_ms.append(command_ms(shop, "status", "--help"))
            progress(soak, traffic)
        time.sleep(max(0.0, start + at + SAMPLE_S - time.monotonic()))


def sample(shop: Daemon, pid: int, at_s: float) -> Sample:
    """One look."""
    status_ms, records = answered(shop)
    proc = Path(f"/proc/{pid}")
    linux = (proc / "fd").is_dir()
    return Sample(
        at_s=at_s,
        memory_mb=sum(map(memory_mb, (pid, *children(pid)))),
        descriptors=len([*(proc / "fd").iterdir()]) if linux else 0,
        threads=len([*(proc / "task").iterdir()]) if linux else 0,
        cpu_s=cpu_seconds(pid),
        records=records,
        status_ms=status_ms,
    )


def answered(node: Daemon) -> tuple[float, int]:
    """How long GET /status took, and how many records it told of."""
    before = time.perf_counter()
    try:
        records = int(status(node)["records"])
    except (OSError, http.client.HTTPException, KeyError):
        records = 0  # it did not answer: the time says so
    return 1_000 * (time.perf_counter() - before), records


def children(pid: int) -> list[int]:
    """Processes that a node started: it has one that checks signatures."""
    told = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(one) for one in told.read_text("ascii").split()]
    except OSError:
        return []


def status(node: Daemon) -> dict[str, int]:
    """GET /status, on a connection of its own as the command does it."""
    door = client.door(node.home)
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)) as c:
        c.request("GET", "/status", headers={"Authorization": f"Bearer {door.token}"})
        answer: dict[str, int] = json.loads(c.getresponse().read())
    return answer


def command_ms(shop: Daemon, *words: str) -> float:
    """Wall time of a real command, from start to end."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=ROOT,
        env={**os.environ, "P2PNODE_HOME": str(shop.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return 1_000 * (time.perf_counter() - start)


def progress(soak: Soak, traffic: Traffic) -> None:
    """A line now and then."""
    window = soak.samples[-round(COMMAND_S / SAMPLE_S) :]
    last, first = window[-1], window[0]
    busy = (last.cpu_s - first.cpu_s) / max(last.at_s - first.at_s, SAMPLE_S)
    waits = [one.status_ms for one in window]
    calm = soak.calm_ms[-len(window) :]
    say(
        f"{last.at_s / 60:5.1f} min  {last.memory_mb:6.1f} MB  "
        f"{last.descriptors:3} descriptors  {last.threads} threads  "
        f"{100 * busy:3.0f} % CPU  status {statistics.median(waits):.0f} ms, "
        f"at most {max(waits):.0f} (its neighbour {max(calm):.0f}), "
        f"command {soak.command_ms[-1]:.0f} "
        f"(asking nobody {soak.floor_ms[-1]:.0f})  "
        f"{sum(map(len, traffic.acknowledged.values())):,} acknowledged  "
        f"{last.records:,} held  {soak.attacks.total()} attacks"
    )


def say(line: str) -> None:
    """Progress, for whoever watches."""
    print(line, file=sys.stderr, flush=True)


# -------------------------------------------------------------------- the end


def settle(soak: Soak, traffic: Traffic) -> None:
    """Wait until everything has arrived everywhere, or long enough."""
    deadline = time.monotonic() + SETTLE_S
    while not soak.died and time.monotonic() < deadline:
        held = [{bytes.fromhex(one) for one in n.records()} for n in traffic.nodes]
        if all(traffic.everything <= each for each in held):
            return
        time.sleep(1)


def look_at_the_disks(soak: Soak, traffic: Traffic) -> None:
    """End both nodes and see what they kept."""
    for node in traffic.nodes:
        node.stop()
        store = f"file:{node.home / 'records.sqlite'}?mode=ro"
        with closing(sqlite3.connect(store, uri=True)) as file:
            held = {one for (one,) in file.execute("SELECT id FROM records")}
        mine = set(traffic.acknowledged[node.home])
        soak.lost += len(mine - held)
        soak.undelivered += len(traffic.everything - mine - held)


if __name__ == "__main__":
    sys.exit(main())
