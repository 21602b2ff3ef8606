"""Spec 0000 is what the code computes, and hangs together without the code."""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import takewhile
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from tests.hexlines import NAME_WIDTH
from tests.one_balloon import page

PAGE = Path(__file__).parents[2] / "protocols/spec/0000-one-balloon.md"
BLOCK = re.compile(r"```(hex|text) (\S+)\n(.*?)\n```", re.DOTALL)


def test_the_page_is_what_the_code_computes() -> None:
    held = PAGE.read_text("utf-8")
    assert held.splitlines() == page().splitlines(), "run: python -m tests.generate"


def test_its_links_lead_to_specs() -> None:
    for name in re.findall(r"\]\(([^)]+)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / name).is_file()


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    found = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len({name for _, name, _ in found}) == len(found)
    return {name: text for _, name, text in found}


def data_of(block: str) -> bytes:
    """The joined digits of a block."""
    lines = (line[NAME_WIDTH:].partition("#")[0] for line in block.splitlines())
    return bytes.fromhex("".join(lines))


def fact(block: str, name: str) -> str:
    """What stands beside a name, over as many lines as it takes."""
    lines = block.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{name} "))
    more = takewhile(lambda line: not line[:NAME_WIDTH].strip(), lines[start + 1 :])
    return "".join(line[NAME_WIDTH:].strip() for line in (lines[start], *more))


def test_ids_are_tagged_hashes(blocks: dict[str, str]) -> None:
    entry, terms = data_of(blocks["tag-entry"]), data_of(blocks["terms"])
    tag = sha256(b"p2pnode/1/tag\0" + entry).hexdigest()
    campaign = sha256(b"p2pnode/1/campaign\0" + terms).hexdigest()
    assert fact(blocks["tag-id"], "tag id") == tag
    assert fact(blocks["campaign-id"], "campaign id") == campaign


@pytest.mark.parametrize("name", ["terms", "join", "scan", "close"])
def test_records_are_signed_over_their_headers(
    name: str, blocks: dict[str, str]
) -> None:
    header = data_of(blocks[f"{name}-header"])
    signed = b"p2pnode/1/record\0" + header
    record = blocks[f"{name}-record"]
    assert fact(record, "id") == sha256(signed).hexdigest()
    author = header[header.index(b"\xc4\x20") + 2 :][:32]
    VerifyKey(author).verify(signed, bytes.fromhex(fact(record, "signature")))


@pytest.mark.parametrize("name", ["join", "scan", "close"])
def test_headers_commit_to_their_claims(name: str, blocks: dict[str, str]) -> None:
    claim = data_of(blocks[f"{name}-claim"])
    assert sha256(claim).digest() in data_of(blocks[f"{name}-header"])


def test_the_voucher_leads_to_the_close(blocks: dict[str, str]) -> None:
    voucher = blocks["voucher"]
    leaf = b"\x00\x92\x04" + bytes.fromhex(fact(voucher, "leaf"))
    sibling = bytes.fromhex(fact(voucher, "path 0"))
    assert fact(voucher, "index") == "1"
    root = sha256(b"\x01" + sibling + sha256(leaf).digest()).digest()
    assert root.hex() == fact(blocks["statement-root"], "statement root")
    assert root in data_of(blocks["close-claim"])
    assert data_of(blocks["leaf-1"]).hex() == fact(voucher, "leaf")
