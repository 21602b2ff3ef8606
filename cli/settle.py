"""`p2pnode settle`: the statement as this node computes it."""

from __future__ import annotations

import click

from cli import accounts, client, frame, output
from cli.i18n import _

command = frame.group(
    "settle", _("Show what is owed, and why."), example="p2pnode settle show"
)


@frame.command(
    "show",
    _("Show the statement as this node computes it."),
    example="p2pnode settle show",
    within=command,
)
@click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
def show(campaign: str, *, as_json: bool) -> None:
    """Print lines, money and digest."""
    answer = client.call("GET", client.campaign(campaign, "verify"))
    if as_json:
        output.as_json(answer)
    else:
        accounts.show_verification(answer)
