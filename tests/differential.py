"""Compare settlement with the reference: `python -m tests.differential [worlds]`.

Each random campaign is settled twice after every round, and everything that is
decided must be the same: rows, lines, money, reasons and shares. Ten thousand
worlds take about a quarter of an hour; the suite plays a few.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from protocols.settlement.cut import Declared
from protocols.settlement.settle import Settlement, settle
from protocols.testimony import Lookup
from tests.random_worlds import RandomWorld
from tests.reference_settlement import Reference, Result


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the worlds; print the seed of the first that differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("worlds", nargs="?", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    chosen = parser.parse_args(arguments)
    for seed in range(chosen.first, chosen.first + chosen.worlds):
        wrong = difference(seed)
        if wrong:
            again = f"python -m tests.differential 1 --first {seed}"
            print(f"seed {seed}: {wrong}\nreplay: {again}")
            return 1
        if seed % 500 == 499:
            print(f"{seed + 1 - chosen.first:,} worlds agree", file=sys.stderr)
    print(f"{chosen.worlds:,} worlds agree")
    return 0


def difference(seed: int) -> str | None:
    """What the two settlements of this world differ in, or None."""
    world = RandomWorld(seed)
    for rounds, evidence in world.play():
        reference = Reference(world.world.terms, evidence.lookup)
        for number in range(1, len(rounds)):
            reference.settle(rounds[number - 1])
        wrong = compare(reference, rounds, evidence.lookup)
        if wrong:
            return wrong
    return None


def compare(
    reference: Reference, rounds: Sequence[Declared], lookup: Lookup
) -> str | None:
    """What the last round differs in, that the reference settles next; or None."""
    slow, fast = reference.settle(rounds[-1]), settle(reference.terms, rounds, lookup)
    total = fast.earned + fast.residue + fast.unspent
    if total != reference.terms.budget:
        return f"round {fast.round}: {total} of the budget {reference.terms.budget}"
    for name, one in said(fast).items():
        other = told(slow)[name]
        if one != other:
            return (
                f"round {fast.round}: {name}:\n{readable(one)}\n"
                f"reference:\n{readable(other)}"
            )
    return None


def readable(value: Any) -> Any:
    """The same with the beginning of each key and id in hex."""
    match value:
        case bytes():
            return value.hex()[:12]
        case dict():
            return {readable(key): readable(one) for key, one in value.items()}
        case list() | tuple():
            return [readable(one) for one in value]
        case _:
            return value


def said(settled: Settlement) -> dict[str, Any]:
    """What is compared, of a settlement."""
    return {
        "people": {p.root: p.refused for p in settled.admission.persons.values()},
        "rows": list(map(astuple, settled.rows)),
        "refused": [(act.id, reason) for act, reason in settled.refused],
        "grants": [
            (grant.act.id, grant.round, grant.pool, grant.act.person.root)
            for grant in settled.grants
            if grant.act.person
        ],
        "shares": [
            [(s.why.value, s.payee, s.amount, s.withheld) for s in grant.shares]
            for grant in settled.grants
        ],
        "conditions": list(settled.conditions),
        "money": (settled.earned, settled.residue, settled.unspent, settled.last),
        "lines": [(line.payee, line.amount) for line in settled.lines],
    }


def told(result: Result) -> dict[str, Any]:
    """The same of the reference."""
    return {
        "people": result.reasons,
        "rows": result.rows,
        "refused": list(result.refused.items()),
        "grants": [(g.fact.id, g.round, g.pool, g.person) for g in result.grants],
        "shares": [grant.shares for grant in result.grants],
        "conditions": result.conditions,
        "money": (result.earned, result.residue, result.unspent, result.last),
        "lines": result.lines,
    }


if __name__ == "__main__":
    sys.exit(main())
