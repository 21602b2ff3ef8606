"""How a test swarm is laid out: names, who dials whom, parts, who lags. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pnode.failures import BAD_REQUEST, Failure


def names(count: int) -> list[str]:
    """The first names: A to Z, then AA, AB and so on."""
    return [_name(number) for number in range(count)]


def _name(number: int) -> str:
    head, last = divmod(number, 26)
    return (_name(head - 1) if head else "") + chr(ord("A") + last)


def dials(members: Sequence[str]) -> dict[str, list[str]]:
    """Whom each member dials: 1, 2, 4, 8... places further on in a ring.

    So everybody is reached in few steps, by few connections, over many ways.
    """
    count = len(members)
    steps = [1 << bit for bit in range((count - 1).bit_length())]
    return {
        name: [members[(place + step) % count] for step in steps]
        for place, name in enumerate(members)
    }


def parts(text: str, known: Sequence[str]) -> list[list[str]]:
    """Read "A,B / C,D"; those not named are one more part.

    Raises:
        Failure: `bad-parts`: a name is unknown or stands twice, or there are
            fewer than two parts.
    """
    found = [part.replace(",", " ").upper().split() for part in text.split("/")]
    found = [part for part in found if part]
    named = [name for part in found for name in part]
    strange = [name for name in named if name not in known or named.count(name) > 1]
    rest = [name for name in known if name not in named]
    if rest:
        found.append(rest)
    if strange or len(found) < 2:
        raise Failure(
            "bad-parts",
            "{text} does not cut the swarm into parts.",
            "Names of {known}, each once, in two or more parts.",
            "For example: p2pnode swarm partition A,B / C,D",
            BAD_REQUEST,
            text=text.strip() or '""',
            known=", ".join(known),
        )
    return found


def blocked(name: str, cut: Sequence[Sequence[str]]) -> list[str]:
    """Whom a member must not talk to while the swarm is cut."""
    others = [part for part in cut if name not in part]
    return [other for part in others for other in part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one node stands."""

    name: str
    running: bool = False
    neighbours: int = 0
    feeds: int = 0
    records: int = 0
    root: str = ""
    """What it holds, in 8 hex digits: the same records give the same."""


def lags(standings: Sequence[Standing]) -> Mapping[str, int]:
    """How many records fewer each running node holds than the one with most."""
    running = [one for one in standings if one.running]
    most = max((one.records for one in running), default=0)
    return {one.name: most - one.records for one in running}


def agree(standings: Sequence[Standing]) -> bool:
    """Whether all running nodes hold the same."""
    return len({one.root for one in standings if one.running}) == 1
