"""What must hold after every step and in the end: I1 to I9 of the invariants.

Checkers do not trust the code they check: signatures, links and covers are
looked at here once more, by other means where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from p2pnode.swarm.torture.town import STREET, identity_of
from protocols.errors import ProtocolError
from protocols.keys import preimage, witness_scope
from protocols.record import NO_BACKLINK, build_record, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from p2pnode.node import Node
    from p2pnode.services.feeds import Change
    from p2pnode.swarm.torture.town import Home, Town
    from protocols.feed import ForkProof
    from protocols.keys import AuthorKey, RecordId, Scope
    from protocols.record import Record

PULSE_S: Final = 1.0
"""How often counters are looked at, besides after each commit."""

Place = tuple["Scope", "AuthorKey", int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An invariant that did not hold."""

    checker: str
    """`I1` to `I9`, or `errors` for what no service may raise."""
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.checker}: expected {self.expected}; found {self.found}"


class Checks:
    """Looks at everything that happens; the first breach ends the world.

    Args:
        honest: names of those who keep the rules.
        stop: called at the first breach.
    """

    def __init__(self, honest: Sequence[str], stop: Callable[[], None]) -> None:
        self.broken: Broken | None = None
        self.shown: dict[str, dict[RecordId, None]] = {name: {} for name in honest}
        """Name -> ids of what the node once said it holds."""
        self.own: dict[RecordId, str] = {}
        """What honest nodes published, and who."""
        self._stop = stop
        self._town: Town | None = None
        self._sound: dict[tuple[RecordId, bytes], bool] = {}
        self._signed: dict[Place, dict[RecordId, None]] = {}
        self._keys: dict[AuthorKey, str] = {}
        """Keys that only one honest node signs by, and which."""

    def breach(self, checker: str, wanted: str, found: str) -> None:
        """Note a breach; the first one counts."""
        if self.broken is None:
            self.broken = Broken(checker=checker, expected=wanted, found=found)
            self._stop()

    def settle_in(self, town: Town) -> None:
        """Say which world this is about."""
        self._town = town

    def begin(self, campaign: Scope) -> None:
        """Note by which keys the honest sign in the campaign and on the street."""
        assert self._town is not None
        for name in self.shown:
            identity = identity_of(self._town.plan, name)
            keys = [identity.person_key(scope, 0) for scope in (campaign, STREET)]
            keys += [identity.author_key] if identity.author_key else []
            self._keys.update({key.author: name for key in keys})

    def watch(self, home: Home, node: Node) -> None:
        """Look over a node of an honest owner in a new life."""
        if home.name not in self.shown:
            return

        def changed(change: Change) -> None:
            self._shown(home, change)
            self._look(home, node)

        node.feeds.subscribe(changed)

    # After each commit.

    def _shown(self, home: Home, change: Change) -> None:
        """I1 and I5: what a node shows lies on its disk, and is sound."""
        for record in change.records:
            if home.disk.peek(record.id) is None:
                self.breach(
                    "I1", "what is shown to be on the disk", _name(home, record)
                )
            if not self.is_sound(record):
                self.breach("I5", "nothing badly signed", _name(home, record))
            self.shown[home.name][record.id] = None
            if change.source is None and record.author in self._keys:
                self.own.setdefault(record.id, home.name)
        for proof in change.forks:
            self._no_double(home, proof)

    def signed(self, record: Record) -> None:
        """I8: a place is signed again only if what was signed first is nowhere.

        Called whenever any key signs a record.
        """
        assert self._town is not None
        if record.author not in self._keys:
            return
        place = (record.scope, record.author, record.seq)
        known = self._signed.setdefault(place, {})
        for other in known:
            for home in self._town.homes.values():
                if other != record.id and home.disk.peek(other) is not None:
                    found = f"{_name(home, record)}, and a second is signed"
                    self.breach("I8", "one record signed at one place", found)
        known[record.id] = None

    def _no_double(self, home: Home, proof: ForkProof) -> None:
        """I8: there is no proof against an honest key."""
        owner = self._keys.get(proof.author)
        if owner is not None:
            self.breach("I8", f"no fork of {owner}", f"a proof at {home.name}")

    def is_sound(self, record: Record) -> bool:
        """Whether its parts and signature are what its id says; asks libsodium."""
        key = (record.id, record.signature)
        if key not in self._sound:
            self._sound[key] = _is_sound(record)
        return self._sound[key]

    # At any time.

    async def pulse(self) -> None:
        """Look at every node's counters now and then, until cancelled."""
        assert self._town is not None
        while True:
            await trio.sleep(PULSE_S)
            for home in self._town.homes.values():
                if home.node is not None and home.name in self.shown:
                    self._look(home, home.node)

    def _look(self, home: Home, node: Node) -> None:
        """I6: everything that waits is under its bound."""
        for gauge in node.gauges():
            if gauge.value > gauge.most:
                self.breach(
                    "I6",
                    f"{gauge.what} at most {gauge.most}",
                    f"{gauge.value} at {home.name}",
                )


def check_stores(checks: Checks, town: Town, scopes: Sequence[Scope]) -> None:
    """I1 and I5 over the disks: nothing shown is lost, all feeds are whole."""
    for home in _honest(checks, town):
        for shown in checks.shown[home.name]:
            if home.disk.peek(shown) is None:
                found = f"{shown.hex()[:8]} lost by {home.name}"
                checks.breach("I1", "nothing lost that was shown", found)
        _check_feeds(checks, home)
    found = absent(checks, town, scopes)
    if found:
        checks.breach("I1", "what was acknowledged to be everywhere", found)


def absent(checks: Checks, town: Town, scopes: Sequence[Scope]) -> str:
    """I1: what an honest node published and another lacks; "" if nothing."""
    for published, owner in checks.own.items():
        record = town.homes[owner].disk.peek(published)
        if record is None or town.homes[owner].is_gone or record.scope not in scopes:
            continue
        for home in _honest(checks, town):
            if home.disk.peek(published) is None:
                return f"{_name(town.homes[owner], record)} is not at {home.name}"
    return ""


def _check_feeds(checks: Checks, home: Home) -> None:
    """I5: what lies on a disk is sound, and its feeds have no gap."""
    feeds: dict[tuple[Scope, AuthorKey], list[Record]] = {}
    for held in home.disk.snapshot().held.values():
        if not checks.is_sound(held.record):
            checks.breach("I5", "sound records only", _name(home, held.record))
        if not held.branch:
            feed = (held.record.scope, held.record.author)
            feeds.setdefault(feed, []).append(held.record)
    for records in feeds.values():
        _check_links(checks, home, sorted(records, key=lambda one: one.seq))


def _check_links(checks: Checks, home: Home, feed: Sequence[Record]) -> None:
    """I5: a feed begins at 0, has no gap, and each record names the one before."""
    before = NO_BACKLINK
    for seq, record in enumerate(feed):
        if (record.seq, record.header.backlink) != (seq, before):
            checks.breach("I5", "records linked from 0 on", _name(home, record))
        before = record.id


def differing(checks: Checks, town: Town, scopes: Sequence[Scope]) -> str:
    """I4: which honest nodes that are here do not agree; "" if all do."""
    for scope in scopes:
        roots: dict[bytes, list[str]] = {}
        for home in _honest(checks, town):
            node = home.node
            known = node is not None and scope in node.feeds.followed
            root = node.feeds.frontier(scope).root if node and known else b""
            roots.setdefault(root, []).append(home.name)
        if len(roots) > 1 or b"" in roots:
            parts = sorted(roots.values(), key=len)
            return f"{scope.hex()[:8]}: " + " | ".join("+".join(p) for p in parts)
    return ""


def check_forks(checks: Checks, town: Town, scopes: Sequence[Scope]) -> None:
    """I7: every fork is one sound proof, the same everywhere."""
    for scope in scopes:
        verdicts: dict[tuple[bytes, ...], str] = {}
        for home in _honest(checks, town):
            proofs = () if home.node is None else home.node.feeds.forks(scope)
            if not all(map(_proves, proofs)):
                checks.breach("I7", "sound proofs only", f"one at {home.name}")
            verdict = tuple(part for p in proofs for part in (p.author, *p.ids))
            verdicts.setdefault(verdict, home.name)
        if len(verdicts) > 1:
            names = " and ".join(verdicts.values())
            checks.breach("I7", "one verdict on every fork", f"two, at {names}")
    _check_proven(checks, town)


def _check_proven(checks: Checks, town: Town) -> None:
    """I7: where two nodes hold different records at one place, both can prove it."""
    both: dict[Place, RecordId] = {}
    for home in _honest(checks, town):
        for record in home.records:
            place = (record.scope, record.author, record.seq)
            if both.setdefault(place, record.id) == record.id or home.node is None:
                continue
            if home.node.feeds.fork(record.scope, record.author) is None:
                checks.breach("I7", "a proof of each fork", _name(home, record))


def check_logs(checks: Checks, town: Town, lines: Sequence[str]) -> None:
    """I9: no secret stands in a log."""
    text = "\n".join(lines)
    for secret in town.secrets:
        for written in (secret.hex(), repr(bytes(secret))[2:-1]):
            if written in text:
                checks.breach("I9", "no secret in the logs", written[:8] + "...")


def _honest(checks: Checks, town: Town) -> Iterator[Home]:
    """The homes of the honest who did not leave for ever."""
    for home in town.homes.values():
        if home.name in checks.shown and not home.is_gone:
            yield home


def scopes_of(campaign: Scope, *, street: bool) -> tuple[Scope, ...]:
    """What all nodes keep."""
    both = (campaign, witness_scope(campaign))
    return (*both, STREET) if street else both


def _is_sound(record: Record) -> bool:
    header = record.header_bytes
    try:
        build_record(header, record.claim_bytes, record.note_bytes, record.signature)
    except ProtocolError:
        return False
    if record.claim_bytes is not None:
        hashed = sha256(record.claim_bytes).digest()
        if hashed != record.header.claim_hash:
            return False
    return record_id(header) == record.id and _is_signed(
        record.header.author, header, record.signature
    )


def _is_signed(author: bytes, header: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + preimage("record", header), author)
    except (BadSignatureError, ValueError):
        return False
    return True


def _proves(proof: ForkProof) -> bool:
    a = build_record(proof.header_a, None, None, proof.signature_a)
    b = build_record(proof.header_b, None, None, proof.signature_b)
    same = (a.scope, a.author, a.seq) == (b.scope, b.author, b.seq)
    return (
        same
        and a.id < b.id
        and _is_signed(a.author, proof.header_a, proof.signature_a)
        and _is_signed(b.author, proof.header_b, proof.signature_b)
    )


def _name(home: Home, record: Record) -> str:
    return (
        f"seq {record.seq} of {record.author.hex()[:8]} in {record.scope.hex()[:8]}"
        f" at {home.name}"
    )
