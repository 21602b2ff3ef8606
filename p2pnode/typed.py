"""One reading of what people type: full width or half, with a keyboard's own quotes.

Chinese keyboards type digits, letters and punctuation in full width. Numbers, codes,
keys, ids and addresses are read alike however they were typed: all of them are ASCII,
so nothing is lost. Names, labels and file names are never touched.
"""

from __future__ import annotations

import unicodedata
from typing import Final

QUOTES: Final = "\u201c\u201d\u2018\u2019"
"""The quotes of print, which a Chinese keyboard types for ASCII's."""

AROUND: Final = f" \t\r\n\"'`{QUOTES}「」『』《》〈〉<>()[]【】。、,;!"
"""What a sentence leaves around a code that was copied out of it."""


def plain(text: str) -> str:
    """`text` in half width, without blanks around it."""
    return unicodedata.normalize("NFKC", text).strip()


def code(text: str) -> str:
    """A code, key, id or address, without what stood around it in a sentence."""
    return plain(text).strip(AROUND)


def wide(text: str) -> str:
    """The first character that has a half-width form or is a quote of print; or ""."""
    for character in text:
        if character in QUOTES or plain(character) not in {character, ""}:
            return character
    return ""
