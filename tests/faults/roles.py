"""A witness, an issuer and an acceptor whose power fails before any change of the disk.

A town of four plays on: the node of the role lies with its store and its mark on
a disk in memory, the others in memory. At one change the disk stops; what a cut
leaves of it is opened again, and the role does the rest, with people who
remember what they were shown before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from p2pnode.failures import Failure
from p2pnode.high_water import LOSS
from p2pnode.ports import StoreFull, StoreInDoubt
from p2pnode.services.feeds import Change
from p2pnode.store.sqlite import open_store
from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.keys import AuthorKey, RecordId, Scope, witness_scope
from protocols.record import NO_BACKLINK, Record, encode_record, sign_record
from protocols.settlement.redeem import Slip
from protocols.tags.code import read_code
from tests.faults.disk import Change as Changed
from tests.faults.disk import Disk, DiskMark, MemoryVfs
from tests.faults.workload import FILE
from tests.integration.test_services import HandClock, Player, carry, make_campaign
from tests.worlds import MINUTE, NETWORK

LINE: Final = 200_000
"""What the only close pays Alice."""

PARTS: Final = (150_000, 50_000)
"""What she redeems of it, at shop B."""

Place = tuple[Scope, AuthorKey, int]


class Broken(AssertionError):
    """A promise was not kept."""


@dataclass
class Town:
    """Shop A is sponsor, only witness and issuer; Alice is paid at shop B."""

    vfs: MemoryVfs
    folder: Path
    role: str
    """Whose disk it is: `a` or `b`."""
    clock: HandClock = field(default_factory=HandClock)
    players: dict[str, Player] = field(default_factory=dict)
    shown: dict[Place, RecordId] = field(default_factory=dict)
    """What the role's node signed and told, over all its lives."""
    told: dict[str, Any] = field(default_factory=dict)
    """What it acknowledged, by step."""
    slips: list[Slip] = field(default_factory=list)

    @property
    def a(self) -> Player:
        """The sponsor."""
        return self.players["a"]

    @property
    def b(self) -> Player:
        """The other shop."""
        return self.players["b"]

    @property
    def scope(self) -> Scope:
        """The campaign's."""
        return self.players["alice"].library.entries[0].campaign

    @property
    def alice(self) -> Player:
        """The customer."""
        return self.players["alice"]

    async def begin(self) -> None:
        """All that comes before any step."""
        for name in ("a", "b", "alice", "mallory"):
            if name == self.role:
                await self.start()
            else:
                role = "merchant" if len(name) == 1 else "resident"
                self.players[name] = Player(name, role, self.clock)
                await self.players[name].open()
        code = await make_campaign(self.a)
        for one in (self.alice, self.players["mallory"]):
            invite = await self.a.acts.invite(await self.a.view(), uses=1)
            await one.acts.join(invite)
            await carry(self.a, one)
        self.clock.ms += MINUTE
        await self.alice.acts.scan(read_code(code))
        await carry(self.a, self.alice)

    async def start(self) -> None:
        """Start the role's node on what its disk holds."""
        mark = DiskMark(self.vfs.disk)
        store: Any = await open_store(self.folder / FILE, vfs=self.vfs.name, mark=mark)
        player = Player(self.role, "merchant", self.clock, store)
        if await store.state(LOSS):
            raise Broken("a power cut was taken for a loss")
        self.players[self.role] = player
        player.feeds.subscribe(self._see)
        await player.open()

    def _see(self, change: Change) -> None:
        """Others are told of a record: at its place there was never another one."""
        mine = self.players[self.role].identity.author_keys
        for record in change.records:
            if record.author in [key.author for key in mine]:
                place = (record.scope, record.author, record.seq)
                if self.shown.setdefault(place, record.id) != record.id:
                    raise Broken(f"signed twice at {record.seq}")

    async def check_kept(self) -> None:
        """Whether all that was shown before is there after a restart."""
        player = self.players[self.role]
        for (scope, _, seq), record_id in self.shown.items():
            if await player.store.get(record_id) is None:
                raise Broken(f"shown and lost: {seq} in {scope.hex()[:8]}")

    async def fork(self) -> None:
        """Mallory's key signs one place twice, and A sees it."""
        mallory = self.players["mallory"]
        key = mallory.library.require_key(await mallory.view())
        (join,) = (await mallory.view()).evidence.feed(self.scope, key.author)
        other = sign_record(
            key,
            network=NETWORK,
            scope=self.scope,
            seq=0,
            backlink=NO_BACKLINK,
            time_ms=join.header.time_ms + 1,
            kind=Kind.JOIN,
            claim=join.claim(),
        )
        await self.a.feeds.ingest([encode_record(other)])

    async def own(self, *kinds: Kind) -> list[Record]:
        """What shop A signed of these kinds."""
        view = await self.a.view()
        (me,) = self.a.identity.author_keys
        scopes = (self.scope, witness_scope(self.scope))
        feeds = [view.evidence.feed(scope, me.author) for scope in scopes]
        return [one for feed in feeds for one in feed if one.kind in kinds]


# Steps. Each may be done once more after it broke off anywhere.


async def see(t: Town) -> None:
    """The witness lists heads, then Mallory's fork."""
    await t.a.witness.tend(await t.a.view())
    t.clock.ms += MINUTE
    await t.fork()
    await t.a.witness.tend(await t.a.view())
    forks = await t.own(Kind.FORK)
    _demand(len(forks) == 1, "one fork is listed once")


async def finish(t: Town) -> None:
    """The witness gives its final."""
    t.clock.ms = (await t.a.view()).terms.rounds[0].final_from
    await t.a.witness.tend(await t.a.view())
    finals = [one for one in await t.own(Kind.SEEN) if one.claim().final == 1]
    _demand(len(finals) == 1, "one final a round")


async def close(t: Town) -> None:
    """The sponsor closes."""
    with suppress(Failure):  # already closed: the last life came so far
        await t.a.books.close(await t.a.view())
    (closed,) = await t.own(Kind.CLOSE)
    _demand(t.told.get("close", closed.id) == closed.id, "one close a round")
    t.told["close"] = closed.id
    await carry(t.a, t.alice)


async def redeem(t: Town) -> None:
    """Alice makes her slips."""
    (me,) = t.b.identity.author_keys
    for amount in PARTS[len(t.slips) :]:
        made = await t.alice.till.redeem(await t.alice.view(), amount, me.author)
        t.slips.append(made.slip)


async def accept(t: Town) -> None:
    """B takes each slip once."""
    for slip in t.slips:
        again = t.told.get(slip.redeem.signature.hex())
        try:
            await t.b.till.accept(slip, LINE)
        except (Failure, ProtocolError) as error:
            _demand(error.reason == Reason.REDEEMED, f"accept: {error}")
        else:
            _demand(again is None, "a slip that B had taken was taken again")
        t.told[slip.redeem.signature.hex()] = True


async def owe(t: Town) -> None:
    """A recognises each slip, once."""
    for slip in t.slips:
        await t.a.till.recognise(slip)
    owes = await t.own(Kind.OWE)
    _demand([one.claim().amount for one in owes] == [*PARTS], "one owe a slip")


async def meet(t: Town) -> None:
    """B follows the campaign and learns what it is owed."""
    if not t.b.library.entries:
        await t.b.library.follow(t.scope)
    await carry(t.a, t.b)


async def paid(t: Town) -> None:
    """B signs that it was paid, all of it."""
    (me,) = t.a.identity.author_keys
    with suppress(Failure):  # not owed any more: the last life signed it
        await t.b.till.paid(me.author, LINE)
    await carry(t.a, t.b)
    view = await t.a.view()
    open_ = [one.amount - one.paid for one in t.a.till.ledger(view).obligations]
    _demand(open_ == [0, 0], f"what is open: {open_}")


def _demand(true: bool, said: str) -> None:
    if not true:
        raise Broken(said)


Step = Callable[[Town], Awaitable[None]]

ROLES: Final[dict[str, tuple[str, tuple[Step, ...], tuple[Step, ...]]]] = {
    "witness": ("a", (), (see, finish)),
    "issuer": ("a", (see, finish), (close, redeem, owe)),
    "acceptor": ("b", (see, finish, close, redeem), (accept, owe, meet, paid)),
}
"""Whose disk it is, what comes before, and in which steps the power fails."""


async def play(
    role: str,
    place: int | None,
    vfs: MemoryVfs,
    folder: Path,
    seed: str,
    *,
    lying: bool = False,
) -> int:
    """Play a role; the power fails before change `place` of the disk; go on.

    Args:
        role: one of `ROLES`.
        place: of a change in the steps; None: the power does not fail.
        vfs: gets a new disk.
        folder: stands for the disk's only folder.
        seed: draws what the cut leaves.
        lying: the disk says that it synced, and did not.

    Returns how many changes the steps made; fewer than `place`: it did not fail.

    Raises:
        Broken: a promise was not kept.
    """
    name, before, steps = ROLES[role]
    vfs.disk = Disk()
    town = Town(vfs=vfs, folder=folder, role=name)
    await town.begin()
    for step in before:
        await step(town)
    disk, start = vfs.disk, len(vfs.disk.log)

    def failing(change: Changed) -> Changed | None:
        if lying and change.call == "sync":
            return None
        if place is not None and len(disk.log) - start >= place:
            raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE)
        return change

    disk.before = failing
    cut = await _broke_off(town, steps)
    done = len(disk.log) - start
    await _end(town)
    if cut:
        vfs.disk = disk.after_cut(seed)
        await town.start()
        await town.check_kept()
        for step in steps:
            await step(town)
        await _end(town)
    return done


async def _broke_off(town: Town, steps: Sequence[Step]) -> bool:
    """Whether the disk stopped before all was done."""
    try:
        for step in steps:
            await step(town)
    except (StoreInDoubt, StoreFull):
        return True
    return False


async def _end(town: Town) -> None:
    with suppress(StoreInDoubt, StoreFull, apsw.Error):  # SQLite ignores them
        await town.players[town.role].store.close()
