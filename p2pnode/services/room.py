"""How much of a campaign is kept: no more than its witnesses may cover.

Whoever knows a campaign's id can write into its scopes. What no honest witness
would list is not stored: of each feed the terms' records and bytes, of the
witness scope only the witnesses' feeds. Feeds are bounded in number; a little
more than the terms say is kept, because each witness may list others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocols.claims import Kind
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
        self._used: dict[AuthorKey, int] = {}
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

    async def admits(self, record: Record, feeds: int) -> bool:
        """Whether a record is kept, if it follows its feed.

        Args:
            record: of the campaign's scope, or of its witnesses'.
            feeds: how many feeds the scope has here.
        """
        author, caps = record.author, self._terms.caps
        if record.scope != self._campaign:
            return author in self.witnesses
        named = self._terms.names(author)
        feeds_max = caps.feeds + caps.feeds // FEEDS_SPARE
        if record.seq == 0 and not named and feeds > feeds_max:
            return False
        if record.seq >= self.records_max(author):
            return False
        room = caps.named_bytes_per_feed if named else caps.bytes_per_feed
        spare = record.kind in (Kind.ERASE, Kind.REDEEM)
        return spare or await self._bytes(author) + _size(record) <= room

    def took(self, record: Record) -> None:
        """A record that was admitted is stored."""
        if record.author in self._used:
            self._used[record.author] += _size(record)

    async def _bytes(self, author: AuthorKey) -> int:
        """What a feed takes: read once, then counted."""
        if author not in self._used:
            used, seq = 0, 0
            place = (self._campaign, author)
            while page := await self._store.feed(*place, seq, 2**53 - 1, PAGE_BYTES):
                used += sum(map(_size, page))
                seq = page[-1].seq + 1
            self._used[author] = used
        return self._used[author]


def _size(record: Record) -> int:
    """Bytes of claim and note, as signed: erased ones count."""
    return record.header.claim_size + record.header.note_size
