"""Judging one batch of records from outside against the feeds they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from p2pnode.ports import StoreDamaged
from p2pnode.services.feed_state import FeedState
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof, Head, check_next, prove_fork
from protocols.genesis import check_genesis
from protocols.limits import RECORD_MAX
from protocols.record import NO_BACKLINK, Record, check_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from p2pnode.ports import Store
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

        What stands on the other branch of a fork, or in a scope that is not
        followed here, may come from anybody.
        """
        return self.reason not in (Reason.FORK, Reason.UNKNOWN_SCOPE)


class Intake:
    """One batch: what of it is accepted, refused, missing, or proves a fork.

    Args:
        store: read only; the caller writes what was accepted.
        scopes: the followed scopes as they stand; not changed here.
        own: keys that only this node signs with.
    """

    def __init__(
        self,
        store: Store,
        scopes: Mapping[Scope, ScopeState],
        own: Collection[AuthorKey],
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
        self._scopes = scopes
        self._own = own
        self._batch: dict[Feed, list[Record]] = {}
        self._new: dict[tuple[Feed, int], Record] = {}

    def add(self, record: Record) -> None:
        """Add a record of a followed scope to the batch."""
        self._batch.setdefault((record.scope, record.author), []).append(record)

    def refuse(self, error: ProtocolError, record: Record | None = None) -> None:
        """Note why something is not kept."""
        record_id = None if record is None else record.id
        refusal = Refusal(reason=error.reason, detail=error.detail, record_id=record_id)
        self.refused.append(refusal)

    async def judge(self) -> None:
        """Judge every record, each feed's in order of seq."""
        for feed, records in self._batch.items():
            for record in sorted(records, key=lambda item: item.seq):
                try:
                    if not await self._judge(feed, record):
                        break
                except ProtocolError as error:
                    self.refuse(error, record)
                    break
                except StoreDamaged as error:
                    self.damaged.append((error, record.scope))
                    break

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
        if (feed, seq) in self._new:
            return self._new[feed, seq]
        found = await self._store.feed(*feed, seq, seq + 1, RECORD_MAX)
        return found[0] if found else None

    async def _judge(self, feed: Feed, record: Record) -> bool:
        """Judge one record; return whether the feed's next is worth judging.

        Raises:
            ProtocolError: BAD_SIGNATURE, FORK for the place of a known fork, or
                why a feed cannot begin like this.
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
        check_signature(record)
        if record.claim_bytes is None:
            raise ProtocolError(Reason.BAD_CLAIM, "the claim is absent")
        if record.seq == 0:
            check_genesis(record)
        self._accept(feed, record)
        return True

    def _accept(self, feed: Feed, record: Record) -> None:
        fork, below = self._state(feed).fork, NO_BACKLINK
        if fork is not None and fork.seq == record.seq + 1:
            below = record.id
        head = Head(record.seq, record.id)
        self.states[feed] = FeedState(head=head, fork=fork, below=below)
        self.accepted.append(record)
        self._new[feed, record.seq] = record
        if record.author in self._own:
            self.stopped[feed] = None

    def _gap(self, feed: Feed, record: Record, reason: Reason) -> bool:
        """Ask for what is missing; for another predecessor, from mine on."""
        check_signature(record)
        scope, author = feed
        start, stop = self._state(feed).next_seq, record.seq + 1
        if reason is Reason.WRONG_BACKLINK:
            start, stop = start - 1, start
        last = max(item.seq for item in self._batch[feed])
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


def _has_more(record: Record, mine: Record) -> bool:
    claim = mine.claim_bytes is None and record.claim_bytes is not None
    note = mine.note_bytes is None and record.note_bytes is not None
    return claim or (note and mine.header.note_size > 0)
