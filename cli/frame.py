"""The form every command has: an example first, and `--json`.

    command = frame.group("peer", _("..."), example="p2pnode peer list")

    @frame.command("list", _("..."), example="p2pnode peer list", within=command)
    @click.option(...)
    def peers(*, as_json: bool) -> None: ...

A command without `within` stands alone; its module calls it `command`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

import click

from cli import output, wrapping
from cli.i18n import _, plural

P = ParamSpec("P")

# click looks its own words up in these; without this they would stay English.
for _module in (
    click.core,
    click.decorators,
    click.exceptions,
    click.formatting,
    click.parser,
    click.types,
):
    vars(_module).update(_=_, ngettext=plural)

# click counts characters; Chinese ones take two columns and have no blanks between.
vars(click.formatting).update(term_len=output.width, wrap_text=wrapping.wrap_text)


def _metavars() -> dict[str, str]:
    """What click calls the value of an option or argument, in the person's language."""
    return {
        "TEXT": _("TEXT"),
        "INTEGER": _("NUMBER"),
        "INTEGER RANGE": _("NUMBER"),
        "FLOAT RANGE": _("NUMBER"),
        "FILE": _("FILE"),
        "PATH": _("FILE"),
        "DIRECTORY": _("FOLDER"),
        "CAMPAIGN": _("CAMPAIGN"),
        "CODE": _("CODE"),
        "LINK": _("LINK"),
        "VOUCHER": _("VOUCHER"),
    }


def _name_values(made: click.Command) -> None:
    """Give each parameter without a name for its value one that people read."""
    for param in made.params:
        if param.metavar is not None or isinstance(param.type, click.Choice):
            continue
        option = isinstance(param, click.Option)
        if isinstance(param, click.Option) and param.is_flag:
            continue
        word = _metavars().get(
            (param.type.name if option else param.name or "").upper()
        )
        if word:
            param.metavar = word if option or param.required else f"[{word}]"


class Command(click.Command):
    """A verb, whose help begins with an example."""

    example = ""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, then what click writes."""
        write_example(self.example, formatter)
        super().format_help(ctx, formatter)

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002  # click's
        """Return the whole summary: in a list it is wrapped, not cut off."""
        return self.help or ""


class Group(click.Group):
    """A noun with verbs, whose help begins with an example."""

    example = ""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, then what click writes."""
        write_example(self.example, formatter)
        super().format_help(ctx, formatter)


def write_example(example: str, formatter: click.HelpFormatter) -> None:
    """Write an example of one or more lines."""
    with formatter.section(_("Example")):
        for line in example.splitlines():
            formatter.write_text(line)
    formatter.write_paragraph()


def group(name: str, summary: str, *, example: str) -> Group:
    """Return a noun; `command(..., within=noun)` gives it verbs."""
    made = Group(
        name,
        help=summary,
        options_metavar=_("[OPTIONS]"),
        subcommand_metavar=_("COMMAND [ARGS]..."),
    )
    made.example = example
    return made


def command(
    name: str, summary: str, *, example: str, within: click.Group | None = None
) -> Callable[[Callable[P, None]], Command]:
    """Make a function a command that also takes `--json`, as `as_json: bool`."""

    def make(function: Callable[P, None]) -> Command:
        option = click.option(
            "--json", "as_json", is_flag=True, help=_("Print JSON instead of text.")
        )
        made = click.command(
            name, cls=Command, help=summary, options_metavar=_("[OPTIONS]")
        )(option(function))
        made.example = example
        _name_values(made)
        if within is not None:
            within.add_command(made)
        return made

    return make
