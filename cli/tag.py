"""`p2pnode tag`: make, print and show data tags. No daemon is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import client, frame, home, kinds, output, params
from cli.i18n import _, plural
from cli.words import word
from p2pnode import typed
from p2pnode.failures import UNVERIFIED, Failure

if TYPE_CHECKING:
    from p2pnode.file_fault import FileFault
    from p2pnode.tag_file import TagFile
    from protocols.keys import AuthorKey, SigningKey
    from protocols.tags.code import TagCode
    from protocols.tags.entry import TagEntry

COUNT_MAX = 100_000
SERIALS_MAX = 1_024

command = frame.group(
    "tag",
    _("Make, print and show data tags."),
    example="p2pnode tag new --group balloons --count 10 --label 'balloon {n}'",
)


@frame.command(
    "new",
    _("Make the tags of a group and write them, with their secrets, to a file."),
    example="p2pnode tag new --group balloons --count 10 --label 'balloon {n}'",
    within=command,
)
@click.option("--group", required=True, help=_("What the terms call the group."))
@click.option(
    "--count",
    type=params.Whole(1, COUNT_MAX),
    required=True,
    help=_("How many tags."),
)
@click.option(
    "--label", default="", help=_("What people call a tag; {n} is its number.")
)
@click.option(
    "--carrier",
    type=click.Choice(["serial", "printed"]),
    default="serial",
    show_default=True,
    help=_("serial: good for one scan. printed: a photo of it is as good."),
)
@click.option(
    "--serials",
    type=params.Whole(1, SERIALS_MAX),
    default=1,
    show_default=True,
    help=_("One-time codes of each tag."),
)
@click.option("--place", default="", help=_("Where the tags hang, coarsely."))
@click.option(
    "--host",
    type=params.KEY,
    default="",
    help=_("Key of the shop they hang in: p2p1..."),
)
@click.option("--file", default="", help=_("Where to write; GROUP.tags by default."))
def new(
    *,
    group: str,
    count: int,
    label: str,
    carrier: str,
    serials: int,
    place: str,
    host: str,
    file: str,
    as_json: bool,
) -> None:
    """Make the tags; the file must not exist."""
    import secrets

    from cli.codes import spoken
    from p2pnode import tag_file
    from protocols.tags.code import About

    label = label or f"{group} {{n}}"
    labels = [label.replace("{n}", str(number)) for number in range(1, count + 1)]
    with spoken():
        _check_text("--group", group)
        _check_text("--label", labels[-1])
        _check_text("--place", place or "-")
        made = tag_file.make(
            _issuer(),
            group,
            labels,
            serials if carrier == "serial" else 0,
            secrets.token_bytes,
            About(host=_host(host) if host else None, place=place),
        )
        path = Path(file or f"{_slug(group)}.tags")
        tag_file.write(path, made)
    _say_new(path, made, as_json=as_json)


@frame.command(
    "print",
    _("Draw every code of a tag file as a picture to print."),
    example="p2pnode tag print balloons.tags --out pictures",
    within=command,
)
@click.argument("file")
@click.option("--out", required=True, help=_("Folder for the pictures."))
def print_(file: str, out: str, *, as_json: bool) -> None:
    """Draw one PNG for each code."""
    from cli.codes import spoken
    from p2pnode import pictures, tag_file

    folder = Path(out)
    written: list[str] = []
    kinds.check_file(file, ["tags"])
    with spoken():
        tags = tag_file.read(Path(file))
        folder.mkdir(parents=True, exist_ok=True)
        for tag, codes in tags.codes():
            for serial, code in enumerate(codes, 1):
                name = _picture_name(tags.group, tag.entry.index, serial, len(codes))
                caption = _caption(tag.entry, serial, len(codes))
                pictures.draw(code, folder / name, caption)
                written.append(str(folder / name))
    if as_json:
        output.document("tag-print", {"files": written})
        return
    output.say(
        plural(
            "Drew {count} picture in {folder}.",
            "Drew {count} pictures in {folder}.",
            len(written),
        ).format(count=len(written), folder=folder),
        _("Whoever sees a one-time code can use it: cover it until it hangs.")
        if any(tag.secrets for tag in tags.tags)
        else _("A photo of a printed code is as good as the code itself."),
    )


@frame.command(
    "list",
    _("List the tags of a tag file."),
    example="p2pnode tag list balloons.tags",
    within=command,
)
@click.argument("file")
def list_(file: str, *, as_json: bool) -> None:
    """Print a table, without any secret."""
    from cli.codes import spoken
    from p2pnode import tag_file
    from protocols.text import author_text

    kinds.check_file(file, ["tags"])
    with spoken():
        tags = tag_file.read(Path(file))
    rows = [_facts(tag.entry) | {"serials": len(tag.secrets)} for tag in tags.tags]
    if as_json:
        issuer = author_text(tags.issuer)
        output.document("tag-list", {**_group(tags), "issuer": issuer, "tags": rows})
        return
    header = [_("number"), _("label"), _("carrier"), _("codes"), _("place"), _("tag")]
    names = ("number", "label", "carrier", "serials", "place", "tag")
    table = [
        [word(str(row[name])) if name == "carrier" else row[name] for name in names]
        for row in rows
    ]
    output.say(*output.table(header, table))


@frame.command(
    "show",
    _("Show who stands behind a tag, from its code or a picture of it."),
    example="p2pnode tag show photo.jpg",
    within=command,
)
@click.argument("code")
def show(code: str, *, as_json: bool) -> None:
    """Check the issuer's signature and print what the tag says."""
    from cli.codes import read_argument

    found = _read_code(read_argument(client.told(code), "T")[0])
    facts = _facts(found.entry)
    if as_json:
        output.document("tag", facts)
        return
    titles = {
        "label": _("label"),
        "place": _("place"),
        "carrier": _("carrier"),
        "issuer": _("issuer"),
        "host": _("host"),
        "number": _("number"),
        "tag": _("tag"),
    }
    shown = facts | {"carrier": word(str(facts["carrier"]))}
    edge = max(output.width(title) for title in titles.values()) + 2
    for name, title in titles.items():
        if facts[name] not in {"", None}:
            space = " " * (edge - output.width(title))
            output.say(f"{title}{space}{output.clean(shown[name])}")
    output.say(_("The issuer's signature is right."))


@frame.command(
    "draw",
    _("Draw a code, such as an invite link, as a picture."),
    example="p2pnode tag draw P2PNODE:I/... --out invite.png",
    within=command,
)
@click.argument("text")
@click.option("--out", required=True, help=_("The PNG file to write."))
@click.option("--caption", default="", help=_("A line for people below the code."))
def draw(text: str, out: str, caption: str, *, as_json: bool) -> None:
    """Draw `text`; our codes in the upper case that QR codes pack best."""
    from cli.codes import spoken
    from p2pnode import pictures
    from protocols.text import is_link

    plain = typed.code(text)
    with spoken():
        pictures.draw(
            plain.upper() if is_link(plain) else text.strip(),
            Path(out),
            [caption] if caption else [],
        )
    if as_json:
        output.document("tag-draw", {"file": out})
    else:
        output.say(_("Wrote {file}.").format(file=out))


def _issuer() -> SigningKey:
    """The author key of this node that terms name now: tags will name it, too."""
    from p2pnode import identity

    data = home.folder()
    mine = identity.load_unsealed(data)
    at_work = identity.public_authors(data, mine)[:1]
    if mine.author_key is not None and not at_work:
        raise Failure(
            "no-key-left",
            _("All author keys of this node were given up."),
            _("A key that was not given up after a loss."),
            _("For later campaigns make a new one: p2pnode key add"),
        )
    key = next((one for one in mine.author_keys if one.author in at_work), None)
    if key is None:
        raise Failure(
            "no-author-key",
            _("This node has no public key that could stand behind tags."),
            _("A node of a merchant or a device."),
            _("Make one in another folder: p2pnode init --role merchant"),
        )
    return key


def _host(text: str) -> AuthorKey:
    from p2pnode import toml_faults
    from protocols.errors import ProtocolError
    from protocols.text import read_author

    try:
        return read_author(text)
    except ProtocolError as error:
        raise toml_faults.bad_key(text).at("--host") from error


def _check_text(option: str, text: str) -> None:
    """Refuse what would not fit into an entry."""
    from p2pnode import toml_faults
    from protocols.codec import check_text
    from protocols.errors import ProtocolError
    from protocols.limits import NAME_MAX

    fault: FileFault | None = None
    try:
        check_text(text)
        size = len(text.encode())
        if not 1 <= size <= NAME_MAX:
            fault = toml_faults.text_size(size, NAME_MAX)
    except ProtocolError:
        fault = toml_faults.bad_text()
    if fault is not None:
        raise fault.at(option)


def _read_code(text: str) -> TagCode:
    """The checked code, or what is wrong with it in words."""
    from protocols.errors import ProtocolError, Reason
    from protocols.tags.code import read_code

    try:
        return read_code(text)
    except ProtocolError as error:
        if error.reason == Reason.BAD_SIGNATURE:
            raise Failure(
                "bad-signature",
                _("This code is forged: who it names did not sign it."),
                _("A code signed by its issuer."),
                _("Do not use it, and tell the shop it hangs in."),
                UNVERIFIED,
            ) from error
        raise Failure(
            "bad-code",
            _("This is not the whole code of a tag."),
            _("A text that begins with P2PNODE:T/"),
            _("Copy or photograph it again."),
            UNVERIFIED,
        ) from error


def _facts(entry: TagEntry) -> dict[str, object]:
    """What a tag says, for JSON and tables."""
    from protocols.tags.entry import tag_id
    from protocols.text import author_text, tag_text

    return {
        "tag": tag_text(tag_id(entry)),
        "number": entry.index + 1,
        "label": entry.label,
        "place": entry.place,
        "carrier": entry.public.tag.name.lower(),
        "issuer": author_text(entry.issuer),
        "host": author_text(entry.host) if entry.host else None,
        "valid_from_ms": entry.valid_from,
        "valid_until_ms": entry.valid_until,
    }


def _group(tags: TagFile) -> dict[str, object]:
    group = tags.terms_group()
    return {"group": group.name, "count": group.count, "root": group.root.hex()}


def _say_new(path: Path, tags: TagFile, *, as_json: bool) -> None:
    if as_json:
        output.document("tag-new", {"file": str(path), **_group(tags)})
        return
    count = len(tags.tags)
    output.say(
        plural(
            "Wrote {count} tag of the group {group} to {file}.",
            "Wrote {count} tags of the group {group} to {file}.",
            count,
        ).format(count=count, group=tags.group, file=path),
        _("Keep the file: whoever reads it can use every tag."),
        _("Draw the codes with: p2pnode tag print {file} --out DIR").format(file=path),
    )


def _slug(group: str) -> str:
    """A file name that any system takes; Chinese stays."""
    return re.sub(r"[^\w-]+", "-", group).strip("-") or "tags"


def _picture_name(group: str, index: int, serial: int, serials: int) -> str:
    number = f"{index + 1:03d}"
    return f"{_slug(group)}-{number}{f'-{serial:04d}' if serials > 1 else ''}.png"


def _caption(entry: TagEntry, serial: int, serials: int) -> list[str]:
    """What stands below a code: label, place, and which of several it is."""
    count = f" {serial}/{serials}" if serials > 1 else ""
    return [f"{entry.label}{count}", *([entry.place] if entry.place else [])]
