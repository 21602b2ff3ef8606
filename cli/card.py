"""`p2pnode card`: a short-lived code by which a shop can name you."""

from __future__ import annotations

from pathlib import Path

import click

from cli import client, frame, output, params
from cli.i18n import _


@frame.command(
    "card",
    _("Show your card for a merchant to scan."),
    example="p2pnode card --picture card.png",
)
@click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
@click.option(
    "--merchant",
    type=params.KEY,
    default="",
    help=_("Only for the shop with this key."),
)
@click.option("--picture", default="", help=_("Also draw it as a PNG file."))
def command(campaign: str, merchant: str, picture: str, *, as_json: bool) -> None:
    """Print the code; it is good once."""
    from cli.codes import spoken
    from p2pnode import pictures

    body = {"merchant": merchant}
    if picture:
        with spoken():
            pictures.check_new(Path(picture))
    answer = client.call("POST", client.campaign(campaign, "card"), body)
    if picture:
        with spoken():
            pictures.draw(answer["code"], Path(picture))
    if as_json:
        output.as_json(answer)
    else:
        output.say(answer["code"])
