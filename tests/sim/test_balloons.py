"""Ten whole nodes play the balloons in a simulated world, in bad weather."""

from __future__ import annotations

from hashlib import sha256

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.net.simulated import Weather
from p2pnode.node import Node
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.simulation import (
    EPOCH_MS,
    SeededRng,
    SimulatedClock,
    Village,
    simulate,
)
from protocols.keys import Seed, SigningKey
from protocols.settlement.verify import Verdict
from protocols.tags.code import About, make_batch, make_serial, read_code
from protocols.tags.entry import group_root
from protocols.terms import Group, Round
from protocols.terms import Witness as TermsWitness
from tests.worlds import World

pytestmark = [pytest.mark.sim, pytest.mark.slow]

ROUGH = Weather(loss=0.01, reset=0.01, refuse=0.05)
SHOPS = ("bakery", "bookshop", "pharmacy", "teahouse")
PEOPLE = ("alice", "bob", "carol", "dave")
TREE = {"alice": "sponsor", "bob": "alice", "carol": "bob", "dave": "carol"}
BALLOONS = 4
SECOND = 1_000


class Town:
    """Ten nodes in a village's world."""

    def __init__(self, village: Village) -> None:
        self.village = village
        self.nodes: dict[str, Node] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.lives: dict[str, trio.CancelScope] = {}
        self.births = 0

    def identity(self, name: str) -> Identity:
        seed = sha256(name.encode()).digest()
        merchant = name in (*SHOPS, "sponsor", "charity")
        return Identity(
            role="merchant" if merchant else "resident",
            name=name,
            network="simulation",
            transport_seed=seed,
            author_key=SigningKey(Seed(seed)) if merchant else None,
            root_seed=seed,
        )

    async def born(self, name: str) -> Node:
        self.births += 1
        store = self.stores.setdefault(name, MemoryStore())
        store.reopen()
        node = Node(
            self.identity(name),
            store=store,
            network=self.village.world.network(name),
            clock=SimulatedClock(),
            rng=SeededRng(f"{name} {self.births}"),
        )
        self.nodes[name], self.lives[name] = node, trio.CancelScope()
        await self.village.nursery.start(self._live, node, self.lives[name])
        return node

    async def _live(
        self,
        node: Node,
        life: trio.CancelScope,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with life:
            await node.run(task_status=task_status)

    async def crash(self, name: str) -> None:
        self.village.world.crash(name)
        self.lives[name].cancel()
        await trio.sleep(0.1)
        del self.nodes[name]

    async def until(self, act, within_s: float = 60):
        with trio.fail_after(within_s):
            while True:
                try:
                    return await act()
                except Failure:
                    await trio.sleep(0.5)

    async def view(self, name: str):
        library = self.nodes[name].library
        return await library.view(library.entries[0].campaign)

    def terms(self, entries):
        world = World(balloons=BALLOONS)
        rounds = tuple(
            Round(
                opens=EPOCH_MS,
                closes=EPOCH_MS + (k + 1) * 60 * SECOND,
                accept_until=EPOCH_MS + (k + 1) * 60 * SECOND + 10 * SECOND,
                final_from=EPOCH_MS + (k + 1) * 60 * SECOND + 15 * SECOND,
            )
            for k in range(5)
        )
        shops = [self.identity(name).author_keys[0] for name in SHOPS]
        keys = sorted(key.author for key in shops)
        sponsor = self.identity("sponsor")
        mine = sponsor.author_keys[0].author
        changes = {
            "network": sponsor.network_id,
            "sponsor": (mine,),
            "witnesses": tuple(TermsWitness(key=key, owner="shop") for key in keys),
            "rounds": rounds,
            "budget": BALLOONS * 400_000,
            "seen_interval_ms": 2_000,
            "groups": (
                Group(name="balloons", count=BALLOONS, root=group_root(entries)),
            ),
        }
        return World(balloons=BALLOONS, changes=changes).terms, world


async def play(village: Village, town: Town) -> None:
    names = ["sponsor", *SHOPS, "charity", *PEOPLE]
    for name in names:
        await town.born(name)
    sponsor = town.nodes["sponsor"]
    key = sponsor.identity.author_key
    assert key is not None
    secrets = [[bytes([n]) * 16] for n in range(BALLOONS)]
    labels = [f"balloon {n}" for n in range(BALLOONS)]
    tags = make_batch(key.author, b"b" * 16, labels, secrets, About())
    terms, _ = town.terms([tag.entry for tag in tags])
    rows = [(tag.entry, tag.serial_keys()) for tag in tags]
    campaign = await sponsor.acts.publish(terms, [("balloons", rows)])
    for name in (*SHOPS, "charity"):
        await town.nodes[name].acts.follow(campaign, sponsor.network.addresses)
    for name in PEOPLE:
        inviter = town.nodes[TREE[name]]
        link = await town.until(lambda inviter=inviter: _invite(inviter))
        await town.nodes[name].acts.join(link)
    codes = [make_serial(key, tag.entry, 0, tag.secrets[0]) for tag in tags]
    dave = town.nodes["dave"]
    await town.until(lambda: dave.acts.scan(read_code(codes[0])))
    village.world.partition(
        [["sponsor", "bakery", "alice", "bob"], ["carol", "dave", *SHOPS[1:]]]
    )
    await town.crash("pharmacy")
    for name, code in zip(("alice", "carol"), codes[1:3], strict=True):
        node = town.nodes[name]
        await town.until(lambda node=node, code=code: node.acts.scan(read_code(code)))
    await trio.sleep(20)
    village.world.heal()
    await town.born("pharmacy")
    bob = town.nodes["bob"]
    await town.until(lambda: bob.acts.scan(read_code(codes[3])))
    await town.until(lambda: _close(town), within_s=600)
    for name in names:
        await town.until(lambda name=name: _verified(town, name), within_s=300)


async def _invite(node: Node):
    view = await node.library.view(node.library.entries[0].campaign)
    return await node.acts.invite(view, uses=1)


async def _close(town: Town):
    view = await town.view("sponsor")
    books = town.nodes["sponsor"].books
    settled = (await books.verify(view)).settlement
    if settled is None or not all(settled.conditions):
        raise Failure("not-yet", "not yet")
    return await books.close(view)


async def _verified(town: Town, name: str):
    view = await town.view(name)
    reports = (await town.nodes[name].books.verify(view)).reports
    if not reports or reports[-1].statement is Verdict.INCOMPLETE:
        raise Failure("not-yet", "not yet")
    return reports[-1]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.untraced)])
def test_all_nodes_settle_alike_after_a_partition_and_a_crash(seed: int) -> None:
    digests = {}

    async def run(village: Village) -> None:
        town = Town(village)
        await play(village, town)
        for name in town.nodes:
            report = await _verified(town, name)
            assert report.statement is Verdict.OK
            assert report.settlement is not None
            digests[name] = report.settlement.statement_root
            assert sum(line.amount for line in report.settlement.lines) == 1_600_000

    simulate(seed, run, weather=ROUGH)
    assert len(digests) == 10
    assert len(set(digests.values())) == 1
