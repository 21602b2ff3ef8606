"""`p2pnode campaign new | check | publish`: terms, before they are fixed."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import accounts, client, frame, home, kinds, limits, output
from cli.i18n import _
from p2pnode.failures import BAD_REQUEST, Failure

if TYPE_CHECKING:
    from p2pnode.tag_file import TagFile
    from p2pnode.terms_check import Guarantees
    from p2pnode.terms_check import Warning as TermsWarning
    from protocols.terms import Terms

MINUTE_S = 60


@frame.command(
    "new",
    _("Write a terms file to edit."),
    example="p2pnode campaign new --template first-try campaign.toml",
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

    data = home.folder()
    keys = identity.public_authors(data, identity.load_unsealed(data))
    if not keys:
        raise _no_author()
    now = SystemClock().now_ms() // 60_000 * MINUTE_S
    return (
        text.replace("{me}", author_text(keys[0]))
        .replace("{opens}", _rfc3339(now))
        .replace("{first}", _rfc3339(now + 4 * MINUTE_S))
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
)
@click.argument("file")
def check(file: str, *, as_json: bool) -> None:
    """Compile the file and review it; no node is needed to run."""
    from p2pnode.system import SystemClock
    from p2pnode.terms_check import review

    terms = _compile(file, bytes(16))
    found = review(terms, SystemClock().now_ms())
    if as_json:
        output.document(
            "campaign-check",
            {
                "title": terms.title,
                "budget": terms.budget,
                "cost_max": found.cost_max,
                "witnesses": found.guarantees.witnesses,
                "faults": found.guarantees.faults,
                "counts_from": found.guarantees.counts_from,
                "never_below": found.guarantees.never_below,
                "clone_gains": [
                    {
                        "stage": gain.stage,
                        "honest_bp": gain.honest_bp,
                        "clones_bp": gain.clones_bp,
                    }
                    for gain in found.clone_gains
                ],
                "limits": limits.document(terms),
                "warnings": [_warning(one) for one in found.warnings],
            },
        )
        return
    _say_review(terms, found)


def _warning(one: TermsWarning) -> dict[str, Any]:
    from protocols.text import author_text

    return {
        "code": one.code,
        "stage": one.stage,
        "key": author_text(one.key) if one.key else None,
        "value": one.value,
        "name": one.name,
    }


def guarantees(found: Guarantees) -> list[str]:
    """What so many witnesses guarantee, and no more: spec 0009, in words."""
    n, f = found.witnesses, found.faults
    safe, least = found.counts_from, found.never_below
    if not f:
        return [
            _(
                "One witness: what it saw in time counts, what it did not see never"
                " counts. If it lies, nothing stands against it; while it is off,"
                " nothing can be closed."
            )
        ]
    lines = [
        _("{n} witnesses, of whom {f} may lie or be off."),
        _("What {safe} of them saw in time counts, whatever the sponsor says."),
        _("What fewer than {least} saw never counts."),
        _("What {least} or more and fewer than {safe} saw the sponsor may leave out."),
        _(
            "Of two acts the first is surely first only if all honest witnesses saw it"
            " before any saw the other: let a race rest on what only one person can"
            " have, such as a one-time code."
        ),
        _(
            "While more than {f} are off nothing can be closed, and it is said whom it"
            " waits for; nothing that was seen is lost."
        ),
        _("If {least} lie together, they can make up what was seen, and when."),
    ]
    return [line.format(n=n, f=f, safe=safe, least=least) for line in lines]


def _say_review(terms: Terms, found: Any) -> None:
    from cli.warnings import sentence

    output.say(
        terms.title,
        _("It costs at most {cost}.").format(
            cost=accounts.money(found.cost_max, terms.unit)
        ),
        *limits.sentences(terms),
        *guarantees(found.guarantees),
        _("The witnesses' owners, as the terms say:"),
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
)
@click.argument("file")
def publish(file: str, *, as_json: bool) -> None:
    """Compile, then let the node sign and spread them."""
    from cli.warnings import sentence
    from p2pnode import tag_file
    from p2pnode.system import SystemClock
    from p2pnode.terms_check import VAIN, review

    terms = _compile(file, os.urandom(16))
    found = review(terms, SystemClock().now_ms()).warnings
    vain = [one for one in found if one.code in VAIN]
    for warning in () if as_json else vain:
        output.talk(_("Note: {text}").format(text=sentence(warning)))
    body = publication(terms, [tag_file.read(name) for name in _tag_files(file)])
    answer = client.call("POST", "/campaigns", body)
    if as_json:
        output.as_json({**answer, "warnings": [_warning(one) for one in vain]})
        return
    output.say(
        _("Published {title}.").format(title=answer["title"]),
        _("Its id: {id}").format(id=answer["campaign"]),
        _("Invite people with: p2pnode campaign invite"),
    )
    if answer.get("same_title"):
        output.talk(
            _(
                "Note: this node has another campaign of this title. They are two: a"
                " tag of both is paid in both."
            )
        )


def publication(terms: Terms, tag_files: Sequence[TagFile]) -> client.Document:
    """What the node is told to publish: the terms and their tags, without secrets."""
    from protocols.codec import encode
    from protocols.shape import blob, listof, option, row, text
    from protocols.tags.entry import ENTRY
    from protocols.terms import TERMS

    groups = tuple(
        (one.group, tuple((tag.entry, tag.serial_keys() or None) for tag in one.tags))
        for one in tag_files
    )
    shape = listof(row(text(), listof(row(ENTRY, option(listof(blob(32)))))))
    return {
        "terms": encode(TERMS.write(terms)).hex(),
        "tags": encode(shape.write(groups)).hex(),
    }


def _compile(file: str, nonce: bytes) -> Terms:
    from cli.codes import spoken
    from p2pnode import identity, tag_file, toml_table
    from p2pnode.terms_file import compile_terms

    kinds.check_file(file, ["terms-file"])
    me = identity.load_unsealed(home.folder())
    mine = identity.public_authors(home.folder(), me)
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
            own=mine,
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
