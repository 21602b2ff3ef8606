"""Every attack of `tests/hostile` on a node that runs, honest work going on.

The soak (`python -m tests.soak`) does the same for an hour, with more of each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping

import pytest
import trio

from cli import client
from protocols.invite_link import read_invite_link
from protocols.keys import network_id
from protocols.text import read_campaign
from tests.bench.daemon import memory_mb
from tests.hostile import __main__ as attackers
from tests.hostile import bytes as below
from tests.hostile import door, frames
from tests.hostile.peer import Attack, Victim
from tests.nodes import Daemon, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.net,
    pytest.mark.skipif(sys.platform == "win32", reason="memory is asked of POSIX"),
]

MEMORY_MOST_MB = 256 * 2**20 / 1e6
AT_ONCE = 4
"""Attackers at a time: together they stay below the victim's slots."""


class Street:
    """The victim, its honest neighbour, and what both have acknowledged."""

    def __init__(self, shop: Daemon, alice: Daemon) -> None:
        self.shop = shop
        self.alice = alice
        self.codes = shop.publish(balloons=1, seen="60s")
        alice.do("campaign", "join", shop.do("campaign", "invite")["link"])
        until(lambda: alice.do("campaign", "list")["campaigns"][0]["terms"])
        (campaign,) = shop.do("campaign", "list")["campaigns"]
        link = shop.do("campaign", "invite", "--uses", "0")["link"]
        self.victim = Victim(
            address=shop.ready().addresses[0],
            network=network_id(shop.keys.network),
            scope=read_campaign(campaign["campaign"]),
            link=read_invite_link(link),
            door=client.door(shop.home).port,
            patience_s=0.5,
        )
        self.acknowledged: dict[str, None] = {}

    def served(self) -> None:
        """Both sign a record, and each gets the other's."""
        for node in (self.shop, self.alice):
            self.acknowledged[node.scan(self.codes[0])] = None
        for node in (self.shop, self.alice):
            until(lambda node=node: self.acknowledged.keys() <= node.records().keys())  # type: ignore[misc]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    shop, alice = Daemon(folder / "shop", "merchant"), Daemon(folder / "alice")
    try:
        shop.up()
        alice.up()
        yield Street(shop, alice)
    finally:
        for node in (shop, alice):
            node.stop()


async def all_of(attacks: Mapping[str, Attack], victim: Victim) -> dict[str, str]:
    """Make these attacks, a few at a time; what became of each."""
    ends: dict[str, str] = {}
    free = trio.CapacityLimiter(AT_ONCE)

    async def one(name: str, attack: Attack) -> None:
        async with free:
            ends[name] = await attackers.attempt(attack, victim)

    async with trio.open_nursery() as nursery:
        for name, attack in attacks.items():
            nursery.start_soon(one, name, attack)
    return ends


EVERY = {
    "below the streams": below.ATTACKS,
    "frames": frames.ATTACKS | frames.CHAINS,
    "local door": door.ATTACKS,
}
LONG = () if os.environ.get("P2PNODE_HOSTILE") == "all" else ("1,000", "unread", "many")
"""Parts of names of attacks left to the soak, and to P2PNODE_HOSTILE=all."""

GROUPS = {
    group: {name: a for name, a in attacks.items() if not any(x in name for x in LONG)}
    for group, attacks in EVERY.items()
}


@pytest.mark.parametrize("group", GROUPS)
async def test_the_honest_are_served_meanwhile(group: str, street: Street) -> None:
    ends: dict[str, str] = {}
    async with trio.open_nursery() as nursery:
        done = trio.Event()

        async def attack() -> None:
            ends.update(await all_of(GROUPS[group], street.victim))
            done.set()

        nursery.start_soon(attack)
        while not done.is_set():
            await trio.to_thread.run_sync(street.served)
    await trio.to_thread.run_sync(street.served)
    for node in (street.shop, street.alice):
        assert node.running()
        assert node.log_text() == ""
        assert memory_mb(node.ready().pid) < MEMORY_MOST_MB
    assert sorted(ends) == sorted(GROUPS[group])
    failed = {name: end for name, end in ends.items() if end.startswith("attacker")}
    assert failed == {}
