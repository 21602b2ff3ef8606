"""A shop's books as JSON: what is spent, owed, accepted and paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.claims import Kind
from protocols.errors import ProtocolError
from protocols.evidence import feed_up_to
from protocols.settlement.close import read_lists
from protocols.settlement.cut import Incomplete
from protocols.settlement.redeem import double_text, make_double, slip_text
from protocols.settlement.voucher import Voucher, make_voucher
from protocols.text import author_text, campaign_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.services.documents import Document
    from p2pnode.services.library import Library, View
    from p2pnode.services.till import Debt, Level, Noted, Spent, Till
    from protocols.keys import AuthorKey
    from protocols.record import Record
    from protocols.settlement.redeem import Spending


def spent(found: Spent) -> Document:
    """`p2pnode.redeem/1`: what was signed, and the slip to hand over."""
    claim = found.record.claim()
    terms = found.line.view.terms
    return {
        "format": "p2pnode.redeem/1",
        "campaign": campaign_text(found.line.view.campaign),
        "title": terms.title,
        "redeem": found.record.id.hex(),
        "amount": claim.amount,
        "left": found.left,
        "unit": terms.unit,
        "acceptor": author_text(claim.acceptor),
        "named": terms.names(claim.acceptor),
        "issuer": author_text(found.line.close.author),
        "redeem_until": found.line.close.claim().redeem_until,
        "slip": slip_text(found.slip),
    }


async def accepted(till: Till, noted: Noted, level: Level) -> Document:
    """`p2pnode.accepted/1`: what a shop took, and how sure it is."""
    view = await till.followed(noted.campaign)
    strangers = () if view is None else till.strangers(view)
    return {
        "format": "p2pnode.accepted/1",
        **await _noted(till, noted, level),
        "limit": till.limit,
        "strangers": [author_text(key) for key in strangers],
    }


async def owed(library: Library, signed: Sequence[Record]) -> Document:
    """`p2pnode.owed/1`: what was just recognised, and whom it is owed to."""
    views = {one.scope: await library.view(one.scope) for one in signed}
    return {
        "format": "p2pnode.owed/1",
        "signed": [
            {
                "owe": one.id.hex(),
                "redeem": one.claim().redeem.hex(),
                "creditor": author_text(one.claim().acceptor),
                "amount": one.claim().amount,
                "unit": views[one.scope].terms.unit,
                "campaign": campaign_text(one.scope),
                "title": views[one.scope].terms.title,
            }
            for one in signed
        ],
    }


async def paid(till: Till, debtor: AuthorKey, signed: Sequence[Record]) -> Document:
    """`p2pnode.paid/1`: how much a debtor paid me, of what, and what stays open."""
    payments = [one for one in signed if one.kind == Kind.PAID]
    campaign = payments[0].scope
    debts = [
        one
        for one in await till.debts()
        if one.view.campaign == campaign
        and one.debtor == debtor
        and one.creditor in till.my_keys(campaign)
    ]
    terms = debts[0].view.terms
    return {
        "format": "p2pnode.paid/1",
        "records": [one.id.hex() for one in signed],
        "debtor": author_text(debtor),
        "amount": sum(one.claim().amount for one in payments),
        "open": sum(one.open for one in debts),
        "unit": terms.unit,
        "campaign": campaign_text(campaign),
        "title": terms.title,
        "paid": [
            {
                "record": one.id.hex(),
                "owe": one.claim().owe.hex(),
                "amount": one.claim().amount,
            }
            for one in payments
        ],
    }


async def books(library: Library, till: Till) -> Document:
    """`p2pnode.books/1`: debts both ways, accepted slips, double spendings."""
    mine = {e.campaign: till.my_keys(e.campaign) for e in library.entries}
    debts = await till.debts()
    owed_to_me, i_owe = [], []
    for one in debts:
        keys = mine[one.view.campaign]
        if one.creditor in keys and one.debtor in keys:
            continue  # redeemed at its issuer's own till
        if one.creditor in keys:
            owed_to_me.append(one)
        if one.debtor in keys:
            i_owe.append(one)
    return {
        "format": "p2pnode.books/1",
        "limit": till.limit,
        "auto": till.auto,
        "owed_to_me": [_debt(one) for one in owed_to_me],
        "i_owe": [_debt(one) for one in i_owe],
        "accepted": [
            await _noted(till, one, await till.level(one))
            for one in sorted(till.accepted.values(), key=lambda one: one.time_ms)
        ],
        "waiting": [
            document
            for view in await library.all_views()
            for document in _waiting(till, view)
        ],
        "redeemed": [
            document
            for view in await library.all_views()
            for document in _redeemed(library, till, view)
        ],
        "doubles": [
            document
            for view in await library.all_views()
            for document in _doubles(till, view)
        ],
    }


def _debt(one: Debt) -> Document:
    return {
        "debtor": author_text(one.debtor),
        "creditor": author_text(one.creditor),
        "debtor_party": author_text(one.debtor_party),
        "creditor_party": author_text(one.creditor_party),
        "campaign": campaign_text(one.view.campaign),
        "title": one.view.terms.title,
        "unit": one.view.terms.unit,
        "amount": one.amount,
        "paid": one.paid,
        "open": one.open,
        "time": one.owe.header.time_ms,
        "owe": one.owe.id.hex(),
        "redeem": one.redeem.hex(),
    }


async def _noted(till: Till, noted: Noted, level: Level) -> Document:
    spending, view = noted.spending, await till.followed(noted.campaign)
    return {
        "campaign": campaign_text(noted.campaign),
        "title": "" if view is None else view.terms.title,
        "followed": view is not None,
        "redeem": spending.record.id.hex(),
        "issuer": author_text(noted.issuer),
        "payee": author_text(spending.purse.payee),
        "acceptor": author_text(spending.claim.acceptor),
        "amount": spending.claim.amount,
        "unit": noted.unit,
        "level": level.value,
        "time": noted.time_ms,
        "redeem_until": spending.purse.redeem_until,
        "slip": slip_text(noted.slip),
    }


def _spending(view: View, one: Spending) -> Document:
    return {
        "campaign": campaign_text(view.campaign),
        "title": view.terms.title,
        "redeem": one.record.id.hex(),
        "payee": author_text(one.purse.payee),
        "acceptor": author_text(one.claim.acceptor),
        "amount": one.claim.amount,
        "unit": view.terms.unit,
        "time": one.record.header.time_ms,
        "redeem_until": one.purse.redeem_until,
    }


def _waiting(till: Till, view: View) -> list[Document]:
    """Redeems that wait for this node as the issuer."""
    mine = till.my_keys(view.campaign)
    if not any(key in view.terms.sponsor for key in mine):
        return []
    return [_spending(view, one) for one in till.waiting(view)]


def _redeemed(library: Library, till: Till, view: View) -> list[Document]:
    """What this node spent as a customer."""
    mine = library.my_keys(view)
    ledger = till.ledger(view)
    return [
        {
            **_spending(view, one),
            "level": "owed" if ledger.owed(one.record.id) else "offline",
        }
        for one in ledger.spendings
        if one.record.author in mine
    ]


def _doubles(till: Till, view: View) -> list[Document]:
    found = []
    for first, second in till.ledger(view).doubles:
        voucher = _voucher(till, view, first)
        found.append(
            {
                **_spending(view, first),
                "redeems": [first.record.id.hex(), second.record.id.hex()],
                "proof": voucher
                and double_text(make_double(voucher, first.record, second.record)),
            }
        )
    return found


def _voucher(till: Till, view: View, spending: Spending) -> Voucher | None:
    """The voucher of a line: of a slip that is here, or made from the close."""
    for noted in till.accepted.values():
        if noted.spending.purse.place == spending.purse.place:
            return noted.slip.voucher
    close = view.evidence.lookup(spending.purse.close)
    if close is None or close.claim_bytes is None:
        return None
    try:
        before = feed_up_to(close.id, view.evidence.lookup)[:-1]
        lines = read_lists(close.claim(), before).lines
    except (Incomplete, ProtocolError):
        return None
    return make_voucher(close, lines, spending.purse.payee)
