"""What must hold of the money: I2, I3, and what witnesses must have covered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pnode.swarm.torture.offer import (
    BACK_BP,
    FIND,
    FOUND,
    GREET,
    GREETED,
    PERCENT_BP,
)
from protocols.settlement.money import Why
from protocols.settlement.verify import Verdict, declared_chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.services.closing import Verified
    from p2pnode.services.library import View
    from p2pnode.swarm.torture.checks import Checks
    from protocols.settlement.cut import Declared
    from protocols.settlement.judge import Grant
    from protocols.settlement.settle import Settlement
    from protocols.settlement.verify import CloseReport

BP = 10_000


def answer(report: CloseReport) -> tuple[object, ...]:
    """Everything that nodes with the same evidence must say alike of a close."""
    settled = report.settlement
    return (
        report.statement,
        report.reason,
        report.cut,
        report.findings,
        settled and settled.statement_root,
        settled and settled.rows_root,
        settled and settled.lines,
    )


def check_honest(checks: Checks, name: str, found: Verified) -> None:
    """I2: an honest sponsor's closes are right for everybody."""
    for report in found.reports:
        if report.statement is not Verdict.OK or report.cut is not Verdict.OK:
            checks.breach(
                "I2",
                f"round {report.claim.round} to verify at {name}",
                f"{report.statement}, cut {report.cut}: {report.reason}"
                f" {report.detail} {report.findings[:1]}",
            )


def check_sums(checks: Checks, view: View, reports: Sequence[CloseReport]) -> None:
    """I3: every share is what the rule says, and not a fen is lost or made."""
    for report in reports:
        settlement = report.settlement
        if settlement is None:
            continue
        payees = [line.payee for line in settlement.lines]
        if payees != sorted(payees):
            checks.breach("I2", "lines in the order of their payees", "another order")
        declared = declared_chain(view.terms, report.close, view.evidence)
        met = all(settlement.conditions)
        pools = sum(grant.pool for grant in settlement.grants) if met else 0
        kept = settlement.residue + settlement.earned
        _equal(checks, "earned and residue", kept, pools)
        whole = kept + settlement.unspent
        _equal(checks, "earned, residue and unspent", whole, view.terms.budget)
        for grant in settlement.grants:
            _check_grant(checks, grant)
        _check_lines(checks, settlement, declared, met=met)


def _check_grant(checks: Checks, grant: Grant) -> None:
    """The shares of one act, worked out by halving over and over."""
    fixed = {FIND: FOUND, GREET: GREETED}.get(grant.act.stage_index)
    pool = grant.act.amount * PERCENT_BP // BP if fixed is None else fixed
    back = grant.pool * BACK_BP // BP if fixed is None else 0
    if not 0 <= grant.pool <= pool:
        checks.breach("I3", f"a pool of at most {pool}", str(grant.pool))
    person = grant.act.person
    assert person is not None
    shared = grant.pool - back
    if grant.act.stage_index == GREET:
        wanted = [(person.root, shared)]
    else:
        chain = enumerate(person.chain()[::-1])
        wanted = sorted((m.root, shared >> n + 1) for n, m in chain if shared >> n + 1)
    got = sorted((s.payee, s.amount) for s in grant.shares if s.why is Why.CHAIN)
    if got != wanted:
        amounts = [amount for _, amount in got]
        checks.breach("I3", f"shares {[a for _, a in wanted]}", f"{amounts}")
    _equal(
        checks,
        "what comes back",
        sum(s.amount for s in grant.shares if s.why is Why.BACK),
        back,
    )


def _check_lines(
    checks: Checks, settlement: Settlement, declared: Sequence[Declared], *, met: bool
) -> None:
    """The lines of all closes pay out the shares that are not withheld."""
    shares = [s for grant in settlement.grants for s in grant.shares if met]
    _equal(
        checks,
        "earned",
        settlement.earned,
        sum(share.amount for share in shares if not share.withheld),
    )
    before = sum(line.amount for one in declared[:-1] for line in one.lines)
    paid = before + sum(line.amount for line in settlement.lines)
    due = settlement.earned + (settlement.residue if settlement.last else 0)
    _equal(checks, "paid by all closes", paid, due)


def _equal(checks: Checks, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        checks.breach("I3", f"{what}: {wanted}", str(found))
