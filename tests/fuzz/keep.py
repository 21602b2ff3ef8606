"""What was found is kept in a file, and how to see it again is said."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path


def keep(name: str, data: bytes) -> None:
    """Write the input into the current folder."""
    digest = hashlib.sha256(data).hexdigest()[:12]
    file = Path(f"fuzz-{name.replace(' ', '-').replace(',', '')}-{digest}")
    file.write_bytes(data)
    print(f"FOUND: {file}, {len(data)} bytes; see it again with:", file=sys.stderr)
    print(f'  python -m tests.fuzz "{name}" --replay {file}', file=sys.stderr)
