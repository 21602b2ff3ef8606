"""Vectors of what counts, round after round, whatever liars say. 0008, 0009."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from protocols.bundle import write_bundle
from protocols.claims import Dispute, Enter, Erase, Kind, Seen
from protocols.codec import encode
from protocols.errors import Reason
from protocols.evidence import cover
from protocols.feed import Head
from protocols.keys import RecordId, Scope, SigningKey, witness_scope
from protocols.merkle import Tree, root
from protocols.record import Record
from protocols.settlement.cut import CutEntry, Declared
from protocols.settlement.settle import settle
from protocols.settlement.verify import finals_at_hand, heads_of
from protocols.terms import TERMS, Role
from tests.cheats import changed, without
from tests.vectors import Case, case
from tests.vectors_campaign import (
    _buy,
    _by_key,
    _entry,
    _party,
    _photo,
    _reward,
    _shop_world,
    _visit_world,
    counted_hex,
    declared_json,
    settle_case,
)
from tests.vectors_closing import _close_case, _cover, _finals, _small
from tests.worlds import MINUTE, NETWORK, OPENS, World, key_of, salt_of

DAVE = key_of("dave").author
ALICE = key_of("alice").author
ELSEWHERE = Scope(bytes(32))


# 0008


def settled() -> list[Case]:
    """0008: rounds on rounds, and forks beside them."""
    return [
        _other_branch(),
        _used_invite(),
        _open_condition(),
        _merchants_fork(),
        _dispute(),
        _late_erase(),
        _wrong_kinds(),
        _other_group(),
        _strangers_refund(),
        _bound_once(),
        _waiting_purchase(),
        _made_up_window(),
        _backwards(),
        _row_of_a_join(),
    ]


def _case(
    name: str, world: World, declared: Sequence[Declared], reason: Reason | None = None
) -> Case:
    return case(
        name,
        "settle",
        reason,
        terms=encode(TERMS.write(world.terms)).hex(),
        records=counted_hex(world, declared),
        rounds=[declared_json(one, rows=True) for one in declared],
    )


def _declared(world: World, number: int, before: Sequence[Declared] = ()) -> Declared:
    """What an honest sponsor declares of a round that is over, with its lines."""
    evidence = world.evidence()
    finals = [one.id for one in finals_at_hand(world.terms, number, evidence)]
    named = tuple(sorted(finals[: world.terms.quorum]))
    found = cover(world.terms, number, named, evidence.lookup, heads_of(before))
    made = Declared(round=number, finals=named, cut=found.cut, forks=found.forks)
    lines = settle(world.terms, [*before, made], evidence.lookup).lines
    return replace(made, lines=lines)


def _earlier_word(name: str, **stage: int) -> Case:
    """Two purchases by one scan; the first names a key that counts from round 2 on."""
    world = _shop_world(_buy(**stage))
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry)
    world.see()
    world.outcome("shop", "tablet", 3_000, after=(scan.id,))
    world.see()
    world.outcome("shop", "dave", 5_000, after=(scan.id,))
    join = next(one for one in world.records if one.kind == Kind.JOIN)

    def between(world: World) -> None:
        world.go_on("tablet", "dave", join)

    return settle_case(name, world, rounds=(1, 2), between=between)


def _bound_once() -> Case:
    return _earlier_word("an earlier word that fits from round 2 on")


def _waiting_purchase() -> Case:
    name = "a purchase that waits while an earlier word begins to fit"
    return _earlier_word(name, refund_ms=70 * MINUTE)


def _other_branch() -> Case:
    world = World(balloons=1, witnesses=1, rounds=2)
    first = world.erase("dave", world.join("dave"))
    world.finish_round(1)
    one = _declared(world, 1)
    other = world.fork("dave", Kind.ERASE, world.erase_claim(first))
    after = Head(other.seq, other.id)
    top = world.write(key_of("dave"), Kind.ERASE, world.erase_claim(other), after=after)
    entry = CutEntry(author=DAVE, seq=2, id=top.id, steps=((2, world.now),))
    two = replace(one, round=2, cut=(entry,), lines=())
    return _case("a later cut on another branch", world, [one, two], Reason.WRONG_CUT)


def _used_invite() -> Case:
    """Who came by an invite in round 1 keeps it, whatever round 2 says of time."""
    world = World(balloons=1, witnesses=1, rounds=2)
    made = world.invite(world.sponsor, uses=1, tag="one")
    world.join_by("dave", made)
    world.finish_round(1)
    one = _declared(world, 1)
    world.join_by("bob", made)
    world.finish_round(2)
    two = _declared(world, 2, [one])
    early = changed(
        key_of("bob").author, lambda entry: replace(entry, steps=((0, OPENS),))
    )
    name = "an invite used in round 1, a join of round 2 dated before"
    return _case(name, world, [one, early(two)])


def _open_condition() -> Case:
    """The budget is granted, and one balloon is not found yet."""
    world = World(balloons=2, witnesses=1, rounds=2, budget=400_000)
    world.join("dave")
    world.scan("dave", 0)
    return settle_case("the budget is granted, a condition is open", world)


def _merchants_fork() -> Case:
    """Dave bought at a till that forks: its host's share is withheld, his is not."""
    world = _shop_world(
        _buy(reward=_reward(percent_bp=1_000, host_bp=2_500)),
        named=_by_key(_party("shop"), _party("bar", role=Role.HOST)),
    )
    world.enter(key_of("bar"))
    entry = _entry(issuer=key_of("shop").author, host=key_of("bar").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry)
    sale = world.outcome("shop", "dave", 10_000, after=(scan.id,))
    claim = replace(sale.claim(), salt=salt_of("again"))
    world.report_fork(sale, world.fork("shop", Kind.OUTCOME, claim))
    return settle_case("a merchant's fork, and its host's share", world)


def _dispute() -> Case:
    """It stands in a participant's feed, as every record does."""
    world = _visit_world({})
    entry = _entry()
    world.tags("shops", [entry])
    claim = Dispute(
        salt=salt_of("no"),
        close=RecordId(bytes(32)),
        statement_root=root(Tree.STATEMENT, []),
    )
    world.write(key_of("dave"), Kind.DISPUTE, claim)
    _photo(world, "dave", entry, 0)
    return settle_case("a dispute among the records", world)


def _late_erase() -> Case:
    """A scan counted and is paid a round later, in which its erase counts, too."""
    world = _visit_world({"grade": 5}, named=(_party("shop"),), rounds=2)
    world.enter(key_of("shop"))
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry, 0)

    def erase(world: World) -> None:
        world.erase("dave", scan)
        world.attest("shop", "dave", scan)

    name = "an erase that counts after its scan"
    return settle_case(name, world, rounds=(1, 2), between=erase)


def _made_up_window() -> Case:
    """A sponsor's rows give erased scans of a printed tag a window, all the same."""
    world = _visit_world({"per_window": 1})
    world.join("zoe")
    entry = _entry()
    world.tags("shops", [entry])
    scans = [_photo(world, name, entry, 0) for name in ("dave", "zoe")]
    world.finish_round(1)
    rows = world.settle(1).settlement.rows
    one = replace(
        _declared(world, 1), rows=tuple(replace(row, window=0) for row in rows)
    )
    for scan in scans:
        world.drop_claim(scan)
    return _case("believed rows with a window of a printed tag", world, [one])


def _wrong_kinds() -> Case:
    """A stage pays its own kind of act."""
    world = _shop_world(_buy(grade=1))
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    _photo(world, "dave", entry, 0)
    world.outcome("shop", "dave", 10_000, stage=1, card=world.card("dave"))
    return settle_case("a scan for purchases, a purchase for visits", world)


def _other_group() -> Case:
    """Listed, but not among the tags of the stage."""
    world = _visit_world({})
    entry = _entry()
    world.tags("bars", [entry])
    _photo(world, "dave", entry, 0)
    return settle_case("a tag of another group", world)


def _strangers_refund() -> Case:
    world = _shop_world(
        _buy(refund_ms=MINUTE), named=_by_key(_party("shop"), _party("bar"))
    )
    world.enter(key_of("bar"))
    sale = world.outcome("shop", "dave", 10_000, card=world.card("dave"))
    world.reverse("bar", sale, 4_000)
    return settle_case("a refund by another merchant", world)


def _backwards() -> Case:
    """Two good cuts, of which nobody moved in both, the second first."""
    world = World(balloons=1, witnesses=1, rounds=2)
    world.join("dave")
    world.finish_round(1)
    one = _declared(world, 1)
    world.join("bob")
    world.finish_round(2)
    two = _declared(world, 2, [one])
    return _case("rounds descending", world, [two, one], Reason.WRONG_CUT)


def _row_of_a_join() -> Case:
    """A row stands for a scan's claim only."""
    world = World(balloons=1, witnesses=1, rounds=1)
    join = world.join("dave")
    scan = world.scan("dave", 0)
    world.finish_round(1)
    one = _declared(world, 1)
    (row,) = settle(world.terms, [one], world.evidence().lookup).rows
    assert row.id == scan.id
    world.drop_claim(join)
    rows = (replace(row, id=join.id, seq=0, own_grade=0, slot=None), row)
    given = _case("a row that stands for a join", world, [one], Reason.INCOMPLETE)
    given["in"]["rounds"] = [declared_json(replace(one, rows=rows), rows=True)]
    return given


# 0009


def closed() -> list[Case]:
    """0009: whom witnesses are, what they cover, and closes after wrong ones."""
    return [*_speakers(), *_heads(), *_finals_named(), *_cuts(), _resting()]


def _say(
    world: World,
    heads: Sequence[Record] = (),
    *,
    by: SigningKey | None = None,
    scope: Scope | None = None,
    final: int | None = None,
    after: Head | None = None,
) -> Record:
    """Let a witness, the first if nobody is named, list whatever it likes."""
    listed = tuple(sorted((one.author, one.seq, one.id) for one in heads))
    claim = Seen(salt=salt_of("said", world.now), final=final, heads=listed)
    place = witness_scope(world.scope) if scope is None else scope
    return world.write(
        by or world.witness_keys[0], Kind.SEEN, claim, scope=place, after=after
    )


def _speakers() -> list[Case]:
    """A final where no witness speaks, one by nobody's witness, a talkative one."""
    beside = _small(witnesses=1)
    beside.now = beside.terms.rounds[0].final_from
    other_scope = _say(beside, final=1, scope=beside.scope)
    stranger = _say(beside, final=1, by=key_of("mallory"))
    talkative = _small(witnesses=1)
    scope = witness_scope(talkative.scope)
    enter = Enter(salt=salt_of("enter"))
    talkative.write(talkative.witness_keys[0], Kind.ENTER, enter, scope=scope)
    talkative.finish_round(1)
    return [
        _cover(
            "a final in the campaign's scope",
            beside,
            Reason.WRONG_CUT,
            finals=[other_scope.id],
        ),
        _cover("a final by a stranger", beside, Reason.WRONG_CUT, finals=[stranger.id]),
        _cover("a witness that says something else first", talkative),
    ]


def _heads() -> list[Case]:
    """What a head covers, and what it does not."""
    strays = _small()
    stray = strays.write(
        key_of("bob"), Kind.ENTER, Enter(salt=salt_of("bob")), scope=ELSEWHERE
    )
    strays.see()
    for key in strays.witness_keys:
        _say(strays, [stray], by=key)
    strays.finish_round(1)
    level = _small(witnesses=1)
    scan = level.scan("alice", 0)
    level.see()
    place = level.scope, ALICE
    kept = level.heads[place]
    other = level.fork("alice", Kind.ERASE, level.erase_claim(scan))
    _say(level, [other])
    level.heads[place] = kept
    level.erase("alice", scan)
    level.finish_round(1)
    lost = _small(witnesses=1)
    gone = lost.scan("alice", 0)
    forked = lost.fork("alice", Kind.ERASE, lost.erase_claim(gone))
    lost.heads[lost.scope, ALICE] = Head(gone.seq, gone.id)
    _say(lost, [forked])
    lost.finish_round(1)
    half = _small()
    half.see()
    half.scan("alice", 0)
    half.finish_round(1, only=[0, 1])
    half.see(only=[2], final=1, heads={})
    return [
        _cover("a head of another scope", strays),
        _cover("a head on another branch, no higher than the last", level),
        _cover("after a head whose chain is not here", lost, without=[forked]),
        _cover("what two of three named saw counts", half),
        _cover("a fork in another scope", _foreign_fork()),
    ]


def _foreign_fork() -> World:
    """Alice forks a feed that is none of the campaign's; all witnesses prove it."""
    world = _small(witnesses=1)
    one, other = (
        world.write(
            key_of("alice"),
            Kind.ERASE if number else Kind.ENTER,
            Erase(salt=salt_of(number), record=RecordId(bytes(32)), claim=False)
            if number
            else Enter(salt=salt_of("alice")),
            scope=ELSEWHERE,
        )
        for number in (0, 1)
    )
    twin = world.write(
        key_of("alice"),
        Kind.ERASE,
        replace(other.claim(), salt=salt_of("twin")),
        scope=ELSEWHERE,
        after=Head(one.seq, one.id),
    )
    world.report_fork(other, twin)
    world.finish_round(1)
    return world


def _finals_named() -> list[Case]:
    """Two finals of one witness; finals of another round."""
    forked = _small()
    forked.see()
    scope = witness_scope(forked.scope)
    below = forked.heads[scope, forked.witness_keys[0].author]
    forked.now = forked.terms.rounds[0].final_from
    mine, other, _, _ = forked.see(final=1, heads={})
    again = _say(forked, final=1, after=below)
    later = _small(rounds=2)
    later.finish_round(1)
    later.finish_round(2)
    return [
        _cover(
            "two finals of one witness, on two branches",
            forked,
            Reason.WRONG_CUT,
            finals=[mine.id, again.id, other.id],
        ),
        _cover(
            "finals of another round",
            later,
            Reason.WRONG_CUT,
            finals=[one.id for one in _finals(later, 2)][:3],
        ),
    ]


def _bundle(name: str, world: World) -> Case:
    """All closes of a world, judged from one file."""
    data = b"".join(write_bundle(NETWORK, world.scope, world.records))
    return case(name, "bundle", base64=base64.b64encode(data).decode())


def _unseen(world: World, record: Record) -> None:
    """One witness of four sees a record before the finals; then all do."""
    _say(world, [record])
    world.now = world.terms.rounds[0].final_from
    world.see(final=1, heads={})


def _cuts() -> list[Case]:
    """A wrong close, and what comes after it."""
    return [
        _bundle("a padded round, and an honest one after it", _padded()),
        _bundle("a padded branch of a forked feed", _padded_branch()),
        _bundle("an omission heals in the next round", _healed()),
        _too_late(),
        _in_doubt(),
    ]


def _padded() -> World:
    world = _small(balloons=2, rounds=2, budget=1_000)
    world.see()
    scan = world.scan("alice", 0)
    _unseen(world, scan)

    def padding(entry: CutEntry) -> CutEntry:
        return replace(entry, seq=scan.seq, id=scan.id)

    first = world.close(1, declaring=changed(ALICE, padding))
    world.join("bob", "alice")
    world.scan("bob", 1)
    world.finish_round(2)
    world.close(2, first)
    return world


def _padded_branch() -> World:
    """Carol forks her genesis; the sponsor pads the branch that admits nobody."""
    world = _small(rounds=2, budget=1_000)
    carol = key_of("carol").author
    bad = world.join("carol", "nobody")
    del world.heads[world.scope, carol]
    good = world.join("carol")
    world.join("bob", "carol")
    world.scan("bob", 0)
    world.see()
    _unseen(world, bad)

    def padding(declared: Declared) -> Declared:
        def other(entry: CutEntry) -> CutEntry:
            return replace(entry, seq=bad.seq, id=bad.id)

        return changed(carol, other)(declared)

    first = world.close(1, declaring=padding)
    assert good.seq == bad.seq == 0
    world.finish_round(2)
    world.close(2, first)
    return world


def _healed() -> World:
    world = _small(rounds=2, budget=1_000)
    world.scan("alice", 0)
    world.finish_round(1)
    first = world.close(1, declaring=without(ALICE))
    world.finish_round(2)
    world.close(2, first)
    return world


def _too_late() -> Case:
    """A scan that all witnesses saw after `accept_until`, dated before."""
    world = _small(budget=1_000)
    world.see()
    world.now = world.terms.rounds[0].accept_until
    scan = world.scan("alice", 0)
    world.finish_round(1)

    def early(entry: CutEntry) -> CutEntry:
        return replace(entry, seq=scan.seq, id=scan.id)

    close = world.close(1, declaring=changed(ALICE, early))
    return _close_case("a cut with what came too late", world, close)


def _in_doubt() -> Case:
    """A right close; the branch by which it is right is not here."""
    world = _small(budget=1_000)
    scan = world.scan("alice", 0)
    below = world.heads[world.scope, ALICE]
    other = world.fork("alice", Kind.SCAN, replace(scan.claim(), salt=salt_of("x")))
    world.heads[world.scope, ALICE] = below
    _say(world, [other])
    for witness in (1, 2):
        world.now += MINUTE
        world.see(only=[witness])
    world.finish_round(1, only=[])
    world.see(only=[0, 1, 2], final=1, heads={})
    close = world.close(1)
    here = [one for one in world.records if one.id != other.id]
    name = "witness times that a chain makes right that is not here"
    return _close_case(name, world, close, here)


def _resting() -> Case:
    """Dave bought by a scan that he erased since: his share rests on its row."""
    world = _shop_world()
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    scan = _photo(world, "dave", entry)
    world.outcome("shop", "dave", 10_000, after=(scan.id,))
    world.outcome("shop", "dave", 500, card=world.card("dave"))
    world.now += MINUTE
    world.finish_round(1)
    close = world.close(1)
    world.drop_claim(scan)
    return _close_case("a purchase by a scan that is erased", world, close)
