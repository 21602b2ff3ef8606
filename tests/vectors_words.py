"""Vectors of whose word counts for whom: cards, scans, hosts, refunds, caps. 0008.

Of each rule one act that it refuses, beside one that it lets pass.
"""

from __future__ import annotations

from dataclasses import replace

from protocols.claims import Kind
from protocols.join import Card, sign_card
from protocols.keys import Scope, Signature
from protocols.record import Record
from protocols.terms import Residue, Role
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
from tests.worlds import MINUTE, NETWORK, OPENS, World, key_of

TEN = 10 * MINUTE
A_DAY_MIN = 1_440


def words() -> list[Case]:
    """0008 §5 to §8: what binds a word, what it may use up, who is paid."""
    return [
        settle_case("whose scan, of whose tag", _scans()),
        settle_case("whose card, for whom", _cards()),
        settle_case("whose act is attested, by whom", _attests()),
        settle_case("a scan binds before a card", _both()),
        settle_case("refunds of what is no outcome of a stage", _refunds()),
        settle_case("a cap on one, on a day, and on all", _caps()),
        settle_case("a party is paid to the key that entered last", _payees()),
        settle_case("the payee of what is left takes part", _residue()),
        settle_case("who hosts the tag that she scans", _own_host()),
        settle_case("erases of what is no scan", _erases()),
    ]


def _town(stage: dict[str, int] | None = None) -> World:
    """A shop with two tills, a cafe that sells, too, a bar that only hosts.

    The sponsor has two keys.
    """
    named = (
        _party("shop", keys=["till"]),
        _party("cafe"),
        _party("bar", role=Role.HOST),
    )
    sponsors = sorted(key_of(name).author for name in ("sponsor", "sponsor 2"))
    world = _shop_world(
        _buy(grade=0, **(stage or {})),
        named=_by_key(*named),
        sponsor=tuple(sponsors),
    )
    for name in ("till", "cafe", "bar", "sponsor 2"):
        world.enter(key_of(name))
    world.join("eve")
    return world


def _scans() -> World:
    """Outcomes that name scans: each is seen before the next is signed."""
    world = _town()
    shop, sponsor = key_of("shop").author, key_of("sponsor").author
    own = _entry(issuer=shop)
    cafes = _entry(issuer=sponsor, index=1, host=key_of("cafe").author)
    bars = _entry(issuer=sponsor, index=2, host=key_of("bar").author)
    world.tags("shops", [own, cafes, bars])
    root = next(one for one in world.records if one.author == key_of("dave").author)
    world.go_on("dave 2", "dave", root)
    hers = _photo(world, "eve", own)
    mine, at_cafe, at_bar = (_photo(world, "dave", one) for one in (own, cafes, bars))
    phone = _photo(world, "dave 2", own)
    odd, unlisted = (
        _photo(world, "dave", own, 2),
        _photo(world, "dave", _entry(index=9)),
    )
    for signer, named in (
        ("shop", (hers,)),  # not his
        ("cafe", (mine,)),  # not the cafe's tag
        ("cafe", (at_bar,)),
        ("shop", (at_bar, mine)),  # the first that fits
        ("till", (mine,)),  # used by the shop, whose till it is
        ("cafe", (at_cafe,)),  # which hosts it
        ("bar", (at_bar,)),  # hosts it, but sells nothing
        ("sponsor", (at_cafe,)),  # whose tag it is
        ("sponsor 2", (at_cafe,)),  # used by its other key
        ("shop", (phone,)),  # by his other key
        ("shop", (odd,)),  # of no stage
        ("shop", (unlisted,)),
    ):
        world.see()
        world.outcome(signer, "dave", 1_000, after=tuple(one.id for one in named))
    world.see()
    return world


def _cards() -> World:
    """Outcomes that embed cards."""
    world = _town()

    def card(
        nonce: int, name: str = "dave", at: str = "", scope: Scope = world.scope
    ) -> Card:
        merchant = key_of(at).author if at else None
        signer, salt = key_of(name), f"nonce {nonce:2}".encode()
        return sign_card(signer, NETWORK, scope, world.now, salt, merchant)

    for signer, shown in (
        ("shop", card(1, "eve")),  # another's
        ("shop", card(2, at="cafe")),  # for another shop
        ("cafe", card(2, at="cafe")),  # and not spent by that
        ("till", card(3, at="shop")),  # for one of its keys
        ("shop", replace(card(4), signature=Signature(bytes(64)))),
        ("shop", card(5, scope=Scope(bytes(32)))),  # of another campaign
        ("shop", replace(card(6), window_ms=world.now + 1)),  # at another time
        ("cafe", card(6)),
        ("shop", card(6)),  # spent at the cafe
        ("sponsor", card(7)),
        ("sponsor 2", card(9, at="sponsor")),  # one party
        ("bar", card(8)),  # sells nothing
    ):
        world.see()
        world.outcome(signer, "dave", 1_000, card=shown)
    world.see()
    return world


def _attests() -> World:
    """Visits that a word lifts to grade 5, and words that lift none."""
    hosts = [_party(name, role=Role.HOST) for name in ("bar", "pub")]
    named = _by_key(_party("shop"), *hosts)
    world = _visit_world({"grade": 5}, named=named)
    world.join("eve")
    for name in ("shop", "bar", "pub"):
        world.enter(key_of(name))
    far = [_entry(index=index) for index in range(5)]
    bars = [
        _entry(index=9 + index, host=key_of(host).author)
        for index, host in enumerate(("bar", "bar", "pub"))
    ]
    world.tags("shops", [*far, *bars])
    hers = _photo(world, "eve", far[0], 0)
    mine = [_photo(world, "dave", one, 0) for one in (*far[1:], *bars)]

    def nonce(number: int) -> Card:
        return world.card("dave", f"nonce {number:2}".encode())

    for signer, act, shown in (
        ("shop", hers, nonce(1)),  # hers by his card
        ("shop", mine[0], nonce(2)),
        ("shop", mine[1], None),  # not the shop's tag
        ("bar", mine[2], nonce(3)),  # not the bar's tag
        ("bar", mine[4], None),  # which hosts it
        ("bar", mine[5], nonce(4)),
        ("eve", mine[3], nonce(5)),  # sells nothing, hosts nothing
        ("bar", mine[6], nonce(6)),  # which the pub hosts
        ("shop", _lone_record(), nonce(7)),  # nowhere in this campaign
    ):
        world.see()
        world.attest(signer, "dave", act, card=shown)
    world.see()
    return world


def _both() -> World:
    """A word that has scan and card is bound by the scan, and spends no card."""
    world = _town()
    own = _entry(issuer=key_of("shop").author)
    world.tags("shops", [own])
    scan = _photo(world, "dave", own)
    card = world.card("dave")
    world.see()
    world.outcome("shop", "dave", 1_000, after=(scan.id,), card=card)
    world.see()
    world.outcome("shop", "dave", 2_000, after=(scan.id,), card=card)
    world.see()
    world.outcome("shop", "dave", 4_000, after=(scan.id,), card=card)
    world.see()
    return world


def _refunds() -> World:
    """Of a scan, of what is of no stage, of what is nowhere; and a good one."""
    world = _town({"refund_ms": MINUTE})
    own = _entry(issuer=key_of("shop").author)
    world.tags("shops", [own])
    scan = _photo(world, "dave", own)

    def sold(number: int, stage: int) -> Record:
        card = world.card("dave", f"nonce {number:2}".encode())
        return world.outcome("shop", "dave", 1_000, stage=stage, card=card)

    real = sold(1, 0)
    for outcome in (scan, sold(2, 2), world.records[0], _lone_record(), real):
        world.reverse("shop", outcome, 400)
    return world


def _caps() -> World:
    """Three shops, each with another cap in its way; midnight is in ten minutes."""
    shops = (
        replace(_party("one"), amount_max=100),
        replace(_party("day", keys=["day 2"]), per_day_max=150),
        replace(_party("all"), total_max=200),
    )
    world = _shop_world(
        _buy(grade=0),
        named=_by_key(_party("shop"), *shops),
        day_offset_min=-(OPENS // MINUTE + 10) % A_DAY_MIN,
    )
    for name in ("one", "day", "day 2", "all"):
        world.enter(key_of(name))
    today = (
        ("one", 101),
        ("one", 100),
        ("one", 100),
        ("day", 100),
        ("day 2", 51),
        ("day 2", 50),
        ("all", 150),
    )
    tomorrow = (("day", 150), ("day", 1), ("all", 51), ("all", 50), ("one", 100))
    number = 0
    for moment, sales in ((OPENS + MINUTE, today), (OPENS + TEN + MINUTE, tomorrow)):
        world.now = moment
        for name, amount in sales:
            number += 1
            card = world.card("dave", f"nonce {number:2}".encode())
            world.outcome(name, "dave", amount, card=card)
            world.see()
    return world


def _payees() -> World:
    """Hosts of two keys: the first enters last, the second does, none does."""
    reward = _reward(percent_bp=1_000, host_bp=2_500)
    named = _by_key(
        _party("shop"),
        _party("bar", role=Role.HOST, keys=["bar 2"]),
        _party("pub", role=Role.HOST, keys=["pub 2"]),
        _party("inn", role=Role.HOST, keys=["inn 2"]),
    )
    world = _shop_world(_buy(reward=reward), named=named)
    bar, pub = (
        sorted((host, f"{host} 2"), key=lambda name: key_of(name).author)
        for host in ("bar", "pub")
    )
    for name in (*reversed(bar), *pub):
        world.enter(key_of(name))
        world.see()
    entries = [
        _entry(issuer=key_of("shop").author, index=index, host=key_of(host).author)
        for index, host in enumerate(("bar", "pub", "inn"))
    ]
    world.tags("shops", entries)
    for entry in entries:
        scan = _photo(world, "dave", entry)
        world.outcome("shop", "dave", 7_777, after=(scan.id,))
    return world


def _residue() -> World:
    """Zoe is named as the payee of what is left, and joins, and goes on."""
    world = World(
        balloons=1,
        witnesses=1,
        rounds=1,
        changes={"residue": Residue(key=key_of("zoe").author, name="Zoe")},
    )
    join = world.join("zoe")
    world.scan("zoe", 0)
    assert join.kind == Kind.JOIN
    return world


def _own_host() -> World:
    """The bar's key joins: for a scan of the bar's tag it is no host to itself."""
    world = _visit_world(
        {"reward": _reward(amount=1_000, host_bp=2_500)},
        named=(_party("bar", role=Role.HOST, keys=["bar 2"]),),
    )
    world.enter(key_of("bar 2"))
    world.join("bar")
    entry = _entry(host=key_of("bar 2").author)
    world.tags("shops", [entry])
    for name in ("bar", "dave"):
        world.see()
        _photo(world, name, entry, 0)
    return world


def _erases() -> World:
    """Who signs them asks for claims that nobody drops: all counts as before."""
    world = _town()
    own = _entry(issuer=key_of("shop").author)
    world.tags("shops", [own])
    scan = _photo(world, "dave", own)
    sold = world.outcome("shop", "dave", 1_000, card=world.card("dave"))
    world.erase("shop", sold)
    world.erase("eve", scan)  # not hers
    world.outcome("shop", "dave", 2_000, after=(scan.id,))
    join = next(one for one in world.records if one.author == key_of("dave").author)
    world.erase("dave", join)
    stranger = _lone_record()
    world.erase("dave", stranger)
    return world


def _lone_record() -> Record:
    """A record of another campaign."""
    return World(balloons=1, witnesses=1, rounds=3).join("dave")
