"""Keys: one Ed25519 rule, tagged hashes, and a key for each campaign."""

from __future__ import annotations

import json
from hashlib import sha256
from hmac import digest
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from protocols import keys
from protocols.errors import ProtocolError, Reason
from protocols.keys import (
    Scope,
    Seed,
    SigningKey,
    network_id,
    person_seed,
    preimage,
    tagged_hash,
    verify,
    verify_value,
    witness_scope,
)

EDGE_CASES = Path(__file__).parents[2] / "protocols/vectors/ed25519/edge-cases.json"

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
]


@pytest.mark.parametrize(("seed", "public"), RFC_8032)
def test_seeds_make_the_keys_of_rfc_8032(seed, public):
    assert SigningKey(Seed(bytes.fromhex(seed))).author.hex() == public


def test_a_signature_holds_for_its_key_tag_and_bytes_only():
    key, other = SigningKey(Seed(bytes(32))), SigningKey(Seed(b"\1" * 32))
    signature = key.sign("record", b"data")
    verify(key.author, "record", b"data", signature)
    for author, tag, data in (
        (other.author, "record", b"data"),
        (key.author, "join", b"data"),
        (key.author, "record", b"Data"),
    ):
        with pytest.raises(ProtocolError) as caught:
            verify(author, tag, data, signature)
        assert caught.value.reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("cut", [0, 1, 32, 63, 65])
def test_keys_and_signatures_have_their_sizes(cut):
    key = SigningKey(Seed(bytes(32)))
    signature = (key.sign("record", b"data") + preimage("record", b"data"))[:cut]
    with pytest.raises(ProtocolError):
        verify(key.author, "record", b"data", signature)
    with pytest.raises(ProtocolError):
        verify(key.author[: min(cut, 31)], "record", b"data", key.sign("record", b""))


def test_of_the_edge_cases_exactly_libsodiums_are_accepted(monkeypatch):
    monkeypatch.setattr(keys, "preimage", lambda tag, data: data)
    cases = json.loads(EDGE_CASES.read_text("utf-8"))
    assert len(cases) == 914
    accepted = set()
    for case in cases:
        author, signature = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"])
        message = case["msg"].encode()
        try:
            keys.verify(author, "", message, signature)
        except ProtocolError:
            with pytest.raises(BadSignatureError):
                crypto_sign_open(signature + message, author)
        else:
            accepted.add(case["number"])
            low = {"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R"}
            assert not low & set(case["flags"] or ())
    assert accepted == {case["number"] for case in cases if case["valid"]}
    assert len(accepted) == 43


def test_a_hash_covers_its_tag_and_one_array():
    expected = sha256(b"p2pnode/1/network\0" + b"\x91\xa4main").digest()
    assert tagged_hash("network", ["main"]) == expected
    assert network_id("main") == expected[:16]
    assert tagged_hash("campaign", ["main"]) != expected


def test_a_witness_scope_belongs_to_one_campaign():
    one, other = Scope(bytes(32)), Scope(b"\1" * 32)
    assert witness_scope(one) != witness_scope(other) != one


def test_each_campaign_and_device_has_its_own_key():
    root, campaign = bytes(range(32)), Scope(b"\x07" * 32)
    seed = person_seed(root, campaign, 0)
    assert seed.hex() == (
        "0f79f162a8bfd2e0809f488d4061a3bf713c5014af5eaa0d147cb01cf1b74318"
    )
    assert len({person_seed(root, campaign, i) for i in (0, 1, 2**32 - 1)}) == 3
    assert person_seed(root, Scope(b"\x08" * 32), 0) != seed


def test_a_person_key_is_hkdf_by_hand():
    root, campaign = bytes(range(32)), Scope(b"\x07" * 32)
    info = b"p2pnode/1/person-key\0" + campaign + (5).to_bytes(4, "big")
    extracted = digest(bytes(32), root, "sha256")
    by_hand = digest(extracted, info + b"\x01", "sha256")
    assert person_seed(root, campaign, 5) == by_hand


def test_a_seed_has_32_bytes():
    with pytest.raises(ProtocolError) as caught:
        SigningKey(Seed(bytes(31)))
    assert caught.value.reason is Reason.BAD_KEY


def test_values_are_signed_in_their_only_spelling():
    key = SigningKey(Seed(bytes(32)))
    signature = key.sign_value("invite", [1, b"x"])
    verify_value(key.author, "invite", [1, b"x"], signature)
    with pytest.raises(ProtocolError):
        verify_value(key.author, "invite", [1, "x"], signature)
