"""Seeing for campaigns that name this node as witness. Spec 0009 §1.

Every `seen_interval` the heads that moved since are listed in a `seen`; when a
round's time has come, a `seen` is its final. An honest witness lists a head
only if it holds the whole prefix, and every genesis above it is well signed
and listed by itself; never at or above a fork it knows; within the caps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from p2pnode.ports import StoreDamaged, StoreInDoubt
from protocols.claims import Fork, Kind, Seen
from protocols.errors import ProtocolError
from protocols.evidence import find_final, fork_proof, seens
from protocols.feed import Head
from protocols.join import Continue, Join, check_continue, check_join
from protocols.keys import AuthorKey, RecordId, SigningKey, witness_scope
from protocols.limits import HEADS_MAX, PART_SPARE
from protocols.text import campaign_text

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Rng
    from p2pnode.services.closing import Books
    from p2pnode.services.feeds import Feeds
    from p2pnode.services.library import Library, View
    from protocols.record import Record
    from protocols.terms import Terms

POLL_S = 0.2
TROUBLE_S = 5.0
"""Pause after something went wrong, such as a full disk."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Duty:
    """What this witness has listed for one campaign so far."""

    listed: dict[AuthorKey, int] = field(default_factory=dict)
    """Author -> highest listed seq."""
    forks: set[AuthorKey] = field(default_factory=set)
    finals: set[int] = field(default_factory=set)
    last_ms: int = 0


class Witness:
    """Publishes `seen`s and finals for all campaigns that name this node."""

    def __init__(
        self, library: Library, feeds: Feeds, books: Books, clock: Clock, rng: Rng
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._store = feeds.store
        self._books = books
        self._clock = clock
        self._rng = rng
        self._trouble = ""

    async def run(self) -> None:
        """Do the duty until cancelled."""
        if self._library.identity.author_key is None:
            return
        while True:
            calm = await self._round()
            await trio.sleep(POLL_S if calm else TROUBLE_S)

    async def _round(self) -> bool:
        """Tend every campaign; say whether all went well.

        A full disk, or what strangers put into one campaign, ends neither the
        node nor the duty for the others.
        """
        troubles: list[str] = []
        try:
            views = await self._library.all_views()
        except (StoreDamaged, StoreInDoubt) as error:
            views, troubles = [], [str(error)]
        for view in views:
            try:
                await self.tend(view)
            except Exception as error:  # noqa: BLE001  # said below, once
                title = campaign_text(view.campaign)[:16]
                troubles.append(f"{title}: {type(error).__name__}: {error}")
        self._say_once("; ".join(troubles))
        return not troubles

    def _say_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("this witness cannot do its duty: %s", trouble)
        elif self._trouble and not trouble:
            log.error("this witness does its duty again")
        self._trouble = trouble

    async def tend(self, view: View) -> None:
        """Publish what is due now for one campaign."""
        key, terms = self._library.identity.author_key, view.terms
        if key is None or all(key.author != w.key for w in terms.witnesses):
            return
        own = view.evidence.feed(witness_scope(view.campaign), key.author)
        duty = _duty(terms, own)
        number = due_final(terms, duty, self._clock.now_ms())
        if number is not None and self._books.ended(view):
            number = None
        interval_ms = terms.seen_interval_ms
        if number is None and self._clock.now_ms() < duty.last_ms + interval_ms:
            return
        await self._list_forks(view, key, duty)
        heads = await self._coverable(view, duty)
        while len(heads) > HEADS_MAX or (heads and number is None):
            await self._say(view, key, None, heads[:HEADS_MAX])
            heads = heads[HEADS_MAX:]
        if number is not None:
            await self._say(view, key, number, heads)

    async def _say(
        self,
        view: View,
        key: SigningKey,
        final: int | None,
        heads: list[tuple[AuthorKey, int, RecordId]],
    ) -> None:
        claim = Seen(salt=self._rng.token(16), final=final, heads=tuple(heads))
        await self._feeds.publish(key, witness_scope(view.campaign), Kind.SEEN, claim)

    async def _list_forks(self, view: View, key: SigningKey, duty: Duty) -> None:
        for proof in await self._store.forks(view.campaign):
            if proof.author in duty.forks:
                continue
            claim = Fork(
                salt=self._rng.token(16),
                header_a=proof.header_a,
                signature_a=proof.signature_a,
                header_b=proof.header_b,
                signature_b=proof.signature_b,
            )
            scope = witness_scope(view.campaign)
            await self._feeds.publish(key, scope, Kind.FORK, claim)

    async def _coverable(
        self, view: View, duty: Duty
    ) -> list[tuple[AuthorKey, int, RecordId]]:
        """Heads that moved and may be listed, ascending by author."""
        forked = {p.author: p.seq for p in await self._store.forks(view.campaign)}
        tops = {
            author: top
            for author, head in (await self._store.heads(view.campaign)).items()
            if (top := _top(view, author, head, forked.get(author))) is not None
        }
        known = set(duty.listed)
        rooted = _rooted(view, tops, known)
        new = [author for author in sorted(rooted) if author not in known]
        for author in new[max(view.terms.caps.feeds - len(known), 0) :]:
            rooted.discard(author)
        return [
            (author, tops[author].seq, tops[author].id)
            for author in sorted(rooted)
            if tops[author].seq > duty.listed.get(author, -1)
        ]


def _duty(terms: Terms, own: list[Record]) -> Duty:
    """What my own feed says I have listed."""
    duty = Duty()
    for record, seen in seens(own):
        duty.last_ms = record.header.time_ms
        for author, seq, _ in seen.heads:
            duty.listed[author] = max(seq, duty.listed.get(author, -1))
    for record in own:
        if record.kind == Kind.FORK:
            duty.forks.add(fork_proof(record.claim()).author)
    for number in range(1, len(terms.rounds) + 1):
        if find_final(terms, number, own) is not None:
            duty.finals.add(number)
    return duty


def due_final(terms: Terms, duty: Duty, now_ms: int) -> int | None:
    """The earliest round whose final is due and not yet given."""
    for number, one in enumerate(terms.rounds, 1):
        if number not in duty.finals and now_ms >= one.final_from:
            return number
    return None


def _top(
    view: View, author: AuthorKey, head: Head, forked_at: int | None
) -> Head | None:
    """The highest record of a feed that may be listed, or None.

    Every claim below it is held; it stays below a fork and within the caps.
    """
    caps, named = view.terms.caps, view.terms.names(author)
    records = caps.named_records_per_feed if named else caps.records_per_feed
    bytes_left = caps.named_bytes_per_feed if named else caps.bytes_per_feed
    top: Head | None = None
    for record in view.evidence.feed(view.campaign, author):
        spare = record.kind in (Kind.ERASE, Kind.REDEEM)
        most = records + (PART_SPARE if spare else 0)
        bytes_left -= record.header.claim_size + record.header.note_size
        held = record.claim_bytes is not None
        if not held or record.seq >= most or (bytes_left < 0 and not spare):
            break
        if forked_at is not None and record.seq >= forked_at:
            break
        top = Head(record.seq, record.id)
        if record.id == head.id:
            break
    return top


def _rooted(
    view: View, tops: dict[AuthorKey, Head], known: set[AuthorKey]
) -> set[AuthorKey]:
    """Authors whose every genesis above is well signed and listed with theirs."""
    rooted = {author for author in tops if author in known}
    inviters: dict[AuthorKey, AuthorKey] = {}
    for author in sorted(set(tops) - rooted):
        if view.terms.names(author):
            rooted.add(author)
            continue
        inviter = _inviter(view, author)
        if inviter is not None:
            inviters[author] = inviter
    grew = True
    while grew:
        grew = False
        for author in sorted(inviters):
            above = inviters[author]
            if author not in rooted and (
                above in rooted or above in view.terms.sponsor
            ):
                rooted.add(author)
                grew = True
    return rooted


def _inviter(view: View, author: AuthorKey) -> AuthorKey | None:
    """Who invited `author`, if her genesis is well signed."""
    feed = view.evidence.feed(view.campaign, author)
    if not feed or feed[0].claim_bytes is None:
        return None
    claim, terms = feed[0].claim(), view.terms
    try:
        if isinstance(claim, Join):
            check_join(claim, author, terms.network, view.campaign, terms.join_bits)
            return claim.invite.inviter
        if isinstance(claim, Continue):
            check_continue(claim, author, terms.network, view.campaign, terms.join_bits)
            return claim.join.invite.inviter
    except ProtocolError:
        return None
    return None
