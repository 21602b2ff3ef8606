"""The program `p2pnode`: finds the command, turns what fails into words.

Nothing heavy is imported here, and a command's module only when it is called:
`p2pnode --help` must answer at once. Exit codes: 0 done, 1 failed, 2 usage,
3 verification failed, 4 the node or a peer cannot be reached.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from cli import frame, output
from cli.i18n import _
from p2pnode import failures
from p2pnode.failures import Failure
from p2pnode.rule_failures import rule_failure
from protocols.errors import ProtocolError

EXIT_CODES: Final = {
    failures.BAD_REQUEST: 2,
    failures.UNVERIFIED: 3,
    failures.UNREACHABLE: 4,
    failures.TOO_SLOW: 4,
}
"""By the status of a failure; any other is 1."""

OWN: Final = ("cli", "p2pnode", "protocols")
"""Packages that are here; any other module that is missing was not installed."""

INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""What shells report for a program ended by Ctrl-C, and by a closed pipe."""


def _commands() -> dict[str, str]:
    """Return every command with its one line of help, in the order of use."""
    return {
        "init": _("Create this node: its folder and its keys."),
        "run": _("Run the node until it is stopped."),
        "status": _("Show what the node is doing."),
        "doctor": _("Find out what keeps the node from running well."),
        "key": _("List, add and change the public author keys of a shop."),
        "peer": _("Add, list, ping and block neighbours."),
        "tag": _("Make, print and show data tags."),
        "scan": _("Scan tags from text or pictures."),
        "card": _("Show your card for a merchant to scan."),
        "campaign": _("Write, publish, join, close and verify campaigns."),
        "attest": _("Confirm what somebody did."),
        "outcome": _("Record what a campaign brought about."),
        "reward": _("List, claim, redeem and accept rewards, and keep a shop's books."),
        "settle": _("Show what is owed, and why."),
        "swarm": _("Run a swarm of test nodes."),
        "sim": _("Run a seeded simulation."),
        "demo": _("Watch a neighbourhood play Ten Red Balloons."),
        "backup": _("Create, verify and restore backups."),
    }


class Program(frame.Group):
    """The root: knows every command by name and imports only the one called."""

    example = "p2pnode init --role merchant --name Bakery\np2pnode run"

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click calls it
        """Return the commands whose module is there."""
        here = Path(__file__).parent
        return [name for name in _commands() if (here / f"{name}.py").is_file()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(f"cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the list of commands, importing none of them."""
        summaries = _commands()
        with formatter.section(_("Commands")):
            formatter.write_dl(
                [(name, summaries[name]) for name in self.list_commands(ctx)]
            )


def _program() -> Program:
    made = Program(
        "p2pnode",
        help=_("A node of your own: it keeps, passes on and settles signed records."),
        context_settings={"help_option_names": ["-h", "--help"]},
        options_metavar=_("[OPTIONS]"),
        subcommand_metavar=_("COMMAND [ARGS]..."),
    )
    return click.version_option(package_name="p2pnode")(made)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    output.survive()
    code = run(sys.argv[1:])
    output.finish(sys.stderr)
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command and return its exit code; nothing is raised, all is said."""
    program = _program()
    if "_P2PNODE_COMPLETE" in os.environ:  # the shell asks, click answers and exits
        program.main(prog_name="p2pnode")
    as_json = "--json" in args
    try:
        return _invoke(program, args, as_json=as_json)
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _invoke(program: click.Group, args: Sequence[str], *, as_json: bool) -> int:
    try:
        _check_text(args)
        with program.make_context("p2pnode", list(args)) as context:
            program.invoke(context)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # the last door: people see words
        return _ended(_first(error), as_json=as_json)
    return 0


def _check_text(args: Sequence[str]) -> None:
    """Refuse arguments that no file name and no code can be.

    Raises:
        Failure: `bad-argument`.
    """
    for arg in args:
        try:
            arg.encode()
        except UnicodeEncodeError:
            pass
        else:
            if "\0" not in arg:
                continue
        raise Failure(
            "bad-argument",
            _("An argument is not text: {argument}").format(argument=ascii(arg)),
            _("Text in this terminal's encoding, best UTF-8."),
            _("Type it again; rename a file whose name is not text."),
            failures.BAD_REQUEST,
        )


def _first(error: BaseException) -> BaseException:
    """Return the first of the errors that trio's nurseries hand over as a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ended(error: BaseException, *, as_json: bool) -> int:
    """Say what ended a command, if anything is to say; return the exit code."""
    match error:
        case click.exceptions.Exit():
            output.finish()
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            output.talk(*error.format_message().splitlines())
            return 2
        case KeyboardInterrupt() | EOFError() | click.Abort():
            output.talk("", _("Stopped."))
            return INTERRUPTED
        case BrokenPipeError():
            raise error
        case Exception() if not os.environ.get("P2PNODE_DEBUG"):
            failed = _failure(error).translated(_)
            if as_json:
                output.as_json(failed.document())
            else:
                output.failure(failed)
            output.finish()
            return EXIT_CODES.get(failed.status, 1)
        case _:
            raise error


def _failure(error: Exception) -> Failure:
    """Put any exception into words."""
    match error:
        case Failure():
            return error
        case click.ClickException():
            return _usage(error)
        case OSError():
            return Failure(
                "system",
                _("The system refused: {error}").format(error=error),
                _("Files this account may use, on a disk with room."),
                _("'p2pnode doctor' checks folder, rights and disk."),
            )
        case ProtocolError():
            return rule_failure(error)
        case ModuleNotFoundError() if error.name and not error.name.startswith(OWN):
            return Failure(
                "no-package",
                _("The package {name} is not installed.").format(name=error.name),
                _("The environment that 'make demo' or pip set up."),
                _("Type 'source .venv/bin/activate', then 'p2pnode doctor'."),
                status=failures.INTERNAL,
            )
        case _:
            kind = type(error).__name__
            return Failure(
                "internal",
                _("A fault in p2pnode: {kind}: {error}").format(kind=kind, error=error),
                cure=_("Run it again with P2PNODE_DEBUG=1 and report what it prints."),
                status=failures.INTERNAL,
            )


def _usage(error: click.ClickException) -> Failure:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return Failure(
        "usage",
        error.format_message(),
        context.get_usage().partition(": ")[2] if context else "",
        _("'{command} --help' shows how.").format(
            command=context.command_path if context else "p2pnode"
        ),
        failures.BAD_REQUEST,
    )


if __name__ == "__main__":
    main()
