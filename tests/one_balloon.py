"""One balloon from tag to voucher, in bytes: what spec 0000 shows.

Every byte is computed here from names and small numbers; `tests.generate`
writes the page and `tests/unit/test_one_balloon.py` compares it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from protocols.claims import CLAIMS, Close, Kind, Part, Seen
from protocols.codec import encode
from protocols.invite_link import InviteLink, invite_link_text
from protocols.keys import Seed, Signature, witness_scope
from protocols.merkle import Tree, leaf_hash
from protocols.record import HEADER, Record, encode_record
from protocols.settlement.close import Closing
from protocols.settlement.cut import CUT_ENTRY, LINE, ROW
from protocols.settlement.voucher import Voucher, make_voucher, voucher_text
from protocols.tags.code import make_serial
from protocols.tags.entry import ENTRY, tag_id
from protocols.terms import TERMS, Once
from protocols.text import campaign_text, tag_text
from tests.hexlines import NAME_WIDTH, block
from tests.worlds import NETWORK, SCAN_STAGE, World, key_of

POOL = 10_000
"""100.00 CNY."""

SPECS = {
    "0001": "0001-codec.md",
    "0002": "0002-keys.md",
    "0003": "0003-records.md",
    "0004": "0004-joining.md",
    "0005": "0005-terms.md",
    "0007": "0007-tags.md",
    "0008": "0008-settlement.md",
    "0009": "0009-closing.md",
}

Known = dict[bytes, str]


@dataclass
class Story:
    """The world of one balloon, played to its end."""

    world: World
    link: InviteLink
    join: Record
    scan: Record
    seens: tuple[Record, Record]
    closing: Closing
    close: Record
    voucher: Voucher
    known: Known = field(default_factory=dict)

    def record(self, kind: Kind) -> Record:
        """The sponsor's first record of a kind."""
        return next(r for r in self.world.records if r.kind == kind)


def play() -> Story:
    """A shop hangs one balloon, Alice finds it, the round is closed."""
    assert SCAN_STAGE.reward is not None
    reward = replace(SCAN_STAGE.reward, amount=POOL)
    stage = replace(SCAN_STAGE, once=Once.TAG, reward=reward)
    world = World(
        balloons=1,
        witnesses=1,
        rounds=1,
        stages=(stage,),
        budget=POOL,
        changes={"title": "one red balloon"},
    )
    invite, signature, secret = world.invite(world.sponsor, tag="alice")
    link = InviteLink(
        invite=invite,
        signature=Signature(signature),
        secret=Seed(secret),
        title=world.terms.title,
        addresses=("/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWExample",),
    )
    join = world.join_by("alice", (invite, signature, secret))
    scan = world.scan("alice", 0)
    world.finish_round(1)
    scope = witness_scope(world.scope)
    first, last = [r for r in world.records if r.scope == scope]
    closing = world.settle(1)
    close = world.close(1)
    voucher = make_voucher(close, closing.settlement.lines, join.author)
    assert voucher is not None
    story = Story(world, link, join, scan, (first, last), closing, close, voucher)
    story.known.update(_names(story))
    return story


def page() -> str:
    """The text of protocols/spec/0000-one-balloon.md."""
    text = "\n".join(_page(play()))
    text = re.sub("\n{3,}", "\n\n", text).rstrip("\n") + "\n"
    return re.sub(r"(?<=[( ])00\d\d(?= §)", lambda m: f"[{m[0]}]({SPECS[m[0]]})", text)


def _names(story: Story) -> Iterator[tuple[bytes, str]]:
    """What the 32 bytes that come again and again are."""
    world = story.world
    yield NETWORK, "the network `test`"
    yield bytes(32), "nothing before"
    yield world.sponsor.author, "the sponsor's key"
    yield world.charity.author, "the charity's key"
    yield world.witness_keys[0].author, "the witness's key"
    yield key_of("alice").author, "Alice's key"
    yield world.entries[0].batch, "the batch"
    yield world.scope, "the campaign id"
    yield witness_scope(world.scope), "the witness scope"
    yield tag_id(world.entries[0]), "the tag id"
    yield story.link.invite.invite_key, "the invite key"
    for record in world.records:
        yield record.header.claim_hash, "SHA-256 of the claim"
        yield record.id, _title(story, record)
    yield story.record(Kind.TERMS).header.note_hash, "SHA-256 of nothing"


def _title(story: Story, record: Record) -> str:
    name = Kind(record.kind).name.lower()
    if record.kind == Kind.SEEN:
        return "the `seen`" if record is story.seens[0] else "the final"
    return f"id of the sponsor's `{name}`" if name == "part" else f"id of the `{name}`"


def _page(story: Story) -> Iterator[str]:
    yield from _opening()
    yield from _tag(story)
    yield from _terms(story)
    yield from _people(story)
    yield from _witness(story)
    yield from _money(story)
    yield from _proof(story)


def _opening() -> Iterator[str]:
    yield "# 0000 One balloon, from tag to voucher"
    yield ""
    yield from _say(
        "Generated by `python -m tests.generate` from `tests/one_balloon.py`: "
        "every byte below is real and can be recomputed. A shop hangs one red "
        "balloon worth 100.00; Alice, whom the shop invited, finds it; one "
        "witness sees; the shop closes the round; Alice holds a voucher. The "
        "numbers in brackets name the spec in force."
    )
    yield ""
    yield from _say(
        "How to read: a name, then hex. The digits before the first gap are "
        "type and length (MessagePack, 0001 §1), those after it the content; a "
        "number is in its first digits whole; after `#` stands what they "
        "are. Indented lines are the elements of the array above. All digits "
        "of a block, joined, are the bytes. Seeds are SHA-256 of a name "
        "(`sponsor`, `alice`, `witness 0`, `charity`); "
        "salts are fixed here and random in life; times are Unix ms."
    )
    yield ""


def _tag(story: Story) -> Iterator[str]:
    world, entry = story.world, story.world.entries[0]
    yield "## 1. The tag"
    yield ""
    yield from _say(
        "The shop makes a tag before there is a campaign. Its public part is "
        "the entry; the balloon carries one serial, whose public key is under "
        "the root (tree 5). (0007 §2)"
    )
    yield from _block("tag-entry", entry, ENTRY.write(entry), story.known)
    yield from _say(
        "The tag id is the SHA-256 of `p2pnode/1/tag`, a zero byte and these "
        "bytes. (0002 §2)"
    )
    yield from _facts(
        "tag-id",
        ("tag id", tag_id(entry).hex()),
        ("as text", tag_text(tag_id(entry))),
        ("serial key", _serial_key(story).hex()),
    )
    yield from _say(
        "What is printed on the balloon: entry, the shop's signature over it, "
        "the serial's index and its secret, in base32. Who reads it offline "
        "sees whose it is. (0007 §5)"
    )
    secret = world.secrets[0]
    yield from _text("tag-code", make_serial(world.sponsor, entry, 0, secret))


def _terms(story: Story) -> Iterator[str]:
    world = story.world
    value = TERMS.write(world.terms)
    yield "## 2. The terms"
    yield ""
    yield from _say(
        "Everything that decides who is paid what: half of 100.00 to the "
        "finder, a quarter to her inviter and so on; nothing before the one "
        "balloon is found. The group's root is tree 6 over the entry above. "
        "(0005 §2)"
    )
    yield from _block("terms", world.terms, value, story.known)
    yield from _say(
        "The campaign id is the hash of the terms under the tag `campaign`. "
        "Who holds the id can tell whether terms are the right ones; nothing "
        "in them can change. (0002 §2)"
    )
    yield from _facts(
        "campaign-id",
        ("campaign id", world.scope.hex()),
        ("as text", campaign_text(world.scope)),
        ("witness scope", witness_scope(world.scope).hex()),
    )
    story.known[encode(value)] = "the terms above"
    terms, tags = story.record(Kind.TERMS), story.record(Kind.TAGS)
    yield "## 3. The sponsor's feed begins"
    yield ""
    yield from _say(
        "The first record of the sponsor's feed carries the terms. A record "
        "is [header, claim, note or nil, signature]; the header is signed, "
        "and its hash under the tag `record` is the record's id. (0003 §1)"
    )
    yield from _record("terms", terms, story)
    yield from _say(
        "The second lists the tag with its serial's public key, so that "
        "everybody can check a scan; the backlink names the record before. "
        "From here on only the claims are shown, the headers are made alike. "
        "(0008 §3)"
    )
    story.known[encode(ENTRY.write(world.entries[0]))] = "the tag entry above"
    yield from _claim("tags", tags, story)


def _people(story: Story) -> Iterator[str]:
    yield "## 4. Alice joins"
    yield ""
    yield from _say(
        "The shop signs an invite, a capability for whoever holds the invite "
        "key's secret, and hands over a link with both. (0004 §2)"
    )
    yield from _text("invite-link", invite_link_text(story.link))
    yield from _say(
        "Alice's node derives a key for this campaign and begins a feed with "
        "a `join`: the invite, its signature, and the invite key's signature "
        "over her key. So the referral chain stands in the record itself, and "
        "nobody had to be online. (0004 §2)"
    )
    yield from _record("join", story.join, story)
    yield "## 5. Alice scans"
    yield ""
    yield from _say(
        "The serial's own key, made from the secret in the code, signs for "
        "Alice's key in this campaign: nobody who overhears the record can "
        "use it. That is evidence of grade 2. (0007 §3, 0008 §4)"
    )
    yield from _record("scan", story.scan, story)


def _witness(story: Story) -> Iterator[str]:
    first, last = story.seens
    yield "## 6. The witness sees"
    yield ""
    yield from _say(
        "In the witness scope the witness lists the heads that moved: "
        "(author, seq, id). Seeing a head covers all records below it. Its "
        "time is when Alice's scan was seen. (0009 §1)"
    )
    yield from _claim("seen", first, story)
    yield from _say(
        "Once the round's `final_from` has come, one more `seen` is marked as "
        "the final of round 1; with one witness one final is enough, with "
        "four it takes three. (0009 §1)"
    )
    yield from _claim("final", last, story)


def _money(story: Story) -> Iterator[str]:
    closing, settled = story.closing, story.closing.settlement
    alice = next(e for e in closing.declared.cut if e.author == story.join.author)
    row = settled.rows[0]
    yield "## 7. The cut and the evidence row"
    yield ""
    yield from _say(
        "A cut entry says up to where an author's feed counts, and since "
        "which seq which witness time holds. It follows from the final; "
        "anybody can derive it. (0008 §1, 0009 §2)"
    )
    yield from _block("cut-entry", alice, CUT_ENTRY.write(alice), story.known)
    yield from _say(
        "The evidence row keeps what the scan proved when it first counted: "
        "grade and the serial key that is now used up. It still settles after "
        "Alice has erased the claim. (0008 §4)"
    )
    yield from _block("row", row, ROW.write(row), story.known)
    yield "## 8. The statement"
    yield ""
    paid = ", ".join(f"{line.amount:,} fen" for line in settled.lines)
    yield from _say(
        "One leaf a payee, ascending by key. Halving gives Alice 5,000 fen "
        "and the shop, who invited her, nothing: a sponsor is no participant. "
        f"What is left goes to the charity in the last close: {paid}; the sum "
        "is the budget. (0008 §7, §8)"
    )
    for place, line in enumerate(settled.lines):
        yield from _block(f"leaf-{place}", line, LINE.write(line), story.known)
    leaves = [leaf_hash(Tree.STATEMENT, LINE.write(line)) for line in settled.lines]
    yield from _say(
        "A leaf's hash covers the tree's number, so no leaf passes for "
        "another list's. (0002 §5)"
    )
    yield from _facts(
        "statement-root",
        *((f"leaf hash {place}", leaf.hex()) for place, leaf in enumerate(leaves)),
        ("statement root", settled.statement_root.hex()),
    )
    yield "## 9. The close"
    yield ""
    parts = sum(r.kind == Kind.PART for r in story.world.records)
    yield from _say(
        f"The lists travel as {parts} `part` records in the sponsor's feed; "
        "then the close commits to their roots and to the money. Everybody "
        "recomputes it: the same records give the same roots, or the close is "
        "wrong and says so by itself. (0009 §3, §4)"
    )
    yield from _record("close", story.close, story)


def _proof(story: Story) -> Iterator[str]:
    yield "## 10. The voucher"
    yield ""
    yield from _say(
        "Alice's leaf, its path to the root and the signed close, in one QR "
        "code. It needs no node: the path gives the close's statement root, "
        "the sponsor signed the close, and the sponsor's key stands in the "
        "terms. (0009 §5)"
    )
    voucher = story.voucher
    yield from _facts(
        "voucher",
        ("leaf", encode(LINE.write(voucher.line)).hex()),
        ("index", str(voucher.index)),
        *((f"path {place}", step.hex()) for place, step in enumerate(voucher.path)),
    )
    yield from _text("voucher-code", voucher_text(voucher))


def _record(name: str, record: Record, story: Story) -> Iterator[str]:
    """Header, claim, signature and id."""
    header = HEADER.write(record.header)
    yield from _block(f"{name}-header", record.header, header, story.known)
    yield from _claim(name, record, story)
    yield from _facts(
        f"{name}-record",
        ("id", record.id.hex()),
        ("signature", record.signature[:32].hex()),
        ("", record.signature[32:].hex()),
        ("on the wire", f"{len(encode_record(record))} bytes"),
    )


def _claim(name: str, record: Record, story: Story) -> Iterator[str]:
    claim: Seen | Part | Close = record.claim()
    value = CLAIMS[Kind(record.kind)].write(claim)
    yield from _block(f"{name}-claim", claim, value, story.known)


def _serial_key(story: Story) -> bytes:
    evidence = story.scan.claim().evidence
    key: bytes = evidence.key
    return key


def _say(text: str) -> Iterator[str]:
    yield from ("", *textwrap.wrap(text, 92, break_on_hyphens=False), "")


def _block(name: str, item: Any, value: Any, known: Known) -> Iterator[str]:
    yield from ("", f"```hex {name}", block(item, value, known), "```", "")


def _facts(name: str, *facts: tuple[str, str]) -> Iterator[str]:
    lines = (f"{label:{NAME_WIDTH}}{value}" for label, value in facts)
    yield from ("", f"```text {name}", *lines, "```", "")


def _text(name: str, text: str) -> Iterator[str]:
    lines = (text[at : at + 80] for at in range(0, len(text), 80))
    yield from ("", f"```text {name}", *lines, "```", "")
