"""A record that the disk has changed is fetched again from a neighbour."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from p2pnode.net.simulated import World
from p2pnode.ports import Store, StoreDamaged
from p2pnode.services.feeds import Draft, Feeds
from p2pnode.services.neighbours import Manners, Neighbours
from p2pnode.store.memory import MemoryStore
from p2pnode.store.sqlite import open_store
from p2pnode.swarm.simulation import NETWORK, SeededRng, SimulatedClock
from protocols.claims import Announce, Kind
from protocols.keys import Scope, neighbourhood_scope
from tests.worlds import key_of

SCOPE = neighbourhood_scope(NETWORK, "damage")


def drafts(count: int) -> list[Draft]:
    return [
        Draft(
            kind=Kind.ANNOUNCE,
            claim=Announce(
                salt=bytes(16), campaign=Scope(bytes(32)), title=f"n{i}", link=""
            ),
        )
        for i in range(count)
    ]


async def live(world: World, nursery: trio.Nursery, name: str, store: Store) -> Feeds:
    rng = SeededRng(name)
    feeds = Feeds(store, NETWORK, SimulatedClock(), rng)
    await feeds.open()
    await feeds.follow(SCOPE)
    neighbours = Neighbours(
        feeds,
        store,
        world.network(name),
        SimulatedClock(),
        rng,
        Manners(reconcile_s=0.2, dial_s=0.05),
    )
    await nursery.start(neighbours.run)
    for other in ("whole", "hurt"):
        if other != name and world.named(other) is not None:
            await neighbours.add(f"/sim/{other}/p2p/peer-{other}")
    return feeds


def damage(path: Path, column: str) -> None:
    """Flip the last bit of a part of the third record."""
    with sqlite3.connect(path) as database:
        (rowid, part), *_ = database.execute(
            f"select rowid, {column} from records where seq = 2"
        ).fetchall()
        changed = part[:-1] + bytes([part[-1] ^ 1])
        database.execute(
            f"update records set {column} = ? where rowid = ?", (changed, rowid)
        )
    database.close()


@pytest.mark.parametrize("column", ["claim", "signature"])
async def test_a_changed_record_is_mended_by_a_neighbour(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "records.sqlite"
    key = key_of("shop")
    store = await open_store(path)
    feeds = Feeds(store, NETWORK, SimulatedClock(), SeededRng("first"))
    await feeds.open()
    await feeds.follow(SCOPE)
    records = await feeds.publish_many(key, SCOPE, drafts(5))
    await store.close()
    damage(path, column)
    whole, newcomer = MemoryStore(), MemoryStore()
    await whole.append(records)
    hurt = await open_store(path)
    with pytest.raises(StoreDamaged):
        await hurt.get(records[2].id)
    world = World(1)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await live(world, nursery, "hurt", hurt)
            await live(world, nursery, "newcomer", newcomer)
            await live(world, nursery, "whole", whole)
            while len(await newcomer.scope_records(SCOPE)) < 5:  # noqa: ASYNC110
                await trio.sleep(0.05)
            while await _is_damaged(hurt, records[2].id):  # noqa: ASYNC110
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert await hurt.get(records[2].id) == records[2]
    await hurt.close()


async def _is_damaged(store: Store, record_id) -> bool:
    try:
        return await store.get(record_id) is None
    except StoreDamaged:
        return True
