"""Rules of settlement left out one at a time, each with a cheat that would gain by it.

The checkers of `p2pnode sim --cheat` must notice: else they look at nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from p2pnode.swarm.torture.memo import replaced
from protocols.evidence import Cover
from protocols.settlement import admission, verify
from protocols.settlement.bind import Binder, Bindings
from protocols.settlement.judge import Judge

Fraud = tuple[Callable[[], AbstractContextManager[Any]], str, tuple[str, ...]]


def passes(test: str) -> Callable[[], AbstractContextManager[Any]]:
    """One of settlement's tests lets everything through."""
    return lambda: patch.object(Judge, test, lambda *_: None)


def blind() -> AbstractContextManager[Any]:
    """Nobody compares a cut with what its finals support."""
    return replaced(verify._compare, lambda *_: ())


def trusting() -> AbstractContextManager[Any]:
    """Nobody compares a statement with what follows from the cut."""
    return replaced(verify._difference, lambda *_: (None, ""))


def everything_bound() -> AbstractContextManager[Any]:
    """A merchant's word needs no card."""

    def judge(self: Binder) -> Bindings:
        kinds = self.counted.of(6, 7)  # type: ignore[arg-type]
        return Bindings(bound={item.record.id: None for item in kinds})

    return patch.object(Binder, "judge", judge)


def endless_invites() -> AbstractContextManager[Any]:
    """An invite for one admits everybody."""
    return replaced(admission._spend_invites, lambda _found: None)


def never_misdated() -> AbstractContextManager[Any]:
    """A wrong witness time is taken for a right one."""
    compare = verify._compare

    def careless(declared: Any, supported: Cover) -> Any:
        found = compare(declared, supported)
        return tuple(one for one in found if one.kind != "misdated")

    return replaced(compare, careless)


FRAUDS: dict[str, Fraud] = {
    "omission not looked for": (blind, "omits", ("cheat", "I5")),
    "padding not looked for": (blind, "pads", ("cheat", "I5")),
    "wrong witness times believed": (never_misdated, "misdates", ("cheat", "I5")),
    "statements believed": (trusting, "lies-in-a-root", ("cheat", "I3")),
    "words of merchants unbound": (everything_bound, "names-a-puppet", ("cheat",)),
    "caps of merchants forgotten": (
        passes("_merchant_cap"),
        "exceeds-caps",
        ("cheat",),
    ),
    "serials used twice": (passes("_once"), "steals-serials", ("cheat",)),
    "invites that never end": (endless_invites, "overuses-an-invite", ("cheat",)),
    "grades forgotten": (passes("_grade"), "replays-a-scan", ("cheat", "I3")),
}
"""What is left out -> how, who gains by it, which checkers may notice."""
