"""Power cuts of a witness, an issuer and an acceptor, at every change of their disks.

`python -m tests.faults --role all --seeds 1 2 3` leaves other things of each cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disk import MemoryVfs, mounted
from tests.faults.roles import ROLES, Broken, play

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"  # that SQLite ignores
    ),
]


@pytest.fixture
def vfs() -> Iterator[MemoryVfs]:
    with mounted() as vfs:
        yield vfs


@pytest.mark.parametrize(
    "role",
    [
        "witness",
        pytest.param("issuer", marks=pytest.mark.untraced),
        pytest.param("acceptor", marks=pytest.mark.untraced),
    ],
)
async def test_nothing_acknowledged_is_lost_and_nothing_signed_twice(
    vfs: MemoryVfs, tmp_path: Path, role: str
) -> None:
    changes = await play(role, None, vfs, tmp_path, "")
    assert changes > 30
    for place in range(changes):
        await play(role, place, vfs, tmp_path, f"1/{place}")


@pytest.mark.parametrize("role", ROLES)
async def test_what_a_lying_disk_loses_is_noticed_here(
    vfs: MemoryVfs, tmp_path: Path, role: str
) -> None:
    """So the checks see what they are for."""
    noticed = 0
    for place in range(20, 28):
        try:
            await play(role, place, vfs, tmp_path, f"lie/{place}", lying=True)
        except Broken:
            noticed += 1
    assert noticed
