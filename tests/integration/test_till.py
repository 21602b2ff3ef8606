"""The till: redeem, accept, owe, paid; twice, offline, expired, after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio
import trio.testing

from p2pnode.failures import Failure
from p2pnode.high_water import Mark
from p2pnode.ports import StoreInDoubt
from p2pnode.services import documents, till_documents
from p2pnode.services.till import WAIT_S, Level
from p2pnode.store.memory import MemoryStore
from protocols.claims import Kind, Owe
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, Seed, SigningKey
from protocols.record import Record, sign_record
from protocols.settlement.ledger import keep_ledger
from protocols.settlement.redeem import (
    Slip,
    check_double,
    check_slip,
    make_double,
    make_slip,
    read_double,
    read_slip,
    slip_text,
    write_double,
)
from protocols.tags.code import read_code
from protocols.terms import Party, Role
from protocols.text import author_text
from tests.integration.test_services import (
    HandClock,
    Player,
    carry,
    make_campaign,
)
from tests.worlds import MINUTE, key_of

LINE = 200_000
"""What the only close pays Alice."""


@dataclass
class Town:
    """A campaign that is closed: shop A is its sponsor, Alice is paid by it."""

    clock: HandClock
    a: Player
    alice: Player
    b: Player
    c: Player

    def key(self, name: str) -> AuthorKey:
        key = getattr(self, name).identity.author_key
        assert key is not None
        author: AuthorKey = key.author
        return author

    async def redeem(self, amount: int, at: str = "b", **how: Any) -> Slip:
        view = await self.alice.view()
        return (await self.alice.till.redeem(view, amount, self.key(at), **how)).slip

    async def follow(self, who: Player) -> None:
        (entry,) = self.a.library.entries
        await who.library.follow(entry.campaign)
        await carry(self.a, who)

    async def see(self, witness: Player) -> None:
        """The witness hears the sponsor, says what moved, and is heard."""
        await carry(self.a, witness)
        await witness.witness.tend(await witness.view())
        await carry(self.a, witness)

    async def double(self) -> tuple[Slip, Slip]:
        """Alice's client lies: two slips of one part, at two shops."""
        one = await self.redeem(LINE, "b")
        view = await self.alice.view()
        claim = one.redeem.record().claim()
        other = await self.alice.feeds.publish(
            self.alice.library.require_key(view),
            view.campaign,
            Kind.REDEEM,
            type(claim)(
                salt=bytes(16),
                close=claim.close,
                line=claim.line,
                amount=claim.amount,
                total_before=claim.total_before,
                acceptor=self.key("c"),
                nonce=b"another nonce ..",
            ),
        )
        return one, make_slip(one.voucher, other)


async def town(
    named: tuple[Party, ...] = (),
    sponsors: Sequence[str] = (),
    spare: SigningKey | None = None,
    seer: str = "a",
) -> Town:
    """A sponsors; the campaign is played and closed, Alice has a line.

    Args:
        named: parties of the terms.
        sponsors: whose keys the terms name as the sponsor's besides.
        spare: a second key of the sponsor.
        seer: whose key is the witness.
    """
    clock = HandClock()
    made = Town(
        clock=clock,
        a=Player("a", "merchant", clock),
        alice=Player("alice", "resident", clock),
        b=Player("b", "merchant", clock),
        c=Player("c", "merchant", clock),
    )
    if spare is not None:
        mine = replace(made.a.identity, spare_keys=(spare,))
        made.a.identity = made.a.library.identity = mine
    for player in (made.a, made.alice, made.b, made.c):
        await player.open()
    more = tuple(made.key(name) for name in sponsors)
    witness = getattr(made, seer)
    code = await make_campaign(
        made.a, named=named, sponsors=more, witnesses=(made.key(seer),)
    )
    await made.follow(witness)
    await made.alice.acts.join(await made.a.acts.invite(await made.a.view(), uses=1))
    await carry(made.a, made.alice)
    clock.ms += MINUTE
    await made.alice.acts.scan(read_code(code))
    await carry(made.a, made.alice)
    await made.see(witness)
    clock.ms = (await made.a.view()).terms.rounds[0].final_from
    await made.see(witness)
    await made.a.books.close(await made.a.view())
    await carry(made.a, made.alice)
    return made


async def books(player: Player) -> dict[str, Any]:
    return await till_documents.books(player.library, player.till)


async def refused(reason: Reason | str, call: Any) -> None:
    with pytest.raises((Failure, ProtocolError)) as caught:
        await call
    failed = caught.value
    assert isinstance(failed, Failure | ProtocolError)
    assert failed.reason == reason


async def test_redeem_accept_owe_paid_between_shops_that_follow() -> None:
    t = await town()
    await t.follow(t.b)
    slip = await t.redeem(150_000)
    noted, level = await t.b.till.accept(slip, 150_000)
    assert (level, noted.spending.claim.amount) == (Level.OFFLINE, 150_000)
    await carry(t.a, t.alice)
    assert len((await books(t.a))["waiting"]) == 1
    assert len(await t.a.till.recognise_all()) == 1
    assert await t.a.till.recognise_all() == []
    await carry(t.a, t.b)
    found = await books(t.b)
    assert [one["open"] for one in found["owed_to_me"]] == [150_000]
    assert [one["level"] for one in found["accepted"]] == ["owed"]
    await refused("not-owed", t.b.till.paid(t.key("a"), 150_001))
    await t.b.till.paid(t.key("a"), 50_000)
    await carry(t.a, t.b)
    t.clock.ms += MINUTE
    await t.a.witness.tend(await t.a.view())  # that B entered unnamed disturbs nobody
    assert [one["open"] for one in (await books(t.a))["i_owe"]] == [100_000]
    await t.b.till.paid(t.key("a"), 100_000)
    await carry(t.a, t.b)
    assert [one["open"] for one in (await books(t.a))["i_owe"]] == [0]
    assert (await books(t.alice))["redeemed"][0]["amount"] == 150_000


async def test_what_is_left_of_a_line_and_that_it_expired_is_told() -> None:
    t = await town()
    view = await t.alice.view()

    async def told() -> tuple[int, bool]:
        mine = t.alice.library.my_keys(view)
        line = documents.line(await t.alice.books.claim(view), mine, t.clock.ms)
        return line["left"], line["expired"]

    assert await told() == (LINE, False)
    await t.alice.books.check_alive(view, t.clock.ms)
    await t.redeem(150_000)
    assert await told() == (LINE - 150_000, False)
    t.clock.ms = view.terms.redeem_until + 1
    assert await told() == (LINE - 150_000, True)
    await refused("voucher-expired", t.alice.books.check_alive(view, t.clock.ms))
    await t.a.books.check_alive(await t.a.view(), t.clock.ms)  # it is owed nothing


async def test_what_is_owed_and_paid_is_told_with_names_and_money() -> None:
    t = await town()
    await t.follow(t.b)
    await t.b.till.accept(await t.redeem(150_000), 150_000)
    await carry(t.a, t.alice)
    owed = await till_documents.owed(t.a.library, await t.a.till.recognise_all())
    (one,) = owed["signed"]
    assert (one["title"], one["unit"]) == ("ten red balloons", "CNY")
    assert (one["creditor"], one["amount"]) == (author_text(t.key("b")), 150_000)
    await carry(t.a, t.b)
    signed = await t.b.till.paid(t.key("a"), 50_000)
    paid = await till_documents.paid(t.b.till, t.key("a"), signed)
    assert (paid["amount"], paid["open"], paid["unit"]) == (50_000, 100_000, "CNY")
    assert [one["owe"] for one in paid["paid"]] == [one["owe"]]
    assert len(paid["records"]) == 2, "the shop entered, too"


async def test_a_shop_that_lost_its_key_is_paid_under_the_next() -> None:
    first, spare = (SigningKey(Seed(key_of(name).author)) for name in ("b", "b 2"))
    party = Party(
        keys=tuple(sorted((first.author, spare.author))),
        role=Role.MERCHANT,
        name="b",
        amount_max=10**9,
        per_day_max=10**9,
        total_max=10**9,
    )
    t = await town(named=(party,))
    assert t.b.till.strangers(await t.a.view()) == (spare.author,)
    t.b.library.identity = replace(t.b.identity, spare_keys=(spare,))
    assert t.b.till.strangers(await t.a.view()) == ()
    t.b.feeds.own(spare.author)
    await t.follow(t.b)
    slip = await t.redeem(150_000)
    await t.b.till.accept(slip, LINE)
    await carry(t.a, t.alice)
    await t.a.till.recognise_all()
    t.b.feeds.mark = Mark(used=2)  # as after a loss
    assert t.b.library.retired == (first.author,)
    await refused(Reason.REDEEMED, t.b.till.accept(slip, LINE))
    await carry(t.a, t.b)
    assert [one["open"] for one in (await books(t.b))["owed_to_me"]] == [150_000]
    (enter, paid) = await t.b.till.paid(t.key("a"), 150_000)
    assert {enter.author, paid.author} == {spare.author}
    await carry(t.a, t.b)
    assert [one["open"] for one in (await books(t.a))["i_owe"]] == [0]
    assert [one["open"] for one in (await books(t.b))["owed_to_me"]] == [0]


async def test_a_line_is_spent_in_parts_and_no_further() -> None:
    t = await town()
    slips = [await t.redeem(80_000), await t.redeem(80_000)]
    await refused("not-enough-left", t.redeem(80_000))
    slips.append(await t.redeem(40_000))
    parts = [one.redeem.record().claim() for one in slips]
    assert [one.total_before for one in parts] == [0, 80_000, 160_000]
    assert await t.redeem(40_000, again=True) == slips[2]
    await refused("no-such-redeem", t.redeem(40_000, "c", again=True))
    for slip in slips:
        await t.b.till.accept(slip, LINE)
        await t.a.till.recognise(slip)
    view = await t.a.view()
    assert sum(one.amount for one in t.a.till.ledger(view).obligations) == LINE


async def test_an_unfollowed_campaign_is_accepted_offline_within_the_limit() -> None:
    t = await town()
    one, two = await t.redeem(50_000), await t.redeem(60_000)
    await refused("above-limit", t.b.till.accept(one))
    await t.b.till.accept(one, 100_000)
    await refused("above-limit", t.b.till.accept(two))
    (noted,) = t.b.till.accepted.values()
    t.b.till.accepted[noted.spending.record.id] = replace(noted, unit="CNY\u200b")
    await refused("above-limit", t.b.till.accept(two))  # a unit is only a name
    assert t.b.till.limit == 100_000
    assert list(t.b.till.accepted) == [one.redeem.record().id]
    await t.a.till.recognise(one)
    await t.follow(t.b)
    _, level = await t.b.till.accept(two)
    assert level is Level.OFFLINE, "the first is owed by now, so the limit is free"


async def test_owed_is_what_the_issuer_recognised_in_full() -> None:
    t = await town()
    await t.follow(t.b)
    slip = await t.redeem(50_000)
    view, redeem = await t.a.view(), slip.redeem.record()
    key = t.a.identity.author_key
    assert key is not None
    for amount, level in ((49_999, Level.OFFLINE), (50_000, Level.OWED)):
        claim = Owe(
            salt=amount.to_bytes(16, "big"),
            redeem=redeem.id,
            acceptor=t.key("b"),
            amount=amount,
        )
        await t.a.feeds.publish(key, view.campaign, Kind.OWE, claim)
        await carry(t.a, t.b)
        found = check_slip(slip)
        ledger = t.b.till.ledger(await t.b.view(), (found,))
        assert t.b.till._level(found, ledger) is level
    owe, new = await t.a.till.recognise(slip)
    assert (owe.claim().amount, new) == (50_000, False), "it owes already"
    noted, level = await t.b.till.accept(slip)
    assert (level, t.b.till.limit) == (Level.OWED, 0), "what is owed is no risk"
    assert await t.b.till.level(noted) is Level.OWED


async def test_by_another_key_of_hers_a_slip_is_offline_until_it_is_owed() -> None:
    t = await town()
    own = check_slip(await t.redeem(50_000))
    hers = replace(own, own_key=False)
    assert t.b.till._level(hers, None) is Level.OFFLINE


async def test_an_accepted_slip_is_refused_the_second_time_also_later() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    await t.b.till.accept(slip, LINE)
    await refused(Reason.REDEEMED, t.b.till.accept(slip))
    later = Player("b", "merchant", t.clock, t.b.store)
    await later.open()
    assert later.till.limit == LINE
    await refused(Reason.REDEEMED, later.till.accept(slip))


async def test_another_shop_another_network_another_issuer() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    await refused(Reason.WRONG_ACCEPTOR, t.c.till.accept(slip, LINE))
    await refused("not-the-issuer", t.b.till.recognise(slip))
    await t.follow(t.b)
    await refused("not-the-issuer", t.b.till.recognise(slip))
    other = Player("b", "merchant", t.clock)
    other.identity = other.library.identity = type(other.identity)(
        **{
            field: getattr(other.identity, field)
            for field in other.identity.__slots__
            if field != "network"
        },
        network="elsewhere",
    )
    await refused("wrong-network", other.till.accept(slip, LINE))


async def test_a_close_by_somebody_else_is_no_voucher_of_the_campaign() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    await t.follow(t.b)
    alice = t.alice.library.require_key(await t.alice.view())
    stranger, close = t.c.identity.author_key, slip.voucher.close
    assert stranger is not None

    def signed(key: SigningKey, record: Record, claim: Any) -> Record:
        header = record.header
        return sign_record(
            key,
            network=header.network,
            scope=header.scope,
            seq=header.seq,
            backlink=header.backlink,
            time_ms=header.time_ms,
            kind=Kind(header.kind),
            claim=claim,
        )

    forged = signed(stranger, close, close.claim())
    assert forged.claim_bytes is not None
    voucher = replace(
        slip.voucher,
        header=forged.header_bytes,
        claim=forged.claim_bytes,
        signature=forged.signature,
    )
    redeem = slip.redeem.record()
    hers = signed(alice, redeem, replace(redeem.claim(), close=forged.id))
    await refused("wrong-issuer", t.b.till.accept(make_slip(voucher, hers), LINE))


async def test_after_the_last_day_nothing_is_redeemed_accepted_or_owed() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    last = (await t.a.view()).terms.redeem_until
    t.clock.ms = last
    await t.b.till.accept(slip, LINE)
    t.clock.ms = last + 1
    other = Player("b", "merchant", t.clock)
    await other.open()
    await refused(Reason.VOUCHER_EXPIRED, other.till.accept(slip, LINE))
    await refused(Reason.VOUCHER_EXPIRED, t.a.till.recognise(slip))
    await refused("not-enough-left", t.redeem(1))


async def test_spent_twice_offline_ends_in_one_debt_and_a_proof() -> None:
    t = await town()
    one, other = await t.double()
    await t.b.till.accept(one, LINE)
    await t.c.till.accept(other, LINE)
    await t.a.till.recognise(other)
    await refused(Reason.OVERSPENT, t.a.till.recognise(one))
    view = await t.a.view()
    ledger = t.a.till.ledger(
        view, (t.b.till.accepted[one.redeem.record().id].spending,)
    )
    assert [o.creditor for o in ledger.obligations] == [t.key("c")]
    assert len(ledger.doubles) == 1
    proof = make_double(one.voucher, one.redeem.record(), other.redeem.record())
    first, second = check_double(read_double(write_double(proof)))
    assert first.overlaps(second)
    await carry(t.a, t.alice)
    (found,) = (await books(t.a))["doubles"]
    assert found["proof"]
    await t.follow(t.c)
    assert (await books(t.c))["doubles"][0]["proof"] == found["proof"]


async def test_a_slip_that_is_owed_is_accepted_whatever_else_was_spent() -> None:
    t = await town()
    one, other = await t.double()
    await carry(t.a, t.alice)
    await t.follow(t.b)
    await refused(Reason.OVERSPENT, t.b.till.accept(one, LINE))
    await t.a.till.recognise(one)
    await carry(t.a, t.b)
    assert (await t.b.till.accept(one))[1] is Level.OWED
    await refused(Reason.REDEEMED, t.b.till.accept(one))
    await refused(Reason.OVERSPENT, t.a.till.recognise(other))
    assert (await books(t.a))["waiting"] == [], "what can never be owed waits no more"


async def test_a_shop_refuses_what_it_knows_to_be_spent_elsewhere() -> None:
    t = await town()
    one, _ = await t.double()
    await carry(t.a, t.alice)
    await t.follow(t.b)
    await refused(Reason.OVERSPENT, t.b.till.accept(one, LINE))


async def test_the_issuers_own_till_owes_at_once() -> None:
    t = await town()
    slip = await t.redeem(50_000, "a")
    _, level = await t.a.till.accept(slip)
    assert level is Level.OWED
    found = await books(t.a)
    assert found["i_owe"] == found["owed_to_me"] == found["waiting"] == []
    assert [one["level"] for one in found["accepted"]] == ["owed"]
    (owe,) = t.a.till.ledger(await t.a.view()).obligations
    assert (owe.amount, owe.open) == (50_000, 0)


async def test_recognising_by_itself_if_asked(autojump_clock: Any) -> None:
    t = await town()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(t.a.till.run)
        await t.redeem(50_000)
        await carry(t.a, t.alice)
        await trio.testing.wait_all_tasks_blocked()
        assert (await books(t.a))["i_owe"] == []
        await t.a.till.set_auto(on=True)
        await trio.testing.wait_all_tasks_blocked()
        assert [one["open"] for one in (await books(t.a))["i_owe"]] == [50_000]
        await t.redeem(60_000)
        await carry(t.a, t.alice)
        await trio.testing.wait_all_tasks_blocked()
        assert len((await books(t.a))["i_owe"]) == 2
        nursery.cancel_scope.cancel()
    later = Player("a", "merchant", t.clock, t.a.store)
    await later.open()
    assert later.till.auto


async def test_a_next_key_recognises_by_itself_once_witnesses_have_seen_it(
    autojump_clock: Any,
) -> None:
    spare = SigningKey(Seed(key_of("a 2").author))
    t = await town(spare=spare, seer="c")
    t.a.feeds.mark = Mark(used=2)  # as after a loss
    async with trio.open_nursery() as nursery:
        nursery.start_soon(t.a.till.run)
        await t.redeem(50_000)
        await carry(t.a, t.alice)
        await t.a.till.set_auto(on=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (await books(t.a))["i_owe"] == []
        t.clock.ms += MINUTE
        await t.see(t.c)
        await trio.sleep(2 * WAIT_S)
        (owed,) = (await books(t.a))["i_owe"]
        assert owed["debtor"] == author_text(spare.author)
        nursery.cancel_scope.cancel()


async def test_where_the_lost_key_was_the_only_witness_the_next_one_owes() -> None:
    spare = SigningKey(Seed(key_of("a 2").author))
    t = await town(spare=spare)
    slip = await t.redeem(50_000)
    t.a.feeds.mark = Mark(used=2)  # as after a loss
    await refused("successor-not-seen", t.a.books.close(await t.a.view()))
    owe, new = await t.a.till.recognise(slip)
    assert (owe.author, new) == (spare.author, True)


async def test_a_sponsor_without_a_further_key_is_told_why_it_owes_nothing() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    await carry(t.a, t.alice)
    t.a.feeds.mark = Mark(used=2)  # as after a loss
    assert len((await books(t.a))["waiting"]) == 1
    await refused("key-retired", t.a.till.recognise(slip))
    await refused("key-retired", t.a.till.recognise_all())


async def test_an_owe_whose_redeem_is_nowhere_stops_the_next_ones() -> None:
    t = await town()
    slip, other = await t.redeem(50_000), await t.redeem(60_000)
    await t.a.till.recognise(slip)
    second = Player("a", "merchant", t.clock)
    await second.open()
    await t.follow(second)
    await refused("debts-incomplete", second.till.recognise(other))
    _, new = await second.till.recognise(slip)
    assert not new
    # All is known now; that one key is on two machines stops it, as everywhere.
    await refused("feed-stopped", second.till.recognise(other))


# crashes: nothing acknowledged is lost, nothing is signed twice


class Crash(Exception):
    """The node ends here."""


def crashing(store: MemoryStore, at: int, *, landed: bool, doubt: bool) -> None:
    """Crash at the store's `at`-th call from now, before or after it landed."""
    left = at

    def hook(call: str) -> None:
        nonlocal left
        if landed and call != "append":
            return
        left -= 1
        if left == 0:
            raise StoreInDoubt("disk") if doubt else Crash

    store.before = store.after = None
    if landed:
        store.after = hook
    else:
        store.before = hook


async def survives(
    make: Callable[[], Any],
    act: Callable[[Any], Any],
    check: Callable[[Any, bool], Any],
) -> int:
    """Crash `act` at every call of its store; `check` gets whether it was told."""
    crashes = 0
    for landed in (False, True):
        for doubt in (False, True):
            for at in range(1, 100):
                t, player = await make()
                crashing(player.store, at, landed=landed, doubt=doubt)
                told = True
                try:
                    await act((t, player))
                except (Crash, StoreInDoubt):
                    told = False
                    crashes += 1
                player.store.before = player.store.after = None
                player.store.reopen()
                who = player.identity
                again = Player(who.name, who.role, t.clock, player.store)
                await again.open()
                await check((t, again), told)
                if told:
                    break
    return crashes


async def test_an_acceptor_that_crashes_anywhere() -> None:
    slips: list[Slip] = []

    async def make() -> tuple[Town, Player]:
        t = await town()
        slips[:] = [await t.redeem(50_000)]
        return t, t.b

    async def act(at: tuple[Town, Player]) -> None:
        await at[1].till.accept(slips[0], LINE)

    async def check(at: tuple[Town, Player], told: bool) -> None:
        held = slips[0].redeem.record().id in at[1].till.accepted
        assert held or not told
        if held:
            await refused(Reason.REDEEMED, at[1].till.accept(slips[0], LINE))
        else:
            await at[1].till.accept(slips[0], LINE)

    assert await survives(make, act, check) >= 4


async def test_an_issuer_that_crashes_anywhere() -> None:
    slips: list[Slip] = []

    async def make() -> tuple[Town, Player]:
        t = await town()
        slips[:] = [await t.redeem(150_000), (await t.redeem(50_000))]
        return t, t.a

    async def act(at: tuple[Town, Player]) -> None:
        for slip in slips:
            await at[1].till.recognise(slip)

    async def check(at: tuple[Town, Player], told: bool) -> None:
        _, player = at
        view = await player.view()
        before = player.till.ledger(view).obligations
        assert len(before) == 2 or not told
        await act(at)
        await act(at)
        after = player.till.ledger(view).obligations
        assert sum(one.amount for one in after) == LINE
        assert [len(one.owes) for one in after] == [1, 1]
        feed = view.evidence.feed(view.campaign, at[0].key("a"))
        assert sum(one.kind == Kind.OWE for one in feed) == 2

    assert await survives(make, act, check) >= 8


async def test_a_customer_that_crashes_anywhere_spends_no_part_twice() -> None:
    async def make() -> tuple[Town, Player]:
        t = await town()
        return t, t.alice

    async def act(at: tuple[Town, Player]) -> None:
        t, player = at
        await player.till.redeem(await player.view(), 50_000, t.key("b"))

    async def check(at: tuple[Town, Player], told: bool) -> None:
        t, player = at
        view = await player.view()
        key = player.library.require_key(view).author
        feed = view.evidence.feed(view.campaign, key)
        held = [one.claim() for one in feed if one.kind == Kind.REDEEM]
        assert held or not told
        await act(at)
        if held:  # what was signed and not handed over is still there
            await player.till.redeem(view, 50_000, t.key("b"), again=True)
        ends = [(one.total_before, one.amount) for one in held] + [
            (len(held) * 50_000, 50_000)
        ]
        feed = view.evidence.feed(view.campaign, key)
        now = [one.claim() for one in feed if one.kind == Kind.REDEEM]
        assert [(one.total_before, one.amount) for one in now] == ends

    assert await survives(make, act, check) >= 4


async def test_terms_that_name_a_shop_as_sponsor_make_it_owe_nothing_unasked() -> None:
    """C is one more sponsor by A's terms, and was never asked."""
    t = await town(sponsors=("c",))
    await t.c.till.set_auto(on=True)
    await t.follow(t.c)
    slip = await t.redeem(150_000)
    await carry(t.alice, t.c)
    assert await t.c.till.recognise_all() == []
    at_c = await t.redeem(1_000, "c")
    await carry(t.alice, t.c)
    assert (await t.c.till.accept(at_c, LINE))[1] is Level.OFFLINE
    assert (await books(t.c))["i_owe"] == []
    await refused("successor-not-seen", t.c.till.recognise(slip))
    await carry(t.a, t.c)
    t.clock.ms += MINUTE
    await t.a.witness.tend(await t.a.view())
    await carry(t.a, t.c)
    owe, new = await t.c.till.recognise(slip)  # its owner may: by this one slip
    assert new
    assert owe.author == t.key("c")
    assert await t.c.till.recognise_all() == []


async def small_redeems(t: Town, totals: Sequence[int]) -> None:
    """Alice spends one fen again and again, each from so much of her line on."""
    claim = (await t.redeem(1)).redeem.record().claim()
    view = await t.alice.view()
    key = t.alice.library.require_key(view)
    for turn, total in enumerate(totals):
        mark = turn.to_bytes(16, "big")
        more = replace(claim, salt=mark, nonce=mark, total_before=total)
        await t.alice.feeds.publish(key, view.campaign, Kind.REDEEM, more)
    await carry(t.alice, t.a)


@pytest.mark.parametrize(
    ("totals", "owed"), [(range(1, 40), 40), ([0] * 39, 1)], ids=["good", "overspent"]
)
async def test_who_redeems_often_has_the_books_kept_only_once(
    totals: Sequence[int], owed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []

    def counted(*args: Any) -> Any:
        kept.append(1)
        return keep_ledger(*args)

    t = await town()
    await small_redeems(t, totals)
    monkeypatch.setattr("p2pnode.services.till.keep_ledger", counted)
    assert len(await t.a.till.recognise_all()) == owed
    assert await t.a.till.recognise_all() == []
    assert len(kept) == 2


async def test_a_slip_survives_its_text_and_a_changed_one_does_not() -> None:
    t = await town()
    slip = await t.redeem(50_000)
    assert read_slip(slip_text(slip)) == slip
    forged = replace(slip, redeem=replace(slip.redeem, signature=bytes(64)))
    await refused(Reason.BAD_SIGNATURE, t.b.till.accept(forged, LINE))
    assert not t.b.till.accepted
