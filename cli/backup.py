"""`p2pnode backup create | verify | restore`: one file, and a new start from it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import accounts, client, frame, home, kinds, output
from cli.i18n import _
from cli.words import word
from p2pnode.failures import Failure

if TYPE_CHECKING:
    from p2pnode.backup import Header

command = frame.group(
    "backup",
    _("Create, verify and restore backups."),
    example="p2pnode backup create --passphrase-file words.txt node.backup",
)

PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False),
    help=_("The passphrase in this file seals, or opens, the keys of the backup."),
)
FILE = click.argument("file", metavar=_("FILE"))


@frame.command(
    "create",
    _("Write keys and records to one file, also while the node runs."),
    example="p2pnode backup create --passphrase-file words.txt node.backup",
    within=command,
)
@FILE
@PASSPHRASE
@click.option(
    "--keys-in-clear",
    is_flag=True,
    help=_("Do not seal the keys: whoever reads the file is you."),
)
def create(
    file: str, passphrase_file: str | None, keys_in_clear: bool, *, as_json: bool
) -> None:
    """Seal the keys here; let the node, if it runs, copy its store."""
    from p2pnode import backup, backup_notes

    data = home.folder()
    header = backup.create(
        data,
        Path(file).absolute(),
        lambda path: _copy(data, path),
        passphrase=_passphrase(passphrase_file),
        in_clear=keys_in_clear,
    )
    backup_notes.made(data, header)
    if as_json:
        output.document("backup", _facts(header))
        return
    _say(header)
    output.say(
        _("Written to {file}. Keep it on another disk; try it now and then:").format(
            file=file
        ),
        f"  p2pnode backup verify {file}",
    )


def _copy(data: Path, path: Path) -> None:
    """Have a running node copy its store, or copy it here."""
    from p2pnode import backup
    from p2pnode.api.folder import FolderInUse

    try:
        backup.copy_at_rest(data, path)
    except FolderInUse:
        client.call("POST", "/backup", {"file": str(path)}, data=data)


@frame.command(
    "verify",
    _("Check every byte, signature and feed of a backup."),
    example="p2pnode backup verify node.backup",
    within=command,
)
@FILE
@PASSPHRASE
def verify(file: str, passphrase_file: str | None, *, as_json: bool) -> None:
    """Rehearse the restore; only the keys need the passphrase."""
    from p2pnode import backup, backup_notes

    kinds.check_file(file, ["backup"])

    passphrase = _passphrase(passphrase_file)
    header = backup.verify(Path(file), passphrase)
    with contextlib.suppress(Failure):  # no folder: it is checked all the same
        backup_notes.verified(home.folder(), header)
    if as_json:
        opened = passphrase is not None or not header.sealed
        output.document("backup", {**_facts(header), "keys_opened": opened})
        return
    _say(header)
    output.say(_("Every byte and every signature holds; no feed has a gap."))
    if passphrase is not None:
        output.say(_("The passphrase opens its keys."))


@frame.command(
    "restore",
    _("Make the node of a backup in an empty P2PNODE_HOME."),
    example="p2pnode backup restore --passphrase-file words.txt node.backup",
    within=command,
)
@FILE
@PASSPHRASE
def restore(file: str, passphrase_file: str | None, *, as_json: bool) -> None:
    """Check the backup, then restore all of it or nothing."""
    from p2pnode import backup, identity

    kinds.check_file(file, ["backup"])

    data = home.folder()
    header = backup.restore(Path(file), data, _passphrase(passphrase_file))
    if as_json:
        output.document("restored", {**_facts(header), "home": str(data)})
        return
    _say(header)
    output.say(
        _("Restored into {folder}.").format(folder=data),
        _(
            "It never continues what these keys have begun: a resident goes on as the"
            " same person under new keys, a shop with its next key."
        ),
        _("Start it with: p2pnode run"),
    )
    if header.sealed:
        output.say(
            _("Its keys are sealed: name the passphrase's file in {variable}.").format(
                variable=identity.SEALED_BY
            )
        )


def _passphrase(file: str | None) -> str | None:
    from p2pnode import identity

    return identity.read_passphrase(file or os.environ.get(identity.SEALED_BY))


def _facts(header: Header) -> dict[str, object]:
    facts = {name: getattr(header, name) for name in header.__slots__}
    return {**facts, "authors": list(header.authors)}


def _say(header: Header) -> None:
    output.say(
        _("{name} ({role}) of the network {network}, {time}:").format(
            name=header.name or "?",
            role=word(header.role),
            network=header.network,
            time=accounts.moment(header.made_ms),
        ),
        _("{records} records in {feeds} feeds of {campaigns} campaigns.").format(
            records=header.records, feeds=header.feeds, campaigns=header.campaigns
        ),
    )
    for author in header.authors:
        output.say("  " + author)
    if not header.sealed:
        output.say(
            _("Its keys are NOT sealed: whoever reads the file is you."),
            colour="yellow",
        )
