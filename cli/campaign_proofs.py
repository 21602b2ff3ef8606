"""`p2pnode campaign evidence | erase | close | verify | explain | bundle`: proofs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from cli import accounts, client, frame, kinds, output, params, proof_file
from cli.explaining import show_explanation
from cli.i18n import _
from cli.words import word
from p2pnode.failures import BAD_REQUEST, NOT_FOUND, UNVERIFIED, Failure

CAMPAIGN = click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
NUMBER_DIGITS = 7
"""Digits of the number of a record; more are the beginning of an id."""

BUNDLE_MAX = 1 << 28
"""Bytes of a bundle that is read: all of it is held while it is verified."""


@frame.command(
    "evidence",
    _("Show your records and how many witnesses have seen each."),
    example="p2pnode campaign evidence --mine",
)
@CAMPAIGN
@click.option("--mine", is_flag=True, default=True, help=_("Your own records."))
def evidence(campaign: str, *, mine: bool, as_json: bool) -> None:  # noqa: ARG001  # the only view yet
    """Print a table of receipts."""
    answer = client.call("GET", client.campaign(campaign, "evidence"))
    if as_json:
        output.as_json(answer)
        return
    words = {
        "none": _("not seen yet"),
        "seen": _("seen, not enough"),
        "can-count": _("can count"),
        "safe": _("safe"),
        "late": _("too late to count"),
    }
    erased = {
        "note": _("note erased"),
        "asked": _("erased at the close"),
        "claim": _("erased"),
    }
    rows = [
        (
            one["seq"],
            ", ".join(
                filter(None, [word(one["kind"]), erased.get(one.get("erased", ""))])
            ),
            accounts.moment(one["time"]),
            f"{one['seen_by']}/{answer['witnesses']}",
            words.get(one["receipt"], one["receipt"]),
            one["record"][: accounts.ID_SHOWN],
        )
        for one in answer["records"]
    ]
    header = (_("no."), _("what"), _("when"), _("witnesses"), _("receipt"), _("record"))
    output.say(*output.table(header, rows))
    if answer.get("invite_used_up"):
        output.talk(
            _("Note: {text}").format(
                text=_(
                    "others joined by the invite that you used, too, as many as may use"
                    " it. Only who was seen first takes part."
                )
            )
        )


@frame.command(
    "erase",
    _("Have every node drop what you wrote: a note, or what a scan says."),
    example="p2pnode campaign erase 3 --claim",
)
@click.argument("record", metavar=_("NUMBER|RECORD"), type=params.RECORD)
@click.option("--campaign", default="-", help=_("Where this node follows several."))
@click.option("--claim", is_flag=True, help=_("Of a scan: also which tag it was."))
def erase(record: str, campaign: str, *, claim: bool, as_json: bool) -> None:
    """Sign the wish; nodes heed it as soon as all can settle without."""
    answer = client.call(
        "POST",
        client.campaign(campaign, "erase"),
        {"record": own_record(campaign, record), "claim": claim},
    )
    if as_json:
        output.as_json(answer)
        return
    if answer["note"]:
        output.say(_("Every node that hears of it drops the note at once."))
    if answer["claim"]:
        output.say(
            _(
                "Which tag you scanned is dropped once the round that counts it is"
                " closed: until then all need it to settle the same."
            ),
            _("If the scan does not count before this does, it earns nothing."),
            _("That you wrote something then, and what it earned, stays."),
        )


def own_record(campaign: str, named: str) -> str:
    """The id of the record that `campaign evidence` shows under a number.

    Args:
        campaign: its id, as much of it as is needed, or `-`.
        named: the number; anything else is returned as it is, an id or its beginning.

    Raises:
        Failure: `unknown-record`.
    """
    if not named.isdecimal() or len(named) > NUMBER_DIGITS:
        return named
    number = int(named)
    answer = client.call("GET", client.campaign(campaign, "evidence"))
    for one in answer["records"]:
        if one["seq"] == number:
            return str(one["record"])
    raise Failure(
        "unknown-record",
        _("You have no record with the number {number}.").format(number=number),
        _("A number that p2pnode campaign evidence shows, or a record's id."),
        _("See yours with: p2pnode campaign evidence"),
        NOT_FOUND,
    )


@frame.command(
    "close",
    _("Close a round as the sponsor: cut, statement, money, signed."),
    example="p2pnode campaign close",
)
@CAMPAIGN
@click.option("--round", "number", type=params.Whole(1), help=_("Which round."))
def close(campaign: str, number: int | None, *, as_json: bool) -> None:
    """Close the latest round whose finals are here."""
    answer = client.call(
        "POST", client.campaign(campaign, "close"), {"round": number or 0}
    )
    if as_json:
        output.as_json(answer)
        return
    output.say(_("Closed round {round}.").format(round=answer["closes"][-1]["round"]))
    accounts.show_statement(answer["statement"], answer["unit"])
    if answer["next_round"]:
        shown = client.call("GET", client.campaign(campaign))
        later = shown["rounds"][answer["next_round"] - 1]["final_from"]
        output.say(
            _(
                "The campaign goes on: what was seen later counts in round {round}."
                " Close again after {time}."
            ).format(round=answer["next_round"], time=accounts.moment(later))
        )


@frame.command(
    "verify",
    _("Recompute every close: from the node, or from a bundle or proof file alone."),
    example="p2pnode campaign verify campaign.bundle",
)
@click.argument("what", metavar=_("[CAMPAIGN|FILE]"), default="-")
@click.option("--proof", default="", help=_("Where to write the proof of a cheat."))
@click.option("--no-dispute", is_flag=True, help=_("Sign nothing if a close is wrong."))
def verify(what: str, proof: str, *, no_dispute: bool, as_json: bool) -> None:
    """Ask the node, or read a file with no node and no network."""
    if _is_file(what):
        path = Path(what)
        if proof_file.is_proof(path):
            proof_file.show(path, as_json=as_json)
            return
        view, answer = _verify_bundle(path)
        answer["proof"] = proof_file.from_bundle(path, proof, view, answer)
    else:
        answer = client.call("GET", client.campaign(what, "verify"))
        answer["proof"] = proof_file.from_node(what, proof, answer)
        if not no_dispute and answer["verdict"] == "wrong":
            answer["disputed"] = proof_file.dispute(what)
    if as_json:
        output.as_json(answer)
    else:
        accounts.show_verification(answer)
        proof_file.say_where(answer["proof"])
    if answer["verdict"] in ("wrong", "incomplete"):
        raise Failure(
            "not-verified",
            accounts.finding(answer),
            _("Whole evidence, and closes that follow from it."),
            _("See which records and why: p2pnode campaign explain"),
            UNVERIFIED,
        )


def _is_file(what: str) -> bool:
    """Whether a file is meant, and not a campaign.

    Raises:
        Failure: `no-file`, it looks like the name of a file that is not here.
    """
    try:
        path = Path(what)
        if path.is_file():
            kinds.check_file(what, ["bundle", "proof"])
            return True
        meant = os.sep in what or bool(path.suffix) or path.exists()
    except OSError:
        meant = True
    if meant:
        raise Failure(
            "no-file",
            _("There is no file {file}.").format(file=what),
            _("A file that p2pnode campaign bundle wrote, or a campaign's id."),
            _("Check the name and the folder."),
            BAD_REQUEST,
        )
    return False


def verify_file(path: Path) -> dict[str, Any]:
    """What a bundle proves, with no node and no network."""
    return _verify_bundle(path)[1]


def _verify_bundle(path: Path) -> tuple[Any, dict[str, Any]]:
    from p2pnode.services import closing, documents, proofs
    from p2pnode.services.collector import collector_paused

    view = open_bundle(path)
    with collector_paused():
        verified = closing.verify(view)
        found = proofs.find(view, verified)
        return view, documents.verification(view, verified, found)


def open_bundle(path: Path) -> Any:
    """Read a bundle into a view of its campaign.

    Raises:
        Failure: `bundle-too-large` or `bad-bundle`.
        ProtocolError: it is none, or a record in it is damaged.
        OSError: it cannot be read.
    """
    from p2pnode.services.library import View
    from protocols.bundle import read_bundle
    from protocols.settlement.verify import Evidence, find_terms

    if path.stat().st_size > BUNDLE_MAX:
        raise Failure(
            "bundle-too-large",
            _("{file} is too large for a bundle.").format(file=path),
            _("At most {most} bytes.").format(most=BUNDLE_MAX),
            _("Check that it is the right file."),
            UNVERIFIED,
        )
    if kinds.of_file(path) != "bundle":
        raise Failure(
            "bad-bundle",
            _("{file} is no bundle of a campaign.").format(file=path),
            _("A file that p2pnode campaign bundle wrote."),
            _("Look for the right file, or ask for it again."),
            UNVERIFIED,
        )
    with path.open("rb") as file:
        _network, campaign, records = read_bundle(iter(lambda: file.read(1 << 16), b""))
    for record, terms in find_terms(records):
        if record.scope == campaign:
            return View(
                campaign=campaign,
                terms=terms,
                terms_record=record,
                evidence=Evidence(records),
            )
    raise Failure(
        "bad-bundle",
        _("{file} does not hold the terms it is about.").format(file=path),
        _("A file that p2pnode campaign bundle wrote."),
        _("Ask for the file again."),
        UNVERIFIED,
    )


@frame.command(
    "explain",
    _("Say for every line and every refused act why it is so."),
    example="p2pnode campaign explain --person me",
)
@click.argument("what", metavar=_("[CAMPAIGN|FILE]"), default="-")
@click.option("--person", type=params.KEY, default="", help=_("A key, or: me."))
def explain(what: str, person: str, *, as_json: bool) -> None:
    """Ask the node, or read a bundle."""
    if _is_file(what):
        answer = _explain_file(Path(what), person)
    else:
        answer = client.call("GET", client.campaign(what, "explain", person=person))
    if as_json:
        output.as_json(answer)
    else:
        show_explanation(answer)


def _explain_file(path: Path, person: str) -> dict[str, Any]:
    from p2pnode.services import closing, explaining
    from p2pnode.services.collector import collector_paused
    from protocols.text import read_author

    if person == "me":
        raise Failure(
            "no-me",
            _("A file does not know who you are."),
            _("--person with a key: p2p1..."),
            _("p2pnode campaign join showed yours; without a file, 'me' is known."),
            BAD_REQUEST,
        )
    view = open_bundle(path)
    key = read_author(person) if person else None
    with collector_paused():
        return explaining.explanation(view, closing.verify(view), key)


@frame.command(
    "bundle",
    _("Write a campaign's whole evidence into one file."),
    example="p2pnode campaign bundle --out campaign.bundle",
)
@CAMPAIGN
@click.option("--out", required=True, help=_("The file to write."))
def bundle(campaign: str, out: str, *, as_json: bool) -> None:
    """Write the file; anybody can verify it without a node."""
    size = client.download(client.campaign(campaign, "bundle"), Path(out))
    if as_json:
        output.document("bundle", {"file": out, "bytes": size})
        return
    output.say(
        _("Wrote {file}, {size} bytes.").format(file=out, size=size),
        _("Anybody can check it: p2pnode campaign verify {file}").format(file=out),
    )
