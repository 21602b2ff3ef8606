"""Why something does not count, and what it would have taken: in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.i18n import _


def reason(code: str | None) -> str:
    """What a reason code means, for people; itself if unknown."""
    return _reasons().get(code or "", code or "")


def needed(code: str, facts: Mapping[str, Any]) -> str:
    """What a refused act would have needed, if there is more to say; else nothing.

    Args:
        code: the reason.
        facts: what the act's stage asks for, in words already.
    """
    return _needs().get(code, "").format_map(_Facts(facts))


class _Facts(dict[str, Any]):
    """What a node of an older version does not tell is left open."""

    def __missing__(self, key: str) -> str:
        return "?"


def _reasons() -> dict[str, str]:
    return {
        # 0003, 0004: joining
        "bad-key": _("a key in it is none"),
        "bad-signature": _("a signature in it does not hold"),
        "wrong-network": _("it was made for another network"),
        "wrong-genesis": _("its author's records do not begin with a join"),
        "wrong-backlink": _("records of one feed do not follow each other"),
        "not-named": _("the terms do not name the one who signed it"),
        "wrong-campaign": _("the invite is for another campaign"),
        "bad-invite": _("the invite does not hold"),
        "invite-expired": _("the invite had expired"),
        "invite-used-up": _("the invite had been used by others before"),
        "too-little-work": _("a public invite asks for work that was not done"),
        "too-deep": _("the referral chain is longer than the terms admit"),
        "too-many-keys": _("this person has too many keys already"),
        "bad-terms": _("the terms have a rule that this version cannot settle"),
        # 0008: settlement
        "not-admitted": _("nobody who takes part invited this key"),
        "erased": _("its author erased it"),
        "unknown-stage": _("the terms have no such stage for this act"),
        "not-mature": _("its refund window still runs"),
        "unknown-tag": _("the tag is not one of this stage"),
        "stage-window": _("it happened before the stage opened or after it closed"),
        "grade": _("the evidence is too weak for this stage"),
        "not-bound": _("nothing ties it to this person: no card, no scan"),
        "after": _("an earlier stage is missing"),
        "once": _("it had been used before, by an earlier act"),
        "per-window": _("this code had been scanned too often"),
        "velocity": _("too soon after another place"),
        "day": _("too many acts on one day"),
        "merchant-cap": _("above what the terms allow this merchant"),
        "budget": _("nothing was left of the budget"),
        # 0009: closes
        "incomplete": _("records are missing here"),
        "wrong-cut": _("the cut contradicts the records or the terms"),
        "wrong-close": _("the close says something else than its evidence"),
        "wrong-statement": _("the evidence gives another statement"),
    }


def _needs() -> dict[str, str]:
    """Where a person can do otherwise next time. The gaps are facts of the stage."""
    return {
        "not-named": _("a signer whom the terms name, or the customer's card code"),
        "bad-invite": _("a whole invite link of somebody who takes part"),
        "invite-expired": _("to be seen by witnesses before the invite's end"),
        "invite-used-up": _("an invite that was still free: ask for a new one"),
        "too-little-work": _("to join with p2pnode, which does the work"),
        "too-deep": _("an inviter nearer to the sponsor: {depth} levels at most"),
        "too-many-keys": _("one of the keys this person has already"),
        "not-admitted": _("a join that witnesses saw, below somebody admitted"),
        "erased": _("to be erased only after it counted"),
        "unknown-stage": _("a stage of the terms for this kind of act"),
        "not-mature": _("to wait: it is judged once {matures} is past"),
        "unknown-tag": _("a tag of {tags}, valid then and not revoked"),
        "stage-window": _("to happen between {opens} and {closes}"),
        "grade": _("evidence of grade {grade} ({grade_words}); it had {has}"),
        "not-bound": _(
            "the customer's card code, or her scan of this shop's tag, in time"
        ),
        "after": _("first an accepted act of: {after}"),
        "once": _("to be the first: it counts once for each {once}"),
        "per-window": _("to be among the first {per_window} scans of that code"),
        "velocity": _("{interval} s between two places"),
        "day": _("no more than {per_day} accepted acts that day"),
        "merchant-cap": _("an amount within this merchant's limits in the terms"),
        "budget": _("to come earlier, while money was left"),
    }
