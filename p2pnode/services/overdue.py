"""Heads that neighbours told of and whose records have not come. Spec 0006 §7.

New records come by the links of a tree; the other links only tell of heads. If
what was told does not come in time, the tree is broken there: who told first is
asked for it and grafted, then two more, then four. So neither a tree link that
swallows records nor tellers that lie delay one for long.

Those who were to bring what another brought, when it was asked, are late: they are no
reason to prune others until they have brought enough. So who swallows now and then
delays its records once, not each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final, cast

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from p2pnode.ports import Seconds
    from p2pnode.services.feeds import Feeds
    from p2pnode.services.link import Link
    from protocols.effects import Told
    from protocols.keys import AuthorKey, Scope
    from protocols.record import Record
    from protocols.wire import NewHead

WAIT_SECONDS: Final = 1.5
"""How long told records may take by the tree: some ten links."""

AGAIN_SECONDS: Final = 0.5
"""How long those may take who were asked, before the next are."""

PAUSE_SECONDS: Final = 0.05
"""Between two looks: tellers of nonsense must not keep a node looking."""

TOLD_MAX: Final = 1_024
"""Absent feeds that one link may tell of; what it tells beyond is compared later."""


PROOF_COUNT: Final = 32
"""Batches that a late link brings until it is trusted again."""

LATE_ENOUGH: Final = 3
"""So many late links may do for one that is trusted: not all bring all for ever."""


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
        fed: the links that are to push what is new in a scope.
    """

    def __init__(self, feeds: Feeds, fed: Callable[[Scope], Iterable[Link]]) -> None:
        self._feeds = feeds
        self._fed = fed
        self._asked: dict[tuple[Scope, AuthorKey], dict[Link, tuple[Link, ...]]] = {}
        """Absent feed -> who was asked for it, and who should have brought it."""
        self._late: dict[tuple[Link, Scope], int] = {}
        """Links that brought nothing in time -> how much they still have to."""
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
        self._late = {one: n for one, n in self._late.items() if one[0] is not link}
        for asked in self._asked.values():
            asked.pop(link, None)

    def came(self, link: object, records: Sequence[Record]) -> None:
        """New records came by a link."""
        for record in records:
            asked = self._asked.pop((record.scope, record.author), {})
            for one, fed in asked.items():
                if one is link:
                    late = [(each, record.scope) for each in fed]
                    self._late.update(dict.fromkeys(late, PROOF_COUNT))
        for scope in dict.fromkeys(record.scope for record in records):
            place = cast("Link", link), scope
            if place in self._late:
                self._late[place] -= 1
                if not self._late[place]:
                    del self._late[place]

    def suffices(self, links: Iterable[Link], scope: Scope) -> bool:
        """Whether these links are enough to bring what is new."""
        late = [(link, scope) in self._late for link in links]
        return not all(late) or len(late) >= LATE_ENOUGH

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
            fed = tuple(self._fed(key[0]))
            for link in list(absent.tellers)[: 2**absent.turn]:
                self._ask(key, link, fed)
                asks.setdefault((link, key[0]), []).append(absent.tellers[link])
                self._forget(absent, link)
            absent.turn, absent.due_at = absent.turn + 1, now + AGAIN_SECONDS
            if not absent.tellers:
                del self._absent[key]
        return [(link, scope, heads) for (link, scope), heads in asks.items()]

    def _ask(
        self, key: tuple[Scope, AuthorKey], link: Link, fed: Sequence[Link]
    ) -> None:
        """Remember whom to thank for a feed, the earliest who was asked first."""
        asked = self._asked.setdefault(key, {})
        asked.setdefault(link, tuple(one for one in fed if one is not link))
        if len(self._asked) > TOLD_MAX:
            del self._asked[next(iter(self._asked))]

    def _forget(self, absent: _Absent, link: Link) -> None:
        del absent.tellers[link]
        self._counts[link] -= 1
