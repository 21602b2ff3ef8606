"""Reward rules: how one pool is shared along the actor's chain. Spec 0008 §7.

A rule gives each member an exact share of the pool; floors and remainders are
`money`'s. Both rules paid so far look only at how far a member stands above
the actor, so a longer chain changes nobody's share.
"""

from __future__ import annotations

from fractions import Fraction

from protocols.errors import ProtocolError, Reason
from protocols.terms import Flat, Halving, Rule


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
