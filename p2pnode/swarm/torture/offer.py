"""The terms that the town plays by: what is paid for, and to whom."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from p2pnode.swarm.simulation import EPOCH_MS, NETWORK
from protocols.terms import (
    Act,
    Caps,
    Condition,
    Count,
    Flat,
    Group,
    Halving,
    Limits,
    Line,
    Once,
    Party,
    Residue,
    Reward,
    Role,
    Round,
    Stage,
    Terms,
    Witness,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnode.swarm.torture.plan import Plan
    from protocols.keys import AuthorKey

ROUND_S: Final = 40
ROUNDS: Final = 12
ACCEPT_S: Final = 10
"""How long after a round's end its records are accepted."""
FINAL_S: Final = 12
"""How long after a round's end witnesses finish it."""
SEEN_S: Final = 12
FOUND: Final = 333_333
"""The pool of a balloon: no half of it is even."""
GREETED: Final = 1_001
"""The pool of a greeting, the greeted person's alone."""
PERCENT_BP: Final = 777
BACK_BP: Final = 1_000
REFUND_S: Final = 25
"""How long an order can be refunded."""
FIND, BUY, GREET, ORDER = 0, 1, 2, 3
"""The stages, by index."""


def make_terms(
    plan: Plan, author: Callable[[str], AuthorKey], tags_root: bytes
) -> Terms:
    """The terms of a seed's campaign.

    Args:
        plan: the seed's parts.
        author: the author key of a node.
        tags_root: of the balloons.
    """
    shops = sorted(map(author, plan.shops))
    witnesses = sorted(map(author, plan.witnesses))
    return Terms(
        title="torture",
        network=NETWORK,
        nonce=sha256(f"nonce {plan.seed}".encode()).digest()[:16],
        unit="CNY",
        budget=plan.balloons * FOUND + 10_000,
        sponsor=(author(plan.sponsor),),
        witnesses=tuple(Witness(key=key, owner="shop") for key in witnesses),
        rounds=tuple(_round(number) for number in range(ROUNDS)),
        seen_interval_ms=1_000 * SEEN_S,
        redeem_until=EPOCH_MS + 90 * 86_400_000,
        residue=Residue(key=author(plan.charity), name="charity"),
        named=tuple(_merchant(key) for key in shops),
        groups=(Group(name="balloons", count=plan.balloons, root=tags_root),),
        stages=STAGES,
        conditions=(Condition(stage=FIND, count=Count.DISTINCT_TAGS, least=1),),
        limits=Limits(paid_levels=0, per_person_per_day=0, place_interval_ms=0),
        caps=Caps(
            feeds=plan.feeds_max,
            records_per_feed=200,
            bytes_per_feed=1 << 18,
            named_records_per_feed=2_000,
            named_bytes_per_feed=1 << 22,
        ),
        join_bits=plan.join_bits,
        depth=64,
        day_offset_min=480,
    )


def _round(number: int) -> Round:
    end = EPOCH_MS + (number + 1) * ROUND_S * 1_000
    return Round(
        opens=EPOCH_MS,
        closes=end,
        accept_until=end + 1_000 * ACCEPT_S,
        final_from=end + 1_000 * FINAL_S,
    )


def _merchant(key: AuthorKey) -> Party:
    return Party(
        keys=(key,),
        role=Role.MERCHANT,
        name="shop",
        amount_max=100_000,
        per_day_max=400_000,
        total_max=400_000,
    )


def _stage(name: str, act: Act, reward: Reward, refund_s: int = 0) -> Stage:
    scan = act is Act.SCAN
    return Stage(
        id=name,
        line=Line.OFFLINE,
        act=act,
        tags="balloons" if scan else None,
        grade=2 if scan else 5,
        once=Once.TAG if scan else Once.NEVER,
        after=(),
        opens=0,
        closes=0,
        late_ms=0,
        fresh_ms=0,
        per_window=0,
        refund_ms=1_000 * refund_s,
        bind_ms=0,
        reward=reward,
    )


_PERCENT: Final = Reward(
    rule=Halving(), amount=0, percent_bp=PERCENT_BP, host_bp=0, back_bp=BACK_BP
)

STAGES: Final = (
    _stage(
        "find",
        Act.SCAN,
        Reward(rule=Halving(), amount=FOUND, percent_bp=0, host_bp=0, back_bp=0),
    ),
    _stage("buy", Act.OUTCOME, _PERCENT),
    _stage(
        "greet",
        Act.ATTEST,
        Reward(rule=Flat(first=0), amount=GREETED, percent_bp=0, host_bp=0, back_bp=0),
    ),
    _stage("order", Act.OUTCOME, _PERCENT, REFUND_S),
)
