"""Whether an Ed25519 signature is valid: libsodium's answer. Spec 0002.

By itself, so that a process that does nothing else stays small.
"""

from __future__ import annotations

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError


def is_valid(author: bytes, signed: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes over `signed` is the author's (32 bytes)."""
    try:
        crypto_sign_open(signature + signed, author)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
