"""What the node's documents call things, in words for people."""

from __future__ import annotations

from cli.i18n import _


def word(code: str) -> str:
    """Return what a role, kind, state, rule or carrier is called; itself if unknown."""
    return _words().get(code, code)


def _words() -> dict[str, str]:
    return {
        # Roles, of nodes and in campaigns.
        "merchant": _("merchant"),
        "resident": _("resident"),
        "device": _("device"),
        "host": _("host of tags"),
        "sponsor": _("sponsor"),
        "witness": _("witness"),
        "participant": _("participant"),
        "payee": _("payee"),
        "follower": _("follower"),
        # Kinds of records that people's own feeds hold.
        "terms": _("terms"),
        "enter": _("entry"),
        "join": _("join"),
        "continue": _("further key"),
        "tags": _("tags"),
        "scan": _("scan"),
        "attest": _("attest"),
        "outcome": _("outcome"),
        "reversal": _("reversal"),
        "part": _("part of a close"),
        "close": _("close"),
        "erase": _("erasure"),
        "redeem": _("redeem"),
        "owe": _("debt"),
        "paid": _("payment"),
        "fork": _("forked feed"),
        # States of a neighbour.
        "connected": _("connected"),
        "known": _("not connected"),
        "blocked": _("blocked"),
        # Rules of a reward.
        "flat": _("all to who acts"),
        "halving": _("halved at each level"),
        # What a tag is made of.
        "printed": _("printed code"),
        "serial": _("one-time codes"),
        "rotating": _("rotating code"),
        "nfc": _("NFC chip"),
        "gs1": _("product code (GS1)"),
        # How sure a shop is of what it accepted.
        "offline": _("offline: not recognised"),
        "owed": _("owed"),
        # What a verification found of a statement or a cut.
        "ok": _("correct"),
        "wrong": _("WRONG"),
        "incomplete": _("incomplete"),
        "omitted": _("records left out"),
        "padded": _("records made up"),
        "misdated": _("records in the wrong round"),
        "party": _("named by the terms"),
    }
