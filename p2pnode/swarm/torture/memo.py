"""What pure functions said once is remembered while a simulation runs.

Forty nodes in one process check the same signatures and read the same bytes.
The functions are pure, so nothing but time changes.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from protocols import claims, keys, record
from protocols.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PACKAGES: Final = ("protocols", "p2pnode", "tests")


@contextmanager
def replaced(old: Callable[..., Any], new: Callable[..., Any]) -> Iterator[None]:
    """Let `new` stand for `old` in every module that has it by any name."""
    places = [
        (module, name)
        for module_name, module in sorted(sys.modules.items())
        if module_name.partition(".")[0] in PACKAGES
        for name, value in list(vars(module).items())
        if value is old
    ]
    assert places, f"nobody uses {old}"
    for module, name in places:
        setattr(module, name, new)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, old)


@contextmanager
def set_to(module: ModuleType, **constants: float) -> Iterator[None]:
    """Give a module's constants other values for a while."""
    before = {name: vars(module)[name] for name in constants}
    vars(module).update(constants)
    try:
        yield
    finally:
        vars(module).update(before)


@contextmanager
def remembered() -> Iterator[None]:
    """Remember verdicts, decoded records and claims."""
    with ExitStack() as stack:
        for function in (keys.verify, record.decode_record, claims.read_claim):
            stack.enter_context(replaced(function, _remembering(function)))
        for of_record in (record.encode_record, record.is_signed):
            stack.enter_context(replaced(of_record, _by_record(of_record)))
        yield


def _by_record(function: Callable[[record.Record], Any]) -> Callable[..., Any]:
    """The same function, asked once for each record and what of it is here."""
    known: dict[tuple[bytes, bytes, bool, bool], Any] = {}

    def ask(one: record.Record) -> Any:
        parts = one.claim_bytes is None, one.note_bytes is None
        key = (one.id, one.signature, *parts)
        if key not in known:
            known[key] = function(one)
        return known[key]

    return ask


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, asked once for each arguments; refusals too."""
    known: dict[tuple[Any, ...], Any] = {}

    def ask(*arguments: Any) -> Any:
        found = known.get(arguments, known)
        if found is known:
            try:
                found = function(*arguments)
            except ProtocolError as error:
                found = error
            known[arguments] = found
        if isinstance(found, ProtocolError):
            raise found
        return found

    return ask
