"""What is spent, owed and paid: one campaign's debts from its records. Spec 0011 §4.

The answer depends on the set of records and on nothing else. No fork takes an
`owe` or a `paid` away: each is its signer's word, on whatever branch it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from protocols.checked import Checked
from protocols.claims import Kind, Owe, Paid
from protocols.errors import ProtocolError, Reason
from protocols.evidence import feed_up_to
from protocols.join import Continue, check_continue
from protocols.keys import AuthorKey, RecordId
from protocols.record import Record
from protocols.settlement.close import read_lists
from protocols.settlement.cut import Incomplete, StatementLine
from protocols.settlement.redeem import (
    Place,
    Purse,
    Spending,
    Vouched,
    judge_redeem,
    one_person,
)
from protocols.settlement.verify import Evidence, sponsor_closes
from protocols.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What one redeem made somebody owe somebody."""

    redeem: RecordId
    debtor: AuthorKey
    creditor: AuthorKey
    amount: int
    """In minor units: the largest `owe` of this redeem to this creditor."""
    paid: int
    """At most the amount: what the creditor says it received."""
    owes: tuple[RecordId, ...]
    """The `owe` records, the one that fixes amount and debtor first."""
    open: int
    """What is still owed; to the very key that owes nothing ever is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One campaign's books."""

    spendings: tuple[Spending, ...]
    """Good redeems, by record id."""
    obligations: tuple[Obligation, ...]
    """By debtor, creditor, redeem."""
    doubles: tuple[tuple[Spending, Spending], ...]
    """One pair a line that was spent twice by its key, by place; ids ascending."""
    refused: Mapping[RecordId, Reason]
    """Redeems, owes and payments that are worth nothing, and why."""

    by_redeem: Mapping[RecordId, Sequence[Obligation]]
    """The same by the redeem that each rests on."""

    def owed(self, redeem: RecordId) -> Sequence[Obligation]:
        """What a redeem made the issuer owe."""
        return self.by_redeem.get(redeem, ())

    def outstanding(self) -> dict[tuple[AuthorKey, AuthorKey], int]:
        """What each debtor still owes each creditor, ascending, above 0."""
        sums: dict[tuple[AuthorKey, AuthorKey], int] = {}
        for one in self.obligations:
            if one.open:
                pair = (one.debtor, one.creditor)
                sums[pair] = sums.get(pair, 0) + one.open
        return sums


def keep_ledger(
    sponsor: Collection[AuthorKey],
    purses: Mapping[Place, Purse],
    records: Iterable[Record],
    parties: Iterable[Sequence[AuthorKey]] = (),
    checked: Checked | None = None,
) -> Ledger:
    """Judge the redeems, owes and payments of one campaign.

    Args:
        sponsor: the keys that sign closes: only they owe.
        purses: the lines that are known.
        parties: the keys of each party of the terms; they speak for each other.
        records: well signed records of the campaign's scope, in any order, of
            any branch; others than genesis, redeem, owe and paid are ignored.
        checked: as in `vouched_in`.
    """
    held = {one.id: one for one in records if one.claim_bytes is not None}
    ordered = [held[record_id] for record_id in sorted(held)]
    refused: dict[RecordId, Reason] = {}
    vouched = vouched_in(ordered, checked)
    spendings = _spendings(purses, ordered, refused, vouched)
    party = {key: keys[0] for keys in parties for key in keys}
    desks = Desks(frozenset(sponsor), party, vouched)
    obligations = tuple(_obligations(ordered, refused, desks))
    by_redeem: dict[RecordId, list[Obligation]] = {}
    for one in obligations:
        by_redeem.setdefault(one.redeem, []).append(one)
    return Ledger(
        spendings=tuple(spendings),
        obligations=obligations,
        by_redeem=by_redeem,
        doubles=tuple(_doubles(spendings)),
        refused=refused,
    )


@dataclass(frozen=True, slots=True)
class Desks:
    """Which keys speak for a creditor. Spec 0011 §1."""

    sponsor: frozenset[AuthorKey]
    party: Mapping[AuthorKey, AuthorKey]
    """The first key of the party of every key that the terms name."""
    vouched: Vouched

    def speaks(self, signer: AuthorKey, creditor: AuthorKey) -> bool:
        """Whether `signer` may say what `creditor` received.

        The debtor never does, whatever the terms, its own word, make it.
        """
        if signer == creditor:
            return True
        if signer in self.sponsor:
            return False
        mine = self.party.get(signer)
        same_party = mine is not None and mine == self.party.get(creditor)
        return same_party or one_person(signer, creditor, self.vouched)


def vouched_in(
    records: Iterable[Record], checked: Checked | None = None
) -> dict[AuthorKey, frozenset[AuthorKey]]:
    """The roots that vouch for each key, by every well signed `continue`.

    On whatever branch it stands: one more takes no other away.

    Args:
        records: any.
        checked: those that were found well signed here; not settlement's, which asks
            for the join's work, too.
    """
    checked = Checked() if checked is None else checked
    found: dict[AuthorKey, frozenset[AuthorKey]] = {}
    for record in records:
        if record.kind != Kind.CONTINUE or record.claim_bytes is None:
            continue
        claim: Continue = record.claim()
        header = record.header
        try:
            checked.once(
                record.id,
                partial(
                    check_continue,
                    *(claim, header.author, header.network, header.scope),
                    join_bits=0,
                ),
            )
        except ProtocolError:
            continue
        found[record.author] = found.get(record.author, frozenset()) | {claim.root}
    return found


def signed_lines(close: Record, evidence: Evidence) -> tuple[StatementLine, ...]:
    """The lines that a close signs, right or wrong.

    Raises:
        Incomplete, ProtocolError: its lists are not here.
    """
    before = feed_up_to(close.id, evidence.lookup)[:-1]
    return read_lists(close.claim(), before).lines


def purses_of(terms: Terms, evidence: Evidence) -> dict[Place, Purse]:
    """The lines of every close that a redeem names and whose lists are here."""
    named = {
        record.claim().close
        for record in evidence.by_id.values()
        if record.kind == Kind.REDEEM and record.claim_bytes is not None
    }
    found: dict[Place, Purse] = {}
    for close in sponsor_closes(terms, evidence):
        if close.id not in named:
            continue
        try:
            lines = signed_lines(close, evidence)
        except (Incomplete, ProtocolError):
            continue
        for index, line in enumerate(lines):
            purse = Purse(
                close=close.id,
                line=index,
                payee=line.payee,
                amount=line.amount,
                redeem_until=close.claim().redeem_until,
            )
            found[purse.place] = purse
    return found


def _spendings(
    purses: Mapping[Place, Purse],
    records: Iterable[Record],
    refused: dict[RecordId, Reason],
    vouched: Vouched,
) -> list[Spending]:
    found: list[Spending] = []
    for record in records:
        if record.kind != Kind.REDEEM:
            continue
        claim = record.claim()
        purse = purses.get((claim.close, claim.line))
        if purse is None:
            refused[record.id] = Reason.UNKNOWN_LINE
            continue
        try:
            found.append(judge_redeem(purse, record, vouched))
        except ProtocolError as error:
            refused[record.id] = error.reason
    return found


def _obligations(
    records: Iterable[Record], refused: dict[RecordId, Reason], desks: Desks
) -> list[Obligation]:
    """Owes of one redeem to one creditor are one debt, of the largest amount."""
    records = list(records)
    owes: dict[tuple[RecordId, AuthorKey], list[Record]] = {}
    creditors: dict[RecordId, tuple[RecordId, AuthorKey]] = {}
    for record in records:
        if record.kind == Kind.OWE:
            claim: Owe = record.claim()
            reason = _wrong_owe(desks.sponsor, record.author, claim)
            if reason is not None:
                refused[record.id] = reason
                continue
            debt = (claim.redeem, claim.acceptor)
            owes.setdefault(debt, []).append(record)
            creditors[record.id] = debt
    paid = _payments(creditors, records, refused, desks)
    found = []
    for debt, signed in owes.items():
        signed.sort(key=lambda one: (-one.claim().amount, one.id))
        amount = signed[0].claim().amount
        received = min(amount, paid.get(debt, 0))
        found.append(
            Obligation(
                redeem=debt[0],
                debtor=signed[0].author,
                creditor=debt[1],
                amount=amount,
                paid=received,
                owes=tuple(one.id for one in signed),
                open=0 if debt[1] == signed[0].author else amount - received,
            )
        )
    found.sort(key=lambda one: (one.debtor, one.creditor, one.redeem))
    return found


def _wrong_owe(
    sponsor: Collection[AuthorKey], author: AuthorKey, claim: Owe
) -> Reason | None:
    if author not in sponsor:
        return Reason.NOT_ISSUER
    return None if claim.amount else Reason.NO_AMOUNT


def _payments(
    creditors: Mapping[RecordId, tuple[RecordId, AuthorKey]],
    records: Iterable[Record],
    refused: dict[RecordId, Reason],
    desks: Desks,
) -> dict[tuple[RecordId, AuthorKey], int]:
    """What creditors say they received, for each debt."""
    sums: dict[tuple[RecordId, AuthorKey], int] = {}
    for record in records:
        if record.kind != Kind.PAID:
            continue
        claim: Paid = record.claim()
        debt = creditors.get(claim.owe)
        if debt is None:
            refused[record.id] = Reason.UNKNOWN_OWE
        elif not desks.speaks(record.author, debt[1]):
            refused[record.id] = Reason.NOT_CREDITOR
        elif not claim.amount:
            refused[record.id] = Reason.NO_AMOUNT
        else:
            sums[debt] = sums.get(debt, 0) + claim.amount
    return sums


def _doubles(spendings: Iterable[Spending]) -> list[tuple[Spending, Spending]]:
    """For each line, the first overlap in order of (total before, id)."""
    lines: dict[Place, list[Spending]] = {}
    for one in spendings:
        if one.own_key:
            lines.setdefault(one.purse.place, []).append(one)
    found = []
    for place in sorted(lines):
        line = sorted(
            lines[place], key=lambda one: (one.claim.total_before, one.record.id)
        )
        # Until the first overlap each ends where the next begins, or before.
        for one, other in pairwise(line):
            if one.overlaps(other):
                low, high = sorted((one, other), key=lambda each: each.record.id)
                found.append((low, high))
                break
    return found
