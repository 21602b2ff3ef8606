"""What the bytes of a feed's first record show. Spec 0003, 0004.

Roles are judged by settlement. But terms that are not the scope's, or an
invite that nobody signed, show it themselves and are refused at the door.
"""

from __future__ import annotations

from protocols.claims import Kind
from protocols.errors import ProtocolError, Reason
from protocols.join import check_continue, check_join
from protocols.record import Record
from protocols.terms import campaign_id, check_terms


def check_genesis(record: Record) -> None:
    """Check a genesis record beyond its shape; others pass.

    The work of a public join is left to settlement: the terms name it.

    Raises:
        ProtocolError: for terms BAD_TERMS, WRONG_NETWORK, WRONG_CAMPAIGN (not
            the scope's), NOT_NAMED (signed by another than the sponsor); for
            join and continue those of `check_join` and `check_continue`.
    """
    if record.claim_bytes is None:
        return
    header = record.header
    match record.kind:
        case Kind.TERMS:
            terms = record.claim().terms
            check_terms(terms)
            if terms.network != header.network:
                raise ProtocolError(Reason.WRONG_NETWORK, terms.network.hex())
            if campaign_id(terms) != record.scope:
                raise ProtocolError(Reason.WRONG_CAMPAIGN, "terms of another scope")
            if record.author not in terms.sponsor:
                raise ProtocolError(Reason.NOT_NAMED, "not signed by the sponsor")
        case Kind.JOIN:
            join = record.claim()
            check_join(join, record.author, header.network, record.scope, 0)
        case Kind.CONTINUE:
            claim = record.claim()
            check_continue(claim, record.author, header.network, record.scope, 0)
        case _:
            return
