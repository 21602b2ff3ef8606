"""One round: which acts are accepted, and what each is granted. Spec 0008 §6.

The round starts from the grants of the rounds before and passes over all
counted acts without a grant, in order key. The tests run in the order of
`_first_failure`; the first that fails is the act's reason. A refused act consumes
nothing and is judged again in the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocols.claims import Kind
from protocols.errors import Reason
from protocols.keys import AuthorKey, RecordId, TagId
from protocols.settlement.admission import Admission, Person
from protocols.settlement.bind import Bindings, may_vouch
from protocols.settlement.cut import Counted, CountedSet, Row
from protocols.settlement.money import Share, Why, pool_of, split
from protocols.settlement.rows import KnownTag, TagBook
from protocols.tags.entry import Rotating
from protocols.terms import Act, Count, Flat, Once, Stage, Terms

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFacts:
    """What is known of one act when it is judged."""

    item: Counted
    stage_index: int
    stage: Stage | None
    person: Person | None
    grade: int
    row: Row | None = None
    """A scan's evidence row."""
    tag: KnownTag | None = None
    """The scan's tag, or of the scan that an outcome is bound through."""
    amount: int = 0

    @property
    def id(self) -> RecordId:
        """The act's record id."""
        return self.item.record.id

    @property
    def act_time(self) -> int:
        """When the act happened, in ms: a scan's stands in its row."""
        if self.row is not None:
            return self.row.act_time
        return self.item.act_time(0 if self.stage is None else self.stage.late_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An accepted act and its pool."""

    act: ActFacts
    round: int
    """The round that granted it."""
    pool: int
    """g, after the budget."""
    shares: tuple[Share, ...]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What the grants so far use up. Only `Judge` writes it."""

    budget_left: int
    grants: dict[RecordId, Grant] = field(default_factory=dict)
    by_person: dict[tuple[AuthorKey, int], list[Grant]] = field(default_factory=dict)
    """(person, stage) -> her grants."""
    by_inviter: dict[tuple[AuthorKey, int], list[Grant]] = field(default_factory=dict)
    """(inviter, stage) -> grants of those she invited."""
    per_stage: dict[int, int] = field(default_factory=dict)
    used: set[tuple[object, ...]] = field(default_factory=set)
    windows: dict[tuple[bytes, int], int] = field(default_factory=dict)
    days: dict[tuple[AuthorKey, int], int] = field(default_factory=dict)
    places: dict[AuthorKey, list[tuple[int, str]]] = field(default_factory=dict)
    desks: dict[tuple[AuthorKey, int | None], int] = field(default_factory=dict)
    """(merchant's first key, day or None for all) -> amount so far."""


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
    forked: Callable[[Counted], bool]
    """Whether a record's own shares are withheld."""
    ledger: Ledger
    taps: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    """Chip's tag -> (counter, witness time) of its counted taps."""

    def run(self, ordered: list[Counted]) -> dict[RecordId, tuple[ActFacts, Reason]]:
        """Judge all acts without a grant; return the refused with reasons."""
        refused: dict[RecordId, tuple[ActFacts, Reason]] = {}
        for item in ordered:
            if item.record.id in self.ledger.grants:
                continue
            act = self.facts(item)
            if act is None:
                continue
            reason = self._first_failure(act)
            if reason is None:
                self._grant(act)
            else:
                refused[act.id] = (act, reason)
        return refused

    # facts

    def facts(self, item: Counted) -> ActFacts | None:
        """What is known of `item` as an act, or None if it is none."""
        record = item.record
        if record.kind == Kind.SCAN:
            row = self.rows[record.id]
            return ActFacts(
                item=item,
                stage_index=row.stage,
                stage=self._stage(row.stage),
                person=self.admission.by_key.get(record.author),
                grade=self._scan_grade(row),
                row=row,
                tag=self.book.tags.get(TagId(row.tag)),
            )
        if record.kind == Kind.JOIN:
            index = self._join_stage()
            if index is None:
                return None
            return ActFacts(
                item=item,
                stage_index=index,
                stage=self._stage(index),
                person=self.admission.by_key.get(record.author),
                grade=5 if record.id in self.bindings.attested else 0,
            )
        if record.kind not in (Kind.OUTCOME, Kind.ATTEST):
            return None
        claim = record.claim()
        if claim.stage is None:
            return None
        scan = self.bindings.bound.get(record.id)
        tag = None
        if scan is not None and scan in self.rows:
            tag = self.book.tags.get(TagId(self.rows[scan].tag))
        return ActFacts(
            item=item,
            stage_index=claim.stage,
            stage=self._stage(claim.stage),
            person=self.admission.by_key.get(claim.author),
            grade=self._word_grade(item, claim.stage, claim.amount),
            tag=tag,
            amount=claim.amount,
        )

    def _stage(self, index: int) -> Stage | None:
        stages = self.terms.stages
        return stages[index] if index < len(stages) else None

    def _join_stage(self) -> int | None:
        stages = enumerate(self.terms.stages)
        return next((i for i, stage in stages if stage.act == Act.JOIN), None)

    def _scan_grade(self, row: Row) -> int:
        own = row.own_grade
        if own == 4 and row.counter is not None and self._harvested(row):
            own = 1
        return 5 if own >= 1 and row.id in self.bindings.attested else own

    def _harvested(self, row: Row) -> bool:
        """A later tap of this chip was seen clearly before this one."""
        stages = self.terms.stages
        late_ms = stages[row.stage].late_ms if row.stage < len(stages) else 0
        mine = self.counted.by_id[row.id].witness_time
        counter = row.counter or 0
        return any(
            other > counter and seen < mine - late_ms
            for other, seen in self.taps.get(row.tag, ())
        )

    def _word_grade(self, item: Counted, index: int, amount: int) -> int:
        """Grade of an attest or outcome: 0, 5, or 7 past its refund window."""
        if item.record.id not in self.bindings.bound:
            return 0
        if item.record.kind != Kind.OUTCOME or index >= len(self.terms.stages):
            return 5
        gone = self.bindings.reversed.get(item.record.id, 0)
        if amount and gone >= amount:
            return 0
        return 7 if self.terms.stages[index].refund_ms else 5

    # tests

    def _first_failure(self, act: ActFacts) -> Reason | None:
        reason = self._admitted(act) or self._erased(act)
        if reason is not None:
            return reason
        stage = act.stage
        if stage is None or stage.act != act.item.record.kind:
            return Reason.UNKNOWN_STAGE
        for test in _TESTS:
            reason = test(self, act, stage)
            if reason is not None:
                return reason
        return None

    def _admitted(self, act: ActFacts) -> Reason | None:
        record = act.item.record
        if record.kind in (Kind.OUTCOME, Kind.ATTEST):
            hosts = record.id in self.bindings.bound
            if not may_vouch(self.terms, record.author) and not hosts:
                return Reason.NOT_NAMED
            return act.person.refused if act.person else Reason.NOT_ADMITTED
        return self.admission.reason(record.author)

    def _erased(self, act: ActFacts) -> Reason | None:
        since = self.erased.get(act.id)
        gone = since is not None and since <= act.item.round
        return Reason.ERASED if gone else None

    def _mature(self, act: ActFacts, stage: Stage) -> Reason | None:
        if not stage.refund_ms:
            return None
        until = act.item.witness_time + stage.refund_ms
        early = self.terms.rounds[self.round - 1].accept_until < until
        return Reason.NOT_MATURE if early else None

    def _tag(self, act: ActFacts, stage: Stage) -> Reason | None:
        if act.row is None:
            return None
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
        needs = act.item.record.kind in (Kind.OUTCOME, Kind.ATTEST)
        free = needs and act.id not in self.bindings.bound
        return Reason.NOT_BOUND if free else None

    def _after(self, act: ActFacts, stage: Stage) -> Reason | None:
        assert act.person is not None
        for needed in stage.after:
            ledger = self.ledger
            grants = ledger.by_inviter if needed.by_invitee else ledger.by_person
            done = grants.get((act.person.root, needed.stage), [])
            if not any(grant.act.item.order < act.item.order for grant in done):
                return Reason.AFTER
        return None

    def _once(self, act: ActFacts, stage: Stage) -> Reason | None:
        keys = self._uses(act, stage)
        if any(key in self.ledger.used for key in keys):
            return Reason.ONCE
        reward = stage.reward
        if reward is not None and isinstance(reward.rule, Flat) and reward.rule.first:
            taken = self.ledger.per_stage.get(act.stage_index, 0)
            return Reason.ONCE if taken >= reward.rule.first else None
        return None

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
                day = self._day(act.act_time)
                return [*burnt, (index, Once.PERSON_DAY, root, day)]
            case _:
                return burnt

    def _per_window(self, act: ActFacts, stage: Stage) -> Reason | None:
        key = _window_key(act)
        if key is None or not stage.per_window:
            return None
        full = self.ledger.windows.get(key, 0) >= stage.per_window
        return Reason.PER_WINDOW if full else None

    def _velocity(self, act: ActFacts, _: Stage) -> Reason | None:
        interval = self.terms.limits.place_interval_ms
        if not interval or act.row is None or act.person is None:
            return None
        here = _place(act)
        for time, place in self.ledger.places.get(act.person.root, ()):
            if place != here and abs(time - act.act_time) < interval:
                return Reason.VELOCITY
        return None

    def _day_limit(self, act: ActFacts, _: Stage) -> Reason | None:
        most = self.terms.limits.per_person_per_day
        if not most or act.person is None:
            return None
        day = (act.person.root, self._day(act.act_time))
        return Reason.DAY if self.ledger.days.get(day, 0) >= most else None

    def _merchant_cap(self, act: ActFacts, _: Stage) -> Reason | None:
        party = self.terms.party(act.item.record.author)
        if act.item.record.kind != Kind.OUTCOME or party is None:
            return None
        desk, day = party.keys[0], self._day(act.act_time)
        today = self.ledger.desks.get((desk, day), 0) + act.amount
        total = self.ledger.desks.get((desk, None), 0) + act.amount
        over = (
            act.amount > party.amount_max
            or today > party.per_day_max
            or total > party.total_max
        )
        return Reason.MERCHANT_CAP if over else None

    def _budget(self, act: ActFacts, stage: Stage) -> Reason | None:
        pool = self._pool(act, stage)
        return Reason.BUDGET if pool and not self.ledger.budget_left else None

    # effects

    def _pool(self, act: ActFacts, stage: Stage) -> int:
        if stage.reward is None:
            return 0
        return pool_of(stage.reward, act.amount, self.bindings.reversed.get(act.id, 0))

    def _grant(self, act: ActFacts) -> None:
        stage, person, ledger = act.stage, act.person, self.ledger
        assert stage is not None
        assert person is not None
        pool = min(self._pool(act, stage), ledger.budget_left)
        shares: tuple[Share, ...] = ()
        if stage.reward is not None:
            shares = split(
                stage.reward,
                self.terms.limits,
                pool,
                person,
                self._host(act, person),
                withheld=self._withheld(act.item, person),
            )
        grant = Grant(act=act, round=self.round, pool=pool, shares=shares)
        ledger.budget_left -= pool
        ledger.grants[act.id] = grant
        stage_key = (person.root, act.stage_index)
        ledger.by_person.setdefault(stage_key, []).append(grant)
        if person.inviter is not None:
            above = (person.inviter.root, act.stage_index)
            ledger.by_inviter.setdefault(above, []).append(grant)
        ledger.used.update(self._uses(act, stage))
        taken = ledger.per_stage.get(act.stage_index, 0)
        ledger.per_stage[act.stage_index] = taken + 1
        self._tally(act, person)

    def _withheld(self, item: Counted, actor: Person) -> tuple[Why, ...]:
        """Which shares a fork of the act's feed costs: never a customer's."""
        if not self.forked(item):
            return ()
        return tuple(Why) if item.record.author in actor.keys else (Why.HOST,)

    def _tally(self, act: ActFacts, person: Person) -> None:
        ledger, day = self.ledger, self._day(act.act_time)
        window = _window_key(act)
        if window is not None:
            ledger.windows[window] = ledger.windows.get(window, 0) + 1
        ledger.days[person.root, day] = ledger.days.get((person.root, day), 0) + 1
        if act.row is not None:
            here = (act.act_time, _place(act))
            ledger.places.setdefault(person.root, []).append(here)
        party = self.terms.party(act.item.record.author)
        if party is not None and act.item.record.kind == Kind.OUTCOME:
            for when in (day, None):
                key = (party.keys[0], when)
                ledger.desks[key] = ledger.desks.get(key, 0) + act.amount

    def _host(self, act: ActFacts, actor: Person) -> AuthorKey | None:
        """The first key of the tag's host; None if the actor is the host."""
        host = None if act.tag is None else act.tag.entry.host
        party = None if host is None else self.terms.party(host)
        if party is None or any(key in actor.keys for key in party.keys):
            return None
        return party.keys[0]

    def _day(self, time_ms: int) -> int:
        return (time_ms + self.terms.day_offset_min * 60_000) // DAY_MS


Test = Callable[[Judge, ActFacts, Stage], Reason | None]

_TESTS: tuple[Test, ...] = (
    Judge._mature,  # noqa: SLF001 - the class's own table
    Judge._tag,  # noqa: SLF001
    Judge._window,  # noqa: SLF001
    Judge._grade,  # noqa: SLF001
    Judge._bound,  # noqa: SLF001
    Judge._after,  # noqa: SLF001
    Judge._once,  # noqa: SLF001
    Judge._per_window,  # noqa: SLF001
    Judge._velocity,  # noqa: SLF001
    Judge._day_limit,  # noqa: SLF001
    Judge._merchant_cap,  # noqa: SLF001
    Judge._budget,  # noqa: SLF001
)
"""What follows admitted, erased and stage, in the order of spec 0008 §6."""


def conditions_met(
    terms: Terms,
    grants: Mapping[RecordId, Grant],
    refused: Mapping[RecordId, tuple[ActFacts, Reason]],
) -> tuple[bool, ...]:
    """For each condition, whether the accepted acts reach it.

    Acts refused only for want of budget count too: conditions are judged
    before the budget.
    """
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
    return act.tag.entry.place or act.row.tag.hex()


def _window_key(act: ActFacts) -> tuple[bytes, int] | None:
    if act.row is None or act.row.window is None or act.tag is None:
        return None
    rotating = isinstance(act.tag.entry.public, Rotating)
    return (act.row.tag, act.row.window) if rotating else None
