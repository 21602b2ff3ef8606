"""One neighbour stream: a session, its reader and its writer.

The reader feeds frames to the session and performs its effects. The writer
pulls: answers first, then what was asked for, read from the store a frame at
a time, then new records. So a slow peer holds nothing in memory but answers,
and those are bounded: it lags, and is compared again once it reads.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import StoreDamaged, StoreFull, StoreInDoubt, StreamClosed
from protocols.effects import (
    Answered,
    Close,
    Ingest,
    IngestForks,
    IngestFound,
    PeerCards,
    Serve,
    ServeIds,
    Step,
)
from protocols.errors import Reason
from protocols.limits import BATCH_MAX, WANTS_OPEN_MAX
from protocols.wire import Goodbye

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pnode.ports import PeerId, Seconds, Stream
    from p2pnode.services.feeds import Change, Feeds, Report
    from protocols.effects import Effect
    from protocols.feed import ForkProof
    from protocols.keys import RecordId, Scope
    from protocols.neighbour import Session
    from protocols.record import Record
    from protocols.wire import Card

ANSWERS_MAX: Final = 1_048_576
"""Bytes of answers a peer may leave unread; honest ones leave a tenth."""

WRITE_MAX: Final = 262_144
"""Bytes of one write."""

LAG_RECORDS_MAX: Final = 1_024
"""New records kept for a busy writer; above, the peer is compared again."""

BATCH_SECONDS: Final = 0.02
"""How long new records wait for more of them."""

HELLO_SECONDS_MAX: Final = 15.0
"""How long the peer's hello may take."""

SILENCE_SECONDS_MAX: Final = 120.0
"""How long a peer may be silent: both sides compare more often than that."""

BYE_SECONDS_MAX: Final = 5.0
"""How long the last frames may take."""

log = logging.getLogger(__name__)


class Link:
    """One stream to one peer, from hello to bye.

    Args:
        stream: the stream, already authenticated.
        session: its protocol.
        feeds: where records are kept.
        learn: told the peer's own cards.
    """

    def __init__(
        self,
        stream: Stream,
        session: Session,
        feeds: Feeds,
        learn: Callable[[PeerId, Card], None],
    ) -> None:
        self.stream = stream
        self.session = session
        self.error = ""
        """Why it ended; empty while it lives or if nobody was at fault."""
        self.fault = False
        """Whether the peer broke a rule."""
        self._feeds = feeds
        self._learn = learn
        self._answers: deque[bytes] = deque()
        self._answers_size = 0
        self._work: deque[Serve | ServeIds] = deque()
        self._records: list[Record] = []
        self._proofs: list[ForkProof] = []
        self._push_at: Seconds | None = None
        self._lagging = False
        self._ending = False
        self._wake = trio.Event()
        self._pings: dict[bytes, trio.Event] = {}
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Talk until either side ends it; never raises because of the peer."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    self._queue(self.session.start().frames)
                    await self._read()
                    self._end()
                    await trio.sleep(BYE_SECONDS_MAX)
                    self._scope.cancel()
        except* StreamClosed as closed:
            self.error = self.error or str(closed.exceptions[0])
        finally:
            await self.stream.close()

    def close(self, reason: Goodbye) -> None:
        """End it soon: say bye if the peer still reads."""
        self._queue(self.session.bye(reason).frames)
        self._end()

    def offer(self, change: Change) -> None:
        """Something new is here: pass it on in a moment, unless it came from here."""
        if change.followed:
            self._queue(self.session.follow().frames)
        if change.asked and self.session.greeted:
            self._ask_for_missing()
        if change.source is self or change.named or not self.session.greeted:
            return
        if not change.records and not change.forks:
            return
        self._records.extend(change.records)
        self._proofs.extend(change.forks)
        if len(self._records) + len(self._proofs) > LAG_RECORDS_MAX:
            self._records, self._proofs, self._lagging = [], [], True
        if self._push_at is None:
            self._push_at = trio.current_time() + BATCH_SECONDS
        self._nudge()

    def reconcile(self) -> None:
        """Compare all shared scopes again."""
        if self.session.greeted:
            self._queue(self.session.reconcile().frames)
            self._ask_for_missing()

    async def ping(self, token: bytes) -> Seconds:
        """How long the peer takes to answer; the caller sets a deadline."""
        began = trio.current_time()
        self._pings[token] = trio.Event()
        try:
            self._queue(self.session.ping(token).frames)
            await self._pings[token].wait()
        finally:
            del self._pings[token]
        return trio.current_time() - began

    # Reading.

    async def _read(self) -> None:
        """Take frames until the session is over."""
        patience = HELLO_SECONDS_MAX
        while not self.session.closed:
            with trio.move_on_after(patience) as waited:
                data = await self.stream.receive()
            if waited.cancelled_caught:
                self.error = "silent for too long"
                return
            await self._perform(self.session.receive(data))
            if self.session.greeted:
                patience = SILENCE_SECONDS_MAX

    async def _perform(self, step: Step) -> None:
        self._queue(step.frames)
        for effect in step.effects:
            try:
                await self._do(effect)
            except (StoreInDoubt, StoreFull) as error:
                self.error = f"our store: {error}"
                self._queue(self.session.bye(Goodbye.STOPPING).frames)

    async def _do(self, effect: Effect) -> None:
        if isinstance(effect, Ingest):
            await self._took(await self._feeds.ingest(effect.records, self))
        elif isinstance(effect, IngestForks):
            await self._took(await self._feeds.ingest_forks(effect.proofs, self))
        elif isinstance(effect, IngestFound):
            await self._took(await self._feeds.ingest_by_id(effect.records))
        elif isinstance(effect, Serve | ServeIds):
            await self._plan(effect)
        elif isinstance(effect, PeerCards):
            for card in effect.cards:
                self._learn(self.stream.peer, card)
        else:
            self._note(effect)

    async def _took(self, report: Report) -> None:
        """Go on after records or proofs were judged."""
        faults = [item for item in report.refused if item.fault]
        if faults:
            self.error = f"{faults[0].reason}: {faults[0].detail}"
            await self._perform(self.session.blame(faults[0].reason))
            return
        for gap in report.gaps:
            step = self.session.want(gap.scope, gap.author, gap.start, gap.stop)
            self._queue(step.frames)
        self._queue(self.session.ingested(report.scopes).frames)

    async def _plan(self, effect: Serve | ServeIds) -> None:
        """Leave it to the writer to read what the peer asked for."""
        self._work.append(effect)
        self._nudge()
        if len(self._work) > 2 * WANTS_OPEN_MAX:
            await self._perform(self.session.blame(Reason.TOO_MUCH))

    def _note(self, effect: Answered | Close) -> None:
        if isinstance(effect, Close):
            self.fault = effect.fault
            self.error = self.error or effect.reason
        elif effect.token in self._pings:
            self._pings[effect.token].set()

    # Writing.

    def _queue(self, frames: Sequence[bytes]) -> None:
        """Hand frames to the writer; a peer that never reads is let go."""
        self._answers.extend(frames)
        self._answers_size += sum(len(frame) for frame in frames)
        self._nudge()
        if self._answers_size > ANSWERS_MAX:
            self.error, self.fault = "does not read", True
            self._scope.cancel()

    def _nudge(self) -> None:
        self._wake.set()

    def _end(self) -> None:
        """Let the writer finish: answers, no more work, no more news."""
        self._ending = True
        self._work.clear()
        self._push_at = None
        self._nudge()

    async def _write(self) -> None:
        """Send what there is, in order of urgency, until cancelled."""
        while True:
            self._wake = trio.Event()
            frames = await self._next()
            if frames:
                await self.stream.send(frames)
            elif self._ending:
                self._scope.cancel()
                return  # nothing here waits: without it the loop would never end
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        """Wait for something to do, at most until new records are due."""
        until = float("inf") if self._push_at is None else self._push_at
        with trio.move_on_at(until):
            await self._wake.wait()

    async def _next(self) -> list[bytes]:
        """The frames to send now; none: there is nothing to do."""
        if self._answers:
            return self._some_answers()
        if self._work:
            return await self._serve()
        if self._push_at is not None and trio.current_time() >= self._push_at:
            return self._news()
        return []

    def _some_answers(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while self._answers and size < WRITE_MAX:
            frames.append(self._answers.popleft())
            size += len(frames[-1])
        self._answers_size -= size
        return frames

    def _news(self) -> list[bytes]:
        """New records and proofs; a peer that lagged is compared instead."""
        step = self.session.push(self._records)
        step.frames += self.session.prove(self._proofs).frames
        if self._lagging:
            step.frames += self.session.reconcile().frames
        self._records, self._proofs = [], []
        self._push_at, self._lagging = None, False
        return step.frames

    async def _serve(self) -> list[bytes]:
        """About one frame of what the peer asked for."""
        first = self._work[0]
        if isinstance(first, ServeIds):
            mine = await self._named(first)
            return self.session.found(first.scope, mine).frames
        records: list[Record] = []
        done: list[bytes] = []
        room = BATCH_MAX
        while room > 0 and self._work and len(done) < WANTS_OPEN_MAX:
            item = self._work[0]
            if isinstance(item, ServeIds) or item.scope != first.scope:
                break
            room -= await self._read_range(item, room, records, done)
        return self.session.serve(first.scope, records, done).frames

    async def _named(self, asked: ServeIds) -> list[Record]:
        """Read the next of what was asked for by id, as far as it is here."""
        self._work.popleft()
        found: list[Record] = []
        room = BATCH_MAX
        for place, each in enumerate(asked.ids):
            if room <= 0:
                rest = ServeIds(scope=asked.scope, ids=asked.ids[place:])
                self._work.append(rest)
                break
            try:
                record = await self._feeds.store.get(each)
            except StoreDamaged as error:
                self._damaged(error, asked.scope)
                continue
            if record is not None and record.scope == asked.scope:
                found.append(record)
                room -= _size(record)
        return found

    def _damaged(self, error: StoreDamaged, scope: Scope) -> None:
        """Ask this peer for a record that our disk has changed."""
        log.warning("%s", error)
        self._feeds.note_damage(error, scope)
        self._ask_for_missing()

    def _ask_for_missing(self) -> None:
        wanted: dict[Scope, list[RecordId]] = {}
        for record_id, scopes in self._feeds.missing.items():
            for scope in scopes:
                wanted.setdefault(scope, []).append(record_id)
        for scope, ids in wanted.items():
            self._queue(self.session.want_ids(scope, ids).frames)

    async def _read_range(
        self, item: Serve, room: int, records: list[Record], done: list[bytes]
    ) -> int:
        """Read the next of a range, at least one record; return its bytes."""
        self._work.popleft()
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
        records.extend(found)
        if found and found[-1].seq + 1 < stop:
            self._work.append(_rest(item, found[-1].seq + 1))
        else:
            done.append(item.feed)
        return sum(_size(record) for record in found)


def _rest(item: Serve, start: int) -> Serve:
    return Serve(
        scope=item.scope,
        author=item.author,
        feed=item.feed,
        start=start,
        stop=item.stop,
    )


def _size(record: Record) -> int:
    """Bytes of a record in a frame, about."""
    claim, note = record.claim_bytes or b"", record.note_bytes or b""
    return len(record.header_bytes) + len(claim) + len(note) + 80
