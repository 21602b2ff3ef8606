"""`p2pnode reward`, at the till: redeem, accept, owe, paid, books, prove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from cli import accounts, client, frame, output, params, spreadsheet
from cli.i18n import _
from cli.words import word
from p2pnode.failures import UNVERIFIED, Failure


@frame.command(
    "redeem",
    _("Spend a part of your voucher at a shop: sign a slip and hand it over."),
    example="p2pnode reward redeem 1500 --at p2p1... --out slip.png",
)
@click.argument("words", metavar=_("[CAMPAIGN] AMOUNT"), nargs=-1, required=True)
@click.option(
    "--at",
    "acceptor",
    type=params.KEY,
    required=True,
    help=_("The shop's key: its p2pnode status."),
)
@click.option("--out", default="", help=_("Write it as a file: .png or text."))
@click.option(
    "--again", is_flag=True, help=_("Give the last such slip again; sign nothing.")
)
def redeem(
    words: tuple[str, ...], acceptor: str, out: str, *, again: bool, as_json: bool
) -> None:
    """AMOUNT in minor units."""
    from cli import codes

    campaign, amount = _campaign_and_amount(words)
    codes.check_new(out)
    answer = client.call(
        "POST",
        client.campaign(campaign, "redeem"),
        {"amount": amount, "acceptor": acceptor, "again": again},
    )
    shown = accounts.money(answer["amount"], answer["unit"])
    codes.write(answer["slip"], out, (answer["title"], shown))
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("{title}: {amount} for {acceptor}; {left} is left of this voucher.").format(
            title=answer["title"],
            amount=shown,
            acceptor=accounts.short(answer["acceptor"]),
            left=accounts.money(answer["left"], answer["unit"]),
        )
    )
    output.say(_("Wrote {file}.").format(file=out) if out else answer["slip"])
    if not answer.get("named", True):
        output.talk(
            _(
                "Note: the terms do not name this shop. Nobody else can accept the"
                " slip; if the key is not its own, this part is lost."
            )
        )


@frame.command(
    "accept",
    _("Accept a customer's slip: it is kept before you are told so."),
    example="p2pnode reward accept slip.png --limit 20000",
)
@click.argument("slip", metavar=_("SLIP"))
@click.option(
    "--limit",
    type=params.Amount(),
    default=None,
    help=_(
        "What you may lose, in minor units: most that is accepted and not owed."
        " It stays."
    ),
)
@click.option(
    "--sure",
    is_flag=True,
    help=_("Also if it was signed before this node lost records: it is new to you."),
)
def accept(slip: str, limit: int | None, *, sure: bool, as_json: bool) -> None:
    """SLIP is a picture, a file, or a text P2PNODE:R/..."""
    body: dict[str, object] = {"slip": _slip(slip)}
    if sure:
        body["sure"] = True
    if limit is not None:
        body["limit"] = limit
    answer = client.call("POST", "/till/accept", body)
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("Accepted: {amount}, owed by {issuer}.").format(
            amount=accounts.money(answer["amount"], answer["unit"]),
            issuer=accounts.short(answer["issuer"]),
        ),
        colour="green" if answer["level"] == "owed" else "yellow",
    )
    if answer["strangers"]:
        output.say(
            _("The terms name keys as this shop's that this node does not have:"),
            *(f"  {key}" for key in answer["strangers"]),
            _(
                "Whoever holds one can sign that you were paid. If they are not yours,"
                " do not accept this sponsor's vouchers."
            ),
            colour="yellow",
        )
    if answer["level"] == "owed":
        output.say(_("Owed: the issuer has signed that it owes you this."))
        return
    output.say(
        _("Offline: the issuer has not recognised it yet; you may lose it."),
        _("Show it to the issuer before {time}: p2pnode reward owe SLIP").format(
            time=accounts.moment(answer["redeem_until"])
        ),
    )
    if not answer["followed"]:
        output.say(
            _("Whether the issuer is real, this node cannot know."),
            _("Follow the campaign: p2pnode campaign follow {id}").format(
                id=answer["campaign"]
            ),
        )


@frame.command(
    "owe",
    _("Recognise redeems as the issuer: sign that you owe the shop."),
    example="p2pnode reward owe slip.png\np2pnode reward owe --auto",
)
@click.argument("slip", metavar=_("[SLIP]"), default="")
@click.option(
    "--auto/--by-hand",
    "auto",
    default=None,
    help=_("Recognise good redeems as they arrive, from now on; or no longer."),
)
def owe(slip: str, *, auto: bool | None, as_json: bool) -> None:
    """Without SLIP every good redeem that waits is recognised."""
    if auto is not None:
        said = client.call("POST", "/till/auto", {"on": auto})
        if auto is False or not slip:
            if as_json:
                output.as_json(said)
            else:
                output.say(
                    _("Good redeems are recognised as they arrive.")
                    if auto
                    else _("Redeems wait until you recognise them.")
                )
            return
    body = {"slip": _slip(slip)} if slip else {}
    answer = client.call("POST", "/till/owe", body)
    if as_json:
        output.as_json(answer)
    elif answer["signed"]:
        for one in answer["signed"]:
            output.say(
                _("Signed: you owe {creditor} {amount}.").format(
                    creditor=accounts.short(one["creditor"]),
                    amount=accounts.money(one["amount"], one["unit"]),
                )
            )
    else:
        output.say(_("Nothing new to recognise. See p2pnode reward books."))


@frame.command(
    "paid",
    _("Sign, as the creditor, that you were paid."),
    example="p2pnode reward paid p2p1... 1500",
)
@click.argument("debtor", metavar=_("DEBTOR"), type=params.KEY)
@click.argument("amount", metavar=_("AMOUNT"), type=params.Amount(1))
@click.option(
    "--campaign",
    type=params.CAMPAIGN,
    default="",
    help=_("Where it owes you in several."),
)
def paid(debtor: str, amount: int, campaign: str, *, as_json: bool) -> None:
    """AMOUNT in minor units; the oldest debts are settled first."""
    body = {"debtor": debtor, "amount": amount, "campaign": campaign}
    answer = client.call("POST", "/till/paid", body)
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _(
            "{title}: signed that {debtor} paid you {amount}; {open} is still open."
        ).format(
            title=answer["title"],
            debtor=accounts.short(answer["debtor"]),
            amount=accounts.money(answer["amount"], answer["unit"]),
            open=accounts.money(answer["open"], answer["unit"]),
        )
    )


@frame.command(
    "books",
    _("Show what you owe and what you are owed, by whom."),
    example="p2pnode reward books --csv books.csv",
)
@click.option("--csv", "file", default="", help=_("Write it for a spreadsheet."))
def books(file: str, *, as_json: bool) -> None:
    """Print tables of debts, accepted slips and double spendings."""
    from cli import codes

    codes.check_new(file)
    answer = client.call("GET", "/books")
    if file:
        from p2pnode import pictures

        with codes.spoken():
            pictures.write_private(Path(file), spreadsheet.written(answer))
    if as_json:
        output.as_json(answer)
        return
    _say_debts(_("You are owed:"), _("owed by"), "debtor", answer["owed_to_me"])
    _say_debts(_("You owe:"), _("owed to"), "creditor", answer["i_owe"])
    offline = [one for one in answer["accepted"] if one["level"] == "offline"]
    _say_slips(_("Accepted and not recognised yet:"), "issuer", offline)
    _say_slips(_("Waiting for you to recognise:"), "acceptor", answer["waiting"])
    _say_slips(_("You redeemed:"), "acceptor", answer["redeemed"])
    for one in answer["doubles"]:
        output.say(
            _("Spent twice by {payee}: {amount}. The proof is in --json.").format(
                payee=accounts.short(one["payee"]),
                amount=accounts.money(one["amount"], one["unit"]),
            ),
            colour="red",
        )
    if file:
        output.say(_("Wrote {file}.").format(file=file))
    if not any(
        answer[name]
        for name in ("owed_to_me", "i_owe", "accepted", "waiting", "redeemed")
    ):
        output.say(_("Nothing is owed, accepted or redeemed here."))


@frame.command(
    "prove",
    _("Prove by two slips that a part of a voucher was spent twice."),
    example="p2pnode reward prove one.png other.png --out double.txt",
)
@click.argument("slips", metavar=_("SLIP SLIP"), nargs=2)
@click.option("--out", default="", help=_("Write it as a file: .png or text."))
def prove(slips: tuple[str, str], out: str, *, as_json: bool) -> None:
    """It needs no node; `reward check` verifies it anywhere."""
    from cli import codes
    from protocols.errors import ProtocolError
    from protocols.settlement.redeem import double_text, make_double, read_slip

    codes.check_new(out)
    first, second = (read_slip(_slip(one)) for one in slips)
    try:
        proof = make_double(
            first.voucher, first.redeem.record(), second.redeem.record()
        )
    except ProtocolError as error:
        raise Failure(
            "no-proof",
            _("These two slips prove nothing: {why}").format(why=error),
            _("Two slips of one voucher that take the same part of it."),
            _("Slips that do not overlap are both good."),
            UNVERIFIED,
        ) from None
    text = double_text(proof)
    codes.write(text, out, ())
    if as_json:
        output.document("double", {"proof": text})
    else:
        say_double(text)
        output.say(_("Wrote {file}.").format(file=out) if out else text)


def say_double(text: str, *, as_json: bool = False) -> None:
    """Check a proof of double spending and say what it proves.

    Raises:
        ProtocolError: it does not hold.
    """
    from protocols.settlement.redeem import check_double, read_double_text
    from protocols.text import author_text, campaign_text

    proof = read_double_text(text)
    first, second = check_double(proof)
    payee = author_text(first.purse.payee)
    if as_json:
        facts = {
            "campaign": campaign_text(first.record.scope),
            "close": first.purse.close.hex(),
            "line": first.purse.line,
            "payee": payee,
            "amount": first.purse.amount,
            "issuer": author_text(proof.voucher.issuer),
            "redeems": [
                {
                    "redeem": one.record.id.hex(),
                    "acceptor": author_text(one.claim.acceptor),
                    "amount": one.claim.amount,
                    "total_before": one.claim.total_before,
                }
                for one in (first, second)
            ],
        }
        output.document("double", facts)
        return
    output.say(
        _("It is proven: {payee} spent a part of a voucher twice.").format(payee=payee)
    )
    unit = proof.voucher.close.claim().unit
    for one in (first, second):
        output.say(
            "  "
            + _("{amount} at {acceptor}, after {before}").format(
                amount=accounts.money(one.claim.amount, unit),
                acceptor=accounts.short(author_text(one.claim.acceptor)),
                before=accounts.money(one.claim.total_before, unit),
            )
        )


def _campaign_and_amount(words: tuple[str, ...]) -> tuple[str, int]:
    """What `[CAMPAIGN] AMOUNT` says.

    Raises:
        Failure: `bad-amount`.
    """
    amount = params.amount(words[-1] if len(words) < 3 else " ".join(words))
    if amount == 0:
        raise params.bad_amount(words[-1])
    return (words[0] if len(words) == 2 else "-"), amount


def _slip(argument: str) -> str:
    from cli.codes import read_argument

    return read_argument(client.told(argument), "R")[0]


def _say_debts(title: str, whom: str, party: str, debts: Sequence[Any]) -> None:
    """One line for each party, campaign and unit, under the first key it had."""
    shown: dict[str, str] = {}
    sums: dict[tuple[str, str, str], list[int]] = {}
    for one in debts:
        whole = one.get(f"{party}_party", one[party])  # older nodes tell none
        key = (shown.setdefault(whole, one[party]), one["title"], one["unit"])
        total = sums.setdefault(key, [0, 0, 0])
        for place, name in enumerate(("amount", "paid", "open")):
            total[place] += one[name]
    if not sums:
        return
    output.say(title)
    header = (whom, _("campaign"), _("owed"), _("paid"), _("open"))
    rows = [
        (accounts.short(key), name, *(accounts.money(n, unit) for n in total))
        for (key, name, unit), total in sorted(sums.items())
    ]
    output.say(*output.table(header, rows))


def _say_slips(title: str, party: str, slips: Sequence[Any]) -> None:
    if not slips:
        return
    whom = _("owed by") if party == "issuer" else _("at")
    output.say(title)
    header = (whom, _("campaign"), _("amount"), _("level"), _("good until"))
    rows = [
        (
            accounts.short(one[party]),
            one["title"] or accounts.short(one["campaign"]),
            accounts.money(one["amount"], one["unit"]),
            word(one.get("level", "offline")),
            accounts.moment(one["redeem_until"]),
        )
        for one in slips
    ]
    output.say(*output.table(header, rows))


VERBS: Final = (redeem, accept, owe, paid, books, prove)
