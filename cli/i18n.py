"""Sentences in the language of the person: `_` looks them up, English is the source.

Catalogues are `cli/locale/<lang>/LC_MESSAGES/p2pnode.mo`. One is opened when
the first sentence is needed, and none for English.
"""

from __future__ import annotations

import functools
import gettext
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DOMAIN: Final = "p2pnode"
LOCALES: Final = Path(__file__).with_name("locale")
VARIABLES: Final = ("P2PNODE_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides."""


def _(text: str) -> str:
    """Return `text` in the language of the person."""
    return _catalogue().gettext(text)


def plural(one: str, many: str, count: int) -> str:
    """Return `one` or `many`, as the language counts, still to be formatted."""
    return _catalogue().ngettext(one, many, count)


@functools.cache
def _catalogue() -> gettext.NullTranslations:
    for language in _languages():
        if language.partition("_")[0].lower() in {"en", "c", "posix"}:
            break
        for name in _spellings(language):
            try:
                return gettext.translation(DOMAIN, LOCALES, [name])
            except OSError:  # absent or damaged: English is better than nothing
                continue
    return gettext.NullTranslations()


def _languages() -> list[str]:
    """Return wanted languages, best first, as `zh_CN` without encoding."""
    setting = next(
        (os.environ[name] for name in VARIABLES if os.environ.get(name)), _system()
    )
    plain = (item.split(".")[0].split("@")[0] for item in setting.split(":"))
    return [item.replace("-", "_") for item in plain if item]


def _spellings(language: str) -> Iterator[str]:
    """Yield catalogue names to try; any Chinese is better read than English."""
    yield language
    base = language.partition("_")[0]
    yield base
    if base.lower() == "zh":
        yield "zh_CN"


def _system() -> str:
    """Return the language Windows is set to; elsewhere the variables say it all."""
    if sys.platform == "win32":
        import ctypes
        import locale

        number = ctypes.windll.kernel32.GetUserDefaultUILanguage()
        return locale.windows_locale.get(number, "")
    return ""
