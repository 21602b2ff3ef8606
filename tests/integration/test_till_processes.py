"""Real nodes at the till: A owes, Alice spends, B is paid, C is cheated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.claims import Kind
from protocols.keys import RecordId
from protocols.record import sign_record
from protocols.settlement.redeem import make_slip, read_slip, slip_text
from protocols.text import author_text
from tests.nodes import Daemon, cli, until

pytestmark = [pytest.mark.slow, pytest.mark.net]

SLOW_S = 240
"""Rounds go on for as long: on a busy machine starting four nodes takes a while."""


@pytest.fixture
def street(tmp_path: Path) -> Iterator[dict[str, Daemon]]:
    """Shop A, the sponsor; Alice; the shops B and C, all running."""
    with ExitStack() as stack:
        nodes = {}
        for name in ("a", "alice", "b", "c"):
            role = "resident" if name == "alice" else "merchant"
            nodes[name] = Daemon(tmp_path / name, role)
            stack.callback(nodes[name].stop)
            started(nodes[name])
        yield nodes


def started(node: Daemon) -> None:
    node.start()
    node.ready(SLOW_S)


def key(node: Daemon) -> str:
    assert node.keys.author_key is not None
    return author_text(node.keys.author_key.author)


def rounds() -> str:
    """Rounds of 15 seconds from now on."""
    first = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=15)
    count = SLOW_S // 15
    return f'first = {first.isoformat()}\nevery = "15s"\ncount = {count}'


def closed(street: dict[str, Daemon]) -> None:
    """Alice finds a balloon and is paid 5.00 by a close."""
    a, alice = street["a"], street["alice"]
    (code,) = a.publish(1, seen="1s", rounds=rounds())
    link = a.do("campaign", "invite", "--uses", "9")["link"]
    alice.do("campaign", "join", link)
    street["b"].do("campaign", "follow", link)
    until(lambda: cli(alice.home, "scan", code).code == 0)

    def paid() -> bool:
        cli(a.home, "campaign", "close")
        return cli(alice.home, "reward", "claim", "--json").code == 0

    until(paid, within_s=SLOW_S)


def refused(node: Daemon, *args: str) -> Any:
    said = cli(node.home, *args, "--json")
    assert said.code == 3, said
    return said.document["reason"]


def open_of(node: Daemon, side: str) -> list[int]:
    return [one["open"] for one in node.do("reward", "books")[side]]


@pytest.mark.long
def test_from_a_voucher_to_a_paid_debt_and_a_proof(
    street: dict[str, Daemon], tmp_path: Path
) -> None:
    closed(street)
    a, alice, b, c = (street[name] for name in ("a", "alice", "b", "c"))

    # A part of it at B, recognised by A as it arrives, and paid.
    slip = str(tmp_path / "slip.png")
    alice.do("reward", "redeem", "200", "--at", key(b), "--out", slip)
    assert b.do("reward", "accept", slip, "--limit", "500")["amount"] == 200
    b.stop()
    started(b)
    assert refused(b, "reward", "accept", slip) == "redeemed"
    a.do("reward", "owe", "--auto")
    until(lambda: open_of(b, "owed_to_me") == [200])
    assert b.do("reward", "books")["accepted"][0]["level"] == "owed"
    b.do("reward", "paid", key(a), "200")
    until(lambda: open_of(a, "i_owe") == [0])

    # A part at C, which follows nothing: the issuer is shown the slip.
    a.do("reward", "owe", "--by-hand")
    slip = str(tmp_path / "slip.txt")
    alice.do("reward", "redeem", "100", "--at", key(c), "--out", slip)
    assert cli(c.home, "reward", "accept", slip).code == 1, "no limit, no risk"
    taken = c.do("reward", "accept", slip, "--limit", "300")
    assert (taken["level"], taken["followed"]) == ("offline", False)
    a.do("reward", "owe", slip)
    assert a.do("reward", "owe", slip)["signed"] == []

    # The rest at B, and the same part once more at C, by a client that lies.
    honest = alice.do("reward", "redeem", "200", "--at", key(b))["slip"]
    assert cli(alice.home, "reward", "redeem", "1", "--at", key(b)).code == 1
    b.do("reward", "accept", honest)
    forged = lie(alice, honest, c)
    assert c.do("reward", "accept", forged, "--limit", "300")["amount"] == 200
    a.do("reward", "owe", honest)
    assert refused(a, "reward", "owe", forged) == "overspent"
    proof = str(tmp_path / "double.txt")
    alone = tmp_path / "nobody"
    said = cli(alone, "reward", "prove", honest, forged, "--out", proof)
    assert said.code == 0, said
    found = cli(alone, "reward", "check", proof, "--json").document
    assert {one["acceptor"] for one in found["redeems"]} == {key(b), key(c)}

    # The books, also for a spreadsheet.
    file = tmp_path / "books.csv"
    said = cli(a.home, "reward", "books", "--csv", str(file))
    assert said.code == 0
    assert "You owe:" in said.out
    assert file.read_text("utf-8-sig").count("i owe") == 3
    assert sum(open_of(a, "i_owe")) == 300


def lie(alice: Daemon, honest: str, shop: Daemon) -> str:
    """Sign a second redeem at the place of an honest one, for another shop."""
    slip = read_slip(honest)
    record = slip.redeem.record()
    assert shop.keys.author_key is not None
    second = sign_record(
        alice.keys.person_key(record.scope, 0),
        network=record.header.network,
        scope=record.scope,
        seq=record.seq,
        backlink=RecordId(record.header.backlink),
        time_ms=record.header.time_ms,
        kind=Kind.REDEEM,
        claim=replace(
            record.claim(),
            acceptor=shop.keys.author_key.author,
            nonce=b"another nonce ..",
        ),
    )
    return slip_text(make_slip(slip.voucher, second))
