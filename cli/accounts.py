"""Statements and explanations in words, tables and a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import output
from cli.i18n import _
from cli.reasons import reason
from cli.words import word

Document = Mapping[str, Any]

ID_SHOWN = 12
"""Digits of a record's id that tables show, and that name it here."""

FAR_MS = 253_370_764_800_000
"""9999-01-01: calendars end soon after, integers in terms do not."""


def money(amount: int, unit: str) -> str:
    """An amount of minor units as people write it: 1,234.50 CNY."""
    return output.Figure(f"{amount // 100:,}.{amount % 100:02d} {unit}")


def left_overs_to(residue: Document) -> str:
    """Who gets what nobody earned; terms name nobody where it is the sponsor."""
    return residue.get("name") or word("sponsor")


def short(key: str) -> str:
    """A key as a table shows it: beginning and end."""
    return key if len(key) <= 20 else f"{key[:12]}…{key[-6:]}"


def moment(time_ms: int) -> str:
    """A time on this machine's clock."""
    import datetime as dt

    if not 0 <= time_ms < FAR_MS:
        return _("never")
    local = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S")


def verdict(name: str) -> str:
    """What a verification found, for people."""
    return {
        "ok": _("Every close follows from the evidence, to the last unit."),
        "wrong": _("A close does NOT follow from the evidence."),
        "incomplete": _("Records are missing here: no verdict yet."),
        "unclosed": _("The sponsor has closed no round yet."),
    }.get(name, name)


def finding(answer: Document) -> str:
    """What a `p2pnode.verification/1` found, for people."""
    twice = any(one["kind"] == "double-close" for one in answer.get("proofs", ()))
    if twice:
        return _("A round is closed twice: each line is owed to whoever accepted it.")
    return verdict(answer["verdict"])


def show_statement(statement: Document | None, unit: str) -> None:
    """Print lines and money."""
    if statement is None:
        return
    rows = [
        (short(line["payee"]), money(line["amount"], unit))
        for line in statement["lines"]
    ]
    if rows:
        output.say(*output.table((_("payee"), _("amount")), rows))
    else:
        output.say(_("Nobody is paid by this round."))
    output.say(
        _("earned {earned} · left over {residue} · not earned {unspent}").format(
            earned=money(statement["earned"], unit),
            residue=money(statement["residue"], unit),
            unspent=money(statement["unspent"], unit),
        ),
        _("digest {digest}").format(digest=statement["digest"]),
    )


def show_verification(answer: Document) -> None:
    """Print which campaign it is, whose, and what a verification found."""
    output.say(answer["title"], _("id {id}").format(id=answer["campaign"]))
    for key in answer.get("sponsor", ()):  # a node of an older version tells none
        output.say(_("sponsor {key}").format(key=key))
    for close in answer["closes"]:
        _show_close(close, answer["unit"])
    show_disputes(answer)
    colour = {"ok": "green", "wrong": "red"}.get(answer["verdict"], "")
    output.say(finding(answer), colour=colour)
    if answer["unclosed"]:
        output.say(_("Unclosed: what the evidence says. A claim, not a voucher."))
    elif answer["waits_for"]:
        output.say(
            _(
                "Round {round} waits until these witnesses have finished it: {owners}."
            ).format(round=answer["next_round"], owners=", ".join(answer["waits_for"]))
        )
    show_statement(answer["statement"], answer["unit"])


def show_disputes(answer: Document) -> None:
    """Print who disputes which close, and what was computed here."""
    for one in answer.get("disputes", ()):  # a node of an older version tells none
        known = one["round"] is not None
        output.say(
            _(
                "{author} disputes the close of round {round}; computed here it is:"
                " {verdict}."
            ).format(
                author=short(one["author"]),
                round=one["round"] if known else _("(not here yet)"),
                verdict=word(one["verdict"]),
            )
        )


def _show_close(close: Document, unit: str) -> None:
    """What was found of one close."""
    output.say(
        _("Round {round}: statement {statement}, cut {cut}.").format(
            round=close["round"],
            statement=word(close["statement"]),
            cut=word(close["cut"]),
        )
    )
    if close["reason"]:
        output.say("  " + reason(close["reason"]))
    for finding in close["findings"]:
        output.say(
            "  "
            + _("{author}: {kind}").format(
                author=short(finding["author"]), kind=word(finding["kind"])
            )
        )
    if close["not_judged"]:
        output.say(
            "  "
            + _(
                "{count} scans are erased and cannot be judged again: their rows"
                " are believed."
            ).format(count=close["not_judged"])
        )
    if close.get("resting"):  # a node of an older version tells none
        output.say(
            "  "
            + _("{amount} granted in this round rest on such rows alone.").format(
                amount=money(close["resting"], unit)
            )
        )


def tree(
    answer: Document, names: Mapping[str, str], paid: Mapping[str, int], unit: str
) -> list[str]:
    """Who invited whom, with what each is paid."""
    below: dict[str | None, list[Document]] = {}
    for person in answer["people"]:
        if person["refused"] is None:
            below.setdefault(person["inviter"], []).append(person)
    lines: list[str] = []

    def grow(inviter: str | None, indent: str) -> None:
        people = below.get(inviter, [])
        for place, person in enumerate(people, 1):
            end = place == len(people)
            branch = "└─ " if end else "├─ "
            who = names.get(person["author"], short(person["author"]))
            gap = " " * max(1, 26 - output.width(indent + branch + who))
            amount = money(paid.get(person["payee"], 0), unit)
            lines.append(f"{indent}{branch}{who}{gap}{amount:>16}")
            grow(person["author"], indent + ("   " if end else "│  "))

    grow(None, "")
    return lines
