"""Attacks of an authenticated peer: MessagePack, frames, records, invites."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import trio

from p2pnode.ports import StreamClosed
from protocols import wire
from protocols.claims import Announce, Kind
from protocols.codec import decode, encode
from protocols.flow import batches
from protocols.frontier import path_of
from protocols.join import Invite, Join, make_join, sign_invite
from protocols.keys import (
    NetworkId,
    RecordId,
    Scope,
    Seed,
    SigningKey,
    network_id,
)
from protocols.limits import INT_MAX, WANT_IDS_MAX, WANTS_OPEN_MAX
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record
from tests.hostile.peer import Attack, Attacker, Victim, neighbour, running, stranger

SPAM: Final = 100
"""Fresh keys in one attack, a record each."""

TIMES: Final = 1_000


def _key() -> SigningKey:
    return SigningKey(Seed(secrets.token_bytes(32)))


def announce(
    key: SigningKey,
    network: NetworkId,
    scope: Scope,
    *,
    title: str = "mine",
    before: Record | None = None,
) -> Record:
    """A well-signed record of a fresh key."""
    return sign_record(
        key,
        network=network,
        scope=scope,
        seq=before.seq + 1 if before else 0,
        backlink=before.id if before else NO_BACKLINK,
        time_ms=0,
        kind=Kind.ANNOUNCE,
        claim=Announce(salt=bytes(16), campaign=scope, title=title, link=""),
    )


async def push(attacker: Attacker, scope: Scope, records: Sequence[Record]) -> None:
    """Push records in as few frames as hold them."""
    for batch in batches([(encode_record(record),) for record in records]):
        await attacker.send(wire.Push(scope=scope, records=batch))


# ---------------------------------------------------------------- MessagePack

SPELLINGS: Final = {
    "nested 1,000 deep": b"\x91" * 1_000 + b"\x90",
    "an array of 2^32-1": b"\xdd\xff\xff\xff\xff",
    "bytes of 2^32-1": b"\xc6\xff\xff\xff\xff" + bytes(64),
    "text of 2^32-1": b"\xdb\xff\xff\xff\xff" + b"x" * 64,
    "a map of 2^32-1": b"\xdf\xff\xff\xff\xff",
    "arrays of arrays of 65,535": b"\xdc\xff\xff" * 1_000,
    "0 in nine bytes": b"\x92\xcf" + bytes(8) + b"\xc4\x00",
    "0, signed": b"\x92\xd3" + bytes(8) + b"\xc4\x00",
    "15 in two bytes": b"\x92\xcc\x0f\xc4\x08" + bytes(8),
    "-1": b"\x92\x0f\xff",
    "2^53": b"\x92\xcf\x00\x20" + bytes(6) + b"\xc4\x00",
    "2^63": b"\x92\xcf\x80" + bytes(7) + b"\xc4\x00",
    "2^64-1": b"\x92\xcf" + b"\xff" * 8 + b"\xc4\x00",
    "a key twice": b"\x82\xa1a\x01\xa1a\x02",
    "NaN": b"\x92\x0f\xcb\x7f\xf8" + bytes(6),
    "infinity": b"\x92\x0f\xca\x7f\x80\x00\x00",
    "an extension": b"\x92\x0f\xd4\x01\x00",
    "a timestamp": b"\x92\x0f\xd6\xff" + bytes(4),
    "an extension of 2^32-1": b"\xc9\xff\xff\xff\xff\x01",
    "text that is not UTF-8": b"\x92\x11\xa2\xc3\x28",
    "an overlong slash": b"\x92\x11\xa2\xc0\xaf",
    "half a surrogate pair": b"\x92\x11\xa3\xed\xa0\x80",
    "NUL in text": encode([17, "x"]).replace(b"x", b"\x00"),
    "an escape in text": encode([17, "x"]).replace(b"x", b"\x1b"),
    "trailing bytes": encode([15, bytes(8)]) + b"\xc0",
    "one byte too few": encode([15, bytes(8)])[:-1],
    "never used": b"\xc1",
    "nothing known": encode([99]),
    "a tag of 2^53-1": encode([INT_MAX]),
    "the largest frame": b"\x00" * 65_536,
}
"""Frames that are no frames; `wire` has nothing to say to any of them but bye."""


async def spellings(victim: Victim) -> str:
    """Say each of them on a stream of its own, after the hello."""
    return await _say_each(victim, greet=True)


async def spellings_first(victim: Victim) -> str:
    """Say each of them as the first frame."""
    return await _say_each(victim, greet=False)


async def _say_each(victim: Victim, *, greet: bool) -> str:
    """How streams ended on which one of them was said."""
    ends: list[str] = []
    async with running() as network:
        for data in SPELLINGS.values():
            stream = await network.dial(victim.address)
            attacker = Attacker(stream, victim.network)
            if greet:
                await attacker.greet([victim.scope])
            await attacker.send(data)
            ends.append(await attacker.outcome(victim.patience_s))
            await stream.close()
    return ", ".join(sorted(dict.fromkeys(ends)))


# ------------------------------------------------------------------- versions

LIES: Final[dict[str, dict[str, Any]]] = {
    "version 0": {"version": 0},
    "version 2": {"version": 2},
    "version 2^53-1": {"version": INT_MAX},
    "another network": {"network": network_id("other")},
}


def lie(changed: dict[str, Any]) -> Attack:
    """Say hello as somebody from elsewhere."""

    async def attack(victim: Victim) -> str:
        async with stranger(victim) as attacker:
            await attacker.send(wire.Nonce(nonce=attacker.nonce))
            peer = await attacker.hear(wire.Nonce)
            hello = attacker.hello(peer.nonce, [victim.scope])
            await attacker.send(replace(hello, **changed))
            return await attacker.outcome(victim.patience_s)

    return attack


async def echo(victim: Victim) -> str:
    """Send the victim's own first words back."""
    async with stranger(victim) as attacker:
        peer = await attacker.hear(wire.Nonce)
        await attacker.send(peer)
        return await attacker.outcome(victim.patience_s)


async def hello_again(victim: Victim) -> str:
    """Greet twice."""
    async with neighbour(victim) as attacker:
        await attacker.send(wire.Nonce(nonce=bytes(32)))
        return await attacker.outcome(victim.patience_s)


# --------------------------------------------------------------------- asking


async def _handles(attacker: Attacker, scope: Scope) -> list[bytes]:
    """What the victim calls its feeds in this session."""
    probe = _leg(scope)
    await attacker.send(probe)
    found: list[bytes] = []
    with trio.move_on_after(1):
        while True:
            leg = await attacker.hear(wire.Compare)
            if leg is None:
                break
            found += [row.name[:8] for b in leg.buckets for row in b.rows]
            found += [head.feed for head in leg.heads]
            if found or not leg.nodes:
                break
            bits = [i for i in range(16) if leg.nodes[0].mask >> i & 1]
            chosen = tuple(
                wire.Bucket(prefix=f"{leg.nodes[0].prefix}{i:x}", rows=()) for i in bits
            )
            await attacker.send(_leg(scope, buckets=chosen))
    return list(dict.fromkeys(found))


def _leg(scope: Scope, **shown: Any) -> wire.Compare:
    """A first leg whose root is a lie."""
    nothing: dict[str, Any] = {"nodes": (), "buckets": (), "heads": ()}
    return wire.Compare(
        scope=scope,
        opener=True,
        root=secrets.token_bytes(8),
        start="",
        stop="",
        **nothing | shown,
    )


async def everything(victim: Victim) -> str:
    """ "Send me everything", 1,000 times, reading all of it."""
    async with neighbour(victim) as attacker:
        handles = await _handles(attacker, victim.scope) or [bytes(8)]
        ranges = tuple(
            wire.Range(feed=feed, start=0, stop=INT_MAX)
            for feed in handles[:WANTS_OPEN_MAX]
        )
        want = wire.encode_frame(wire.Want(scope=victim.scope, ranges=ranges))

        async def ask() -> None:
            for _ in range(TIMES // 10):
                await attacker.send(*[want] * 10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            end = await attacker.outcome(victim.patience_s)
            nursery.cancel_scope.cancel()
        return end


async def everything_unread(victim: Victim) -> str:
    """ "Send me everything", 1,000 times, reading nothing."""
    async with neighbour(victim) as attacker:
        handles = await _handles(attacker, victim.scope) or [bytes(8)]
        ranges = tuple(
            wire.Range(feed=feed, start=0, stop=INT_MAX) for feed in handles[:64]
        )
        want = wire.encode_frame(wire.Want(scope=victim.scope, ranges=ranges))
        with trio.move_on_after(victim.patience_s):
            for _ in range(TIMES):
                await attacker.send(want)
        return await attacker.outcome(victim.patience_s)


async def ids_nobody_has(victim: Victim) -> str:
    """Ask for 256 records that do not exist, 1,000 times."""
    async with neighbour(victim) as attacker:
        with trio.move_on_after(victim.patience_s):
            await _ask_for_ids(attacker, victim.scope, TIMES)
        return await attacker.outcome(victim.patience_s)


async def _ask_for_ids(attacker: Attacker, scope: Scope, times: int) -> None:
    for _ in range(times):
        ids = sorted(secrets.token_bytes(32) for _ in range(WANT_IDS_MAX))
        names = tuple(RecordId(each) for each in ids)
        await attacker.send(wire.WantIds(scope=scope, ids=names))


async def everything_by_many(victim: Victim) -> str:
    """Ask on 20 connections for 256 records, 500 times each, reading nothing."""
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(neighbour(victim)) for _ in range(20)]
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + victim.patience_s
            for attacker in crowd:
                nursery.start_soon(_ask_for_ids, attacker, victim.scope, 500)
        return await crowd[-1].outcome(victim.patience_s)


async def reconciliation_liar(victim: Victim) -> str:
    """Random digests in every leg: it never converges."""
    async with neighbour(victim) as attacker:
        for turn in range(TIMES):
            if turn % 2:
                row = wire.Row(name=secrets.token_bytes(12), seq=7, forked=False)
                bucket = wire.Bucket(prefix=f"{turn % 16:x}", rows=(row,))
                leg = _leg(victim.scope, buckets=(bucket,))
            else:
                lies = wire.Node(
                    prefix="", mask=0xFFFF, digests=secrets.token_bytes(6 * 16)
                )
                leg = _leg(victim.scope, nodes=(lies,))
            await attacker.send(leg)
        return await attacker.outcome(victim.patience_s)


async def heads_that_do_not_exist(victim: Victim) -> str:
    """Claim 4,096 feeds that reach up to 2^53-2, and serve none."""
    async with neighbour(victim) as attacker:
        for _ in range(20):
            heads = tuple(
                wire.HeadRow(
                    feed=secrets.token_bytes(8), seq=INT_MAX - 1, forked=i % 2 == 0
                )
                for i in range(2_000)
            )
            await attacker.send(_leg(victim.scope, heads=heads))
        return await attacker.outcome(victim.patience_s)


async def answers_nobody_asked(victim: Victim) -> str:
    """Answer walks and wants that were never begun."""
    async with neighbour(victim) as attacker:
        await attacker.send(wire.Records(scope=victim.scope, records=(), done=()))
        await attacker.send(wire.Pong(token=bytes(8)))
        await attacker.send(wire.Found(scope=victim.scope, records=(b"x",)))
        return await attacker.outcome(victim.patience_s)


async def ping_flood(victim: Victim) -> str:
    """Ask 20,000 times whether it is there, reading no answer."""
    async with neighbour(victim) as attacker:
        ping = wire.encode_frame(wire.Ping(token=bytes(8)))
        with trio.move_on_after(victim.patience_s):
            for _ in range(20):
                await attacker.send(*[ping] * 1_000)
        return await attacker.outcome(victim.patience_s)


async def scopes_flood(victim: Victim) -> str:
    """Announce 128 other scopes, 1,000 times."""
    async with neighbour(victim) as attacker:
        with trio.move_on_after(victim.patience_s):
            for _ in range(TIMES):
                hashes = sorted(secrets.token_bytes(16) for _ in range(128))
                await attacker.send(wire.Scopes(scopes=tuple(hashes)))
        return await attacker.outcome(victim.patience_s)


# -------------------------------------------------------------------- records


async def spam(victim: Victim) -> str:
    """Well-signed records from fresh keys."""
    async with neighbour(victim) as attacker:
        made = [announce(_key(), victim.network, victim.scope) for _ in range(SPAM)]
        await push(attacker, victim.scope, made)
        return await _then(attacker)


async def near_keys(victim: Victim) -> str:
    """Fresh keys whose feeds stand at one place of the trie."""
    keys = (_key() for _ in itertools.count())
    near = (key for key in keys if path_of(key.author).startswith("00"))
    async with neighbour(victim) as attacker:
        chosen = itertools.islice(near, 8)
        made = [announce(key, victim.network, victim.scope) for key in chosen]
        await push(attacker, victim.scope, made)
        return await _then(attacker)


async def forks(victim: Victim) -> str:
    """Keys that sign two records at one place."""
    async with neighbour(victim) as attacker:
        for key in [_key() for _ in range(5)]:
            for title in ("one", "two"):
                record = announce(key, victim.network, victim.scope, title=title)
                await push(attacker, victim.scope, [record])
        return await _then(attacker)


async def gaps(victim: Victim) -> str:
    """The second record of feeds whose first is withheld."""
    async with neighbour(victim) as attacker:
        made = []
        for key in [_key() for _ in range(50)]:
            first = announce(key, victim.network, victim.scope)
            made.append(announce(key, victim.network, victim.scope, before=first))
        await push(attacker, victim.scope, made)
        return await _then(attacker)


async def other_network(victim: Victim) -> str:
    """A record that is good on another network."""
    async with neighbour(victim) as attacker:
        record = announce(_key(), network_id("other"), victim.scope)
        await push(attacker, victim.scope, [record])
        return await _then(attacker)


async def other_scope(victim: Victim) -> str:
    """A record that is good in another scope."""
    async with neighbour(victim) as attacker:
        record = announce(_key(), victim.network, Scope(b"\x09" * 32))
        await push(attacker, victim.scope, [record])
        return await _then(attacker)


async def other_kind(victim: Victim) -> str:
    """The bytes of one kind's claim under another's number."""
    async with neighbour(victim) as attacker:
        key = _key()
        first = announce(key, victim.network, victim.scope)
        values = [*_header_of(first)]
        values[7] = int(Kind.PROFILE)
        header = encode(values)
        signed = key.sign_value("record", values)
        other = replace(first, header_bytes=header, signature=signed)
        await push(attacker, victim.scope, [other])
        return await _then(attacker)


def _header_of(record: Record) -> list[Any]:
    value = decode(record.header_bytes, 1_000)
    assert isinstance(value, list)
    return value


async def _then(attacker: Attacker) -> str:
    """Whether the victim talks on after what it was sent, or why not."""
    await attacker.send(wire.Ping(token=b"and then"))
    try:
        with trio.fail_after(30):
            while True:
                frame = wire.decode_frame(await attacker.stream.receive())
                if isinstance(frame, wire.Pong):
                    return "talks on"
                if isinstance(frame, wire.Bye):
                    return f"bye {frame.reason}"
    except StreamClosed:
        return "hung up"
    except trio.TooSlowError:
        return "silent"


# ------------------------------------------------------------ referral chains


def chain(victim: Victim, length: int) -> Iterator[Record]:
    """Joins, each invited by the one before, the first by the public invite."""
    assert victim.link is not None
    invite, signature = victim.link.invite, victim.link.signature
    secret = victim.link.secret
    for _ in range(length):
        key = _key()
        yield _join(victim, key, invite, signature, secret)
        invite, signature, secret = _invite(victim, key)


def _invite(victim: Victim, inviter: SigningKey) -> tuple[Invite, Any, Seed]:
    secret = Seed(secrets.token_bytes(32))
    invite = Invite(
        network=victim.network,
        campaign=victim.scope,
        inviter=inviter.author,
        invite_key=SigningKey(secret).author,
        uses=1,
        expires_ms=INT_MAX,
    )
    return invite, sign_invite(inviter, invite), secret


def _join(
    victim: Victim, key: SigningKey, invite: Invite, signature: Any, secret: Seed
) -> Record:
    claim = make_join(invite, signature, secret, key.author, bytes(16))
    return _joined(victim, key, claim)


def _joined(victim: Victim, key: SigningKey, claim: Join) -> Record:
    """A join as the first record of a feed."""
    return sign_record(
        key,
        network=victim.network,
        scope=victim.scope,
        seq=0,
        backlink=NO_BACKLINK,
        time_ms=0,
        kind=Kind.JOIN,
        claim=claim,
    )


async def long_chain(victim: Victim) -> str:
    """A chain far longer than any that is paid."""
    async with neighbour(victim) as attacker:
        await push(attacker, victim.scope, list(chain(victim, victim.chain)))
        return await _then(attacker)


async def reordered_chain(victim: Victim) -> str:
    """The invited before their inviters."""
    async with neighbour(victim) as attacker:
        await push(attacker, victim.scope, list(chain(victim, 20))[::-1])
        return await _then(attacker)


async def stripped_chain(victim: Victim) -> str:
    """A chain that lacks what joins it to the sponsor."""
    async with neighbour(victim) as attacker:
        await push(attacker, victim.scope, list(chain(victim, 20))[5::2])
        return await _then(attacker)


async def cyclic_chain(victim: Victim) -> str:
    """Two who invited each other, and one who invited itself."""
    async with neighbour(victim) as attacker:
        a, b, c = _key(), _key(), _key()
        pairs = [(a, b), (b, a), (c, c)]
        made = [_join(victim, key, *_invite(victim, by)) for key, by in pairs]
        await push(attacker, victim.scope, made)
        return await _then(attacker)


async def stolen_join(victim: Victim) -> str:
    """Somebody else's join, signed again by another key."""
    async with neighbour(victim) as attacker:
        (join,) = chain(victim, 1)
        stolen = _joined(victim, _key(), join.claim())
        await push(attacker, victim.scope, [stolen])
        return await _then(attacker)


ATTACKS: Final[dict[str, Attack]] = {
    "MessagePack before the hello": spellings_first,
    "MessagePack after the hello": spellings,
    **{f"hello: {name}": lie(changed) for name, changed in LIES.items()},
    "hello: an echo": echo,
    "hello: twice": hello_again,
    "send me everything x 1,000": everything,
    "send me everything, unread": everything_unread,
    "ids nobody has x 1,000": ids_nobody_has,
    "ids nobody has, by many": everything_by_many,
    "a reconciliation liar": reconciliation_liar,
    "heads that do not exist": heads_that_do_not_exist,
    "answers nobody asked for": answers_nobody_asked,
    "pings unread": ping_flood,
    "scopes x 1,000": scopes_flood,
    "spam from fresh keys": spam,
    "keys at one place of the trie": near_keys,
    "forks": forks,
    "gaps": gaps,
    "replay: another network": other_network,
    "replay: another scope": other_scope,
    "replay: another kind": other_kind,
}

CHAINS: Final[dict[str, Attack]] = {
    "chain: long": long_chain,
    "chain: reordered": reordered_chain,
    "chain: stripped": stripped_chain,
    "chain: cyclic": cyclic_chain,
    "chain: a stolen join": stolen_join,
}
"""Attacks that need a public invite to a campaign."""
