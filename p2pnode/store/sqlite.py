"""Records in one SQLite file, durable when a write returns.

One connection, in one thread, with the file to itself: WAL, fsync at every
commit, writes that wait together committed together. A commit that reports an
error is in doubt, not failed: the store closes and touches nothing more; what
`open_store` then finds is made durable before it is shown.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

import apsw
import trio

from p2pnode.high_water import LOSS, MARK, Mark, after, compare
from p2pnode.ports import (
    Store,
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreInDoubt,
    StoreInUse,
    StoreTooNew,
)
from p2pnode.store import rows
from p2pnode.store.rows import Batch
from p2pnode.store.worker import Worker
from protocols.feed import ForkProof, Head
from protocols.keys import AuthorKey, RecordId, Scope

if TYPE_CHECKING:
    from p2pnode.store.mark_file import MarkFile
    from protocols.record import Record

T = TypeVar("T")

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x70327031
"""Marks the file as ours: "p2p1"."""

STATEMENTS_CACHED: Final = 256
"""Prepared statements kept: each size of insert is one."""

BACKUP_PAGES: Final = 1_024
"""Pages copied before other calls get their turn."""

WAL_STRETCH: Final = 1 << 16
"""Bytes of the WAL read and written at once; SQLite's files take below 128 kB."""

UNREADABLE: Final = (apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_CORRUPTFS)
"""Errors of the disk that do not come of writing."""

SETTINGS: Final = """
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
PRAGMA fullfsync = ON; -- macOS: past the drive's cache
"""


async def open_store(
    path: Path, *, mark: MarkFile | None = None, vfs: str | None = None
) -> SqliteStore:
    """Open the store at `path`; create it with mode 0600, or migrate it.

    Args:
        path: of the SQLite file; its folder exists.
        mark: what is kept beside it of how far own keys have signed; where the
            two do not agree, the state `high_water.LOSS` says why.
        vfs: the name of an SQLite VFS, for tests that inject faults.

    Raises:
        StoreTooNew: a newer version wrote it.
        StoreInUse: another process has it open.
        StoreDamaged: it is not a store, or cannot be read.
        StoreFull: no room, or read-only.
        StoreInDoubt: the disk does not say that it kept what was found.
    """
    database = _Database(path, vfs, mark)
    worker = Worker("p2pnode-store", database.commit)
    try:
        await worker.call(database.open)
    except BaseException:
        with trio.CancelScope(shield=True):
            await worker.call(database.abandon, last=True)
        raise
    return SqliteStore(database, worker)


class SqliteStore(Store):
    """A `Store` in one SQLite file; made by `open_store`."""

    def __init__(self, database: _Database, worker: Worker[Batch]) -> None:
        self._database = database
        self._worker = worker
        self._closed = False
        self._doubt = trio.Event()
        self._copying = trio.Lock()

    @property
    def commits(self) -> int:
        """Commits since it was opened; fewer than writes when they wait together."""
        return self._database.commits

    async def append(
        self,
        records: Sequence[Record],
        forks: Sequence[ForkProof] = (),
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Store all or nothing; see `Store.append`."""
        batch = Batch(
            records=tuple(records), forks=tuple(forks), state=dict(state or {})
        )
        await self._write(batch)

    async def append_branch(self, records: Sequence[Record]) -> None:
        """Store records of the other branch; see `Store.append_branch`."""
        await self._write(Batch(branch=tuple(records)))

    async def drop_parts(
        self, record_ids: Sequence[RecordId], *, claims: bool, notes: bool
    ) -> None:
        """Delete claims and/or notes for good, from the file and its WAL."""
        parts = claims + 2 * notes
        await self._write(Batch(drops=tuple((parts, one) for one in record_ids)))
        await self._call(self._database.checkpoint)

    async def scopes(self) -> list[Scope]:
        """All scopes, ascending."""
        return [Scope(bytes.fromhex(scope)) for scope in await self._read(rows.SCOPES)]

    async def heads(self, scope: Scope) -> dict[AuthorKey, Head]:
        """The last record of every feed, authors ascending."""
        heads: dict[AuthorKey, Head] = {}
        last = AuthorKey(b"")
        while True:
            page = await self._read(rows.HEADS, scope, last, rows.HEADS_PAGE)
            for author, seq, record_id in page:
                last = AuthorKey(bytes.fromhex(author))
                heads[last] = Head(seq, RecordId(bytes.fromhex(record_id)))
            if len(page) < rows.HEADS_PAGE:
                return heads

    async def get(self, record_id: RecordId) -> Record | None:
        """One record by its id."""
        found = await self._read(rows.GET, record_id)
        return rows.revive(found[0]) if found else None

    async def feed(
        self, scope: Scope, author: AuthorKey, start: int, stop: int, bytes_max: int
    ) -> list[Record]:
        """A stretch of a feed; see `Store.feed`."""
        count_max = max(bytes_max, 0) // rows.SIZE_MIN + 1
        found = await self._read(
            rows.FEED, scope, author, start, stop, count_max, bytes_max
        )
        return [rows.revive(row) for row in found]

    async def scope_records(self, scope: Scope) -> list[Record]:
        """Every record of a scope, ordered by (author, seq)."""
        records: list[Record] = []
        author, seq = AuthorKey(b""), -1
        while True:
            page = await self._read(rows.SCOPE_PAGE, scope, author, seq, rows.PAGE_ROWS)
            records += [rows.revive(row) for row in page]
            if len(page) < rows.PAGE_ROWS:
                return records
            author, seq = records[-1].author, records[-1].seq

    async def branches(self) -> AsyncIterator[Record]:
        """Every record of the other branch of forked feeds, in no order."""
        last = -1
        while page := await self._read(rows.BRANCH_PAGE, last, rows.PAGE_ROWS):
            for last, *row in page:  # noqa: B007  # the next page begins after it
                yield rows.revive(row)

    async def forks(self, scope: Scope) -> list[ForkProof]:
        """One proof per forked feed, ordered by author."""
        return [rows.revive_fork(row) for row in await self._read(rows.FORKS, scope)]

    async def state(self, prefix: str) -> dict[str, bytes]:
        """Local state under `prefix`, keys ascending."""
        found = await self._read(rows.STATE, prefix)
        return {key: bytes.fromhex(value) for key, value in found}

    async def counts(self) -> dict[str, int]:
        """How much it holds; `bytes` is the size of the file."""
        found = await self._read(rows.COUNTS)
        return dict(zip(("records", "feeds", "bytes"), found, strict=True))

    async def check(self) -> list[str]:
        """What SQLite finds wrong with the file; an empty list if nothing."""
        return await self._call(self._database.check)

    async def backup(self, path: Path) -> None:
        """Copy the store to a new file at `path`, mode 0600; other calls go on.

        Raises:
            FileExistsError: there is something at `path`.
            StoreFull: no room for the copy; nothing is left at `path`.
        """
        async with self._copying:
            copy = await self._call(lambda: _Copy(self._database.connection(), path))
            done = False
            try:
                while not done:
                    done = await self._call(copy.step)
            finally:
                with trio.CancelScope(shield=True):
                    await self._worker.call(lambda: copy.finish(keep=done))

    async def doubted(self) -> None:
        """Return once a commit's outcome is unknown; see `Store.doubted`."""
        await self._doubt.wait()

    async def close(self) -> None:
        """Move the WAL into the file and release it; safe to call twice.

        A backup that is under way ends first, with StoreInDoubt.
        """
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            async with self._copying:
                await self._worker.call(self._database.close, last=True)

    async def _read(self, sql: str, *bindings: rows.Sql) -> Any:
        document = await self._call(lambda: self._database.read(sql, bindings))
        return rows.parse(document)

    async def _call(self, function: Callable[[], T]) -> T:
        self._refuse_closed()
        with self._doubting():
            return await self._worker.call(function)

    async def _write(self, batch: Batch) -> None:
        self._refuse_closed()
        with self._doubting():
            await self._worker.write(batch)

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """Tell who waits in `doubted` that a call left the store in doubt."""
        try:
            yield
        except StoreInDoubt as error:
            if not self._doubt.is_set():
                log.error("the store is in doubt: %s", error)  # noqa: TRY400  # in words
            self._doubt.set()
            raise

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreInDoubt("the store is closed")


class _Database:
    """The connection and what is done with it, all in the worker's thread."""

    def __init__(self, path: Path, vfs: str | None, mark: MarkFile | None) -> None:
        self.commits = 0
        self._path = path
        self._vfs = vfs
        self._mark = mark
        self._connection: apsw.Connection | None = None
        self._why_closed = "the store is not open"

    def open(self) -> None:
        """Open, recover, migrate; make durable what was found."""
        with suppress(FileExistsError):
            _create(self._path)
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise StoreFull("the file is read-only")
        try:
            self._connection = _connect(self._path, self._vfs)
            _write_wal_again(self._path, self._vfs)
            _migrate(self._connection, self._path)
            self.checkpoint()
            _sync_folder(self._path.parent)
        except apsw.Error as error:
            raise _translated(error, self._path) from error
        if self._mark is not None:
            self._compare(self._mark)

    def _compare(self, file: MarkFile) -> None:
        """See whether this is the store that the mark beside it speaks of.

        What was lost is noted in the store first: a kill before the file is
        written finds the note, and does not take it for a second loss.
        """
        try:
            beside = file.read()
        except OSError as error:
            raise StoreInDoubt(f"the mark: {error}") from error
        kept = _read_mark(self._state(MARK))
        found = None if beside.mark is None else beside.mark.encode().decode()
        noted = self._state(LOSS)
        seen_to = noted is not None and json.loads(noted)["found"] == found
        loss = None if seen_to else compare(beside, kept)
        mark = after(loss, beside.mark, kept, secrets.token_hex(16))
        state = {MARK: mark.encode()}
        if loss is not None:
            log.error("own feeds are not continued: %s", loss)
            state[LOSS] = json.dumps({"why": loss, "found": found}).encode()
        if mark != kept:
            failed = self._commit(Batch(state=state))
            if failed is not None:
                raise failed
        self._note(mark, sync=True)

    def _state(self, key: str) -> bytes | None:
        found = dict(rows.parse(self.read(rows.STATE, (key,))))
        return bytes.fromhex(found[key]) if key in found else None

    def _note(self, mark: Mark, *, sync: bool = False) -> None:
        """Write the mark beside the store.

        Raises:
            StoreInDoubt: the disk did not take it; the store is closed.
        """
        if self._mark is not None:
            try:
                self._mark.write(mark, sync=sync)
            except OSError as error:
                self._why_closed = f"the mark: {error}"
                self.abandon()
                raise StoreInDoubt(self._why_closed) from error

    def connection(self) -> apsw.Connection:
        """The open connection.

        Raises:
            StoreInDoubt: it is closed.
        """
        if self._connection is None:
            raise StoreInDoubt(self._why_closed)
        return self._connection

    def read(self, sql: str, bindings: Sequence[rows.Sql]) -> str:
        """The one value that `sql` returns."""
        connection = self.connection()
        try:
            return str(connection.execute(sql, bindings).get)
        except apsw.Error as error:
            raise _translated(error, self._path) from error

    def check(self) -> list[str]:
        """What `integrity_check` and `foreign_key_check` report."""
        connection = self.connection()
        try:
            found = [text for (text,) in connection.execute("PRAGMA integrity_check")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            if _schema(connection) != _own_schema():
                found.append("tables that are not p2pnode's")
        except apsw.Error as error:
            return [str(error)]
        return [*(text for text in found if text != "ok"), *map(str, orphans)]

    def commit(self, batches: Sequence[Batch]) -> list[Exception | None]:
        """Commit a group at once; if it fails, each batch alone.

        Returns what went wrong with each, or None.
        """
        error = self._commit(rows.join(batches))
        if error is None or len(batches) == 1:
            return [error] * len(batches)
        return [self._commit(batch) for batch in batches]

    def _commit(self, batch: Batch) -> Exception | None:
        try:
            connection = self.connection()
            self._prepare(connection, batch)
        except Exception as error:  # noqa: BLE001 - returned, and raised to its caller
            return error
        try:
            connection.execute("COMMIT")
        except apsw.FullError as error:
            return self._no_room(connection, error)
        except apsw.Error as error:
            return self._in_doubt(error)
        self.commits += 1
        value = batch.state.get(MARK)
        if value is not None:
            try:
                self._note(Mark.decode(value))
            except StoreInDoubt as error:
                return error
        return None

    def _prepare(self, connection: apsw.Connection, batch: Batch) -> None:
        """Do all but the commit; if that fails, undo it.

        Flushing the cache writes the pages to the WAL, so that a full disk is
        found here, where nothing is in doubt.
        """
        try:
            connection.execute("BEGIN IMMEDIATE")
            for sql, bindings in batch.statements():
                connection.execute(sql, bindings)
            connection.cache_flush()
        except BaseException as error:
            self._undo(connection)
            if isinstance(error, apsw.Error):
                raise self._failed(error) from error
            raise

    def _no_room(self, connection: apsw.Connection, error: apsw.Error) -> Exception:
        """A write of the commit found no room: undo it, then nothing happened.

        There is no doubt: the frame that would end the transaction is not whole,
        so no reader takes it for one, and the next write goes over it.
        """
        try:
            self._undo(connection)
        except StoreInDoubt as doubt:
            return doubt
        return self._failed(error)

    def _undo(self, connection: apsw.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise self._in_doubt(error) from error

    def _failed(self, error: apsw.Error) -> Exception:
        """What a statement's error means for its caller."""
        if isinstance(error, apsw.ConstraintError):
            return StoreConflict(str(error))
        if isinstance(error, (apsw.FullError, apsw.ReadOnlyError)):
            return _full(error)
        return self._in_doubt(error)

    def _in_doubt(self, error: apsw.Error) -> StoreInDoubt:
        self._why_closed = f"{type(error).__name__}: {error}"
        self.abandon()
        return StoreInDoubt(self._why_closed)

    def checkpoint(self) -> None:
        """Move the WAL into the file, fsync it, and empty the WAL.

        Raises:
            StoreFull: no room in the file; the WAL keeps what it has.
            StoreInDoubt: that failed.
        """
        connection = self.connection()
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.FullError as error:
            raise _full(error) from error
        except apsw.Error as error:
            raise self._in_doubt(error) from error

    def close(self) -> None:
        """Checkpoint and close; after a failure there is nothing to do."""
        if self._connection is not None:
            self._why_closed = "the store is closed"
            connection, self._connection = self._connection, None
            connection.close()
        if self._mark is not None:
            self._mark.close()

    def abandon(self) -> None:
        """Close without writing: the file and its WAL stay as they are."""
        if self._mark is not None:
            self._mark.close()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            with suppress(apsw.Error):  # that it cannot even close is no news
                connection.close(True)


def _schema(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    """Every table and index of a file, and whatever else stands in its schema."""
    sql = "SELECT type, name, ifnull(sql, '') FROM sqlite_schema ORDER BY name"
    return list(connection.execute(sql))


def _own_schema() -> list[tuple[str, str, str]]:
    """What `_schema` finds in a store of this version."""
    connection = apsw.Connection(":memory:")
    connection.create_scalar_function("crc32", _crc32, 1, deterministic=True)
    for script in _migrations():
        connection.execute(script)
    return _schema(connection)


def _read_mark(value: bytes | None) -> Mark | None:
    try:
        return None if value is None else Mark.decode(value)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(f"the mark: {error}") from error


class _Copy:
    """A copy in the making, by SQLite's online backup.

    It grows beside its place and is renamed when it is whole.
    """

    def __init__(self, source: apsw.Connection, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists")
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._partial.unlink(missing_ok=True)
        _create(self._partial)
        self._target = apsw.Connection(str(self._partial))
        self._backup = self._target.backup("main", source, "main")

    def step(self, pages: int = BACKUP_PAGES) -> bool:
        """Copy some pages; say whether it is whole."""
        try:
            return self._backup.step(pages)
        except apsw.Error as error:
            raise _translated(error, self._partial) from error

    def finish(self, *, keep: bool) -> None:
        """Give the copy its name, or remove it."""
        self._backup.close(not keep)
        self._target.close(not keep)
        if keep:
            self._partial.rename(self._path)
            _sync_folder(self._path.parent)
        else:
            self._partial.unlink()


def _create(path: Path) -> None:
    """Create an empty file that only we can read.

    A file that exists is not even opened: closing it would release the locks
    that this process holds on it.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _sync_folder(folder: Path) -> None:
    """Make names durable; Windows has no way to ask, and no need.

    SQLite does so when it makes a WAL, but may be killed before that.
    """
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that cannot be asked
                raise StoreInDoubt(f"the folder: {error}") from error
        finally:
            os.close(descriptor)


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    """Open `path` for this process alone, and check that it is a store of ours."""
    connection = apsw.Connection(
        str(path),
        flags=apsw.SQLITE_OPEN_READWRITE,
        vfs=vfs,
        statementcachesize=STATEMENTS_CACHED,
    )
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        _check_owner(connection, path)
    except BaseException:
        connection.close(True)
        raise
    connection.create_scalar_function("crc32", _crc32, 1, deterministic=True)
    connection.execute(SETTINGS).fetchall()  # a row of one would keep back the rest
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _crc32(*values: Any) -> int:
    """The function of SQL that `schema/0002` needs."""
    return crc32(values[0])


def _write_wal_again(path: Path, vfs: str | None) -> None:
    """Make the WAL that was found durable, whatever an earlier fsync said of it.

    Linux forgets what an fsync could not write: it goes on showing it, and the
    next fsync reports success. A checkpoint from such a WAL, and a power cut in
    or after it, would leave pages of several ages. Writing the same bytes once
    more is harmless, and makes the fsync honest.
    """
    how = [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_WAL, 0]
    try:
        wal = apsw.VFSFile(vfs or "", f"{path}-wal", how)
    except apsw.CantOpenError:
        return  # there is none
    try:
        size = wal.xFileSize()
        for offset in range(0, size, WAL_STRETCH):
            wal.xWrite(wal.xRead(min(WAL_STRETCH, size - offset), offset), offset)
        wal.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        wal.xClose()


def _check_owner(connection: apsw.Connection, path: Path) -> None:
    owner = connection.pragma("application_id")
    version = connection.pragma("user_version")
    empty = not connection.execute("SELECT count(*) FROM sqlite_schema").get
    if owner != APPLICATION_ID and not (empty and owner == 0):
        raise StoreDamaged(f"{path} is an SQLite file, but not a p2pnode store")
    if version > len(_migrations()):
        raise StoreTooNew(
            f"{path} has format {version}, this p2pnode knows {len(_migrations())}: "
            "use the newer p2pnode, or another data folder"
        )


def _migrations() -> list[str]:
    """The texts of the numbered migrations, the first at index 0."""
    folder = resources.files("p2pnode.store") / "schema"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file.read_text("utf-8") for file in files if file.name.endswith(".sql")]


def _migrate(connection: apsw.Connection, path: Path) -> None:
    """Apply the missing migrations, each atomic, after a copy of an old file."""
    version: int = connection.pragma("user_version")
    missing = _migrations()[version:]
    if version and missing:
        _copy_before(connection, path.with_name(f"{path.name}.v{version}"))
    for number, script in enumerate(missing, version + 1):
        with connection:
            connection.execute(script)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)


def _copy_before(connection: apsw.Connection, path: Path) -> None:
    """Copy the store to `path`, unless an earlier attempt already did."""
    if path.exists():
        return
    copy = _Copy(connection, path)
    done = False
    try:
        done = copy.step(-1)
    finally:
        copy.finish(keep=done)


def _translated(error: apsw.Error, path: Path) -> Exception:
    """What an error outside a commit means."""
    if isinstance(error, apsw.BusyError):
        return StoreInUse(f"another process has {path} open: stop it first")
    if isinstance(error, (apsw.FullError, apsw.ReadOnlyError)):
        return _full(error)
    what = f"{type(error).__name__}: {error}"
    code = getattr(error, "extendedresult", None)
    if isinstance(error, apsw.IOError) and code not in UNREADABLE:
        return StoreInDoubt(what)
    return StoreDamaged(f"{path}: {what}")


def _full(error: apsw.Error) -> StoreFull:
    """SQLite's own text depends on which call found the disk full."""
    read_only = isinstance(error, apsw.ReadOnlyError)
    return StoreFull("the file is read-only" if read_only else "the disk is full")
