"""What a node's status says of losses and keys that were given up, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cli import accounts
from cli.i18n import _
from p2pnode import backup_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One sentence for the owner."""

    level: Literal["ok", "warn", "bad"]
    text: str
    cure: str = ""


def remarks(status: dict[str, Any], home: Path) -> Iterator[Remark]:
    """The sentences for a `p2pnode.status/1` of the folder `home`, the loss first."""
    for loss in status.get("losses", [])[-1:]:
        if loss["why"] == "slips":
            yield Remark(
                level="warn",
                text=_(
                    "{time}: The records' file was older than what was accepted. A slip"
                    " that was signed before is accepted only if you are sure of it."
                ).format(time=accounts.moment(loss["time_ms"])),
                cure=_("Make a new backup: p2pnode backup create FILE"),
            )
            continue
        why = _reasons().get(loss["why"], loss["why"])
        text = _("{time}: {why} No feed begun before is continued here.").format(
            time=accounts.moment(loss["time_ms"]), why=why
        )
        since = [
            one for one in backup_notes.read(home) if one.made_ms > loss["time_ms"]
        ]
        if any(one.verified for one in since):
            yield Remark(level="ok", text=text)
        elif since:
            cure = _("See that the new backup is whole: p2pnode backup verify FILE")
            yield Remark(level="warn", text=text, cure=cure)
        else:
            cure = _("Make a new backup: p2pnode backup create FILE")
            yield Remark(level="warn", text=text, cure=cure)
    for trouble in status.get("troubles", []):
        title = trouble["title"] or (trouble["campaign"] or "")[:16]
        yield _remark(trouble["code"], title, trouble["why"])


def _remark(code: str, title: str, why: str) -> Remark:
    match code:
        case "continued":
            return Remark(
                level="ok",
                text=_(
                    "{title}: you go on under a new key, as the same person. It counts"
                    " once witnesses have seen it."
                ).format(title=title),
            )
        case "cannot-continue":
            cure = {
                "no-join-here": _(
                    "Wait for neighbours, or join again by an invite link."
                ),
                "person-keys-used-up": _("What you did so far counts and is paid."),
            }
            return Remark(
                level="bad",
                text=_("{title}: no new key can take over ({why}).").format(
                    title=title, why=why
                ),
                cure=cure.get(why, _("The node's log says more.")),
            )
        case "key-retired":
            return Remark(
                level="bad",
                text=_(
                    "{title}: the key that its terms name for this node was given up;"
                    " nothing is signed there."
                ).format(title=title),
                cure=_(
                    "Another key of the terms goes on; if there is none, others do."
                    " In the next campaign name several: p2pnode key add"
                ),
            )
        case "copy-at-work":
            return Remark(
                level="bad",
                text=_(
                    "{title}: another node signs with this node's key; here it is"
                    " stopped."
                ).format(title=title),
                cure=_("End the other node; then here: p2pnode key next"),
            )
        case "no-key-left":
            return Remark(
                level="bad",
                text=_("All author keys of this node were given up."),
                cure=_("For later campaigns make a new one: p2pnode key add"),
            )
        case _:
            return Remark(level="warn", text=f"{title}: {code}")


def _reasons() -> dict[str, str]:
    return {
        "restored": _("A backup was restored."),
        "another-machine": _("The data folder came from another machine."),
        "copied": _("The data folder is a copy."),
        "another-store": _("The records' file was missing, or another one."),
        "older": _("The records' file was older than what was signed."),
        "no-mark": _("The file 'mark' was missing or damaged."),
    }
