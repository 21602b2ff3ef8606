"""How far own keys have signed, kept beside the database as well as in it.

A database can be lost, put back from an old copy, or copied with its folder.
Then it does not know all that its keys have signed, and to sign on would put
two records at one place. So each commit with own records counts them, in the
database and in a small file beside it (`store.mark_file`), which also says on
which machine and in which file it was written. Where the two do not agree,
something was lost or copied, and no feed that was begun before is signed again.

Slips that a till accepted are counted beside the records: they stand in no feed, so
no neighbour brings them back, and a customer may show one again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from protocols.limits import KEYS_MAX

MARK: Final = "mark"
"""The state that holds the mark; a store on disk writes it beside itself too."""

LOSS: Final = "loss"
"""The state that says why the mark does not agree, until it was seen to."""

RESTORED: Final = "restored"
"""Stands for the store's id in the mark of a folder that was just restored."""

NO_KEY: Final = KEYS_MAX + 1
"""`Mark.used` where every author key may have signed."""


class Loss(StrEnum):
    """Why own feeds must not be continued."""

    RESTORED = "restored"
    """A backup was restored."""
    MACHINE = "another-machine"
    """The folder was copied or moved to another machine."""
    COPIED = "copied"
    """The file beside the database is not the one that was written."""
    STORE = "another-store"
    """The database is gone, or another one."""
    OLDER = "older"
    """The database knows less than was signed."""
    MARK = "no-mark"
    """The file beside the database is gone or damaged."""
    SLIPS = "slips"
    """The database knows all that was signed, and not all slips that were accepted:
    the keys go on."""


TWINS: Final = (Loss.RESTORED, Loss.MACHINE, Loss.COPIED)
"""After these a second node may be at work with the same keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far this node's keys have signed."""

    store: str = ""
    """The database's random id, in hex; empty: none was made yet."""
    count: int = 0
    """Records signed so far."""
    used: int = 1
    """Which author key signs, counted from 1; those before never sign again."""
    twin: str = ""
    """Tells this node from one that may be at work with the same keys; empty: none."""
    taken: int = 0
    """Slips accepted so far."""

    def encode(self) -> bytes:
        """Return the bytes that `decode` reads."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(data: bytes) -> Mark:
        """Read a mark.

        Raises:
            ValueError, KeyError, TypeError: it is none.
        """
        try:
            fields = json.loads(data)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        count, used, taken = fields["count"], fields["used"], fields.get("taken", 0)
        whole = all(type(number) is int for number in (count, used, taken))
        if not whole or count < 0 or used < 1 or taken < 0:
            raise ValueError(f"counts {count}, {used} and {taken}")
        return Mark(
            store=str(fields["store"]),
            count=count,
            used=used,
            twin=str(fields.get("twin", "")),
            taken=taken,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a mark was written."""

    machine: str
    """A hash of what names the machine; empty: unknown."""
    file: int
    """The file's number on its disk: a copy has another; 0: unknown."""

    def differs(self, here: Place) -> Loss | None:
        """What happened to a mark that says this and lies `here`."""
        if self.machine and here.machine and self.machine != here.machine:
            return Loss.MACHINE
        if self.file and here.file and self.file != here.file:
            return Loss.COPIED
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What was found beside the database."""

    mark: Mark | None
    """None: no file, or none that can be read."""
    moved: Loss | None = None
    """The file is not where it was written."""
    due: bool = False
    """There must be a file: the keys were made with one."""


def compare(beside: Beside, kept: Mark | None) -> Loss | None:
    """Say what was lost, if anything; `kept` is the database's own mark."""
    found = beside.mark
    if found is None:
        return Loss.MARK if kept is not None or beside.due else None
    if found.store == RESTORED:
        return Loss.RESTORED
    if beside.moved is not None:
        return beside.moved
    known = kept if kept is not None and kept.store == found.store else Mark()
    if found.count and known.store != found.store:
        return Loss.STORE
    if known.count < found.count:
        return Loss.OLDER
    return Loss.SLIPS if known.taken < found.taken else None


def after(loss: Loss | None, found: Mark | None, kept: Mark | None, store: str) -> Mark:
    """The mark to go on with; `store` is a new random id for the database.

    After a loss of records the author key that signed is given up for the next; where
    nothing says which one signed last, all are.
    """
    if loss is None and kept is not None:
        return kept
    known = [mark for mark in (found, kept) if mark is not None]
    signed = loss not in (None, Loss.SLIPS)
    used = max((mark.used for mark in known), default=NO_KEY if loss else 1)
    twin = (
        store if loss in TWINS else next((mark.twin for mark in known if mark.twin), "")
    )
    return Mark(
        store=store,
        count=max((mark.count for mark in known), default=0) + signed,
        used=min(used + signed, NO_KEY),
        twin=twin,
        taken=max((mark.taken for mark in known), default=0),
    )
