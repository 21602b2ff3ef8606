"""What a witness has said, each record of it read once. Spec 0009 §1.

W covers r iff W listed a head that is r or its descendant, and every head W
listed for that author before lies on the same branch. So what a witness says of
one author does not depend on others, and what it said up to some record is the
beginning of what it said later: whoever judges often need not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from protocols.claims import Fork, Kind, Seen
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof, Head, check_fork
from protocols.keys import AuthorKey, RecordId, Scope, Signature
from protocols.record import NO_BACKLINK, Record
from protocols.settlement.cut import ForkEntry, Incomplete
from protocols.terms import Terms, campaign_id

Lookup = Callable[[RecordId], Record | None]
Walk = Callable[[AuthorKey, Head, Head | None], Sequence[RecordId] | None]
"""Ids from a head down to above another; None if they do not join."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessView:
    """One witness's feed up to some record, and what it covers."""

    witness: AuthorKey
    first_seen: Mapping[RecordId, int]
    """Campaign record -> witness's first-cover time, in ms."""
    unknown: Mapping[AuthorKey, tuple[RecordId, int]]
    """Authors with a listed head whose chain is not here, the first record that
    is missing, and when the head was listed, in ms: nothing is decided by that
    head and those after it."""


class Testimony:
    """What a witness says on one branch of its feed.

    Args:
        terms: the campaign's terms.
        witness: the feed's author.
    """

    def __init__(self, terms: Terms, witness: AuthorKey) -> None:
        self.ids: list[RecordId] = []
        """The records read, by seq."""
        self.finals: dict[int, RecordId] = {}
        """Round -> its first valid final."""
        self.forks: list[tuple[int, ForkEntry]] = []
        """Valid proofs for the campaign, each with the seq it stands at."""
        self._terms = terms
        self._witness = witness
        self._last_ms = -1
        """Time of the last valid `seen`: one not later is void."""
        self._listed: dict[AuthorKey, list[tuple[int, int, RecordId]]] = {}
        """Heads not followed yet, each with the time it was listed."""
        self._top: dict[AuthorKey, Head] = {}
        self._void: set[AuthorKey] = set()
        """Authors of whom all that follows is void."""
        self._first_seen: dict[RecordId, int] = {}
        self._unknown: dict[AuthorKey, tuple[RecordId, int]] = {}

    def has(self, record: Record) -> bool:
        """Whether a record is one of those read."""
        seq = record.seq
        return seq < len(self.ids) and self.ids[seq] == record.id

    def read(self, record: Record) -> None:
        """Read the next record of the feed."""
        self.ids.append(record.id)
        if record.claim_bytes is None:
            return
        if record.kind == Kind.FORK:
            entry = _fork_entry(self._terms, record.claim())
            if entry is not None:
                self.forks.append((record.seq, entry))
        elif record.kind == Kind.SEEN and record.header.time_ms > self._last_ms:
            self._hear(record)

    def _hear(self, record: Record) -> None:
        seen: Seen = record.claim()
        self._last_ms = time_ms = record.header.time_ms
        for author, seq, head in seen.heads:
            if author not in self._void:
                self._listed.setdefault(author, []).append((time_ms, seq, head))
        rounds, number = self._terms.rounds, seen.final
        if number is None or number in self.finals or not 1 <= number <= len(rounds):
            return
        if time_ms >= rounds[number - 1].final_from:
            self.finals[number] = record.id

    def follow(self, lookup: Lookup, walk: Walk) -> None:
        """Follow the heads read since, and those that records were missing below."""
        for author in [*self._listed]:
            lack = self._unknown.get(author)
            if lack is not None and lookup(lack[0]) is None:
                continue
            self._unknown.pop(author, None)
            waiting = self._listed.pop(author)
            for place, (time_ms, seq, head) in enumerate(waiting):
                try:
                    stands = self._cover(author, Head(seq, head), time_ms, lookup, walk)
                except Incomplete as error:
                    self._unknown[author] = RecordId(error.missing[0]), time_ms
                    self._listed[author] = waiting[place:]
                    break
                if not stands:
                    self._void.add(author)
                    break

    def _cover(
        self, author: AuthorKey, head: Head, time_ms: int, lookup: Lookup, walk: Walk
    ) -> bool:
        """Cover what is below a head; return whether later heads may, too."""
        before = self._top.get(author)
        if before is not None and head.seq <= before.seq:
            # It adds nothing; on another branch it voids what follows.
            record = lookup(head.id)
            return (
                head.id in self._first_seen
                and record is not None
                and (record.author, record.seq) == (author, head.seq)
            )
        branch = walk(author, head, before)
        if branch is None:
            return False
        self._top[author] = head
        self._first_seen.update(dict.fromkeys(branch, time_ms))
        return True

    def up_to(self, record: Record | None = None) -> WitnessView:
        """What was covered when a `seen` that was read was given; None: by now."""
        first_seen, unknown = self._first_seen, self._unknown
        if record is not None and record.id != self.ids[-1]:
            until = record.header.time_ms
            first_seen = {one: t for one, t in first_seen.items() if t <= until}
            unknown = {one: lack for one, lack in unknown.items() if lack[1] <= until}
        return WitnessView(
            witness=self._witness, first_seen=first_seen, unknown=unknown
        )


class Testimonies:
    """What is remembered of a campaign's witnesses: one branch of each.

    True only as long as records come and none goes, and for one thread at a time.
    """

    def __init__(self) -> None:
        self._known: dict[AuthorKey, Testimony] = {}

    def unread(self, last: RecordId, lookup: Lookup) -> list[Record]:
        """Of a feed up to `last`, what comes after all that was read of it.

        Raises:
            Incomplete: a record of it, or its claim, is not here.
            ProtocolError: WRONG_BACKLINK where a link leads into another feed.
        """
        fresh: list[Record] = []
        wanted = last
        while True:
            record = lookup(wanted)
            if record is None or record.claim_bytes is None:
                raise Incomplete([wanted])
            if fresh and _place(record) != _place(fresh[-1], below=1):
                raise ProtocolError(Reason.WRONG_BACKLINK, f"seq {fresh[-1].seq}")
            known = self._known.get(record.author)
            if known is not None and known.has(record):
                break
            fresh.append(record)
            if record.seq == 0:
                break
            wanted = record.header.backlink
        fresh.reverse()
        return fresh

    def read(
        self, terms: Terms, witness: AuthorKey, fresh: Sequence[Record], lookup: Lookup
    ) -> Testimony:
        """Read what `unread` found of a witness's feed; another branch is forgotten."""
        known = self._known.get(witness)
        start = fresh[0].seq if fresh else -1
        if known is None or 0 <= start < len(known.ids):
            below = known.ids[:start] if known is not None else []
            known = self._known[witness] = Testimony(terms, witness)
            for record in map(lookup, below):
                assert record is not None, "it was read before"
                known.read(record)
        for record in fresh:
            known.read(record)
        return known


class Finals:
    """The finals in what is here of a witness's feed, of whichever branch.

    Args:
        terms: the campaign's terms.
    """

    def __init__(self, terms: Terms) -> None:
        self.found: dict[int, Record] = {}
        """Round -> its first valid final; if the feed forked, of the first branch
        with one."""
        self._terms = terms
        self._count = 0
        """How many records were read."""
        self._seq = 0
        self._here: dict[RecordId, int] = {}
        """Records at that seq whose feed is here -> the time of the last valid
        `seen` up to each."""
        self._below: dict[RecordId, int] = {NO_BACKLINK: -1}
        """The same of those before."""

    def read(self, feed: Sequence[Record]) -> None:
        """Read on: all that is here, by seq; what was read before has not changed."""
        for record in islice(feed, self._count, None):
            self._read(record)
        self._count = max(self._count, len(feed))

    def _read(self, record: Record) -> None:
        header = record.header
        if header.seq != self._seq:
            self._below = self._here if header.seq == self._seq + 1 else {}
            self._seq, self._here = header.seq, {}
        below = self._below.get(header.backlink)
        if below is None or record.claim_bytes is None:
            return
        later = record.kind == Kind.SEEN and header.time_ms > below
        self._here[record.id] = header.time_ms if later else below
        number = record.claim().final if later else None
        if number is None or not 1 <= number <= len(self._terms.rounds):
            return
        if header.time_ms >= self._terms.rounds[number - 1].final_from:
            self.found.setdefault(number, record)


def walker(lookup: Lookup) -> Walk:
    """`_branch`, remembered: witnesses list mostly the same heads."""

    @cache
    def walk(
        author: AuthorKey, head: Head, before: Head | None
    ) -> Sequence[RecordId] | None:
        return _branch(author, head, before, lookup)

    return walk


def _branch(
    author: AuthorKey, head: Head, before: Head | None, lookup: Lookup
) -> list[RecordId] | None:
    """Ids from `head` down to above `before`; None if they do not join.

    Raises:
        Incomplete: a record between them is not here.
    """
    ids: list[RecordId] = []
    wanted = head.id
    for seq in range(head.seq, -1 if before is None else before.seq, -1):
        record = lookup(wanted)
        if record is None:
            raise Incomplete([wanted])
        header = record.header
        if header.seq != seq or header.author != author:
            return None
        ids.append(wanted)
        wanted = header.backlink
    return ids if before is None or wanted == before.id else None


def fork_proof(claim: Fork) -> ForkProof:
    """The proof that a `fork` record carries."""
    return ForkProof(
        header_a=claim.header_a,
        signature_a=Signature(claim.signature_a),
        header_b=claim.header_b,
        signature_b=Signature(claim.signature_b),
    )


def _fork_entry(terms: Terms, claim: Fork) -> ForkEntry | None:
    """What a `fork` says, if it is proven and of the campaign."""
    proof = fork_proof(claim)
    try:
        check_fork(proof, terms.network)
    except ProtocolError:
        return None
    if proof.scope != campaign_id(terms):
        return None
    id_a, id_b = proof.ids
    return ForkEntry(author=proof.author, seq=proof.seq, id_a=id_a, id_b=id_b)


def _place(record: Record, below: int = 0) -> tuple[bytes, bytes, Scope, int]:
    header = record.header
    return header.network, header.author, header.scope, header.seq - below
