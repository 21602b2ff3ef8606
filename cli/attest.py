"""`p2pnode attest`: a shop stands behind what somebody did."""

from __future__ import annotations

import click

from cli import client, frame, output, params, vouching
from cli.i18n import _


@frame.command(
    "attest",
    _("Confirm what somebody did."),
    example="p2pnode attest RECORD --card P2PNODE:C/...",
)
@click.argument("record", metavar=_("RECORD"), type=params.RECORD)
@click.option("--campaign", default="-", help=_("Where this node follows several."))
@click.option("--card", default="", help=_("The customer's card code or picture."))
@click.option("--amount", type=params.Amount(), default=0, help=_("In minor units."))
@click.option("--stage", default="", help=_("If the attest is itself a stage's act."))
def command(
    record: str, campaign: str, card: str, amount: int, stage: str, *, as_json: bool
) -> None:
    """Sign an attest for a scan or join."""
    from cli.codes import read_argument

    body = {"record": record, "amount": amount, "stage": stage}
    if card:
        body["card"] = read_argument(client.told(card), "C")[0]
    answer = client.call("POST", client.campaign(campaign, "attest"), body)
    if as_json:
        output.as_json(answer)
    else:
        vouching.show_word(answer)
