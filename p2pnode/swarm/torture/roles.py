"""Which cheats there are, and who plays each: drawn before anything is built."""

from __future__ import annotations

from typing import Final

CHEAT_NODES_MIN: Final = 10
"""With fewer nodes nobody cheats: somebody honest must be there to be cheated."""

CHEATS: Final[dict[str, tuple[str, ...]]] = {
    "omits": ("sponsor",),
    "pads": ("sponsor",),
    "misdates": ("sponsor",),
    "keeps-a-part": ("sponsor",),
    "keeps-a-final": ("sponsor", "witness"),
    "closes-twice": ("sponsor",),
    "forks-its-close": ("sponsor",),
    "lies-in-a-root": ("sponsor",),
    "never-closes": ("sponsor",),
    "backdates": ("witness",),
    "lists-nothing": ("witness",),
    "switches-branches": ("witness", "twins"),
    "one-sided-final": ("witness",),
    "forks-its-final": ("witness",),
    "forks-at-0": ("twins",),
    "forks-later": ("twins",),
    "steals-serials": ("crook",),
    "overuses-an-invite": ("crook",),
    "floods-an-invite": ("crook",),
    "replays-a-scan": ("crook",),
    "erases": ("crook",),
    "comes-late": ("crook",),
    "names-a-puppet": ("baker", "crook"),
    "reverses-late": ("baker",),
    "exceeds-caps": ("baker", "crook"),
    "sponsor-and-witness": ("sponsor", "witness"),
}
"""Cheat -> the parts that are played by cheats. What each does: `cheats`."""
