"""How much of a campaign is kept: no more than its witnesses may cover.

Whoever knows a campaign's id can write into its scopes. What no honest witness
would list is not stored: of each feed the terms' records and bytes, of the
witness scope only the witnesses' feeds, as far as an honest one may write. Feeds
are bounded in number, in all and by one invite; a little more than the terms say
is kept, because each witness may list others. What a witness lists is kept in any
case, or nobody could settle.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from protocols.claims import Kind
from protocols.evidence import witness_room
from protocols.join import Continue, Join
from protocols.keys import witness_scope
from protocols.limits import PART_SPARE, RECORD_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from p2pnode.ports import Store
    from protocols.keys import AuthorKey, Scope
    from protocols.record import Record
    from protocols.terms import Terms

FEEDS_SPARE: Final = 4
"""Beyond the terms' cap on feeds, and beyond an invite's share, one in so many."""

INVITE_SHARE: Final = 4
"""Of the feeds that may be listed, one in so many comes by one invite."""

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
        self._roots: dict[AuthorKey, AuthorKey | None] | None = None
        """Participant here -> the invite of somebody the terms name by which she
        came; None: it is not known. Read when it is first asked for."""
        self._came: Counter[AuthorKey | None] = Counter()
        """How many of them by each."""
        self._coming: dict[AuthorKey, AuthorKey | None] = {}
        """As `_roots`, of those admitted since `begin`."""
        self._listed: dict[AuthorKey, dict[AuthorKey, None]] | None = None
        """Witness -> whom it lists; read when it is first asked for."""
        self._seen: dict[AuthorKey, None] = {}
        """Whom any of them lists."""
        self._picked: Counter[AuthorKey | None] = Counter()
        """As `_came`, of those whom none of them lists."""
        self._taken = 0
        """What they take: of each invite at most its share, however many came before
        the terms, which say how many may."""
        self._share = max(1, terms.caps.feeds // INVITE_SHARE)
        self._share += self._share // FEEDS_SPARE

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

    def begin(self) -> None:
        """What was admitted before is stored, or never will be."""
        self._coming.clear()

    async def admits(self, record: Record, feeds: int) -> bool:
        """Whether a record is kept, if it follows its feed.

        Args:
            record: of the campaign's scope, or of its witnesses'.
            feeds: how many feeds the scope has here.
        """
        author = record.author
        if record.scope != self._campaign:
            short = record.seq < self._witness.records
            known = short and author in self.witnesses
            return known and await self._fits(record, self._witness.bytes)
        named = self._terms.names(author)
        if record.seq == 0 and not named and not await self._admits_feed(record, feeds):
            return False
        if record.seq >= self.records_max(author):
            return False
        spare = self.size_of(record) == 0
        return spare or await self._fits(record, self.bytes_max(author))

    async def takes(self, record: Record) -> bool:
        """Whether a record signed here is within the caps: what witnesses cover."""
        if record.scope != self._campaign:
            return True  # a witness keeps to its own bound
        if self.size_of(record) == 0:
            return record.seq < self.records_max(record.author)
        most = self.records_max(record.author) - PART_SPARE
        fits = await self._fits(record, self.bytes_max(record.author))
        return record.seq < most and fits

    def is_by_witness(self, record: Record) -> bool:
        """Whether one of the witnesses says it as such."""
        return record.scope != self._campaign and record.author in self.witnesses

    def took(self, record: Record) -> None:
        """A record that was admitted, or signed here, is stored."""
        place = (record.scope, record.author)
        if place in self._used:
            self._used[place] += _size(record)
        if record.scope != self._campaign:
            if self._listed is not None:
                self._note_listed(record, self._listed[record.author])
        elif record.seq == 0:
            self._note_root(record)

    async def _admits_feed(self, genesis: Record, feeds: int) -> bool:
        """Whether one more participant is kept.

        Those who came by one invite of somebody named, and all invites below it,
        take no room from others; nor do those whom nobody here invited, nor those
        whom a witness lists.
        """
        feeds += len(self._coming)
        most = self._terms.caps.feeds
        few = feeds < self._share  # then nobody has brought as many
        roots, taken = self._roots or {}, 0
        if not few:
            roots, _ = await self._read_roots(), await self._read_listed()
            taken = self._taken + len(self._coming)
        root = self._root(genesis, roots)
        came = self._came[root] + [*self._coming.values()].count(root)
        if few or (came < self._share and taken < most + most // FEEDS_SPARE):
            self._coming[genesis.author] = root
        if genesis.author in roots or genesis.author in self._coming:
            return True
        await self._read_listed()
        return genesis.author in self._seen

    async def _read_roots(self) -> dict[AuthorKey, AuthorKey | None]:
        """By which invite everybody here came: read once, then kept."""
        if self._roots is None:
            geneses: dict[AuthorKey, Record] = {}
            for author in await self._store.heads(self._campaign):
                place = (self._campaign, author, 0, 1, RECORD_MAX)
                first = await self._store.feed(*place)
                geneses.update((author, one) for one in first)
            self._roots = {}
            for genesis in _downwards(geneses):
                self._note_root(genesis)
        return self._roots

    def _note_root(self, genesis: Record) -> None:
        roots = self._roots
        if roots is None or self._terms.names(genesis.author):
            return
        if genesis.author not in roots:
            root = roots[genesis.author] = self._root(genesis, roots)
            self._came[root] += 1
            if genesis.author not in self._seen:
                self._take(root, 1)

    def _take(self, root: AuthorKey | None, more: int) -> None:
        before = self._picked[root]
        self._picked[root] = after = before + more
        self._taken += min(after, self._share) - min(before, self._share)

    def _root(
        self, genesis: Record, roots: dict[AuthorKey, AuthorKey | None]
    ) -> AuthorKey | None:
        join = join_of(genesis)
        if join is None:
            return None
        if self._terms.names(join.invite.inviter):
            return join.invite.invite_key
        inviter = join.invite.inviter
        return roots.get(inviter, self._coming.get(inviter))

    async def _read_listed(self) -> dict[AuthorKey, dict[AuthorKey, None]]:
        """Whom each witness lists: read once, then kept."""
        if self._listed is None:
            listed: dict[AuthorKey, dict[AuthorKey, None]] = {}
            for witness in self.witnesses:
                authors = listed.setdefault(witness, {})
                async for record in self._pages(witness_scope(self._campaign), witness):
                    self._note_listed(record, authors)
            self._listed = listed
        return self._listed

    def _note_listed(self, record: Record, authors: dict[AuthorKey, None]) -> None:
        """An honest witness lists no more feeds than the cap."""
        if record.kind == Kind.SEEN and record.claim_bytes is not None:
            for author, _, _ in record.claim().heads:
                if len(authors) < self._terms.caps.feeds:
                    authors[author] = None
                    if author not in self._seen:
                        self._seen[author] = None
                        if self._roots is not None and author in self._roots:
                            self._take(self._roots[author], -1)

    async def _pages(self, scope: Scope, author: AuthorKey) -> AsyncIterator[Record]:
        seq = 0
        while page := await self._store.feed(scope, author, seq, 2**53 - 1, PAGE_BYTES):
            for record in page:
                yield record
            seq = page[-1].seq + 1

    async def _fits(self, record: Record, bytes_max: int) -> bool:
        used = await self._bytes((record.scope, record.author))
        return used + _size(record) <= bytes_max

    async def _bytes(self, place: tuple[Scope, AuthorKey]) -> int:
        """What a feed takes: read once, then counted."""
        if place not in self._used:
            used = 0
            async for record in self._pages(*place):
                used += _size(record)
            self._used[place] = used
        return self._used[place]


def _size(record: Record) -> int:
    """Bytes of claim and note, as signed: erased ones count."""
    return record.header.claim_size + record.header.note_size


def join_of(genesis: Record) -> Join | None:
    """The join that a genesis is, or that it continues."""
    claim = None if genesis.claim_bytes is None else genesis.claim()
    if isinstance(claim, Continue):
        return claim.join
    return claim if isinstance(claim, Join) else None


def _downwards(geneses: dict[AuthorKey, Record]) -> list[Record]:
    """Inviters before those they invited, as far as there is such an order."""
    found: dict[AuthorKey, Record] = {}
    for author in geneses:
        above: dict[AuthorKey, Record] = {}
        here: AuthorKey | None = author
        while here is not None:
            genesis = None if here in found or here in above else geneses.get(here)
            if genesis is None:
                break
            above[here] = genesis
            join = join_of(genesis)
            here = None if join is None else join.invite.inviter
        found.update(reversed(above.items()))
    return list(found.values())
