"""Reward rules: how one pool is shared along the actor's chain. Spec 0008 §7.

A rule gives each member an exact share of the pool; floors and remainders are
`money`'s. Member 1 is nearest the sponsor, member n did the act.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from protocols.errors import ProtocolError, Reason
from protocols.limits import CHAIN_MAX
from protocols.terms import Flat, Halving, Rule


@lru_cache(maxsize=CHAIN_MAX)
def shares(rule: Rule, members: int) -> tuple[Fraction, ...]:
    """The exact shares of a pool of 1, for members 1..n in this order.

    They add up to at most 1.

    Args:
        rule: the stage's rule.
        members: n, the persons in the actor's chain, at least 1.

    Raises:
        ProtocolError: BAD_TERMS for a rule that is reserved but not yet paid.
    """
    match rule:
        case Flat():
            return (*(Fraction(0) for _ in range(members - 1)), Fraction(1))
        case Halving():
            return tuple(Fraction(1, 2**k) for k in range(members, 0, -1))
        case _:
            raise ProtocolError(Reason.BAD_TERMS, f"rule {rule.tag} is reserved")


def is_paid(rule: Rule) -> bool:
    """Whether this version settles the rule."""
    return isinstance(rule, Flat | Halving)
