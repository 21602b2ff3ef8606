"""Why a word may not count, or did not, where a reason alone leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import accounts
from cli.i18n import _

Document = Mapping[str, Any]


def doubt(one: Document, unit: str) -> str:
    """One doubt in words."""
    facts = dict(one)
    for name in ("most", "before"):
        if name in facts:
            facts[name] = accounts.money(facts[name], unit)
    if "time" in facts:
        facts["time"] = accounts.moment(facts["time"])
    if "once" in facts:
        facts["once"] = unit_of(facts["once"])
    return _doubts().get(one["code"], str(one["code"])).format(**facts)


def unit_of(once: str) -> str:
    """For what an act is counted only once."""
    return {
        "tag": _("tag"),
        "person": _("person"),
        "person-tag": _("person and tag"),
        "person-day": _("person and day"),
    }.get(once, _("code"))


def _doubts() -> dict[str, str]:
    return {
        "not-a-merchant": _(
            "the terms name this node as no merchant and no device: it will not count."
        ),
        "unknown-person": _(
            "no join of this person is here: it counts only if she takes part."
        ),
        "unbound": _(
            "nothing ties it to her: it counts with her card code (--card), or with a"
            " scan of hers of this shop's tag, in time and not named before."
        ),
        "card-used": _(
            "this card code was used before, and it is good once: ask her for a new"
            " one (p2pnode card)."
        ),
        "card-of-another-person": _("the card code is another person's."),
        "card-of-another-campaign": _(
            "the card code is not for this campaign, or was changed."
        ),
        "card-for-another-shop": _("the card code was made for another shop."),
        "host-not-named": _(
            "the terms do not name whoever hosts her tag: nobody gets the host's part."
        ),
        "too-early": _("it counts only from {time} on."),
        "too-late": _("this was over at {time}: it will not count."),
        "ended": _("the campaign's last round is closed: it will not count."),
        "again": _("she has one already, and it counts once for each {once}."),
        "over-amount": _("the terms let this shop record {most} at once, at most."),
        "over-day": _(
            "the terms let this shop record {most} a day; it recorded {before} besides"
            " this, that day."
        ),
        "over-total": _(
            "the terms let this shop record {most} in all; it recorded {before}"
            " besides this."
        ),
        "over-budget": _("it is worth more than the whole budget, {most}."),
        "first-taken": _(
            "only the first {first} acts of this stage are paid, and they were taken."
        ),
        "refunded": _("it was taken back wholly, after a refund."),
        "unknown-outcome": _("that outcome is not here."),
        "not-an-outcome": _("that record is no outcome: only those are taken back."),
        "not-yours": _("another shop signed that outcome: only it can take it back."),
        "not-refundable": _(
            "the terms give this stage no time for refunds: it will not be heeded."
        ),
        "refund-over": _("the time for refunds was over at {time}."),
        "more-than-outcome": _("no more than {most} of that outcome is left."),
    }
