"""Ranges of feeds that one side wants of the other. Spec 0006 §4, §5.

A feed's range is first a wish. It is asked for when there is room among the
ranges the peer may be asked for at once, and then it is open until the peer
says that it is done, or is given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.limits import WANTS_MAX, WANTS_OPEN_MAX
from protocols.wire import Range, Want

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.feed import ForkProof
    from protocols.keys import Scope
    from protocols.reconcile import Difference, View

Key = tuple["Scope", bytes]
"""A scope, and a feed's handle in the session."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A range that will be asked for when there is room: start <= seq < stop."""

    start: int
    stop: int
    again: bool
    """Ask for what is held here too: the peer holds something else."""


def wish_for(found: Difference, proof: ForkProof | None) -> Wish | None:
    """What to ask for, given where the peer stands and a fork known here.

    These are rules 4 and 5 of spec 0006 §4.
    """
    stop = found.seq if found.forked else found.seq + 1
    if proof is not None:
        stop = min(stop, proof.seq)
    mine = found.mine
    start = 0 if mine is None else mine.seq + 1
    if start < stop:
        return Wish(start, stop, again=False)
    clash = mine is not None and (mine.seq, mine.forked) == (found.seq, found.forked)
    last = found.seq - 1 if found.forked else found.seq
    return Wish(last, last + 1, again=True) if clash and last >= 0 else None


class Asking:
    """What one session will ask for, and what it has asked for."""

    def __init__(self) -> None:
        self._wishes: dict[Key, Wish] = {}
        self._open: dict[Key, int] = {}
        """Ranges asked for; the number counts the calls of `renew` since."""

    def wish(self, scope: Scope, feed: bytes, wish: Wish) -> None:
        """Remember a range to ask for; of a feed the latest holds.

        Beyond `WANTS_MAX` it is forgotten: comparing finds it again.
        """
        if len(self._wishes) < WANTS_MAX:
            self._wishes[scope, feed] = wish

    def ask(self, view: Callable[[Scope], View]) -> list[Want]:
        """As many wishes as may be open at once, one a feed; they are open now.

        Args:
            view: a scope as the session shows it.
        """
        ranges: dict[Scope, list[Range]] = {}
        for key in [key for key in self._wishes if key not in self._open]:
            if len(self._open) == WANTS_OPEN_MAX:
                break
            scope, feed = key
            item = _range(view(scope), feed, self._wishes.pop(key))
            if item is not None:
                self._open[key] = 0
                ranges.setdefault(scope, []).append(item)
        return [Want(scope=scope, ranges=tuple(r)) for scope, r in ranges.items()]

    def done(self, scope: Scope, feed: bytes) -> None:
        """The peer says that an open range ends here."""
        self._open.pop((scope, feed), None)

    def renew(self) -> None:
        """Give up what was open at the last call already, so that it can be asked."""
        self._open = {key: n + 1 for key, n in self._open.items() if n == 0}

    def is_busy(self, scope: Scope) -> bool:
        """Whether anything is still asked for, or will be."""
        return any(key[0] == scope for key in (*self._open, *self._wishes))


def _range(view: View, feed: bytes, wish: Wish) -> Range | None:
    """What of a wish is still worth asking: others may have served it."""
    start = wish.start
    if not wish.again:
        leaf = view.resolve(feed)
        start = max(start, leaf.seq + 1) if leaf else start
    if start >= wish.stop:
        return None
    return Range(feed=feed, start=start, stop=wish.stop)
