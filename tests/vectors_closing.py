"""Vectors of closes: witnesses, cuts, closes, vouchers, bundles. 0009, 0010."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from protocols.bundle import FORMAT, write_bundle
from protocols.claims import Kind, Part
from protocols.codec import encode
from protocols.errors import Reason
from protocols.evidence import cover
from protocols.feed import Head
from protocols.framing import frame
from protocols.keys import AuthorKey, RecordId
from protocols.merkle import Tree
from protocols.record import Record, encode_record, without_parts
from protocols.settlement.close import Closing, close_claim, parts
from protocols.settlement.cut import Declared
from protocols.settlement.settle import settle
from protocols.settlement.voucher import (
    VOUCHER,
    Voucher,
    make_voucher,
    voucher_text,
)
from protocols.terms import TERMS
from protocols.text import Letter, encode_link
from tests.vectors import Case, case
from tests.worlds import MINUTE, NETWORK, World, balloon_world, key_of, salt_of


def closing() -> list[Case]:
    """0009: what finals support, closes good and bad, vouchers."""
    return [*_covers(), *_closes(), *_vouchers()]


def _terms_hex(world: World) -> str:
    return encode(TERMS.write(world.terms)).hex()


def _small(**how: Any) -> World:
    world = World(**{"balloons": 1, "witnesses": 4, "rounds": 1, **how})
    world.join("alice")
    return world


def _finals(world: World, number: int = 1) -> list[Record]:
    return [
        one
        for one in world.records
        if one.kind == Kind.SEEN and one.claim().final == number
    ]


def _cover(
    name: str,
    world: World,
    reason: Reason | None = None,
    *,
    finals: Sequence[RecordId] | None = None,
    number: int = 1,
    heads: Sequence[tuple[AuthorKey, Head]] = (),
    without: Sequence[Record] = (),
) -> Case:
    named = [one.id for one in _finals(world)][: world.terms.quorum]
    lost = {one.id for one in without}
    return case(
        name,
        "cover",
        reason,
        terms=_terms_hex(world),
        records=[
            encode_record(one).hex() for one in world.records if one.id not in lost
        ],
        round=number,
        finals=[one.hex() for one in (named if finals is None else finals)],
        heads=[[author.hex(), head.seq, head.id.hex()] for author, head in heads],
    )


def _covers() -> list[Case]:
    plain = _small()
    plain.see()
    scan = plain.scan("alice", 0)
    plain.finish_round(1)
    finals = [one.id for one in _finals(plain)]
    first_seen = next(one for one in plain.records if one.kind == Kind.SEEN)
    alice = key_of("alice").author
    joined = Head(0, next(o.id for o in plain.records if o.author == alice))
    few = _small()
    few.see()
    few.scan("alice", 0)
    few.finish_round(1, only=[0])
    few.see(only=[1, 2, 3], final=1, heads={})
    late = _small()
    late.see()
    late.now = late.terms.rounds[0].accept_until + 1
    late.scan("alice", 0)
    late.finish_round(1)
    early = _small()
    early.see(final=1)
    twice = _small()
    twice.finish_round(1)
    twice.now += MINUTE
    second = twice.see(final=1)[0].id
    named = [second, *(one.id for one in _finals(twice)[1:3])]
    return [
        _cover("a join and a scan, seen one after the other", plain),
        _cover("above the cut before", plain, heads=[(alice, joined)]),
        _cover("what one of four saw does not count", few),
        _cover("what came too late does not count", late),
        _cover("witness time is the second smallest of four", _one_by_one()),
        _cover("a seen that goes back in time is void", _back_in_time()),
        _branches(),
        _cover("a witness that changes branches", _changing()),
        _fork_list(),
        _cover("a fork that witnesses report at two places", _two_forks()),
        _cover("a chain that f+1 list is missing", plain, without=[scan]),
        _cover("two finals of four", plain, Reason.WRONG_CUT, finals=finals[:2]),
        _cover(
            "a final twice", plain, Reason.WRONG_CUT, finals=[*finals[:2], finals[0]]
        ),
        _cover("a witness's second final", twice, Reason.WRONG_CUT, finals=named),
        _cover("a round that is none", plain, Reason.WRONG_CUT, number=2),
        _cover("finals before their time", early, Reason.WRONG_CUT),
        _cover(
            "a seen that is no final",
            plain,
            Reason.WRONG_CUT,
            finals=[first_seen.id, *finals[1:3]],
        ),
        _cover(
            "a final that is not here",
            plain,
            Reason.INCOMPLETE,
            finals=[*finals[:2], RecordId(bytes(32))],
        ),
        _cover(
            "a witness feed with a hole", plain, Reason.INCOMPLETE, without=[first_seen]
        ),
    ]


def _branches() -> Case:
    """Two witnesses see one branch first, two the other; then all see both."""
    world = _small()
    world.see()
    alice = key_of("alice").author
    one = world.scan("alice", 0)
    other = world.fork("alice", Kind.ERASE, world.erase_claim(one))
    for chosen, record in (([0, 1], one), ([2, 3], other)):
        heads = {alice: Head(record.seq, record.id)}
        world.see(only=chosen, heads=heads)
    for witness in world.witness_keys:
        world.seen[witness.author].clear()
    for chosen, record in (([0, 1], other), ([2, 3], one)):
        world.see(only=chosen, heads={alice: Head(record.seq, record.id)})
    world.now = max(world.now, world.terms.rounds[0].final_from)
    world.see(final=1, heads={})
    return _cover("two branches", world)


def _one_by_one() -> World:
    world = _small()
    for witness in range(4):
        world.now += MINUTE
        world.see(only=[witness])
    world.finish_round(1)
    return world


def _back_in_time() -> World:
    world = _small(witnesses=1)
    world.see()
    world.scan("alice", 0)
    world.now -= MINUTE
    world.see()
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})
    return world


def _changing() -> World:
    """Its only witness lists one branch, then the other, then the first again."""
    world = _small(witnesses=1, balloons=3)
    one = world.scan("alice", 0)
    place = world.scope, one.author
    world.see()
    kept = world.heads[place]
    other = world.fork("alice", Kind.ERASE, world.erase_claim(one))
    for balloon, below in ((1, Head(other.seq, other.id)), (2, kept)):
        (known,) = world.seen.values()
        known.clear()
        world.heads[place] = below
        world.scan("alice", balloon)
        world.see()
    world.finish_round(1, only=[])
    world.see(final=1, heads={})
    return world


def _two_forks() -> World:
    """A fork high in a feed is reported before one below it."""
    world = _small(balloons=2)
    low = world.scan("alice", 0)
    below = world.fork("alice", Kind.ERASE, world.erase_claim(low))
    world.heads[world.scope, low.author] = Head(low.seq, low.id)
    high = world.scan("alice", 1)
    above = world.fork("alice", Kind.ERASE, world.erase_claim(high))
    world.see()
    world.report_fork(high, above)
    world.report_fork(low, below)
    world.finish_round(1)
    return world


def _fork_list() -> Case:
    world = _small()
    one = world.scan("alice", 0)
    other = world.fork("alice", Kind.ERASE, world.erase_claim(one))
    world.see()
    world.report_fork(one, other)
    world.finish_round(1)
    return _cover("a fork that witnesses report", world)


# closes


def _closed(**lies: Any) -> tuple[World, Record]:
    world = _small(witnesses=1, budget=1_000)
    world.scan("alice", 0)
    world.finish_round(1)
    return world, world.close(1, **lies)


def _close_case(
    name: str, world: World, close: Record, records: Sequence[Record] | None = None
) -> Case:
    return case(
        name,
        "close",
        terms=_terms_hex(world),
        records=[encode_record(one).hex() for one in records or world.records],
        close=close.id.hex(),
    )


def _closes() -> list[Case]:
    world, close = _closed()
    cases = [_close_case("a good close", world, close)]
    lies: dict[str, dict[str, Any]] = {
        "a line more": {"lines": 3},
        "paid": {"paid": 1},
        "residue": {"residue": 1},
        "unspent": {"unspent": 1},
        "not the last": {"last": False},
        "another unit": {"unit": "EUR"},
        "redeemed until later": {"redeem_until": 2**53 - 1},
        "a rows root that is another": {"rows_root": bytes(32)},
        "other finals": {"finals": (RecordId(bytes(32)),)},
    }
    for name, lie in lies.items():
        cases.append(_close_case(f"a close that lies: {name}", *_closed(**lie)))
    listless = [one for one in world.records if one.kind != Kind.PART]
    scans = [one for one in world.records if one.kind != Kind.SCAN]
    seen = [one for one in world.records if one.kind != Kind.SEEN]
    bare = [
        without_parts(one, claim=one.kind == Kind.SCAN, note=False)
        for one in world.records
    ]
    cases += [
        _close_case("a close without its parts", world, close, listless),
        _another_list(),
        _close_case("a close without a scan", world, close, scans),
        _close_case("a close without witness feeds", world, close, seen),
        _close_case("a close with an erased claim", world, close, bare),
        *_lying_lists(),
        *_padded_in_doubt(),
        _second_round(),
        *_wrong_chains(),
    ]
    return cases


def _another_list() -> Case:
    """A part that names the cut's root and holds a shorter cut."""
    world = _small(witnesses=1, budget=1_000)
    world.scan("alice", 0)
    world.finish_round(1)
    made = world.settle(1)
    claim = close_claim(world.terms, made, world.scope, salt_of("close"))
    shorter = replace(made.declared, cut=made.declared.cut[:-1])
    less = replace(made, declared=shorter).lists()[Tree.CUT]
    for tree, top, index, data in parts(made.lists()):
        held = encode([*less, less[-1]]) if tree == Tree.CUT else data
        part = Part(salt=salt_of(tree), tree=tree, root=top, index=index, data=held)
        world.write(world.sponsor, Kind.PART, part)
    close = world.write(world.sponsor, Kind.CLOSE, claim)
    return _close_case("a close whose part holds another list", world, close)


def _lying_lists() -> list[Case]:
    """Lists that are in shape and wrong: another statement; a padded cut."""
    cases = []
    for name in ("a statement that pays more", "a padded cut", "an omitting cut"):
        world = _small(witnesses=4, budget=1_000)
        world.see()
        world.scan("alice", 0)
        world.see(only=[0] if name == "a padded cut" else None)
        quiet: dict[AuthorKey, Head] | None = {} if name == "a padded cut" else None
        world.now = max(world.now, world.terms.rounds[0].final_from)
        world.see(final=1, heads=quiet)
        made = world.settle(1)
        settlement, declared = made.settlement, made.declared
        if name.startswith("a statement"):
            lines = tuple(
                replace(line, amount=line.amount + 1) for line in settlement.lines
            )
            settlement = replace(settlement, lines=lines)
        else:
            alice = key_of("alice").author
            entry = next(one for one in declared.cut if one.author == alice)
            here = [one for one in world.records if one.author == alice]
            head = here[1] if name == "a padded cut" else here[0]
            moved = replace(entry, seq=head.seq, id=head.id, steps=entry.steps[:1])
            cut = tuple(moved if one is entry else one for one in declared.cut)
            declared = replace(declared, cut=cut)
            settlement = settle(world.terms, [declared], world.evidence().lookup)
        made = replace(made, settlement=settlement, declared=declared)
        cases.append(_close_case(name, world, _sign_close(world, made)))
    return cases


def _padded_in_doubt() -> list[Case]:
    """A cut is padded, and one witness lists a chain that is not here.

    It could make the entry right only where f others cover what is padded.
    """
    cases = []
    for others in (0, 1):
        world = _small(witnesses=4, budget=1_000)
        alice = key_of("alice").author
        world.see()
        scan = world.scan("alice", 0)
        nowhere = {alice: Head(50, RecordId(b"\xee" * 32))}
        (liar,) = world.see(only=[0], heads=nowhere)
        world.see(only=[1] if others else [])
        world.now = max(world.now, world.terms.rounds[0].final_from)
        world.see(final=1, heads={}, only=[0, 1, 2])
        lookup = world.evidence().lookup
        finals = tuple(sorted(one.id for one in _finals(world)))
        found = cover(world.terms, 1, finals, lookup, {})
        times = [
            one.first_seen[scan.id] for one in found.views if scan.id in one.first_seen
        ]
        step = (1, max(liar.header.time_ms, *times, 0))
        cut = tuple(
            replace(one, seq=1, id=scan.id, steps=(*one.steps, step))
            if one.author == alice
            else one
            for one in found.cut
        )
        declared = Declared(round=1, finals=finals, cut=cut, forks=())
        settlement = settle(world.terms, [declared], lookup)
        made = Closing(declared=declared, settlement=settlement)
        name = f"a padded cut, a chain that is not here, {others} others saw it"
        cases.append(_close_case(name, world, _sign_close(world, made)))
    return cases


def _sign_close(world: World, made: Closing) -> Record:
    """Publish a close as it is, lists first."""
    claim = close_claim(world.terms, made, world.scope, salt_of("close"))
    for tree, top, index, data in parts(made.lists()):
        part = Part(salt=salt_of(tree), tree=tree, root=top, index=index, data=data)
        world.write(world.sponsor, Kind.PART, part)
    return world.write(world.sponsor, Kind.CLOSE, claim)


def two_rounds(**how: Any) -> tuple[World, Record]:
    """Two balloons, one found in each round, both rounds closed."""
    world = World(**{"balloons": 2, "witnesses": 1, "rounds": 2, **how})
    world.join("alice")
    world.scan("alice", 0)
    world.finish_round(1)
    first = world.close(1)
    world.join("bob", "alice")
    world.scan("bob", 1)
    world.finish_round(2)
    return world, world.close(2, first)


def _second_round() -> Case:
    return _close_case("the second of two rounds", *two_rounds())


def _wrong_chains() -> list[Case]:
    """Closes whose `previous` is nowhere, no close, or of the same round."""
    cases = []
    world, close = _closed()
    previous = {
        "nowhere": bytes(32),
        "a record that is no close": world.records[0].id,
        "a close of the same round": close.id,
    }
    for name, before in previous.items():
        claim = replace(close.claim(), previous=before)
        wrong = world.write(world.sponsor, Kind.CLOSE, claim)
        cases.append(_close_case(f"previous is {name}", world, wrong))
    return cases


# vouchers


def _vouchers() -> list[Case]:
    world = balloon_world(balloons=2, witnesses=1, rounds=1)
    world.finish_round(1)
    lines, close = world.settle(1).settlement.lines, world.close(1)
    good = make_voucher(close, lines, lines[1].payee)
    assert good is not None
    join = next(one for one in world.records if one.kind == Kind.JOIN)
    assert join.claim_bytes is not None
    no_close = replace(
        good,
        header=join.header_bytes,
        claim=join.claim_bytes,
        signature=join.signature,
    )
    more = replace(good.line, amount=good.line.amount + 1)
    theirs = replace(good.line, payee=lines[0].payee)
    bad: list[tuple[str, Reason, Voucher]] = [
        ("more money", Reason.BAD_PROOF, replace(good, line=more)),
        ("another payee", Reason.BAD_PROOF, replace(good, line=theirs)),
        ("another index", Reason.BAD_PROOF, replace(good, index=good.index + 1)),
        (
            "an index beyond the lines",
            Reason.BAD_PROOF,
            replace(good, index=len(lines)),
        ),
        ("a hash less", Reason.BAD_PROOF, replace(good, path=good.path[:-1])),
        ("a hash more", Reason.BAD_PROOF, replace(good, path=(*good.path, bytes(32)))),
        ("a record that is no close", Reason.BAD_PROOF, no_close),
        (
            "another's signature",
            Reason.BAD_SIGNATURE,
            replace(good, signature=bytes(64)),
        ),
        (
            "another claim",
            Reason.WRONG_HASH,
            replace(good, claim=join.claim_bytes),
        ),
        ("another header", Reason.WRONG_HASH, replace(good, header=join.header_bytes)),
    ]
    cases = [
        case(f"the voucher of line {index}", "voucher", text=voucher_text(made))
        for index, line in enumerate(lines)
        if (made := make_voucher(close, lines, line.payee))
    ]
    cases += [
        case(f"a voucher with {name}", "voucher", reason, text=voucher_text(made))
        for name, reason, made in bad
    ]
    value = VOUCHER.write(good)
    assert isinstance(value, list)
    cases += [
        case(
            "a voucher with a field less",
            "voucher",
            Reason.BAD_SHAPE,
            text=encode_link(Letter.VOUCHER, value[:-1]),
        ),
        case(
            "a voucher of another letter",
            "voucher",
            Reason.BAD_CODE,
            text=encode_link(Letter.CARD, value),
        ),
    ]
    return cases


# 0010


def bundles() -> list[Case]:
    """0010: bundles good and bad."""
    world, _ = _closed()
    frames = list(write_bundle(NETWORK, world.scope, world.records))
    twice, _ = two_rounds()
    records = [one[4:] for one in frames[1:]]
    other_network = encode([FORMAT, bytes(16), world.scope, len(records)])
    signed = bytearray(records[0])
    signed[-1] ^= 1
    torn = bytearray(records[3])
    torn[80] ^= 1
    bad: dict[str, tuple[Reason, list[bytes]]] = {
        "no bytes": (Reason.BAD_BUNDLE, []),
        "no header": (Reason.BAD_BUNDLE, frames[1:]),
        "another format": (
            Reason.BAD_BUNDLE,
            [
                frame(encode(["p2pnode.bundle/2", NETWORK, world.scope, len(records)])),
                *frames[1:],
            ],
        ),
        "a header of three fields": (
            Reason.BAD_BUNDLE,
            [frame(encode([FORMAT, NETWORK, world.scope])), *frames[1:]],
        ),
        "a record less than it says": (Reason.BAD_BUNDLE, frames[:-1]),
        "a record more than it says": (Reason.BAD_BUNDLE, [*frames, frames[-1]]),
        "an end inside a frame": (Reason.BAD_BUNDLE, [*frames[:-1], frames[-1][:-1]]),
        "an end inside a length": (Reason.BAD_BUNDLE, [*frames, b"\0\0"]),
        "an empty frame": (Reason.FRAME_SIZE, [*frames, bytes(4)]),
        "another network": (Reason.WRONG_NETWORK, [frame(other_network), *frames[1:]]),
        "a wrong signature": (
            Reason.BAD_SIGNATURE,
            [frames[0], frame(bytes(signed)), *frames[2:]],
        ),
        "a record that is none": (
            Reason.NOT_CANONICAL,
            [frames[0], frame(b"\xc1"), *frames[2:]],
        ),
        "a record with a bit turned": (
            Reason.BAD_SIGNATURE,
            [*frames[:4], frame(bytes(torn)), *frames[5:]],
        ),
    }
    turned = [frames[0], *frames[:0:-1]]
    cases = [
        _bundle("a bundle", frames),
        _bundle("its records in another order", turned),
        _bundle("two rounds", list(write_bundle(NETWORK, twice.scope, twice.records))),
        *(
            _bundle(f"a bundle with {name}", data, why)
            for name, (why, data) in bad.items()
        ),
    ]
    again = _again(10)
    data = list(write_bundle(NETWORK, again.scope, again.records))
    cases.append(_bundle("ten closes of one round", data))
    for kind in (Kind.TERMS, Kind.JOIN, Kind.PART, Kind.SEEN):
        some = [one for one in world.records if one.kind != kind]
        reason = Reason.INCOMPLETE if kind is Kind.TERMS else None
        data = list(write_bundle(NETWORK, world.scope, some))
        cases.append(_bundle(f"without {kind.name.lower()}", data, reason))
    return cases


def _again(count: int) -> World:
    """A round that its sponsor closes so many times."""
    world = World(balloons=1, witnesses=1, rounds=1)
    world.finish_round(1)
    claim = world.close(1).claim()
    for number in range(1, count):
        again = replace(claim, salt=salt_of("again", number))
        world.write(world.sponsor, Kind.CLOSE, again)
    return world


def _bundle(name: str, data: Sequence[bytes], reason: Reason | None = None) -> Case:
    text = base64.b64encode(b"".join(data)).decode("ascii")
    return case(name, "bundle", reason, base64=text)
