"""Our codes, ids and files by their beginning: what one is, and which command takes it.

A person who hands a command the wrong thing is told what she has in hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from cli.i18n import _
from p2pnode import typed
from p2pnode.failures import UNVERIFIED, Failure
from protocols.text import LINK_MAX, LINK_PREFIX, is_link

HEAD: Final = 1 << 12
"""Bytes of a file that are looked at."""

RECORD: Final = re.compile("[0-9a-fA-F]{64}")
PEER: Final = re.compile("(12D3KooW|Qm)[1-9A-HJ-NP-Za-km-z]{40,60}")

PICTURES: Final = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"BM")


def of_text(text: str) -> str:
    """Which kind of thing a text sets out to be; "" where it is none of ours."""
    plain = typed.code(text)
    if is_link(plain):
        return plain[len(LINK_PREFIX) :][:1].upper() or "?"
    for prefix in ("p2pc1", "p2pt1", "p2p1"):
        if plain.lower().startswith(prefix):
            return prefix
    if plain.startswith(("/ip4/", "/ip6/", "/dns")):
        return "address"
    if PEER.fullmatch(plain):
        return "peer"
    return "record" if RECORD.fullmatch(plain) else ""


def of_file(path: Path) -> str:
    """Which kind of file it is, by its beginning; "" where it is none of ours."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return ""
    return next((kind for kind, test in _FILES if test(head)), _told(head))


def _is_file(path: Path) -> bool:
    """Whether it is a plain file: a pipe might never end, a code is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _told(head: bytes) -> str:
    """The kind of the code that a text file holds."""
    try:
        text = head.decode("ascii").strip()
    except UnicodeDecodeError:
        return ""
    return of_text(text) if is_link(text) and len(text) <= LINK_MAX else ""


_FILES: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("bundle", lambda head: b"p2pnode.bundle/" in head[:32]),
    ("proof", lambda head: b"p2pnode.proof/" in head[:32]),
    ("backup", lambda head: head.startswith(b"P2PNODE-BACKUP/")),
    ("tags", lambda head: b'"p2pnode.tags/' in head[:64]),
    ("identity", lambda head: b'"p2pnode.identity/' in head[:200]),
    (
        "picture",
        lambda head: (
            head.startswith(PICTURES)
            or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        ),
    ),
    ("terms-file", lambda head: b"[witnesses]" in head or b"[[stage]]" in head),
)


def check_text(text: str, wanted: Collection[str]) -> None:
    """Refuse a text that is another kind of ours than those that are wanted.

    Raises:
        Failure: `wrong-kind`.
    """
    found = of_text(text)
    if found and found not in wanted:
        raise wrong(text, found, wanted)


def check_file(argument: str, wanted: Collection[str]) -> None:
    """Refuse a file, or a text in its place, that is another kind of ours.

    Raises:
        Failure: `wrong-kind`.
    """
    path = Path(argument)
    if not _is_file(path):
        check_text(argument, wanted)
        return
    found = of_file(path)
    if found and found not in wanted:
        raise wrong(path.name, found, wanted)


def wrong(name: str, found: str, wanted: Collection[str]) -> Failure:
    """What somebody has in hand, what was wanted, and which command takes the thing."""
    what, command = _kinds().get(found, (_("a code that no node understands"), ""))
    texts = [_kinds()[one][0] for one in wanted if one in _kinds()]
    shown = name if len(name) <= 40 else f"{name[:24]}…"
    return Failure(
        "wrong-kind",
        _("{name} is {what}.").format(name=shown, what=what),
        _(" or ").join(texts),
        _("Use it with: {command}").format(command=command)
        if command
        else _("Look for the right one."),
        UNVERIFIED,
    )


def _kinds() -> dict[str, tuple[str, str]]:
    return {
        "I": (_("an invite link"), "p2pnode campaign join P2PNODE:I/..."),
        "T": (_("the code of a tag"), "p2pnode scan P2PNODE:T/..."),
        "V": (_("a voucher"), "p2pnode reward check P2PNODE:V/..."),
        "C": (
            _("a card code"),
            "p2pnode outcome add --card P2PNODE:C/... --amount ...",
        ),
        "R": (_("a slip"), "p2pnode reward accept P2PNODE:R/..."),
        "D": (_("a proof of double spending"), "p2pnode reward check P2PNODE:D/..."),
        "p2pc1": (_("the id of a campaign"), "p2pnode campaign show p2pc1..."),
        "p2pt1": (_("the id of a tag"), ""),
        "p2p1": (_("the key of a person or shop"), ""),
        "address": (_("the address of a node"), "p2pnode peer add /..."),
        "peer": (_("the id of a peer"), "p2pnode peer ping 12D3KooW..."),
        "record": (_("the id of a record"), "p2pnode attest RECORD"),
        "bundle": (_("a bundle of a campaign"), "p2pnode campaign verify FILE"),
        "proof": (_("a proof of a cheat"), "p2pnode campaign verify FILE"),
        "backup": (_("a backup of a node"), "p2pnode backup verify FILE"),
        "tags": (
            _("a tag file, whose secrets are worth money"),
            "p2pnode tag print FILE --out DIR",
        ),
        "identity": (_("the file with a node's keys: show it to nobody"), ""),
        "picture": (_("a picture"), "p2pnode scan | campaign join | reward check FILE"),
        "terms-file": (_("a terms file"), "p2pnode campaign check FILE"),
    }
