"""Who is asked when told records do not come."""

from __future__ import annotations

from typing import Any, cast

from p2pnode.services.overdue import (
    AGAIN_SECONDS,
    TOLD_MAX,
    WAIT_SECONDS,
    Overdue,
)
from protocols.effects import Told
from protocols.feed import Head
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.wire import NewHead

SCOPE = Scope(bytes(32))


class Held:
    """Feeds of which only the heads matter."""

    def __init__(self) -> None:
        self.heads: dict[AuthorKey, Head] = {}

    def head(self, _scope: Scope, author: AuthorKey) -> Head | None:
        return self.heads.get(author)


def head(number: int, seq: int = 0) -> NewHead:
    return NewHead(
        author=AuthorKey(number.to_bytes(32, "big")), seq=seq, id=RecordId(bytes(32))
    )


def waiting() -> tuple[Overdue, Held]:
    held = Held()
    return Overdue(cast("Any", held)), held


def tell(overdue: Overdue, link: str, *heads: NewHead, now: float = 0.0) -> None:
    overdue.told(cast("Any", link), Told(scope=SCOPE, heads=heads), now)


def asked(overdue: Overdue, now: float) -> list[tuple[Any, list[int]]]:
    return [
        (link, [int.from_bytes(each.author, "big") for each in heads])
        for link, _, heads in overdue.due(now)
    ]


def test_the_first_teller_is_asked_then_two_then_four() -> None:
    overdue, _ = waiting()
    for link in "abcdefgh":
        tell(overdue, link, head(1))
    assert asked(overdue, WAIT_SECONDS / 2) == []
    now = overdue.next_at()
    assert now == WAIT_SECONDS
    assert asked(overdue, now) == [("a", [1])]
    assert asked(overdue, now) == []
    assert [x for x, _ in asked(overdue, now + AGAIN_SECONDS)] == list("bc")
    assert [x for x, _ in asked(overdue, now + 2 * AGAIN_SECONDS)] == list("defg")
    assert [x for x, _ in asked(overdue, now + 3 * AGAIN_SECONDS)] == ["h"]
    assert overdue.next_at() == float("inf")


def test_what_came_is_asked_of_nobody() -> None:
    overdue, held = waiting()
    tell(overdue, "a", head(1, seq=4), head(2))
    tell(overdue, "b", head(1, seq=6))
    held.heads[head(1).author] = Head(5, RecordId(bytes(32)))
    assert asked(overdue, WAIT_SECONDS) == [("b", [1]), ("a", [2])]


def test_a_link_that_ended_is_not_asked() -> None:
    overdue, _ = waiting()
    tell(overdue, "a", head(1))
    tell(overdue, "b", head(1))
    overdue.gone(cast("Any", "a"))
    assert asked(overdue, WAIT_SECONDS) == [("b", [1])]


def test_a_teller_of_nonsense_fills_only_its_share() -> None:
    overdue, _ = waiting()
    tell(overdue, "liar", *(head(i) for i in range(2 * TOLD_MAX)))
    tell(overdue, "liar", *(head(i, seq=9) for i in range(TOLD_MAX)))
    tell(overdue, "good", head(7), head(5 * TOLD_MAX))
    ((_, lies), (_, truth)) = asked(overdue, WAIT_SECONDS)
    assert len(lies) == TOLD_MAX
    assert truth == [5 * TOLD_MAX]
    assert asked(overdue, 2 * WAIT_SECONDS) == [("good", [7])]
    tell(overdue, "liar", head(3 * TOLD_MAX))
    assert asked(overdue, 9.0) == [("liar", [3 * TOLD_MAX])]
