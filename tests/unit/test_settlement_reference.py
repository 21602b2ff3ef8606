"""Settlement says what the slow reference, written from spec 0008 alone, says."""

from __future__ import annotations

import pytest

from tests.differential import difference


@pytest.mark.parametrize("seed", range(12))
def test_a_random_campaign_settles_as_by_the_reference(seed):
    assert difference(seed) is None
