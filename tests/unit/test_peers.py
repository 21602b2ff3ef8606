"""The peer table: whose word counts, who is forgotten, who is dialled."""

from __future__ import annotations

from hashlib import sha256

import pytest

from p2pnode.services.addresses import is_plausible, prefix_of, shown
from p2pnode.services.peers import (
    CARD_AGE_MS_MAX,
    CARD_AHEAD_MS_MAX,
    PEERS_MAX,
    TELL_MAX,
    TOLD_MAX,
    TOLD_SHARE,
    PeerTable,
)
from p2pnode.store.memory import MemoryStore
from p2pnode.swarm.simulation import SeededRng
from protocols.keys import Seed, SigningKey, network_id
from protocols.peer_card import check_card, peer_id, peer_key, sign_card
from protocols.wire import Card

NETWORK = network_id("peers")
NOW_MS = 1_800_000_000_000


def key(number: int) -> SigningKey:
    return SigningKey(Seed(sha256(b"%d" % number).digest()))


def card(number: int, *hosts: str, time_ms: int = NOW_MS) -> Card:
    """A signed card; many at once share one signature, which nobody checks here."""
    return sign_card(key(number), NETWORK, [where(number, h) for h in hosts], time_ms)


def where(number: int, host: str) -> str:
    return f"/ip4/{host}/tcp/4001/p2p/{name(number)}"


def name(number: int) -> str:
    return peer_id(key(number).author)


def table() -> PeerTable:
    return PeerTable(MemoryStore(), SeededRng("peers"))


def hear(peers: PeerTable, said: Card, teller: str = "teller") -> bool:
    return peers.hear(teller, said, NOW_MS, local=False)


def meet(peers: PeerTable, said: Card, *, dialled: bool = False) -> None:
    peers.met(said, NOW_MS, dialled=dialled, local=False)


def test_a_peer_id_is_a_key() -> None:
    assert peer_key(name(1)) == key(1).author
    assert len(name(1)) == 52
    check_card(card(1, "9.9.9.9"), NETWORK)


def test_the_later_card_holds_whoever_brings_it() -> None:
    peers = table()
    meet(peers, card(1, "9.9.9.1", time_ms=NOW_MS - 5))
    assert not hear(peers, card(1, "9.9.9.2", time_ms=NOW_MS - 5))
    assert not hear(peers, card(1, "9.9.9.2", time_ms=NOW_MS - 9))
    assert peers.know(name(1)).addresses == (where(1, "9.9.9.1"),)
    assert hear(peers, card(1, "9.9.9.3", time_ms=NOW_MS))
    assert peers.know(name(1)).next_address == where(1, "9.9.9.3")
    meet(peers, card(1, "9.9.9.1", time_ms=NOW_MS - 5))
    known = peers.know(name(1)).card
    assert known is not None
    assert known.time_ms == NOW_MS


@pytest.mark.parametrize(
    "age_ms", [CARD_AGE_MS_MAX + 1, -CARD_AHEAD_MS_MAX - 1], ids=["old", "ahead"]
)
def test_cards_out_of_time_are_not_taken_from_others(age_ms: int) -> None:
    peers = table()
    assert not hear(peers, card(1, "9.9.9.9", time_ms=NOW_MS - age_ms))
    assert peers.all() == []


@pytest.mark.parametrize(
    "address",
    [
        where(1, "0.0.0.0"),
        where(1, "127.0.0.1"),
        where(1, "224.0.0.1"),
        f"/ip6/::/tcp/1/p2p/{name(1)}",
        f"/ip6/::1/tcp/1/p2p/{name(1)}",
        f"/ip6/::ffff:127.0.0.1/tcp/1/p2p/{name(1)}",
        where(2, "9.9.9.9"),
        "/ip4/9.9.9.9/tcp/4001",
        f"/ip4/9.9.9.9/p2p/{name(1)}/x",
        "",
    ],
)
def test_addresses_that_lead_nowhere_are_not_kept(address: str) -> None:
    assert not is_plausible(address, name(1), local=False)
    peers = table()
    assert not hear(peers, sign_card(key(1), NETWORK, [address], NOW_MS))
    assert peers.all() == []


def test_on_loopback_loopback_is_plausible() -> None:
    assert is_plausible(where(1, "127.0.0.1"), name(1), local=True)
    assert not is_plausible(where(1, "0.0.0.0"), name(1), local=True)
    assert is_plausible(f"/dns4/x.example/tcp/1/p2p/{name(1)}", name(1), local=False)


def test_what_is_told_to_whom() -> None:
    inside, outside = where(1, "127.0.0.1"), where(1, "192.168.1.2")
    assert shown([inside, outside], None) == (outside,)
    assert shown([inside, outside], where(2, "127.0.0.1")) == (outside,)
    assert shown([inside], None) == (inside,)
    assert shown([inside], where(2, "127.0.0.1")) == (inside,)
    assert shown([inside], where(2, "9.9.9.9")) == ()


def test_a_teller_fills_only_its_share() -> None:
    peers = table()
    meet(peers, card(0, "9.9.9.9"))
    for number in range(1, 3 * TOLD_SHARE):
        hear(peers, card(number, "9.9.9.9"), "liar")
    assert len(peers.all()) == 1 + TOLD_SHARE
    for teller in range(20):
        for number in range(TOLD_SHARE):
            hear(peers, card(1_000 * (teller + 1) + number, "9.9.9.9"), f"t{teller}")
    assert len(peers.all()) == 1 + TOLD_MAX
    assert peers.get(name(0)) is not None


def test_those_told_of_never_move_those_who_came() -> None:
    peers = table()
    for number in range(PEERS_MAX):
        meet(peers, card(number, "9.9.9.9"))
    assert not hear(peers, card(5_000, "9.9.9.9"))
    assert len(peers.all()) == PEERS_MAX


def test_a_full_table_forgets_the_least_known() -> None:
    peers = table()
    hand, anchor, guest = (peers.know(name(number)) for number in (1, 2, 3))
    hand.fixed, anchor.anchor, guest.invited = True, True, True
    meet(peers, card(4, "9.9.9.9"), dialled=True)
    for number in range(5, PEERS_MAX + 500):
        meet(peers, card(number, "9.9.9.9"))
    assert len(peers.all()) == PEERS_MAX
    assert all(peers.get(name(number)) for number in (1, 2, 3, 4))


def test_what_others_say_neither_fixes_nor_frees_nor_goes_first() -> None:
    peers = table()
    hand = peers.learn(name(1), [where(1, "9.9.9.1")])
    hand.fixed = True
    peers.know(name(2)).blocked = True
    for number in (1, 2, 3):
        assert hear(peers, card(number, "9.9.9.7"))
    assert hand.next_address == where(1, "9.9.9.1")
    assert [p.fixed for p in peers.all()].count(True) == 1
    assert [p.peer for p in peers.candidates(0, {})] == [name(1), name(3)]


def test_whom_to_dial_first() -> None:
    peers = table()
    for number in range(1, 9):
        hear(peers, card(number, f"{number}.9.9.9"))
    for number in (3, 4):
        meet(peers, card(number, f"{number}.9.9.9"), dialled=number == 4)
    for number, flag in ((5, "invited"), (6, "anchor"), (7, "fixed")):
        setattr(peers.know(name(number)), flag, True)
    peers.know(name(8)).dial_at = 10.0
    order = [peer.peer for peer in peers.candidates(0, {})]
    assert order[:5] == [name(number) for number in (7, 6, 5, 4, 3)]
    assert sorted(order[5:]) == sorted(name(number) for number in (1, 2))


def test_links_are_spread_over_the_net() -> None:
    peers = table()
    for number, host in enumerate(["9.9.1.1", "9.9.2.2", "8.8.1.1", "10.0.0.1"]):
        meet(peers, card(number, host))
    place = prefix_of(where(0, "9.9.3.3"))
    assert prefix_of(where(0, "10.0.0.1")) == ""
    last = [peer.peer for peer in peers.candidates(0, {place: 1})][2:]
    assert sorted(last) == sorted([name(0), name(1)])
    rest = [peer.peer for peer in peers.candidates(0, {place: 2, "": 40})]
    assert sorted(rest) == sorted([name(2), name(3)])
    peers.know(name(0)).fixed = True
    assert peers.candidates(0, {place: 2})[0].peer == name(0)


def test_only_those_who_came_are_told_and_only_a_few() -> None:
    peers = table()
    hear(peers, card(1, "9.9.9.1"))
    meet(peers, card(2, "127.0.0.1"))
    meet(peers, card(3, "9.9.9.3"))
    meet(peers, Card(peer=name(4), addresses=(), time_ms=1, signature=b""))
    assert peers.to_tell("x", NOW_MS, local=False) == [card(3, "9.9.9.3")]
    assert peers.to_tell(name(3), NOW_MS, local=False) == []
    assert peers.to_tell("x", NOW_MS + CARD_AGE_MS_MAX + 1, local=True) == []
    for number in range(10, 40):
        meet(peers, card(number, "9.9.9.9"))
    assert len(peers.to_tell("x", NOW_MS, local=False)) == TELL_MAX


def test_names_are_one_part_of_the_net() -> None:
    peers = table()
    for number in range(1, 4):
        peers.learn(name(number), [f"/dns4/{number}.example/tcp/1/p2p/{name(number)}"])
    peers.learn(name(4), [where(4, "192.168.0.4")])
    full = peers.candidates(0, {"dns": 2, "": 40})
    assert [peer.peer for peer in full] == [name(4)]


async def test_the_table_and_its_anchors_outlive_a_restart() -> None:
    store, rng = MemoryStore(), SeededRng("a")
    peers = PeerTable(store, rng)
    for number in (1, 2, 3):
        meet(peers, card(number, f"{number}.9.9.9"), dialled=True)
    hear(peers, card(4, "4.9.9.9"))
    peers.anchors([name(2)])
    peers.anchors([])
    peers.anchors([name(3), name(1)])
    peers.know(name(1)).fixed = True
    peers.touch(peers.know(name(1)))
    await peers.save()
    again = PeerTable(store, rng)
    await again.open()
    assert again.all() == peers.all()
    assert [p.peer for p in again.all() if p.anchor] == sorted([name(1), name(3)])


async def test_who_the_anchors_are_is_found_without_sorting_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = PeerTable(MemoryStore(), SeededRng("a"))
    for number in (1, 2, 3):
        meet(peers, card(number, f"{number}.9.9.9"), dialled=True)
    with monkeypatch.context() as patch:
        patch.setattr(peers, "all", lambda: pytest.fail("each second"))
        peers.anchors([name(3)])
        peers.anchors([name(2)])
    assert [peer.peer for peer in peers.all() if peer.anchor] == sorted(
        [name(2), name(3)]
    )
