"""The file of a tag group, kept by whoever made the tags: `balloons.tags`.

It is JSON with sorted keys: `{"format": "p2pnode.tags/1", "group", "tags":
[{"entry", "secrets", "signature"}, ...]}`, bytes as hex. The secrets make the
serials' keys: whoever reads the file can use every tag, so its mode is 0600.
Terms need only the group's count and root, `tags` records only entries and
serial keys.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pnode.failures import NOT_FOUND
from p2pnode.file_fault import FileFault, words
from protocols.codec import check_text, decode, encode
from protocols.keys import AuthorKey, Signature, SigningKey
from protocols.limits import CLAIM_MAX, NAME_MAX, SERIALS_MAX
from protocols.shape import text
from protocols.tags.code import (
    About,
    NewTag,
    PrintedCode,
    SerialCode,
    code_text,
    make_batch,
)
from protocols.tags.entry import (
    ENTRY,
    Printed,
    Serials,
    check_entry,
    group_root,
    serial_root,
    sign_entry,
)
from protocols.terms import Group

FORMAT: Final = "p2pnode.tags/1"

FILE_MAX: Final = 100_000_000
"""Bytes of a tag file: about 100,000 tags, or 2,000,000 serials."""

TAGS_MAX: Final = 100_000
"""Tags of one file; sheets of more are made in several groups."""

SECRET_BYTES: Final = 16
BATCH_BYTES: Final = 16

HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFile:
    """A tag group with its secrets. At least one tag, all of one issuer."""

    group: str
    tags: tuple[NewTag, ...]
    signatures: tuple[Signature, ...]
    """The issuer's signature over each entry."""

    @property
    def issuer(self) -> AuthorKey:
        """Who stands behind the tags."""
        return self.tags[0].entry.issuer

    def terms_group(self) -> Group:
        """What the terms say of the group: its name, count and root."""
        entries = [tag.entry for tag in self.tags]
        return Group(name=self.group, count=len(entries), root=group_root(entries))

    def codes(self) -> list[tuple[NewTag, list[str]]]:
        """Each tag with the texts to print: one for each serial, else one."""
        return [
            (tag, _codes(tag, signature))
            for tag, signature in zip(self.tags, self.signatures, strict=True)
        ]


def make(
    issuer: SigningKey,
    group: str,
    labels: Sequence[str],
    serials: int,
    token: Callable[[int], bytes],
    about: About,
) -> TagFile:
    """Make a tag for each label.

    Args:
        issuer: the author key that stands behind the tags.
        group: what the terms call the group.
        labels: what people call each tag.
        serials: one-time serials of each tag; 0 makes printed codes.
        token: returns so many random bytes.
        about: what the tags have in common.
    """
    secrets = [[token(SECRET_BYTES) for _ in range(serials)] for _ in labels]
    tags = make_batch(issuer.author, token(BATCH_BYTES), labels, secrets, about)
    signatures = tuple(sign_entry(issuer, tag.entry) for tag in tags)
    return TagFile(group=group, tags=tags, signatures=signatures)


def write(path: Path, tags: TagFile) -> None:
    """Write a new file that only its owner can read, durably.

    Raises:
        FileFault: `file-exists`; a tag file is never overwritten, because the
            secrets of tags that hang outside would be lost.
        OSError: the system refuses.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise FileFault(
            "file-exists",
            words("This file exists and may hold the secrets of tags in use."),
            words("A name that is free."),
            words("Choose another name with --file, or move the old file away."),
        ).at(path.name) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(dump(tags))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def read(path: Path) -> TagFile:
    """Read and check a tag file.

    Raises:
        FileFault: `no-file`, `too-large` or `bad-tag-file`.
    """
    if not path.is_file():
        raise FileFault(
            "no-file",
            words("There is no such tag file."),
            words("A file that 'p2pnode tag new' wrote."),
            words("Check the name and the folder."),
            status=NOT_FOUND,
        ).at(path.name)
    with path.open("rb") as file:
        return parse(file.read(FILE_MAX + 1), path.name)


def dump(tags: TagFile) -> bytes:
    """Return the bytes of a tag file."""
    document = {
        "format": FORMAT,
        "group": tags.group,
        "tags": [
            {
                "entry": encode(ENTRY.write(tag.entry)).hex(),
                "secrets": [secret.hex() for secret in tag.secrets],
                "signature": signature.hex(),
            }
            for tag, signature in zip(tags.tags, tags.signatures, strict=True)
        ],
    }
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return plain.encode("ascii") + b"\n"


def parse(data: bytes, name: str) -> TagFile:
    """Return what a tag file says; every tag is checked against its secrets.

    Raises:
        FileFault: `too-large` or `bad-tag-file`.
    """
    if len(data) > FILE_MAX:
        raise FileFault(
            "too-large",
            words("This tag file is too large."),
            words("At most {most} bytes."),
            words("Make the tags in several groups."),
            most=FILE_MAX,
        ).at(name)
    try:
        return _tag_file(json.loads(data))
    except (ValueError, RecursionError) as error:  # ProtocolError is a ValueError
        raise FileFault(
            "bad-tag-file",
            words("This is not a whole tag file: {error}."),
            words("A file as 'p2pnode tag new' wrote it, unchanged."),
            words("Take it from your backup, or make new tags."),
            error=str(error) or type(error).__name__,
        ).at(name) from error


def _tag_file(document: object) -> TagFile:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"no {FORMAT}")
    group, rows = document.get("group"), document.get("tags")
    if not isinstance(group, str) or not isinstance(rows, list):
        raise ValueError("group and tags")  # noqa: TRY004  # a file, not a call
    check_text(group)
    text(NAME_MAX).read(group)
    if not group or not 1 <= len(rows) <= TAGS_MAX:
        raise ValueError(f"a name and 1 to {TAGS_MAX} tags")
    found = [_tag(row) for row in rows]
    tags = tuple(tag for tag, _ in found)
    _check_batch(tags)
    return TagFile(group=group, tags=tags, signatures=tuple(s for _, s in found))


def _tag(row: object) -> tuple[NewTag, Signature]:
    """One tag with its signature, both checked."""
    if not isinstance(row, dict) or not isinstance(row.get("secrets"), list):
        raise ValueError("entry, secrets and signature")  # noqa: TRY004
    entry = ENTRY.read(decode(_bytes(row.get("entry")), CLAIM_MAX))
    signature = Signature(_bytes(row.get("signature")))
    secrets = tuple(_bytes(secret) for secret in row["secrets"])
    if len(secrets) > SERIALS_MAX or any(len(s) != SECRET_BYTES for s in secrets):
        raise ValueError(f"at most {SERIALS_MAX} secrets of {SECRET_BYTES} bytes")
    check_entry(entry, signature)
    tag = NewTag(entry=entry, secrets=secrets)
    if entry.public != _expected(tag):
        raise ValueError(f"the secrets of tag {entry.index + 1} are not its own")
    return tag, signature


def _expected(tag: NewTag) -> Printed | Serials:
    """The public part that the tag's secrets make."""
    keys = tag.serial_keys()
    return Serials(count=len(keys), root=serial_root(keys)) if keys else Printed()


def _check_batch(tags: Sequence[NewTag]) -> None:
    first = tags[0].entry
    for index, tag in enumerate(tags):
        entry = tag.entry
        if (entry.issuer, entry.batch, entry.index) != (
            first.issuer,
            first.batch,
            index,
        ):
            raise ValueError(f"tag {index + 1} is not of this batch")


def _bytes(value: object) -> bytes:
    if not isinstance(value, str) or not HEX.fullmatch(value):
        raise ValueError("bytes as lower-case hex")
    return bytes.fromhex(value)


def _codes(tag: NewTag, signature: Signature) -> list[str]:
    entry = tag.entry
    if not tag.secrets:
        return [code_text(PrintedCode(entry=entry, signature=signature))]
    return [
        code_text(
            SerialCode(entry=entry, signature=signature, index=index, secret=secret)
        )
        for index, secret in enumerate(tag.secrets)
    ]
