"""What goes wrong with a store, in words for people."""

from __future__ import annotations

from p2pnode.failures import INTERNAL, Failure
from p2pnode.ports import (
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreInDoubt,
    StoreInUse,
    StoreTooNew,
)

STORE_ERRORS = (
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreInDoubt,
    StoreInUse,
    StoreTooNew,
)


def store_failure(error: BaseException) -> Failure | None:
    """Put an error of the store into words; None for any other error."""
    match error:
        case StoreFull():
            return Failure(
                "disk-full",
                "The disk takes no more, nothing was signed or stored: {error}.",
                "Room on a disk that this account may write.",
                "Make room and try again; what is stored already is safe.",
                error=error,
            )
        case StoreInDoubt():
            return Failure(
                "store-in-doubt",
                "The disk did not say whether it kept the last write: {error}.",
                "A disk that says so. Nothing is signed until the store is read again.",
                "Wait a moment, then look whether it is there before you try again.",
                error=error,
            )
        case StoreDamaged():
            return Failure(
                "store-damaged",
                "The store cannot be read: {error}.",
                "The file as this node wrote it.",
                "Keep a copy of the folder and check the disk. Then restore a backup,"
                " or move records.sqlite away: the node goes on under other keys.",
                error=error,
            )
        case StoreTooNew():
            return Failure(
                "store-too-new",
                "A newer p2pnode wrote this store: {error}.",
                "A store of this version or an older one.",
                "Run the newer p2pnode; the file was left as it is.",
                error=error,
            )
        case StoreInUse():
            return Failure(
                "store-in-use",
                "The store is in use: {error}.",
                "One program per store.",
                "End the other program first.",
                error=error,
            )
        case StoreConflict():
            return Failure(
                "store-conflict",
                "The node tried to store two records in one place; nothing was stored.",
                cure="Report it, with the node's log.",
                status=INTERNAL,
            )
        case _:
            return None
