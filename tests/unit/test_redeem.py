"""Vouchers spent: what no order of records and no set of redeems can change."""

from __future__ import annotations

import csv
import functools
import io
import random
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import spreadsheet
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.record import Record
from protocols.settlement.ledger import Ledger, keep_ledger, purses_of
from protocols.settlement.redeem import (
    Spending,
    check_double,
    check_slip,
    check_spending,
    double_text,
    make_double,
    make_slip,
    purse_of,
    read_double_text,
    read_slip,
)
from protocols.settlement.voucher import make_voucher, voucher_text
from tests.vectors_vouchers import LINE, OTHER, SHOP, Market, market
from tests.worlds import key_of

PART = LINE // 8


@functools.cache
def spendings() -> tuple[Market, list[Spending]]:
    """Every redeem of whole eighths of Alice's line, at two shops, by two keys."""
    m = market()
    found = []
    keys = {key_of("alice's phone").author: frozenset({key_of("alice").author})}
    for start in range(8):
        for size in range(1, 9 - start):
            for shop, by in (
                (SHOP, "alice"),
                (OTHER, "alice"),
                (SHOP, "alice's phone"),
            ):
                how = {"nonce": bytes([start, size, shop is SHOP, len(by)]) * 4}
                record = m.redeem(size * PART, start * PART, at=shop, by=by, **how)
                found.append(check_slip(make_slip(m.voucher, record), keys))
    return m, found


def ledger_of(m: Market, records: list[Record]) -> Ledger:
    purse = purse_of(m.voucher)
    sponsor = [m.world.sponsor.author]
    return keep_ledger(sponsor, {purse.place: purse}, records)


@settings(deadline=None)
@given(st.lists(st.integers(0, 107), max_size=40))
def test_what_an_issuer_owes_never_exceeds_the_line(order: list[int]) -> None:
    _, all_of_them = spendings()
    owed: list[Spending] = []
    for number in order:
        one = all_of_them[number]
        with suppress(ProtocolError):
            check_spending(one, acceptors=None, now_ms=0, earlier=owed)
            owed.append(one)
    assert sum(one.claim.amount for one in owed) <= LINE


@settings(deadline=None)
@given(st.sets(st.integers(0, 107), max_size=20))
def test_too_much_by_the_lines_key_is_always_a_proof(chosen: set[int]) -> None:
    m, all_of_them = spendings()
    mine = [all_of_them[number] for number in sorted(chosen)]
    ledger = ledger_of(m, [one.record for one in mine] + continues(m))
    own = [one for one in mine if one.own_key]
    overlapping = any(a.overlaps(b) for i, a in enumerate(own) for b in own[:i])
    assert bool(ledger.doubles) is overlapping
    if sum(one.claim.amount for one in own) > LINE:
        assert ledger.doubles
    for one, other in ledger.doubles:
        proof = make_double(m.voucher, one.record, other.record)
        assert check_double(read_double_text(double_text(proof))) == (one, other)


def continues(m: Market) -> list[Record]:
    return [one for one in m.world.records if one.kind == Kind.CONTINUE]


@functools.cache
def busy() -> tuple[Market, list[Record]]:
    """A campaign in which much was redeemed, owed, paid and lied about."""
    m = market()
    redeems = [m.redeem(PART, n * PART, at=(SHOP, OTHER)[n % 2]) for n in range(6)]
    owes = [m.owe(one) for one in redeems]
    owes += [m.owe(redeems[0], 7), m.owe(redeems[1], by=SHOP), m.owe(redeems[2], 0)]
    for owe in owes:
        for amount in (1, PART // 2):
            m.paid(owe.id, amount, by=SHOP)
            m.paid(owe.id, amount, by=OTHER)
    m.redeem(PART, PART // 2)
    m.redeem(5, by="mallory")
    m.redeem(5, by="alice's phone")
    kinds = (Kind.CONTINUE, Kind.REDEEM, Kind.OWE, Kind.PAID)
    return m, [one for one in m.world.records if one.kind in kinds]


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_ledger_depends_on_no_order_and_no_repetition(seed: int) -> None:
    m, records = busy()
    shuffled = records + records[::3]
    random.Random(seed).shuffle(shuffled)
    assert ledger_of(m, shuffled) == ledger_of(m, records)


@settings(deadline=None)
@given(st.sets(st.integers(0, 100)))
def test_more_records_never_take_a_debt_or_a_payment_away(chosen: set[int]) -> None:
    m, records = busy()
    some = [one for number, one in enumerate(records) if number in chosen]
    few, all_of_it = ledger_of(m, some), ledger_of(m, records)
    for one in few.obligations:
        (same,) = [
            each
            for each in all_of_it.obligations
            if (each.redeem, each.creditor) == (one.redeem, one.creditor)
        ]
        assert same.amount >= one.amount
        assert same.paid >= one.paid
        assert 0 <= same.paid <= same.amount
    assert {one.record.id for one in few.spendings} <= {
        one.record.id for one in all_of_it.spendings
    }


def test_a_fork_takes_no_owe_away() -> None:
    m = market()
    one = m.redeem(LINE)
    m.owe(one)
    claim = replace(one.claim(), acceptor=OTHER.author)
    m.world.fork("alice", Kind.REDEEM, claim)
    ledger = ledger_of(m, m.world.records)
    assert [o.creditor for o in ledger.obligations] == [SHOP.author]
    assert ledger.outstanding() == {(m.world.sponsor.author, SHOP.author): LINE}
    assert len(ledger.doubles) == 1


def test_the_lines_of_closes_are_found_where_a_redeem_names_them() -> None:
    m = market()
    assert purses_of(m.world.terms, m.world.evidence()) == {}
    m.redeem(5)
    purses = purses_of(m.world.terms, m.world.evidence())
    mine = purse_of(m.voucher)
    assert purses[mine.place] == mine
    assert sum(
        one.amount for one in purses.values()
    ) == m.voucher.close.claim().paid + (m.voucher.close.claim().residue)
    m.world.records = [one for one in m.world.records if one.kind != Kind.PART]
    assert purses_of(m.world.terms, m.world.evidence()) == {}


def test_the_lines_of_two_closes_of_a_round_are_owed_both() -> None:
    m = market()
    m.world.finish_round(1, only=[])
    lines, again = m.world.settle(1).settlement.lines, m.world.close(1)
    alice = key_of("alice").author
    second = make_voucher(again, lines, alice)
    assert second is not None
    m.redeem(LINE)
    Market(world=m.world, voucher=second).redeem(LINE, at=OTHER)
    purses = purses_of(m.world.terms, m.world.evidence())
    hers = [one for one in purses.values() if one.payee == alice]
    assert sorted(one.close for one in hers) == sorted((m.voucher.close.id, again.id))
    ledger = keep_ledger([m.world.sponsor.author], purses, m.world.records)
    assert sum(one.claim.amount for one in ledger.spendings) == 2 * LINE
    assert ledger.doubles == ()


def test_a_voucher_is_no_slip_and_a_slip_no_proof() -> None:
    m = market()
    slip = make_slip(m.voucher, m.redeem(5))
    for read, text in (
        (read_slip, voucher_text(m.voucher)),
        (read_double_text, m.text(slip.redeem.record())),
    ):
        with pytest.raises(ProtocolError) as caught:
            read(text)
        assert caught.value.reason is Reason.BAD_CODE


# the spreadsheet

HOSTILE = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1"),
    *("\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "\u00a0@x"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_executed(text: str) -> None:
    assert spreadsheet.harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "1", "面包店", "a=b", "'=1", "2-1", " "])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert spreadsheet.harmless(text) == text


def test_a_hostile_title_in_the_books() -> None:
    one = {
        **dict.fromkeys(("debtor", "creditor", "campaign", "redeem", "issuer"), "k"),
        "acceptor": "k",
        "level": "offline",
        "title": '=HYPERLINK("http://x","y")',
        "unit": "=CNY",
        "time": 0,
        "amount": 1_205,
        "paid": 5,
        "open": 1_200,
    }
    books = {"owed_to_me": [one], "i_owe": [one], "accepted": [one]}
    data = spreadsheet.written(books)
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [len(row) for row in rows] == [len(spreadsheet.HEADER)] * 4
    assert rows[1][4:9] == [
        '\'=HYPERLINK("http://x","y")',
        "'=CNY",
        "12.05",
        "0.05",
        "12.00",
    ]
    for row in rows:
        for cell in row:
            assert cell[:1] not in spreadsheet.STEERING or not cell
