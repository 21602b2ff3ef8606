"""What is wrong with a file that a person handed us, and where.

Its sentences are templates with the facts beside them, so that `cli` can look
them up in another language before the facts are filled in.
"""

from __future__ import annotations

from collections.abc import Callable

from p2pnode.failures import REFUSED, Failure


def words(template: str) -> str:
    """Mark a template for the catalogue (`--keyword=words`); returns it as it is."""
    return template


class FileFault(Failure):
    """A file, or the text of a code, cannot be used.

    Attributes:
        file: its name as the person gave it; empty for text.
        line: 1-based; 0: the file as a whole.
        key: dotted path of the key that is wrong; empty: none.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        expected: str = "",
        cure: str = "",
        *,
        status: int = REFUSED,
        **facts: object,
    ) -> None:
        self.file = ""
        self.line = 0
        self.key = ""
        super().__init__(reason, message, expected, cure, status, **facts)

    def at(self, file: str, line: int = 0, key: str = "") -> FileFault:
        """Say where it is, in front of the message too; return the fault."""
        self.file, self.line, self.key = file, line, key
        self.message = f"{self.place}{self.templates[0].format(**self.facts)}"
        return self

    @property
    def place(self) -> str:
        """`file:line: key: `, as far as they are known."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return "".join(f"{part}: " for part in (where, self.key) if part)

    def translated(self, translate: Callable[[str], str]) -> Failure:
        """Return the failure with its sentences in another language."""
        plain = super().translated(translate)
        message = f"{self.place}{plain.message}"
        return Failure(self.reason, message, plain.expected, plain.cure, self.status)
