"""Cards: where a peer can be reached, signed by its transport key. Spec 0006 §8.

A peer id of libp2p is, for Ed25519, the key itself in base58: the identity
multihash of the key's protobuf form. So a card proves itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, verify_value
from protocols.wire import Card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.codec import Value
    from protocols.keys import NetworkId, SigningKey

HEAD: Final = bytes.fromhex("002408011220")
"""Identity multihash of 36 bytes; protobuf: type 1 (Ed25519), data of 32 bytes."""

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Of base58 as Bitcoin spells it."""


def peer_id(key: AuthorKey) -> str:
    """The peer id of a transport key: 52 characters that begin 12D3KooW."""
    number = int.from_bytes(HEAD + key, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    return ALPHABET[0] + "".join(reversed(digits))  # for the one zero byte in front


def peer_key(peer: str) -> AuthorKey:
    """The transport key that a peer id is.

    Raises:
        ProtocolError: BAD_KEY, it is not that of an Ed25519 key.
    """
    number = 0
    for letter in peer[:64]:
        number = 58 * number + max(ALPHABET.find(letter), 0)
    key = AuthorKey((number % 256**32).to_bytes(32, "big"))
    if peer_id(key) != peer:
        raise ProtocolError(Reason.BAD_KEY, "not the peer id of an Ed25519 key")
    return key


def sign_card(
    key: SigningKey, network: NetworkId, addresses: Sequence[str], time_ms: int
) -> Card:
    """The card of the peer whose transport key this is."""
    peer = peer_id(key.author)
    value = _signed(network, peer, addresses, time_ms)
    return Card(
        peer=peer,
        addresses=tuple(addresses),
        time_ms=time_ms,
        signature=key.sign_value("peer", value),
    )


def check_card(card: Card, network: NetworkId) -> None:
    """Check that a card was signed by its peer, for this network.

    Raises:
        ProtocolError: BAD_KEY, then BAD_SIGNATURE.
    """
    value = _signed(network, card.peer, card.addresses, card.time_ms)
    verify_value(peer_key(card.peer), "peer", value, card.signature)


def _signed(
    network: NetworkId, peer: str, addresses: Sequence[str], time_ms: int
) -> list[Value]:
    return [network, peer, list(addresses), time_ms]
