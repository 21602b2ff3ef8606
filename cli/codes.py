"""Codes that people hand to a command: typed, pasted, or in a picture."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli import kinds
from cli.i18n import _
from p2pnode import failures, pictures, typed
from p2pnode.failures import Failure
from p2pnode.file_fault import FileFault
from protocols.text import LINK_MAX, is_link

SHOWN_MAX = 60
"""Characters of a foreign code that a message shows."""


PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""A file of such a name is a picture, or it is refused."""


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Put what is wrong with a file into the language of the person."""
    try:
        yield
    except FileFault as fault:
        raise fault.translated(_) from fault


def read_argument(argument: str, wanted: str, *, several: bool = False) -> list[str]:
    """Return the texts of our codes that an argument stands for.

    Args:
        argument: a text `P2PNODE:...`, or the name of a picture, or of a file
            that holds such a text.
        wanted: the letters of the codes that are taken.
        several: take a picture with more than one code.

    Returns:
        At least one text, exactly one unless `several`, from top to bottom.

    Raises:
        Failure: `wrong-kind`, `no-file`, `picture-too-large`, `bad-picture`,
            `no-code`, `foreign-code` or `several-codes`.
    """
    found = _texts(argument, wanted, several=several)
    for text in found:
        if (kind := kinds.of_text(text)) not in wanted:
            name = text if is_link(typed.code(argument)) else Path(argument).name
            raise kinds.wrong(name, kind, wanted)
    return found


def _texts(argument: str, wanted: str, *, several: bool) -> list[str]:
    """The texts of our codes, of any kind."""
    plain = typed.code(argument)
    if is_link(plain):
        return [plain]
    path = Path(argument)
    if told := _told_by(path):
        return [told]
    kinds.check_file(argument, ["picture", *wanted])
    with spoken():
        found = pictures.read(path)
    ours = [text for text in found if is_link(text)]
    if not ours:
        raise _foreign(argument, found[0])
    if len(ours) > 1 and not several:
        raise _several(argument, len(ours))
    return ours


def check_new(out: str) -> None:
    """Refuse a name that is taken, before anything is done for its sake."""
    if out:
        with spoken():
            pictures.check_new(Path(out))


def write(text: str, out: str, caption: Sequence[str]) -> None:
    """Write a code that is worth money as a new file: a picture, or text."""
    if not out:
        return
    with spoken():
        if out.lower().endswith(".png"):
            pictures.draw(text, Path(out), caption)
        else:
            pictures.write_private(Path(out), f"{text}\n".encode("ascii"))


def _told_by(path: Path) -> str:
    """The code that a text file holds, as `--out` writes it; else nothing."""
    try:
        if path.suffix.lower() in PICTURES:
            return ""
        if path.is_file() and path.stat().st_size <= LINK_MAX + len(os.linesep):
            text = path.read_text("ascii").strip()
            return text if is_link(text) else ""
    except (OSError, ValueError):
        pass
    return ""


def _foreign(argument: str, text: str) -> Failure:
    return Failure(
        "foreign-code",
        _("{name}: the code says {text}, which no node understands.").format(
            name=Path(argument).name, text=text[:SHOWN_MAX]
        ),
        _("A code that begins with P2PNODE:"),
        _("Photograph the code of the tag, invite or voucher itself."),
        failures.REFUSED,
    )


def _several(argument: str, count: int) -> Failure:
    return Failure(
        "several-codes",
        _("{name}: there are {count} codes in this picture.").format(
            name=Path(argument).name, count=count
        ),
        _("A picture with one code."),
        _("Crop it to the code you mean, or photograph that one alone."),
        failures.REFUSED,
    )
