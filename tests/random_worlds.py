"""Random campaigns from a seed: every act, evidence, limit, refund, fork and lie.

They are small, so that thousands can be played, and full of things that are
refused: what two settlements could disagree about is the subject. In a world of
an odd seed less is wrong from the start, so that more gets as far as the tests
of windows, distances and budgets.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeVar

from protocols.claims import Dispute, Kind
from protocols.join import Card, sign_card
from protocols.keys import RecordId, Seed
from protocols.record import Record
from protocols.settlement.cut import CutEntry, Declared, ForkEntry, StatementLine
from protocols.settlement.settle import settle
from protocols.settlement.verify import Evidence, declare
from protocols.tags.entry import (
    Bare,
    Gs1,
    Gs1Text,
    Machine,
    Printed,
    PrintedText,
    Public,
    Rotating,
    RotatingCode,
    Serials,
    TagEntry,
    TagEvidence,
    TapProof,
    Taps,
    serial_root,
    sign_entry,
    sign_serial,
    tag_id,
)
from protocols.terms import (
    Act,
    After,
    Condition,
    Count,
    Flat,
    Halving,
    Limits,
    Once,
    Party,
    Reward,
    Role,
    Stage,
)
from tests.worlds import (
    MINUTE,
    NETWORK,
    OPENS,
    SCAN_STAGE,
    World,
    key_of,
    salt_of,
)

SHOPS = ("shop a", "shop b", "kiosk")
WINDOW_MS = 10 * MINUTE
KEYS = tuple(key_of(f"once {number}") for number in range(4))
ROUNDS = 3

T = TypeVar("T")


@dataclass
class RandomWorld:
    """One campaign, played round by round."""

    seed: int
    people: list[str] = field(default_factory=list)
    rounds: list[Declared] = field(default_factory=list)
    """What the closes so far declare, with rows and lines."""

    def __post_init__(self) -> None:
        """Make the terms, the tags and the first people."""
        self.dice = random.Random(self.seed)
        dice, either = self.dice, self._either
        stages = tuple(self._stage(index) for index in range(dice.randint(1, 5)))
        conditions = tuple(
            self._condition(stages) for _ in range(dice.choice((0, 0, 1, 2)))
        )
        changes = {
            "conditions": conditions,
            "named": self._parties(),
            "limits": Limits(
                paid_levels=dice.choice((0, 0, 1, 2, 3)),
                per_person_per_day=dice.choice((0, 0, 1, 3)),
                place_interval_ms=either((0, 0, 20_000, 600_000), (0, 20_000, 600_000)),
            ),
            "depth": either((1, 2, 64, 64, 64), (2, 64, 64, 64, 64)),
            "day_offset_min": dice.randrange(1_440),
        }
        self.world = World(
            balloons=3,
            witnesses=dice.choice((1, 1, 1, 4)),
            rounds=ROUNDS,
            stages=stages,
            budget=either(
                (0, 999, 5_000, 10**6, 10**9, 2**53 - 1), (10**6, 10**9, 2**53 - 1)
            ),
            changes=changes,
        )
        self.entries = self._entries()
        self._list_tags(self.entries)
        for shop in SHOPS:
            if self._likely(0.8):
                self.world.enter(key_of(shop))
        for _ in range(3):
            self._join()

    def _either(self, wild: Sequence[T], mild: Sequence[T]) -> T:
        return self.dice.choice(mild if self.seed % 2 else wild)

    def _likely(self, odds: float) -> bool:
        """Whether all is well, as it is with these odds; in mild worlds oftener."""
        return self.dice.random() < (1 - (1 - odds) / 8 if self.seed % 2 else odds)

    def _stage(self, index: int) -> Stage:
        dice, either = self.dice, self._either
        act = dice.choice((Act.SCAN, Act.SCAN, Act.OUTCOME, Act.ATTEST, Act.JOIN))
        after = [
            After(stage=dice.randrange(index), by_invitee=dice.random() < 0.3)
            for _ in range(dice.choice((0, 0, 1)) if index else 0)
        ]
        return replace(
            SCAN_STAGE,
            id=f"stage {index}",
            act=act,
            tags=dice.choice(("shops", "balloons")) if act == Act.SCAN else None,
            grade=either((0, 0, 0, 1, 1, 2, 3, 5, 7), (0, 0, 0, 0, 1)),
            once=dice.choice(list(Once)),
            after=tuple(after),
            opens=either((0, 0, 0, OPENS + MINUTE), (0,)),
            closes=either((0, 0, OPENS + 70 * MINUTE), (0,)),
            late_ms=dice.choice((0, 0, 5_000, 110 * MINUTE)),
            fresh_ms=either((0, 60_000, WINDOW_MS), (WINDOW_MS,)),
            per_window=either((0, 0, 1, 2), (0, 1, 2)),
            refund_ms=dice.choice((0, 30 * MINUTE, 70 * MINUTE))
            if act == Act.OUTCOME
            else 0,
            bind_ms=dice.choice((0, 0, 15_000)),
            reward=self._reward(act),
        )

    def _condition(self, stages: tuple[Stage, ...]) -> Condition:
        stage = self.dice.randrange(len(stages))
        counts = [Count.ACTS, Count.PERSONS]
        if stages[stage].tags == "balloons":
            counts.append(Count.DISTINCT_TAGS)
        count = self.dice.choice(counts)
        return Condition(stage=stage, count=count, least=self.dice.randint(1, 3))

    def _reward(self, act: Act) -> Reward | None:
        dice = self.dice
        if dice.random() < 0.15:
            return None
        by_amount = act == Act.OUTCOME and dice.random() < 0.6
        return Reward(
            rule=dice.choice(
                (Halving(), Halving(), Flat(first=dice.choice((0, 0, 2))))
            ),
            amount=0 if by_amount else dice.choice((1, 7, 1_000, 4_001)),
            percent_bp=dice.choice((1, 333, 10_000)) if by_amount else 0,
            host_bp=dice.choice((0, 1_000, 3_333)),
            back_bp=dice.choice((0, 0, 1_500)),
        )

    def _parties(self) -> tuple[Party, ...]:
        dice = self.dice
        parties = [
            Party(
                keys=tuple(sorted(key_of(name).author for name in (shop, f"{shop} 2"))),
                role=self._either(
                    (Role.MERCHANT, Role.MERCHANT | Role.HOST, Role.HOST, 7, 7), (7,)
                ),
                name=shop,
                amount_max=dice.choice((500, 10**6, 2**53 - 1)),
                per_day_max=dice.choice((900, 2**53 - 1)),
                total_max=dice.choice((1_500, 2**53 - 1)),
            )
            for shop in SHOPS
        ]
        return tuple(sorted(parties, key=lambda party: party.keys[0]))

    def _entries(self) -> list[TagEntry]:
        """Shop tags of every carrier."""
        dice = self.dice
        listed = serial_root([key.author for key in KEYS])
        publics: tuple[Public, ...] = (
            Printed(),
            Printed(),
            Serials(count=len(KEYS), root=listed),
            Taps(first=5, count=len(KEYS), root=listed),
            Rotating(device=key_of("screen").author, window_ms=WINDOW_MS),
            Machine(device=key_of("p1").author),
            Gs1(key="0104012345123456"),
        )
        return [
            TagEntry(
                issuer=key_of(dice.choice((*SHOPS, "sponsor"))).author,
                batch=salt_of("shop tags"),
                index=index,
                public=public,
                host=dice.choice(
                    (
                        None,
                        *(key_of(shop).author for shop in SHOPS),
                        key_of("p0").author,
                    )
                ),
                label=f"tag {index}",
                place=dice.choice(("", "hall", "yard")),
                valid_from=self._either((0, 0, OPENS + 10_000), (0, 0, OPENS + 90_000)),
                valid_until=dice.choice((0, 0, OPENS + 61 * MINUTE)),
            )
            for index, public in enumerate(publics)
        ]

    def _list_tags(self, entries: list[TagEntry]) -> None:
        keys = [
            [key.author for key in KEYS]
            if isinstance(entry.public, Serials | Taps)
            else None
            for entry in entries
        ]
        self.world.tags(self.dice.choice(("shops", "shops", "balloons")), entries, keys)

    # what people do

    def play(self) -> Iterator[tuple[list[Declared], Evidence]]:
        """Play on; after each round what is declared, and the records."""
        for number in range(1, ROUNDS + 1):
            if number > 1 and number < ROUNDS and self.dice.random() < 0.2:
                continue
            for _ in range(self.dice.randint(2, 30 if self.seed % 2 else 18)):
                self._step()
            self.world.finish_round(number)
            evidence = self.world.evidence()
            declared = self._declare(number, evidence)
            self.rounds.append(declared)
            yield [*self.rounds], evidence
            self._sign()

    def _declare(self, number: int, evidence: Evidence) -> Declared:
        """What an honest sponsor declares, or something the rules also allow."""
        declared = declare(self.world.terms, number, self.rounds, evidence).declared
        if self.dice.random() < 0.3:
            cut = tuple(self._misdate(entry, number) for entry in declared.cut)
            declared = replace(declared, cut=cut)
        if self.dice.random() < 0.2 and declared.cut:
            entry = self.dice.choice(declared.cut)
            fork = ForkEntry(
                author=entry.author,
                seq=self.dice.randint(0, entry.seq),
                id_a=RecordId(bytes(32)),
                id_b=RecordId(bytes(31) + b"\1"),
            )
            declared = replace(declared, forks=(fork,))
        return declared

    def _misdate(self, entry: CutEntry, number: int) -> CutEntry:
        until = self.world.terms.rounds[number - 1].accept_until
        seq, time = entry.steps[0]
        if len(entry.steps) > 1 or entry.seq == seq or time >= until:
            return entry
        later = self.dice.randint(time + 1, until)
        return replace(entry, steps=((seq, time), (entry.seq, later)))

    def _sign(self) -> None:
        """Complete the declared round by the rows and lines of its close."""
        evidence = self.world.evidence()
        before, last = self.rounds[:-1], self.rounds[-1]
        settled = settle(self.world.terms, [*before, last], evidence.lookup)
        lines = settled.lines
        if lines and self.dice.random() < 0.2:
            one = lines[0]
            lines = (StatementLine(one.payee, one.amount + 3), *lines[1:])
        self.rounds[-1] = replace(last, rows=settled.rows, lines=lines)
        self._drop_erased()

    def _drop_erased(self) -> None:
        for record in list(self.world.records):
            if record.kind == Kind.ERASE and self.dice.random() < 0.7:
                target = record.claim().record
                rows = {row.id for declared in self.rounds for row in declared.rows}
                for other in self.world.records:
                    if other.id == target and other.id in rows:
                        self.world.drop_claim(other)
                        break

    def _step(self) -> None:
        step = self.dice.choice(
            (
                self._join,
                self._scan,
                self._scan,
                self._scan,
                self._attest,
                self._attest,
                self._outcome,
                self._outcome,
                self._reverse,
                self._go_on,
                self._erase,
                self._fork,
                self._revoke,
                self._see,
                self._see,
            )
        )
        step()

    def _join(self) -> None:
        world, dice = self.world, self.dice
        name = f"p{len(self.people)}"
        above: str | Any = dice.choice((*self.people[-3:], world.sponsor))
        if not self._likely(0.9):
            above = dice.choice(("nobody", "p9", "shop a"))
        made = world.invite(above, uses=dice.choice((1, 3)), tag=dice.choice("abcd"))
        self.people.append(name)
        if not self._likely(0.95):
            odd = Dispute(
                salt=salt_of(name), close=world.records[0].id, statement_root=bytes(32)
            )
            world.write(key_of(name), Kind.DISPUTE, odd)
            return
        world.join_by(name, made)

    def _go_on(self) -> None:
        name = self.dice.choice(self.people)
        device = self.dice.choice((f"{name} also", f"{name} later", "p1", "shop b"))
        if (self.world.scope, key_of(device).author) in self.world.heads:
            return
        joins = [r for r in self.world.records if r.kind == Kind.JOIN]
        mine = [r for r in joins if r.author == key_of(name).author]
        if mine:
            self.world.go_on(device, name, mine[0])
            self.people.append(device)

    def _writer(self) -> str | None:
        writers = [
            name
            for name in self.people
            if (self.world.scope, key_of(name).author) in self.world.heads
        ]
        return self.dice.choice(writers) if writers else None

    def _scan(self) -> None:
        dice, name = self.dice, self._writer()
        if name is None:
            return
        stage = self._stage_for(Act.SCAN)
        tags = self.world.stages[stage].tags if stage < len(self.world.stages) else ""
        if tags == "balloons" or dice.random() < 0.1:
            self.world.scan(name, dice.randrange(3), stage)
            return
        rotating = [e for e in self.entries if isinstance(e.public, Rotating)]
        entry = self._either(self.entries, [*self.entries, *rotating * 7])
        self.world.read(name, entry, self._evidence(name, entry), stage)

    def _stage_for(self, act: Act) -> int:
        """A stage of such acts if there is one; now and then any, or none."""
        stages = self.world.stages
        fitting = [index for index, stage in enumerate(stages) if stage.act == act]
        if fitting and self._likely(0.95):
            return self.dice.choice(fitting)
        return self.dice.randrange(len(stages) + 1)

    def _evidence(self, name: str, entry: TagEntry) -> TagEvidence:
        dice, public = self.dice, entry.public
        if not self._likely(0.9):
            return Bare()
        match public:
            case Printed():
                signer = "sponsor" if dice.random() < 0.1 else None
                issuer = next(
                    key_of(one)
                    for one in (signer, *SHOPS, "sponsor")
                    if one and (one == signer or key_of(one).author == entry.issuer)
                )
                return PrintedText(signature=sign_entry(issuer, entry))
            case Serials() | Taps():
                at = dice.randrange(len(KEYS))
                seed = Seed(sha256(f"once {at}".encode()).digest())
                proof = sign_serial(
                    seed,
                    at,
                    NETWORK,
                    self.world.scope,
                    key_of(dice.choice((name, name, name, "p0"))).author,
                    tag_id(entry),
                )
                if isinstance(public, Serials):
                    return proof
                counter = dice.choice((5, 5, 5, 4)) + at
                return TapProof(
                    counter=counter, key=proof.key, signature=proof.signature
                )
            case Rotating():
                back = dice.choice((0, 0, 0, WINDOW_MS, 1))
                start = self.world.now // WINDOW_MS * WINDOW_MS - back
                signature = key_of("screen").sign_value("code", [tag_id(entry), start])
                return RotatingCode(window_start=start, signature=signature)
            case Gs1(key=key):
                return Gs1Text(key=dice.choice((key, key, "01")))
            case _:
                return Bare()

    def _signer(self) -> str | None:
        names: tuple[str, ...] = (*SHOPS, "shop a 2")
        if not self.seed % 2:
            names += ("sponsor", *self.people)
        here = [
            name
            for name in names
            if (self.world.scope, key_of(name).author) in self.world.heads
        ]
        return self.dice.choice((*[one for one in here if one in SHOPS] * 4, *here))

    def _named(self, *kinds: Kind) -> list[Record]:
        found = [r for r in self.world.records if r.kind in kinds]
        self.dice.shuffle(found)
        return found

    def _word(self, act: Act) -> dict[str, Any]:
        """The parts that attests and outcomes share."""
        dice = self.dice
        name = dice.choice(self.people)
        card = None
        if dice.random() < 0.6:
            holder = dice.choice((name, name, name, "p0"))
            card = self._card(holder)
        return {"name": name, "card": card, "stage": self._stage_for(act)}

    def _card(self, holder: str) -> Card:
        """For anybody, for one shop, or one that nobody signed."""
        dice, world = self.dice, self.world
        shop = key_of(dice.choice((*SHOPS, f"{SHOPS[0]} 2", "sponsor"))).author
        nonce = salt_of(dice.randrange(12))[:8]
        card = sign_card(
            key_of(holder),
            NETWORK,
            world.scope,
            world.now,
            nonce,
            shop if dice.random() < 0.3 else None,
        )
        if self._likely(0.8):
            return card
        return replace(card, window_ms=card.window_ms + 1)

    def _attest(self) -> None:
        signer, acts = self._signer(), self._named(Kind.SCAN, Kind.JOIN)
        if signer is None or not acts:
            return
        word = self._word(Act.ATTEST)
        if self._likely(0.7):
            owners = {key_of(one).author: one for one in self.people}
            word["name"] = owners.get(acts[0].author, word["name"])
        if self.dice.random() < 0.4:
            word["stage"] = None
        self.world.attest(signer, act=acts[0], **word)

    def _outcome(self) -> None:
        signer = self._signer()
        if signer is None:
            return
        scans, word = self._named(Kind.SCAN), self._word(Act.OUTCOME)
        after = tuple(record.id for record in scans[: self.dice.randint(0, 3)])
        amount = self.dice.choice((0, 1, 499, 777, 12_345, 2**53 - 1))
        self.world.outcome(signer, word.pop("name"), amount, after=after, **word)

    def _reverse(self) -> None:
        outcomes = self._named(Kind.OUTCOME, Kind.OUTCOME, Kind.SCAN)
        if not outcomes:
            return
        outcome = outcomes[0]
        signer = self._signer()
        names = [one for one in SHOPS if key_of(one).author == outcome.author]
        if names and self.dice.random() < 0.8:
            signer = names[0]
        if signer is not None:
            amount = self.dice.choice((1, 100, 400, 12_345, 2**53 - 1))
            self.world.reverse(signer, outcome, amount)

    def _erase(self) -> None:
        scans = self._named(Kind.SCAN)
        if not scans:
            return
        owners = {key_of(one).author: one for one in self.people}
        name = owners.get(scans[0].author)
        if self.dice.random() < 0.1:
            name = self._writer()
        if name is not None:
            self.world.erase(name, scans[0])

    def _fork(self) -> None:
        name = self._writer() if self.dice.random() < 0.5 else self._signer()
        if name is None or name == "sponsor" or self._likely(0.5):
            return
        head = self.world.heads[self.world.scope, key_of(name).author]
        if not head.seq:
            return
        (last,) = [r for r in self.world.records if r.id == head.id]
        if last.claim_bytes is None:
            return
        claim = replace(last.claim(), salt=salt_of("fork", self.world.now))
        other = self.world.fork(name, Kind(last.kind), claim)
        self.world.report_fork(last, other)

    def _revoke(self) -> None:
        if self._likely(0):
            return
        chosen = self.dice.choice([*self.entries, *self.world.entries])
        extra = [self.dice.choice(self.entries)] if self.dice.random() < 0.3 else []
        group = self.dice.choice(("shops", "balloons"))
        offset = self.dice.choice((0, 3, 50))
        self.world.tags(group, extra, offset=offset, revoked=(tag_id(chosen),))

    def _see(self) -> None:
        count = self.world.witnesses
        only = [n for n in range(count) if self.dice.random() < 0.8]
        self.world.see(only=only or [0])


class HonestWorld(RandomWorld):
    """A random campaign whose sponsor signs what the evidence says."""

    last: Record | None = None

    def closes(self) -> Iterator[Evidence]:
        """Play on; after each round the evidence with its close in it."""
        for (*_, last), _ in self.play():
            self.last = self.world.close(last.round, self.last, _just(last))
            yield self.world.evidence()

    def _declare(self, number: int, evidence: Evidence) -> Declared:
        return self.world.settle(number, self.last).declared


def _just(declared: Declared) -> Callable[[Declared], Declared]:
    return lambda _: declared
