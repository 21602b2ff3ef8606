"""Merkle trees: RFC 9162's shape, and proofs that hold for one leaf only."""

from __future__ import annotations

from hashlib import sha256

import pytest

from protocols.codec import encode
from protocols.errors import ProtocolError, Reason
from protocols.merkle import EMPTY_ROOT, Tree, check_path, leaf_hash, path, root

TREE = Tree.STATEMENT


def leaves(count):
    return [[bytes([i]) * 32, i] for i in range(count)]


def rfc_9162(hashes):
    """MTH of §2.1.1, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    pair = rfc_9162(hashes[:split]) + rfc_9162(hashes[split:])
    return sha256(b"\x01" + pair).digest()


def refused(*proof):
    with pytest.raises(ProtocolError) as caught:
        check_path(TREE, *proof)
    return caught.value.reason is Reason.BAD_PROOF


@pytest.mark.parametrize("count", range(34))
def test_the_root_is_rfc_9162s(count):
    hashes = [leaf_hash(TREE, leaf) for leaf in leaves(count)]
    assert root(TREE, leaves(count)) == rfc_9162(hashes)


def test_no_leaves_have_the_hash_of_nothing():
    assert root(TREE, []) == EMPTY_ROOT == sha256(b"").digest()


def test_a_leaf_names_its_tree():
    expected = sha256(b"\x00" + encode([4, [1]])).digest()
    assert leaf_hash(Tree.STATEMENT, [1]) == expected
    assert leaf_hash(Tree.ROWS, [1]) != expected


@pytest.mark.parametrize("count", range(1, 10))
def test_every_path_proves_its_leaf_at_its_place_only(count):
    all_leaves = leaves(count)
    top = root(TREE, all_leaves)
    for index, leaf in enumerate(all_leaves):
        proof = path(TREE, all_leaves, index)
        check_path(TREE, leaf, index, count, proof, top)
        for other in range(-1, count + 2):
            if other != index:
                assert refused(leaf, other, count, proof, top)
        assert refused([leaf[0], 99], index, count, proof, top)
        assert refused(leaf, index, count, (*proof, bytes(32)), top)
        assert refused(leaf, index, count, proof, bytes(32))
        for at in range(len(proof)):
            assert refused(leaf, index, count, proof[:at] + proof[at + 1 :], top)
            wrong = (*proof[:at], bytes(32), *proof[at + 1 :])
            assert refused(leaf, index, count, wrong, top)


@pytest.mark.parametrize("count", range(1, 10))
def test_a_count_of_another_depth_or_below_the_leaf_is_refused(count):
    all_leaves = leaves(count)
    top = root(TREE, all_leaves)
    for index, leaf in enumerate(all_leaves):
        proof = path(TREE, all_leaves, index)
        for other in (0, index, 2 * count + 1, 2**53 - 1):
            if other != count:
                assert refused(leaf, index, other, proof, top)


def test_nothing_is_proven_of_an_empty_tree():
    assert refused([1], 0, 0, (), EMPTY_ROOT)


def test_an_inner_node_never_passes_for_a_leaf():
    all_leaves = leaves(4)
    top = root(TREE, all_leaves)
    left = root(TREE, all_leaves[:2])
    assert refused(left, 0, 2, (root(TREE, all_leaves[2:]),), top)
