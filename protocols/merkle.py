"""Merkle trees of RFC 9162 §2.1.1 over canonical leaves. Spec 0002.

Leaf data is a canonical array that begins with the tree's number, so a leaf of
one tree never passes for a leaf of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from hashlib import sha256

from protocols.codec import Value, encode
from protocols.errors import ProtocolError, Reason


class Tree(IntEnum):
    """Which list a root commits to."""

    CUT = 1
    FORKS = 2
    ROWS = 3
    STATEMENT = 4
    SERIALS = 5
    GROUP = 6


EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(tree: Tree, leaf: Value) -> bytes:
    """Hash of one leaf: 0x00, then the canonical [tree, leaf]."""
    return sha256(b"\x00" + encode([int(tree), leaf])).digest()


def root(tree: Tree, leaves: Sequence[Value]) -> bytes:
    """Root over all leaves in their order; of none SHA-256 of nothing."""
    return _root([leaf_hash(tree, leaf) for leaf in leaves])


def path(tree: Tree, leaves: Sequence[Value], index: int) -> tuple[bytes, ...]:
    """Sibling hashes from leaf `index` up to the root."""
    hashes = [leaf_hash(tree, leaf) for leaf in leaves]
    return tuple(_path(hashes, index))


def check_path(
    tree: Tree, leaf: Value, index: int, count: int, proof: Sequence[bytes], top: bytes
) -> None:
    """Check that `leaf` is leaf `index` of `count` under the root `top`.

    Raises:
        ProtocolError: BAD_PROOF.
    """
    if not 0 <= index < count:
        raise ProtocolError(Reason.BAD_PROOF, "index outside the tree")
    node, last, here = leaf_hash(tree, leaf), count - 1, index
    for sibling in proof:
        if last == 0:
            raise ProtocolError(Reason.BAD_PROOF, "path too long")
        if here & 1 or here == last:
            node = _node(sibling, node)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            node = _node(node, sibling)
        here, last = here >> 1, last >> 1
    if last != 0 or node != top:
        raise ProtocolError(Reason.BAD_PROOF, "root differs")


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _root(hashes: Sequence[bytes]) -> bytes:
    """Pairing level by level gives RFC 9162's tree; an odd node moves up."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        odd = [level[-1]] if len(level) & 1 else []
        level = [
            _node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)
        ] + odd
    return level[0]


def _path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    if len(hashes) == 1:
        return []
    half = _split(len(hashes))
    if index < half:
        return [*_path(hashes[:half], index), _root(hashes[half:])]
    return [*_path(hashes[half:], index - half), _root(hashes[:half])]
