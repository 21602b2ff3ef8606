"""What honest nodes must say of every close, whoever cheats.

They say the same; they find what is wrong and nothing else; under a close that they
accept, what was promised is paid and nothing beyond the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pnode.swarm.torture import money
from p2pnode.swarm.torture.offer import (
    BUY,
    FIND,
    FOUND,
    GREET,
    GREETED,
    ORDER,
    PERCENT_BP,
    REFUND_S,
)
from protocols.claims import Kind
from protocols.errors import ProtocolError
from protocols.join import check_card
from protocols.settlement.cut import Incomplete
from protocols.settlement.money import Why
from protocols.settlement.verify import Verdict, declared_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pnode.services.closing import Verified
    from p2pnode.services.library import View
    from p2pnode.swarm.torture.checks import Checks
    from p2pnode.swarm.torture.oracle import Oracle
    from p2pnode.swarm.torture.play import Play, Promise
    from protocols.keys import AuthorKey, RecordId
    from protocols.settlement.settle import Settlement
    from protocols.settlement.verify import CloseReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The end of a play: all that honest nodes hold, and what each says of it."""

    play: Play
    checks: Checks
    views: Mapping[str, View]
    """What each honest node holds."""
    oracle: Oracle
    found: Mapping[str, Verified]
    """What each honest node says."""

    @property
    def view(self) -> View:
        """What one of them holds."""
        return next(iter(self.views.values()))

    def want(self, holds: object, wanted: str, found: object) -> None:
        """Note it if the cheat got through, or somebody honest is accused."""
        if not holds:
            self.checks.breach("cheat", wanted, str(found))

    def reports(self) -> list[tuple[str, CloseReport]]:
        """Every close, as every honest node that holds it judges it."""
        return [(name, one) for name in self.found for one in self.found[name].reports]


def judge(scene: Scene) -> None:
    """Look at what everybody says, and at the money."""
    _check_same(scene)
    for name, report in scene.reports():
        _check_verdict(scene, name, report)
    done: dict[bytes, None] = {}
    for name, found in scene.found.items():
        settled: list[tuple[bytes, int, Settlement, tuple[RecordId, ...]]] = [
            (one.close.id, one.claim.round, one.settlement, one.claim.finals)
            for one in found.reports
            if one.settlement and _is_accepted(one)
        ]
        if found.unclosed is not None and not found.reports:
            closing = found.unclosed
            finals = closing.declared.finals
            number = closing.declared.round
            key = b"".join(finals)
            settled.append((key, number, closing.settlement, finals))
        for key, number, settlement, finals in settled:
            if key not in done:
                done[key] = None
                _check_paid(scene, name, number, settlement, finals)
    scene.play.cheat.expect(scene)


def _is_accepted(report: CloseReport) -> bool:
    return report.statement is Verdict.OK and report.cut is Verdict.OK


def _check_same(scene: Scene) -> None:
    """I2: one close, or one set of finals, has one answer everywhere."""
    said: dict[bytes, tuple[object, str]] = {}
    for name, found in scene.found.items():
        answers: list[tuple[bytes, object]] = [
            (report.close.id, money.answer(report)) for report in found.reports
        ]
        if found.unclosed is not None:
            closing = found.unclosed
            chain = [report.close.id for report in found.reports]
            key = b"".join([*chain, *closing.declared.finals])
            answers.append((key, closing.settlement.statement_root))
        for key, answer in answers:
            known, first = said.setdefault(key, (answer, name))
            if known != answer:
                both = f"{known} at {first}, {answer} at {name}"
                scene.checks.breach("I2", "the same answer everywhere", both)


def _check_verdict(scene: Scene, name: str, report: CloseReport) -> None:
    """I5: a cut is found right or wrong, and wrong in what, as the rule says."""
    oracle, checks = scene.oracle, scene.checks
    try:
        evidence = scene.views[name].evidence
        declared = declared_chain(scene.view.terms, report.close, evidence)
    except (Incomplete, ProtocolError):
        if report.statement is Verdict.OK:
            checks.breach("I5", "no answer without the lists", f"one at {name}")
        return
    support = oracle.support(report.claim.round, report.claim.finals)
    if support is None or len(declared) > 1:
        if report.cut is Verdict.OK:
            checks.breach("I5", "no answer without the finals", f"one at {name}")
        return
    wanted = list(oracle.findings(declared[0], support))
    found = [(one.author, one.kind) for one in report.findings]
    if found != wanted or (report.cut is Verdict.OK) == bool(wanted):
        expected = ", ".join(f"{k} {a.hex()[:8]}" for a, k in wanted) or "a right cut"
        listed = ", ".join(f"{k} {a.hex()[:8]}" for a, k in found)
        checks.breach("I5", expected, f"{report.cut} at {name}: {listed}")


def _check_paid(
    scene: Scene,
    name: str,
    number: int,
    settlement: Settlement,
    finals: tuple[RecordId, ...],
) -> None:
    """What was promised is granted, and nothing beyond the rule."""
    support = scene.oracle.support(number, finals)
    if support is None:
        return
    times = support.times
    for grant in settlement.grants:
        seen = times.get(grant.act.id)
        if seen is None or seen != grant.act.item.witness_time:
            found = f"{grant.act.id.hex()[:8]} granted at {name}"
            scene.checks.breach("I5", "grants for what f+1 saw in time", found)
    _check_beyond(scene, settlement, support.forks)
    safe = scene.oracle.safe(number)
    for promise in scene.play.campaign.promises:
        genesis = [*scene.oracle.line(promise.record.id)][-1:]
        if promise.stage != FIND:
            feed = scene.view.evidence.feed(scene.view.campaign, promise.person)
            genesis = [record.id for record in feed[:1]]
        if promise.record.id in safe and genesis and genesis[0] in safe:
            _check_promise(scene, number, settlement, times, promise)


def _check_promise(
    scene: Scene,
    number: int,
    settlement: Settlement,
    times: Mapping[RecordId, int],
    promise: Promise,
) -> None:
    """An honest person's safe act is granted what the terms say."""
    one, terms = promise.record.id, scene.view.terms.rounds[number - 1]
    seen = times.get(one)
    if seen is None:
        scene.checks.breach("paid", f"{one.hex()[:8]}, safe, to count", "it does not")
        return
    if not terms.opens <= seen <= terms.closes:
        return  # a later round judges it
    if promise.stage == ORDER and terms.accept_until < seen + 1_000 * REFUND_S:
        return
    pools = {grant.act.id: grant.pool for grant in settlement.grants}
    pool, wanted = pools.get(one, 0), _promised(scene, times, promise)
    spent = settlement.unspent == 0 or sum(pools.values()) == scene.view.terms.budget
    if pool == wanted or (spent and pool < wanted):
        return
    rival = promise.stage == FIND and _rival(settlement, promise)
    if not (rival and times[rival] <= seen):
        found = f"{pool} for {one.hex()[:8]} of {promise.person.hex()[:8]}"
        scene.checks.breach("paid", f"{wanted} granted", found)


def _promised(scene: Scene, times: Mapping[RecordId, int], promise: Promise) -> int:
    """The pool of an act: of an order what was not taken back in time."""
    if promise.stage in (FIND, GREET):
        return FOUND if promise.stage == FIND else GREETED
    back = 0
    until = times[promise.record.id] + (
        1_000 * REFUND_S if promise.stage == ORDER else 0
    )
    for one, seen in times.items():
        record = scene.oracle.by_id[one]
        if record.kind == Kind.REVERSAL and seen <= until:
            claim = record.claim()
            mine = record.author == promise.record.author
            if mine and claim.outcome == promise.record.id:
                back += claim.amount
    return max(0, promise.amount - back) * PERCENT_BP // 10_000


def _rival(settlement: Settlement, promise: Promise) -> RecordId | None:
    """Whose scan of the same serial was granted."""
    slot = promise.record.claim().evidence.key
    for grant in settlement.grants:
        if grant.act.row is not None and grant.act.row.slot == slot:
            return grant.act.id
    return None


def _check_beyond(
    scene: Scene,
    settlement: Settlement,
    forks: Mapping[AuthorKey, tuple[int, RecordId, RecordId]],
) -> None:
    """Nobody is granted twice, unbound, over caps, erased, or by a spent invite."""
    used: dict[object, RecordId] = {}

    def once(what: str, key: object, one: RecordId) -> None:
        if used.setdefault((what, key), one) != one:
            scene.want(False, f"one grant for a {what}", one.hex()[:8])

    desks: dict[bytes, int] = {}
    for grant in settlement.grants:
        act, record = grant.act, grant.act.item.record
        if act.stage_index == FIND:
            assert act.row is not None
            once("serial", act.row.slot, act.id)
            erased = [c for c in settlement.counted if c.record.kind == Kind.ERASE]
            gone = any(
                (c.record.author, c.claim.record) == (record.author, act.id)
                for c in erased
            )
            scene.want(not gone, "nothing for an erased scan", act.id.hex()[:8])
        else:
            claim = record.claim()
            scene.want(_is_bound(scene, claim), "bound words only", act.id.hex()[:8])
            once("card", claim.card.nonce, act.id)
        if act.stage_index in (BUY, ORDER):
            desks[record.author] = desks.get(record.author, 0) + act.amount
            party = scene.view.terms.party(record.author)
            most = (party.amount_max, party.total_max) if party else (0, 0)
            under = act.amount <= most[0] and desks[record.author] <= most[1]
            scene.want(under, f"amounts under {most}", act.amount)
        listed = forks.get(record.author)
        for share in grant.shares:
            own = (
                share.why is Why.CHAIN and act.person and share.payee == act.person.root
            )
            if own and listed is not None and listed[0] <= record.seq:
                scene.want(
                    share.withheld, "a forker's share withheld", act.id.hex()[:8]
                )
    _check_invites(scene, settlement)


def _is_bound(scene: Scene, claim: object) -> bool:
    """Whether a merchant's word embeds the card of whom it names."""
    card, author = getattr(claim, "card", None), getattr(claim, "author", None)
    if card is None or card.author != author:
        return False
    try:
        check_card(card, scene.view.terms.network, scene.view.campaign)
    except ProtocolError:
        return False
    return True


def _check_invites(scene: Scene, settlement: Settlement) -> None:
    came: dict[object, int] = {}
    for person in settlement.admission.persons.values():
        invite = person.join.invite
        if person.refused is None and invite.uses:
            came[invite] = came.get(invite, 0) + 1
            scene.want(
                came[invite] <= invite.uses, f"{invite.uses} by an invite", came[invite]
            )
