"""Who may write in a campaign: invites, joins, further keys, cards. Spec 0004.

An invite is a capability: signed by the inviter, usable by whoever holds the
invite key's secret. The inviter need not be online, and no feed is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from protocols.codec import Value, encode
from protocols.errors import ProtocolError, Reason
from protocols.keys import (
    AuthorKey,
    NetworkId,
    Scope,
    Seed,
    Signature,
    SigningKey,
    preimage,
    tagged_hash,
    verify_value,
)
from protocols.shape import Shape, blob, option, struct, uint

_SALT = blob(16)
_KEY = blob(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """A capability to join under `inviter`. 0 uses: public, asks for work."""

    network: NetworkId
    campaign: Scope
    inviter: AuthorKey
    invite_key: AuthorKey
    uses: int
    expires_ms: int
    """Compared with the join's witness time."""


INVITE: Shape[Invite] = struct(
    Invite,
    network=blob(16),
    campaign=blob(32),
    inviter=_KEY,
    invite_key=_KEY,
    uses=uint(1_000_000),
    expires_ms=uint(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Kind 2: the genesis of a participant's feed."""

    salt: bytes
    """For a public invite also the nonce of the work."""
    invite: Invite
    invite_signature: Signature
    join_signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    """Kind 3: the genesis of a further key of the same person."""

    salt: bytes
    root: AuthorKey
    join: Join
    """The root's own join claim."""
    root_signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A member card's short-lived code, shown by the participant's node."""

    author: AuthorKey
    window_ms: int
    """When it was shown."""
    nonce: bytes
    """8 bytes, good once in a campaign."""
    merchant: AuthorKey | None
    """The shop it is meant for, where she scanned that shop's tag."""
    signature: Signature


CARD: Shape[Card] = struct(
    Card,
    author=_KEY,
    window_ms=uint(),
    nonce=blob(8),
    merchant=option(_KEY),
    signature=blob(64),
)


def join_shape() -> Shape[Join]:
    """The claim of kind 2."""
    return struct(
        Join,
        salt=_SALT,
        invite=INVITE,
        invite_signature=blob(64),
        join_signature=blob(64),
    )


def continue_shape() -> Shape[Continue]:
    """The claim of kind 3."""
    return struct(
        Continue,
        salt=_SALT,
        root=_KEY,
        join=join_shape(),
        root_signature=blob(64),
    )


def invite_value(invite: Invite) -> list[Value]:
    """The signed array of an invite."""
    value = INVITE.write(invite)
    assert isinstance(value, list)
    return value


def invite_id(invite: Invite) -> bytes:
    """32 bytes that name an invite."""
    return tagged_hash("invite-id", invite_value(invite))


def sign_invite(key: SigningKey, invite: Invite) -> Signature:
    """The inviter's signature."""
    return key.sign_value("invite", invite_value(invite))


def make_join(
    invite: Invite,
    invite_signature: Signature,
    secret: Seed,
    joiner: AuthorKey,
    salt: bytes,
) -> Join:
    """Use an invite for `joiner`; `secret` is the seed of the invite key."""
    key = SigningKey(secret)
    proof = key.sign_value("join", _join_value(invite, joiner))
    return Join(
        salt=salt,
        invite=invite,
        invite_signature=invite_signature,
        join_signature=proof,
    )


def make_continue(
    root: SigningKey, join: Join, new: AuthorKey, salt: bytes
) -> Continue:
    """Let the root key vouch for a further key of the same person."""
    signature = root.sign_value("continue", _continue_value(join.invite, new))
    return Continue(salt=salt, root=root.author, join=join, root_signature=signature)


def check_join(
    join: Join, joiner: AuthorKey, network: NetworkId, campaign: Scope, join_bits: int
) -> None:
    """Check everything of a join that its own bytes show.

    Raises:
        ProtocolError: WRONG_CAMPAIGN, TOO_LITTLE_WORK, BAD_INVITE, in this order.
    """
    invite = join.invite
    if invite.network != network or invite.campaign != campaign:
        raise ProtocolError(Reason.WRONG_CAMPAIGN, "the invite names another campaign")
    if invite.uses == 0 and work_bits(campaign, joiner, join.salt) < join_bits:
        raise ProtocolError(Reason.TOO_LITTLE_WORK, f"{join_bits} bits asked")
    try:
        verify_value(
            invite.inviter, "invite", invite_value(invite), join.invite_signature
        )
        verify_value(
            invite.invite_key, "join", _join_value(invite, joiner), join.join_signature
        )
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_INVITE, str(error)) from error


def check_continue(
    claim: Continue,
    author: AuthorKey,
    network: NetworkId,
    campaign: Scope,
    join_bits: int,
) -> None:
    """Check everything of a continue that its own bytes show.

    Raises:
        ProtocolError: those of `check_join` for the root, then BAD_INVITE.
    """
    check_join(claim.join, claim.root, network, campaign, join_bits)
    try:
        verify_value(
            claim.root,
            "continue",
            _continue_value(claim.join.invite, author),
            claim.root_signature,
        )
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_INVITE, str(error)) from error


def work_bits(campaign: Scope, joiner: AuthorKey, salt: bytes) -> int:
    """Leading zero bits of the work hash: the work a public join has done."""
    digest = sha256(preimage("work", encode([campaign, joiner, salt]))).digest()
    return 256 - int.from_bytes(digest, "big").bit_length()


def sign_card(
    key: SigningKey,
    network: NetworkId,
    campaign: Scope,
    window_ms: int,
    nonce: bytes,
    merchant: AuthorKey | None = None,
) -> Card:
    """Make a card code of `key`."""
    value = _card_value(network, campaign, key.author, window_ms, nonce, merchant)
    return Card(
        author=key.author,
        window_ms=window_ms,
        nonce=nonce,
        merchant=merchant,
        signature=key.sign_value("card", value),
    )


def check_card(card: Card, network: NetworkId, campaign: Scope) -> None:
    """Check a card code's signature.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    value = _card_value(
        network, campaign, card.author, card.window_ms, card.nonce, card.merchant
    )
    verify_value(card.author, "card", value, card.signature)


def _join_value(invite: Invite, joiner: AuthorKey) -> list[Value]:
    return [invite.network, invite.campaign, joiner, invite_id(invite)]


def _continue_value(invite: Invite, author: AuthorKey) -> list[Value]:
    return [invite.network, invite.campaign, author]


def _card_value(
    network: NetworkId,
    campaign: Scope,
    author: AuthorKey,
    window_ms: int,
    nonce: bytes,
    merchant: AuthorKey | None,
) -> list[Value]:
    return [network, campaign, author, window_ms, nonce, merchant]
