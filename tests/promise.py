"""What one promise is, and where most rules stand. See `tests/promises.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVIDENCE: Final = "protocols/evidence.py"
TESTIMONY: Final = "protocols/testimony.py"
CUT: Final = "protocols/settlement/cut.py"
SETTLE: Final = "protocols/settlement/settle.py"
JUDGE: Final = "protocols/settlement/judge.py"
MONEY: Final = "protocols/settlement/money.py"
ROWS: Final = "protocols/settlement/rows.py"
VERIFY: Final = "protocols/settlement/verify.py"
CLOSE: Final = "protocols/settlement/close.py"
REDEEM: Final = "protocols/settlement/redeem.py"
LEDGER: Final = "protocols/settlement/ledger.py"
WITNESS: Final = "p2pnode/services/witness.py"
TILL: Final = "p2pnode/services/till.py"

SERVICE: Final = "what a node does, not what bytes say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One rule, and what would be seen without it."""

    said: str
    spec: str
    """Spec and section: `0009 §1`."""
    without: tuple[str, str, str]
    """File, a text that stands in it once, and what stands there instead."""
    tests: tuple[str, ...]
    """File below `tests/`, and the test."""
    vectors: tuple[str, ...] = ()
    """Spec and name: `0009 finals before their time`."""
    silent: str = ""
    """Why no vector can show it, if there is none."""
