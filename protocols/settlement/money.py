"""Pools into shares: floors, remainders, and what is withheld. Spec 0008 §7.

Every amount is an integer of the minor unit. Each share is rounded down; what
is left of a pool is the residue's, never a participant's. `split` shows the
shares of one act; `Accounts` adds up those of all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter

from protocols.keys import AuthorKey
from protocols.settlement.admission import Person
from protocols.settlement.rules import LANE, LANE_BITS, PAID_MAX, lanes, share
from protocols.terms import Limits, Reward

BP = 10_000
"""Basis points in one."""


class Why(StrEnum):
    """Which part of a pool a share is."""

    HOST = "host"
    BACK = "back"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share of one act's pool."""

    payee: AuthorKey
    """A person's root key, or a named host's first key."""
    why: Why
    level: int
    """Member number in the chain, 1 nearest the sponsor; 0 for a host."""
    amount: int
    withheld: bool
    """To the residue: the feed forked at or below the act."""


def pool_of(reward: Reward, amount: int, reversed_amount: int) -> int:
    """B, the pool of one act before the budget, in minor units."""
    if reward.percent_bp:
        return (amount - reversed_amount) * reward.percent_bp // BP
    return reward.amount


def split(
    reward: Reward,
    limits: Limits,
    granted: int,
    actor: Person,
    host: AuthorKey | None,
    *,
    withheld: Collection[Why] = (),
) -> tuple[Share, ...]:
    """Share `granted` of one act; what the shares leave is residue.

    Args:
        reward: the stage's reward.
        limits: the terms' limits (paid levels).
        granted: g, the pool after the budget.
        actor: who did the act, admitted.
        host: whose tag she came through; None: no host's share.
        withheld: which shares go to the residue because the act's feed forked;
            of the chain's only the actor's own.
    """
    found: list[Share] = []
    to_host = granted * reward.host_bp // BP
    back = granted * reward.back_bp // BP
    if host is not None and to_host:
        found.append(
            Share(
                payee=host,
                why=Why.HOST,
                level=0,
                amount=to_host,
                withheld=Why.HOST in withheld,
            )
        )
    chain = actor.chain()
    if back:
        found.append(
            Share(
                payee=actor.root,
                why=Why.BACK,
                level=len(chain),
                amount=back,
                withheld=Why.BACK in withheld,
            )
        )
    rest = granted - to_host - back
    levels = min(limits.paid_levels or PAID_MAX, PAID_MAX)
    for distance, member in enumerate(chain[::-1][:levels]):
        part = share(reward.rule, distance)
        amount = rest * part.numerator // part.denominator
        if amount:
            found.append(
                Share(
                    payee=member.root,
                    why=Why.CHAIN,
                    level=len(chain) - distance,
                    amount=amount,
                    withheld=Why.CHAIN in withheld and member is actor,
                )
            )
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class Accounts:
    """What the shares of all granted acts add up to, without making them."""

    limits: Limits
    pools: int = 0
    """Sum of all granted pools."""
    _direct: dict[AuthorKey, int] = field(default_factory=dict)
    """Shares that need no chain: hosts' and what goes back to actors."""
    _chains: dict[AuthorKey, int] = field(default_factory=dict)
    """Actor's root -> sum of the `lanes` of her acts."""

    def add(
        self,
        reward: Reward,
        granted: int,
        actor: AuthorKey,
        host: AuthorKey | None,
        withheld: Collection[Why],
    ) -> None:
        """Book one act as `split` shares it; `actor` is her root key."""
        self.pools += granted
        rest = granted
        if reward.host_bp:
            to_host = granted * reward.host_bp // BP
            rest -= to_host
            if host is not None and Why.HOST not in withheld:
                self._direct[host] = self._direct.get(host, 0) + to_host
        if reward.back_bp:
            back = granted * reward.back_bp // BP
            rest -= back
            if Why.BACK not in withheld:
                self._direct[actor] = self._direct.get(actor, 0) + back
        chain = lanes(reward.rule, rest, self.limits.paid_levels)
        if withheld and Why.CHAIN in withheld:
            chain -= chain & LANE
        self._chains[actor] = self._chains.get(actor, 0) + chain

    def earned(self, persons: Iterable[Person]) -> dict[AuthorKey, int]:
        """Shares by root or host key: every chain is handed up, level by level.

        Args:
            persons: everybody who was granted anything, and all above them.
        """
        earned, chains = dict(self._direct), dict(self._chains)
        for person in sorted(persons, key=_level, reverse=True):
            chain = chains.get(person.root, 0)
            if chain & LANE:
                earned[person.root] = earned.get(person.root, 0) + (chain & LANE)
            above = person.inviter
            if above is not None and chain > LANE:
                rest = chains.get(above.root, 0) + (chain >> LANE_BITS)
                chains[above.root] = rest
        return earned


_level = attrgetter("level")
