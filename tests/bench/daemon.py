"""How soon a node is ready, and what it takes while it has nothing to do."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from p2pnode.swarm.supervisor import Process
from tests.bench.cli import environment, init, median_ms
from tests.bench.figures import Row, scaled

READY_MOST_S = 2
MEMORY_MOST_MB = 130
IDLE_S = 3
CLOCK_TICKS = 100
"""Of a CPU second in /proc, on every Linux there is."""


def measure(share: float) -> list[Row]:
    """Start a few times; look at the first one while it idles."""
    waits: list[float] = []
    memory = idle = 0.0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        init(home)
        importing = (sys.executable, "-c", "import libp2p")
        libp2p = median_ms(importing, scaled(3, share), environment(home))
        for _ in range(scaled(5, share, 2)):
            start = time.perf_counter()
            with Process(home) as node:
                pid = node.ready().pid
                waits.append(time.perf_counter() - start)
                if len(waits) == 1:
                    before = cpu_seconds(pid)
                    time.sleep(IDLE_S)
                    memory, idle = memory_mb(pid), cpu_seconds(pid) - before
    return [
        Row(
            subject="daemon",
            figure="from start to the ready line",
            value=statistics.median(waits),
            unit="s",
            most=READY_MOST_S,
            beside=f"importing libp2p alone {libp2p / 1000:.2f} s",
        ),
        Row(
            subject="daemon",
            figure="memory, idle (resident)",
            value=memory,
            unit="MB",
            most=MEMORY_MOST_MB,
        ),
        Row(
            subject="daemon",
            figure="CPU, idle",
            value=100 * idle / IDLE_S,
            unit="% of a core",
        ),
    ]


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in millions of bytes."""
    command = ("ps", "-o", "rss=", "-p", str(pid))
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text("ascii", "replace").splitlines()
        line = next(line for line in lines if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024 / 1e6
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return int(done.stdout) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """CPU a process took so far; 0 where /proc does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
