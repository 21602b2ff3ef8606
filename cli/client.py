"""Asks the running node. The CLI knows nothing that the node does not tell it."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cli import home, kinds
from cli.i18n import _
from p2pnode import typed
from p2pnode.api import folder
from p2pnode.failures import BAD_REQUEST, INTERNAL, TOO_SLOW, UNREACHABLE, Failure

Document = dict[str, Any]

ANSWER_MAX: Final = 64 * 2**20
"""Bytes of an answer; a statement of 200,000 lines stays below."""

ID_MAX: Final = 90
"""Characters of a campaign id."""

TOLD_MAX: Final = 1 << 14
"""Bytes of a link, code or voucher on standard input; a QR code holds 4,296."""

CHUNK: Final = 1 << 16
"""Bytes that are read at once of an answer that goes to a file."""

PATIENCE_S: Final = 60.0
"""How long the node may take to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the running node listens and what it wants to hear."""

    pid: int
    port: int
    token: str


def door(data: Path) -> Door:
    """Read where the node of the folder `data` listens.

    Nobody is told anything unless a node holds the folder's lock: whoever
    listens on a killed node's port would learn its token and our secrets.

    Raises:
        Failure: `no-daemon`, because no node runs there.
    """
    try:
        if not folder.owned(data):
            raise _no_daemon(data)
        document = json.loads(folder.api_file(data).read_bytes())
        if document["format"] != folder.API_FORMAT:
            raise _other_version()
        found = Door(
            pid=int(document["pid"]),
            port=int(document["port"]),
            token=str(document["token"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise _no_daemon(data) from None
    plain = found.token.isascii() and found.token.isprintable()
    if not (plain and 0 < found.port < 65_536):
        raise _no_daemon(data)
    return found


def told(argument: str) -> str:
    """The argument, or for `-` the text on standard input, which no `ps` shows."""
    if argument != "-":
        return argument
    source = getattr(sys.stdin, "buffer", None)  # None: closed before we began
    raw: bytes = source.read(TOLD_MAX) if source else b""
    return raw.decode("utf-8", "replace").replace("\0", " ").strip()


def campaign(name: str, verb: str = "", **query: str) -> str:
    """The path of a campaign in the API.

    Raises:
        Failure: `bad-campaign`, the name is no id and no beginning of one.
    """
    name = typed.code(name)
    kinds.check_text(name, ["p2pc1"])
    if name != "-" and not (name.isascii() and name.isalnum() and len(name) <= ID_MAX):
        raise Failure(
            "bad-campaign",
            _("{name} is not a campaign's id, nor a file that is here.").format(
                name=name or '""'
            ),
            _("An id p2pc1..., as much of it as makes it the only one, or nothing."),
            _("See p2pnode campaign list."),
            BAD_REQUEST,
        )
    path = f"/campaigns/{name}/{verb}".rstrip("/")
    return f"{path}?{urllib.parse.urlencode(query)}" if query else path


def call(
    method: str, path: str, body: Document | None = None, *, data: Path | None = None
) -> Document:
    """Ask the node and return the document it answers with.

    Raises:
        Failure: no node runs here, it does not answer, or it refuses.
    """
    with _asked(method, path, body, data) as response:
        return _document(response.read(ANSWER_MAX))


def download(path: str, out: Path, *, data: Path | None = None) -> int:
    """Write what the node answers to GET `path` into a new file.

    Returns:
        The number of bytes.

    Raises:
        Failure: as `call`; `file-exists` or `file-not-written` for `out`.
    """
    size = 0
    with _asked("GET", path, None, data) as response, new_file(out) as file:
        while chunk := response.read(CHUNK):
            size += file.write(chunk)
    return size


@contextlib.contextmanager
def new_file(out: Path) -> Iterator[IO[bytes]]:
    """A new file that is there whole or not at all.

    Raises:
        Failure: `file-exists`, `file-not-written`.
    """
    try:
        with out.open("xb") as file, _whole(file, out):
            yield file
    except FileExistsError:
        raise Failure(
            "file-exists",
            _("{file} exists already.").format(file=out),
            _("A new file."),
            _("Choose another name."),
        ) from None
    except OSError as error:
        raise Failure(
            "file-not-written",
            _("{file} cannot be written: {why}.").format(file=out, why=error.strerror),
            _("A folder on a disk with room, that this account may write."),
            _("Choose another place."),
        ) from None


@contextlib.contextmanager
def _whole(file: IO[bytes], out: Path) -> Iterator[None]:
    """Remove a file that was written only in part."""
    try:
        yield
    except BaseException:
        file.close()
        out.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _asked(
    method: str, path: str, body: Document | None, data: Path | None
) -> Iterator[http.client.HTTPResponse]:
    """Ask the node; the answer is a success and still to be read."""
    data = data or home.folder()
    opened = door(data)
    connection = http.client.HTTPConnection(
        "127.0.0.1", opened.port, timeout=PATIENCE_S
    )
    headers = {"Authorization": f"Bearer {opened.token}", "Connection": "close"}
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        if response.status >= 400:
            answer = _document(response.read(ANSWER_MAX))
            raise Failure.from_document(answer, response.status)
        yield response
    except TimeoutError:
        raise _too_slow() from None
    except (OSError, http.client.HTTPException):
        raise _no_daemon(data) from None
    finally:
        connection.close()


def _document(raw: bytes) -> Document:
    try:
        document = json.loads(raw)
    except ValueError:
        raise _other_version() from None
    if not isinstance(document, dict):
        raise _other_version()
    return document


def _no_daemon(data: Path) -> Failure:
    return Failure(
        "no-daemon",
        _("No node is running on {folder}.").format(folder=data),
        _("A running node."),
        _("Start it with: p2pnode run"),
        UNREACHABLE,
    )


def _too_slow() -> Failure:
    return Failure(
        "daemon-silent",
        _("The node did not answer within {seconds} seconds.").format(
            seconds=int(PATIENCE_S)
        ),
        cure=_("Try again; if it stays silent, stop it and start it anew."),
        status=TOO_SLOW,
    )


def _other_version() -> Failure:
    return Failure(
        "other-version",
        _("The running node answers in a way this program does not know."),
        _("A node of the same version as this program."),
        _("Stop the node and start it again with: p2pnode run"),
        INTERNAL,
    )
