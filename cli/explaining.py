"""`campaign explain` in words: evidence, stage, rule and level of every share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import output
from cli.accounts import left_overs_to, moment, money, short
from cli.doubts import doubt, unit_of
from cli.i18n import _
from cli.reasons import needed, reason
from cli.words import word

Document = Mapping[str, Any]


def show_explanation(answer: Document, names: Mapping[str, str] | None = None) -> None:
    """Print which act led to which share, what was refused, and the sums."""
    known = _names(answer, names or {})
    if not answer["accepted"] and not answer["refused"]:
        output.say(_("No act of this person counts yet."))
    for act in answer["accepted"]:
        _show_accepted(act, known, answer)
    for act in answer["refused"]:
        _show_refused(act, known, answer["unit"])
    for person in answer["people"]:
        asked = answer["person"] in (None, person["author"], person["payee"])
        if person["refused"] and asked:
            _show_not_admitted(person, known, answer)
    if answer["conditions"] and not answer["conditions_met"]:
        _show_conditions(answer)
    for one in answer.get("sums", ()):
        _show_sum(one, known, answer)


def _show_not_admitted(
    person: Document, known: Mapping[str, str], answer: Document
) -> None:
    output.say(
        _("Not admitted: {person}: {why}").format(
            person=_name(known, person["author"]), why=reason(person["refused"])
        ),
        *_taken(person["refused"], {"depth": answer.get("depth", "?")}),
    )


def _show_conditions(answer: Document) -> None:
    output.say(_("Nothing is paid yet: the conditions are not met."))
    for one in answer.get("conditions", ()):
        if not one["met"]:
            facts = {"stage": one["stage"], "least": one["least"]}
            output.say("  " + _("{stage} must reach {least}").format(**facts))


def _names(answer: Document, names: Mapping[str, str]) -> dict[str, str]:
    """What keys are called: as told, and me and the left-overs' payee by a word."""
    residue = answer.get("residue")
    known = {residue["author"]: left_overs_to(residue)} if residue else {}
    return {**known, **names}


def _name(known: Mapping[str, str], key: str | None) -> str:
    return known.get(key or "", short(key or "?"))


def grade_words(grade: int) -> str:
    """What evidence of a grade is, for people."""
    return {
        1: _("a printed code"),
        2: _("a one-time code"),
        3: _("a fresh code from a screen"),
        4: _("an NFC tap or a device"),
        5: _("confirmed by a shop, with her card or scan"),
        7: _("confirmed, and past its refund window"),
    }.get(grade, _("a word alone"))


def _show_accepted(act: Document, known: Mapping[str, str], answer: Document) -> None:
    unit = answer["unit"]
    output.say(
        _(
            "{actor} · {stage} · {tag}: accepted with grade {grade}, {words};"
            " worth {pool}"
        ).format(
            actor=_name(known, act["actor"]),
            stage=act["stage"],
            tag=act["tag"] or word(act["kind"]),
            grade=act["grade"],
            words=grade_words(act["grade"]),
            pool=money(act["pool"], unit),
        )
    )
    if act.get("cut_by_budget"):
        less = money(act["cut_by_budget"], unit)
        output.say(
            "  " + _("{less} less: no more was left of the budget").format(less=less)
        )
    for share in act["shares"]:
        output.say("  " + _share(share, act, known, unit))
    if act["hostless"]:
        output.say(
            "  "
            + _(
                "{amount} was for whoever hosts the tag: no tag led to this act, or"
                " the actor hosts it"
            ).format(amount=money(act["hostless"], unit))
        )
    if act["left_over"]:
        facts = {
            "amount": money(act["left_over"], unit),
            "name": left_overs_to(answer.get("residue", {})),
        }
        output.say(
            "  " + _("{amount} nobody gets: left over, to {name}").format(**facts)
        )


def _share(share: Document, act: Document, known: Mapping[str, str], unit: str) -> str:
    """Who gets how much of an act, and why: in one line."""
    facts = {
        "name": _name(known, share["payee"]),
        "amount": money(share["amount"], unit),
        "actor": _name(known, act["actor"]),
        "level": share["level"],
        "part": _fraction(share.get("fraction", "?")),
        "rest": money(act.get("rest", act["pool"]), unit),
        "through": _name(known, share.get("through")),
    }
    distance = share.get("distance", -1)
    if share["why"] == "host":
        text = _("{name}: {amount}, because the tag hangs at this place")
    elif share["why"] == "back":
        text = _("{name}: {amount}, back to who bought")
    elif distance == 0:
        text = _(
            "{name}: {amount}, {part} of {rest}, for the act itself (level {level})"
        )
    elif distance == 1:
        text = _(
            "{name}: {amount}, {part} of {rest}, for inviting {actor} (level {level})"
        )
    else:
        text = _(
            "{name}: {amount}, {part} of {rest}, for inviting {through}, above {actor}"
            " (level {level})"
        )
    withheld = " " + _("withheld: her feed forked") if share["withheld"] else ""
    return text.format(**facts) + withheld


def _fraction(text: str) -> str:
    """A fraction as people say it."""
    return {
        "1": _("all"),
        "1/2": _("half"),
        "1/4": _("a quarter"),
        "1/8": _("an eighth"),
    }.get(text, text)


def _show_refused(act: Document, known: Mapping[str, str], unit: str) -> None:
    cause = act.get("detail")  # a node of an older version tells none
    output.say(
        _("Refused: {actor} · {stage} · {tag}: {why}").format(
            actor=_name(known, act["actor"] or act["signer"]),
            stage=act["stage"] or "?",
            tag=act["tag"] or word(act["kind"]),
            why=doubt(cause, unit) if cause else reason(act["reason"]),
        )
    )
    if not cause:
        facts = {**act.get("needed", {}), "has": act["grade"]}
        output.say(*_taken(act["reason"], facts))


def _taken(code: str, facts: Mapping[str, Any]) -> list[str]:
    """What it would have taken, as far as there is more to say than the reason."""
    said = dict(facts)
    for name in ("opens", "closes", "matures"):
        if name in said:
            said[name] = moment(said[name])
    if "grade" in said:
        said["grade_words"] = grade_words(said["grade"])
    if "after" in said:
        said["after"] = ", ".join(_earlier(one) for one in said["after"])
    if "once" in said:
        said["once"] = unit_of(said["once"])
    if "interval_ms" in said:
        said["interval"] = said["interval_ms"] // 1000
    text = needed(code, said)
    return ["  " + _("It would have taken: {text}.").format(text=text)] if text else []


def _earlier(one: Document) -> str:
    if one["by_invitee"]:
        return _("{stage}, by somebody she invited").format(stage=one["stage"])
    return str(one["stage"])


def _show_sum(one: Document, known: Mapping[str, str], answer: Document) -> None:
    """How a line comes about; the parts add up to it."""
    unit = answer["unit"]
    facts = {
        name: money(one[name], unit)
        for name in ("shares", "left_overs", "signed_before", "due")
    }
    facts["name"] = _name(known, one["author"])
    text = _("{name}: shares {shares}")
    if not answer["conditions_met"]:
        text += ", " + _("due once the conditions are met")
        output.say(text.format(**facts))
        return
    if one["left_overs"]:
        text += " + " + _("left-overs {left_overs}")
    if one["signed_before"]:
        text += " - " + _("paid by earlier closes {signed_before}")
    output.say((text + " = " + _("due now {due}")).format(**facts))
