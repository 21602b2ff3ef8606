"""Closes: what a sponsor signs, and the lists behind its roots. Spec 0009 §3.

The lists travel as `part` records in the sponsor's own feed before the close
that names their roots, so whoever holds the feed holds the lists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from protocols.claims import Close, Kind, Part
from protocols.codec import Value, decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.keys import RecordId
from protocols.limits import LIST_MAX, PART_MAX
from protocols.merkle import Tree, root
from protocols.record import Record
from protocols.settlement.cut import (
    CUT_ENTRY,
    FORK_ENTRY,
    LINE,
    ROW,
    Declared,
    Incomplete,
)
from protocols.settlement.settle import Settlement
from protocols.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What a close commits to, in full: the lists as canonical leaves."""

    declared: Declared
    settlement: Settlement

    def lists(self) -> dict[Tree, list[Value]]:
        """The leaves of the four lists."""
        return {
            Tree.CUT: [CUT_ENTRY.write(entry) for entry in self.declared.cut],
            Tree.FORKS: [FORK_ENTRY.write(fork) for fork in self.declared.forks],
            Tree.ROWS: [ROW.write(row) for row in self.settlement.rows],
            Tree.STATEMENT: [LINE.write(line) for line in self.settlement.lines],
        }


def close_claim(terms: Terms, closing: Closing, previous: bytes, salt: bytes) -> Close:
    """The close of a settled round.

    Args:
        terms: the campaign's terms.
        closing: what is declared and its settlement.
        previous: id of the close before; at first the campaign id.
        salt: 16 random bytes.
    """
    lists, settlement = closing.lists(), closing.settlement
    return Close(
        salt=salt,
        round=settlement.round,
        previous=previous,
        finals=tuple(sorted(closing.declared.finals)),
        cut_root=root(Tree.CUT, lists[Tree.CUT]),
        cut_count=len(lists[Tree.CUT]),
        forks_root=root(Tree.FORKS, lists[Tree.FORKS]),
        forks_count=len(lists[Tree.FORKS]),
        rows_root=root(Tree.ROWS, lists[Tree.ROWS]),
        rows_count=len(lists[Tree.ROWS]),
        statement_root=root(Tree.STATEMENT, lists[Tree.STATEMENT]),
        lines=len(lists[Tree.STATEMENT]),
        paid=settlement.earned,
        residue=settlement.residue,
        unspent=settlement.unspent,
        last=settlement.last,
        unit=terms.unit,
        redeem_until=terms.redeem_until,
    )


def parts(lists: dict[Tree, list[Value]]) -> list[tuple[int, bytes, int, bytes]]:
    """Cut lists into parts: (tree, root, index, data); empty lists have none."""
    found: list[tuple[int, bytes, int, bytes]] = []
    for tree in sorted(lists):
        top = root(tree, lists[tree])
        chunks = _chunks(lists[tree])
        found += [(int(tree), top, i, encode(chunk)) for i, chunk in enumerate(chunks)]
    return found


def _chunks(leaves: list[Value]) -> list[list[Value]]:
    """Whole leaves, as many as fit into each part."""
    chunks: list[list[Value]] = []
    room = 0
    for leaf in leaves:
        size = len(encode(leaf))
        if size > room or len(chunks[-1]) == LIST_MAX:
            chunks.append([])
            room = PART_MAX - 3
        chunks[-1].append(leaf)
        room -= size
    return chunks


LISTS = (Tree.CUT, Tree.FORKS, Tree.ROWS, Tree.STATEMENT)
"""The lists that a close names by root and count."""


def list_of(claim: Close, tree: Tree) -> tuple[bytes, int]:
    """The root and the count by which a close names one of its `LISTS`."""
    named = {
        Tree.CUT: (claim.cut_root, claim.cut_count),
        Tree.FORKS: (claim.forks_root, claim.forks_count),
        Tree.ROWS: (claim.rows_root, claim.rows_count),
        Tree.STATEMENT: (claim.statement_root, claim.lines),
    }
    return named[tree]


def read_lists(
    claim: Close, before: Iterable[Record], trees: Collection[Tree] = LISTS
) -> Declared:
    """Put together what a close declares from the parts before it.

    Args:
        claim: the close.
        before: the records of the same feed below the close.
        trees: the lists that are asked for; the others are left empty.

    Raises:
        Incomplete: with the roots of lists that are not wholly here.
        ProtocolError: WRONG_CLOSE for a list that breaks its shape.
    """
    found: dict[tuple[int, bytes], dict[int, bytes]] = {}
    for record in before:
        if record.kind == Kind.PART and record.claim_bytes is not None:
            part: Part = record.claim()
            found.setdefault((part.tree, part.root), {})[part.index] = part.data
    missing: list[bytes] = []
    lists: dict[Tree, list[Value]] = {tree: [] for tree in LISTS}
    for tree in trees:
        top, count = list_of(claim, tree)
        leaves = _leaves(found.get((int(tree), top), {}))
        if len(leaves) != count or root(tree, leaves) != top:
            missing.append(top)
        lists[tree] = leaves
    if missing:
        raise Incomplete(missing)
    try:
        return Declared(
            round=claim.round,
            finals=tuple(RecordId(final) for final in claim.finals),
            cut=tuple(CUT_ENTRY.read(leaf) for leaf in lists[Tree.CUT]),
            forks=tuple(FORK_ENTRY.read(leaf) for leaf in lists[Tree.FORKS]),
            rows=tuple(ROW.read(leaf) for leaf in lists[Tree.ROWS]),
            lines=tuple(LINE.read(leaf) for leaf in lists[Tree.STATEMENT]),
        )
    except ProtocolError as error:
        raise ProtocolError(Reason.WRONG_CLOSE, error.detail) from error


def _leaves(chunks: dict[int, bytes]) -> list[Value]:
    leaves: list[Value] = []
    for index in range(len(chunks)):
        try:
            value = decode(chunks.get(index, b""), PART_MAX)
        except ProtocolError:
            return []
        if not isinstance(value, list):
            return []
        leaves += value
    return leaves
