"""Vectors of times and amounts at which one millisecond or one unit decides. 0008."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocols.join import sign_invite
from protocols.record import Record
from protocols.terms import Limits
from tests.vectors import Case
from tests.vectors_campaign import (
    _buy,
    _by_key,
    _entry,
    _party,
    _photo,
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
