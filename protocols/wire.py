"""Frames of `/p2pnode/neighbour/1.0.0`. Spec 0006.

A frame is an array whose first position is its tag. `FRAMES` declares every
frame once: format, bounds and both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.feed import ForkProof
from protocols.limits import (
    ADDRESS_MAX,
    ADDRESSES_MAX,
    BATCH_RECORDS_MAX,
    BUCKET_MAX,
    CARDS_MAX,
    DIGEST_SIZE,
    FRAME_MAX,
    HEADER_MAX,
    INT_MAX,
    NODES_MAX,
    PREFIX_MAX,
    PROOFS_MAX,
    RECORD_MAX,
    ROWS_MAX,
    SHARED_MAX,
    WANT_IDS_MAX,
    WANTS_OPEN_MAX,
)
from protocols.shape import (
    Shape,
    blob,
    checked,
    choice,
    flag,
    listof,
    struct,
    text,
    uint,
)

if TYPE_CHECKING:
    from protocols.keys import AuthorKey, NetworkId, RecordId, Scope

PROTOCOL = "/p2pnode/neighbour/1.0.0"
VERSION = 1


class Goodbye(StrEnum):
    """Reasons of a `bye` that are nobody's fault."""

    STOPPING = "stopping"
    DUPLICATE = "duplicate"
    FULL = "full"
    SELF = "self"
    BLOCKED = "blocked"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonce:
    """Always the first frame, from both sides."""

    tag: ClassVar = 0
    nonce: bytes
    """32 fresh random bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """How a peer can be reached, in its own words."""

    peer: str
    """Its peer id."""
    addresses: tuple[str, ...]
    """Multiaddresses, each ending in `/p2p/<peer id>`."""
    time_ms: int
    """Of two cards of one peer the later one holds."""
    signature: bytes
    """By the transport key; empty: good for the receiver, not to be passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The second frame, from both sides."""

    tag: ClassVar = 1
    version: int
    network: NetworkId
    scopes: tuple[bytes, ...]
    """Scope hashes, ascending: see `Secrets.scope_hash`."""
    credit: int
    """Bytes of records the sender takes before it grants more; 0: no bound."""
    card: Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """The scope hashes of the sender from now on, the earlier ones among them."""

    tag: ClassVar = 2
    scopes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The digests of a prefix's children."""

    prefix: str
    mask: int
    """Bit i: there are feeds below child i."""
    digests: bytes
    """`DIGEST_SIZE` bytes for each set bit, lowest bit first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One feed in a bucket."""

    name: bytes
    """Its handle (see `HeadRow.feed`), then 4 bytes of salted leaf hash."""
    seq: int
    forked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """All feeds of the sender below a prefix."""

    prefix: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """One feed that differs: where the sender stands."""

    feed: bytes
    """Its handle: 4 bytes of path, then 4 bytes of salted path."""
    seq: int
    forked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """One leg of comparing two frontiers. Without nodes and buckets: the last."""

    tag: ClassVar = 3
    scope: Scope
    opener: bool
    """Whether the sender began this walk."""
    root: bytes
    """The salted digest of the sender's whole frontier."""
    start: str
    """Paths below are not part of this walk."""
    stop: str
    """Nor are paths from here on; empty: to the end."""
    nodes: tuple[Node, ...]
    buckets: tuple[Bucket, ...]
    heads: tuple[HeadRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Records start <= seq < stop of a feed."""

    feed: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Send me these ranges."""

    tag: ClassVar = 4
    scope: Scope
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Part of what was wanted, in each feed's order."""

    tag: ClassVar = 5
    scope: Scope
    records: tuple[bytes, ...]
    """Wire records."""
    done: tuple[bytes, ...]
    """Handles of feeds whose wanted range ends here, complete or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantIds:
    """Send me these records, of whichever branch they are."""

    tag: ClassVar = 6
    scope: Scope
    ids: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Some of the records wanted by id."""

    tag: ClassVar = 7
    scope: Scope
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """New records, each feed's in order."""

    tag: ClassVar = 8
    scope: Scope
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forks:
    """Proofs that feeds of the scope forked."""

    tag: ClassVar = 9
    scope: Scope
    proofs: tuple[ForkProof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHead:
    """A head that moved."""

    author: AuthorKey
    seq: int
    id: RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Have:
    """Heads that moved, for a neighbour that is not pushed to."""

    tag: ClassVar = 10
    scope: Scope
    heads: tuple[NewHead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft:
    """From now on push new records of the scope to me."""

    tag: ClassVar = 11
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """From now on only tell me of heads in the scope."""

    tag: ClassVar = 12
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """So many more bytes of records may be sent."""

    tag: ClassVar = 13
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Cards of other peers, signed by them."""

    tag: ClassVar = 14
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Are you there?"""

    tag: ClassVar = 15
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """Yes, and this was your token."""

    tag: ClassVar = 16
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """The last frame."""

    tag: ClassVar = 17
    reason: str
    """A `Goodbye`, or the `Reason` of the fault that was found."""


Frame = (
    Nonce
    | Hello
    | Scopes
    | Compare
    | Want
    | Records
    | WantIds
    | Found
    | Push
    | Forks
    | Have
    | Graft
    | Prune
    | Credit
    | Peers
    | Ping
    | Pong
    | Bye
)


def _rising(items: tuple[bytes, ...]) -> str | None:
    rises = all(a < b for a, b in pairwise(items))
    return None if rises else "not strictly ascending"


def _hex(digits: str) -> str | None:
    return None if set(digits) <= set("0123456789abcdef") else "not a hex prefix"


def _digests_match(node: Node) -> str | None:
    fits = len(node.digests) == DIGEST_SIZE * node.mask.bit_count() and node.mask > 0
    return None if fits else "digests do not match the mask"


def _in_order(frame: Compare) -> str | None:
    nodes = tuple(node.prefix.encode() for node in frame.nodes)
    buckets = tuple(bucket.prefix.encode() for bucket in frame.buckets)
    return _rising(nodes) or _rising(buckets)


_SCOPE = blob(32)
_HANDLE = blob(8)
_SEQ = uint(INT_MAX - 1)
_RECORDS = listof(blob(1, RECORD_MAX), BATCH_RECORDS_MAX)
_HASHES = checked(listof(blob(16), SHARED_MAX), _rising)
_PATH = checked(text(PREFIX_MAX), _hex)
_INNER = checked(text(PREFIX_MAX - 1), _hex)
_NODE = checked(
    struct(
        Node,
        prefix=_INNER,
        mask=uint(0xFFFF),
        digests=blob(DIGEST_SIZE, 16 * DIGEST_SIZE),
    ),
    _digests_match,
)
_BUCKET = struct(
    Bucket,
    prefix=_PATH,
    rows=listof(struct(Row, name=blob(12), seq=_SEQ, forked=flag()), BUCKET_MAX),
)
_HEAD = struct(HeadRow, feed=_HANDLE, seq=_SEQ, forked=flag())
_RANGE = checked(
    struct(Range, feed=_HANDLE, start=_SEQ, stop=uint()),
    lambda item: None if item.start < item.stop else "an empty range",
)
_PROOF = struct(
    ForkProof,
    header_a=blob(1, HEADER_MAX),
    signature_a=blob(64),
    header_b=blob(1, HEADER_MAX),
    signature_b=blob(64),
)
PEER_CARD = struct(
    Card,
    peer=text(ADDRESS_MAX),
    addresses=listof(text(ADDRESS_MAX), ADDRESSES_MAX),
    time_ms=uint(),
    signature=checked(
        blob(0, 64), lambda item: None if len(item) in (0, 64) else "not 0 or 64"
    ),
)

FRAMES: dict[int, Shape[Any]] = {
    Nonce.tag: struct(Nonce, nonce=blob(32)),
    Hello.tag: struct(
        Hello,
        version=uint(),
        network=blob(16),
        scopes=_HASHES,
        credit=uint(),
        card=PEER_CARD,
    ),
    Scopes.tag: struct(Scopes, scopes=_HASHES),
    Compare.tag: checked(
        struct(
            Compare,
            scope=_SCOPE,
            opener=flag(),
            root=blob(8),
            start=_PATH,
            stop=_PATH,
            nodes=listof(_NODE, NODES_MAX),
            buckets=listof(_BUCKET, ROWS_MAX),
            heads=listof(_HEAD, ROWS_MAX),
        ),
        _in_order,
    ),
    Want.tag: struct(Want, scope=_SCOPE, ranges=listof(_RANGE, WANTS_OPEN_MAX, 1)),
    Records.tag: struct(
        Records, scope=_SCOPE, records=_RECORDS, done=listof(_HANDLE, WANTS_OPEN_MAX)
    ),
    WantIds.tag: struct(
        WantIds, scope=_SCOPE, ids=checked(listof(blob(32), WANT_IDS_MAX, 1), _rising)
    ),
    Found.tag: struct(Found, scope=_SCOPE, records=_RECORDS),
    Push.tag: struct(Push, scope=_SCOPE, records=_RECORDS),
    Forks.tag: struct(Forks, scope=_SCOPE, proofs=listof(_PROOF, PROOFS_MAX, 1)),
    Have.tag: struct(
        Have,
        scope=_SCOPE,
        heads=listof(
            struct(NewHead, author=blob(32), seq=_SEQ, id=blob(32)), BATCH_RECORDS_MAX
        ),
    ),
    Graft.tag: struct(Graft, scope=_SCOPE),
    Prune.tag: struct(Prune, scope=_SCOPE),
    Credit.tag: struct(Credit, size=uint(minimum=1)),
    Peers.tag: struct(Peers, cards=listof(PEER_CARD, CARDS_MAX)),
    Ping.tag: struct(Ping, token=blob(8)),
    Pong.tag: struct(Pong, token=blob(8)),
    Bye.tag: struct(Bye, reason=text(64)),
}
"""The shape of every frame, by its tag."""

_FRAME: Shape[Frame] = choice("frame", FRAMES)


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame; one that is too large is our own fault."""
    data = encode(_FRAME.write(frame))
    assert len(data) <= FRAME_MAX, f"{type(frame).__name__} of {len(data)} bytes"
    return data


def decode_frame(data: bytes) -> Frame:
    """Read a frame.

    Raises:
        ProtocolError: TOO_LARGE, NOT_CANONICAL or BAD_TEXT by the codec, then
            BAD_FRAME for an unknown tag or another shape.
    """
    value = decode(data, FRAME_MAX)
    try:
        return _FRAME.read(value)
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_FRAME, error.detail) from error
