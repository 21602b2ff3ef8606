"""What people are told when something does not work.

A failure says what happened, what was expected and what to do. The local API
sends it as a JSON document, the CLI prints it and derives its exit code from
`status`, so both doors speak of one thing in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


RESERVED: Final = ("self", "reason", "message", "expected", "cure", "status")
"""What no fact is called."""


class Failure(Exception):
    """Something did not work, in words for a person and a reason for a program.

    The words are templates with the facts beside them, so that `cli` can look
    them up in the person's language before the facts are filled in; it finds
    them all in the calls of this class.

    Attributes:
        reason: stable kebab-case word; never renamed, never translated.
        message: what happened, one sentence.
        expected: what would have been right; may be empty.
        cure: what to do, best a command; may be empty.
        status: one of the HTTP statuses above.
        templates: message, expected and cure before the facts were filled in.
        facts: what `{names}` in the templates stand for.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        expected: str = "",
        cure: str = "",
        status: int = REFUSED,
        **facts: object,
    ) -> None:
        self.reason = reason
        self.templates = (message, expected, cure)
        self.facts = facts
        self.message, self.expected, self.cure = (
            _filled(template, facts) for template in self.templates
        )
        self.status = status
        super().__init__(self.message)

    def document(self) -> dict[str, object]:
        """Return the `p2pnode.error/1` document, with templates if it has facts."""
        words: dict[str, object] = {
            "format": FORMAT,
            "reason": self.reason,
            "message": self.message,
            "expected": self.expected,
            "cure": self.cure,
        }
        if self.facts:
            words["templates"] = list(self.templates)
            words["facts"] = {name: str(fact) for name, fact in self.facts.items()}
        return words

    @classmethod
    def from_document(cls, document: Mapping[str, object], status: int) -> Failure:
        """Rebuild a failure from a document; missing words stay empty."""
        reason = str(document.get("reason") or "internal")
        said = [document.get(key, "") for key in ("message", "expected", "cure")]
        templates, facts = document.get("templates"), document.get("facts")
        told: dict[str, object] = {}
        if isinstance(templates, list) and isinstance(facts, dict):
            said = templates[:3]
            told = {name: fact for name, fact in facts.items() if name not in RESERVED}
        message, expected, cure = (str(word) for word in said)
        return cls(reason, message, expected, cure, status, **told)

    def translated(self, translate: Callable[[str], str]) -> Failure:
        """Return the failure with its sentences in another language."""
        message, expected, cure = (
            _filled(translate(template), self.facts) if template else ""
            for template in self.templates
        )
        return Failure(self.reason, message, expected, cure, self.status)


def _filled(template: str, facts: Mapping[str, object]) -> str:
    """Fill in the facts; a template that does not fit them stays as it is."""
    if not facts:
        return template
    try:
        return template.format(**facts)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return template
