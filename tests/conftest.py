"""What holds for every test."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, some at each worker: none ends alone with one.

    A worker's part of the list is its own at first (`--dist worksteal`).
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    for worker in range(workers):
        at = len(items) * worker // workers
        rest[at:at] = long[worker::workers]
    items[:] = rest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let coverage not follow a test that is marked `untraced`.

    The mark `no_cover` of pytest-cov has no effect under pytest-xdist: there coverage
    is started twice, and the first goes on when the second pauses.
    """
    if not item.get_closest_marker("untraced"):
        return (yield)
    here, threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(here)
        threading.settrace(threads)
