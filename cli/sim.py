"""`p2pnode sim`: whole nodes tortured in a simulated world, one seed at a time."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from cli import frame, output, params
from cli.i18n import _
from p2pnode.swarm.torture.roles import CHEAT_NODES_MIN, CHEATS

if TYPE_CHECKING:
    from p2pnode.swarm.torture.run import Report

NODES_MIN: Final = 8
NODES: Final = 40


@frame.command(
    "sim",
    _("Run a seeded simulation."),
    example="p2pnode sim --seed 7 --nodes 40\n"
    "p2pnode sim --seed 1 --seeds 1000 --nodes 40 --jobs 2",
)
@click.option("--seed", default=1, show_default=True, help=_("The first seed."))
@click.option(
    "--seeds",
    type=params.Whole(1),
    default=1,
    show_default=True,
    help=_("How many seeds, one after another."),
)
@click.option(
    "--nodes",
    type=params.Whole(NODES_MIN, 400),
    default=NODES,
    show_default=True,
    help=_("Nodes in the simulated world."),
)
@click.option(
    "--cheat",
    type=click.Choice([*CHEATS, "all", "none"]),
    metavar="NAME",
    help=_("How somebody cheats: a name, all or none; the seed says if not given."),
)
@click.option(
    "--jobs",
    type=params.Whole(1, 256),
    default=1,
    show_default=True,
    help=_("Seeds that run at once, each in a process of its own."),
)
def command(
    seed: int,
    seeds: int,
    nodes: int,
    cheat: str | None,
    jobs: int,
    *,
    as_json: bool,
) -> None:
    """Run seeds, say of each whether all invariants held; 1 if one did not."""
    if cheat not in (None, "none") and nodes < CHEAT_NODES_MIN:
        raise click.UsageError(
            _("With a cheat there are at least {least} nodes.").format(
                least=CHEAT_NODES_MIN
            )
        )
    count, failed, numbers = 0, 0, range(seed, seed + seeds)
    with closing(_reports(numbers, nodes, jobs, _cheats(cheat))) as reports:
        for report in reports:
            if as_json:
                output.document("sim", _body(report))
            else:
                _say(report)
            output.finish()
            count += 1
            failed += not report.held
    if not as_json and count > 1:
        output.say(
            _("{held} of {count} seeds held.").format(held=count - failed, count=count)
        )
    if failed:
        raise click.exceptions.Exit(1)


def _cheats(name: str | None) -> tuple[str | None, ...]:
    """How somebody cheats in each seed, one after the other."""
    if name == "all":
        return tuple(CHEATS)
    return ("" if name == "none" else name,)


def _reports(
    seeds: range, nodes: int, jobs: int, cheats: Sequence[str | None] = (None,)
) -> Generator[Report]:
    """Run the seeds, in order, in as many processes as wanted."""
    from p2pnode.swarm.torture.run import run_seed

    plays = [(seed, cheat) for seed in seeds for cheat in cheats]
    if jobs == 1:
        for seed, cheat in plays:
            yield run_seed(seed, nodes=nodes, cheat=cheat)
        return
    run = functools.partial(_run, nodes)
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(plays))) as pool:
        yield from pool.imap(run, plays)


def _run(nodes: int, play: tuple[int, str | None]) -> Report:
    """One seed and cheat, in a process of its own."""
    from p2pnode.swarm.torture.run import run_seed

    return run_seed(play[0], nodes=nodes, cheat=play[1])


def _body(report: Report) -> dict[str, object]:
    return {**asdict(report), "held": report.held, "command": report.command}


def _say(report: Report) -> None:
    line = _(
        "Seed {seed}, {cheat}: {verdict}, {nodes} nodes, {time} s, trace {digest}"
    ).format(
        seed=report.seed,
        cheat=report.cheat or _("nobody cheats"),
        verdict=_("held")
        if report.held
        else _("{checker} BROKEN").format(checker=report.checker),
        nodes=report.nodes,
        time=report.virtual_s,
        digest=report.digest[:16],
    )
    output.say(line, colour="" if report.held else "red")
    if report.held:
        return
    output.say(_("The last that happened:"))
    output.say(*(f"  {one}" for one in report.trace))
    output.say(_("Expected: {text}").format(text=report.expected))
    output.say(_("Found: {text}").format(text=report.found))
    output.say(_("To run it again: {command}").format(command=report.command))
