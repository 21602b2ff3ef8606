"""What goes on after a loss, a restored backup, or a second node with these keys.

No feed is continued then, for it may have been signed further than is known
here. A resident continues each campaign under a new random key that her root
key vouches for (spec 0004 §3): she asks nobody, and remains one person. An
author key cannot be derived anew: the node's next one takes over where the terms
name it, else its owner is told. Where a record by a key at work comes from
outside, a second node has these keys, and a resident continues likewise; an author
key stops in that campaign until its owner has said which node goes on.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.failures import Failure
from p2pnode.high_water import LOSS, NO_KEY, Loss, Mark
from p2pnode.ports import StoreDamaged, StoreFull, StoreInDoubt
from p2pnode.services.feeds import Draft, KeyRetired
from protocols.claims import Kind
from protocols.join import Continue, Join, make_continue
from protocols.keys import witness_scope
from protocols.limits import CONTINUES_MAX, RECORD_MAX
from protocols.text import author_text, campaign_text

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Rng, Store
    from p2pnode.services.feeds import Change, Feeds
    from p2pnode.services.library import Entry, Library
    from protocols.keys import AuthorKey, Scope
    from protocols.record import Record

LOSSES: Final = "losses"
"""The state that remembers what was lost so far, for people."""

LOSSES_MAX: Final = 16
"""The latest are remembered."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What an owner should know of one campaign, or of the node."""

    code: str
    """`continued`, `key-retired`, `copy-at-work`, `no-key-left`, `cannot-continue`."""
    campaign: Scope | None = None
    title: str = ""
    why: str = ""
    """For `cannot-continue`: the reason of the failure."""

    def document(self) -> dict[str, Any]:
        """As it stands in `p2pnode.status/1`."""
        named = None if self.campaign is None else campaign_text(self.campaign)
        return {
            "code": self.code,
            "campaign": named,
            "title": self.title,
            "why": self.why,
        }


class Succession:
    """Gives up keys that may have signed elsewhere, and goes on with others."""

    def __init__(
        self, library: Library, feeds: Feeds, store: Store, clock: Clock, rng: Rng
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._store = store
        self._clock = clock
        self._rng = rng
        self._losses: list[dict[str, Any]] = []
        self._failed: dict[Scope, Failure] = {}
        self._woken = trio.Event()
        self._lock = trio.Lock()
        feeds.subscribe(self._note)

    async def open(self) -> None:
        """See to a loss that the store has noted; call it after `Library.open`."""
        state = await self._store.state(LOSS)
        self._losses = json.loads(state.get(LOSSES, b"[]"))
        if LOSS in state:
            why = str(json.loads(state[LOSS])["why"])
            await self._give_up(why)
        times = {str(one["why"]): int(one["time_ms"]) for one in self._losses}
        self._library.lost = bool(set(times) - {Loss.SLIPS.value})
        self._library.lost_ms = max(times.values(), default=-1)

    async def _give_up(self, why: str) -> None:
        """Stop every feed that was begun here, and remember why.

        Where only accepted slips are missing, nothing is stopped.
        """
        signed = why != Loss.SLIPS
        losses = [*self._losses, {"why": why, "time_ms": self._clock.now_ms()}]
        losses = losses[-LOSSES_MAX:]
        state: dict[str, bytes | None] = {
            LOSS: None,
            LOSSES: json.dumps(losses).encode(),
        }
        stopped = [
            (entry.campaign, self._person(entry, entry.person_index))
            for entry in self._library.entries
            if entry.person_index is not None and signed
        ]
        mark = self._free(self._feeds.mark) if signed else None
        await self._feeds.stop(stopped, state, mark)
        for author in self._library.retired:
            self._feeds.retire(author)
        self._losses = losses

    def _free(self, mark: Mark | None) -> Mark | None:
        """The mark, with the next author key that signed nothing, here or elsewhere."""
        while mark is not None and mark.used < NO_KEY:
            keys = self._library.identity.author_keys[mark.used - 1 : mark.used]
            if not any(
                self._feeds.head(scope, key.author)
                or self._feeds.is_stopped(scope, key.author)
                for key in keys
                for scope in self._feeds.followed
            ):
                break
            mark = replace(mark, used=mark.used + 1)
        return mark

    async def run(self) -> None:
        """Continue wherever it is due, until cancelled."""
        while True:
            self._woken = trio.Event()
            for entry in self._library.entries:
                if self._is_due(entry):
                    await self._try(entry)
            await self._woken.wait()

    async def _try(self, entry: Entry) -> None:
        try:
            await self.proceed(entry.campaign)
        except Failure as failure:
            if self._failed.get(entry.campaign) is None:
                log.error("cannot continue: %s", failure)  # noqa: TRY400  # in words
            self._failed[entry.campaign] = failure
        except (StoreDamaged, StoreFull, StoreInDoubt) as error:
            log.error("cannot continue: %s", error)  # noqa: TRY400  # in words

    def _note(self, change: Change) -> None:
        """Something came that may let a person continue, or makes her."""
        waiting = any(record.scope in self._failed for record in change.records)
        for scope, author in change.stopped:
            if author in self._library.retired:
                continue
            log.error(
                "a record by this node's key %s came from outside, in %s",
                author_text(author),
                scope.hex()[:16],
            )
        if waiting or change.stopped:
            self._woken.set()

    def _is_due(self, entry: Entry) -> bool:
        """Whether the key that acts for a person must not sign any more."""
        if entry.person_index is None:
            return False
        key = self._person(entry, entry.person_index)
        return self._feeds.is_stopped(entry.campaign, key)

    def _person(self, entry: Entry, index: int) -> AuthorKey:
        return self._library.identity.person_key(entry.campaign, index).author

    async def proceed(self, campaign: Scope) -> Record:
        """Continue one campaign under a new random key of the same person.

        Raises:
            Failure: `no-join-here`, `person-keys-used-up`.
            StoreInDoubt, StoreFull: nothing was signed.
        """
        async with self._lock:
            entry = self._library.entry(campaign)
            joins, further = await self._of_person(entry)
            if not joins:
                raise Failure(
                    "no-join-here",
                    "The join of this campaign is not here, so no new key can refer"
                    " to it.",
                    "The record by which you joined; neighbours may have it.",
                    "Wait for neighbours, or join again by an invite link: you remain"
                    " the same person.",
                )
            if further >= CONTINUES_MAX:
                raise Failure(
                    "person-keys-used-up",
                    "You have {most} further keys in this campaign already.",
                    "No more than that: more would not count.",
                    "What you did so far counts and is paid.",
                    most=CONTINUES_MAX,
                )
            record = await self._continue(entry, joins[0])
            self._failed.pop(campaign, None)
            return record

    async def _continue(self, entry: Entry, join: Join) -> Record:
        """Sign the first record of a new key."""
        campaign, identity = entry.campaign, self._library.identity
        index = 0
        while index in (0, entry.person_index, *entry.past):
            index = int.from_bytes(self._rng.token(4), "big")
        root, key = (identity.person_key(campaign, one) for one in (0, index))
        claim = make_continue(root, join, key.author, self._rng.token(16))
        before = () if entry.person_index is None else (entry.person_index,)
        new = replace(entry, person_index=index, past=(*entry.past, *before))
        drafts = [Draft(kind=Kind.CONTINUE, claim=claim)]
        records = await self._feeds.publish_many(key, campaign, drafts, new.note())
        await self._library.adopt(new)
        return records[0]

    async def join_again(self, entry: Entry, join: Join) -> Record:
        """Join on a node that may have joined before: under the root's key, by a new.

        Args:
            entry: the followed campaign.
            join: of the root's key, by the invite at hand; the root's own feed is
                not begun, for it may have been.
        """
        async with self._lock:
            return await self._continue(self._library.entry(entry.campaign), join)

    async def _of_person(self, entry: Entry) -> tuple[list[Join], int]:
        """The joins of my root that are here, and how many keys continued it."""
        root = self._person(entry, 0)
        indices = [0, *entry.past]
        if entry.person_index is not None:
            indices.append(entry.person_index)
        geneses: dict[AuthorKey, Record] = {}
        for index in dict.fromkeys(indices):
            author = self._person(entry, index)
            found = await self._store.feed(entry.campaign, author, 0, 1, RECORD_MAX)
            geneses.update((record.author, record) for record in found)
        try:
            view = await self._library.view(entry.campaign)
        except Failure:
            pass  # its terms are not here
        else:
            for record in view.evidence.by_id.values():
                if record.kind == Kind.CONTINUE and record.claim_bytes is not None:
                    claim: Continue = record.claim()
                    if claim.root == root:
                        geneses[record.author] = record
        claims = [r.claim() for r in geneses.values() if r.claim_bytes is not None]
        joins = [one for one in claims if isinstance(one, Join)]
        continues = [one for one in claims if isinstance(one, Continue)]
        return [*joins, *(one.join for one in continues)], len(continues)

    async def next_key(self) -> list[AuthorKey]:
        """Give up the author key that signs, for the next: its owner says so.

        The next is one that signed nothing that is here: another node may have it.

        Raises:
            Failure: `no-next-key`.
        """
        keys, mark = self._library.identity.author_keys, self._feeds.mark
        free = self._free(mark and replace(mark, used=mark.used + 1))
        if mark is None or free is None or free.used > len(keys):
            raise Failure(
                "no-next-key",
                "This node has no further author key.",
                "A spare key that the terms name beside the one at work.",
                "For later campaigns: p2pnode key add",
            )
        await self._feeds.stop([], {}, free)
        for author in self._library.retired:
            self._feeds.retire(author)
        return [key.author for key in self._library.author_keys]

    def document(self) -> dict[str, Any]:
        """What `p2pnode.status/1` says of keys and losses."""
        identity = self._library.identity
        return {
            "keys": [author_text(key.author) for key in self._library.author_keys],
            "keys_given_up": len(identity.author_keys) - len(self._library.author_keys),
            "losses": self._losses,
            "troubles": [one.document() for one in self._troubles()],
        }

    def _troubles(self) -> list[Trouble]:
        found: list[Trouble] = []
        if self._library.identity.author_keys and not self._library.author_keys:
            found.append(Trouble(code="no-key-left"))
        for entry in self._library.entries:
            code, why = self._state_of(entry)
            if code:
                found.append(
                    Trouble(
                        code=code, campaign=entry.campaign, title=entry.title, why=why
                    )
                )
        return found

    def _state_of(self, entry: Entry) -> tuple[str, str]:
        """The code of what is to be said of a campaign, and its reason; or empty."""
        failed = self._failed.get(entry.campaign)
        if failed is not None and self._is_due(entry):
            return "cannot-continue", failed.reason
        scopes = (entry.campaign, witness_scope(entry.campaign))
        if any(  # a spare key, too: the other node gave up the one that works here
            self._feeds.is_stopped(scope, key.author)
            for key in self._library.author_keys
            for scope in scopes
        ):
            return "copy-at-work", ""
        view = self._library.cached(entry.campaign)
        if view is None:
            return ("continued", "") if entry.past else ("", "")
        try:
            key = self._library.require_key(view)
        except KeyRetired:
            return "key-retired", ""
        except Failure:
            return "", ""
        named = view.terms.names(key.author)
        return ("continued", "") if entry.past and not named else ("", "")
