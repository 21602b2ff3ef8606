"""One side of a neighbour stream, without the stream. Spec 0006.

A `Session` takes the peer's frames and local events and returns a `Step`: the
frames to send and the effects to perform. It never waits and reads no clock.
Everything it remembers about its peer is bounded by `protocols.limits`.

What the session alone can decide is here. What needs time, or all links together,
is the driver's: when to compare (§4), when to tell, prune and graft (§7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatchmethod
from typing import TYPE_CHECKING

from protocols.asking import Asking, Wish, wish_for
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
from protocols.errors import ProtocolError, Reason
from protocols.flow import Inflow, Outflow, batches, size_of
from protocols.frontier import path_of
from protocols.heads import Heads
from protocols.keys import Scope, tagged_hash
from protocols.limits import (
    COMPARE_MAX,
    CREDIT_GRANT,
    PROOFS_MAX,
    SHARED_MAX,
    WALKS_MAX,
    WANT_IDS_MAX,
    WANTS_OPEN_MAX,
)
from protocols.peer_card import check_card
from protocols.reconcile import View, answer, is_probe, opening, probe
from protocols.record import encode_record
from protocols.wire import (
    VERSION,
    Bye,
    Compare,
    Credit,
    Forks,
    Found,
    Goodbye,
    Graft,
    Have,
    Hello,
    NewHead,
    Nonce,
    Peers,
    Ping,
    Pong,
    Prune,
    Push,
    Records,
    Scopes,
    Want,
    WantIds,
    decode_frame,
    encode_frame,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.effects import Holdings
    from protocols.feed import ForkProof
    from protocols.frontier import Leaf
    from protocols.keys import AuthorKey, NetworkId, RecordId
    from protocols.reconcile import Reply
    from protocols.record import Record
    from protocols.wire import Card, Frame


FEED_SIZE = 256
"""Bytes of `compare` that one feed can take in a whole walk, generously."""


@dataclass(slots=True)
class _Shared:
    """What is remembered about one scope that both sides follow."""

    allowance: int = 0
    """Bytes of `compare` that the peer's walks may still cause."""
    walking: bool = False
    """Whether a walk of mine is under way."""
    cursor: str = ""
    """Where my walk goes on once all that is wanted was served."""
    fetched: bool = False
    """Whether wanted records came since my last walk: worth another look."""
    in_sync: bool = False
    eager: bool = True
    """Whether the link is eager towards the peer: I push. The peer decides."""
    fed: bool = True
    """Whether the link is eager towards me: never pruned by me, or grafted since."""


def scope_hash(scope: Scope, sender: bytes, receiver: bytes) -> bytes:
    """How a scope is named in a hello: 16 bytes over it and both nonces.

    The two directions differ, so nobody can echo what it does not know.
    """
    return tagged_hash("scope", [scope, sender, receiver])[:16]


class Session:
    """The neighbour protocol with one peer, from hello to bye.

    Args:
        network: the network this node is in.
        holdings: what it holds.
        dialled: whether this side opened the stream.
        nonce: 32 fresh random bytes.
        card: how others reach this node.
    """

    def __init__(
        self,
        *,
        network: NetworkId,
        holdings: Holdings,
        dialled: bool,
        nonce: bytes,
        card: Card,
    ) -> None:
        self._network = network
        self._holdings = holdings
        self._dialled = dialled
        self._nonce = nonce
        self._card = card
        self._peer_nonce: bytes | None = None
        self._peer_scopes: tuple[bytes, ...] | None = None
        self._announced: tuple[Scope, ...] = ()
        self._shared: dict[Scope, _Shared] = {}
        self._asking = Asking()
        self._serving: dict[tuple[Scope, bytes], None] = {}
        """Scope and handle of each range that the peer wants and that is not done."""
        self._ids_open: int = 0
        """How many records may still come because they were wanted by id."""
        self._out = Outflow()
        self._in = Inflow()
        self._heads = Heads()
        self._lags = False
        """Whether something new was not sent: compare once there is credit."""
        self.closed = False

    @property
    def shared(self) -> tuple[Scope, ...]:
        """The scopes both sides follow, ascending."""
        return tuple(sorted(self._shared))

    @property
    def greeted(self) -> bool:
        """Whether the peer's hello has come."""
        return self._peer_scopes is not None

    @property
    def room(self) -> int:
        """Bytes of records that the peer takes now: `serve` and `found` need them."""
        return self._out.left

    def in_sync(self, scope: Scope) -> bool:
        """Whether both frontiers were equal when they were last compared."""
        return scope in self._shared and self._shared[scope].in_sync

    def start(self) -> Step:
        """Begin: the nonce goes first."""
        step = Step()
        step.send(Nonce(nonce=self._nonce))
        return step

    def receive(self, data: bytes) -> Step:
        """Take one frame of the peer's; a fault ends the session with a `bye`."""
        step = Step()
        if self.closed:
            return step
        try:
            self._take(decode_frame(data), step)
        except ProtocolError as error:
            self._end(step, error.reason, fault=True)
        return step

    def follow(self) -> Step:
        """This node follows another scope: tell, and compare if it is shared."""
        step = Step()
        if not self.closed and self._peer_nonce is not None:
            step.send(Scopes(scopes=self._announce(self._peer_nonce)))
            self._share(step)
        return step

    def fed(self, scope: Scope) -> bool:
        """Whether the link is eager towards this side: the peer is to push."""
        return scope in self._shared and self._shared[scope].fed

    @property
    def has_to_tell(self) -> bool:
        """Whether `tell` is to be called in a moment."""
        return self._heads.waiting

    def push(self, records: Sequence[Record]) -> Step:
        """New records are here, from elsewhere: pass them on, or tell of them later.

        What the credit does not cover is left out, and found by comparing once
        the peer grants again.
        """
        step = Step()
        for scope in self.shared:
            new = [r for r in records if r.scope == scope and not self._heads.has(r)]
            if not self._shared[scope].eager:
                self._heads.note(new)
                if self._heads.full:
                    step.frames += self.tell().frames
                continue
            for batch in batches([self._wires(record) for record in new]):
                if size_of(batch) > self.room:
                    self._lags = True
                    break
                self._out.spend(size_of(batch))
                step.send(Push(scope=scope, records=batch))
        return step

    def tell(self) -> Step:
        """Tell of the heads that moved, as far as the peer did not by now."""
        step = Step()
        for have in self._heads.tell(self.shared):
            step.send(have)
        return step

    def prune(self, scope: Scope) -> Step:
        """What the peer pushed was known: have it only tell of heads from now on.

        Nothing happens if it was pruned already. That another link stays eager,
        and how much was known, the driver looks at.
        """
        step = Step()
        if self.fed(scope) and not self.closed:
            self._shared[scope].fed = False
            step.send(Prune(scope=scope))
        return step

    def graft(self, scope: Scope, heads: Sequence[NewHead]) -> Step:
        """Heads the peer told of did not come: want them, and make the link eager.

        `Graft` is sent only if this side had pruned the link. When it is time, the
        driver knows.
        """
        step = Step()
        if scope not in self._shared or self.closed:
            return step
        if not self._shared[scope].fed:
            self._shared[scope].fed = True
            step.send(Graft(scope=scope))
        view = self._view(scope)
        for head in heads:
            feed = view.handle_of(path_of(head.author))
            self._asking.wish(scope, feed, Wish(0, head.seq + 1, again=False))
        self._ask(step)
        return step

    def prove(self, proofs: Sequence[ForkProof]) -> Step:
        """New fork proofs are here, from elsewhere: pass them on."""
        step = Step()
        for scope in self.shared:
            self._send_proofs(scope, [p for p in proofs if p.scope == scope], step)
        return step

    def want(self, scope: Scope, author: AuthorKey, start: int, stop: int) -> Step:
        """Records of the peer's showed a gap: ask for start <= seq < stop."""
        step = Step()
        if scope in self._shared and start < stop:
            view = self._view(scope)
            leaf = view.frontier.get(author)
            again = leaf is not None and start <= leaf.seq
            feed = view.handle_of(path_of(author))
            self._asking.wish(scope, feed, Wish(start, stop, again=again))
            self._ask(step)
        return step

    def want_ids(self, scope: Scope, ids: Sequence[RecordId]) -> Step:
        """Ask for records by id, of whichever branch; at most `WANT_IDS_MAX`."""
        step = Step()
        chosen = tuple(sorted(dict.fromkeys(ids)))[:WANT_IDS_MAX]
        if scope in self._shared and chosen:
            self._ids_open += len(chosen)
            step.send(WantIds(scope=scope, ids=chosen))
        return step

    def serve(
        self, scope: Scope, records: Sequence[Record], done: Sequence[bytes]
    ) -> Step:
        """Send records that were wanted; `done` names ranges that end here."""
        step = Step()
        for feed in done:
            self._serving.pop((scope, feed), None)
        *full, last = [*batches([self._wires(record) for record in records])] or [()]
        self._out.spend(sum(map(size_of, (*full, last))))
        for batch in full:
            step.send(Records(scope=scope, records=batch, done=()))
        step.send(Records(scope=scope, records=last, done=tuple(done)))
        return step

    def found(self, scope: Scope, records: Sequence[Record]) -> Step:
        """Send records that were wanted by id."""
        step = Step()
        wires = [encode_record(record) for record in records]
        self._out.spend(size_of(wires))
        for batch in batches([(wire,) for wire in wires]):
            step.send(Found(scope=scope, records=batch))
        return step

    def ingested(self, scopes: Sequence[Scope]) -> Step:
        """What the peer sent was new here: look again once no want is open."""
        step = Step()
        for scope in scopes:
            if scope in self._shared:
                self._look_again(scope, step)
        return step

    def dealt_with(self, records: Sequence[bytes]) -> Step:
        """What the peer sent was stored or refused: it may send as much again."""
        step = Step()
        granted = self._in.renew(size_of(records))
        if granted and not self.closed:
            step.send(Credit(size=granted))
        return step

    def reconcile(self) -> Step:
        """Compare every shared scope again, and renew what the peer may ask.

        To be called now and then. Ranges not served by the second call after
        they were asked for are given up, so that they can be asked for again.
        """
        step = Step()
        if self.closed:
            return step
        self._asking.renew()
        for scope in self.shared:
            self._renew(scope)
        self._probe_all(step)
        self._ask(step)
        return step

    def peers(self, cards: Sequence[Card]) -> Step:
        """Tell where others can be reached, in their own signed words."""
        step = Step()
        if cards and not self.closed:
            step.send(Peers(cards=tuple(cards)))
        return step

    def ping(self, token: bytes) -> Step:
        """Ask whether the peer is there; 8 bytes come back as `Answered`."""
        step = Step()
        step.send(Ping(token=token))
        return step

    def bye(self, reason: Goodbye) -> Step:
        """End the session: nobody's fault."""
        step = Step()
        if not self.closed:
            self._end(step, reason, fault=False)
        return step

    def blame(self, reason: Reason) -> Step:
        """End the session: what the peer sent breaks a rule of records."""
        step = Step()
        if not self.closed:
            self._end(step, reason, fault=True)
        return step

    # The peer's frames.

    def _take(self, frame: Frame, step: Step) -> None:
        """Check that a frame may come now, and act on it."""
        greeting = isinstance(frame, Nonce) or (
            isinstance(frame, Hello) and self._peer_nonce is not None
        )
        if not (greeting or self.greeted or isinstance(frame, Bye)):
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "before the hello")
        scope = getattr(frame, "scope", None)
        if scope is not None and scope not in self._shared:
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "not a shared scope")
        self._on(frame, step)

    @singledispatchmethod
    def _on(self, frame: Frame, step: Step) -> None:  # noqa: ARG002 - the base
        """Act on a frame; one for each type."""
        raise ProtocolError(Reason.UNEXPECTED_FRAME, type(frame).__name__)

    @_on.register
    def _(self, frame: Nonce, step: Step) -> None:
        if self._peer_nonce is not None or frame.nonce == self._nonce:
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "a nonce again")
        self._peer_nonce = frame.nonce
        first, second = self._nonce, frame.nonce
        if not self._dialled:
            first, second = second, first
        self._salt = tagged_hash("neighbour", [first, second])
        hello = Hello(
            version=VERSION,
            network=self._network,
            scopes=self._announce(frame.nonce),
            credit=CREDIT_GRANT,
            card=self._card,
        )
        step.send(hello)

    @_on.register
    def _(self, frame: Hello, step: Step) -> None:
        if self.greeted:
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "a hello again")
        if frame.version != VERSION:
            raise ProtocolError(Reason.WRONG_VERSION, str(frame.version))
        if frame.network != self._network:
            raise ProtocolError(Reason.WRONG_NETWORK, frame.network.hex())
        if frame.card.signature:
            check_card(frame.card, self._network)
        self._out.open(frame.credit)
        step.effects.append(PeerCards(cards=(frame.card,), own=True))
        self._peer_scopes = frame.scopes
        self._share(step)

    @_on.register
    def _(self, frame: Scopes, step: Step) -> None:
        self._peer_scopes = frame.scopes
        self._share(step)

    @_on.register
    def _(self, frame: Compare, step: Step) -> None:
        shared = self._shared[frame.scope]
        if not (frame.opener or shared.walking):
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "no walk to answer")
        view = self._view(frame.scope)
        reply = answer(view, frame)
        shared.in_sync = frame.root == view.root
        if frame.opener:
            if frame.nodes or frame.buckets or is_probe(frame):
                self._charge(frame.scope, reply.compare, step)
        elif reply.last:
            shared.walking, shared.cursor = False, reply.compare.stop
            if reply.compare.heads:
                step.send(reply.compare)
        else:
            step.send(reply.compare)
        self._act(view, reply, step)
        self._go_on(frame.scope, step)

    @_on.register
    def _(self, frame: Want, step: Step) -> None:
        view, absent = self._view(frame.scope), []
        for item in frame.ranges:
            leaf = view.resolve(item.feed)
            if leaf is None:
                absent.append(item.feed)
            elif (frame.scope, item.feed) not in self._serving:
                self._serving[frame.scope, item.feed] = None
                step.effects.append(
                    Serve(
                        scope=frame.scope,
                        author=leaf.author,
                        feed=item.feed,
                        start=item.start,
                        stop=item.stop,
                    )
                )
        if len(self._serving) > WANTS_OPEN_MAX:
            raise ProtocolError(Reason.TOO_MUCH, "ranges wanted at once")
        if absent:
            step.send(Records(scope=frame.scope, records=(), done=tuple(absent)))

    @_on.register
    def _(self, frame: Records, step: Step) -> None:
        for feed in frame.done:
            self._asking.done(frame.scope, feed)
        self._in.take(size_of(frame.records))
        if frame.records:
            self._shared[frame.scope].fetched = True
            step.effects.append(Ingest(records=frame.records))
        self._ask(step)
        self._go_on(frame.scope, step)

    @_on.register
    def _(self, frame: WantIds, step: Step) -> None:
        step.effects.append(ServeIds(scope=frame.scope, ids=frame.ids))

    @_on.register
    def _(self, frame: Found, step: Step) -> None:
        self._ids_open -= len(frame.records)
        if self._ids_open < 0:
            raise ProtocolError(Reason.UNEXPECTED_FRAME, "records nobody asked for")
        self._in.take(size_of(frame.records))
        step.effects.append(IngestFound(records=frame.records))

    @_on.register
    def _(self, frame: Push, step: Step) -> None:
        self._in.take(size_of(frame.records))
        step.effects.append(Ingest(records=frame.records, pushed=frame.scope))

    @_on.register
    def _(self, frame: Forks, step: Step) -> None:
        self._shared[frame.scope].fetched = True
        step.effects.append(IngestForks(proofs=frame.proofs))

    @_on.register
    def _(self, frame: Have, step: Step) -> None:
        frontier = self._holdings.frontier(frame.scope)
        absent: list[NewHead] = []
        self._heads.hear(frame.scope, frame.heads)
        for head in frame.heads:
            leaf = frontier.get(head.author)
            if leaf is None or (leaf.seq < head.seq and not leaf.forked):
                absent.append(head)
            elif leaf.seq == head.seq and leaf.id != head.id and not leaf.forked:
                self._want_again(frame.scope, leaf)
        if absent:
            step.effects.append(Told(scope=frame.scope, heads=tuple(absent)))
        self._ask(step)

    @_on.register
    def _(self, frame: Graft, step: Step) -> None:  # noqa: ARG002 - the base's
        self._shared[frame.scope].eager = True

    @_on.register
    def _(self, frame: Prune, step: Step) -> None:  # noqa: ARG002 - the base's
        self._shared[frame.scope].eager = False

    @_on.register
    def _(self, frame: Peers, step: Step) -> None:
        for card in frame.cards:
            check_card(card, self._network)
        step.effects.append(PeerCards(cards=frame.cards, own=False))

    @_on.register
    def _(self, frame: Credit, step: Step) -> None:
        self._out.grant(frame.size)
        if self._lags:
            self._lags = False
            self._probe_all(step)

    @_on.register
    def _(self, frame: Ping, step: Step) -> None:
        step.send(Pong(token=frame.token))

    @_on.register
    def _(self, frame: Pong, step: Step) -> None:
        step.effects.append(Answered(token=frame.token))

    @_on.register
    def _(self, frame: Bye, step: Step) -> None:
        self.closed = True
        step.effects.append(Close(reason=frame.reason, fault=False))

    def _wires(self, record: Record) -> tuple[bytes, ...]:
        """A record as it is sent unasked: without its claim only after its erase."""
        wire = encode_record(record)
        erase = None
        if record.claim_bytes is None:
            erase = self._holdings.erase_of(record)
        return (wire,) if erase is None else (encode_record(erase), wire)

    # The tree.

    def _want_again(self, scope: Scope, leaf: Leaf) -> None:
        """Ask for the peer's record at my head: it has another there."""
        feed = self._view(scope).handle(leaf)
        self._asking.wish(scope, feed, Wish(leaf.seq, leaf.seq + 1, again=True))

    # Scopes.

    def _announce(self, peer_nonce: bytes) -> tuple[bytes, ...]:
        """The hashes of the scopes followed here, ascending."""
        self._announced = self._holdings.followed[:SHARED_MAX]
        hashes = (scope_hash(s, self._nonce, peer_nonce) for s in self._announced)
        return tuple(sorted(hashes))

    def _share(self, step: Step) -> None:
        """Find scopes that both sides follow now; the dialler compares them."""
        if self._peer_nonce is None:
            return
        named = frozenset(self._peer_scopes or ())
        for scope in self._announced:
            known = scope_hash(scope, self._peer_nonce, self._nonce) in named
            if known and scope not in self._shared:
                self._shared[scope] = _Shared()
                self._renew(scope)
                if self._dialled:
                    self._walk(scope, opening(self._view(scope)), step)

    def _view(self, scope: Scope) -> View:
        return View(scope, self._holdings.frontier(scope), self._salt)

    # Comparing.

    def _walk(self, scope: Scope, first: Compare, step: Step) -> None:
        shared = self._shared[scope]
        shared.walking, shared.cursor, shared.fetched = True, "", False
        step.send(first)

    def _probe_all(self, step: Step) -> None:
        for scope in self.shared:
            if not self._shared[scope].walking:
                self._walk(scope, probe(self._view(scope)), step)

    def _go_on(self, scope: Scope, step: Step) -> None:
        """Walk on from the cursor, once all that was wanted is here."""
        shared = self._shared[scope]
        if shared.cursor and not shared.walking and not self._asking.is_busy(scope):
            self._walk(scope, opening(self._view(scope), shared.cursor), step)

    def _look_again(self, scope: Scope, step: Step) -> None:
        """Compare once more after what was wanted has come."""
        shared = self._shared[scope]
        if shared.fetched and not shared.walking and not self._asking.is_busy(scope):
            self._walk(scope, probe(self._view(scope)), step)

    def _renew(self, scope: Scope) -> None:
        whole = COMPARE_MAX + FEED_SIZE * len(self._holdings.frontier(scope))
        self._shared[scope].allowance = WALKS_MAX * whole

    def _charge(self, scope: Scope, leg: Compare, step: Step) -> None:
        """Answer a walk of the peer's, within what it may cause."""
        data = encode_frame(leg)
        self._shared[scope].allowance -= len(data)
        if self._shared[scope].allowance < 0:
            raise ProtocolError(Reason.TOO_MUCH, "comparing without end")
        step.frames.append(data)

    def _act(self, view: View, reply: Reply, step: Step) -> None:
        """Ask for what the peer has more, prove what it does not know forked."""
        scope = view.scope
        proofs = self._bare_forks(view, reply)
        for found in reply.differences:
            proof = None
            if found.mine is not None:
                proof = self._holdings.fork(scope, found.mine.author)
            if proof and (not found.forked or found.seq > proof.seq):
                proofs.append(proof)
            wish = wish_for(found, proof)
            if wish is not None:
                self._asking.wish(scope, found.feed, wish)
        self._send_proofs(scope, proofs[: 4 * PROOFS_MAX], step)
        self._ask(step)

    def _bare_forks(self, view: View, reply: Reply) -> list[ForkProof]:
        """Proofs of feeds shown that forked at seq 0: no record leads to them."""
        bare = [head for head in reply.compare.heads if head.forked and head.seq == 0]
        leaves = [view.resolve(head.feed) for head in bare[: 4 * PROOFS_MAX]]
        proofs = [self._holdings.fork(view.scope, x.author) for x in leaves if x]
        return [proof for proof in proofs if proof]

    def _send_proofs(
        self, scope: Scope, proofs: Sequence[ForkProof], step: Step
    ) -> None:
        for at in range(0, len(proofs), PROOFS_MAX):
            chosen = tuple(proofs[at : at + PROOFS_MAX])
            step.send(Forks(scope=scope, proofs=chosen))

    # Asking.

    def _ask(self, step: Step) -> None:
        """Ask for what is wished for, as far as there is room."""
        for want in self._asking.ask(self._view):
            step.send(want)

    def _end(self, step: Step, reason: str, *, fault: bool) -> None:
        self.closed = True
        step.send(Bye(reason=str(reason)))
        step.effects.append(Close(reason=reason, fault=fault))
