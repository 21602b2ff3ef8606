"""Comparing two frontiers, top down, a few legs each way. Spec 0006.

A walk is a chain of `compare` frames that answer one another. Each leg says
only what the frame before made interesting: deeper digests where digests
differ, all rows where few feeds are left, heads where feeds differ. Answers
need no memory of the walk, so a liar can fill none; a list that would outgrow
its frame ends early, `stop` says where, and the opener walks on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from protocols.frontier import NOTHING, Frontier, Leaf
from protocols.limits import BUCKET_MAX, COMPARE_MAX, DIGEST_SIZE, NODES_MAX, ROWS_MAX
from protocols.wire import Bucket, Compare, HeadRow, Node, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocols.keys import Scope

DIGITS = "0123456789abcdef"

ROW_SIZE = 24
"""Bytes a row or head takes at most."""

PREFIX_SIZE = 72
"""Bytes a bucket takes at most, besides its rows."""

NODE_SIZE = 176
"""Bytes a node takes at most."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One feed in which the two frontiers differ."""

    feed: bytes
    """Its handle in this session."""
    mine: Leaf | None
    seq: int
    """Where the peer stands: its head, or the lowest seq that forked."""
    forked: bool
    """Whether the peer knows the feed to be forked."""

    @property
    def behind(self) -> bool:
        """Whether the peer's feed is longer than mine."""
        return self.mine is None or self.mine.seq < self.seq


@dataclass(frozen=True, slots=True)
class Reply:
    """What a leg leads to."""

    compare: Compare
    """The next leg; not needed by an opener if it is the last."""
    differences: tuple[Difference, ...]

    @property
    def last(self) -> bool:
        """Whether nothing is left to ask."""
        return not (self.compare.nodes or self.compare.buckets)


@dataclass(frozen=True, slots=True)
class View:
    """A frontier as one session shows it: salted, so nothing can be ground."""

    scope: Scope
    frontier: Frontier
    salt: bytes

    def digest(self, data: bytes) -> bytes:
        """8 salted bytes for a hash."""
        return sha256(self.salt + data).digest()[:8]

    def name(self, path: str) -> bytes:
        """4 salted bytes for a path."""
        return self.digest(bytes.fromhex(path))[:4]

    def handle(self, leaf: Leaf) -> bytes:
        """What a feed is called in this session."""
        return self.handle_of(leaf.path)

    def handle_of(self, path: str) -> bytes:
        """What the feed at a path is called in this session."""
        return bytes.fromhex(path[:8]) + self.name(path)

    def resolve(self, handle: bytes) -> Leaf | None:
        """The feed here with that handle, or None."""
        for leaf in self.frontier.leaves(handle[:4].hex()):
            if self.name(leaf.path) == handle[4:]:
                return leaf
        return None

    def row(self, leaf: Leaf) -> Row:
        """A feed in a bucket."""
        name = self.handle(leaf) + self.digest(leaf.hash)[:4]
        return Row(name=name, seq=leaf.seq, forked=leaf.forked)

    def child_digests(self, prefix: str) -> list[bytes | None]:
        """The digests of sixteen children, None where there is no feed."""
        hashes = (self.frontier.hash(prefix + digit) for digit in DIGITS)
        return [None if h == NOTHING else self.digest(h)[:DIGEST_SIZE] for h in hashes]

    @property
    def root(self) -> bytes:
        """The digest of the whole frontier."""
        return self.digest(self.frontier.root)


def probe(view: View) -> Compare:
    """A first leg of few bytes: only the root's digest."""
    return _Sheet(view=view, opener=True).compare()


def opening(view: View, start: str = "") -> Compare:
    """A first leg: all rows, or one or two levels of digests, from `start` on."""
    sheet = _Sheet(view=view, opener=True, start=start)
    sheet.expand_top()
    return sheet.compare()


def is_probe(frame: Compare) -> bool:
    """Whether a leg shows nothing but its root."""
    return frame.opener and not (frame.nodes or frame.buckets or frame.heads)


def answer(view: View, frame: Compare) -> Reply:
    """Answer a leg of the peer's with the next one."""
    sheet = _Sheet(
        view=view, opener=not frame.opener, start=frame.start, stop=frame.stop
    )
    if is_probe(frame) and frame.root != view.root:
        sheet.expand_top()
    shown: tuple[Node | Bucket, ...] = (*frame.nodes, *frame.buckets)
    for item in sorted(shown, key=lambda item: item.prefix):
        if isinstance(item, Node):
            sheet.take_node(item)
        else:
            sheet.take_bucket(item)
    for head in frame.heads:
        sheet.take_head(head)
    return Reply(sheet.compare(), tuple(sheet.differences))


@dataclass(slots=True, kw_only=True)
class _Sheet:
    """A leg being written, in ascending order of paths, within a frame's bytes."""

    view: View
    opener: bool
    start: str = ""
    stop: str = ""
    room: int = COMPARE_MAX
    nodes: list[Node] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)
    heads: list[HeadRow] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def compare(self) -> Compare:
        """The frame as it stands."""
        return Compare(
            scope=self.view.scope,
            opener=self.opener,
            root=self.view.root,
            start=self.start,
            stop=self.stop,
            nodes=tuple(self.nodes),
            buckets=tuple(self.buckets),
            heads=tuple(self.heads),
        )

    def take_node(self, node: Node) -> None:
        """Go one level down where the peer's digests of children differ."""
        theirs = _spread(node)
        mine = self.view.child_digests(node.prefix)
        for digit, their, my in zip(DIGITS, theirs, mine, strict=True):
            prefix = node.prefix + digit
            if their == my or self._outside(prefix):
                continue
            if their is None:
                for leaf in self._covered(prefix):
                    self._show(leaf)
            else:
                self.expand(prefix)

    def take_bucket(self, bucket: Bucket) -> None:
        """Compare the peer's feeds below a prefix with mine, one by one."""
        if self._outside(bucket.prefix):
            return
        theirs = {row.name[:8]: row for row in bucket.rows}
        for leaf in self._covered(bucket.prefix):
            row = theirs.pop(self.view.handle(leaf), None)
            if row is None:
                self._show(leaf)
            elif row != self.view.row(leaf):
                self._differ(leaf, row)
        for handle, row in theirs.items():
            found = Difference(handle, None, row.seq, forked=row.forked)
            self.differences.append(found)

    def take_head(self, head: HeadRow) -> None:
        """Learn where the peer stands in a feed that differs."""
        mine = self.view.resolve(head.feed)
        found = Difference(head.feed, mine, head.seq, forked=head.forked)
        self.differences.append(found)

    def expand_top(self) -> None:
        """Show the top: two levels of digests if there are many feeds."""
        many = self.view.frontier.count("") > 16 * BUCKET_MAX
        for prefix in DIGITS if many else ("",):
            self.expand(prefix)

    def expand(self, prefix: str) -> None:
        """Show what is below a prefix: digests, or the feeds if they are few."""
        if self._outside(prefix):
            return
        if self.view.frontier.count(prefix) > BUCKET_MAX:
            self._add_node(prefix)
        else:
            self._add_bucket(prefix)

    def _add_node(self, prefix: str) -> None:
        if len(self.nodes) == NODES_MAX or not self._fits(NODE_SIZE, prefix):
            self.stop = prefix
            return
        digests = self.view.child_digests(prefix)
        mask = sum(1 << i for i, digest in enumerate(digests) if digest is not None)
        packed = b"".join(digest for digest in digests if digest is not None)
        self.nodes.append(Node(prefix=prefix, mask=mask, digests=packed))

    def _add_bucket(self, prefix: str) -> None:
        rows = tuple(self.view.row(leaf) for leaf in self._covered(prefix))
        size = PREFIX_SIZE + ROW_SIZE * len(rows)
        if len(self.buckets) == ROWS_MAX or not self._fits(size, prefix):
            self.stop = prefix
            return
        self.buckets.append(Bucket(prefix=prefix, rows=rows))

    def _differ(self, mine: Leaf, row: Row) -> None:
        """Note a feed that both have; show mine unless it is merely shorter."""
        found = Difference(row.name[:8], mine, row.seq, forked=row.forked)
        self.differences.append(found)
        if not found.behind or found.forked or mine.forked:
            self._show(mine)

    def _show(self, leaf: Leaf) -> None:
        if len(self.heads) == ROWS_MAX or not self._fits(ROW_SIZE, leaf.path):
            self.stop = leaf.path
            return
        handle = self.view.handle(leaf)
        self.heads.append(HeadRow(feed=handle, seq=leaf.seq, forked=leaf.forked))

    def _fits(self, size: int, prefix: str) -> bool:
        """Take `size` bytes of the room, unless this leg was cut before."""
        if size > self.room or self._outside(prefix):
            return False
        self.room -= size
        return True

    def _outside(self, prefix: str) -> bool:
        """Whether no path below a prefix is part of this walk (any more)."""
        before = prefix < self.start[: len(prefix)]
        return before or (self.stop != "" and prefix >= self.stop)

    def _covered(self, prefix: str) -> Iterator[Leaf]:
        """My feeds below a prefix, as far as they are part of this walk."""
        for leaf in self.view.frontier.leaves(prefix, self.start):
            if self._outside(leaf.path):
                return
            yield leaf


def _spread(node: Node) -> list[bytes | None]:
    """The digests of sixteen children, None where there is no feed."""
    places = range(0, len(node.digests), DIGEST_SIZE)
    digests = iter([node.digests[at : at + DIGEST_SIZE] for at in places])
    return [next(digests) if node.mask >> i & 1 else None for i in range(16)]
