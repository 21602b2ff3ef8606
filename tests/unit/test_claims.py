"""Claims: every kind comes back as it went, and every bound is refused beyond."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest

from protocols.claims import (
    CAMPAIGN_KINDS,
    CLAIMS,
    GENESIS_KINDS,
    KIND_MAX,
    Announce,
    Attest,
    Close,
    Dispute,
    Enter,
    Erase,
    Fork,
    Kind,
    Outcome,
    Owe,
    Paid,
    Part,
    Profile,
    Redeem,
    Reversal,
    Scan,
    Seen,
    Tags,
    TermsClaim,
    check_claim,
    read_claim,
    write_claim,
)
from protocols.codec import decode, encode
from protocols.errors import ProtocolError, Reason
from protocols.join import make_continue
from protocols.limits import (
    AFTER_MAX,
    CLAIM_MAX,
    HEADER_MAX,
    HEADS_MAX,
    INT_MAX,
    NAME_MAX,
    PART_MAX,
    ROUNDS_MAX,
    SERIALS_MAX,
    STAGES_MAX,
    TAGS_PER_RECORD_MAX,
    TEXT_MAX,
    WITNESSES_MAX,
)
from protocols.tags.entry import (
    Bare,
    Gs1,
    Gs1Text,
    Machine,
    Printed,
    PrintedText,
    Rotating,
    RotatingCode,
    SerialProof,
    TapProof,
    Taps,
)
from tests.worlds import World, key_of

SALT = bytes(range(16))
ID: Any = b"\x01" * 32
KEY: Any = b"\x02" * 32
SIGNATURE: Any = b"\x03" * 64
WORLD = World(balloons=1, changes={"conditions": ()})
JOIN = WORLD.join("dave").claim()
CARD = WORLD.card("dave")
ENTRY = WORLD.entries[0]

CLOSE = Close(
    salt=SALT,
    round=1,
    previous=ID,
    finals=(ID, KEY, SIGNATURE[:32]),
    cut_root=ID,
    cut_count=1,
    forks_root=ID,
    forks_count=0,
    rows_root=ID,
    rows_count=2,
    statement_root=ID,
    lines=3,
    paid=4,
    residue=5,
    unspent=6,
    last=False,
    unit="CNY",
    redeem_until=7,
)
SEEN = Seen(salt=SALT, final=None, heads=((KEY, 5, ID),))
TAGS = Tags(
    salt=SALT, group="g", offset=0, tags=((ENTRY, (KEY,)), (ENTRY, None)), revoked=(ID,)
)
OUTCOME = Outcome(salt=SALT, stage=0, author=KEY, amount=1, after=(ID,), card=None)
ATTEST = Attest(salt=SALT, author=KEY, act=ID, stage=None, amount=0, card=CARD)
PART = Part(salt=SALT, tree=1, root=ID, index=0, data=b"\x90")
FORK = Fork(
    salt=SALT,
    header_a=b"a",
    signature_a=SIGNATURE,
    header_b=b"b",
    signature_b=SIGNATURE,
)
PROFILE = Profile(
    salt=SALT, name="a", trade="b", place="c", peer="d", peer_signature=SIGNATURE
)
REDEEM = Redeem(
    salt=SALT,
    close=ID,
    line=0,
    amount=1,
    total_before=0,
    acceptor=KEY,
    nonce=bytes(16),
)
ANNOUNCE = Announce(salt=SALT, campaign=ID, title="t", link="")


def scan(evidence):
    return Scan(salt=SALT, stage=0, tag=ID, evidence=evidence)


GOOD = [
    (Kind.TERMS, TermsClaim(salt=SALT, terms=WORLD.terms)),
    (Kind.ENTER, Enter(salt=SALT)),
    (Kind.JOIN, JOIN),
    (Kind.CONTINUE, make_continue(key_of("dave"), JOIN, KEY, SALT)),
    (Kind.TAGS, TAGS),
    *(
        (Kind.TAGS, replace(TAGS, tags=((replace(ENTRY, public=public), None),)))
        for public in (
            Printed(),
            Rotating(device=KEY, window_ms=1_000),
            Taps(first=0, count=1, root=ID),
            Machine(device=KEY),
            Gs1(key="01"),
        )
    ),
    (Kind.SCAN, scan(Bare())),
    (Kind.SCAN, scan(PrintedText(signature=SIGNATURE))),
    (Kind.SCAN, scan(SerialProof(index=0, key=KEY, signature=SIGNATURE))),
    (Kind.SCAN, scan(RotatingCode(window_start=0, signature=SIGNATURE))),
    (Kind.SCAN, scan(TapProof(counter=0, key=KEY, signature=SIGNATURE))),
    (Kind.SCAN, scan(Gs1Text(key="01"))),
    (Kind.ATTEST, ATTEST),
    (Kind.OUTCOME, OUTCOME),
    (Kind.REVERSAL, Reversal(salt=SALT, outcome=ID, amount=1)),
    (Kind.PART, PART),
    (Kind.CLOSE, CLOSE),
    (Kind.ERASE, Erase(salt=SALT, record=ID, claim=True)),
    (Kind.REDEEM, REDEEM),
    (Kind.OWE, Owe(salt=SALT, redeem=ID, acceptor=KEY, amount=1)),
    (Kind.PAID, Paid(salt=SALT, owe=ID, amount=1)),
    (Kind.SEEN, SEEN),
    (Kind.SEEN, replace(SEEN, final=1, heads=())),
    (Kind.FORK, FORK),
    (Kind.PROFILE, PROFILE),
    (Kind.ANNOUNCE, ANNOUNCE),
    (Kind.DISPUTE, Dispute(salt=SALT, close=ID, statement_root=ID)),
]


def names(pairs):
    return [f"{kind.name.lower()}-{at}" for at, (kind, *_) in enumerate(pairs)]


@pytest.mark.parametrize(("kind", "claim"), GOOD, ids=names(GOOD))
def test_every_claim_comes_back_as_it_went(kind, claim):
    data = write_claim(kind, claim)
    assert read_claim(kind, data) == claim
    assert encode(decode(data, CLAIM_MAX)) == data


def test_every_kind_but_the_reserved_one_has_a_shape():
    assert {kind for kind, _ in GOOD} == set(CLAIMS) == set(Kind) - {Kind.NET}
    assert not GENESIS_KINDS & CAMPAIGN_KINDS
    assert max(Kind) < KIND_MAX == 63


@pytest.mark.parametrize(("kind", "claim"), GOOD, ids=names(GOOD))
def test_a_claim_with_a_field_less_or_more_is_refused(kind, claim):
    value: Any = decode(write_claim(kind, claim), CLAIM_MAX)
    for wrong in (value[:-1], [*value, None], [bytes(15), *value[1:]], []):
        with pytest.raises(ProtocolError) as caught:
            read_claim(kind, encode(wrong))
        assert caught.value.reason is Reason.BAD_CLAIM


@pytest.mark.parametrize(("kind", "claim"), GOOD, ids=names(GOOD))
def test_no_field_may_be_of_another_type(kind, claim):
    value: Any = decode(write_claim(kind, claim), CLAIM_MAX)
    for at in range(1, len(value)):
        wrong = [*value[:at], [[b"odd"]], *value[at + 1 :]]
        with pytest.raises(ProtocolError) as caught:
            read_claim(kind, encode(wrong))
        assert caught.value.reason is Reason.BAD_CLAIM


ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**32, INT_MAX, INT_MAX + 1, 0.5, {}, [], [[]]),
    *(b"", bytes(16), bytes(32), bytes(33), bytes(64)),
    *("", "ok", "店 €", "x" * 200, "店" * 100, "tab\t", "\x85", "\u200b", "\ud800"),
)


def changed(value, odd):
    """`value` with each of its places, however deep, taken by `odd` in turn."""
    yield odd
    if type(value) is list:
        yield value[:-1]
        yield [*value, odd]
        for at, item in enumerate(value[:12]):
            for other in changed(item, odd):
                yield [*value[:at], other, *value[at + 1 :]]


def verdict(function, *arguments):
    try:
        function(*arguments)
    except ProtocolError as error:
        return error.reason, error.detail
    return None


@pytest.mark.untraced
@pytest.mark.parametrize(("kind", "claim"), GOOD, ids=names(GOOD))
def test_checking_a_claim_says_what_reading_it_says(kind, claim):
    good = decode(write_claim(kind, claim), CLAIM_MAX)
    assert CLAIMS[kind].fits(good)
    found = set()
    for odd in ODD:
        for value in changed(good, odd):
            data = msgpack.packb(value, unicode_errors="surrogatepass")
            read = verdict(read_claim, kind, data)
            assert verdict(check_claim, kind, data) == read
            found.add(read and read[0])
    assert found == {None, *(Reason.NOT_CANONICAL, Reason.BAD_TEXT, Reason.BAD_CLAIM)}


def heads(count):
    return tuple((i.to_bytes(32, "big"), 0, ID) for i in range(count))


EDGES = [
    (Kind.SEEN, SEEN, "heads", heads(HEADS_MAX), heads(HEADS_MAX + 1)),
    (Kind.SEEN, SEEN, "heads", heads(2), heads(2)[::-1]),
    (Kind.SEEN, SEEN, "heads", heads(2), ((KEY, 0, ID), (KEY, 1, ID))),
    (Kind.SEEN, SEEN, "final", ROUNDS_MAX, ROUNDS_MAX + 1),
    (Kind.SEEN, SEEN, "final", 1, 0),
    (Kind.CLOSE, CLOSE, "finals", CLOSE.finals, CLOSE.finals[::-1]),
    (Kind.CLOSE, CLOSE, "finals", CLOSE.finals, (ID, ID)),
    (Kind.CLOSE, CLOSE, "finals", (ID,), ()),
    (
        Kind.CLOSE,
        CLOSE,
        "finals",
        tuple(bytes([i]) * 32 for i in range(WITNESSES_MAX)),
        tuple(bytes([i]) * 32 for i in range(WITNESSES_MAX + 1)),
    ),
    (Kind.CLOSE, CLOSE, "round", ROUNDS_MAX, ROUNDS_MAX + 1),
    (Kind.CLOSE, CLOSE, "round", 1, 0),
    (Kind.CLOSE, CLOSE, "unit", "x" * 16, "x" * 17),
    (Kind.CLOSE, CLOSE, "paid", INT_MAX, None),
    (Kind.CLOSE, CLOSE, "last", True, 1),
    (Kind.TAGS, TAGS, "offset", 2**32 - 1, 2**32),
    (Kind.TAGS, TAGS, "group", "x" * NAME_MAX, "x" * (NAME_MAX + 1)),
    (Kind.TAGS, TAGS, "group", "普" * 64, "普" * 65),
    (
        Kind.TAGS,
        TAGS,
        "revoked",
        (ID,) * TAGS_PER_RECORD_MAX,
        (ID,) * (TAGS_PER_RECORD_MAX + 1),
    ),
    (
        Kind.TAGS,
        TAGS,
        "tags",
        ((ENTRY, None),) * TAGS_PER_RECORD_MAX,
        ((ENTRY, None),) * (TAGS_PER_RECORD_MAX + 1),
    ),
    (
        Kind.TAGS,
        TAGS,
        "tags",
        ((ENTRY, (KEY,) * SERIALS_MAX),),
        ((ENTRY, (KEY,) * (SERIALS_MAX + 1)),),
    ),
    (Kind.TAGS, TAGS, "tags", ((ENTRY, (KEY,)),), ((ENTRY, ()),)),
    (Kind.SCAN, scan(Bare()), "stage", STAGES_MAX - 1, STAGES_MAX),
    (Kind.OUTCOME, OUTCOME, "after", (ID,) * AFTER_MAX, (ID,) * (AFTER_MAX + 1)),
    (Kind.OUTCOME, OUTCOME, "stage", 0, None),
    (Kind.ATTEST, ATTEST, "stage", None, STAGES_MAX),
    (Kind.PART, PART, "tree", 6, 7),
    (Kind.PART, PART, "tree", 1, 0),
    (Kind.PART, PART, "index", 2**32 - 1, 2**32),
    (Kind.PART, PART, "data", bytes(PART_MAX), bytes(PART_MAX + 1)),
    (Kind.PART, PART, "data", b"\0", b""),
    (Kind.FORK, FORK, "header_a", bytes(HEADER_MAX), bytes(HEADER_MAX + 1)),
    (Kind.PROFILE, PROFILE, "peer", "x" * 128, "x" * 129),
    (Kind.REDEEM, REDEEM, "nonce", bytes(16), bytes(17)),
    (Kind.ANNOUNCE, ANNOUNCE, "link", "x" * TEXT_MAX, "x" * (TEXT_MAX + 1)),
    (Kind.ERASE, Erase(salt=SALT, record=ID, claim=True), "claim", False, 0),
]


@pytest.mark.parametrize(
    ("kind", "claim", "field", "inside", "outside"), EDGES, ids=names(EDGES)
)
def test_each_bound_holds(kind, claim, field, inside, outside):
    good = replace(claim, **{field: inside})
    assert read_claim(kind, write_claim(kind, good)) == good
    at = [one.name for one in fields(claim)].index(field)
    value: Any = decode(write_claim(kind, good), CLAIM_MAX)
    value[at] = plain(outside, claim, field, kind)
    with pytest.raises(ProtocolError) as caught:
        read_claim(kind, encode(value))
    assert caught.value.reason is Reason.BAD_CLAIM


def plain(outside, claim, field, kind):
    """The value as it would stand on the wire."""
    if field == "tags":
        written: Any = CLAIMS[kind].write(replace(claim, tags=outside))
        return written[3]
    if isinstance(outside, tuple):
        return [list(one) if isinstance(one, tuple) else one for one in outside]
    return outside


@pytest.mark.parametrize(
    "evidence",
    [
        [7],
        [0, 1],
        [1, bytes(63)],
        [2, 2**20 + 1, KEY, SIGNATURE],
        [3, -1 + 1, bytes(65)],
        [4, 2**24 + 1, KEY, SIGNATURE],
        [5, KEY],
        [6, "x" * (NAME_MAX + 1)],
        [True],
        [],
        None,
    ],
)
def test_evidence_of_no_carrier_is_refused(evidence):
    with pytest.raises(ProtocolError) as caught:
        read_claim(Kind.SCAN, encode([SALT, 0, ID, evidence]))
    assert caught.value.reason is Reason.BAD_CLAIM


@pytest.mark.parametrize("kind", [Kind.NET, 21, 63])
def test_a_reserved_claim_needs_only_a_salt(kind):
    assert read_claim(kind, encode([SALT, "later", [1]])) == [SALT, "later", [1]]
    wrongs: list[Any] = [[], ["later"], [bytes(15)]]
    for wrong in wrongs:
        with pytest.raises(ProtocolError) as caught:
            read_claim(kind, encode(wrong))
        assert caught.value.reason is Reason.BAD_CLAIM
