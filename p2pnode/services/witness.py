"""Seeing for campaigns that name this node as witness. Spec 0009 §1.

Every `seen_interval` the heads that moved since are listed in a `seen`; when a
round's time has come, a `seen` is its final. An honest witness lists a head
only if it holds the whole prefix, and every genesis above it is well signed
and listed by itself; never at or above a fork it knows; within the caps.

Anybody who knows a campaign's id can write into it. So what is kept of a
campaign follows each change, nothing is looked at twice, and of strangers
whom nobody invited only their inviter's name is read.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import StoreDamaged, StoreInDoubt
from p2pnode.services.feeds import Draft
from p2pnode.services.room import INVITE_SHARE, join_of
from protocols.claims import Fork, Kind, Seen
from protocols.errors import ProtocolError
from protocols.evidence import witness_room
from protocols.feed import Head
from protocols.join import Join, check_continue, check_join
from protocols.keys import AuthorKey, RecordId, Scope, SigningKey, witness_scope
from protocols.limits import HEADS_MAX, PART_SPARE
from protocols.testimony import fork_proof
from protocols.text import campaign_text

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from p2pnode.ports import Clock, Rng
    from p2pnode.services.closing import Books
    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library, View
    from protocols.record import Record
    from protocols.terms import Terms

POLL_S: Final = 0.2
TROUBLE_S: Final = 5.0
"""Pause after something went wrong, such as a full disk."""

FORKS_MAX: Final = 16
"""Forks that are listed at a time: each is a record of its own."""

VERDICTS_MAX: Final = 4_096
"""Verdicts about genesis records that are remembered for a campaign."""

STRIDE: Final = 32
"""Feeds looked at before other tasks have a turn."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reach:
    """How far a feed may be listed, forks aside."""

    bytes_left: int
    records_max: int
    seq: int = -1


class Duty:
    """One witness's duty for one campaign: what it has listed, what moved since.

    Args:
        view: what is held of the campaign; the duty reads on as it grows.
        me: the witness's key.
        feeds: where forks are known.
    """

    def __init__(self, view: View, me: AuthorKey, feeds: Feeds) -> None:
        self.view = view
        self.allowance = witness_room(view.terms)
        """How much I may write."""
        self.listed: dict[AuthorKey, int] = {}
        """Author -> highest listed seq."""
        self.forks: dict[AuthorKey, None] = {}
        """Authors whose fork is listed."""
        self.finals: dict[int, None] = {}
        self.ended = False
        """Whether the campaign's last close was found right."""
        self.judging = False
        """Whether that is being found out."""
        self.judged = False
        """Whether it was, since the last final."""
        self.tended_ms = -1
        """When something was last listed."""
        self.read = 0
        """How many of my own records were read."""
        self.moved: dict[AuthorKey, None] = {}
        """Authors of whom something came since they were last looked at."""
        self.due: dict[AuthorKey, None] = {}
        """Authors whose fork is to be listed."""
        self.me = me
        self._feeds = feeds
        self._last_ms = -1
        self._named: dict[AuthorKey, None] = {}
        self._inviters: dict[AuthorKey, AuthorKey | None] = {}
        """Author -> who invited her, as she says."""
        self._below: dict[AuthorKey, dict[AuthorKey, None]] = {}
        """Authors who wait until the one who invited them is listed."""
        self._reaches: dict[AuthorKey, _Reach] = {}
        self._verdicts: dict[RecordId, bool] = {}
        self._roots: dict[AuthorKey, AuthorKey | None] = {}
        """Author -> the invite, of somebody the terms name, that she came by."""
        self._shares: Counter[AuthorKey] = Counter()
        """How many listed feeds came by each such invite."""
        for record in view.evidence.by_id.values():
            self.note(record.scope, record.author)
        for proof in feeds.forks(view.campaign):
            self.note(proof.scope, proof.author)
        self.catch_up()

    def note(self, scope: Scope, author: AuthorKey) -> None:
        """Something of a feed came: look at it at the next turn."""
        if scope == self.view.campaign:
            self.moved[author] = None

    @property
    def left(self) -> int:
        """How many records I may still write besides finals."""
        return max(0, self.allowance.records - len(self.view.terms.rounds) - self.read)

    def is_time(self, now_ms: int) -> bool:
        """Whether something moved, and the last turn was long enough ago."""
        last_ms = max(self._last_ms, self.tended_ms)
        rested = now_ms >= last_ms + self.view.terms.seen_interval_ms
        return rested and self.left > 0 and bool(self.moved or self.due)

    def catch_up(self) -> None:
        """Read on in my own feed: what it says is what I have listed."""
        scope = witness_scope(self.view.campaign)
        own = self.view.evidence.feed(scope, self.me)
        for record in own[self.read :]:
            self._take(record)
        self.read = len(own)

    async def order(self, moved: Iterable[AuthorKey]) -> list[AuthorKey]:
        """Who of those that moved can be listed, parents before children.

        From those listed already the tree of invites is walked down, level
        after level, so that a genesis is only checked below one that counts.
        """
        again: list[AuthorKey] = []
        level: list[AuthorKey] = []
        for turn, author in enumerate(moved):
            await _breathe(turn)
            if author in self.listed:
                self._find_fork(author)
                again.append(author)
            elif self._stands(author, ()):
                level.append(author)
        found = [author for author in again if self._is_news(author)]
        return found + await self._walk(level)

    async def _walk(self, level: list[AuthorKey]) -> list[AuthorKey]:
        """Who can be listed for the first time, within the cap on feeds.

        By one invite of somebody the terms name, and all invites below it, no
        more than a quarter comes in: who has one cannot lock the others out.
        """
        free = self.view.terms.caps.feeds - len(self.listed)
        most = max(1, self.view.terms.caps.feeds // INVITE_SHARE)
        new: list[AuthorKey] = []
        came: Counter[AuthorKey] = Counter()
        turn = 0
        while level:
            lower: list[AuthorKey] = []
            for author in sorted(level, key=lambda one: (not self._names(one), one)):
                await _breathe(turn := turn + 1)
                if len(new) >= free and self._fork_at(author) is None:
                    continue
                if not self._is_sound(author):
                    continue
                self._find_fork(author)
                if len(new) < free and self._is_news(author):
                    root = self._root(author)
                    if root is not None and self._shares[root] + came[root] >= most:
                        continue
                    if root is not None:
                        came[root] += 1
                    new.append(author)
                    lower += self._below.get(author, ())
            level = lower
        return new

    def heads(
        self, authors: Iterable[AuthorKey]
    ) -> tuple[tuple[AuthorKey, int, RecordId], ...]:
        """What one `seen` lists of them, as it is now, ascending by author."""
        found: dict[AuthorKey, Head] = {}
        for author in authors:
            top = self._top(author)
            stands = author in self.listed or self._stands(author, found)
            if top is not None and stands and top.seq > self.listed.get(author, -1):
                found[author] = top
        return tuple((one, found[one].seq, found[one].id) for one in sorted(found))

    def next_forks(self) -> list[AuthorKey]:
        """Whose forks are listed now: feeds that are listed come first.

        Half of the room for forks is theirs: strangers cannot use it up.
        """
        some = nsmallest(FORKS_MAX, self.due, lambda one: (one not in self.listed, one))
        listed = [one for one in some if one in self.listed]
        spare = max(0, self.allowance.forks // 2 - len(self.forks))
        return (listed + some[len(listed) :][:spare])[: self.left]

    def _take(self, record: Record) -> None:
        """Note what one of my own records lists."""
        if record.kind == Kind.FORK:
            author = fork_proof(record.claim()).author
            self.forks[author] = None
            self.due.pop(author, None)
            return
        time_ms = record.header.time_ms
        later = time_ms > self._last_ms and record.claim_bytes is not None
        if record.kind != Kind.SEEN or not later:
            return
        seen: Seen = record.claim()
        self._last_ms = time_ms
        new = [author for author, _, _ in seen.heads if author not in self.listed]
        for author, seq, _ in seen.heads:
            self.listed[author] = max(seq, self.listed.get(author, -1))
        for author in new:
            root = self._root(author)
            if root is not None:
                self._shares[root] += 1
            below = self._below.pop(author, {})
            self.moved.update((one, None) for one in below if one not in self.listed)
        for number, one in enumerate(self.view.terms.rounds, 1):
            if seen.final == number and time_ms >= one.final_from:
                self.finals[number] = None

    def _names(self, author: AuthorKey) -> bool:
        return author in self._named

    def _root(self, author: AuthorKey) -> AuthorKey | None:
        """The topmost invite by which an author came; None: the terms name her."""
        chain: list[AuthorKey] = []
        root: AuthorKey | None = None
        while not (author in self._roots or author in chain):
            feed = self._feed(author)
            join = join_of(feed[0]) if feed else None
            if join is None or self.view.terms.names(author):
                break
            chain.append(author)
            root, author = join.invite.invite_key, join.invite.inviter
        root = self._roots.get(author, root)
        for one in chain:
            self._roots[one] = root
        return root

    def _feed(self, author: AuthorKey) -> Sequence[Record]:
        return self.view.evidence.feed(self.view.campaign, author)

    def _fork_at(self, author: AuthorKey) -> int | None:
        proof = self._feeds.fork(self.view.campaign, author)
        return None if proof is None else proof.seq

    def _find_fork(self, author: AuthorKey) -> None:
        """Have the fork of a listed or rooted feed listed, if there is one."""
        if author not in self.forks and self._fork_at(author) is not None:
            self.due[author] = None

    def _stands(self, author: AuthorKey, also: Container[AuthorKey]) -> bool:
        """Whether the terms name her, or who invited her is listed, or in `also`.

        Who does not yet is found again below her inviter.
        """
        if author not in self._inviters:
            self._meet(author)
        if self._names(author):
            return True
        above = self._inviters.get(author)
        if above is None:
            return False
        if above in self.view.terms.sponsor or above in self.listed or above in also:
            return True
        self._below.setdefault(above, {})[author] = None
        return False

    def _meet(self, author: AuthorKey) -> None:
        """Read, once, who invited an author."""
        if self.view.terms.names(author):
            self._named[author] = None
            self._inviters[author] = None
            return
        feed = self._feed(author)
        if feed and feed[0].seq == 0 and feed[0].claim_bytes is not None:
            self._inviters[author] = _inviter(feed[0])

    def _is_sound(self, author: AuthorKey) -> bool:
        """Whether her genesis is well signed; each is checked once."""
        if self._names(author):
            return True
        genesis = self._feed(author)[0]
        verdict = self._verdicts.get(genesis.id)
        if verdict is None:
            verdict = _well_signed(self.view, genesis)
            if len(self._verdicts) >= VERDICTS_MAX:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[genesis.id] = verdict
        return verdict

    def _is_news(self, author: AuthorKey) -> bool:
        top = self._top(author)
        return top is not None and top.seq > self.listed.get(author, -1)

    def _top(self, author: AuthorKey) -> Head | None:
        """The highest record of a feed that may be listed, or None.

        Every claim below it is held, or was settled before it was dropped; it
        stays below a fork and within the caps.
        """
        feed, reach = self._feed(author), self._reach(author)
        for record in feed[reach.seq + 1 :]:
            if not self._may_follow(record, reach):
                break
            reach.seq = record.seq
            reach.bytes_left -= record.header.claim_size + record.header.note_size
        fork = self._fork_at(author)
        seq = reach.seq if fork is None else min(reach.seq, fork - 1)
        return Head(seq, feed[seq].id) if seq >= 0 else None

    def _may_follow(self, record: Record, reach: _Reach) -> bool:
        """Whether a record may be listed after those up to `reach`.

        An erased claim is not missed once the record is settled here: it counts
        for ever, or never.
        """
        spare = record.kind in (Kind.ERASE, Kind.REDEEM)
        most = reach.records_max + (PART_SPARE if spare else 0)
        size = record.header.claim_size + record.header.note_size
        here = record.claim_bytes is not None
        held = here or record.id in self._feeds.erasures.gone
        follows = record.seq == reach.seq + 1 and held
        return follows and record.seq < most and (spare or size <= reach.bytes_left)

    def _reach(self, author: AuthorKey) -> _Reach:
        if author not in self._reaches:
            caps, named = self.view.terms.caps, self.view.terms.names(author)
            self._reaches[author] = _Reach(
                bytes_left=caps.named_bytes_per_feed if named else caps.bytes_per_feed,
                records_max=(
                    caps.named_records_per_feed if named else caps.records_per_feed
                ),
            )
        return self._reaches[author]


class Witness:
    """Publishes `seen`s and finals for all campaigns that name this node."""

    def __init__(
        self, library: Library, feeds: Feeds, books: Books, clock: Clock, rng: Rng
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._books = books
        self._clock = clock
        self._rng = rng
        self._trouble = ""
        self._duties: dict[Scope, Duty] = {}
        self._nursery: trio.Nursery | None = None
        """Where closes are judged while the duty goes on."""
        feeds.subscribe(self._note)

    async def run(self) -> None:
        """Do the duty until cancelled."""
        if not self._library.identity.author_keys:
            return
        async with trio.open_nursery() as self._nursery:
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
            log.warning("this witness does its duty again")
        self._trouble = trouble

    async def tend(self, view: View) -> None:
        """Publish what is due now for one campaign."""
        terms = view.terms
        key = self._library.key_among(witness.key for witness in terms.witnesses)
        if key is None:
            return
        duty, now_ms = self._duty(view, key.author), self._clock.now_ms()
        number = due_final(terms, duty, now_ms)
        if number is not None and await self._wants_none(duty):
            number = None
        if number is None and not duty.is_time(now_ms):
            return
        moved, duty.moved = duty.moved, {}
        before, done = duty.read, False
        try:
            await self._list(duty, key, number, moved)
            done = True
        finally:
            if not done:
                duty.moved = {**moved, **duty.moved}
        if duty.read > before:
            duty.tended_ms = now_ms

    def _note(self, change: Change) -> None:
        """Something was stored: the duties it concerns look at it later."""
        came = (*change.records, *change.dropped)
        feeds = [(record.scope, record.author) for record in came]
        feeds += [(proof.scope, proof.author) for proof in change.forks]
        for scope, author in feeds:
            if scope in self._duties:
                self._duties[scope].note(scope, author)

    def _duty(self, view: View, me: AuthorKey) -> Duty:
        """What I have listed for a campaign: read once, then kept."""
        duty = self._duties.get(view.campaign)
        if duty is None or duty.view is not view or duty.me != me:
            duty = self._duties[view.campaign] = Duty(view, me, self._feeds)
        duty.catch_up()
        return duty

    async def _wants_none(self, duty: Duty) -> bool:
        """Whether no final is given now: all has ended, or that is being judged.

        It may take long; receipts are not kept waiting for it.
        """
        if duty.ended or duty.judging or not duty.view.may_have_ended:
            return duty.ended or duty.judging
        if not duty.judged:
            duty.judging = True
            if self._nursery is not None:
                self._nursery.start_soon(self._judge, duty)
                return True
            await self._judge(duty)
        duty.judged = False
        return duty.ended

    async def _judge(self, duty: Duty) -> None:
        try:
            duty.ended = await self._books.ended(duty.view)
        except Exception as error:  # noqa: BLE001  # the duty for others goes on
            log.error("a close could not be judged: %s", error)  # noqa: TRY400
        duty.judging, duty.judged = False, True

    async def _list(
        self,
        duty: Duty,
        key: SigningKey,
        number: int | None,
        moved: Iterable[AuthorKey],
    ) -> None:
        """List heads, then forks: no flood of forks delays a receipt.

        A final comes last: what it does not stand on does not count by it.
        """
        authors = await duty.order(moved) if duty.left else []
        while duty.left and (len(authors) > HEADS_MAX or (authors and number is None)):
            await self._say(duty, key, None, authors[:HEADS_MAX])
            authors = authors[HEADS_MAX:]
        await self._list_forks(duty, key)
        if number is not None:
            await self._say(duty, key, number, authors[:HEADS_MAX])

    async def _say(
        self,
        duty: Duty,
        key: SigningKey,
        final: int | None,
        authors: Sequence[AuthorKey],
    ) -> None:
        heads = duty.heads(authors)
        if heads or final is not None:
            claim = Seen(salt=self._rng.token(16), final=final, heads=heads)
            scope = witness_scope(duty.view.campaign)
            await self._feeds.publish(key, scope, Kind.SEEN, claim)
            duty.catch_up()

    async def _list_forks(self, duty: Duty, key: SigningKey) -> None:
        drafts: list[Draft] = []
        for author in duty.next_forks():
            proof = self._feeds.fork(duty.view.campaign, author)
            assert proof is not None, "a fork stays one"
            claim = Fork(
                salt=self._rng.token(16),
                header_a=proof.header_a,
                signature_a=proof.signature_a,
                header_b=proof.header_b,
                signature_b=proof.signature_b,
            )
            drafts.append(Draft(kind=Kind.FORK, claim=claim))
        if drafts:
            scope = witness_scope(duty.view.campaign)
            await self._feeds.publish_many(key, scope, drafts)
            duty.catch_up()


def due_final(terms: Terms, duty: Duty, now_ms: int) -> int | None:
    """The earliest round whose final is due and not yet given."""
    for number, one in enumerate(terms.rounds, 1):
        if number not in duty.finals and now_ms >= one.final_from:
            return number
    return None


async def _breathe(turn: int) -> None:
    """Let other tasks have a turn, now and then."""
    if turn % STRIDE == 0:
        await trio.lowlevel.checkpoint()


def _inviter(genesis: Record) -> AuthorKey | None:
    """Who invited an author, as her genesis says."""
    join = join_of(genesis)
    return None if join is None else join.invite.inviter


def _well_signed(view: View, genesis: Record) -> bool:
    """Whether a join or continue is well signed, and worked for if it must be."""
    claim, terms = genesis.claim(), view.terms
    network, campaign, bits = terms.network, view.campaign, terms.join_bits
    try:
        if isinstance(claim, Join):
            check_join(claim, genesis.author, network, campaign, bits)
        else:
            check_continue(claim, genesis.author, network, campaign, bits)
    except ProtocolError:
        return False
    return True
