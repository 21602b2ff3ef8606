"""What witnesses' words support, said once more in the rule's own words.

Spec 0009 §2, without the code of settlement: slow, and for one round's close only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.claims import Kind
from protocols.join import Join
from protocols.keys import witness_scope
from protocols.terms import campaign_id
from protocols.testimony import fork_proof

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record
    from protocols.settlement.cut import Declared
    from protocols.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What named finals support."""

    times: dict[RecordId, int]
    """Records that count, and when the (f+1)-th witness saw them, in ms."""
    heads: dict[AuthorKey, RecordId]
    forks: dict[AuthorKey, tuple[int, RecordId, RecordId]]
    """Author -> lowest seq, the two ids ascending."""


class Oracle:
    """Answers about one campaign, from all records that are anywhere honest.

    Args:
        terms: the campaign's terms.
        records: all of them, of both scopes and of any branch.
    """

    def __init__(self, terms: Terms, records: Iterable[Record]) -> None:
        self.terms = terms
        self.campaign: Scope = campaign_id(terms)
        self.by_id = {record.id: record for record in records}
        self._lines: dict[RecordId, dict[RecordId, None]] = {}

    def support(self, number: int, finals: Sequence[RecordId]) -> Support | None:
        """What these finals of a round support; None: a feed of theirs is not here."""
        feeds = [list(self.line(final)) for final in finals]
        if not all(feeds):
            return None
        covers = [self.first_covers(feed[::-1]) for feed in feeds]
        times = {}
        for record, seen in _gathered(covers).items():
            if len(seen) > self.terms.faults:
                time = sorted(seen)[self.terms.faults]
                if time <= self.terms.rounds[number - 1].accept_until:
                    times[record] = time
        heads: dict[AuthorKey, RecordId] = {}
        for one in sorted(times, key=lambda one: self.by_id[one].seq):
            heads[self.by_id[one].author] = one
        return Support(times=times, heads=heads, forks=self._forks(feeds))

    def line(self, head: RecordId) -> dict[RecordId, None]:
        """A record and all before it, downwards; empty if one of them is not here."""
        if head not in self._lines:
            found: dict[RecordId, None] = {}
            record = self.by_id.get(head)
            while record is not None:
                found[record.id] = None
                if record.seq == 0:
                    break
                record = self.by_id.get(record.header.backlink)
            self._lines[head] = {} if record is None else found
        return self._lines[head]

    def first_covers(self, feed: Iterable[RecordId]) -> dict[RecordId, int]:
        """What one witness covers by its feed, from seq 0, and since when.

        It covers a record if it listed the record or a descendant, and all
        that it listed of that author before stands on the same branch.
        """
        found: dict[RecordId, int] = {}
        listed: dict[AuthorKey, list[RecordId]] = {}
        last_ms = -1
        for one in feed:
            record = self.by_id[one]
            if record.kind != Kind.SEEN or record.header.time_ms <= last_ms:
                continue
            last_ms = record.header.time_ms
            for author, _, head in record.claim().heads:
                line = self.line(head)
                before = listed.setdefault(author, [])
                if all(old in line or head in self.line(old) for old in before):
                    for covered in line:
                        found.setdefault(covered, last_ms)
                before.append(head)
        return found

    def _forks(
        self, feeds: Sequence[Sequence[RecordId]]
    ) -> dict[AuthorKey, tuple[int, RecordId, RecordId]]:
        """The lowest fork of each feed that the witnesses' feeds prove."""
        found: dict[AuthorKey, tuple[int, RecordId, RecordId]] = {}
        for one in (record for feed in feeds for record in feed):
            record = self.by_id[one]
            if record.kind == Kind.FORK:
                proof = fork_proof(record.claim())
                place = (proof.seq, *proof.ids)
                if proof.scope == self.campaign:
                    known = found.get(proof.author, place)
                    found[proof.author] = min(known, place)
        return found

    def findings(
        self, declared: Declared, support: Support
    ) -> dict[tuple[AuthorKey, str], None]:
        """Whose entries of a first close are not what its finals support, and how."""
        found: dict[tuple[AuthorKey, str], None] = {}
        said = {entry.author: entry for entry in declared.cut}
        for author in sorted({*said, *support.heads}):
            own = support.heads.get(author)
            seq = -1 if own is None else self.by_id[own].seq
            entry = said.get(author)
            if entry is None or entry.seq < seq:
                found[author, "omitted"] = None
            elif entry.seq > seq:
                found[author, "padded"] = None
            elif entry.id != own or entry.steps != self._steps(own, support):
                found[author, "misdated"] = None
        forks = {one.author: (one.seq, one.id_a, one.id_b) for one in declared.forks}
        for author in sorted({*forks, *support.forks}):
            if forks.get(author) != support.forks.get(author):
                found[author, "fork"] = None
        return found

    def _steps(self, head: RecordId, support: Support) -> tuple[tuple[int, int], ...]:
        """When the records up to a head were seen, where it changes."""
        steps: list[tuple[int, int]] = []
        for seq, one in enumerate(reversed(self.line(head))):
            if not steps or support.times[one] > steps[-1][1]:
                steps.append((seq, support.times[one]))
        return tuple(steps)

    def safe(self, number: int) -> dict[RecordId, None]:
        """What counts by round `number` whichever finals are named.

        2f+1 witnesses covered it in time, and every join above it.
        """
        until = self.terms.rounds[number - 1].accept_until
        covers = []
        for witness in self.terms.witnesses:
            final = self._final(number, witness.key)
            feed = [] if final is None else list(self.line(final))[::-1]
            covers.append(self.first_covers(feed))
        enough = {
            record: None
            for record, seen in _gathered(covers).items()
            if sum(time <= until for time in seen) >= self.terms.quorum
        }
        return {one: None for one in enough if self._stands(one, enough)}

    def _final(self, number: int, witness: AuthorKey) -> RecordId | None:
        """A witness's only final of a round; None if there is none or several."""
        scope, valid_from = witness_scope(self.campaign), self.terms.rounds[number - 1]
        finals = [
            record
            for record in self.by_id.values()
            if (record.scope, record.author) == (scope, witness)
            and record.kind == Kind.SEEN
            and record.claim().final == number
            and record.header.time_ms >= valid_from.final_from
        ]
        return finals[0].id if len(finals) == 1 else None

    def _stands(self, one: RecordId, enough: Mapping[RecordId, None]) -> bool:
        """Whether every genesis above a record is in `enough`, up to a named key."""
        author, walked = self.by_id[one].author, {self.by_id[one].author: None}
        below = one
        while not self.terms.names(author):
            genesis = list(self.line(below))[-1]
            claim = self.by_id[genesis].claim()
            if genesis not in enough or not isinstance(claim, Join):
                return False
            author = claim.invite.inviter
            if author in self.terms.sponsor:
                return True
            roots = [
                record.id
                for record in self.by_id.values()
                if (record.scope, record.author, record.seq)
                == (self.campaign, author, 0)
            ]
            if len(roots) != 1 or author in walked:
                return False
            walked[author], below = None, roots[0]
        return below in enough and list(self.line(below))[-1] in enough


def _gathered(
    covers: Iterable[Mapping[RecordId, int]],
) -> dict[RecordId, list[int]]:
    """Record -> when each of the witnesses first covered it."""
    found: dict[RecordId, list[int]] = {}
    for cover in covers:
        for record, time in cover.items():
            found.setdefault(record, []).append(time)
    return found
