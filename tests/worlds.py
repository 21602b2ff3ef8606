"""Small campaigns made in memory: keys, feeds and witnesses without a network.

A `World` plays every part by signing records, so tests of evidence, settlement
and closes start from real bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from protocols.claims import (
    Attest,
    Enter,
    Erase,
    Fork,
    Kind,
    Outcome,
    Part,
    Reversal,
    Scan,
    Seen,
    Tags,
    TermsClaim,
)
from protocols.feed import Head, prove_fork
from protocols.join import (
    Card,
    Invite,
    Join,
    make_continue,
    make_join,
    sign_card,
    sign_invite,
)
from protocols.keys import (
    AuthorKey,
    RecordId,
    Scope,
    Seed,
    SigningKey,
    network_id,
    witness_scope,
)
from protocols.record import NO_BACKLINK, Record, sign_record, without_parts
from protocols.settlement.close import Closing, close_claim, parts
from protocols.settlement.cut import Declared
from protocols.settlement.settle import settle
from protocols.settlement.verify import Evidence, declare, declared_chain
from protocols.tags.entry import (
    Serials,
    TagEntry,
    TagEvidence,
    group_root,
    serial_root,
    serial_seed,
    sign_serial,
    tag_id,
)
from protocols.terms import (
    Act,
    Caps,
    Condition,
    Count,
    Group,
    Halving,
    Limits,
    Line,
    Once,
    Residue,
    Reward,
    Round,
    Stage,
    Terms,
    Witness,
    campaign_id,
    check_terms,
)

NETWORK = network_id("test")
MINUTE = 60_000
OPENS = 1_800_000_000_000


def key_of(name: str) -> SigningKey:
    """The same key for the same name in every test."""
    return SigningKey(Seed(sha256(name.encode()).digest()))


def salt_of(*parts_: object) -> bytes:
    """A salt that looks random and is the same in every run."""
    return sha256(repr(parts_).encode()).digest()[:16]


SCAN_STAGE = Stage(
    id="find",
    line=Line.OFFLINE,
    act=Act.SCAN,
    tags="balloons",
    grade=2,
    once=Once.TAG,
    after=(),
    opens=0,
    closes=0,
    late_ms=0,
    fresh_ms=0,
    per_window=0,
    refund_ms=0,
    bind_ms=0,
    reward=Reward(rule=Halving(), amount=400_000, percent_bp=0, host_bp=0, back_bp=0),
)


@dataclass
class World:
    """A campaign of balloons and everybody who plays in it."""

    balloons: int = 10
    witnesses: int = 4
    rounds: int = 3
    stages: tuple[Stage, ...] = (SCAN_STAGE,)
    budget: int = 4_000_000
    changes: dict[str, Any] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    heads: dict[tuple[Scope, AuthorKey], Head] = field(default_factory=dict)
    seen: dict[AuthorKey, dict[AuthorKey, int]] = field(default_factory=dict)
    now: int = OPENS

    def __post_init__(self) -> None:
        """Make the tags and the terms, and publish both."""
        self.sponsor = key_of("sponsor")
        self.charity = key_of("charity")
        self.entries, self.secrets = self._make_tags()
        self.terms = replace(self._make_terms(), **self.changes)
        check_terms(self.terms)
        self.scope = campaign_id(self.terms)
        self.write(
            self.sponsor, Kind.TERMS, TermsClaim(salt=salt_of(0), terms=self.terms)
        )
        tags = tuple(
            (entry, (key_of_serial(entry, secret),))
            for entry, secret in zip(self.entries, self.secrets, strict=True)
        )
        claim = Tags(salt=salt_of(1), group="balloons", offset=0, tags=tags, revoked=())
        self.write(self.sponsor, Kind.TAGS, claim)

    def _make_tags(self) -> tuple[list[TagEntry], list[bytes]]:
        entries, secrets = [], []
        for index in range(self.balloons):
            secret = salt_of("secret", index)
            seed = serial_seed(secret, self.sponsor.author, salt_of("b"), index, 0)
            keys = [SigningKey(seed).author]
            public = Serials(count=1, root=serial_root(keys))
            entries.append(
                TagEntry(
                    issuer=self.sponsor.author,
                    batch=salt_of("b"),
                    index=index,
                    public=public,
                    host=None,
                    label=f"balloon {index + 1}",
                    place="",
                    valid_from=0,
                    valid_until=0,
                )
            )
            secrets.append(secret)
        return entries, secrets

    def _make_terms(self) -> Terms:
        self.witness_keys = sorted(
            (key_of(f"witness {i}") for i in range(self.witnesses)),
            key=lambda key: key.author,
        )
        rounds = tuple(
            Round(
                opens=OPENS + k * 60 * MINUTE,
                closes=OPENS + (k + 1) * 60 * MINUTE,
                accept_until=OPENS + (k + 1) * 60 * MINUTE + 5 * MINUTE,
                final_from=OPENS + (k + 1) * 60 * MINUTE + 6 * MINUTE,
            )
            for k in range(self.rounds)
        )
        return Terms(
            title="ten red balloons",
            network=NETWORK,
            nonce=salt_of("nonce"),
            unit="CNY",
            budget=self.budget,
            sponsor=(self.sponsor.author,),
            witnesses=tuple(
                Witness(key=key.author, owner=f"shop {i}")
                for i, key in enumerate(self.witness_keys)
            ),
            rounds=rounds,
            seen_interval_ms=5_000,
            redeem_until=OPENS + 90 * 86_400_000,
            residue=Residue(key=self.charity.author, name="charity"),
            named=(),
            groups=(
                Group(
                    name="balloons",
                    count=self.balloons,
                    root=group_root(self.entries),
                ),
            ),
            stages=self.stages,
            conditions=(
                Condition(stage=0, count=Count.DISTINCT_TAGS, least=self.balloons),
            ),
            limits=Limits(paid_levels=0, per_person_per_day=0, place_interval_ms=0),
            caps=Caps(
                feeds=10_000,
                records_per_feed=1_000,
                bytes_per_feed=1 << 20,
                named_records_per_feed=10_000,
                named_bytes_per_feed=1 << 24,
            ),
            join_bits=0,
            depth=64,
            day_offset_min=480,
        )

    # writing

    def write(
        self,
        key: SigningKey,
        kind: Kind,
        claim: Any,
        *,
        scope: Scope | None = None,
        after: Head | None = None,
    ) -> Record:
        """Sign the next record of a feed; time moves by a second."""
        self.now += 1_000
        place = (self.scope if scope is None else scope, key.author)
        head = after or self.heads.get(place)
        record = sign_record(
            key,
            network=NETWORK,
            scope=place[0],
            seq=0 if head is None else head.seq + 1,
            backlink=NO_BACKLINK if head is None else head.id,
            time_ms=self.now,
            kind=kind,
            claim=claim,
        )
        self.records.append(record)
        if after is None:
            self.heads[place] = Head(record.seq, record.id)
        return record

    def invite(self, inviter: str | SigningKey, uses: int = 1, tag: str = "") -> Any:
        """An invite with its signature and secret."""
        key = key_of(inviter) if isinstance(inviter, str) else inviter
        secret = Seed(sha256(repr((key.author, tag, "invite")).encode()).digest())
        invite = Invite(
            network=NETWORK,
            campaign=self.scope,
            inviter=key.author,
            invite_key=SigningKey(secret).author,
            uses=uses,
            expires_ms=OPENS + 86_400_000,
        )
        return invite, sign_invite(key, invite), secret

    def join(
        self, name: str, inviter: str | SigningKey | None = None, **how: Any
    ) -> Record:
        """Let `name` join by a fresh invite of `inviter` (default: sponsor)."""
        made = self.invite(inviter or self.sponsor, tag=how.pop("tag", name), **how)
        return self.join_by(name, made)

    def join_by(self, name: str, made: Any) -> Record:
        """Let `name` join by this invite."""
        key = key_of(name)
        invite, signature, secret = made
        claim: Join = make_join(invite, signature, secret, key.author, salt_of(name))
        return self.write(key, Kind.JOIN, claim)

    def scan(self, name: str, balloon: int, stage: int = 0) -> Record:
        """Let `name` find a balloon, numbered from 0."""
        key, entry = key_of(name), self.entries[balloon]
        seed = serial_seed(
            self.secrets[balloon], entry.issuer, entry.batch, entry.index, 0
        )
        tag = tag_id(entry)
        evidence = sign_serial(seed, 0, NETWORK, self.scope, key.author, tag)
        claim = Scan(
            salt=salt_of(name, balloon, self.now),
            stage=stage,
            tag=tag,
            evidence=evidence,
        )
        return self.write(key, Kind.SCAN, claim)

    def go_on(self, device: str, name: str, join: Record) -> Record:
        """Let `device` be a further key of the person `name`, who joined so."""
        key = key_of(device)
        root = key_of(name)
        claim = make_continue(root, join.claim(), key.author, salt_of(device))
        return self.write(key, Kind.CONTINUE, claim)

    def tags(
        self,
        group: str,
        entries: Sequence[TagEntry],
        keys: Sequence[Sequence[bytes] | None] | None = None,
        **more: Any,
    ) -> Record:
        """Let the sponsor list tags, each with its one-time keys, if any."""
        lists = keys or [None] * len(entries)
        tags = tuple(
            (entry, None if own is None else tuple(own))
            for entry, own in zip(entries, lists, strict=True)
        )
        fields = {"offset": 0, "revoked": (), **more}
        claim = Tags(salt=salt_of(group, self.now), group=group, tags=tags, **fields)
        return self.write(self.sponsor, Kind.TAGS, claim)

    def read(
        self, name: str, entry: TagEntry, evidence: TagEvidence, stage: int = 0
    ) -> Record:
        """Let `name` scan this tag with this evidence."""
        claim = Scan(
            salt=salt_of(name, self.now),
            stage=stage,
            tag=tag_id(entry),
            evidence=evidence,
        )
        return self.write(key_of(name), Kind.SCAN, claim)

    def card(self, name: str, nonce: bytes = b"nonce  1") -> Card:
        """The member card code of `name`."""
        return sign_card(key_of(name), NETWORK, self.scope, self.now, nonce)

    def attest(self, signer: str, name: str, act: Record, **how: Any) -> Record:
        """Let `signer` stand behind an act of `name`."""
        fields = {"stage": None, "amount": 0, "card": None, **how}
        claim = Attest(
            salt=salt_of(signer, self.now),
            author=key_of(name).author,
            act=act.id,
            **fields,
        )
        return self.write(key_of(signer), Kind.ATTEST, claim)

    def outcome(self, signer: str, name: str, amount: int, **how: Any) -> Record:
        """Let `signer` say that `name` bought for this amount."""
        fields = {"stage": 0, "after": (), "card": None, **how}
        claim = Outcome(
            salt=salt_of(signer, self.now),
            author=key_of(name).author,
            amount=amount,
            **fields,
        )
        return self.write(key_of(signer), Kind.OUTCOME, claim)

    def reverse(self, signer: str, outcome: Record, amount: int) -> Record:
        """Let `signer` refund a part of an outcome."""
        claim = Reversal(
            salt=salt_of(signer, self.now), outcome=outcome.id, amount=amount
        )
        return self.write(key_of(signer), Kind.REVERSAL, claim)

    def erase(self, name: str, record: Record) -> Record:
        """Let `name` ask for the claim of her record to be dropped."""
        return self.write(key_of(name), Kind.ERASE, self.erase_claim(record))

    def erase_claim(self, record: Record) -> Erase:
        """The claim that asks for it."""
        return Erase(salt=salt_of("erase", self.now), record=record.id, claim=True)

    def drop_claim(self, record: Record) -> None:
        """Forget a record's claim, as nodes do after an erase."""
        at = self.records.index(record)
        self.records[at] = without_parts(record, claim=True, note=True)

    def fork(self, name: str, kind: Kind, claim: Any) -> Record:
        """Let `name` sign another record at the place of her head."""
        head = self.heads[self.scope, key_of(name).author]
        (last,) = [r for r in self.records if r.id == head.id]
        below = Head(last.seq - 1, last.header.backlink) if last.seq else None
        return self.write(key_of(name), kind, claim, after=below)

    def report_fork(self, one: Record, other: Record) -> list[Record]:
        """Let every witness publish the proof of a fork."""
        proof = prove_fork(one, other)
        claim = Fork(
            salt=salt_of("fork", one.id),
            header_a=proof.header_a,
            signature_a=proof.signature_a,
            header_b=proof.header_b,
            signature_b=proof.signature_b,
        )
        scope = witness_scope(self.scope)
        return [
            self.write(key, Kind.FORK, claim, scope=scope) for key in self.witness_keys
        ]

    def enter(self, key: SigningKey) -> Record:
        """Let a named key begin its feed."""
        return self.write(key, Kind.ENTER, Enter(salt=salt_of(key.author)))

    # witnesses

    def see(
        self,
        *,
        only: list[int] | None = None,
        final: int | None = None,
        heads: dict[AuthorKey, Head] | None = None,
    ) -> list[Record]:
        """Let the witnesses list the heads that moved since they last did."""
        chosen = range(self.witnesses) if only is None else only
        return [self._see(self.witness_keys[i], final, heads) for i in chosen]

    def _see(
        self, key: SigningKey, final: int | None, heads: dict[AuthorKey, Head] | None
    ) -> Record:
        now = (
            heads
            if heads is not None
            else {
                author: head
                for (scope, author), head in self.heads.items()
                if scope == self.scope
            }
        )
        known = self.seen.setdefault(key.author, {})
        moved = tuple(
            (author, now[author].seq, now[author].id)
            for author in sorted(now)
            if known.get(author) != now[author].seq
        )
        known.update({author: head.seq for author, head in now.items()})
        claim = Seen(salt=salt_of(self.now, key.author), final=final, heads=moved)
        return self.write(key, Kind.SEEN, claim, scope=witness_scope(self.scope))

    def finish_round(self, number: int, only: list[int] | None = None) -> None:
        """See everything, then let time pass and publish the finals."""
        self.see(only=only)
        self.now = max(self.now, self.terms.rounds[number - 1].final_from)
        self.see(only=only, final=number)

    # closing

    def evidence(self) -> Evidence:
        """All records of the world."""
        return Evidence(self.records)

    def settle(self, number: int, previous: Record | None = None) -> Closing:
        """What an honest sponsor would close with."""
        evidence = self.evidence()
        before = (
            [] if previous is None else declared_chain(self.terms, previous, evidence)
        )
        return declare(self.terms, number, before, evidence)

    def close(
        self,
        number: int,
        previous: Record | None = None,
        declaring: Callable[[Declared], Declared] | None = None,
        **lies: Any,
    ) -> Record:
        """Publish the close of a round.

        Args:
            number: the round.
            previous: the close before it.
            declaring: how the sponsor changes what it declares; the statement then
                follows from that.
            lies: fields of the claim that are changed at the end.
        """
        closing = self.settle(number, previous)
        if declaring is not None:
            closing = self._declare(declaring(closing.declared), previous)
        before: RecordId | Scope = self.scope if previous is None else previous.id
        claim = replace(
            close_claim(self.terms, closing, before, salt_of("close", number)), **lies
        )
        for tree, top, index, data in parts(closing.lists()):
            part = Part(
                salt=salt_of(tree, index), tree=tree, root=top, index=index, data=data
            )
            self.write(self.sponsor, Kind.PART, part)
        return self.write(self.sponsor, Kind.CLOSE, claim)

    def _declare(self, declared: Declared, previous: Record | None) -> Closing:
        evidence = self.evidence()
        before = (
            [] if previous is None else declared_chain(self.terms, previous, evidence)
        )
        settlement = settle(self.terms, [*before, declared], evidence.lookup)
        return Closing(declared=declared, settlement=settlement)


def key_of_serial(entry: TagEntry, secret: bytes) -> bytes:
    """The public key of a balloon's only serial."""
    seed = serial_seed(secret, entry.issuer, entry.batch, entry.index, 0)
    return SigningKey(seed).author


def balloon_world(**settings: Any) -> World:
    """Alice -> Bob -> Carol -> Dave, and Zoe beside them; ten balloons found."""
    world = World(**settings)
    world.join("alice")
    world.join("bob", "alice")
    world.join("carol", "bob")
    world.join("dave", "carol")
    world.join("zoe")
    for index in range(world.balloons):
        world.scan("dave" if index == 0 else "zoe", index)
    return world
