"""What others do with like work, on this machine in the same run.

`make peers` fetches them into `.peers`, apart from our own environment; without it
each row is left out and its reason said. They are neighbours of the figures of
`ingest`, `catchup` and `push`, not the same work: each says what it does. DuckDB stands
in the rows of `settle`, for the same sums.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import Row, scaled

HERE: Final = Path(__file__).parent / "peer_programs"
FOLDER: Final = Path(__file__).parents[2] / ".peers"
PATIENCE_S: Final = 300.0


def measure(share: float) -> list[Row]:
    """A row for each peer that is there."""
    return [
        *_rate(
            "nostr-sdk, Rust relay: events verified, kept in memory, acknowledged",
            "nostr_relay.py",
            scaled(5_000, share, 200),
        ),
        *_rate(
            "ssb-db2: messages of a feed decoded, verified, in its log",
            "ssb.mjs",
            scaled(5_000, share, 200),
        ),
        *_rate(
            "hypercore: blocks of one core replicated, verified, stored",
            "hypercore.mjs",
            scaled(5_000, share, 256),
        ),
        *_gossip(scaled(3_200, share, 160)),
    ]


def _rate(figure: str, program: str, count: int) -> list[Row]:
    found = run(program, count)
    if found is None:
        return []
    value = found["count"] / found["seconds"]
    beside = f"{found['count']:,} in {found['seconds']:.2f} s, all cores it takes"
    return [
        Row(
            subject="peers", figure=figure, value=value, unit="records/s", beside=beside
        )
    ]


def _gossip(count: int) -> list[Row]:
    found = run("gossipsub.mjs", count)
    if found is None:
        return []
    return [
        Row(
            subject="peers",
            figure="js-libp2p GossipSub: CPU a delivered message, both ends",
            value=1000 * found["cpu_seconds"] / found["count"],
            unit="ms",
            beside="bursts of 16, 400 bytes, kept nowhere",
        )
    ]


def run(program: str, *arguments: object) -> dict[str, Any] | None:
    """What a peer's program printed; None, and its reason said, if it is not there."""
    command = _command(program)
    if command is None:
        print(f"  {program}: left out, `make peers` has not set it up", file=sys.stderr)
        return None
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()
        last = next((line for line in why if "Error" in line), "no reason given")
        print(f"  {program}: left out, it failed: {last}", file=sys.stderr)
        return None
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _command(program: str) -> list[str] | None:
    """How to start a program of `peer_programs`; None if what it needs is not there."""
    if program.endswith(".py"):
        place = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        python = FOLDER / "venv" / place
        return [str(python), str(HERE / program)] if python.exists() else None
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        return None
    # Modules are looked for beside the program, so it has to lie there.
    shutil.copy(HERE / program, FOLDER / program)
    return [node, program]
