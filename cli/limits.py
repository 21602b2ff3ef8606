"""What terms limit, in words: acts a day, time between places, a shop's amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import accounts
from cli.i18n import _, plural

if TYPE_CHECKING:
    from protocols.terms import Terms


def sentences(terms: Terms) -> list[str]:
    """One sentence a limit, as far as the terms have any."""
    found = document(terms)
    lines = []
    if most := found["per_person_per_day"]:
        lines.append(
            plural(
                "One person is paid for at most {count} act a day.",
                "One person is paid for at most {count} acts a day.",
                most,
            ).format(count=most)
        )
    if interval := found["place_interval_ms"]:
        lines.append(
            _(
                "Scans of one person at two places count only if at least {span} lies"
                " between them."
            ).format(span=_span(interval))
        )
    for one in found["stages"]:
        if one["once_a_day"]:
            text = _("Stage {stage} counts once a day for each person.")
            lines.append(text.format(stage=one["stage"]))
        if one["late_ms"]:
            text = _(
                "Who was offline has {span} to send what she did in stage {stage}: so"
                " long a forwarded code works, too."
            )
            lines.append(text.format(stage=one["stage"], span=_span(one["late_ms"])))
        if one["per_window"]:
            text = _("Of one changing code of stage {stage} the first {count} count.")
            lines.append(text.format(stage=one["stage"], count=one["per_window"]))
    for one in found["shops"]:
        names = ("amount_max", "per_day_max", "total_max")
        facts = {name: accounts.money(one[name], terms.unit) for name in names}
        lines.append(
            _(
                "{name} may record at most {amount_max} at once, {per_day_max} a day,"
                " {total_max} in all."
            ).format(name=one["name"], **facts)
        )
    lines.append(
        _(
            "When each key acted can be read by all who take part, to {span}: so often"
            " witnesses list what they see."
        ).format(span=_span(found["seen_interval_ms"]))
    )
    return lines


def document(terms: Terms) -> dict[str, Any]:
    """The limits as JSON."""
    from protocols.terms import Once, Role

    vouches = Role.MERCHANT | Role.DEVICE
    return {
        "per_person_per_day": terms.limits.per_person_per_day,
        "place_interval_ms": terms.limits.place_interval_ms,
        "seen_interval_ms": terms.seen_interval_ms,
        "stages": [
            {
                "stage": stage.id,
                "once_a_day": stage.once == Once.PERSON_DAY,
                "late_ms": stage.late_ms,
                "per_window": stage.per_window,
            }
            for stage in terms.stages
        ],
        "shops": [
            {
                "name": party.name,
                "amount_max": party.amount_max,
                "per_day_max": party.per_day_max,
                "total_max": party.total_max,
            }
            for party in terms.named
            if party.role & vouches
        ],
    }


def _span(ms: int) -> str:
    """A duration as people say it, in the largest unit that is whole."""
    for size, text in (
        (3_600_000, _("{count} h")),
        (60_000, _("{count} min")),
        (1_000, _("{count} s")),
    ):
        if ms % size == 0:
            return text.format(count=ms // size)
    return _("{count} ms").format(count=ms)
