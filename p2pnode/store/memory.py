"""A store in memory: no thread, no disk, the same trace for the same calls.

For the simulator and for tests. It outlives its node like a disk: a hook
crashes the node before a call or after its write has landed, and `reopen`
gives what was stored to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from p2pnode.ports import Store, StoreConflict, StoreFull, StoreInDoubt
from protocols.feed import ForkProof, Head
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.record import Record, without_parts

Hook = Callable[[str], None]
"""Called with the name of a store call; what it raises ends the call."""

Feed = tuple[Scope, AuthorKey]

FRAMING: Final = 12
"""Bytes on the wire, at most, besides the four parts of a record."""


def wire_size(record: Record) -> int:
    """Bytes of a record on the wire, a few more at most."""
    parts = (
        record.header_bytes,
        record.claim_bytes or b"",
        record.note_bytes or b"",
        record.signature,
    )
    return FRAMING + sum(len(part) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A record as it is held."""

    record: Record
    branch: bool = False
    """In no feed: it is of the other branch of a forked one."""
    claim_dropped: bool = False
    note_dropped: bool = False

    def taking(self, record: Record, *, branch: bool) -> _Held:
        """This record after it arrived once more, perhaps with more parts."""
        mine = self.record
        filled = replace(
            mine,
            claim_bytes=mine.claim_bytes or record.claim_bytes,
            note_bytes=mine.note_bytes or record.note_bytes,
        )
        held = replace(self, record=filled, branch=self.branch and branch)
        return held.dropping(claim=False, note=False)

    def dropping(self, *, claim: bool, note: bool) -> _Held:
        """This record without those parts, now and later."""
        claim, note = claim or self.claim_dropped, note or self.note_dropped
        return replace(
            self,
            record=without_parts(self.record, claim=claim, note=note),
            claim_dropped=claim,
            note_dropped=note,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a store holds; two stores hold the same if these are equal."""

    held: dict[RecordId, _Held]
    forks: dict[Feed, ForkProof]
    state: dict[str, bytes]


class MemoryStore(Store):
    """A `Store` in memory. Every call is a checkpoint, then runs at once.

    Args:
        before: hook called before each store call.
        after: hook called once a write has landed, before it is acknowledged.
    """

    def __init__(self, before: Hook | None = None, after: Hook | None = None) -> None:
        self.before = before
        self.after = after
        self._held: dict[RecordId, _Held] = {}
        self._feeds: dict[Feed, dict[int, RecordId]] = {}
        self._forks: dict[Feed, ForkProof] = {}
        self._state: dict[str, bytes] = {}
        self._closed = False
        self._doubt = trio.Event()

    def snapshot(self) -> Snapshot:
        """What it holds now, for comparison."""
        return Snapshot(
            held=dict(self._held), forks=dict(self._forks), state=dict(self._state)
        )

    def peek(self, record_id: RecordId) -> Record | None:
        """A record as it lies here: for checkers, whom no fault hinders."""
        held = self._held.get(record_id)
        return None if held is None else held.record

    def reopen(self) -> None:
        """What a restarted node does first; the hooks stay."""
        self._closed = False
        self._doubt = trio.Event()

    async def append(
        self,
        records: Sequence[Record],
        forks: Sequence[ForkProof] = (),
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Store all or nothing; see `Store.append`."""
        await self._enter("append")
        self._put(records, branch=False)
        for proof in forks:
            self._put_fork(proof)
        for key, value in (state or {}).items():
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = value
        self._landed("append")

    async def append_branch(self, records: Sequence[Record]) -> None:
        """Store records of the other branch; see `Store.append_branch`."""
        await self._enter("append_branch")
        self._put(records, branch=True)
        self._landed("append_branch")

    async def scopes(self) -> list[Scope]:
        """All scopes, ascending."""
        await self._enter("scopes")
        return sorted({scope for scope, _ in self._feeds})

    async def heads(self, scope: Scope) -> dict[AuthorKey, Head]:
        """The last record of every feed, authors ascending."""
        await self._enter("heads")
        return {
            author: Head(max(places), places[max(places)])
            for author, places in self._feeds_of(scope)
            if places
        }

    async def get(self, record_id: RecordId) -> Record | None:
        """One record by its id."""
        await self._enter("get")
        held = self._held.get(record_id)
        return None if held is None else held.record

    async def feed(
        self, scope: Scope, author: AuthorKey, start: int, stop: int, bytes_max: int
    ) -> list[Record]:
        """A stretch of a feed; see `Store.feed`."""
        await self._enter("feed")
        found: list[Record] = []
        places = self._feeds.get((scope, author), {})
        for seq in sorted(seq for seq in places if start <= seq < stop):
            record = self._held[places[seq]].record
            bytes_max -= wire_size(record)
            if found and bytes_max < 0:
                break
            found.append(record)
        return found

    async def scope_records(self, scope: Scope) -> list[Record]:
        """Every record of a scope, ordered by (author, seq)."""
        await self._enter("scope_records")
        return [
            self._held[places[seq]].record
            for _, places in self._feeds_of(scope)
            for seq in sorted(places)
        ]

    async def forks(self, scope: Scope) -> list[ForkProof]:
        """One proof per forked feed, ordered by author."""
        await self._enter("forks")
        return [self._forks[feed] for feed in sorted(self._forks) if feed[0] == scope]

    async def drop_parts(
        self, record_ids: Sequence[RecordId], *, claims: bool, notes: bool
    ) -> None:
        """Delete claims and/or notes for good."""
        await self._enter("drop_parts")
        for record_id in record_ids:
            if held := self._held.get(record_id):
                self._held[record_id] = held.dropping(claim=claims, note=notes)
        self._landed("drop_parts")

    async def state(self, prefix: str) -> dict[str, bytes]:
        """Local state under `prefix`, keys ascending."""
        await self._enter("state")
        keys = sorted(key for key in self._state if key.startswith(prefix))
        return {key: self._state[key] for key in keys}

    async def counts(self) -> dict[str, int]:
        """How much it holds."""
        await self._enter("counts")
        return {
            "records": len(self._held),
            "feeds": len(self._feeds),
            "bytes": sum(wire_size(held.record) for held in self._held.values()),
        }

    async def backup(self, path: Path) -> None:
        """Refuse: there is no file to copy."""
        await self._enter("backup")
        raise StoreFull(f"a store in memory is not copied to {path}")

    async def doubted(self) -> None:
        """Return once a commit's outcome is unknown; see `Store.doubted`."""
        await self._doubt.wait()

    async def close(self) -> None:
        """Refuse further calls until `reopen`."""
        await trio.lowlevel.checkpoint()
        self._closed = True

    async def _enter(self, call: str) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StoreInDoubt("the store is closed")
        self._run(self.before, call)

    def _landed(self, call: str) -> None:
        self._run(self.after, call)

    def _run(self, hook: Hook | None, call: str) -> None:
        """Call a hook; a commit in doubt closes the store, as on a disk."""
        try:
            if hook is not None:
                hook(call)
        except StoreInDoubt:
            self._closed = True
            self._doubt.set()
            raise

    def _feeds_of(self, scope: Scope) -> list[tuple[AuthorKey, dict[int, RecordId]]]:
        feeds = sorted(feed for feed in self._feeds if feed[0] == scope)
        return [(feed[1], self._feeds[feed]) for feed in feeds]

    def _put(self, records: Sequence[Record], *, branch: bool) -> None:
        if not branch:
            self._check_places(records)
        for record in records:
            held = self._held.get(record.id)
            if held is None:
                held = _Held(record=record, branch=branch)
            else:
                held = held.taking(record, branch=branch)
            self._held[record.id] = held
            places = self._feeds.setdefault((record.scope, record.author), {})
            if not held.branch:
                places[record.seq] = record.id

    def _check_places(self, records: Sequence[Record]) -> None:
        """Refuse a batch that needs one place twice, before anything changes."""
        taken: dict[tuple[Feed, int], RecordId] = {}
        for record in records:
            feed = (record.scope, record.author)
            here = self._feeds.get(feed, {}).get(record.seq, record.id)
            if taken.setdefault((feed, record.seq), here) != record.id:
                raise StoreConflict(f"seq {record.seq} of {record.author.hex()}")

    def _put_fork(self, proof: ForkProof) -> None:
        known = self._forks.setdefault((proof.scope, proof.author), proof)
        if proof.seq < known.seq:
            self._forks[proof.scope, proof.author] = proof
