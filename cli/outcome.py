"""`p2pnode outcome`: a shop records what a person did, for how much."""

from __future__ import annotations

import click

from cli import accounts, campaign_proofs, client, frame, output, params, vouching
from cli.i18n import _

command = frame.group(
    "outcome",
    _("Record what a campaign brought about."),
    example="p2pnode outcome add --card card.png --amount 12800",
)


@frame.command(
    "add",
    _("Sign that a person did this, for this amount."),
    example="p2pnode outcome add --card card.png --amount 12800 --stage buy",
    within=command,
)
@click.option("--campaign", default="-", help=_("Where this node follows several."))
@click.option("--card", default="", help=_("The customer's card code or picture."))
@click.option(
    "--person", type=params.KEY, default="", help=_("Or her key, with --scan.")
)
@click.option(
    "--scan",
    "scans",
    type=params.RECORD,
    multiple=True,
    help=_("Her scans that led here."),
)
@click.option(
    "--amount", type=params.Amount(), required=True, help=_("In minor units.")
)
@click.option("--stage", default="", help=_("Where several stages are outcomes."))
def add(
    *,
    campaign: str,
    card: str,
    person: str,
    scans: tuple[str, ...],
    amount: int,
    stage: str,
    as_json: bool,
) -> None:
    """Sign an outcome."""
    from cli.codes import read_argument

    body: dict[str, object] = {"amount": amount, "stage": stage, "after": list(scans)}
    if card:
        body["card"] = read_argument(client.told(card), "C")[0]
    if person:
        body["author"] = person
    answer = client.call("POST", client.campaign(campaign, "outcome"), body)
    if as_json:
        output.as_json(answer)
        return
    vouching.show_word(answer)
    if answer["refund_until"] is not None:
        text = _(
            "After a refund, until {time}: p2pnode outcome reverse {seq} --amount"
            " {amount}"
        )
        facts = {**answer, "time": accounts.moment(answer["refund_until"])}
        output.say(text.format(**facts))


@frame.command(
    "reverse",
    _("Take an outcome back, wholly or in part, after a refund."),
    example="p2pnode outcome reverse 3 --amount 12800",
    within=command,
)
@click.argument("record", metavar=_("NUMBER|RECORD"), type=params.RECORD)
@click.option("--campaign", default="-", help=_("Where this node follows several."))
@click.option(
    "--amount", type=params.Amount(1), required=True, help=_("In minor units.")
)
def reverse(record: str, campaign: str, amount: int, *, as_json: bool) -> None:
    """Sign a reversal."""
    answer = client.call(
        "POST",
        client.campaign(campaign, "reverse"),
        {"record": campaign_proofs.own_record(campaign, record), "amount": amount},
    )
    if as_json:
        output.as_json(answer)
    else:
        vouching.show_reversal(answer)
