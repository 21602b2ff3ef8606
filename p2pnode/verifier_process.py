"""A process that checks signatures and does nothing else.

It reads requests from standard input until that ends: a length u32 big-endian,
then that many bytes of author (32), signature (64), length u16, signed bytes,
again and again. It answers each with one byte a signature: 1 valid, 0 not.
One byte before all answers says that it can begin.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import BinaryIO

from protocols.ed25519 import is_valid


def main() -> None:
    """Serve standard input; the parent decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say that it can begin, and answer requests until they end."""
    answers.write(b"\x01")
    answers.flush()
    while len(size := requests.read(4)) == 4:
        answers.write(judge(requests.read(int.from_bytes(size, "big"))))
        answers.flush()


def judge(request: bytes) -> bytes:
    """One byte for each signature of a request."""
    verdicts = bytearray()
    at = 0
    while at < len(request):
        stop = at + 98 + int.from_bytes(request[at + 96 : at + 98], "big")
        author, signature = request[at : at + 32], request[at + 32 : at + 96]
        verdicts.append(is_valid(author, request[at + 98 : stop], signature))
        at = stop
    return bytes(verdicts)


if __name__ == "__main__":
    main()
