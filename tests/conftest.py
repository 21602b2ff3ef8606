"""What holds for every test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator

import pytest


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
