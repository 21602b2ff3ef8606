"""One thread that owns a database: reads one by one, writes in groups.

Every call goes through the thread. Writes that queue up while a commit runs
are handed over together, so that one commit, one fsync, serves them all. All
calls that wait at one moment are concurrent, so reads may go before writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar, cast

import trio
from outcome import Error, Outcome, Value, capture

T = TypeVar("T")
W = TypeVar("W")


@dataclass(slots=True, kw_only=True)
class _Job:
    """A task that waits, and what it waits for."""

    task: trio.lowlevel.Task
    token: trio.lowlevel.TrioToken

    def wake(self, result: Outcome[Any]) -> None:
        """Give the waiting task its result; called in the thread."""
        try:
            self.token.run_sync_soon(trio.lowlevel.reschedule, self.task, result)
        except trio.RunFinishedError:
            """Nobody waits any more: the run crashed."""


@dataclass(slots=True, kw_only=True)
class _Call(_Job):
    function: Callable[[], object]
    last: bool
    """The thread ends after this one."""


@dataclass(slots=True, kw_only=True)
class _Write(_Job, Generic[W]):
    write: W


class Worker(Generic[W]):
    """The thread, and the tasks' way to it.

    A call that was begun is never abandoned: a cancelled task still waits for
    its end, so what was stored and what was acknowledged cannot differ.
    """

    def __init__(
        self, name: str, commit: Callable[[Sequence[W]], Sequence[Exception | None]]
    ) -> None:
        """Start the thread.

        Args:
            name: of the thread.
            commit: stores a group of writes durably; says for each what went
                wrong, or None.
        """
        self._commit = commit
        self._jobs: SimpleQueue[_Call | _Write[W]] = SimpleQueue()
        self._ending = False
        Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[[], T], *, last: bool = False) -> T:
        """Run `function` in the thread; with `last`, end the thread after it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        job = _Call(**_here(), function=function, last=last)
        return cast("T", await self._wait(job))

    async def write(self, write: W) -> None:
        """Have `write` committed, with whatever else waits; raise what failed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._wait(_Write(**_here(), write=write))

    async def _wait(self, job: _Call | _Write[W]) -> object:
        assert not self._ending, "a call after the last"
        self._ending = isinstance(job, _Call) and job.last
        self._jobs.put(job)
        return await trio.lowlevel.wait_task_rescheduled(
            lambda _: trio.lowlevel.Abort.FAILED
        )

    def _run(self) -> None:
        running = True
        while running:
            jobs = self._take()
            calls = [job for job in jobs if isinstance(job, _Call)]
            for call in calls:
                if not call.last:
                    call.wake(capture(call.function))
            self._write([job for job in jobs if isinstance(job, _Write)])
            for call in calls:
                if call.last:
                    call.wake(capture(call.function))
                    running = False

    def _take(self) -> list[_Call | _Write[W]]:
        """Wait for a job; return it with all that wait behind it."""
        jobs = [self._jobs.get()]
        try:
            while True:
                jobs.append(self._jobs.get_nowait())
        except Empty:
            return jobs

    def _write(self, jobs: Sequence[_Write[W]]) -> None:
        if not jobs:
            return
        result = capture(self._commit, [job.write for job in jobs])
        if isinstance(result, Error):
            for job in jobs:
                job.wake(result)
            return
        for job, error in zip(jobs, result.unwrap(), strict=True):
            job.wake(Value(None) if error is None else Error(error))


def _here() -> dict[str, Any]:
    """Who waits: the current task and the way back to its run."""
    return {
        "task": trio.lowlevel.current_task(),
        "token": trio.lowlevel.current_trio_token(),
    }
