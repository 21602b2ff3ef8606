"""Two sessions wired in memory, and one session against a liar."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocols
from protocols import limits
from protocols.claims import Announce, Kind
from protocols.effects import (
    Close,
    Effect,
    Ingest,
    PeerCards,
    Serve,
    ServeIds,
    Step,
    Told,
)
from protocols.errors import Reason
from protocols.feed import ForkProof
from protocols.frontier import Frontier, Leaf
from protocols.keys import (
    AuthorKey,
    RecordId,
    Scope,
    Seed,
    SigningKey,
    neighbourhood_scope,
    network_id,
)
from protocols.neighbour import Session, scope_hash
from protocols.peer_card import sign_card
from protocols.record import (
    NO_BACKLINK,
    Record,
    decode_record,
    encode_record,
    sign_record,
)
from protocols.wire import (
    Bye,
    Card,
    Compare,
    Credit,
    Found,
    Frame,
    Goodbye,
    Graft,
    Have,
    Hello,
    NewHead,
    Nonce,
    Peers,
    Prune,
    Push,
    Range,
    Records,
    Scopes,
    Want,
    decode_frame,
    encode_frame,
)

NETWORK = network_id("session")
SCOPE = neighbourhood_scope(NETWORK, "one")
OTHER = neighbourhood_scope(NETWORK, "two")
KEYS = [SigningKey(Seed(sha256(b"%d" % i).digest())) for i in range(30)]
CARD = Card(peer="p", addresses=(), time_ms=0, signature=b"")


def chain(key: SigningKey, length: int) -> list[Record]:
    made: list[Record] = []
    for seq in range(length):
        claim = Announce(salt=bytes(16), campaign=SCOPE, title=str(seq), link="")
        record = sign_record(
            key,
            network=NETWORK,
            scope=SCOPE,
            seq=seq,
            backlink=made[-1].id if made else NO_BACKLINK,
            time_ms=seq,
            kind=Kind.ANNOUNCE,
            claim=claim,
        )
        made.append(record)
    return made


CHAINS = {key.author: chain(key, 6) for key in KEYS}


class Side:
    """A node with feeds in a dict that trusts every record it gets."""

    def __init__(
        self,
        lengths: dict[AuthorKey, int],
        *,
        dialled: bool,
        scopes: tuple[Scope, ...] = (SCOPE,),
        network: str = "session",
    ) -> None:
        self.followed = scopes
        self.feeds = {a: CHAINS[a][:n] for a, n in lengths.items() if n}
        self.frontiers = {scope: Frontier() for scope in (SCOPE, OTHER)}
        for author in self.feeds:
            self._show(author)
        self.session = Session(
            network=network_id(network),
            holdings=self,
            dialled=dialled,
            nonce=sha256(b"%d" % dialled).digest(),
            card=CARD,
        )
        self.sent: list[bytes] = []
        self.inbox: deque[bytes] = deque()
        self.closed: Close | None = None
        self.scopes_named: list[Scope] = []

    def frontier(self, scope: Scope) -> Frontier:
        return self.frontiers[scope]

    def fork(self, scope: Scope, author: AuthorKey) -> ForkProof | None:
        return None

    def erase_of(self, record: Record) -> Record | None:
        return None

    def apply(self, step: Step) -> list[bytes]:
        """Perform effects; return all frames to send, in order."""
        frames = list(step.frames)
        for effect in step.effects:
            frames += self._do(effect)
        self.sent += frames
        return frames

    def _do(self, effect: Effect) -> list[bytes]:
        if isinstance(effect, Close):
            self.closed = effect
        elif isinstance(effect, Ingest):
            frames = self._ingest([decode_record(data) for data in effect.records])
            return frames + self.session.dealt_with(effect.records).frames
        elif isinstance(effect, Serve):
            found = self.feeds[effect.author][effect.start : effect.stop]
            return self.session.serve(SCOPE, found, [effect.feed]).frames
        elif isinstance(effect, ServeIds):
            held = {r.id: r for feed in self.feeds.values() for r in feed}
            found = [held[each] for each in effect.ids if each in held]
            return self.session.found(SCOPE, found).frames
        return []

    def _ingest(self, records: list[Record]) -> list[bytes]:
        frames: list[bytes] = []
        new = False
        for record in records:
            feed = self.feeds.setdefault(record.author, [])
            if record.seq == len(feed):
                feed.append(record)
                self._show(record.author)
                new = True
            elif record.seq > len(feed):
                step = self.session.want(
                    SCOPE, record.author, len(feed), record.seq + 1
                )
                frames += step.frames
        return frames + self.session.ingested([SCOPE] if new else []).frames

    def _show(self, author: AuthorKey) -> None:
        last = self.feeds[author][-1]
        self.frontiers[SCOPE].set(Leaf(author, last.seq, last.id))


def talk(one: Side, two: Side, *steps: tuple[Side, Step]) -> None:
    """Deliver frames both ways until nobody has more to say."""
    sides = {id(one): two, id(two): one}
    for side, step in steps:
        sides[id(side)].inbox.extend(side.apply(step))
    for _ in range(10_000):
        side = one if one.inbox else two
        if not side.inbox:
            return
        data = side.inbox.popleft()
        sides[id(side)].inbox.extend(side.apply(side.session.receive(data)))
    raise AssertionError("the sessions never fall silent")


def met(one: Side, two: Side) -> None:
    talk(one, two, (one, one.session.start()), (two, two.session.start()))


lengths = st.fixed_dictionaries({key.author: st.integers(0, 6) for key in KEYS})


@settings(max_examples=60, deadline=None)
@given(lengths, lengths)
def test_two_sides_agree(a: dict[AuthorKey, int], b: dict[AuthorKey, int]) -> None:
    one, two = Side(a, dialled=True), Side(b, dialled=False)
    met(one, two)
    assert one.frontier(SCOPE).root == two.frontier(SCOPE).root
    assert {x: len(f) for x, f in one.feeds.items()} == {
        x: max(a[x], b[x]) for x in a if max(a[x], b[x])
    }
    assert one.session.in_sync(SCOPE)
    assert all(len(frame) <= limits.FRAME_MAX for frame in one.sent + two.sent)


def test_a_side_that_is_behind_is_asked_nothing() -> None:
    full = dict.fromkeys(CHAINS, 6)
    one, two = Side({}, dialled=True), Side(full, dialled=False)
    met(one, two)
    kinds = [type(decode_frame(frame)) for frame in two.sent]
    assert Want not in kinds
    assert len(one.feeds) == len(CHAINS)


def test_pushed_records_arrive_and_a_gap_is_filled() -> None:
    author = KEYS[0].author
    one, two = Side({author: 6}, dialled=True), Side({author: 6}, dialled=False)
    met(one, two)
    two.feeds[author] = CHAINS[author][:2]
    two._show(author)
    talk(one, two, (one, one.session.push(CHAINS[author][5:])))
    assert len(two.feeds[author]) == 6


def test_records_are_found_by_id() -> None:
    author = KEYS[0].author
    one, two = Side({}, dialled=True), Side({author: 3}, dialled=False)
    met(one, two)
    wanted = CHAINS[author][1].id
    talk(one, two, (one, one.session.want_ids(SCOPE, [wanted, RecordId(bytes(32))])))
    found = [decode_frame(frame) for frame in two.sent]
    assert sum(isinstance(frame, Found) for frame in found) == 1


def test_a_scope_is_named_only_to_who_knows_it() -> None:
    one = Side({KEYS[0].author: 2}, dialled=True, scopes=(OTHER, SCOPE))
    two = Side({}, dialled=False, scopes=(OTHER,))
    met(one, two)
    assert one.session.shared == two.session.shared == (OTHER,)
    assert all(frame.find(SCOPE) < 0 for frame in one.sent)
    two.followed = tuple(sorted((OTHER, SCOPE)))
    talk(one, two, (two, two.session.follow()))
    assert one.session.shared == two.session.shared == two.followed
    assert two.frontier(SCOPE).root == one.frontier(SCOPE).root


def test_echoing_the_hashes_shows_no_knowledge() -> None:
    one = Side({KEYS[0].author: 2}, dialled=True)
    one.apply(one.session.start())
    (hello,) = one.apply(one.session.receive(encode_frame(Nonce(nonce=bytes(32)))))
    one.apply(one.session.receive(hello))
    assert one.session.greeted
    assert one.session.shared == ()


@pytest.mark.parametrize(
    ("network", "reason"), [("session", None), ("elsewhere", Reason.WRONG_NETWORK)]
)
def test_networks_do_not_mix(network: str, reason: Reason | None) -> None:
    one, two = Side({}, dialled=True), Side({}, dialled=False, network=network)
    met(one, two)
    ended = one.closed or two.closed
    assert (ended and ended.reason) == reason


def greeted() -> Side:
    """A side that has met a peer who shares its scope."""
    one, two = Side({KEYS[0].author: 2}, dialled=False), Side({}, dialled=True)
    met(one, two)
    one.sent.clear()
    return one


FAULTS: list[tuple[Frame, Reason]] = [
    (Nonce(nonce=b"\7" * 32), Reason.UNEXPECTED_FRAME),
    (
        Hello(version=1, network=NETWORK, scopes=(), credit=0, card=CARD),
        Reason.UNEXPECTED_FRAME,
    ),
    (Push(scope=OTHER, records=()), Reason.UNEXPECTED_FRAME),
    (Have(scope=OTHER, heads=()), Reason.UNEXPECTED_FRAME),
    (Graft(scope=OTHER), Reason.UNEXPECTED_FRAME),
    (Prune(scope=OTHER), Reason.UNEXPECTED_FRAME),
    (Found(scope=SCOPE, records=(b"r",)), Reason.UNEXPECTED_FRAME),
    (
        Compare(
            scope=SCOPE,
            opener=False,
            root=bytes(8),
            start="",
            stop="",
            nodes=(),
            buckets=(),
            heads=(),
        ),
        Reason.UNEXPECTED_FRAME,
    ),
]


@pytest.mark.parametrize(("frame", "reason"), FAULTS)
def test_out_of_order_frames_end_the_session(frame: Frame, reason: Reason) -> None:
    side = greeted()
    side.apply(side.session.receive(encode_frame(frame)))
    assert side.closed == Close(reason=reason, fault=True)
    assert decode_frame(side.sent[-1]) == Bye(reason=reason)
    assert side.session.receive(encode_frame(frame)) == Step()


def test_junk_ends_the_session() -> None:
    side = greeted()
    side.apply(side.session.receive(b"\xc1"))
    assert side.closed == Close(reason=Reason.NOT_CANONICAL, fault=True)


def test_only_hello_after_the_nonce() -> None:
    side = Side({}, dialled=False)
    side.apply(side.session.receive(encode_frame(Scopes(scopes=()))))
    assert side.closed == Close(reason=Reason.UNEXPECTED_FRAME, fault=True)


def test_a_bye_is_nobodys_fault() -> None:
    one, two = Side({}, dialled=True), Side({}, dialled=False)
    met(one, two)
    talk(one, two, (one, one.session.bye(Goodbye.STOPPING)))
    assert two.closed == Close(reason="stopping", fault=False)


def test_a_liar_who_compares_without_end_is_let_go() -> None:
    side = greeted()
    lie = Compare(
        scope=SCOPE,
        opener=True,
        root=b"\1" * 8,
        start="",
        stop="",
        nodes=(),
        buckets=(),
        heads=(),
    )
    spent = 0
    while side.closed is None:
        spent += sum(map(len, side.apply(side.session.receive(encode_frame(lie)))))
    assert side.closed.reason == Reason.TOO_MUCH
    whole = limits.COMPARE_MAX + 256
    assert spent <= limits.WALKS_MAX * whole + limits.FRAME_MAX


def test_wants_are_bounded_on_both_sides() -> None:
    side = greeted()
    handle = bytes(8)
    many = tuple(Range(feed=handle, start=0, stop=1) for _ in range(256))
    for _ in range(20):
        want = encode_frame(Want(scope=SCOPE, ranges=many))
        side.apply(side.session.receive(want))
    assert side.closed is None, "unknown feeds are answered at once"
    last = decode_frame(side.sent[-1])
    assert isinstance(last, Records)
    assert len(last.done) == 256


RECORDS = (b"r" * 50_000,)


def test_a_peer_may_send_what_was_granted_and_no_more() -> None:
    side = greeted()
    push = encode_frame(Push(scope=SCOPE, records=RECORDS))
    for _ in range(limits.CREDIT_GRANT // 50_000):
        step = side.session.receive(push)
        assert len(step.effects) == 1
    step = side.session.receive(push)
    assert step.effects == [Close(reason=Reason.TOO_MUCH, fault=True)]


def test_credit_is_renewed_as_records_are_dealt_with() -> None:
    side = greeted()
    granted = 0
    for _ in range(200):
        push = encode_frame(Push(scope=SCOPE, records=RECORDS))
        (effect,) = side.session.receive(push).effects
        assert isinstance(effect, Ingest)
        for frame in map(decode_frame, side.session.dealt_with(RECORDS).frames):
            assert isinstance(frame, Credit)
            assert frame.size >= limits.CREDIT_GRANT // 2, "few frames, not many"
            granted += frame.size
    assert 0 <= 200 * 50_000 - granted < limits.CREDIT_GRANT // 2


def lender(credit: int) -> Side:
    """A side whose peer granted so many bytes in its hello."""
    side = Side({KEYS[0].author: 2}, dialled=False)
    nonce = sha256(b"lender").digest()
    mine = sha256(b"0").digest()
    side.apply(side.session.start())
    side.apply(side.session.receive(encode_frame(Nonce(nonce=nonce))))
    scopes = (scope_hash(SCOPE, nonce, mine),)
    hello = Hello(version=1, network=NETWORK, scopes=scopes, credit=credit, card=CARD)
    side.apply(side.session.receive(encode_frame(hello)))
    side.sent.clear()
    return side


def test_without_credit_nothing_is_pushed_and_a_grant_brings_a_comparison() -> None:
    side = lender(500)
    first, second = CHAINS[KEYS[1].author][:2]
    assert len(side.session.push([first]).frames) == 1
    assert side.session.room == 500 - len(encode_record(first))
    assert side.session.push([second]).frames == []
    step = side.session.receive(encode_frame(Credit(size=5_000)))
    (probe,) = map(decode_frame, step.frames)
    assert isinstance(probe, Compare)
    assert len(side.session.push([second]).frames) == 1
    assert side.session.receive(encode_frame(Credit(size=1))) == Step()


def test_a_hello_without_credit_sets_no_bound() -> None:
    side = lender(0)
    for record in CHAINS[KEYS[1].author]:
        assert len(side.session.push([record]).frames) == 1
    assert side.session.receive(encode_frame(Credit(size=limits.INT_MAX))) == Step()


def test_outstanding_credit_is_bounded() -> None:
    side = lender(limits.CREDIT_MAX)
    assert side.session.room == limits.CREDIT_MAX
    side.apply(side.session.receive(encode_frame(Credit(size=1))))
    assert side.closed == Close(reason=Reason.TOO_MUCH, fault=True)
    greedy = lender(limits.CREDIT_MAX + 1)
    assert greedy.closed == Close(reason=Reason.TOO_MUCH, fault=True)


def frames(step: Step) -> list[Frame]:
    return [decode_frame(data) for data in step.frames]


def head_of(record: Record) -> NewHead:
    return NewHead(author=record.author, seq=record.seq, id=record.id)


def test_a_pruned_side_only_tells_of_heads_until_it_is_grafted() -> None:
    side = greeted()
    one, two = CHAINS[KEYS[1].author][:2]
    side.session.receive(encode_frame(Prune(scope=SCOPE)))
    assert side.session.push([one, two]) == Step()
    assert side.session.has_to_tell
    assert frames(side.session.tell()) == [Have(scope=SCOPE, heads=(head_of(two),))]
    assert side.session.tell() == Step()
    side.session.receive(encode_frame(Graft(scope=SCOPE)))
    (push,) = frames(side.session.push([two]))
    assert push == Push(scope=SCOPE, records=(encode_record(two),))


def test_what_the_peer_told_is_neither_told_nor_pushed_back() -> None:
    side = greeted()
    one, two, three = CHAINS[KEYS[1].author][:3]
    told = encode_frame(Have(scope=SCOPE, heads=(head_of(two),)))
    side.session.receive(told)
    (push,) = frames(side.session.push([one, two, three]))
    assert push == Push(scope=SCOPE, records=(encode_record(three),))
    side.session.receive(encode_frame(Prune(scope=SCOPE)))
    side.session.push([three])
    three_told = Have(scope=SCOPE, heads=(head_of(three),))
    side.session.receive(encode_frame(three_told))
    assert side.session.tell() == Step()


def test_heads_that_are_absent_are_told_and_wanted_when_grafted() -> None:
    side = greeted()
    mine = CHAINS[KEYS[0].author]
    other = CHAINS[KEYS[1].author][2]
    heads = (head_of(mine[1]), head_of(mine[4]), head_of(other))
    step = side.session.receive(encode_frame(Have(scope=SCOPE, heads=heads)))
    (told,) = step.effects
    assert told == Told(scope=SCOPE, heads=heads[1:])
    assert step.frames == []
    (want,) = frames(side.session.graft(SCOPE, told.heads))
    assert isinstance(want, Want), "the peer was never pruned"
    assert [(r.start, r.stop) for r in want.ranges] == [(2, 5), (0, 3)]
    assert frames(side.session.prune(SCOPE)) == [Prune(scope=SCOPE)]
    assert side.session.prune(SCOPE) == Step(), "once is enough"
    assert not side.session.fed(SCOPE)
    assert frames(side.session.graft(SCOPE, ())) == [Graft(scope=SCOPE)]
    assert side.session.fed(SCOPE)


def test_another_head_at_my_seq_is_asked_for() -> None:
    side = greeted()
    mine = CHAINS[KEYS[0].author][1]
    other = NewHead(author=mine.author, seq=1, id=RecordId(bytes(32)))
    step = side.session.receive(encode_frame(Have(scope=SCOPE, heads=(other,))))
    (want,) = frames(step)
    assert isinstance(want, Want)
    assert [(r.start, r.stop) for r in want.ranges] == [(1, 2)]


def test_what_a_teller_makes_remember_is_bounded() -> None:
    side = greeted()
    for turn in range(20):
        heads = tuple(
            NewHead(
                author=AuthorKey(sha256(b"%d %d" % (turn, i)).digest()),
                seq=i,
                id=RecordId(bytes(32)),
            )
            for i in range(512)
        )
        side.session.receive(encode_frame(Have(scope=SCOPE, heads=heads)))
    assert len(side.session._heads._theirs) == limits.HEADS_KNOWN_MAX
    assert not side.session.closed


def test_cards_of_others_are_passed_on_as_they_were_signed() -> None:
    side = greeted()
    card = sign_card(KEYS[1], NETWORK, ["/ip4/9.9.9.9/tcp/1"], 5)
    (frame,) = frames(side.session.peers([card]))
    step = side.session.receive(encode_frame(frame))
    assert step.effects == [PeerCards(cards=(card,), own=False)]


BAD_CARDS = [
    replace(sign_card(KEYS[1], NETWORK, (), 5), time_ms=6),
    replace(sign_card(KEYS[1], NETWORK, (), 5), signature=b""),
    sign_card(KEYS[1], network_id("elsewhere"), (), 5),
]


@pytest.mark.parametrize("card", BAD_CARDS, ids=["forged", "unsigned", "foreign"])
def test_a_card_that_is_not_signed_ends_the_session(card: Card) -> None:
    side = greeted()
    side.apply(side.session.receive(encode_frame(Peers(cards=(card,)))))
    assert side.closed == Close(reason=Reason.BAD_SIGNATURE, fault=True)


def test_a_hello_with_a_forged_card_ends_the_session() -> None:
    side = Side({}, dialled=False)
    side.session.receive(encode_frame(Nonce(nonce=bytes(32))))
    hello = Hello(version=1, network=NETWORK, scopes=(), credit=0, card=BAD_CARDS[0])
    side.apply(side.session.receive(encode_frame(hello)))
    assert side.closed == Close(reason=Reason.BAD_SIGNATURE, fault=True)
    assert not side.session.greeted


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    side = greeted()
    for data in frames:
        side.session.receive(data)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_flipped_byte_of_a_real_frame_raises(data: st.DataObject) -> None:
    one = Side(dict.fromkeys(CHAINS, 3), dialled=True)
    two = Side(dict.fromkeys(CHAINS, 2), dialled=False)
    met(one, two)
    side = Side(dict.fromkeys(CHAINS, 2), dialled=False)
    for frame in one.sent:
        raw = bytearray(frame)
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at] ^= data.draw(st.integers(1, 255))
        side.session.receive(bytes(raw))


def spec_side(nonce: bytes, peer: str, *, holds: bool) -> Side:
    """A side of the example in spec 0006."""
    side = Side({}, dialled=peer == "A")
    network = network_id("main")
    side.followed = (neighbourhood_scope(network, "lake"),)
    side.frontiers = {side.followed[0]: Frontier()}
    if holds:
        side.frontiers[side.followed[0]].set(SPEC_LEAF)
    side.session = Session(
        network=network,
        holdings=side,
        dialled=peer == "A",
        nonce=nonce,
        card=Card(peer=peer, addresses=(), time_ms=1, signature=b""),
    )
    return side


SPEC = Path(protocols.__file__).parent / "spec" / "0006-neighbours.md"
SPEC_LEAF = Leaf(
    SigningKey(Seed(bytes(32))).author,
    0,
    RecordId(
        bytes.fromhex(
            "5bc96a61f2d349c4836872cb204be0f502fe4bcd9847395963e424e24c8bd590"
        )
    ),
)


def test_the_example_of_the_spec_is_what_sessions_say() -> None:
    text = SPEC.read_text(encoding="utf-8")
    a = spec_side(b"\xaa" * 32, "A", holds=False)
    b = spec_side(b"\xbb" * 32, "B", holds=True)
    first, second = a.apply(a.session.start()), b.apply(b.session.start())
    hello_b = b.apply(b.session.receive(first[0]))
    a.apply(a.session.receive(second[0]))
    opening = a.apply(a.session.receive(hello_b[0]))
    b.apply(b.session.receive(a.sent[1]))
    heads = b.apply(b.session.receive(opening[0]))
    a.apply(a.session.receive(heads[0]))
    assert len(a.sent + b.sent) == 7
    for frame in a.sent + b.sent:
        assert f"`{frame.hex()}`" in text
