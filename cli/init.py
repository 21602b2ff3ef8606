"""`p2pnode init`: a folder and keys for a new node."""

from __future__ import annotations

import click

from cli import frame, home, output
from cli.i18n import _


@frame.command(
    "init",
    _("Create this node: its folder and its keys."),
    example="p2pnode init --role merchant --name Bakery",
)
@click.option(
    "--role",
    type=click.Choice(["merchant", "resident", "device"]),
    default="resident",
    show_default=True,
    help=_("A merchant (also a sponsor or charity) has a public author key."),
)
@click.option("--name", default="", help=_("What neighbours call this node."))
@click.option(
    "--network",
    default="main",
    show_default=True,
    help=_("Nodes of different networks do not understand each other."),
)
@click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False),
    help=_("Seal the keys with the passphrase in this file."),
)
def command(
    role: str, name: str, network: str, passphrase_file: str | None, *, as_json: bool
) -> None:
    """Create keys once; a folder that has some is refused."""
    from p2pnode import identity
    from protocols.text import author_text

    data = home.folder()
    passphrase = identity.read_passphrase(passphrase_file)
    made = identity.create(
        data, role=role, name=name, passphrase=passphrase, network=network
    )
    key = identity.public_author(made)
    author = None if key is None else author_text(key)
    if as_json:
        facts = {"home": str(data), "role": role, "name": name, "author": author}
        output.document("init", facts)
        return
    output.say(_("Created a {role} in {folder}.").format(role=role, folder=data))
    if author:
        output.say(_("Its author key, for terms: {author}").format(author=author))
    output.say(_("Start it with: p2pnode run"))
