"""One seed from its plan to its report."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.testing

from p2pnode.services import outbox
from p2pnode.swarm.simulation import scheduler_seeded
from p2pnode.swarm.torture import checks as checking
from p2pnode.swarm.torture import money
from p2pnode.swarm.torture.checks import Checks
from p2pnode.swarm.torture.judgement import Scene, judge
from p2pnode.swarm.torture.memo import remembered, replaced, set_to
from p2pnode.swarm.torture.oracle import Oracle
from p2pnode.swarm.torture.plan import draw
from p2pnode.swarm.torture.play import Play
from p2pnode.swarm.torture.town import Town
from protocols import record as records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pnode.services.closing import Verified

AGREE_S: Final = 300.0
"""How long after the close all must hold and say the same."""

VERIFIED_S: Final = 60.0

NEWBORN: Final = "newborn"
"""Who is born when all is over, and hears of it from others."""

SMALL: Final = {"LAG_RECORDS_MAX": 40, "BATCH_SECONDS": 0.1}
"""Limits of links: small ones are met often, larger batches take less time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one seed."""

    seed: int
    nodes: int
    cheat: str
    """How somebody cheated; "": nobody did."""
    checker: str
    """"" if all invariants held."""
    expected: str
    found: str
    digest: str
    """Of the trace: the same for the same seed."""
    trace: tuple[str, ...]
    """Its last lines."""
    lines: int
    virtual_s: float
    cpu_s: float

    @property
    def held(self) -> bool:
        """Whether all invariants held."""
        return not self.checker

    @property
    def command(self) -> str:
        """What runs this seed again."""
        cheat = self.cheat or "none"
        return f"p2pnode sim --seed {self.seed} --nodes {self.nodes} --cheat {cheat}"


class _Logs(logging.Handler):
    """Keeps what the services log, and the faults among it."""

    def __init__(self, checks: Checks) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._checks = checks

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.lines.append(text)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None or "AssertionError" in text:
            self._checks.breach(
                "errors", "no fault in any service", f"{text}: {error!r}"
            )


def run_seed(seed: int, *, nodes: int, cheat: str | None = None) -> Report:
    """Torture `nodes` nodes as this seed says, and report.

    Args:
        seed: all chance comes from it.
        nodes: how many there are.
        cheat: as `draw` takes it.
    """
    began = time.process_time()
    world: list[Town] = []

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            checks = Checks(plan.honest, nursery.cancel_scope.cancel)
            judged.append(checks)
            town = Town(plan, nursery, checks.watch)
            world.append(town)
            checks.settle_in(town)
            with _logs(checks) as logs, _signings(checks):
                await _life(town, checks)
                checking.check_logs(checks, town, logs.lines)
            nursery.cancel_scope.cancel()
        return trio.current_time()

    plan = draw(seed, nodes, cheat)
    judged: list[Checks] = []
    virtual_s, error = 0.0, ""
    with scheduler_seeded(seed), remembered(), set_to(outbox, **SMALL):
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            virtual_s = trio.run(main, clock=clock)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is reported
            error = repr(_first(fault))
    broken, town = judged[0].broken, world[0]
    if error and broken is None:
        broken = checking.Broken(
            checker="errors", expected="no fault in any service", found=error
        )
    return Report(
        seed=seed,
        nodes=nodes,
        cheat=plan.cheat,
        checker=broken.checker if broken else "",
        expected=broken.expected if broken else "",
        found=broken.found if broken else "",
        digest=town.trace.digest,
        trace=tuple(town.trace.last),
        lines=town.trace.lines,
        virtual_s=round(virtual_s, 3),
        cpu_s=round(time.process_time() - began, 3),
    )


async def _life(town: Town, checks: Checks) -> None:
    """The play, and what must hold when it is over."""
    town.nursery.start_soon(checks.pulse)
    play = Play(town, checks.begin)
    if not await play.run():
        what = "a close" if not play.campaign.busy else "everybody to have acted"
        checks.breach("live", f"{what} after the healing", f"{play.campaign.busy} busy")
    if town.plan.cheat:
        await play.cheat.after()
        _newborn(town, checks, play)
    assert play.campaign.id is not None
    scopes = checking.scopes_of(play.campaign.id, street=town.plan.has_street)

    async def agreed() -> bool:
        if checking.differing(checks, town, compared):
            return False
        return play.cheat.converges or not checking.absent(checks, town, scopes)

    # A flood beyond the caps leaves each node with other joins of the flooder's.
    compared = scopes if play.cheat.converges else scopes[1:]
    if not await town.until(agreed, AGREE_S):
        found = checking.differing(checks, town, compared)
        checks.breach("I4", "equal frontiers after the healing", found)
    town.note("agreed")
    checking.check_stores(checks, town, scopes)
    checking.check_forks(checks, town, scopes)
    await _settle(town, checks, play)


def _newborn(town: Town, checks: Checks, play: Play) -> None:
    """Have somebody be born who knows only what one honest node tells."""
    checks.shown[NEWBORN] = {}
    here = [name for name in town.plan.honest if not town.homes[name].is_gone]
    town.born(NEWBORN, town.rng.choice(here))
    town.nursery.start_soon(play.follow, NEWBORN)


async def _settle(town: Town, checks: Checks, play: Play) -> None:
    """Have every node verify the closes: all must say the same, and be right."""
    said: dict[str, Verified] = {}

    async def one(name: str) -> None:
        found = await _verified(town, checks, play, name)
        if found is not None:
            said[name] = found
            if town.plan.sponsor in checks.shown:
                money.check_honest(checks, name, found)

    async with trio.open_nursery() as nursery:  # what one fetches, others find there
        for name in checks.shown:
            if not town.homes[name].is_gone:
                nursery.start_soon(one, name)
    said = {
        name: said[name] for name in sorted(said) if town.homes[name].node is not None
    }
    views = {name: await play.view(name) for name in said}
    for name, found in said.items():
        roots = [report.claim.statement_root.hex()[:8] for report in found.reports]
        town.note(f"paid {roots} at {name}")
        money.check_sums(checks, views[name], found.reports)
    held = [record for name in said for record in town.homes[name].records]
    oracle = Oracle(next(iter(views.values())).terms, held)
    judge(Scene(play=play, checks=checks, views=views, oracle=oracle, found=said))


async def _verified(
    town: Town, checks: Checks, play: Play, name: str
) -> Verified | None:
    """What a node says of the closes; None if it leaves for ever meanwhile."""
    found: list[Verified] = []
    home, closes = town.homes[name], play.cheat.closes

    async def act() -> bool:
        if home.is_gone:
            return True
        view = await play.view(name)
        found.append(await town.node(name).books.verified(view))
        return bool(found[-1].reports or not closes) and not found[-1].missing

    done = await town.until(act, VERIFIED_S)
    if home.is_gone:
        return None
    if not found or (closes and not found[-1].reports):
        checks.breach("I4", "the closes at every node", f"none at {name}: {done}")
        await trio.sleep_forever()
    return found[-1]


@contextmanager
def _logs(checks: Checks) -> Iterator[_Logs]:
    """Catch what all services log."""
    handler, root = _Logs(checks), logging.getLogger("p2pnode")
    before = root.level, root.propagate
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        root.propagate = before[1]


@contextmanager
def _signings(checks: Checks) -> Iterator[None]:
    """Tell the checkers of every record that is signed."""
    sign = records.sign_record

    def signing(*args: Any, **named: Any) -> Any:
        record = sign(*args, **named)
        checks.signed(record)
        return record

    with replaced(sign, signing):
        yield


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
