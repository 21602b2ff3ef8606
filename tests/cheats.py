"""Campaigns in which somebody cheats, one for each kind of proof. Spec 0012."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocols.claims import Kind, Seen
from protocols.keys import AuthorKey, RecordId, witness_scope
from protocols.proof import Proof, ProofKind, write_proof
from protocols.proving import Charge, charges, make_proof
from protocols.record import Record
from protocols.settlement.cut import CutEntry, Declared, ForkEntry
from protocols.settlement.verify import verify_closes
from tests.worlds import World, balloon_world, key_of, salt_of

DAVE = key_of("dave").author
ZOE = key_of("zoe").author


def played(**settings: Any) -> World:
    """Two balloons, found and seen by all; round 1 is over, nothing is closed."""
    world = balloon_world(**{"balloons": 2, "budget": 800_000, **settings})
    world.finish_round(1)
    return world


def without(author: AuthorKey) -> Callable[[Declared], Declared]:
    """A cut that leaves an author out."""
    return lambda declared: replace(
        declared, cut=tuple(one for one in declared.cut if one.author != author)
    )


def changed(
    author: AuthorKey, change: Callable[[CutEntry], CutEntry]
) -> Callable[[Declared], Declared]:
    """A cut in which one author's entry is another."""
    return lambda declared: replace(
        declared,
        cut=tuple(change(one) if one.author == author else one for one in declared.cut),
    )


def later(entry: CutEntry) -> CutEntry:
    """The same records, their witness time a millisecond later."""
    (seq, time), *more = entry.steps
    return replace(entry, steps=((seq, time + 1), *more))


def double_close() -> World:
    """Round 1 is closed twice: the second time without Dave."""
    world = played()
    world.close(1)
    world.close(1, declaring=without(DAVE))
    return world


def second_above() -> World:
    """Rounds 1 and 2 both stand on the campaign, as if the other were skipped."""
    world = played()
    world.close(1)
    world.finish_round(2)
    world.close(2)
    return world


def statement() -> World:
    """The close says that less was paid than its lines sum up to."""
    world = played()
    world.close(1, paid=5)
    return world


def finals() -> World:
    """The close names a record that is no final."""
    world = played()
    (terms, *_) = world.records
    world.close(
        1,
        declaring=lambda declared: replace(
            declared, finals=tuple(sorted([*declared.finals[:2], terms.id]))
        ),
    )
    return world


def omitted() -> World:
    """The cut leaves Dave out, whom every witness saw in time."""
    world = played()
    world.close(1, declaring=without(DAVE))
    return world


def padded() -> World:
    """The cut has a scan of Zoe's that came after the finals."""
    world = played()
    late = world.scan("zoe", 0)
    world.see()
    world.close(
        1,
        declaring=changed(ZOE, lambda one: replace(one, seq=late.seq, id=late.id)),
    )
    return world


def misdated() -> World:
    """The cut says that Dave's records were seen later than they were."""
    world = played()
    world.close(1, declaring=changed(DAVE, later))
    return world


def forks_list() -> World:
    """The forks list accuses Dave of a fork that nobody saw."""
    world = played()
    invented = ForkEntry(
        author=DAVE, seq=0, id_a=RecordId(bytes(32)), id_b=RecordId(bytes(31) + b"\1")
    )
    world.close(1, declaring=lambda one: replace(one, forks=(invented,)))
    return world


def fork(name: str = "dave") -> World:
    """A participant signs two records at one place."""
    world = played()
    head = world.heads[world.scope, key_of(name).author]
    (last,) = [one for one in world.records if one.id == head.id]
    world.fork(name, Kind(last.kind), replace(last.claim(), salt=salt_of("other")))
    world.close(1)
    return world


def witness_fork() -> World:
    """A witness publishes two finals at one place of its feed."""
    world = played()
    liar, scope = world.witness_keys[0], witness_scope(world.scope)
    head = world.heads[scope, liar.author]
    (last,) = [one for one in world.records if one.id == head.id]
    below = next(one for one in world.records if one.id == last.header.backlink)
    claim = Seen(salt=salt_of("second final"), final=1, heads=())
    other = world.write(
        liar,
        Kind.SEEN,
        claim,
        scope=scope,
        after=replace(head, seq=below.seq, id=below.id),
    )
    assert other.seq == last.seq
    world.close(1)
    return world


def reported_fork() -> World:
    """A fork whose other branch is not here: a witness's `fork` shows it."""
    world = fork()
    here, other = _branches(world)
    world.report_fork(here, other)
    world.records.remove(other)
    return world


def _branches(world: World) -> list[Any]:
    head = world.heads[world.scope, DAVE]
    return [r for r in world.records if r.author == DAVE and r.seq == head.seq]


WORLDS: dict[ProofKind, Callable[[], World]] = {
    ProofKind.DOUBLE_CLOSE: double_close,
    ProofKind.STATEMENT: statement,
    ProofKind.FINALS: finals,
    ProofKind.OMITTED: omitted,
    ProofKind.PADDED: padded,
    ProofKind.MISDATED: misdated,
    ProofKind.FORKS_LIST: forks_list,
    ProofKind.FORK: fork,
}
"""A campaign for each kind of proof."""


def charged(world: World) -> list[Charge]:
    """What a world's evidence shows."""
    evidence = world.evidence()
    return charges(world.terms, evidence, verify_closes(world.terms, evidence))


def proof_of(world: World, kind: ProofKind) -> Proof:
    """The proof of the first such cheat of a world."""
    charge = next(one for one in charged(world) if one.kind is kind)
    return make_proof(world.records[0], world.evidence(), charge)


def file_of(proof: Proof) -> bytes:
    """The bytes of a proof's file."""
    return b"".join(write_proof(proof))


def omission_of(world: World, close: Record, author: AuthorKey) -> Proof:
    """The file that says that a close leaves an author out, right or wrong."""
    charge = Charge(kind=ProofKind.OMITTED, subjects=(close.id, author))
    return make_proof(world.records[0], world.evidence(), charge)
