"""What the node needs from the world: clock, randomness, network, store, cores.

The composition root (`p2pnode.node`) is given one of each. The daemon passes
the real ones, the simulator seeded ones; no service can tell the difference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import trio

    from protocols.feed import ForkProof, Head
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

T = TypeVar("T")

Seconds = float
PeerId = str
"""A peer's transport identity: the text form of its libp2p peer id."""


class Verifier(Protocol):
    """Checks the authors' signatures of records."""

    async def verify(self, records: Sequence[Record]) -> Sequence[bool]:
        """For each record whether `check_signature` takes it; nothing is kept."""


class Executor(Protocol):
    """Does pure work that may take seconds."""

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` does; other tasks have their turns meanwhile.

        `work` must not touch what they change. Once begun it is waited for, also
        by who is cancelled.
        """


class Clock(Protocol):
    """Wall-clock time, for `time_ms` of records and for deadlines in terms."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""


class Rng(Protocol):
    """Randomness for salts, nonces, keys and jitter."""

    def token(self, size: int) -> bytes:
        """Return `size` unpredictable bytes."""


class Unreachable(Exception):
    """A peer could not be dialled; the message says which address and why."""


class StreamClosed(Exception):
    """The stream is gone: closed, reset, timed out, or the peer broke framing."""


class Stream(Protocol):
    """One long-lived neighbour stream that carries whole frames in order."""

    @property
    def peer(self) -> PeerId:
        """The authenticated peer at the other end."""

    @property
    def dialled(self) -> bool:
        """Whether this side opened it."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send whole frames, in order, in one write.

        Raises:
            StreamClosed: the stream is gone; nothing says how much arrived.
        """

    async def receive(self) -> bytes:
        """Return the next frame, at most `limits.FRAME_MAX` bytes.

        Raises:
            StreamClosed: end, reset, or a frame that breaks the framing.
        """

    async def close(self) -> None:
        """Close at once; never raises, safe to call twice and when cancelled."""


class Network(Protocol):
    """Streams to and from peers."""

    @property
    def peer_id(self) -> PeerId:
        """This node's own transport identity."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses others can dial, each ending in `/p2p/<peer id>`."""

    async def run(
        self,
        accept: Callable[[Stream], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = ...,
    ) -> None:
        """Listen and hand every inbound stream to `accept`, until cancelled.

        `accept` runs in a task of its own for each stream; whatever it raises
        ends that stream only. Reports started once it listens.
        """

    async def dial(self, address: str) -> Stream:
        """Connect to `address` (ending in `/p2p/<peer id>`), open a stream.

        Raises:
            Unreachable: no connection, another identity, or the deadline.
        """

    async def drop(self, peer: PeerId) -> None:
        """Close every connection to `peer`; never raises."""


class StoreInDoubt(Exception):
    """A commit reported an error: it may have happened or not.

    The store has closed itself; reopen it and read the heads again before
    anything is signed.
    """


class StoreFull(Exception):
    """The disk is full or read-only: nothing of the batch was stored."""


class StoreConflict(Exception):
    """Another record holds the place (scope, author, seq): nothing was stored."""


class StoreDamaged(Exception):
    """What the disk gives back is not what was stored.

    Attributes:
        record_id: the record at fault, if it is only one; appending it again,
            fetched from a peer, mends its header, claim and note.
    """

    def __init__(self, message: str, record_id: RecordId | None = None) -> None:
        super().__init__(message)
        self.record_id = record_id


class StoreTooNew(Exception):
    """The file was written by a newer p2pnode; it was left as it is."""


class StoreInUse(Exception):
    """Another process has the file open."""


class Store(Protocol):
    """Durable records, fork proofs and a little local state.

    Every write is durable when it returns. Feeds are per (scope, author),
    gapless from seq 0; the store does not validate, ingest does. Reading
    raises StoreDamaged if what was stored cannot be read.
    """

    async def append(
        self,
        records: Sequence[Record],
        forks: Sequence[ForkProof] = (),
        state: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Store records, fork proofs and state together: all or nothing.

        Records already present (same id) are left as they are, except that a
        record stored without its claim or note takes the part it lacks,
        unless `drop_parts` dropped it for good. A record of the other branch
        joins the feed. A state value of None deletes the key.

        Raises:
            StoreInDoubt: the commit's outcome is unknown.
            StoreFull: no room; nothing was stored.
            StoreConflict: a place is taken; nothing was stored.
        """

    async def append_branch(self, records: Sequence[Record]) -> None:
        """Store records of the other branch of forked feeds: `get` finds them.

        Records already present stay where they are. Raises as `append`.
        """

    async def scopes(self) -> list[Scope]:
        """All scopes with at least one record, ascending."""

    async def heads(self, scope: Scope) -> dict[AuthorKey, Head]:
        """The last record of every feed in `scope`."""

    async def get(self, record_id: RecordId) -> Record | None:
        """One record by its id, of whichever branch."""

    async def feed(
        self, scope: Scope, author: AuthorKey, start: int, stop: int, bytes_max: int
    ) -> list[Record]:
        """Records start <= seq < stop in order, at most `bytes_max` wire bytes.

        Returns at least one record if there is one, however large.
        """

    async def scope_records(self, scope: Scope) -> list[Record]:
        """Every record of a scope, ordered by (author, seq).

        Read in pages: what is appended meanwhile may or may not be there.
        """

    async def forks(self, scope: Scope) -> list[ForkProof]:
        """One proof per forked feed (the lowest seq), ordered by author."""

    async def drop_parts(
        self, record_ids: Sequence[RecordId], *, claims: bool, notes: bool
    ) -> None:
        """Delete claims and/or notes for good; headers and signatures stay.

        A dropped part is never taken again. Ids that are not here are ignored.
        """

    async def state(self, prefix: str) -> dict[str, bytes]:
        """Local state whose keys begin with `prefix`, keys ascending."""

    async def counts(self) -> dict[str, int]:
        """For status: `records`, `feeds` and `bytes` held, branches included."""

    async def backup(self, path: Path) -> None:
        """Copy everything, as it is at one moment, to a new file; others go on.

        Raises:
            FileExistsError: there is something at `path`.
            StoreFull: no room for the copy; nothing is left at `path`.
        """

    async def doubted(self) -> None:
        """Return once a commit's outcome is unknown: it must be opened again."""

    async def close(self) -> None:
        """Release the file; further calls raise StoreInDoubt."""
