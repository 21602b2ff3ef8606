"""`p2pnode doctor`: what keeps the node from running well, and what helps."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import click

from cli import client, frame, home, losses, output
from cli.i18n import _
from p2pnode.failures import REFUSED, Failure

PACKAGES: Final = (
    *("apsw", "click", "cryptography", "hypercorn", "libp2p", "msgpack", "nacl"),
    *("PIL", "platformdirs", "segno", "starlette", "tomlkit", "trio", "zxingcpp"),
)
"""Import names of what pyproject.toml asks for."""

RELEASED_S: Final = 1_767_225_600
"""2026-01-01T00:00:00Z: no honest clock is earlier."""

DISK_WARN: Final = 2**30
DISK_BAD: Final = 100 * 2**20
"""Free bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and its result."""

    check: str
    level: Literal["ok", "warn", "bad"]
    text: str
    cure: str = ""


@frame.command(
    "doctor",
    _("Find out what keeps the node from running well."),
    example="p2pnode doctor",
)
def command(*, as_json: bool) -> None:
    """Run every check; fail if one is bad."""
    data = home.folder()
    found = [finding for check in CHECKS for finding in check(data)]
    bad = sum(finding.level == "bad" for finding in found)
    if as_json:
        output.document("doctor", {"findings": [asdict(each) for each in found]})
        if bad:
            raise click.exceptions.Exit(1)
        return
    colours = {"ok": "green", "warn": "yellow", "bad": "red"}
    words = {"ok": _("ok"), "warn": _("warn"), "bad": _("bad")}
    edge = max(output.width(word) for word in words.values()) + 1
    for each in found:
        space = " " * (edge - output.width(words[each.level]))
        output.say(words[each.level] + space + each.text, colour=colours[each.level])
        if each.cure:
            output.say(" " * edge + each.cure)
    if bad:
        raise Failure(
            "unwell",
            _("{count} of {all} checks failed.").format(count=bad, all=len(found)),
            cure=_("Do what stands below each line marked '{bad}'.").format(
                bad=words["bad"]
            ),
            status=REFUSED,
        )


def _python(_data: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    known = (3, 11) <= sys.version_info < (3, 14)
    yield Finding(
        check="python",
        level="ok" if known else "bad",
        text=_("Python {version}").format(version=version),
        cure="" if known else _("Install Python 3.11, 3.12 or 3.13."),
    )


def _packages(_data: Path) -> Iterator[Finding]:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        text = _("Packages are missing: {names}").format(names=", ".join(missing))
        cure = _("Run 'make clean test', or install p2pnode again.")
        yield Finding(check="packages", level="bad", text=text, cure=cure)
    else:
        yield Finding(check="packages", level="ok", text=_("All packages are there."))


def _folder(data: Path) -> Iterator[Finding]:
    if not data.is_dir():
        yield Finding(
            check="folder",
            level="warn",
            text=_("There is no data folder at {folder}.").format(folder=data),
            cure=_("Create it with: p2pnode init"),
        )
    elif not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            check="folder",
            level="bad",
            text=_("You may not write in {folder}.").format(folder=data),
            cure=_("Give the folder to the account that runs the node."),
        )
    elif os.name == "posix" and data.stat().st_mode & 0o077:
        yield Finding(
            check="folder",
            level="bad",
            text=_("Other accounts can look into {folder}.").format(folder=data),
            cure=f"chmod 700 '{data}'",
        )
    else:
        text = _("The data folder is {folder}.").format(folder=data)
        yield Finding(check="folder", level="ok", text=text)


def _clock(data: Path) -> Iterator[Finding]:
    now_s = time.time_ns() // 10**9
    newest_s = max((path.stat().st_mtime for path in _files(data)), default=0)
    if now_s < RELEASED_S:
        text = _("The clock is wrong: it shows a year before p2pnode was written.")
    elif newest_s > now_s + 120:
        text = _("The clock went back: the folder has files from the future.")
    else:
        yield Finding(check="clock", level="ok", text=_("The clock looks right."))
        return
    cure = _("Let the system set its clock from the network.")
    yield Finding(check="clock", level="bad", text=text, cure=cure)


def _files(data: Path) -> list[Path]:
    return [path for path in data.glob("*") if path.is_file()]


def _disk(data: Path) -> Iterator[Finding]:
    there = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(there).free
    level: Literal["ok", "warn", "bad"] = "ok"
    if free < DISK_WARN:
        level = "bad" if free < DISK_BAD else "warn"
    yield Finding(
        check="disk",
        level=level,
        text=_("{free} MB are free on the disk.").format(free=free // 10**6),
        cure="" if level == "ok" else _("Make room: a node with a full disk stops."),
    )


def _mark(data: Path) -> Iterator[Finding]:
    """Whether the folder is where its node signed, before the node looks itself."""
    from p2pnode.high_water import RESTORED
    from p2pnode.store.mark_file import NAME, MarkFile

    if not (data / NAME).exists():
        return  # a node of an older version makes it when it starts
    try:
        found = MarkFile(data / NAME).read()
    except OSError:
        found = None
    if found is None or found.mark is None:
        why = _("The file 'mark' is damaged.")
    elif found.mark.store == RESTORED:
        why = _("A backup was restored here.")
    elif found.moved is not None:
        why = _("The data folder is a copy, or came from another machine.")
    else:
        return
    yield Finding(
        check="mark",
        level="warn",
        text=why,
        cure=_(
            "The node will not continue its feeds: residents go on under new keys,"
            " shops with their next key."
        ),
    )


def _daemon(data: Path) -> Iterator[Finding]:
    try:
        facts = client.call("GET", "/status", data=data)
    except Failure as failure:
        yield Finding(
            check="node", level="warn", text=failure.message, cure=failure.cure
        )
    else:
        yield Finding(check="node", level="ok", text=_("The node is running."))
        for one in losses.remarks(facts, data):
            yield Finding(check="losses", level=one.level, text=one.text, cure=one.cure)
        if facts.get("campaigns") and not facts.get("neighbours"):
            yield Finding(
                check="neighbours",
                level="warn",
                text=_("No neighbour is connected: nothing comes in or goes out."),
                cure=_(
                    "Ask one for its address (p2pnode status), then:"
                    " p2pnode peer add ADDRESS"
                ),
            )


CHECKS: Final[tuple[Callable[[Path], Iterator[Finding]], ...]] = (
    _python,
    _packages,
    _folder,
    _clock,
    _disk,
    _mark,
    _daemon,
)
