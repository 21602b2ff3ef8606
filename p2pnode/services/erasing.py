"""Drops what its author has erased. Spec 0003 §5.

A note goes at once. The claim of a scan goes when nobody can need it to settle
any more: a witness covers only what it holds as a whole, and what f+1 of them
cover must be settled by everybody. Which erases are held is in the store, so
what a crash left to be done is done at the next start.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.failures import Failure
from p2pnode.ports import StoreDamaged, StoreFull, StoreInDoubt
from p2pnode.services.erasures import target_of
from protocols.claims import Kind
from protocols.keys import witness_scope
from protocols.settlement.verify import (
    Verdict,
    declared_chain,
    finals_at_hand,
    heads_of,
    sponsor_closes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from p2pnode.ports import Seconds
    from p2pnode.services.closing import Books
    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library, View
    from protocols.feed import Head
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

PAUSE_S: Final = 0.5
"""How long changes are gathered: a checkpoint of the disk serves them all."""

AGAIN_S: Final = 30.0
"""Before a close that lacked records is settled again for this."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Campaign:
    """What waits to be dropped in one campaign, and what was settled there."""

    waiting: dict[RecordId, None] = field(default_factory=dict)
    """Scans whose claim is erased and may be needed yet."""
    judged: dict[RecordId, None] = field(default_factory=dict)
    """Closes that were found right, or wrong."""
    heads: list[dict[AuthorKey, Head]] = field(default_factory=list)
    """The cut of each close that was found right."""
    ended: bool = False
    """Whether the last close is among them."""
    seen_ms: float = inf
    """The time of the latest `seen`; at first it may be any."""
    again_at: Seconds = -inf
    """When closes are looked at again."""
    changed: bool = True


class Erasing:
    """Has this node hold nothing that was erased longer than it must.

    Args:
        library: which campaigns are followed.
        feeds: where records and erases are kept.
        books: what is settled.
    """

    def __init__(self, library: Library, feeds: Feeds, books: Books) -> None:
        self._library = library
        self._feeds = feeds
        self._books = books
        self._new: dict[RecordId, Record] = {}
        """Erases whose targets were not looked at yet."""
        self._campaigns: dict[Scope, _Campaign] = {}
        self._changed = trio.Event()
        feeds.subscribe(self._note)

    async def run(self) -> None:
        """Drop what may be dropped, whenever something changed, until cancelled."""
        self._take(self._feeds.erasures)
        while True:
            if not self._new:
                with trio.move_on_at(self._again_at()):
                    await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self._look()
            except (StoreDamaged, StoreInDoubt, StoreFull) as error:
                log.warning("what was erased is not dropped yet: %s", error)
            await trio.sleep(PAUSE_S)

    def _take(self, erases: Iterable[Record]) -> None:
        self._new.update((one.id, one) for one in erases)

    def _note(self, change: Change) -> None:
        for record in change.records:
            erase = record if record.kind == Kind.ERASE else None
            erase = erase or self._feeds.erasures.of(record)
            if erase is not None:
                self._new[erase.id] = erase
                self._changed.set()
            self._notice(record)

    def _notice(self, record: Record) -> None:
        """A close or a `seen` may be what a campaign waits for."""
        campaign = self._library.campaign_of(record.scope)
        at = None if campaign is None else self._campaigns.get(campaign)
        if at is None or not at.waiting:
            return
        if record.kind == Kind.SEEN:
            before = -inf if at.seen_ms == inf else at.seen_ms
            at.seen_ms = max(before, record.header.time_ms)
        if record.kind in (Kind.SEEN, Kind.CLOSE) or at.again_at > -inf:
            at.changed = True
            self._changed.set()

    def _again_at(self) -> Seconds:
        waits = (at.again_at for at in self._campaigns.values() if at.changed)
        return min((time for time in waits if time > -inf), default=inf)

    async def _look(self) -> None:
        """Drop notes; then, campaign by campaign, the claims that may go."""
        now = trio.current_time()
        new, self._new = self._new, {}
        try:
            await self._drop_notes(new)
        except (StoreDamaged, StoreInDoubt, StoreFull):
            self._new = {**new, **self._new}
            raise
        for campaign, at in [*self._campaigns.items()]:
            if at.waiting and at.changed and now >= at.again_at:
                at.changed = False
                try:
                    await self._drop_claims(campaign, at)
                except (StoreDamaged, StoreInDoubt, StoreFull):
                    at.changed, at.again_at = True, now + AGAIN_S
                    raise

    async def _drop_notes(self, erases: dict[RecordId, Record]) -> None:
        """Drop the notes that erases name; remember the claims that wait."""
        noted: list[Record] = []
        for erase in erases.values():
            scope, _, target = target_of(erase)
            record = await self._feeds.store.get(target)
            if record is None:
                continue  # should it come, it comes without its note
            parts = self._feeds.erasures.drops(record)
            if parts.note and record.note_bytes is not None:
                noted.append(record)
            waits = parts.claim and record.id not in self._feeds.erasures.gone
            if waits and self._library.campaign_of(scope) == scope:
                at = self._campaigns.setdefault(scope, _Campaign())
                at.waiting[record.id] = None
                at.changed = True
        if noted:
            await self._feeds.drop(noted, claims=False)

    async def _drop_claims(self, campaign: Scope, at: _Campaign) -> None:
        """Drop the claims that are settled; ask for those that are not here."""
        try:
            view = await self._library.view(campaign)
        except Failure:  # its terms are not here yet
            at.changed, at.again_at = True, trio.current_time() + AGAIN_S
            return
        await self._settle(view, at)
        quiet = self._last_heads(view, at)
        gone: list[Record] = []
        lacking: list[RecordId] = []
        for record_id in at.waiting:
            record = await self._feeds.store.get(record_id)
            assert record is not None, "what waits is held"
            never = quiet is not None and quiet.get(record.author, -1) < record.seq
            if at.ended or never or _counts(view, at, record):
                gone.append(record)
            elif record.claim_bytes is None:
                lacking.append(record_id)
        await self._finish(campaign, at, gone, lacking)

    async def _finish(
        self,
        campaign: Scope,
        at: _Campaign,
        gone: Sequence[Record],
        lacking: Sequence[RecordId],
    ) -> None:
        if gone:
            await self._feeds.drop(gone, claims=True)
            for record in gone:
                del at.waiting[record.id]
        if any(one not in self._feeds.missing for one in lacking):
            self._feeds.ask_for((campaign,), lacking)

    async def _settle(self, view: View, at: _Campaign) -> None:
        """Settle the closes that were not judged yet."""
        at.again_at = -inf
        closes = [one.id for one in sponsor_closes(view.terms, view.evidence)]
        if all(one in at.judged for one in closes):
            return
        for report in (await self._books.verify(view)).reports:
            if report.statement is Verdict.INCOMPLETE:
                at.again_at = trio.current_time() + AGAIN_S
                continue
            if report.close.id in at.judged:
                continue
            at.judged[report.close.id] = None
            if report.statement is Verdict.OK:
                (*_, declared) = declared_chain(view.terms, report.close, view.evidence)
                at.heads.append(heads_of([declared]))
                at.ended = at.ended or report.claim.last

    def _last_heads(self, view: View, at: _Campaign) -> dict[AuthorKey, int] | None:
        """The highest seq that any witness lists of each author, once no more count.

        None: something may count yet. Where 2f+1 witnesses have given their last
        final and no `seen` covers a record, at most f ever will.
        """
        terms, last = view.terms, len(view.terms.rounds)
        if at.seen_ms < terms.rounds[-1].final_from:
            return None
        if len(finals_at_hand(terms, last, view.evidence)) < terms.quorum:
            return None
        highest: dict[AuthorKey, int] = {}
        scope = witness_scope(view.campaign)
        for witness in terms.witnesses:
            for record in view.evidence.feed(scope, witness.key):
                if record.kind == Kind.SEEN and record.claim_bytes is not None:
                    for author, seq, _ in record.claim().heads:
                        highest[author] = max(seq, highest.get(author, -1))
        return highest


def _counts(view: View, at: _Campaign, record: Record) -> bool:
    """Whether a close that is settled here counts a record."""
    for heads in at.heads:
        head = heads.get(record.author)
        if head is not None and _is_below(view, record, head):
            return True
    return False


def _is_below(view: View, record: Record, head: Head) -> bool:
    """Whether a record is `head` or before it on its branch."""
    feed = view.evidence.feed(view.campaign, record.author)
    if head.seq < len(feed) and feed[head.seq].id == head.id:
        # Gapless up to there, so places are seqs: one branch, mostly.
        return record.seq <= head.seq and feed[record.seq].id == record.id
    wanted = head.id
    while (here := view.evidence.lookup(wanted)) is not None and here.seq > record.seq:
        wanted = here.header.backlink
    return wanted == record.id
