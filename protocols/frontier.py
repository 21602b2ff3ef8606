"""Where the feeds of one scope stand, as a 16-way Merkle trie. Spec 0006.

The path of a feed is the hex form of SHA-256(author), so nobody can choose a
crowded corner of the trie without working for it. The hash of a prefix depends
only on the leaves below it: nothing, the one leaf's hash, or the hash of its
sixteen children. Two frontiers are equal exactly when their roots are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from protocols.codec import Value
from protocols.keys import AuthorKey, RecordId, tagged_hash

NOTHING = bytes(32)
"""The hash of a prefix without feeds."""

"""Hex digits of a path."""


def path_of(author: AuthorKey) -> str:
    """The place of an author's feed in the trie: 64 hex digits."""
    return sha256(author).hexdigest()


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where one feed stands."""

    author: AuthorKey
    seq: int
    """Of the head; of a forked feed the lowest seq that forked."""
    id: RecordId
    """Of the head; of a forked feed the record before the fork, or zeros."""
    forked: bool = False
    """Forked, and complete below. Whose branch is held makes no difference."""
    path: str = field(init=False)
    hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        value: list[Value] = [self.author, self.seq, self.id, self.forked]
        object.__setattr__(self, "path", path_of(self.author))
        object.__setattr__(self, "hash", tagged_hash("frontier", value))


class _Branch:
    """A prefix with two or more feeds; hash and count are made when asked for."""

    __slots__ = ("_hash", "children", "count")

    def __init__(self) -> None:
        self.children: list[_Node] = [None] * 16
        self.count = 0
        self._hash: bytes | None = None

    @property
    def hash(self) -> bytes:
        if self._hash is None:
            below = [NOTHING if c is None else c.hash for c in self.children]
            self._hash = sha256(b"\x01" + b"".join(below)).digest()
        return self._hash

    def put(self, leaf: Leaf, depth: int) -> int:
        """Place `leaf` below and return by how many the feeds grew: 0 or 1."""
        index = int(leaf.path[depth], 16)
        child = self.children[index]
        self._hash = None
        if isinstance(child, _Branch):
            grown = child.put(leaf, depth + 1)
        else:
            self.children[index] = _joined(child, leaf, depth + 1)
            grown = 0 if child is not None and child.path == leaf.path else 1
        self.count += grown
        return grown


_Node = Leaf | _Branch | None


def _joined(old: Leaf | None, new: Leaf, depth: int) -> Leaf | _Branch:
    """One node for a leaf that stands at a place and one that is put there."""
    if old is None or old.path == new.path:
        return new
    branch = _Branch()
    branch.put(old, depth)
    branch.put(new, depth)
    return branch


class Frontier:
    """The feeds of one scope, each at its head. Updates take O(log n)."""

    def __init__(self) -> None:
        self._top = _Branch()
        self._leaves: dict[AuthorKey, Leaf] = {}

    def __len__(self) -> int:
        return len(self._leaves)

    def set(self, leaf: Leaf) -> None:
        """Say where a feed stands now."""
        self._leaves[leaf.author] = leaf
        self._top.put(leaf, 0)

    def get(self, author: AuthorKey) -> Leaf | None:
        """Where an author's feed stands, or None."""
        return self._leaves.get(author)

    @property
    def root(self) -> bytes:
        """32 bytes: equal for equal sets of leaves, and for no others."""
        return self.hash("")

    def hash(self, prefix: str) -> bytes:
        """The hash of a prefix; `NOTHING` where there is no feed."""
        node = self._node(prefix)
        if node is self._top and len(self) < 2:
            return next((leaf.hash for leaf in self.leaves()), NOTHING)
        return NOTHING if node is None else node.hash

    def count(self, prefix: str) -> int:
        """How many feeds stand below a prefix."""
        node = self._node(prefix)
        if isinstance(node, _Branch):
            return node.count
        return 0 if node is None else 1

    def leaves(self, prefix: str = "", start: str = "") -> Iterator[Leaf]:
        """The leaves below `prefix` whose path is at least `start`, ascending."""
        node = self._node(prefix)
        if node is not None:
            yield from _walk(node, prefix, start)

    def _node(self, prefix: str) -> _Node:
        node: _Node = self._top
        for digit in prefix:
            if not isinstance(node, _Branch):
                break
            node = node.children[int(digit, 16)]
        if isinstance(node, Leaf) and not node.path.startswith(prefix):
            return None
        return node


def _walk(node: Leaf | _Branch, prefix: str, start: str) -> Iterator[Leaf]:
    if prefix < start[: len(prefix)]:
        return
    if isinstance(node, Leaf):
        if node.path >= start:
            yield node
        return
    for digit, child in zip("0123456789abcdef", node.children, strict=True):
        if child is not None:
            yield from _walk(child, prefix + digit, start)
