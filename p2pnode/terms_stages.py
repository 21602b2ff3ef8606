"""Stages and conditions of a terms file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from p2pnode import terms_faults as faults
from protocols.limits import AFTER_MAX
from protocols.terms import (
    Act,
    After,
    Condition,
    Count,
    Flat,
    Group,
    Halving,
    Line,
    Once,
    Reward,
    Rule,
    Stage,
)

if TYPE_CHECKING:
    from p2pnode.toml_table import Table

STAGE_KEYS: Final = (
    "id",
    "line",
    "act",
    "tags",
    "grade",
    "once",
    "after",
    "opens",
    "closes",
    "late",
    "fresh",
    "per_window",
    "refund",
    "bind",
    "reward",
)
REWARD_KEYS: Final = (
    "rule",
    "amount",
    "first",
    "amount_from",
    "percent_bp",
    "host_bp",
    "back_bp",
)
COUNTS: Final = {
    "distinct_tags": Count.DISTINCT_TAGS,
    "acts": Count.ACTS,
    "persons": Count.PERSONS,
}
CONDITION_KEYS: Final = ("stage", *COUNTS)

LINES: Final = {"online": Line.ONLINE, "offline": Line.OFFLINE}
ACTS: Final = {
    "join": Act.JOIN,
    "scan": Act.SCAN,
    "attest": Act.ATTEST,
    "outcome": Act.OUTCOME,
}
ONCES: Final = {
    "never": Once.NEVER,
    "tag": Once.TAG,
    "person": Once.PERSON,
    "person-tag": Once.PERSON_TAG,
    "person-day": Once.PERSON_DAY,
}
WHOSE: Final = {"self": False, "invitee": True}
LATER_RULES: Final = (
    "geometric",
    "double_geometric",
    "almost_uniform",
    "pachira",
    "fair_split",
)
"""Rules of the protocol that this version does not settle yet."""


def read_stages(tables: Sequence[Table]) -> tuple[Stage, ...]:
    """Read the stages in the file's order.

    Raises:
        FileFault: with file, line, key and cure.
    """
    stages: list[Stage] = []
    for table in tables:
        stage = _stage(table, [stage.id for stage in stages])
        stages.append(stage)
    return tuple(stages)


def read_conditions(
    tables: Sequence[Table], stages: Sequence[Stage], groups: Sequence[Group]
) -> tuple[Condition, ...]:
    """Read the conditions in the file's order.

    Raises:
        FileFault: with file, line, key and cure.
    """
    return tuple(_condition(table, stages, groups) for table in tables)


def _stage(table: Table, before: Sequence[str]) -> Stage:
    name = table.text("id", bytes_max=64)
    if name in before:
        raise table.fault(faults.same_stage(name), "id")
    act = table.word("act", ACTS)
    tags = table.text("tags") if "tags" in table else None
    if act == Act.SCAN and tags is None:
        raise table.fault(faults.scan_without_tags(), "tags")
    refund_ms = table.duration("refund", "0s")
    if refund_ms and act != Act.OUTCOME:
        raise table.fault(faults.refund_of_no_outcome(), "refund")
    opens, closes = table.time("opens", 0), table.time("closes", 0)
    if closes and closes <= opens:
        raise table.fault(faults.stage_closes_first(), "closes")
    return Stage(
        id=name,
        line=table.word("line", LINES),
        act=act,
        tags=tags,
        grade=table.whole("grade", high=7),
        once=table.word("once", ONCES),
        after=_after(table, before),
        opens=opens,
        closes=closes,
        late_ms=table.duration("late", "0s"),
        fresh_ms=table.duration("fresh", "1m"),
        per_window=table.whole("per_window", 0, high=1_000_000),
        refund_ms=refund_ms,
        bind_ms=table.duration("bind", "1d"),
        reward=_reward(table, act) if "reward" in table else None,
    )


def _after(table: Table, before: Sequence[str]) -> tuple[After, ...]:
    """`after`: ids of earlier stages, or { stage = id, by = "invitee" }."""
    values = table.values("after")
    if len(values) > AFTER_MAX:
        raise table.fault(faults.too_many_after(AFTER_MAX), "after")
    found: list[After] = []
    for index, value in enumerate(values):
        plain = {"stage": value} if isinstance(value, str) else value
        item = table.nested(plain, ("after", index), ("stage", "by"))
        name = item.text("stage")
        if name not in before:
            raise table.fault(faults.no_earlier_stage(name), "after", index)
        by_invitee = item.word("by", WHOSE, "self")
        found.append(After(stage=before.index(name), by_invitee=by_invitee))
    return tuple(found)


def _reward(stage: Table, act: Act) -> Reward:
    table = stage.table("reward", REWARD_KEYS)
    rule = _rule(table)
    share = "percent_bp" in table or "amount_from" in table
    if share == ("amount" in table):
        raise table.fault(faults.amount_or_share())
    if share and act != Act.OUTCOME:
        raise table.fault(faults.share_of_no_outcome(), "percent_bp")
    if share:
        table.word("amount_from", {"outcome": True})
    host_bp = table.whole("host_bp", 0, high=10_000)
    back_bp = table.whole("back_bp", 0, high=10_000)
    if host_bp + back_bp > 10_000:
        raise table.fault(faults.more_than_all(), "host_bp")
    return Reward(
        rule=rule,
        amount=0 if share else table.whole("amount", low=1),
        percent_bp=table.whole("percent_bp", low=1, high=10_000) if share else 0,
        host_bp=host_bp,
        back_bp=back_bp,
    )


def _rule(table: Table) -> Rule:
    name = table.text("rule")
    if name in LATER_RULES:
        raise table.fault(faults.rule_not_available(name), "rule")
    flat = table.word("rule", {"flat": True, "halving": False})
    if flat:
        return Flat(first=table.whole("first", 0))
    if "first" in table:
        raise table.fault(faults.first_of_flat(), "first")
    return Halving()


def _condition(
    table: Table, stages: Sequence[Stage], groups: Sequence[Group]
) -> Condition:
    names = [stage.id for stage in stages]
    name = table.text("stage")
    if name not in names:
        raise table.fault(faults.no_stage_named(name), "stage")
    counts = [word for word in COUNTS if word in table]
    if len(counts) != 1:
        raise table.fault(faults.one_count(tuple(COUNTS)))
    word = counts[0]
    least = table.whole(word, low=1, high=2**20)
    if COUNTS[word] == Count.DISTINCT_TAGS:
        _check_tags(table, stages[names.index(name)].tags, groups, least)
    return Condition(stage=names.index(name), count=COUNTS[word], least=least)


def _check_tags(
    table: Table, tags: str | None, groups: Sequence[Group], least: int
) -> None:
    """A condition counts tags of a group that the terms fix, and has so many."""
    group = next((group for group in groups if group.name == tags), None)
    if group is None:
        raise table.fault(faults.group_not_fixed(tags or ""), "stage")
    if least > group.count:
        raise table.fault(faults.too_many_tags(least, group.count), "distinct_tags")
