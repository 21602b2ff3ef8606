"""What people are told when bytes from outside break a rule.

`protocols` gives a reason; here stands what that usually means to the person
who pasted a link or opened a file.
"""

from __future__ import annotations

from p2pnode.failures import UNVERIFIED, Failure
from protocols.errors import ProtocolError, Reason

_MISTYPED = (Reason.BAD_CODE, Reason.NOT_CANONICAL, Reason.BAD_SHAPE)
_CHANGED = (Reason.WRONG_HASH, Reason.BAD_SIGNATURE, Reason.BAD_PROOF)


def rule_failure(error: ProtocolError) -> Failure:
    """The failure for a broken rule; its last words are for developers."""
    if error.reason in _MISTYPED:
        return Failure(
            error.reason,
            "This code, link or file is incomplete or mistyped ({rule}).",
            "The whole of it, from P2PNODE: to its last letter.",
            "Copy it again in one piece, or use a picture of its code.",
            UNVERIFIED,
            rule=error,
        )
    if error.reason is Reason.BAD_INVITE:
        return Failure(
            error.reason,
            "The invite does not hold: nobody signed it like this ({rule}).",
            "An invite link as its maker's node printed it.",
            "Ask for the link again, best as a picture.",
            UNVERIFIED,
            rule=error,
        )
    if error.reason in _CHANGED:
        return Failure(
            error.reason,
            "This was changed after it was signed, or damaged ({rule}).",
            "Every byte as its author signed it.",
            "Do not rely on it. Ask whoever gave it to you for a new copy.",
            UNVERIFIED,
            rule=error,
        )
    return Failure(
        error.reason,
        "This breaks a rule: {rule}",
        "Data as protocols/spec describes it.",
        "Ask whoever gave it to you for a new copy.",
        UNVERIFIED,
        rule=error,
    )
