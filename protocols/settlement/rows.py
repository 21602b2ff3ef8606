"""Tags under the cut, and what each scan proves by itself. Spec 0008 §3, §4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from protocols.checked import Checked
from protocols.claims import Kind, Part, Scan, Tags
from protocols.codec import decode
from protocols.errors import ProtocolError, Reason
from protocols.keys import TagId
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
from protocols.terms import Group, Terms, campaign_id

SKEW_MS = 60_000
"""How long before its window a rotating code may be read: a clock's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """A tag of the campaign."""

    entry: TagEntry
    group: str
    serials: tuple[bytes, ...]
    proven: set[bytes] = field(default_factory=set, compare=False)
    """Signatures of its issuer that were checked: a code is scanned often."""


@dataclass(slots=True)
class TagBook:
    """All tags that the sponsor's counted `tags` records list."""

    tags: dict[TagId, KnownTag] = field(default_factory=dict)
    revoked: dict[TagId, OrderKey] = field(default_factory=dict)


def read_tags(terms: Terms, counted: Iterable[Counted]) -> TagBook:
    """Collect the campaign's tags from the sponsor's counted records.

    A group that the terms name counts as a whole or not at all: its entries,
    by offset, must give the root in the terms. A group that a condition names
    cannot be revoked. A tag that is listed twice stays where it is first: in
    the groups of the terms, else in the sponsor's earlier record.
    """
    ours = sorted(
        (item for item in counted if item.record.author in terms.sponsor),
        key=attrgetter("order"),
    )
    lists = _SerialLists(ours)
    groups: dict[str, dict[int, KnownTag]] = {}
    in_order: list[KnownTag] = []
    book = TagBook()
    for item in ours:
        if item.record.kind != Kind.TAGS:
            continue
        claim: Tags = item.claim
        group = groups.setdefault(claim.group, {})
        for place, (entry, keys) in enumerate(claim.tags, claim.offset):
            if place in group:
                continue
            serials = lists.serials(entry, keys)
            known = KnownTag(entry=entry, group=claim.group, serials=serials)
            group[place] = known
            in_order.append(known)
        for tag in claim.revoked:
            book.revoked.setdefault(tag, item.order)
    named = {group.name for group in terms.groups}
    fixed = [
        known
        for group in terms.groups
        for known in _whole(group, groups.get(group.name, {}))
    ]
    for known in (*fixed, *(one for one in in_order if one.group not in named)):
        book.tags.setdefault(tag_id(known.entry), known)
    return book


def _whole(group: Group, found: dict[int, KnownTag]) -> list[KnownTag]:
    """The tags of a group that the terms name, or none; other places are ignored."""
    listed = [found[place] for place in range(group.count) if place in found]
    whole = len(listed) == group.count
    if whole and group_root([known.entry for known in listed]) == group.root:
        return listed
    return []


class _SerialLists:
    """Lists of one-time keys that came as `part`s; each is hashed once."""

    def __init__(self, ours: Iterable[Counted]) -> None:
        self._parts: dict[bytes, dict[int, bytes]] = {}
        self._known: dict[tuple[bytes, int], tuple[bytes, ...]] = {}
        for item in ours:
            if item.record.kind != Kind.PART:
                continue
            part: Part = item.record.claim()
            if part.tree == Tree.SERIALS:
                chunks = self._parts.setdefault(part.root, {})
                chunks.setdefault(part.index, part.data)

    def serials(
        self, entry: TagEntry, keys: tuple[bytes, ...] | None
    ) -> tuple[bytes, ...]:
        """The one-time keys of a tag, or none if they do not give its root."""
        public = entry.public
        if not isinstance(public, Serials | Taps):
            return ()
        found = self._of_parts(public.root, public.count) if keys is None else keys
        if len(found) != public.count:
            return ()
        if keys is not None and serial_root(keys) != public.root:
            return ()
        return found

    def _of_parts(self, top: bytes, count: int) -> tuple[bytes, ...]:
        if (top, count) not in self._known:
            keys = _from_parts(self._parts.get(top, {}), count)
            self._known[top, count] = keys if serial_root(keys) == top else ()
        return self._known[top, count]


def _from_parts(chunks: dict[int, bytes], count: int) -> tuple[bytes, ...]:
    """The first `count` keys: no part that comes later takes one away."""
    keys: list[bytes] = []
    for index in range(len(chunks)):
        if len(keys) >= count or index not in chunks:
            break
        try:
            value = decode(chunks[index], PART_MAX)
        except ProtocolError:
            return ()
        if isinstance(value, list):
            keys += [key for key in value if isinstance(key, bytes)]
    return tuple(keys[:count])


def row_of(
    terms: Terms,
    book: TagBook,
    item: Counted,
    committed: Mapping[bytes, Row],
    checked: Checked | None = None,
) -> Row:
    """The evidence row of a scan that counts for the first time.

    Raises:
        Incomplete: the claim is absent and no committed row stands for it.
        ProtocolError: WRONG_CUT, the committed row contradicts the headers.
    """
    record = item.record
    checked = Checked() if checked is None else checked
    if record.claim_bytes is None:
        if record.id not in committed:
            raise Incomplete([record.id])
        return _check_row(terms, item, committed[record.id])
    claim: Scan = item.claim
    act_time = item.act_time(_late_ms(terms, claim.stage))
    known = book.tags.get(claim.tag)
    grade = 0
    if known is not None:
        try:
            grade = _own_grade(terms, known, item, act_time, checked)
        except ProtocolError:
            grade = 0
    evidence = claim.evidence if grade else Bare()
    slot = evidence.key if isinstance(evidence, SerialProof | TapProof) else None
    return Row(
        author=record.author,
        seq=record.seq,
        id=record.id,
        stage=claim.stage,
        tag=claim.tag,
        own_grade=grade,
        slot=slot,
        window=evidence.window_start if isinstance(evidence, RotatingCode) else None,
        counter=evidence.counter if isinstance(evidence, TapProof) else None,
        act_time=act_time,
    )


def _check_row(terms: Terms, item: Counted, row: Row) -> Row:
    """What a committed row says beside its claim must be what headers show."""
    act_time = item.act_time(_late_ms(terms, row.stage))
    shown = (item.record.author, item.record.seq, act_time)
    if (row.author, row.seq, row.act_time) != shown:
        raise ProtocolError(Reason.WRONG_CUT, "a row contradicts its header")
    return row


def _late_ms(terms: Terms, stage: int) -> int:
    """A stage's `late_ms`; 0 for a stage that the terms do not have."""
    return terms.stages[stage].late_ms if stage < len(terms.stages) else 0


def _own_grade(
    terms: Terms, known: KnownTag, item: Counted, act_time: int, checked: Checked
) -> int:
    """The grade of a scan by its own evidence, 0 to 4.

    Raises:
        ProtocolError: the evidence does not hold (grade 0).
    """
    claim: Scan = item.claim
    author, once = item.record.author, partial(checked.once, item.record.id)
    entry, evidence = known.entry, claim.evidence
    public, where = entry.public, (terms.network, campaign_id(terms))
    match public, evidence:
        case Printed(), PrintedText(signature=signature):
            if signature not in known.proven:
                check_entry(entry, signature)
                known.proven.add(signature)
            return 1
        case Gs1(key=key), Gs1Text(key=read) if key == read:
            return 1
        case Serials(), SerialProof() if _listed(known, evidence.index, evidence.key):
            once(lambda: check_once_key(evidence, *where, author, claim.tag))
            return 2
        case Rotating(window_ms=window_ms), RotatingCode(window_start=start):
            once(lambda: check_rotating(public, claim.tag, evidence))
            known_stage = claim.stage < len(terms.stages)
            fresh_ms = terms.stages[claim.stage].fresh_ms if known_stage else 0
            fresh = start - SKEW_MS <= act_time <= start + window_ms + fresh_ms
            return 3 if fresh else 1
        case Taps(first=first), TapProof() if _listed(
            known, evidence.counter - first, evidence.key
        ):
            once(lambda: check_once_key(evidence, *where, author, claim.tag))
            return 4
        case Machine(device=device), Bare() if device == author:
            return 4
    return 0


def _listed(known: KnownTag, index: int, key: bytes) -> bool:
    return 0 <= index < len(known.serials) and known.serials[index] == key
