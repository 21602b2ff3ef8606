"""Records to measure with: small, well signed, the same in every run."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.claims import Announce, Kind
from protocols.keys import Scope, Seed, SigningKey, network_id
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record

NETWORK = network_id("bench")
SCOPE = Scope(b"\x01" * 32)
FEED_RECORDS = 20


def key_of(number: int) -> SigningKey:
    """The key of feed `number`."""
    return SigningKey(Seed(number.to_bytes(32, "big")))


def claim_of(number: int) -> Announce:
    """A claim of the size that most have."""
    link = "P2PNODE:I/" + "A" * 50
    return Announce(salt=bytes(16), campaign=SCOPE, title=f"{number}", link=link)


def feed(number: int, size: int = FEED_RECORDS) -> list[Record]:
    """A feed of small records, all of its own author."""
    key = key_of(number)
    records: list[Record] = []
    backlink = NO_BACKLINK
    for seq in range(size):
        record = sign_record(
            key,
            network=NETWORK,
            scope=SCOPE,
            seq=seq,
            backlink=backlink,
            time_ms=1_800_000_000_000 + seq,
            kind=Kind.ANNOUNCE,
            claim=claim_of(seq),
        )
        records.append(record)
        backlink = record.id
    return records


def make(count: int, size: int = FEED_RECORDS) -> list[Record]:
    """About `count` records in feeds of `size`."""
    feeds = range(1, 1 + max(1, count // size))
    return [record for number in feeds for record in feed(number, size)]


def wires(records: Sequence[Record]) -> list[bytes]:
    """Their bytes on the wire."""
    return [encode_record(record) for record in records]
