"""The SQL of the store, and the way between records and rows.

Reads return one row with one JSON array, bytes as hex. SQLite lets go of the
interpreter's lock at every step and fetches it back, which can take 5 ms while
another thread computes: a page of records costs one step, not one a row. For
the same reason records are inserted many at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import chain
from typing import Any, Final
from zlib import crc32

from p2pnode.ports import StoreDamaged
from protocols.feed import ForkProof
from protocols.keys import RecordId, Signature
from protocols.record import Record, known_header, record_id

Sql = None | int | str | bytes

INSERT_MAX: Final = 64
"""Records in one statement; its text stays small enough to be cached."""

PAGE_ROWS: Final = 256
"""Records in one page of a scope."""

HEADS_PAGE: Final = 4_096
"""Heads in one page of a scope."""

SIZE_MIN: Final = 256
"""No record takes fewer bytes: a header has 195 or more, a signature 64."""

SCOPES: Final = """
SELECT json_group_array(hex(scope))
FROM (SELECT DISTINCT scope FROM feeds ORDER BY scope)
"""

HEADS: Final = """
SELECT json_group_array(json_array(hex(author), seq, hex(id)))
FROM (
  SELECT author, records.seq, id FROM feeds JOIN records USING (feed)
  WHERE scope = ? AND author > ? AND branch = 0 AND records.seq = (
    SELECT max(seq) FROM records AS later
    WHERE later.feed = feeds.feed AND later.branch = 0
  )
  ORDER BY author LIMIT ?
)
"""

GET: Final = """
SELECT json_group_array(json_array(
  hex(id), hex(header), hex(claim), hex(note), hex(signature), signature_sum
))
FROM records WHERE id = ?
"""

FEED: Final = """
SELECT json_group_array(json_array(
  hex(id), hex(header), hex(claim), hex(note), hex(signature), signature_sum
))
FROM (
  SELECT *, sum(size) OVER (ORDER BY seq) AS size_total
  FROM (
    SELECT records.* FROM feeds JOIN records USING (feed)
    WHERE scope = ? AND author = ? AND branch = 0 AND seq >= ? AND seq < ?
    ORDER BY seq LIMIT ?
  )
  ORDER BY seq
)
WHERE size_total <= ? OR size_total = size
"""

SCOPE_PAGE: Final = """
SELECT json_group_array(json_array(
  hex(id), hex(header), hex(claim), hex(note), hex(signature), signature_sum
))
FROM (
  SELECT records.* FROM feeds JOIN records USING (feed)
  WHERE scope = ?1 AND author >= ?2 AND branch = 0
    AND seq > iif(author = ?2, ?3, -1)
  ORDER BY author, seq LIMIT ?4
)
"""

BRANCH_PAGE: Final = """
SELECT json_group_array(json_array(
  record, hex(id), hex(header), hex(claim), hex(note), hex(signature), signature_sum
))
FROM (SELECT * FROM records WHERE branch = 1 AND record > ? ORDER BY record LIMIT ?)
"""

FORKS: Final = """
SELECT json_group_array(json_array(
  hex(header_a), hex(signature_a), hex(header_b), hex(signature_b)
))
FROM (SELECT * FROM forks WHERE scope = ? ORDER BY author)
"""

STATE: Final = """
SELECT json_group_array(json_array(key, hex(value)))
FROM (SELECT * FROM state WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key)
"""

COUNTS: Final = """
SELECT json_array(
  (SELECT count(*) FROM records),
  (SELECT count(*) FROM feeds),
  (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)
)
"""

PUT_FORK: Final = """
INSERT INTO forks VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (scope, author) DO UPDATE SET
  seq = excluded.seq,
  header_a = excluded.header_a, signature_a = excluded.signature_a,
  header_b = excluded.header_b, signature_b = excluded.signature_b
WHERE excluded.seq < seq
"""

PUT_STATE: Final = """
INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

DELETE_STATE: Final = "DELETE FROM state WHERE key = ?"

DROP_PARTS: Final = """
UPDATE records SET
  dropped = dropped | ?1,
  claim = iif((dropped | ?1) & 1, NULL, claim),
  note = iif((dropped | ?1) & 2, NULL, note)
WHERE id = ?2
"""

_INTO_FEEDS: Final = "INSERT INTO feeds (scope, author) VALUES"

_INTO_RECORDS: Final = """
INSERT INTO records (
  feed, id, seq, kind, branch, header, claim, note, signature, signature_sum
) VALUES
"""

_RECORD_VALUES: Final = """
((SELECT feed FROM feeds WHERE scope = ? AND author = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# A header is what its id says: where they differ, the disk has changed it and
# the arriving one mends it. So it is with a claim and a note.
_ALREADY_HERE: Final = """
ON CONFLICT (id) DO UPDATE SET
  branch = min(branch, excluded.branch),
  header = excluded.header,
  claim = iif(dropped & 1, NULL, ifnull(excluded.claim, claim)),
  note = iif(dropped & 2, NULL, ifnull(excluded.note, note)),
  signature = iif(crc32(signature) = signature_sum, signature, excluded.signature),
  signature_sum =
    iif(crc32(signature) = signature_sum, signature_sum, excluded.signature_sum)
WHERE excluded.branch < branch
  OR excluded.header IS NOT header
  OR crc32(signature) <> signature_sum
  OR (excluded.claim IS NOT NULL AND excluded.claim IS NOT claim AND NOT dropped & 1)
  OR (excluded.note IS NOT NULL AND excluded.note IS NOT note AND NOT dropped & 2)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one call writes. Batches that wait together are joined."""

    records: tuple[Record, ...] = ()
    branch: tuple[Record, ...] = ()
    """Records of the other branch of forked feeds."""
    forks: tuple[ForkProof, ...] = ()
    state: Mapping[str, bytes | None] = field(default_factory=dict)
    drops: tuple[tuple[int, RecordId], ...] = ()
    """(1 claim, 2 note, 3 both; which record), after all else."""

    def statements(self) -> Iterable[tuple[str, Sequence[Sql]]]:
        """The statements that store it, each with its bindings."""
        yield from _inserts(self.records, 0)
        yield from _inserts(self.branch, 1)
        for proof in self.forks:
            yield PUT_FORK, _fork_row(proof)
        for key, value in self.state.items():
            yield (DELETE_STATE, (key,)) if value is None else (PUT_STATE, (key, value))
        for drop in self.drops:
            yield DROP_PARTS, drop


def join(batches: Sequence[Batch]) -> Batch:
    """One batch that does what `batches` do, in order."""
    state: dict[str, bytes | None] = {}
    for batch in batches:
        state |= batch.state
    return Batch(
        records=tuple(chain.from_iterable(batch.records for batch in batches)),
        branch=tuple(chain.from_iterable(batch.branch for batch in batches)),
        forks=tuple(chain.from_iterable(batch.forks for batch in batches)),
        state=state,
        drops=tuple(chain.from_iterable(batch.drops for batch in batches)),
    )


def revive(row: Sequence[Any]) -> Record:
    """A record from its row; its hashes prove that it is what was stored.

    Header, claim and note were read at ingest, so their hashes are enough here;
    of the signature, its sum.

    Raises:
        StoreDamaged: a header, claim, note or signature has changed on the disk.
    """
    *parts, signature_sum = row
    stored_id, header_bytes, claim, note, signature = map(bytes.fromhex, parts)
    found = RecordId(stored_id)
    if record_id(header_bytes) != found:
        raise StoreDamaged(f"the header of {found.hex()} has changed", found)
    header = known_header(header_bytes)
    intact = (
        (not claim or sha256(claim).digest() == header.claim_hash)
        and (not note or sha256(note).digest() == header.note_hash)
        and crc32(signature) == signature_sum
    )
    if not intact:
        raise StoreDamaged(f"{found.hex()} has changed on the disk", found)
    return Record(
        header=header,
        header_bytes=header_bytes,
        claim_bytes=claim or None,
        note_bytes=note or None,
        signature=Signature(signature),
        id=found,
    )


def revive_fork(row: Sequence[str]) -> ForkProof:
    """A fork proof from its row."""
    header_a, signature_a, header_b, signature_b = map(bytes.fromhex, row)
    return ForkProof(
        header_a=header_a,
        signature_a=Signature(signature_a),
        header_b=header_b,
        signature_b=Signature(signature_b),
    )


def parse(document: str) -> Any:
    """The rows in the JSON array that a read returned."""
    return json.loads(document)


def _inserts(
    records: Sequence[Record], branch: int
) -> Iterable[tuple[str, Sequence[Sql]]]:
    for start in range(0, len(records), INSERT_MAX):
        some = records[start : start + INSERT_MAX]
        feeds = dict.fromkeys((record.scope, record.author) for record in some)
        yield _insert_feeds(len(feeds)), list(chain.from_iterable(feeds))
        rows = (_record_row(record, branch) for record in some)
        yield _insert_records(len(some)), list(chain.from_iterable(rows))


@cache
def _insert_feeds(count: int) -> str:
    rows = ", ".join(["(?, ?)"] * count)
    return f"{_INTO_FEEDS} {rows} ON CONFLICT DO NOTHING"


@cache
def _insert_records(count: int) -> str:
    rows = ", ".join([_RECORD_VALUES] * count)
    return f"{_INTO_RECORDS} {rows} {_ALREADY_HERE}"


def _record_row(record: Record, branch: int) -> tuple[Sql, ...]:
    return (
        record.scope,
        record.author,
        record.id,
        record.seq,
        record.kind,
        branch,
        record.header_bytes,
        record.claim_bytes,
        record.note_bytes,
        record.signature,
        crc32(record.signature),
    )


def _fork_row(proof: ForkProof) -> tuple[Sql, ...]:
    header = proof.header
    return (
        header.scope,
        header.author,
        header.seq,
        proof.header_a,
        proof.signature_a,
        proof.header_b,
        proof.signature_b,
    )
