"""From a node's store to the statement: seconds for 1,000 outcomes, and how it grows.

`python -m tests.bench.settle 1000000` measures one size by hand; each size is
measured in a process of its own, whose memory is then a node's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import trio

from p2pnode.services.collector import collector_paused
from p2pnode.store.sqlite import SqliteStore, open_store
from protocols.claims import Kind, Outcome, Seen, write_claim
from protocols.codec import encode
from protocols.feed import Head
from protocols.join import make_join, sign_card
from protocols.keys import AuthorKey, Scope, Signature, SigningKey, witness_scope
from protocols.limits import HEADS_MAX
from protocols.record import (
    EMPTY_HASH,
    HEADER,
    NO_BACKLINK,
    VERSION,
    Header,
    Record,
    record_id,
)
from protocols.settlement.money import Accounts
from protocols.settlement.settle import Settlement, settle
from protocols.settlement.verify import Evidence, declare, find_terms
from protocols.terms import Act, Halving, Once, Party, Reward, Role
from tests.bench import peers
from tests.bench.figures import Row, scaled
from tests.worlds import (
    NETWORK,
    SCAN_STAGE,
    World,
    key_of,
    salt_of,
)

SIZES = (1_000, 10_000, 100_000)
ACTS_EACH = 5
"""Purchases of a participant: the target counts 1,000,000 by 200,000."""

INVITED_EACH = 3
"""Participants each one invites: chains of about log3(participants)."""

SHOPS = 20
BATCH = 4_096
"""Records stored at once."""

SECONDS_MOST = 0.015
"""A thousand outcomes: 15 s for 1,000,000."""

STAGE = replace(
    SCAN_STAGE,
    id="buy",
    act=Act.OUTCOME,
    tags=None,
    grade=5,
    once=Once.NEVER,
    reward=Reward(rule=Halving(), amount=0, percent_bp=1_000, host_bp=0, back_bp=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """CPU seconds for one size, and the most memory it took."""

    acts: int
    load: float
    """From the file to records in memory."""
    declare: float
    """The cut from the witnesses' feeds, the fold and its roots."""
    fold: float
    """The fold alone."""
    first: float
    """Cut and fold where no signature inside a claim was checked before."""
    kernel: float
    """Chains and money alone."""
    kernel_wall: float
    duckdb: float | None
    """The same by DuckDB's recursive query, wall time; None: not installed."""
    memory_mb: float


class Market(World):
    """Everybody buys at twenty shops, showing a card; nobody scans anything.

    Joins and cards are signed. Records are not: what stands in a node's own store
    was verified when it came, and settling never looks at it.
    """

    def __init__(self, acts: int) -> None:
        self.shops = sorted(
            (key_of(f"shop {i}") for i in range(SHOPS)), key=lambda key: key.author
        )
        named = tuple(
            Party(
                keys=(key.author,),
                role=Role.MERCHANT,
                name="shop",
                amount_max=2**40,
                per_day_max=2**53 - 1,
                total_max=2**53 - 1,
            )
            for key in self.shops
        )
        changes = {"named": named, "conditions": ()}
        super().__init__(balloons=1, stages=(STAGE,), budget=2**53 - 1, changes=changes)
        self.people: list[SigningKey] = []
        self._populate(max(acts // ACTS_EACH, 1))
        for shop in self.shops:
            self.enter(shop)
        for number in range(acts):
            self._buy(number)
        self._list_all(None)
        self.now = self.terms.rounds[0].final_from
        self._list_all(1)

    def _populate(self, count: int) -> None:
        for number in range(count):
            key = key_of(f"p{number}")
            above = (number - 1) // INVITED_EACH
            inviter = self.people[above] if number else self.sponsor
            invite, signature, secret = self.invite(inviter, tag=str(number))
            claim = make_join(invite, signature, secret, key.author, salt_of(number))
            self._put(key, Kind.JOIN, write_claim(Kind.JOIN, claim))
            self.people.append(key)

    def _buy(self, number: int) -> None:
        key = self.people[number % len(self.people)]
        card = sign_card(key, NETWORK, self.scope, self.now, number.to_bytes(8, "big"))
        claim = Outcome(
            salt=number.to_bytes(16, "big"),
            stage=0,
            author=key.author,
            amount=number * 7_919 % 100_000 + 100,
            after=(),
            card=card,
        )
        shop = self.shops[number % SHOPS]
        self._put(shop, Kind.OUTCOME, write_claim(Kind.OUTCOME, claim))

    def _list_all(self, final: int | None) -> None:
        """Let every witness list all heads, as many a record as fit."""
        moved = sorted(
            (author, head.seq, head.id)
            for (scope, author), head in self.heads.items()
            if scope == self.scope and final is None
        )
        for key in self.witness_keys:
            for at in range(0, max(len(moved), 1), HEADS_MAX):
                heads = tuple(moved[at : at + HEADS_MAX])
                claim = Seen(salt=salt_of(at, final), final=final, heads=heads)
                data = write_claim(Kind.SEEN, claim)
                self._put(key, Kind.SEEN, data, witness_scope(self.scope))

    def _put(
        self, key: SigningKey, kind: Kind, claim: bytes, scope: Scope | None = None
    ) -> None:
        """Add a record without a signature; time moves by a millisecond."""
        self.now += 1
        place = (self.scope if scope is None else scope, key.author)
        head = self.heads.get(place)
        header = Header(
            version=VERSION,
            network=NETWORK,
            author=key.author,
            scope=place[0],
            seq=0 if head is None else head.seq + 1,
            backlink=NO_BACKLINK if head is None else head.id,
            time_ms=self.now,
            kind=kind,
            claim_size=len(claim),
            claim_hash=sha256(claim).digest(),
            note_size=0,
            note_hash=EMPTY_HASH,
        )
        header_bytes = encode(HEADER.write(header))
        record = Record(
            header=header,
            header_bytes=header_bytes,
            claim_bytes=claim,
            note_bytes=None,
            signature=Signature(bytes(64)),
            id=record_id(header_bytes),
        )
        self.records.append(record)
        self.heads[place] = Head(record.seq, record.id)


def measure(share: float) -> list[Row]:
    """Seconds for 1,000 outcomes at three sizes."""
    spent = [play(scaled(acts, min(1.0, share), 50)) for acts in SIZES]
    rows = [row for one in spent for row in _rows(one)]
    first, last = (1000 * one.declare / one.acts for one in (spent[0], spent[-1]))
    growth = Row(
        subject="settle",
        figure=f"a thousand at {spent[-1].acts:,} against at {spent[0].acts:,}",
        value=last / first,
        unit="times",
        most=1.5,
        beside="1: it grows with the outcomes, not faster",
    )
    return [*rows, growth]


def play(acts: int) -> Spent:
    """Store a market of so many outcomes, and settle it in another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "node.sqlite"
        market = Market(acts)
        trio.run(_store, path, market.records)
        scope = market.scope.hex()
        del market
        command = [sys.executable, "-m", "tests.bench.settle", str(acts)]
        done = subprocess.run(
            [*command, "--store", str(path), "--campaign", scope],
            check=True,
            stdout=subprocess.PIPE,
        )
    return Spent(**json.loads(done.stdout))


async def _store(path: Path, records: list[Record]) -> None:
    store = await open_store(path)
    for start in range(0, len(records), BATCH):
        await store.append(records[start : start + BATCH])
    await store.close()


async def _load(path: Path, campaign: Scope) -> tuple[Evidence, float]:
    """What a node holds of a campaign, as `Library` reads it; CPU seconds."""
    store = await open_store(path)
    start = time.process_time()
    evidence = await _read(store, campaign)
    done = time.process_time()
    await store.close()
    return evidence, done - start


async def _read(store: SqliteStore, campaign: Scope) -> Evidence:
    evidence = Evidence()
    with collector_paused():
        for scope in (campaign, witness_scope(campaign)):
            for record in await store.scope_records(scope):
                evidence.add(record)
    return evidence


def settle_stored(acts: int, path: Path, campaign: Scope) -> Spent:
    """Settle what is in a store, in this process."""
    evidence, load = trio.run(_load, path, campaign)
    ((_, terms),) = find_terms(evidence.by_id.values())
    with collector_paused():
        start = time.process_time()
        closing = declare(terms, 1, [], evidence)  # from now on it is remembered
        first = time.process_time() - start
        start = time.process_time()
        assert declare(terms, 1, [], evidence).settlement.statement_root
        whole = time.process_time() - start
        start = time.process_time()
        again = settle(terms, [closing.declared], evidence.lookup, evidence.checked)
        fold = time.process_time() - start
    assert len(again.grants) == acts, f"{len(again.grants)} of {acts} granted"
    assert again.lines == closing.settlement.lines
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kernel, kernel_wall, earned = _kernel(again)
    return Spent(
        acts=acts,
        load=load,
        declare=whole,
        fold=fold,
        first=first,
        kernel=kernel,
        kernel_wall=kernel_wall,
        duckdb=_duckdb(again, earned),
        memory_mb=memory_mb,
    )


def _kernel(settled: Settlement) -> tuple[float, float, dict[AuthorKey, int]]:
    """Chains and money of all grants: CPU and wall seconds, and who earned what."""
    reward = STAGE.reward
    assert reward is not None
    acts = [
        (grant.pool, grant.act.person.root)
        for grant in settled.grants
        if grant.act.person is not None
    ]
    with collector_paused():
        cpu, wall = time.process_time(), time.perf_counter()
        accounts = Accounts(limits=settled.grants[0].limits)
        for pool, root in acts:
            accounts.add(reward, pool, root, None, ())
        earned = accounts.earned(settled.admission.persons.values())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert sum(earned.values()) == settled.earned
    return cpu, wall, earned


def _duckdb(settled: Settlement, earned: dict[AuthorKey, int]) -> float | None:
    """Wall seconds of the recursive query over the same chains and pools."""
    persons = list(settled.admission.persons.values())
    number = {person.root: index for index, person in enumerate(persons)}
    with tempfile.TemporaryDirectory() as folder:
        people, acts = Path(folder) / "people.csv", Path(folder) / "acts.csv"
        above = (p.inviter and number[p.inviter.root] for p in persons)
        _csv(people, enumerate("" if one is None else one for one in above))
        _csv(
            acts,
            (
                (number[grant.act.person.root], grant.pool)
                for grant in settled.grants
                if grant.act.person is not None
            ),
        )
        found = peers.run("duckdb_chains.py", people, acts)
    if found is None:
        return None
    theirs = {persons[person].root: amount for person, amount in found["earned"]}
    assert theirs == earned, "DuckDB shares it otherwise"
    return float(found["seconds"])


def _csv(path: Path, rows: Iterable[tuple[object, object]]) -> None:
    path.write_text("".join(f"{one},{other}\n" for one, other in rows))


def _rows(spent: Spent) -> list[Row]:
    name = f"{spent.acts:,} outcomes"
    per = partial(_per_thousand, spent)
    whole = spent.load + spent.declare
    peer = "DuckDB is not here: `make peers`"
    if spent.duckdb is not None:
        peer = f"DuckDB's recursive query {spent.duckdb:.3g} s, the same sums"
    return [
        Row(
            subject="settle",
            figure=f"{name}: whole, from the store, CPU a thousand",
            value=per(whole),
            unit="s",
            most=SECONDS_MOST,
            beside=f"reading {per(spent.load):.3g}, "
            f"cut {per(spent.declare - spent.fold):.3g}, fold {per(spent.fold):.3g} s; "
            f"cut and fold with every signature inside {per(spent.first):.3g} s; "
            f"{spent.memory_mb:,.0f} MB",
        ),
        Row(
            subject="settle",
            figure=f"{name}: chains and money alone, wall",
            value=spent.kernel_wall,
            unit="s",
            most=spent.duckdb,
            beside=peer,
        ),
    ]


def _per_thousand(spent: Spent, seconds: float) -> float:
    return 1000 * seconds / spent.acts


def main() -> None:
    """One size by hand, or what `play` asks another process for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.settle")
    parser.add_argument("outcomes", type=int)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--campaign", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.store is None:
        print(json.dumps(asdict(play(chosen.outcomes)), indent=1))
    else:
        scope = Scope(bytes.fromhex(chosen.campaign))
        print(json.dumps(asdict(settle_stored(chosen.outcomes, chosen.store, scope))))


if __name__ == "__main__":
    main()
