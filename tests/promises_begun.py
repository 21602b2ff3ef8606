"""Promises about what liars begin, list and prove, beside `tests/promises.py`."""

from __future__ import annotations

from typing import Final

from tests.promise import (
    EVIDENCE,
    JUDGE,
    LEDGER,
    ROWS,
    TESTIMONY,
    VERIFY,
    Promise,
)
from tests.promises_bound import STORED

ADMISSION: Final = "protocols/settlement/admission.py"
PROOF: Final = "protocols/proof.py"

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        said="A fork that nobody signed is none, whoever reports it.",
        spec="0009 §2",
        without=(TESTIMONY, "check_fork(proof, terms.network)", "assert proof"),
        tests=STORED,
        vectors=("0009 a fork that nobody signed",),
    ),
    Promise(
        said="What at most f witnesses list and is nowhere, nobody waits for.",
        spec="0009 §4",
        without=(
            EVIDENCE,
            "for ids in found.values() if len(ids) > terms.faults)",
            "for ids in found.values() if ids)",
        ),
        tests=STORED,
        vectors=("0009 a head that one of four lists, and that is nowhere",),
    ),
    Promise(
        said="A head is a record of that author at that place.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "if header.seq != seq or header.author != author:",
            "if header.seq != seq and header.author != author:",
        ),
        tests=STORED,
        vectors=("0009 heads at another place, of another author",),
    ),
    Promise(
        said="Witnesses list records of the campaign's own network.",
        spec="0009 §1",
        without=(
            EVIDENCE,
            "header.scope == scope and header.network == terms.network",
            "header.scope == scope",
        ),
        tests=STORED,
        vectors=("0009 a head of another network",),
    ),
    Promise(
        said="What is seen at `accept_until` counts.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "if seen_by[faults] <= until:",
            "if seen_by[faults] < until:",
        ),
        tests=STORED,
        vectors=("0009 seen 0 ms after accept_until",),
    ),
    Promise(
        said="A final of a round that the terms do not have is a plain `seen`.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "or not 1 <= number <= len(rounds)",
            "or not 1 <= number",
        ),
        tests=STORED,
        vectors=("0009 a final of a round that is none, before the true one",),
    ),
    Promise(
        said="A witness time later than any missing chain makes it is proven wrong.",
        spec="0009 §4",
        without=(
            EVIDENCE,
            "if latest is not None and steps[-1][1] > latest:",
            "if latest is None and earliest is None:",
        ),
        tests=STORED,
        vectors=("0009 a witness time later than a missing chain could make it",),
    ),
    Promise(
        said="A witness time earlier than any missing chain makes it is proven wrong.",
        spec="0009 §4",
        without=(
            EVIDENCE,
            "if earliest is None or steps[-1][1] < earliest:",
            "if earliest is None:",
        ),
        tests=STORED,
        vectors=("0009 a witness time earlier than a missing chain could make it",),
    ),
    Promise(
        said="No close of the sponsor's stands on one that a stranger signed.",
        spec="0009 §4",
        without=(
            VERIFY,
            "ours = here.author in terms.sponsor and here.scope == scope",
            "ours = here.scope == scope",
        ),
        tests=STORED,
        vectors=("0009 previous is a stranger's close",),
    ),
    Promise(
        said="Nor on one of another campaign.",
        spec="0009 §4",
        without=(
            VERIFY,
            "ours = here.author in terms.sponsor and here.scope == scope",
            "ours = here.author in terms.sponsor",
        ),
        tests=STORED,
        vectors=("0009 previous is another campaign's close",),
    ),
    Promise(
        said="What money rests on is of that round, and of scans that are gone.",
        spec="0009 §4",
        without=(
            VERIFY,
            "any(one in bare for one in act.item.claim.named)",
            "bool(bare)",
        ),
        tests=STORED,
        vectors=("0009 purchases by scans, erased and not, in two rounds",),
    ),
    Promise(
        said="Two closes of two rounds, each above its own, are no cheat.",
        spec="0012 §2",
        without=(
            PROOF,
            "if a.round != b.round and a.previous != b.previous:",
            "if a.round == 0:",
        ),
        tests=STORED,
        vectors=("0012 two closes of two rounds",),
    ),
    Promise(
        said="What a stranger signed convicts no sponsor.",
        spec="0012 §2",
        without=(
            PROOF,
            "ours = close.author in terms.sponsor and close.scope == proof.campaign",
            "ours = close.scope == proof.campaign",
        ),
        tests=STORED,
        vectors=("0012 a stranger's close beside one",),
    ),
    Promise(
        said="A key speaks for a person only where the root signed it.",
        spec="0011 §1",
        without=(
            LEDGER,
            "            checked.once(\n                record.id,",
            "            (lambda *_: None)(\n                record.id,",
        ),
        tests=STORED,
        vectors=("0011 paid, as a key says that the root did not sign",),
    ),
    Promise(
        said="By a public invite as many join as like.",
        spec="0004 §4",
        without=(
            ADMISSION,
            "if 0 < invite.uses < spent[invite]:",
            "if invite.uses < spent[invite]:",
        ),
        tests=STORED,
        vectors=("0004 two by one public invite",),
    ),
    Promise(
        said="Other terms than those of the campaign begin no feed.",
        spec="0004 §4",
        without=(
            ADMISSION,
            "if record.kind == Kind.TERMS and genesis.claim.terms != terms:",
            "if record.author is None:",
        ),
        tests=STORED,
        vectors=("0004 terms by another key, other terms by the sponsor's",),
    ),
    Promise(
        said="No key is two persons'.",
        spec="0004 §4",
        without=(
            ADMISSION,
            "if author != root and author in found.persons:",
            "if author is None:",
        ),
        tests=STORED,
        vectors=("0004 further keys of two persons, and of a named key",),
    ),
    Promise(
        said="No named key has further keys, nor has a further key.",
        spec="0004 §4",
        without=(
            ADMISSION,
            "(terms.names(author) or terms.names(root))",
            "terms.names(author)",
        ),
        tests=STORED,
        vectors=("0004 further keys of two persons, and of a named key",),
    ),
    Promise(
        said="9: what was done before the stage it comes after stays refused.",
        spec="0008 §6",
        without=(
            JUDGE,
            "if done is None or done >= act.item.order:",
            "if done is None:",
        ),
        tests=STORED,
        vectors=("0008 after what was done later",),
    ),
    Promise(
        said="10: the first n are n, not one.",
        spec="0008 §6",
        without=(
            JUDGE,
            "self.tally.per_stage[act.stage_index] = taken + 1",
            "self.tally.per_stage[act.stage_index] = 1",
        ),
        tests=STORED,
        vectors=("0008 the first two, of sales and visits",),
    ),
    Promise(
        said="10: a tag without a one-time code is used once, by whoever is first.",
        spec="0008 §6",
        without=(
            JUDGE,
            "return burnt or [(index, Once.TAG, tag)]",
            "return burnt",
        ),
        tests=STORED,
        vectors=("0008 once a tag, where it has no serial",),
    ),
    Promise(
        said="7: what was taken back wholly is nothing, whatever grade is asked.",
        spec="0008 §6",
        without=(
            JUDGE,
            "return Reason.GRADE if refunded or act.grade < stage.grade else None",
            "return Reason.GRADE if act.grade < stage.grade else None",
        ),
        tests=STORED,
        vectors=("0008 wholly refunded, where no grade is asked",),
    ),
    Promise(
        said="7: a word does not lift a scan that proves nothing.",
        spec="0008 §4",
        without=(
            JUDGE,
            "return 5 if own >= 1 and row.id in self.bindings.attested else own",
            "return 5 if row.id in self.bindings.attested else own",
        ),
        tests=STORED,
        vectors=("0008 attested, of no evidence",),
    ),
    Promise(
        said="1: a bound word of a host that is no merchant is good.",
        spec="0008 §6",
        without=(
            JUDGE,
            "if not bound and not may_vouch(self.terms, header.author):",
            "if not may_vouch(self.terms, header.author):",
        ),
        tests=STORED,
        vectors=("0008 a host's word that is paid",),
    ),
    Promise(
        said="A fork where witnesses speak is proven of witnesses only.",
        spec="0012 §1",
        without=(PROOF, "if not in_campaign and not witness:", "if author is None:"),
        tests=STORED,
        vectors=("0012 a stranger's fork where witnesses speak",),
    ),
    Promise(
        said="Two closes of one round are a cheat, whatever each stands above.",
        spec="0012 §2",
        without=(
            PROOF,
            "if a.round != b.round and a.previous != b.previous:",
            "if a.previous != b.previous:",
        ),
        tests=STORED,
        vectors=("0012 two closes of one round, above two",),
    ),
    Promise(
        said="A tap is good for whoever tapped, and for nobody who read of it.",
        spec="0007 §3",
        without=(
            ROWS,
            "claim.tag))\n            return 4\n        case Machine",
            "claim.tag) if None else None)\n            return 4\n        case Machine",
        ),
        tests=STORED,
        vectors=("0007 a tap for another author",),
    ),
)
