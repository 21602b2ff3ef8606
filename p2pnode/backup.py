"""Backups: one file with a node's keys and store, made while it runs or not.

    P2PNODE-BACKUP/1
    {"format": "p2pnode.backup/1", ...}      one line, at most 64 KiB, nothing secret
    the identity file                        sealed, unless its owner said otherwise
    the store                                an SQLite file, as it was at one moment
    SHA-256 of all before                    32 bytes

There are no names, links or compression in it, so a hostile file can lie only
about what is inside; that is checked before anything is written. What is restored
never continues a feed: see `high_water`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import trio

from p2pnode import identity as identities
from p2pnode.api import folder
from p2pnode.api.folder import STORE_FILE
from p2pnode.failures import UNVERIFIED, Failure
from p2pnode.file_fault import words
from p2pnode.high_water import MARK, RESTORED, Mark
from p2pnode.ports import StoreDamaged, StoreInUse, StoreTooNew
from p2pnode.store import mark_file
from p2pnode.store.mark_file import sync_folder
from p2pnode.store.sqlite import SqliteStore, open_store
from p2pnode.system import SystemClock
from protocols.errors import ProtocolError
from protocols.feed import Head, check_fork, check_next
from protocols.genesis import check_genesis
from protocols.record import Record, check_signature, decode_record, encode_record
from protocols.text import author_text

if TYPE_CHECKING:
    from protocols.keys import AuthorKey, Scope

FORMAT: Final = "p2pnode.backup/1"
MAGIC: Final = b"P2PNODE-BACKUP/1\n"
HEADER_MAX: Final = 1 << 16
IDENTITY_MAX: Final = 1 << 16
DIGEST: Final = 32
CHUNK: Final = 1 << 20

STAGE: Final = ".restoring"
"""The folder, inside the new home, in which a restore is made ready."""

Copy = Callable[[Path], object]
"""Copies the store, as it is at one moment, to a new file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a backup says of itself in clear."""

    made_ms: int
    name: str
    role: str
    network: str
    authors: tuple[str, ...]
    """Public author keys as text, where they could be read."""
    sealed: bool
    campaigns: int
    records: int
    feeds: int
    identity_bytes: int
    identity_sha256: str
    store_bytes: int
    store_sha256: str

    def is_typed(self) -> bool:
        """Whether every field has its type, and no number is negative."""
        for name in self.__slots__:
            value, wanted = getattr(self, name), self.__annotations__[name]
            if wanted == "int" and (type(value) is not int or value < 0):
                return False
            if wanted in ("str", "bool") and type(value).__name__ != wanted:
                return False
        return True

    def line(self) -> bytes:
        """The line that `_read_header` reads."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"format": FORMAT, **fields}).encode() + b"\n"


def create(
    home: Path, out: Path, copy: Copy, *, passphrase: str | None, in_clear: bool = False
) -> Header:
    """Write a backup of the node in `home` to the new file `out`, mode 0600.

    Args:
        home: the data folder.
        out: must not exist.
        copy: copies its store; a running node's own does it while it runs.
        passphrase: seals the keys in the backup, if they are not sealed already.
        in_clear: the owner wants the keys unsealed.

    Raises:
        Failure: `not-initialised`, `passphrase-needed`, `file-exists`,
            `no-such-folder`, ...
        OSError: `out` cannot be written; nothing is left of it.
    """
    identity = _identity_text(home, passphrase, in_clear=in_clear)
    if out.exists():
        raise Failure(
            "file-exists",
            "{file} exists already.",
            "A new file: a backup is never written over.",
            "Choose another name.",
            file=out,
        )
    if not out.parent.is_dir():
        raise Failure(
            "no-such-folder",
            "There is no folder {folder}.",
            "A folder that exists.",
            "Make it, or choose another one.",
            folder=out.parent,
        )
    copied, partial = (out.with_name(out.name + end) for end in (".store", ".partial"))
    copied.unlink(missing_ok=True)
    partial.unlink(missing_ok=True)
    try:
        copy(copied)
        header = _header(home, identity, copied)
        _write(partial, header, identity, copied)
        partial.rename(out)
        sync_folder(out.parent)
    finally:
        partial.unlink(missing_ok=True)
        for end in ("", "-wal", "-shm"):
            copied.with_name(copied.name + end).unlink(missing_ok=True)
    return header


def copy_at_rest(home: Path, out: Path) -> None:
    """Copy the store of a node that does not run.

    Raises:
        FolderInUse: it runs.
    """

    async def copy() -> None:
        source = home / STORE_FILE
        store = await open_store(source if source.exists() else out)
        try:
            if source.exists():
                await store.backup(out)
        finally:
            await store.close()

    with folder.locked(home):
        trio.run(copy)


def verify(file: Path, passphrase: str | None = None) -> Header:
    """Check every byte, open the copy, and check all signatures and feeds in it.

    Args:
        file: the backup.
        passphrase: opens the keys too; None: they stay closed.

    Raises:
        Failure: `not-a-backup`, `backup-damaged`, `wrong-passphrase`.
    """
    with tempfile.TemporaryDirectory(prefix="p2pnode-verify-") as folder_name:
        stage = Path(folder_name)
        header, _ = _unpack(file, stage)
        if passphrase is not None:
            _open_keys(stage, passphrase)
        return header


def restore(file: Path, home: Path, passphrase: str | None = None) -> Header:
    """Make the node of a backup in `home`, which must be empty or absent.

    Whatever ends it on the way, `home` holds no node then, and it can be begun
    anew. The node's first start gives up every feed that it had begun.

    Raises:
        Failure: as `verify`; `home-not-empty`, `keys-sealed`.
        OSError: the disk does not take it.
    """
    _clear(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = home / STAGE
    stage.mkdir(mode=0o700)
    try:
        header, kept = _unpack(file, stage)
        _open_keys(stage, passphrase)
        mark = mark_file.MarkFile(stage / mark_file.NAME)
        mark.write(replace(kept, store=RESTORED, twin=""), sync=True)
        mark.close()
        for name in (STORE_FILE, mark_file.NAME, identities.FILE):
            _sync_file(stage / name)
        sync_folder(stage)
        # The keys come last: without them there is no node in the folder.
        for name in (STORE_FILE, mark_file.NAME, identities.FILE):
            (stage / name).rename(home / name)
            sync_folder(home)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not (home / identities.FILE).exists():
            _remove_leftovers(home)
    return header


def _open_keys(stage: Path, passphrase: str | None) -> None:
    """See that the passphrase opens the keys of a backup.

    Raises:
        Failure: `wrong-passphrase`, `keys-sealed`, or as `identity.load`.
    """
    try:
        identities.load(stage, passphrase)
    except Failure as failure:
        said = {
            "wrong-passphrase": words(
                "The passphrase does not open the keys of this backup."
            ),
            "keys-sealed": words(
                "The keys of this backup are sealed with a passphrase."
            ),
        }.get(failure.reason)
        if said is None:
            raise
        raise Failure(
            failure.reason,
            said,
            "The passphrase that p2pnode backup create was given; or the node's own,"
            " where its keys were sealed before.",
            "Name the file that holds it: --passphrase-file FILE",
            failure.status,
        ) from None


def _clear(home: Path) -> None:
    """See that `home` is empty, but for what an interrupted restore left."""
    if (home / STAGE).is_dir() and not (home / identities.FILE).exists():
        shutil.rmtree(home / STAGE)
        _remove_leftovers(home)
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Failure(
            "home-not-empty",
            "{home} is not empty: a backup is restored into an empty folder only.",
            "An empty folder, or one that does not exist, in P2PNODE_HOME.",
            "Choose another P2PNODE_HOME; what is there was not touched.",
            home=home,
        )


def _remove_leftovers(home: Path) -> None:
    for name in (STORE_FILE, mark_file.NAME):
        (home / name).unlink(missing_ok=True)


def _identity_text(home: Path, passphrase: str | None, *, in_clear: bool) -> bytes:
    """The identity file as it goes into a backup."""
    path = home / identities.FILE
    if not path.exists():
        identities.load(home)  # says what is missing
    text = path.read_text("utf-8")
    if identities.is_sealed(text) or in_clear:
        return text.encode()
    if passphrase is None:
        raise Failure(
            "passphrase-needed",
            "This node's keys are not sealed, and a backup must not hold them open.",
            "A passphrase that seals them in the backup.",
            "--passphrase-file FILE; or --keys-in-clear, if the file is kept as safe"
            " as the node.",
        )
    return identities.seal(text, passphrase).encode()


def _header(home: Path, identity: bytes, copied: Path) -> Header:
    document = json.loads(identity)
    authors: tuple[str, ...] = ()
    with contextlib.suppress(Failure):  # sealed, and no passphrase is at hand
        keys = identities.load_unsealed(home).author_keys
        authors = tuple(author_text(key.author) for key in keys)
    counts, campaigns = trio.run(_counts, copied)
    with copied.open("rb") as file:
        store_sha256 = _digest(file, copied.stat().st_size).hexdigest()
    return Header(
        made_ms=SystemClock().now_ms(),
        name=str(document["name"]),
        role=str(document["role"]),
        network=str(document["network"]),
        authors=authors,
        sealed="sealed" in document,
        campaigns=campaigns,
        records=counts["records"],
        feeds=counts["feeds"],
        identity_bytes=len(identity),
        identity_sha256=sha256(identity).hexdigest(),
        store_bytes=copied.stat().st_size,
        store_sha256=store_sha256,
    )


async def _counts(copied: Path) -> tuple[dict[str, int], int]:
    store = await open_store(copied)
    try:
        return await store.counts(), len(await store.state("campaign/"))
    finally:
        await store.close()


def _write(partial: Path, header: Header, identity: bytes, copied: Path) -> None:
    digest = sha256()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, copied.open("rb") as store:
        for part in (MAGIC, header.line(), identity):
            file.write(part)
            digest.update(part)
        while chunk := store.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())


def _unpack(file: Path, stage: Path) -> tuple[Header, Mark]:
    """Check a backup and write its two files, mode 0600, into `stage`."""
    try:
        with _opened(file) as source:
            header = _read_header(file, source)
            _check_whole(file, source)
            source.seek(len(MAGIC) + len(header.line()))
            for name, size, digest in (
                (identities.FILE, header.identity_bytes, header.identity_sha256),
                (STORE_FILE, header.store_bytes, header.store_sha256),
            ):
                if _extract(source, stage / name, size) != digest:
                    raise _damaged(file, name)
    except OSError as error:
        raise Failure(
            "backup-not-read",
            "{file} cannot be restored or checked: {why}.",
            "A file that can be read, and a disk with room for a copy.",
            "Look at the file and the disk; nothing was changed.",
            file=file,
            why=error.strerror,
        ) from error
    _check_identity(file, stage, header)
    return header, trio.run(_rehearse, file, stage / STORE_FILE, header)


def _opened(file: Path) -> IO[bytes]:
    """Open a plain file: a pipe has no end."""
    if not file.is_file():
        raise _no_backup(file)
    return file.open("rb")


def _read_header(file: Path, source: IO[bytes]) -> Header:
    """Read the line in clear; the file must be exactly as long as it says."""
    if source.read(len(MAGIC)) != MAGIC:
        raise _no_backup(file)
    line = source.readline(HEADER_MAX)
    try:
        fields: dict[str, Any] = json.loads(line)
        if fields.pop("format") != FORMAT:
            raise _no_backup(file)
        header = Header(**{**fields, "authors": tuple(map(str, fields["authors"]))})
        sizes = (header.identity_bytes, header.store_bytes)
        parts = len(MAGIC) + len(line) + DIGEST + sum(sizes)
        if (
            header.line() == line
            and header.is_typed()
            and header.identity_bytes <= IDENTITY_MAX
            and file.stat().st_size == parts
        ):
            return header
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # as any other that is not whole
    raise _damaged(file, "its header, or its length")


def _check_whole(file: Path, source: IO[bytes]) -> None:
    source.seek(0)
    digest = _digest(source, file.stat().st_size - DIGEST)
    if source.read() != digest.digest():
        raise _damaged(file, "a byte has changed")


def _digest(source: IO[bytes], size: int) -> Any:
    digest = sha256()
    while size > 0 and (chunk := source.read(min(CHUNK, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest


def _extract(source: IO[bytes], path: Path, size: int) -> str:
    """Write the next `size` bytes to a new file; return their digest."""
    digest = sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while size > 0 and (chunk := source.read(min(CHUNK, size))):
            out.write(chunk)
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def _check_identity(file: Path, stage: Path, header: Header) -> None:
    """The keys are of the node that the header names, as far as they are open."""
    try:
        document = json.loads((stage / identities.FILE).read_text("utf-8"))
        said = (document["name"], document["role"], document["network"])
        if said != (header.name, header.role, header.network):
            raise _damaged(file, "keys of another node")
        if ("sealed" in document) is not header.sealed:
            raise _damaged(file, "its keys")
        if not header.sealed:
            identities.load(stage)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(file, "its keys") from None


async def _rehearse(file: Path, path: Path, header: Header) -> Mark:
    """Open the copy and check all that is in it; return its mark."""
    try:
        store = await open_store(path)
    except (StoreDamaged, StoreTooNew, StoreInUse) as error:
        raise _damaged(file, str(error)) from error
    try:
        for wrong in await store.check():
            raise _damaged(file, wrong)
        counts = await store.counts()
        said = {"records": header.records, "feeds": header.feeds}
        if any(counts[name] != count for name, count in said.items()):
            raise _damaged(file, "it holds less or more than it says")
        await _check_records(store)
        value = (await store.state(MARK)).get(MARK)
        return Mark() if value is None else Mark.decode(value)
    except (ProtocolError, StoreDamaged, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, str(error)) from error
    finally:
        await store.close()


async def _check_records(store: SqliteStore) -> None:
    """Every record well-formed and well signed, every feed gapless.

    Raises:
        ProtocolError, StoreDamaged: one is not.
    """
    for scope in await store.scopes():
        for author, head in (await store.heads(scope)).items():
            await _check_feed(store, scope, author, head)
        for proof in await store.forks(scope):
            check_fork(proof, proof.header.network)
    async for record in store.branches():
        _check_record(record)


async def _check_feed(
    store: SqliteStore, scope: Scope, author: AuthorKey, head: Head
) -> None:
    last: Head | None = None
    while last is None or last.seq < head.seq:
        start = 0 if last is None else last.seq + 1
        records = await store.feed(scope, author, start, head.seq + 1, CHUNK)
        if not records:
            raise StoreDamaged(f"seq {start} of a feed is missing")
        for record in records:
            check_next(last, record)
            _check_record(record)
            last = Head(record.seq, record.id)


def _check_record(record: Record) -> None:
    read = decode_record(encode_record(record))
    check_signature(read)
    if read.seq == 0:
        check_genesis(read)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_backup(file: Path) -> Failure:
    return Failure(
        "not-a-backup",
        "{file} is no backup of a p2pnode.",
        "A file that p2pnode backup create wrote.",
        "Look for the right file; nothing was changed.",
        UNVERIFIED,
        file=file,
    )


def _damaged(file: Path, what: str) -> Failure:
    return Failure(
        "backup-damaged",
        "{file} is damaged, cut off or made up: {what}.",
        "Every byte as p2pnode backup create wrote it.",
        "Take another copy of it, or an earlier backup; nothing was changed.",
        UNVERIFIED,
        file=file,
        what=what,
    )
