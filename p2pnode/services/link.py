"""One neighbour stream: a session, its reader and its writer.

The reader feeds frames to the session and performs its effects. The writer
sends what the `Outbox` gives, which holds next to nothing for a slow peer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2pnode.ports import StoreDamaged, StoreFull, StoreInDoubt, StreamClosed
from p2pnode.services.gauge import Gauge
from p2pnode.services.outbox import Outbox
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
    Told,
)
from protocols.limits import WANT_IDS_MAX
from protocols.wire import Goodbye

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.ports import PeerId, Seconds, Stream
    from p2pnode.services.feeds import Change, Feeds, Report
    from p2pnode.services.quota import Quota
    from protocols.effects import Effect
    from protocols.keys import RecordId, Scope
    from protocols.neighbour import Session
    from protocols.wire import Card, NewHead

HELLO_SECONDS_MAX: Final = 15.0
"""How long the peer's hello may take."""

SILENCE_SECONDS_MAX: Final = 120.0
"""How long a peer may be silent: both sides compare more often than that."""

BYE_SECONDS_MAX: Final = 5.0
"""How long the last frames may take."""

TURN_SECONDS: Final = 0.001
"""How long frames that are here already are read before others have their turn."""

log = logging.getLogger(__name__)


class Circle(Protocol):
    """All links of a node together: what one of them alone cannot decide."""

    def learned(self, link: Link, cards: PeerCards) -> None:
        """The peer says where it, or others, can be reached."""

    def quota(self, peer: PeerId) -> Quota:
        """How much of a peer's talk is read."""

    def told(self, link: Link, told: Told) -> None:
        """The peer has heads that are not here."""

    def repeated(self, link: Link, scope: Scope) -> None:
        """The peer pushed what was known."""


class Link:
    """One stream to one peer, from hello to bye.

    Args:
        stream: the stream, already authenticated.
        session: its protocol.
        feeds: where records are kept.
        circle: told what concerns other links too.
        address: what was dialled; None: the peer dialled.
    """

    def __init__(
        self,
        stream: Stream,
        session: Session,
        feeds: Feeds,
        circle: Circle,
        address: str | None = None,
    ) -> None:
        self.stream = stream
        self.session = session
        self.address = address
        self.error = ""
        """Why it ended; empty while it lives or if nobody was at fault."""
        self.fault = False
        """Whether the peer broke a rule."""
        self._feeds = feeds
        self._circle = circle
        self._quota = circle.quota(stream.peer)
        self._out = Outbox(session, feeds, self._damaged)
        self._pings: dict[bytes, trio.Event] = {}
        self._asked: dict[RecordId, None] = {}
        """What is missing and was asked for by id; the latest last."""
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Talk until either side ends it; never raises because of the peer."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    self._queue(self.session.start().frames)
                    await self._read()
                    self._out.end()
                    await trio.sleep(BYE_SECONDS_MAX)
                    self._scope.cancel()
        except* StreamClosed as closed:
            self.error = self.error or str(closed.exceptions[0])
        except* (StoreInDoubt, StoreFull) as errors:
            self.error = f"our store: {errors.exceptions[0]}"
        finally:
            await self.stream.close()

    def close(self, reason: Goodbye) -> None:
        """End it soon: say bye if the peer still reads."""
        self._queue(self.session.bye(reason).frames)
        self._out.end()

    def offer(self, change: Change) -> None:
        """Something new is here: pass it on in a moment, unless it came from here."""
        if change.followed:
            self._queue(self.session.follow().frames)
        if change.asked and self.session.greeted:
            self._ask_for_missing()
        if change.named:
            self._out.found(change.records)
        if change.source is self or change.named or not self.session.greeted:
            return
        if not change.records and not change.forks:
            return
        self._out.news(change.records, change.forks)

    def gauges(self) -> tuple[Gauge, ...]:
        """What waits here because of the peer."""
        return self._out.gauges()

    def reconcile(self) -> None:
        """Compare all shared scopes again."""
        if self.session.greeted:
            self._queue(self.session.reconcile().frames)
            self._ask_for_missing()

    def introduce(self, cards: Sequence[Card]) -> None:
        """Tell the peer where others can be reached."""
        self._queue(self.session.peers(cards).frames)

    def prune(self, scope: Scope) -> None:
        """Have the peer only tell of new heads."""
        self._queue(self.session.prune(scope).frames)

    def graft(self, scope: Scope, heads: Sequence[NewHead]) -> None:
        """Have the peer push new records again, and send those of these heads."""
        self._queue(self.session.graft(scope, heads).frames)

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
        patience, worked = HELLO_SECONDS_MAX, 0.0
        while not self.session.closed:
            with trio.move_on_after(patience) as waited:
                data = await self.stream.receive()
            if waited.cancelled_caught:
                self.error = "silent for too long"
                self._queue(self.session.bye(Goodbye.SILENT).frames)
                return
            began = trio.current_time()
            step = self.session.receive(data)
            self._quota.read(data, step, began)
            await self._perform(step)
            now = trio.current_time()
            worked += now - began
            pause = self._quota.pause(now)
            if pause > 0 or worked > TURN_SECONDS:
                await trio.sleep(pause)
                worked = 0.0
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
            report = await self._feeds.ingest(effect.records, self)
            await self._took(report)
            self._quota.wasted(len(effect.records) - len(report.accepted))
            if effect.pushed is not None and _was_known(effect, report):
                self._circle.repeated(self, effect.pushed)
            self._queue(self.session.dealt_with(effect.records).frames)
        elif isinstance(effect, IngestForks):
            await self._took(await self._feeds.ingest_forks(effect.proofs, self))
        elif isinstance(effect, IngestFound):
            report = await self._feeds.ingest_by_id(effect.records)
            await self._took(report)
            self._quota.wasted(len(effect.records) - len(report.accepted))
            self._queue(self.session.dealt_with(effect.records).frames)
        elif isinstance(effect, Serve | ServeIds):
            self._out.plan(effect)
        elif isinstance(effect, PeerCards):
            self._circle.learned(self, effect)
        elif isinstance(effect, Told):
            self._circle.told(self, effect)
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

    def _note(self, effect: Answered | Close) -> None:
        if isinstance(effect, Close):
            self.fault = effect.fault
            self.error = self.error or effect.reason
        elif effect.token in self._pings:
            self._pings[effect.token].set()

    # Writing.

    async def _write(self) -> None:
        """Send what there is until everything was said."""
        while frames := await self._out.next():
            await self.stream.send(frames)
        self._scope.cancel()

    def _queue(self, frames: Sequence[bytes]) -> None:
        """Hand frames to the writer; a peer that never reads is let go."""
        self._out.answer(frames)
        if self._out.overfull:
            self.error, self.fault = "does not read", True
            self._scope.cancel()

    def _damaged(self, error: StoreDamaged, scope: Scope) -> None:
        """Ask this peer for a record that our disk has changed."""
        log.warning("%s", error)
        self._feeds.note_damage(error, scope)
        self._ask_for_missing()

    def _ask_for_missing(self) -> None:
        """Ask for some of what is missing by id: each in turn, new ones first.

        Nobody's names, of which a liar can have many, keep others from theirs.
        """
        missing = self._feeds.missing
        new = [one for one in missing if one not in self._asked]
        old = [one for one in self._asked if one in missing]
        turn = [*new, *old][:WANT_IDS_MAX]
        waiting = old[max(0, len(turn) - len(new)) :]
        self._asked = dict.fromkeys([*waiting, *turn])
        wanted: dict[Scope, list[RecordId]] = {}
        for record_id in turn:
            for scope in missing[record_id]:
                wanted.setdefault(scope, []).append(record_id)
        for scope, ids in wanted.items():
            self._queue(self.session.want_ids(scope, ids).frames)


def _was_known(pushed: Ingest, report: Report) -> bool:
    """Whether more of a push was known than new, and nothing else was wrong."""
    odd = report.refused or report.gaps or report.forks
    return not odd and 2 * len(report.accepted) < len(pushed.records)
