"""What witnesses saw, and which records therefore count. Spec 0009 §1, §2.

What a witness says is read in `testimony`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols.errors import ProtocolError, Reason
from protocols.feed import Head
from protocols.keys import AuthorKey, RecordId, witness_scope
from protocols.limits import HEADS_MAX, PART_SPARE, STEPS_MAX
from protocols.record import Record
from protocols.settlement.cut import CutEntry, ForkEntry
from protocols.terms import Terms, campaign_id
from protocols.testimony import (
    Lookup,
    Testimonies,
    Testimony,
    Walk,
    WitnessView,
    walker,
)

HEAD_BYTES: Final = 75
"""A head in a `seen` takes at most as many."""

SEEN_BYTES: Final = 32
"""What a `seen` takes besides its heads."""

FORK_BYTES: Final = 1_024
"""A `fork` claim takes less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRoom:
    """How much an honest witness of a campaign writes at most. Spec 0009 §1."""

    records: int
    bytes: int
    """Of all claims."""
    forks: int
    """Of the records, `fork`s."""


def witness_room(terms: Terms) -> WitnessRoom:
    """What the terms let a witness say, and therefore all that is kept of it.

    Every plain `seen` lists a head that moved, and is the only one of its interval
    unless it is full, or a fork took a head out of it.
    """
    caps = terms.caps
    longest = max(caps.records_per_feed, caps.named_records_per_feed) + PART_SPARE
    heads, forks, finals = caps.feeds * longest, 2 * caps.feeds, len(terms.rounds)
    span_ms = 2 * (terms.redeem_until - terms.rounds[0].opens)
    turns = span_ms // terms.seen_interval_ms + 1
    seens = min(heads, turns + heads // HEADS_MAX + forks)
    records = seens + forks + finals
    size = SEEN_BYTES * records + HEAD_BYTES * heads + FORK_BYTES * forks
    return WitnessRoom(records=records, bytes=size, forks=forks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A witness lists a head of an author whose chain is not here."""

    witness: AuthorKey
    author: AuthorKey
    record: RecordId
    """The first that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What 2f+1 named finals support."""

    cut: tuple[CutEntry, ...]
    forks: tuple[ForkEntry, ...]
    unknown: tuple[RecordId, ...]
    """Missing records of authors whom f+1 finals list: an honest witness has
    them. What only f list may exist nowhere, and nothing waits for it."""
    lacks: tuple[Lack, ...]
    """All that is missing, by witness and author."""
    views: tuple[WitnessView, ...]
    """What each of the named witnesses covers."""

    def may_support(
        self, terms: Terms, entry: CutEntry, before: Head | None, lookup: Lookup
    ) -> bool:
        """Whether records that are missing could make an entry right.

        At best each witness that lists a missing chain covers the whole entry
        since it did so; and more evidence makes no witness time later.
        """
        wanted, steps = entry.id, [*entry.steps]
        for seq in range(entry.seq, -1 if before is None else before.seq, -1):
            record = lookup(wanted)
            if record is None:
                return True
            while len(steps) > 1 and steps[-1][0] > seq:
                steps.pop()
            known = [x.first_seen[wanted] for x in self.views if wanted in x.first_seen]
            best = known + [
                one.unknown[entry.author][1]
                for one in self.views
                if entry.author in one.unknown and wanted not in one.first_seen
            ]
            earliest, latest = (_witness_time(terms, x) for x in (best, known))
            if earliest is None or steps[-1][1] < earliest:
                return False
            if latest is not None and steps[-1][1] > latest:
                return False
            wanted = record.header.backlink
        return True


def _witness_time(terms: Terms, times: Sequence[int]) -> int | None:
    """The (f+1)-th smallest of first-cover times, if there are as many."""
    return sorted(times)[terms.faults] if len(times) > terms.faults else None


def feed_up_to(last: RecordId, lookup: Lookup) -> list[Record]:
    """A feed from seq 0 to the record `last`, along the backlinks.

    Raises:
        Incomplete: a record of it, or its claim, is not here.
        ProtocolError: WRONG_BACKLINK where a link leads into another feed.
    """
    return Testimonies().unread(last, lookup)


def _in_campaign(terms: Terms, lookup: Lookup) -> Lookup:
    """`lookup`, for records of the campaign's own scope and network only."""
    scope = campaign_id(terms)

    def find(record_id: RecordId) -> Record | None:
        record = lookup(record_id)
        if record is None:
            return None
        header = record.header
        ours = header.scope == scope and header.network == terms.network
        return record if ours else None

    return find


def view(
    witness: AuthorKey, terms: Terms, feed: Iterable[Record], lookup: Lookup
) -> WitnessView:
    """What a witness covers by its feed so far.

    Args:
        witness: the feed's author.
        terms: the campaign's terms.
        feed: its records from seq 0, in order.
        lookup: campaign records by id.
    """
    testimony = Testimony(terms, witness)
    for record in feed:
        testimony.read(record)
    testimony.follow(lookup, walker(lookup))
    return testimony.up_to()


def cover(
    terms: Terms,
    number: int,
    finals: Sequence[RecordId],
    lookup: Lookup,
    heads_before: Mapping[AuthorKey, Head],
    known: Testimonies | None = None,
) -> Cover:
    """The cut that the named finals of round `number` support.

    Args:
        terms: the campaign's terms.
        number: the round, from 1.
        finals: ids of 2f+1 finals by distinct witnesses.
        lookup: campaign and witness records by id.
        heads_before: heads of the cuts before; they stay counted.
        known: what was read of the witnesses before, by the same records.

    Raises:
        ProtocolError: WRONG_CUT if the finals are not 2f+1 valid ones,
            WRONG_BACKLINK if a witness's feed is not one.
        Incomplete: a witness feed is not here.
    """
    if not 1 <= number <= len(terms.rounds):
        raise ProtocolError(Reason.WRONG_CUT, f"no round {number}")
    ours = _in_campaign(terms, lookup)
    told = _hear(terms, number, finals, lookup, known or Testimonies())
    walk = walker(ours)
    for testimony, _ in told:
        testimony.follow(ours, walk)
    views = [testimony.up_to(final) for testimony, final in told]
    times: dict[RecordId, list[int]] = {}
    for one in views:
        for record_id, time in one.first_seen.items():
            times.setdefault(record_id, []).append(time)
    until, faults = terms.rounds[number - 1].accept_until, terms.faults
    counts: dict[AuthorKey, dict[RecordId, tuple[int, int]]] = {}
    for record_id, seen_by in times.items():
        if len(seen_by) <= faults:
            continue
        seen_by.sort()
        if seen_by[faults] <= until:
            record = lookup(record_id)
            assert record is not None, "a view lists only records that are here"
            header = record.header
            mine = counts.setdefault(header.author, {})
            mine[record_id] = (header.seq, seen_by[faults])
    entries = [
        entry
        for author in sorted(counts)
        if (entry := _entry(author, counts[author], heads_before.get(author), walk))
    ]
    return Cover(
        cut=tuple(entries),
        forks=_forks_listed(told),
        unknown=_missing(terms, views),
        lacks=tuple(
            Lack(witness=one.witness, author=author, record=one.unknown[author][0])
            for one in views
            for author in sorted(one.unknown)
        ),
        views=tuple(views),
    )


def _missing(terms: Terms, views: Sequence[WitnessView]) -> tuple[RecordId, ...]:
    """What is missing of authors whose heads f+1 of the witnesses list."""
    found: dict[AuthorKey, list[RecordId]] = {}
    for one in views:
        for author, (record_id, _) in one.unknown.items():
            found.setdefault(author, []).append(record_id)
    vouched = (ids for ids in found.values() if len(ids) > terms.faults)
    return tuple(sorted({one for ids in vouched for one in ids}))


def _hear(
    terms: Terms,
    number: int,
    finals: Sequence[RecordId],
    lookup: Lookup,
    known: Testimonies,
) -> list[tuple[Testimony, Record]]:
    """What the named witnesses say, and each one's final.

    Raises:
        Incomplete, ProtocolError: as `cover`.
    """
    keys = {witness.key for witness in terms.witnesses}
    scope = witness_scope(campaign_id(terms))
    named = [(lookup(one), known.unread(one, lookup)) for one in sorted(finals)]
    told = [(last, fresh) for last, fresh in named if last is not None]
    authors = {last.author for last, _ in told}
    if len(set(finals)) != terms.quorum or len(authors) != terms.quorum:
        raise ProtocolError(Reason.WRONG_CUT, f"{terms.quorum} witnesses are named")
    heard: list[tuple[Testimony, Record]] = []
    for last, fresh in told:
        if last.author not in keys or last.scope != scope:
            raise ProtocolError(Reason.WRONG_CUT, "not a witness of the terms")
        testimony = known.read(terms, last.author, fresh, lookup)
        if testimony.finals.get(number) != last.id:
            raise ProtocolError(Reason.WRONG_CUT, f"not a final of round {number}")
        heard.append((testimony, last))
    return heard


def _entry(
    author: AuthorKey,
    counting: Mapping[RecordId, tuple[int, int]],
    before: Head | None,
    walk: Walk,
) -> CutEntry | None:
    """The cut entry of one author, or None if nothing new counts.

    It holds at most `STEPS_MAX` steps; what comes after waits for the next
    round, so that an entry always fits one part.
    """
    first = 0 if before is None else before.seq + 1
    tops = [(seq, one) for one, (seq, _) in counting.items()]
    tops.sort(reverse=True)
    for seq, record_id in tops:
        if seq < first:
            return None
        branch = walk(author, Head(seq, record_id), before)
        if branch is None:
            continue
        ids = branch[::-1]
        steps: list[tuple[int, int]] = []
        for place, one in enumerate(ids):
            time = counting[one][1]
            if not steps or time > steps[-1][1]:
                steps.append((first + place, time))
        last = seq if len(steps) <= STEPS_MAX else steps[STEPS_MAX][0] - 1
        return CutEntry(
            author=author,
            seq=last,
            id=ids[last - first],
            steps=tuple(steps[:STEPS_MAX]),
        )
    return None


def _forks_listed(told: Iterable[tuple[Testimony, Record]]) -> tuple[ForkEntry, ...]:
    """The union of valid `fork` records up to the finals: one a feed, the lowest."""
    lowest: dict[AuthorKey, ForkEntry] = {}
    for testimony, final in told:
        for seq, entry in testimony.forks:
            known = lowest.get(entry.author)
            order = (entry.seq, entry.id_a, entry.id_b)
            lower = known is None or order < (known.seq, known.id_a, known.id_b)
            if seq <= final.seq and lower:
                lowest[entry.author] = entry
    return tuple(lowest[author] for author in sorted(lowest))


def receipts(
    terms: Terms, feeds: Mapping[AuthorKey, Sequence[Record]], lookup: Lookup
) -> dict[RecordId, list[int]]:
    """When each of the campaign's witnesses that cover a record first did.

    Args:
        terms: the campaign's terms.
        feeds: each witness's records from seq 0, as far as they are here.
        lookup: campaign records by id.
    """
    found: dict[RecordId, list[int]] = {}
    ours = _in_campaign(terms, lookup)
    for witness in terms.witnesses:
        seen = view(witness.key, terms, feeds.get(witness.key, ()), ours).first_seen
        for record_id, time_ms in seen.items():
            found.setdefault(record_id, []).append(time_ms)
    return found
