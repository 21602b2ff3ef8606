"""What a neighbour session asks of its driver, and of this node's records.

A driver performs effects in order. What they lead to comes back as a call of
the session's: `serve` after `Serve`, `found` after `ServeIds`, and `ingested`
and `want` after records were taken or showed a gap. What a session does not
know, it is told: `prune` after a push of what was known, `graft` when heads that
were told do not come, `tell` a moment after `push`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from protocols.wire import encode_frame

if TYPE_CHECKING:
    from protocols.feed import ForkProof
    from protocols.frontier import Frontier
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record
    from protocols.wire import Card, Frame, NewHead


class Holdings(Protocol):
    """What this node holds, as far as a session looks at it."""

    @property
    def followed(self) -> tuple[Scope, ...]:
        """The scopes this node follows, ascending."""

    def frontier(self, scope: Scope) -> Frontier:
        """Where the feeds of a followed scope stand."""

    def fork(self, scope: Scope, author: AuthorKey) -> ForkProof | None:
        """The proof that a feed forked, if there is one."""

    def erase_of(self, record: Record) -> Record | None:
        """The erase of a scan's claim, with its own claim, if it is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Check and store these wire records."""

    records: tuple[bytes, ...]
    pushed: Scope | None = None
    """The scope, if nobody asked for them: known ones are reason to `prune`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The peer has heads that are not here: call `graft` if they do not come."""

    scope: Scope
    heads: tuple[NewHead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestFound:
    """Check and store these records, which were asked for by id."""

    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestForks:
    """Check and store these fork proofs."""

    proofs: tuple[ForkProof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Read start <= seq < stop of a feed and pass it to `Session.serve`."""

    scope: Scope
    author: AuthorKey
    feed: bytes
    """Its handle, which goes into `done` with the last records."""
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeIds:
    """Read these records and pass them to `Session.found`."""

    scope: Scope
    ids: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCards:
    """What the peer says about its own, or others', addresses."""

    cards: tuple[Card, ...]
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The peer answered a ping."""

    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Send what there is to send, then end the stream."""

    reason: str
    fault: bool
    """Whether the peer broke the protocol."""


Effect = (
    Ingest
    | Told
    | IngestFound
    | IngestForks
    | Serve
    | ServeIds
    | PeerCards
    | Answered
    | Close
)


@dataclass(slots=True)
class Step:
    """What one event leads to: frames in order, effects in order."""

    frames: list[bytes] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def send(self, frame: Frame) -> None:
        """Add a frame."""
        self.frames.append(encode_frame(frame))
