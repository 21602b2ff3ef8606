"""What a shop's word says, and what is already known against it: in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import accounts, output
from cli.doubts import doubt
from cli.i18n import _
from cli.words import word

Document = Mapping[str, Any]


def show_word(answer: Document) -> None:
    """Print what an attest or outcome says, its number and id, and every doubt."""
    facts = {
        "title": answer["title"],
        "stage": answer["stage"],
        "person": accounts.short(answer["person"]),
        "amount": accounts.money(answer["amount"], answer["unit"]),
        "kind": word(answer["act_kind"] or "?"),
    }
    if answer["act"] is None:
        text = _("{title}: {stage} by {person}, {amount}.")
    elif answer["stage"] is None:
        text = _("{title}: you confirm a {kind} of {person}.")
    else:
        text = _("{title}: {stage} by {person}; you confirm her {kind}.")
    output.say(text.format(**facts))
    if answer["by"] == "card":
        output.say("  " + _("bound to her by her card"))
    if answer["tag"]:
        output.say("  " + _scan(answer))
    show_id(answer)
    show_doubts(answer)


def show_reversal(answer: Document) -> None:
    """Print how much of which outcome is taken back."""
    facts = {
        "title": answer["title"],
        "amount": accounts.money(answer["amount"], answer["unit"]),
        "outcome": answer["outcome"][: accounts.ID_SHOWN],
        "stage": answer["stage"],
    }
    if answer["left"] is None:
        text = _("{title}: {amount} of the outcome {outcome} is taken back.")
        output.say(text.format(**facts))
    else:
        facts["person"] = accounts.short(answer["person"])
        facts["left"] = accounts.money(answer["left"], answer["unit"])
        text = _(
            "{title}: {amount} of {stage} by {person} is taken back; {left} of it"
            " stays."
        )
        output.say(text.format(**facts))
    show_id(answer)
    show_doubts(answer)


def show_id(answer: Document) -> None:
    """Print by which number and id other commands know a record."""
    output.say(_("Your record no. {seq}: {record}").format(**answer))


def show_doubts(answer: Document) -> None:
    """Tell why it may not count, as far as is known here."""
    for one in answer.get("warnings", ()):  # a node of an older version tells none
        output.talk(_("Note: {text}").format(text=doubt(one, answer["unit"])))
    if answer.get("warnings"):
        output.talk(_("It is signed all the same; the settlement decides."))


def _scan(answer: Document) -> str:
    """Which tag she scanned, and with whom it hangs."""
    facts = {
        "tag": answer["tag"],
        "place": answer["place"],
        "host": answer["host_name"] or accounts.short(answer["host"] or ""),
    }
    if answer["place"] and answer["host"]:
        text = _("her scan of {tag} at {place}, with {host}")
    elif answer["host"]:
        text = _("her scan of {tag}, with {host}")
    elif answer["place"]:
        text = _("her scan of {tag} at {place}")
    else:
        text = _("her scan of {tag}")
    return text.format(**facts)
