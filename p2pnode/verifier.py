"""Who checks the signatures of records: this process, or a second one as well.

Threads do not help: between two signatures each needs the interpreter's lock,
and hands it over too slowly. So a small process is started while there is much
to check, on machines with a second core, and ends when it has nothing to do.
Whatever goes wrong with it, the rest is checked here.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from p2pnode.ports import Verifier
from protocols.keys import RECORD_PREFIX
from protocols.record import is_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.record import Record

SHARED_MIN: Final = 64
"""Records at once that are worth sharing."""

BACKLOG_MIN: Final = 1_024
"""Records in such batches until the second process is started."""

CHUNK: Final = 16
"""Signatures in one request: about a millisecond of work."""

IDLE_SECONDS: Final = 10.0
"""How long it may have nothing to do."""

ANSWER_SECONDS_MAX: Final = 5.0
"""How long one answer may take."""

START_SECONDS_MAX: Final = 30.0
"""How long its start may take."""

VALID: Final = 1
"""Its byte for a valid signature."""

PAUSE_SECONDS: Final = 60.0
"""After it failed, before it is started again."""

FAILURES: Final = (
    *(OSError, trio.TooSlowError),
    *(trio.BrokenResourceError, trio.ClosedResourceError),
)
"""What its failing, or being ended, looks like from here."""

log = logging.getLogger(__name__)


class OwnVerifier(Verifier):
    """Checks them itself, one after the other."""

    async def verify(self, records: Sequence[Record]) -> Sequence[bool]:
        """For each record whether its author signed it."""
        return [is_signed(record) for record in records]


class SharingVerifier(OwnVerifier):
    """Shares large batches with a second process, while `run` is running."""

    def __init__(self) -> None:
        self._backlog = 0
        self._wanted = trio.Event()
        self.helper: _Helper | None = None
        """The second process while it can take work."""

    async def verify(self, records: Sequence[Record]) -> Sequence[bool]:
        """For each record whether its author signed it."""
        if len(records) < SHARED_MIN:
            return await super().verify(records)
        self._backlog += len(records)
        if self._backlog >= BACKLOG_MIN:
            self._wanted.set()
        if self.helper is None or not self.helper.free:
            return await super().verify(records)
        return await self.helper.share(records)

    async def run(self) -> None:
        """Keep the second process while it is of use, until cancelled."""
        while cores() > 1:
            await self._wanted.wait()
            try:
                await self._live()
            except FAILURES as error:
                log.warning("no second process checks signatures: %r", error)
                await trio.sleep(PAUSE_SECONDS)

    async def _live(self) -> None:
        """One life of the second process.

        Raises:
            FAILURES: it failed.
        """
        helper = _Helper(await _start())
        try:
            await helper.ready()
            self.helper = helper
            await helper.rest()
        finally:
            self.helper = None
            self._backlog, self._wanted = 0, trio.Event()
            await helper.end()


async def _start() -> trio.Process:
    """Start it with the import path of this process, whoever made that."""
    command = [sys.executable, "-P", "-m", "p2pnode.verifier_process"]
    path = os.pathsep.join(filter(None, sys.path))
    return await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )


class _Helper:
    """The second process, and the work that is shared with it."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.busy = False
        self.process = process
        self._requests = process.stdin
        self._answers = process.stdout
        self._rested = trio.current_time()
        self._failure: Exception | None = None
        self._failed = trio.Event()

    async def ready(self) -> None:
        """Wait until it says that it can begin."""
        with trio.fail_after(START_SECONDS_MAX):
            await self._answer(1)

    async def rest(self) -> None:
        """Return once it had nothing to do for a while; raise if it failed."""
        while self.busy or trio.current_time() < self._rested + IDLE_SECONDS:
            with trio.move_on_after(IDLE_SECONDS):
                await self._failed.wait()
                assert self._failure is not None
                raise self._failure

    async def end(self) -> None:
        """Stop it and wait for its end."""
        self.process.kill()
        with trio.CancelScope(shield=True):
            await self._requests.aclose()
            await self._answers.aclose()
            await self.process.wait()

    @property
    def free(self) -> bool:
        """Whether it can take work now."""
        return not self.busy and self._failure is None

    async def share(self, records: Sequence[Record]) -> Sequence[bool]:
        """Check records, it from the front and this process from the back.

        Not cancelled half-way: an answer that nobody took would be taken for
        the next one.
        """
        verdicts = [False] * len(records)
        todo = deque(range(0, len(records), CHUNK))
        self.busy = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._check_there, records, todo, verdicts)
                await _check_here(records, todo, verdicts)
            await _check_here(records, todo, verdicts)
        self.busy, self._rested = False, trio.current_time()
        return verdicts

    async def _check_there(
        self, records: Sequence[Record], todo: deque[int], verdicts: list[bool]
    ) -> None:
        """Let it check chunks, two under way; what it fails at is put back."""
        sent: deque[int] = deque()
        try:
            while sent or len(todo) > 1:  # the last one is ours meanwhile
                with trio.fail_after(ANSWER_SECONDS_MAX):
                    while len(todo) > 1 and len(sent) < 2:
                        sent.append(todo.popleft())
                        await self._ask(records[sent[-1] : sent[-1] + CHUNK])
                    size = min(CHUNK, len(records) - sent[0])
                    answer = await self._answer(size)
                    start = sent.popleft()
                    some = zip(records[start : start + size], answer, strict=True)
                    # What it refuses is looked at again: no peer is blamed for it.
                    verdicts[start : start + size] = [
                        good == VALID or is_signed(record) for record, good in some
                    ]
        except FAILURES as error:
            self._failure = error
            self._failed.set()
            todo.extend(sent)

    async def _ask(self, records: Sequence[Record]) -> None:
        request = b"".join(map(request_of, records))
        await self._requests.send_all(len(request).to_bytes(4, "big") + request)

    async def _answer(self, size: int) -> bytes:
        answer = b""
        while len(answer) < size:
            more = await self._answers.receive_some(size - len(answer))
            if not more:
                raise trio.BrokenResourceError("it has ended")
            answer += more
        return answer


def request_of(record: Record) -> bytes:
    """What `verifier_process` reads of one record."""
    signed = RECORD_PREFIX + record.header_bytes
    size = len(signed).to_bytes(2, "big")
    return record.header.author + record.signature + size + signed


async def _check_here(
    records: Sequence[Record], todo: deque[int], verdicts: list[bool]
) -> None:
    """Check chunks from the back until none is left."""
    while todo:
        start = todo.pop()
        some = records[start : start + CHUNK]
        verdicts[start : start + CHUNK] = [is_signed(record) for record in some]
        await trio.lowlevel.checkpoint()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
