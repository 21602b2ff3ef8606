"""What one neighbour is still to be sent, and in which order.

Answers go first, then what the peer asked for, read from the store a frame at
a time and only while it grants credit, then what is new here. So a slow peer
holds nothing in memory but answers, and those are bounded: it lags, and is
compared again once it takes something.
"""

from __future__ import annotations

import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import StoreDamaged
from p2pnode.services.gauge import Gauge
from protocols.effects import Serve, ServeIds
from protocols.limits import BATCH_MAX, CREDIT_STEP, WANT_IDS_MAX, WANTS_OPEN_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pnode.ports import Seconds
    from p2pnode.services.feeds import Feeds
    from protocols.feed import ForkProof
    from protocols.keys import RecordId, Scope
    from protocols.neighbour import Session
    from protocols.record import Record

ANSWERS_MAX: Final = 1_048_576
"""Bytes of answers a peer may leave unread; honest ones leave a tenth."""

WRITE_MAX: Final = 262_144
"""Bytes of one write."""

LAG_RECORDS_MAX: Final = 1_024
"""New records kept for a busy writer; above, the peer is compared again."""

BATCH_SECONDS: Final = 0.02
"""How long new records wait for more of them."""

TELL_SECONDS: Final = 0.2
"""How long heads wait to be told: meanwhile the peer may tell them itself."""

IDS_MAX: Final = 4 * WANT_IDS_MAX
"""Records wanted by id that wait for a peer, and those that it waits for; what it
wants beyond is forgotten."""

log = logging.getLogger(__name__)


class Outbox:
    """The writing side of a link.

    Args:
        session: makes the frames.
        feeds: where records are read.
        damaged: told what of the disk could not be read.
    """

    def __init__(
        self,
        session: Session,
        feeds: Feeds,
        damaged: Callable[[StoreDamaged, Scope], None],
    ) -> None:
        self.overfull = False
        """Whether the peer left too many answers unread."""
        self._session = session
        self._feeds = feeds
        self._damaged = damaged
        self._answers: deque[bytes] = deque()
        self._answers_size = 0
        self._ranges: deque[Serve] = deque()
        self._ids: dict[RecordId, Scope] = {}
        self._owed: dict[RecordId, Scope] = {}
        """Wanted by id, and not here yet."""
        self._records: list[Record] = []
        self._proofs: list[ForkProof] = []
        self._push_at: Seconds = inf
        self._tell_at: Seconds = inf
        self._lagging = False
        self._ending = False
        self._wake = trio.Event()
        self._nap = trio.CancelScope()
        """The writer's wait for something to do."""

    def gauges(self) -> tuple[Gauge, ...]:
        """What waits here because of the peer."""
        news = len(self._records) + len(self._proofs)
        return (
            Gauge("bytes of answers", self._answers_size, ANSWERS_MAX),
            Gauge("ranges to serve", len(self._ranges), 2 * WANTS_OPEN_MAX),
            Gauge("records to serve by id", len(self._ids), IDS_MAX),
            Gauge("records owed by id", len(self._owed), IDS_MAX),
            Gauge("new records for a busy writer", news, LAG_RECORDS_MAX),
        )

    def answer(self, frames: Sequence[bytes]) -> None:
        """Send frames before anything else."""
        if not frames:
            return
        self._answers.extend(frames)
        self._answers_size += sum(len(frame) for frame in frames)
        self.overfull = self._answers_size > ANSWERS_MAX
        self.nudge()

    def plan(self, asked: Serve | ServeIds) -> None:
        """Read what the peer asked for when its turn comes.

        The session bounds the ranges; ids beyond `IDS_MAX` are not answered.
        """
        if isinstance(asked, Serve):
            self._ranges.append(asked)
        else:
            for record_id in asked.ids[: max(0, IDS_MAX - len(self._ids))]:
                self._ids[record_id] = asked.scope
        self.nudge()

    def found(self, records: Sequence[Record]) -> None:
        """What others brought by id: the peer may have asked for it in vain."""
        for record in records:
            scope = self._owed.pop(record.id, None)
            if scope is not None and len(self._ids) < IDS_MAX:
                self._ids[record.id] = scope
                self.nudge()

    def news(self, records: Sequence[Record], proofs: Sequence[ForkProof]) -> None:
        """Pass on what is new here, together with what comes in a moment."""
        self._records.extend(records)
        self._proofs.extend(proofs)
        if len(self._records) + len(self._proofs) > LAG_RECORDS_MAX:
            self._records, self._proofs, self._lagging = [], [], True
        if self._push_at == inf:
            self._push_at = trio.current_time() + BATCH_SECONDS
            # Not woken before it is due.
            self._nap.deadline = min(self._nap.deadline, self._push_at)

    def end(self) -> None:
        """Send the answers, no more work and no more news."""
        self._ending = True
        self._ranges.clear()
        self._ids.clear()
        self._owed.clear()
        self._push_at = self._tell_at = inf
        self.nudge()

    def nudge(self) -> None:
        """Look again whether there is something to send."""
        self._wake.set()

    async def next(self) -> list[bytes]:
        """Wait for the next frames to send; none: everything was sent, it is over."""
        while True:
            self._wake = trio.Event()
            frames = await self._now()
            if frames or self._ending:
                return frames
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait for something to do, at most until something new is due."""
        with trio.move_on_at(min(self._push_at, self._tell_at)) as self._nap:
            await self._wake.wait()

    async def _now(self) -> list[bytes]:
        """The frames to send now, in order of urgency."""
        if self._answers:
            return self._some_answers()
        if self._session.room >= CREDIT_STEP:
            if self._ids:
                return await self._serve_ids()
            if self._ranges:
                return await self._serve_ranges()
        now = trio.current_time()
        frames: list[bytes] = []
        if now >= self._tell_at:
            self._tell_at = inf
            frames += self._session.tell().frames
        if now >= self._push_at:
            frames += self._take_news(now)
        return frames

    def _some_answers(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while self._answers and size < WRITE_MAX:
            frames.append(self._answers.popleft())
            size += len(frames[-1])
        self._answers_size -= size
        return frames

    def _take_news(self, now: Seconds) -> list[bytes]:
        """New records and proofs; a peer that lagged is compared instead."""
        step = self._session.push(self._records)
        step.frames += self._session.prove(self._proofs).frames
        if self._lagging:
            step.frames += self._session.reconcile().frames
        self._records, self._proofs = [], []
        self._push_at, self._lagging = inf, False
        if self._tell_at == inf and self._session.has_to_tell:
            self._tell_at = now + TELL_SECONDS
        return step.frames

    async def _serve_ids(self) -> list[bytes]:
        """About one frame of what was asked for by id, as far as it is here."""
        scope = next(iter(self._ids.values()))
        found: list[Record] = []
        room = BATCH_MAX
        for each in [each for each, where in self._ids.items() if where == scope]:
            if room <= 0:
                break
            self._ids.pop(each, None)
            try:
                record = await self._feeds.store.get(each)
            except StoreDamaged as error:
                self._damaged(error, scope)
                continue
            if record is not None and record.scope == scope:
                found.append(record)
                room -= self._size(record)
            elif record is None and len(self._owed) < IDS_MAX:
                self._owed[each] = scope
        return self._session.found(scope, found).frames or await self._now()

    async def _serve_ranges(self) -> list[bytes]:
        """About one frame of the ranges that the peer asked for."""
        scope = self._ranges[0].scope
        records: list[Record] = []
        done: list[bytes] = []
        room = BATCH_MAX
        while room > 0 and len(done) < WANTS_OPEN_MAX:
            if not self._ranges or self._ranges[0].scope != scope:
                break
            room -= await self._read_range(self._ranges.popleft(), room, records, done)
        return self._session.serve(scope, records, done).frames

    async def _read_range(
        self, item: Serve, room: int, records: list[Record], done: list[bytes]
    ) -> int:
        """Read the next of a range, at least one record; return its bytes."""
        head = self._feeds.head(item.scope, item.author)
        stop = min(item.stop, 0 if head is None else head.seq + 1)
        found: list[Record] = []
        if item.start < stop:
            try:
                found = await self._feeds.store.feed(
                    item.scope, item.author, item.start, stop, room
                )
            except StoreDamaged as error:
                self._damaged(error, item.scope)
        found = self._fitting(found, room)
        records.extend(found)
        if found and found[-1].seq + 1 < stop:
            self._ranges.append(_rest(item, found[-1].seq + 1))
        else:
            done.append(item.feed)
        return sum(map(self._size, found))

    def _fitting(self, found: Sequence[Record], room: int) -> list[Record]:
        """As many as fit with the erases that go before them, at least one."""
        for count, record in enumerate(found):
            room -= self._size(record)
            if room < 0 < count:
                return [*found[:count]]
        return [*found]

    def _size(self, record: Record) -> int:
        """Bytes of a record in a frame, at least; before a bare one goes its erase."""
        bare = record.claim_bytes is None
        erase = self._feeds.erase_of(record) if bare else None
        return _size(record) + (0 if erase is None else _size(erase))


def _rest(item: Serve, start: int) -> Serve:
    return Serve(
        scope=item.scope,
        author=item.author,
        feed=item.feed,
        start=start,
        stop=item.stop,
    )


def _size(record: Record) -> int:
    """Bytes of a record in a frame, at least."""
    claim, note = record.claim_bytes or b"", record.note_bytes or b""
    return len(record.header_bytes) + len(claim) + len(note) + 80
