"""Vectors of bytes: codec, keys, records, neighbours' frames. 0001-0003, 0006."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from protocols.claims import CLAIMS, Kind
from protocols.codec import Value, decode, encode
from protocols.errors import Reason
from protocols.feed import Head, prove_fork
from protocols.framing import frame
from protocols.keys import (
    NetworkId,
    Scope,
    Seed,
    SigningKey,
    network_id,
    verify,
)
from protocols.merkle import Tree, path, root
from protocols.peer_card import peer_id, sign_card
from protocols.record import HEADER, Record, encode_record, without_parts
from protocols.text import Letter, Prefix, encode_id, encode_link, join_bech32m
from protocols.wire import FRAMES, PEER_CARD, decode_frame
from protocols.wire import Card as PeerCard
from tests.vectors import Case, case
from tests.worlds import NETWORK, OPENS, World, key_of, salt_of

KEY = SigningKey(Seed(bytes(range(32))))
OTHER = SigningKey(Seed(bytes(32)))
SCOPE = Scope(b"\x07" * 32)

GOOD_VALUES = {
    "nil": "c0",
    "false": "c2",
    "true": "c3",
    "0": "00",
    "127": "7f",
    "128": "cc80",
    "255": "ccff",
    "256": "cd0100",
    "65,535": "cdffff",
    "65,536": "ce00010000",
    "2^32-1": "ceffffffff",
    "2^32": "cf0000000100000000",
    "2^53-1, the largest": "cf001fffffffffffff",
    "no bytes": "c400",
    "two bytes": "c4020203",
    "255 bytes": "c4ff" + "aa" * 255,
    "256 bytes": "c50100" + "aa" * 256,
    "no text": "a0",
    "a text": "a26f6b",
    "31 characters": "bf" + "61" * 31,
    "32 characters": "d920" + "61" * 32,
    "256 characters": "da0100" + "61" * 256,
    "Chinese": "ac" + "十个红球".encode().hex(),
    "beyond the basic plane": "a4" + "🎈".encode().hex(),
    "a byte order mark is a character like others": "a4efbbbf61",
    "U+00A0 is none of the control characters": "a2c2a0",
    "not normalised, and left so": "a3" + "e\u0301".encode().hex(),
    "U+FFFF": "a3efbfbf",
    "an empty array": "90",
    "the spec's example": "9601c4020203a26f6bc0c391cd0100",
    "15 elements": "9f" + "00" * 15,
    "16 elements": "dc0010" + "00" * 16,
    "16 deep": "91" * 15 + "90",
    "8,192 elements": "dc2000" + "c0" * 8192,
}

BAD_VALUES = [
    ("nothing", "", "NOT_CANONICAL"),
    ("a byte after the value", "0000", "NOT_CANONICAL"),
    ("bytes cut short", "c4020a", "NOT_CANONICAL"),
    ("an integer cut short", "cd01", "NOT_CANONICAL"),
    ("an array cut short", "9200", "NOT_CANONICAL"),
    ("1 in two bytes", "cc01", "NOT_CANONICAL"),
    ("128 in three bytes", "cd0080", "NOT_CANONICAL"),
    ("65,535 in five bytes", "ce0000ffff", "NOT_CANONICAL"),
    ("2^32-1 in nine bytes", "cf00000000ffffffff", "NOT_CANONICAL"),
    ("2^53", "cf0020000000000000", "NOT_CANONICAL"),
    ("2^64-1", "cfffffffffffffffff", "NOT_CANONICAL"),
    ("-1", "ff", "NOT_CANONICAL"),
    ("-128", "d080", "NOT_CANONICAL"),
    ("1 as a signed integer", "d001", "NOT_CANONICAL"),
    ("a float", "ca3f800000", "NOT_CANONICAL"),
    ("a double", "cb3ff0000000000000", "NOT_CANONICAL"),
    ("an empty map", "80", "NOT_CANONICAL"),
    ("a map", "810101", "NOT_CANONICAL"),
    ("an extension", "d40100", "NOT_CANONICAL"),
    ("a timestamp", "d6ff00000000", "NOT_CANONICAL"),
    ("the byte that is never used", "c1", "NOT_CANONICAL"),
    ("bytes with a long length", "c5000141", "NOT_CANONICAL"),
    ("a text with a long length", "d90161", "NOT_CANONICAL"),
    ("an array with a long length", "dc000100", "NOT_CANONICAL"),
    ("17 deep", "91" * 16 + "90", "NOT_CANONICAL"),
    ("200 deep", "91" * 199 + "90", "NOT_CANONICAL"),
    ("a promise of 2^32-1 elements", "ddffffffff", "NOT_CANONICAL"),
    ("8,193 elements", "dc2001" + "c0" * 8193, "NOT_CANONICAL"),
    ("not UTF-8", "a1ff", "BAD_TEXT"),
    ("an overlong form", "a2c080", "BAD_TEXT"),
    ("a surrogate", "a3eda080", "BAD_TEXT"),
    ("above U+10FFFF", "a4f4908080", "BAD_TEXT"),
    ("a text cut inside a character", "a1e5", "BAD_TEXT"),
    ("U+0000", "a100", "BAD_TEXT"),
    ("a line feed", "a10a", "BAD_TEXT"),
    ("U+001F", "a11f", "BAD_TEXT"),
    ("U+007F", "a17f", "BAD_TEXT"),
    ("U+0080", "a2c280", "BAD_TEXT"),
    ("U+009F", "a2c29f", "BAD_TEXT"),
]


def codec() -> list[Case]:
    """0001: values, refusals, frames."""
    cases = [
        case(name, "decode", bytes=data, size_max=20_000)
        for name, data in GOOD_VALUES.items()
    ]
    cases += [
        case(name, "decode", Reason[reason], bytes=data, size_max=20_000)
        for name, data, reason in BAD_VALUES
    ]
    cases += [
        case("as long as allowed", "decode", bytes="c4020203", size_max=4),
        case(
            "too long, before it is found wrong",
            "decode",
            Reason.TOO_LARGE,
            bytes="c1c1c1",
            size_max=2,
        ),
        case("no frames", "frames", bytes=""),
        case("two frames", "frames", bytes=(frame(b"foo") + frame(b"b")).hex()),
        case("half a frame waits", "frames", bytes=frame(b"foo")[:5].hex()),
        case("half a length waits", "frames", bytes="0000"),
        case("a frame of no bytes", "frames", Reason.FRAME_SIZE, bytes="00000000"),
        case("a frame too large", "frames", Reason.FRAME_SIZE, bytes="00010001aa"),
        case("a frame of 4 GB", "frames", Reason.FRAME_SIZE, bytes="ffffffff"),
    ]
    return cases


# 0002

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
LOW_ORDER = {
    "y = 0": bytes(32),
    "y = 1, the neutral element": b"\x01" + bytes(31),
    "y = 1 with the sign bit": b"\x01" + bytes(30) + b"\x80",
    "order 8": bytes.fromhex(
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    ),
    "order 8, the other": bytes.fromhex(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    ),
    "y = p - 1": (P - 1).to_bytes(32, "little"),
    "y = p, a second 0": P.to_bytes(32, "little"),
    "y = p + 1, a second 1": (P + 1).to_bytes(32, "little"),
}


def keys() -> list[Case]:
    """0002: hashes, keys, signatures, trees, text forms."""
    return [*_hashes(), *_signatures(), *_trees(), *_ids(), *_links()]


def _hashes() -> list[Case]:
    values: dict[str, list[Value]] = {
        "network": ["main"],
        "tie": [[bytes(32)], KEY.author],
        "work": [SCOPE, KEY.author, bytes(16)],
        "code": [SCOPE, 1_800_000_000_000],
    }
    cases = [
        case(f"the tag {tag}", "hash", tag=tag, value=encode(value).hex())
        for tag, value in values.items()
    ]
    cases += [
        case(
            f"the network {name!r}",
            "ids",
            network=name,
            neighbourhood="湖",
            campaign=SCOPE.hex(),
        )
        for name in ("main", "test", "")
    ]
    cases += [
        case(
            f"key {index} of a person",
            "person",
            root_seed=bytes(range(32)).hex(),
            campaign=bytes(32).hex(),
            index=index,
        )
        for index in (0, 1, 2**32 - 1)
    ]
    cases += [
        case(
            f"serial {index} of tag {tag}",
            "serial",
            secret=b"0123456789abcdef".hex(),
            issuer=KEY.author.hex(),
            batch=bytes(16).hex(),
            tag_index=tag,
            index=index,
        )
        for tag, index in ((0, 0), (1, 0), (0, 256))
    ]
    cases += [
        case("a seed", "seed", seed=bytes(32).hex()),
        case("a seed of 31 bytes", "seed", Reason.BAD_KEY, seed=bytes(31).hex()),
    ]
    return cases


def _signature_case(name: str, reason: Reason | None = None, **other: Any) -> Case:
    data = encode(["ok"])
    signature = KEY.sign("record", data)
    given = {
        "author": KEY.author.hex(),
        "tag": "record",
        "data": data.hex(),
        "signature": signature.hex(),
        **other,
    }
    return case(name, "verify", reason, **given)


def _signatures() -> list[Case]:
    bad = Reason.BAD_SIGNATURE
    good = KEY.sign("record", encode(["ok"]))
    verify(KEY.author, "record", encode(["ok"]), good)
    high = (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")
    cases = [
        _signature_case("a good signature"),
        _signature_case("under another tag", bad, tag="tag"),
        _signature_case("over other data", bad, data=encode(["no"]).hex()),
        _signature_case("by another key", bad, author=OTHER.author.hex()),
        _signature_case("of 63 bytes", bad, signature=good[:63].hex()),
        _signature_case("of 65 bytes", bad, signature=good.hex() + "00"),
        _signature_case("by a key of 31 bytes", bad, author=KEY.author[:31].hex()),
        _signature_case("S + L, a second S", bad, signature=(good[:32] + high).hex()),
        _signature_case("all zeros", bad, signature=bytes(64).hex()),
    ]
    for name, point in LOW_ORDER.items():
        # S = 0 and R = A or neutral: what a cofactored check would take.
        zero = bytes(32)
        cases += [
            _signature_case(
                f"A of low order: {name}",
                bad,
                author=point.hex(),
                signature=(good[:32] + good[32:]).hex(),
            ),
            _signature_case(
                f"A and R of low order: {name}",
                bad,
                author=point.hex(),
                signature=(b"\x01" + bytes(31) + zero).hex(),
            ),
            _signature_case(
                f"R of low order: {name}", bad, signature=(point + good[32:]).hex()
            ),
        ]
    noncanonical = (P + 2).to_bytes(32, "little")
    cases.append(_signature_case("A of y = p + 2", bad, author=noncanonical.hex()))
    return cases


def _trees() -> list[Case]:
    cases = []
    for count in (0, 1, 2, 3, 5, 8):
        leaves: list[Value] = [[index, KEY.author] for index in range(count)]
        written = [encode(leaf).hex() for leaf in leaves]
        cases.append(case(f"{count} leaves", "tree", tree=5, leaves=written))
        for index in range(count):
            given = _path_of(leaves, index)
            cases.append(case(f"leaf {index} of {count}", "path", **given))
    other = [encode([0, KEY.author]).hex()]
    cases.append(case("one leaf of another tree", "tree", tree=4, leaves=other))
    good = _path_of([[index, KEY.author] for index in range(5)], 1)
    swapped = [good["path"][1], good["path"][0], *good["path"][2:]]
    bad: dict[str, dict[str, Any]] = {
        "a hash too few": {"path": good["path"][:-1]},
        "a hash too many": {"path": [*good["path"], bytes(32).hex()]},
        "two hashes swapped": {"path": swapped},
        "another index": {"index": 2},
        "an index that is none": {"index": 5},
        "another count": {"count": 3},
        "no leaves": {"index": 0, "count": 0, "path": []},
        "another leaf": {"leaf": encode([9, KEY.author]).hex()},
        "another root": {"root": bytes(32).hex()},
        "another tree": {"tree": 4},
    }
    cases += [
        case(name, "path", Reason.BAD_PROOF, **{**good, **change})
        for name, change in bad.items()
    ]
    return cases


def _path_of(leaves: list[Value], index: int) -> dict[str, Any]:
    return {
        "tree": 5,
        "leaf": encode(leaves[index]).hex(),
        "index": index,
        "count": len(leaves),
        "path": [one.hex() for one in path(Tree.SERIALS, leaves, index)],
        "root": root(Tree.SERIALS, leaves).hex(),
    }


def _ids() -> list[Case]:
    text = encode_id(Prefix.AUTHOR, KEY.author)
    cases = [
        case(
            f"an id {prefix}",
            "id-text",
            prefix=prefix.value,
            text=encode_id(prefix, KEY.author),
        )
        for prefix in Prefix
    ]
    cases += [
        case("an id in capitals", "id-text", prefix="p2p", text=text.upper()),
        case("an id between spaces", "id-text", prefix="p2p", text=f" {text}\n"),
    ]
    fives = [0] * 51 + [1]
    bad = {
        "another prefix": encode_id(Prefix.TAG, KEY.author),
        "two cases": text[:20] + text[20:].upper(),
        "a character mistyped": text[:30]
        + ("q" if text[30] != "q" else "p")
        + text[31:],
        "two characters swapped": text[:30] + text[31] + text[30] + text[32:],
        "a character that is none": text[:-1] + "b",
        "a Kelvin sign for a k": join_bech32m("p2p", [22] * 52).replace("k", "\u212a"),
        "stray bits": join_bech32m("p2p", fives),
        "31 bytes": join_bech32m("p2p", [0] * 50),
        "33 bytes": encode_id(Prefix.AUTHOR, bytes(33)),
        "91 characters": join_bech32m("p2p", [0] * 81),
        "bech32, not bech32m": "p2p1" + "q" * 52 + "yt0w3l",
        "no text": "",
    }
    cases += [
        case(f"an id with {name}", "id-text", Reason.BAD_CODE, prefix="p2p", text=text)
        for name, text in bad.items()
    ]
    return cases


def _links() -> list[Case]:
    text = encode_link(Letter.TAG, [1, b"ab"])
    cases = [
        case("a link", "link", letter="T", text=text),
        case("a link in small letters", "link", letter="T", text=text.lower()),
        case("a link between spaces", "link", letter="T", text=f"\t{text} "),
    ]
    bad = {
        "no prefix": text[8:],
        "another prefix": "Q" + text[1:],
        "another letter": text.replace("T/", "V/"),
        "a letter that is none": text.replace("T/", "X/"),
        "no slash": text.replace("/", ""),
        "padding": text + "======",
        "a stray bit": text[:-1] + chr(ord(text[-1]) + 1),
        "a character more": text + "A",
        "a 1": text[:-1] + "1",
        "a space inside": text[:12] + " " + text[12:],
        "a dotless i": text.replace("I", "\u0131"),
        "no value": text[:10],
        "a value that is not canonical": "P2PNODE:T/ZQAQ",
        "4,297 characters": text + "A" * (4297 - len(text)),
    }
    cases += [
        case(f"a link with {name}", "link", Reason.BAD_CODE, letter="T", text=text)
        for name, text in bad.items()
    ]
    return cases


# 0003


def record_bytes(
    header: dict[str, Any],
    claim: bytes | None,
    note: bytes | None = None,
    key: SigningKey = KEY,
) -> bytes:
    """A wire record of any header, signed; sizes and hashes fit unless given."""
    size = {
        "claim_size": len(claim or b""),
        "claim_hash": sha256(claim or b"").digest(),
        "note_size": len(note or b""),
        "note_hash": sha256(note or b"").digest(),
    }
    fields = {**_HEADER, **size, **header}
    names = list(HEADER_FIELDS)
    data = encode([fields[name] for name in names])
    return encode([data, claim, note, key.sign("record", data)])


HEADER_FIELDS = (
    "version",
    "network",
    "author",
    "scope",
    "seq",
    "backlink",
    "time_ms",
    "kind",
    "claim_size",
    "claim_hash",
    "note_size",
    "note_hash",
)

_HEADER: dict[str, Any] = {
    "version": 1,
    "network": network_id("main"),
    "author": KEY.author,
    "scope": SCOPE,
    "seq": 0,
    "backlink": bytes(32),
    "time_ms": OPENS,
    "kind": 1,
}

SALT = bytes(range(16))
ENTER = encode([SALT])
NOTE = encode([SALT, "红气球", b"\x01"])


def records() -> list[Case]:
    """0003: one good record of every kind, every refusal, feeds, fork proofs."""
    return [
        *_good_records(),
        *_bad_records(),
        *_bad_claims(),
        *_feeds(),
        *_forks(),
        *_erases(),
    ]


def sample_claims(world: World) -> dict[int, Value]:
    """A claim of every kind; genesis claims are the world's own."""
    join = world.join("alice")
    entry = world.entries[0]
    public = [entry.public.tag, *_fields(entry.public)]
    card = world.card("alice")
    card_value: Value = [
        card.author,
        card.window_ms,
        card.nonce,
        card.merchant,
        card.signature,
    ]
    a, key = salt_of("a") * 2, key_of("alice").author
    assert public
    tags = decode(world.records[1].claim_bytes or b"", 49_152)
    joined = decode(join.claim_bytes or b"", 49_152)
    go_on = world.go_on("alice 2", "alice", join)
    return {
        0: decode(world.records[0].claim_bytes or b"", 49_152),
        1: [SALT],
        2: joined,
        3: decode(go_on.claim_bytes or b"", 49_152),
        4: tags,
        5: [SALT, 0, a, [2, 0, key, bytes(64)]],
        6: [SALT, key, a, None, 0, card_value],
        7: [SALT, 0, key, 12_345, [a], None],
        8: [SALT, a, 345],
        9: [SALT, 4, a, 0, encode([[key, 1]])],
        10: [SALT, 1, a, [a], a, 1, a, 0, a, 0, a, 1, 7, 3, 0, True, "CNY", OPENS],
        11: [SALT, a, True],
        12: [SALT, a, 2, 100, 0, key, bytes(16)],
        13: [SALT, a, key, 100],
        14: [SALT, a, 100],
        15: [SALT, "reserved"],
        16: [SALT, None, [[key, 3, a]]],
        17: [SALT, b"\x01", bytes(64), b"\x02", bytes(64)],
        18: [SALT, "王", "bakery", "lake", "peer", bytes(64)],
        19: [SALT, a, "ten red balloons", "P2PNODE:I/AA"],
        20: [SALT, a, a],
        63: [SALT],
    }


def _fields(public: Any) -> list[Value]:
    return [getattr(public, name) for name in public.__dataclass_fields__]


def _good_records() -> list[Case]:
    world = World(balloons=1, witnesses=1, rounds=1)
    claims = sample_claims(world)
    cases = [
        case(f"kind {record.kind}", "record", bytes=encode_record(record).hex())
        for record in world.records
        if record.seq == 0
    ]
    for kind, claim in claims.items():
        if kind in (0, 2, 3):
            continue
        seq = 0 if kind in (1, 16, 17, 18, 19, 20, 63) else 5
        header = {"kind": kind, "seq": seq, "backlink": bytes([1 if seq else 0]) * 32}
        data = record_bytes(header, encode(claim))
        cases.append(case(f"kind {kind}", "record", bytes=data.hex()))
    erased = encode_record(world.records[2])
    parts = decode(erased, 60_000)
    assert isinstance(parts, list)
    parts[1] = None
    cases += [
        case("with a note", "record", bytes=record_bytes({}, ENTER, NOTE).hex()),
        case("an erased claim", "record", bytes=encode(parts).hex()),
        case(
            "an erased note",
            "record",
            bytes=record_bytes(
                {"note_size": 9, "note_hash": bytes(32)}, ENTER, None
            ).hex(),
        ),
    ]
    return cases


def _bad_records() -> list[Case]:
    other = bytes(32)
    made: list[tuple[str, str, str, bytes]] = [
        ("no array", "wire", "BAD_SHAPE", encode(b"")),
        ("three parts", "wire", "BAD_SHAPE", encode([b"\x90", None, None])),
        (
            "a signature of 63 bytes",
            "wire",
            "BAD_SHAPE",
            encode([b"\x90", None, None, bytes(63)]),
        ),
        (
            "a header of 321 bytes",
            "wire",
            "BAD_SHAPE",
            encode([bytes(321), None, None, bytes(64)]),
        ),
        (
            "an empty claim",
            "wire",
            "BAD_SHAPE",
            encode([b"\x90", b"", None, bytes(64)]),
        ),
        (
            "a header that is not canonical",
            "header",
            "NOT_CANONICAL",
            encode([b"\xcc\x01", None, None, bytes(64)]),
        ),
        (
            "a header of eleven fields",
            "header",
            "BAD_SHAPE",
            encode([encode([1] * 11), None, None, bytes(64)]),
        ),
        ("kind 64", "header", "BAD_SHAPE", record_bytes({"kind": 64}, ENTER)),
        ("a claim of size 0", "header", "BAD_SHAPE", record_bytes({}, None)),
        (
            "a network of 15 bytes",
            "header",
            "BAD_SHAPE",
            record_bytes({"network": bytes(15)}, ENTER),
        ),
        ("version 2", "header", "WRONG_VERSION", record_bytes({"version": 2}, ENTER)),
        ("enter at seq 1", "header", "WRONG_GENESIS", record_bytes({"seq": 1}, ENTER)),
        ("tags at seq 0", "header", "WRONG_GENESIS", record_bytes({"kind": 4}, ENTER)),
        (
            "kind 15 at seq 0",
            "header",
            "WRONG_GENESIS",
            record_bytes({"kind": 15}, ENTER),
        ),
        (
            "a backlink at seq 0",
            "header",
            "WRONG_BACKLINK",
            record_bytes({"backlink": b"\x01" * 32}, ENTER),
        ),
        (
            "a hash of no note",
            "header",
            "WRONG_HASH",
            record_bytes({"note_hash": other}, ENTER),
        ),
        (
            "another claim",
            "claim",
            "WRONG_HASH",
            record_bytes({"claim_hash": other}, ENTER),
        ),
        (
            "another size of the claim",
            "claim",
            "WRONG_HASH",
            record_bytes({"claim_size": 5}, ENTER),
        ),
        (
            "another note",
            "note",
            "WRONG_HASH",
            record_bytes({"note_hash": other}, ENTER, NOTE),
        ),
        (
            "another size of the note",
            "note",
            "WRONG_HASH",
            record_bytes({"note_size": 5}, ENTER, NOTE),
        ),
        ("a note beside size 0", "note", "WRONG_HASH", _note_beside_nothing()),
        (
            "a note without a salt",
            "note",
            "BAD_CLAIM",
            record_bytes({}, ENTER, encode(["x"])),
        ),
        (
            "a note that is a text",
            "note",
            "BAD_CLAIM",
            record_bytes({}, ENTER, encode("x")),
        ),
        (
            "a note that is not canonical",
            "note",
            "NOT_CANONICAL",
            record_bytes({}, ENTER, b"\xcc\x01"),
        ),
        (
            "a note with a line feed",
            "note",
            "BAD_TEXT",
            record_bytes({}, ENTER, b"\x91\xa1\n"),
        ),
        (
            "another's signature",
            "signature",
            "BAD_SIGNATURE",
            record_bytes({}, ENTER, key=OTHER),
        ),
    ]
    cases = [
        case(name, "record", Reason[reason], layer=layer, bytes=data.hex())
        for name, layer, reason, data in made
    ]
    large = encode([bytes(57_760), None, None, bytes(64)])
    cases.append(
        case("too large", "record", Reason.TOO_LARGE, layer="wire", bytes=large.hex())
    )
    return cases


def _note_beside_nothing() -> bytes:
    parts = decode(record_bytes({}, ENTER), 60_000)
    assert isinstance(parts, list)
    parts[2] = NOTE
    return encode(parts)


def _bad_claims() -> list[Case]:
    cases = [
        case(name, "claim", reason, layer="claim", kind=1, bytes=data)
        for name, reason, data in (
            ("a claim that is no array", Reason.BAD_CLAIM, "00"),
            ("an empty claim array", Reason.BAD_CLAIM, "90"),
            ("a salt of 15 bytes", Reason.BAD_CLAIM, "91c40f" + "00" * 15),
            ("a claim with a field more", Reason.BAD_CLAIM, "92c410" + "00" * 17),
            ("a claim that is not canonical", Reason.NOT_CANONICAL, "91cc01"),
            ("a claim with text that is none", Reason.BAD_TEXT, "91a1ff"),
        )
    ]
    claims = sample_claims(World(balloons=1, witnesses=1, rounds=1))
    for kind, claim in claims.items():
        assert isinstance(claim, list)
        if kind in CLAIMS:
            short = encode(claim[:-1])
            name = f"kind {kind} with a field less"
            cases.append(
                case(
                    name,
                    "claim",
                    Reason.BAD_CLAIM,
                    layer="claim",
                    kind=kind,
                    bytes=short.hex(),
                )
            )
    a, b = b"\x01" * 32, b"\x02" * 32
    wrong: list[tuple[str, int, list[Value]]] = [
        ("scan: stage 32", 5, [SALT, 32, a, [0]]),
        ("scan: evidence of no carrier", 5, [SALT, 0, a, [5]]),
        ("scan: evidence with a field more", 5, [SALT, 0, a, [0, 0]]),
        ("scan: a serial above 2^20", 5, [SALT, 0, a, [2, 2**20 + 1, a, bytes(64)]]),
        ("scan: a counter above 2^24", 5, [SALT, 0, a, [4, 2**24 + 1, a, bytes(64)]]),
        ("outcome: nine records", 7, [SALT, 0, a, 1, [a] * 9, None]),
        ("part: tree 7", 9, [SALT, 7, a, 0, b"\x90"]),
        ("part: no bytes", 9, [SALT, 1, a, 0, b""]),
        ("part: 32,769 bytes", 9, [SALT, 1, a, 0, bytes(32_769)]),
        ("close: round 0", 10, _close_claim(claims, 1, 0)),
        ("close: round 101", 10, _close_claim(claims, 1, 101)),
        ("close: finals descending", 10, _close_claim(claims, 3, [b, a])),
        ("close: a final twice", 10, _close_claim(claims, 3, [a, a])),
        ("close: no finals", 10, _close_claim(claims, 3, [])),
        ("close: last is a number", 10, _close_claim(claims, 15, 1)),
        ("seen: heads descending", 16, [SALT, None, [[b, 0, a], [a, 0, a]]]),
        ("seen: an author twice", 16, [SALT, None, [[a, 0, a], [a, 1, b]]]),
        ("seen: round 0", 16, [SALT, 0, []]),
        ("fork: an empty header", 17, [SALT, b"", bytes(64), b"\x02", bytes(64)]),
        ("announce: a link of 1,025 bytes", 19, [SALT, a, "", "x" * 1025]),
        ("profile: a name of 193 bytes", 18, [SALT, "x" * 193, "", "", "", bytes(64)]),
    ]
    cases += [
        case(
            name,
            "claim",
            Reason.BAD_CLAIM,
            layer="claim",
            kind=kind,
            bytes=encode(value).hex(),
        )
        for name, kind, value in wrong
    ]
    return cases


def _close_claim(claims: dict[int, Value], place: int, value: Value) -> list[Value]:
    close = claims[Kind.CLOSE]
    assert isinstance(close, list)
    return [*close[:place], value, *close[place + 1 :]]


def _feeds() -> list[Case]:
    first = record_bytes({}, ENTER).hex()
    link = {"kind": 20, "seq": 1, "backlink": b"\x05" * 32}
    dispute = encode([SALT, bytes(32), bytes(32)])
    second = record_bytes(link, dispute).hex()
    head = {"seq": 0, "id": (b"\x05" * 32).hex()}
    wrong = {"seq": 0, "id": (b"\x06" * 32).hex()}
    return [
        case("seq 0 of a new feed", "next", head=None, bytes=first),
        case("the next record", "next", head=head, bytes=second),
        case("seq 1 of a new feed", "next", Reason.GAP, head=None, bytes=second),
        case("seq 0 again", "next", Reason.GAP, head=head, bytes=first),
        case("another branch", "next", Reason.WRONG_BACKLINK, head=wrong, bytes=second),
    ]


def _erases() -> list[Case]:
    """What an erase drops, and which records are taken without their claim."""
    world = World(balloons=2, witnesses=1, rounds=1)
    joined = world.join("alice")
    scan, other = world.scan("alice", 0), world.scan("alice", 1)
    world.join("bob")
    both = world.erase("alice", scan)
    claim = world.erase_claim(scan)
    note = world.write(key_of("alice"), Kind.ERASE, replace(claim, claim=False))
    theirs = world.write(key_of("bob"), Kind.ERASE, claim)
    genesis = world.erase("alice", joined)
    apart = world.write(
        key_of("alice"),
        Kind.ERASE,
        claim,
        scope=Scope(bytes(32)),
        after=Head(1, scan.id),
    )
    bare = {one.id: without_parts(one, claim=True, note=True) for one in world.records}
    pairs = [
        ("no erase", None, scan, None),
        ("an erase of note and claim", both, scan, None),
        ("an erase of the note alone", note, scan, None),
        ("an erase of another scan", both, other, None),
        ("an erase by another author", theirs, scan, None),
        ("an erase in another scope", apart, scan, None),
        ("an erase of a join", genesis, joined, None),
        ("a record that is no erase", other, scan, None),
        ("a scan without its claim, and its erase", both, bare[scan.id], None),
        ("a scan without its claim", None, bare[scan.id], Reason.BAD_CLAIM),
        ("a bare scan, its note erased", note, bare[scan.id], Reason.BAD_CLAIM),
        ("a bare scan, another erased", both, bare[other.id], Reason.BAD_CLAIM),
        ("a bare scan, another's erase", theirs, bare[scan.id], Reason.BAD_CLAIM),
        ("a bare scan, an erase elsewhere", apart, bare[scan.id], Reason.BAD_CLAIM),
        ("a bare scan, a bare erase", bare[both.id], bare[scan.id], Reason.BAD_CLAIM),
        ("a bare join, erased", genesis, bare[joined.id], Reason.BAD_CLAIM),
    ]
    return [
        case(
            name,
            "erase",
            reason,
            erase=erase and encode_record(erase).hex(),
            record=encode_record(record).hex(),
        )
        for name, erase, record, reason in pairs
    ]


def _forks() -> list[Case]:
    world = World(balloons=1, witnesses=1, rounds=1)
    world.join("alice")
    one = world.scan("alice", 0)
    other = world.fork("alice", Kind.ERASE, world.erase_claim(one))
    proof = prove_fork(one, other)
    good: dict[str, Any] = {
        "header_a": proof.header_a.hex(),
        "signature_a": proof.signature_a.hex(),
        "header_b": proof.header_b.hex(),
        "signature_b": proof.signature_b.hex(),
        "network": NETWORK.hex(),
    }
    turned = {
        "header_a": good["header_b"],
        "signature_a": good["signature_b"],
        "header_b": good["header_a"],
        "signature_b": good["signature_a"],
    }
    first = world.records[2]
    elsewhere = {
        "header_a": first.header_bytes.hex(),
        "signature_a": first.signature.hex(),
    }
    version = _with_version(one, 2)
    bad: list[tuple[str, str, Reason, dict[str, str]]] = [
        (
            "header b of version 2",
            "header",
            Reason.WRONG_VERSION,
            {"header_b": version},
        ),
        (
            "another network",
            "network",
            Reason.WRONG_NETWORK,
            {"network": NetworkId(bytes(16)).hex()},
        ),
        ("the larger id first", "place", Reason.NOT_A_FORK, turned),
        (
            "one header twice",
            "place",
            Reason.NOT_A_FORK,
            {"header_b": good["header_a"], "signature_b": good["signature_a"]},
        ),
        ("two places", "place", Reason.NOT_A_FORK, elsewhere),
        (
            "a wrong signature a",
            "signature",
            Reason.BAD_SIGNATURE,
            {"signature_a": good["signature_b"]},
        ),
        (
            "a wrong signature b",
            "signature",
            Reason.BAD_SIGNATURE,
            {"signature_b": good["signature_a"]},
        ),
    ]
    cases = [case("a fork", "fork", **good)]
    cases += [
        case(
            f"a fork with {name}", "fork", reason, **{"layer": layer, **good, **change}
        )
        for name, layer, reason, change in bad
    ]
    return cases


def _with_version(record: Record, version: int) -> str:
    return encode(HEADER.write(record.header._replace(version=version))).hex()


# 0006


def frames() -> list[Case]:
    """0006: every frame good, and what is refused."""
    samples = _frame_samples()
    assert sorted(samples) == sorted(FRAMES)
    cases = []
    for tag, fields in samples.items():
        data = encode([tag, *fields])
        name = type(decode_frame(data)).__name__.lower()
        cases.append(case(name, "frame", bytes=data.hex()))
        longer = encode([tag, *fields, 0]).hex()
        cases.append(
            case(f"{name} with a field more", "frame", Reason.BAD_FRAME, bytes=longer)
        )
    a, h = bytes(32), bytes(8)
    wrong: dict[str, list[Any]] = {
        "an unknown tag": [18],
        "no tag": [],
        "a tag that is a text": ["x"],
        "hello: scopes descending": _hello([b"\x02" * 16, b"\x01" * 16]),
        "hello: a scope twice": _hello([b"\x02" * 16, b"\x02" * 16]),
        "hello: a card's signature of 32 bytes": [
            *_hello([])[:-1],
            ["", [], 0, bytes(32)],
        ],
        "compare: a prefix in capitals": [3, a, True, h, "A", "", [], [], []],
        "compare: a mask without digests": [
            3,
            a,
            True,
            h,
            "",
            "",
            [["", 1, b""]],
            [],
            [],
        ],
        "compare: digests beside the mask": [
            *[3, a, True, h, "", ""],
            [["", 1, bytes(12)]],
            [],
            [],
        ],
        "compare: buckets descending": [
            *[3, a, True, h, "", "", []],
            [["1", []], ["0", []]],
            [],
        ],
        "want: an empty range": [4, a, [[h, 3, 3]]],
        "want: no ranges": [4, a, []],
        "want-ids: descending": [6, a, [b"\x02" * 32, b"\x01" * 32]],
        "forks: none": [9, a, []],
        "credit: 0": [13, 0],
        "ping: a token of 7 bytes": [15, bytes(7)],
        "bye: 65 bytes": [17, "x" * 65],
    }
    cases += [
        case(name, "frame", Reason.BAD_FRAME, bytes=encode(value).hex())
        for name, value in wrong.items()
    ]
    cases += [
        case("a frame that is no array", "frame", Reason.BAD_FRAME, bytes="c0"),
        case("a frame not canonical", "frame", Reason.NOT_CANONICAL, bytes="92cc00c0"),
        case("a frame with bad text", "frame", Reason.BAD_TEXT, bytes="9211a1ff"),
        case(
            "a frame of 65,537 bytes",
            "frame",
            Reason.TOO_LARGE,
            bytes=bytes(65_537).hex(),
        ),
    ]
    return [*cases, *_peer_cards()]


def _peer_cards() -> list[Case]:
    """Cards of peers: signed by the key that the peer id is."""
    network = network_id("main")
    where = ("/ip4/192.0.2.7/tcp/4001", "/dns4/shop.example/tcp/4001")
    card = sign_card(KEY, network, [f"{x}/p2p/{peer_id(KEY.author)}" for x in where], 1)
    other = peer_id(OTHER.author)
    tail = "1" if card.peer[-1] != "1" else "2"
    wrong = {
        "a later time": (replace(card, time_ms=2), Reason.BAD_SIGNATURE),
        "an address fewer": (
            replace(card, addresses=card.addresses[:1]),
            Reason.BAD_SIGNATURE,
        ),
        "another's peer id": (replace(card, peer=other), Reason.BAD_SIGNATURE),
        "no signature": (replace(card, signature=b""), Reason.BAD_SIGNATURE),
        "a peer id with another last letter": (
            replace(card, peer=card.peer[:-1] + tail),
            Reason.BAD_SIGNATURE,
        ),
        "a peer id with a letter too many": (
            replace(card, peer=card.peer + "1"),
            Reason.BAD_KEY,
        ),
        "a peer id with a 1 before it": (
            replace(card, peer="1" + card.peer),
            Reason.BAD_KEY,
        ),
        "a peer id with a 0, which base58 lacks": (
            replace(card, peer=card.peer[:-1] + "0"),
            Reason.BAD_KEY,
        ),
        "a peer id of an RSA key": (
            replace(card, peer="QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"),
            Reason.BAD_KEY,
        ),
        "no peer id": (replace(card, peer=""), Reason.BAD_KEY),
    }
    return [
        _peer_card("signed", card, network),
        _peer_card("of no addresses", sign_card(OTHER, network, [], 0), network),
        _peer_card(
            "of another network", card, network_id("test"), Reason.BAD_SIGNATURE
        ),
        *(
            _peer_card(f"with {name}", changed, network, reason)
            for name, (changed, reason) in wrong.items()
        ),
    ]


def _peer_card(
    name: str, card: PeerCard, network: NetworkId, reason: Reason | None = None
) -> Case:
    data = encode(PEER_CARD.write(card)).hex()
    name = f"a peer's card: {name}"
    return case(name, "peer-card", reason, bytes=data, network=network.hex())


def _hello(scopes: list[Value]) -> list[Value]:
    return [1, 1, bytes(16), scopes, 0, ["", [], 0, b""]]


def _frame_samples() -> dict[int, list[Any]]:
    a, h = b"\x01" * 32, b"\x02" * 8
    card: Value = ["peer", ["/ip4/127.0.0.1/tcp/1"], OPENS, bytes(64)]
    proof: Value = [b"\x01", bytes(64), b"\x02", bytes(64)]
    hello: Value = [b"\x01" * 16, b"\x02" * 16]
    return {
        0: [a],
        1: [1, bytes(16), hello, 0, card],
        2: [hello],
        3: [
            *[a, True, h, "", "f"],
            [["", 3, bytes(12)]],
            [["a", [[bytes(12), 3, False]]]],
            [[h, 4, True]],
        ],
        4: [a, [[h, 0, 9]]],
        5: [a, [b"\x01", b"\x02"], [h]],
        6: [a, [a]],
        7: [a, [b"\x01"]],
        8: [a, []],
        9: [a, [proof]],
        10: [a, [[a, 0, a]]],
        11: [a],
        12: [a],
        13: [1],
        14: [[card]],
        15: [h],
        16: [h],
        17: ["bad-frame"],
    }
