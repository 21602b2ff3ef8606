"""Terms files to begin with: `campaign new` copies one for the sponsor to edit."""

from __future__ import annotations

from importlib import resources

NAMES = ("first-try", "balloons", "everyday-shop")


def read(name: str) -> str:
    """Return the text of a template, one of `NAMES`."""
    assert name in NAMES
    return (resources.files(__name__) / f"{name}.toml").read_text("utf-8")
