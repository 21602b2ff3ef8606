"""Power cuts and disks that fail under a real workload, on a disk in memory.

`python -m tests.faults` cuts at every place; here are as many as are quick.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode.ports import StoreInDoubt
from tests.faults.disk import Disk, MemoryVfs, failing_syncs, mounted
from tests.faults.workload import Oracle, Story, cuts, play, restart

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # of errors that SQLite ignores
)

FEW = 96
"""Records of a workload that is run often."""


@pytest.fixture
def vfs() -> Iterator[MemoryVfs]:
    with mounted() as vfs:
        yield vfs


@pytest.mark.untraced
@pytest.mark.slow
async def test_a_cut_at_any_change_loses_nothing(
    vfs: MemoryVfs, tmp_path: Path
) -> None:
    story, oracle = Story(disk=vfs.disk), Oracle()
    await play(story, vfs, tmp_path, seed=1)
    await oracle.read(story)
    log = story.disk.log
    assert len(oracle.contents[-1][0]) > 1_000
    assert {change.call for change in log} > {"create", "delete", "write", "truncate"}
    first = next(n for n, change in enumerate(log) if change.call == "truncate")
    some = {*range(first + 2), *random.Random(1).sample(range(len(log) + 1), 30)}
    for place, disk in cuts(log):
        if place in some:
            vfs.disk = disk.after_cut(f"1/{place}")
            await restart(story, oracle, place, vfs, tmp_path)


@pytest.mark.untraced
@pytest.mark.slow
async def test_a_cut_while_it_recovers_from_a_cut(
    vfs: MemoryVfs, tmp_path: Path
) -> None:
    story, oracle = Story(disk=vfs.disk), Oracle()
    await play(story, vfs, tmp_path, 2, FEW)
    await oracle.read(story)
    log = story.disk.log
    some = random.Random(2).sample(range(len(log) + 1), 2)
    for place, disk in cuts(log):
        if place in some:
            left = disk.after_cut(f"2/{place}")
            vfs.disk = left.copy()
            later = await restart(story, oracle, place, vfs, tmp_path)
            await cut_again(later, left, vfs, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 12, 33, 45])
async def test_a_sync_that_fails_is_not_believed_when_it_succeeds_later(
    vfs: MemoryVfs, tmp_path: Path, number: int
) -> None:
    """Linux drops what it could not write, and the next fsync is content."""
    story, oracle = Story(disk=vfs.disk), Oracle()
    vfs.disk.before = failing_syncs(vfs.disk, number)
    with pytest.raises((StoreInDoubt, ExceptionGroup)):
        await play(story, vfs, tmp_path, 1, FEW)
    await oracle.read(story)
    broken, vfs.disk = vfs.disk, vfs.disk.copy()
    later = await restart(story, oracle, len(broken.log), vfs, tmp_path)
    await cut_again(later, broken, vfs, tmp_path)


async def cut_again(story: Story, before: Disk, vfs: MemoryVfs, folder: Path) -> None:
    """Cut at every third change of what a restarted node did."""
    oracle = Oracle()
    await oracle.read(story)
    for place, disk in cuts(story.disk.log, before):
        if place % 3 == len(before.log) % 3:
            vfs.disk = disk.after_cut(f"again/{place}")
            await restart(story, oracle, place, vfs, folder)
