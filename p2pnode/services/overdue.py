"""Heads that neighbours told of and whose records have not come. Spec 0006 §7.

New records come by the links of a tree; the other links only tell of heads. If
what was told does not come in time, the tree is broken there: who told first is
asked for it and grafted, then two more, then four. So neither a tree link that
swallows records nor tellers that lie delay one for long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from p2pnode.ports import Seconds
    from p2pnode.services.feeds import Feeds
    from p2pnode.services.link import Link
    from protocols.effects import Told
    from protocols.keys import AuthorKey, Scope
    from protocols.wire import NewHead

WAIT_SECONDS: Final = 1.5
"""How long told records may take by the tree: some ten links."""

AGAIN_SECONDS: Final = 0.5
"""How long those may take who were asked, before the next are."""

PAUSE_SECONDS: Final = 0.05
"""Between two looks: tellers of nonsense must not keep a node looking."""

TOLD_MAX: Final = 1_024
"""Absent feeds that one link may tell of; what it tells beyond is compared later."""


@dataclass(slots=True)
class _Absent:
    """A feed of which something was told."""

    due_at: Seconds
    tellers: dict[Link, NewHead] = field(default_factory=dict)
    """Who was not asked yet, in the order they told."""
    turn: int = 0
    """How often somebody was asked."""


class Overdue:
    """The heads that this node waits for.

    Args:
        feeds: what has come.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._absent: dict[tuple[Scope, AuthorKey], _Absent] = {}
        self._counts: dict[Link, int] = {}
        """How many feeds each link stands for."""
        self._wake = trio.Event()

    async def run(self) -> None:
        """Ask for what is overdue, until cancelled."""
        while True:
            self._wake = trio.Event()
            with trio.move_on_at(self.next_at()):
                await self._wake.wait()
            for link, scope, heads in self.due(trio.current_time()):
                link.graft(scope, heads)
            await trio.sleep(PAUSE_SECONDS)

    def told(self, link: Link, told: Told, now: Seconds) -> None:
        """A peer has heads that are not here."""
        for head in told.heads:
            key = (told.scope, head.author)
            absent = self._absent.get(key)
            known = absent is not None and link in absent.tellers
            if not known and self._counts.get(link, 0) >= TOLD_MAX:
                continue
            if absent is None:
                absent = self._absent[key] = _Absent(due_at=now + WAIT_SECONDS)
            if not known:
                self._counts[link] = self._counts.get(link, 0) + 1
            absent.tellers[link] = head
        self._wake.set()

    def gone(self, link: Link) -> None:
        """A link ended: it is not asked any more."""
        for absent in self._absent.values():
            absent.tellers.pop(link, None)
        self._counts.pop(link, None)

    def next_at(self) -> Seconds:
        """When something may be overdue."""
        return min((absent.due_at for absent in self._absent.values()), default=inf)

    def due(self, now: Seconds) -> list[tuple[Link, Scope, list[NewHead]]]:
        """Whom to graft, and for which heads; what has come is forgotten."""
        asks: dict[tuple[Link, Scope], list[NewHead]] = {}
        late = [key for key, absent in self._absent.items() if absent.due_at <= now]
        for key in late:
            absent = self._absent[key]
            held = self._feeds.head(*key)
            for link, head in list(absent.tellers.items()):
                if held is not None and held.seq >= head.seq:
                    self._forget(absent, link)
            for link in list(absent.tellers)[: 2**absent.turn]:
                asks.setdefault((link, key[0]), []).append(absent.tellers[link])
                self._forget(absent, link)
            absent.turn, absent.due_at = absent.turn + 1, now + AGAIN_SECONDS
            if not absent.tellers:
                del self._absent[key]
        return [(link, scope, heads) for (link, scope), heads in asks.items()]

    def _forget(self, absent: _Absent, link: Link) -> None:
        del absent.tellers[link]
        self._counts[link] -= 1
