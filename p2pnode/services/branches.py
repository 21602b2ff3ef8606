"""Fetches the branches that witnesses name.

Records of the other branch of a fork stand in no feed: neighbours bring them only
to whoever asks by id, and can bring only what they hold. So everybody asks for
those that a witness names: whoever settles finds them next door, however
far away the witness is that saw them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import StoreDamaged, StoreInDoubt
from protocols.claims import Kind
from protocols.keys import witness_scope
from protocols.limits import BATCH_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library
    from p2pnode.services.room import Room
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

PAUSE_S: Final = 2.0
"""How long changes are gathered before they are looked at."""

NAMED_MAX: Final = 512
"""Branches that are looked for at once because of one witness: one that names what
exists nowhere keeps no others from theirs."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Search:
    """How far a campaign's witnesses were read, and what they name."""

    forks: dict[AuthorKey, int] = field(default_factory=dict)
    """The lowest seq at which each feed forked."""
    read: dict[AuthorKey, int] = field(default_factory=dict)
    """The next seq to be read of each witness's feed."""
    named: dict[AuthorKey, dict[RecordId, RecordId]] = field(default_factory=dict)
    """For each witness, heads beyond forks whose branch may not be here as a whole,
    and how far down it was found."""


class Branches:
    """Has this node hold the branches that witnesses name.

    Args:
        library: which campaigns are followed.
        feeds: where records are kept and asked for.
    """

    def __init__(self, library: Library, feeds: Feeds) -> None:
        self._library = library
        self._feeds = feeds
        self._searches: dict[Scope, _Search] = {}
        self._changed = trio.Event()
        self._changed.set()
        feeds.subscribe(self._note)

    async def run(self) -> None:
        """Look whenever a witness said something or forks came, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            for entry in self._library.entries:
                try:
                    await self._look(entry.campaign)
                except (StoreDamaged, StoreInDoubt) as error:
                    log.warning("branches were not looked for: %s", error)
            await trio.sleep(PAUSE_S)

    def _note(self, change: Change) -> None:
        seen = any(record.kind == Kind.SEEN for record in change.records)
        if seen or change.forks or change.named:
            self._changed.set()

    async def _look(self, campaign: Scope) -> None:
        """Ask for what witnesses name beyond forks and is not here."""
        forks = {proof.author: proof.seq for proof in self._feeds.forks(campaign)}
        if not forks:
            return
        room = await self._library.room(campaign)
        if room is None:
            return
        search = self._searches.setdefault(campaign, _Search())
        if search.forks != forks:
            search.forks, search.read = forks, {}  # what was read may name it, too
        gaps: list[list[RecordId]] = []
        for witness in room.witnesses:
            async for record in self._unread(witness_scope(campaign), witness, search):
                _note_heads(record, search, room)
            gaps.append(await self._gaps(witness, search))
        lacking = [one for turn in zip_longest(*gaps) for one in turn if one]
        new = [one for one in lacking if one not in self._feeds.missing]
        if new:
            self._feeds.ask_for((campaign,), new)

    async def _unread(
        self, scope: Scope, witness: AuthorKey, search: _Search
    ) -> AsyncIterator[Record]:
        """The records of a witness that were not read yet."""
        leaf = self._feeds.frontier(scope).get(witness)
        while leaf is not None:
            start = search.read.get(witness, 0)
            some = await self._feeds.store.feed(
                scope, witness, start, leaf.seq + 1, BATCH_MAX
            )
            for record in some:
                yield record
            if not some:
                break
            search.read[witness] = some[-1].seq + 1

    async def _gaps(self, witness: AuthorKey, search: _Search) -> list[RecordId]:
        """The first record that is not here of each branch that a witness names."""
        named = search.named.get(witness, {})
        for head, reached in [*named.items()]:
            gap = await self._gap(reached, search)
            if gap is None:
                del named[head]
            else:
                named[head] = gap
        return [*named.values()]

    async def _gap(self, reached: RecordId, search: _Search) -> RecordId | None:
        """The first record from here down that is not here; None: all are."""
        while True:
            record = await self._feeds.store.get(reached)
            if record is None:
                return reached
            if record.seq <= search.forks.get(record.author, 0):
                return None
            reached = record.header.backlink


def _note_heads(record: Record, search: _Search, room: Room) -> None:
    """Remember the heads beyond forks that a witness names."""
    if record.kind != Kind.SEEN or record.claim_bytes is None:
        return
    claim = record.claim()
    named = search.named.setdefault(record.author, {})
    for author, seq, head in claim.heads:
        fork = search.forks.get(author)
        beyond = fork is not None and fork <= seq < room.records_max(author)
        if beyond and len(named) < NAMED_MAX:
            named.setdefault(head, head)
