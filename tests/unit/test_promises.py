"""The table of promises names what is there: specs, vectors, tests, lines of code.

That each rule is missed when it is left out is tried by hand:
`python -m tests.promises`.
"""

from __future__ import annotations

import pytest

from tests.promise import Promise
from tests.promises import PROMISES, lacks


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.said)
def test_what_a_promise_names_is_there(promise: Promise) -> None:
    assert lacks(promise) == []
