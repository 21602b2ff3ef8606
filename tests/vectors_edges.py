"""Vectors of times and amounts at which one millisecond or one unit decides. 0008."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocols.claims import Kind
from protocols.join import sign_invite
from protocols.record import Record
from protocols.tags.entry import (
    PrintedText,
    Rotating,
    RotatingCode,
    sign_entry,
    tag_id,
)
from protocols.terms import Act, After, Flat, Limits, Once, Role
from tests.vectors import Case
from tests.vectors_campaign import (
    _buy,
    _by_key,
    _entry,
    _party,
    _photo,
    _reward,
    _shop_world,
    _visit_world,
    settle_case,
)
from tests.worlds import MINUTE, OPENS, World, key_of

TEN = 10 * MINUTE


def edges() -> list[Case]:
    """Each with an act that just passes and one that just does not."""
    return [
        settle_case("two places exactly the interval apart", _places()),
        settle_case("mature exactly at accept_until", _mature()),
        settle_case("the last moment of a tag", _valid()),
        settle_case("exactly a merchant's caps", _caps()),
        settle_case("the last moment to vouch for a scan", _bound()),
        settle_case("the last moment of a refund", _refunded()),
        settle_case("the last moment of an invite", _invited()),
        settle_case("a day pays acts of every kind", _days()),
        settle_case("the first and the last moment of a stage", _stage_ends()),
        settle_case("the last moment of a round", _round_ends(), rounds=(1, 2)),
        settle_case("the first two, of sales and visits", _first_two()),
        settle_case("once a tag, where it has no serial", _once_a_tag()),
        settle_case("once a person, a tag or a day", _once_a_person()),
        settle_case("wholly refunded, where no grade is asked", _refunded_wholly()),
        settle_case("attested, of no evidence", _attested_nothing()),
        settle_case("a host's word that is paid", _hosts_word()),
        settle_case("after what was done later", _after(), rounds=(1, 2, 3)),
        settle_case("three places offline, seen at once", _offline()),
        settle_case("a code that works as long as acts may be late", _forwarded()),
    ]


def _seen_at(world: World, *moments: int) -> None:
    """Its witness looks at these times."""
    for moment in moments:
        world.now = moment - 1_000
        world.see()


def _visits(world: World, visits: Sequence[tuple[str, int, int]]) -> list[Record]:
    """Who scans which tag, so that it is seen at which time."""
    scans = []
    for name, tag, moment in visits:
        world.now = moment - 2_500
        scans.append(_photo(world, name, _TAGS[tag], 0))
        _seen_at(world, moment)
    return scans


_TAGS = (
    _entry(issuer=key_of("shop").author, index=1),
    _entry(issuer=key_of("shop").author, index=2, place="hill"),
    _entry(issuer=key_of("shop").author, index=3, valid_until=OPENS + TEN),
)


def _open(**stage: int) -> World:
    """Dave and Eve may visit the shop's tags."""
    place_ms = stage.pop("place_interval_ms", 0)
    a_day = stage.pop("per_person_per_day", 0)
    limits = Limits(paid_levels=0, per_person_per_day=a_day, place_interval_ms=place_ms)
    shop = _by_key(_party("shop"))
    world = _visit_world({**stage}, limits=limits, named=shop)
    world.enter(key_of("shop"))
    world.join("eve")
    world.tags("shops", _TAGS)
    _seen_at(world, OPENS + MINUTE)
    return world


def _places() -> World:
    world = _open(place_interval_ms=TEN)
    began = OPENS + 2 * MINUTE
    later = began + TEN
    _visits(world, [("dave", 0, began), ("eve", 1, began + MINUTE)])
    _visits(world, [("dave", 1, later), ("eve", 0, later + MINUTE - 1)])
    return world


def _mature() -> World:
    world = _shop_world(_buy(refund_ms=60 * MINUTE))
    until = world.terms.rounds[0].accept_until - 60 * MINUTE
    for place, moment in enumerate((until, until + 1)):
        world.now = moment - 2_500
        card = world.card("dave", f"nonce {place:2}".encode())
        world.outcome("shop", "dave", 1_000 + place, card=card)
        _seen_at(world, moment)
    return world


def _valid() -> World:
    world = _open()
    _visits(world, [("dave", 2, OPENS + TEN)])
    world.now = OPENS + TEN - 1_999
    _photo(world, "eve", _TAGS[2], 0)
    _seen_at(world, OPENS + TEN + 1)
    return world


def _stage_ends() -> World:
    """A millisecond outside and not, at both ends; and of a tag's first moment."""
    ends = OPENS + 2 * TEN
    world = _open(opens=OPENS + TEN - MINUTE, closes=ends)
    first = OPENS + TEN - MINUTE
    _visits(world, [("dave", 0, first - 1), ("eve", 0, first)])
    new = _entry(issuer=key_of("shop").author, index=4, valid_from=OPENS + TEN)
    world.tags("shops", [new], offset=len(_TAGS))
    for name, moment in (("dave", OPENS + TEN - 1), ("eve", OPENS + TEN)):
        world.now = moment - 2_500
        _photo(world, name, new, 0)
        _seen_at(world, moment)
    world.now = ends - 2_500
    _photo(world, "dave", _TAGS[0], 0)
    _seen_at(world, ends)
    world.now = ends - 1_999
    _photo(world, "eve", _TAGS[0], 0)
    _seen_at(world, ends + 1)
    return world


def _round_ends() -> World:
    """At the round's closing and after it; at accept_until and after it."""
    world = _visit_world({}, rounds=2)
    world.tags("shops", _TAGS)
    world.see()
    one = world.terms.rounds[0]
    for moment in (one.closes, one.closes + 1, one.accept_until, one.accept_until + 1):
        world.now = moment - 1_999
        _photo(world, "dave", _TAGS[0], 0)
        _seen_at(world, moment)
    return world


def _first_two() -> World:
    """Of sales, and of visits, which anybody may repeat, the first two are paid."""
    rule = _reward(rule=Flat(first=2), percent_bp=1_000)
    world = _shop_world(_buy(grade=0, reward=rule))
    world.tags("shops", _TAGS)
    for number in range(4):
        card = world.card("dave", f"nonce {number:2}".encode())
        world.outcome("shop", "dave", 100 + number, card=card)
        world.see()
    return world


def _once_a_tag() -> World:
    """A printed tag is used by whoever comes first; two sales are one tag, too."""
    visit = _visit_world({"once": Once.TAG}).terms.stages[0]
    sale = _buy(grade=0, once=Once.TAG)
    shop = _by_key(_party("shop"))
    world = _visit_world({}, stages=(visit, sale), named=shop)
    world.enter(key_of("shop"))
    world.join("eve")
    world.tags("shops", _TAGS)
    for name, tag in (("dave", 0), ("eve", 0), ("eve", 1)):
        _photo(world, name, _TAGS[tag], 0)
        world.see()
    for name in ("dave", "eve"):
        world.outcome("shop", name, 500, stage=1, card=world.card(name))
        world.see()
    return world


def _once_a_person() -> World:
    """Each stage is visited at two tags, and one of them again."""
    paid = _visit_world({}).terms.stages[0]
    kinds = (Once.PERSON, Once.PERSON_TAG, Once.PERSON_DAY)
    stages = tuple(replace(paid, id=f"stage {one}", once=one) for one in kinds)
    world = _visit_world({}, stages=stages)
    world.join("eve")
    world.tags("shops", _TAGS)
    for stage in range(3):
        for name, tag in (("dave", 0), ("dave", 1), ("dave", 0), ("eve", 0)):
            _photo(world, name, _TAGS[tag], stage)
            world.see()
    return world


def _refunded_wholly() -> World:
    """Of two sales one is taken back to the last fen, of one all but a fen."""
    world = _shop_world(_buy(grade=0, refund_ms=TEN))
    for number, back in enumerate((999, 1_000)):
        card = world.card("dave", f"nonce {number:2}".encode())
        sale = world.outcome("shop", "dave", 1_000, card=card)
        world.see()
        world.reverse("shop", sale, back)
    return world


def _attested_nothing() -> World:
    """A word lifts what proves something, not a text of another tag."""
    world = _open(grade=5)
    other = PrintedText(signature=sign_entry(key_of("shop"), _TAGS[1]))
    for name, scan in (
        ("dave", world.read("dave", _TAGS[0], other)),
        ("eve", _photo(world, "eve", _TAGS[0], 0)),
    ):
        world.attest("shop", name, scan)
    return world


def _hosts_word() -> World:
    """Who hosts the tag need not be a merchant: its word is a paid act."""
    word = replace(
        _buy(grade=5),
        id="word",
        act=Act.ATTEST,
        reward=_reward(rule=Flat(first=0), amount=100),
    )
    visit = replace(_visit_world({}).terms.stages[0], reward=None)
    hosts = _by_key(_party("bar", role=Role.HOST), _party("pub", role=Role.HOST))
    world = _visit_world({}, stages=(word, visit), named=hosts)
    for name in ("bar", "pub"):
        world.enter(key_of(name))
    entry = _entry(host=key_of("bar").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry, 1)
    for name in ("bar", "pub"):
        world.see()
        world.attest(name, "dave", scan, stage=0)
    return world


def _after() -> World:
    """Who visits before she buys waits; a purchase of round 1 that round 2 pays."""
    visit = replace(
        _visit_world({}).terms.stages[0], after=(After(stage=0, by_invitee=False),)
    )
    sale = _buy(grade=0, refund_ms=64 * MINUTE)
    shop = _by_key(_party("shop"))
    world = _visit_world({}, stages=(sale, visit), named=shop, rounds=3)
    world.enter(key_of("shop"))
    world.tags("shops", _TAGS)
    _photo(world, "dave", _TAGS[0])
    world.see()
    world.now += TEN
    for number in range(2):
        card = world.card("dave", f"nonce {number:2}".encode())
        world.outcome("shop", "dave", 500, card=card)
        world.see()
        world.now += MINUTE
        _photo(world, "dave", _TAGS[number])
        world.see()
        world.now += MINUTE
    return world


def _caps() -> World:
    world = _shop_world(named=_by_key(_party("shop", most=1_000)))
    world.join("eve")
    for place, (name, amount) in enumerate((("dave", 1_000), ("eve", 1))):
        card = world.card(name, f"nonce {place:2}".encode())
        world.outcome("shop", name, amount, card=card)
        world.see()
    return world


def _bound() -> World:
    world = _open(grade=5, bind_ms=TEN)
    began = OPENS + 2 * MINUTE
    scans = _visits(world, [("dave", 0, began), ("eve", 0, began + MINUTE)])
    ends = (began + TEN, began + MINUTE + TEN + 1)
    for name, scan, moment in zip(("dave", "eve"), scans, ends, strict=True):
        world.now = moment - 2_500
        world.attest("shop", name, scan)
        _seen_at(world, moment)
    return world


def _refunded() -> World:
    world = _shop_world(_buy(refund_ms=TEN))
    world.join("eve")
    sold: list[Record] = []
    began = OPENS + 2 * MINUTE
    for place, name in enumerate(("dave", "eve")):
        world.now = began + place * MINUTE - 2_500
        sold.append(world.outcome("shop", name, 1_000, card=world.card(name)))
        _seen_at(world, began + place * MINUTE)
    for place, outcome in enumerate(sold):
        moment = began + place * MINUTE + TEN + place  # the second a ms too late
        world.now = moment - 2_500
        world.reverse("shop", outcome, 400)
        _seen_at(world, moment)
    return world


def _invited() -> World:
    world = _visit_world({})
    world.tags("shops", _TAGS)
    invite, _, secret = world.invite(world.sponsor, uses=2)
    until = OPENS + TEN
    invite = replace(invite, expires_ms=until)
    made = (invite, sign_invite(world.sponsor, invite), secret)
    for name, moment in (("eve", until), ("frank", until + 1)):
        world.now = moment - 2_500 if name == "eve" else moment - 1_999
        world.join_by(name, made)
        _seen_at(world, moment)
    for name in ("eve", "frank"):
        _photo(world, name, _TAGS[0], 0)
    return world


def _days() -> World:
    """A purchase and a visit on one day, of which one is paid."""
    world = _shop_world(
        _buy(grade=0),
        limits=Limits(paid_levels=0, per_person_per_day=1, place_interval_ms=0),
    )
    world.tags("shops", _TAGS)
    world.outcome("shop", "dave", 5_000, card=world.card("dave"))
    world.see()
    _photo(world, "dave", _TAGS[0])
    return world


def _offline() -> World:
    """Three places ten minutes apart, and a note between: all are seen an hour later.

    Of the first stage acts may be an hour late, of the second not at all.
    """
    paid = _visit_world({}).terms.stages[0]
    late = replace(paid, id="late", closes=OPENS + 60 * MINUTE, late_ms=60 * MINUTE)
    limits = Limits(paid_levels=0, per_person_per_day=3, place_interval_ms=TEN)
    world = _visit_world({}, stages=(late, paid), limits=limits, rounds=2)
    world.join("eve")
    tags = [_entry(index=index, place=f"place {index}") for index in range(4)]
    world.tags("shops", tags)
    world.see()
    began = world.now
    for place in range(3):
        for stage, name in enumerate(("dave", "eve")):
            world.now = began + place * TEN
            scan = _photo(world, name, tags[place], stage)
            world.write(
                key_of(name), Kind.ERASE, replace(world.erase_claim(scan), claim=False)
            )
    world.now = began + 50 * MINUTE
    world.see()
    _photo(world, "dave", tags[3], 0)  # the fourth of his day
    return world


def _forwarded() -> World:
    """A code is read, or forwarded, some minutes after its window."""
    world = _visit_world({"grade": 3, "fresh_ms": 10_000, "late_ms": 5 * MINUTE})
    screen = _entry(Rotating(device=key_of("screen").author, window_ms=MINUTE))
    world.tags("shops", [screen])
    world.now += MINUTE
    start = world.now - world.now % MINUTE
    signed = key_of("screen").sign_value("code", [tag_id(screen), start])
    code = RotatingCode(window_start=start, signature=signed)
    last = start + MINUTE + 10_000
    for name, signs, seen in (
        ("cem", last + 1, last + 10),  # says itself that it was too late
        ("dia", last - MINUTE, last + 3_000),
        ("ann", last, last + 5 * MINUTE),  # as late as may be
        ("ben", last, last + 5 * MINUTE + 1),
    ):
        world.now = start - 1_000
        world.join(name)
        world.now = signs - 1_000
        world.read(name, screen, code)
        _seen_at(world, seen)
    return world
