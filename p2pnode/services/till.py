"""The till: redeeming vouchers, accepting them, owing and being paid. Spec 0011.

What is signed stands in feeds: redeem, owe and paid. What a shop accepted
stands in the store besides, because it may come from a campaign that the shop
does not follow, or from a feed that never reaches it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.failures import NOT_FOUND, UNVERIFIED, Failure
from p2pnode.ports import StoreFull, StoreInDoubt
from p2pnode.services.closing import clock_time
from p2pnode.services.feeds import Draft, KeyRetired
from protocols.checked import Checked
from protocols.claims import Enter, Kind, Owe, Paid, Redeem
from protocols.codec import decode, encode
from protocols.errors import ProtocolError
from protocols.keys import AuthorKey, RecordId, Scope, SigningKey
from protocols.limits import INT_MAX
from protocols.settlement.ledger import Ledger, keep_ledger, purses_of, vouched_in
from protocols.settlement.redeem import (
    SLIP,
    Place,
    Slip,
    Spending,
    Vouched,
    check_slip,
    check_spending,
    make_slip,
)
from protocols.settlement.voucher import check_voucher
from protocols.shape import row, uint

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Rng, Store
    from p2pnode.services.acts import Acts
    from p2pnode.services.closing import Books, Line
    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library, View
    from protocols.record import Record

ACCEPTED: Final = "till/accepted/"
"""Prefix of the state that holds the slips I accepted, by the redeem's id."""

SHOWN: Final = "till/shown/"
"""Prefix of the state that holds the slips I recognised as issuer."""

LIMIT: Final = "till/limit"
AUTO: Final = "till/auto"

NOTED = row(SLIP, uint(INT_MAX))
"""A slip and when it was noted, as the store holds it."""

NOTED_MAX: Final = 8_192

OWES_AT_ONCE: Final = 32
"""How many are signed in one go: all of them or none."""
WAIT_S: Final = 2.0
"""Pause where a key that took over may not owe yet."""

log = logging.getLogger(__name__)


class Level(StrEnum):
    """How sure the acceptor of a redeem is."""

    OFFLINE = "offline"
    """The issuer has not recognised it: it may be lost."""
    OWED = "owed"
    """The issuer has signed that it owes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A slip that lies in the store."""

    slip: Slip
    spending: Spending
    issuer: AuthorKey
    unit: str
    time_ms: int
    """When it was accepted or recognised."""

    @property
    def campaign(self) -> Scope:
        """Which campaign it is from."""
        return self.spending.record.scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A redeem of mine, with the slip to hand over."""

    line: Line
    record: Record
    slip: Slip
    left: int
    """What is left of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What one redeem made somebody owe somebody, in its campaign."""

    view: View
    redeem: RecordId
    debtor: AuthorKey
    creditor: AuthorKey
    debtor_party: AuthorKey
    """One for all keys of the debtor: a shop has several once it lost one."""
    creditor_party: AuthorKey
    amount: int
    paid: int
    open: int
    """What is still owed; from one key of mine to another nothing is."""
    owe: Record
    """The record that fixes the amount."""


class Till:
    """Signs for whoever spends, accepts, owes or was paid."""

    def __init__(  # noqa: PLR0913 - the services it stands on
        self,
        *,
        library: Library,
        feeds: Feeds,
        books: Books,
        acts: Acts,
        store: Store,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._books = books
        self._acts = acts
        self._store = store
        self._clock = clock
        self._rng = rng
        self._lock = trio.Lock()
        self._moved = trio.Event()
        self._waits = False
        """What is not recognised yet may be after whatever comes next."""
        self.accepted: dict[RecordId, Noted] = {}
        """What I accepted, by the redeem's id."""
        self.limit = 0
        """What I may lose: the most that is accepted and not owed, in minor units."""
        self.auto = False
        """Whether I recognise redeems of my campaigns as they arrive."""
        self._shown: dict[RecordId, Noted] = {}
        self._ledgers: dict[Scope, tuple[object, Ledger]] = {}
        self._checked = Checked()
        """Further keys that were found vouched for."""
        feeds.subscribe(self._note)

    async def open(self) -> None:
        """Read what was accepted and recognised before."""
        self.accepted = await self._read(ACCEPTED)
        self._shown = await self._read(SHOWN)
        self.limit = int((await self._store.state(LIMIT)).get(LIMIT, b"0"))
        self.auto = bool(await self._store.state(AUTO))
        if self.auto:
            self._moved.set()

    # the customer

    async def redeem(
        self, view: View, amount: int, acceptor: AuthorKey, *, again: bool = False
    ) -> Spent:
        """Sign that I spend so much of a line of mine at this shop.

        Args:
            view: the campaign whose line is spent.
            amount: in minor units, above 0.
            acceptor: the shop's author key.
            again: sign nothing, give the slip of this amount and shop once more.

        Raises:
            Failure: `nothing-to-claim`, `not-enough-left`, `no-such-redeem`.
        """
        async with self._lock:  # two at once would spend one part twice
            key = await self._acts.enter(view)
            keys = self._library.my_keys(view)
            lines = await self._books.lines_of(view, keys)
            if again:
                return _repeated(lines, keys, amount, acceptor)
            line, before = self._line_with(lines, keys, amount)
            claim = Redeem(
                salt=self._rng.token(16),
                close=line.close.id,
                line=line.voucher.index,
                amount=amount,
                total_before=before,
                acceptor=acceptor,
                nonce=self._rng.token(16),
            )
            record = await self._feeds.publish(key, view.campaign, Kind.REDEEM, claim)
            return Spent(
                line=line,
                record=record,
                slip=make_slip(line.voucher, record),
                left=line.amount - before - amount,
            )

    def _line_with(
        self, lines: Sequence[Line], keys: Collection[AuthorKey], amount: int
    ) -> tuple[Line, int]:
        """The oldest line with enough left, and what is spent of it."""
        now_ms, most = self._clock.now_ms(), 0
        for line in lines:
            spent = line.spent(keys)
            if now_ms > line.close.claim().redeem_until:
                continue
            if 0 < amount <= line.amount - spent:
                return line, spent
            most = max(most, line.amount - spent)
        raise Failure(
            "not-enough-left",
            "No voucher of this campaign has so much left.",
            "At most {most} (minor units) in one redeem.",
            "See p2pnode reward books.",
            most=most,
        )

    # the shop that accepts

    async def accept(
        self, slip: Slip, limit: int | None = None, *, sure: bool = False
    ) -> tuple[Noted, Level]:
        """Accept a slip: it is in the store before this returns.

        Args:
            slip: what the customer handed over.
            limit: what I may lose from now on, also if this slip is refused; None:
                as before.
            sure: it was not accepted here before a loss; its owner says so.

        Raises:
            ProtocolError: what `check_slip` or `check_spending` finds.
            Failure: `wrong-network`, `wrong-issuer`, `may-be-accepted`,
                `above-limit`; for an issuer those of `recognise`.
        """
        async with self._lock:  # two at once could pass the limit together
            if limit not in (None, self.limit):
                await self._keep({LIMIT: str(limit).encode()})
                self.limit = limit
            view = await self._view_of(slip)
            found = check_slip(slip, self._vouched(view))
            ledger = None if view is None else self.ledger(view)
            level = self._level(found, ledger)
            self._check_acceptable(found, ledger, level)
            if not sure:
                self._check_after_loss(found)
            noted = self._noted(slip, found, self._clock.now_ms())
            state = {ACCEPTED + found.record.id.hex(): _written(noted)}
            if view is not None and self._is_issuer(view):
                key = self._issuing_key(view)
                await self._succeed(view, key, found)
                await self._owe(view, key, found, state)
                level = Level.OWED
            else:
                if level is Level.OFFLINE:
                    await self._check_limit(noted)
                await self._take(state)
            self.accepted[found.record.id] = noted
            return noted, level

    def _check_acceptable(
        self, found: Spending, ledger: Ledger | None, level: Level
    ) -> None:
        held = [one.spending for one in self.accepted.values()]
        if ledger is not None:
            held += [
                one
                for one in ledger.spendings
                if one.record.id not in {found.record.id, *self.accepted}
            ]
        check_spending(
            found,
            acceptors=self.my_keys(found.record.scope),
            now_ms=self._clock.now_ms(),
            earlier=held,
            owed=level is Level.OWED,
        )

    def _check_after_loss(self, found: Spending) -> None:
        """What was accepted and then lost stands nowhere else: no feed has it.

        A slip that was signed after the loss is none of those. Its time is the
        customer's word, and was so before she could know of the loss.
        """
        lost_ms = self._library.lost_ms
        if found.record.header.time_ms <= lost_ms:
            raise Failure(
                "may-be-accepted",
                "This slip was signed before this node noticed, at {time}, that it had"
                " lost records: it may have accepted it already.",
                "A slip that was signed after that.",
                "If you are sure that its customer got nothing for it: p2pnode reward"
                " accept --sure",
                time=clock_time(lost_ms),
            )

    async def _check_limit(self, noted: Noted) -> None:
        """The levels of what was accepted before are those of now.

        All units are added up: what a unit is called is the issuer's choice.
        """
        at_risk = noted.spending.claim.amount
        ledgers: dict[Scope, Ledger | None] = {}
        for one in self.accepted.values():
            if one.campaign not in ledgers:
                view = await self.followed(one.campaign)
                ledgers[one.campaign] = None if view is None else self.ledger(view)
            if self._level(one.spending, ledgers[one.campaign]) is Level.OFFLINE:
                at_risk += one.spending.claim.amount
        if at_risk > self.limit:
            raise Failure(
                "above-limit",
                "The issuer has not recognised this redeem, and {risk} would be at"
                " risk in this shop.",
                "At most {limit} (minor units) accepted and not owed; or the issuer's"
                " signature first.",
                "If you want to risk it: p2pnode reward accept --limit AMOUNT",
                risk=at_risk,
                limit=self.limit,
            )

    async def level(self, noted: Noted) -> Level:
        """How sure I am of a slip now."""
        view = await self.followed(noted.campaign)
        ledger = None if view is None else self.ledger(view)
        return self._level(noted.spending, ledger)

    def _level(self, found: Spending, ledger: Ledger | None) -> Level:
        owed = () if ledger is None else ledger.owed(found.record.id)
        enough = any(
            one.creditor == found.claim.acceptor and one.amount >= found.claim.amount
            for one in owed
        )
        return Level.OWED if enough else Level.OFFLINE

    def my_keys(self, campaign: Scope) -> tuple[AuthorKey, ...]:
        """The keys by which somebody can name me in a campaign, now or before."""
        identity, keys = self._library.identity, self._author_keys
        for entry in self._library.entries:
            if entry.campaign == campaign and entry.person_index is not None:
                indices = dict.fromkeys((entry.person_index, 0, *entry.past))
                keys += [identity.person_key(campaign, one).author for one in indices]
        return tuple(keys)

    def strangers(self, view: View) -> tuple[AuthorKey, ...]:
        """Keys that the terms put into my party and that this node does not have.

        Whoever holds one can say that I was paid.
        """
        terms = view.terms
        mine = {key.author for key in self._library.identity.author_keys}
        return tuple(
            key
            for party in terms.named
            if not mine.isdisjoint(party.keys)
            for key in party.keys
            if key not in mine and key not in terms.sponsor
        )

    # the issuer

    async def recognise(self, slip: Slip) -> tuple[Record, bool]:
        """Sign that I owe a slip's acceptor; once, however often it is asked.

        Returns:
            The `owe`, and whether it was signed just now.

        Raises:
            ProtocolError: what `check_slip` or `check_spending` finds.
            Failure: `not-the-issuer`, `key-retired`, `debts-incomplete`; for a key
                that took over those of `Books.succeed`.
        """
        async with self._lock:
            view = await self._view_of(slip)
            if view is None:
                raise _not_the_issuer()
            key = self._issuing_key(view)
            found = check_slip(slip, self._vouched(view))
            noted = self._noted(slip, found, self._clock.now_ms())
            state = {}
            if found.record.id not in view.evidence.by_id:
                # Its feed may never come: what I sign rests on this copy.
                state = {SHOWN + found.record.id.hex(): _written(noted)}
            await self._succeed(view, key, found)
            signed = await self._owe(view, key, found, state)
            if state:
                self._shown[found.record.id] = noted
            return signed

    async def recognise_all(self) -> list[Record]:
        """Sign for every good redeem of my campaigns that I do not owe yet.

        What cannot be recognised is left; `books` says why.

        Raises:
            Failure: nothing was signed, for a key took over that may not yet (those
                of `Books.succeed`), or none can (`key-retired`).
        """
        signed: list[Record] = []
        failed: Failure | None = None
        async with self._lock:
            for view in await self._library.all_views():
                if not self._is_issuer(view) or not self.waiting(view):
                    continue
                try:
                    key = self._issuing_key(view)
                    await self._books.succeed(view, key, owing=True)
                except Failure as failure:
                    failed = failure
                    continue
                try:
                    signed += await self._owe_all(view, key)
                except (Failure, ProtocolError) as error:
                    log.info("not recognised: %s", error)
        self._waits = failed is not None and not isinstance(failed, KeyRetired)
        if failed is not None and not signed:
            raise failed
        return signed

    async def _succeed(self, view: View, key: SigningKey, found: Spending) -> None:
        """See that a key may owe for this, unless it is owed already."""
        if not self._is_owed(view, found):
            await self._books.succeed(view, key, owing=True)

    def _is_owed(self, view: View, found: Spending) -> bool:
        owed = self.ledger(view).owed(found.record.id)
        return any(one.creditor == found.claim.acceptor for one in owed)

    def waiting(self, view: View) -> list[Spending]:
        """The redeems of a campaign that its issuer can recognise now."""
        ledger = self.ledger(view)
        creditors = {(one.redeem, one.creditor) for one in ledger.obligations}
        earlier = _recognised(ledger)
        waiting: list[Spending] = []
        for found in ledger.spendings:
            if (found.record.id, found.claim.acceptor) in creditors:
                continue
            try:
                self._check_owable(found, earlier.get(found.purse.place, ()))
            except ProtocolError as error:
                log.info("not recognised: %s", error)
                continue
            earlier.setdefault(found.purse.place, []).append(found)
            waiting.append(found)
        return waiting

    async def _owe_all(self, view: View, key: SigningKey) -> list[Record]:
        """Owe what may be owed and is not, by books that are kept once for all."""
        signed: list[Record] = []
        self._check_all_known(self.ledger(view))
        # Asked again: what the key before owed may have come meanwhile.
        drafts = [self._owing(found) for found in self.waiting(view)]
        for start in range(0, len(drafts), OWES_AT_ONCE):
            some = drafts[start : start + OWES_AT_ONCE]
            one_go = [*self._entering(view, key), *some]
            signed += await self._feeds.publish_many(key, view.campaign, one_go)
        return [record for record in signed if record.kind == Kind.OWE]

    async def _owe(
        self, view: View, key: SigningKey, found: Spending, state: dict[str, bytes]
    ) -> tuple[Record, bool]:
        ledger, redeem = self.ledger(view), found.record.id
        if all(one.record.id != redeem for one in ledger.spendings):
            ledger = self.ledger(view, (found,))
        for one in ledger.owed(redeem):
            if one.creditor == found.claim.acceptor:
                if state:
                    await self._take(state)
                known = view.evidence.lookup(one.owes[0])
                assert known is not None, "an obligation rests on records held here"
                return known, False
        self._check_all_known(ledger)
        self._check_owable(found, _recognised(ledger).get(found.purse.place, ()))
        drafts = [*self._entering(view, key), self._owing(found)]
        signed = await self._feeds.publish_many(key, view.campaign, drafts, state)
        return signed[-1], True

    def _check_owable(self, found: Spending, earlier: Sequence[Spending]) -> None:
        """Whether a redeem may be recognised; `earlier`: of its line, what was."""
        check_spending(
            found, acceptors=None, now_ms=self._clock.now_ms(), earlier=earlier
        )

    def _owing(self, found: Spending) -> Draft:
        claim = Owe(
            salt=self._rng.token(16),
            redeem=found.record.id,
            acceptor=found.claim.acceptor,
            amount=found.claim.amount,
        )
        return Draft(kind=Kind.OWE, claim=claim)

    def _check_all_known(self, ledger: Ledger) -> None:
        """An `owe` whose redeem is not here may be of any line."""
        known = {one.record.id for one in ledger.spendings}
        lacking = [one for one in ledger.obligations if one.redeem not in known]
        if lacking:
            raise Failure(
                "debts-incomplete",
                "{count} redeems that this campaign's sponsor owes for are not here, so"
                " nobody can tell how much of each line is left.",
                "Every redeem that was recognised before, or its slip.",
                "Show those slips here too: p2pnode reward owe SLIP",
                count=len(lacking),
            )

    def _is_issuer(self, view: View) -> bool:
        """Whether I sign for a campaign unasked: a key of mine published or closed it.

        Anybody may write my key into terms as one more sponsor.
        """
        mine = set(self._author_keys)
        return any(
            record.kind in (Kind.TERMS, Kind.CLOSE)
            for author in view.terms.sponsor
            if author in mine
            for record in view.evidence.feed(view.campaign, author)
        )

    def _issuing_key(self, view: View) -> SigningKey:
        key = self._library.key_among(view.terms.sponsor)
        if key is None and any(one in view.terms.sponsor for one in self._author_keys):
            raise KeyRetired
        if key is None:
            raise _not_the_issuer()
        return key

    @property
    def _author_keys(self) -> list[AuthorKey]:
        """My author keys, those given up among them."""
        return [key.author for key in self._library.identity.author_keys]

    async def set_auto(self, *, on: bool) -> None:
        """Recognise redeems as they arrive from now on, or not; also later."""
        await self._keep({AUTO: b"1" if on else None})
        self.auto = on
        if on:
            self._moved.set()

    async def run(self) -> None:
        """Recognise what arrives, if I was asked to, until cancelled."""
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            if not self.auto:
                continue
            try:
                await self.recognise_all()
            except Failure as failure:
                log.info("not recognised: %s", failure)
                await trio.sleep(WAIT_S)
            except StoreFull as error:
                log.error("nothing is recognised: %s", error)  # noqa: TRY400 - expected
            except StoreInDoubt:
                await trio.sleep_forever()  # the node is built anew
            except ProtocolError as error:
                log.error("nothing is recognised: %s", error)  # noqa: TRY400 - in words

    def _note(self, change: Change) -> None:
        if self._waits or any(one.kind == Kind.REDEEM for one in change.records):
            self._moved.set()

    # the creditor

    async def paid(
        self, debtor: AuthorKey, amount: int, campaign: str = ""
    ) -> tuple[Record, ...]:
        """Sign that a debtor paid me: one `paid` for each `owe` it settles.

        Args:
            debtor: who paid; any key of it, for a key can be lost.
            amount: in minor units, above 0; the oldest debts first.
            campaign: where it owes in several.

        Raises:
            Failure: `not-owed`, `several-campaigns`.
        """
        async with self._lock:
            debts = [
                one
                for one in await self.debts()
                if debtor in one.view.terms.sponsor
                and one.creditor in self.my_keys(one.view.campaign)
                and one.open
            ]
            if campaign:
                chosen = self._library.find(campaign).campaign
                debts = [one for one in debts if one.view.campaign == chosen]
            if len({one.view.campaign for one in debts}) > 1:
                raise Failure(
                    "several-campaigns",
                    "That debtor owes this node in {count} campaigns.",
                    "The campaign this payment is for.",
                    "See p2pnode reward books; then add --campaign ID.",
                    count=len({one.view.campaign for one in debts}),
                )
            owed = sum(one.open for one in debts)
            if not 0 < amount <= owed:
                raise Failure(
                    "not-owed",
                    "That debtor owes this node {owed}, not {amount} (minor units).",
                    "At most what is owed.",
                    "See p2pnode reward books; an issuer owes what it signed.",
                    owed=owed,
                    amount=amount,
                )
            return await self._sign_paid(debts, amount)

    async def _sign_paid(
        self, debts: Sequence[Debt], amount: int
    ) -> tuple[Record, ...]:
        view = debts[0].view
        drafts: dict[AuthorKey, list[Draft]] = {}
        keys: dict[AuthorKey, SigningKey] = {}
        for one in debts:
            part = min(amount, one.open)
            amount -= part
            if part:
                key = self._key_for(view, one.creditor)
                keys[key.author] = key
                mine = drafts.setdefault(key.author, self._entering(view, key))
                claim = Paid(salt=self._rng.token(16), owe=one.owe.id, amount=part)
                mine.append(Draft(kind=Kind.PAID, claim=claim))
        signed: list[Record] = []
        for author, mine in drafts.items():
            signed += await self._feeds.publish_many(keys[author], view.campaign, mine)
        return tuple(signed)

    def _key_for(self, view: View, creditor: AuthorKey) -> SigningKey:
        """The key that says what a creditor received: its own, or its successor.

        Raises:
            Failure: `key-retired`, the terms name no other key of it; `not-joined`.
        """
        at_work = {key.author: key for key in self._library.author_keys}
        if creditor in at_work:
            return at_work[creditor]
        if creditor not in self._library.retired:
            return self._library.require_key(view)
        party = view.terms.party(creditor)
        for author in () if party is None else party.keys:
            if author in at_work and author not in view.terms.sponsor:
                return at_work[author]
        raise KeyRetired

    def _entering(self, view: View, key: SigningKey) -> list[Draft]:
        """What begins a feed that has no record yet.

        A shop that the terms do not name enters too: settlement passes over it,
        its `paid` stands all the same.
        """
        if self._feeds.head(view.campaign, key.author) is not None:
            return []
        return [Draft(kind=Kind.ENTER, claim=Enter(salt=self._rng.token(16)))]

    # the books

    async def debts(self) -> list[Debt]:
        """Every debt of the followed campaigns, oldest first."""
        found = []
        for view in await self._library.all_views():
            vouched, mine = self._vouched(view), self.my_keys(view.campaign)
            for one in self.ledger(view).obligations:
                owe = view.evidence.lookup(one.owes[0])
                assert owe is not None, "an obligation rests on records held here"
                to_myself = one.debtor in mine and one.creditor in mine
                found.append(
                    Debt(
                        view=view,
                        redeem=one.redeem,
                        debtor=one.debtor,
                        creditor=one.creditor,
                        debtor_party=_party(view, one.debtor, vouched),
                        creditor_party=_party(view, one.creditor, vouched),
                        amount=one.amount,
                        paid=one.paid,
                        open=0 if to_myself else one.open,
                        owe=owe,
                    )
                )
        found.sort(key=lambda one: (one.owe.header.time_ms, one.owe.id))
        return found

    def _vouched(self, view: View | None) -> Vouched:
        return {} if view is None else vouched_in(_of(view), self._checked)

    def ledger(self, view: View, shown: Sequence[Spending] = ()) -> Ledger:
        """The books of one campaign, by its records and the slips held here.

        Args:
            view: the campaign.
            shown: what is looked at besides, and not kept.
        """
        held = [
            one.spending
            for one in (*self.accepted.values(), *self._shown.values())
            if one.campaign == view.campaign and one.issuer in view.terms.sponsor
        ]
        held += shown
        version = (view.evidence.version, tuple(one.record.id for one in held))
        known = self._ledgers.get(view.campaign)
        if known is None or known[0] != version:
            purses = purses_of(view.terms, view.evidence)
            purses.update((one.purse.place, one.purse) for one in held)
            records = [*_of(view), *(one.record for one in held)]
            parties = [party.keys for party in view.terms.named]
            ledger = keep_ledger(
                view.terms.sponsor, purses, records, parties, self._checked
            )
            known = self._ledgers[view.campaign] = (version, ledger)
        return known[1]

    async def followed(self, campaign: Scope) -> View | None:
        """What is held of a campaign, if it is followed and its terms are here."""
        if all(entry.campaign != campaign for entry in self._library.entries):
            return None
        try:
            return await self._library.view(campaign)
        except Failure:
            return None

    async def _view_of(self, slip: Slip) -> View | None:
        """The campaign of a slip, if it is followed; its issuer is checked then."""
        close = slip.voucher.close
        if close.header.network != self._library.identity.network_id:
            raise Failure(
                "wrong-network",
                "The voucher is of another network than this node's.",
                "A voucher of the network {network}.",
                "Redeem it at a shop of its own network.",
                UNVERIFIED,
                network=self._library.identity.network,
            )
        view = await self.followed(close.scope)
        if view is not None and close.author not in view.terms.sponsor:
            raise Failure(
                "wrong-issuer",
                "Whoever signed the voucher is no sponsor of {title}.",
                "A close of the campaign's sponsor.",
                "Do not accept it.",
                UNVERIFIED,
                title=view.terms.title,
            )
        return view

    def _noted(self, slip: Slip, found: Spending, time_ms: int) -> Noted:
        return Noted(
            slip=slip,
            spending=found,
            issuer=slip.voucher.issuer,
            unit=check_voucher(slip.voucher).unit,
            time_ms=time_ms,
        )

    async def _read(self, prefix: str) -> dict[RecordId, Noted]:
        found: dict[RecordId, Noted] = {}
        for value in (await self._store.state(prefix)).values():
            slip, time_ms = NOTED.read(decode(value, NOTED_MAX))
            noted = self._noted(slip, _reread(slip), time_ms)
            found[noted.spending.record.id] = noted
        return found

    async def _take(self, state: dict[str, bytes]) -> None:
        with trio.CancelScope(shield=True):  # acknowledged is what was committed
            await self._feeds.take(state)

    async def _keep(self, state: dict[str, Any]) -> None:
        with trio.CancelScope(shield=True):  # acknowledged is what was committed
            await self._store.append((), state=state)


def _of(view: View) -> Iterable[Record]:
    kinds = (Kind.CONTINUE, Kind.REDEEM, Kind.OWE, Kind.PAID)
    return [
        record
        for record in view.evidence.by_id.values()
        if record.kind in kinds and record.scope == view.campaign
    ]


def _recognised(ledger: Ledger) -> dict[Place, list[Spending]]:
    """What was recognised before, by line."""
    owed = {one.redeem for one in ledger.obligations}
    found: dict[Place, list[Spending]] = {}
    for one in ledger.spendings:
        if one.record.id in owed:
            found.setdefault(one.purse.place, []).append(one)
    return found


def _party(view: View, key: AuthorKey, vouched: Vouched) -> AuthorKey:
    """One for all keys of a sponsor, a party, a person."""
    if key in view.terms.sponsor:
        return view.terms.sponsor[0]
    party = view.terms.party(key)
    return min(vouched.get(key, {key})) if party is None else party.keys[0]


def _reread(slip: Slip) -> Spending:
    """What was checked when it was noted; by whichever key of the person."""
    record = slip.redeem.record()
    payee = slip.voucher.line.payee
    return check_slip(slip, {record.author: frozenset({payee})})


def _written(noted: Noted) -> bytes:
    return encode(NOTED.write((noted.slip, noted.time_ms)))


def _repeated(
    lines: Sequence[Line], keys: Collection[AuthorKey], amount: int, acceptor: AuthorKey
) -> Spent:
    """The latest redeem of this amount at this shop, as it was signed.

    Raises:
        Failure: `no-such-redeem`.
    """
    found = [
        (record.header.time_ms, record, line)
        for line in lines
        for record in line.redeems(keys)
        if (record.claim().amount, record.claim().acceptor) == (amount, acceptor)
    ]
    if found:
        _, record, line = max(found, key=itemgetter(0))
        return Spent(
            line=line,
            record=record,
            slip=make_slip(line.voucher, record),
            left=line.amount - line.spent(keys),
        )
    raise Failure(
        "no-such-redeem",
        "Nothing of this amount was redeemed at that shop.",
        "A redeem that was signed before.",
        "Without --again a new one is signed.",
        NOT_FOUND,
    )


def _not_the_issuer() -> Failure:
    return Failure(
        "not-the-issuer",
        "Only the sponsor's node can owe for a voucher of its campaign.",
        "A voucher of a campaign that this node published.",
        "Show the slip to the shop that issued the voucher.",
    )
