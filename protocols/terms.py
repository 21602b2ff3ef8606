"""A campaign's terms: one positional array whose hash is the campaign id. Spec 0005.

Amounts are integers of the unit's minor part (fen); times are Unix ms unless
the name says `_ms` for a duration. Stages and conditions keep the file's
order: the index is their id on the wire. Sets of keys are in byte order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import ClassVar

from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, NetworkId, Scope, tagged_hash
from protocols.limits import (
    AFTER_MAX,
    CHAIN_MAX,
    CONDITIONS_MAX,
    GROUPS_MAX,
    INT_MAX,
    JOIN_BITS_MAX,
    KEYS_MAX,
    NAME_MAX,
    NAMED_MAX,
    ROUNDS_MAX,
    STAGES_MAX,
    TIME_MAX,
    WITNESSES_MAX,
)
from protocols.shape import (
    Shape,
    ascending,
    blob,
    choice,
    flag,
    listof,
    option,
    row,
    struct,
    text,
    uint,
)

DAY_MS = 86_400_000

FAULTS = {1: 0, 4: 1, 7: 2}
"""Witnesses named -> f, how many of them may lie or die."""


class Role(IntFlag):
    """What a named key is to the campaign."""

    MERCHANT = 1
    HOST = 2
    DEVICE = 4


class Line(IntEnum):
    """Where a stage happens: journeys are any sequence of both."""

    ONLINE = 0
    OFFLINE = 1


class Act(IntEnum):
    """Which kind of record an act of the stage is."""

    JOIN = 2
    SCAN = 5
    ATTEST = 6
    OUTCOME = 7


class Once(IntEnum):
    """What an accepted act uses up."""

    NEVER = 0
    TAG = 1
    PERSON = 2
    PERSON_TAG = 3
    PERSON_DAY = 4


class Count(IntEnum):
    """What a condition counts among the accepted acts of its stage."""

    DISTINCT_TAGS = 1
    ACTS = 2
    PERSONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A key that sees for the campaign, and who stands behind it."""

    key: AuthorKey
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One possible closing. closes <= accept_until < final_from."""

    opens: int
    closes: int
    accept_until: int
    """Records whose witness time is later wait for the next round."""
    final_from: int
    """A witness's final of this round is valid from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residue:
    """Who gets what earned pools leave over, in the last close."""

    key: AuthorKey
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A merchant, host or device; its later keys take over from earlier ones."""

    keys: tuple[AuthorKey, ...]
    role: int
    """Bits of `Role`."""
    name: str
    amount_max: int
    """Largest amount of one outcome; 0: none allowed."""
    per_day_max: int
    total_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A tag group fixed by the terms: tree 6 over its entries."""

    name: str
    count: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A stage that must have come first."""

    stage: int
    by_invitee: bool
    """Done by somebody this person invited, instead of by herself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The whole pool to the actor, for the first `first` acts (0: all)."""

    tag: ClassVar[int] = 1
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """Half to the actor, a quarter to her inviter, and so on up."""

    tag: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometric:
    """gamma to the actor, gamma*delta to her inviter, and so on up."""

    tag: ClassVar[int] = 3
    gamma: tuple[int, int]
    """Numerator and denominator."""
    delta: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleGeometric:
    """a^(n-k) * b^(n-1) with b = 1/(1+a): one clone gains exactly nothing."""

    tag: ClassVar[int] = 4
    a: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlmostUniform:
    """beta to each above, the rest to the actor, nothing beyond H levels."""

    tag: ClassVar[int] = 5
    beta: tuple[int, int]
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pachira:
    """One pool shared by contribution of subtrees."""

    tag: ClassVar[int] = 6
    beta: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FairSplit:
    """Each pool shared equally by the actor and all above."""

    tag: ClassVar[int] = 7


Rule = (
    Flat | Halving | Geometric | DoubleGeometric | AlmostUniform | Pachira | FairSplit
)

_RATIO = row(uint(1_000_000), uint(1_000_000, 1))

RULE: Shape[Rule] = choice(
    "rule",
    {
        1: struct(Flat, first=uint()),
        2: struct(Halving),
        3: struct(Geometric, gamma=_RATIO, delta=_RATIO),
        4: struct(DoubleGeometric, a=_RATIO),
        5: struct(AlmostUniform, beta=_RATIO, levels=uint(CHAIN_MAX, 1)),
        6: struct(Pachira, beta=_RATIO),
        7: struct(FairSplit),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What one accepted act of a stage is worth, and how it is shared."""

    rule: Rule
    amount: int
    """The pool; 0 with `percent_bp`: from the outcome's amount."""
    percent_bp: int
    """Basis points of the outcome's amount; 0 with a fixed `amount`."""
    host_bp: int
    """Of the pool, to the host of the tag."""
    back_bp: int
    """Of the pool, back to the actor before the rule shares the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One behaviour that can be rewarded."""

    id: str
    line: int
    act: int
    tags: str | None
    """The group whose tags count; None: no tag is needed."""
    grade: int
    """The least evidence grade."""
    once: int
    after: tuple[After, ...]
    opens: int
    """0: as the campaign."""
    closes: int
    """0: as the campaign."""
    late_ms: int
    """How long before its witness time an act may claim to have happened."""
    fresh_ms: int
    """How long after its window a rotating code is fresh."""
    per_window: int
    """Accepted scans of one window of one tag; 0: no limit."""
    refund_ms: int
    """Outcomes are judged once this long has passed; 0: not refundable."""
    bind_ms: int
    """How long after a scan an attest or outcome may name it."""
    reward: Reward | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Nothing is earned until the stage's accepted acts reach `least`."""

    stage: int
    count: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what one person can be paid for."""

    paid_levels: int
    """The actor and so many minus one above are paid; 0: all."""
    per_person_per_day: int
    """Accepted acts a day; 0: no limit."""
    place_interval_ms: int
    """Least act time between two places of one person; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What witnesses cover at most, so that nobody can flood a campaign."""

    feeds: int
    records_per_feed: int
    bytes_per_feed: int
    named_records_per_feed: int
    """For keys that the terms name."""
    named_bytes_per_feed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything that decides who is paid what."""

    title: str
    network: NetworkId
    nonce: bytes
    """16 random bytes: the same file twice is two campaigns."""
    unit: str
    budget: int
    sponsor: tuple[AuthorKey, ...]
    witnesses: tuple[Witness, ...]
    rounds: tuple[Round, ...]
    seen_interval_ms: int
    redeem_until: int
    residue: Residue
    named: tuple[Party, ...]
    groups: tuple[Group, ...]
    stages: tuple[Stage, ...]
    conditions: tuple[Condition, ...]
    limits: Limits
    caps: Caps
    join_bits: int
    depth: int
    """Longest referral chain that is admitted."""
    day_offset_min: int
    """Minutes added to UTC before a day begins; 480 for Beijing."""
    _id: Scope | None = field(default=None, init=False, repr=False, compare=False)
    """Remembered by `campaign_id`."""
    _parties: dict[AuthorKey, Party] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Remembered by `party`."""

    @property
    def faults(self) -> int:
        """f: how many witnesses may lie or die."""
        return FAULTS[len(self.witnesses)]

    @property
    def quorum(self) -> int:
        """2f+1: finals a close names."""
        return 2 * self.faults + 1

    def party(self, key: AuthorKey) -> Party | None:
        """The merchant, host or device that `key` belongs to."""
        if self.named and not self._parties:
            for party in self.named:
                for one in party.keys:
                    self._parties.setdefault(one, party)
        return self._parties.get(key)

    def desk(self, key: AuthorKey) -> AuthorKey:
        """One key for all keys of a merchant, or of the sponsor."""
        if key in self.sponsor:
            return self.sponsor[0]
        party = self.party(key)
        return key if party is None else party.keys[0]

    def day(self, time_ms: int) -> int:
        """The day of a time, counted from 1970, as `day_offset_min` begins days."""
        return (time_ms + self.day_offset_min * 60_000) // DAY_MS

    def names(self, key: AuthorKey) -> bool:
        """Whether `key` may begin its feed with `enter`."""
        return (
            key in self.sponsor
            or any(key == witness.key for witness in self.witnesses)
            or self.party(key) is not None
            or key == self.residue.key
        )


_KEY = blob(32)
_TIME = uint()
_DURATION_MS = uint(400 * DAY_MS)
_AMOUNT = uint(INT_MAX)
_BP = uint(10_000)

TERMS: Shape[Terms] = struct(
    Terms,
    title=text(NAME_MAX),
    network=blob(16),
    nonce=blob(16),
    unit=text(16),
    budget=_AMOUNT,
    sponsor=ascending(listof(_KEY, KEYS_MAX, 1)),
    witnesses=listof(struct(Witness, key=_KEY, owner=text(NAME_MAX)), WITNESSES_MAX, 1),
    rounds=listof(
        struct(Round, opens=_TIME, closes=_TIME, accept_until=_TIME, final_from=_TIME),
        ROUNDS_MAX,
        1,
    ),
    seen_interval_ms=uint(3_600_000, 100),
    redeem_until=_TIME,
    residue=struct(Residue, key=_KEY, name=text(NAME_MAX)),
    named=listof(
        struct(
            Party,
            keys=ascending(listof(_KEY, KEYS_MAX, 1)),
            role=uint(7, 1),
            name=text(NAME_MAX),
            amount_max=_AMOUNT,
            per_day_max=_AMOUNT,
            total_max=_AMOUNT,
        ),
        NAMED_MAX,
    ),
    groups=listof(
        struct(Group, name=text(NAME_MAX), count=uint(2**20, 1), root=blob(32)),
        GROUPS_MAX,
    ),
    stages=listof(
        struct(
            Stage,
            id=text(64),
            line=uint(1),
            act=uint(7, 2),
            tags=option(text(NAME_MAX)),
            grade=uint(7),
            once=uint(4),
            after=listof(
                struct(After, stage=uint(STAGES_MAX - 1), by_invitee=flag()), AFTER_MAX
            ),
            opens=_TIME,
            closes=_TIME,
            late_ms=_DURATION_MS,
            fresh_ms=_DURATION_MS,
            per_window=uint(1_000_000),
            refund_ms=_DURATION_MS,
            bind_ms=_DURATION_MS,
            reward=option(
                struct(
                    Reward,
                    rule=RULE,
                    amount=_AMOUNT,
                    percent_bp=_BP,
                    host_bp=_BP,
                    back_bp=_BP,
                )
            ),
        ),
        STAGES_MAX,
        1,
    ),
    conditions=listof(
        struct(
            Condition, stage=uint(STAGES_MAX - 1), count=uint(3, 1), least=uint(2**20)
        ),
        CONDITIONS_MAX,
    ),
    limits=struct(
        Limits,
        paid_levels=uint(CHAIN_MAX),
        per_person_per_day=uint(1_000_000),
        place_interval_ms=_DURATION_MS,
    ),
    caps=struct(
        Caps,
        feeds=uint(1_000_000, 1),
        records_per_feed=uint(1_000_000, 1),
        bytes_per_feed=uint(),
        named_records_per_feed=uint(1_000_000, 1),
        named_bytes_per_feed=uint(),
    ),
    join_bits=uint(JOIN_BITS_MAX),
    depth=uint(CHAIN_MAX, 1),
    day_offset_min=uint(1_440),
)


def campaign_id(terms: Terms) -> Scope:
    """The id of the campaign: the hash of its terms, without any salt."""
    if terms._id is None:  # noqa: SLF001 - its own memory
        value = TERMS.write(terms)
        assert isinstance(value, list)
        scope = Scope(tagged_hash("campaign", value))
        object.__setattr__(terms, "_id", scope)
        return scope
    return terms._id  # noqa: SLF001


def check_terms(terms: Terms) -> None:
    """Check what shapes cannot say: relations between fields.

    Raises:
        ProtocolError: BAD_TERMS with the path of the first field that is wrong.
    """
    for where, wrong in _wrongs(terms):
        if wrong:
            raise ProtocolError(Reason.BAD_TERMS, where)


def _wrongs(terms: Terms) -> list[tuple[str, bool]]:
    """Every relation, in the order of the spec, and whether it is broken."""
    keys = [witness.key for witness in terms.witnesses]
    parties = [key for party in terms.named for key in party.keys]
    stages = [stage.id for stage in terms.stages]
    groups = [group.name for group in terms.groups]
    found = [
        ("witnesses: 1, 4 or 7 of them", len(keys) not in FAULTS),
        ("witnesses: in byte order", keys != sorted(set(keys))),
        ("named: by first key in byte order", terms.named != _by_key(terms.named)),
        ("named: one party a key", len(set(parties)) != len(parties)),
        ("stages: one id each", len(set(stages)) != len(stages)),
        ("tag groups: one name each", len(set(groups)) != len(groups)),
    ]
    found += _round_wrongs(terms)
    for index, stage in enumerate(terms.stages):
        found += _stage_wrongs(index, stage)
    by_name = {group.name: group for group in terms.groups}
    for condition in terms.conditions:
        where = f"conditions: stage {condition.stage}"
        if condition.stage >= len(terms.stages):
            found.append((f"{where} is none", True))
            continue
        group = by_name.get(terms.stages[condition.stage].tags or "")
        if condition.count == Count.DISTINCT_TAGS:
            found.append((f"{where}: its tag group stands in the terms", group is None))
            too_many = group is not None and condition.least > group.count
            found.append((f"{where}: more tags than its group has", too_many))
    return found


def _by_key(parties: tuple[Party, ...]) -> tuple[Party, ...]:
    return tuple(sorted(parties, key=lambda party: party.keys[0]))


def _round_wrongs(terms: Terms) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    before = 0
    for number, r in enumerate(terms.rounds, 1):
        where = f"rounds: {number}"
        found += [
            (f"{where}: opens < closes", not before <= r.opens < r.closes),
            (
                f"{where}: closes <= accept_until < final_from, by the year 9999",
                not r.closes <= r.accept_until < r.final_from <= TIME_MAX,
            ),
        ]
        before = r.opens
    closes = [r.closes for r in terms.rounds]
    found.append(("rounds: closes ascend", closes != sorted(set(closes))))
    last = terms.rounds[-1].accept_until
    for stage in terms.stages:
        need = terms.rounds[0].opens + stage.late_ms + stage.refund_ms
        found.append((f"stage {stage.id}: refunds end before the rounds", last < need))
    redeem = terms.redeem_until <= terms.rounds[-1].final_from
    found.append(("redeem_until: after the last final", redeem))
    return found


def _stage_wrongs(index: int, stage: Stage) -> list[tuple[str, bool]]:
    where = f"stage {stage.id}"
    reward = stage.reward
    found = [
        (f"{where}: act", stage.act not in set(Act)),
        (f"{where}: a scan names its tags", stage.act == Act.SCAN and not stage.tags),
        (
            f"{where}: after an earlier stage",
            any(a.stage >= index for a in stage.after),
        ),
        (
            f"{where}: only outcomes can be refunded",
            stage.refund_ms > 0 and stage.act != Act.OUTCOME,
        ),
    ]
    if reward is not None:
        fixed, share = reward.amount > 0, reward.percent_bp > 0
        found += [
            (f"{where}: amount or percent_bp", fixed == share),
            (
                f"{where}: percent_bp asks for outcomes",
                share and stage.act != Act.OUTCOME,
            ),
            (
                f"{where}: host_bp + back_bp <= 10000",
                reward.host_bp + reward.back_bp > 10_000,
            ),
        ]
    return found
