"""Writes what is computed in the specs: `python -m tests.generate [--check]`.

Each entry of `PAGES` gives the whole text of one file; a page is never edited
by hand. With --check nothing is written, and the exit code is 1 if a file
differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.one_balloon import page as one_balloon

ROOT = Path(__file__).parents[1]

PAGES: dict[str, Callable[[], str]] = {
    "protocols/spec/0000-one-balloon.md": one_balloon,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every page that differs, or say which do."""
    parser = argparse.ArgumentParser(prog="python -m tests.generate")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    stale = [name for name, make in PAGES.items() if _held(name) != make()]
    for name in stale:
        print(f"{name} {'is out of date' if check else 'was written'}")  # noqa: T201
        if not check:
            (ROOT / name).write_text(PAGES[name](), "utf-8", newline="\n")
    return 1 if check and stale else 0


def _held(name: str) -> str:
    path = ROOT / name
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
