"""Closing rounds, checking closes, and what they owe to whom. Spec 0009 §3-§5."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from p2pnode.executor import OwnExecutor
from p2pnode.failures import NOT_FOUND, Failure
from p2pnode.services.collector import collector_paused
from p2pnode.services.feeds import Draft, KeyRetired
from protocols.claims import Close, Enter, Kind, Part, Redeem
from protocols.errors import ProtocolError
from protocols.evidence import receipts
from protocols.keys import AuthorKey, RecordId, Scope, SigningKey, witness_scope
from protocols.settlement.close import Closing, close_claim, parts
from protocols.settlement.cut import Declared, Incomplete
from protocols.settlement.ledger import signed_lines
from protocols.settlement.settle import Settlement
from protocols.settlement.verify import (
    CloseReport,
    Verdict,
    declare,
    declared_chain,
    finals_at_hand,
    sponsor_closes,
    verify_closes,
)
from protocols.settlement.voucher import Voucher, make_voucher
from protocols.text import author_text

if TYPE_CHECKING:
    from p2pnode.ports import Executor, Rng
    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library, View
    from protocols.record import Record
    from protocols.terms import Terms

ID_SIZE = 32

DISPUTED_MAX = 64
"""Closes that are looked for at once because somebody disputes them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """All closes of a campaign, judged, and what comes after them."""

    reports: tuple[CloseReport, ...]
    unclosed: Closing | None
    """What the evidence says of the next round, where 2f+1 finals are here."""
    waits_for: tuple[str, ...]
    """Owners of witnesses whose finals of the next round are missing."""
    silent: tuple[str, ...]
    """Owners whose final of the next round is not here, waited for or not."""
    next_round: int | None
    missing: tuple[RecordId, ...]
    """Records that are named and not here."""

    @property
    def settlement(self) -> Settlement | None:
        """The latest settlement that could be computed here."""
        if self.unclosed is not None:
            return self.unclosed.settlement
        done = [r.settlement for r in self.reports if r.settlement is not None]
        return done[-1] if done else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of mine in one close."""

    view: View
    close: Record
    round: int
    amount: int
    voucher: Voucher
    verdict: Verdict

    @property
    def redeem_until(self) -> int:
        """The last moment at which it can be redeemed, in ms."""
        claim: Close = self.close.claim()
        return claim.redeem_until

    def redeems(self, mine: Iterable[AuthorKey]) -> Iterator[Record]:
        """What is here of what my keys spent of it."""
        for key in mine:
            for record in self.view.evidence.feed(self.view.campaign, key):
                if record.kind == Kind.REDEEM and record.claim_bytes is not None:
                    claim: Redeem = record.claim()
                    if (claim.close, claim.line) == (self.close.id, self.voucher.index):
                        yield record

    def spent(self, mine: Iterable[AuthorKey]) -> int:
        """Up to where redeems of my keys that are here spend it."""
        claims = (record.claim() for record in self.redeems(mine))
        return max((one.total_before + one.amount for one in claims), default=0)


class Books:
    """Closes, their verification and the lines they give.

    What takes long reads a view as it was when its turn came, aside: one
    thing at a time, while the views grow and all others go on.
    """

    def __init__(
        self,
        library: Library,
        feeds: Feeds,
        rng: Rng,
        executor: Executor | None = None,
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._rng = rng
        self._executor = executor or OwnExecutor()
        self._verified: dict[Scope, tuple[int, Verified]] = {}
        self._successors: dict[tuple[Scope, AuthorKey], None] = {}
        """Keys that took over and were seen to: a receipt is not taken back."""
        self._closing = trio.Lock()
        self._busy = trio.Lock()
        feeds.subscribe(self._note)

    async def read(self, view: View, work: Callable[[View], T]) -> T:
        """Have `work` read a view as it is now; it may take its time."""
        async with self._turn():
            return await self._aside(view, work)

    async def verify(self, view: View) -> Verified:
        """Judge every close, and settle the next round if its finals are here."""
        asked = view.evidence.version
        known = self._verified.get(view.campaign)
        if known is not None and known[0] == asked:
            return known[1]
        async with self._turn():
            known = self._verified.get(view.campaign)
            if known is None or known[0] < asked:  # nobody found it meanwhile
                version = view.evidence.version
                known = (version, await self._aside(view, verify))
                self._verified[view.campaign] = known
            return known[1]

    async def _aside(self, view: View, work: Callable[[View], T]) -> T:
        still = replace(view, evidence=view.evidence.snapshot())
        with collector_paused():
            return await self._executor.run(partial(work, still))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One after the other; whoever need not wait does not yield either."""
        try:
            self._busy.acquire_nowait()
        except trio.WouldBlock:
            await self._busy.acquire()
        try:
            yield
        finally:
            self._busy.release()

    def _note(self, change: Change) -> None:
        """Nothing that was erased lives on in what was computed of it."""
        for record in change.dropped:
            self._verified.pop(record.scope, None)

    async def verified(self, view: View) -> Verified:
        """As `verify`, after looking for what it lacks."""
        found = await self.verify(view)
        if found.missing and await self._library.complete(view, found.missing):
            found = await self.verify(view)
        return found

    async def ended(self, view: View) -> bool:
        """Whether the campaign's last close is here and follows from its evidence."""
        return view.may_have_ended and any(
            report.claim.last and report.statement is Verdict.OK
            for report in (await self.verify(view)).reports
        )

    async def close(self, view: View, number: int | None = None) -> Record:
        """Close a round as the sponsor: lists first, then the close itself.

        Args:
            view: the campaign.
            number: the round; None: the latest whose finals are here.

        Raises:
            Failure: `not-the-sponsor`, `already-closed`, `waits-for-finals`,
                `incomplete`, `no-such-round`, `campaign-ended`, `key-retired`;
                `successor-not-seen`, `sponsor-records-missing` for a key that
                took over.
        """
        key = self._library.key_among(view.terms.sponsor)
        mine = self._library.my_keys(view)
        if key is None and any(one in view.terms.sponsor for one in mine):
            raise KeyRetired
        if key is None:
            raise Failure(
                "not-the-sponsor",
                "Only the sponsor's node can close this campaign.",
                cure="See what the evidence says with: p2pnode campaign verify",
            )
        async with self._closing:  # two closes at once would sign one round twice
            await self.succeed(view, key)
            return await self._close(view, key, number)

    async def succeed(
        self, view: View, key: SigningKey, *, owing: bool = False
    ) -> None:
        """See that a key knows what the sponsor's others have signed, if they did.

        It enters, and waits until a quorum of witnesses has seen that. They listed
        before what they held of the sponsor's other keys: a close or an `owe` that
        was safe is named by f+1 of them then, and is not signed a second time. What
        fewer name may be made up, and stops nobody.

        Args:
            view: the campaign.
            key: of its sponsor.
            owing: it is to sign an `owe`. Where lost keys of this node's were so many
                of the witnesses that a quorum never sees it, it owes by what is here:
                else what it owes could never be recognised. Nothing is closed then.

        Raises:
            Failure: `successor-not-seen`, `sponsor-records-missing`.
        """
        terms, retired = view.terms, self._library.retired
        earlier = [one for one in terms.sponsor if one != key.author]
        if not any(
            one in retired or self._feeds.head(view.campaign, one) for one in earlier
        ):
            return
        if self._feeds.head(view.campaign, key.author) is None:
            enter = Enter(salt=self._rng.token(16))
            await self._feeds.publish(key, view.campaign, Kind.ENTER, enter)
        left = sum(one.key not in retired for one in terms.witnesses)
        if not (owing and left < terms.quorum):
            await self._be_seen(view, key)
        self._check_told(view, earlier)

    async def _be_seen(self, view: View, key: SigningKey) -> None:
        """See that a quorum of witnesses has seen that a key entered: once for all."""
        terms, place = view.terms, (view.campaign, key.author)
        if place in self._successors:
            return
        seen_by = await self.read(view, partial(_seen_by, author=key.author))
        if seen_by < terms.quorum:
            raise Failure(
                "successor-not-seen",
                "This node's next key was seen by {have} witnesses so far. It closes"
                " and owes nothing until they have told what the key before it signed.",
                "{quorum} witnesses that have seen it.",
                "Wait until their nodes have answered, then try again.",
                have=seen_by,
                quorum=terms.quorum,
            )
        self._successors[place] = None

    def _check_told(self, view: View, earlier: Sequence[AuthorKey]) -> None:
        """See that what witnesses listed of these keys is here."""
        lacking = sum(
            any(
                author in earlier and view.evidence.lookup(record_id) is None
                for record in feed
                if record.kind == Kind.SEEN and record.claim_bytes is not None
                for author, _, record_id in record.claim().heads
            )
            for feed in _witness_feeds(view).values()
        )
        if lacking > view.terms.faults:
            raise Failure(
                "sponsor-records-missing",
                "{count} witnesses have seen records of this sponsor that are not"
                " here.",
                "All that the key before this one signed.",
                "Wait for neighbours to bring them, then try again.",
                count=lacking,
            )

    async def _close(self, view: View, key: SigningKey, number: int | None) -> Record:
        try:
            closing, end = await self.read(view, partial(_next_close, number=number))
        except _Lacking as lacking:
            await self._library.complete(view, lacking.missing)
            raise lacking.failure from None
        drafts = close_drafts(view.terms, closing, end, self._rng)
        records = await self._feeds.publish_many(key, view.campaign, drafts)
        return records[-1]

    async def lines(self) -> list[Line]:
        """My lines in all closes of all campaigns, oldest first."""
        found: list[Line] = []
        for view in await self._library.all_views():
            mine = self._library.my_keys(view)
            if mine:
                found += await self.lines_of(view, mine)
        return found

    async def lines_of(self, view: View, mine: Sequence[AuthorKey]) -> list[Line]:
        """The lines of my keys, oldest first; after a loss earlier ones stay mine."""
        reports = (await self.verified(view)).reports
        return await self.read(view, partial(_lines, reports=reports, mine=mine))

    async def check_alive(self, view: View, now_ms: int) -> None:
        """Refuse to spend where every line of mine has expired.

        Raises:
            Failure: `voucher-expired`.
        """
        lines = await self.lines_of(view, self._library.my_keys(view))
        ends = [line.redeem_until for line in lines]
        if ends and max(ends) < now_ms:
            raise Failure(
                "voucher-expired",
                "What this campaign pays you could be redeemed until {time}.",
                "A voucher before its last day.",
                "What was not redeemed is the sponsor's: ask there.",
                time=clock_time(max(ends)),
            )

    async def claim(self, view: View) -> Line:
        """My latest line of a campaign, as a voucher.

        Raises:
            Failure: `nothing-to-claim`: no close that is here pays me.
        """
        mine = self._library.my_keys(view)
        if not mine:
            self._library.require_key(view)
        lines = await self.lines_of(view, mine)
        if not lines:
            raise Failure(
                "nothing-to-claim",
                "No close of this campaign pays this node anything.",
                "A close with a line for this node's key.",
                "See why with: p2pnode campaign explain",
                NOT_FOUND,
            )
        return lines[-1]


def _witness_feeds(view: View) -> dict[AuthorKey, Sequence[Record]]:
    scope = witness_scope(view.campaign)
    keys = (witness.key for witness in view.terms.witnesses)
    return {key: view.evidence.feed(scope, key) for key in keys}


def _seen_by(view: View, author: AuthorKey) -> int:
    """How many witnesses have seen that an author entered."""
    genesis = view.evidence.feed(view.campaign, author)[0]
    seen = receipts(view.terms, _witness_feeds(view), view.evidence.lookup)
    return len(seen.get(genesis.id, ()))


class _Lacking(Exception):
    """A round cannot be closed yet: why, and which records would help."""

    def __init__(self, failure: Failure, missing: tuple[RecordId, ...]) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.missing = missing


def _next_close(view: View, number: int | None) -> tuple[Closing, bytes]:
    """What a round would be closed with, and what the close follows.

    Raises:
        Failure, _Lacking: as `Books.close` says.
    """
    before, previous = _chain(view)
    if previous is not None and previous.claim().last:
        raise Failure(
            "campaign-ended",
            "Round {round} was the last close of this campaign.",
            cure="Nothing is left to close.",
            round=previous.claim().round,
        )
    if number is None:
        number = _next_round(view, before[-1].round if before else 0)
    if number > len(view.terms.rounds):
        raise Failure(
            "no-such-round",
            "The terms have no round {round}.",
            "A round from 1 to {most}.",
            "See p2pnode campaign show.",
            round=number,
            most=len(view.terms.rounds),
        )
    if before and number <= before[-1].round:
        raise Failure(
            "already-closed", "Round {round} is closed already.", round=number
        )
    try:
        closing = declare(view.terms, number, before, view.evidence)
    except Incomplete as error:
        raise _lacking(view, number, error) from None
    return closing, view.campaign if previous is None else previous.id


def _lacking(view: View, number: int, error: Incomplete) -> _Lacking:
    silent = _silent(view, number)
    have = len(view.terms.witnesses) - len(silent)
    if have < view.terms.quorum:
        failure = Failure(
            "waits-for-finals",
            "Round {round} cannot be closed before {when}: it waits for {owners}.",
            "At least {quorum} of its witnesses have finished it; now {have} have.",
            "Wait until then; the nodes of those witnesses must run.",
            round=number,
            when=clock_time(view.terms.rounds[number - 1].final_from),
            owners=", ".join(silent),
            quorum=view.terms.quorum,
            have=have,
        )
        return _Lacking(failure, ())
    failure = Failure(
        "incomplete",
        "{count} records that the finals name are not here yet.",
        "All records under the cut.",
        "Wait for neighbours to bring them, then close again.",
        count=len(error.missing),
    )
    return _Lacking(failure, tuple(map(RecordId, error.missing)))


def _lines(
    view: View, reports: Sequence[CloseReport], mine: Sequence[AuthorKey]
) -> list[Line]:
    found = []
    for report in reports:  # a line once signed is owed, also where the close is wrong
        try:
            lines = signed_lines(report.close, view.evidence)
        except (Incomplete, ProtocolError):
            continue
        vouchers = (make_voucher(report.close, lines, key) for key in mine)
        found += [
            Line(
                view=view,
                close=report.close,
                round=report.claim.round,
                amount=voucher.line.amount,
                voucher=voucher,
                verdict=report.statement,
            )
            for voucher in vouchers
            if voucher is not None
        ]
    return found


def close_drafts(
    terms: Terms, closing: Closing, previous: bytes, rng: Rng
) -> list[Draft]:
    """What a sponsor signs to close a round: the lists, then the close itself."""
    drafts = [
        Draft(
            kind=Kind.PART,
            claim=Part(salt=rng.token(16), tree=tree, root=top, index=index, data=data),
        )
        for tree, top, index, data in parts(closing.lists())
    ]
    claim = close_claim(terms, closing, previous, rng.token(16))
    return [*drafts, Draft(kind=Kind.CLOSE, claim=claim)]


def verify(view: View) -> Verified:
    """Judge every close of a campaign and what its evidence says beyond."""
    reports = tuple(verify_closes(view.terms, view.evidence))
    closed = [report.claim.round for report in reports]
    done = max(closed, default=0)
    ended = any(report.claim.last for report in reports)
    missing = dict.fromkeys(one for report in reports for one in report.missing)
    number = None
    unclosed: Closing | None = None
    silent: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    if not ended and done < len(view.terms.rounds):
        number = _next_round(view, done)
        silent = waits = tuple(_silent(view, number))
        if len(view.terms.witnesses) - len(silent) >= view.terms.quorum:
            waits = ()
            unclosed, lacking = _unclosed(view, number)
            missing.update(dict.fromkeys(lacking))
    missing.update(dict.fromkeys(_disputed(view)))
    return Verified(
        reports=reports,
        unclosed=unclosed,
        waits_for=waits,
        silent=silent,
        next_round=number,
        missing=tuple(RecordId(one) for one in missing if len(one) == ID_SIZE),
    )


def _disputed(view: View) -> list[RecordId]:
    """Closes that others dispute and that are not here: there may be a second.

    Of each author one, the last: who names what exists nowhere keeps no others from
    theirs.
    """
    named = {
        record.author: RecordId(record.claim().close)
        for record in view.evidence.by_id.values()
        if record.kind == Kind.DISPUTE and record.claim_bytes is not None
    }
    absent = [one for one in named.values() if view.evidence.lookup(one) is None]
    return absent[:DISPUTED_MAX]


def _next_round(view: View, done: int) -> int:
    """The latest round after `done` whose finals are here, else the next."""
    for number in range(len(view.terms.rounds), done, -1):
        if len(finals_at_hand(view.terms, number, view.evidence)) >= view.terms.quorum:
            return number
    return min(done + 1, len(view.terms.rounds))


def _unclosed(view: View, number: int) -> tuple[Closing | None, tuple[bytes, ...]]:
    """What the evidence says of a round, or what is missing to say it."""
    try:
        before, _ = _chain(view)
        return declare(view.terms, number, before, view.evidence), ()
    except Incomplete as error:
        return None, error.missing
    except (ProtocolError, Failure):
        return None, ()


def _chain(view: View) -> tuple[list[Declared], Record | None]:
    """What the closes so far declare, and the last of them."""
    closes = sponsor_closes(view.terms, view.evidence)
    if not closes:
        return [], None
    last: Close = closes[-1].claim()
    previous = next(r for r in closes if r.claim().round == last.round)
    try:
        return declared_chain(view.terms, previous, view.evidence), previous
    except Incomplete as error:
        raise Failure(
            "incomplete",
            "Lists of the closes so far are not here: {why}.",
            cure="Wait for neighbours to bring them.",
            why=error,
        ) from None


def clock_time(time_ms: int) -> str:
    """A time as this machine's clock on the wall shows it."""
    local = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S")


def _silent(view: View, number: int) -> list[str]:
    heard = {r.author for r in finals_at_hand(view.terms, number, view.evidence)}
    return [
        w.owner or author_text(w.key)
        for w in view.terms.witnesses
        if w.key not in heard
    ]
