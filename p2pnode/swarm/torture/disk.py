"""A node's way to its disk: it may crash, doubt, be full or slow at every call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from p2pnode.ports import StoreFull, StoreInDoubt
from p2pnode.swarm.torture.plan import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from p2pnode.store.memory import MemoryStore

WRITES: Final = frozenset({"append", "append_branch", "append_run", "drop_parts"})


class Crashed(BaseException):
    """The node is dead: nothing of it runs on. No service catches this."""


class Drive:
    """One life of a node's store: the same calls, on a disk that outlives it.

    It offers what `Store` does by passing every call on, so that a call added
    to that port is tortured as well.

    Args:
        disk: what is stored, in all lives.
        trouble: says how bad the disk is now.
        chance: draws a number from 0 to 1; from the seed.
        crash: ends the node, at once.
    """

    def __init__(
        self,
        disk: MemoryStore,
        trouble: Callable[[], Trouble],
        chance: Callable[[], float],
        crash: Callable[[str], None],
    ) -> None:
        self.dead = False
        """Whether the node crashed."""
        self._disk = disk
        self._trouble = trouble
        self._chance = chance
        self._crash = crash
        self._closed = False
        self._doubt = trio.Event()

    def __getattr__(self, call: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._disk, call)
        write = call in WRITES

        async def tortured(*args: Any, **named: Any) -> Any:
            await self._before(call, write=write)
            result = await method(*args, **named)
            self._after(call, write=write)
            return result

        self.__dict__[call] = tortured
        return tortured

    async def doubted(self) -> None:
        """Return once a commit's outcome is unknown."""
        await self._doubt.wait()

    async def close(self) -> None:
        """Refuse further calls."""
        self._closed = True
        await trio.lowlevel.checkpoint()

    async def _before(self, call: str, *, write: bool) -> None:
        self._check()
        trouble = self._trouble()
        if trouble.delay_s_max and self._chance() < 0.2:
            await trio.sleep(round(self._chance() * trouble.delay_s_max, 3))
            self._check()
        if trouble.crash and self._chance() < trouble.crash / 2:
            self._crash(f"before {call}")
        self._check()
        if write and trouble.doubt and self._chance() < trouble.doubt / 2:
            self._fail(f"{call}: not done")
        if write and trouble.full and self._chance() < trouble.full:
            raise StoreFull("the disk is full")

    def _after(self, call: str, *, write: bool) -> None:
        self._check()
        trouble = self._trouble()
        if write and trouble.doubt and self._chance() < trouble.doubt / 2:
            self._fail(f"{call}: done")
        if trouble.crash and self._chance() < trouble.crash / 2:
            self._crash(f"after {call}")
        self._check()

    def _check(self) -> None:
        if self.dead:
            raise Crashed
        if self._closed:
            raise StoreInDoubt("the store is closed")

    def _fail(self, why: str) -> None:
        self._closed = True
        self._doubt.set()
        raise StoreInDoubt(why)
