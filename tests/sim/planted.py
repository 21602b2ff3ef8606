"""Bugs planted one at a time, and the seeds that find them.

    python -m tests.sim.planted            # the table of tests/sim/README.md
    python -m tests.sim.planted --nodes 40

Each is what a tired person could write. The simulator must say which invariant
it breaks; a simulator that holds with a bug planted is worth nothing.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import trio

from p2pnode.ports import StoreInDoubt
from p2pnode.services.acts import Acts
from p2pnode.services.feeds import Feeds, Report
from p2pnode.services.library import Library
from p2pnode.services.outbox import Outbox
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.torture.memo import replaced
from p2pnode.swarm.torture.run import Report as SeedReport
from p2pnode.swarm.torture.run import run_seed
from protocols import feed, neighbour, record
from protocols.effects import Step
from protocols.errors import ProtocolError, Reason
from protocols.keys import witness_scope
from protocols.settlement import money, settle
from protocols.testimony import Testimony

Bug = Callable[[], AbstractContextManager[Any]]

SEEDS_MAX = 60
NODES = 12


def lost_acknowledgement() -> AbstractContextManager[Any]:
    """The store says "stored" and stores half a second later."""
    append = MemoryStore.append

    async def early(self: MemoryStore, *batch: Any, **named: Any) -> None:
        async def later() -> None:
            await trio.sleep(0.5)
            await append(self, *batch, **named)

        trio.lowlevel.spawn_system_task(later)
        await trio.lowlevel.checkpoint()

    return patch.object(MemoryStore, "append", early)


def skipped_backlink() -> AbstractContextManager[Any]:
    """A record that follows in number is taken, whatever it is linked to."""

    def check_next(head: feed.Head | None, one: record.Record) -> None:
        expected = 0 if head is None else head.seq + 1
        if one.seq != expected:
            raise ProtocolError(Reason.GAP, "")

    return replaced(feed.check_next, check_next)


def skipped_signature() -> AbstractContextManager[Any]:
    """Nobody looks at the signature of a record."""
    return replaced(record.is_signed, lambda _one: True)


def disordered_lines() -> AbstractContextManager[Any]:
    """The lines of a statement come in another order, as if a set was iterated."""
    lines = settle._lines

    def unordered(*args: Any) -> Any:
        return tuple(reversed(lines(*args)))

    return replaced(lines, unordered)


def other_branch_believed() -> AbstractContextManager[Any]:
    """A witness's later head counts, though it stands on another branch."""

    def believing(
        self: Any, _author: Any, head: Any, time_ms: int, lookup: Any, _walk: Any
    ) -> bool:
        below = lookup(head.id)
        while below is not None:
            self._first_seen.setdefault(below.id, time_ms)
            below = lookup(below.header.backlink)
        return True

    return patch.object(Testimony, "_cover", believing)


def doubtful_commit_trusted() -> AbstractContextManager[Any]:
    """An error of the disk is taken for a success."""

    @contextmanager
    def committing(_self: Feeds) -> Iterator[None]:
        with suppress(StoreInDoubt), trio.CancelScope(shield=True):
            yield

    return patch.object(Feeds, "_committing", committing)


def signed_from_memory() -> AbstractContextManager[Any]:
    """A node built anew goes on from the heads it remembers, not from its disk."""
    load = Feeds._load
    known: dict[Any, Any] = {}

    async def remembering(self: Feeds, scope: Any) -> Any:
        key = (id(vars(self.store)["_disk"]), scope)
        if key not in known:
            known[key] = await load(self, scope)
        return known[key]

    return patch.object(Feeds, "_load", remembering)


def lost_fen() -> AbstractContextManager[Any]:
    """A share that is odd loses a fen on the way."""
    split = money.split

    def careless(*args: Any, **named: Any) -> Any:
        shares = split(*args, **named)
        return tuple(replace(one, amount=one.amount // 2 * 2) for one in shares)

    return replaced(split, careless)


def proof_kept_back() -> AbstractContextManager[Any]:
    """A fork proof that a neighbour sends is dropped."""

    async def ingest_forks(_self: Feeds, *_args: Any) -> Report:
        await trio.lowlevel.checkpoint()
        return Report()

    return patch.object(Feeds, "ingest_forks", ingest_forks)


def unbounded_queue() -> AbstractContextManager[Any]:
    """New records wait for a busy writer, however many they are."""

    news = Outbox.news

    def unbounded(self: Outbox, records: Any, proofs: Any) -> None:
        news(self, records, proofs)
        if self._lagging:
            self._records = [*self._records, *records]

    return patch.object(Outbox, "news", unbounded)


def comparing_stopped() -> AbstractContextManager[Any]:
    """Neighbours compare when they meet, and never again."""
    return patch.object(neighbour.Session, "reconcile", lambda _self: Step())


def half_followed() -> AbstractContextManager[Any]:
    """A campaign counts as followed before all of it is: a bug found by seed 1."""

    async def remember(self: Library, entry: Any) -> None:
        self._entries[entry.campaign] = entry
        if entry.person_index is not None:
            key = self.identity.person_key(entry.campaign, entry.person_index)
            self._feeds.own(key.author)
        for scope in (entry.campaign, witness_scope(entry.campaign)):
            self._watched[scope] = entry.campaign
            await self._feeds.follow(scope)

    return patch.object(Library, "_remember", remember)


def talkative_log() -> AbstractContextManager[Any]:
    """An invite is logged, with its secret."""
    invite = Acts.invite

    async def loud(self: Acts, *args: Any, **named: Any) -> Any:
        link = await invite(self, *args, **named)
        logging.getLogger("p2pnode.services.acts").info("made %s", link)
        return link

    return patch.object(Acts, "invite", loud)


BUGS: dict[str, tuple[Bug, int]] = {
    "lost acknowledgement": (lost_acknowledgement, 1),
    "skipped backlink check": (skipped_backlink, 1),
    "skipped signature check": (skipped_signature, 1),
    "statement lines in another order": (disordered_lines, 1),
    "a later head on another branch believed": (other_branch_believed, 18),
    "an in-doubt commit trusted": (doubtful_commit_trusted, 1),
    "signed from memory after a doubt": (signed_from_memory, 16),
    "a rounding that loses a fen": (lost_fen, 1),
    "a fork proof not passed on": (proof_kept_back, 2),
    "an unbounded queue": (unbounded_queue, 4),
    "a comparison that stops early": (comparing_stopped, 4),
    "a campaign half followed": (half_followed, 2),
    "a secret in the log": (talkative_log, 1),
}
"""Bug -> how it is planted, and a seed of 12 nodes that finds it soon."""


def hunt(bug: Bug, seeds: Iterator[int], nodes: int) -> SeedReport | None:
    """Run seeds with a bug planted until one fails."""
    for seed in seeds:
        with bug():
            report = run_seed(seed, nodes=nodes)
        if not report.held:
            return report
    return None


def main() -> None:
    """Print which checker finds which bug, and after how many seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| planted | found by | first seed that finds it |")
    print("| --- | --- | --- |")
    for name, (bug, _) in BUGS.items():
        if options.only in name:
            report = hunt(bug, iter(range(1, options.seeds + 1)), options.nodes)
            found = f"{report.checker} | {report.seed}" if report else "nobody | -"
            print(f"| {name} | {found} |", flush=True)


if __name__ == "__main__":
    main()
