"""`p2pnode run`: the node itself, until it is stopped."""

from __future__ import annotations

import click

from cli import frame, home
from cli.i18n import _


@frame.command("run", _("Run the node until it is stopped."), example="p2pnode run")
@click.option(
    "--listen",
    multiple=True,
    metavar=_("ADDRESS"),
    help=_("Where to listen, such as /ip4/0.0.0.0/tcp/4001; may be repeated."),
)
def command(listen: tuple[str, ...], *, as_json: bool) -> None:  # noqa: ARG001
    """Run in the foreground; the ready line is JSON in any case."""
    from p2pnode import daemon

    daemon.run(home.folder(), listen)
