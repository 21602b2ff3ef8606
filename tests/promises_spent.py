"""Promises about vouchers and debts, beside those of `tests/promises.py`."""

from __future__ import annotations

from typing import Final

from tests.promise import (
    LEDGER,
    REDEEM,
    SERVICE,
    TILL,
    Promise,
)

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        said="A redeem is taken once.",
        spec="0011 §2",
        without=(
            REDEEM,
            ("one.record.id == found.record.id or one.claim.nonce == claim.nonce"),
            ("one.claim.nonce == claim.nonce and one.record.id != found.record.id"),
        ),
        tests=(
            "integration/test_till.py::test_an_accepted_slip_is_refused_the_second_time_also_later",
        ),
        vectors=("0011 accepted before",),
    ),
    Promise(
        said="A nonce is used once.",
        spec="0011 §2",
        without=(
            REDEEM,
            ("one.record.id == found.record.id or one.claim.nonce == claim.nonce"),
            "one.record.id == found.record.id",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 its nonce was accepted before",),
    ),
    Promise(
        said="What a shop is owed it may accept, whatever else was spent of the line.",
        spec="0011 §2",
        without=(
            REDEEM,
            "if one.overlaps(found) and not owed:",
            "if one.overlaps(found):",
        ),
        tests=(
            "integration/test_till.py::test_a_slip_that_is_owed_is_accepted_whatever_else_was_spent",
        ),
        vectors=("0011 too late and spent before, but owed",),
    ),
    Promise(
        said="What the issuer owes is no risk of the shop's.",
        spec="0011 §2",
        without=(
            TILL,
            "level = self._level(found, ledger)",
            "level = Level.OFFLINE",
        ),
        tests=(
            "integration/test_till.py::test_owed_is_what_the_issuer_recognised_in_full",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Owed is what the issuer recognised in full.",
        spec="0011 §2",
        without=(
            TILL,
            (
                "one.creditor == found.claim.acceptor and one.amount >= "
                "found.claim.amount"
            ),
            "one.creditor == found.claim.acceptor",
        ),
        tests=(
            "integration/test_till.py::test_owed_is_what_the_issuer_recognised_in_full",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="By another key of the person a redeem is offline until owed.",
        spec="0011 §2",
        without=(
            TILL,
            "        enough = any(\n",
            "        enough = not found.own_key or any(\n",
        ),
        tests=(
            "integration/test_till.py::test_by_another_key_of_hers_a_slip_is_offline_until_it_is_owed",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Parts that touch are no double spending.",
        spec="0011 §3",
        without=(
            REDEEM,
            (
                "self.end <= other.claim.total_before or other.end <= "
                "self.claim.total_before"
            ),
            (
                "self.end < other.claim.total_before or other.end < "
                "self.claim.total_before"
            ),
        ),
        tests=(
            "integration/test_till.py::test_a_line_is_spent_in_parts_and_no_further",
        ),
        vectors=("0011 two parts that touch",),
    ),
    Promise(
        said="Everybody who holds both redeems finds the double spending.",
        spec="0011 §4",
        without=(
            LEDGER,
            "            if one.overlaps(other):\n",
            "            if one.record.id == other.record.id:\n",
        ),
        tests=("unit/test_redeem.py::test_a_fork_takes_no_owe_away",),
        vectors=("0011 one double spending a line is told",),
    ),
    Promise(
        said="An issuer owes a redeem once: asked again, it shows what it signed.",
        spec="0011 §2",
        without=(
            TILL,
            (
                "            if one.creditor == found.claim.acceptor:\n"
                "                if state"
            ),
            ("            if one.creditor is None:\n                if state"),
        ),
        tests=(
            "integration/test_till.py::test_owed_is_what_the_issuer_recognised_in_full",
        ),
        silent=(
            "the ledger counts two owes of one redeem as one debt: `0011 "
            "four owes of one redeem, to two shops`"
        ),
    ),
    Promise(
        said=(
            "A sponsor's next key owes nothing before it knows what witnesses "
            "listed of the lost one."
        ),
        spec="0011 §2",
        without=(
            TILL,
            "        if not self._is_owed(view, found):\n            await",
            "        if found is None:\n            await",
        ),
        tests=(
            "integration/test_till_losses.py::test_a_sponsors_next_key_owes_once_it_knows_what_the_lost_one_owed",
        ),
        silent="which records an issuer had when it signed stands nowhere",
    ),
    Promise(
        said="After a loss a slip of before is taken only by who is sure of it.",
        spec="0011 §2",
        without=(
            TILL,
            "if found.record.header.time_ms <= lost_ms:",
            "if found.record.header.time_ms < 0:",
        ),
        tests=(
            "integration/test_till_losses.py::test_a_till_put_back_takes_no_slip_again_that_it_may_have_accepted",
        ),
        silent=SERVICE,
    ),
    Promise(
        said=(
            "Owes of one redeem to one creditor are one debt, of the largest amount."
        ),
        spec="0011 §4",
        without=(
            LEDGER,
            "signed.sort(key=lambda one: (-one.claim().amount, one.id))",
            "signed.sort(key=lambda one: one.id)",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 four owes of one redeem, to two shops",),
    ),
    Promise(
        said="No more is paid of a debt than was owed.",
        spec="0011 §4",
        without=(
            LEDGER,
            "received = min(amount, paid.get(debt, 0))",
            "received = paid.get(debt, 0)",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 paid more than was owed",),
    ),
    Promise(
        said="No key of the sponsor says for another's that it was paid.",
        spec="0011 §1",
        without=(LEDGER, "if signer in self.sponsor:", "if not signer:"),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 paid, as a sponsor's key in the shop's party says",),
    ),
    Promise(
        said="A debt to another key of the sponsor stands: it may be a shop's.",
        spec="0011 §4",
        without=(
            LEDGER,
            "open=0 if debt[1] == signed[0].author else",
            "open=0 if debt[1] in desks.sponsor else",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 owed to a shop whose key the terms call the sponsor's",),
    ),
    Promise(
        said="Who lets a stranger vouch for a key takes it from nobody.",
        spec="0011 §1",
        without=(
            LEDGER,
            "found.get(record.author, frozenset()) | {claim.root}",
            "frozenset({claim.root})",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 a key that two roots vouch for",),
    ),
    Promise(
        said="A key and the root that vouches for it are one person's, no chains.",
        spec="0011 §1",
        without=(
            REDEEM,
            "vouched.get(other, frozenset()) | {other}",
            "vouched.get(other, frozenset({other}))",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 a thief lets another root vouch for the root",),
    ),
    Promise(
        said=(
            "Whose word a voucher is stands in the terms: another's close is no "
            "voucher of the campaign."
        ),
        spec="0009 §5",
        without=(
            TILL,
            ("if view is not None and close.author not in view.terms.sponsor:"),
            'if view is not None and close.author == b"":',
        ),
        tests=(
            "integration/test_till.py::test_a_close_by_somebody_else_is_no_voucher_of_the_campaign",
        ),
        silent=(
            "a slip names its issuer; whether that is the sponsor stands "
            "in the terms, which it does not hold"
        ),
    ),
    Promise(
        said="The reserved `net` is stored, relayed and ignored.",
        spec="0003 §2",
        without=(
            "protocols/claims.py",
            "return value if shape is None else shape.read(value)",
            "return [][1] if shape is None else shape.read(value)",
        ),
        tests=("unit/test_records.py::test_a_reserved_kind_is_kept_whatever_it_says",),
        vectors=("0003 kind 15",),
    ),
)
