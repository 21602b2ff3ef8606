"""Measure, print a table: `python -m tests.bench [--json] [--quick] [names...]`.

Standard output is the table, or with --json one document `p2pnode.bench/1`;
progress goes to standard error. Everything runs on loopback in temporary
folders and ends by itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence

from tests.bench.figures import Row, document, machine, table

SUBJECTS = (
    "ed25519",
    "ingest",
    "growth",
    "store",
    "push",
    "catchup",
    "reconcile",
    "mesh",
    "settle",
    "cli",
    "daemon",
    "peers",
)
QUICK = 0.15
"""Of the work of a whole run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named subjects, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="subject", help=", ".join(SUBJECTS))
    parser.add_argument("--json", action="store_true", help="print a document")
    parser.add_argument("--quick", action="store_true", help="a seventh of the work")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in SUBJECTS]
    if unknown:
        parser.error(f"no subject {unknown[0]}; there are {', '.join(SUBJECTS)}")
    start = time.perf_counter()
    rows = run(chosen.names or SUBJECTS, QUICK if chosen.quick else 1.0)
    if chosen.json:
        print(json.dumps(document(rows, time.perf_counter() - start), indent=1))
    else:
        print(table(rows))
        print()
        print(describe())
    return 0


def run(names: Sequence[str], share: float) -> list[Row]:
    """The rows of these subjects, each with `share` of its work."""
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr)
        start = time.perf_counter()
        rows += importlib.import_module(f"tests.bench.{name}").measure(share)
        print(f"  {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return rows


def describe() -> str:
    """The machine in a line."""
    facts = machine()
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, "
        f"Python {facts['python']}, load {facts['load_1min']}"
    )


if __name__ == "__main__":
    sys.exit(main())
