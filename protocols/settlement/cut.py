"""Cuts: which records count, and when their witnesses saw them. Spec 0008 §1.

A close declares, for every author that moved since the close before, the new
head and the witness times of the records up to it. `resolve` walks from the
heads down the backlinks; whatever is missing is named, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from protocols.claims import Claim, Kind
from protocols.codec import encode
from protocols.errors import ProtocolError, Reason
from protocols.feed import Head
from protocols.keys import AuthorKey, RecordId, preimage
from protocols.limits import ROUNDS_MAX, STEPS_MAX
from protocols.record import NO_BACKLINK, Record
from protocols.settlement.said import said
from protocols.shape import Shape, blob, listof, option, row, struct, uint
from protocols.terms import Terms, campaign_id

Lookup = Callable[[RecordId], Record | None]
"""A record of the campaign or witness scope by its id, if it is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutEntry:
    """One author's new head, and since which seq which witness time holds."""

    author: AuthorKey
    seq: int
    id: RecordId
    steps: tuple[tuple[int, int], ...]
    """(seq, witness time in ms): holds from that seq to the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkEntry:
    """A feed that is proven forked: the lowest seq, the two ids ascending."""

    author: AuthorKey
    seq: int
    id_a: RecordId
    id_b: RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a scan's claim proved, written once when the scan first counts."""

    author: AuthorKey
    seq: int
    id: RecordId
    stage: int
    tag: bytes
    own_grade: int
    slot: bytes | None
    """The serial's or tap's key."""
    window: int | None
    """Where a rotating code's window starts, in ms."""
    counter: int | None
    """The tap's counter."""
    act_time: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What one payee is paid by one close."""

    payee: AuthorKey
    amount: int


CUT_ENTRY: Shape[CutEntry] = struct(
    CutEntry,
    author=blob(32),
    seq=uint(),
    id=blob(32),
    steps=listof(row(uint(), uint()), STEPS_MAX, 1),
)
FORK_ENTRY: Shape[ForkEntry] = struct(
    ForkEntry, author=blob(32), seq=uint(), id_a=blob(32), id_b=blob(32)
)
ROW: Shape[Row] = struct(
    Row,
    author=blob(32),
    seq=uint(),
    id=blob(32),
    stage=uint(),
    tag=blob(32),
    own_grade=uint(4),
    slot=option(blob(32)),
    window=option(uint()),
    counter=option(uint()),
    act_time=uint(),
)
LINE: Shape[StatementLine] = struct(StatementLine, payee=blob(32), amount=uint())


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a close declares, with its lists in full."""

    round: int
    finals: tuple[RecordId, ...]
    """Ascending."""
    cut: tuple[CutEntry, ...]
    """Ascending by author."""
    forks: tuple[ForkEntry, ...]
    rows: tuple[Row, ...] = ()
    """Read only where a scan's claim was erased."""
    lines: tuple[StatementLine, ...] = ()
    """What it signed; read only from closes before the one settled."""


class OrderKey(NamedTuple):
    """Decides every "first". Integers and raw bytes, compared in this order."""

    round: int
    """The round in which the record first counted."""
    witness_time: int
    tie: bytes
    """Hash of (the round's finals, author): no author can grind it."""
    author: bytes
    seq: int
    id: bytes


@dataclass(slots=True)
class Counted:
    """A record that counts, with what its cut says of it. Never changed."""

    record: Record
    order: OrderKey
    time_max: int
    """Largest `time_ms` in the feed up to the record."""
    _claim: Claim = field(default=None, init=False, repr=False, compare=False)

    @property
    def claim(self) -> Claim:
        """What the record says, read once; see `said`."""
        if self._claim is None:
            self._claim = said(self.record)
        return self._claim

    @property
    def round(self) -> int:
        """The round in which it first counted."""
        return self.order.round

    @property
    def witness_time(self) -> int:
        """When f+1 named witnesses had seen it, in ms."""
        return self.order.witness_time

    def act_time(self, late_ms: int) -> int:
        """When the act happened: clamp(time_max, witness time - late, it)."""
        wt = self.order.witness_time
        return min(max(self.time_max, wt - late_ms), wt)


class Incomplete(Exception):
    """Records or lists are missing: no answer, never a digest or a dispute.

    Attributes:
        missing: record ids, or roots of lists, that somebody must still bring.
    """

    def __init__(self, missing: Sequence[bytes]) -> None:
        names = ", ".join(item.hex()[:16] for item in missing[:3])
        super().__init__(f"{len(missing)} missing: {names}")
        self.missing = tuple(missing)


@dataclass(slots=True)
class CountedSet:
    """All records counted so far, round after round."""

    terms: Terms
    lookup: Lookup
    all: list[Counted] = field(default_factory=list)
    """In order key."""
    by_id: dict[RecordId, Counted] = field(default_factory=dict)
    by_kind: dict[int, list[Counted]] = field(default_factory=dict)
    """Kind -> its records, in order key."""
    geneses: list[Counted] = field(default_factory=list)
    """The first record of every feed, in order key."""
    heads: dict[AuthorKey, Head] = field(default_factory=dict)
    _time_max: dict[AuthorKey, int] = field(default_factory=dict)

    def add_round(self, declared: Declared) -> list[Counted]:
        """Count the records of the next declared round; return them in order key.

        Raises:
            ProtocolError: WRONG_CUT when the cut contradicts itself, the
                records, the rounds before or the terms.
            Incomplete: with the ids of the missing records.
        """
        _check_declared(self.terms, declared)
        finals: list[bytes] = sorted(declared.finals)
        runs: list[list[Counted]] = []
        missing: list[bytes] = []
        for entry in declared.cut:
            tie = sha256(preimage("tie", encode([[*finals], entry.author]))).digest()
            try:
                runs += self._count(entry, declared.round, tie)
            except Incomplete as error:
                missing += error.missing
        if missing:
            raise Incomplete(missing)
        runs.sort(key=lambda run: run[0].order)
        new = [counted for run in runs for counted in run]
        self.all += new
        for counted in new:
            record = counted.record
            self.by_id[record.id] = counted
            self.by_kind.setdefault(record.kind, []).append(counted)
            if record.seq == 0:
                self.geneses.append(counted)
        return new

    def of(self, *kinds: Kind) -> list[Counted]:
        """The counted records of these kinds, in order key."""
        found = [self.by_kind[kind] for kind in kinds if kind in self.by_kind]
        if len(found) == 1:
            return found[0]
        return sorted(chain.from_iterable(found), key=_order)

    def _count(self, entry: CutEntry, number: int, tie: bytes) -> list[list[Counted]]:
        """The new records of one author, those of one witness time together.

        Nobody else's stand between them in order key, so runs are sorted, not
        records.
        """
        before = self.heads.get(entry.author)
        first = 0 if before is None else before.seq + 1
        _check_steps(self.terms, entry, first, number)
        records = self._chain(
            entry, first, NO_BACKLINK if before is None else before.id
        )
        time_max = self._time_max.get(entry.author, 0)
        steps = iter((*entry.steps[1:], (entry.seq + 1, 0)))
        next_seq, next_wt = next(steps)
        wt = entry.steps[0][1]
        runs: list[list[Counted]] = [[]]
        for seq, record in enumerate(records, first):
            if seq == next_seq:
                wt, (next_seq, next_wt) = next_wt, next(steps)
                runs.append([])
            time_max = max(time_max, record.header.time_ms)
            key = OrderKey(number, wt, tie, entry.author, seq, record.id)
            runs[-1].append(Counted(record, key, time_max))
        self.heads[entry.author] = Head(entry.seq, entry.id)
        self._time_max[entry.author] = time_max
        return runs

    def _chain(self, entry: CutEntry, first: int, below: RecordId) -> list[Record]:
        """The records first..entry.seq, found by walking the backlinks down."""
        feed = (entry.author, campaign_id(self.terms), self.terms.network)
        found: list[Record] = []
        wanted = entry.id
        for seq in range(entry.seq, first - 1, -1):
            record = self.lookup(wanted)
            if record is None:
                raise Incomplete([wanted])
            header = record.header
            here = (header.author, header.scope, header.network)
            if here != feed or header.seq != seq:
                raise ProtocolError(Reason.WRONG_CUT, "an id names another place")
            found.append(record)
            wanted = header.backlink
        if wanted != below:
            raise ProtocolError(Reason.WRONG_CUT, "does not extend the cut before")
        found.reverse()
        return found


_order = attrgetter("order")


def _check_declared(terms: Terms, declared: Declared) -> None:
    if not 1 <= declared.round <= min(len(terms.rounds), ROUNDS_MAX):
        raise ProtocolError(Reason.WRONG_CUT, f"no round {declared.round}")
    authors = [entry.author for entry in declared.cut]
    if authors != sorted(set(authors)):
        raise ProtocolError(Reason.WRONG_CUT, "authors not ascending")
    forks = [fork.author for fork in declared.forks]
    if forks != sorted(set(forks)):
        raise ProtocolError(Reason.WRONG_CUT, "forks not one a feed, ascending")
    if not len(declared.finals) == len(set(declared.finals)) == terms.quorum:
        raise ProtocolError(Reason.WRONG_CUT, f"{terms.quorum} finals are named")


def _check_steps(terms: Terms, entry: CutEntry, first: int, number: int) -> None:
    seqs = [seq for seq, _ in entry.steps]
    times = [wt for _, wt in entry.steps]
    if not seqs or seqs[0] != first or seqs[-1] > entry.seq:
        raise ProtocolError(Reason.WRONG_CUT, "steps do not cover the new records")
    if seqs != sorted(set(seqs)):
        raise ProtocolError(Reason.WRONG_CUT, "steps do not cover the new records")
    if times != sorted(set(times)):
        raise ProtocolError(Reason.WRONG_CUT, "witness times not ascending")
    if times[-1] > terms.rounds[number - 1].accept_until:
        raise ProtocolError(Reason.WRONG_CUT, "seen after accept_until")
