"""Tag entries, and the evidence a scan gives. Spec 0007.

An entry is the public part of a tag; its hash is the tag id and never contains
a campaign, so tags are made and printed before the terms that name them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from protocols.codec import Value
from protocols.errors import ProtocolError, Reason
from protocols.keys import (
    AuthorKey,
    NetworkId,
    Scope,
    Seed,
    Signature,
    SigningKey,
    TagId,
    derive,
    preimage,
    tagged_hash,
    verify_value,
)
from protocols.limits import NAME_MAX
from protocols.merkle import Tree, root
from protocols.shape import Shape, blob, choice, option, struct, text, uint


class Carrier(IntEnum):
    """What a tag is made of."""

    PRINTED = 1
    SERIAL = 2
    ROTATING = 3
    NFC = 4
    DEVICE = 5
    GS1 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A printed code; its text carries the issuer's signature."""

    tag: ClassVar[Carrier] = Carrier.PRINTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Serials:
    """One-time serials: the tree of their public keys (tree 5)."""

    tag: ClassVar[Carrier] = Carrier.SERIAL
    count: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotating:
    """A screen whose device key signs a new code every window."""

    tag: ClassVar[Carrier] = Carrier.ROTATING
    device: AuthorKey
    window_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """An NFC chip: the tree of the public keys of its next taps (tree 5)."""

    tag: ClassVar[Carrier] = Carrier.NFC
    first: int
    """The chip's counter at leaf 0."""
    count: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A gate, till, scale or locker that scans by itself."""

    tag: ClassVar[Carrier] = Carrier.DEVICE
    device: AuthorKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Gs1:
    """A GS1 key in its canonical form, e.g. a barcode on goods."""

    tag: ClassVar[Carrier] = Carrier.GS1
    key: str


Public = Printed | Serials | Rotating | Taps | Machine | Gs1

PUBLIC: Shape[Public] = choice(
    "carrier",
    {
        Carrier.PRINTED: struct(Printed),
        Carrier.SERIAL: struct(Serials, count=uint(2**20, 1), root=blob(32)),
        Carrier.ROTATING: struct(
            Rotating, device=blob(32), window_ms=uint(3_600_000, 1_000)
        ),
        Carrier.NFC: struct(
            Taps, first=uint(2**24), count=uint(2**20, 1), root=blob(32)
        ),
        Carrier.DEVICE: struct(Machine, device=blob(32)),
        Carrier.GS1: struct(Gs1, key=text(NAME_MAX)),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEntry:
    """The public part of one tag."""

    issuer: AuthorKey
    batch: bytes
    """16 random bytes, one for all tags made together."""
    index: int
    """Position of the tag in its batch, from 0."""
    public: Public
    host: AuthorKey | None
    """Whose place it hangs in, if that shop earns a share."""
    label: str
    place: str
    """Coarse, for people."""
    valid_from: int
    """Unix ms, compared with the act time; 0: always."""
    valid_until: int
    """Unix ms; 0: for ever."""


ENTRY: Shape[TagEntry] = struct(
    TagEntry,
    issuer=blob(32),
    batch=blob(16),
    index=uint(2**32 - 1),
    public=PUBLIC,
    host=option(blob(32)),
    label=text(NAME_MAX),
    place=text(NAME_MAX),
    valid_from=uint(),
    valid_until=uint(),
)


def tag_id(entry: TagEntry) -> TagId:
    """The id of a tag: the hash of its entry."""
    return TagId(tagged_hash("tag", _entry_value(entry)))


def sign_entry(issuer: SigningKey, entry: TagEntry) -> Signature:
    """The issuer's signature, carried by every code the issuer prints."""
    return issuer.sign_value("tag", _entry_value(entry))


def check_entry(entry: TagEntry, signature: bytes) -> None:
    """Check that the issuer stands behind an entry.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    verify_value(entry.issuer, "tag", _entry_value(entry), signature)


def serial_root(keys: Sequence[bytes]) -> bytes:
    """Tree 5 over [index, key]: what a carrier with one-time keys commits to."""
    return root(Tree.SERIALS, [[index, key] for index, key in enumerate(keys)])


def group_root(entries: Sequence[TagEntry]) -> bytes:
    """Tree 6 over the entries of a group, in order: what the terms commit to."""
    return root(Tree.GROUP, [_entry_value(entry) for entry in entries])


def _entry_value(entry: TagEntry) -> list[Value]:
    value = ENTRY.write(entry)
    assert isinstance(value, list)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """No evidence: my own claim. Grade 0, or 4 from a device's own key."""

    tag: ClassVar[int] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedText:
    """The issuer's signature as it stood in the code. Grade 1."""

    tag: ClassVar[int] = Carrier.PRINTED
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialProof:
    """A one-time serial's own key signed for this author. Grade 2."""

    tag: ClassVar[int] = Carrier.SERIAL
    index: int
    key: AuthorKey
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatingCode:
    """A screen's code of one window. Grade 3 while fresh, else 1."""

    tag: ClassVar[int] = Carrier.ROTATING
    window_start: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TapProof:
    """An NFC tap's own key signed for this author. Grade 4."""

    tag: ClassVar[int] = Carrier.NFC
    counter: int
    key: AuthorKey
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gs1Text:
    """What a barcode said, in canonical form. Grade 1."""

    tag: ClassVar[int] = Carrier.GS1
    key: str


TagEvidence = Bare | PrintedText | SerialProof | RotatingCode | TapProof | Gs1Text

EVIDENCE: Shape[TagEvidence] = choice(
    "evidence",
    {
        0: struct(Bare),
        Carrier.PRINTED: struct(PrintedText, signature=blob(64)),
        Carrier.SERIAL: struct(
            SerialProof, index=uint(2**20), key=blob(32), signature=blob(64)
        ),
        Carrier.ROTATING: struct(RotatingCode, window_start=uint(), signature=blob(64)),
        Carrier.NFC: struct(
            TapProof, counter=uint(2**24), key=blob(32), signature=blob(64)
        ),
        Carrier.GS1: struct(Gs1Text, key=text(NAME_MAX)),
    },
)


def serial_seed(
    secret: bytes, issuer: AuthorKey, batch: bytes, tag_index: int, index: int
) -> Seed:
    """The signing seed of one serial (never derived from the tag's own id).

    Args:
        secret: the 16 bytes in the code.
        issuer: the tag's issuer.
        batch: the tag's batch, 16 bytes.
        tag_index: position of the tag in the batch, u32.
        index: position of the serial in the tag, u32.
    """
    place = tag_index.to_bytes(4, "big") + index.to_bytes(4, "big")
    return Seed(derive(secret, preimage("serial", issuer + batch + place)))


def sign_serial(
    seed: Seed,
    index: int,
    network: NetworkId,
    scope: Scope,
    author: AuthorKey,
    tag: TagId,
) -> SerialProof:
    """Let a serial's own key sign for one author in one campaign."""
    key = SigningKey(seed)
    value: list[Value] = [network, scope, author, tag]
    return SerialProof(
        index=index, key=key.author, signature=key.sign_value("serial", value)
    )


def check_once_key(
    proof: SerialProof | TapProof,
    network: NetworkId,
    scope: Scope,
    author: AuthorKey,
    tag: TagId,
) -> None:
    """Check the signature of a serial's or tap's key for this author.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    verify_value(proof.key, "serial", [network, scope, author, tag], proof.signature)


def check_rotating(public: Rotating, tag: TagId, code: RotatingCode) -> None:
    """Check a screen's code: the device signed (tag, window start).

    Raises:
        ProtocolError: BAD_CODE off the window grid, BAD_SIGNATURE.
    """
    if code.window_start % public.window_ms:
        raise ProtocolError(Reason.BAD_CODE, "no window begins there")
    verify_value(public.device, "code", [tag, code.window_start], code.signature)
