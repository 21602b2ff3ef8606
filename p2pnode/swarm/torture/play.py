"""The play: a campaign from its terms to what everybody is paid.

All act through their own nodes, as people do, and try again when a node is down
or lacks something. What the plan has in store happens meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.failures import Failure
from p2pnode.services.feeds import Draft
from p2pnode.swarm.torture import liars
from p2pnode.swarm.torture.cheats import cheat_of
from p2pnode.swarm.torture.offer import BUY, FIND, GREET, ORDER, STAGES, make_terms
from p2pnode.swarm.torture.roles import CHEATS
from p2pnode.swarm.torture.town import STREET, Down, Town
from protocols.claims import Announce, Kind
from protocols.keys import AuthorKey, Scope
from protocols.tags.code import About, TagCode, make_batch, make_serial, read_code
from protocols.tags.entry import group_root
from protocols.text import campaign_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from p2pnode.node import Node
    from p2pnode.services.library import View
    from p2pnode.swarm.torture.plan import Event
    from protocols.invite_link import InviteLink
    from protocols.join import Card
    from protocols.record import Record

RAIN_S: Final = 6.0
"""When the weather turns bad: the terms are out by then."""

ACTS_S: Final = 200.0
"""How long after the calm everybody must have done what she wanted."""

PURCHASE_S: Final = 60.0
"""How long shop and buyer stand at the till."""

CLOSE_S: Final = 200.0
"""How long after that the sponsor must have closed."""

INVITE_EXPIRED: Final = "invite-expired"
"""What a node says to its owner whose clock is ten years ahead."""


@dataclass(frozen=True, slots=True)
class Promise:
    """An honest person's act: what the terms promise for it is owed."""

    record: Record
    stage: int
    person: AuthorKey
    amount: int = 0
    """Of a purchase, as the till says it."""


@dataclass(slots=True)
class Campaign:
    """What the town plays, once it is published."""

    id: Scope | None = None
    codes: list[TagCode] = field(default_factory=list)
    """Those that were not handed out yet."""
    found: list[tuple[TagCode, Promise]] = field(default_factory=list)
    """Those that honest people scanned."""
    promises: list[Promise] = field(default_factory=list)
    busy: int = 0
    """How many still have something to do."""


class Play:
    """Everybody's part in one campaign.

    Args:
        town: where it is played.
        published: told the campaign's id before others act in it.
    """

    def __init__(self, town: Town, published: Callable[[Scope], None]) -> None:
        self.town = town
        self._published = published
        self.campaign = Campaign()
        self.cheat = cheat_of(town.plan.cheat, self)
        town.corrupt = self.cheat.corrupt
        self._outside: dict[str, None] = {}
        """Who cannot join and only watches, because of her clock."""

    async def run(self) -> bool:
        """Play until the sponsor has closed; False if somebody could not act."""
        town, plan = self.town, self.town.plan
        await self._open()
        await trio.sleep_until(plan.calm_s)
        town.settle_down()
        town.note("calm")
        with trio.move_on_after(ACTS_S):
            while self.campaign.busy:  # noqa: ASYNC110 - time is virtual
                await trio.sleep(1)
        if self.campaign.busy:
            return False
        town.note("all is done")
        return await town.until(self.cheat.close, CLOSE_S)

    async def _open(self) -> None:
        """Have all but the late born, the terms published, and everybody begin."""
        town, plan = self.town, self.town.plan
        born: list[str] = []
        honest: list[str] = []
        for name in plan.everybody:
            if name not in (*plan.late, *plan.forgers):
                # Whom only liars surround, they can keep in the dark.
                friends = town.rng.sample(born, min(1, len(born)))
                town.born(name, *honest[-1:], *friends)
                born.append(name)
                if name in plan.honest:
                    honest.append(name)
        await self._publish()
        town.nursery.start_soon(self._fates)
        self._begin_all()

    def _begin_all(self) -> None:
        """Let everybody begin with her part."""
        plan = self.town.plan
        for name in (*plan.witnesses, plan.charity):
            self._begin(self.follow, name)
        for name in (*plan.bakers, *filter(None, [plan.crook])):
            self._begin(self.follow, name)
        for name in plan.people:
            self._begin(self._resident, name)
        for number in range(plan.purchases):
            for deal in (self._purchase, self._greeting, self._order):
                self._begin(deal, number)
        for name in plan.bulk:
            self._begin(self._announce, name)
        self._begin(self._lie)
        self._begin(self.cheat.act)

    async def view(self, name: str) -> View:
        """What a node holds of the campaign.

        Raises:
            Failure: it does not follow it, or has not its terms yet.
        """
        assert self.campaign.id is not None
        library = self.town.node(name).library
        entry = library.find(campaign_text(self.campaign.id))
        return await library.view(entry.campaign)

    # What happens to the world.

    async def _fates(self) -> None:
        """Let the plan's events happen, each at its time."""
        town, plan = self.town, self.town.plan
        await trio.sleep_until(RAIN_S)
        town.world.weather, town.world.slow = plan.weather, plan.slow
        for name in plan.gone:
            town.nursery.start_soon(self._leave, name)
        if plan.silent_witness is not None:
            town.nursery.start_soon(self._leave, plan.silent_witness)
        for event in plan.events:
            await trio.sleep_until(event.at_s)
            if not town.calm:
                self._happen(event)

    def _happen(self, event: Event) -> None:
        town = self.town
        if event.what == "cut":
            town.world.cut(*event.names)
        elif event.what == "part":
            town.world.partition([event.names])
        elif event.what == "heal":
            town.world.heal()
        elif event.names[0] in town.homes:
            home = town.homes[event.names[0]]
            if event.what == "jump":
                home.clock.skew_ms += round(1000 * event.amount)
            else:
                home.away_s = event.amount
                home.crash("struck")

    async def _leave(self, name: str) -> None:
        """Let a node go for ever."""
        await trio.sleep_until(self.town.plan.gone.get(name, RAIN_S + 10))
        if name in self.town.homes:
            self.town.homes[name].leave()

    # What people do.

    def _begin(self, part: Callable[..., Awaitable[None]], *args: object) -> None:
        async def played() -> None:
            await part(*args)
            self.campaign.busy -= 1

        self.campaign.busy += 1
        self.town.nursery.start_soon(played)

    async def have(self, name: str, act: Callable[[Node], Awaitable[object]]) -> bool:
        """Have a node do something, again and again; False: it never will.

        Who did it already, left for ever, or came too late to join, is done.
        """
        home, never = self.town.homes[name], False

        async def once() -> bool:
            nonlocal never
            if home.is_gone:
                return True
            try:
                await act(self.town.node(name))
            except Failure as failure:
                if failure.reason == INVITE_EXPIRED:
                    self._outside[name] = None
                elif failure.reason == "not-joined" and name in self._outside:
                    never = True
                elif not failure.reason.startswith("already-"):
                    raise
            return True

        return await self.town.until(once) and not (home.is_gone or never)

    async def _publish(self) -> None:
        """Have the sponsor make tags and publish terms that name them."""
        plan = self.town.plan
        key = self.town.homes[plan.sponsor].identity.author_key
        assert key is not None
        numbers = range(plan.balloons)
        secrets = [[sha256(f"{plan.seed} {n}".encode()).digest()[:16]] for n in numbers]
        labels = [f"balloon {n + 1}" for n in numbers]
        tags = make_batch(key.author, secrets[0][0], labels, secrets, About())
        root = group_root([tag.entry for tag in tags])
        terms = make_terms(plan, self.author, root)
        rows = [(tag.entry, tag.serial_keys()) for tag in tags]
        await self.have(
            plan.sponsor, lambda node: node.acts.publish(terms, [("balloons", rows)])
        )
        for entry in self.town.node(plan.sponsor).library.entries:
            self.campaign.id = entry.campaign
            self._published(entry.campaign)
        self.campaign.codes = [
            read_code(make_serial(key, tag.entry, 0, tag.secrets[0])) for tag in tags
        ]

    def author(self, name: str) -> AuthorKey:
        """The author key of somebody the terms name."""
        key = self.town.homes[name].identity.author_key
        assert key is not None
        return key.author

    async def follow(self, name: str) -> None:
        """Have a node follow the campaign."""
        campaign = self.campaign.id
        assert campaign is not None
        await self.have(name, lambda node: node.acts.follow(campaign))

    async def _resident(self, name: str) -> None:
        """Be born if late, join by an invite, find a balloon or two."""
        town, plan = self.town, self.town.plan
        await trio.sleep_until(2.0 + 2.0 * (plan.people.index(name) // 6))
        inviter = plan.inviters[name]
        link = await self.link(inviter)
        if name in plan.late:
            await trio.sleep_until(plan.calm_s / 2)
            town.born(name, inviter)
        if not await self.have(name, lambda node: node.acts.join(link)):
            return
        if name in self._outside:
            await self.follow(name)
            return
        for _ in range(town.rng.choice((0, 1, 1, 2))):
            await trio.sleep(float(town.rng.randrange(1, 20)))
            if not self.campaign.codes:
                return
            code = self.campaign.codes[0]
            if town.rng.random() < 0.9:  # else somebody will find it again
                self.campaign.codes.pop(0)

            async def scan(node: Node, code: TagCode = code) -> None:
                record = (await node.acts.scan(code)).record
                promise = Promise(record, FIND, record.author)
                self.campaign.found.append((code, promise))
                self.campaign.promises.append(promise)

            await self.have(name, scan)

    async def link(self, inviter: str) -> InviteLink:
        """Have somebody make an invite, as soon as she can."""
        made: list[InviteLink] = []

        async def act() -> bool:
            node = self.town.node(inviter)
            link = await node.acts.invite(await self.view(inviter), uses=1)
            made.append(link)
            return True

        await self.town.until(act)
        self.town.secrets.append(made[0].secret)
        return made[0]

    async def _purchase(self, number: int) -> None:
        """Have a resident buy at a shop, which says so."""
        await self.deal(BUY, self._shop(number), self._buyer(number))

    async def _greeting(self, number: int) -> None:
        """Have a shop stand behind a resident's joining."""
        await self.deal(GREET, self._shop(number + 1), self._buyer(number + 1))

    async def _order(self, number: int) -> None:
        """Have a resident order at a shop, which may refund a part."""
        shop = self._shop(number + 2)
        promise = await self.deal(ORDER, shop, self._buyer(number + 2))
        if promise is not None and self.town.rng.random() < 0.5:
            await self.refund(shop, promise.record, promise.amount // 3)

    def _shop(self, number: int) -> str:
        honest = [name for name in self.town.plan.shops if name in self.honest]
        return honest[number % len(honest)]

    def _buyer(self, number: int) -> str:
        plan = self.town.plan
        buyers = [name for name in plan.people if name not in plan.gone]
        return buyers[number % len(buyers)]

    @property
    def honest(self) -> tuple[str, ...]:
        """Who keeps the rules."""
        return self.town.plan.honest

    async def deal(self, stage: int, shop: str, buyer: str) -> Promise | None:
        """Have a buyer show her card and a shop say what she did there.

        Returns:
            What she is promised; None: they did not come together in time.
        """
        await trio.sleep(float(self.town.rng.randrange(10, 40)))
        amount = self.town.rng.randrange(1, 100_000)
        made: list[Promise] = []

        async def act() -> bool:
            card = await self.card(buyer)
            record = await self.vouch(stage, shop, card.author, amount, card)
            made.append(Promise(record, stage, card.author, amount))
            return True

        await self.town.until(act, PURCHASE_S)
        self.campaign.promises += made
        return made[0] if made else None

    async def card(self, buyer: str) -> Card:
        """What a resident shows at a till."""
        view = await self.view(buyer)
        return await self.town.node(buyer).acts.show_card(view, None)

    async def vouch(
        self, stage: int, shop: str, who: AuthorKey, amount: int, card: Card | None
    ) -> Record:
        """Have a shop say that somebody did something there."""
        view, name = await self.view(shop), STAGES[stage].id
        acts = self.town.node(shop).acts
        if stage != GREET:
            return await acts.outcome(
                view, author=who, amount=amount, stage=name, card=card
            )
        feed = view.evidence.feed(view.campaign, who)
        if not feed:
            raise Down(shop)
        return await acts.attest(view, feed[0].id, card=card, stage=name)

    async def refund(self, shop: str, order: Record, amount: int) -> None:
        """Have a shop take back an order, wholly or in part."""

        async def act() -> bool:
            view = await self.view(shop)
            await self.town.node(shop).acts.reverse(view, order.id, amount)
            return True

        await self.town.until(act, PURCHASE_S)

    async def _announce(self, name: str) -> None:
        """Tell the street many things at once."""
        town = self.town
        await trio.sleep_until(float(town.rng.randrange(8, 40)))

        async def act(node: Node) -> None:
            if STREET not in node.feeds.followed:
                raise Down(name)
            key = node.identity.author_key or node.identity.person_key(STREET, 0)
            drafts = [
                Draft(
                    kind=Kind.ANNOUNCE,
                    claim=Announce(
                        salt=node.feeds.rng.token(16),
                        campaign=STREET,
                        title=f"{name} {number}",
                        link="",
                    ),
                )
                for number in range(town.plan.bulk[name])
            ]
            await node.feeds.publish_many(key, STREET, drafts)

        if name in town.homes:
            await self.have(name, act)

    async def _lie(self) -> None:
        """Let the liars begin, who need an invite as everybody does."""
        town, plan = self.town, self.town.plan
        for name in plan.forgers:
            forged = liars.forgeries(town, name, await self.link(plan.sponsor))
            town.born(name, plan.sponsor, plan.witnesses[0], forged=forged)
            self._begin(self.follow, name)
        if plan.twins:
            await trio.sleep(float(town.rng.randrange(5, 25)))
            codes, greedy = self.campaign.codes, "twins" in CHEATS.get(plan.cheat, ())
            code = codes.pop() if greedy and codes else None
            await liars.play_twins(town, await self.link(plan.sponsor), code)
