"""Evidence in any order of arrival: `python -m tests.shufflings [count]`.

A campaign's records, those of its witnesses among them, come in any order, some
of them twice, some first without their claim, and are judged on the way, as on a
node. In the end every close must be judged as if they had come in order, and
what nobody closed must settle to the same statement. Ends with a digest of all
verdicts, which is the same whatever PYTHONHASHSEED.

Ten thousand shufflings take some minutes; the suite plays a few.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256

from protocols.record import Record, without_parts
from protocols.settlement.cut import Declared, Incomplete
from protocols.settlement.verify import Evidence, declare, verify_closes
from protocols.terms import Terms
from tests import cheats
from tests.random_worlds import HonestWorld
from tests.worlds import World

EACH = 20
"""Shufflings of one campaign."""

FRAUDS = (
    cheats.double_close,
    cheats.second_above,
    cheats.statement,
    cheats.finals,
    cheats.omitted,
    cheats.padded,
    cheats.misdated,
    cheats.forks_list,
    cheats.fork,
    cheats.witness_fork,
    cheats.reported_fork,
)


class TemptedWorld(HonestWorld):
    """Its sponsor leaves somebody out of every second cut, or dates her later."""

    def _declare(self, number: int, evidence: Evidence) -> Declared:
        declared = super()._declare(number, evidence)
        if not declared.cut or self.dice.random() < 0.5:
            return declared
        author = self.dice.choice(declared.cut).author
        if self.dice.random() < 0.5:
            return cheats.without(author)(declared)
        return cheats.changed(author, cheats.later)(declared)


def campaign(seed: int) -> World:
    """The whole records of one: frauds that we know, then random ones."""
    if seed < len(FRAUDS):
        return FRAUDS[seed]()
    kind = TemptedWorld if seed % 2 else HonestWorld
    random_world = kind(seed)
    for _ in random_world.closes():
        pass
    return random_world.world


def arrivals(records: Sequence[Record], dice: random.Random) -> list[Record]:
    """The records in an order of arrival, with copies, with and without claims."""
    twice = dice.sample(records, len(records) // 3)
    bare = [without_parts(one, claim=True, note=True) for one in twice]
    found = [*records, *twice, *bare]
    dice.shuffle(found)
    return found


def verdicts(terms: Terms, evidence: Evidence) -> str:
    """All that is decided about a campaign, in one line of text."""
    said = [
        (
            report.close.id.hex(),
            (report.statement.value, str(report.reason), report.detail),
            report.settlement and report.settlement.statement_root.hex(),
            (report.cut.value, report.findings, report.missing),
            (report.not_judged, report.resting),
        )
        for report in verify_closes(terms, evidence)
    ]
    return repr((said, [*_unclosed(terms, evidence)]))


def _unclosed(terms: Terms, evidence: Evidence) -> Iterator[object]:
    """What the evidence says of each round, as if there were no close before."""
    for number in range(1, len(terms.rounds) + 1):
        try:
            closing = declare(terms, number, (), evidence)
        except Incomplete as error:
            yield error.missing
        else:
            yield closing.settlement.statement_root.hex()


def shuffled(seed: int, times: int) -> tuple[str, int | None]:
    """The verdicts on a campaign, and which of its shufflings says another thing."""
    world = campaign(seed)
    expected = verdicts(world.terms, world.evidence())
    for turn in range(times):
        dice = random.Random(f"{seed}/{turn}")
        found = arrivals(world.records, dice)
        looks = dice.sample(range(len(found)), 2)
        evidence = Evidence()
        for place, record in enumerate(found):
            evidence.add(record)
            if place in looks:
                verdicts(world.terms, evidence.snapshot())
        if verdicts(world.terms, evidence) != expected:
            return expected, turn
    return expected, None


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the shufflings; print which is the first that differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.shufflings")
    parser.add_argument("count", nargs="?", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first campaign")
    chosen = parser.parse_args(arguments)
    every = sha256()
    left, seed = chosen.count, chosen.first
    while left > 0:
        said, wrong = shuffled(seed, min(EACH, left))
        if wrong is not None:
            again = f"python -m tests.shufflings {EACH} --first {seed}"
            print(f"campaign {seed}, shuffling {wrong} differs\nreplay: {again}")
            return 1
        every.update(said.encode())
        left, seed = left - EACH, seed + 1
        if seed % 50 == 0:
            print(f"{chosen.count - left:,} shufflings agree", file=sys.stderr)
    print(
        f"{chosen.count:,} shufflings of {seed - chosen.first:,} campaigns agree,"
        f" digest {every.hexdigest()[:16]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
