"""Codes of tags and invite links: what they carry, who signed, what they prove."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import invite_link, merkle
from protocols.codec import Value
from protocols.errors import ProtocolError, Reason
from protocols.invite_link import InviteLink, invite_link_text, read_invite_link
from protocols.join import Invite, sign_invite
from protocols.keys import (
    NetworkId,
    Scope,
    Seed,
    SigningKey,
    network_id,
    person_seed,
)
from protocols.tags import code as codes
from protocols.tags.code import About, NewTag, PrintedCode, SerialCode, read_code
from protocols.tags.entry import (
    ENTRY,
    PrintedText,
    SerialProof,
    Serials,
    check_once_key,
    group_root,
    serial_root,
    serial_seed,
    sign_entry,
    tag_id,
)
from protocols.text import Letter, author_text, decode_link, encode_link, tag_text

ISSUER = SigningKey(Seed(b"i" * 32))
OTHER = SigningKey(Seed(b"o" * 32))
NETWORK = NetworkId(b"n" * 16)
CAMPAIGN = Scope(b"c" * 32)
SECRETS = [[bytes([tag, serial]) * 8 for serial in range(3)] for tag in range(2)]

NOTHING = About()


def batch(
    secrets: Sequence[Sequence[bytes]] = SECRETS, about: About = NOTHING
) -> tuple[NewTag, ...]:
    labels = [f"气球 {number}" for number in range(len(secrets))]
    return codes.make_batch(ISSUER.author, b"b" * 16, labels, secrets, about)


def refused(text: str) -> Reason:
    with pytest.raises(ProtocolError) as caught:
        read_code(text)
    return caught.value.reason


def test_a_printed_code_proves_its_text() -> None:
    tag = batch([[]], About(place="东门", host=OTHER.author))[0]
    found = read_code(codes.make_printed(ISSUER, tag.entry))
    assert isinstance(found, PrintedCode)
    assert found.entry == tag.entry
    evidence = codes.evidence_for(found, NETWORK, CAMPAIGN, OTHER.author)
    assert evidence == PrintedText(signature=sign_entry(ISSUER, tag.entry))


def test_a_serial_signs_for_one_author_in_one_campaign() -> None:
    tag = batch()[1]
    text = codes.make_serial(ISSUER, tag.entry, 2, tag.secrets[2])
    found = read_code(text.lower())
    assert isinstance(found, SerialCode)
    proof = codes.evidence_for(found, NETWORK, CAMPAIGN, OTHER.author)
    assert isinstance(proof, SerialProof)
    assert proof.key == tag.serial_keys()[2]
    name = tag_id(tag.entry)
    check_once_key(proof, NETWORK, CAMPAIGN, OTHER.author, name)
    with pytest.raises(ProtocolError):
        check_once_key(proof, NETWORK, CAMPAIGN, ISSUER.author, name)


def test_a_batch_commits_to_its_serials_and_a_group_to_its_entries() -> None:
    tags = batch()
    for tag in tags:
        leaves: list[Value] = [[i, key] for i, key in enumerate(tag.serial_keys())]
        root = merkle.root(merkle.Tree.SERIALS, leaves)
        assert tag.entry.public == Serials(count=3, root=root)
    entries = [tag.entry for tag in tags]
    expected = merkle.root(merkle.Tree.GROUP, [ENTRY.write(e) for e in entries])
    assert group_root(entries) == expected
    assert group_root(entries[::-1]) != expected


def test_the_named_issuer_has_signed() -> None:
    tag = batch([[]])[0]
    assert refused(codes.make_printed(OTHER, tag.entry)) == Reason.BAD_SIGNATURE
    changed = replace(tag.entry, label="another")
    signature = sign_entry(ISSUER, tag.entry)
    forged = codes.code_text(PrintedCode(entry=changed, signature=signature))
    assert refused(forged) == Reason.BAD_SIGNATURE


def test_what_a_code_may_not_say() -> None:
    printed, serial = batch([[], [b"s" * 16]])
    assert refused(codes.make_printed(ISSUER, serial.entry)) == Reason.BAD_CODE
    for tag, index, secret in [
        (printed, 0, b"s" * 16),  # a printed tag has no serials
        (serial, 1, b"s" * 16),  # it has only one
        (serial, 0, b"x" * 16),  # and this is not its secret
    ]:
        text = codes.make_serial(ISSUER, tag.entry, index, secret)
        assert refused(text) == Reason.BAD_CODE
    invite = encode_link(
        Letter.INVITE, decode_link(codes.make_printed(ISSUER, printed.entry))[1]
    )
    assert refused(invite) == Reason.BAD_CODE


@given(st.data())
def test_a_changed_code_is_refused_for_a_reason(data: st.DataObject) -> None:
    tag = batch([[b"s" * 16]])[0]
    text = codes.make_serial(ISSUER, tag.entry, 0, tag.secrets[0])
    at = data.draw(st.integers(10, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        assert refused(changed) in {Reason.BAD_CODE, Reason.BAD_SIGNATURE}


@given(st.recursive(st.integers(0, 9) | st.binary(), st.lists, max_leaves=9))
def test_any_value_reads_or_is_refused(value: Value) -> None:
    text = encode_link(Letter.TAG, value)
    assert refused(text) == Reason.BAD_CODE


# Invite links

SECRET = Seed(b"s" * 32)
INVITE = Invite(
    network=NETWORK,
    campaign=CAMPAIGN,
    inviter=ISSUER.author,
    invite_key=SigningKey(SECRET).author,
    uses=5,
    expires_ms=1_800_000_000_000,
)
LINK = InviteLink(
    invite=INVITE,
    signature=sign_invite(ISSUER, INVITE),
    secret=SECRET,
    title="十个红气球",
    addresses=("/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW" + "x" * 44,),
)


def test_an_invite_link_round_trips() -> None:
    assert read_invite_link(invite_link_text(LINK)) == LINK


def test_the_largest_invite_link_fits_a_qr_code() -> None:
    import segno

    largest = replace(
        LINK,
        title="酬" * 64,
        addresses=("/dns4/" + "a" * 186,) * invite_link.ADDRESSES_MAX,
    )
    code = segno.make_qr(invite_link_text(largest), error="m", boost_error=False)
    assert isinstance(code.version, int)
    assert code.version <= 33  # phones read it from a screen
    usual = segno.make_qr(invite_link_text(LINK), error="m", boost_error=False)
    assert isinstance(usual.version, int)
    assert usual.version <= 17


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"secret": Seed(b"t" * 32)}, Reason.BAD_CODE),
        ({"addresses": ("127.0.0.1:4001",)}, Reason.BAD_CODE),
        ({"addresses": ("/ip4/1.2.3.4",) * 5}, Reason.BAD_CODE),
        ({"title": "x" * 193}, Reason.BAD_CODE),
        ({"version": 2}, Reason.BAD_CODE),
        ({"signature": bytes(64)}, Reason.BAD_INVITE),
        ({"invite": replace(INVITE, uses=6)}, Reason.BAD_INVITE),
    ],
)
def test_what_an_invite_link_may_not_say(
    changed: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_invite_link(invite_link_text(replace(LINK, **changed)))
    assert caught.value.reason == reason


def test_a_tag_is_not_an_invite() -> None:
    text = codes.make_printed(ISSUER, batch([[]])[0].entry)
    with pytest.raises(ProtocolError) as caught:
        read_invite_link(text)
    assert caught.value.reason == Reason.BAD_CODE


# The specs' examples

SPEC = Path(__file__).parents[2] / "protocols" / "spec"


def test_the_example_of_spec_0007() -> None:
    issuer = SigningKey(Seed(bytes(range(32))))
    secrets = [[b"0123456789abcdef"]]
    (tag,) = codes.make_batch(issuer.author, bytes(16), ["balloon 1"], secrets, NOTHING)
    text = (SPEC / "0007-tags.md").read_text("utf-8")
    (block,) = re.findall(r"\n\n(    P2PNODE:T/.+?)\n\n", text, re.DOTALL)
    code = "".join(block.split())
    assert code == codes.make_serial(issuer, tag.entry, 0, tag.secrets[0])
    seed = serial_seed(tag.secrets[0], issuer.author, bytes(16), 0, 0)
    root = serial_root(tag.serial_keys())
    group = group_root([tag.entry])
    for value in (seed, tag.serial_keys()[0], root, group):
        assert f"`{value.hex()}`" in text
    assert f"`{tag_text(tag_id(tag.entry))}`" in text


def test_the_example_of_spec_0002() -> None:
    text = (SPEC / "0002-keys.md").read_text("utf-8")
    key = SigningKey(Seed(bytes(range(32)))).author
    leaf = merkle.leaf_hash(merkle.Tree.SERIALS, [0, key])
    person = person_seed(bytes(range(32)), Scope(bytes(32)), 0)
    for value in (network_id("main"), key, person, leaf, merkle.EMPTY_ROOT):
        assert f"`{value.hex()}`" in text
    assert f"`{author_text(key)}`" in text
    assert f"`{encode_link(Letter.TAG, [1, b'ab'])}`" in text
