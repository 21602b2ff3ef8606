"""Arguments as people type them: numbers, amounts, and our own ids and keys.

Each is read once, here, the same way for every command: full width or half.
"""

from __future__ import annotations

import re
from typing import Any, Final

import click

from cli import kinds
from cli.i18n import _
from p2pnode import typed
from p2pnode.failures import BAD_REQUEST, Failure
from protocols.limits import INT_MAX

DIGITS_MAX: Final = 30
WHOLE: Final = re.compile(f"[+-]?[0-9]{{1,{DIGITS_MAX}}}")


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Read it in half width."""
        plain: Any = typed.plain(value) if isinstance(value, str) else value
        if isinstance(plain, str) and not WHOLE.fullmatch(plain):
            self.fail(
                _("{value} is not a whole number.").format(value=value or '""'),
                param,
                ctx,
            )
        return super().convert(plain, param, ctx)


class Amount(Whole):
    """An amount of money in minor units, as the terms and records hold it."""

    def __init__(self, least: int = 0) -> None:
        super().__init__(least)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Read it; a point or comma could mean two things, so neither is taken."""
        if isinstance(value, str):
            value = amount(value)
        return super().convert(value, param, ctx)


class Code(click.ParamType[str]):
    """One of our ids, keys or addresses, or what another command would take.

    Args:
        wanted: kinds of `cli.kinds`; a text that is none of ours is taken, too.
    """

    name = "text"

    def __init__(self, *wanted: str) -> None:
        self.wanted = wanted

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002  # click's
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Any:
        """Read it in half width, and refuse what is another kind of ours."""
        plain = typed.code(str(value))
        kinds.check_text(plain, self.wanted)
        return plain


KEY: Final = Code("p2p1")
CAMPAIGN: Final = Code("p2pc1")
RECORD: Final = Code("record")
PEER: Final = Code("peer")
ADDRESS: Final = Code("address")


def amount(text: str) -> int:
    """The minor units that a text says.

    Raises:
        Failure: `bad-amount`.
    """
    plain = typed.plain(text)
    whole = plain.isascii() and plain.isdigit() and len(plain) <= DIGITS_MAX
    if whole and int(plain) <= INT_MAX:
        return int(plain)
    raise bad_amount(text)


def bad_amount(text: str) -> Failure:
    """A text that says no amount, or none where one is needed."""
    return Failure(
        "bad-amount",
        _("{words} is not an amount.").format(words=text or '""'),
        _("A whole number of minor units, such as 1500 for 15.00."),
        _("Type it without point, comma and unit: 12.80 is 1280."),
        BAD_REQUEST,
    )
