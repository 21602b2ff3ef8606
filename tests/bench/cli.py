"""How long a command takes, from the shell's side."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from p2pnode.swarm.supervisor import ROOT, Process
from tests.bench.figures import Row, scaled

HELP_MOST_MS = 150
STATUS_MOST_MS = 300
P2PNODE = (sys.executable, "-m", "cli.main")


def measure(share: float) -> list[Row]:
    """Median of a few starts of each."""
    times = scaled(7, share, 3)
    with tempfile.TemporaryDirectory() as folder:
        environ = environment(Path(folder))
        bare = median_ms((sys.executable, "-c", "pass"), times, environ)
        click = median_ms((sys.executable, "-c", "import click"), times, environ)
        help_ms = median_ms((*P2PNODE, "--help"), times, environ)
        init(Path(folder))
        with Process(Path(folder)) as node:
            node.ready()
            status = median_ms((*P2PNODE, "status", "--json"), times, environ)
    beside = f"python alone {bare:.0f} ms, with click {click:.0f} ms"
    return [
        Row(
            subject="cli",
            figure="p2pnode --help",
            value=help_ms,
            unit="ms",
            most=HELP_MOST_MS,
            beside=beside,
        ),
        Row(
            subject="cli",
            figure="p2pnode status, against a running node",
            value=status,
            unit="ms",
            most=STATUS_MOST_MS,
            beside=beside,
        ),
    ]


def environment(home: Path) -> dict[str, str]:
    """This process's, with a data folder of its own."""
    return {**os.environ, "P2PNODE_HOME": str(home), "PYTHONPATH": str(ROOT)}


def init(home: Path) -> None:
    """Make a node in `home`."""
    command = (*P2PNODE, "init", "--role", "merchant", "--name", "bench", "--json")
    start_ms(command, environment(home))


def median_ms(command: Sequence[str], times: int, environ: Mapping[str, str]) -> float:
    """The median of so many starts, after one that warms the caches."""
    start_ms(command, environ)
    return statistics.median(start_ms(command, environ) for _ in range(times))


def start_ms(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Run a command to its end; it must succeed."""
    start = time.perf_counter()
    subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    return 1000 * (time.perf_counter() - start)
