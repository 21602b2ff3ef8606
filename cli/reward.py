"""`p2pnode reward`: what closes pay this node, and the vouchers for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import (
    accounts,
    campaign_proofs,
    client,
    frame,
    kinds,
    output,
    reward_till,
)
from cli.i18n import _
from p2pnode.failures import UNVERIFIED, Failure

if TYPE_CHECKING:
    from protocols.claims import Close
    from protocols.settlement.voucher import Voucher

command = frame.group(
    "reward",
    _("List, claim, redeem and accept rewards, and keep a shop's books."),
    example="p2pnode reward list",
)
for _verb in reward_till.VERBS:
    command.add_command(_verb)


@frame.command(
    "list",
    _("List what closes pay this node."),
    example="p2pnode reward list",
    within=command,
)
def list_(*, as_json: bool) -> None:
    """Print a table of lines."""
    answer = client.call("GET", "/rewards")
    if as_json:
        output.as_json(answer)
        return
    rows = [
        (
            one["title"],
            one["round"],
            accounts.money(one["amount"], one["unit"]),
            accounts.money(one.get("left", one["amount"]), one["unit"]),
            _until(one),
            accounts.short(one["issuer"]),
        )
        for one in answer["lines"]
    ]
    header = (
        *(_("campaign"), _("round"), _("amount")),
        *(_("left"), _("good until"), _("owed by")),
    )
    if rows:
        output.say(*output.table(header, rows))
    else:
        output.say(
            _("Nothing yet: a reward is there once the sponsor has closed a round."),
            _("See what the evidence says: p2pnode campaign explain --person me"),
        )


@frame.command(
    "claim",
    _("Take your latest line of a campaign as a voucher."),
    example="p2pnode reward claim --out voucher.png",
    within=command,
)
@click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
@click.option("--out", default="", help=_("Write it as a file: .png or text."))
def claim(campaign: str, out: str, *, as_json: bool) -> None:
    """Print the voucher: it proves itself to anybody."""
    from cli import codes

    codes.check_new(out)
    answer = client.call("POST", client.campaign(campaign, "claim"), {})
    amount = accounts.money(answer["amount"], answer["unit"])
    codes.write(answer["voucher"], out, (answer["title"], amount))
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("{title}, round {round}: {amount}, owed by {issuer}.").format(
            title=answer["title"],
            round=answer["round"],
            amount=amount,
            issuer=accounts.short(answer["issuer"]),
        )
    )
    output.say(_("Wrote {file}.").format(file=out) if out else answer["voucher"])
    _say_what_is_left(answer)


def _until(line: client.Document) -> str:
    """Until when a line is good, or that it is no longer."""
    time = accounts.moment(line["redeem_until"])
    return _("{time}: EXPIRED").format(time=time) if line.get("expired") else time


def _say_what_is_left(line: client.Document) -> None:
    """That a voucher is spent in part, or expired: nodes before this told neither."""
    left = line["left"] if "left" in line else line["amount"]
    if left < line["amount"]:
        shown = accounts.money(left, line["unit"])
        output.talk(_("Spent in part: {left} of it is left.").format(left=shown))
    if line.get("expired"):
        time = accounts.moment(line["redeem_until"])
        output.talk(_("It EXPIRED: it was good until {time}.").format(time=time))


@frame.command(
    "check",
    _("Check a voucher, a slip, or the proof that a voucher was spent twice."),
    example="p2pnode reward check voucher.png --bundle campaign.bundle",
    within=command,
)
@click.argument("voucher")
@click.option("--bundle", default="", help=_("A bundle of the campaign it is from."))
@click.option("--campaign", default="", help=_("The campaign; the node is asked."))
def check(voucher: str, bundle: str, campaign: str, *, as_json: bool) -> None:
    """Without --campaign it needs no node and no network."""
    from cli.codes import read_argument
    from protocols.text import LINK_PREFIX, Letter, author_text, campaign_text

    text = read_argument(client.told(voucher), "VRD")[0]
    letter = text[len(LINK_PREFIX) :][:1].upper()
    if letter == Letter.DOUBLE:
        reward_till.say_double(text, as_json=as_json)
        return
    found, claim_ = _read(text, letter)
    answers = []
    if bundle:
        kinds.check_file(bundle, ["bundle"])
        answers.append(campaign_proofs.verify_file(Path(bundle)))
    if campaign:
        answers.append(client.call("GET", client.campaign(campaign, "verify")))
    for answer in answers:
        _check_sponsor(found, answer)
    facts = {
        "payee": author_text(found.line.payee),
        "amount": found.line.amount,
        "unit": claim_.unit,
        "issuer": author_text(found.issuer),
        "round": claim_.round,
        "redeem_until": claim_.redeem_until,
        "campaign": campaign_text(found.close.scope),
        "checked_sponsor": bool(answers),
    }
    if letter == Letter.REDEEM:
        facts["redeem"] = _redeem(text)
    if as_json:
        output.document("voucher", facts)
    else:
        _say(facts, answers[-1]["title"] if answers else "")


def _say(facts: client.Document, title: str) -> None:
    """What a voucher says, and what of it was checked; `title`: of the campaign."""
    said = {
        "amount": accounts.money(facts["amount"], facts["unit"]),
        "payee": accounts.short(facts["payee"]),
        "time": accounts.moment(facts["redeem_until"]),
    }
    if title:
        output.say(
            _("It holds: {amount} for {payee}, until {time}.").format(**said),
            title,
            _("id {id}").format(id=facts["campaign"]),
            _("Signed by {key}, a sponsor of this campaign.").format(
                key=facts["issuer"]
            ),
        )
    else:
        output.say(
            _("It is whole: {amount} for {payee}, until {time}.").format(**said),
            _("id {id}").format(id=facts["campaign"]),
            _(
                "Signed by {key}; whether that is the sponsor of a campaign was not"
                " checked."
            ).format(key=facts["issuer"]),
            _("Anybody can sign such a thing: check it with --bundle or --campaign."),
        )
    if slip := facts.get("redeem"):
        output.say(
            _("A slip: {amount} of it for {acceptor}.").format(
                amount=accounts.money(slip["amount"], facts["unit"]),
                acceptor=slip["acceptor"],
            )
        )
    output.say(_("It is the issuer's word, provable; it is not collateral."))


def _redeem(text: str) -> client.Document:
    """What a slip spends, checked.

    Raises:
        ProtocolError: it does not hold.
    """
    from protocols.settlement.redeem import check_slip, read_slip
    from protocols.text import author_text

    found = check_slip(read_slip(text))
    return {
        "redeem": found.record.id.hex(),
        "amount": found.claim.amount,
        "total_before": found.claim.total_before,
        "acceptor": author_text(found.claim.acceptor),
    }


def _read(text: str, letter: str) -> tuple[Voucher, Close]:
    """The voucher, or a slip's, and its close: whole, signed and not expired.

    Raises:
        Failure: the protocol's reasons or `voucher-expired`.
    """
    from p2pnode.system import SystemClock
    from protocols.errors import ProtocolError
    from protocols.settlement.redeem import read_slip
    from protocols.settlement.voucher import check_voucher, read_voucher
    from protocols.text import Letter

    try:
        is_slip = letter == Letter.REDEEM
        found = read_slip(text).voucher if is_slip else read_voucher(text)
        claim_ = check_voucher(found)
    except ProtocolError as error:
        raise Failure(
            error.reason,
            _("The voucher does not hold: {why}").format(why=error),
            _("A line, its path and the signed close, all unchanged."),
            _("Do not accept it."),
            UNVERIFIED,
        ) from None
    if claim_.redeem_until < SystemClock().now_ms():
        raise Failure(
            "voucher-expired",
            _("The voucher was good until {time}.").format(
                time=accounts.moment(claim_.redeem_until)
            ),
            _("A voucher before its last day."),
            _("Do not accept it."),
            UNVERIFIED,
        )
    return found, claim_


def _check_sponsor(found: Voucher, answer: client.Document) -> None:
    """Check a voucher's close against the verification of a campaign.

    Raises:
        Failure: `wrong-issuer`.
    """
    from protocols.text import author_text, campaign_text

    issuer, scope = author_text(found.issuer), campaign_text(found.close.scope)
    if answer["campaign"] != scope:
        problem = _("The voucher is of the campaign {id}, not of {title}.").format(
            id=scope, title=answer["title"]
        )
    elif issuer not in answer.get("sponsor", ()):
        problem = _("{key} signed the voucher and is no sponsor of {title}.").format(
            key=issuer, title=answer["title"]
        )
    elif not any(
        one["close"] == found.close.id.hex()
        and (one["statement"], one["cut"]) == ("ok", "ok")
        for one in answer["closes"]
    ):
        problem = _("The close of the voucher does not verify by this evidence.")
    else:
        return
    raise Failure(
        "wrong-issuer",
        problem,
        _("A close of the campaign's sponsor that follows from its evidence."),
        _("Do not accept it, or check it with newer evidence of its campaign."),
        UNVERIFIED,
    )
