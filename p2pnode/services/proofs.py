"""Proofs that this node can give, and its word about closes that are wrong. 0012."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from p2pnode.failures import NOT_FOUND, Failure
from p2pnode.services.feeds import Draft
from protocols.claims import Dispute, Kind
from protocols.keys import AuthorKey, RecordId, witness_scope
from protocols.merkle import Tree, root
from protocols.proof import ProofKind, check_proof, write_proof
from protocols.proving import Charge, charges, make_proof
from protocols.settlement.cut import Incomplete
from protocols.settlement.verify import Verdict

if TYPE_CHECKING:
    from p2pnode.ports import Rng
    from p2pnode.services.acts import Acts
    from p2pnode.services.closing import Books, Verified
    from p2pnode.services.feeds import Feeds
    from p2pnode.services.library import Library, View
    from protocols.feed import ForkProof
    from protocols.record import Record


def find(
    view: View, verified: Verified, forks: Iterable[ForkProof] = ()
) -> list[Charge]:
    """Every cheat that a view shows, the gravest first."""
    return charges(view.terms, view.evidence, verified.reports, forks)


def proof_file(view: View, charge: Charge) -> Iterator[bytes]:
    """The proof of a charge; nothing is handed out that does not prove it.

    Raises:
        Incomplete: what shows it is not all here.
        ProtocolError: it proves nothing, or is too large for a file of its own.
    """
    proof = make_proof(view.terms_record, view.evidence, charge)
    check_proof(write_proof(proof))
    return write_proof(proof)


DISPUTES_MAX: Final = 16
"""Closes of one campaign that a node disputes: more would say nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A close that somebody disputes, and what this node finds of it."""

    record: Record
    close: RecordId
    statement_root: bytes
    """Of the statement that the disputer computed."""
    round: int | None
    """None: the close is not here."""
    verdict: Verdict
    """What was computed here: nobody's word is believed."""


def disputes(view: View, verified: Verified, found: Sequence[Charge]) -> list[Disputed]:
    """The disputes that are held, the last of each author about a close."""
    latest: dict[tuple[RecordId, AuthorKey], Record] = {}
    for record in view.evidence.by_id.values():
        if record.kind == Kind.DISPUTE and record.claim_bytes is not None:
            key = RecordId(record.claim().close), record.author
            known = latest.get(key)
            if known is None or known.seq < record.seq:
                latest[key] = record
    reports = {report.close.id: report for report in verified.reports}
    wrong = _wrong_closes(found)
    listed = []
    for (close, _author), record in sorted(latest.items()):
        report, verdict = reports.get(close), Verdict.INCOMPLETE
        if close in wrong:
            verdict = Verdict.WRONG
        elif report is not None and Verdict.INCOMPLETE not in (
            report.statement,
            report.cut,
        ):
            verdict = Verdict.OK
        listed.append(
            Disputed(
                record=record,
                close=close,
                statement_root=record.claim().statement_root,
                round=None if report is None else report.claim.round,
                verdict=verdict,
            )
        )
    return listed


def _wrong_closes(found: Iterable[Charge]) -> dict[RecordId, None]:
    """The closes that the charges are about."""
    ids: dict[RecordId, None] = {}
    for charge in found:
        if charge.kind is not ProofKind.FORK:
            both = charge.kind is ProofKind.DOUBLE_CLOSE
            for subject in charge.subjects[: 2 if both else 1]:
                ids[RecordId(subject)] = None
    return ids


class Proofs:
    """What this node can prove, and what it says of it to those who follow."""

    def __init__(
        self, library: Library, feeds: Feeds, books: Books, acts: Acts, rng: Rng
    ) -> None:
        self._library = library
        self._feeds = feeds
        self._books = books
        self._acts = acts
        self._rng = rng

    async def find(self, view: View) -> list[Charge]:
        """As `find`, after looking for what the verification lacks."""
        verified = await self._books.verified(view)
        scopes = (view.campaign, witness_scope(view.campaign))
        forks = [fork for scope in scopes for fork in self._feeds.forks(scope)]
        work = partial(find, verified=verified, forks=forks)
        return await self._books.read(view, work)

    async def file(self, view: View, kind: str = "") -> Iterator[bytes]:
        """The gravest proof, or the first of a kind.

        Raises:
            Failure: `nothing-proven`, `incomplete`.
            ProtocolError: as `proof_file`.
        """
        for charge in await self.find(view):
            if kind in ("", charge.kind.word):
                try:
                    return await self._books.read(
                        view, partial(proof_file, charge=charge)
                    )
                except Incomplete as error:
                    raise Failure(
                        "incomplete",
                        "{count} records of this proof are not here yet.",
                        "All records that the proof rests on.",
                        "Wait for neighbours to bring them, then try again.",
                        count=len(error.missing),
                    ) from None
        raise Failure(
            "nothing-proven",
            "Nothing here shows that anybody cheated in this way.",
            "A fork, a second close, or a close that does not follow.",
            "See p2pnode campaign verify.",
            NOT_FOUND,
        )

    async def dispute(self, view: View) -> tuple[Record, ...]:
        """Sign a dispute of each close that is wrong and that I have not disputed.

        Of one campaign `DISPUTES_MAX` in all, the gravest first: a sponsor that signs
        wrong closes by the thousand would have me fill my own feed.

        Raises:
            Failure: `not-joined`, this node has no key in the campaign.
            FeedStopped, StoreInDoubt, StoreFull: nothing was signed.
        """
        wrong = _wrong_closes(await self.find(view))
        if not wrong:
            return ()
        key = await self._acts.enter(view)
        mine = view.evidence.feed(view.campaign, key.author)
        said = {one.claim().close for one in mine if one.kind == Kind.DISPUTE}
        verified = await self._books.verify(view)
        reports = {one.close.id: one for one in verified.reports}
        drafts = []
        for close in wrong:
            if close in said:
                continue
            settled = reports[close].settlement
            own = (
                root(Tree.STATEMENT, []) if settled is None else settled.statement_root
            )
            claim = Dispute(salt=self._rng.token(16), close=close, statement_root=own)
            drafts.append(Draft(kind=Kind.DISPUTE, claim=claim))
        del drafts[max(0, DISPUTES_MAX - len(said)) :]
        if not drafts:
            return ()
        return await self._feeds.publish_many(key, view.campaign, drafts)
