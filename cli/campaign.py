"""`p2pnode campaign`: terms, invites, closes, and the proof of each."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import accounts, client, frame, home, output
from cli.i18n import _
from p2pnode.failures import BAD_REQUEST, UNVERIFIED, Failure

if TYPE_CHECKING:
    from protocols.terms import Terms

command = frame.group(
    "campaign",
    _("Write, publish, join, close and verify campaigns."),
    example="p2pnode campaign join P2PNODE:I/...",
)

CAMPAIGN = click.argument("campaign", metavar=_("[CAMPAIGN]"), default="-")
BUNDLE_MAX = 1 << 28
"""Bytes of a bundle that is read: all of it is held while it is verified."""

MINUTE_S = 60
ROUNDS_SHOWN = 3


@frame.command(
    "new",
    _("Write a terms file to edit."),
    example="p2pnode campaign new --template first-try campaign.toml",
    within=command,
)
@click.argument("file", default="campaign.toml")
@click.option(
    "--template",
    type=click.Choice(["first-try", "balloons", "everyday-shop"]),
    default="first-try",
    show_default=True,
    help=_("first-try: one balloon, ten minutes, this node as the only witness."),
)
def new(file: str, template: str, *, as_json: bool) -> None:
    """Copy a template; the file must not exist."""
    from p2pnode import templates

    text = templates.read(template)
    if template == "first-try":
        text = _filled(text)
    try:
        with Path(file).open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise Failure(
            "file-exists",
            _("{file} exists already.").format(file=file),
            _("A new file: terms are never overwritten."),
            _("Choose another name."),
        ) from None
    if as_json:
        output.document("campaign-new", {"file": file, "template": template})
        return
    output.say(
        _("Wrote {file}.").format(file=file),
        _("Edit it, then: p2pnode campaign check {file}").format(file=file),
    )


def _filled(text: str) -> str:
    """The template with this node's key and times from now on."""
    from p2pnode import identity
    from p2pnode.system import SystemClock
    from protocols.text import author_text

    key = identity.public_author(identity.load_unsealed(home.folder()))
    if key is None:
        raise _no_author()
    now = SystemClock().now_ms() // 60_000 * MINUTE_S
    return (
        text.replace("{me}", author_text(key))
        .replace("{opens}", _rfc3339(now))
        .replace("{first}", _rfc3339(now + 3 * MINUTE_S))
        .replace("{redeem}", _rfc3339(now + 90 * 86_400))
    )


def _rfc3339(seconds: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().isoformat()


def _no_author() -> Failure:
    return Failure(
        "no-author-key",
        _("This node is a resident's: it has no public author key."),
        _("A node of a merchant, sponsor or charity."),
        _("Make one in another folder: p2pnode init --role merchant"),
    )


@frame.command(
    "check",
    _("Say what terms mean: cost, guarantees, warnings."),
    example="p2pnode campaign check campaign.toml",
    within=command,
)
@click.argument("file")
def check(file: str, *, as_json: bool) -> None:
    """Compile the file and review it; no node is needed to run."""
    from p2pnode.terms_check import review
    from protocols.text import author_text

    terms = _compile(file, bytes(16))
    found = review(terms)
    if as_json:
        output.document(
            "campaign-check",
            {
                "title": terms.title,
                "budget": terms.budget,
                "cost_max": found.cost_max,
                "witnesses": found.guarantees.witnesses,
                "faults": found.guarantees.faults,
                "clone_gains": [
                    {
                        "stage": gain.stage,
                        "honest_bp": gain.honest_bp,
                        "clones_bp": gain.clones_bp,
                    }
                    for gain in found.clone_gains
                ],
                "warnings": [
                    {
                        "code": one.code,
                        "stage": one.stage,
                        "key": author_text(one.key) if one.key else None,
                        "value": one.value,
                    }
                    for one in found.warnings
                ],
            },
        )
        return
    _say_review(terms, found)


def _say_review(terms: Terms, found: Any) -> None:
    from cli.warnings import sentence

    n, f = found.guarantees.witnesses, found.guarantees.faults
    output.say(
        terms.title,
        _("It costs at most {cost}.").format(
            cost=accounts.money(found.cost_max, terms.unit)
        ),
        _(
            "Witnesses: {n}, of whom {f} may lie or be off. What {safe} of them"
            " saw in time counts, whatever the sponsor says; what fewer than"
            " {least} saw never counts."
        ).format(
            n=n,
            f=f,
            safe=found.guarantees.counts_from,
            least=found.guarantees.never_below,
        ),
    )
    for witness in terms.witnesses:
        output.say(f"  {witness.owner or '?'}")
    for gain in found.clone_gains:
        output.say(
            _(
                "Stage {stage}: who joins again and again under herself gets up to"
                " {clones:.1f} % of a pool instead of {honest:.1f} %."
            ).format(
                stage=gain.stage,
                clones=gain.clones_bp / 100,
                honest=gain.honest_bp / 100,
            )
        )
    for warning in found.warnings:
        output.say(_("Note: {text}").format(text=sentence(warning)), colour="yellow")


@frame.command(
    "publish",
    _("Publish terms and their tags: from then on they are fixed."),
    example="p2pnode campaign publish campaign.toml",
    within=command,
)
@click.argument("file")
def publish(file: str, *, as_json: bool) -> None:
    """Compile, then let the node sign and spread them."""
    from p2pnode import tag_file
    from protocols.codec import encode
    from protocols.terms import TERMS

    terms = _compile(file, os.urandom(16))
    groups = []
    for name in _tag_files(file):
        tags = tag_file.read(name)
        rows = tuple((tag.entry, tag.serial_keys() or None) for tag in tags.tags)
        groups.append((tags.group, rows))
    from protocols.shape import blob, listof, option, row, text
    from protocols.tags.entry import ENTRY

    shape = listof(row(text(), listof(row(ENTRY, option(listof(blob(32)))))))
    body = {
        "terms": encode(TERMS.write(terms)).hex(),
        "tags": encode(shape.write(tuple(groups))).hex(),
    }
    answer = client.call("POST", "/campaigns", body)
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("Published {title}.").format(title=answer["title"]),
        _("Its id: {id}").format(id=answer["campaign"]),
        _("Invite people with: p2pnode campaign invite"),
    )


def _compile(file: str, nonce: bytes) -> Terms:
    from cli.codes import spoken
    from p2pnode import identity, tag_file, toml_table
    from p2pnode.terms_file import compile_terms

    me = identity.load_unsealed(home.folder())
    key = identity.public_author(me)
    folder = Path(file).parent
    with spoken():
        try:
            data = _beginning(Path(file), toml_table.FILE_MAX)
        except OSError as error:
            raise Failure(
                "no-file",
                _("{file} cannot be read: {why}.").format(
                    file=file, why=error.strerror
                ),
                _("A terms file."),
                _("Write one with: p2pnode campaign new {file}").format(file=file),
                BAD_REQUEST,
            ) from None
        return compile_terms(
            toml_table.decode_text(data, file),
            network=me.network_id,
            nonce=nonce,
            read_file=lambda name: _beginning(folder / name, tag_file.FILE_MAX),
            sponsor=() if key is None else (key,),
            file=file,
        )


def _beginning(path: Path, most: int) -> bytes:
    """The bytes of a plain file, at most one above `most`: a pipe has no end.

    Raises:
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, _("it is not a plain file"))
    with path.open("rb") as file:
        return file.read(most + 1)


def _tag_files(file: str) -> list[Path]:
    """The tag files that a terms file names."""
    import tomllib

    from p2pnode.toml_table import decode_text

    path = Path(file)
    document = tomllib.loads(decode_text(path.read_bytes(), file))
    return [path.parent / group["file"] for group in document.get("tag_group", [])]


@frame.command(
    "list",
    _("List the campaigns this node follows."),
    example="p2pnode campaign list",
    within=command,
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
            one.get("role", _("waiting for its terms")),
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
    within=command,
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
            name=answer["residue"]["name"],
        ),
        _("you are here as: {role}").format(role=answer["role"]),
        _("{records} records of {feeds} people and shops").format(**answer),
    )
    stages = [
        (stage["id"], stage["acts"], stage["accepted"]) for stage in answer["stages"]
    ]
    output.say(*output.table((_("stage"), _("acts here"), _("accepted")), stages))
    first = (answer["next_round"] or len(answer["rounds"])) - 1
    shown = answer["rounds"][first : first + ROUNDS_SHOWN]
    for number, one in enumerate(shown, first + 1):
        output.say(
            _("round {number}: closes {closes}, finals from {final}").format(
                number=number,
                closes=accounts.moment(one["closes"]),
                final=accounts.moment(one["final_from"]),
            )
        )
    for condition in answer["conditions"]:
        output.say(
            _("nothing is paid unless {stage} reaches {least}: {met}").format(
                stage=condition["stage"],
                least=condition["least"],
                met=_("met") if condition["met"] else _("not yet"),
            )
        )
    if answer["waits_for"]:
        output.say(
            _("Round {round} waits for finals of {owners}.").format(
                round=answer["next_round"], owners=", ".join(answer["waits_for"])
            )
        )


@frame.command(
    "join",
    _("Join a campaign by an invite link, or by a picture of its code."),
    example="p2pnode campaign join P2PNODE:I/...",
    within=command,
)
@click.argument("link")
def join(link: str, *, as_json: bool) -> None:
    """Sign the join; it reaches the others when a neighbour is there."""
    from cli.codes import read_argument

    answer = client.call("POST", "/campaigns/join", {"link": read_argument(link)[0]})
    if as_json:
        output.as_json(answer)
        return
    output.say(
        _("Joined {title}.").format(title=answer["title"]),
        _("Your key there: {key}").format(key=answer["author"]),
        _("It counts once witnesses have seen it: p2pnode campaign evidence"),
    )


@frame.command(
    "follow",
    _("Follow a campaign without joining: as a witness, a shop, or a sceptic."),
    example="p2pnode campaign follow p2pc1...",
    within=command,
)
@click.argument("campaign")
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
    within=command,
)
@CAMPAIGN
@click.option(
    "--uses",
    type=click.IntRange(0, 1_000_000),
    default=1,
    show_default=True,
    help=_("How many people may use it; 0: anybody, who must then do some work."),
)
@click.option("--picture", default="", help=_("Also draw it as a PNG file."))
def invite(campaign: str, uses: int, picture: str, *, as_json: bool) -> None:
    """Print the link once; it holds a secret."""
    answer = client.call("POST", client.campaign(campaign, "invite"), {"uses": uses})
    if picture:
        from p2pnode import pictures

        pictures.draw(answer["link"], Path(picture), (answer["title"],))
    if as_json:
        output.as_json(answer)
        return
    output.say(answer["link"])
    output.talk(
        _("Good until {time}.").format(time=accounts.moment(answer["expires_ms"]))
    )


@frame.command(
    "evidence",
    _("Show your records and how many witnesses have seen each."),
    example="p2pnode campaign evidence --mine",
    within=command,
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
    }
    rows = [
        (
            one["seq"],
            one["kind"],
            accounts.moment(one["time"]),
            f"{one['seen_by']}/{answer['witnesses']}",
            words.get(one["receipt"], one["receipt"]),
        )
        for one in answer["records"]
    ]
    header = (_("no."), _("what"), _("when"), _("witnesses"), _("receipt"))
    output.say(*output.table(header, rows))


@frame.command(
    "close",
    _("Close a round as the sponsor: cut, statement, money, signed."),
    example="p2pnode campaign close",
    within=command,
)
@CAMPAIGN
@click.option("--round", "number", type=click.IntRange(1), help=_("Which round."))
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


@frame.command(
    "verify",
    _("Recompute every close: from the node, or from a bundle file alone."),
    example="p2pnode campaign verify campaign.bundle",
    within=command,
)
@click.argument("what", metavar=_("[CAMPAIGN|FILE]"), default="-")
def verify(what: str, *, as_json: bool) -> None:
    """Ask the node, or read a bundle with no node and no network."""
    if _is_file(what):
        answer = _verify_file(Path(what))
    else:
        answer = client.call("GET", client.campaign(what, "verify"))
    if as_json:
        output.as_json(answer)
    else:
        accounts.show_verification(answer)
    if answer["verdict"] in ("wrong", "incomplete"):
        raise Failure(
            "not-verified",
            accounts.verdict(answer["verdict"]),
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


def _verify_file(path: Path) -> dict[str, Any]:
    from p2pnode.services import closing, documents

    view = _open_bundle(path)
    return documents.verification(view, closing.verify(view))


def _open_bundle(path: Path) -> Any:
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
    within=command,
)
@click.argument("what", metavar=_("[CAMPAIGN|FILE]"), default="-")
@click.option("--person", default="", help=_("A key, or: me."))
def explain(what: str, person: str, *, as_json: bool) -> None:
    """Ask the node, or read a bundle."""
    if _is_file(what):
        answer = _explain_file(Path(what), person)
    else:
        answer = client.call("GET", client.campaign(what, "explain", person=person))
    if as_json:
        output.as_json(answer)
    else:
        accounts.show_explanation(answer)


def _explain_file(path: Path, person: str) -> dict[str, Any]:
    from p2pnode.services import closing, documents
    from protocols.text import read_author

    view = _open_bundle(path)
    key = read_author(person) if person else None
    return documents.explanation(view, closing.verify(view), key)


@frame.command(
    "bundle",
    _("Write a campaign's whole evidence into one file."),
    example="p2pnode campaign bundle --out campaign.bundle",
    within=command,
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
