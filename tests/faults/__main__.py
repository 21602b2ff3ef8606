"""By hand: `python -m tests.faults --help`."""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from tests.faults.disk import calls, mounted
from tests.faults.kills import kill_often
from tests.faults.roles import ROLES
from tests.faults.roles import play as play_role
from tests.faults.workload import RECORDS, Oracle, Story, cuts, play, restart


async def cut_often(seed: int, size: int, some: slice) -> None:
    """Cut the power before changes of the workload, and restart."""
    with mounted() as vfs, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        story, oracle = Story(disk=vfs.disk), Oracle()
        await play(story, vfs, folder, seed, size)
        await oracle.read(story)
        log = story.disk.log
        print(f"seed {seed}: {len(log):,} changes of the disk {calls(log)}")
        start, tried, kept = time.monotonic(), 0, collections.Counter[str]()
        for place, disk in itertools.islice(
            cuts(log), some.start, some.stop, some.step
        ):
            vfs.disk = disk.after_cut(f"{seed}/{place}")
            try:
                after = await restart(story, oracle, place, vfs, folder)
            except BaseException:
                again = f"--seeds {seed} --records {size} --only {place}"
                print(f"  not well; once more: python -m tests.faults {again}")
                raise
            tried += 1
            more = sum(w.begun == -1 for w in after.writes)
            kept[str(more - story.acknowledged(place))] += 1
        print(f"  {tried:,} cuts, all well, in {time.monotonic() - start:.0f} s;")
        print("  unacknowledged writes that were kept:", dict(sorted(kept.items())))


async def cut_roles(seed: int, roles: Sequence[str]) -> None:
    """Cut the power before every change that a role's steps make on its disk."""
    with mounted() as vfs, tempfile.TemporaryDirectory() as name:
        for role in roles:
            start = time.monotonic()
            changes = await play_role(role, None, vfs, Path(name), "")
            for place in range(changes):
                left = f"{seed}/{place}"
                await play_role(role, place, vfs, Path(name), left)
            took = time.monotonic() - start
            print(f"seed {seed}: {role}: {changes} cuts, all well, in {took:.0f} s")


def kill_real_nodes(seed: int, kills: int) -> None:
    """Kill processes under load."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        tally = kill_often(Path(name), kills, seed)
    print(
        f"seed {seed}: {tally.kills} kills, {tally.early} of them while starting,"
        f" in {time.monotonic() - start:.0f} s: all {len(tally.acknowledged):,}"
        f" acknowledged records are at both nodes, {len(tally.places):,} places"
        " were seen, none with two records"
    )


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", type=int, help="the place of one cut")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--kills", type=int, help="kill real nodes instead")
    parser.add_argument("--role", choices=(*ROLES, "all"), help="of a campaign instead")
    args = parser.parse_args()
    if args.role:
        logging.disable()  # each cut is told of
        for seed in args.seeds:
            trio.run(cut_roles, seed, [*ROLES] if args.role == "all" else [args.role])
        return
    if args.kills:
        for seed in args.seeds:
            kill_real_nodes(seed, args.kills)
        return
    some = slice(0, None, args.every)
    if args.only is not None:
        some = slice(args.only, args.only + 1, 1)
    for seed in args.seeds:
        trio.run(cut_often, seed, args.records, some)


if __name__ == "__main__":
    main()
