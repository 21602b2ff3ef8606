"""Reward rules: how one pool is shared along the actor's chain. Spec 0008 §7.

A rule gives each member an exact share of the pool; floors and remainders are
`money`'s. Both rules paid so far look only at how far a member stands above
the actor, so a longer chain changes nobody's share.

Each rule is said twice, and both must agree: `share` is the rule itself, for one
act that somebody asks about; `lanes` is a whole chain at once, for the accounts.
"""

from __future__ import annotations

from fractions import Fraction

from protocols.errors import ProtocolError, Reason
from protocols.limits import INT_MAX
from protocols.terms import Flat, Halving, Rule

LANE_BITS = 64
"""One level of a chain in `lanes`: no sum of shares comes near 2^64."""

LANE = 2**LANE_BITS - 1


def share(rule: Rule, distance: int) -> Fraction:
    """The exact share of a pool of 1 for one member of the chain.

    Over all distances from 0 the shares add up to at most 1.

    Args:
        rule: the stage's rule.
        distance: 0 for the actor, 1 for her inviter, and so on up.

    Raises:
        ProtocolError: BAD_TERMS for a rule that is reserved but not yet paid.
    """
    match rule:
        case Flat():
            return Fraction(distance == 0)
        case Halving():
            return Fraction(1, 2 ** (distance + 1))
        case _:
            raise ProtocolError(Reason.BAD_TERMS, f"rule {rule.tag} is reserved")


def lanes(rule: Rule, pool: int, levels: int) -> int:
    """Every share of a pool, rounded down, in one integer.

    Lane d, bits 64d to 64d+63, is what the member d above the actor gets. Such
    integers add up lane by lane: no share and no sum of shares exceeds a budget.

    Args:
        rule: the stage's rule.
        pool: what the chain shares, at most INT_MAX.
        levels: how many members are paid; 0: all.

    Raises:
        ProtocolError: as `share`.
    """
    match rule:
        case Flat():
            return pool
        case Halving():
            depth = pool.bit_length()
            depth = min(depth, levels) if levels else depth
            # The pool 63 bits apart, each copy one bit lower in its lane than the
            # one before: halved once more. What was shifted out of a lane stands
            # in the high bits of the lane below, where the mask removes it.
            return (pool * _COPIES[depth] >> 1) & _HALVES[depth]
        case _:
            share(rule, 0)
            raise AssertionError("a rule with shares has lanes")


PAID_MAX = INT_MAX.bit_length()
"""How many members of a chain get anything, at most: further halves are nothing."""

# Made once: by how many members of the chain get anything.
_COPIES = tuple(
    sum(1 << (LANE_BITS - 1) * lane for lane in range(depth))
    for depth in range(PAID_MAX + 1)
)
_HALVES = tuple(
    sum((INT_MAX >> lane + 1) << LANE_BITS * lane for lane in range(depth))
    for depth in range(PAID_MAX + 1)
)
