"""`settle`: the same evidence gives everybody the same statement. Spec 0008.

A pure fold over the declared rounds. It reads the terms, the cuts, the forks
lists and the records under the cuts; nothing else can change a byte of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.checked import Checked
from protocols.claims import Erase, Kind
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.merkle import Tree, root
from protocols.settlement.admission import Admission, admit
from protocols.settlement.bind import Binder, Bindings
from protocols.settlement.cut import (
    LINE,
    ROW,
    Counted,
    CountedSet,
    Declared,
    Incomplete,
    Lookup,
    OrderKey,
    Row,
    StatementLine,
)
from protocols.settlement.judge import (
    ActFacts,
    Grant,
    Judge,
    Tally,
    conditions_met,
)
from protocols.settlement.money import Accounts
from protocols.settlement.rows import TagBook, read_tags, row_of
from protocols.terms import Terms, campaign_id

__all__ = ["Incomplete", "Settlement", "settle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The outcome of the last declared round."""

    campaign: Scope
    round: int
    rows: tuple[Row, ...]
    """Evidence rows of scans first counted in this round, by (author, seq)."""
    lines: tuple[StatementLine, ...]
    """The statement, ascending by payee."""
    earned: int
    """Earned shares so far, in minor units."""
    residue: int
    unspent: int
    """earned + residue + unspent = budget."""
    last: bool
    conditions: tuple[bool, ...]
    grants: tuple[Grant, ...]
    """Accepted acts of all rounds so far, in order key."""
    refused: tuple[tuple[ActFacts, Reason], ...]
    """Acts refused in this round and why, in order key."""
    admission: Admission
    counted: tuple[Counted, ...]
    book: TagBook

    @property
    def statement_root(self) -> bytes:
        """The digest that every node must find."""
        return root(Tree.STATEMENT, [LINE.write(line) for line in self.lines])

    @property
    def rows_root(self) -> bytes:
        """The root of this round's evidence rows."""
        return root(Tree.ROWS, [ROW.write(row) for row in self.rows])


@dataclass(slots=True)
class _State:
    """What one round hands to the next."""

    tally: Tally
    checked: Checked
    rows: dict[RecordId, Row]
    taps: dict[bytes, list[tuple[int, int]]]
    met: tuple[bool, ...]
    signed: dict[AuthorKey, int]
    """Payee key -> lines signed by the closes before."""
    forks: dict[AuthorKey, list[tuple[int, int]]]
    """Author -> (round listed, fork seq)."""
    waiting: list[Counted]
    """Acts that were refused so far, in order key."""
    bindings: Bindings = field(default_factory=Bindings)


def settle(
    terms: Terms,
    rounds: Sequence[Declared],
    lookup: Lookup,
    checked: Checked | None = None,
) -> Settlement:
    """Settle the last of `rounds`, folding over all of them.

    Args:
        terms: the campaign's terms, already checked.
        rounds: what the closes so far declare, rounds ascending.
        lookup: a campaign record by id, or None if it is not here.
        checked: what this process found good before; added to.

    Raises:
        Incomplete: records under the cuts are missing.
        ProtocolError: WRONG_CUT when a cut contradicts itself, the records,
            the rounds before or the terms.
    """
    numbers = [declared.round for declared in rounds]
    if not numbers or numbers != sorted(set(numbers)):
        raise ProtocolError(Reason.WRONG_CUT, "rounds ascend")
    counted = CountedSet(terms, lookup)
    state = _State(
        tally=Tally(accounts=Accounts(limits=terms.limits), budget_left=terms.budget),
        checked=Checked() if checked is None else checked,
        rows={},
        taps={},
        met=(False,) * len(terms.conditions),
        signed={},
        forks={},
        waiting=[],
    )
    settlement = None
    for declared in rounds:
        settlement = _fold(terms, counted, state, declared)
        for line in declared.lines:
            state.signed[line.payee] = state.signed.get(line.payee, 0) + line.amount
    assert settlement is not None
    return settlement


def _fold(
    terms: Terms, counted: CountedSet, state: _State, declared: Declared
) -> Settlement:
    new = counted.add_round(declared)
    for fork in declared.forks:
        state.forks.setdefault(fork.author, []).append((declared.round, fork.seq))
    _check_claims(new, declared)
    admission = admit(terms, counted.geneses, state.checked)
    book = read_tags(terms, counted.of(Kind.TAGS, Kind.PART))
    rows = _new_rows(terms, book, new, declared, state)
    binder = Binder(
        terms=terms,
        counted=counted,
        admission=admission,
        book=book,
        rows=state.rows,
        checked=state.checked,
        before=state.bindings,
    )
    state.bindings = binder.judge()
    judge = Judge(
        terms=terms,
        round=declared.round,
        counted=counted,
        admission=admission,
        book=book,
        rows=state.rows,
        bindings=state.bindings,
        erased=_erasures(counted),
        forks=state.forks,
        tally=state.tally,
        taps=state.taps,
    )
    refused = judge.run([*state.waiting, *new])
    state.waiting = [act.item for act, _ in refused.values()]
    met = conditions_met(terms, state.tally.grants, refused)
    state.met = tuple(a or b for a, b in zip(state.met, met, strict=True))
    return _total(judge, state, rows, refused)


def _check_claims(new: Sequence[Counted], declared: Declared) -> None:
    """Every claim is here, or a committed row stands for an erased scan's."""
    committed = {row.id for row in declared.rows}
    missing = [
        item.record.id
        for item in new
        if item.record.claim_bytes is None
        and not (item.record.kind == Kind.SCAN and item.record.id in committed)
    ]
    if missing:
        raise Incomplete(missing)


def _new_rows(
    terms: Terms,
    book: TagBook,
    new: Sequence[Counted],
    declared: Declared,
    state: _State,
) -> tuple[Row, ...]:
    committed: dict[bytes, Row] = {row.id: row for row in declared.rows}
    rows = []
    for item in new:
        if item.record.kind != Kind.SCAN:
            continue
        row = row_of(terms, book, item, committed, state.checked)
        rows.append(row)
        state.rows[row.id] = row
        if row.counter is not None:
            tap = (row.counter, item.witness_time)
            state.taps.setdefault(row.tag, []).append(tap)
    return tuple(sorted(rows, key=lambda row: (row.author, row.seq)))


def _erasures(counted: CountedSet) -> dict[RecordId, int]:
    """Scans whose claim their own author erased, and when that counted."""
    found: dict[RecordId, int] = {}
    for item in counted.of(Kind.ERASE):
        claim: Erase = item.claim
        target = counted.by_id.get(claim.record)
        if not claim.claim or target is None or target.record.kind != Kind.SCAN:
            continue
        if target.record.author == item.record.author:
            found.setdefault(claim.record, item.round)
    return found


def _total(
    judge: Judge,
    state: _State,
    rows: tuple[Row, ...],
    refused: dict[RecordId, tuple[ActFacts, Reason]],
) -> Settlement:
    terms, number, admission = judge.terms, judge.round, judge.admission
    accounts = state.tally.accounts
    all_met = all(state.met)
    pools = accounts.pools if all_met else 0
    earned = _earned(terms, admission, accounts) if all_met else {}
    residue = pools - sum(earned.values())
    nothing_left = state.tally.budget_left == 0 and all_met
    last = number == len(terms.rounds) or nothing_left
    if last and residue:
        to = account_of(terms, admission, terms.residue.key)
        earned[to] = earned.get(to, 0) + residue
    lines = _lines(terms, admission, state.signed, earned)
    return Settlement(
        campaign=campaign_id(terms),
        round=number,
        rows=rows,
        lines=lines,
        earned=pools - residue,
        residue=residue,
        unspent=terms.budget - pools,
        last=last,
        conditions=state.met,
        grants=tuple(sorted(state.tally.grants.values(), key=_order_of_grant)),
        refused=tuple(refused.values()),
        admission=admission,
        counted=tuple(judge.counted.all),
        book=judge.book,
    )


def _order_of_grant(grant: Grant) -> OrderKey:
    return grant.act.item.order


def _earned(
    terms: Terms, admission: Admission, accounts: Accounts
) -> dict[AuthorKey, int]:
    """Earned shares by desk: the same account that signed lines are booked on."""
    earned: dict[AuthorKey, int] = {}
    for key, amount in accounts.earned(admission.persons.values()).items():
        desk = account_of(terms, admission, key)
        earned[desk] = earned.get(desk, 0) + amount
    return earned


def _lines(
    terms: Terms,
    admission: Admission,
    signed: dict[AuthorKey, int],
    earned: dict[AuthorKey, int],
) -> tuple[StatementLine, ...]:
    """Line(p) = max(0, earned so far - signed so far), one leaf a payee."""
    signed_by: dict[AuthorKey, int] = {}
    for key, amount in signed.items():
        to = account_of(terms, admission, key)
        signed_by[to] = signed_by.get(to, 0) + amount
    due: dict[AuthorKey, int] = {}
    for key, amount in earned.items():
        owed = amount - signed_by.get(key, 0)
        if owed > 0:
            due[_payee(terms, admission, key)] = owed
    return tuple(StatementLine(key, due[key]) for key in sorted(due))


def account_of(terms: Terms, admission: Admission, key: AuthorKey) -> AuthorKey:
    """The key under which earnings are kept: a root, or a party's first key."""
    person = admission.by_key.get(key)
    if person is not None:
        return person.root
    party = terms.party(key)
    return key if party is None else party.keys[0]


def _payee(terms: Terms, admission: Admission, key: AuthorKey) -> AuthorKey:
    """The key a leaf names: the person's or party's latest counted key."""
    person = admission.persons.get(key)
    if person is not None:
        return person.payee
    party = terms.party(key)
    if party is None:
        return key
    entered = [one for one in party.keys if one in admission.entered]
    return max(entered, key=lambda one: admission.entered[one], default=key)
