"""`reward check`: who signed a voucher, until when it is good; links on stdin."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import client, output
from p2pnode import pictures, system
from protocols.bundle import write_bundle
from protocols.claims import Kind
from protocols.record import Record
from protocols.settlement.voucher import make_voucher, voucher_text
from protocols.text import author_text, campaign_text
from tests import vectors_vouchers
from tests.nodes import Said, cli
from tests.vectors_vouchers import SHOP
from tests.worlds import NETWORK, World, balloon_world, key_of

MALLORY = key_of("mallory")


def check(folder: Path, *args: str) -> Said:
    return cli(folder / "none", "reward", "check", *args)


def reason(said: Said) -> Any:
    assert said.code == 3, said
    return said.document["reason"]


@pytest.fixture(scope="module")
def world() -> World:
    made = balloon_world()
    made.finish_round(1)
    made.close(1)
    return made


def voucher(world: World, close: Record | None = None) -> str:
    lines = world.settle(1).settlement.lines
    made = make_voucher(close or world.records[-1], lines, lines[0].payee)
    assert made is not None
    return voucher_text(made)


def forged(world: World) -> Record:
    """The sponsor's close, signed by another."""
    other = World()
    other.enter(MALLORY)
    return other.write(MALLORY, Kind.CLOSE, world.records[-1].claim())


@pytest.fixture
def bundle(world: World, tmp_path: Path) -> str:
    file = tmp_path / "it.bundle"
    file.write_bytes(b"".join(write_bundle(NETWORK, world.scope, world.records)))
    return str(file)


def test_alone_it_only_says_who_signed(world: World, tmp_path: Path) -> None:
    for close, key in ((None, world.sponsor), (forged(world), MALLORY)):
        said = check(tmp_path, voucher(world, close))
        assert said.code == 0
        assert "It holds" not in said.out
        assert campaign_text(world.scope) in said.out
        issuer = author_text(key.author)
        assert (
            f"Signed by {issuer}; whether that is the sponsor of a campaign was not"
            " checked." in said.out
        )
        found = check(tmp_path, voucher(world, close), "--json").document
        assert found["issuer"] == issuer
        assert found["campaign"] == campaign_text(world.scope)
        assert found["checked_sponsor"] is False


def test_a_bundle_says_whether_it_is_the_sponsors(
    world: World, bundle: str, tmp_path: Path
) -> None:
    said = check(tmp_path, voucher(world), "--bundle", bundle)
    assert said.code == 0
    assert "It holds" in said.out
    assert f"{author_text(world.sponsor.author)}, a sponsor of" in said.out
    found = check(tmp_path, voucher(world), "--bundle", bundle, "--json").document
    assert found["checked_sponsor"] is True
    fake = voucher(world, forged(world))
    said = check(tmp_path, fake, "--bundle", bundle, "--json")
    assert reason(said) == "wrong-issuer"


def test_a_close_that_does_not_verify_pays_nothing(tmp_path: Path) -> None:
    lying = balloon_world()
    lying.finish_round(1)
    lying.close(1, paid=1)
    file = tmp_path / "lie.bundle"
    file.write_bytes(b"".join(write_bundle(NETWORK, lying.scope, lying.records)))
    said = check(tmp_path, voucher(lying), "--bundle", str(file), "--json")
    assert reason(said) == "wrong-issuer"


def test_another_campaign(world: World, tmp_path: Path) -> None:
    other = World(changes={"title": "another", "nonce": bytes(16)})
    file = tmp_path / "other.bundle"
    file.write_bytes(b"".join(write_bundle(NETWORK, other.scope, other.records)))
    said = check(tmp_path, voucher(world), "--bundle", str(file), "--json")
    assert reason(said) == "wrong-issuer"


def test_the_node_is_asked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = world.records[-1].id.hex()
    answer = {
        "campaign": campaign_text(world.scope),
        "title": "balloons",
        "sponsor": [author_text(world.sponsor.author)],
        "closes": [{"close": close, "statement": "ok", "cut": "incomplete"}],
    }
    asked = answering(monkeypatch, answer)
    args = (voucher(world), "--campaign", "p2pc1abc", "--json")
    assert reason(check(tmp_path, *args)) == "wrong-issuer"
    answer["closes"][0]["cut"] = "ok"  # type: ignore[index]
    assert check(tmp_path, *args).document["checked_sponsor"] is True
    assert asked[0] == ("GET", "/campaigns/p2pc1abc/verify")


def test_an_expired_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = world.terms.redeem_until
    monkeypatch.setattr(system.SystemClock, "now_ms", lambda _self: end)
    assert check(tmp_path, voucher(world)).code == 0
    monkeypatch.setattr(system.SystemClock, "now_ms", lambda _self: end + 1)
    said = check(tmp_path, voucher(world), "--json")
    assert reason(said) == "voucher-expired"


def test_verify_says_which_campaign_and_whose(world: World, bundle: str) -> None:
    sponsor = author_text(world.sponsor.author)
    said = cli(Path(bundle).parent, "campaign", "verify", bundle)
    lines = said.out.splitlines()
    assert lines[:3] == [
        world.terms.title,
        f"id {campaign_text(world.scope)}",
        f"sponsor {sponsor}",
    ]
    said = cli(Path(bundle).parent, "campaign", "verify", bundle, "--json")
    assert said.document["sponsor"] == [sponsor]


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[Any]:
    """Let the node answer this; return what it is asked."""
    asked: list[Any] = []

    def call(*args: Any) -> Any:
        asked.append(args)
        return answer

    monkeypatch.setattr(client, "call", call)
    return asked


def typed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_secrets_come_by_standard_input(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, voucher(world).encode() + b"\n")
    assert check(tmp_path, "-").code == 0
    sent = answering(monkeypatch, {"title": "t", "author": "p2p1x"})
    typed(monkeypatch, b"P2PNODE:I/AAAA\n")
    assert cli(tmp_path, "campaign", "join", "-").code == 0
    assert sent == [("POST", "/campaigns/join", {"link": "P2PNODE:I/AAAA"})]
    for text in (b"", b"\0\xff" * 9_000):
        typed(monkeypatch, text)
        assert cli(tmp_path, "campaign", "join", "-", "--json").code == 1
    typed(monkeypatch, b"P2PNODE:T/AAAA\n")
    said = cli(tmp_path, "scan", "-", "--json")
    assert said.document["reason"] == "bad-code"
    monkeypatch.setattr(sys, "stdin", None)
    assert cli(tmp_path, "scan", "-").code == 1


@pytest.mark.skipif(os.name != "posix", reason="mode bits of POSIX")
@pytest.mark.parametrize(
    ("args", "name"),
    [
        (("campaign", "invite", "--picture"), "x.png"),
        (("card", "--picture"), "x.png"),
        (("reward", "claim", "--out"), "x.png"),
        (("reward", "claim", "--out"), "x.txt"),
    ],
)
def test_files_with_secrets_are_new_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], name: str
) -> None:
    code = "P2PNODE:I/AAAA"
    answer = dict.fromkeys(("link", "code", "voucher"), code) | {
        "title": "t",
        "issuer": "p2p1x",
        "unit": "CNY",
        "amount": 1,
        "round": 1,
        "expires_ms": 1,
    }
    asked = answering(monkeypatch, answer)
    file = tmp_path / name
    assert cli(tmp_path, *args, str(file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    if name.endswith(".png"):
        assert pictures.read(file) == [code]
    else:
        assert file.read_text("ascii") == f"{code}\n"
    said = cli(tmp_path, *args, str(file), "--json")
    assert (said.code, said.document["reason"]) == (1, "file-exists")
    assert len(asked) == 1, "nothing is asked for in vain"


# slips and proofs


def test_a_slip_and_a_proof_are_checked_without_a_node(tmp_path: Path) -> None:
    market = vectors_vouchers.market()
    one = market.text(market.redeem(150_000))
    other = market.text(market.redeem(60_000, 140_000, at=vectors_vouchers.OTHER))
    said = check(tmp_path, one)
    assert said.code == 0
    assert f"1,500.00 CNY of it for {author_text(SHOP.author)}" in said.out
    found = check(tmp_path, one, "--json").document["redeem"]
    assert (found["amount"], found["total_before"]) == (150_000, 0)
    file = tmp_path / "double.txt"
    said = cli(tmp_path, "reward", "prove", one, other, "--out", str(file))
    assert said.code == 0, said
    assert "spent a part of a voucher twice" in check(tmp_path, str(file)).out
    redeems = check(tmp_path, str(file), "--json").document["redeems"]
    assert sorted(item["amount"] for item in redeems) == [60_000, 150_000]
    beside = market.text(market.redeem(5, 150_000))
    said = cli(tmp_path, "reward", "prove", one, beside, "--json")
    assert reason(said) == "no-proof"
    torn = file.read_text("ascii").strip()[:-1]
    assert check(tmp_path, torn).code == 3


@pytest.mark.parametrize("words", [("x",), ("0",), ("1.5",), ("a", "b", "3"), ("-1",)])
def test_an_amount_that_is_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = cli(tmp_path, "reward", "redeem", "--at", "p2p1x", "--json", "--", *words)
    assert (said.code, said.document["reason"]) == (2, "bad-amount")


def test_a_slip_from_before_a_loss_is_taken_by_who_is_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = vectors_vouchers.market()
    slip = market.text(market.redeem(150_000))
    sent = answering(monkeypatch, {"level": "owed"})
    for more, sure in (((), {}), (("--sure",), {"sure": True})):
        assert cli(tmp_path, "reward", "accept", slip, *more, "--json").code == 0
        assert sent.pop() == ("POST", "/till/accept", {"slip": slip, **sure})


def test_the_books_as_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, where = author_text(SHOP.author), {"campaign": "p2pc1x", "unit": "CNY"}
    debt = {"debtor": key, "creditor": key, "title": "面包店", **where}
    debts = [
        {**debt, "amount": 1_500, "paid": paid, "open": 1_500 - paid}
        for paid in (0, 500)
    ]
    debts[0]["debtor_party"] = debts[1]["debtor_party"] = key
    debts[1]["debtor"] = author_text(MALLORY.author)  # another key of that party
    slip: dict[str, Any] = {
        "title": "",
        "amount": 205,
        "level": "offline",
        "redeem_until": 0,
        **where,
    }
    slip = {**slip, "issuer": key, "acceptor": key, "payee": key}
    answer: dict[str, Any] = {
        "i_owe": [],
        "waiting": [],
        "redeemed": [],
        "owed_to_me": debts,
        "accepted": [slip],
        "doubles": [slip],
    }
    answering(monkeypatch, answer)
    said = cli(tmp_path, "reward", "books")
    assert said.code == 0
    _, header, row, _, _, second, twice = said.out.splitlines()
    assert row.split()[-6:] == ["30.00", "CNY", "5.00", "CNY", "25.00", "CNY"]
    assert row.startswith(key[:12])
    assert output.width(header) == output.width(row)
    assert "p2pc1x" in second
    assert "2.05 CNY" in second
    assert twice.startswith("Spent twice by ")


LINE: dict[str, Any] = {
    "title": "Balloons",
    "round": 1,
    "amount": 20_000,
    "left": 5_000,
    "unit": "CNY",
    "redeem_until": 1_000,
    "expired": True,
    "issuer": "p2p1shop",
    "voucher": "P2PNODE:V/AAAA",
}


def test_a_list_says_what_is_left_and_what_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {**LINE, "left": 20_000, "expired": False}
    answering(monkeypatch, {"lines": [LINE, good]})
    _, old, new = cli(tmp_path, "reward", "list").out.splitlines()
    assert "200.00 CNY   50.00 CNY" in old
    assert "EXPIRED" in old
    assert "EXPIRED" not in new


def test_a_claim_says_what_is_left_and_that_it_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, LINE)
    told = cli(tmp_path, "reward", "claim").err
    assert "50.00 CNY of it is left" in told
    assert "EXPIRED" in told
    answering(monkeypatch, {**LINE, "left": 20_000, "expired": False})
    assert cli(tmp_path, "reward", "claim").err == ""


def test_money_owed_and_paid_is_said_as_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = {**LINE, "debtor": "p2p1a", "amount": 205, "open": 1_500}
    answering(monkeypatch, paid)
    said = cli(tmp_path, "reward", "paid", "p2p1a", "205").out
    assert said == (
        "Balloons: signed that p2p1a paid you 2.05 CNY; 15.00 CNY is still open.\n"
    )
    answering(monkeypatch, {"signed": [{"creditor": "p2p1b", **paid}]})
    said = cli(tmp_path, "reward", "owe").out
    assert said == "Signed: you owe p2p1b 2.05 CNY.\n"


@pytest.mark.parametrize("named", [True, False])
def test_who_redeems_at_a_shop_of_no_terms_is_told(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {
        "title": "t",
        "amount": 5,
        "left": 0,
        "unit": "CNY",
        "acceptor": author_text(SHOP.author),
        "named": named,
        "slip": "P2PNODE:R/A",
    }
    answering(monkeypatch, answer)
    said = cli(tmp_path, "reward", "redeem", "5", "--at", author_text(SHOP.author))
    assert said.code == 0
    assert ("do not name this shop" in said.err) is not named
