"""`p2pnode reward`: what closes pay this node, and the vouchers for it."""

from __future__ import annotations

from pathlib import Path

import click

from cli import accounts, client, frame, output
from cli.i18n import _
from p2pnode.failures import UNVERIFIED, Failure

command = frame.group(
    "reward", _("List and claim rewards."), example="p2pnode reward list"
)


@frame.command(
    "list",
    _("List what closes pay this node."),
    example="p2pnode reward list",
    within=command,
)
def list_(*, as_json: bool) -> None:
    """Print a table of lines."""
    answer = client.call("GET", "/rewards")
    if as_json:
        output.as_json(answer)
        return
    rows = [
        (
            one["title"],
            one["round"],
            accounts.money(one["amount"], one["unit"]),
            accounts.moment(one["redeem_until"]),
            accounts.short(one["issuer"]),
        )
        for one in answer["lines"]
    ]
    header = (_("campaign"), _("round"), _("amount"), _("good until"), _("owed by"))
    if rows:
        output.say(*output.table(header, rows))
    else:
        output.say(
            _("Nothing yet: a reward is there once the sponsor has closed a round."),
            _("See what the evidence says: p2pnode campaign explain --person me"),
        )


@frame.command(
    "claim",
    _("Take your latest line of a campaign as a voucher."),
    example="p2pnode reward claim --out voucher.png",
    within=command,
)
@click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
@click.option("--out", default="", help=_("Write it as a file: .png or text."))
def claim(campaign: str, out: str, *, as_json: bool) -> None:
    """Print the voucher: it proves itself to anybody."""
    answer = client.call("POST", client.campaign(campaign, "claim"), {})
    amount = accounts.money(answer["amount"], answer["unit"])
    if out.lower().endswith(".png"):
        from p2pnode import pictures

        pictures.draw(answer["voucher"], Path(out), (answer["title"], amount))
    elif out:
        Path(out).write_text(answer["voucher"] + "\n", encoding="ascii")
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("{title}, round {round}: {amount}, owed by {issuer}.").format(
            title=answer["title"],
            round=answer["round"],
            amount=amount,
            issuer=accounts.short(answer["issuer"]),
        )
    )
    if not out:
        output.say(answer["voucher"])


@frame.command(
    "check",
    _("Check a voucher: is it signed, does the close hold this line?"),
    example="p2pnode reward check voucher.png",
    within=command,
)
@click.argument("voucher")
def check(voucher: str, *, as_json: bool) -> None:
    """Needs no node and no network."""
    from cli.codes import read_argument
    from protocols.errors import ProtocolError
    from protocols.settlement.voucher import check_voucher, read_voucher
    from protocols.text import author_text

    try:
        found = read_voucher(read_argument(voucher)[0])
        claim_ = check_voucher(found)
    except ProtocolError as error:
        raise Failure(
            error.reason,
            _("The voucher does not hold: {why}").format(why=error),
            _("A line, its path and the signed close, all unchanged."),
            _("Do not accept it."),
            UNVERIFIED,
        ) from None
    facts = {
        "payee": author_text(found.line.payee),
        "amount": found.line.amount,
        "unit": claim_.unit,
        "issuer": author_text(found.issuer),
        "round": claim_.round,
        "redeem_until": claim_.redeem_until,
    }
    if as_json:
        output.document("voucher", facts)
        return
    output.say(
        _("It holds: {amount} for {payee}, owed by {issuer}, until {time}.").format(
            amount=accounts.money(found.line.amount, claim_.unit),
            payee=accounts.short(str(facts["payee"])),
            issuer=accounts.short(str(facts["issuer"])),
            time=accounts.moment(claim_.redeem_until),
        ),
        _("It is the issuer's word, provable; it is not collateral."),
        _("Whether the issuer is a campaign's sponsor stands in its terms."),
    )
