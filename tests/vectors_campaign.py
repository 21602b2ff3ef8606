"""Vectors of a campaign: joining, terms, tags, settlement. 0004, 0005, 0007, 0008."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from protocols.claims import Kind
from protocols.codec import Value, decode, encode
from protocols.errors import Reason
from protocols.evidence import cover
from protocols.invite_link import InviteLink, invite_link_text
from protocols.join import (
    CARD,
    INVITE,
    Card,
    Join,
    continue_shape,
    join_shape,
    make_continue,
    make_join,
    sign_card,
    work_bits,
)
from protocols.keys import AuthorKey, RecordId, Scope, Seed, Signature
from protocols.limits import INT_MAX, TIME_MAX
from protocols.record import Record, encode_record
from protocols.settlement.close import Closing
from protocols.settlement.cut import (
    CUT_ENTRY,
    FORK_ENTRY,
    LINE,
    ROW,
    Declared,
    ForkEntry,
)
from protocols.settlement.verify import finals_at_hand
from protocols.tags.code import make_printed, make_serial
from protocols.tags.entry import (
    ENTRY,
    EVIDENCE,
    Bare,
    Gs1,
    Gs1Text,
    Machine,
    Printed,
    PrintedText,
    Rotating,
    RotatingCode,
    SerialProof,
    TagEntry,
    TagEvidence,
    TapProof,
    Taps,
    serial_root,
    serial_seed,
    sign_entry,
    sign_serial,
    tag_id,
)
from protocols.terms import (
    TERMS,
    Act,
    After,
    Condition,
    Count,
    FairSplit,
    Flat,
    Halving,
    Limits,
    Once,
    Party,
    Reward,
    Role,
    Stage,
    Terms,
)
from protocols.text import Letter, decode_link, encode_link
from tests.vectors import Case, case
from tests.worlds import (
    MINUTE,
    NETWORK,
    OPENS,
    SCAN_STAGE,
    World,
    balloon_world,
    key_of,
    key_of_serial,
    salt_of,
)

# 0004


def joining() -> list[Case]:
    """0004: invites, joins, further keys, cards, work, who is admitted."""
    world = World(balloons=1, witnesses=1, rounds=1)
    invite, signature, secret = world.invite("alice")
    joiner = key_of("bob").author
    join = make_join(invite, signature, secret, joiner, salt_of("bob"))
    return [
        case("an invite", "invite", bytes=encode(INVITE.write(invite)).hex()),
        case("a field less", "invite", Reason.BAD_SHAPE, bytes=encode([NETWORK]).hex()),
        *_joins(world, join, joiner),
        *_work(world),
        *_continues(world, join),
        *_cards(world),
        *_invite_links(world),
        *_admissions(),
    ]


def _joins(world: World, join: Join, joiner: AuthorKey) -> list[Case]:
    invite = join.invite
    good: dict[str, Any] = {
        "network": NETWORK.hex(),
        "campaign": world.scope.hex(),
        "joiner": joiner.hex(),
        "join_bits": 0,
    }

    def of(changed: Join) -> str:
        return encode(join_shape().write(changed)).hex()

    signature = key_of("mallory").sign_value("invite", _list(INVITE.write(invite)))
    bad: list[tuple[str, Reason, dict[str, Any]]] = [
        (
            "another network",
            Reason.WRONG_CAMPAIGN,
            {"network": bytes(16).hex()},
        ),
        ("another campaign", Reason.WRONG_CAMPAIGN, {"campaign": bytes(32).hex()}),
        (
            "another joiner",
            Reason.BAD_INVITE,
            {"joiner": key_of("mallory").author.hex()},
        ),
        (
            "an invite that another signed",
            Reason.BAD_INVITE,
            {"bytes": of(replace(join, invite_signature=signature))},
        ),
        (
            "more uses than were signed",
            Reason.BAD_INVITE,
            {"bytes": of(replace(join, invite=replace(invite, uses=9)))},
        ),
        (
            "a wrong join signature",
            Reason.BAD_INVITE,
            {"bytes": of(replace(join, join_signature=join.invite_signature))},
        ),
    ]
    return [
        case("a join", "join", bytes=of(join), **good),
        case(
            "no work is asked of a private invite",
            "join",
            bytes=of(join),
            **{**good, "join_bits": 30},
        ),
        *(
            case(
                f"a join with {name}",
                "join",
                reason,
                **{"bytes": of(join), **good, **change},
            )
            for name, reason, change in bad
        ),
    ]


def _list(value: Value) -> list[Value]:
    assert isinstance(value, list)
    return value


def _work(world: World) -> list[Case]:
    invite, signature, secret = world.invite("alice", uses=0, tag="public")
    joiner = key_of("bob").author
    salts = [salt_of("work", index) for index in range(64)]
    best = max(salts, key=lambda salt: work_bits(world.scope, joiner, salt))
    bits = work_bits(world.scope, joiner, best)
    join = make_join(invite, signature, secret, joiner, best)
    given: dict[str, Any] = {
        "bytes": encode(join_shape().write(join)).hex(),
        "network": NETWORK.hex(),
        "campaign": world.scope.hex(),
        "joiner": joiner.hex(),
    }
    return [
        *(
            case(
                f"work {index}",
                "work",
                campaign=world.scope.hex(),
                joiner=joiner.hex(),
                salt=salt.hex(),
            )
            for index, salt in enumerate((best, *salts[:3]))
        ),
        case("enough work", "join", **given, join_bits=bits),
        case(
            "a bit too little",
            "join",
            Reason.TOO_LITTLE_WORK,
            **given,
            join_bits=bits + 1,
        ),
    ]


def _continues(world: World, join: Join) -> list[Case]:
    root, new = key_of("bob"), key_of("bob 2").author
    claim = make_continue(root, join, new, salt_of("bob 2"))
    good: dict[str, Any] = {
        "bytes": encode(continue_shape().write(claim)).hex(),
        "network": NETWORK.hex(),
        "campaign": world.scope.hex(),
        "author": new.hex(),
        "join_bits": 0,
    }
    thief = replace(claim, root=key_of("mallory").author)
    forged = make_continue(key_of("mallory"), join, new, salt_of("bob 2"))
    forged = replace(forged, root=root.author)
    bad: list[tuple[str, Reason, dict[str, Any]]] = [
        ("another campaign", Reason.WRONG_CAMPAIGN, {"campaign": bytes(32).hex()}),
        (
            "another new key",
            Reason.BAD_INVITE,
            {"author": key_of("bob 3").author.hex()},
        ),
        (
            "another root",
            Reason.BAD_INVITE,
            {"bytes": encode(continue_shape().write(thief)).hex()},
        ),
        (
            "a signature that is not the root's",
            Reason.BAD_INVITE,
            {"bytes": encode(continue_shape().write(forged)).hex()},
        ),
    ]
    return [
        case("a further key", "continue", **good),
        *(
            case(f"a further key with {name}", "continue", reason, **{**good, **change})
            for name, reason, change in bad
        ),
    ]


def _cards(world: World) -> list[Case]:
    card = sign_card(key_of("bob"), NETWORK, world.scope, OPENS, b"nonce  1")
    shop = key_of("shop").author
    meant = sign_card(key_of("bob"), NETWORK, world.scope, OPENS, b"nonce  2", shop)
    given: dict[str, Any] = {
        "network": NETWORK.hex(),
        "campaign": world.scope.hex(),
    }

    def of(changed: Card) -> str:
        return encode(CARD.write(changed)).hex()

    bad = {
        "for another shop": replace(meant, merchant=key_of("bar").author),
        "another nonce": replace(card, nonce=b"nonce  9"),
        "another time": replace(card, window_ms=OPENS + 1),
        "another author": replace(card, author=shop),
    }
    return [
        case("a card", "card", bytes=of(card), **given),
        case("a card for one shop", "card", bytes=of(meant), **given),
        case(
            "a card of another campaign",
            "card",
            Reason.BAD_SIGNATURE,
            bytes=of(card),
            network=NETWORK.hex(),
            campaign=bytes(32).hex(),
        ),
        *(
            case(f"a card {name}", "card", Reason.BAD_SIGNATURE, bytes=of(one), **given)
            for name, one in bad.items()
        ),
    ]


def _invite_links(world: World) -> list[Case]:
    invite, signature, secret = world.invite("alice")
    link = InviteLink(
        invite=invite,
        signature=signature,
        secret=secret,
        title="十个红气球",
        addresses=("/ip4/127.0.0.1/tcp/4001",),
    )
    text = invite_link_text(link)
    other = replace(link, secret=Seed(bytes(32)))
    forged = replace(link, signature=Signature(bytes(64)))
    _, value = decode_link(text)
    no_slash: Value = [*_list(value)[:-1], ["example.org"]]
    return [
        case("an invite link", "invite-link", text=text),
        *(
            case(name, "invite-link", reason, text=bad)
            for name, reason, bad in (
                (
                    "a link with another secret",
                    Reason.BAD_CODE,
                    invite_link_text(other),
                ),
                (
                    "a link that nobody signed",
                    Reason.BAD_INVITE,
                    invite_link_text(forged),
                ),
                (
                    "a link with an address that is none",
                    Reason.BAD_CODE,
                    encode_link(Letter.INVITE, no_slash),
                ),
                (
                    "a link of another letter",
                    Reason.BAD_CODE,
                    encode_link(Letter.VOUCHER, value),
                ),
            )
        ),
    ]


def _admissions() -> list[Case]:
    """Small worlds without acts: look at `admitted` and `not_entered`."""
    used = World(balloons=1, witnesses=1, rounds=1)
    made = used.invite(used.sponsor, uses=1, tag="one")
    for name in ("alice", "bob"):
        used.join_by(name, made)
        used.see()
    deep = World(balloons=1, witnesses=1, rounds=1, changes={"depth": 2})
    for name, inviter in (("alice", None), ("bob", "alice"), ("carol", "bob")):
        deep.join(name, inviter)
    cycle = World(balloons=1, witnesses=1, rounds=1)
    cycle.join("alice", "bob")
    cycle.join("bob", "alice")
    keys = World(balloons=1, witnesses=1, rounds=1)
    join = keys.join("alice")
    for index in range(9):
        keys.go_on(f"alice {index}", "alice", join)
        keys.see()
    keys.join("bob", "alice 8")
    keys.join("carol", "alice 7")
    two = World(balloons=1, witnesses=1, rounds=1)
    alice, bob = two.join("alice"), two.join("bob")
    two.see()
    two.go_on("phone", "alice", alice)
    two.see()
    two.go_on("other phone", "phone", alice)
    two.go_on("third phone", "bob", bob)
    two.go_on("charity", "bob", bob)
    late = World(balloons=1, witnesses=1, rounds=1)
    invite, _, secret = late.invite(late.sponsor, tag="x")
    invite = replace(invite, expires_ms=OPENS)
    signature = late.sponsor.sign_value("invite", _list(INVITE.write(invite)))
    late.join_by("alice", (invite, signature, secret))
    named = World(balloons=1, witnesses=1, rounds=1)
    named.enter(named.charity)
    named.enter(key_of("mallory"))
    named.join("alice", named.charity)
    named.join("bob", "mallory")
    public = World(balloons=1, witnesses=1, rounds=1, changes={"join_bits": 12})
    public.join("alice", uses=0)
    return [
        settle_case("one use, two joins", used),
        settle_case("three levels of two", deep),
        settle_case("a cycle of invites", cycle),
        settle_case("nine further keys", keys),
        settle_case("a further key of a further key, a named key as a phone", two),
        settle_case("an invite that expired", late),
        settle_case("a named key invites, another does not enter", named),
        settle_case("a public join without work", public),
    ]


# 0005


def terms() -> list[Case]:
    """0005: terms and their ids; each relation broken alone; shapes."""
    good = World(balloons=3, witnesses=4, rounds=2).terms
    merchant = _party("shop")
    full = replace(
        good,
        named=_by_key(merchant, _party("bar", role=Role.HOST)),
        stages=(*good.stages, _buy()),
    )
    cases = [
        case("balloons", "terms", bytes=_terms_hex(good)),
        case("a shop and a bar", "terms", bytes=_terms_hex(full)),
        case(
            "one witness",
            "terms",
            bytes=_terms_hex(World(balloons=1, witnesses=1).terms),
        ),
    ]
    cases += [
        case(
            name, "terms", Reason.BAD_TERMS, layer=f"7.{number}", bytes=_terms_hex(bad)
        )
        for number, name, bad in _broken(full)
    ]
    value = _list(TERMS.write(full))
    stage = _list(_list(value[13])[0])
    shapes: dict[str, list[Value]] = {
        "a field less": value[:-1],
        "a title of 193 bytes": ["x" * 193, *value[1:]],
        "no sponsor": _at(value, 5, []),
        "sponsor keys descending": _at(value, 5, [b"\x02" * 32, b"\x01" * 32]),
        "no witnesses": _at(value, 6, []),
        "eight witnesses": _at(value, 6, [[bytes([k]) * 32, ""] for k in range(8)]),
        "no rounds": _at(value, 7, []),
        "no stages": _at(value, 13, []),
        "seen every 99 ms": _at(value, 8, 99),
        "no depth": _at(value, 18, 0),
        "31 bits of work": _at(value, 17, 31),
        "a stage's line 2": _at(value, 13, [_at(stage, 1, 2)]),
        "a stage's act 8": _at(value, 13, [_at(stage, 2, 8)]),
        "a stage's grade 8": _at(value, 13, [_at(stage, 4, 8)]),
        "by_invitee as a number": _at(value, 13, [_at(stage, 6, [[0, 0]])]),
        "a rule that is none": _at(value, 13, [_at(stage, 14, [[8], 1, 0, 0, 0])]),
        "a ratio over 0": _at(
            value, 13, [_at(stage, 14, [[3, [1, 0], [1, 2]], 1, 0, 0, 0])]
        ),
        "a condition that counts 4": _at(value, 14, [[0, 4, 1]]),
    }
    cases += [
        case(name, "terms", Reason.BAD_SHAPE, layer="shape", bytes=encode(bad).hex())
        for name, bad in shapes.items()
    ]
    return cases


def _at(value: Sequence[Value], place: int, new: Value) -> list[Value]:
    return [*value[:place], new, *value[place + 1 :]]


def _terms_hex(terms: Terms) -> str:
    return encode(TERMS.write(terms)).hex()


def _party(
    name: str, role: int = Role.MERCHANT, keys: Sequence[str] = (), most: int = 10**9
) -> Party:
    return Party(
        keys=tuple(sorted(key_of(one).author for one in (name, *keys))),
        role=role,
        name=name,
        amount_max=most,
        per_day_max=most,
        total_max=most,
    )


def _by_key(*parties: Party) -> tuple[Party, ...]:
    return tuple(sorted(parties, key=lambda one: one.keys[0]))


def _reward(**how: Any) -> Reward:
    fields = {
        "rule": Halving(),
        "amount": 0,
        "percent_bp": 0,
        "host_bp": 0,
        "back_bp": 0,
    }
    return Reward(**{**fields, **how})


def _buy(**how: Any) -> Stage:
    fields = {
        "id": "buy",
        "act": Act.OUTCOME,
        "tags": None,
        "grade": 5,
        "once": Once.NEVER,
        "reward": _reward(percent_bp=1_000),
    }
    return replace(SCAN_STAGE, **{**fields, **how})


def _broken(good: Terms) -> list[tuple[int, str, Terms]]:
    """One relation broken each, with its number in 0005 §7."""
    first, second = good.rounds
    scan, buy = good.stages
    assert buy.reward is not None
    two = good.witnesses[:2]
    last = second.final_from

    def rounds(*changed: Any) -> Terms:
        return replace(good, rounds=changed)

    def stage(**change: Any) -> Terms:
        return replace(good, stages=(scan, replace(buy, **change)))

    def first_stage(**change: Any) -> Terms:
        return replace(good, stages=(replace(scan, **change), buy))

    def pay(**change: Any) -> Terms:
        assert buy.reward is not None
        return stage(reward=replace(buy.reward, **change))

    shared = replace(_party("zoo"), keys=good.named[0].keys)
    twice = tuple(sorted((*good.named, shared), key=lambda one: one.keys[0]))
    return [
        (1, "two witnesses", replace(good, witnesses=two)),
        (2, "witnesses out of order", replace(good, witnesses=good.witnesses[::-1])),
        (
            2,
            "a witness four times",
            replace(good, witnesses=(good.witnesses[0],) * 4),
        ),
        (3, "parties out of order", replace(good, named=good.named[::-1])),
        (4, "a key in two parties", replace(good, named=twice)),
        (5, "a stage id twice", stage(id="find")),
        (6, "a group name twice", replace(good, groups=good.groups * 2)),
        (
            7,
            "a round that ends as it opens",
            rounds(replace(first, closes=first.opens)),
        ),
        (
            7,
            "a round that opens before the one before",
            rounds(first, replace(second, opens=first.opens - 1)),
        ),
        (
            8,
            "accepted before it closes",
            rounds(replace(first, accept_until=first.closes - 1), second),
        ),
        (
            8,
            "final when it still accepts",
            rounds(replace(first, final_from=first.accept_until), second),
        ),
        (
            8,
            "a final in the year 10000",
            replace(
                rounds(first, replace(second, final_from=TIME_MAX + 1)),
                redeem_until=INT_MAX,
            ),
        ),
        (
            9,
            "two rounds that close at once",
            rounds(first, replace(second, closes=first.closes)),
        ),
        (10, "a refund longer than the rounds", stage(refund_ms=3 * 3_600_000)),
        (11, "redeemed before the last final", replace(good, redeem_until=last)),
        (12, "an act that is none", stage(act=3)),
        (12, "a scan without tags", first_stage(tags=None)),
        (12, "a scan of a group without a name", first_stage(tags="")),
        (12, "after itself", stage(after=(After(stage=1, by_invitee=False),))),
        (12, "a scan that is refunded", first_stage(refund_ms=1)),
        (12, "no amount", pay(percent_bp=0)),
        (12, "an amount and a share", pay(amount=1)),
        (
            12,
            "a share of a scan",
            first_stage(reward=_reward(percent_bp=1)),
        ),
        (12, "more than all", pay(host_bp=6_000, back_bp=4_001)),
        (13, "a condition on no stage", _condition(good, 2, 1)),
        (13, "a condition on no group", _condition(good, 1, 1)),
        (13, "more tags than the group has", _condition(good, 0, 4)),
    ]


def _condition(good: Terms, stage: int, least: int) -> Terms:
    one = Condition(stage=stage, count=Count.DISTINCT_TAGS, least=least)
    return replace(good, conditions=(one,))


# 0007


def tags() -> list[Case]:
    """0007: entries, codes, and what each carrier's evidence proves."""
    return [*_codes(), *_evidence()]


def _entry(public: Any = None, **how: Any) -> TagEntry:
    fields = {
        "issuer": key_of("sponsor").author,
        "batch": salt_of("batch"),
        "index": 0,
        "public": public or Printed(),
        "host": None,
        "label": "气球 1",
        "place": "lake",
        "valid_from": 0,
        "valid_until": 0,
    }
    return TagEntry(**{**fields, **how})


def _codes() -> list[Case]:
    issuer, world = key_of("sponsor"), World(balloons=1, witnesses=1, rounds=1)
    serial, secret = world.entries[0], world.secrets[0]
    printed = make_printed(issuer, _entry())
    one = make_serial(issuer, serial, 0, secret)
    entry: Value = ENTRY.write(serial)
    signature = sign_entry(issuer, serial)
    other: Value = ENTRY.write(_entry())
    bad: list[tuple[str, Reason, list[Value]]] = [
        ("another carrier than its entry's", Reason.BAD_CODE, [1, entry, signature]),
        (
            "a serial for a printed tag",
            Reason.BAD_CODE,
            [2, other, signature, 0, secret],
        ),
        (
            "a serial it does not have",
            Reason.BAD_CODE,
            [2, entry, signature, 1, secret],
        ),
        ("another's secret", Reason.BAD_CODE, [2, entry, signature, 0, bytes(16)]),
        ("a field less", Reason.BAD_CODE, [2, entry, signature, 0]),
        ("a carrier that has no code", Reason.BAD_CODE, [3, entry, signature]),
        (
            "a serial that nobody signed",
            Reason.BAD_SIGNATURE,
            [2, entry, bytes(64), 0, secret],
        ),
        ("a print that nobody signed", Reason.BAD_SIGNATURE, [1, other, signature]),
    ]
    return [
        case("an entry", "entry", bytes=encode(ENTRY.write(_entry())).hex()),
        case("a balloon's entry", "entry", bytes=encode(entry).hex()),
        case("a printed code", "code", text=printed),
        case("a serial's code", "code", text=one),
        case(
            "a code of another letter",
            "code",
            Reason.BAD_CODE,
            text=one.replace("T/", "C/"),
        ),
        *(
            case(
                f"a code with {name}",
                "code",
                reason,
                text=encode_link(Letter.TAG, value),
            )
            for name, reason, value in bad
        ),
    ]


def _evidence() -> list[Case]:
    stage = replace(SCAN_STAGE, fresh_ms=10_000, late_ms=5 * MINUTE)
    world = World(balloons=1, witnesses=1, rounds=1, stages=(stage,))
    dave, scope, issuer = key_of("dave").author, world.scope, world.sponsor
    balloon, secret = world.entries[0], world.secrets[0]
    once = key_of("tap").author
    screen = _entry(Rotating(device=key_of("screen").author, window_ms=MINUTE))
    chip = _entry(Taps(first=7, count=1, root=serial_root([once])))
    gate = _entry(Machine(device=dave))
    start = world.now - world.now % MINUTE

    def serial(
        index: int = 0, who: AuthorKey = dave, where: Scope = scope
    ) -> SerialProof:
        seed = serial_seed(secret, balloon.issuer, balloon.batch, balloon.index, 0)
        return sign_serial(seed, index, NETWORK, where, who, tag_id(balloon))

    def tap(counter: int = 7, key: str = "tap", who: AuthorKey = dave) -> TapProof:
        signed = key_of(key).sign_value("serial", [NETWORK, scope, who, tag_id(chip)])
        return TapProof(counter=counter, key=key_of(key).author, signature=signed)

    def code(ago: int, shift: int = 0, key: str = "screen") -> RotatingCode:
        at = start - ago * MINUTE + shift
        signed = key_of(key).sign_value("code", [tag_id(screen), at])
        return RotatingCode(window_start=at, signature=signed)

    printed, keys = _entry(), (key_of_serial(balloon, secret),)
    text = PrintedText(signature=sign_entry(issuer, printed))
    goods = _entry(Gs1(key="0614141123452"))
    made: list[tuple[str, TagEntry, TagEvidence, Sequence[bytes]]] = [
        ("nothing of a printed tag", printed, Bare(), ()),
        ("a printed text", printed, text, ()),
        ("a printed text of another tag", _entry(index=1), text, ()),
        ("a serial", balloon, serial(), keys),
        ("a serial that is not listed", balloon, serial(), ()),
        ("a serial at another index", balloon, serial(index=1), (*keys, once)),
        ("a serial for another author", balloon, serial(who=once), keys),
        (
            "a serial for another campaign",
            balloon,
            serial(where=Scope(bytes(32))),
            keys,
        ),
        ("a printed text of a serial's tag", balloon, text, keys),
        ("this window's code", screen, code(0), ()),
        ("the next window's code, a minute early", screen, code(-1), ()),
        ("a code two windows early", screen, code(-2), ()),
        ("the last window's code", screen, code(1), ()),
        ("a stale code", screen, code(9), ()),
        ("a code off its grid", screen, code(0, shift=1), ()),
        ("a code of another screen", screen, code(0, key="tv"), ()),
        ("a tap", chip, tap(), (once,)),
        ("a tap below the first counter", chip, tap(counter=6), (once,)),
        ("a tap above the list", chip, tap(counter=8), (once,)),
        ("a tap by another key", chip, tap(key="other tap"), (once,)),
        ("a device itself", gate, Bare(), ()),
        ("another than the device", _entry(Machine(device=once)), Bare(), ()),
        ("a barcode", goods, Gs1Text(key="0614141123452"), ()),
        ("another barcode", goods, Gs1Text(key="0614141123453"), ()),
        ("a tap for another author", chip, tap(who=once), (once,)),
    ]
    world.join("dave")
    cases = []
    for name, entry, evidence, listed in made:
        world.now = start + 30_000
        scan = world.read("dave", entry, evidence)
        for ago, words in ((0, name), (10 * MINUTE, f"{name}, seen later")):
            if ago and evidence.tag != 3:
                continue
            cases.append(
                case(
                    words,
                    "evidence",
                    terms=_terms_hex(world.terms),
                    entry=encode(ENTRY.write(entry)).hex(),
                    scan=encode_record(scan).hex(),
                    evidence=encode(EVIDENCE.write(evidence)).hex(),
                    keys=[key.hex() for key in listed],
                    witness_time=scan.header.time_ms + ago,
                )
            )
    return cases


# 0008


def declared_json(declared: Declared, *, rows: bool = False) -> dict[str, Any]:
    """A declared round in JSON; rows only where they are read."""
    return {
        "round": declared.round,
        "finals": [one.hex() for one in declared.finals],
        "cut": [encode(CUT_ENTRY.write(one)).hex() for one in declared.cut],
        "forks": [encode(FORK_ENTRY.write(one)).hex() for one in declared.forks],
        "rows": [encode(ROW.write(one)).hex() for one in declared.rows] if rows else [],
        "lines": [encode(LINE.write(one)).hex() for one in declared.lines],
    }


def counted_hex(world: World, rounds: Sequence[Declared]) -> list[str]:
    """The records under the cuts, by (author, seq)."""
    found: dict[RecordId, Record] = {}
    by_id = {record.id: record for record in world.records}
    for declared in rounds:
        for entry in declared.cut:
            wanted, record = entry.id, by_id[entry.id]
            while wanted not in found:
                record = by_id[wanted]
                found[wanted] = record
                if record.seq == 0:
                    break
                wanted = record.header.backlink
    ordered = sorted(found.values(), key=lambda one: (one.author, one.seq, one.id))
    return [encode_record(one).hex() for one in ordered]


def settle_case(
    name: str,
    world: World,
    *,
    rounds: Sequence[int] = (1,),
    between: Callable[[World], None] | None = None,
    more: int = 0,
) -> Case:
    """Close rounds honestly; `between` plays after the first, which signs `more`."""
    declared: list[Declared] = []
    previous: Record | None = None
    for number in rounds:
        world.finish_round(number)
        closing: Closing = world.settle(number, previous)
        made = replace(
            closing.declared,
            lines=closing.settlement.lines,
            rows=closing.settlement.rows,
        )
        if number == 1 and more:
            first, *rest = made.lines
            first = replace(first, amount=first.amount + more)
            made = replace(made, lines=(first, *rest))
        declared.append(made)
        previous = world.close(number, previous)
        if number == 1 and between is not None:
            between(world)
    return case(
        name,
        "settle",
        terms=_terms_hex(world.terms),
        records=counted_hex(world, declared),
        rounds=[declared_json(one) for one in declared],
    )


def settlement() -> list[Case]:
    """0008: small worlds from evidence to statement, and cuts that lie."""
    return [*_balloons(), *_shops(), *_visits(), *_rounds(), *_cuts()]


SMALL = {"balloons": 3, "witnesses": 1}


def _balloons() -> list[Case]:
    all_found = balloon_world(**SMALL, rounds=1)
    two_of_three = World(balloons=3, witnesses=1, rounds=1)
    two_of_three.join("dave")
    two_of_three.scan("dave", 0)
    two_of_three.scan("dave", 1)
    late = World(balloons=2, witnesses=1, rounds=2)
    late.join("alice")
    late.join("bob", "alice")
    late.scan("bob", 0)
    forked = World(balloons=2, witnesses=1, rounds=1)
    forked.join("alice")
    forked.join("bob", "alice")
    one = forked.scan("bob", 0)
    forked.scan("alice", 1)
    forked.see()
    other = forked.fork("bob", Kind.ERASE, forked.erase_claim(one))
    forked.report_fork(one, other)
    levels = balloon_world(
        **SMALL,
        changes={
            "limits": Limits(paid_levels=2, per_person_per_day=0, place_interval_ms=0)
        },
    )
    long = World(balloons=1, witnesses=1, rounds=1)
    people = [f"member {level}" for level in range(20)]
    for inviter, name in zip([None, *people], people, strict=False):
        long.join(name, inviter)
    long.scan(people[-1], 0)
    short = balloon_world(**SMALL, budget=1_000_001)
    erased = World(balloons=2, witnesses=1, rounds=1)
    erased.join("dave")
    gone = erased.scan("dave", 0)
    erased.erase("dave", gone)
    erased.scan("dave", 1)
    shared = World(balloons=2, witnesses=1, rounds=1)
    invite = shared.invite(shared.sponsor)
    for balloon, name in enumerate(("erin", "frank")):
        shared.join_by(name, invite)
        shared.see()
        shared.scan(name, balloon)
    cases = [
        settle_case("three balloons", all_found),
        settle_case("a scan by who came too late for an invite", shared),
        settle_case("two balloons of three", two_of_three),
        settle_case("a late round", late, rounds=(1, 2), between=_later),
        settle_case("a fork", forked),
        settle_case("two paid levels", levels),
        settle_case("a chain of twenty, until a share is nothing", long),
        settle_case("the budget runs out", short),
        settle_case("the budget is out", balloon_world(**SMALL, budget=800_000)),
        settle_case("a scan erased before it counted", erased),
    ]
    return [*cases, _dropped(), _lost_join()]


def _lost_join() -> Case:
    """The claim of a join is nobody's to drop: without it there is no answer."""
    world = World(balloons=1, witnesses=1, rounds=1)
    join = world.join("dave")
    world.scan("dave", 0)
    world.finish_round(1)
    declared = world.settle(1).declared
    world.drop_claim(join)
    return case(
        "a join without its claim",
        "settle",
        Reason.INCOMPLETE,
        terms=_terms_hex(world.terms),
        records=counted_hex(world, [declared]),
        rounds=[declared_json(declared)],
    )


def _later(world: World) -> None:
    join = next(one for one in world.records if one.author == key_of("bob").author)
    world.go_on("bob 2", "bob", join)
    world.scan("bob 2", 1)


def _dropped() -> Case:
    """A claim that is erased after it counted: the committed row stands for it."""
    world = World(balloons=2, witnesses=1, rounds=1)
    world.join("dave")
    scan = world.scan("dave", 0)
    world.scan("dave", 1)
    world.finish_round(1)
    closing = world.settle(1)
    world.drop_claim(scan)
    declared = replace(closing.declared, rows=closing.settlement.rows)
    return case(
        "an erased claim and its row",
        "settle",
        terms=_terms_hex(world.terms),
        records=counted_hex(world, [declared]),
        rounds=[declared_json(declared, rows=True)],
    )


def _shop_world(stage: Stage | None = None, **how: Any) -> World:
    visit = replace(
        SCAN_STAGE, id="visit", tags="shops", grade=1, once=Once.NEVER, reward=None
    )
    stages = (stage or _buy(), visit)
    fields = {"conditions": (), "named": _by_key(_party("shop", keys=["till"]))}
    world = World(
        balloons=1,
        witnesses=1,
        rounds=2,
        stages=stages,
        changes={**fields, **how},
    )
    world.enter(key_of("shop"))
    world.join("dave")
    return world


def _photo(world: World, name: str, entry: TagEntry, stage: int = 1) -> Record:
    issuer = world.sponsor if entry.issuer == world.sponsor.author else key_of("shop")
    return world.read(
        name, entry, PrintedText(signature=sign_entry(issuer, entry)), stage
    )


def _shops() -> list[Case]:
    cards = _shop_world(_buy(grade=0))
    cards.join("mallory")
    cards.outcome("shop", "dave", 12_345, card=cards.card("dave"))
    cards.outcome("shop", "dave", 500, card=cards.card("dave"))
    cards.outcome("shop", "dave", 700)
    cards.outcome("mallory", "dave", 900, card=cards.card("dave", b"nonce  2"))
    cards.outcome("shop", "zoe", 900, card=cards.card("zoe"))
    caps = _shop_world(named=_by_key(_party("shop", most=1_000, keys=["till"])))
    caps.enter(key_of("till"))
    for index, (till, amount) in enumerate(
        (("shop", 1_001), ("shop", 700), ("till", 301))
    ):
        card = caps.card("dave", f"nonce {index:2}".encode())
        caps.outcome(till, "dave", amount, card=card)
    refunds = _shop_world(_buy(refund_ms=70 * MINUTE, grade=7))
    refunds.enter(key_of("till"))
    refunds.join("mallory")
    kept = refunds.outcome("shop", "dave", 9_999, card=refunds.card("dave"))
    whole = refunds.outcome("shop", "dave", 100, card=refunds.card("dave", b"nonce  2"))
    refunds.reverse("till", kept, 1_000)
    refunds.reverse("shop", whole, 60)
    refunds.reverse("shop", whole, 60)
    refunds.reverse("mallory", kept, 5)
    hosts = _hosted()
    return [
        settle_case("outcomes with a card", cards),
        settle_case("a merchant's caps", caps),
        settle_case("refunds", refunds, rounds=(1, 2), between=lambda w: None),
        settle_case("host and back shares", hosts),
    ]


def _hosted() -> World:
    reward = _reward(percent_bp=1_000, host_bp=2_500, back_bp=1_111)
    world = _shop_world(
        _buy(reward=reward),
        named=_by_key(_party("shop"), _party("bar", role=Role.HOST, keys=["bar 2"])),
    )
    world.enter(key_of("bar 2"))
    world.join("eve", "dave")
    entry = _entry(issuer=key_of("shop").author, host=key_of("bar").author)
    world.tags("shops", [entry])
    scan = _photo(world, "eve", entry)
    world.attest("bar 2", "eve", scan)
    world.outcome("shop", "eve", 7_777, after=(scan.id,))
    world.outcome("shop", "eve", 50, after=(scan.id,))
    return world


def _visit_world(stage: dict[str, Any], **how: Any) -> World:
    fields = {
        "id": "visit",
        "tags": "shops",
        "grade": 1,
        "once": Once.NEVER,
        "reward": _reward(rule=Flat(first=0), amount=1_000),
    }
    stages = (replace(SCAN_STAGE, **{**fields, **stage}),)
    world = World(
        balloons=1,
        witnesses=1,
        rounds=how.pop("rounds", 1),
        stages=how.pop("stages", stages),
        changes={"conditions": (), **how},
    )
    world.join("dave")
    return world


def _rounds() -> list[Case]:
    """What one round hands to the next."""
    skipped, new, much = (
        World(balloons=1, witnesses=1, rounds=3, stages=(_PAID_VISIT,), changes=_FREE)
        for _ in range(3)
    )
    for world in (skipped, new, much):
        world.join("dave")
        world.tags("shops", [_entry(index=1), _entry(index=2)])
        _photo(world, "dave", _entry(index=1), 0)
    open_ = World(balloons=1, witnesses=1, rounds=2, budget=2_000_000)
    open_.join("alice")
    open_.join("bob", "alice")
    open_.scan("bob", 0)
    forked = World(balloons=2, witnesses=1, rounds=2)
    forked.join("alice")
    forked.join("bob", "alice")
    forked.scan("alice", 1)
    one = forked.scan("bob", 0)

    def fork(world: World) -> None:
        other = world.fork("bob", Kind.ERASE, world.erase_claim(one))
        world.report_fork(one, other)
        world.scan("alice", 0)

    above = World(balloons=1, witnesses=1, rounds=1)
    above.join("bob")
    found = above.scan("bob", 0)
    note = replace(above.erase_claim(found), claim=False)
    last = above.write(key_of("bob"), Kind.ERASE, note)
    above.see()
    twin = above.fork("bob", Kind.ERASE, replace(note, salt=salt_of("other")))
    above.report_fork(last, twin)
    tills = _shop_world(_buy(grade=0))
    sold = tills.outcome("shop", "dave", 5_000, card=tills.card("dave"))
    other = tills.fork("shop", Kind.ERASE, tills.erase_claim(sold))
    tills.report_fork(sold, other)
    return [
        settle_case("a round is skipped", skipped, rounds=(1, 3), between=_again),
        settle_case(
            "a second round pays only what is new", new, rounds=(1, 2), between=_again
        ),
        settle_case(
            "a close that signed too much",
            much,
            rounds=(1, 2),
            between=_again,
            more=5_000,
        ),
        settle_case("the first of two rounds pays no residue", open_),
        settle_case(
            "a fork listed in the second round", forked, rounds=(1, 2), between=fork
        ),
        settle_case("a fork above an act", above),
        _forked_before_it_is_paid(),
        settle_case("a merchant's fork", tills),
        _stays_met(),
    ]


_PAID_VISIT = replace(
    SCAN_STAGE,
    id="visit",
    tags="shops",
    grade=1,
    once=Once.NEVER,
    reward=_reward(rule=Flat(first=0), amount=1_000),
)
_FREE: dict[str, Any] = {"conditions": ()}


def _again(world: World) -> None:
    _photo(world, "dave", _entry(index=2), 0)


def _forked_before_it_is_paid() -> Case:
    """An act of round 1 is attested in round 2, which lists a fork below it."""
    world = _visit_world({"grade": 5}, named=_by_key(_party("shop")), rounds=2)
    world.enter(key_of("shop"))
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry, 0)

    def fork(world: World) -> None:
        world.attest("shop", "dave", scan)
        claim = replace(scan.claim(), salt=salt_of("other"))
        world.report_fork(scan, world.fork("dave", Kind.SCAN, claim))

    name = "a fork listed before its act is paid, after it counted"
    return settle_case(name, world, rounds=(1, 2), between=fork)


def _stays_met() -> Case:
    """Two buyers in round 1, of whom one is over the shop's cap in round 2.

    The second purchase found no budget and counted all the same; in round 2 an
    earlier one, too small to be paid, is bound and uses the cap up.
    """
    party = replace(_party("shop"), total_max=1_530, per_day_max=1_530)
    world = _shop_world(
        _buy(grade=0, reward=_reward(percent_bp=100)),
        conditions=(Condition(stage=0, count=Count.PERSONS, least=2),),
        named=_by_key(party),
        budget=10,
    )
    world.join("eve")
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    world.outcome("shop", "dave", 1_000, card=world.card("dave"))
    world.see()
    place = world.scope, key_of("dave").author
    joined = world.heads[place]
    scan = _photo(world, "dave", entry)
    hidden, world.heads[place] = world.heads[place], joined
    world.outcome("shop", "dave", 40, after=(scan.id,))
    world.see()
    world.outcome("shop", "eve", 500, card=world.card("eve"))
    world.see()
    world.heads[place] = hidden
    world.now = world.terms.rounds[0].accept_until + 1
    return settle_case("a condition that was met stays met", world, rounds=(1, 2))


def _visits() -> list[Case]:
    days = Limits(paid_levels=0, per_person_per_day=2, place_interval_ms=10 * MINUTE)
    often = _visit_world({}, limits=days)
    lake, hill = _entry(index=1), _entry(index=2, place="hill")
    bare = _entry(index=3, place="")
    off = _entry(index=4, valid_until=OPENS)
    often.tags("shops", [lake, hill, bare, off])
    for entry in (lake, hill, lake, bare, lake, off, _entry(index=9)):
        _photo(often, "dave", entry, 0)
    posing = _visit_world({}, limits=days)
    poser = _entry(index=5, place=tag_id(bare).hex())
    posing.tags("shops", [bare, poser])
    for entry in (bare, poser):
        _photo(posing, "dave", entry, 0)
    first = _visit_world(
        {"reward": _reward(rule=Flat(first=1), amount=7), "once": Once.PERSON_TAG}
    )
    first.tags("shops", [lake])
    for name in ("dave", "dave"):
        _photo(first, name, lake, 0)
    early = _visit_world({"opens": OPENS + 10 * MINUTE, "closes": OPENS + 20 * MINUTE})
    early.tags("shops", [lake])
    for minutes in (5, 15, 25):
        early.now = OPENS + minutes * MINUTE
        _photo(early, "dave", lake, 0)
        early.see()
    revoked = _visit_world({})
    revoked.tags("shops", [lake])
    _photo(revoked, "dave", lake, 0)
    revoked.see()
    revoked.tags("shops", [], revoked=(tag_id(lake),))
    revoked.see()
    _photo(revoked, "dave", lake, 0)
    _photo(revoked, "dave", lake, 3)
    screens = _screens(("dave", 0), ("eve", 0), ("eve", 5), ("eve", 1), per_window=1)
    stale = _screens(("dave", 5), ("dave", 0), once=Once.PERSON)
    return [
        settle_case("days and places", often),
        settle_case("a place that is called as a tag is", posing),
        settle_case("the first only", first),
        settle_case("before a stage opens, and after", early),
        settle_case("a revoked tag, an unknown stage", revoked),
        settle_case("screens: fresh, stale, one a window", screens),
        settle_case("a refused act uses nothing up", stale),
        settle_case("chips: a harvested tap", _chips()),
        settle_case("invited, attested, after", _journey()),
    ]


def _screens(*seen: tuple[str, int], **stage: Any) -> World:
    """Who reads a screen's code of how many windows ago."""
    world = _visit_world({"grade": 3, "fresh_ms": 10_000, **stage})
    world.join("eve")
    screen = _entry(Rotating(device=key_of("screen").author, window_ms=MINUTE))
    world.tags("shops", [screen])
    world.now += MINUTE
    start = world.now - world.now % MINUTE
    for name, ago in seen:
        at = start - ago * MINUTE
        signed = key_of("screen").sign_value("code", [tag_id(screen), at])
        world.read(name, screen, RotatingCode(window_start=at, signature=signed))
    return world


def _chips() -> World:
    world = _visit_world({"grade": 2, "late_ms": MINUTE})
    keys = [key_of(f"tap {index}") for index in range(3)]
    public = Taps(first=5, count=3, root=serial_root([key.author for key in keys]))
    chip = _entry(public)
    world.tags("shops", [chip], [[key.author for key in keys]])
    for index in (1, 2, 0, 2):
        value: list[Value] = [NETWORK, world.scope, key_of("dave").author, tag_id(chip)]
        signed = keys[index].sign_value("serial", value)
        world.read(
            "dave",
            chip,
            TapProof(counter=5 + index, key=keys[index].author, signature=signed),
        )
        world.see()
        world.now += 2 * MINUTE
    return world


def _journey() -> World:
    """Joins count once a merchant attests them; who invited one may visit."""
    joins = replace(
        SCAN_STAGE,
        id="join",
        act=Act.JOIN,
        tags=None,
        grade=5,
        once=Once.PERSON,
        reward=_reward(amount=3),
    )
    visit = replace(
        SCAN_STAGE,
        id="visit",
        tags="shops",
        grade=5,
        once=Once.PERSON_DAY,
        after=(After(stage=0, by_invitee=True),),
        reward=_reward(rule=Flat(first=0), amount=100),
    )
    word = replace(
        SCAN_STAGE,
        id="word",
        act=Act.ATTEST,
        tags=None,
        grade=5,
        once=Once.NEVER,
        after=(After(stage=1, by_invitee=False),),
        reward=_reward(amount=11, back_bp=1_000),
    )
    world = _visit_world({}, stages=(joins, visit, word), named=(_party("shop"),))
    world.enter(key_of("shop"))
    eve = world.join("eve", "dave")
    shop_tag = _entry(issuer=key_of("shop").author)
    world.tags("shops", [shop_tag])
    world.attest("shop", "eve", eve, card=world.card("eve"))
    world.see()
    for name in ("eve", "dave"):
        scan = _photo(world, name, shop_tag, 1)
        world.see()
        world.attest("shop", name, scan, stage=2)
        world.see()
    return world


def _cuts() -> list[Case]:
    """Declared rounds that contradict themselves, the terms or the records."""
    world = World(balloons=1, witnesses=1, rounds=2, budget=1_000)
    world.join("alice")
    world.join("bob", "alice")
    world.scan("bob", 0)
    world.finish_round(1)
    declared = world.settle(1).declared
    records = counted_hex(world, [declared])
    given = {"terms": _terms_hex(world.terms), "records": records}
    a, b, *_ = declared.cut
    bob = next(one for one in declared.cut if one.author == key_of("bob").author)

    def cut_with(**change: Any) -> Declared:
        entries = tuple(
            replace(one, **change) if one is bob else one for one in declared.cut
        )
        return replace(declared, cut=entries)

    late = world.terms.rounds[0].accept_until + 1
    time = bob.steps[0][1]
    forged = replace(declared, forks=declared.forks + _fork_entries(b.author, a.author))
    lies: dict[str, Declared] = {
        "round 0": replace(declared, round=0),
        "a round the terms lack": replace(declared, round=3),
        "entries descending": replace(declared, cut=declared.cut[::-1]),
        "an author twice": replace(declared, cut=(a, a, *declared.cut[1:])),
        "forks descending": forged,
        "no finals": replace(declared, finals=()),
        "two finals of one": replace(
            declared, finals=(*declared.finals, RecordId(bytes(32)))
        ),
        "steps that begin above seq 0": cut_with(steps=((1, time),)),
        "steps beyond the head": cut_with(steps=((0, time), (2, time + 1))),
        "steps that stand still": cut_with(steps=((0, time), (0, time + 1))),
        "times that stand still": cut_with(steps=((0, time), (1, time))),
        "times that fall": cut_with(steps=((0, time), (1, time - 1))),
        "seen after accept_until": cut_with(steps=((0, late),)),
        "another's head": cut_with(id=a.id),
        "another seq of the head": cut_with(seq=bob.seq + 1),
    }
    again = replace(declared, round=2)
    lying = [
        case(name, "settle", Reason.WRONG_CUT, **given, rounds=[declared_json(lie)])
        for name, lie in lies.items()
    ]
    gone = [one for one in records if encode_record(_by_id(world, bob.id)).hex() != one]
    reserved = replace(
        world.terms.stages[0], reward=_reward(rule=FairSplit(), amount=1_000)
    )
    unpaid = World(balloons=1, witnesses=1, rounds=1, stages=(reserved,))
    unpaid.join("alice")
    unpaid.scan("alice", 0)
    bare = _dropped()
    return [
        *lying,
        case(
            "a round again",
            "settle",
            Reason.WRONG_CUT,
            **given,
            rounds=[declared_json(declared), declared_json(declared)],
        ),
        case(
            "the same records again",
            "settle",
            Reason.WRONG_CUT,
            **given,
            rounds=[declared_json(declared), declared_json(again)],
        ),
        case(
            "a record that is missing",
            "settle",
            Reason.INCOMPLETE,
            terms=given["terms"],
            records=gone,
            rounds=[declared_json(declared)],
        ),
        case(
            "an erased claim without its row",
            "settle",
            Reason.INCOMPLETE,
            terms=bare["in"]["terms"],
            records=bare["in"]["records"],
            rounds=[{**bare["in"]["rounds"][0], "rows": []}],
        ),
        case(
            "a row that the header contradicts",
            "settle",
            Reason.WRONG_CUT,
            terms=bare["in"]["terms"],
            records=bare["in"]["records"],
            rounds=[_moved_row(bare["in"]["rounds"][0])],
        ),
        _reserved_rule(unpaid),
    ]


def _by_id(world: World, record_id: RecordId) -> Record:
    return next(one for one in world.records if one.id == record_id)


def _fork_entries(*authors: AuthorKey) -> Any:
    ids = {"id_a": RecordId(bytes(32)), "id_b": RecordId(b"\x01" * 32)}
    return tuple(ForkEntry(author=one, seq=0, **ids) for one in authors)


def _moved_row(declared: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for row in declared["rows"]:
        value = _list(decode(bytes.fromhex(row), 49_152))
        act_time = value[9]
        assert isinstance(act_time, int)
        rows.append(encode([*value[:9], act_time + 1]).hex())
    return {**declared, "rows": rows}


def _reserved_rule(world: World) -> Case:
    world.finish_round(1)
    evidence = world.evidence()
    finals = tuple(one.id for one in finals_at_hand(world.terms, 1, evidence))
    found = cover(world.terms, 1, finals, evidence.lookup, {})
    declared = Declared(round=1, finals=finals, cut=found.cut, forks=found.forks)
    return case(
        "a rule of a later version",
        "settle",
        Reason.BAD_TERMS,
        terms=_terms_hex(world.terms),
        records=counted_hex(world, [declared]),
        rounds=[declared_json(declared)],
    )
