"""Vectors of what liars begin, list, close and prove. 0004, 0009 to 0012."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace

from protocols.bundle import write_bundle
from protocols.claims import Close, Enter, Fork, Kind, Seen, TermsClaim
from protocols.errors import Reason
from protocols.feed import Head, prove_fork
from protocols.join import make_continue, make_join
from protocols.keys import (
    AuthorKey,
    NetworkId,
    RecordId,
    Scope,
    Signature,
    witness_scope,
)
from protocols.proof import Proof, ProofKind
from protocols.record import NO_BACKLINK, Record, sign_record, without_parts
from protocols.settlement.cut import CutEntry
from protocols.settlement.voucher import make_voucher, voucher_text
from tests import cheats
from tests.cheats import changed
from tests.vectors import Case, case
from tests.vectors_campaign import (
    _entry,
    _photo,
    _shop_world,
    settle_case,
)
from tests.vectors_closing import _close_case, _closed, _cover, _small
from tests.vectors_proofs import _proof
from tests.vectors_vouchers import _ledger, market
from tests.worlds import MINUTE, NETWORK, World, key_of, salt_of

ALICE = key_of("alice").author
ELSEWHERE = Scope(bytes(32))
NOWHERE = RecordId(bytes([7]) * 32)


# 0004


def begun() -> list[Case]:
    """Feeds that begin oddly, and an invite for everybody."""
    return [
        settle_case("two by one public invite", _public()),
        settle_case("terms by another key, other terms by the sponsor's", _terms()),
        settle_case("further keys of two persons, and of a named key", _two_persons()),
    ]


def _public() -> World:
    world = World(balloons=1, witnesses=1, rounds=1)
    made = world.invite(world.sponsor, uses=0)
    for name in ("alice", "bob", "carol"):
        world.join_by(name, made)
    return world


def _terms() -> World:
    sponsors = tuple(sorted(key_of(one).author for one in ("sponsor", "sponsor 2")))
    world = World(balloons=1, witnesses=1, rounds=1, changes={"sponsor": sponsors})
    claim = TermsClaim(salt=salt_of("again"), terms=world.terms)
    world.write(key_of("mallory"), Kind.TERMS, claim)
    other = replace(world.terms, title="eleven red balloons")
    world.write(
        key_of("sponsor 2"), Kind.TERMS, replace(claim, terms=other)
    )  # not those of this campaign
    world.join("alice", "mallory")
    return world


def _two_persons() -> World:
    """Keys that would be two persons', or a named key's."""
    world = World(balloons=1, witnesses=1, rounds=1)

    def unpublished(name: str) -> Record:
        """A join that somebody could sign and does not."""
        invite, signature, secret = world.invite(world.sponsor, tag=name)
        key = key_of(name)
        claim = make_join(invite, signature, secret, key.author, salt_of(name))
        return sign_record(
            key,
            network=NETWORK,
            scope=world.scope,
            seq=0,
            backlink=NO_BACKLINK,
            time_ms=world.now,
            kind=Kind.JOIN,
            claim=claim,
        )

    alice, bob = unpublished("alice"), world.join("bob")
    world.go_on("phone", "alice", alice)
    world.see()
    root = make_continue(key_of("bob"), bob.claim(), ALICE, salt_of("both"))
    world.write(key_of("alice"), Kind.CONTINUE, root)  # the root of another person
    world.go_on("tablet", "phone", unpublished("phone"))  # a further key as a root
    world.go_on("till", "charity", unpublished("charity"))  # a named key as a root
    return world


# 0009


def lied() -> list[Case]:
    """What witnesses list, and closes on closes of strangers."""
    return [*_listed(), *_moments(), *_doubts(), *_chains(), _beside()]


def _say(
    world: World,
    witness: int,
    heads: Sequence[tuple[AuthorKey, int, RecordId]],
    final: int | None = None,
) -> Record:
    claim = Seen(
        salt=salt_of("said", world.now), final=final, heads=tuple(sorted(heads))
    )
    key = world.witness_keys[witness]
    return world.write(key, Kind.SEEN, claim, scope=witness_scope(world.scope))


def _listed() -> list[Case]:
    """Heads that are nowhere, in another network, or at another place."""
    nowhere, two = _small(), _small()
    for world, liars in ((nowhere, 1), (two, 2)):
        world.see()
        for liar in range(liars):
            _say(world, liar, [(ALICE, 9, NOWHERE)])
        world.finish_round(1)
    network = _small(witnesses=1)
    foreign = sign_record(
        key_of("bob"),
        network=NetworkId(bytes(16)),
        scope=network.scope,
        seq=0,
        backlink=NO_BACKLINK,
        time_ms=network.now,
        kind=Kind.ENTER,
        claim=Enter(salt=salt_of("bob")),
    )
    network.records.append(foreign)
    _say(network, 0, [(foreign.author, 0, foreign.id)])
    network.finish_round(1)
    places = _small(witnesses=1)
    scan, bob = places.scan("alice", 0), places.join("bob")
    _say(places, 0, [(ALICE, 0, scan.id)])  # his place 1
    _say(places, 0, [(bob.author, 0, scan.id)])  # another's record
    places.see()
    places.finish_round(1)
    framed = _small(witnesses=1)
    one = framed.scan("alice", 0)
    other = framed.fork("alice", Kind.ERASE, framed.erase_claim(one))
    proof = prove_fork(one, other)
    scope = witness_scope(framed.scope)
    claim = Fork(
        salt=salt_of("framed"),
        header_a=proof.header_a,
        signature_a=proof.signature_a,
        header_b=proof.header_b,
        signature_b=Signature(bytes(64)),
    )
    framed.write(framed.witness_keys[0], Kind.FORK, claim, scope=scope)
    framed.finish_round(1)
    after = _small(witnesses=1)
    after.finish_round(1)
    late = after.scan("alice", 0)
    twin = after.fork("alice", Kind.ERASE, after.erase_claim(late))
    after.see()
    after.report_fork(late, twin)
    return [
        _cover("a head that one of four lists, and that is nowhere", nowhere),
        _cover("a head that two of four list, and that is nowhere", two),
        _cover("a head of another network", network),
        _cover("heads at another place, of another author", places),
        _cover("a fork that nobody signed", framed),
        _cover("what is seen and reported after the final", after),
    ]


def _moments() -> list[Case]:
    """A millisecond decides; a final of a round that the terms do not have."""
    cases = []
    for late in (0, 1):
        last = _small(witnesses=1)
        last.see()
        last.scan("alice", 0)
        last.now = last.terms.rounds[0].accept_until - 1_000 + late
        last.finish_round(1)
        cases.append(_cover(f"seen {late} ms after accept_until", last))
    for early, reason in ((0, None), (1, Reason.WRONG_CUT)):
        first = _small(witnesses=1)
        first.see()
        first.now = first.terms.rounds[0].final_from - 1_000 - early
        first.see(final=1)
        cases.append(_cover(f"a final {early} ms before its time", first, reason))
    none = _small(witnesses=1)
    none.now = none.terms.rounds[0].final_from
    none.see(final=9)
    none.scan("alice", 0)
    none.see(final=1)
    return [
        *cases,
        _cover("a final of a round that is none, before the true one", none),
    ]


def _doubts() -> list[Case]:
    """Witness times that no missing chain could make right are proven wrong."""
    cases = []
    for name, shift in (("later", MINUTE), ("earlier", -2 * MINUTE)):
        world = _small(budget=1_000)
        world.now += 5 * MINUTE
        scan = world.scan("alice", 0)
        below = world.heads[world.scope, ALICE]
        claim = replace(scan.claim(), salt=salt_of("x"))
        other = world.fork("alice", Kind.SCAN, claim)
        world.heads[world.scope, ALICE] = below
        _say(world, 0, [(ALICE, other.seq, other.id)])
        for witness in (1, 2):
            world.now += MINUTE
            world.see(only=[witness])
        world.finish_round(1, only=[])
        world.see(only=[0, 1, 2], final=1, heads={})
        close = world.close(1, declaring=changed(ALICE, _moved(shift)))
        here = [one for one in world.records if one.id != other.id]
        said = f"a witness time {name} than a missing chain could make it"
        cases.append(_close_case(said, world, close, here))
    return cases


def _moved(shift: int) -> Callable[[CutEntry], CutEntry]:
    def move(entry: CutEntry) -> CutEntry:
        steps = tuple((seq, time + shift) for seq, time in entry.steps)
        return replace(entry, steps=steps)

    return move


def _chains() -> list[Case]:
    """A close above one that a stranger signed, and one above another campaign's."""
    world, close = _closed()
    claim: Close = replace(close.claim(), round=1)
    world.enter(key_of("mallory"))
    stranger = world.write(key_of("mallory"), Kind.CLOSE, claim)
    elsewhere = World(balloons=1, witnesses=1, rounds=1)
    foreign = elsewhere.write(elsewhere.sponsor, Kind.CLOSE, claim)
    cases = []
    for name, before in (("a stranger's", stranger), ("another campaign's", foreign)):
        world.records += [foreign] if before is foreign else []
        wrong = replace(claim, round=2, previous=before.id)
        above = world.write(world.sponsor, Kind.CLOSE, wrong)
        cases.append(_close_case(f"previous is {name} close", world, above))
    return cases


def _beside() -> Case:
    """Two rounds; of each two purchases by scans, one of a scan that is erased."""
    world = _shop_world()
    entry = _entry(issuer=key_of("shop").author)
    world.tags("shops", [entry])
    gone: list[Record] = []

    def buy(erased: int) -> None:
        for number in range(2):
            scan = _photo(world, "dave", entry)
            world.outcome("shop", "dave", 1_000 + number, after=(scan.id,))
            gone.extend([scan] if number == erased else [])

    buy(0)
    world.finish_round(1)
    first = world.close(1)
    buy(1)
    world.finish_round(2)
    close = world.close(2, first)
    for scan in gone:
        world.drop_claim(scan)
    return _close_case(
        "purchases by scans, erased and not, in two rounds", world, close
    )


def bundled() -> list[Case]:
    """0010: files whose terms are nobody's, or break a rule."""
    cases = []
    world, _ = _closed()
    terms = next(one for one in world.records if one.kind == Kind.TERMS)
    others = [one for one in world.records if one.author != world.sponsor.author]
    for name, by, title in (
        ("terms by another key", "mallory", world.terms.title),
        ("terms of another scope", "sponsor", "eleven"),
    ):
        said = replace(world.terms, title=title)
        claim = replace(terms.claim(), terms=said)
        false = sign_record(
            key_of(by),
            network=NETWORK,
            scope=world.scope,
            seq=0,
            backlink=NO_BACKLINK,
            time_ms=terms.header.time_ms,
            kind=Kind.TERMS,
            claim=claim,
        )
        data = b"".join(write_bundle(NETWORK, world.scope, [*others, false]))
        cases.append(
            case(
                name,
                "bundle",
                Reason.INCOMPLETE,
                base64=base64.b64encode(data).decode(),
            )
        )
    return cases


# 0011


def owed() -> list[Case]:
    """A key that nobody vouched for; two closes of one round."""
    m = market()
    join = next(one for one in m.world.records if one.author == ALICE)
    claim = make_continue(
        key_of("mallory"), join.claim(), key_of("thief").author, salt_of("t")
    )
    m.world.write(key_of("thief"), Kind.CONTINUE, replace(claim, root=ALICE))
    owe = m.owe(m.redeem(50_000, at=key_of("alice")))
    m.paid(owe.id, 50_000, by=key_of("thief"))
    cases = [_ledger("paid, as a key says that the root did not sign", m)]
    m = market()
    first = m.voucher
    claim_of = first.close.claim()
    again = m.world.write(
        m.world.sponsor, Kind.CLOSE, replace(claim_of, salt=salt_of("again"))
    )
    lines = m.world.settle(1).settlement.lines
    second = make_voucher(again, lines, ALICE)
    assert second is not None
    m.owe(m.redeem(150_000))
    m.owe(m.redeem(150_000, close=again.id, at=key_of("shop c"), nonce=salt_of("n")))
    vouchers = [voucher_text(one) for one in (first, second)]
    return [
        *cases,
        _ledger("a line of each of two closes of a round", m, vouchers=vouchers),
    ]


# 0012


def framed() -> list[Case]:
    """What an honest sponsor signed, called two closes; what is none of its closes."""
    world = cheats.played()
    first = world.close(1)
    world.finish_round(2)
    second = world.close(2, first)
    world.enter(key_of("mallory"))
    stranger = world.write(key_of("mallory"), Kind.CLOSE, first.claim())
    part = next(one for one in world.records if one.kind == Kind.PART)
    terms = next(one for one in world.records if one.kind == Kind.TERMS)

    def double(*closes: Record) -> Proof:
        records = sorted(
            {one.id: one for one in (terms, *closes)}.values(),
            key=lambda one: (one.scope, one.author, one.seq, one.id),
        )
        return Proof(
            kind=ProofKind.DOUBLE_CLOSE,
            network=NETWORK,
            campaign=world.scope,
            subjects=tuple(sorted(one.id for one in closes)),
            records=tuple(records),
        )

    claim = first.claim()
    above = world.write(
        world.sponsor, Kind.CLOSE, replace(claim, previous=second.id, round=2)
    )
    return [
        *_framed_forks(),
        _proof("two closes of one round, above two", double(second, above)),
        _proof("two closes of two rounds", double(first, second), Reason.NOT_PROVEN),
        _proof(
            "a stranger's close beside one", double(first, stranger), Reason.NOT_PROVEN
        ),
        _proof("a part beside a close", double(first, part), Reason.NOT_PROVEN),
    ]


def _framed_forks() -> list[Case]:
    """Forks where nobody of the campaign speaks."""
    world = cheats.played()
    terms = next(one for one in world.records if one.kind == Kind.TERMS)
    cases = []
    for name, scope, why in (
        ("a stranger's fork where witnesses speak", witness_scope(world.scope), None),
        ("a fork in another scope", ELSEWHERE, Reason.BAD_PROOF),
    ):
        twins = [
            world.write(
                key_of("mallory"),
                Kind.ENTER,
                Enter(salt=salt_of(salt)),
                scope=scope,
                after=Head(-1, NO_BACKLINK),
            )
            for salt in ("one", "other")
        ]
        records = sorted(
            (terms, *twins), key=lambda one: (one.scope, one.author, one.seq, one.id)
        )
        proof = Proof(
            kind=ProofKind.FORK,
            network=NETWORK,
            campaign=world.scope,
            subjects=(key_of("mallory").author,),
            records=tuple(
                without_parts(one, claim=one is not terms, note=True) for one in records
            ),
        )
        cases.append(_proof(name, proof, why or Reason.NOT_PROVEN))
    return cases
