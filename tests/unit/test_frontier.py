"""Frontiers: equal roots for equal feeds, and walks that find what differs."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.frontier import NOTHING, Frontier, Leaf
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.limits import FRAME_MAX
from protocols.reconcile import View, answer, opening, probe
from protocols.wire import Bucket, Compare, decode_frame, encode_frame

SCOPE = Scope(bytes(32))
SALT = bytes(range(32))
Stand = tuple[int, bytes, bool]

authors = st.integers(0, 400).map(lambda n: AuthorKey(sha256(b"%d" % n).digest()))
stands = st.tuples(
    st.integers(0, 3), st.binary(min_size=32, max_size=32), st.booleans()
)
feeds = st.dictionaries(authors, stands, max_size=300)


def frontier_of(feeds: Mapping[AuthorKey, Stand]) -> Frontier:
    made = Frontier()
    for author, (seq, head, forked) in feeds.items():
        made.set(Leaf(author, seq, RecordId(head), forked=forked))
    return made


def many(count: int, tag: str = "") -> dict[AuthorKey, Stand]:
    names = [f"{tag}{i}".encode() for i in range(count)]
    return {
        AuthorKey(sha256(n).digest()): (len(n), sha256(n + b"h").digest(), False)
        for n in names
    }


LARGE = frontier_of(many(5_000))


class Walks:
    """All walks of one side until it has seen the whole frontier."""

    def __init__(self, mine: Frontier, theirs: Frontier) -> None:
        self.views = [View(SCOPE, mine, SALT), View(SCOPE, theirs, SALT)]
        self.found: list[set[bytes]] = [set(), set()]
        self.size = self.legs = 0
        start: str | None = ""
        while start is not None:
            start = self.walk(start) or None

    def walk(self, start: str) -> str:
        """One walk; return where it ended, empty for the end."""
        frame, side = opening(self.views[0], start), 1
        while True:
            data = encode_frame(frame)
            self.size += len(data)
            self.legs += 1
            reply = answer(self.views[side], frame)
            self.found[side] |= {item.feed for item in reply.differences}
            last = not (frame.nodes or frame.buckets)
            if last or (side == 0 and reply.last and not reply.compare.heads):
                return reply.compare.stop
            frame, side = reply.compare, 1 - side


def differing(a: Mapping[AuthorKey, Stand], b: Mapping[AuthorKey, Stand]) -> set[bytes]:
    view = View(SCOPE, Frontier(), SALT)
    return {
        view.handle(Leaf(author, 0, RecordId(bytes(32))))
        for author in {*a, *b}
        if a.get(author) != b.get(author)
    }


@given(feeds, st.randoms(use_true_random=False))
def test_root_depends_only_on_the_feeds(
    all_: dict[AuthorKey, Stand], rng: Random
) -> None:
    items = list(all_.items())
    rng.shuffle(items)
    one, other = frontier_of(all_), frontier_of(dict(items))
    assert one.root == other.root
    assert [leaf.author for leaf in one.leaves()] == [
        leaf.author for leaf in other.leaves()
    ]


@given(feeds, authors)
def test_every_change_changes_the_root(
    all_: dict[AuthorKey, Stand], author: AuthorKey
) -> None:
    frontier = frontier_of(all_)
    before = frontier.root
    frontier.set(Leaf(author, 9, RecordId(bytes(32))))
    assert frontier.root != before
    assert frontier.count("") == len({*all_, author})
    assert frontier.get(author) in list(frontier.leaves())


def test_an_empty_frontier_is_nothing() -> None:
    assert Frontier().root == NOTHING
    assert Frontier().count("a") == 0
    assert not list(Frontier().leaves())


def test_leaves_start_where_they_are_told() -> None:
    frontier = frontier_of(many(50))
    paths = [leaf.path for leaf in frontier.leaves()]
    assert paths == sorted(paths)
    assert [x.path for x in frontier.leaves("", paths[20])] == paths[20:]
    assert [x.path for x in frontier.leaves("3")] == [p for p in paths if p[0] == "3"]


@settings(max_examples=50, deadline=None)
@given(feeds, feeds, feeds)
def test_walks_find_exactly_what_differs(
    both: dict[AuthorKey, Stand], a: dict[AuthorKey, Stand], b: dict[AuthorKey, Stand]
) -> None:
    mine, theirs = {**both, **a}, {**both, **b}
    walks = Walks(frontier_of(mine), frontier_of(theirs))
    assert walks.found[0] | walks.found[1] == differing(mine, theirs)


def test_a_walk_that_outgrows_its_frames_goes_on_where_it_stopped() -> None:
    for mine, theirs in (({}, many(9_000)), (many(9_000), many(9_000, "b"))):
        walks = Walks(frontier_of(mine), frontier_of(theirs))
        assert walks.found[0] | walks.found[1] == differing(mine, theirs)


def test_hundred_of_ten_thousand_cost_less_than_twenty_kilobytes() -> None:
    mine = many(10_000)
    moved = {a: (s + 1, h, f) for a, (s, h, f) in list(mine.items())[::100]}
    for a, b in ((mine, {**mine, **moved}), ({**mine, **moved}, mine)):
        walks = Walks(frontier_of(a), frontier_of(b))
        assert walks.found[0] | walks.found[1] == differing(a, b)
        assert walks.size + 14 * len(moved) < 20_000
        assert walks.legs <= 6


def test_a_probe_of_equals_takes_one_small_answer() -> None:
    view = View(SCOPE, frontier_of(many(500)), SALT)
    reply = answer(view, probe(view))
    assert reply.last
    assert not reply.differences
    assert len(encode_frame(reply.compare)) < 64


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("0123456789abcdef", max_size=6), max_size=40, unique=True))
def test_answers_to_a_liar_fit_a_frame(prefixes: list[str]) -> None:
    view = View(SCOPE, LARGE, SALT)
    lie = Compare(
        scope=SCOPE,
        opener=True,
        root=bytes(8),
        start="",
        stop="",
        nodes=(),
        buckets=tuple(Bucket(prefix=p, rows=()) for p in sorted(prefixes)),
        heads=(),
    )
    reply = answer(view, lie)
    assert len(encode_frame(reply.compare)) <= FRAME_MAX
    assert decode_frame(encode_frame(reply.compare)) == reply.compare
