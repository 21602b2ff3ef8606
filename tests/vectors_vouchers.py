"""Vectors of vouchers spent, debts and proofs of double spending. Spec 0011."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocols.claims import Kind, Owe, Paid, Redeem
from protocols.errors import Reason
from protocols.keys import AuthorKey, RecordId, SigningKey
from protocols.record import Record, encode_record
from protocols.settlement.redeem import (
    DOUBLE,
    SLIP,
    Double,
    Signed,
    make_double,
    make_slip,
    slip_text,
    write_double,
)
from protocols.settlement.voucher import Voucher, make_voucher, voucher_text
from protocols.text import Letter, encode_link
from tests.vectors import Case, case
from tests.worlds import World, key_of, salt_of

LINE = 200_000
SHOP, OTHER, NEXT = key_of("shop b"), key_of("shop c"), key_of("shop b 2")


@dataclass
class Market:
    """A closed campaign whose only line but the left-overs is Alice's."""

    world: World
    voucher: Voucher

    def redeem(
        self,
        amount: int,
        before: int = 0,
        *,
        at: SigningKey = SHOP,
        by: str = "alice",
        **lies: Any,
    ) -> Record:
        """Let `by` redeem a part of Alice's line."""
        fields = {
            "salt": salt_of("redeem", amount, before, at.author),
            "close": self.voucher.close.id,
            "line": self.voucher.index,
            "amount": amount,
            "total_before": before,
            "acceptor": at.author,
            "nonce": salt_of("nonce", amount, before, at.author),
            **lies,
        }
        return self.world.write(key_of(by), Kind.REDEEM, Redeem(**fields))

    def owe(
        self,
        redeem: Record,
        amount: int | None = None,
        *,
        by: SigningKey | None = None,
        at: AuthorKey | None = None,
    ) -> Record:
        """Let the sponsor, or another, owe for a redeem."""
        claim: Redeem = redeem.claim()
        owe = Owe(
            salt=salt_of("owe", self.world.now),
            redeem=redeem.id,
            acceptor=at or claim.acceptor,
            amount=claim.amount if amount is None else amount,
        )
        return self.world.write(by or self.world.sponsor, Kind.OWE, owe)

    def paid(self, owe: RecordId, amount: int, by: SigningKey = SHOP) -> Record:
        """Let a creditor say it was paid."""
        claim = Paid(salt=salt_of("paid", self.world.now), owe=owe, amount=amount)
        return self.world.write(by, Kind.PAID, claim)

    def text(self, record: Record) -> str:
        """The slip of a redeem."""
        return slip_text(make_slip(self.voucher, record))


def market() -> Market:
    """The sponsor closes one round; Alice is paid 2,000.00."""
    world = World(balloons=1, witnesses=1, rounds=1, budget=1_000_000)
    join = world.join("alice")
    world.scan("alice", 0)
    world.finish_round(1)
    lines, close = world.settle(1).settlement.lines, world.close(1)
    made = make_voucher(close, lines, key_of("alice").author)
    assert made is not None
    assert made.line.amount == LINE
    world.go_on("alice's phone", "alice", join)
    world.enter(SHOP)
    world.enter(OTHER)
    world.join("mallory")
    return Market(world=world, voucher=made)


def vouchers() -> list[Case]:
    """0011: slips, what may be accepted, double spendings, ledgers."""
    return [*_slips(), *_spendings(), *_doubles(), *_ledgers()]


def _slip(name: str, text: str, reason: Reason | None = None, **given: Any) -> Case:
    how = {"acceptors": None, "now": 0, "earlier": [], "genesis": [], **given}
    return case(name, "slip", reason, text=text, **how)


def _slips() -> list[Case]:
    m = market()
    good = m.redeem(150_000)
    slip = make_slip(m.voucher, good)
    value = SLIP.write(slip)
    assert isinstance(value, list)
    unsigned = replace(slip, redeem=replace(slip.redeem, signature=bytes(64)))
    more = replace(m.voucher.line, amount=LINE + 1)
    lying = replace(slip, voucher=replace(m.voucher, line=more))
    torn = replace(slip, redeem=replace(slip.redeem, claim=slip.redeem.claim[:-1]))
    scan = next(one for one in m.world.records if one.kind == Kind.SCAN)
    phone = m.redeem(5, 150_000, by="alice's phone")
    genesis = [encode_record(one).hex() for one in m.world.records if one.kind == 3]
    elsewhere = World(balloons=2, witnesses=1, rounds=1)
    elsewhere.join("alice")
    foreign = elsewhere.write(key_of("alice"), Kind.REDEEM, good.claim())
    text = m.text
    return [
        _slip("a slip", text(good)),
        _slip("the whole line", text(m.redeem(LINE))),
        _slip("the rest of a line", text(m.redeem(50_000, 150_000))),
        _slip("by another key of the person", text(phone), genesis=genesis),
        _slip("of another letter", voucher_text(m.voucher), Reason.BAD_CODE),
        _slip(
            "a field less",
            encode_link(Letter.REDEEM, value[:-1]),
            Reason.BAD_SHAPE,
        ),
        _slip("a voucher that does not hold", slip_text(lying), Reason.BAD_PROOF),
        _slip("a claim that is not the header's", slip_text(torn), Reason.WRONG_HASH),
        _slip("nobody signed it", slip_text(unsigned), Reason.BAD_SIGNATURE),
        _slip("a scan", text(scan), Reason.BAD_PROOF),
        _slip("of another campaign", text(foreign), Reason.BAD_PROOF),
        _slip("of another close", text(m.redeem(5, close=bytes(32))), Reason.BAD_PROOF),
        _slip("of another line", text(m.redeem(5, line=9)), Reason.BAD_PROOF),
        _slip("of nothing", text(m.redeem(0)), Reason.NO_AMOUNT),
        _slip("of more than the line", text(m.redeem(LINE + 1)), Reason.OVER_LINE),
        _slip("beyond the line", text(m.redeem(50_001, 150_000)), Reason.OVER_LINE),
        _slip("by another person", text(m.redeem(5, by="mallory")), Reason.NOT_PAYEE),
        _slip(
            "by a key of which nobody knows whose it is",
            text(phone),
            Reason.NOT_PAYEE,
        ),
        _slip(
            "of nothing, by another person",
            text(m.redeem(0, by="mallory")),
            Reason.NO_AMOUNT,
        ),
    ]


def _spendings() -> list[Case]:
    m = market()
    good = m.redeem(50_000, 50_000)
    text, until = m.text(good), m.world.terms.redeem_until
    before, after = m.redeem(50_000), m.redeem(100_000, 100_000)
    same = m.redeem(10, nonce=good.claim().nonce)
    shop: dict[str, Any] = {"acceptors": [SHOP.author.hex()], "now": until}
    return [
        _slip(
            "at the last moment, between two others",
            text,
            **shop,
            earlier=[m.text(before), m.text(after)],
        ),
        _slip(
            "a shop with two keys",
            text,
            acceptors=[OTHER.author.hex(), SHOP.author.hex()],
        ),
        _slip("the issuer, whoever accepted it", text, now=until),
        _slip(
            "redeemed at another shop",
            text,
            Reason.WRONG_ACCEPTOR,
            acceptors=[OTHER.author.hex()],
            now=until + 1,
        ),
        _slip(
            "too late",
            text,
            Reason.VOUCHER_EXPIRED,
            acceptors=[SHOP.author.hex()],
            now=until + 1,
            earlier=[text],
        ),
        _slip("accepted before", text, Reason.REDEEMED, **shop, earlier=[text]),
        _slip(
            "too late and spent before, but owed",
            text,
            acceptors=[SHOP.author.hex()],
            now=until + 1,
            earlier=[m.text(m.redeem(LINE))],
            owed=True,
        ),
        _slip(
            "owed, but accepted before",
            text,
            Reason.REDEEMED,
            **shop,
            earlier=[text],
            owed=True,
        ),
        _slip(
            "its nonce was accepted before",
            text,
            Reason.REDEEMED,
            **shop,
            earlier=[m.text(same)],
        ),
        _slip(
            "its first unit was spent before",
            text,
            Reason.OVERSPENT,
            **shop,
            earlier=[m.text(m.redeem(50_001))],
        ),
        _slip(
            "its last unit was spent before",
            text,
            Reason.OVERSPENT,
            **shop,
            earlier=[m.text(m.redeem(50_001, 99_999))],
        ),
        _slip(
            "all of it was spent before",
            text,
            Reason.OVERSPENT,
            **shop,
            earlier=[m.text(m.redeem(LINE))],
        ),
    ]


def _double(name: str, proof: Double, reason: Reason | None = None) -> Case:
    return case(name, "double", reason, bytes=write_double(proof).hex())


def _doubles() -> list[Case]:
    m = market()
    one, other = m.redeem(150_000), m.redeem(150_000, at=OTHER)
    touching = m.redeem(1, 149_999)
    beside = m.redeem(50_000, 150_000)
    phone = m.redeem(150_000, by="alice's phone")
    proof = make_double(m.voucher, one, other)
    swapped = replace(proof, first=proof.second, second=proof.first)

    def of(first: Record, second: Record) -> Double:
        low, high = sorted((first, second), key=lambda record: record.id)
        return Double(voucher=m.voucher, first=_parts(low), second=_parts(high))

    unsigned = replace(proof, second=replace(proof.second, signature=bytes(64)))
    value = DOUBLE.write(proof)
    assert isinstance(value, list)
    return [
        _double("twice the same part", proof),
        _double("one unit twice, at one shop", of(one, touching)),
        _double("two parts that touch", of(one, beside), Reason.BAD_PROOF),
        _double("one redeem twice", of(one, one), Reason.BAD_PROOF),
        _double("not ascending", swapped, Reason.BAD_PROOF),
        _double("another key of the person", of(one, phone), Reason.NOT_PAYEE),
        _double("one is not signed", unsigned, Reason.BAD_SIGNATURE),
        case("no array", "double", Reason.BAD_SHAPE, bytes="01"),
        case("no bytes", "double", Reason.NOT_CANONICAL, bytes=""),
    ]


def _parts(record: Record) -> Signed:
    assert record.claim_bytes is not None
    return Signed(
        header=record.header_bytes,
        claim=record.claim_bytes,
        signature=record.signature,
    )


def _ledger(
    name: str, m: Market, records: Sequence[Record] | None = None, **how: Any
) -> Case:
    kinds = (Kind.CONTINUE, Kind.REDEEM, Kind.OWE, Kind.PAID)
    chosen = m.world.records if records is None else records
    return case(
        name,
        "ledger",
        sponsor=[
            one.author.hex() for one in (m.world.sponsor, *how.get("sponsors", ()))
        ],
        parties=[[key.author.hex() for key in one] for one in how.get("parties", ())],
        vouchers=how.get("vouchers", [voucher_text(m.voucher)]),
        records=[encode_record(one).hex() for one in chosen if one.kind in kinds],
    )


def _ledgers() -> list[Case]:
    cases = []
    m = market()
    one, two = m.redeem(50_000), m.redeem(60_000, 50_000, at=OTHER)
    owe = m.owe(one)
    m.owe(two)
    m.paid(owe.id, 20_000)
    cases.append(_ledger("redeemed, owed, and in part paid", m))
    m.paid(owe.id, 20_000)
    m.paid(owe.id, 20_000)
    cases.append(_ledger("paid more than was owed", m))
    cases.append(_ledger("in the other order", m, m.world.records[::-1]))
    cases.append(_ledger("a line that nobody knows", m, vouchers=[]))
    cases.append(
        _ledger("an owe alone", m, [r for r in m.world.records if r.kind == 13])
    )
    cases.append(
        _ledger("a payment alone", m, [r for r in m.world.records if r.kind == 14])
    )
    m = market()
    good = m.redeem(50_000)
    m.redeem(0)
    m.redeem(LINE + 1)
    m.redeem(5, 50_000, by="mallory")
    m.redeem(5, 60_000, by="alice's phone")
    m.owe(good, by=SHOP)
    m.owe(good, 0)
    real = m.owe(good)
    m.paid(real.id, 0)
    m.paid(real.id, 5, by=OTHER)
    m.paid(RecordId(bytes(32)), 5)
    cases.append(_ledger("one good of each, and what is refused", m))
    m = market()
    one = m.redeem(50_000)
    m.owe(one, 10)
    m.owe(one, 50_000)
    m.owe(one, 50_000)
    m.owe(one, 7, at=OTHER.author)
    cases.append(_ledger("four owes of one redeem, to two shops", m))
    for seed in range(2):  # of one amount: which has the lower id is chance
        m = market()
        one = m.redeem(50_000 + seed)
        m.owe(one)
        m.owe(one, by=SHOP)
        said = f"two owes of one amount, by two keys of the sponsor: {seed}"
        cases.append(_ledger(said, m, sponsors=[SHOP]))
    m = market()
    owe = m.owe(m.redeem(50_000))
    m.world.enter(NEXT)
    m.paid(owe.id, 20_000, by=NEXT)
    m.paid(owe.id, 1_000, by=OTHER)
    cases.append(
        _ledger("paid, as the shop's next key says", m, parties=[[SHOP, NEXT]])
    )
    cases.append(_ledger("paid, as a key of another party says", m, parties=[[OTHER]]))
    m = market()
    owe = m.owe(m.redeem(50_000, at=key_of("alice")))
    m.paid(owe.id, 50_000, by=key_of("alice's phone"))
    cases.append(_ledger("paid, as another key of the person says", m))
    m = market()
    owe = m.owe(m.redeem(50_000))
    m.world.enter(NEXT)
    m.paid(owe.id, 50_000, by=NEXT)
    said = "paid, as a sponsor's key in the shop's party says"
    cases.append(_ledger(said, m, sponsors=[NEXT], parties=[[SHOP, NEXT]]))
    cases += _vouched()
    m = market()
    one = m.redeem(LINE)
    m.owe(one)
    head = m.world.heads[m.world.scope, key_of("alice").author]
    assert head.id == one.id
    claim = replace(one.claim(), acceptor=OTHER.author, salt=salt_of("again"))
    m.world.fork("alice", Kind.REDEEM, claim)
    cases.append(_ledger("a fork takes no owe away, and is a double spending", m))
    m = market()
    own = m.redeem(5, at=m.world.sponsor)
    m.owe(own)
    cases.append(_ledger("owed to oneself", m))
    m = market()
    owe = m.owe(m.redeem(5, at=SHOP))
    m.paid(owe.id, 5, by=m.world.sponsor)
    said = "owed to a shop whose key the terms call the sponsor's"
    cases.append(_ledger(said, m, sponsors=[SHOP]))
    m = market()
    for before in (0, 100, 50, 75, 150):
        m.redeem(60, before)
    cases.append(_ledger("one double spending a line is told", m))
    return cases


def _vouched() -> list[Case]:
    """Two roots vouch for one key: whose it is for both, on whatever branch."""
    alice, mallory, phone = (
        key_of(one) for one in ("alice", "mallory", "alice's phone")
    )
    m = market()
    world, place = m.world, (m.world.scope, alice.author)
    (hers,) = [one for one in world.records if one.author == mallory.author]
    head = world.heads.pop(place)
    world.go_on("alice", "mallory", hers)
    world.heads[place] = head
    owe = m.owe(m.redeem(5, by="alice's phone", at=alice))
    m.paid(owe.id, 5, by=phone)
    cases = [_ledger("a thief lets another root vouch for the root", m)]
    m = market()
    del m.world.heads[m.world.scope, phone.author]
    m.world.go_on("alice's phone", "mallory", hers)
    for one in (alice, mallory):
        owe = m.owe(m.redeem(5, at=one))
        m.paid(owe.id, 5, by=phone)
    m.paid(owe.id, 5, by=alice)
    return [*cases, _ledger("a key that two roots vouch for", m)]
