"""Text forms: what people copy, print and photograph. Spec 0002.

Ids are bech32m (BIP 350), one prefix for each type, so that a tag never passes
for a person. Codes and links are `P2PNODE:`, a letter, `/` and base32 of
canonical MessagePack: all of it in the alphabet that QR codes pack best.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from protocols.codec import Value, decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, Scope, TagId

LINK_PREFIX: Final = "P2PNODE:"

LINK_MAX: Final = 4_296
"""Characters of a code or link: what the largest QR code holds."""

BECH32_MAX: Final = 90
"""Characters of a bech32m text, by BIP 173: beyond, its checksum is weaker."""

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM: Final = 0x2BC830A3
"""What a bech32m text's checksum leaves; plain bech32 leaves 1."""

GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class Letter(StrEnum):
    """What a code or link holds."""

    INVITE = "I"
    TAG = "T"
    VOUCHER = "V"
    CARD = "C"
    REDEEM = "R"
    DOUBLE = "D"


class Prefix(StrEnum):
    """What kind of 32 bytes a bech32m text names."""

    AUTHOR = "p2p"
    CAMPAIGN = "p2pc"
    TAG = "p2pt"


def author_text(key: AuthorKey) -> str:
    """An author key as `p2p1...`."""
    return encode_id(Prefix.AUTHOR, key)


def campaign_text(campaign: Scope) -> str:
    """A campaign id as `p2pc1...`."""
    return encode_id(Prefix.CAMPAIGN, campaign)


def tag_text(tag: TagId) -> str:
    """A tag id as `p2pt1...`."""
    return encode_id(Prefix.TAG, tag)


def read_author(text: str) -> AuthorKey:
    """The author key of `p2p1...`.

    Raises:
        ProtocolError: BAD_CODE.
    """
    return AuthorKey(decode_id(Prefix.AUTHOR, text))


def read_campaign(text: str) -> Scope:
    """The campaign id of `p2pc1...`.

    Raises:
        ProtocolError: BAD_CODE.
    """
    return Scope(decode_id(Prefix.CAMPAIGN, text))


def read_tag(text: str) -> TagId:
    """The tag id of `p2pt1...`.

    Raises:
        ProtocolError: BAD_CODE.
    """
    return TagId(decode_id(Prefix.TAG, text))


def encode_id(prefix: Prefix, data: bytes) -> str:
    """`data` as bech32m under `prefix`."""
    return join_bech32m(prefix, _to_fives(data))


def decode_id(prefix: Prefix, text: str) -> bytes:
    """The 32 bytes of a bech32m text that has this prefix.

    Raises:
        ProtocolError: BAD_CODE.
    """
    found, fives = split_bech32m(text.strip())
    if found != prefix:
        raise _bad(f"begins with {prefix}1")
    data = _to_bytes(fives)
    if len(data) != 32:
        raise _bad("32 bytes")
    return data


def encode_link(letter: Letter, value: Value) -> str:
    """`value` as a code or link: upper case, no padding.

    Raises:
        ProtocolError: those of `codec.encode`, BAD_CODE beyond `LINK_MAX`.
    """
    body = base64.b32encode(encode(value)).decode("ascii").rstrip("=")
    text = f"{LINK_PREFIX}{letter}/{body}"
    if len(text) > LINK_MAX:
        raise _bad(f"at most {LINK_MAX} characters")
    return text


def decode_lettered(text: str, wanted: Letter) -> Value:
    """The value of a code or link of one letter.

    Raises:
        ProtocolError: BAD_CODE, also for another letter.
    """
    letter, value = decode_link(text)
    if letter != wanted:
        raise _bad(f"a {wanted}/ code, not a {letter}/ code")
    return value


def decode_link(text: str) -> tuple[Letter, Value]:
    """The letter and the value of a code or link, in either case.

    White space around it is ignored.

    Raises:
        ProtocolError: BAD_CODE, and no other reason.
    """
    plain = text.strip()
    if len(plain) > LINK_MAX or not plain.isascii():
        raise _bad(f"at most {LINK_MAX} ASCII characters")
    head, slash, body = plain.upper().partition("/")
    letter = head.removeprefix(LINK_PREFIX)
    if not slash or letter == head or letter not in set(Letter):
        raise _bad(f"begins with {LINK_PREFIX} and a letter")
    data = _from_base32(body)
    try:
        return Letter(letter), decode(data, LINK_MAX)
    except ProtocolError as error:
        raise _bad(str(error)) from error


def is_link(text: str) -> bool:
    """Whether `text` sets out to be a code or link; it may still be broken."""
    return text.strip()[: len(LINK_PREFIX)].upper() == LINK_PREFIX


def join_bech32m(prefix: str, fives: Sequence[int]) -> str:
    """The bech32m text of 5-bit values under a lower-case prefix."""
    residue = _polymod([*_spread(prefix), *fives, *[0] * 6]) ^ CHECKSUM
    check = [residue >> 5 * (5 - i) & 31 for i in range(6)]
    return f"{prefix}1{''.join(ALPHABET[five] for five in (*fives, *check))}"


def split_bech32m(text: str) -> tuple[str, list[int]]:
    """The prefix and the 5-bit values of a bech32m text.

    Raises:
        ProtocolError: BAD_CODE.
    """
    if len(text) > BECH32_MAX or not all("!" <= c <= "~" for c in text):
        raise _bad(f"at most {BECH32_MAX} visible ASCII characters")
    plain = text.lower()
    if text not in {plain, text.upper()}:
        raise _bad("one case")
    prefix, one, data = plain.rpartition("1")
    if not one or not prefix or len(data) < 6 or not set(data) <= set(ALPHABET):
        raise _bad("bech32m")
    fives = [ALPHABET.index(c) for c in data]
    if _polymod([*_spread(prefix), *fives]) != CHECKSUM:
        raise _bad("a right checksum")
    return prefix, fives[:-6]


def _bad(expected: str) -> ProtocolError:
    return ProtocolError(Reason.BAD_CODE, f"expected: {expected}")


def _from_base32(body: str) -> bytes:
    """The bytes of upper-case base32 without padding and stray bits."""
    try:
        data = base64.b32decode(body + "=" * (-len(body) % 8))
    except binascii.Error as error:
        raise _bad("base32") from error
    if base64.b32encode(data).decode("ascii").rstrip("=") != body:
        raise _bad("base32 without padding and stray bits")
    return data


def _spread(prefix: str) -> list[int]:
    """The prefix as the checksum sees it: high bits, 0, low bits."""
    codes = prefix.encode("ascii")
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(fives: Iterable[int]) -> int:
    """The remainder of the BCH code of BIP 173."""
    residue = 1
    for five in fives:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ five
        for bit, generator in enumerate(GENERATOR):
            residue ^= generator if top >> bit & 1 else 0
    return residue


def _to_fives(data: bytes) -> list[int]:
    """Bytes as 5-bit values, the last one padded with zero bits."""
    spare = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << spare
    count = (len(data) * 8 + spare) // 5
    return [number >> 5 * (count - 1 - i) & 31 for i in range(count)]


def _to_bytes(fives: Sequence[int]) -> bytes:
    """Whole bytes of 5-bit values; at most 4 padding bits, all zero."""
    number = 0
    for five in fives:
        number = number << 5 | five
    spare = len(fives) * 5 % 8
    if spare > 4 or number & (1 << spare) - 1:
        raise _bad("no stray bits")
    return (number >> spare).to_bytes(len(fives) * 5 // 8, "big")
