"""Fetches the branches that finals name.

Records of the other branch of a fork stand in no feed: neighbours bring them only
to whoever asks by id, and can bring only what they hold. So everybody asks for
those that a witness's final names: whoever settles finds them next door, however
far away the witness is that saw them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
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
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

PAUSE_S: Final = 2.0
"""How long changes are gathered before they are looked at."""

NAMED_MAX: Final = 1_024
"""Records of branches of one campaign that are looked for at once."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Search:
    """How far a campaign's finals were read, and what they name."""

    forks: dict[AuthorKey, int] = field(default_factory=dict)
    """The lowest seq at which each feed forked."""
    read: dict[AuthorKey, int] = field(default_factory=dict)
    """The next seq to be read of each witness's feed."""
    named: dict[RecordId, None] = field(default_factory=dict)
    """Heads beyond forks whose branch may not be here as a whole."""


class Branches:
    """Has this node hold the branches that finals name.

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
        """Look whenever finals or forks came, until cancelled."""
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
        finals = any(record.kind is Kind.SEEN for record in change.records)
        if finals or change.forks or change.named:
            self._changed.set()

    async def _look(self, campaign: Scope) -> None:
        """Ask for what finals name beyond forks and is not here."""
        forks = {proof.author: proof.seq for proof in self._feeds.forks(campaign)}
        if not forks:
            return
        search = self._searches.setdefault(campaign, _Search())
        if search.forks != forks:
            search.forks, search.read = forks, {}  # earlier finals may name it, too
        async for record in self._unread(witness_scope(campaign), search):
            _note_heads(record, search)
        lacking = [
            one for name in [*search.named] if (one := await self._gap(name, search))
        ]
        new = [one for one in lacking if one not in self._feeds.missing]
        if new:
            self._feeds.ask_for((campaign,), new)

    async def _unread(self, scope: Scope, search: _Search) -> AsyncIterator[Record]:
        """The records of witnesses that were not read yet."""
        for leaf in self._feeds.frontier(scope).leaves():
            while True:
                start = search.read.get(leaf.author, 0)
                some = await self._feeds.store.feed(
                    scope, leaf.author, start, leaf.seq + 1, BATCH_MAX
                )
                for record in some:
                    yield record
                if not some:
                    break
                search.read[leaf.author] = some[-1].seq + 1

    async def _gap(self, named: RecordId, search: _Search) -> RecordId | None:
        """The first record below a head that is not here; None: its branch is whole."""
        record = await self._feeds.store.get(named)
        while record is not None:
            if record.seq <= search.forks.get(record.author, 0):
                del search.named[named]
                return None
            named_below = record.header.backlink
            record = await self._feeds.store.get(named_below)
            if record is None:
                return named_below
        return named


def _note_heads(record: Record, search: _Search) -> None:
    """Remember the heads beyond forks that a final names."""
    if record.kind is not Kind.SEEN or record.claim_bytes is None:
        return
    claim = record.claim()
    if claim.final is None:
        return
    for author, seq, head in claim.heads:
        fork = search.forks.get(author)
        if fork is not None and seq >= fork and len(search.named) < NAMED_MAX:
            search.named[head] = None
