"""Fuzz one door, or all in turn: `python -m tests.fuzz codec --seconds 600`.

With `atheris` (libFuzzer for Python; `pip install atheris`, Python 3.11 to 3.13
on Linux and macOS) coverage guides it. Without it says so and changes the seeds
at random, which finds less. Either way the seeds are those of the vectors and of
`--corpus FOLDER`, where new ones are kept. What should never happen is written
to a file, with the command that replays it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.keep import keep
from tests.fuzz.mutate import SIZE_MAX, mutate
from tests.fuzz.targets import TARGETS

POOL_MAX = 1_000
"""Inputs kept to be changed further."""


def main() -> int:
    """Read the command line and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument(
        "target",
        choices=[*TARGETS, "all"],
        metavar="TARGET",
        help=" | ".join((*TARGETS, "all")),
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--corpus", type=Path, help="a folder of inputs, kept")
    parser.add_argument("--seed", type=int, default=1, help="of the dice")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--blind", action="store_true", help="without atheris")
    given = parser.parse_args()
    if given.replay:
        value = TARGETS[given.target].check(given.replay.read_bytes())
        print("a value" if value else "refused")
        return 0
    names = TARGETS if given.target == "all" else [given.target]
    ends = [fuzz(name, given) for name in names]
    return max(ends)


def fuzz(name: str, given: argparse.Namespace) -> int:
    """Fuzz one target for a while; 1: something was found."""
    if given.blind or importlib.util.find_spec("atheris") is None:
        if not given.blind:
            print("atheris is not installed: blind mutations instead", file=sys.stderr)
        return _blind(name, given.seconds, given.seed)
    with contextlib.ExitStack() as stack:
        corpus = given.corpus or Path(
            stack.enter_context(tempfile.TemporaryDirectory())
        )
        folder = corpus / name.replace(" ", "-").replace(",", "")
        folder.mkdir(parents=True, exist_ok=True)
        for seed in TARGETS[name].seeds:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        flags = [f"-max_total_time={given.seconds:.0f}", f"-max_len={SIZE_MAX}"]
        flags += ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
        command = [sys.executable, "-m", "tests.fuzz.guided", name, *flags]
        command += ["-artifact_prefix=fuzz-", str(folder.absolute())]
        return min(1, subprocess.run(command, check=False).returncode)


def _blind(name: str, seconds: float, seed: int) -> int:
    """Change seeds at random; keep those that are values of their own."""
    target, dice = TARGETS[name], random.Random(seed)
    pool = list(target.seeds) or [b""]
    start, runs, values = time.monotonic(), 0, 0
    while time.monotonic() - start < seconds:
        data = mutate(dice.choice(pool), dice, pool)
        runs += 1
        try:
            value = target.check(data)
        except Exception:  # noqa: BLE001 - that is what is looked for
            traceback.print_exc()
            keep(name, data)
            return 1
        values += value
        if value and len(pool) < POOL_MAX:
            pool.append(data)
    print(f"{name}: {runs:,} inputs, {values:,} were values, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
