"""Tags under the cut, and what each scan proves by itself. Spec 0008 §3, §4."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.claims import Kind, Part, Scan, Tags
from protocols.codec import decode
from protocols.errors import ProtocolError
from protocols.keys import AuthorKey, TagId
from protocols.limits import PART_MAX
from protocols.merkle import Tree
from protocols.settlement.cut import Counted, Incomplete, OrderKey, Row
from protocols.tags.entry import (
    Bare,
    Gs1,
    Gs1Text,
    Machine,
    Printed,
    PrintedText,
    Rotating,
    RotatingCode,
    SerialProof,
    Serials,
    TagEntry,
    TapProof,
    Taps,
    check_entry,
    check_once_key,
    check_rotating,
    group_root,
    serial_root,
    tag_id,
)
from protocols.terms import Terms, campaign_id

SKEW_MS = 60_000
"""How long before its window a rotating code may be read: a clock's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """A tag of the campaign."""

    entry: TagEntry
    group: str
    serials: tuple[bytes, ...]


@dataclass(slots=True)
class TagBook:
    """All tags that the sponsor's counted `tags` records list."""

    tags: dict[TagId, KnownTag] = field(default_factory=dict)
    revoked: dict[TagId, OrderKey] = field(default_factory=dict)


def read_tags(terms: Terms, counted: Iterable[Counted]) -> TagBook:
    """Collect the campaign's tags from the sponsor's counted records.

    A group that the terms name counts as a whole or not at all: its entries,
    by offset, must give the root in the terms. A group that a condition names
    cannot be revoked.
    """
    ours = sorted(
        (item for item in counted if item.record.author in terms.sponsor),
        key=lambda item: item.order,
    )
    parts = _serial_lists(ours)
    groups: dict[str, dict[int, KnownTag]] = {}
    book = TagBook()
    for item in ours:
        if item.record.kind != Kind.TAGS:
            continue
        claim: Tags = item.record.claim()
        group = groups.setdefault(claim.group, {})
        for place, (entry, keys) in enumerate(claim.tags, claim.offset):
            serials = _serials(entry, keys, parts)
            known = KnownTag(entry=entry, group=claim.group, serials=serials)
            group.setdefault(place, known)
        for tag in claim.revoked:
            book.revoked.setdefault(tag, item.order)
    for name in sorted(groups):
        for known in _accepted(terms, name, groups[name]):
            book.tags.setdefault(tag_id(known.entry), known)
    return book


def _accepted(terms: Terms, name: str, found: dict[int, KnownTag]) -> list[KnownTag]:
    listed = [found[place] for place in sorted(found)]
    fixed = next((group for group in terms.groups if group.name == name), None)
    if fixed is None:
        return listed
    whole = sorted(found) == list(range(fixed.count))
    if whole and group_root([known.entry for known in listed]) == fixed.root:
        return listed
    return []


def _serial_lists(ours: Iterable[Counted]) -> dict[bytes, dict[int, bytes]]:
    lists: dict[bytes, dict[int, bytes]] = {}
    for item in ours:
        if item.record.kind == Kind.PART:
            part: Part = item.record.claim()
            if part.tree == Tree.SERIALS:
                lists.setdefault(part.root, {}).setdefault(part.index, part.data)
    return lists


def _serials(
    entry: TagEntry,
    keys: tuple[bytes, ...] | None,
    parts: dict[bytes, dict[int, bytes]],
) -> tuple[bytes, ...]:
    """The one-time keys of a tag, or none if they do not give its root."""
    public = entry.public
    if not isinstance(public, Serials | Taps):
        return ()
    if keys is None:
        keys = _from_parts(parts.get(public.root, {}))
    if len(keys) != public.count or serial_root(keys) != public.root:
        return ()
    return keys


def _from_parts(chunks: dict[int, bytes]) -> tuple[bytes, ...]:
    keys: list[bytes] = []
    for index in sorted(chunks):
        try:
            value = decode(chunks[index], PART_MAX)
        except ProtocolError:
            return ()
        if isinstance(value, list):
            keys += [key for key in value if isinstance(key, bytes)]
    return tuple(keys)


def row_of(
    terms: Terms, book: TagBook, item: Counted, committed: dict[bytes, Row]
) -> Row:
    """The evidence row of a scan that counts for the first time.

    Raises:
        Incomplete: the claim is absent and no committed row stands for it.
    """
    record = item.record
    if record.claim_bytes is None:
        if record.id not in committed:
            raise Incomplete([record.id])
        return committed[record.id]
    claim: Scan = record.claim()
    late_ms = (
        terms.stages[claim.stage].late_ms if claim.stage < len(terms.stages) else 0
    )
    act_time = item.act_time(late_ms)
    known = book.tags.get(claim.tag)
    grade = 0
    if known is not None:
        try:
            grade = _own_grade(terms, known, record.author, claim, act_time)
        except ProtocolError:
            grade = 0
    evidence = claim.evidence
    once = isinstance(evidence, SerialProof | TapProof) and grade > 0
    return Row(
        author=record.author,
        seq=record.seq,
        id=record.id,
        stage=claim.stage,
        tag=claim.tag,
        own_grade=grade,
        slot=evidence.key if once else None,  # type: ignore[union-attr]
        window=evidence.window_start
        if isinstance(evidence, RotatingCode) and grade
        else None,
        counter=evidence.counter if isinstance(evidence, TapProof) and grade else None,
        act_time=act_time,
    )


def _own_grade(
    terms: Terms, known: KnownTag, author: AuthorKey, claim: Scan, act_time: int
) -> int:
    """The grade of a scan by its own evidence, 0 to 4.

    Raises:
        ProtocolError: the evidence does not hold (grade 0).
    """
    entry, evidence = known.entry, claim.evidence
    public, scope = entry.public, campaign_id(terms)
    match public, evidence:
        case Printed(), PrintedText(signature=signature):
            check_entry(entry, signature)
            return 1
        case Gs1(key=key), Gs1Text(key=read) if key == read:
            return 1
        case Serials(), SerialProof() if _listed(known, evidence.index, evidence.key):
            check_once_key(evidence, terms.network, scope, author, claim.tag)
            return 2
        case Rotating(window_ms=window_ms), RotatingCode(window_start=start):
            check_rotating(public, claim.tag, evidence)
            fresh_ms = terms.stages[claim.stage].fresh_ms
            fresh = start - SKEW_MS <= act_time <= start + window_ms + fresh_ms
            return 3 if fresh else 1
        case Taps(first=first), TapProof() if _listed(
            known, evidence.counter - first, evidence.key
        ):
            check_once_key(evidence, terms.network, scope, author, claim.tag)
            return 4
        case Machine(device=device), Bare() if device == author:
            return 4
    return 0


def _listed(known: KnownTag, index: int, key: bytes) -> bool:
    return 0 <= index < len(known.serials) and known.serials[index] == key
