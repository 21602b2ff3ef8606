"""How full something is that must stay under a bound."""

from __future__ import annotations

from typing import NamedTuple


class Gauge(NamedTuple):
    """One counter and its stated bound."""

    what: str
    value: int
    most: int
