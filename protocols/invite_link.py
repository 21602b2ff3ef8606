"""The invite link: all that a stranger needs to join. Spec 0004.

Who holds the link holds the invite key's secret and can use the invite. The
title and addresses are hints by whoever made the link: the campaign is named
by its id, and only its own terms say what it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.errors import ProtocolError, Reason
from protocols.join import INVITE, Invite, invite_value
from protocols.keys import Seed, Signature, SigningKey, verify_value
from protocols.limits import NAME_MAX
from protocols.shape import Shape, blob, checked, listof, struct, text, uint
from protocols.text import Letter, decode_link, encode_link

VERSION: Final = 1

ADDRESSES_MAX: Final = 4
"""Addresses in one link: with the largest it still fits one QR code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteLink:
    """An invite with its secret, and where to find the campaign."""

    version: int = VERSION
    invite: Invite
    signature: Signature
    """The inviter's, over the invite."""
    secret: Seed
    """Seed of the invite key."""
    title: str
    """What the maker of the link calls the campaign; proves nothing."""
    addresses: tuple[str, ...]
    """Multiaddrs of nodes that may serve the campaign, best first."""


INVITE_LINK: Shape[InviteLink] = struct(
    InviteLink,
    version=uint(VERSION, VERSION),
    invite=INVITE,
    signature=blob(64),
    secret=blob(32),
    title=text(NAME_MAX),
    addresses=listof(
        checked(text(NAME_MAX), lambda a: None if a.startswith("/") else "a multiaddr"),
        ADDRESSES_MAX,
    ),
)


def invite_link_text(link: InviteLink) -> str:
    """The text of a link."""
    return encode_link(Letter.INVITE, INVITE_LINK.write(link))


def read_invite_link(link: str) -> InviteLink:
    """Read a link and check everything that its own bytes show.

    Raises:
        ProtocolError: BAD_CODE for the text, its shape or a secret of another
            invite; then BAD_INVITE if the named inviter did not sign it.
    """
    letter, value = decode_link(link)
    if letter != Letter.INVITE:
        raise ProtocolError(Reason.BAD_CODE, "not an invite link")
    try:
        found = INVITE_LINK.read(value)
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_CODE, error.detail) from error
    invite = found.invite
    if SigningKey(found.secret).author != invite.invite_key:
        raise ProtocolError(Reason.BAD_CODE, "the secret of another invite")
    try:
        verify_value(invite.inviter, "invite", invite_value(invite), found.signature)
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_INVITE, str(error)) from error
    return found
