"""`p2pnode init`: a folder and keys for a new node."""

from __future__ import annotations

import click

from cli import frame, home, output, params
from cli.i18n import _
from cli.words import word


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
@click.option(
    "--spare-keys",
    type=params.Whole(0, 3),
    default=1,
    show_default=True,
    help=_("Further author keys of a merchant or device; after a loss one takes over."),
)
def command(
    role: str,
    name: str,
    network: str,
    passphrase_file: str | None,
    spare_keys: int,
    *,
    as_json: bool,
) -> None:
    """Create keys once; a folder that has some is refused."""
    from p2pnode import identity
    from protocols.text import author_text

    data = home.folder()
    passphrase = identity.read_passphrase(passphrase_file)
    made = identity.create(
        data,
        role=role,
        name=name,
        passphrase=passphrase,
        network=network,
        spares=spare_keys,
    )
    keys = [author_text(key.author) for key in made.author_keys]
    author = keys[0] if keys else None
    if as_json:
        facts = {
            "home": str(data),
            "role": role,
            "name": name,
            "author": author,
            "keys": keys,
        }
        output.document("init", facts)
        return
    output.say(_("Created a {role} in {folder}.").format(role=word(role), folder=data))
    if author:
        output.say(_("Its author key, for terms: {author}").format(author=author))
    for spare in keys[1:]:
        output.say(_("A spare key, for the same terms: {key}").format(key=spare))
    output.say(_("Start it with: p2pnode run"))
