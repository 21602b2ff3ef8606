"""Promises about words, cards, caps and tags, beside those of `tests/promises.py`."""

from __future__ import annotations

from typing import Final

from tests.promise import CUT, JUDGE, ROWS, SETTLE, Promise

BIND: Final = "protocols/settlement/bind.py"
STORED: Final = ("unit/test_vectors.py::test_every_stored_case_has_its_answer",)

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        said="A word is bound by a scan of the signer's own tag, or one that it hosts.",
        spec="0008 §5",
        without=(BIND, "if desk in owners and free and", "if free and"),
        tests=STORED,
        vectors=("0008 whose scan, of whose tag",),
    ),
    Promise(
        said="A word is bound by a scan of hers.",
        spec="0008 §5",
        without=(
            BIND,
            "if tag is None or not self._same_person(row.author, word.author):",
            "if tag is None:",
        ),
        tests=STORED,
        vectors=("0008 whose scan, of whose tag",),
    ),
    Promise(
        said="A scan binds one word of a kind and party, whichever of its tills.",
        spec="0008 §5",
        without=(
            BIND,
            "free = (scan, desk, item.record.kind) not in",
            "free = (scan, item.record.author, item.record.kind) not in",
        ),
        tests=STORED,
        vectors=("0008 whose scan, of whose tag",),
    ),
    Promise(
        said="A word is bound by her own card.",
        spec="0008 §5",
        without=(BIND, "if author != customer or not meant or", "if not meant or"),
        tests=STORED,
        vectors=("0008 whose card, for whom",),
    ),
    Promise(
        said="A card for one shop binds no word of another.",
        spec="0008 §5",
        without=(
            BIND,
            "if author != customer or not meant or",
            "if author != customer or",
        ),
        tests=STORED,
        vectors=("0008 whose card, for whom",),
    ),
    Promise(
        said="A card's nonce is spent once in a campaign, at whatever shop.",
        spec="0008 §5",
        without=(
            BIND,
            "found.nonces.add((author, nonce))",
            "found.nonces.add((item.record.author, nonce))",
        ),
        tests=STORED,
        vectors=("0008 whose card, for whom", "0008 outcomes with a card"),
    ),
    Promise(
        said="A card that its owner did not sign binds nothing.",
        spec="0008 §5",
        without=(
            BIND,
            "lambda: check_card(card_of(card), terms.network, campaign_id(terms)),",
            "lambda: None,",
        ),
        tests=STORED,
        vectors=("0008 whose card, for whom",),
    ),
    Promise(
        said="A bound attest lifts no act but hers.",
        spec="0008 §5",
        without=(
            BIND,
            "if bound and attest and self._is_hers(word):",
            "if bound and attest:",
        ),
        tests=STORED,
        vectors=("0008 whose act is attested, by whom",),
    ),
    Promise(
        said="Who only hosts the named tag attests, and sells nothing.",
        spec="0008 §5",
        without=(
            BIND,
            "attest and self._hosts(signer, word.named)",
            "self._hosts(signer, word.named)",
        ),
        tests=STORED,
        vectors=("0008 whose scan, of whose tag",),
    ),
    Promise(
        said="14: no outcome is above its merchant's cap on one.",
        spec="0008 §6",
        without=(JUDGE, "act.amount > party.amount_max\n            or", ""),
        tests=STORED,
        vectors=("0008 a cap on one, on a day, and on all",),
    ),
    Promise(
        said="14: a day's outcomes of a merchant stay below its cap on a day.",
        spec="0008 §6",
        without=(JUDGE, "            or today > party.per_day_max\n", ""),
        tests=STORED,
        vectors=("0008 a cap on one, on a day, and on all",),
    ),
    Promise(
        said="14: all outcomes of a merchant stay below its cap on all.",
        spec="0008 §6",
        without=(JUDGE, "            or total > party.total_max\n", ""),
        tests=STORED,
        vectors=("0008 a cap on one, on a day, and on all",),
    ),
    Promise(
        said="A line of a party is paid to its latest key that entered.",
        spec="0008 §8",
        without=(
            SETTLE,
            "return max(entered, key=lambda one: admission.entered[one], default=key)",
            "return key",
        ),
        tests=STORED,
        vectors=("0008 a party is paid to the key that entered last",),
    ),
    Promise(
        said="Nobody is the host of a tag that she scans herself.",
        spec="0008 §7",
        without=(
            JUDGE,
            "if party is None or any(key in actor.keys for key in party.keys):",
            "if party is None:",
        ),
        tests=STORED,
        vectors=("0008 who hosts the tag that she scans",),
    ),
    Promise(
        said="2: an erase of what is no scan takes nothing: sales are refunded.",
        spec="0008 §6",
        without=(
            SETTLE,
            "if not claim.claim or target is None or target.record.kind != Kind.SCAN:",
            "if not claim.claim or target is None:",
        ),
        tests=STORED,
        vectors=("0008 erases of what is no scan",),
    ),
    Promise(
        said="2: nobody erases another's scan.",
        spec="0008 §6",
        without=(
            SETTLE,
            "if target.record.author == item.record.author:",
            "if target.record.author:",
        ),
        tests=STORED,
        vectors=("0008 erases of what is no scan",),
    ),
    Promise(
        said="Rounds are folded in the order of the terms.",
        spec="0008 §1",
        without=(
            SETTLE,
            "if not numbers or numbers != sorted(set(numbers)):",
            "if not numbers or len(numbers) != len(set(numbers)):",
        ),
        tests=STORED,
        vectors=("0008 rounds descending",),
    ),
    Promise(
        said="A row stands for the claim of a scan, and of nothing else.",
        spec="0008 §1",
        without=(
            SETTLE,
            "not (item.record.kind == Kind.SCAN and item.record.id in committed)",
            "not (item.record.id in committed)",
        ),
        tests=STORED,
        vectors=("0008 a row that stands for a join",),
    ),
    Promise(
        said="A group that the terms name counts as a whole or not at all.",
        spec="0008 §3",
        without=(ROWS, "    if whole and group_root(", "    if whole or group_root("),
        tests=STORED,
        vectors=("0008 a group of the terms, with another tag",),
    ),
    Promise(
        said="What a sponsor lists later takes no tag from its place.",
        spec="0008 §3",
        without=(
            ROWS,
            "            if place in group:\n                continue\n",
            "",
        ),
        tests=STORED,
        vectors=("0008 a place listed twice, a tag in two groups",),
    ),
    Promise(
        said="A list of one-time keys begins at part 0: none before it comes later.",
        spec="0008 §3",
        without=(
            ROWS,
            (
                "    for index in range(len(chunks)):\n"
                "        if len(keys) >= count or index not in chunks:\n"
            ),
            "    for index in sorted(chunks):\n        if len(keys) >= count:\n",
        ),
        tests=STORED,
        vectors=("0008 one-time keys in parts, none at index 0",),
    ),
    Promise(
        said="What a sponsor adds later takes no one-time key away.",
        spec="0008 §3",
        without=(
            ROWS,
            "_from_parts(self._parts.get(top, {}), count)",
            "_from_parts(self._parts.get(top, {}), 2**53)",
        ),
        tests=STORED,
        vectors=("0008 one-time keys in parts, and more of them",),
    ),
    Promise(
        said="Where a condition needs a group no tag of it is revoked.",
        spec="0008 §3",
        without=(
            JUDGE,
            "return None if fixed else Reason.UNKNOWN_TAG",
            "return Reason.UNKNOWN_TAG",
        ),
        tests=STORED,
        vectors=("0008 revoked, where a condition needs the group",),
    ),
    Promise(
        said="Who was offline is judged by when she acted, within the stage's late_ms.",
        spec="0008 §1",
        without=(CUT, "max(self.time_max, wt - late_ms)", "max(self.time_max, wt)"),
        tests=STORED,
        vectors=(
            "0008 three places offline, seen at once",
            "0008 a code that works as long as acts may be late",
        ),
    ),
)
