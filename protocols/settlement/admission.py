"""Who takes part, under whom, and which keys are one person. Spec 0008 §2.

Admission is the least fixed point from the sponsor over the counted genesis
records of all rounds so far. Nothing else of an inviter's feed matters, so
nobody's later fork or silence can throw out those she invited.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.checked import Checked
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.join import Continue, Invite, Join, check_continue, check_join
from protocols.keys import AuthorKey
from protocols.limits import CONTINUES_MAX
from protocols.settlement.cut import Counted, OrderKey
from protocols.terms import Terms, campaign_id


@dataclass(slots=True, kw_only=True)
class Person:
    """A participant: her root key and the further keys it vouched for."""

    root: AuthorKey
    join: Join
    admitted_by: OrderKey
    """Order key of her first counted genesis."""
    keys: list[AuthorKey] = field(default_factory=list)
    """Keys with a counted genesis, in order."""
    inviter: Person | None = None
    """None: invited by the sponsor or another named key."""
    level: int = 0
    """1: invited by the sponsor. 0 until admitted."""
    refused: Reason | None = Reason.NOT_ADMITTED

    @property
    def payee(self) -> AuthorKey:
        """Her latest counted key: the one a statement names.

        Any key she continued with is later than the root, which may be lost.
        """
        further = [key for key in self.keys if key != self.root]
        return further[-1] if further else self.root

    def chain(self) -> list[Person]:
        """Member 1 (nearest the sponsor) up to herself."""
        members: list[Person] = []
        here: Person | None = self
        while here is not None:
            members.append(here)
            here = here.inviter
        members.reverse()
        return members


@dataclass(slots=True, kw_only=True)
class Admission:
    """The result: persons, and what each key is."""

    persons: dict[AuthorKey, Person]
    """By root key, in order of admission."""
    by_key: dict[AuthorKey, Person]
    entered: dict[AuthorKey, OrderKey]
    """Keys named by the terms whose genesis counts."""
    refused: dict[AuthorKey, Reason]
    """Keys whose genesis is not worth anything by itself, and why."""

    def reason(self, key: AuthorKey) -> Reason | None:
        """Why acts of `key` are refused, or None if it is admitted."""
        person = self.by_key.get(key)
        if person is not None:
            return person.refused
        return self.refused.get(key, Reason.NOT_ADMITTED)


def admit(
    terms: Terms, counted: Iterable[Counted], checked: Checked | None = None
) -> Admission:
    """Judge all counted genesis records.

    Args:
        terms: the campaign's terms.
        counted: counted records of all rounds so far, in any order.
        checked: what was checked before; added to.
    """
    checked = Checked() if checked is None else checked
    geneses = sorted(
        (item for item in counted if item.record.seq == 0), key=lambda item: item.order
    )
    found = Admission(persons={}, by_key={}, entered={}, refused={})
    for genesis in geneses:
        try:
            _enter(terms, genesis, found, checked)
        except ProtocolError as error:
            found.refused[genesis.record.author] = error.reason
    _spend_invites(found)
    _grow(terms, found)
    return found


def _enter(terms: Terms, genesis: Counted, found: Admission, checked: Checked) -> None:
    record = genesis.record
    if record.kind in (Kind.TERMS, Kind.ENTER):
        _check_named(terms, genesis)
        found.entered[record.author] = genesis.order
        return
    if record.kind not in (Kind.JOIN, Kind.CONTINUE):
        raise ProtocolError(Reason.WRONG_GENESIS, f"kind {record.kind}")
    claim: Join | Continue = genesis.claim
    checked.once(record.id, lambda: _check_genesis(terms, record.author, claim))
    if isinstance(claim, Join):
        root, join = record.author, claim
    else:
        root, join = claim.root, claim.join
    _check_one_person(terms, found, record.author, root)
    person = found.persons.get(root)
    if person is None:
        if genesis.witness_time > join.invite.expires_ms:
            raise ProtocolError(Reason.INVITE_EXPIRED, "seen after the invite expired")
        person = Person(root=root, join=join, admitted_by=genesis.order)
        found.persons[root] = person
    if record.author != root:
        further = sum(key != root for key in person.keys)
        if further >= CONTINUES_MAX:
            most = f"{CONTINUES_MAX} besides the root"
            raise ProtocolError(Reason.TOO_MANY_KEYS, most)
    person.keys.append(record.author)
    found.by_key[record.author] = person


def _check_one_person(
    terms: Terms, found: Admission, author: AuthorKey, root: AuthorKey
) -> None:
    """A key is one person's for ever, and never also a named party's."""
    if author != root and (terms.names(author) or terms.names(root)):
        raise ProtocolError(Reason.WRONG_GENESIS, "a named key continues nobody")
    if author != root and author in found.persons:
        raise ProtocolError(Reason.WRONG_GENESIS, "the root of another person")
    owner = found.by_key.get(root)
    if owner is not None and owner.root != root:
        raise ProtocolError(Reason.WRONG_GENESIS, "a key of another person")


def _check_named(terms: Terms, genesis: Counted) -> None:
    record = genesis.record
    if record.kind == Kind.TERMS and record.author not in terms.sponsor:
        raise ProtocolError(Reason.NOT_NAMED, "terms by another key")
    if not terms.names(record.author):
        raise ProtocolError(Reason.NOT_NAMED, "the terms do not name this key")
    if record.kind == Kind.TERMS and genesis.claim.terms != terms:
        raise ProtocolError(Reason.WRONG_CAMPAIGN, "other terms than the scope's")


def _check_genesis(terms: Terms, author: AuthorKey, claim: Join | Continue) -> None:
    where = (terms.network, campaign_id(terms), terms.join_bits)
    if isinstance(claim, Join):
        check_join(claim, author, *where)
    else:
        check_continue(claim, author, *where)


def _spend_invites(found: Admission) -> None:
    """Per invite the first `uses` persons in order; 0 uses is a public invite."""
    spent: dict[Invite, int] = {}
    for person in found.persons.values():
        invite = person.join.invite
        spent[invite] = spent.get(invite, 0) + 1
        if 0 < invite.uses < spent[invite]:
            person.refused = Reason.INVITE_USED_UP


def _grow(terms: Terms, found: Admission) -> None:
    """Admit level after level, from those whom named keys invited."""
    invited: dict[AuthorKey, list[Person]] = {}
    for person in found.persons.values():
        if person.refused is not Reason.INVITE_USED_UP:
            invited.setdefault(person.join.invite.inviter, []).append(person)
    roots = sorted({*terms.sponsor, *found.entered})
    todo: list[tuple[Person, Person | None]] = [
        (person, None) for key in roots for person in invited.get(key, ())
    ]
    for person, inviter in todo:
        if person.refused is not Reason.NOT_ADMITTED:
            continue
        depth = 1 if inviter is None else inviter.level + 1
        if depth > terms.depth:
            person.refused = Reason.TOO_DEEP
            continue
        person.inviter, person.level, person.refused = inviter, depth, None
        for key in person.keys:
            todo += [(one, person) for one in invited.get(key, ())]
