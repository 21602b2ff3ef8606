"""What `campaign check` warns of, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli import accounts
from cli.i18n import _

if TYPE_CHECKING:
    from p2pnode.terms_check import Warning as TermsWarning


def sentence(warning: TermsWarning) -> str:
    """The warning in the language of the person."""
    words = _sentences().get(warning.code, warning.code)
    return words.format(
        stage=warning.stage,
        value=warning.value,
        name=warning.name,
        time=accounts.moment(warning.value),
    )


def _sentences() -> dict[str, str]:
    return {
        "rounds-over": _(
            "All rounds are over, since {time}: nothing that anybody does counts."
        ),
        "one-witness": _(
            "One witness decides alone what counts. With 4, one may lie or be off."
        ),
        "witness-is-sponsor": _("A witness is the sponsor: it decides its own case."),
        "witness-is-payee": _(
            "A witness gets the left-overs: it gains by every record it omits."
        ),
        "witness-is-host": _("A witness also hosts tags and earns by their scans."),
        "witness-is-merchant": _("A witness is also a merchant of this campaign."),
        "witness-is-device": _("A witness is also a device whose scans are paid."),
        "no-owner": _("The terms do not say whose {value} of the witnesses are."),
        "same-owner": _(
            "{value} witnesses are {name}'s: they lie, or are off, together."
        ),
        "owner-is-payee": _(
            "{name} owns a witness and gets the left-overs: every record that witness"
            " omits is a gain."
        ),
        "payee-is-sponsor": _(
            "The sponsor gets the left-overs: it gains by every share nobody gets."
        ),
        "no-reward": _("No stage has a reward: nobody is paid."),
        "paid-levels": _(
            "It pays along referral chains through more than three levels. Paying by"
            " heads recruited can be a crime in the PRC; take counsel."
        ),
        "free-keys": _(
            "Stage {stage} pays for keys, and one person can make any number."
            " Ask for grade 5 or for one-time tags."
        ),
        "photo-is-enough": _(
            "Stage {stage} pays for static codes: a photo is as good as a visit."
        ),
        "issuer-knows-serials": _(
            "Whoever made the one-time codes of stage {stage} can use them himself."
        ),
        "pool-above-budget": _(
            "One act of stage {stage} is worth more than the budget."
        ),
        "tags-not-fixed": _(
            "The tags of stage {stage} are not fixed by the terms: the sponsor can"
            " add and revoke them."
        ),
        "late-is-long": _(
            "In stage {stage} a forwarded code works for more than a day (late)."
        ),
        "fresh-is-short": _(
            "Honest scans of stage {stage} can fail by chance: its codes are fresh for"
            " less than {value} s after they changed (fresh, late), which witnesses"
            " need."
        ),
        "budget-below-condition": _(
            "The budget does not pay for the {value} acts that stage {stage} needs."
        ),
    }
