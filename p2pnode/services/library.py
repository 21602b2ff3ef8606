"""The campaigns this node follows, and what it holds of each.

Following a campaign means holding its scope and its witnesses' scope. A view
is everything held of one campaign: read when somebody first asks, then kept and
added to as records arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from p2pnode.failures import NOT_FOUND, Failure
from p2pnode.high_water import Mark
from p2pnode.ports import StoreDamaged
from p2pnode.services.collector import collector_paused
from p2pnode.services.feeds import KeyRetired
from p2pnode.services.room import Room
from protocols.claims import Kind
from protocols.keys import AuthorKey, RecordId, Scope, SigningKey, witness_scope
from protocols.settlement.verify import Evidence, find_terms, sponsor_closes
from protocols.terms import Terms
from protocols.text import campaign_text

if TYPE_CHECKING:
    from p2pnode.identity import Identity
    from p2pnode.ports import Store
    from p2pnode.services.feeds import Change, Feeds
    from protocols.record import Record

PREFIX = "campaign/"

TERMS = "terms/"
"""Prefix of the state that remembers which record a campaign's terms are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What this node holds of a campaign."""

    campaign: Scope
    terms: Terms
    terms_record: Record
    evidence: Evidence

    @property
    def may_have_ended(self) -> bool:
        """Whether a close that says it is the last is here."""
        closes = sponsor_closes(self.terms, self.evidence)
        return any(close.claim().last for close in closes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A followed campaign, as noted in the store."""

    campaign: Scope
    title: str
    """The terms' title, or the link's until the terms are here."""
    person_index: int | None
    """Which of my derived keys acts; None: I have not joined."""
    past: tuple[int, ...] = ()
    """Which of my derived keys acted before, and never do again."""

    def note(self) -> dict[str, bytes]:
        """The state that remembers it."""
        fields = {
            "title": self.title,
            "person_index": self.person_index,
            "past": self.past,
        }
        return {PREFIX + self.campaign.hex(): json.dumps(fields).encode()}


class Library:
    """Which campaigns are followed, under which of my keys."""

    def __init__(self, identity: Identity, feeds: Feeds, store: Store) -> None:
        self.identity = identity
        self.lost = False
        """Something was lost here once: my keys may have signed what is not here."""
        self.lost_ms = -1
        """When that, or a loss of accepted slips, was noticed last; -1: never."""
        self._feeds = feeds
        self._store = store
        self._entries: dict[Scope, Entry] = {}
        self._noting = trio.Lock()
        self._views: dict[Scope, View] = {}
        self._watched: dict[Scope, Scope] = {}
        """Scope -> the campaign it belongs to."""
        self._reading: list[list[Record]] = []
        """For each read under way, what was stored since it began."""
        self._without_terms: set[Scope | None] = set()
        """Campaigns whose records were read in vain; nothing came since."""
        self._rooms: dict[Scope, Room] = {}
        self._terms: dict[Scope, Record | None] = {}
        """Campaign -> the terms that came since it was last looked at; None:
        it was looked at, and there are none."""
        feeds.subscribe(self._note)
        feeds.room_of = self.room

    async def open(self) -> None:
        """Follow again what was followed before."""
        self._feeds.own_line([key.author for key in self.identity.author_keys])
        for author in self.retired:
            self._feeds.retire(author)
        for name, value in (await self._store.state(PREFIX)).items():
            campaign = Scope(bytes.fromhex(name.removeprefix(PREFIX)))
            note = json.loads(value)
            await self._remember(
                Entry(
                    campaign=campaign,
                    title=str(note["title"]),
                    person_index=note["person_index"],
                    past=tuple(note.get("past", ())),
                )
            )

    @property
    def author_keys(self) -> tuple[SigningKey, ...]:
        """My author keys that may still sign: the first of them does."""
        mark = self._feeds.mark or Mark()
        return self.identity.author_keys[mark.used - 1 :]

    @property
    def retired(self) -> tuple[AuthorKey, ...]:
        """My author keys that were given up."""
        keys = self.identity.author_keys
        given_up = keys[: len(keys) - len(self.author_keys)]
        return tuple(key.author for key in given_up)

    @property
    def author_key(self) -> SigningKey | None:
        """The author key that signs now."""
        return next(iter(self.author_keys), None)

    def key_among(self, named: Iterable[AuthorKey]) -> SigningKey | None:
        """The first of my author keys that may sign and is among `named`."""
        names = frozenset(named)
        keys = (key for key in self.author_keys if key.author in names)
        return next(keys, None)

    @property
    def entries(self) -> list[Entry]:
        """All followed campaigns, by id."""
        return [self._entries[campaign] for campaign in sorted(self._entries)]

    def entry(self, campaign: Scope) -> Entry:
        """The entry of a followed campaign."""
        return self._entries[campaign]

    async def follow(
        self, campaign: Scope, title: str = "", person_index: int | None = None
    ) -> Entry:
        """Follow a campaign; a known one keeps its key if none is given."""
        async with self._noting:  # else one of two at once forgets what the other noted
            known = self._entries.get(campaign)
            if known is not None:
                title = known.title or title
                if person_index is None:
                    person_index = known.person_index
            new = Entry(campaign=campaign, title=title, person_index=person_index)
            entry = new if known is None else replace(new, past=known.past)
            if entry != known:
                await self._store.append((), state=entry.note())
                await self._remember(entry)
            return entry

    async def adopt(self, entry: Entry) -> None:
        """Take over an entry whose note was stored with other things."""
        async with self._noting:
            await self._remember(entry)

    async def _remember(self, entry: Entry) -> None:
        campaign = entry.campaign
        if entry.person_index is not None:
            key = self.identity.person_key(campaign, entry.person_index)
            self._feeds.own(key.author)
        # A link may call a campaign what is another's witness scope: that stays its.
        self._watched.setdefault(campaign, campaign)
        self._watched[witness_scope(campaign)] = campaign
        for scope in (campaign, witness_scope(campaign)):
            await self._feeds.follow(scope)
        self._entries[campaign] = entry  # last: a full disk may stop it half-way

    async def room(self, scope: Scope) -> Room | None:
        """How much of a followed campaign is kept; None until its terms came."""
        campaign = self._watched.get(scope)
        if campaign is None:
            return None
        if campaign not in self._rooms and self._terms.get(campaign, True):
            await self._make_room(campaign)
        return self._rooms.get(campaign)

    async def _make_room(self, campaign: Scope) -> None:
        """Remember which record the terms are, or look which it was."""
        key, record = TERMS + campaign.hex(), self._terms.get(campaign)
        if record is not None:
            await self._store.append((), state={key: record.id})
        else:
            noted = (await self._store.state(key)).get(key)
            record = await self._store.get(RecordId(noted)) if noted else None
        self._terms[campaign] = None
        for _, terms in find_terms([record] if record else []):
            self._rooms[campaign] = Room(campaign, terms, self._store)

    def find(self, name: str) -> Entry:
        """The followed campaign that `name` means: its id, or its beginning.

        Raises:
            Failure: `unknown-campaign` or `several-campaigns`.
        """
        text = name.strip().lower()
        found = [
            entry
            for entry in self.entries
            if campaign_text(entry.campaign).startswith(text)
        ]
        if len(found) == 1 and text:
            return found[0]
        if len(self._entries) == 1 and not text:
            return self.entries[0]
        if not self._entries:
            raise Failure(
                "no-campaign",
                "This node follows no campaign yet.",
                "A campaign that was published, joined or followed here.",
                "A shop begins with p2pnode campaign new; others join by a link.",
                NOT_FOUND,
            )
        if not found:
            raise Failure(
                "unknown-campaign",
                "This node follows no campaign {name}.",
                "The id of a campaign that `p2pnode campaign list` shows.",
                "Join by an invite link, or p2pnode campaign follow ID.",
                NOT_FOUND,
                name=name,
            )
        raise Failure(
            "several-campaigns",
            "This node follows {count} campaigns that could be meant.",
            "The id of one campaign, or as much of it as makes it the only one.",
            "p2pnode campaign list shows the ids: name one in the same command, as its"
            " --help says.",
            count=len(found),
        )

    def cached(self, campaign: Scope) -> View | None:
        """What is held of a campaign, if somebody asked for it before."""
        return self._views.get(campaign)

    async def view(self, campaign: Scope) -> View:
        """What is held of a campaign.

        Raises:
            Failure: `no-terms-yet`.
        """
        cached = self._views.get(campaign)
        if cached is not None:
            return cached
        known_empty = campaign in self._without_terms
        evidence = Evidence() if known_empty else await self._read(campaign)
        found = find_terms(evidence.by_id.values())
        if not found:
            self._without_terms.add(campaign)  # until a record of it arrives
            raise Failure(
                "no-terms-yet",
                "The terms of this campaign have not arrived yet.",
                "A neighbour that has them.",
                "Wait, or add a neighbour: p2pnode peer add ADDRESS",
            )
        view = View(
            campaign=campaign,
            terms=found[0][1],
            terms_record=found[0][0],
            evidence=evidence,
        )
        self._views[campaign] = view
        if campaign not in self._rooms:
            self._terms[campaign] = view.terms_record
        return view

    async def _read(self, campaign: Scope) -> Evidence:
        """Everything the store holds of a campaign, and what came meanwhile."""
        meanwhile: list[Record] = []
        self._reading.append(meanwhile)
        evidence = Evidence()
        scope = campaign
        try:
            with collector_paused():
                for scope in (campaign, witness_scope(campaign)):
                    for record in await self._store.scope_records(scope):
                        evidence.add(self._feeds.erasures.kept(record))
        except StoreDamaged as error:
            self._feeds.note_damage(error, scope)
            raise
        finally:
            self._reading = [one for one in self._reading if one is not meanwhile]
        for record in meanwhile:
            if self._watched.get(record.scope) == campaign:
                evidence.add(self._feeds.erasures.kept(record))
        return evidence

    async def complete(self, view: View, ids: Iterable[RecordId]) -> bool:
        """Look for records that a settlement lacks: in the store, else outside.

        Returns:
            Whether any was found here; neighbours are asked for the others.
        """
        before = view.evidence.version
        absent: list[RecordId] = []
        for record_id in ids:
            record = await self._store.get(record_id)
            if record is None or record.claim_bytes is None:
                absent.append(record_id)
            if record is not None:
                view.evidence.add(record)
        if absent:
            scopes = (view.campaign, witness_scope(view.campaign))
            self._feeds.ask_for(scopes, absent)
        return view.evidence.version > before

    def campaign_of(self, scope: Scope) -> Scope | None:
        """The followed campaign that a scope is of, itself or its witnesses'."""
        return self._watched.get(scope)

    async def all_views(self) -> list[View]:
        """The views of all followed campaigns whose terms are here."""
        views = []
        for entry in self.entries:
            try:
                views.append(await self.view(entry.campaign))
            except Failure:
                continue
        return views

    def my_key(self, view: View) -> SigningKey | None:
        """The key I act with: the first the terms name, else the one I joined by."""
        for key in self.author_keys:
            if view.terms.names(key.author):
                return key
        entry = self._entries[view.campaign]
        if entry.person_index is None:
            return None
        return self.identity.person_key(view.campaign, entry.person_index)

    def my_keys(self, view: View) -> tuple[AuthorKey, ...]:
        """All keys that are or were mine in a campaign, the one I act with first."""
        acting, entry = self.my_key(view), self._entries[view.campaign]
        keys = [] if acting is None else [acting]
        keys += [
            key for key in self.identity.author_keys if view.terms.names(key.author)
        ]
        if entry.person_index is not None:
            keys += [
                self.identity.person_key(view.campaign, index)
                for index in (0, *entry.past)
            ]
        return tuple(dict.fromkeys(key.author for key in keys))

    def known_as(self, view: View) -> AuthorKey | None:
        """By which key settlement knows me: a party's first, a person's root."""
        key, entry = self.my_key(view), self._entries[view.campaign]
        mine = self.my_keys(view)
        named = key is not None and view.terms.names(key.author)
        if entry.person_index is not None and not named:
            return self.identity.person_key(view.campaign, 0).author
        party = view.terms.party(mine[0]) if mine else None
        return party.keys[0] if party else next(iter(mine), None)

    def require_key(self, view: View) -> SigningKey:
        """As `my_key`.

        Raises:
            Failure: `not-joined`, `key-retired`.
        """
        key = self.my_key(view)
        if key is None and self.my_keys(view):
            raise KeyRetired
        if key is None:
            raise Failure(
                "not-joined",
                "This node takes no part in {title}.",
                "An invite link that was used here.",
                "p2pnode campaign join LINK",
                title=view.terms.title,
            )
        return key

    def _note(self, change: Change) -> None:
        """Add what was just stored to the views that are kept, take away what went."""
        for meanwhile in self._reading:
            meanwhile.extend(change.records)
        for record in change.records:
            campaign = self._watched.get(record.scope)
            self._without_terms.discard(campaign)
            if campaign is not None and record.kind == Kind.TERMS:
                self._terms.update((x.scope, x) for x, _ in find_terms([record]))
            if campaign in self._views:
                self._views[campaign].evidence.add(record)
        for record in change.dropped:
            campaign = self._watched.get(record.scope)
            if campaign in self._views:
                self._views[campaign].evidence.replace(record)
