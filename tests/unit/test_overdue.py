"""Who is asked when told records do not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from p2pnode.services.overdue import (
    AGAIN_SECONDS,
    LATE_ENOUGH,
    PROOF_COUNT,
    TOLD_MAX,
    WAIT_SECONDS,
    Overdue,
)
from protocols.effects import Told
from protocols.feed import Head
from protocols.keys import AuthorKey, RecordId, Scope
from protocols.wire import NewHead

SCOPE = Scope(bytes(32))

FED = ("slow", "slower")
"""The links of the tree."""


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
    return Overdue(cast("Any", held), lambda _scope: cast("Any", FED)), held


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


@dataclass(frozen=True)
class Came:
    """A record of which only the place matters."""

    author: AuthorKey
    scope: Scope = SCOPE


def bring(overdue: Overdue, link: str, number: int) -> None:
    overdue.came(link, cast("Any", [Came(head(number).author)]))


def suffice(overdue: Overdue, *links: str) -> bool:
    return overdue.suffices(cast("Any", links), SCOPE)


def test_who_did_not_bring_what_another_had_is_no_reason_to_prune() -> None:
    overdue, _ = waiting()
    tell(overdue, "teller", head(1))
    assert asked(overdue, WAIT_SECONDS) == [("teller", [1])]
    assert suffice(overdue, "slow"), "it may not exist"
    bring(overdue, "teller", 1)
    assert not suffice(overdue, *FED)
    assert suffice(overdue, "slow", "teller")
    assert suffice(overdue, *FED, "third"), "the third was not asked to push"
    for _ in range(PROOF_COUNT):
        assert not suffice(overdue, "slow")
        bring(overdue, "slow", 2)
    assert suffice(overdue, "slow")
    assert not suffice(overdue, "slower")
    overdue.gone(cast("Any", "slower"))
    assert suffice(overdue, "slower")


def test_what_comes_late_but_comes_accuses_nobody() -> None:
    overdue, _ = waiting()
    tell(overdue, "teller", head(1))
    asked(overdue, WAIT_SECONDS)
    bring(overdue, "slow", 1)
    bring(overdue, "teller", 1)
    assert suffice(overdue, "slower")


def test_where_all_are_late_some_are_enough() -> None:
    overdue, _ = waiting()
    links = [f"late {number}" for number in range(LATE_ENOUGH)]
    overdue._fed = lambda _scope: cast("Any", links)
    tell(overdue, "teller", head(1))
    asked(overdue, WAIT_SECONDS)
    bring(overdue, "teller", 1)
    assert not suffice(overdue, *links[1:])
    assert suffice(overdue, *links)
