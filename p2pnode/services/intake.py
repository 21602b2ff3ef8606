"""Judging one batch of records from outside against the feeds they are for."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from p2pnode.ports import StoreDamaged
from p2pnode.services.feed_state import FeedState
from protocols.claims import Kind
from protocols.erasing import check_claim_here, dropped
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof, Head, check_next, is_next, prove_fork
from protocols.genesis import check_genesis
from protocols.limits import INT_MAX, RECORD_MAX
from protocols.record import NO_BACKLINK, Record, check_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from p2pnode.ports import Store, Verifier
    from p2pnode.services.erasures import Erasures
    from p2pnode.services.feed_state import ScopeState
    from protocols.keys import AuthorKey, RecordId, Scope

Feed = tuple["Scope", "AuthorKey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Records start <= seq < stop of a feed, to be asked for."""

    scope: Scope
    author: AuthorKey
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that was not kept."""

    reason: Reason
    detail: str
    record_id: RecordId | None = None
    """None: not even a record could be read."""

    @property
    def fault(self) -> bool:
        """Whether an honest peer would not have sent it.

        What stands on the other branch of a fork, in a scope that is not
        followed here, or beyond what is kept, may come from anybody.
        """
        innocent = (Reason.FORK, Reason.UNKNOWN_SCOPE, Reason.NO_ROOM)
        return self.reason not in innocent


class Intake:
    """One batch: what of it is accepted, refused, missing, or proves a fork.

    Args:
        store: read only; the caller writes what was accepted.
        verifier: checks the signatures of what extends its feed.
        scopes: the followed scopes as they stand; not changed here.
        own: keys that only this node signs with.
        erasures: the erases that are held.
    """

    def __init__(
        self,
        store: Store,
        verifier: Verifier,
        scopes: Mapping[Scope, ScopeState],
        own: Collection[AuthorKey],
        erasures: Erasures,
    ) -> None:
        self.accepted: list[Record] = []
        self.filled: list[Record] = []
        """Known records that brought a part which was absent."""
        self.forks: list[ForkProof] = []
        self.gaps: list[Gap] = []
        self.refused: list[Refusal] = []
        self.damaged: list[tuple[StoreDamaged, Scope]] = []
        """What of the store could not be read, and where it stands."""
        self.stopped: dict[Feed, None] = {}
        self.states: dict[Feed, FeedState] = {}
        """Where the feeds of this batch will stand."""
        self._store = store
        self._verifier = verifier
        self._scopes = scopes
        self._own = own
        self._erasures = erasures
        self.leads: dict[RecordId, Record] = {}
        """Erases in the batch, in their place or ahead of it, by which a scan was
        taken without its claim."""
        self._named: dict[RecordId, list[Record]] = {}
        """The erases in the batch, by what they name."""
        self._batch: dict[Feed, list[Record]] = {}
        self._new: dict[Feed, list[Record]] = {}
        """What was accepted of each feed, without a gap."""

    def add(self, record: Record) -> None:
        """Add a record of a followed scope to the batch."""
        self._batch.setdefault((record.scope, record.author), []).append(record)
        if record.kind == Kind.ERASE and record.claim_bytes is not None:
            self._named.setdefault(record.claim().record, []).append(record)

    def ahead(self) -> list[Record]:
        """The erases by which scans were taken bare, and that are not in place yet."""
        taken = frozenset(record.id for record in self.accepted)
        return [one for one in self.leads.values() if one.id not in taken]

    def refuse(self, error: ProtocolError, record: Record | None = None) -> None:
        """Note why something is not kept."""
        record_id = None if record is None else record.id
        refusal = Refusal(reason=error.reason, detail=error.detail, record_id=record_id)
        self.refused.append(refusal)

    async def judge(self) -> None:
        """Judge every record, each feed's in order of seq.

        What extends its feed is found first, so that its signatures are checked
        together.
        """
        for records in self._batch.values():
            records.sort(key=_seq)
        runs = {feed: self._run(feed) for feed in self._batch}
        signed = [record for run in runs.values() for record in run]
        verdicts = iter(await self._verifier.verify(signed))
        for feed, run in runs.items():
            records, next_seq = self._batch[feed], self._state(feed).next_seq
            known = bisect_left(records, next_seq, key=_seq)
            rest = records[known + len(run) :]
            good = [*islice(verdicts, len(run))]
            if await self._judge(feed, records[:known]) and self._accept(
                feed, run, good
            ):
                ahead = [one for one in rest if one.id not in self.leads]
                await self._judge(feed, ahead)

    async def add_fork(self, proof: ForkProof) -> None:
        """Take a checked proof, unless one as low is known."""
        feed = (proof.scope, proof.author)
        state = self._state(feed)
        if state.fork is not None and state.fork.seq <= proof.seq:
            return
        before = await self._held(feed, proof.seq - 1)
        below = NO_BACKLINK if before is None else before.id
        self.states[feed] = replace(state, fork=proof, below=below)
        self.forks.append(proof)
        if proof.author in self._own:
            self.stopped[feed] = None

    def _state(self, feed: Feed) -> FeedState:
        scope, author = feed
        return self.states.get(feed) or self._scopes[scope].get(author)

    async def _held(self, feed: Feed, seq: int) -> Record | None:
        """The record at a place, from this batch or the store."""
        if seq < 0:
            return None
        new = self._new.get(feed)
        if new and new[0].seq <= seq:
            return new[seq - new[0].seq]
        found = await self._store.feed(*feed, seq, seq + 1, RECORD_MAX)
        return found[0] if found else None

    def _run(self, feed: Feed) -> list[Record]:
        """The records that extend a feed one after the other, if well signed."""
        state = self._state(feed)
        head, run = state.head, []
        stop = INT_MAX if state.fork is None else state.fork.seq
        for record in self._batch[feed]:
            if record.seq < state.next_seq:
                continue
            if record.seq >= stop or not is_next(head, record):
                break
            run.append(record)
            head = Head(record.seq, record.id)
        return run

    async def _judge(self, feed: Feed, records: Sequence[Record]) -> bool:
        """Judge records one by one; return whether what follows is worth it."""
        for record in records:
            try:
                if not await self._judge_one(feed, record):
                    return False
            except ProtocolError as error:
                self.refuse(error, record)
                return False
            except StoreDamaged as error:
                self.damaged.append((error, record.scope))
                return False
        return True

    async def _judge_one(self, feed: Feed, record: Record) -> bool:
        """Judge one record; return whether the feed's next is worth judging.

        Raises:
            ProtocolError: BAD_SIGNATURE, or FORK for the place of a known fork.
        """
        state = self._state(feed)
        if record.seq < state.next_seq:
            return await self._known_place(feed, record)
        if state.fork is not None and record.seq >= state.fork.seq:
            raise ProtocolError(Reason.FORK, f"seq {record.seq} of a forked feed")
        try:
            check_next(state.head, record)
        except ProtocolError as error:
            return self._gap(feed, record, error.reason)
        return self._accept(feed, [record], await self._verifier.verify([record]))

    def _accept(
        self, feed: Feed, run: Sequence[Record], verdicts: Sequence[bool]
    ) -> bool:
        """Take records that extend a feed, up to the first that is bad."""
        taken = len(run)
        for place, (record, good) in enumerate(zip(run, verdicts, strict=True)):
            try:
                self._check_alone(record, good=good)
            except ProtocolError as error:
                self.refuse(error, record)
                taken = place
                break
        if taken:
            self._extend(feed, run[:taken])
        return taken == len(run)

    def _check_alone(self, record: Record, *, good: bool) -> None:
        """Check what a record that extends its feed shows by itself.

        Raises:
            ProtocolError: BAD_SIGNATURE, BAD_CLAIM, or those of `check_genesis`.
        """
        if not good:
            raise ProtocolError(Reason.BAD_SIGNATURE, "record")
        if record.claim_bytes is None:
            check_claim_here(record, self._erase_of(record))
        if record.header.seq == 0:
            check_genesis(record)

    def _erase_of(self, record: Record) -> Record | None:
        """The erase of a scan's claim, held or in this batch.

        Raises:
            ProtocolError: BAD_SIGNATURE, the batch's erase is forged.
        """
        held = self._erasures.of(record)
        if held is not None and dropped(held, record).claim:
            self.leads[held.id] = held
            return held
        for erase in self._named.get(record.id, ()):
            if dropped(erase, record).claim:
                check_signature(erase)
                self.leads[erase.id] = erase
                return erase
        return None

    def _extend(self, feed: Feed, records: Sequence[Record]) -> None:
        last, fork, below = records[-1], self._state(feed).fork, NO_BACKLINK
        if fork is not None and fork.seq == last.seq + 1:
            below = last.id
        head = Head(last.seq, last.id)
        self.states[feed] = FeedState(head=head, fork=fork, below=below)
        self.accepted += records
        self._new.setdefault(feed, []).extend(records)
        if feed[1] in self._own:
            self.stopped[feed] = None

    def _gap(self, feed: Feed, record: Record, reason: Reason) -> bool:
        """Ask for what is missing; for another predecessor, from mine on."""
        check_signature(record)
        scope, author = feed
        start, stop = self._state(feed).next_seq, record.seq + 1
        if reason is Reason.WRONG_BACKLINK:
            start, stop = start - 1, start
        last = self._batch[feed][-1].seq
        stop = max(stop, last + 1) if reason is Reason.GAP else stop
        self.gaps.append(Gap(scope=scope, author=author, start=start, stop=stop))
        return False

    async def _known_place(self, feed: Feed, record: Record) -> bool:
        """A record where one is held: the same, one part more, or a fork."""
        mine = await self._held(feed, record.seq)
        assert mine is not None, "feeds are gapless"
        if mine.id == record.id:
            if _has_more(record, mine):
                self.filled.append(record)
            return True
        state = self._state(feed)
        if state.fork is not None and record.seq >= state.fork.seq:
            raise ProtocolError(Reason.FORK, f"seq {record.seq} of a forked feed")
        check_signature(record)
        await self.add_fork(prove_fork(mine, record))
        if mine.header.backlink != record.header.backlink:
            self._look_lower(feed, record.seq)
        return False

    def _look_lower(self, feed: Feed, seq: int) -> None:
        """The fork began lower: ask for twice as much as was seen of it."""
        scope, author = feed
        start = max(0, seq - 2 * (self._state(feed).next_seq - seq))
        self.gaps.append(Gap(scope=scope, author=author, start=start, stop=seq))


def _seq(record: Record) -> int:
    return record.header.seq


def _has_more(record: Record, mine: Record) -> bool:
    claim = mine.claim_bytes is None and record.claim_bytes is not None
    note = mine.note_bytes is None and record.note_bytes is not None
    return claim or (note and mine.header.note_size > 0)
