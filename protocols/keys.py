"""Keys, tagged hashes and the one Ed25519 rule. Spec 0002.

Verification is libsodium's (canonical, no low-order A or R, S < L,
cofactorless) and nothing else: settlements fork where libraries disagree.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NewType

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import (
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_seed_keypair,
)

from protocols.codec import Value, encode
from protocols.ed25519 import is_valid
from protocols.errors import ProtocolError, Reason

NetworkId = NewType("NetworkId", bytes)
"""16 bytes: which network a record is for."""
AuthorKey = NewType("AuthorKey", bytes)
"""32 bytes: the Ed25519 public key that signs a feed."""
Scope = NewType("Scope", bytes)
"""32 bytes: a campaign (its id), its witness scope, or a neighbourhood."""
RecordId = NewType("RecordId", bytes)
"""32 bytes: hash of a record's header."""
TagId = NewType("TagId", bytes)
"""32 bytes: hash of a tag entry."""
Signature = NewType("Signature", bytes)
"""64 bytes."""
Seed = NewType("Seed", bytes)
"""32 secret bytes from which a signing key is made."""

PREFIX = b"p2pnode/1/"
RECORD_PREFIX = PREFIX + b"record\x00"
"""What `preimage` puts before a header."""


def preimage(tag: str, data: bytes) -> bytes:
    """Return the bytes that are hashed or signed: prefix, tag, 0x00, data."""
    return PREFIX + tag.encode("ascii") + b"\x00" + data


def tagged_hash(tag: str, value: list[Value]) -> bytes:
    """H(tag, value): 32 bytes over the canonical array `value`."""
    return sha256(preimage(tag, encode(value))).digest()


class SigningKey:
    """An Ed25519 key pair made from a 32-byte seed."""

    __slots__ = ("_secret", "author")

    def __init__(self, seed: Seed) -> None:
        if len(seed) != 32:
            raise ProtocolError(Reason.BAD_KEY, "a seed has 32 bytes")
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.author = AuthorKey(public)

    def sign(self, tag: str, data: bytes) -> Signature:
        """Sign the tagged preimage of `data`."""
        signed = crypto_sign(preimage(tag, data), self._secret)
        return Signature(signed[:crypto_sign_BYTES])

    def sign_value(self, tag: str, value: list[Value]) -> Signature:
        """Sign the tagged preimage of the canonical array `value`."""
        return self.sign(tag, encode(value))


def verify(author: bytes, tag: str, data: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature over the tagged preimage of `data`.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    if len(author) != 32 or len(signature) != crypto_sign_BYTES:
        raise ProtocolError(Reason.BAD_SIGNATURE, f"{tag}: 32 and 64 bytes")
    if not is_valid(author, preimage(tag, data), signature):
        raise ProtocolError(Reason.BAD_SIGNATURE, tag)


def verify_value(author: bytes, tag: str, value: list[Value], signature: bytes) -> None:
    """Check a signature over the canonical array `value`.

    Raises:
        ProtocolError: BAD_SIGNATURE.
    """
    verify(author, tag, encode(value), signature)


def network_id(name: str) -> NetworkId:
    """The id of the network called `name`: 16 bytes."""
    return NetworkId(tagged_hash("network", [name])[:16])


def witness_scope(campaign: Scope) -> Scope:
    """The scope in which a campaign's witnesses keep their feeds."""
    return Scope(tagged_hash("witness", [campaign]))


def neighbourhood_scope(network: NetworkId, name: str) -> Scope:
    """The scope of a neighbourhood: profiles, announcements, fork proofs."""
    return Scope(tagged_hash("neighbourhood", [network, name]))


def person_seed(root_seed: bytes, campaign: Scope, index: int) -> Seed:
    """A resident's signing seed for one campaign and device (HKDF-SHA256).

    Args:
        root_seed: the resident's 32-byte root secret.
        campaign: the campaign's id.
        index: u32; 0 for the first device, random for any later one.
    """
    info = preimage("person-key", campaign + index.to_bytes(4, "big"))
    return Seed(derive(root_seed, info))


def derive(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 with an empty salt: 32 bytes."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
