"""Merchants that cheat, alone and with a friend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from p2pnode.swarm.torture.cheats.cheat import PREPARED_S, Cheat
from p2pnode.swarm.torture.offer import BUY, ORDER, REFUND_S, SEEN_S
from protocols.errors import Reason

if TYPE_CHECKING:
    from protocols.join import Card
    from protocols.keys import AuthorKey
    from protocols.record import Record

BAKER: Final = "baker"
LATER_S: Final = 16.0
"""Longer than witnesses take to see something in calm weather."""


class Merchant(Cheat):
    """A shop that says what did not happen."""

    async def say(
        self, stage: int, who: AuthorKey, amount: int, card: Card | None
    ) -> Record | None:
        """Sign an outcome."""
        made: list[Record] = []

        async def act() -> bool:
            made.append(await self.play.vouch(stage, BAKER, who, amount, card))
            return True

        await self.town.until(act, PREPARED_S)
        return made[0] if made else None

    async def card_of(self, name: str) -> Card | None:
        """What a customer showed at the till."""
        made: list[Card] = []

        async def act() -> bool:
            made.append(await self.play.card(name))
            return True

        await self.town.until(act, PREPARED_S)
        return made[0] if made else None

    async def claim(
        self, who: AuthorKey, amount: int, card: Card | None, reason: Reason
    ) -> None:
        """Sign an outcome that nobody may be paid for."""
        record = await self.say(BUY, who, amount, card)
        if record is not None:
            self.claims.append((record, reason))


class NamesAPuppet(Merchant):
    """Says that a friend bought what nobody did, or what another did.

    What nothing binds to a person is of grade 0.
    """

    async def act(self) -> None:
        """Without a card, with another's card, and with a card used before."""
        plan = self.town.plan
        friend = await self.play.link(plan.sponsor)
        await self.join(plan.crook, friend)
        puppet = self.author(plan.crook)
        await trio.sleep(float(self.town.rng.randrange(20)))
        await self.claim(puppet, 50_000, None, Reason.GRADE)
        buyers = [name for name in plan.people if name not in plan.gone]
        card = await self.card_of(buyers[0])
        if card is not None:
            await self.claim(puppet, 40_000, card, Reason.GRADE)
        twice = await self.card_of(plan.crook)
        if twice is not None:
            await self.say(BUY, twice.author, 30_000, twice)
            await self.claim(twice.author, 30_000, twice, Reason.GRADE)


class ReversesLate(Merchant):
    """Takes back what was sold after the time for that is over."""

    async def act(self) -> None:
        """A sale and an order of an honest customer: both stand."""
        buyers = [n for n in self.town.plan.people if n not in self.town.plan.gone]
        sale = await self.play.deal(BUY, BAKER, buyers[0])
        order = await self.play.deal(ORDER, BAKER, buyers[-1])
        await trio.sleep_until(self.town.plan.calm_s)
        await trio.sleep(REFUND_S + 2 * LATER_S)
        for promise in (sale, order):
            if promise is not None:
                await self.play.refund(BAKER, promise.record, promise.amount)
        one = await self.deadline(SEEN_S)
        await self.finished(one)


class ExceedsCaps(Merchant):
    """Sells a friend more than the terms allow it, in one go and in many."""

    async def act(self) -> None:
        """`judgement` adds up what was granted."""
        plan = self.town.plan
        await self.join(plan.crook, await self.play.link(plan.sponsor))
        for amount in (100_001, 90_000, 90_000, 90_000, 90_000, 90_000, 2**53 - 1):
            card = await self.card_of(plan.crook)
            if card is None:
                continue
            if amount > 100_000:
                await self.claim(card.author, amount, card, Reason.MERCHANT_CAP)
            else:
                await self.say(BUY, card.author, amount, card)
