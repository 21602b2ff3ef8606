"""One target under atheris: `python -m tests.fuzz` starts it, with its flags."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["protocols", "p2pnode"]):
    from tests.fuzz.keep import keep
    from tests.fuzz.targets import TARGETS

NAME = sys.argv.pop(1)


def one(data: bytes) -> None:
    """Try one input; whatever escapes ends the run."""
    try:
        TARGETS[NAME].check(data)
    except BaseException:
        keep(NAME, data)
        raise


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
