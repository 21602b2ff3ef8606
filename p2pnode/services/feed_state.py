"""Where each feed of a scope stands, in memory; the store is the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.feed import ForkProof, Head
from protocols.frontier import Frontier, Leaf
from protocols.record import NO_BACKLINK

if TYPE_CHECKING:
    from protocols.keys import AuthorKey, RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """Where one feed stands."""

    head: Head | None = None
    """The last record held, of whichever branch."""
    fork: ForkProof | None = None
    """The lowest fork known."""
    below: RecordId = NO_BACKLINK
    """The record held just before the fork; zeros if there is none."""

    @property
    def next_seq(self) -> int:
        """The seq of the record that would extend it."""
        return 0 if self.head is None else self.head.seq + 1

    def leaf(self, author: AuthorKey) -> Leaf | None:
        """How it stands in the frontier: as forked once it is complete below."""
        if self.fork is not None and self.next_seq >= self.fork.seq:
            return Leaf(author, self.fork.seq, self.below, forked=True)
        if self.head is not None:
            return Leaf(author, self.head.seq, self.head.id)
        return None


class ScopeState:
    """All feeds of one scope, and the frontier over them."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self._feeds: dict[AuthorKey, FeedState] = {}

    def get(self, author: AuthorKey) -> FeedState:
        """Where an author's feed stands; an unknown one is empty."""
        return self._feeds.get(author, FeedState())

    def put(self, author: AuthorKey, state: FeedState) -> None:
        """Say where a feed stands now."""
        self._feeds[author] = state
        leaf = state.leaf(author)
        if leaf is not None:
            self.frontier.set(leaf)

    def forks(self) -> tuple[ForkProof, ...]:
        """The proofs of all forked feeds, by author."""
        states = (self._feeds[author] for author in sorted(self._feeds))
        return tuple(state.fork for state in states if state.fork is not None)
