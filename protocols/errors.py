"""One error, one registry of reasons.

Bytes from outside either become a valid value or raise `ProtocolError` with a
`Reason`. Reasons are stable kebab-case words for machines; only `cli` turns
them into sentences. A reason is never renamed or reused.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something was refused. The order is the specs' order of checks."""

    # 0001 codec
    TOO_LARGE = "too-large"
    NOT_CANONICAL = "not-canonical"
    BAD_TEXT = "bad-text"
    BAD_SHAPE = "bad-shape"
    FRAME_SIZE = "frame-size"

    # 0002 keys
    BAD_KEY = "bad-key"
    BAD_SIGNATURE = "bad-signature"

    # 0003 records and feeds
    WRONG_VERSION = "wrong-version"
    WRONG_NETWORK = "wrong-network"
    UNKNOWN_KIND = "unknown-kind"
    WRONG_GENESIS = "wrong-genesis"
    WRONG_HASH = "wrong-hash"
    BAD_CLAIM = "bad-claim"
    GAP = "gap"
    WRONG_BACKLINK = "wrong-backlink"
    FORK = "fork"
    NOT_A_FORK = "not-a-fork"
    UNKNOWN_SCOPE = "unknown-scope"
    NO_ROOM = "no-room"

    # 0004 joining
    NOT_NAMED = "not-named"
    WRONG_CAMPAIGN = "wrong-campaign"
    BAD_INVITE = "bad-invite"
    INVITE_EXPIRED = "invite-expired"
    INVITE_USED_UP = "invite-used-up"
    TOO_LITTLE_WORK = "too-little-work"
    TOO_DEEP = "too-deep"
    TOO_MANY_KEYS = "too-many-keys"

    # 0005 terms
    BAD_TERMS = "bad-terms"

    # 0006 neighbours
    BAD_FRAME = "bad-frame"
    UNEXPECTED_FRAME = "unexpected-frame"
    TOO_MUCH = "too-much"

    # 0007 tags
    BAD_CODE = "bad-code"

    # 0008 settlement, in the order of its tests
    NOT_ADMITTED = "not-admitted"
    ERASED = "erased"
    UNKNOWN_STAGE = "unknown-stage"
    NOT_MATURE = "not-mature"
    UNKNOWN_TAG = "unknown-tag"
    STAGE_WINDOW = "stage-window"
    GRADE = "grade"
    NOT_BOUND = "not-bound"
    AFTER = "after"
    ONCE = "once"
    PER_WINDOW = "per-window"
    VELOCITY = "velocity"
    DAY = "day"
    MERCHANT_CAP = "merchant-cap"
    BUDGET = "budget"

    # 0009 closes
    INCOMPLETE = "incomplete"
    WRONG_CUT = "wrong-cut"
    WRONG_CLOSE = "wrong-close"
    WRONG_STATEMENT = "wrong-statement"
    BAD_PROOF = "bad-proof"
    BAD_BUNDLE = "bad-bundle"

    # 0011 vouchers spent, in the order of its tests
    NO_AMOUNT = "no-amount"
    OVER_LINE = "over-line"
    NOT_PAYEE = "not-payee"
    WRONG_ACCEPTOR = "wrong-acceptor"
    VOUCHER_EXPIRED = "voucher-expired"
    REDEEMED = "redeemed"
    OVERSPENT = "overspent"
    UNKNOWN_LINE = "unknown-line"
    NOT_ISSUER = "not-issuer"
    UNKNOWN_OWE = "unknown-owe"
    NOT_CREDITOR = "not-creditor"

    # 0012 proofs
    NOT_PROVEN = "not-proven"


class ProtocolError(ValueError):
    """Bytes or values from outside break a rule.

    Attributes:
        reason: the first check that failed, in the spec's order.
        detail: words for logs and developers; never parsed, never translated.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
