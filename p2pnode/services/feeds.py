"""The one place where records are accepted and signed.

Every record, from a neighbour or by an own key, passes through `Feeds`: it is
judged against the head of its feed, made durable, and only then shown to the
frontier and to whoever subscribed. What is found wrong with one feed never
spoils another.
"""

from __future__ import annotations

import logging
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.failures import Failure
from p2pnode.high_water import MARK, Mark
from p2pnode.ports import StoreDamaged, StoreInDoubt
from p2pnode.services.erasures import ERASES, Erasures
from p2pnode.services.feed_state import FeedState, ScopeState
from p2pnode.services.intake import Gap, Intake, Refusal
from p2pnode.verifier import OwnVerifier
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof, Head, check_fork, prove_fork
from protocols.keys import AuthorKey, NetworkId, RecordId, Scope, SigningKey
from protocols.limits import RECORD_MAX
from protocols.record import (
    NO_BACKLINK,
    Record,
    check_signature,
    decode_record,
    sign_record,
    without_parts,
)

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Rng, Store, Verifier
    from p2pnode.services.room import Room
    from protocols.frontier import Frontier

FOLLOWED = "scope/"
"""Prefix of the state that remembers which scopes are followed."""

STOPPED = "stopped/"
"""Prefix of the state that remembers which own feeds must not be continued."""


MISSING_MAX: Final = 4_096
"""Records that are asked for by id at once in the same scopes."""


class FeedStopped(Failure):
    """An own feed must never be signed again: it forked, or another signs it."""

    def __init__(self, scope: Scope, author: AuthorKey) -> None:
        super().__init__(
            "feed-stopped",
            "The feed of {author} in {scope} is stopped:"
            " a record by this key, or by the next, came from outside.",
            "A feed that only this node signs.",
            "End the other node that has these keys; then here: p2pnode key next",
            author=author.hex()[:16],
            scope=scope.hex()[:16],
        )


class FeedFull(Failure):
    """The terms leave no room for another record of an own feed."""

    def __init__(self) -> None:
        super().__init__(
            "feed-full",
            "The terms of this campaign leave no room for another record of this node.",
            "A feed within the caps of the terms.",
            "What was signed before counts. Nobody would keep more, so nothing was"
            " signed.",
        )


class KeyRetired(Failure):
    """An author key was given up: it may have signed what this node does not know."""

    def __init__(self) -> None:
        super().__init__(
            "key-retired",
            "This node's key for that was given up after a loss: it may have signed"
            " more than is known here.",
            "A further key of this node that the terms name.",
            "Other keys of the terms go on. For later campaigns: p2pnode key add",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was just made durable."""

    records: tuple[Record, ...] = ()
    """Each feed's in order."""
    forks: tuple[ForkProof, ...] = ()
    followed: tuple[Scope, ...] = ()
    """Scopes that are followed from now on."""
    source: object = None
    """Whatever was given to `ingest`: where it came from; None: from here."""
    named: bool = False
    """The records were asked for by id and stand in no feed: not passed on."""
    asked: bool = False
    """Neighbours are to be asked for what is missing."""
    dropped: tuple[Record, ...] = ()
    """Records as they are now that erased parts of them are gone."""
    stopped: tuple[tuple[Scope, AuthorKey], ...] = ()
    """Own feeds that must not be continued from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a batch."""

    accepted: tuple[Record, ...] = ()
    refused: tuple[Refusal, ...] = ()
    gaps: tuple[Gap, ...] = ()
    """Ranges to ask for, where a record's predecessor is missing or differs."""
    forks: tuple[ForkProof, ...] = ()
    """Forks that this batch proved."""
    stopped: tuple[tuple[Scope, AuthorKey], ...] = ()
    """Own feeds of which a foreign record came: tell the owner."""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes in which something is new, ascending."""
        new = [r.scope for r in self.accepted] + [p.scope for p in self.forks]
        return tuple(sorted(dict.fromkeys(new)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record to be signed."""

    kind: Kind
    claim: Any
    note: bytes | None = None


log = logging.getLogger(__name__)

Subscriber = Callable[[Change], None]


async def _boundless(_scope: Scope) -> None:
    """No bound is known."""


class Feeds:
    """All feeds of the followed scopes.

    Args:
        store: where records are made durable.
        network: the network records must be for.
        clock: gives `time_ms` of own records.
        rng: kept for salts that callers ask for.
        verifier: checks signatures; without it they are checked here.
    """

    def __init__(
        self,
        store: Store,
        network: NetworkId,
        clock: Clock,
        rng: Rng,
        verifier: Verifier | None = None,
    ) -> None:
        self.store = store
        self.network = network
        self.rng = rng
        self.in_doubt = False
        """A commit's outcome is unknown: reopen the store, then `open` again."""
        self._clock = clock
        self._verifier = verifier or OwnVerifier()
        self._lock = trio.Lock()
        self._scopes: dict[Scope, ScopeState] = {}
        self.mark: Mark | None = None
        """How far own keys have signed, where the store keeps count of it."""
        self._own: dict[AuthorKey, None] = {}
        self._line: tuple[AuthorKey, ...] = ()
        self._retired: dict[AuthorKey, None] = {}
        self._stopped: dict[tuple[Scope, AuthorKey], None] = {}
        self._last_ms: dict[tuple[Scope, AuthorKey], int] = {}
        self.erasures = Erasures()
        """Which parts of which records are not kept."""
        self._subscribers: list[Subscriber] = []
        self.room_of: Callable[[Scope], Awaitable[Room | None]] = _boundless
        """How much of a scope is kept: `Library` knows; None: without bound."""
        self._rooms: dict[Scope, Room | None] = {}
        """As `room_of` said last."""
        self.missing: dict[RecordId, tuple[Scope, ...]] = {}
        """Records that neighbours are asked for by id: those that the disk has
        changed, and those that witnesses and closes name and that are not here."""

    async def open(self) -> None:
        """Read what the store holds; also after it was reopened."""
        async with self._lock:
            scopes = [Scope(key) for key in await self._keys(FOLLOWED)]
            self._scopes = {scope: await self._load(scope) for scope in scopes}
            stopped = await self._keys(STOPPED)
            self._stopped = {(Scope(k[:32]), AuthorKey(k[32:])): None for k in stopped}
            mark = (await self.store.state(MARK)).get(MARK)
            self.mark = None if mark is None else Mark.decode(mark)
            self._last_ms.clear()
            self.erasures = await self._load_erasures()
            self.in_doubt = False

    async def follow(self, scope: Scope) -> None:
        """Keep the feeds of a scope from now on, over restarts too."""
        async with self._lock:
            if scope not in self._scopes:
                await self.store.append((), state={FOLLOWED + scope.hex(): b""})
                self._scopes[scope] = await self._load(scope)
                self._notify(Change(followed=(scope,)))

    @property
    def followed(self) -> tuple[Scope, ...]:
        """The scopes that are kept, ascending."""
        return tuple(sorted(self._scopes))

    def frontier(self, scope: Scope) -> Frontier:
        """Where the feeds of a followed scope stand."""
        return self._scopes[scope].frontier

    def head(self, scope: Scope, author: AuthorKey) -> Head | None:
        """The last record held of a feed, of whichever branch."""
        held = self._scopes.get(scope)
        return None if held is None else held.get(author).head

    def fork(self, scope: Scope, author: AuthorKey) -> ForkProof | None:
        """The proof that a feed forked, the lowest known."""
        held = self._scopes.get(scope)
        return None if held is None else held.get(author).fork

    def forks(self, scope: Scope) -> tuple[ForkProof, ...]:
        """The proofs of all forked feeds of a followed scope, by author."""
        return self._scopes[scope].forks()

    def erase_of(self, record: Record) -> Record | None:
        """The erase that names a record, if it is here."""
        return self.erasures.of(record)

    def own(self, author: AuthorKey) -> None:
        """Say that `author` is a key of this node: nobody else may sign by it."""
        self._own[author] = None

    def own_line(self, authors: Sequence[AuthorKey]) -> None:
        """Say that these are this node's, and that each takes over from the one before.

        Where another node signs by a later one, the earlier are given up there.
        """
        self._line = tuple(authors)
        for author in authors:
            self.own(author)

    def retire(self, author: AuthorKey) -> None:
        """Say that an own key never signs again, in any scope."""
        self.own(author)
        self._retired[author] = None

    def is_stopped(self, scope: Scope, author: AuthorKey) -> bool:
        """Whether an own feed must not be signed any more."""
        line = self._line
        after = line[line.index(author) :] if author in line else (author,)
        foreign = any((scope, one) in self._stopped for one in after)
        return author in self._retired or foreign or bool(self.fork(scope, author))

    async def stop(
        self,
        feeds: Iterable[tuple[Scope, AuthorKey]],
        state: Mapping[str, bytes | None],
        mark: Mark | None = None,
    ) -> None:
        """Never sign these own feeds again; `state` and `mark` become durable with it.

        Raises:
            StoreInDoubt, StoreFull: nothing was changed.
        """
        async with self._lock:
            stopped = dict.fromkeys(feeds)
            names = {STOPPED + (scope + key).hex(): b"" for scope, key in stopped}
            marked = {} if mark is None else {MARK: mark.encode()}
            with self._committing():
                await self.store.append((), state={**names, **state, **marked})
            self._stopped.update(stopped)
            self.mark = mark or self.mark

    async def take(self, state: Mapping[str, bytes | None]) -> None:
        """Make durable what a slip was accepted by; the mark counts it.

        Raises:
            StoreInDoubt, StoreFull: it does not count as accepted.
        """
        async with self._lock:
            mark = self.mark
            if mark is not None:
                mark = replace(mark, taken=mark.taken + 1)
                state = {**state, MARK: mark.encode()}
            with self._committing():
                await self.store.append((), state=state)
            self.mark = mark

    def subscribe(self, callback: Subscriber) -> None:
        """Call `callback` after each commit; it must not raise or wait."""
        self._subscribers.append(callback)

    async def ingest(self, batch: Sequence[bytes], source: object = None) -> Report:
        """Judge wire records and keep those that extend their feeds.

        Raises:
            StoreInDoubt, StoreFull: nothing of the batch counts as accepted.
        """
        async with self._lock:
            intake = self._intake()
            for room in self._rooms.values():
                if room is not None:
                    room.begin()
            for record in self._decoded(batch, intake):
                if await self._has_room(record):
                    intake.add(record)
                else:
                    error = ProtocolError(Reason.NO_ROOM, f"seq {record.seq}")
                    intake.refuse(error, record)
            await intake.judge()
            return await self._keep(intake, source)

    async def ingest_forks(
        self, proofs: Sequence[ForkProof], source: object = None
    ) -> Report:
        """Check fork proofs and keep those that are new or lower.

        Raises:
            StoreInDoubt, StoreFull: nothing of it counts as accepted.
        """
        async with self._lock:
            intake = self._intake()
            for proof in proofs:
                try:
                    check_fork(proof, self.network)
                    self._followed(proof.scope)
                    await intake.add_fork(proof)
                except ProtocolError as error:
                    intake.refuse(error)
            return await self._keep(intake, source)

    async def ingest_by_id(self, batch: Sequence[bytes]) -> Report:
        """Keep records that were asked for by id, and branches of forked feeds.

        Those of a branch stand in no feed: `store.get` finds them, chains and
        frontiers do not change. A damaged record is mended in its place; one at
        the place of another proves a fork. What is neither here nor asked for
        is refused: no terms bound how much of it there is.

        Raises:
            StoreInDoubt, StoreFull: nothing of the batch counts as accepted.
        """
        async with self._lock:
            intake = self._intake()
            found: list[Record] = []
            mended: list[Record] = []
            for record in self._decoded(batch, intake):
                try:
                    _check_by_id(record)
                    if await self._is_damaged(record):
                        mended.append(record)
                    elif await self._is_asked_for(record) and await self._prove_branch(
                        record, intake
                    ):
                        found.append(record)
                except ProtocolError as error:
                    intake.refuse(error, record)
            found = [self.erasures.kept(record) for record in found]
            mended = [self.erasures.kept(record) for record in mended]
            taken = (*found, *mended)
            if taken:
                state = self.erasures.note(taken)
                with self._committing():
                    await self.store.append(mended, state=state)
                    await self.store.append_branch(found)
            self._stop_asking(taken)
            report = await self._keep(intake, None)
            self._notify(Change(records=taken, named=True))
            return replace(report, accepted=taken)

    def note_damage(self, error: StoreDamaged, scope: Scope) -> None:
        """Ask neighbours for a record that the disk has changed."""
        if error.record_id is not None:
            self.ask_for((scope,), [error.record_id])

    def ask_for(self, scopes: tuple[Scope, ...], ids: Iterable[RecordId]) -> None:
        """Ask neighbours for records by id, in these scopes, until one brings them.

        The earlier ones come first; what was asked for before fills what is left.
        """
        known = [one for one, where in self.missing.items() if where == scopes]
        for record_id in known:
            del self.missing[record_id]
        chosen = [*dict.fromkeys([*ids, *known])][:MISSING_MAX]
        self.missing.update(dict.fromkeys(chosen, scopes))
        if self.missing:
            self._notify(Change(asked=True))

    async def drop(self, records: Sequence[Record], *, claims: bool) -> None:
        """Delete the notes of erased records for good; with `claims`, theirs too.

        Raises:
            StoreInDoubt, StoreFull: ask again.
        """
        async with self._lock:
            here = [one.id for one in records if one.note_bytes or one.claim_bytes]
            if here:
                with self._committing():
                    await self.store.drop_parts(here, claims=claims, notes=True)
            if claims:
                self.erasures.gone.update((one.id, None) for one in records)
                for one in records:
                    self.missing.pop(one.id, None)
            bare = (without_parts(one, claim=claims, note=True) for one in records)
            self._notify(Change(dropped=tuple(bare)))

    async def publish(
        self,
        key: SigningKey,
        scope: Scope,
        kind: Kind,
        claim: Any,
        note: bytes | None = None,
    ) -> Record:
        """Sign the next record of a key's feed; see `publish_many`."""
        draft = Draft(kind=kind, claim=claim, note=note)
        return (await self.publish_many(key, scope, [draft]))[0]

    async def publish_many(
        self,
        key: SigningKey,
        scope: Scope,
        drafts: Sequence[Draft],
        state: Mapping[str, bytes | None] | None = None,
    ) -> tuple[Record, ...]:
        """Sign the next records of a key's feed: all are kept, or none.

        Args:
            key: whose feed.
            scope: in which scope; it is followed.
            drafts: what to sign, in order.
            state: local state that is kept together with them.

        Raises:
            FeedStopped, KeyRetired: this feed must never be signed again.
            FeedFull: nobody would keep it.
            ProtocolError: UNKNOWN_SCOPE, or a draft breaks a rule.
            StoreInDoubt: signing stops until the store was opened again.
            StoreFull: nothing was signed.
        """
        async with self._lock:
            self._may_sign(scope, key.author)
            records = await self._sign(key, scope, drafts)
            for record in records:
                await self._check_room(record)
            noted = {**(state or {}), **self.erasures.note(records)}
            mark = self.mark
            if mark is not None:
                mark = replace(mark, count=mark.count + len(records))
                noted[MARK] = mark.encode()
            with self._committing():
                await self.store.append(records, state=noted)
            self.mark = mark
            self._last_ms[scope, key.author] = records[-1].header.time_ms
            head = Head(records[-1].seq, records[-1].id)
            self._scopes[scope].put(key.author, FeedState(head=head))
            for record in records:
                self._fill(record)
            self._notify(Change(records=records))
            return records

    def _may_sign(self, scope: Scope, author: AuthorKey) -> None:
        """Refuse to sign where it could become, or continue, a fork."""
        if self.in_doubt:
            raise StoreInDoubt("open the store again before signing")
        self._followed(scope)
        if author in self._retired:
            raise KeyRetired
        if self.is_stopped(scope, author):
            raise FeedStopped(scope, author)
        self.own(author)

    async def _sign(
        self, key: SigningKey, scope: Scope, drafts: Sequence[Draft]
    ) -> tuple[Record, ...]:
        """Sign drafts as the next records; their times rise strictly."""
        head = self.head(scope, key.author)
        time_ms = await self._last_time(scope, key.author)
        records: list[Record] = []
        for draft in drafts:
            time_ms = max(self._clock.now_ms(), time_ms + 1)
            record = sign_record(
                key,
                network=self.network,
                scope=scope,
                seq=0 if head is None else head.seq + 1,
                backlink=NO_BACKLINK if head is None else head.id,
                time_ms=time_ms,
                kind=draft.kind,
                claim=draft.claim,
                note=draft.note,
            )
            head = Head(record.seq, record.id)
            records.append(record)
        return tuple(records)

    async def _last_time(self, scope: Scope, author: AuthorKey) -> int:
        """The `time_ms` of a feed's head; -1 for an empty feed."""
        head = self.head(scope, author)
        if head is None:
            return -1
        if (scope, author) not in self._last_ms:
            record = await self.store.get(head.id)
            assert record is not None, "the store holds every head"
            self._last_ms[scope, author] = record.header.time_ms
        return self._last_ms[scope, author]

    def _intake(self) -> Intake:
        return Intake(
            self.store, self._verifier, self._scopes, self._own, self.erasures
        )

    def _decoded(self, batch: Sequence[bytes], intake: Intake) -> Iterator[Record]:
        """The records of a batch that are well-formed and for here."""
        for data in batch:
            try:
                record = decode_record(data)
                self._check_meant(record)
            except ProtocolError as error:
                intake.refuse(error)
            else:
                yield record

    def _check_meant(self, record: Record) -> None:
        """Refuse what is for another network or for a scope not followed."""
        header = record.header
        if header.network != self.network:
            raise ProtocolError(Reason.WRONG_NETWORK, record.id.hex())
        self._followed(header.scope)

    async def _is_damaged(self, record: Record) -> bool:
        """Whether a record that was asked for is here, but not as it was, or bare.

        Raises:
            ProtocolError: BAD_SIGNATURE.
        """
        if record.id not in self.missing:
            return False
        check_signature(record)
        try:
            held = await self.store.get(record.id)
        except StoreDamaged:
            return True
        bare = held is not None and held.claim_bytes is None
        return bare and record.claim_bytes is not None

    async def _is_asked_for(self, record: Record) -> bool:
        """Whether a record was asked for; False: it is here by now.

        Raises:
            ProtocolError: NOT_A_FORK, it is neither.
        """
        if record.id in self.missing:
            return True
        try:
            held = await self.store.get(record.id)
        except StoreDamaged as error:
            self.note_damage(error, record.scope)
            return False
        if held is None:
            raise ProtocolError(Reason.NOT_A_FORK, "nobody asked for it")
        return False

    async def _prove_branch(self, record: Record, intake: Intake) -> bool:
        """Whether a record that was asked for is of another branch; it may prove it.

        Else it comes with its chain, unless it is of a witness that wrote more than
        is kept, and named: then it is kept like a branch.

        Raises:
            ProtocolError: BAD_SIGNATURE.
        """
        check_signature(record)
        proof = self.fork(record.scope, record.author)
        if proof is not None and record.seq >= proof.seq:
            return True
        place = (record.scope, record.author, record.seq, record.seq + 1)
        held = await self.store.feed(*place, RECORD_MAX)
        if not held:
            room = await self.room_of(record.scope)
            by_witness = room is not None and room.is_by_witness(record)
            return by_witness and not await self._has_room(record)
        if held[0].id == record.id:
            return False
        await intake.add_fork(prove_fork(held[0], record))
        return True

    async def _has_room(self, record: Record) -> bool:
        """Whether the terms of its campaign let a record be kept."""
        scope = record.scope
        try:
            room = self._rooms[scope] = await self.room_of(scope)
            return room is None or await room.admits(record, len(self.frontier(scope)))
        except StoreDamaged as error:
            self.note_damage(error, scope)
            return True

    async def _check_room(self, record: Record) -> None:
        """Refuse an own record that would be signed for nobody.

        Raises:
            FeedFull: it is beyond the caps of its campaign.
        """
        room = self._rooms[record.scope] = await self.room_of(record.scope)
        if room is not None and not await room.takes(record):
            raise FeedFull

    def _fill(self, record: Record) -> None:
        """Count a stored record among what its campaign has room for."""
        room = self._rooms.get(record.scope)
        if room is not None:
            room.took(record)

    def _followed(self, scope: Scope) -> None:
        if scope not in self._scopes:
            raise ProtocolError(Reason.UNKNOWN_SCOPE, scope.hex())

    async def _keep(self, intake: Intake, source: object) -> Report:
        """Make durable what was accepted, then show it."""
        for error, scope in intake.damaged:
            self.note_damage(error, scope)
        newly = [feed for feed in intake.stopped if feed not in self._stopped]
        stopped = {STOPPED + (scope + author).hex(): b"" for scope, author in newly}
        leads = intake.ahead()
        noted = self.erasures.note([*intake.accepted, *leads])
        accepted = [self.erasures.kept(record) for record in intake.accepted]
        filled = [self._still_wanted(record) for record in intake.filled]
        records = [*accepted, *filled]
        if records or intake.forks or stopped:
            with self._committing():
                if leads:
                    await self.store.append_branch(leads)
                await self.store.append(records, intake.forks, {**stopped, **noted})
        for (scope, author), state in intake.states.items():
            self._scopes[scope].put(author, state)
            self._last_ms.pop((scope, author), None)
        asked = tuple(one for one in filled if one.id in self.missing)
        self._stop_asking((*accepted, *asked))
        for record in accepted:
            self._fill(record)
        self._stopped.update(dict.fromkeys(newly))
        report = Report(
            accepted=tuple(accepted),
            refused=tuple(intake.refused),
            gaps=tuple(intake.gaps),
            forks=tuple(intake.forks),
            stopped=tuple(newly),
        )
        self._notify(
            Change(
                records=report.accepted,
                forks=report.forks,
                source=source,
                stopped=report.stopped,
            )
        )
        self._notify(Change(records=asked, named=True))
        return report

    def _stop_asking(self, records: Iterable[Record]) -> None:
        """Ask no more for records that came; for a claim, if it came bare."""
        for record in records:
            if record.claim_bytes is not None:
                self.missing.pop(record.id, None)

    def _still_wanted(self, record: Record) -> Record:
        """What is kept of a known record that brings more.

        Of what was erased only a claim that was asked for: it is to be settled yet.
        """
        kept = self.erasures.kept(record)
        if self.erasures.drops(kept).claim and kept.id not in self.missing:
            return without_parts(kept, claim=True, note=True)
        return kept

    def _notify(self, change: Change) -> None:
        news = (
            *(change.records, change.forks, change.followed),
            *(change.dropped, change.stopped),
        )
        if any(news) or change.asked:
            for callback in self._subscribers:
                callback(change)

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Let no cancellation split a commit; remember it if one is in doubt."""
        try:
            with trio.CancelScope(shield=True):
                yield
        except StoreInDoubt:
            self.in_doubt = True
            raise

    async def _keys(self, prefix: str) -> list[bytes]:
        """The keys of state under a prefix that ends before a hex name."""
        state = await self.store.state(prefix)
        return [bytes.fromhex(key.removeprefix(prefix)) for key in state]

    async def _load_erasures(self) -> Erasures:
        """The erases that the store remembers."""
        erasures = Erasures()
        for record_id in (await self.store.state(ERASES)).values():
            try:
                record = await self.store.get(RecordId(record_id))
            except StoreDamaged as error:
                log.warning("an erase cannot be read: %s", error)
                continue
            erasures.note([] if record is None else [record])
        return erasures

    async def _load(self, scope: Scope) -> ScopeState:
        """Read where the feeds of a scope stand."""
        loaded = ScopeState()
        states = {
            author: FeedState(head=head)
            for author, head in (await self.store.heads(scope)).items()
        }
        for proof in await self.store.forks(scope):
            before = await self.store.feed(
                scope, proof.author, max(0, proof.seq - 1), proof.seq, RECORD_MAX
            )
            states[proof.author] = replace(
                states.get(proof.author, FeedState()),
                fork=proof,
                below=before[0].id if before else NO_BACKLINK,
            )
        for author, state in states.items():
            loaded.put(author, state)
        return loaded


def _check_by_id(record: Record) -> None:
    """Only a scan, whose claim was erased, may come without it.

    Raises:
        ProtocolError: BAD_CLAIM.
    """
    if record.claim_bytes is None and record.kind != Kind.SCAN:
        raise ProtocolError(Reason.BAD_CLAIM, "the claim is absent")
