"""What people do in a campaign: publish, invite, join, scan, vouch.

Each act makes one or more records in the actor's own feed. What only order can
decide (a used serial, a shop's word) is warned of and signed anyway: settlement
judges it. A join by an invite that others have used up is not signed: it would be
her only one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from p2pnode.failures import Failure
from p2pnode.services import foresight
from p2pnode.services.feeds import Draft
from protocols.claims import (
    Attest,
    Enter,
    Erase,
    Kind,
    Outcome,
    Reversal,
    Scan,
    Tags,
    TermsClaim,
)
from protocols.errors import ProtocolError, Reason
from protocols.invite_link import ADDRESSES_MAX, InviteLink
from protocols.join import (
    Card,
    Invite,
    Join,
    check_join,
    make_join,
    sign_card,
    sign_invite,
    work_bits,
)
from protocols.keys import AuthorKey, RecordId, Scope, Seed, SigningKey
from protocols.limits import NAME_MAX, PART_MAX, TAGS_PER_RECORD_MAX
from protocols.settlement.bind import may_vouch
from protocols.tags.code import TagCode, evidence_for
from protocols.tags.entry import SerialProof, TagEntry, tag_id
from protocols.terms import DAY_MS, Act, Terms, campaign_id, check_terms

if TYPE_CHECKING:
    from p2pnode.ports import Clock, Rng
    from p2pnode.services.feeds import Feeds
    from p2pnode.services.library import Entry, Library, View
    from protocols.record import Record

TERMS_PATIENCE_S = 20
"""How long a public join waits for the terms, which say how much work."""

INVITE_DAYS = 14

ENTRY_SIZE_MAX = 256 + 2 * NAME_MAX
"""Bytes of the largest tag entry, rounded up."""

log = logging.getLogger(__name__)

TagRow = tuple[TagEntry, tuple[bytes, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A signed scan, and what this node already knows against it."""

    record: Record
    view: View
    entry: TagEntry
    warning: Reason | None


@dataclass(frozen=True, slots=True)
class Acts:
    """Signs for the person or shop this node belongs to."""

    library: Library
    feeds: Feeds
    clock: Clock
    rng: Rng
    addresses: Callable[[], tuple[str, ...]]
    """Where this node and its neighbours can be reached, best first."""
    remember: Callable[[str], Awaitable[None]]
    """Take note of a peer's address and dial it."""
    join_again: Callable[[Entry, Join], Awaitable[Record]] | None = None
    """Join where these keys may have joined before; see `Succession`."""

    async def publish(
        self, terms: Terms, groups: Sequence[tuple[str, Sequence[TagRow]]]
    ) -> Scope:
        """Publish terms and the tags of their groups, in one go.

        Raises:
            Failure: `not-the-sponsor`, `wrong-network`, `already-published`.
            ProtocolError: BAD_TERMS.
        """
        check_terms(terms)
        identity = self.library.identity
        key = self.library.key_among(terms.sponsor)
        if key is None:
            raise Failure(
                "not-the-sponsor",
                "The terms do not name this node's author key as sponsor.",
                "sponsor = the key that `p2pnode status` shows.",
                "Correct the file, or publish from the sponsor's node.",
            )
        if terms.network != identity.network_id:
            raise Failure("wrong-network", "The terms are for another network.")
        campaign = campaign_id(terms)
        if self.feeds.head(campaign, key.author) is not None:
            raise Failure("already-published", "This campaign is published already.")
        await self.library.follow(campaign, terms.title)
        drafts = [
            Draft(kind=Kind.TERMS, claim=TermsClaim(salt=self._salt(), terms=terms))
        ]
        for group, rows in groups:
            for offset, some in _chunks(rows):
                claim = Tags(
                    salt=self._salt(), group=group, offset=offset, tags=some, revoked=()
                )
                drafts.append(Draft(kind=Kind.TAGS, claim=claim))
        await self.feeds.publish_many(key, campaign, drafts)
        return campaign

    async def follow(self, campaign: Scope, addresses: Sequence[str] = ()) -> None:
        """Follow a campaign without taking part."""
        await self.library.follow(campaign)
        await self._remember_all(addresses)

    async def _remember_all(self, addresses: Sequence[str]) -> None:
        """Take note of a link's addresses: some may be mine, some nonsense."""
        for address in addresses:
            try:
                await self.remember(address)
            except Failure as failure:
                log.info("a link's address: %s", failure)

    async def enter(self, view: View) -> SigningKey:
        """The key I act with; a named key begins its feed first."""
        key = self.library.require_key(view)
        if self.feeds.head(view.campaign, key.author) is None:
            if not view.terms.names(key.author):
                raise Failure("not-joined", "This key has no record here yet.")
            try:
                await self.feeds.publish(
                    key, view.campaign, Kind.ENTER, Enter(salt=self._salt())
                )
            except ProtocolError as error:
                if error.reason is not Reason.WRONG_GENESIS:
                    raise  # else another act of this node entered meanwhile
        return key

    async def invite(
        self, view: View, *, uses: int, expires_ms: int | None = None
    ) -> InviteLink:
        """Make an invite link; 0 uses: public, whoever uses it does work.

        Raises:
            Failure: `not-joined`, `too-many-uses`.
        """
        key = await self.enter(view)
        secret = Seed(self.rng.token(32))
        invite = Invite(
            network=view.terms.network,
            campaign=view.campaign,
            inviter=key.author,
            invite_key=SigningKey(secret).author,
            uses=uses,
            expires_ms=expires_ms or self.clock.now_ms() + INVITE_DAYS * DAY_MS,
        )
        return InviteLink(
            invite=invite,
            signature=sign_invite(key, invite),
            secret=secret,
            title=view.terms.title,
            addresses=self.addresses()[:ADDRESSES_MAX],
        )

    async def join(self, link: InviteLink) -> Record:
        """Join by a link: sign at once, reach the others when possible.

        Raises:
            Failure: `wrong-network`, `already-joined`, `invite-expired`,
                `invite-used-up`, or `no-terms-yet` for a public invite, whose work
                they name.
        """
        campaign, identity = link.invite.campaign, self.library.identity
        if link.invite.network != identity.network_id:
            raise Failure(
                "wrong-network",
                "The invite is for another network than this node's.",
                "An invite made on the network {network}.",
                "Make a node for that network: p2pnode init --network NAME",
                network=identity.network,
            )
        if link.invite.expires_ms <= self.clock.now_ms():
            raise Failure(
                "invite-expired",
                "The invite has expired.",
                cure="Ask for a new link.",
            )
        key = identity.person_key(campaign, 0)
        if self._has_joined(campaign, key.author):
            raise Failure(
                "already-joined",
                "This node has joined that campaign already.",
                cure="See p2pnode campaign list. If another device of yours joined:"
                " p2pnode campaign continue",
            )
        await self._check_unused(link.invite, key.author)
        again = self.join_again if self.library.lost else None
        entry = await self.library.follow(
            campaign, link.title, person_index=None if again else 0
        )
        await self._remember_all(link.addresses)
        claim = make_join(
            link.invite, link.signature, link.secret, key.author, self._salt()
        )
        if link.invite.uses == 0:
            claim = replace(claim, salt=await self._work(campaign, key.author))
        check_join(claim, key.author, link.invite.network, campaign, 0)
        if again is not None:
            return await again(entry, claim)
        return await self.feeds.publish(key, campaign, Kind.JOIN, claim)

    async def _check_unused(self, invite: Invite, joiner: AuthorKey) -> None:
        """Refuse an invite whose uses are taken, as far as is known here.

        Raises:
            Failure: `invite-used-up`.
        """
        if all(entry.campaign != invite.campaign for entry in self.library.entries):
            return  # nothing of that campaign is here
        try:
            view = await self.library.view(invite.campaign)
        except Failure:
            return
        if foresight.invite_used_up(view, invite, (joiner,)):
            raise Failure(
                "invite-used-up",
                "The invite was used already, by as many as may use it.",
                "An invite that is still free: nothing was signed.",
                "Ask for a new link.",
            )

    def _has_joined(self, campaign: Scope, root: AuthorKey) -> bool:
        """Whether this person acts in a campaign, here or by what is known here."""
        acts = [entry for entry in self.library.entries if entry.campaign == campaign]
        index = acts[0].person_index if acts else None
        if not index:
            return self.feeds.head(campaign, root) is not None
        key = self.library.identity.person_key(campaign, index).author
        return not self.feeds.is_stopped(campaign, key)

    async def _work(self, campaign: Scope, joiner: AuthorKey) -> bytes:
        """A join salt that is worth the work the terms ask for."""
        with trio.move_on_after(TERMS_PATIENCE_S):
            while True:
                try:
                    view = await self.library.view(campaign)
                    break
                except Failure:
                    await trio.sleep(0.2)
        view = await self.library.view(campaign)
        bits = view.terms.join_bits
        while True:
            for _ in range(2_000):
                salt = self._salt()
                if work_bits(campaign, joiner, salt) >= bits:
                    return salt
            await trio.lowlevel.checkpoint()

    async def scan(self, code: TagCode, campaign: str = "", stage: str = "") -> Scanned:
        """Sign that I read this code.

        Args:
            code: as read from a picture or typed.
            campaign: its id or the beginning; "": the one that has this tag.
            stage: its id; "": the first that scans this tag's group.

        Raises:
            Failure: `unknown-tag`, `no-such-stage`, `not-joined`.
        """
        tag = tag_id(code.entry)
        view, group = await self._campaign_of(tag, campaign)
        index = _stage_index(view.terms, group, stage)
        key = await self.enter(view)
        evidence = evidence_for(code, view.terms.network, view.campaign, key.author)
        claim = Scan(salt=self._salt(), stage=index, tag=tag, evidence=evidence)
        warning = None
        if isinstance(evidence, SerialProof) and foresight.serial_used(
            view, evidence.key
        ):
            warning = Reason.ONCE
        record = await self.feeds.publish(key, view.campaign, Kind.SCAN, claim)
        return Scanned(record=record, view=view, entry=code.entry, warning=warning)

    async def _campaign_of(self, tag: bytes, campaign: str) -> tuple[View, str]:
        if campaign:
            views = [await self.library.view(self.library.find(campaign).campaign)]
        else:
            views = await self.library.all_views()
        found = [
            (view, group)
            for view in views
            if (group := _group_of(view, tag)) is not None
        ]
        running = [one for one in found if not one[0].may_have_ended]
        if len(running or found) == 1:
            return (running or found)[0]
        if found:
            raise Failure(
                "several-campaigns",
                "{count} campaigns that this node follows have this tag.",
                "The campaign this scan is for.",
                "p2pnode campaign list shows the ids: p2pnode scan --campaign ID ...",
                count=len(running or found),
            )
        raise Failure(
            "unknown-tag",
            "No campaign that this node follows has this tag.",
            "A tag of a campaign you joined, whose tags have arrived.",
            "Join the campaign first, or wait for its tags to arrive.",
        )

    async def show_card(self, view: View, merchant: AuthorKey | None) -> Card:
        """A short-lived code that lets a shop name me."""
        key = await self.enter(view)
        return sign_card(
            key,
            view.terms.network,
            view.campaign,
            self.clock.now_ms(),
            self.rng.token(8),
            merchant,
        )

    async def attest(
        self,
        view: View,
        act: RecordId,
        *,
        amount: int = 0,
        card: Card | None = None,
        stage: str | None = None,
    ) -> Record:
        """Stand behind somebody's scan or join.

        Raises:
            Failure: `unknown-record`, `no-such-stage`, `not-a-merchant`.
        """
        key = await self._vouching_key(view)
        target = view.evidence.lookup(act)
        if target is None:
            raise _unknown_record()
        index = None if stage is None else _find_stage(view.terms, Act.ATTEST, stage)
        claim = Attest(
            salt=self._salt(),
            author=target.author,
            act=act,
            stage=index,
            amount=amount,
            card=card,
        )
        return await self.feeds.publish(key, view.campaign, Kind.ATTEST, claim)

    async def outcome(
        self,
        view: View,
        *,
        author: AuthorKey,
        amount: int,
        stage: str = "",
        after: Sequence[RecordId] = (),
        card: Card | None = None,
    ) -> Record:
        """Say that a person did this, for this amount.

        Raises:
            Failure: `no-such-stage`, `not-a-merchant`.
        """
        key = await self._vouching_key(view)
        claim = Outcome(
            salt=self._salt(),
            stage=_find_stage(view.terms, Act.OUTCOME, stage),
            author=author,
            amount=amount,
            after=tuple(after),
            card=card,
        )
        return await self.feeds.publish(key, view.campaign, Kind.OUTCOME, claim)

    async def reverse(self, view: View, outcome: RecordId, amount: int) -> Record:
        """Refund an outcome of mine, wholly or in part."""
        key = await self._vouching_key(view)
        claim = Reversal(salt=self._salt(), outcome=outcome, amount=amount)
        return await self.feeds.publish(key, view.campaign, Kind.REVERSAL, claim)

    async def erase(self, view: View, target: RecordId, *, claim: bool) -> Record:
        """Ask everybody to drop the note of a record of mine; of a scan its claim too.

        Raises:
            Failure: `unknown-record`, `not-yours`, `only-scans`, `nothing-to-erase`.
        """
        key = self.library.require_key(view)
        record = view.evidence.lookup(target)
        if record is None or record.scope != view.campaign:
            raise _unknown_record()
        if record.author != key.author:
            raise Failure(
                "not-yours",
                "That record was signed by somebody else.",
                "A record of your own.",
                "See yours with: p2pnode campaign evidence",
            )
        if claim and record.kind != Kind.SCAN:
            raise Failure(
                "only-scans",
                "Only what a scan says can be erased: others rest on this record.",
                "A scan; of any other record the note alone.",
                "Erase its note, if it has one: leave out --claim.",
            )
        asked = self.feeds.erasures.drops(record)
        if not (claim and not asked.claim) and (
            asked.note or not record.header.note_size
        ):
            raise Failure(
                "nothing-to-erase",
                "There is nothing more to erase: no note, or it is erased already.",
                "A record with a note; or a scan and --claim.",
                "--claim also erases what a scan says. See p2pnode campaign evidence.",
            )
        said = Erase(salt=self._salt(), record=target, claim=claim)
        return await self.feeds.publish(key, view.campaign, Kind.ERASE, said)

    async def _vouching_key(self, view: View) -> SigningKey:
        key = await self.enter(view)
        if not may_vouch(view.terms, key.author) and not _hosts(view, key.author):
            raise Failure(
                "not-a-merchant",
                "The terms name this node neither as merchant nor as host.",
                "A merchant, host or device of the terms, or the sponsor.",
                "Ask the sponsor to name this shop's key in the next campaign.",
            )
        return key

    def _salt(self) -> bytes:
        return self.rng.token(16)


def _unknown_record() -> Failure:
    return Failure(
        "unknown-record",
        "That record is not here.",
        "The id of a scan or join of this campaign.",
        "See p2pnode campaign evidence.",
    )


def _chunks(rows: Sequence[TagRow]) -> Iterator[tuple[int, tuple[TagRow, ...]]]:
    """Cut tags into as many as fit one record each, with their offsets."""
    start, size = 0, 0
    for index, (_, keys) in enumerate(rows):
        more = ENTRY_SIZE_MAX + 34 * len(keys or ())
        full = index - start == TAGS_PER_RECORD_MAX or size + more > PART_MAX
        if full and index > start:
            yield start, tuple(rows[start:index])
            start, size = index, 0
        size += more
    if start < len(rows):
        yield start, tuple(rows[start:])


def _stage_index(terms: Terms, group: str, stage: str) -> int:
    for index, one in enumerate(terms.stages):
        if one.act == Act.SCAN and one.tags == group and stage in ("", one.id):
            return index
    raise Failure(
        "no-such-stage",
        "No such stage scans the tags {group}.",
        "A stage of the terms whose act is a scan of these tags.",
        "See p2pnode campaign show.",
        group=group,
    )


def _find_stage(terms: Terms, act: Act, stage: str) -> int:
    for index, one in enumerate(terms.stages):
        if one.act == act and stage in ("", one.id):
            return index
    raise Failure(
        "no-such-stage",
        "The terms have no such stage for this act.",
        "A stage whose act is {act}.",
        "See p2pnode campaign show.",
        act=act.name.lower(),
    )


def _group_of(view: View, tag: bytes) -> str | None:
    """The group of the campaign that has this tag."""
    for claim in foresight.tags_of(view):
        if any(tag_id(entry) == tag for entry, _ in claim.tags):
            return claim.group
    return None


def _hosts(view: View, key: AuthorKey) -> bool:
    """Whether a tag hangs with the party of `key`."""
    party = view.terms.party(key)
    mine = (key,) if party is None else party.keys
    return any(
        entry.host in mine
        for claim in foresight.tags_of(view)
        for entry, _ in claim.tags
    )
