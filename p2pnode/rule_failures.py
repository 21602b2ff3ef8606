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
    return _at_the_till(error) or Failure(
        error.reason,
        "This breaks a rule: {rule}",
        "Data as protocols/spec describes it.",
        "Ask whoever gave it to you for a new copy.",
        UNVERIFIED,
        rule=error,
    )


def _at_the_till(error: ProtocolError) -> Failure | None:
    """Why a redeem that is whole is neither accepted nor recognised."""
    match error.reason:
        case Reason.NOT_PAYEE:
            return Failure(
                error.reason,
                "Another key redeemed it than the one that is paid.",
                "The key of the voucher's line; or a key of the same person, where"
                " this node follows the campaign and can see that.",
                "Follow the campaign, or show the slip to the issuer.",
                UNVERIFIED,
            )
        case Reason.OVER_LINE | Reason.NO_AMOUNT:
            return Failure(
                error.reason,
                "The redeem is of more than the voucher, or of nothing.",
                "A part of the voucher's amount.",
                "Do not accept it.",
                UNVERIFIED,
            )
        case Reason.WRONG_ACCEPTOR:
            return Failure(
                error.reason,
                "The customer redeemed it at another shop.",
                "A redeem that names a key of this node.",
                "Give her your key, p2pnode status shows it; she redeems anew.",
                UNVERIFIED,
            )
        case Reason.VOUCHER_EXPIRED:
            return Failure(
                error.reason,
                "The voucher was not redeemed in time.",
                "A voucher before its last day.",
                "Do not accept it. What was not redeemed is the sponsor's.",
                UNVERIFIED,
            )
        case Reason.REDEEMED:
            return Failure(
                error.reason,
                "This redeem was taken before.",
                "A redeem that was not accepted yet.",
                "See p2pnode reward books. Do not accept it again.",
                UNVERIFIED,
            )
        case Reason.OVERSPENT:
            return Failure(
                error.reason,
                "The same part of the voucher was redeemed before.",
                "A part of the voucher that is not spent.",
                "Do not accept it. Two such slips are a proof: p2pnode reward prove",
                UNVERIFIED,
            )
        case _:
            return None
