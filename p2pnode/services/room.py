"""How much of a campaign is kept: no more than its witnesses may cover.

Whoever knows a campaign's id can write into its scopes. What no honest witness
would list is not stored: of each feed the terms' records and bytes, of the
witness scope only the witnesses' feeds, as far as an honest one may write. Feeds
are bounded in number; a little more than the terms say is kept, because each
witness may list others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocols.claims import Kind
from protocols.evidence import witness_room
from protocols.limits import PART_SPARE

if TYPE_CHECKING:
    from p2pnode.ports import Store
    from protocols.keys import AuthorKey, Scope
    from protocols.record import Record
    from protocols.terms import Terms

FEEDS_SPARE: Final = 4
"""Beyond the terms' cap on feeds one in so many is kept."""

PAGE_BYTES: Final = 1_048_576
"""Read at once to find out what a feed takes already."""


class Room:
    """What is still kept of one campaign.

    Args:
        campaign: its id.
        terms: its terms.
        store: where its records are.
    """

    def __init__(self, campaign: Scope, terms: Terms, store: Store) -> None:
        self._campaign = campaign
        self._terms = terms
        self._store = store
        self._witness = witness_room(terms)
        self._used: dict[tuple[Scope, AuthorKey], int] = {}
        """Bytes of claims and notes of the feeds that grew since the start."""

    @property
    def witnesses(self) -> tuple[AuthorKey, ...]:
        """The campaign's witnesses, in the order of its terms."""
        return tuple(witness.key for witness in self._terms.witnesses)

    def records_max(self, author: AuthorKey) -> int:
        """How many records of a feed are kept."""
        caps, named = self._terms.caps, self._terms.names(author)
        records = caps.named_records_per_feed if named else caps.records_per_feed
        return records + PART_SPARE

    def bytes_max(self, author: AuthorKey) -> int:
        """How many bytes of a feed are kept."""
        caps, named = self._terms.caps, self._terms.names(author)
        return caps.named_bytes_per_feed if named else caps.bytes_per_feed

    def size_of(self, record: Record) -> int:
        """What of `bytes_max` a record takes: claim and note, as signed."""
        return 0 if record.kind in (Kind.ERASE, Kind.REDEEM) else _size(record)

    async def admits(self, record: Record, feeds: int) -> bool:
        """Whether a record is kept, if it follows its feed.

        Args:
            record: of the campaign's scope, or of its witnesses'.
            feeds: how many feeds the scope has here.
        """
        author, caps = record.author, self._terms.caps
        if record.scope != self._campaign:
            short = record.seq < self._witness.records
            known = short and author in self.witnesses
            return known and await self._fits(record, self._witness.bytes)
        named = self._terms.names(author)
        feeds_max = caps.feeds + caps.feeds // FEEDS_SPARE
        if record.seq == 0 and not named and feeds > feeds_max:
            return False
        if record.seq >= self.records_max(author):
            return False
        spare = self.size_of(record) == 0
        return spare or await self._fits(record, self.bytes_max(author))

    def is_by_witness(self, record: Record) -> bool:
        """Whether one of the witnesses says it as such."""
        return record.scope != self._campaign and record.author in self.witnesses

    def took(self, record: Record) -> None:
        """A record that was admitted is stored."""
        place = (record.scope, record.author)
        if place in self._used:
            self._used[place] += _size(record)

    async def _fits(self, record: Record, bytes_max: int) -> bool:
        used = await self._bytes((record.scope, record.author))
        return used + _size(record) <= bytes_max

    async def _bytes(self, place: tuple[Scope, AuthorKey]) -> int:
        """What a feed takes: read once, then counted."""
        if place not in self._used:
            used, seq = 0, 0
            while page := await self._store.feed(*place, seq, 2**53 - 1, PAGE_BYTES):
                used += sum(map(_size, page))
                seq = page[-1].seq + 1
            self._used[place] = used
        return self._used[place]


def _size(record: Record) -> int:
    """Bytes of claim and note, as signed: erased ones count."""
    return record.header.claim_size + record.header.note_size
