"""What a benchmark says: rows of a table, with the target each should reach."""

from __future__ import annotations

import os
import platform
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "p2pnode.bench/1"
HEADINGS: Final = ("subject", "figure", "value", "unit", "target", "beside it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure."""

    subject: str
    figure: str
    value: float
    unit: str
    least: float | None = None
    """The target, where more is better."""
    most: float | None = None
    """The target, where less is better."""
    beside: str = ""
    """What was measured in the same run to compare it with, in words."""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None: there is none."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most

    @property
    def target(self) -> str:
        """The target in words, and whether it was missed."""
        bound = self.most if self.least is None else self.least
        if bound is None:
            return ""
        sign = "≤" if self.least is None else "≥"
        return f"{sign} {number(bound)}{'' if self.met else ' (missed)'}"

    def document(self) -> dict[str, Any]:
        """The row in JSON."""
        return {
            "subject": self.subject,
            "figure": self.figure,
            "value": float(f"{self.value:.4g}"),
            "unit": self.unit,
            "target_least": self.least,
            "target_most": self.most,
            "met": self.met,
            "beside": self.beside,
        }

    def cells(self) -> tuple[str, ...]:
        """The row in the table."""
        value = number(self.value)
        return (self.subject, self.figure, value, self.unit, self.target, self.beside)


def number(value: float) -> str:
    """Three figures that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def scaled(count: int, share: float, least: int = 1) -> int:
    """`count` for the whole run, less for a share of it."""
    return max(least, round(count * share))


def machine() -> dict[str, Any]:
    """Where it was measured; no name, no path."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 1)
        if hasattr(os, "getloadavg")
        else None,
    }


def document(rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """`p2pnode.bench/1`."""
    return {
        "format": FORMAT,
        "machine": machine(),
        "seconds": round(seconds, 1),
        "rows": [row.document() for row in rows],
    }


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table that also reads well in a terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_line(line, widths) for line in (lines[0], rule, *lines[1:]))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - _width(cell))
        for cell, width in zip(cells, widths, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cpu_model() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
