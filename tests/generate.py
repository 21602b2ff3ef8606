"""Writes what specs and READMEs compute: `python -m tests.generate [--check]`.

Each entry of `PAGES` gives the whole text of one file: all of it computed, or the
file as it is with the part between two markers made anew. Neither is edited by
hand. With --check nothing is written, and the exit code is 1 if a file differs.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests import (
    vectors_bytes,
    vectors_campaign,
    vectors_closing,
    vectors_edges,
    vectors_liars,
    vectors_lists,
    vectors_proofs,
    vectors_rounds,
    vectors_vouchers,
    vectors_words,
)
from tests.one_balloon import page as one_balloon
from tests.spec_tables import kinds_page, limits_page
from tests.vectors import Case, file_text

ROOT = Path(__file__).parents[1]


def api_table() -> str:
    """p2pnode/README.md with the local API as `api/routes.py` describes it."""
    source = (ROOT / "p2pnode/api/routes.py").read_text("utf-8")
    words = ast.get_docstring(ast.parse(source)) or ""
    return with_part("p2pnode/README.md", "api", words.partition("\n\n")[2])


def with_part(name: str, marker: str, text: str) -> str:
    """The file's text, with `text` between `<!-- marker -->` and its end."""
    before, begin, rest = _held(name).partition(f"<!-- {marker} -->\n")
    _old, end, after = rest.partition(f"<!-- end {marker} -->")
    assert begin, f"{name} has no place for {marker}"
    assert end, f"{name} has no end of {marker}"
    return f"{before}{begin}\n{text}\n\n{end}{after}"


VECTORS: dict[str, Callable[[], list[Case]]] = {
    "0001-codec": vectors_bytes.codec,
    "0002-keys": vectors_bytes.keys,
    "0003-records": vectors_bytes.records,
    "0004-joining": lambda: [*vectors_campaign.joining(), *vectors_liars.begun()],
    "0005-terms": vectors_campaign.terms,
    "0006-neighbours": vectors_bytes.frames,
    "0007-tags": vectors_campaign.tags,
    "0008-settlement": lambda: [
        *vectors_campaign.settlement(),
        *vectors_edges.edges(),
        *vectors_rounds.settled(),
        *vectors_words.words(),
        *vectors_lists.lists(),
    ],
    "0009-closing": lambda: [
        *vectors_closing.closing(),
        *vectors_rounds.closed(),
        *vectors_liars.lied(),
    ],
    "0010-bundles": lambda: [*vectors_closing.bundles(), *vectors_liars.bundled()],
    "0011-vouchers": lambda: [*vectors_vouchers.vouchers(), *vectors_liars.owed()],
    "0012-proofs": lambda: [*vectors_proofs.proofs(), *vectors_liars.framed()],
}


def vectors(name: str) -> str:
    """The vector file of one spec."""
    return file_text(name[:4], VECTORS[name]())


PAGES: dict[str, Callable[[], str]] = {
    "p2pnode/README.md": api_table,
    "protocols/spec/0000-one-balloon.md": one_balloon,
    "protocols/spec/kinds.md": kinds_page,
    "protocols/spec/limits.md": limits_page,
    **{f"protocols/vectors/{name}.json": partial(vectors, name) for name in VECTORS},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every page that differs, or say which do."""
    parser = argparse.ArgumentParser(prog="python -m tests.generate")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    stale = [name for name, make in PAGES.items() if _held(name) != make()]
    for name in stale:
        print(f"{name} {'is out of date' if check else 'was written'}")
        if not check:
            (ROOT / name).write_text(PAGES[name](), "utf-8", newline="\n")
    return 1 if check and stale else 0


def _held(name: str) -> str:
    path = ROOT / name
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
