"""Settlement as spec 0008 says it, slowly: what the real one is compared with.

Written from the spec alone, one obvious step after another. Nothing is kept
from round to round but what the spec says is kept, nothing is remembered, every
question is answered by looking through all records again. It shares the
formats, the hashes and the checks of signatures with `protocols`, and nothing of
`protocols.settlement`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import Any

from protocols.claims import Kind
from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.join import check_card, check_continue, check_join, invite_id
from protocols.keys import preimage
from protocols.limits import PART_MAX
from protocols.merkle import Tree
from protocols.record import Record
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
    TapProof,
    Taps,
    check_entry,
    check_once_key,
    check_rotating,
    group_root,
    serial_root,
    tag_id,
)
from protocols.terms import (
    Act,
    Count,
    Flat,
    Halving,
    Once,
    Party,
    Role,
    Stage,
    Terms,
    campaign_id,
)

DAY_MS = 86_400_000
WORDS = (Kind.ATTEST, Kind.OUTCOME)


@dataclass
class Fact:
    """A record that counts."""

    record: Record
    order: tuple[int, int, bytes, bytes, int, bytes]
    time_max: int

    @property
    def id(self) -> bytes:
        return self.record.id

    @property
    def author(self) -> bytes:
        return self.record.author

    @property
    def claim(self) -> Any:
        return self.record.claim()

    def act_time(self, late_ms: int) -> int:
        time = self.order[1]
        return max(time - late_ms, min(self.time_max, time))


@dataclass
class Member:
    """A person."""

    root: bytes
    join: Any
    keys: list[bytes] = field(default_factory=list)
    inviter: Member | None = None
    level: int = 0
    refused: Reason | None = Reason.NOT_ADMITTED


@dataclass
class Granted:
    """A granted act."""

    fact: Fact
    stage: int
    person: bytes
    inviter: bytes | None
    round: int
    pool: int
    shares: list[tuple[str, bytes, int, bool]]
    """(why, root or host, amount, withheld)."""
    tag: Any
    amount: int
    act_time: int
    uses: list[tuple[Any, ...]]


@dataclass
class Result:
    """What is compared."""

    rows: list[tuple[Any, ...]]
    lines: list[tuple[bytes, int]]
    earned: int
    residue: int
    unspent: int
    last: bool
    conditions: list[bool]
    grants: list[Granted]
    refused: dict[bytes, Reason]
    reasons: dict[bytes, Reason | None]
    """Of every person by her root."""


class Reference:
    """One campaign, folded round after round."""

    def __init__(self, terms: Terms, lookup: Any) -> None:
        self.terms = terms
        self.scope = campaign_id(terms)
        self.lookup = lookup
        self.facts: list[Fact] = []
        self.rows: dict[bytes, tuple[Any, ...]] = {}
        self.grants: list[Granted] = []
        self.met = [False] * len(terms.conditions)
        self.forks: list[tuple[int, bytes, int]] = []
        self.signed: list[tuple[bytes, int]] = []
        self.bound: dict[bytes, bytes | None] = {}
        self.spent: list[Any] = []

    def settle(self, declared: Any) -> Result:
        """Fold one more round."""
        self.number = declared.round
        self.round = self.terms.rounds[declared.round - 1]
        fresh = self.count(declared)
        self.facts.sort(key=lambda fact: fact.order)
        self.forks += [(declared.round, f.author, f.seq) for f in declared.forks]
        self.admit()
        self.read_tags()
        mine = [
            self.new_row(fact, declared)
            for fact in fresh
            if fact.record.kind == Kind.SCAN
        ]
        for row in mine:
            self.rows[row[2]] = row
        self.bind()
        refused = self.judge()
        result = self.total(refused)
        result.rows = sorted(mine)
        self.signed += [(line.payee, line.amount) for line in declared.lines]
        return result

    # 1 the cut

    def count(self, declared: Any) -> list[Fact]:
        fresh = []
        for entry in declared.cut:
            known = [fact for fact in self.facts if fact.author == entry.author]
            tie = [sorted(declared.finals), entry.author]
            tie_hash = sha256(preimage("tie", encode(tie))).digest()
            chain: list[Record] = []
            wanted = entry.id
            while len(chain) < entry.seq + 1 - len(known):
                chain.insert(0, self.lookup(wanted))
                wanted = chain[0].header.backlink
            times = [fact.record.header.time_ms for fact in known]
            for record in chain:
                times.append(record.header.time_ms)
                wt = max(time for seq, time in entry.steps if seq <= record.seq)
                order = (
                    declared.round,
                    wt,
                    tie_hash,
                    entry.author,
                    record.seq,
                    record.id,
                )
                fresh.append(Fact(record, order, max(times)))
        self.facts += fresh
        return fresh

    def find(self, record_id: bytes, *kinds: Kind) -> Fact | None:
        for fact in self.facts:
            if fact.id == record_id and (not kinds or fact.record.kind in kinds):
                return fact
        return None

    # 2 admission (0004 §4)

    def admit(self) -> None:
        self.members: list[Member] = []
        self.entered: dict[bytes, tuple[int, int, bytes, bytes, int, bytes]] = {}
        self.own_reason: dict[bytes, Reason] = {}
        for fact in self.facts:
            if fact.record.seq == 0:
                try:
                    self.enter(fact)
                except ProtocolError as error:
                    self.own_reason[fact.author] = error.reason
        spent: dict[bytes, int] = {}
        for member in self.members:
            invite = member.join.invite
            name = invite_id(invite)
            spent[name] = spent.get(name, 0) + 1
            if invite.uses and spent[name] > invite.uses:
                member.refused = Reason.INVITE_USED_UP
        reached: list[tuple[bytes, Member | None]] = [
            (key, None) for key in (*self.terms.sponsor, *self.entered)
        ]
        while reached:
            key, above = reached.pop()
            for member in self.members:
                if member.join.invite.inviter != key:
                    continue
                if member.refused is not Reason.NOT_ADMITTED:
                    continue
                level = above.level + 1 if above else 1
                if level > self.terms.depth:
                    member.refused = Reason.TOO_DEEP
                    continue
                member.inviter, member.level, member.refused = above, level, None
                reached += [(one, member) for one in member.keys]

    def enter(self, fact: Fact) -> None:
        terms, record, author = self.terms, fact.record, fact.author
        if record.kind in (Kind.TERMS, Kind.ENTER):
            if record.kind == Kind.TERMS and author not in terms.sponsor:
                raise ProtocolError(Reason.NOT_NAMED)
            if not terms.names(author):  # type: ignore[arg-type]
                raise ProtocolError(Reason.NOT_NAMED)
            if record.kind == Kind.TERMS and record.claim().terms != terms:
                raise ProtocolError(Reason.WRONG_CAMPAIGN)
            self.entered[author] = fact.order
            return
        if record.kind not in (Kind.JOIN, Kind.CONTINUE):
            raise ProtocolError(Reason.WRONG_GENESIS)
        claim: Any = record.claim()
        where = (terms.network, self.scope, terms.join_bits)
        if record.kind == Kind.JOIN:
            root, join = author, claim
            check_join(claim, author, *where)  # type: ignore[arg-type]
        else:
            root, join = claim.root, claim.join
            check_continue(claim, author, *where)  # type: ignore[arg-type]
        if author != root and (terms.names(author) or terms.names(root)):  # type: ignore[arg-type]
            raise ProtocolError(Reason.WRONG_GENESIS)
        if author != root and any(member.root == author for member in self.members):
            raise ProtocolError(Reason.WRONG_GENESIS)
        if any(root in m.keys and root != m.root for m in self.members):
            raise ProtocolError(Reason.WRONG_GENESIS)
        member = next((m for m in self.members if m.root == root), None)
        if member is None:
            if fact.order[1] > join.invite.expires_ms:
                raise ProtocolError(Reason.INVITE_EXPIRED)
            member = Member(root, join)
            self.members.append(member)
        if author != root and len([k for k in member.keys if k != root]) >= 8:
            raise ProtocolError(Reason.TOO_MANY_KEYS)
        member.keys.append(author)

    def person(self, key: bytes) -> Member | None:
        return next((member for member in self.members if key in member.keys), None)

    def same(self, one: bytes, other: bytes) -> bool:
        a, b = self.person(one), self.person(other)
        return one == other or (a is not None and a is b)

    # 3 tags

    def read_tags(self) -> None:
        places: dict[tuple[str, int], tuple[Any, tuple[bytes, ...]]] = {}
        for fact in self.facts:
            if fact.record.kind != Kind.TAGS or fact.author not in self.terms.sponsor:
                continue
            for at, (entry, keys) in enumerate(fact.claim.tags):
                place = (fact.claim.group, fact.claim.offset + at)
                places.setdefault(place, (entry, self.keys_of(entry, keys)))
        self.tags: dict[bytes, tuple[Any, str, tuple[bytes, ...]]] = {}
        for group in self.terms.groups:
            mine = [places.get((group.name, place)) for place in range(group.count)]
            whole = [one for one in mine if one is not None]
            if len(whole) < group.count:
                continue
            if group_root([entry for entry, _ in whole]) == group.root:
                for entry, keys in whole:
                    self.tags.setdefault(tag_id(entry), (entry, group.name, keys))
        named = [group.name for group in self.terms.groups]
        for (name, _), (entry, keys) in places.items():
            if name not in named:
                self.tags.setdefault(tag_id(entry), (entry, name, keys))

    def keys_of(self, entry: Any, beside: Any) -> tuple[bytes, ...]:
        """The one-time keys beside a tag, or else in the parts of its root."""
        if beside is not None or not isinstance(entry.public, Serials | Taps):
            return beside or ()
        chunks: dict[int, bytes] = {}
        for fact in self.facts:
            if fact.record.kind != Kind.PART or fact.author not in self.terms.sponsor:
                continue
            part = fact.claim
            if part.tree == Tree.SERIALS and part.root == entry.public.root:
                chunks.setdefault(part.index, part.data)
        keys: list[bytes] = []
        index = 0
        while len(keys) < entry.public.count and index in chunks:
            try:
                value = decode(chunks[index], PART_MAX)
            except ProtocolError:
                return ()
            if isinstance(value, list):
                keys += [key for key in value if isinstance(key, bytes)]
            index += 1
        return tuple(keys[: entry.public.count])

    # 4 rows

    def stage(self, index: int) -> Stage | None:
        return self.terms.stages[index] if index < len(self.terms.stages) else None

    def new_row(self, fact: Fact, declared: Any) -> tuple[Any, ...]:
        if fact.record.claim_bytes is None:
            for row in declared.rows:
                if row.id == fact.id:
                    return (
                        row.author,
                        row.seq,
                        row.id,
                        row.stage,
                        row.tag,
                        row.own_grade,
                        row.slot,
                        row.window,
                        row.counter,
                        row.act_time,
                    )
            raise AssertionError("a claim is missing")
        claim: Any = fact.claim
        stage = self.stage(claim.stage)
        act_time = fact.act_time(stage.late_ms if stage else 0)
        try:
            grade = self.own_grade(fact, claim, act_time, stage)
        except ProtocolError:
            grade = 0
        proof: Any = claim.evidence if grade else Bare()
        once = isinstance(proof, SerialProof | TapProof)
        return (
            fact.author,
            fact.record.seq,
            fact.id,
            claim.stage,
            claim.tag,
            grade,
            proof.key if once else None,
            proof.window_start if isinstance(proof, RotatingCode) else None,
            proof.counter if isinstance(proof, TapProof) else None,
            act_time,
        )

    def own_grade(
        self, fact: Fact, claim: Any, act_time: int, stage: Stage | None
    ) -> int:
        if claim.tag not in self.tags:
            return 0
        entry, _, keys = self.tags[claim.tag]
        public, proof = entry.public, claim.evidence
        if isinstance(public, Printed) and isinstance(proof, PrintedText):
            check_entry(entry, proof.signature)
            return 1
        if isinstance(public, Gs1) and isinstance(proof, Gs1Text):
            return 1 if public.key == proof.key else 0
        if isinstance(public, Machine) and isinstance(proof, Bare):
            return 4 if fact.author == public.device else 0
        if isinstance(public, Rotating) and isinstance(proof, RotatingCode):
            check_rotating(public, claim.tag, proof)
            start, fresh_ms = proof.window_start, stage.fresh_ms if stage else 0
            end = start + public.window_ms + fresh_ms
            return 3 if start - 60_000 <= act_time <= end else 1
        if isinstance(public, Serials) and isinstance(proof, SerialProof):
            place, grade = proof.index, 2
        elif isinstance(public, Taps) and isinstance(proof, TapProof):
            place, grade = proof.counter - public.first, 4
        else:
            return 0
        if len(keys) != public.count or serial_root(keys) != public.root:
            return 0
        if not 0 <= place < len(keys) or keys[place] != proof.key:
            return 0
        check_once_key(
            proof,
            self.terms.network,
            self.scope,
            fact.author,  # type: ignore[arg-type]
            claim.tag,
        )
        return grade

    # 5 binding

    def party(self, key: bytes | None) -> Party | None:
        return next((p for p in self.terms.named if key in p.keys), None)

    def desk(self, key: bytes) -> bytes:
        if key in self.terms.sponsor:
            return self.terms.sponsor[0]
        party = self.party(key)
        return party.keys[0] if party else key

    def may_vouch(self, key: bytes) -> bool:
        party = self.party(key)
        role = party.role if party else 0
        return key in self.terms.sponsor or bool(role & (Role.MERCHANT | Role.DEVICE))

    def bind(self) -> None:
        self.attested: list[bytes] = []
        self.gone: dict[bytes, int] = {}
        for fact in self.facts:
            if fact.record.kind in WORDS:
                if fact.id not in self.bound:
                    self.bind_word(fact, self.spent)
                if fact.record.kind == Kind.ATTEST and fact.id in self.bound:
                    self.vouch(fact.claim)
            if fact.record.kind == Kind.REVERSAL:
                self.reverse(fact)

    def bind_word(self, fact: Fact, spent: list[Any]) -> None:
        claim, signer, kind = fact.claim, fact.author, fact.record.kind
        named = (claim.act,) if kind == Kind.ATTEST else claim.after
        if not self.may_vouch(signer):
            row = self.rows.get(named[0]) if kind == Kind.ATTEST else None
            tag = self.tags.get(row[4]) if row else None
            host = tag[0].host if tag else None
            if host is None or self.desk(host) != self.desk(signer):
                return
        scan = next((one for one in named if self.fits(fact, claim, one, spent)), None)
        card = claim.card
        if scan is not None:
            spent.append((scan, self.desk(signer), kind))
            self.bound[fact.id] = scan
        elif card is not None and self.card_holds(card, claim.author, signer, spent):
            spent.append((card.author, card.nonce))
            self.bound[fact.id] = None

    def vouch(self, claim: Any) -> None:
        act = self.find(claim.act)
        if act and self.is_persons(act.author, claim.author):
            self.attested.append(claim.act)

    def is_persons(self, one: bytes, other: bytes) -> bool:
        return self.same(one, other)

    def fits(self, fact: Fact, claim: Any, scan: bytes, spent: list[Any]) -> bool:
        row = self.rows.get(scan)
        if row is None or row[4] not in self.tags:
            return False
        entry, desk = self.tags[row[4]][0], self.desk(fact.author)
        owners = [self.desk(entry.issuer)]
        if entry.host is not None:
            owners.append(self.desk(entry.host))
        stage = self.stage(row[3])
        if desk not in owners or (scan, desk, fact.record.kind) in spent:
            return False
        if not self.same(row[0], claim.author) or stage is None:
            return False
        return stage.bind_ms == 0 or fact.order[1] <= row[9] + stage.bind_ms

    def card_holds(
        self, card: Any, customer: bytes, signer: bytes, spent: list[Any]
    ) -> bool:
        if card.author != customer or (card.author, card.nonce) in spent:
            return False
        if card.merchant is not None and self.desk(card.merchant) != self.desk(signer):
            return False
        try:
            check_card(card, self.terms.network, self.scope)
        except ProtocolError:
            return False
        return True

    def reverse(self, fact: Fact) -> None:
        outcome = self.find(fact.claim.outcome, Kind.OUTCOME)
        if outcome is None or self.desk(outcome.author) != self.desk(fact.author):
            return
        stage = self.stage(outcome.claim.stage)
        if stage is not None and fact.order[1] <= outcome.order[1] + stage.refund_ms:
            total = self.gone.get(outcome.id, 0) + fact.claim.amount
            self.gone[outcome.id] = min(total, outcome.claim.amount)

    # 6 judging

    def judge(self) -> dict[bytes, Reason]:
        refused: dict[bytes, Reason] = {}
        done = [grant.fact.id for grant in self.grants]
        for fact in self.facts:
            if fact.id in done:
                continue
            view = self.act(fact)
            if view is None:
                continue
            reason = self.first_failure(fact, **view)
            if reason is None:
                self.grant(fact, **view)
            else:
                refused[fact.id] = reason
        return refused

    def act(self, fact: Fact) -> dict[str, Any] | None:
        kind = fact.record.kind
        amount, tag, row, key = 0, None, None, fact.author
        if kind == Kind.SCAN:
            row = self.rows[fact.id]
            index, grade = row[3], self.scan_grade(fact, row)
            tag = self.tags.get(row[4])
        elif kind == Kind.JOIN:
            joins = [i for i, s in enumerate(self.terms.stages) if s.act == Act.JOIN]
            if not joins:
                return None
            index, grade = joins[0], 5 if fact.id in self.attested else 0
        elif kind in WORDS and fact.claim.stage is not None:
            index, amount, key = fact.claim.stage, fact.claim.amount, fact.claim.author
            grade = self.word_grade(fact, index)
            scan = self.bound.get(fact.id)
            tag = self.tags.get(self.rows[scan][4]) if scan else None
        else:
            return None
        stage = self.stage(index)
        act_time = row[9] if row else fact.act_time(stage.late_ms if stage else 0)
        return {
            "index": index,
            "grade": grade,
            "tag": tag,
            "row": row,
            "amount": amount,
            "person": self.person(key),
            "act_time": act_time,
        }

    def scan_grade(self, fact: Fact, row: tuple[Any, ...]) -> int:
        grade, stage = row[5], self.stage(row[3])
        late_ms = stage.late_ms if stage else 0
        if grade == 4 and row[8] is not None:
            for other in self.rows.values():
                if other[4] == row[4] and other[8] is not None and other[8] > row[8]:
                    seen = self.find(other[2])
                    assert seen is not None
                    if seen.order[1] < fact.order[1] - late_ms:
                        grade = 1
        return 5 if grade >= 1 and fact.id in self.attested else grade

    def word_grade(self, fact: Fact, index: int) -> int:
        if fact.id not in self.bound:
            return 0
        stage = self.stage(index)
        if fact.record.kind != Kind.OUTCOME or stage is None:
            return 5
        return 7 if stage.refund_ms else 5

    def first_failure(self, fact: Fact, **view: Any) -> Reason | None:
        terms, kind = self.terms, fact.record.kind
        index, row, tag, member = (
            view["index"],
            view["row"],
            view["tag"],
            view["person"],
        )
        act_time, amount = view["act_time"], view["amount"]
        if kind in WORDS:
            if not self.may_vouch(fact.author) and fact.id not in self.bound:
                return Reason.NOT_NAMED
            if member is None:
                return Reason.NOT_ADMITTED
        elif member is None:
            return self.own_reason.get(fact.author, Reason.NOT_ADMITTED)
        if member.refused is not None:
            return Reason(member.refused)
        if self.is_erased(fact):
            return Reason.ERASED
        stage = self.stage(index)
        if stage is None or stage.act != kind:
            return Reason.UNKNOWN_STAGE
        accept = self.round.accept_until
        if stage.refund_ms and fact.order[1] + stage.refund_ms > accept:
            return Reason.NOT_MATURE
        if row and not self.tag_holds(fact, stage, tag, row, act_time):
            return Reason.UNKNOWN_TAG
        begin = max(terms.rounds[0].opens, stage.opens)
        end = min(self.round.closes, stage.closes or self.round.closes)
        if not begin <= act_time <= end:
            return Reason.STAGE_WINDOW
        gone = self.gone.get(fact.id, 0)
        if (amount > 0 and gone >= amount) or view["grade"] < stage.grade:
            return Reason.GRADE
        if kind in WORDS and fact.id not in self.bound:
            return Reason.NOT_BOUND
        for needed in stage.after:
            if not any(
                grant.stage == needed.stage
                and grant.fact.order < fact.order
                and (grant.inviter if needed.by_invitee else grant.person)
                == member.root
                for grant in self.grants
            ):
                return Reason.AFTER
        reason = self.limits(fact, stage, **view)
        if reason is not None:
            return reason
        pool = self.pool(fact, stage, amount)
        return Reason.BUDGET if pool and not self.left() else None

    def limits(self, fact: Fact, stage: Stage, **view: Any) -> Reason | None:
        """Tests 10 to 14."""
        row, tag, act_time = view["row"], view["tag"], view["act_time"]
        root, amount = view["person"].root, view["amount"]
        used = [use for grant in self.grants for use in grant.uses]
        if any(use in used for use in self.uses(stage, **view)):
            return Reason.ONCE
        rule = stage.reward.rule if stage.reward else None
        before = [grant for grant in self.grants if grant.stage == view["index"]]
        if isinstance(rule, Flat) and rule.first and len(before) >= rule.first:
            return Reason.ONCE
        scans = [g for g in self.grants if g.fact.record.kind == Kind.SCAN]
        if row and stage.per_window and isinstance(tag[0].public, Rotating):
            alike = [
                g
                for g in scans
                if row[7] is not None and self.rows[g.fact.id][4:8:3] == row[4:8:3]
            ]
            if len(alike) >= stage.per_window:
                return Reason.PER_WINDOW
        interval = self.terms.limits.place_interval_ms
        for grant in scans if row else ():
            near = abs(grant.act_time - act_time) < interval
            there = self.place(grant.tag, self.rows[grant.fact.id])
            if grant.person == root and near and there != self.place(tag, row):
                return Reason.VELOCITY
        most, day = self.terms.limits.per_person_per_day, self.day(act_time)
        hers = [g for g in self.grants if g.person == root]
        if most and len([g for g in hers if self.day(g.act_time) == day]) >= most:
            return Reason.DAY
        party = self.party(fact.author)
        if fact.record.kind == Kind.OUTCOME and party is not None:
            sales = [
                g
                for g in self.grants
                if g.fact.record.kind == Kind.OUTCOME and g.fact.author in party.keys
            ]
            total = amount + sum(g.amount for g in sales)
            today = amount + sum(g.amount for g in sales if self.day(g.act_time) == day)
            if (
                amount > party.amount_max
                or today > party.per_day_max
                or total > party.total_max
            ):
                return Reason.MERCHANT_CAP
        return None

    def is_erased(self, fact: Fact) -> bool:
        return fact.record.kind == Kind.SCAN and any(
            other.record.kind == Kind.ERASE
            and other.author == fact.author
            and other.claim.record == fact.id
            and other.claim.claim
            and other.order[0] <= fact.order[0]
            for other in self.facts
        )

    def tag_holds(
        self, fact: Fact, stage: Stage, tag: Any, row: tuple[Any, ...], act_time: int
    ) -> bool:
        if tag is None or tag[1] != stage.tags:
            return False
        entry, group = tag[0], tag[1]
        if act_time < entry.valid_from:
            return False
        if entry.valid_until and act_time > entry.valid_until:
            return False
        fixed = any(
            self.terms.stages[c.stage].tags == group for c in self.terms.conditions
        )
        return fixed or not any(
            other.record.kind == Kind.TAGS
            and other.author in self.terms.sponsor
            and row[4] in other.claim.revoked
            and other.order < fact.order
            for other in self.facts
        )

    def uses(self, stage: Stage, **view: Any) -> list[tuple[Any, ...]]:
        row, root, index = view["row"], view["person"].root, view["index"]
        tag, slot = (row[4], row[6]) if row else (b"", None)
        found: list[tuple[Any, ...]] = [(index, "slot", slot)] if slot else []
        if stage.once == Once.TAG and not slot:
            found.append((index, "tag", tag))
        if stage.once == Once.PERSON:
            found.append((index, "person", root))
        if stage.once == Once.PERSON_TAG:
            found.append((index, "person-tag", root, slot or tag))
        if stage.once == Once.PERSON_DAY:
            found.append((index, "person-day", root, self.day(view["act_time"])))
        return found

    def day(self, time: int) -> int:
        return (time + self.terms.day_offset_min * 60_000) // DAY_MS

    def place(self, tag: Any, row: tuple[Any, ...]) -> Any:
        return tag[0].place or row[4]

    # 7 money

    def left(self) -> int:
        return self.terms.budget - sum(grant.pool for grant in self.grants)

    def pool(self, fact: Fact, stage: Stage, amount: int) -> int:
        if stage.reward is None:
            return 0
        if not stage.reward.percent_bp:
            return stage.reward.amount
        net = amount - self.gone.get(fact.id, 0)
        return int(Fraction(net * stage.reward.percent_bp, 10_000))

    def grant(self, fact: Fact, **view: Any) -> None:
        stage, member = self.terms.stages[view["index"]], view["person"]
        pool = min(self.pool(fact, stage, view["amount"]), self.left())
        shares = self.shares(fact, stage, member, view["tag"], pool)
        self.grants.append(
            Granted(
                fact=fact,
                stage=view["index"],
                person=member.root,
                inviter=member.inviter.root if member.inviter else None,
                round=self.number,
                pool=pool,
                shares=shares,
                tag=view["tag"],
                amount=view["amount"],
                act_time=view["act_time"],
                uses=self.uses(stage, **view),
            )
        )

    def shares(
        self, fact: Fact, stage: Stage, member: Member, tag: Any, pool: int
    ) -> list[tuple[str, bytes, int, bool]]:
        reward = stage.reward
        if reward is None:
            return []
        forked = any(
            fact.author == author and fact.record.seq >= seq and fact.order[0] >= since
            for since, author, seq in self.forks
        )
        her_own = forked and fact.author in member.keys
        to_host = pool * reward.host_bp // 10_000
        back = pool * reward.back_bp // 10_000
        found: list[tuple[str, bytes, int, bool]] = []
        party = self.party(tag[0].host) if tag else None
        if party and not any(key in member.keys for key in party.keys):
            found.append(("host", party.keys[0], to_host, forked))
        found.append(("back", member.root, back, her_own))
        here: Member | None = member
        distance, levels = 0, self.terms.limits.paid_levels
        while here is not None and (not levels or distance < levels):
            if isinstance(reward.rule, Halving):
                part = Fraction(1, 2 ** (distance + 1))
            else:
                part = Fraction(int(distance == 0))
            amount = int((pool - to_host - back) * part)
            found.append(("chain", here.root, amount, her_own and distance == 0))
            here, distance = here.inviter, distance + 1
        return [share for share in found if share[2]]

    # 8 the statement

    def total(self, refused: dict[bytes, Reason]) -> Result:
        terms = self.terms
        for at, condition in enumerate(terms.conditions):
            self.met[at] = self.met[at] or self.reached(condition, refused)
        met = all(self.met)
        accounts: dict[bytes, int] = {}
        pools = 0
        for grant in self.grants if met else ():
            pools += grant.pool
            for _, payee, amount, withheld in grant.shares:
                if not withheld:
                    to = self.account(payee)
                    accounts[to] = accounts.get(to, 0) + amount
        residue = pools - sum(accounts.values())
        last = self.number == len(terms.rounds) or (met and self.left() == 0)
        if last:
            to = self.account(terms.residue.key)
            accounts[to] = accounts.get(to, 0) + residue
        lines = []
        for account, amount in accounts.items():
            signed = sum(
                paid for to, paid in self.signed if self.account(to) == account
            )
            if amount > signed:
                lines.append((self.payee(account), amount - signed))
        return Result(
            rows=[],
            lines=sorted(lines),
            earned=pools - residue,
            residue=residue,
            unspent=terms.budget - pools,
            last=last,
            conditions=[*self.met],
            grants=sorted(self.grants, key=lambda grant: grant.fact.order),
            refused=refused,
            reasons={member.root: member.refused for member in self.members},
        )

    def reached(self, condition: Any, refused: dict[bytes, Reason]) -> bool:
        short = [one for one, reason in refused.items() if reason is Reason.BUDGET]
        mine = []
        for fact in self.facts:
            view = self.act(fact)
            granted = any(grant.fact is fact for grant in self.grants)
            reaches = granted or fact.id in short
            if reaches and view and view["index"] == condition.stage:
                mine.append(view)
        count = len(mine)
        if condition.count == Count.DISTINCT_TAGS:
            count = len({v["row"][4] for v in mine if v["row"]})
        if condition.count == Count.PERSONS:
            count = len({v["person"].root for v in mine})
        return bool(count >= condition.least)

    def account(self, key: bytes) -> bytes:
        member, party = self.person(key), self.party(key)
        if member is not None:
            return member.root
        return party.keys[0] if party else key

    def payee(self, account: bytes) -> bytes:
        member, party = self.person(account), self.party(account)
        if member is not None:
            return [member.root, *(k for k in member.keys if k != member.root)][-1]
        if party is None:
            return account
        entered = [key for key in party.keys if key in self.entered]
        return max(entered, key=lambda key: self.entered[key], default=account)
