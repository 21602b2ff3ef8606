"""A shop's books as a CSV file (RFC 4180) whose cells no spreadsheet executes."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from cli import accounts

if TYPE_CHECKING:
    from cli.client import Document

STEERING: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Where a cell begins with one, a spreadsheet takes it for a formula; the last
four are the first four in full width, as Chinese keyboards type them."""

BLANK: Final = " \u00a0\u3000"
"""Blanks that a spreadsheet may drop before it looks."""

HEADER: Final = (
    *("what", "debtor", "creditor", "campaign", "title", "unit"),
    *("amount", "paid", "open", "level", "time", "redeem"),
    *("debtor party", "creditor party"),
)
"""The same in every language: a shop's bookkeeping program reads them. The last
two have one key for all of a party's, to add up by."""


def written(books: Document) -> bytes:
    """The `p2pnode.books/1` document as a file: a row a debt or accepted slip."""
    rows: list[tuple[str, ...]] = [HEADER]
    rows += [_debt("owed to me", one) for one in books["owed_to_me"]]
    rows += [_debt("i owe", one) for one in books["i_owe"]]
    rows += [_slip(one) for one in books["accepted"]]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([harmless(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")  # the mark tells Excel it is UTF-8


def harmless(cell: str) -> str:
    """A cell that a spreadsheet shows and does not execute."""
    begins = cell.lstrip(BLANK)[:1]
    return f"'{cell}" if begins in STEERING and begins else cell


def _debt(what: str, one: Document) -> tuple[str, ...]:
    return (
        *(what, one["debtor"], one["creditor"]),
        *(one["campaign"], one["title"], one["unit"]),
        *(_decimal(one[name]) for name in ("amount", "paid", "open")),
        *("owed", accounts.moment(one["time"]), one["redeem"]),
        *(one.get(f"{whom}_party", one[whom]) for whom in ("debtor", "creditor")),
    )


def _slip(one: Document) -> tuple[str, ...]:
    return (
        *("accepted", one["issuer"], one["acceptor"]),
        *(one["campaign"], one["title"], one["unit"]),
        *(_decimal(one["amount"]), "", ""),
        *(one["level"], accounts.moment(one["time"]), one["redeem"], "", ""),
    )


def _decimal(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"
