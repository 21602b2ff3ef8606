"""Signatures shared with a second process: the same verdicts, whatever it does."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from p2pnode import verifier, verifier_process
from p2pnode.verifier import BACKLOG_MIN, OwnVerifier, SharingVerifier
from protocols.claims import Enter, Kind
from protocols.keys import AuthorKey, Scope, Signature
from protocols.record import NO_BACKLINK, sign_record
from tests.worlds import NETWORK, key_of

SCOPE = Scope(b"\x07" * 32)
GOOD = sign_record(
    key_of("alice"),
    network=NETWORK,
    scope=SCOPE,
    seq=0,
    backlink=NO_BACKLINK,
    time_ms=0,
    kind=Kind.ENTER,
    claim=Enter(salt=bytes(16)),
)
FORGED = replace(GOOD, signature=Signature(bytes(64)))
NOBODY = replace(GOOD, header=GOOD.header._replace(author=AuthorKey(bytes(32))))
BATCH = [FORGED, *[GOOD] * 40, NOBODY, *[GOOD] * 50, FORGED]
VERDICTS = [record is GOOD for record in BATCH]

DEATHS = {
    "it ends at once": "pass",
    "it says it is ready and ends": "print(end='\\x01')",
    "it ends in the middle": (
        "import sys; sys.stdout.write('\\x01'); sys.stdout.flush(); sys.stdin.read(9)"
    ),
}


@asynccontextmanager
async def sharing() -> AsyncIterator[SharingVerifier]:
    shared = SharingVerifier()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.run)
        yield shared
        nursery.cancel_scope.cancel()


async def shares(shared: SharingVerifier) -> trio.Process:
    """Give it enough to do; wait until the second process takes part."""
    assert await shared.verify([GOOD] * BACKLOG_MIN) == [True] * BACKLOG_MIN
    with trio.fail_after(30):
        while shared.helper is None:  # noqa: ASYNC110 - nothing announces it
            await trio.sleep(0.01)
    return shared.helper.process


def run_instead(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Start `script` where the second process would be started."""
    start = trio.lowlevel.open_process

    async def open_process(_command: Sequence[str], **options: Any) -> trio.Process:
        process: trio.Process = await start([sys.executable, "-c", script], **options)
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "cores", lambda: 2)


async def test_two_processes_say_what_one_says():
    async with sharing() as shared:
        await shares(shared)
        for batch in (BATCH, BATCH[:70], BATCH[:3], []):
            expected = await OwnVerifier().verify(batch)
            assert await shared.verify(batch) == expected == VERDICTS[: len(batch)]


async def test_an_idle_process_ends(monkeypatch):
    monkeypatch.setattr(verifier, "IDLE_SECONDS", 0.5)
    async with sharing() as shared:
        process = await shares(shared)
        with trio.fail_after(10):
            await process.wait()
        assert await shared.verify(BATCH) == VERDICTS


async def test_a_killed_process_costs_no_verdict():
    async with sharing() as shared:
        (await shares(shared)).kill()
        assert await shared.verify(BATCH) == VERDICTS
        assert await shared.verify(BATCH) == VERDICTS


@pytest.mark.parametrize("script", DEATHS.values(), ids=DEATHS)
async def test_a_process_that_does_not_work_costs_no_verdict(monkeypatch, script):
    run_instead(monkeypatch, script)
    async with sharing() as shared:
        for _ in range(10):
            assert await shared.verify([*BATCH] * 3) == VERDICTS * 3


async def test_a_cancelled_caller_leaves_no_answer_behind():
    async with sharing() as shared:
        await shares(shared)
        with trio.CancelScope() as scope:
            scope.cancel()
            await shared.verify([FORGED] * 100)
        assert await shared.verify(BATCH) == VERDICTS


async def test_stopping_in_the_middle_costs_no_verdict():
    found = []

    async def verify() -> None:
        found.append(await shared.verify(BATCH * 20))

    async with trio.open_nursery() as nursery, sharing() as shared:
        await shares(shared)
        nursery.start_soon(verify)
        await trio.sleep(0.003)
    assert found == [VERDICTS * 20]


async def test_one_core_starts_no_process(monkeypatch):
    monkeypatch.setattr(verifier, "cores", lambda: 1)
    async with sharing() as shared:
        await shared.verify([GOOD] * BACKLOG_MIN)
        await trio.testing.wait_all_tasks_blocked()
        assert shared.helper is None
        assert await shared.verify(BATCH) == VERDICTS


def test_the_process_answers_until_its_input_ends():
    request = b"".join(map(verifier.request_of, BATCH))
    requests = io.BytesIO(len(request).to_bytes(4, "big") + request + b"\0\0")
    answers = io.BytesIO()
    verifier_process.serve(requests, answers)
    assert answers.getvalue() == b"\x01" + bytes(VERDICTS)
