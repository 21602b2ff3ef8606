"""The specs say what the code does: tables, reasons, limits and examples."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import segno

from protocols.bundle import write_bundle
from protocols.claims import CLAIMS, Enter, Kind
from protocols.codec import decode, encode
from protocols.errors import Reason
from protocols.join import INVITE, Invite, invite_id, make_join, sign_invite
from protocols.keys import RecordId, Scope, Seed, SigningKey, network_id
from protocols.proof import ProofKind
from protocols.record import NO_BACKLINK, encode_record, sign_record
from protocols.settlement.cut import CUT_ENTRY, ROW
from protocols.settlement.redeem import (
    SLIP,
    double_text,
    make_double,
    make_slip,
    slip_text,
)
from protocols.settlement.voucher import make_voucher, voucher_text
from protocols.text import LINK_MAX
from tests import vectors_vouchers
from tests.cheats import file_of, fork, proof_of
from tests.generate import PAGES
from tests.spec_tables import constants
from tests.worlds import NETWORK, SCAN_STAGE, World, key_of

SPEC = Path(__file__).parents[2] / "protocols/spec"
DECISIONS = SPEC.parent / "decisions"
TIME = 1_800_000_000_000


def text(name: str) -> str:
    (path,) = SPEC.glob(f"{name}*.md")
    return path.read_text("utf-8")


def holds(name: str, data: bytes | None) -> bool:
    """Whether the blocks of the spec show these bytes in hex, among words."""
    blocks = re.findall(r"^ {4}.*$", text(name), re.MULTILINE)
    words = " ".join(blocks).split()
    pairs = [word for word in words if re.fullmatch(r"(?:[0-9a-f]{2})+", word)]
    assert data
    return data.hex() in "".join(pairs)


@pytest.mark.untraced
@pytest.mark.parametrize("name", PAGES)
def test_what_is_generated_is_up_to_date(name):
    held = (SPEC.parents[1] / name).read_text("utf-8")
    assert held == PAGES[name](), "run: python -m tests.generate"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_stands_in_a_spec(reason):
    specs = "\n".join(path.read_text("utf-8") for path in SPEC.glob("*.md"))
    assert re.search(rf"\b({reason.name}|{reason.value})\b", specs)


def test_every_limit_has_a_why_and_a_row():
    table = text("limits")
    for name, why in constants():
        assert f"| {name} |" in table
        assert len(why) > 10


@pytest.mark.parametrize("kind", CLAIMS)
def test_every_claim_has_a_row_with_all_its_fields(kind):
    (row,) = re.findall(rf"^\| {kind.value} \|.*$", text("kinds"), re.MULTILINE)
    assert kind.name.lower() in row
    assert row.count("salt: bin 16") == 1


@pytest.mark.parametrize("path", sorted(SPEC.glob("0*.md")), ids=lambda path: path.stem)
def test_a_spec_opens_with_an_example_and_names_its_code(path):
    if path.stem.startswith("0000"):
        return
    words = path.read_text("utf-8")
    assert re.search(r"^## (1\. )?Example", words, re.MULTILINE)
    named = re.findall(r"`(protocols/[a-z_/{},]+(?:\.py|/))`", words)
    assert named
    for name in named:
        for one in spread(name):
            assert (SPEC.parents[1] / one).exists(), one


def spread(name: str) -> list[str]:
    """`a/{b,c}.py` as two names."""
    braces = re.search(r"\{(.*)\}", name)
    if braces is None:
        return [name]
    return [name.replace(braces[0], one) for one in braces[1].split(",")]


def test_every_module_of_the_rules_has_its_place_in_the_readme():
    table = (SPEC.parent / "README.md").read_text("utf-8")
    for path in SPEC.parent.rglob("*.py"):
        if path.stem != "__init__":
            assert re.search(rf"[`/]{path.stem}`", table), path.name


@pytest.mark.parametrize(
    "page",
    [
        SPEC.parent / "README.md",
        SPEC.parents[1] / "CONTRIBUTING.md",
        SPEC.parents[1] / "tests/README.md",
        *sorted(DECISIONS.glob("*.md")),
    ],
    ids=lambda page: page.parent.name + "/" + page.name,
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


# examples


def test_the_example_of_0001():
    data = encode([1, b"\x02\x03", "ok", None, True, [256]])
    assert holds("0001", data)
    assert decode(data, 100)


def test_the_example_of_0003():
    record = sign_record(
        SigningKey(Seed(bytes(32))),
        network=network_id("main"),
        scope=Scope(b"\x07" * 32),
        seq=0,
        backlink=NO_BACKLINK,
        time_ms=TIME,
        kind=Kind.ENTER,
        claim=Enter(salt=bytes(range(16))),
    )
    assert holds("0003", record.header_bytes)
    assert holds("0003", record.claim_bytes)
    assert holds("0003", record.signature)
    assert holds("0003", record.id)
    assert f"{len(record.header_bytes)} bytes" in text("0003")


def test_the_example_of_0004():
    inviter, secret = SigningKey(Seed(bytes(32))), Seed(b"\x01" * 32)
    joiner = SigningKey(Seed(b"\x02" * 32)).author
    invite = Invite(
        network=network_id("main"),
        campaign=Scope(b"\x07" * 32),
        inviter=inviter.author,
        invite_key=SigningKey(secret).author,
        uses=1,
        expires_ms=TIME,
    )
    signature = sign_invite(inviter, invite)
    join = make_join(invite, signature, secret, joiner, bytes(16))
    assert holds("0004", encode(INVITE.write(invite)))
    for data in (invite_id(invite), signature, joiner, join.join_signature):
        assert holds("0004", data)


@pytest.fixture(scope="module")
def small() -> World:
    assert SCAN_STAGE.reward is not None
    reward = replace(SCAN_STAGE.reward, amount=1_000)
    world = World(
        balloons=1,
        witnesses=1,
        budget=1_000,
        stages=(replace(SCAN_STAGE, reward=reward),),
    )
    world.join("alice")
    world.join("bob", "alice")
    world.scan("bob", 0)
    world.finish_round(1)
    world.close(1)
    return world


def test_the_examples_of_0008_and_0009(small):
    bob = key_of("bob").author
    closing, close = small.settle(1), small.records[-1]
    entry = next(one for one in closing.declared.cut if one.author == bob)
    assert holds("0008", encode(CUT_ENTRY.write(entry)))
    (row,) = closing.settlement.rows
    assert holds("0008", encode(ROW.write(row)))
    assert holds("0008", closing.settlement.statement_root)
    amounts = [line.amount for line in closing.settlement.lines]
    assert amounts == [250, 250, 500]
    assert holds("0009", close.claim_bytes)
    assert f"{len(close.claim_bytes)} bytes" in text("0009")
    voucher = make_voucher(close, closing.settlement.lines, bob)
    assert voucher is not None
    assert voucher.path[0].hex() in text("0009")
    assert f"{len(voucher_text(voucher))} characters" in text("0009")


def test_the_example_of_0011():
    market = vectors_vouchers.market()
    slip = make_slip(market.voucher, market.redeem(150_000))
    assert holds("0011", slip.redeem.claim)
    assert f"{len(slip.redeem.claim)} bytes" in text("0011")
    shown = slip_text(slip)
    assert f"{len(encode(SLIP.write(slip))):,} bytes, {len(shown):,} characters" in (
        text("0011")
    )
    assert "a QR code of version 27." in text("0011")
    assert segno.make_qr(shown, error="m", boost_error=False).version == 27


def test_the_largest_slip_of_0011_is_a_code_and_its_proof_a_link():
    market = vectors_vouchers.market()
    first, second = market.redeem(1), market.redeem(2)
    close = market.voucher.close.claim()
    finals = tuple(RecordId(bytes([n]) * 32) for n in range(5))
    claim = replace(close, finals=finals, cut_count=2**32, rows_count=2**32)
    voucher = replace(
        market.voucher,
        path=(bytes(32),) * 20,
        index=2**20 - 1,
        claim=encode(CLAIMS[Kind.CLOSE].write(claim)),
    )
    shown = slip_text(replace(make_slip(market.voucher, first), voucher=voucher))
    drawn = segno.make_qr(shown, error="m", boost_error=False)
    assert int(drawn.version) <= 37
    proof = make_double(market.voucher, first, second)
    assert len(double_text(replace(proof, voucher=voucher))) <= LINK_MAX


def test_the_example_of_0010(small):
    data = b"".join(write_bundle(NETWORK, small.scope, small.records))
    assert f"{len(small.records)} records in {len(data):,} bytes" in text("0010")
    assert holds("0010", data[:79])
    assert len(encode_record(small.records[0])) > 64


def test_the_example_of_0012():
    proof = proof_of(fork(), ProofKind.FORK)
    data = file_of(proof)
    assert f"{len(proof.records)} records in {len(data):,} bytes" in text("0012")
    assert holds("0012", data[:110])
