"""One round: which acts are accepted, and what each is granted. Spec 0008 §6.

The round starts from the grants of the rounds before and passes over all
counted acts without a grant, in order key. The tests run in the order of
`_tests_of`; the first that fails is the act's reason. A refused act consumes
nothing and is judged again in the next round.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import NamedTuple

from protocols.claims import Kind
from protocols.errors import Reason
from protocols.keys import AuthorKey, RecordId, TagId
from protocols.settlement.admission import Admission, Person
from protocols.settlement.bind import Bindings, may_vouch
from protocols.settlement.cut import Counted, CountedSet, OrderKey, Row
from protocols.settlement.money import Accounts, Share, Why, pool_of, split
from protocols.settlement.rows import KnownTag, TagBook
from protocols.settlement.said import Word
from protocols.tags.entry import Rotating
from protocols.terms import Act, Count, Flat, Limits, Once, Stage, Terms

# Plain numbers, asked for every act: a member of an enum is slow to look up.
WORDS = (int(Kind.OUTCOME), int(Kind.ATTEST))
_SCAN, _JOIN, _OUTCOME = int(Kind.SCAN), int(Kind.JOIN), int(Kind.OUTCOME)


class ActFacts(NamedTuple):
    """What is known of one act when it is judged."""

    item: Counted
    stage_index: int
    stage: Stage | None
    person: Person | None
    grade: int
    act_time: int
    """When the act happened, in ms: a scan's stands in its row."""
    row: Row | None = None
    """A scan's evidence row."""
    tag: KnownTag | None = None
    """The scan's tag, or of the scan that an outcome is bound through."""
    amount: int = 0

    @property
    def id(self) -> RecordId:
        """The act's record id."""
        return self.item.record.id


class Grant(NamedTuple):
    """An accepted act and its pool."""

    act: ActFacts
    round: int
    """The round that granted it."""
    pool: int
    """g, after the budget."""
    limits: Limits
    host: AuthorKey | None
    """The first key of the host whose tag she came through."""
    withheld: tuple[Why, ...]
    """Shares that a fork of the act's feed costs."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """How the pool is shared: made when somebody asks."""
        stage, person = self.act.stage, self.act.person
        assert stage is not None
        assert person is not None
        if stage.reward is None:
            return ()
        return split(
            stage.reward,
            self.limits,
            self.pool,
            person,
            self.host,
            withheld=self.withheld,
        )


class Stay(NamedTuple):
    """Accepted scans of one person at one place, each within two intervals of the next.

    In between no scan elsewhere is accepted: it would be within one interval of
    one of them.
    """

    last: int
    first: int
    """Act times."""
    place: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the grants so far use up. Only `Judge` writes it."""

    accounts: Accounts
    budget_left: int
    grants: dict[RecordId, Grant] = field(default_factory=dict)
    by_person: dict[tuple[AuthorKey, int], OrderKey] = field(default_factory=dict)
    """(person, stage that another needs) -> her first granted act."""
    by_inviter: dict[tuple[AuthorKey, int], OrderKey] = field(default_factory=dict)
    """(inviter, stage that another needs) -> the first of those she invited."""
    per_stage: dict[int, int] = field(default_factory=dict)
    """Stage -> acts granted."""
    used: set[tuple[object, ...]] = field(default_factory=set)
    """What is good once: see `Judge._uses`."""
    windows: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """(tag, window of its code) -> scans granted."""
    days: dict[tuple[AuthorKey, int], int] = field(default_factory=dict)
    """(person, day) -> acts granted."""
    stays: dict[AuthorKey, list[Stay]] = field(default_factory=dict)
    """Person -> where her accepted scans show her, ascending and apart."""
    desks: dict[tuple[AuthorKey, int | None], int] = field(default_factory=dict)
    """(merchant's first key, day or None for all) -> amount so far."""


# Functions, not methods of one judge, which would hold itself and all it read.
Test = Callable[["Judge", ActFacts, Stage], Reason | None]
Note = Callable[["Judge", ActFacts, Person], None]


@dataclass(slots=True, kw_only=True)
class Judge:
    """Judges the acts of one round."""

    terms: Terms
    round: int
    counted: CountedSet
    admission: Admission
    book: TagBook
    rows: Mapping[RecordId, Row]
    bindings: Bindings
    erased: Mapping[RecordId, int]
    """Scan -> the round in which its erasure counted."""
    forks: Mapping[AuthorKey, list[tuple[int, int]]]
    """Author -> (round listed, fork seq)."""
    tally: Tally
    taps: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    """Chip's tag -> (counter, witness time) of its counted taps."""
    _tests: dict[int, tuple[Test, ...]] = field(default_factory=dict, init=False)
    """Stage -> what `_tests_of` says."""
    _notes: dict[int, tuple[Note, ...]] = field(default_factory=dict, init=False)
    """Stage -> what `_notes_of` says."""
    _earliest: dict[bytes, tuple[list[int], list[int]]] = field(
        default_factory=dict, init=False
    )
    """Chip's tag -> counters, ascending; earliest witness time from each on."""

    def __post_init__(self) -> None:
        """Look up once what is the same for every act."""
        stages = self.terms.stages
        self._tests = {i: self._tests_of(stage) for i, stage in enumerate(stages)}
        self._notes = {i: self._notes_of(i, stage) for i, stage in enumerate(stages)}

    def run(
        self, waiting: Iterable[Counted]
    ) -> dict[RecordId, tuple[ActFacts, Reason]]:
        """Judge acts without a grant, in order key; the refused with reasons."""
        refused: dict[RecordId, tuple[ActFacts, Reason]] = {}
        for item in waiting:
            act = self.facts(item)
            if act is None:
                continue
            reason = self._first_failure(act)
            if reason is None:
                self._grant(act)
            else:
                refused[item.record.id] = (act, reason)
        return refused

    # facts

    def facts(self, item: Counted) -> ActFacts | None:
        """What is known of `item` as an act, or None if it is none."""
        kind = item.record.header.kind
        if kind in WORDS:
            return self._word(item)
        if kind == _SCAN:
            return self._scan(item)
        return self._join(item) if kind == _JOIN else None

    def _scan(self, item: Counted) -> ActFacts:
        row = self.rows[item.record.id]
        return ActFacts(
            item,
            row.stage,
            self._stage(row.stage),
            self.admission.by_key.get(item.record.header.author),
            self._scan_grade(row),
            row.act_time,
            row,
            self.book.tags.get(TagId(row.tag)),
        )

    def _join(self, item: Counted) -> ActFacts | None:
        stages = enumerate(self.terms.stages)
        for index, stage in stages:
            if stage.act == Act.JOIN:
                return ActFacts(
                    item,
                    index,
                    stage,
                    self.admission.by_key.get(item.record.author),
                    5 if item.record.id in self.bindings.attested else 0,
                    item.act_time(stage.late_ms),
                )
        return None

    def _word(self, item: Counted) -> ActFacts | None:
        claim: Word = item.claim
        if claim.stage is None:
            return None
        stage = self._stage(claim.stage)
        scan = self.bindings.bound.get(item.record.id)
        tag = None
        if scan is not None and scan in self.rows:
            tag = self.book.tags.get(TagId(self.rows[scan].tag))
        return ActFacts(
            item,
            claim.stage,
            stage,
            self.admission.by_key.get(claim.author),
            self._word_grade(item, stage, claim.amount),
            item.act_time(0 if stage is None else stage.late_ms),
            None,
            tag,
            claim.amount,
        )

    def _stage(self, index: int) -> Stage | None:
        stages = self.terms.stages
        return stages[index] if index < len(stages) else None

    def _scan_grade(self, row: Row) -> int:
        own = row.own_grade
        if own == 4 and row.counter is not None and self._harvested(row):
            own = 1
        return 5 if own >= 1 and row.id in self.bindings.attested else own

    def _harvested(self, row: Row) -> bool:
        """A later tap of this chip was seen clearly before this one."""
        stage = self._stage(row.stage)
        late_ms = 0 if stage is None else stage.late_ms
        mine = self.counted.by_id[row.id].witness_time
        counters, earliest = self._taps_of(row.tag)
        after = bisect_right(counters, row.counter or 0)
        return after < len(counters) and earliest[after] < mine - late_ms

    def _taps_of(self, tag: bytes) -> tuple[list[int], list[int]]:
        if tag not in self._earliest:
            taps = sorted(self.taps.get(tag, ()))
            times = list(accumulate((seen for _, seen in reversed(taps)), min))
            self._earliest[tag] = ([counter for counter, _ in taps], times[::-1])
        return self._earliest[tag]

    def _word_grade(self, item: Counted, stage: Stage | None, amount: int) -> int:
        """Grade of an attest or outcome: 0, 5, or 7 past its refund window."""
        if item.record.id not in self.bindings.bound:
            return 0
        if item.record.header.kind != _OUTCOME or stage is None:
            return 5
        if amount and self.bindings.reversed.get(item.record.id, 0) >= amount:
            return 0
        return 7 if stage.refund_ms else 5

    # tests

    def _first_failure(self, act: ActFacts) -> Reason | None:
        reason = self._admitted(act) or self._erased(act)
        if reason is not None:
            return reason
        stage = act.stage
        if stage is None or stage.act != act.item.record.header.kind:
            return Reason.UNKNOWN_STAGE
        for test in self._tests[act.stage_index]:
            reason = test(self, act, stage)
            if reason is not None:
                return reason
        return None

    def _tests_of(self, stage: Stage) -> tuple[Test, ...]:
        """Tests 4 to 15 of spec 0008 §6, in order: 1 to 3 are `_first_failure`'s.

        Only the tests that acts of this stage can fail.
        """
        limits, first = self.terms.limits, _first_of(stage) > 0
        scan, word = stage.act == Act.SCAN, stage.act in WORDS
        asked: tuple[tuple[bool, Test], ...] = (
            (stage.refund_ms > 0, Judge._mature),  # 4
            (scan, Judge._tag),  # 5
            (True, Judge._window),  # 6
            (True, Judge._grade),  # 7
            (word, Judge._bound),  # 8
            (bool(stage.after), Judge._after),  # 9
            (scan or first or stage.once != Once.NEVER, Judge._once),  # 10
            (scan and stage.per_window > 0, Judge._per_window),  # 11
            (scan and limits.place_interval_ms > 0, Judge._velocity),  # 12
            (limits.per_person_per_day > 0, Judge._day_limit),  # 13
            (stage.act == Act.OUTCOME, Judge._merchant_cap),  # 14
            (True, Judge._budget),  # 15
        )
        return tuple(test for is_asked, test in asked if is_asked)

    def _admitted(self, act: ActFacts) -> Reason | None:
        header = act.item.record.header
        if header.kind not in WORDS:
            return self.admission.reason(header.author)
        bound = act.item.record.id in self.bindings.bound
        if not bound and not may_vouch(self.terms, header.author):
            return Reason.NOT_NAMED
        return act.person.refused if act.person else Reason.NOT_ADMITTED

    def _erased(self, act: ActFacts) -> Reason | None:
        since = self.erased.get(act.item.record.id) if self.erased else None
        gone = since is not None and since <= act.item.round
        return Reason.ERASED if gone else None

    def _mature(self, act: ActFacts, stage: Stage) -> Reason | None:
        until = act.item.witness_time + stage.refund_ms
        early = self.terms.rounds[self.round - 1].accept_until < until
        return Reason.NOT_MATURE if early else None

    def _tag(self, act: ActFacts, stage: Stage) -> Reason | None:
        assert act.row is not None
        if act.tag is None or act.tag.group != stage.tags:
            return Reason.UNKNOWN_TAG
        entry = act.tag.entry
        late = bool(entry.valid_until) and act.act_time > entry.valid_until
        if late or act.act_time < entry.valid_from:
            return Reason.UNKNOWN_TAG
        revoked = self.book.revoked.get(TagId(act.row.tag))
        if revoked is not None and revoked < act.item.order:
            fixed = any(
                self.terms.stages[c.stage].tags == act.tag.group
                for c in self.terms.conditions
            )
            return None if fixed else Reason.UNKNOWN_TAG
        return None

    def _window(self, act: ActFacts, stage: Stage) -> Reason | None:
        opens = max(self.terms.rounds[0].opens, stage.opens)
        closes = self.terms.rounds[self.round - 1].closes
        if stage.closes:
            closes = min(closes, stage.closes)
        inside = opens <= act.act_time <= closes
        return None if inside else Reason.STAGE_WINDOW

    def _grade(self, act: ActFacts, stage: Stage) -> Reason | None:
        gone = self.bindings.reversed.get(act.id, 0)
        refunded = act.amount > 0 and gone >= act.amount
        return Reason.GRADE if refunded or act.grade < stage.grade else None

    def _bound(self, act: ActFacts, _: Stage) -> Reason | None:
        bound = act.item.record.id in self.bindings.bound
        return None if bound else Reason.NOT_BOUND

    def _after(self, act: ActFacts, stage: Stage) -> Reason | None:
        assert act.person is not None
        for needed in stage.after:
            tally = self.tally
            first = tally.by_inviter if needed.by_invitee else tally.by_person
            done = first.get((act.person.root, needed.stage))
            if done is None or done >= act.item.order:
                return Reason.AFTER
        return None

    def _once(self, act: ActFacts, stage: Stage) -> Reason | None:
        keys = self._uses(act, stage)
        if any(key in self.tally.used for key in keys):
            return Reason.ONCE
        taken = self.tally.per_stage.get(act.stage_index, 0)
        return Reason.ONCE if 0 < _first_of(stage) <= taken else None

    def _uses(self, act: ActFacts, stage: Stage) -> list[tuple[object, ...]]:
        """What an accepted act uses up; a one-time key always only once."""
        assert act.person is not None
        root, index = act.person.root, act.stage_index
        tag = act.row.tag if act.row is not None else b""
        slot = act.row.slot if act.row is not None else None
        burnt: list[tuple[object, ...]] = [(index, Once.TAG, slot)] if slot else []
        match stage.once:
            case Once.TAG:
                return burnt or [(index, Once.TAG, tag)]
            case Once.PERSON:
                return [*burnt, (index, Once.PERSON, root)]
            case Once.PERSON_TAG:
                return [*burnt, (index, Once.PERSON_TAG, root, slot or tag)]
            case Once.PERSON_DAY:
                day = self.terms.day(act.act_time)
                return [*burnt, (index, Once.PERSON_DAY, root, day)]
            case _:
                return burnt

    def _per_window(self, act: ActFacts, stage: Stage) -> Reason | None:
        key = _window_key(act)
        if key is None:
            return None
        full = self.tally.windows.get(key, 0) >= stage.per_window
        return Reason.PER_WINDOW if full else None

    def _velocity(self, act: ActFacts, _: Stage) -> Reason | None:
        assert act.person is not None
        interval, here = self.terms.limits.place_interval_ms, _place(act)
        stays = self.tally.stays.get(act.person.root, [])
        at = bisect_right(stays, act.act_time - interval, key=_last)
        for stay in islice(stays, at, None):
            if stay.first >= act.act_time + interval:
                break
            if stay.place != here:
                return Reason.VELOCITY
        return None

    def _day_limit(self, act: ActFacts, _: Stage) -> Reason | None:
        assert act.person is not None
        most = self.terms.limits.per_person_per_day
        day = (act.person.root, self.terms.day(act.act_time))
        return Reason.DAY if self.tally.days.get(day, 0) >= most else None

    def _merchant_cap(self, act: ActFacts, _: Stage) -> Reason | None:
        party = self.terms.party(act.item.record.author)
        if party is None:
            return None
        desk, day = party.keys[0], self.terms.day(act.act_time)
        today = self.tally.desks.get((desk, day), 0) + act.amount
        total = self.tally.desks.get((desk, None), 0) + act.amount
        over = (
            act.amount > party.amount_max
            or today > party.per_day_max
            or total > party.total_max
        )
        return Reason.MERCHANT_CAP if over else None

    def _budget(self, act: ActFacts, stage: Stage) -> Reason | None:
        pool = self._pool(act, stage)
        return Reason.BUDGET if pool and not self.tally.budget_left else None

    # effects

    def _pool(self, act: ActFacts, stage: Stage) -> int:
        if stage.reward is None:
            return 0
        return pool_of(stage.reward, act.amount, self.bindings.reversed.get(act.id, 0))

    def _grant(self, act: ActFacts) -> None:
        stage, person, tally = act.stage, act.person, self.tally
        assert stage is not None
        assert person is not None
        pool = min(self._pool(act, stage), tally.budget_left)
        host = None if act.tag is None else self._host(act.tag, person)
        withheld = self._withheld(act.item, person)
        grant = Grant(act, self.round, pool, self.terms.limits, host, withheld)
        if stage.reward is not None:
            tally.accounts.add(stage.reward, pool, person.root, host, withheld)
        tally.budget_left -= pool
        tally.grants[act.item.record.id] = grant
        for note in self._notes[act.stage_index]:
            note(self, act, person)

    def _withheld(self, item: Counted, actor: Person) -> tuple[Why, ...]:
        """Which shares a fork of the act's feed costs: never a customer's."""
        listed = self.forks.get(item.record.header.author)
        if listed is None or not any(
            item.round >= since and item.record.seq >= seq for since, seq in listed
        ):
            return ()
        return tuple(Why) if item.record.author in actor.keys else (Why.HOST,)

    def _notes_of(self, index: int, stage: Stage) -> tuple[Note, ...]:
        """What a grant of this stage uses up, as far as a test will ask for it."""
        limits = self.terms.limits
        needed = any(a.stage == index for one in self.terms.stages for a in one.after)
        scan = stage.act == Act.SCAN
        asked: tuple[tuple[bool, Note], ...] = (
            (needed, Judge._note_first),
            (scan or stage.once != Once.NEVER, Judge._note_uses),
            (_first_of(stage) > 0, Judge._note_count),
            (limits.per_person_per_day > 0, Judge._note_day),
            (scan, Judge._note_window),
            (scan and limits.place_interval_ms > 0, Judge._note_place),
            (stage.act == Act.OUTCOME, Judge._note_desk),
        )
        return tuple(note for is_asked, note in asked if is_asked)

    def _note_first(self, act: ActFacts, person: Person) -> None:
        """Keep the smallest order key: a later round can grant an earlier act."""
        tally, mine, index = self.tally, act.item.order, act.stage_index
        key = (person.root, index)
        tally.by_person[key] = min(tally.by_person.get(key, mine), mine)
        if person.inviter is not None:
            key = (person.inviter.root, index)
            tally.by_inviter[key] = min(tally.by_inviter.get(key, mine), mine)

    def _note_uses(self, act: ActFacts, _: Person) -> None:
        assert act.stage is not None
        self.tally.used.update(self._uses(act, act.stage))

    def _note_count(self, act: ActFacts, _: Person) -> None:
        taken = self.tally.per_stage.get(act.stage_index, 0)
        self.tally.per_stage[act.stage_index] = taken + 1

    def _note_day(self, act: ActFacts, person: Person) -> None:
        day = (person.root, self.terms.day(act.act_time))
        self.tally.days[day] = self.tally.days.get(day, 0) + 1

    def _note_window(self, act: ActFacts, _: Person) -> None:
        window = _window_key(act)
        if window is not None:
            self.tally.windows[window] = self.tally.windows.get(window, 0) + 1

    def _note_place(self, act: ActFacts, person: Person) -> None:
        stays = self.tally.stays.setdefault(person.root, [])
        here = Stay(act.act_time, act.act_time, _place(act))
        apart = 2 * self.terms.limits.place_interval_ms
        start = stop = bisect_right(stays, here.last - apart, key=_last)
        while stop < len(stays) and stays[stop].first < here.first + apart:
            stop += 1
        near = stays[start:stop]
        one = [here, *(stay for stay in near if stay.place == here.place)]
        joined = Stay(max(x.last for x in one), min(x.first for x in one), here.place)
        others = (stay for stay in near if stay.place != here.place)
        stays[start:stop] = sorted([joined, *others])

    def _note_desk(self, act: ActFacts, _: Person) -> None:
        party, desks = self.terms.party(act.item.record.author), self.tally.desks
        if party is not None:
            for when in (self.terms.day(act.act_time), None):
                key = (party.keys[0], when)
                desks[key] = desks.get(key, 0) + act.amount

    def _host(self, tag: KnownTag, actor: Person) -> AuthorKey | None:
        """The first key of the tag's host; None if the actor is the host."""
        party = None if tag.entry.host is None else self.terms.party(tag.entry.host)
        if party is None or any(key in actor.keys for key in party.keys):
            return None
        return party.keys[0]


def _first_of(stage: Stage) -> int:
    """How many acts of a stage are paid; 0: all."""
    rule = None if stage.reward is None else stage.reward.rule
    return rule.first if isinstance(rule, Flat) else 0


def _last(stay: Stay) -> int:
    return stay.last


def conditions_met(
    terms: Terms,
    grants: Mapping[RecordId, Grant],
    refused: Mapping[RecordId, tuple[ActFacts, Reason]],
) -> tuple[bool, ...]:
    """For each condition, whether the accepted acts reach it.

    Acts refused only for want of budget count too: conditions are judged
    before the budget.
    """
    if not terms.conditions:
        return ()
    acts = [grant.act for grant in grants.values()]
    acts += [act for act, reason in refused.values() if reason is Reason.BUDGET]
    met = []
    for condition in terms.conditions:
        mine = [act for act in acts if act.stage_index == condition.stage]
        match condition.count:
            case Count.DISTINCT_TAGS:
                reached = len({act.row.tag for act in mine if act.row is not None})
            case Count.PERSONS:
                reached = len({act.person.root for act in mine if act.person})
            case _:
                reached = len(mine)
        met.append(reached >= condition.least)
    return tuple(met)


def _place(act: ActFacts) -> str:
    """The tag's place; a tag without one is a place of its own."""
    assert act.row is not None
    assert act.tag is not None
    place = act.tag.entry.place
    return f"at {place}" if place else act.row.tag.hex()


def _window_key(act: ActFacts) -> tuple[bytes, int] | None:
    if act.row is None or act.row.window is None or act.tag is None:
        return None
    rotating = isinstance(act.tag.entry.public, Rotating)
    return (act.row.tag, act.row.window) if rotating else None
