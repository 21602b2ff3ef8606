"""`p2pnode campaign`: find, join and follow campaigns, invite others."""

from __future__ import annotations

from pathlib import Path

import click

from cli import (
    accounts,
    campaign_proofs,
    campaign_terms,
    client,
    frame,
    output,
    params,
)
from cli.campaign_proofs import CAMPAIGN
from cli.i18n import _
from cli.words import word

ROUNDS_SHOWN = 3


@frame.command(
    "list",
    _("List the campaigns this node follows."),
    example="p2pnode campaign list",
)
def list_(*, as_json: bool) -> None:
    """Print a table."""
    answer = client.call("GET", "/campaigns")
    if as_json:
        output.as_json(answer)
        return
    rows = [
        (
            one["title"] or "?",
            word(one["role"]) if "role" in one else _("waiting for its terms"),
            one.get("records", 0),
            len(one.get("closes", [])),
            one["campaign"],
        )
        for one in answer["campaigns"]
    ]
    header = (_("title"), _("role"), _("records"), _("closes"), _("id"))
    if rows:
        output.say(*output.table(header, rows))
    else:
        output.say(_("None yet. Join one with: p2pnode campaign join LINK"))


@frame.command(
    "show",
    _("Show a campaign: stages, witnesses, rounds, how far it has come."),
    example="p2pnode campaign show",
)
@CAMPAIGN
def show(campaign: str, *, as_json: bool) -> None:
    """Print the campaign in short."""
    answer = client.call("GET", client.campaign(campaign))
    if as_json:
        output.as_json(answer)
        return
    unit = answer["unit"]
    output.say(
        answer["title"],
        _("id {id}").format(id=answer["campaign"]),
        _("budget {budget}, left-overs to {name}").format(
            budget=accounts.money(answer["budget"], unit),
            name=accounts.left_overs_to(answer["residue"]),
        ),
        _("you are here as: {role}").format(role=word(answer["role"])),
        _("{records} records of {feeds} people and shops").format(**answer),
    )
    stages = [
        (stage["id"], _worth(stage["reward"], unit), stage["acts"], stage["accepted"])
        for stage in answer["stages"]
    ]
    header = (_("stage"), _("an act is worth"), _("acts here"), _("accepted"))
    output.say(*output.table(header, stages))
    first = answer["next_round"]
    shown = answer["rounds"][first - 1 :][:ROUNDS_SHOWN] if first else []
    for number, one in enumerate(shown, first or 0):
        output.say(
            _("round {number}: ends {closes}, can be closed from {final}").format(
                number=number,
                closes=accounts.moment(one["closes"]),
                final=accounts.moment(one["final_from"]),
            )
        )
    if not first:
        output.say(
            _("Round {round} was the last: nothing is left to pay.").format(
                round=answer["closes"][-1]["round"]
            )
        )
    accounts.show_disputes(answer)
    for condition in answer["conditions"]:
        output.say(
            _("nothing is paid unless {stage} reaches {least}: {met}").format(
                stage=condition["stage"],
                least=condition["least"],
                met=_("met") if condition["met"] else _("not yet"),
            )
        )
    from p2pnode.system import SystemClock

    output.say(*_liars(answer), *_stalls(answer, SystemClock().now_ms()))


def _liars(answer: client.Document) -> list[str]:
    """Which witnesses have provably lied, and whether they are too many."""
    liars = answer.get("liars", ())
    if not liars:
        return []
    lines = [_("Proven to have signed two feeds: the witnesses of {liars}.")]
    if len(liars) > answer["faults"]:
        lines.append(
            _(
                "With {n} witnesses {f} may lie. These are more: what counts, and since"
                " when, rests on nobody's word any more."
            )
        )
    facts = {"n": len(answer["witnesses"]), "f": answer["faults"]}
    return [line.format(liars=", ".join(liars), **facts) for line in lines]


def _stalls(answer: client.Document, now_ms: int) -> list[str]:
    """What the next round waits for, if it does, and what may stay away."""
    if not answer["next_round"]:
        return []
    due = answer["rounds"][answer["next_round"] - 1]["final_from"]
    faults, silent = answer.get("faults", 0), answer.get("silent", [])
    facts = {
        "round": answer["next_round"],
        "owners": ", ".join(answer["waits_for"] or silent),
        "since": accounts.moment(due),
        "n": len(answer.get("witnesses", ())),
        "f": faults,
        "count": answer.get("missing", 0),
    }
    lines = []
    if answer["waits_for"] and now_ms < due:
        lines.append(
            _("Round {round} waits until these witnesses have finished it: {owners}.")
        )
    elif answer["waits_for"]:
        lines += [
            _("Round {round} waits for finals of {owners}, since {since}."),
            _("With {n} witnesses {f} may be off; the nodes of the others must run."),
        ]
    elif silent and now_ms >= due:
        lines.append(_("Not heard of round {round}: {owners}. It can close without."))
    if facts["count"]:
        lines.append(
            _(
                "{count} records that witnesses or closes name are not here yet:"
                " neighbours are asked for them."
            )
        )
    return [line.format(**facts) for line in lines]


def _worth(reward: client.Document | None, unit: str) -> str:
    """What an act earns, and the rule that shares it."""
    if reward is None:
        return "-"
    amount = accounts.money(reward["amount"], unit)
    if reward["percent_bp"]:
        amount = f"{reward['percent_bp'] / 100:g} %"
    return f"{amount} ({word(reward['rule'])})"


@frame.command(
    "join",
    _("Join a campaign by an invite link, a picture of its code, or - for stdin."),
    example="p2pnode campaign join P2PNODE:I/...",
)
@click.argument("link")
def join(link: str, *, as_json: bool) -> None:
    """Sign the join; it reaches the others when a neighbour is there."""
    from cli.codes import read_argument

    text = read_argument(client.told(link), "I")[0]
    answer = client.call("POST", "/campaigns/join", {"link": text})
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("Joined {title}.").format(title=answer["title"]),
        _("Your key there: {key}").format(key=answer["author"]),
        _("It counts once witnesses have seen it: p2pnode campaign evidence"),
    )


@frame.command(
    "continue",
    _("Take part where another device of yours, or this one before a loss, joined."),
    example="p2pnode campaign continue",
)
@CAMPAIGN
def continue_(campaign: str, *, as_json: bool) -> None:
    """Go on under a new key of the same person; a node does so itself after a loss."""
    answer = client.call("POST", client.campaign(campaign, "continue"))
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("You go on in {title} under a new key, as the same person.").format(**answer),
        _("Your key there: {key}").format(key=answer["author"]),
        _("It counts once witnesses have seen it: p2pnode campaign evidence"),
    )


@frame.command(
    "follow",
    _("Follow a campaign without joining: as a witness, a shop, or a sceptic."),
    example="p2pnode campaign follow p2pc1...",
)
@click.argument("campaign", type=params.Code("p2pc1", "I"))
def follow(campaign: str, *, as_json: bool) -> None:
    """Follow by id or by any link."""
    answer = client.call("POST", "/campaigns/follow", {"campaign": campaign})
    if as_json:
        output.as_json(answer)
        return
    output.say(_("Following {id}.").format(id=answer["campaign"]))


@frame.command(
    "invite",
    _("Make an invite link: whoever uses it joins under you."),
    example="p2pnode campaign invite --uses 1",
)
@CAMPAIGN
@click.option(
    "--uses",
    type=params.Whole(0, 1_000_000),
    default=1,
    show_default=True,
    help=_("How many people may use it; 0: anybody, who must then do some work."),
)
@click.option("--picture", default="", help=_("Also draw it as a PNG file."))
def invite(campaign: str, uses: int, picture: str, *, as_json: bool) -> None:
    """Print the link once; it holds a secret."""
    from cli.codes import spoken
    from p2pnode import pictures

    if picture:
        with spoken():
            pictures.check_new(Path(picture))
    answer = client.call("POST", client.campaign(campaign, "invite"), {"uses": uses})
    if picture:
        with spoken():
            pictures.draw(answer["link"], Path(picture), (answer["title"],))
    if as_json:
        output.as_json(answer)
        return
    output.say(answer["link"])
    output.talk(
        _("Good until {time}.").format(time=accounts.moment(answer["expires_ms"]))
    )
    if answer.get("receipt", "safe") not in ("safe", "can-count"):
        output.talk(
            _(
                "Too few witnesses have seen this node's own beginning in the campaign:"
                " whoever joins by this link counts only once they have. See: p2pnode"
                " campaign evidence"
            )
        )


command = frame.group(
    "campaign",
    _("Write, publish, join, close and verify campaigns."),
    example="p2pnode campaign join P2PNODE:I/...",
)
for _verb in (
    campaign_terms.new,
    campaign_terms.check,
    campaign_terms.publish,
    list_,
    show,
    join,
    continue_,
    follow,
    invite,
    campaign_proofs.evidence,
    campaign_proofs.erase,
    campaign_proofs.close,
    campaign_proofs.verify,
    campaign_proofs.explain,
    campaign_proofs.bundle,
):
    command.add_command(_verb)
