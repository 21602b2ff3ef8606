"""What a tag's code says, and the evidence it gives. Spec 0007.

A `P2PNODE:T/` code carries the tag's whole entry and the issuer's signature,
so whoever reads it offline sees who really stands behind it. A one-time serial
adds the secret from which the serial's own key is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, NetworkId, Scope, Seed, SigningKey
from protocols.limits import SERIALS_MAX
from protocols.shape import Shape, blob, choice, struct, uint
from protocols.tags.entry import (
    ENTRY,
    Carrier,
    Printed,
    PrintedText,
    Public,
    Serials,
    TagEntry,
    TagEvidence,
    check_entry,
    serial_root,
    serial_seed,
    sign_entry,
    sign_serial,
    tag_id,
)
from protocols.text import Letter, decode_link, encode_link


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedCode:
    """A code that anybody may photograph and use. Evidence of grade 1."""

    tag: ClassVar[Carrier] = Carrier.PRINTED
    entry: TagEntry
    signature: bytes
    """The issuer's, over the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialCode:
    """A code good for one scan; who holds the secret can use it. Grade 2."""

    tag: ClassVar[Carrier] = Carrier.SERIAL
    entry: TagEntry
    signature: bytes
    """The issuer's, over the entry."""
    index: int
    """Position of the serial in the tag, from 0."""
    secret: bytes
    """16 random bytes."""


TagCode = PrintedCode | SerialCode

CODE: Shape[TagCode] = choice(
    "tag code",
    {
        Carrier.PRINTED: struct(PrintedCode, entry=ENTRY, signature=blob(64)),
        Carrier.SERIAL: struct(
            SerialCode,
            entry=ENTRY,
            signature=blob(64),
            index=uint(2**20),
            secret=blob(16),
        ),
    },
)
"""By carrier; the numbers of other carriers are reserved for theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the tags of one batch have in common."""

    host: AuthorKey | None = None
    """Whose place they hang in, if that shop earns a share."""
    place: str = ""
    """Coarse, for people."""
    valid_from: int = 0
    """Unix ms; 0: always."""
    valid_until: int = 0
    """Unix ms; 0: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTag:
    """A tag as its issuer keeps it: its entry and its serials' secrets."""

    entry: TagEntry
    secrets: tuple[bytes, ...]
    """16 bytes for each serial; none for a printed code."""

    def serial_keys(self) -> tuple[AuthorKey, ...]:
        """The serials' public keys, which the `tags` record shows."""
        entry = self.entry
        return serial_keys(entry.issuer, entry.batch, entry.index, self.secrets)


def make_batch(
    issuer: AuthorKey,
    batch: bytes,
    labels: Sequence[str],
    secrets: Sequence[Sequence[bytes]],
    about: About,
) -> tuple[NewTag, ...]:
    """Make one tag for each label.

    Args:
        issuer: who stands behind the tags.
        batch: 16 random bytes, new for every batch.
        labels: what people call each tag.
        secrets: for each tag 16 random bytes for each of its serials, at most
            `SERIALS_MAX`; no serials make a printed code.
        about: what they have in common.
    """
    return tuple(
        _make_tag(issuer, batch, index, (label, tuple(own)), about)
        for index, (label, own) in enumerate(zip(labels, secrets, strict=True))
    )


def make_printed(issuer: SigningKey, entry: TagEntry) -> str:
    """The text of a printed code."""
    return code_text(PrintedCode(entry=entry, signature=sign_entry(issuer, entry)))


def make_serial(issuer: SigningKey, entry: TagEntry, index: int, secret: bytes) -> str:
    """The text of one serial's code."""
    signature = sign_entry(issuer, entry)
    return code_text(
        SerialCode(entry=entry, signature=signature, index=index, secret=secret)
    )


def code_text(code: TagCode) -> str:
    """The text that stands for a code."""
    return encode_link(Letter.TAG, CODE.write(code))


def read_code(text: str) -> TagCode:
    """Read a code and check everything that its own bytes show.

    Raises:
        ProtocolError: BAD_CODE for the text, its shape, a carrier that is not
            the entry's, a serial the tag does not have; then BAD_SIGNATURE if
            the named issuer did not sign the entry.
    """
    letter, value = decode_link(text)
    if letter != Letter.TAG:
        raise ProtocolError(Reason.BAD_CODE, "not the code of a tag")
    try:
        code = CODE.read(value)
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_CODE, error.detail) from error
    if code.entry.public.tag != code.tag:
        raise ProtocolError(Reason.BAD_CODE, "another carrier than its entry's")
    if isinstance(code, SerialCode):
        _check_serial(code)
    check_entry(code.entry, code.signature)
    return code


def evidence_for(
    code: TagCode, network: NetworkId, scope: Scope, author: AuthorKey
) -> TagEvidence:
    """What a scan of `code` by `author` in the campaign `scope` proves."""
    if isinstance(code, PrintedCode):
        return PrintedText(signature=code.signature)
    return sign_serial(
        _seed(code), code.index, network, scope, author, tag_id(code.entry)
    )


def serial_keys(
    issuer: AuthorKey, batch: bytes, tag_index: int, secrets: Sequence[bytes]
) -> tuple[AuthorKey, ...]:
    """The public keys of one tag's serials, in their order."""
    return tuple(
        SigningKey(serial_seed(secret, issuer, batch, tag_index, index)).author
        for index, secret in enumerate(secrets)
    )


def _make_tag(
    issuer: AuthorKey,
    batch: bytes,
    index: int,
    own: tuple[str, tuple[bytes, ...]],
    about: About,
) -> NewTag:
    """One tag; `own` are its label and its serials' secrets."""
    label, secrets = own
    entry = TagEntry(
        issuer=issuer,
        batch=batch,
        index=index,
        public=_public(serial_keys(issuer, batch, index, secrets)),
        host=about.host,
        label=label,
        place=about.place,
        valid_from=about.valid_from,
        valid_until=about.valid_until,
    )
    return NewTag(entry=entry, secrets=secrets)


def _public(keys: Sequence[AuthorKey]) -> Public:
    if not keys:
        return Printed()
    assert len(keys) <= SERIALS_MAX
    return Serials(count=len(keys), root=serial_root(keys))


def _check_serial(code: SerialCode) -> None:
    """Check the serial against its tag; of several keys the path is not here."""
    public = code.entry.public
    assert isinstance(public, Serials)
    if code.index >= public.count:
        raise ProtocolError(Reason.BAD_CODE, "the tag has no such serial")
    if public.count == 1:
        key = SigningKey(_seed(code)).author
        if serial_root([key]) != public.root:
            raise ProtocolError(Reason.BAD_CODE, "the secret is not the tag's")


def _seed(code: SerialCode) -> Seed:
    entry = code.entry
    return serial_seed(code.secret, entry.issuer, entry.batch, entry.index, code.index)
