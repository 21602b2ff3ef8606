"""Fetches the branches that witnesses name.

Records of the other branch of a fork stand in no feed: neighbours bring them only
to whoever asks by id, and can bring only what they hold. So everybody asks for
those that a witness names: whoever settles finds them next door, however
far away the witness is that saw them.

A branch is found from its head down, as each record names only the one below: what
came is gone on from at once. Of one author no witness has more fetched than the
terms let one feed take: an honest one names one branch.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import StoreDamaged, StoreInDoubt
from protocols.claims import Kind
from protocols.keys import witness_scope
from protocols.limits import BATCH_MAX, RECORD_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Library
    from p2pnode.services.room import Room
    from protocols.claims import Seen
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

PAUSE_S: Final = 2.0
"""How long changes are gathered before they are looked at."""

STEP_S: Final = 0.05
"""How long branch records are gathered before those below them are asked for."""

NAMED_MAX: Final = 512
"""Branches that are looked for at once because of one witness: one that names what
exists nowhere keeps no others from theirs."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Named:
    """What one witness names beyond forks."""

    read: int = 0
    """The next seq to be read of its feed."""
    mentions: dict[AuthorKey, list[int]] = field(default_factory=dict)
    """Author -> where in its feed a head of hers stands."""
    gaps: dict[RecordId, AuthorKey] = field(default_factory=dict)
    """Records that are looked for next, and of whom each must be."""
    walked: dict[AuthorKey, dict[RecordId, None]] = field(default_factory=dict)
    """Records of branches that are here."""
    bytes: Counter[AuthorKey] = field(default_factory=Counter)
    """What they take."""


@dataclass(slots=True)
class _Search:
    """How far a campaign's witnesses were read, and what they name."""

    room: Room
    forks: dict[AuthorKey, int] = field(default_factory=dict)
    """The lowest seq at which each feed forked."""
    named: dict[AuthorKey, _Named] = field(default_factory=dict)


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
        self._changed = True
        """Whether a witness said something or forks came since the last look."""
        self._came: dict[RecordId, Scope] = {}
        """Branch records that came since, and of which campaign."""
        self._wake = trio.Event()
        feeds.subscribe(self._note)

    async def run(self) -> None:
        """Look whenever a witness said something or forks came, until cancelled."""
        look_at = trio.current_time()
        while True:
            with trio.move_on_at(look_at if self._changed else math.inf):
                await self._wake.wait()
            self._wake = trio.Event()
            try:
                await self._go_on()
                if self._changed and trio.current_time() >= look_at:
                    self._changed, look_at = False, trio.current_time() + PAUSE_S
                    for entry in self._library.entries:
                        await self._look(entry.campaign)
            except (StoreDamaged, StoreInDoubt) as error:
                log.warning("branches were not looked for: %s", error)
            await trio.sleep(STEP_S)

    def _note(self, change: Change) -> None:
        if change.named:
            self._came.update((record.id, record.scope) for record in change.records)
        if change.forks or any(record.kind == Kind.SEEN for record in change.records):
            self._changed = True
        if self._changed or self._came:
            self._wake.set()

    async def _go_on(self) -> None:
        """Look below what came."""
        came, self._came = self._came, {}
        for record_id, campaign in came.items():
            search = self._searches.get(campaign)
            if search is not None:
                await self._step(search, [record_id])
        for campaign in dict.fromkeys(came.values()):
            if campaign in self._searches:
                self._ask(campaign, self._searches[campaign])

    async def _look(self, campaign: Scope) -> None:
        """Ask for what witnesses name beyond forks and is not here."""
        forks = {proof.author: proof.seq for proof in self._feeds.forks(campaign)}
        if not forks:
            return
        room = await self._library.room(campaign)
        if room is None:
            return
        search = self._searches.setdefault(campaign, _Search(room))
        moved = [one for one in forks if search.forks.get(one) != forks[one]]
        search.forks = forks
        for witness in room.witnesses:
            named = search.named.setdefault(witness, _Named())
            place = (witness_scope(campaign), witness)
            await self._read_again(place, moved, named, search)
            await self._read_on(place, named, search)
            await self._step(search, [*named.gaps][:NAMED_MAX])
        self._ask(campaign, search)

    async def _read_on(
        self, place: tuple[Scope, AuthorKey], named: _Named, search: _Search
    ) -> None:
        """Read the records of a witness that were not read yet."""
        leaf = self._feeds.frontier(place[0]).get(place[1])
        stop = 0 if leaf is None else leaf.seq + 1
        while some := await self._feeds.store.feed(*place, named.read, stop, BATCH_MAX):
            for record in some:
                for author, seq, head in _heads(record):
                    named.mentions.setdefault(author, []).append(record.seq)
                    _note_head(author, seq, head, named, search)
            named.read = some[-1].seq + 1

    async def _read_again(
        self,
        place: tuple[Scope, AuthorKey],
        authors: Iterable[AuthorKey],
        named: _Named,
        search: _Search,
    ) -> None:
        """Read what a witness named of feeds that were found to fork, or lower."""
        for author in authors:
            named.walked.pop(author, None)
            named.bytes.pop(author, None)
            for at in named.mentions.get(author, ()):
                for record in await self._feeds.store.feed(
                    *place, at, at + 1, RECORD_MAX
                ):
                    for one, seq, head in _heads(record):
                        if one == author:
                            _note_head(author, seq, head, named, search)

    async def _step(self, search: _Search, gaps: Iterable[RecordId]) -> None:
        """Go down from each gap that is here now."""
        for gap in gaps:
            record = await self._feeds.store.get(gap)
            for named in search.named.values():
                if record is not None and gap in named.gaps:
                    await self._descend(record, named.gaps.pop(gap), named, search)

    async def _descend(
        self, record: Record | None, author: AuthorKey, named: _Named, search: _Search
    ) -> None:
        """Go down a branch as far as it is here and may be; note the gap there."""
        walked = named.walked.setdefault(author, {})
        while record is not None and record.author == author:
            named.bytes[author] += search.room.size_of(record)
            full = len(walked) >= search.room.records_max(author) or named.bytes[
                author
            ] > search.room.bytes_max(author)
            walked[record.id] = None
            below = record.header.backlink
            if full or record.seq <= search.forks[author] or below in walked:
                return
            record = await self._feeds.store.get(below)
            if record is None:
                named.gaps[below] = author

    def _ask(self, campaign: Scope, search: _Search) -> None:
        gaps = [[*named.gaps][:NAMED_MAX] for named in search.named.values()]
        lacking = [one for turn in zip_longest(*gaps) for one in turn if one]
        new = [one for one in lacking if one not in self._feeds.missing]
        if new:
            self._feeds.ask_for((campaign,), new)


def _heads(record: Record) -> Sequence[tuple[AuthorKey, int, RecordId]]:
    """What a witness's record names."""
    if record.kind != Kind.SEEN or record.claim_bytes is None:
        return ()
    seen: Seen = record.claim()
    return seen.heads


def _note_head(
    author: AuthorKey, seq: int, head: RecordId, named: _Named, search: _Search
) -> None:
    """Remember a head if it is beyond a fork."""
    fork = search.forks.get(author)
    beyond = fork is not None and fork <= seq < search.room.records_max(author)
    if beyond and head not in named.walked.get(author, ()):
        named.gaps.setdefault(head, author)
