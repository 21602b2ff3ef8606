"""A commit in doubt: the store is opened again before anything else is signed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import pytest
import trio

from p2pnode.failures import Failure
from p2pnode.identity import Identity
from p2pnode.keeper import Keeper
from p2pnode.net.simulated import World as SimulatedWorld
from p2pnode.node import Node
from p2pnode.ports import Store, StoreInDoubt
from p2pnode.store.memory import MemoryStore
from p2pnode.system import SystemClock, SystemRng
from protocols.claims import Announce, Kind
from protocols.keys import Scope, neighbourhood_scope, network_id
from tests.worlds import key_of

SCOPE = neighbourhood_scope(network_id("test"), "street")


class Broken:
    """A hook that leaves one call in doubt."""

    def __init__(self, *, landed: bool) -> None:
        self.landed = landed
        self.armed = False

    def __call__(self, call: str) -> None:
        if self.armed and call == "append":
            self.armed = False
            raise StoreInDoubt("fsync failed")


def keeper_of(store: MemoryStore) -> Keeper:
    identity = Identity(
        role="merchant",
        name="shop",
        network="test",
        transport_seed=bytes(32),
        author_key=key_of("shop"),
        root_seed=secrets.token_bytes(32),
    )
    world = SimulatedWorld(1)

    async def open_store() -> Store:
        await trio.lowlevel.checkpoint()
        store.reopen()
        return store

    def build(opened: Store) -> Node:
        network = world.network("shop")
        return Node(
            identity,
            store=opened,
            network=network,
            clock=SystemClock(),
            rng=SystemRng(),
        )

    return Keeper(open_store, build)


async def announce(node: Node, title: str) -> int:
    claim = Announce(
        salt=secrets.token_bytes(16), campaign=Scope(SCOPE), title=title, link=""
    )
    record = await node.feeds.publish(key_of("shop"), SCOPE, Kind.ANNOUNCE, claim)
    return record.seq


async def another(keeper: Keeper, before: Node) -> Node:
    """The node that is at work after `before`."""
    with trio.fail_after(5):
        while True:
            try:
                if keeper.node is not before:
                    return keeper.node
            except Failure as failure:
                assert failure.reason == "store-reopening"  # noqa: PT017
            await trio.sleep(0.01)


@pytest.mark.parametrize("landed", [True, False])
async def test_nothing_is_signed_twice_after_a_doubt(
    landed: bool,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Broken(landed=landed)
    unused: Callable[[str], None] | None = None
    store = MemoryStore(unused if landed else hook, hook if landed else unused)
    keeper = keeper_of(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        first = keeper.node
        await first.feeds.follow(SCOPE)
        assert [await announce(first, "0"), await announce(first, "1")] == [0, 1]
        hook.armed = True
        with pytest.raises(StoreInDoubt):
            await announce(first, "2")
        with pytest.raises(StoreInDoubt):
            await announce(first, "2 again")
        second = await another(keeper, first)
        assert second.feeds.head(SCOPE, key_of("shop").author) is not None
        assert await announce(second, "2 or 3") == (3 if landed else 2)
        with pytest.raises(StoreInDoubt):
            await announce(first, "by the old node")
        records = await store.scope_records(SCOPE)
        assert [record.seq for record in records] == list(range(4 if landed else 3))
        assert not await store.forks(SCOPE)
        nursery.cancel_scope.cancel()
    assert "opens its store again" in caplog.text


async def test_a_disk_that_never_works_is_asked_less_and_less(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    opened: list[float] = []
    store = MemoryStore()
    keeper = keeper_of(store)
    inner = keeper._open_store

    async def open_store() -> Store:
        opened.append(trio.current_time())
        if len(opened) > 1:
            raise StoreInDoubt("fsync failed")
        return await inner()

    keeper._open_store = open_store
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        hook = Broken(landed=False)
        store.before, hook.armed = hook, True
        with pytest.raises(StoreInDoubt):
            await keeper.node.feeds.follow(SCOPE)
        await trio.sleep(300)
        with pytest.raises(Failure, match="opens its store again"):
            _ = keeper.node
        nursery.cancel_scope.cancel()
    assert 10 < len(opened) < 20
    assert caplog.text.count("did not open") == len(opened) - 1
