"""Vectors of proofs: each kind, and what proves nothing. 0012."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

from protocols.claims import Kind
from protocols.codec import Value, encode
from protocols.errors import Reason
from protocols.framing import frame
from protocols.proof import FORMAT, Proof, ProofKind
from protocols.record import Record, encode_record, without_parts
from tests import cheats
from tests.cheats import WORLDS, file_of, proof_of
from tests.vectors import Case, case
from tests.worlds import key_of


def proofs() -> list[Case]:
    """0012: proofs good and bad."""
    made = {kind: proof_of(make(), kind) for kind, make in WORLDS.items()}
    return [
        *(_proof(f"{kind.word} is proven", made[kind]) for kind in ProofKind),
        _proof(
            "two rounds above one close",
            proof_of(cheats.second_above(), ProofKind.DOUBLE_CLOSE),
        ),
        _proof("a witness forks", proof_of(cheats.witness_fork(), ProofKind.FORK)),
        *_files(made[ProofKind.FORK]),
        *_nothing(made),
        *_honest(),
    ]


def _proof(name: str, proof: Proof | bytes, reason: Reason | None = None) -> Case:
    data = proof if isinstance(proof, bytes) else file_of(proof)
    text = base64.b64encode(data).decode()
    return case(name, "proof", reason, base64=text)


def _head(proof: Proof, **changes: Value) -> bytes:
    fields: dict[str, Value] = {
        "format": FORMAT,
        "kind": int(proof.kind),
        "network": proof.network,
        "campaign": proof.campaign,
        "subjects": [*proof.subjects],
        "count": len(proof.records),
        **changes,
    }
    return frame(encode([*fields.values()]))


def _files(proof: Proof) -> list[Case]:
    """A fork's file, damaged in one place each."""
    frames = [frame(encode_record(one)) for one in proof.records]
    body = b"".join(frames)
    signed = bytearray(body)
    signed[-1] ^= 1
    bad: dict[str, tuple[Reason, bytes]] = {
        "no bytes": (Reason.BAD_PROOF, b""),
        "a bundle's head": (
            Reason.BAD_PROOF,
            _head(proof, format="p2pnode.bundle/1") + body,
        ),
        "a kind that is none": (Reason.BAD_PROOF, _head(proof, kind=9) + body),
        "two subjects": (
            Reason.BAD_PROOF,
            _head(proof, subjects=[*proof.subjects, *proof.subjects]) + body,
        ),
        "one more record announced": (
            Reason.BAD_PROOF,
            _head(proof, count=len(frames) + 1) + body,
        ),
        "an end inside a frame": (Reason.BAD_PROOF, _head(proof) + body[:-1]),
        "an empty frame": (Reason.FRAME_SIZE, _head(proof) + body + bytes(4)),
        "another network": (
            Reason.WRONG_NETWORK,
            _head(proof, network=bytes(16)) + body,
        ),
        "another campaign": (
            Reason.BAD_PROOF,
            _head(proof, campaign=bytes(32)) + body,
        ),
        "a wrong signature": (Reason.BAD_SIGNATURE, _head(proof) + bytes(signed)),
        "records that do not ascend": (
            Reason.BAD_PROOF,
            _head(proof) + b"".join(reversed(frames)),
        ),
    }
    return [
        _proof(f"a proof with {name}", data, why) for name, (why, data) in bad.items()
    ]


def _nothing(made: dict[ProofKind, Proof]) -> list[Case]:
    """Whole files that prove nothing, or not what they say."""
    fork, omitted = made[ProofKind.FORK], made[ProofKind.OMITTED]
    double, statement = made[ProofKind.DOUBLE_CLOSE], made[ProofKind.STATEMENT]
    close = omitted.subjects[0]
    seen = next(one for one in omitted.records if one.kind == Kind.SEEN)
    return [
        _proof(
            "no terms",
            _kept(fork, lambda one: one.kind != Kind.TERMS),
            Reason.BAD_PROOF,
        ),
        _proof(
            "one branch of a fork",
            _kept(fork, lambda one: one.id != fork.records[-1].id),
            Reason.NOT_PROVEN,
        ),
        _proof(
            "a fork of somebody else",
            replace(fork, subjects=(key_of("zoe").author,)),
            Reason.NOT_PROVEN,
        ),
        _proof(
            "a close beside itself",
            replace(double, subjects=(double.subjects[0],) * 2),
            Reason.NOT_PROVEN,
        ),
        _proof(
            "two closes, the larger first",
            replace(double, subjects=double.subjects[::-1]),
            Reason.NOT_PROVEN,
        ),
        _proof(
            "a close whose claim is not here",
            _bare(statement, lambda one: one.kind == Kind.CLOSE),
            Reason.INCOMPLETE,
        ),
        _proof(
            "an omission called padding",
            replace(omitted, kind=ProofKind.PADDED),
            Reason.NOT_PROVEN,
        ),
        _proof(
            "an omission of somebody who is in the cut",
            replace(omitted, subjects=(close, key_of("sponsor").author)),
            Reason.INCOMPLETE,
        ),
        _proof(
            "an omission without a witness's first receipt",
            _kept(omitted, lambda one: one.id != seen.id),
            Reason.INCOMPLETE,
        ),
        _proof(
            "an omission without the author's records",
            _kept(omitted, lambda one: one.author != cheats.DAVE),
            Reason.INCOMPLETE,
        ),
        _proof(
            "an omission without the list of the cut",
            _kept(omitted, lambda one: one.kind != Kind.PART),
            Reason.INCOMPLETE,
        ),
        _proof(
            "a wrong statement without a list",
            _kept(statement, lambda one: one.kind != Kind.PART or one.seq > 2),
            Reason.INCOMPLETE,
        ),
    ]


def _honest() -> list[Case]:
    """A sponsor that did nothing wrong."""
    world = cheats.played()
    close = world.close(1)
    ours = sorted(
        (one for one in world.records if one.scope == world.scope),
        key=lambda one: (one.author, one.seq, one.id),
    )
    proof = Proof(
        kind=ProofKind.STATEMENT,
        network=world.terms.network,
        campaign=world.scope,
        subjects=(close.id,),
        records=tuple(ours),
    )
    mine = cheats.omission_of(world, close, cheats.DAVE)
    finals = replace(mine, kind=ProofKind.FINALS, subjects=(close.id,))
    return [
        _proof("a right statement", proof, Reason.NOT_PROVEN),
        _proof("a right cut", mine, Reason.NOT_PROVEN),
        _proof("right finals", finals, Reason.NOT_PROVEN),
    ]


def _kept(proof: Proof, keep: Callable[[Record], bool]) -> Proof:
    return replace(proof, records=tuple(one for one in proof.records if keep(one)))


def _bare(proof: Proof, which: Callable[[Record], bool]) -> Proof:
    return replace(
        proof,
        records=tuple(
            without_parts(one, claim=which(one), note=True) for one in proof.records
        ),
    )
