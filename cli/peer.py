"""`p2pnode peer`: who this node talks to."""

from __future__ import annotations

import time

import click

from cli import client, frame, output, params
from cli.i18n import _
from cli.words import word

command = frame.group(
    "peer",
    _("Add, list, ping and block neighbours."),
    example="p2pnode peer add /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...",
)

LOOKS = 12
LOOK_S = 0.25
"""How often and how far apart a new peer is looked at."""

PEER = click.argument("peer", metavar=_("PEER"), type=params.PEER)


@frame.command(
    "add",
    _("Remember a peer's address and connect to it."),
    example="p2pnode peer add /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...",
    within=command,
)
@click.argument("address", metavar=_("ADDRESS"), type=params.ADDRESS)
def add(address: str, *, as_json: bool) -> None:
    """Add one address, as the other node prints it when it starts."""
    answer = client.call("POST", "/peers", {"address": address})
    peer = address.rpartition("/p2p/")[2]
    entry = _when_connected(peer)
    if entry.get("connected"):
        text = _("Connected to {peer}.").format(peer=peer)
    else:
        text = _("Noted, but {peer} does not answer yet: {why}").format(
            peer=peer, why=_why(entry.get("error") or "")
        )
    _print({**answer, "connected": bool(entry.get("connected"))}, text, as_json=as_json)


def _why(error: str) -> str:
    """Why a peer does not answer: in words, where the node's log has its own."""
    said = {
        "cannot read the address": _("the address is mistyped: copy it again"),
        "cannot dial": _("the address has another form: /ip4/.../tcp/.../p2p/..."),
        "that is this node": _("that is this node itself"),
        "is blocked": _("it is blocked: p2pnode peer unblock"),
        "no answer within": _("no answer from there"),
        "another identity": _("another node answered there"),
        "nothing listens": _("nothing listens there"),
        "shares nothing": _("it follows none of this node's campaigns"),
    }
    known = [words for part, words in said.items() if part in error]
    return known[0] if known else error or _("still trying")


def _when_connected(peer: str) -> client.Document:
    """Look a few times whether a peer that was just added is connected."""
    entry: client.Document = {}
    for _look in range(LOOKS):
        known = client.call("GET", "/peers").get("peers", [])
        entry = next((each for each in known if each.get("peer") == peer), {})
        if entry.get("connected"):
            break
        time.sleep(LOOK_S)
    return entry


@frame.command(
    "list",
    _("List the peers this node knows."),
    example="p2pnode peer list",
    within=command,
)
def peers(*, as_json: bool) -> None:
    """Print a table of peers."""
    answer = client.call("GET", "/peers")
    known = answer.get("peers", [])
    rows = [
        (each.get("peer", ""), word(each.get("state", "")), each.get("address", ""))
        for each in known
    ]
    lines = output.table((_("peer"), _("state"), _("address")), rows)
    if not known:
        lines = [_("No peers yet. Add one with: p2pnode peer add ADDRESS")]
    _print(answer, *lines, as_json=as_json)


@frame.command(
    "ping",
    _("Ask a peer whether it is there."),
    example="p2pnode peer ping 12D3KooW...",
    within=command,
)
@PEER
def ping(peer: str, *, as_json: bool) -> None:
    """Print how long the answer took."""
    answer = client.call("POST", "/peers/ping", {"peer": peer})
    text = _("{peer} answered in {ms} ms.").format(peer=peer, ms=answer.get("ms"))
    _print(answer, text, as_json=as_json)


@frame.command(
    "block",
    _("Drop a peer and refuse it from now on."),
    example="p2pnode peer block 12D3KooW...",
    within=command,
)
@PEER
def block(peer: str, *, as_json: bool) -> None:
    """Block a peer by its id."""
    answer = client.call("POST", "/peers/block", {"peer": peer})
    _print(answer, _("Blocked {peer}.").format(peer=peer), as_json=as_json)


@frame.command(
    "unblock",
    _("Let a blocked peer come back."),
    example="p2pnode peer unblock 12D3KooW...",
    within=command,
)
@PEER
def unblock(peer: str, *, as_json: bool) -> None:
    """Unblock a peer by its id."""
    answer = client.call("POST", "/peers/unblock", {"peer": peer})
    _print(answer, _("Unblocked {peer}.").format(peer=peer), as_json=as_json)


def _print(answer: client.Document, *lines: str, as_json: bool) -> None:
    if as_json:
        output.as_json(answer)
    else:
        output.say(*lines)
