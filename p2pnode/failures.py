"""What people are told when something does not work.

A failure says what happened, what was expected and what to do. The local API
sends it as a JSON document, the CLI prints it and derives its exit code from
`status`, so both doors speak of one thing in one way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FORMAT: Final = "p2pnode.error/1"

BAD_REQUEST: Final = 400
"""The command or request is malformed: exit code 2."""

NOT_FOUND: Final = 404
"""What it names is not here: exit code 1."""

REFUSED: Final = 409
"""Well-formed, but not possible now: exit code 1."""

UNVERIFIED: Final = 422
"""Evidence or a proof breaks a rule: exit code 3."""

INTERNAL: Final = 500
"""A fault of ours, logged where it happened: exit code 1."""

UNREACHABLE: Final = 503
"""The node or a peer cannot be reached: exit code 4."""

TOO_SLOW: Final = 504
"""It was reached and did not answer in time: exit code 4."""


class Failure(Exception):
    """Something did not work, in words for a person and a reason for a program.

    Attributes:
        reason: stable kebab-case word; never renamed, never translated.
        message: what happened, one sentence.
        expected: what would have been right; may be empty.
        cure: what to do, best a command; may be empty.
        status: one of the HTTP statuses above.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        expected: str = "",
        cure: str = "",
        status: int = REFUSED,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.expected = expected
        self.cure = cure
        self.status = status

    def document(self) -> dict[str, str]:
        """Return the `p2pnode.error/1` document."""
        return {
            "format": FORMAT,
            "reason": self.reason,
            "message": self.message,
            "expected": self.expected,
            "cure": self.cure,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, object], status: int) -> Failure:
        """Rebuild a failure from a document; missing words stay empty."""
        words = {
            key: str(document.get(key, ""))
            for key in ("reason", "message", "expected", "cure")
        }
        words["reason"] = words["reason"] or "internal"
        return cls(**words, status=status)
