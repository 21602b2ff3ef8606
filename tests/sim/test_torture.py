"""The torture simulator: seeds hold, repeat themselves, and find planted bugs."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import subprocess
import sys
from contextlib import closing

import pytest

from cli import sim
from p2pnode.swarm.torture import cheats
from p2pnode.swarm.torture.plan import NODES_MIN, draw
from p2pnode.swarm.torture.roles import CHEAT_NODES_MIN, CHEATS
from p2pnode.swarm.torture.run import Report, run_seed
from tests.sim.frauds import FRAUDS
from tests.sim.planted import BUGS, NODES, hunt

pytestmark = [pytest.mark.sim, pytest.mark.slow]

CPU_S = float(os.environ.get("P2PNODE_SIM_CPU_S", "30"))
"""CPU that the slice of large seeds may take; more by hand."""

SEEDS_MIN, SEEDS_MAX = 3, 10_000
FIRST = int(os.environ.get("P2PNODE_SIM_SEED", "1"))


def words(report: Report) -> str:
    lines = "\n".join(report.trace)
    said = f"{report.checker}: expected {report.expected}; found {report.found}"
    return f"{lines}\n{said}\nTo run it again: {report.command}"


@pytest.mark.long
def test_large_seeds_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """As many seeds of 40 nodes as a few CPU seconds allow; time fails nothing.

    Two at a time, and where no coverage is measured: the small seeds show that.
    """
    spent_s, done = 0.0, 0
    with closing(sim._reports(range(FIRST, FIRST + SEEDS_MAX), 40, jobs=2)) as reports:
        while done < SEEDS_MIN or spent_s < CPU_S:
            report = next(reports)
            assert report.held, words(report)
            spent_s += report.cpu_s
            done += 1
    with capsys.disabled():
        print(f" {done} seeds of 40 nodes held", end="")


@pytest.mark.parametrize("nodes", [NODES_MIN, 9, 13])
def test_small_seeds_hold(nodes: int) -> None:
    report = run_seed(FIRST + nodes, nodes=nodes)
    assert report.held, words(report)


CHEATS_SEEDS = range(FIRST, FIRST + 30)
"""Towns in which somebody cheats, each in another way until all had their turn."""


def test_the_cheats_are_those_that_can_be_drawn() -> None:
    assert [*cheats.KINDS] == ["", *CHEATS]


@pytest.mark.long
def test_somebody_cheats_and_is_found_out() -> None:
    """Two at a time; 2,000 by hand: `p2pnode sim --cheat all --nodes 10 --seeds 77`."""
    names = [*CHEATS]
    plays = [(seed, names[seed % len(names)]) for seed in CHEATS_SEEDS]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        run = functools.partial(sim._run, CHEAT_NODES_MIN)
        for report in pool.imap(run, plays):
            assert report.held, words(report)


@pytest.mark.untraced
def test_who_cheats_is_named_in_the_command() -> None:
    report = run_seed(FIRST, nodes=CHEAT_NODES_MIN, cheat="lies-in-a-root")
    assert report.command.endswith("--nodes 10 --cheat lies-in-a-root")
    assert run_seed(FIRST, nodes=NODES_MIN).command.endswith("--cheat none")


@pytest.mark.parametrize("name", FRAUDS)
def test_a_fraud_that_nobody_finds_is_noticed(name: str) -> None:
    """A node that lets a cheat through is a bug that the checkers must see.

    In the first of a few seeds where the cheat gains by it: weather may spoil it.
    """
    bug, cheat, checkers = FRAUDS[name]
    reports = []
    for seed in range(FIRST, FIRST + 5):
        with bug():
            reports.append(run_seed(seed, nodes=CHEAT_NODES_MIN, cheat=cheat))
        if reports[-1].checker:
            break
    assert reports[-1].checker in checkers, words(reports[-1])


@pytest.mark.parametrize("cheat", ["none", "forks-its-close"])
def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed(cheat: str) -> None:
    command = [sys.executable, "-m", "cli.main", "sim", "--seed", "6", "--nodes", "10"]
    command += ["--cheat", cheat]
    digests = [
        json.loads(
            subprocess.run(
                [*command, "--json"],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                check=True,
            ).stdout
        )["digest"]
        for hash_seed in "01"
    ]
    assert digests[0] == digests[1]


def test_a_plan_comes_from_its_seed_alone() -> None:
    assert draw(5, 40) == draw(5, 40)
    assert draw(5, 40) != draw(6, 40)


LONGEST = {
    "a later head on another branch believed",
    "signed from memory after a doubt",
    "a fork proof not passed on",
    "a comparison that stops early",
    "a campaign half followed",
}
"""Bugs that only the end of a play shows."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.untraced] * (name in LONGEST))
        for name in BUGS
    ],
)
def test_a_planted_bug_is_found(name: str) -> None:
    """By the seed that is known to; if the code moved, by one of the next."""
    bug, known = BUGS[name]
    report = hunt(bug, iter(range(known, known + 40)), NODES)
    assert report is not None
    assert (report.checker, report.command) != ("", "")
