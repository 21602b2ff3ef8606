"""What ties a merchant's word to a person. Spec 0008 §5.

An attest or outcome counts for a person only if it embeds her signed card code
or names her counted scan of that merchant's tag. Else a merchant could name a
puppet. Each card nonce and each (scan, merchant, kind) binds once, the first
in order, and what is bound stays bound: a key or a tag that is known in a later
round lets no earlier word take it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.checked import Checked
from protocols.claims import Kind, Reversal
from protocols.errors import ProtocolError
from protocols.join import check_card
from protocols.keys import AuthorKey, RecordId, TagId
from protocols.settlement.admission import Admission
from protocols.settlement.cut import Counted, CountedSet, Row
from protocols.settlement.rows import TagBook
from protocols.settlement.said import RawCard, Word, card_of
from protocols.terms import Role, Terms, campaign_id


@dataclass(slots=True, kw_only=True)
class Bindings:
    """Which attests and outcomes are bound, and through which scan."""

    bound: dict[RecordId, RecordId | None] = field(default_factory=dict)
    """Attest or outcome -> the scan it names; None: bound by a card."""
    attested: dict[RecordId, RecordId] = field(default_factory=dict)
    """Act -> its first bound attest."""
    reversed: dict[RecordId, int] = field(default_factory=dict)
    """Outcome -> sum of its counted reversals, at most its amount."""
    pairs: set[tuple[RecordId, AuthorKey, int]] = field(default_factory=set)
    """Scan, merchant and kind of each binding by a scan."""
    nonces: set[tuple[AuthorKey, bytes]] = field(default_factory=set)
    """Author and nonce of each card that bound."""


@dataclass(slots=True, kw_only=True)
class Binder:
    """Judges bindings over all counted records, in order key."""

    terms: Terms
    counted: CountedSet
    admission: Admission
    book: TagBook
    rows: Mapping[RecordId, Row]
    checked: Checked
    before: Bindings = field(default_factory=Bindings)
    """What was found in the round before; not changed."""
    _may_vouch: dict[AuthorKey, bool] = field(default_factory=dict)

    def judge(self) -> Bindings:
        """Bind every attest, outcome and reversal that counts."""
        found = Bindings(
            bound=dict(self.before.bound),
            pairs=set(self.before.pairs),
            nonces=set(self.before.nonces),
        )
        for item in self.counted.of(Kind.ATTEST, Kind.OUTCOME, Kind.REVERSAL):
            kind = item.record.kind
            if kind == Kind.REVERSAL:
                self._reverse(found, item)
                continue
            word: Word = item.claim
            attest = kind == Kind.ATTEST
            known = item.record.id in self.before.bound
            bound = known or self._bind(found, item, word, attest=attest)
            if bound and attest and self._is_hers(word):
                found.attested.setdefault(word.named[0], item.record.id)
        return found

    def _bind(
        self, found: Bindings, item: Counted, word: Word, *, attest: bool
    ) -> bool:
        signer = item.record.header.author
        hosts = attest and self._hosts(signer, word.named)
        if signer not in self._may_vouch:
            self._may_vouch[signer] = may_vouch(self.terms, signer)
        if not self._may_vouch[signer] and not hosts:
            return False
        scan = self._scan_of(found, item, word) if word.named else None
        if scan is not None:
            found.pairs.add((scan, self.terms.desk(signer), item.record.kind))
            found.bound[item.record.id] = scan
            return True
        if word.card is not None and self._card_holds(
            found, item, word.author, word.card
        ):
            found.bound[item.record.id] = None
            return True
        return False

    def _card_holds(
        self, found: Bindings, item: Counted, customer: AuthorKey, card: RawCard
    ) -> bool:
        signer, terms = item.record.author, self.terms
        author, _, nonce, merchant, _ = card
        meant = merchant is None or self.terms.desk(merchant) == self.terms.desk(signer)
        if author != customer or not meant or (author, nonce) in found.nonces:
            return False
        try:
            self.checked.once(
                item.record.id,
                lambda: check_card(card_of(card), terms.network, campaign_id(terms)),
            )
        except ProtocolError:
            return False
        found.nonces.add((author, nonce))
        return True

    def _is_hers(self, word: Word) -> bool:
        """Whether the attested act is an act of the person it names."""
        act = self.counted.by_id.get(word.named[0])
        return act is not None and self._same_person(act.record.author, word.author)

    def _scan_of(self, found: Bindings, item: Counted, word: Word) -> RecordId | None:
        """The first named scan of hers of this merchant's tag that is free."""
        desk = self.terms.desk(item.record.author)
        for scan in word.named:
            row, counted = self.rows.get(scan), self.counted.by_id.get(scan)
            if row is None or counted is None:
                continue
            tag = self.book.tags.get(TagId(row.tag))
            if tag is None or not self._same_person(row.author, word.author):
                continue
            owners = {self.terms.desk(tag.entry.issuer)}
            if tag.entry.host is not None:
                owners.add(self.terms.desk(tag.entry.host))
            free = (scan, desk, item.record.kind) not in found.pairs
            if desk in owners and free and self._in_time(item, row):
                return scan
        return None

    def _in_time(self, item: Counted, row: Row) -> bool:
        if row.stage >= len(self.terms.stages):
            return False
        bind_ms = self.terms.stages[row.stage].bind_ms
        return bind_ms == 0 or item.witness_time <= row.act_time + bind_ms

    def _same_person(self, one: AuthorKey, other: AuthorKey) -> bool:
        a, b = self.admission.by_key.get(one), self.admission.by_key.get(other)
        return one == other or (a is not None and a is b)

    def _hosts(self, signer: AuthorKey, named: tuple[RecordId, ...]) -> bool:
        """Whether `signer` hosts the tag of one of the named scans."""
        for scan in named:
            row = self.rows.get(scan)
            tag = self.book.tags.get(TagId(row.tag)) if row is not None else None
            host = tag.entry.host if tag is not None else None
            if host is not None and self.terms.desk(host) == self.terms.desk(signer):
                return True
        return False

    def _reverse(self, found: Bindings, item: Counted) -> None:
        claim: Reversal = item.claim
        target = self.counted.by_id.get(claim.outcome)
        if target is None or target.record.kind != Kind.OUTCOME:
            return
        outcome: Word = target.claim
        if outcome.stage is None or outcome.stage >= len(self.terms.stages):
            return
        until = target.witness_time + self.terms.stages[outcome.stage].refund_ms
        same = self.terms.desk(item.record.author) == self.terms.desk(
            target.record.author
        )
        if same and item.witness_time <= until:
            so_far = found.reversed.get(claim.outcome, 0)
            found.reversed[claim.outcome] = min(outcome.amount, so_far + claim.amount)


_VOUCHERS = int(Role.MERCHANT | Role.DEVICE)


def may_vouch(terms: Terms, key: AuthorKey) -> bool:
    """Whether outcomes and attests of `key` can count at all."""
    party = terms.party(key)
    merchant = party is not None and party.role & _VOUCHERS
    return key in terms.sponsor or bool(merchant)
