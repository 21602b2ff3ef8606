"""Claims read a second time: only what settlement asks for. Spec 0003, 0008.

Every claim was read in full when its record was decoded; a record that is here
holds bytes of the shape its kind has. Settlement reads a million of them again,
so the frequent kinds are taken apart by place, and nothing is checked twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

from protocols.claims import Claim, Kind, Scan
from protocols.codec import decode_known
from protocols.join import CARD, Card, Invite, Join
from protocols.keys import AuthorKey, RecordId, Signature, TagId
from protocols.record import Record
from protocols.tags.entry import EVIDENCE

RawCard: TypeAlias = list[Claim]
"""Author, window, nonce, merchant, signature."""


class Word(NamedTuple):
    """An attest or an outcome."""

    stage: int | None
    """The stage it is an act of; None: an attest that only vouches."""
    author: AuthorKey
    """The participant's key."""
    amount: int
    named: tuple[RecordId, ...]
    """The attested act, or the scans before the outcome."""
    card: RawCard | None


def said(record: Record) -> Claim:
    """The claim of a record: a `Word` of an attest or outcome, else as its kind.

    Raises:
        ProtocolError: BAD_CLAIM if the claim is erased or absent.
    """
    reader = _READERS.get(record.kind)
    if reader is None or record.claim_bytes is None:
        return record.claim()
    return reader(cast("list[Claim]", decode_known(record.claim_bytes)))


def card_of(raw: RawCard) -> Card:
    """The card that a word embeds."""
    return CARD.read(raw)


def _outcome(value: list[Claim]) -> Word:
    _, stage, author, amount, after, card = value
    return Word(stage, author, amount, tuple(after), card)


def _attest(value: list[Claim]) -> Word:
    _, author, act, stage, amount, card = value
    return Word(stage, author, amount, (act,), card)


def _scan(value: list[Claim]) -> Scan:
    salt, stage, tag, evidence = value
    return Scan(
        salt=salt, stage=stage, tag=TagId(tag), evidence=EVIDENCE.read(evidence)
    )


def _join(value: list[Claim]) -> Join:
    salt, (network, campaign, inviter, invite_key, uses, expires_ms), *signed = value
    return Join(
        salt=salt,
        invite=Invite(
            network=network,
            campaign=campaign,
            inviter=inviter,
            invite_key=invite_key,
            uses=uses,
            expires_ms=expires_ms,
        ),
        invite_signature=Signature(signed[0]),
        join_signature=Signature(signed[1]),
    )


_READERS: dict[int, Callable[[list[Claim]], Claim]] = {
    Kind.JOIN: _join,
    Kind.SCAN: _scan,
    Kind.ATTEST: _attest,
    Kind.OUTCOME: _outcome,
}
