"""What the soak measured, whether it is good, and the table of it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

FORMAT: Final = "p2pnode.soak/1"

MEMORY_MOST_MB: Final = 256 * 2**20 / 1e6
"""What the victim may hold at any moment (256 MiB)."""

GROWTH_MOST_MB: Final = 8.0
"""What memory may grow over the last half of the run, above its records."""

RECORD_MOST_KB: Final = 4.0
"""What each record kept in the last half may add: it stands in a campaign's view."""

STATUS_MOST_MS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The victim at one moment."""

    at_s: float
    memory_mb: float
    descriptors: int
    threads: int
    cpu_s: float
    """CPU it took since it started."""
    records: int
    status_ms: float


@dataclass(slots=True, kw_only=True)
class Soak:
    """All that was measured; a few hundred bytes a second."""

    samples: list[Sample] = field(default_factory=list)
    command_ms: list[float] = field(default_factory=list)
    """Wall times of `p2pnode status`."""
    floor_ms: list[float] = field(default_factory=list)
    """Of a command that asks nobody: what this machine takes to start Python."""
    calm_ms: list[float] = field(default_factory=list)
    """Of GET /status at the neighbour, which holds the same and nobody attacks."""
    acknowledged: int = 0
    refused: int = 0
    """Records of the honest that a node did not acknowledge."""
    undelivered: int = 0
    """Acknowledged, and not at the other node at the end."""
    lost: int = 0
    """Acknowledged, and not on the disk of the node that did so at the end."""
    attacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    rounds: int = 0
    said: dict[str, str] = field(default_factory=dict)
    """What nodes wrote to standard error: an honest node is silent."""
    died: str = ""
    """Which node died, and its last words; empty: none."""

    def growth_mb(self) -> float:
        """How much the victim's memory grew over the last half, by a fitted line."""
        half = self.samples[len(self.samples) // 2 :]
        if len(half) < 2:
            return 0.0
        times = [sample.at_s for sample in half]
        memory = [sample.memory_mb for sample in half]
        slope = statistics.linear_regression(times, memory).slope
        return slope * (times[-1] - times[0])

    def growth_most_mb(self) -> float:
        """How much it may have grown: a little, and what its new records take."""
        half = self.samples[len(self.samples) // 2 :]
        kept = half[-1].records - half[0].records if half else 0
        return GROWTH_MOST_MB + kept * RECORD_MOST_KB / 1_000

    def tenths_mb(self) -> list[float]:
        """Mean memory in each tenth of the run."""
        memory = [sample.memory_mb for sample in self.samples]
        edges = [len(memory) * i // 10 for i in range(11)]
        parts = [memory[a:b] for a, b in pairwise(edges)]
        return [round(statistics.mean(part), 1) for part in parts if part]

    def status_ms(self) -> list[float]:
        """The latencies of GET /status."""
        return [sample.status_ms for sample in self.samples]

    def faults(self) -> list[str]:
        """What is not as it should be; nothing: all is well."""
        peak = max((s.memory_mb for s in self.samples), default=0.0)
        slow = {
            "GET /status": percentile(self.status_ms(), 99),
            "p2pnode status": percentile(self.command_ms, 99),
        }
        checks = {
            self.died: bool(self.died),
            "nothing was measured": not self.samples,
            f"memory reached {peak:.0f} MB": peak > MEMORY_MOST_MB,
            f"memory grew {self.growth_mb():.1f} MB in the last half, "
            f"at most {self.growth_most_mb():.1f} were allowed": self.growth_mb()
            > self.growth_most_mb(),
            f"{self.lost} acknowledged records were lost": self.lost > 0,
            f"{self.undelivered} records did not arrive": self.undelivered > 0,
            "no record was acknowledged": self.acknowledged == 0,
            "an attacker failed by itself": any(
                end.startswith("attacker failed") for _, end in self.attacks
            ),
        } | {
            f"p99 of {what} is {ms:.0f} ms": ms >= STATUS_MOST_MS
            for what, ms in slow.items()
        }
        return [fault for fault, true in checks.items() if true]

    def document(self) -> dict[str, Any]:
        """`p2pnode.soak/1`."""
        last = self.samples[-1] if self.samples else None
        ends: dict[str, dict[str, int]] = {}
        for (attack, end), count in sorted(self.attacks.items()):
            ends.setdefault(attack, {})[end] = count
        return {
            "format": FORMAT,
            "seconds": last.at_s if last else 0,
            "memory_mb_by_tenth": self.tenths_mb(),
            "memory_mb_max": max((s.memory_mb for s in self.samples), default=0),
            "growth_last_half_mb": round(self.growth_mb(), 2),
            "growth_allowed_mb": round(self.growth_most_mb(), 2),
            "descriptors_max": max((s.descriptors for s in self.samples), default=0),
            "threads_max": max((s.threads for s in self.samples), default=0),
            "cpu_share": round(last.cpu_s / last.at_s, 3) if last else 0,
            "records_held": last.records if last else 0,
            "status_ms": _latency(self.status_ms()),
            "calm_ms": _latency(self.calm_ms),
            "command_ms": _latency(self.command_ms),
            "floor_ms": _latency(self.floor_ms),
            "acknowledged": self.acknowledged,
            "refused": self.refused,
            "delivered": self.acknowledged - self.undelivered,
            "lost": self.lost,
            "rounds": self.rounds,
            "said": self.said,
            "attacks": ends,
            "faults": self.faults(),
        }


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that `share` percent do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * share / 100) - 1] if ordered else 0.0


def _latency(values: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "p50": round(percentile(values, 50), 1),
        "p99": round(percentile(values, 99), 1),
        "max": round(max(values, default=0.0), 1),
    }


def table(document: dict[str, Any]) -> str:
    """The document for a person."""
    told = document
    grew, might = told["growth_last_half_mb"], told["growth_allowed_mb"]
    honest = ("acknowledged", "delivered", "lost", "refused")
    rows = [
        ("minutes", f"{told['seconds'] / 60:.1f}"),
        ("memory by tenth, MB", "  ".join(map(str, told["memory_mb_by_tenth"]))),
        ("memory at most, MB", f"{told['memory_mb_max']:.1f}"),
        ("growth in the last half, MB", f"{grew} (allowed: {might})"),
        ("descriptors at most", str(told["descriptors_max"])),
        ("threads at most", str(told["threads_max"])),
        ("CPU, of a core", f"{100 * told['cpu_share']:.0f} %"),
        ("records held at the end", f"{told['records_held']:,}"),
        ("GET /status, ms", _said(told["status_ms"])),
        ("  the same of the node that nobody attacks", _said(told["calm_ms"])),
        ("p2pnode status, ms", _said(told["command_ms"])),
        ("p2pnode status --help, ms", _said(told["floor_ms"])),
        ("honest records", ", ".join(f"{told[word]:,} {word}" for word in honest)),
        ("rounds of attacks", str(told["rounds"])),
    ]
    for attack, ends in told["attacks"].items():
        said = ", ".join(f"{count} {end}" for end, count in ends.items())
        rows.append((f"  {attack}", said))
    for node, words in told["said"].items():
        rows += [(f"{node} said", line) for line in words.splitlines()]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([*lines, "", *(told["faults"] or ["all is well"])])


def _said(latency: dict[str, float]) -> str:
    return (
        f"p50 {latency['p50']}, p99 {latency['p99']}, max {latency['max']} "
        f"({latency['count']:.0f} times)"
    )
