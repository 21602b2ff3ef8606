"""From records to the statement: seconds for 1,000 acts, and how that grows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from protocols.claims import Kind, Scan, Seen, Tags
from protocols.keys import witness_scope
from protocols.limits import HEADS_MAX
from protocols.record import Record
from protocols.settlement.settle import settle
from protocols.settlement.verify import Evidence, declare
from protocols.tags.entry import Printed, PrintedText, TagEntry, sign_entry, tag_id
from protocols.terms import Once
from tests.bench.figures import Row, scaled
from tests.worlds import SCAN_STAGE, World, key_of, salt_of

SIZES = (100, 1_000, 10_000)
ACTS_EACH = 5
"""Scans a participant makes: the target counts 1,000,000 by 200,000."""

INVITED_EACH = 3
"""Participants each one invites: chains of about log3(participants)."""

SECONDS_MOST = 0.015
"""A thousand acts: 15 s for 1,000,000."""

STAGE = replace(SCAN_STAGE, grade=1, once=Once.NEVER)


class Town(World):
    """A campaign of one printed code that everybody scans again and again."""

    def __post_init__(self) -> None:
        """Make the tag and the terms, and publish both."""
        super().__post_init__()
        self.records.pop()
        self.heads[self.scope, self.sponsor.author] = replace(
            self.heads[self.scope, self.sponsor.author], seq=0, id=self.records[0].id
        )
        self.code = PrintedText(signature=sign_entry(self.sponsor, self.entries[0]))
        rows = tuple((entry, None) for entry in self.entries)
        claim = Tags(salt=salt_of(1), group="balloons", offset=0, tags=rows, revoked=())
        self.write(self.sponsor, Kind.TAGS, claim)

    def _make_tags(self) -> tuple[list[TagEntry], list[bytes]]:
        entries, secrets = super()._make_tags()
        return [replace(entry, public=Printed()) for entry in entries], secrets

    def write(self, *place: Any, **how: Any) -> Record:
        """As any world, but time moves by a tenth of a second: all in a round."""
        record = super().write(*place, **how)
        self.now -= 900
        return record

    def look(self, name: str, number: int) -> Record:
        """Let `name` scan the code once more."""
        claim = Scan(
            salt=salt_of(name, number),
            stage=0,
            tag=tag_id(self.entries[0]),
            evidence=self.code,
        )
        return self.write(key_of(name), Kind.SCAN, claim)

    def list_all(self, final: int | None = None) -> None:
        """Let every witness list all heads, as many a record as fit."""
        moved = sorted(
            (author, head.seq, head.id)
            for (scope, author), head in self.heads.items()
            if scope == self.scope and final is None
        )
        for key in self.witness_keys:
            for at in range(0, max(len(moved), 1), HEADS_MAX):
                heads = tuple(moved[at : at + HEADS_MAX])
                claim = Seen(salt=salt_of(at, final), final=final, heads=heads)
                self.write(key, Kind.SEEN, claim, scope=witness_scope(self.scope))


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of one world."""

    acts: int
    declare: float
    settle: float


def measure(share: float) -> list[Row]:
    """Seconds for 1,000 acts at three sizes."""
    spent = [play(scaled(acts, min(1.0, share * 2), 20)) for acts in SIZES]
    rows = [row for one in spent for row in _rows(one)]
    first, last = (1000 * one.settle / one.acts for one in (spent[0], spent[-1]))
    growth = Row(
        subject="settle",
        figure=f"a thousand acts at {spent[-1].acts:,} against at {spent[0].acts:,}",
        value=last / first,
        unit="times",
        most=1.5,
        beside="1: it grows with the acts, not faster",
    )
    return [*rows, growth]


def play(acts: int) -> Spent:
    """A world of so many acts, closed by four witnesses."""
    people = max(acts // ACTS_EACH, 1)
    world = Town(balloons=1, stages=(STAGE,), budget=400_000 * acts)
    for number in range(people):
        above = (number - 1) // INVITED_EACH
        world.join(f"p{number}", f"p{above}" if number else None)
    for number in range(acts):
        world.look(f"p{number % people}", number)
    world.list_all()
    world.now = world.terms.rounds[0].final_from
    world.list_all(final=1)
    evidence = Evidence(world.records)
    built = time.process_time()
    closing = declare(world.terms, 1, [], evidence)
    declared = time.process_time()
    settlement = settle(world.terms, [closing.declared], evidence.lookup)
    done = time.process_time()
    assert len(settlement.grants) == acts, f"{len(settlement.grants)} of {acts} granted"
    return Spent(acts, declared - built, done - declared)


def _rows(spent: Spent) -> list[Row]:
    thousands = spent.acts / 1000
    return [
        Row(
            subject="settle",
            figure=f"{spent.acts:,} acts: settle, CPU a thousand acts",
            value=spent.settle / thousands,
            unit="s",
            most=SECONDS_MOST,
            beside=f"with the cut from four witnesses' feeds: "
            f"{spent.declare / thousands:.3g} s",
        )
    ]
