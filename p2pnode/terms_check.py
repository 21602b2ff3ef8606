"""What terms mean for people who do not trust each other: `campaign check`.

A review is for machines: codes and numbers, in the order of the terms. `cli`
makes the sentences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pnode import typed
from protocols.terms import (
    DAY_MS,
    Act,
    Condition,
    Flat,
    Halving,
    Once,
    Role,
    Stage,
    Terms,
)

if TYPE_CHECKING:
    from protocols.keys import AuthorKey

PAID_LEVELS_SAFE: Final = 3
"""Paying by heads recruited through more levels can be a crime in the PRC."""

SERIAL_GRADE: Final = 2
FRESH_GRADE: Final = 3
FRESH_SPARE_MS: Final = 60_000
"""For gossip and clocks, beside two turns of a witness."""
ATTESTED_GRADE: Final = 5


VAIN: Final = (
    *("rounds-over", "no-reward"),
    *("budget-below-condition", "pool-above-budget"),
)
"""Warnings of terms by which nobody, or less than they say, is paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantees:
    """What the number of witnesses guarantees, and no more."""

    witnesses: int
    faults: int
    """So many may lie or be off."""
    counts_from: int
    """What so many witnesses saw in time counts, whatever the sponsor names."""
    never_below: int
    """What fewer saw never counts; in between the sponsor chooses the finals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:  # noqa: A001  # the word people use
    """Something the sponsor should know before publishing."""

    code: str
    """Kebab-case; never renamed."""
    stage: str = ""
    """Id of the stage it is about; empty: the campaign."""
    key: AuthorKey | None = None
    """The witness it is about."""
    value: int = 0
    """The number that is unusual."""
    name: str = ""
    """The owner it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneGain:
    """What one human gains in a stage by joining under herself.

    Shares of the pool in basis points, rounded down: honest with one key, and
    with as many keys above her own as are paid.
    """

    stage: str
    honest_bp: int
    clones_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Everything `campaign check` says."""

    cost_max: int
    """The most it can cost, in minor units: never above the budget."""
    guarantees: Guarantees
    clone_gains: tuple[CloneGain, ...]
    warnings: tuple[Warning, ...]


def review(terms: Terms, now_ms: int = 0) -> Review:
    """Review valid terms, as they would be published now."""
    return Review(
        cost_max=_cost_max(terms),
        guarantees=Guarantees(
            witnesses=len(terms.witnesses),
            faults=terms.faults,
            counts_from=terms.quorum,
            never_below=terms.faults + 1,
        ),
        clone_gains=tuple(_clone_gains(terms)),
        warnings=(
            *over(terms, now_ms),
            *_witness_warnings(terms),
            *_owner_warnings(terms),
            *_campaign_warnings(terms),
            *(
                warning
                for stage in terms.stages
                for warning in _stage_warnings(terms, stage)
            ),
            *(
                warning
                for condition in terms.conditions
                for warning in _condition_warnings(terms, condition)
            ),
        ),
    )


def over(terms: Terms, now_ms: int) -> Iterator[Warning]:
    """A warning if nothing that is done from now on can count."""
    end = terms.rounds[-1].closes
    if end < now_ms:
        yield Warning(code="rounds-over", value=end)


def _cost_max(terms: Terms) -> int:
    """The budget, or less where every paid act is bounded by the terms."""
    total = 0
    for stage in terms.stages:
        if stage.reward is None:
            continue
        rule = stage.reward.rule
        if not isinstance(rule, Flat) or not rule.first or stage.reward.percent_bp:
            return terms.budget
        total += rule.first * stage.reward.amount
    return min(total, terms.budget)


def _clone_gains(terms: Terms) -> Iterator[CloneGain]:
    levels = min(terms.limits.paid_levels or terms.depth, terms.depth)
    for stage in terms.stages:
        if stage.reward is not None and isinstance(stage.reward.rule, Halving):
            yield CloneGain(
                stage=stage.id,
                honest_bp=5_000,
                clones_bp=10_000 - -(-10_000 // 2 ** min(levels, 64)),
            )


def _witness_warnings(terms: Terms) -> Iterator[Warning]:
    if terms.faults == 0:
        yield Warning(code="one-witness", value=len(terms.witnesses))
    for witness in terms.witnesses:
        party = terms.party(witness.key)
        found = {
            "witness-is-sponsor": witness.key in terms.sponsor,
            "witness-is-payee": witness.key == terms.residue.key,
            "witness-is-host": bool(party and party.role & Role.HOST),
            "witness-is-merchant": bool(party and party.role & Role.MERCHANT),
            "witness-is-device": bool(party and party.role & Role.DEVICE),
        }
        for code, true in found.items():
            if true:
                yield Warning(code=code, key=witness.key)


def _owner_warnings(terms: Terms) -> Iterator[Warning]:
    """Who may be one human under two names of the terms: only names can show it."""
    owners = Counter(_plain(witness.owner) for witness in terms.witnesses)
    said = {_plain(witness.owner): witness.owner for witness in terms.witnesses}
    for owner, count in owners.items():
        if not owner:
            yield Warning(code="no-owner", value=count)
        elif count > 1:
            yield Warning(code="same-owner", name=said[owner], value=count)
        if owner and owner == _plain(terms.residue.name):
            yield Warning(code="owner-is-payee", name=said[owner])
    if terms.residue.key in terms.sponsor:
        yield Warning(code="payee-is-sponsor")


def _plain(name: str) -> str:
    """A name as people take it: without case, width and spaces."""
    return "".join(typed.plain(name).casefold().split())


def _campaign_warnings(terms: Terms) -> Iterator[Warning]:
    rewards = [stage.reward for stage in terms.stages if stage.reward is not None]
    if not rewards:
        yield Warning(code="no-reward")
    levels = terms.limits.paid_levels
    by_referral = any(not isinstance(reward.rule, Flat) for reward in rewards)
    if by_referral and not 1 <= levels <= PAID_LEVELS_SAFE:
        yield Warning(code="paid-levels", value=levels)


def _stage_warnings(terms: Terms, stage: Stage) -> Iterator[Warning]:
    """Warnings about one stage, the costliest first."""
    reward = stage.reward
    fixed = {group.name for group in terms.groups}
    found = {
        "free-keys": _pays_for_keys(stage),
        "photo-is-enough": reward is not None
        and stage.act == Act.SCAN
        and stage.grade < SERIAL_GRADE,
        "issuer-knows-serials": stage.act == Act.SCAN and stage.grade == SERIAL_GRADE,
        "pool-above-budget": reward is not None and reward.amount > terms.budget,
        "tags-not-fixed": stage.tags is not None and stage.tags not in fixed,
    }
    for code, true in found.items():
        if true:
            yield Warning(code=code, stage=stage.id)
    needed = 2 * terms.seen_interval_ms + FRESH_SPARE_MS
    if stage.grade == FRESH_GRADE and stage.late_ms + stage.fresh_ms < needed:
        yield Warning(code="fresh-is-short", stage=stage.id, value=needed // 1_000)
    if stage.late_ms > DAY_MS:
        yield Warning(code="late-is-long", stage=stage.id, value=stage.late_ms)


def _pays_for_keys(stage: Stage) -> bool:
    """Whether a human with more keys earns more, with nobody else's help."""
    return (
        stage.reward is not None
        and stage.grade < ATTESTED_GRADE
        and (stage.once != Once.TAG or stage.tags is None)
    )


def _condition_warnings(terms: Terms, condition: Condition) -> Iterator[Warning]:
    stage = terms.stages[condition.stage]
    if stage.reward and stage.reward.amount * condition.least > terms.budget:
        yield Warning(
            code="budget-below-condition", stage=stage.id, value=condition.least
        )
