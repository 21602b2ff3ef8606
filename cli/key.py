"""`p2pnode key list | add | next`: the author keys of a shop, sponsor or device."""

from __future__ import annotations

import os

from cli import client, frame, home, output
from cli.i18n import _

command = frame.group(
    "key",
    _("List, add and change the public author keys of a shop."),
    example="p2pnode key list",
)


@frame.command(
    "list",
    _("List the keys that new terms should name, the one at work first."),
    example="p2pnode key list",
    within=command,
)
def list_(*, as_json: bool) -> None:
    """Read the folder; no node is needed to run."""
    from p2pnode import identity
    from protocols.text import author_text

    data = home.folder()
    mine = identity.load_unsealed(data)
    keys = [author_text(key) for key in identity.public_authors(data, mine)]
    if as_json:
        output.document("keys", {"keys": keys, "all": len(mine.author_keys)})
        return
    output.say(*keys)
    if not keys:
        output.say(_("None. A shop gets one with: p2pnode key add"))


@frame.command(
    "add",
    _("Make one more author key: it takes over when the others are given up."),
    example="p2pnode key add",
    within=command,
)
def add(*, as_json: bool) -> None:
    """Write it beside the others; a running node reads it when it starts again."""
    from p2pnode import identity
    from protocols.text import author_text

    data = home.folder()
    passphrase = identity.read_passphrase(os.environ.get(identity.SEALED_BY))
    made = identity.add_key(data, passphrase)
    key = author_text(made.author_keys[-1].author)
    if as_json:
        output.document("key-added", {"key": key, "all": len(made.author_keys)})
        return
    output.say(
        _("Added {key}.").format(key=key),
        _("Start the node again, and make a new backup."),
        _("Terms of later campaigns name it; those published already never will."),
    )


@frame.command(
    "next",
    _("Give up the key at work for the next, on the node that goes on."),
    example="p2pnode key next",
    within=command,
)
def next_(*, as_json: bool) -> None:
    """Tell the running node."""
    answer = client.call("POST", "/keys/next")
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("The key at work is now {key}.").format(key=answer["keys"][0]),
        _("The one before never signs again."),
    )
