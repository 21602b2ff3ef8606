"""Test vectors: how a case is written, and what this implementation says to it.

A case is {"name", "op", "in", "out"} or, refused, {"name", "op", "in", "reason"};
`layer` helps to find where. Inputs are hex unless they are texts or numbers, so
any language can read them. `run` answers a case from its input alone: it makes
the files, and it checks them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from protocols.bundle import read_bundle
from protocols.claims import read_claim
from protocols.codec import decode
from protocols.erasing import check_claim_here, dropped
from protocols.errors import ProtocolError, Reason
from protocols.evidence import cover
from protocols.feed import ForkProof, Head, check_fork, check_next
from protocols.framing import Deframer
from protocols.genesis import check_genesis
from protocols.invite_link import read_invite_link
from protocols.join import (
    CARD,
    INVITE,
    check_card,
    check_continue,
    check_join,
    continue_shape,
    invite_id,
    join_shape,
    work_bits,
)
from protocols.keys import (
    AuthorKey,
    NetworkId,
    RecordId,
    Scope,
    Seed,
    Signature,
    SigningKey,
    neighbourhood_scope,
    network_id,
    person_seed,
    preimage,
    tagged_hash,
    verify,
    witness_scope,
)
from protocols.limits import CLAIM_MAX
from protocols.merkle import Tree, check_path, root
from protocols.peer_card import check_card as check_peer_card
from protocols.peer_card import peer_key
from protocols.proof import check_proof
from protocols.record import Record, check_signature, decode_record
from protocols.settlement.cut import (
    CUT_ENTRY,
    FORK_ENTRY,
    LINE,
    ROW,
    Counted,
    Declared,
    Incomplete,
    OrderKey,
)
from protocols.settlement.ledger import keep_ledger, vouched_in
from protocols.settlement.redeem import (
    Spending,
    check_double,
    check_slip,
    check_spending,
    purse_of,
    read_double,
    read_slip,
)
from protocols.settlement.rows import KnownTag, TagBook, row_of
from protocols.settlement.settle import Settlement, settle
from protocols.settlement.verify import (
    CloseReport,
    Evidence,
    find_terms,
    verify_close,
    verify_closes,
)
from protocols.settlement.voucher import check_voucher, read_voucher
from protocols.shape import Shape
from protocols.tags.code import read_code
from protocols.tags.entry import ENTRY, EVIDENCE, serial_seed, tag_id
from protocols.terms import TERMS, Terms, campaign_id, check_terms
from protocols.text import Letter, Prefix, decode_id, decode_link, encode_id
from protocols.wire import PEER_CARD, decode_frame

Case = dict[str, Any]
Input = Mapping[str, Any]

FORMAT = "p2pnode.vectors/1"


def case(name: str, op: str, reason: Reason | None = None, **given: Any) -> Case:
    """One case; `layer`, if given, says where a refusal happens.

    The reason is stated by hand: another answer is a fault of the code or of
    the case.
    """
    layer = given.pop("layer", None)
    made: Case = {"name": name, "op": op, "in": given}
    answer = run(made)
    said = answer.get("reason")
    assert said == (reason and reason.value), f"{name}: {said}, not {reason}"
    if layer is not None:
        made["layer"] = layer
    return {**made, **answer}


def run(made: Input) -> Case:
    """The answer to a case: {"out": …}, or {"reason": …} and what is missing."""
    try:
        return {"out": OPS[made["op"]](made["in"])}
    except Incomplete as error:
        missing = sorted(item.hex() for item in error.missing)
        return {"reason": Reason.INCOMPLETE.value, "missing": missing}
    except ProtocolError as error:
        return {"reason": error.reason.value}


def file_text(spec: str, cases: Sequence[Case]) -> str:
    """The text of one file: a case a line, ASCII."""
    names = [one["name"] for one in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    lines = [json.dumps(one, separators=(",", ":")) for one in cases]
    head = f'{{"format":"{FORMAT}","spec":"{spec}","cases":['
    return head + "\n" + ",\n".join(lines) + "\n]}\n"


def _hex(item: bytes | None) -> str | None:
    return None if item is None else item.hex()


def _bytes(given: Input, name: str) -> bytes:
    return bytes.fromhex(given[name])


def shown(value: Any) -> Any:
    """A decoded value in JSON; bytes are {"bin": hex}."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    return {"bin": value.hex()} if isinstance(value, bytes) else value


def _read(shape: Shape[Any], data: str) -> Any:
    return shape.read(decode(bytes.fromhex(data), CLAIM_MAX))


# 0001


def _decode(given: Input) -> Case:
    return {"value": shown(decode(_bytes(given, "bytes"), given["size_max"]))}


def _frames(given: Input) -> Case:
    deframer = Deframer()
    payloads = deframer.feed(_bytes(given, "bytes"))
    return {"payloads": [one.hex() for one in payloads], "rest": deframer.incomplete}


# 0002


def _hash(given: Input) -> Case:
    value = decode(_bytes(given, "value"), CLAIM_MAX)
    assert isinstance(value, list)
    return {
        "preimage": preimage(given["tag"], _bytes(given, "value")).hex(),
        "hash": tagged_hash(given["tag"], value).hex(),
    }


def _ids(given: Input) -> Case:
    network = network_id(given["network"])
    return {
        "network": network.hex(),
        "neighbourhood": neighbourhood_scope(network, given["neighbourhood"]).hex(),
        "witness": witness_scope(Scope(_bytes(given, "campaign"))).hex(),
    }


def _person(given: Input) -> Case:
    scope = Scope(_bytes(given, "campaign"))
    seed = person_seed(_bytes(given, "root_seed"), scope, given["index"])
    return {"seed": seed.hex(), "author": SigningKey(seed).author.hex()}


def _serial(given: Input) -> Case:
    issuer = AuthorKey(_bytes(given, "issuer"))
    secret, batch = _bytes(given, "secret"), _bytes(given, "batch")
    seed = serial_seed(secret, issuer, batch, given["tag_index"], given["index"])
    return {"seed": seed.hex(), "key": SigningKey(seed).author.hex()}


def _seed(given: Input) -> Case:
    return {"author": SigningKey(Seed(_bytes(given, "seed"))).author.hex()}


def _verify(given: Input) -> Case:
    author, signature = _bytes(given, "author"), _bytes(given, "signature")
    verify(author, given["tag"], _bytes(given, "data"), signature)
    return {}


def _tree(given: Input) -> Case:
    leaves = [decode(bytes.fromhex(leaf), CLAIM_MAX) for leaf in given["leaves"]]
    return {"root": root(Tree(given["tree"]), leaves).hex()}


def _path(given: Input) -> Case:
    check_path(
        Tree(given["tree"]),
        decode(_bytes(given, "leaf"), CLAIM_MAX),
        given["index"],
        given["count"],
        [bytes.fromhex(one) for one in given["path"]],
        _bytes(given, "root"),
    )
    return {}


def _id_of_text(given: Input) -> Case:
    prefix = Prefix(given["prefix"])
    found = decode_id(prefix, given["text"])
    return {"id": found.hex(), "text": encode_id(prefix, found)}


def _link(given: Input) -> Case:
    letter, value = decode_link(given["text"])
    if letter != Letter(given["letter"]):
        raise ProtocolError(Reason.BAD_CODE, "another letter")
    return {"value": shown(value)}


# 0003


def _record(given: Input) -> Case:
    record = decode_record(_bytes(given, "bytes"))
    check_signature(record)
    check_genesis(record)
    return {
        "id": record.id.hex(),
        "author": record.author.hex(),
        "scope": record.scope.hex(),
        "seq": record.seq,
        "time_ms": record.header.time_ms,
        "kind": record.kind,
        "header": record.header_bytes.hex(),
        "claim": _hex(record.claim_bytes),
        "note": _hex(record.note_bytes),
    }


def _claim(given: Input) -> Case:
    read_claim(given["kind"], _bytes(given, "bytes"))
    return {}


def _next(given: Input) -> Case:
    head = given["head"]
    known = None
    if head is not None:
        known = Head(head["seq"], RecordId(bytes.fromhex(head["id"])))
    check_next(known, decode_record(_bytes(given, "bytes")))
    return {}


def _erase(given: Input) -> Case:
    """What an erase drops of a record, which may come without its claim."""
    record = decode_record(_bytes(given, "record"))
    erase = decode_record(_bytes(given, "erase")) if given["erase"] else None
    check_claim_here(record, erase)
    return dropped(erase, record)._asdict()


def _fork(given: Input) -> Case:
    proof = ForkProof(
        header_a=_bytes(given, "header_a"),
        signature_a=Signature(_bytes(given, "signature_a")),
        header_b=_bytes(given, "header_b"),
        signature_b=Signature(_bytes(given, "signature_b")),
    )
    check_fork(proof, NetworkId(_bytes(given, "network")))
    first, second = proof.ids
    return {
        "author": proof.author.hex(),
        "scope": proof.scope.hex(),
        "seq": proof.seq,
        "ids": [first.hex(), second.hex()],
    }


# 0004


def _place(given: Input) -> tuple[NetworkId, Scope]:
    return NetworkId(_bytes(given, "network")), Scope(_bytes(given, "campaign"))


def _invite(given: Input) -> Case:
    return {"id": invite_id(_read(INVITE, given["bytes"])).hex()}


def _join(given: Input) -> Case:
    claim, joiner = _read(join_shape(), given["bytes"]), _bytes(given, "joiner")
    check_join(claim, AuthorKey(joiner), *_place(given), given["join_bits"])
    return {}


def _continue(given: Input) -> Case:
    claim, author = _read(continue_shape(), given["bytes"]), _bytes(given, "author")
    check_continue(claim, AuthorKey(author), *_place(given), given["join_bits"])
    return {}


def _card(given: Input) -> Case:
    check_card(_read(CARD, given["bytes"]), *_place(given))
    return {}


def _work(given: Input) -> Case:
    campaign, joiner = Scope(_bytes(given, "campaign")), _bytes(given, "joiner")
    return {"bits": work_bits(campaign, AuthorKey(joiner), _bytes(given, "salt"))}


def _invite_link(given: Input) -> Case:
    link = read_invite_link(given["text"])
    return {
        "invite": invite_id(link.invite).hex(),
        "title": link.title,
        "addresses": [*link.addresses],
    }


# 0005


def read_terms(data: str) -> Terms:
    """Terms of their hex, checked."""
    terms: Terms = _read(TERMS, data)
    check_terms(terms)
    return terms


def _terms(given: Input) -> Case:
    return {"campaign": campaign_id(read_terms(given["bytes"])).hex()}


# 0006


def _frame(given: Input) -> Case:
    frame = decode_frame(_bytes(given, "bytes"))
    words = re.sub("(?<=[a-z])(?=[A-Z])", "-", type(frame).__name__)
    return {"tag": frame.tag, "name": words.lower()}


def _peer_card(given: Input) -> Case:
    card = _read(PEER_CARD, given["bytes"])
    check_peer_card(card, NetworkId(_bytes(given, "network")))
    return {"key": peer_key(card.peer).hex()}


# 0007


def _entry(given: Input) -> Case:
    return {"id": tag_id(_read(ENTRY, given["bytes"])).hex()}


def _code(given: Input) -> Case:
    code = read_code(given["text"])
    return {"tag": tag_id(code.entry).hex(), "issuer": code.entry.issuer.hex()}


def _evidence(given: Input) -> Case:
    """What a scan record proves of a tag; witness time is act time."""
    terms, record = read_terms(given["terms"]), decode_record(_bytes(given, "scan"))
    entry, time = _read(ENTRY, given["entry"]), given["witness_time"]
    keys = tuple(bytes.fromhex(key) for key in given["keys"])
    known = KnownTag(entry=entry, group="", serials=keys)
    order = OrderKey(1, time, b"", record.author, record.seq, record.id)
    item = Counted(record=record, order=order, time_max=record.header.time_ms)
    _read(EVIDENCE, given["evidence"])
    row = row_of(terms, TagBook(tags={tag_id(entry): known}), item, {})
    return {
        "grade": row.own_grade,
        "slot": _hex(row.slot),
        "window": row.window,
        "counter": row.counter,
        "act_time": row.act_time,
    }


# 0008


def records_of(given: Input) -> list[Record]:
    """The records of a case."""
    return [decode_record(bytes.fromhex(one)) for one in given["records"]]


def declared_of(one: Input) -> Declared:
    """A declared round of its JSON."""
    return Declared(
        round=one["round"],
        finals=tuple(RecordId(bytes.fromhex(item)) for item in one["finals"]),
        cut=tuple(_read(CUT_ENTRY, leaf) for leaf in one["cut"]),
        forks=tuple(_read(FORK_ENTRY, leaf) for leaf in one["forks"]),
        rows=tuple(_read(ROW, leaf) for leaf in one["rows"]),
        lines=tuple(_read(LINE, leaf) for leaf in one["lines"]),
    )


def _settle(given: Input) -> Case:
    terms, evidence = read_terms(given["terms"]), Evidence(records_of(given))
    rounds = [declared_of(one) for one in given["rounds"]]
    answers = [
        settled(settle(terms, rounds[: k + 1], evidence.lookup))
        for k in range(len(rounds))
    ]
    return {"rounds": answers}


def settled(result: Settlement) -> Case:
    """What a settlement says, in JSON."""
    admission = result.admission
    return {
        "statement": [[line.payee.hex(), line.amount] for line in result.lines],
        "statement_root": result.statement_root.hex(),
        "rows": [shown(ROW.write(row)) for row in result.rows],
        "rows_root": result.rows_root.hex(),
        "paid": result.earned,
        "residue": result.residue,
        "unspent": result.unspent,
        "last": result.last,
        "granted": [[one.act.id.hex(), one.pool] for one in result.grants],
        "refused": [[act.id.hex(), reason.value] for act, reason in result.refused],
        "admitted": {
            key.hex(): person.refused.value if person.refused else person.level
            for key, person in sorted(admission.by_key.items())
        },
        "not_entered": {
            key.hex(): reason.value for key, reason in sorted(admission.refused.items())
        },
    }


# 0009


def _cover(given: Input) -> Case:
    terms, evidence = read_terms(given["terms"]), Evidence(records_of(given))
    heads = {
        AuthorKey(bytes.fromhex(author)): Head(seq, RecordId(bytes.fromhex(one)))
        for author, seq, one in given["heads"]
    }
    finals = [RecordId(bytes.fromhex(one)) for one in given["finals"]]
    found = cover(terms, given["round"], finals, evidence.lookup, heads)
    return {
        "cut": [shown(CUT_ENTRY.write(entry)) for entry in found.cut],
        "forks": [shown(FORK_ENTRY.write(fork)) for fork in found.forks],
        "missing": [one.hex() for one in found.unknown],
    }


def _close(given: Input) -> Case:
    terms, evidence = read_terms(given["terms"]), Evidence(records_of(given))
    close = evidence.lookup(RecordId(_bytes(given, "close")))
    assert close is not None
    return reported(verify_close(terms, close, evidence))


def reported(report: CloseReport) -> Case:
    """A judged close, in JSON."""
    result = report.settlement
    lines = [] if result is None else result.lines
    said = [[line.payee.hex(), line.amount] for line in lines]
    return {
        "round": report.claim.round,
        "id": report.close.id.hex(),
        "verdict": report.statement.value,
        "reason": report.reason and report.reason.value,
        "digest": None if result is None else result.statement_root.hex(),
        "statement": None if result is None else said,
        "cut": report.cut.value,
        "findings": [[one.author.hex(), one.kind] for one in report.findings],
        "not_judged": report.not_judged,
        "resting": report.resting,
    }


def _voucher(given: Input) -> Case:
    voucher = read_voucher(given["text"])
    claim = check_voucher(voucher)
    return {
        "payee": voucher.line.payee.hex(),
        "amount": voucher.line.amount,
        "issuer": voucher.issuer.hex(),
        "close": voucher.close.id.hex(),
        "unit": claim.unit,
        "redeem_until": claim.redeem_until,
    }


# 0011


def _slip(given: Input) -> Case:
    genesis = [decode_record(bytes.fromhex(one)) for one in given["genesis"]]
    found = check_slip(read_slip(given["text"]), vouched_in(genesis))
    acceptors = given["acceptors"]
    check_spending(
        found,
        acceptors=acceptors and [AuthorKey(bytes.fromhex(one)) for one in acceptors],
        now_ms=given["now"],
        earlier=[check_slip(read_slip(one)) for one in given["earlier"]],
        owed=given.get("owed", False),
    )
    return {**_spent(found), "own_key": found.own_key}


def _spent(one: Spending) -> Case:
    return {
        "redeem": one.record.id.hex(),
        "close": one.purse.close.hex(),
        "line": one.purse.line,
        "payee": one.purse.payee.hex(),
        "amount": one.claim.amount,
        "total_before": one.claim.total_before,
        "acceptor": one.claim.acceptor.hex(),
    }


def _double(given: Input) -> Case:
    first, second = check_double(read_double(_bytes(given, "bytes")))
    return {"redeems": [_spent(first), _spent(second)]}


def _ledger(given: Input) -> Case:
    purses = [purse_of(read_voucher(one)) for one in given["vouchers"]]
    ledger = keep_ledger(
        [AuthorKey(bytes.fromhex(one)) for one in given["sponsor"]],
        {one.place: one for one in purses},
        records_of(given),
        [[AuthorKey(bytes.fromhex(key)) for key in one] for one in given["parties"]],
    )
    return {
        "spent": [[one.record.id.hex(), one.own_key] for one in ledger.spendings],
        "obligations": [
            {
                "debtor": one.debtor.hex(),
                "creditor": one.creditor.hex(),
                "redeem": one.redeem.hex(),
                "amount": one.amount,
                "paid": one.paid,
                "open": one.open,
                "owes": [item.hex() for item in one.owes],
            }
            for one in ledger.obligations
        ],
        "outstanding": [
            [debtor.hex(), creditor.hex(), amount]
            for (debtor, creditor), amount in ledger.outstanding().items()
        ],
        "doubles": [
            [one.record.id.hex(), other.record.id.hex()]
            for one, other in ledger.doubles
        ],
        "refused": {
            item.hex(): reason.value for item, reason in sorted(ledger.refused.items())
        },
    }


# 0010


def _bundle(given: Input) -> Case:
    _, campaign, records = read_bundle([base64.b64decode(given["base64"])])
    found = [terms for record, terms in find_terms(records) if record.scope == campaign]
    if not found:
        raise Incomplete([campaign])
    reports = verify_closes(found[0], Evidence(records))
    return {"records": len(records), "closes": [reported(one) for one in reports]}


# 0012


def _proof(given: Input) -> Case:
    found = check_proof([base64.b64decode(given["base64"])])
    return {
        "kind": found.kind.word,
        "campaign": found.campaign.hex(),
        "culprits": [key.hex() for key in found.culprits],
        "standing": found.standing.value,
        "rounds": [*found.rounds],
        "records": [one.hex() for one in found.records],
        "author": _hex(found.author),
        "seq": found.seq,
        "why": found.reason,
    }


OPS: dict[str, Callable[[Input], Case]] = {
    "decode": _decode,
    "frames": _frames,
    "hash": _hash,
    "ids": _ids,
    "person": _person,
    "serial": _serial,
    "seed": _seed,
    "verify": _verify,
    "tree": _tree,
    "path": _path,
    "id-text": _id_of_text,
    "link": _link,
    "record": _record,
    "claim": _claim,
    "next": _next,
    "erase": _erase,
    "fork": _fork,
    "invite": _invite,
    "join": _join,
    "continue": _continue,
    "card": _card,
    "work": _work,
    "invite-link": _invite_link,
    "terms": _terms,
    "frame": _frame,
    "peer-card": _peer_card,
    "entry": _entry,
    "code": _code,
    "evidence": _evidence,
    "settle": _settle,
    "cover": _cover,
    "close": _close,
    "voucher": _voucher,
    "bundle": _bundle,
    "slip": _slip,
    "double": _double,
    "ledger": _ledger,
    "proof": _proof,
}
"""Every operation a case can ask for."""
