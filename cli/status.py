"""`p2pnode status`: what the node is doing."""

from __future__ import annotations

from cli import accounts, client, frame, home, losses, output
from cli.i18n import _
from cli.words import word


@frame.command("status", _("Show what the node is doing."), example="p2pnode status")
def command(*, as_json: bool) -> None:
    """Print the node's own account, one line a fact."""
    facts = client.call("GET", "/status")
    if as_json:
        output.as_json(facts)
        return
    titles = _titles()
    if facts.get("time_ms"):
        facts["time_ms"] = accounts.moment(facts["time_ms"])
    if facts.get("role"):
        facts["role"] = word(facts["role"])
    told = list(losses.remarks(facts, home.folder()))
    hidden = ("format", "losses", "troubles")
    if len(facts.get("keys") or ()) < 2:
        facts.pop("keys", None)  # the author, told already
    facts["keys_given_up"] = facts.get("keys_given_up") or None
    lines = [
        (titles.get(name, name.replace("_", " ")), value)
        for name, value in facts.items()
        if name not in hidden and value not in (None, "", [], {})
    ]
    edge = max((output.width(title) for title, _value in lines), default=0)
    for title, value in lines:
        space = " " * (edge - output.width(title) + 2)
        first, *others = _texts(value)
        output.say(title + space + first)
        output.say(*(" " * (edge + 2) + text for text in others))
    for one in told:
        colour = {"bad": "red", "warn": "yellow"}.get(one.level, "")
        output.say("", one.text, colour=colour)
        if one.cure:
            output.say(_("What to do: {text}").format(text=one.cure))


def _texts(value: object) -> list[str]:
    """Return the lines that show a value: a list takes one line an element."""
    match value:
        case bool():
            return [_("yes") if value else _("no")]
        case list():
            return [str(element) for element in value]
        case dict():
            return [f"{name}: {inner}" for name, inner in value.items()]
        case _:
            return [str(value)]


def _titles() -> dict[str, str]:
    return {
        "name": _("name"),
        "role": _("role"),
        "peer_id": _("peer id"),
        "author": _("author"),
        "addresses": _("addresses"),
        "network": _("network"),
        "neighbours": _("neighbours"),
        "campaigns": _("campaigns"),
        "scopes": _("scopes"),
        "feeds": _("feeds"),
        "records": _("records"),
        "bytes": _("bytes on disk"),
        "time_ms": _("clock"),
        "forks": _("forks"),
        "version": _("version"),
        "keys": _("author keys"),
        "keys_given_up": _("keys given up"),
    }
