"""Those who break the rules, and what of theirs nobody may believe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.swarm.simulation import EPOCH_MS, NETWORK
from p2pnode.swarm.torture.town import STREET
from protocols.claims import Announce, Kind, Scan, Seen
from protocols.feed import Head
from protocols.join import make_join
from protocols.keys import RecordId, Scope, Seed, Signature, SigningKey, witness_scope
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record
from protocols.tags.code import evidence_for
from protocols.tags.entry import tag_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.swarm.torture.town import Town
    from protocols.invite_link import InviteLink
    from protocols.tags.code import TagCode

APART_S: Final = 12.0
"""How long the twins' two halves of the town are kept apart."""


@dataclass(slots=True, kw_only=True)
class Pen:
    """A key that signs whatever its liar wants, in one scope."""

    key: SigningKey
    scope: Scope
    head: Head | None = None

    def write(self, kind: Kind, claim: Any, time_ms: int | None = None) -> Record:
        """Sign the next record of this branch; as of now, if no time is given."""
        head = self.head
        now_ms = EPOCH_MS + round(1000 * trio.current_time())
        record = sign_record(
            self.key,
            network=NETWORK,
            scope=self.scope,
            seq=0 if head is None else head.seq + 1,
            backlink=NO_BACKLINK if head is None else head.id,
            time_ms=now_ms if time_ms is None else time_ms,
            kind=kind,
            claim=claim,
        )
        self.head = Head(record.seq, record.id)
        return record

    def announce(self, title: str) -> Record:
        """Sign something small."""
        claim = Announce(salt=_salt(title), campaign=self.scope, title=title, link="")
        return self.write(Kind.ANNOUNCE, claim)


def liar_key(seed: int, name: str) -> SigningKey:
    """The signing key of a liar."""
    return SigningKey(Seed(sha256(f"liar {seed} {name}".encode()).digest()))


def branches(
    town: Town, link: InviteLink, key: SigningKey, code: TagCode | None
) -> tuple[list[Record], list[Record]]:
    """Two branches of one feed; they part at a drawn seq, or where the plan says.

    With a code both branches scan it.
    """
    at, campaign = town.plan.fork_at, link.invite.campaign
    if at is None:
        at = town.rng.randrange(1, 4)
    claim = make_join(
        link.invite, link.signature, link.secret, key.author, _salt("twins")
    )
    one, two = Pen(key=key, scope=campaign), Pen(key=key, scope=campaign)
    same: list[Record] = []
    if at:
        same = [one.write(Kind.JOIN, claim)]
        same += [one.announce(f"same {n}") for n in range(1, at)]
        two.head = one.head
    found: list[list[Record]] = []
    for pen, word in ((one, "one"), (two, "two")):
        branch = list(same)
        if not at:
            branch.append(pen.write(Kind.JOIN, replace(claim, salt=_salt(word))))
        if code is not None:
            branch.append(pen.write(Kind.SCAN, scan_of(code, campaign, key, word)))
        more = range(town.rng.randrange(1, 5))
        branch += [pen.announce(f"{word} {n}") for n in more]
        found.append(branch)
    return found[0], found[1]


def scan_of(code: TagCode, campaign: Scope, key: SigningKey, word: str) -> Scan:
    """A scan of a code as it is good in a campaign, for the first stage."""
    evidence = evidence_for(code, NETWORK, campaign, key.author)
    return Scan(salt=_salt(word), stage=0, tag=tag_id(code.entry), evidence=evidence)


async def play_twins(town: Town, link: InviteLink, code: TagCode | None = None) -> None:
    """Feed different branches to different halves of the town."""
    key = liar_key(town.plan.seed, "twins")
    names = [name for name in town.plan.everybody if name not in town.plan.twins]
    half = [name for name in names if town.rng.random() < 0.5]
    if not town.calm and town.rng.random() < 0.7:
        town.world.partition([[*half, town.plan.twins[0]]])
    both = branches(town, link, key, code)
    for twin, records in zip(town.plan.twins, both, strict=True):
        town.nursery.start_soon(_spread, town, twin, records)
    await trio.sleep(APART_S)
    town.world.partition([])
    if town.plan.lying_witness is not None:
        await _list_both(town, branches_of(town, key, link))


def branches_of(town: Town, key: SigningKey, link: InviteLink) -> list[Record]:
    """The heads of the twins' branches, as far as the twins hold them."""
    found: list[Record] = []
    for twin in town.plan.twins:
        held = [
            record
            for record in town.homes[twin].records
            if (record.scope, record.author) == (link.invite.campaign, key.author)
        ]
        found += sorted(held, key=lambda record: record.seq)[-1:]
    return sorted(found, key=lambda record: (record.seq, record.id))


async def _spread(town: Town, twin: str, records: Sequence[Record]) -> None:
    """Let one twin pass on one branch."""
    campaign = records[0].scope

    async def act() -> bool:
        node = town.node(twin)
        await node.acts.follow(campaign)
        await node.feeds.ingest([encode_record(record) for record in records])
        return True

    await town.until(act)


async def _list_both(town: Town, heads: Sequence[Record]) -> None:
    """Let the lying witness list one branch, then more of the other."""
    liar = town.plan.lying_witness
    assert liar is not None
    for record in heads:

        async def act(record: Record = record) -> bool:
            node = town.node(liar)
            key = node.identity.author_key
            assert key is not None
            claim = Seen(
                salt=node.feeds.rng.token(16),
                final=None,
                heads=((record.author, record.seq, record.id),),
            )
            scope = witness_scope(record.scope)
            await node.feeds.publish(key, scope, Kind.SEEN, claim)
            return True

        await town.until(act)


def forgeries(town: Town, name: str, link: InviteLink) -> list[Record]:
    """What a forger's store holds: each may be stored nowhere else."""
    campaign = link.invite.campaign
    unsigned = Pen(key=liar_key(town.plan.seed, f"{name} unsigned"), scope=STREET)
    unlinked = Pen(key=liar_key(town.plan.seed, f"{name} unlinked"), scope=STREET)
    uninvited = Pen(key=liar_key(town.plan.seed, f"{name} uninvited"), scope=campaign)
    first = unlinked.announce("the beginning")
    unlinked.head = Head(0, RecordId(sha256(b"nothing").digest()))
    second = unlinked.announce("linked to nothing")
    claim = make_join(
        link.invite, link.signature, link.secret, uninvited.key.author, _salt(name)
    )
    stolen = replace(claim, invite_signature=_turned(claim.invite_signature))
    return [
        _badly_signed(unsigned.announce("badly signed")),
        first,
        second,
        uninvited.write(Kind.JOIN, stolen),
    ]


def _badly_signed(record: Record) -> Record:
    return replace(record, signature=_turned(record.signature))


def _turned(signature: Signature) -> Signature:
    return Signature(bytes([signature[0] ^ 1]) + signature[1:])


def _salt(word: str) -> bytes:
    return sha256(word.encode()).digest()[:16]
