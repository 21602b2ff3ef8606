"""Text forms: bech32m against BIP 350's own vectors, codes and links, any garbage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import text
from protocols.codec import Value
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey
from protocols.text import Letter, Prefix

BIP350_VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
BIP350_INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]
KEY = AuthorKey(bytes(range(32)))


@pytest.mark.parametrize("valid", BIP350_VALID)
def test_bip350_valid(valid: str) -> None:
    prefix, fives = text.split_bech32m(valid)
    assert text.join_bech32m(prefix, fives) == valid.lower()


@pytest.mark.parametrize("invalid", BIP350_INVALID)
def test_bip350_invalid(invalid: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        text.split_bech32m(invalid)
    assert caught.value.reason == Reason.BAD_CODE


def test_bech32_without_m_is_refused() -> None:
    with pytest.raises(ProtocolError):
        text.split_bech32m("A12UEL5L")  # BIP 173's own vector


@pytest.mark.parametrize(
    ("write", "read", "start"),
    [
        (text.author_text, text.read_author, "p2p1"),
        (text.campaign_text, text.read_campaign, "p2pc1"),
        (text.tag_text, text.read_tag, "p2pt1"),
    ],
)
def test_ids_round_trip_and_never_pass_for_another(
    write: Callable[[bytes], str], read: Callable[[str], bytes], start: str
) -> None:
    shown = write(KEY)
    assert shown.startswith(start)
    assert read(f" {shown}\n") == KEY
    assert read(shown.upper()) == KEY
    for other in (text.read_author, text.read_campaign, text.read_tag):
        if other is not read:
            with pytest.raises(ProtocolError):
                other(shown)


@given(st.integers(0, 61), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_any_mistyped_letter_is_noticed(at: int, letter: str) -> None:
    shown = text.author_text(KEY)
    mistyped = shown[:at] + letter + shown[at + 1 :]
    if mistyped != shown:
        with pytest.raises(ProtocolError):
            text.read_author(mistyped)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_id_has_32_bytes(size: int) -> None:
    with pytest.raises(ProtocolError):
        text.read_author(text.encode_id(Prefix.AUTHOR, bytes(size)))


def test_stray_bits_in_an_id_are_refused() -> None:
    prefix, fives = text.split_bech32m(text.author_text(KEY))
    fives[-1] |= 1
    with pytest.raises(ProtocolError):
        text.read_author(text.join_bech32m(prefix, fives))


VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**53 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(Letter), VALUES)
def test_links_round_trip_in_both_cases(letter: Letter, value: Value) -> None:
    link = text.encode_link(letter, value)
    assert text.decode_link(link) == (letter, value)
    assert text.decode_link(f"\n {link.lower()} \r\n") == (letter, value)


def test_one_link_is_pinned() -> None:
    assert text.encode_link(Letter.TAG, [1, b"ab"]) == "P2PNODE:T/SIA4IATBMI"


@given(st.text(max_size=80) | st.text("ABCDEFGH234567=01 /", max_size=80))
def test_garbage_raises_bad_code_and_nothing_else(garbage: str) -> None:
    for candidate in (garbage, f"P2PNODE:T/{garbage}", f"p2p1{garbage}"):
        for read in (text.decode_link, text.read_author, text.read_tag):
            try:
                read(candidate)
            except ProtocolError as error:
                assert error.reason == Reason.BAD_CODE  # noqa: PT017


@pytest.mark.parametrize(
    "link",
    [
        "P2PNODE:T/SIA4IATBMI======",  # padding
        "P2PNODE:T/SIA4IATBMJ",  # stray bits
        "P2PNODE:T/SIA4IATBM",  # no whole byte
        "P2PNODE:T/SIA4 IATBMI",  # white space inside
        "P2PNODE:T/",
        "P2PNODE:X/SIA4IATBMI",
        "P2PNODE:IT/SIA4IATBMI",
        "P2PNODE:/SIA4IATBMI",
        "T/SIA4IATBMI",
        "P2PNODE:T",
        "P2PNODE:T/ZQAAA",  # an integer that is not in its shortest form
        "P2PNODE:\u017f/SIA4IATBMI",
        "P2PNODE:T/" + "A" * 5_000,
        "",
    ],
)
def test_bad_links(link: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        text.decode_link(link)
    assert caught.value.reason == Reason.BAD_CODE


def test_a_link_that_no_qr_code_holds_is_not_made() -> None:
    with pytest.raises(ProtocolError):
        text.encode_link(Letter.INVITE, bytes(3_000))


def test_is_link_needs_only_the_beginning() -> None:
    assert text.is_link(" p2pnode:broken")
    assert not text.is_link("photo.png")
