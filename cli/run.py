"""`p2pnode run`: the node itself, until it is stopped."""

from __future__ import annotations

import sys

import click

from cli import client, frame, home, output
from cli.i18n import _


@frame.command("run", _("Run the node until it is stopped."), example="p2pnode run")
@click.option(
    "--listen",
    multiple=True,
    metavar=_("ADDRESS"),
    help=_("Where to listen, such as /ip4/0.0.0.0/tcp/4001; may be repeated."),
)
def command(listen: tuple[str, ...], *, as_json: bool) -> None:
    """Run in the foreground; the ready line is JSON, but in words on a terminal."""
    from p2pnode import daemon

    words = sys.stdout.isatty() and not as_json
    daemon.run(home.folder(), listen, ready=_say if words else output.as_json)


def _say(facts: client.Document) -> None:
    output.say(
        _("The node runs until Ctrl-C. Others reach it at {addresses}").format(
            addresses=", ".join(facts["addresses"])
        )
    )
