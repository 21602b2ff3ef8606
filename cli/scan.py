"""`p2pnode scan`: read a tag, see who stands behind it, sign the scan."""

from __future__ import annotations

import click

from cli import accounts, client, frame, output, params
from cli.i18n import _
from cli.vouching import show_doubts


@frame.command(
    "scan",
    _("Scan tags from text or pictures, or - for a text on standard input."),
    example="p2pnode scan balloon-03.png",
)
@click.argument("codes", nargs=-1, required=True, metavar=_("TEXT-OR-PICTURE..."))
@click.option(
    "--campaign",
    type=params.CAMPAIGN,
    default="",
    help=_("Where several have this tag."),
)
@click.option("--stage", default="", help=_("Where several stages scan it."))
def command(
    codes: tuple[str, ...], campaign: str, stage: str, *, as_json: bool
) -> None:
    """Sign one scan for each code."""
    from cli.codes import read_argument
    from protocols.tags.code import read_code
    from protocols.text import author_text

    given = [client.told(argument) for argument in codes]
    for text in [one for argument in given for one in read_argument(argument, "T")]:
        entry = read_code(text).entry
        if not as_json:
            output.say(
                _("{label}, made by {issuer}").format(
                    label=entry.label, issuer=accounts.short(author_text(entry.issuer))
                )
            )
        body = {"code": text, "campaign": campaign, "stage": stage}
        answer = client.call("POST", "/scan", body)
        if as_json:
            output.as_json(answer)
            continue
        output.say(
            _("Signed for {title}, record no. {seq}: {id}").format(
                title=answer["title"],
                seq=answer["seq"],
                id=answer["record"][: accounts.ID_SHOWN],
            )
        )
        if answer["warning"]:
            output.talk(
                _("Somebody has used this code before, as far as is known here.")
                + " "
                + _("The settlement will decide who was first.")
            )
        show_doubts({**answer, "unit": ""})
