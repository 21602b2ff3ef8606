"""Bundles: a campaign's evidence in one file. Spec 0010.

A file of frames: first a header array, then wire records from seq 0, ordered
by (scope, author, seq). It needs no node and no network to be verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.framing import Deframer, frame
from protocols.keys import NetworkId, Scope
from protocols.record import Record, check_signature, decode_record, encode_record
from protocols.shape import blob, row, text, uint

FORMAT = "p2pnode.bundle/1"
_HEADER = row(text(32), blob(16), blob(32), uint())


class Head(Protocol):
    """What the first frame of a file of records says of the others."""

    @property
    def network(self) -> NetworkId:
        """The network of every record."""

    @property
    def count(self) -> int:
        """How many there are."""


H = TypeVar("H", bound=Head)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleHead:
    """The first frame of a bundle."""

    network: NetworkId
    campaign: Scope
    count: int


def write_bundle(
    network: NetworkId, campaign: Scope, records: Iterable[Record]
) -> Iterator[bytes]:
    """Yield the bytes of a bundle.

    Args:
        network: the network id.
        campaign: the campaign id.
        records: records of the campaign and of its witness scope, any order.
    """
    ordered = sorted(records, key=lambda r: (r.scope, r.author, r.seq, r.id))
    yield frame(encode([FORMAT, network, campaign, len(ordered)]))
    for record in ordered:
        yield frame(encode_record(record))


def read_bundle(chunks: Iterable[bytes]) -> tuple[NetworkId, Scope, list[Record]]:
    """Read and check a bundle: every record decoded, every signature checked.

    Returns:
        The network id, the campaign id and the records.

    Raises:
        ProtocolError: BAD_BUNDLE with what is wrong, or a record's reason.
    """
    head, records = read_records(chunks, _read_header, Reason.BAD_BUNDLE)
    return head.network, head.campaign, records


def read_records(
    chunks: Iterable[bytes], read_head: Callable[[bytes], H], bad: Reason
) -> tuple[H, list[Record]]:
    """Read a file of frames: a head, then records, every signature checked.

    Args:
        chunks: the file's bytes, in pieces of any size.
        read_head: reads the first frame.
        bad: the reason if there is no head, or not as many records as it says.

    Raises:
        ProtocolError: FRAME_SIZE, `bad`, a record's reason, or what `read_head`
            raises.
    """
    deframer = Deframer()
    head: H | None = None
    records: list[Record] = []
    for chunk in chunks:
        for payload in deframer.feed(chunk):
            if head is None:
                head = read_head(payload)
            else:
                records.append(_read_record(payload, head.network))
    if head is None or deframer.incomplete:
        raise ProtocolError(bad, "the file ends too early")
    if len(records) != head.count:
        raise ProtocolError(bad, f"{len(records)} records, {head.count} announced")
    return head, records


def _read_header(payload: bytes) -> BundleHead:
    try:
        name, network, campaign, count = _HEADER.read(decode(payload, 256))
    except ProtocolError as error:
        raise ProtocolError(Reason.BAD_BUNDLE, "not a bundle") from error
    if name != FORMAT:
        raise ProtocolError(Reason.BAD_BUNDLE, f"format {name}")
    return BundleHead(network=network, campaign=campaign, count=count)


def _read_record(payload: bytes, network: NetworkId) -> Record:
    record = decode_record(payload)
    if record.header.network != network:
        raise ProtocolError(Reason.WRONG_NETWORK, record.header.network.hex())
    check_signature(record)
    return record
