"""What a sponsor, a witness or a shop cannot do to you: each rule, and what shows it.

    python -m tests.promises              # leave each rule out, see who notices
    python -m tests.promises --only 12 30

One entry a rule of witnessing, closing, settling and vouchers (more of them in
`promises_*.py`): where the specs say it, which stored vectors answer otherwise
without it, which tests fail without it, and how to leave it out: a text of a
file, and what stands there instead. Rules left out are tried in a copy of the
program, in which all tests pass first; a rule that nobody misses ends this with
exit code 1. The suite checks that all names exist.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests import (
    promises_begun,
    promises_bound,
    promises_seen,
    promises_settled,
    promises_spent,
)
from tests.promise import (
    CLOSE,
    CUT,
    EVIDENCE,
    JUDGE,
    LEDGER,
    MONEY,
    REDEEM,
    ROWS,
    SERVICE,
    SETTLE,
    TESTIMONY,
    TILL,
    VERIFY,
    WITNESS,
    Promise,
)

ROOT: Final = Path(__file__).parents[1]
VECTORS: Final = ROOT / "protocols/vectors"
COPIED: Final = ("p2pnode", "cli", "protocols", "tests", "pyproject.toml")

PROMISES: Final[tuple[Promise, ...]] = (
    # Witnesses.
    Promise(
        said="There are 1, 4 or 7 witnesses.",
        spec="0005 §2",
        without=(
            "protocols/terms.py",
            "len(keys) not in FAULTS)",
            "not keys)",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0005 two witnesses",),
    ),
    Promise(
        said="Times are small enough to add: no round ends after the year 9999.",
        spec="0005 §7",
        without=(
            "protocols/terms.py",
            "r.accept_until < r.final_from <= TIME_MAX",
            "r.accept_until < r.final_from",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0005 a final in the year 10000",),
    ),
    Promise(
        said="A seen that is not later than the last one is void.",
        spec="0009 §1",
        without=(TESTIMONY, "record.header.time_ms > self._last_ms", "True"),
        tests=(
            "unit/test_evidence.py::test_a_seen_that_is_not_later_than_the_last_is_void",
        ),
        vectors=("0009 a seen that goes back in time is void",),
    ),
    Promise(
        said="A final before its time is none.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "if time_ms >= rounds[number - 1].final_from:",
            "if time_ms:",
        ),
        tests=(
            "unit/test_evidence.py::test_finals_are_two_f_plus_one_of_distinct_witnesses_in_time",
        ),
        vectors=("0009 finals before their time",),
    ),
    Promise(
        said="A witness's first valid final of a round is its only one.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "if number is None or number in self.finals or not",
            "if number is None or not",
        ),
        tests=("unit/test_evidence.py::test_the_first_final_in_time_is_the_only_one",),
        vectors=("0009 a witness's second final",),
    ),
    Promise(
        said="Heads are listed one an author, ascending.",
        spec="0009 §1",
        without=(
            "protocols/claims.py",
            "if all(a[0] < b[0] for a, b in pairwise(heads))",
            "if heads is not None",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0003 seen: heads descending",),
    ),
    Promise(
        said="An honest witness covers no claim that it does not hold.",
        spec="0009 §1",
        without=(
            WITNESS,
            "held = here or record.id in self._feeds.erasures.gone",
            "held = here or bool(self._feeds)",
        ),
        tests=(
            "integration/test_erasing.py::test_a_claim_that_came_bare_is_asked_for_while_it_may_count",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness lists a genesis only below one that it listed.",
        spec="0009 §1",
        without=(
            WITNESS,
            (
                "        self._below.setdefault(above, {})[author] = None\n"
                "        return False"
            ),
            (
                "        self._below.setdefault(above, {})[author] = None\n"
                "        return True"
            ),
        ),
        tests=(
            "integration/test_witness.py::test_joins_below_nobody_are_never_verified",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness covers nothing at or above a fork that it knows.",
        spec="0009 §1",
        without=(
            WITNESS,
            "reach.seq if fork is None else min(reach.seq, fork - 1)",
            "reach.seq",
        ),
        tests=(
            "integration/test_witness.py::test_a_feed_forked_at_its_root_is_not_listed_nor_is_who_stands_below",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness stays within the terms' cap on feeds.",
        spec="0009 §1",
        without=(
            WITNESS,
            "free = self.view.terms.caps.feeds - len(self.listed)",
            "free = 2**53",
        ),
        tests=(
            "integration/test_witness.py::test_the_cap_on_feeds_leaves_room_for_the_named",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness stays within the terms' caps on records.",
        spec="0009 §1",
        without=(
            WITNESS,
            "follows and record.seq < most and",
            "follows and",
        ),
        tests=(
            "integration/test_witness.py::test_a_feed_is_listed_up_to_the_caps_and_spare_records_beyond",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="A head on another branch is void.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "return ids if before is None or wanted == before.id else None",
            "return ids",
        ),
        tests=("unit/test_evidence.py::test_a_later_head_on_another_branch_is_void",),
        vectors=("0009 a witness that changes branches",),
    ),
    Promise(
        said="After a head on another branch nothing more of that author is covered.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "self._void.add(author)\n                    break",
            "continue",
        ),
        tests=(
            "unit/test_evidence.py::test_after_a_head_of_another_branch_nothing_more_is_covered",
        ),
        vectors=("0009 a witness that changes branches",),
    ),
    Promise(
        said="A receipt cannot be taken back.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "self._void.add(author)",
            "self._void.add(author)\n                    self._first_seen.clear()",
        ),
        tests=("unit/test_evidence.py::test_a_receipt_cannot_be_taken_back",),
        vectors=("0009 a witness that changes branches",),
    ),
    Promise(
        said="A record is covered from the first seen that covers it.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "branch = walk(author, head, before)",
            "branch = walk(author, head, None)",
        ),
        tests=(
            "unit/test_evidence.py::test_a_head_covers_all_below_it_from_that_time_on",
        ),
        vectors=("0009 a join and a scan, seen one after the other",),
    ),
    Promise(
        said="A close names exactly 2f+1 finals of distinct witnesses.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "if len(set(finals)) != terms.quorum or len(authors) != terms.quorum:",
            "if not finals:",
        ),
        tests=(
            "unit/test_evidence.py::test_finals_are_two_f_plus_one_of_distinct_witnesses_in_time",
        ),
        vectors=("0009 two finals of four", "0009 a final twice"),
    ),
    Promise(
        said="What at most f of the named finals cover does not count.",
        spec="0009 §2",
        without=(EVIDENCE, "if len(seen_by) <= faults:", "if not seen_by:"),
        tests=(
            "unit/test_evidence.py::test_what_f_plus_one_of_the_named_saw_counts",
            "unit/test_evidence.py::test_whatever_finals_are_named_the_guarantees_hold",
        ),
        vectors=("0009 what one of four saw does not count",),
    ),
    Promise(
        said="What f+1 saw after accept_until does not count.",
        spec="0009 §2",
        without=(EVIDENCE, "if seen_by[faults] <= until:", "if until:"),
        tests=(
            "unit/test_evidence.py::test_what_was_seen_too_late_waits_for_the_next_round",
        ),
        vectors=("0009 what came too late does not count",),
    ),
    Promise(
        said="Witness time is the (f+1)-th smallest first-cover time.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "mine[record_id] = (header.seq, seen_by[faults])",
            "mine[record_id] = (header.seq, seen_by[0])",
        ),
        tests=(
            "unit/test_evidence.py::test_witness_time_is_the_f_plus_first_smallest",
            "unit/test_evidence.py::test_whatever_finals_are_named_the_guarantees_hold",
        ),
        vectors=("0009 witness time is the second smallest of four",),
    ),
    Promise(
        said="What counted stays counted: a cut goes on where the cut before ends.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "_entry(author, counts[author], heads_before.get(author), walk)",
            "_entry(author, counts[author], None, walk)",
        ),
        tests=(
            "unit/test_evidence.py::test_an_entry_of_too_many_steps_goes_on_in_the_next_round",
            "unit/test_settlement.py::test_what_was_padded_stays_counted",
        ),
        vectors=("0009 above the cut before",),
    ),
    Promise(
        said="Of the branches of a fork at most one counts.",
        spec="0009 §2",
        without=(EVIDENCE, "if len(seen_by) <= faults:", "if not seen_by:"),
        tests=("unit/test_evidence.py::test_only_one_branch_of_a_fork_is_in_a_cut",),
        vectors=("0009 two branches",),
    ),
    Promise(
        said="The round in which a record counts goes before its witness time.",
        spec="0008 §1",
        without=(
            CUT,
            "key = OrderKey(number, wt,",
            "key = OrderKey(1, wt,",
        ),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 an invite used in round 1, a join of round 2 dated before",),
    ),
    Promise(
        said="Witness time decides what is first.",
        spec="0008 §1",
        without=(
            CUT,
            "key = OrderKey(number, wt,",
            "key = OrderKey(number, 0,",
        ),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 the budget runs out",),
    ),
    Promise(
        said="Between equal witness times a hash of the finals decides.",
        spec="0008 §1",
        without=(
            CUT,
            "encode([[*finals], entry.author])",
            "encode([[], entry.author])",
        ),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 the budget runs out",),
    ),
    Promise(
        said="A receipt is safe only if every join above it is safe.",
        spec="0009 §2",
        without=(
            "p2pnode/services/documents.py",
            "if min(in_time, surest) >= 2 * faults + 1:",
            "if in_time >= 2 * faults + 1:",
        ),
        tests=(
            "unit/test_evidence.py::test_a_receipt_in_words",
            "unit/test_evidence.py::test_nothing_is_safe_below_an_inviter_who_is_not_here",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="What was seen when no round accepts any more is not safe.",
        spec="0009 §2",
        without=(
            "p2pnode/services/documents.py",
            "{one: sum(t <= until for t in times)",
            "{one: sum(t <= t + until for t in times)",
        ),
        tests=(
            "unit/test_evidence.py::test_what_all_witnesses_saw_after_the_last_round_is_not_safe",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Beyond f silent witnesses a round waits, and says for whom.",
        spec="0009 §4",
        without=(
            VERIFY,
            "    if len(finals) < terms.quorum:\n        heard =",
            "    if not finals:\n        heard =",
        ),
        tests=("unit/test_settlement.py::test_two_finals_are_not_enough",),
        silent="a close with fewer finals is refused: `0009 two finals of four`",
    ),
    # Closing.
    Promise(
        said="Lists that do not give the roots of a close make no answer.",
        spec="0009 §3",
        without=(CLOSE, "or root(tree, leaves) != top:", "or not top:"),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a close whose part holds another list",),
    ),
    Promise(
        said="Closes are chained, rounds ascend along the chain.",
        spec="0009 §4",
        without=(
            VERIFY,
            "if before.kind != Kind.CLOSE or before.claim().round >= claim.round:",
            "if before.kind != Kind.CLOSE:",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_chain_of_closes_must_fall_back_to_the_campaign",
        ),
        vectors=("0009 previous is a close of the same round",),
    ),
    Promise(
        said="Rounds may be skipped.",
        spec="0009 §3",
        without=(
            SETTLE,
            "if not numbers or numbers != sorted(set(numbers)):",
            "if numbers != [*range(1, len(numbers) + 1)]:",
        ),
        tests=("unit/test_settlement_hostile.py::test_a_round_may_be_skipped",),
        vectors=("0008 a round is skipped",),
    ),
    Promise(
        said="A statement rests on nothing that stands beside the cut.",
        spec="0008 §1",
        without=(
            CUT,
            'raise ProtocolError(Reason.WRONG_CUT, "an id names another place")',
            "pass",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_record_of_another_network_or_scope_never_counts",
        ),
        vectors=("0008 another's head", "0008 another seq of the head"),
    ),
    Promise(
        said="What is missing makes no digest and no dispute.",
        spec="0008 §1",
        without=(
            SETTLE,
            "    if missing:\n        raise Incomplete(missing)",
            "    if not new:\n        raise Incomplete(missing)",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_absent_claims_make_no_answer_and_no_accusation",
        ),
        vectors=("0008 a join without its claim",),
    ),
    Promise(
        said="What a final names is fetched, whatever the quotas of a node say.",
        spec="0006 §9",
        without=(
            "p2pnode/services/branches.py",
            "self._feeds.ask_for(",
            "(lambda *_: None)(",
        ),
        tests=(
            "integration/test_branch.py::test_everybody_fetches_the_branches_that_witnesses_name",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="A cut that omits, pads or misdates is found.",
        spec="0009 §4",
        without=(
            VERIFY,
            "        if own == said:\n            continue",
            "        if own == said or declared.cut:\n            continue",
        ),
        tests=(
            "unit/test_evidence.py::test_padding_and_misdating_are_found",
            "unit/test_settlement.py::test_a_cut_that_pads_or_omits_is_found",
        ),
        vectors=(
            "0009 a padded cut",
            "0009 an omitting cut",
            "0012 omitted is proven",
            "0012 padded is proven",
            "0012 misdated is proven",
        ),
    ),
    Promise(
        said="A receipt that was minted after the named finals accuses nobody.",
        spec="0012 §4",
        without=(
            EVIDENCE,
            "views = [testimony.up_to(final) for testimony, final in told]",
            "views = [testimony.up_to() for testimony, _ in told]",
        ),
        tests=(
            "unit/test_evidence.py::test_what_was_read_before_is_judged_as_if_it_was_read_anew",
        ),
        silent="a vector is judged from its own bytes, with nothing read before",
    ),
    Promise(
        said="What a close leaves out counts in the next: lines heal.",
        spec="0012 §5",
        without=(
            EVIDENCE,
            "        if seq < first:\n            return None",
            "        if seq < first or before:\n            return None",
        ),
        tests=(
            "unit/test_settlement.py::test_rounds_fold_and_a_late_balloon_pays_all",
        ),
        vectors=("0009 above the cut before",),
    ),
    Promise(
        said="Every scan has a row, and nothing else has.",
        spec="0008 §4",
        without=(
            SETTLE,
            (
                "        if item.record.kind != Kind.SCAN:\n            continue\n"
                "        row ="
            ),
            (
                "        if item.record.kind != Kind.SCAN or not item.record.seq:\n"
                "            continue\n"
                "        if item.record.seq > 1:\n            continue\n        row ="
            ),
        ),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 three balloons",),
    ),
    Promise(
        said="A row that the header contradicts is refused.",
        spec="0008 §4",
        without=(
            ROWS,
            "if (row.author, row.seq, row.act_time) != shown:",
            "if not shown:",
        ),
        tests=("unit/test_judging.py::test_a_row_must_say_what_the_header_says",),
        vectors=("0008 a row that the header contradicts",),
    ),
    Promise(
        said="A row stands for a claim that was erased later.",
        spec="0008 §4",
        without=(
            SETTLE,
            "and not (item.record.kind == Kind.SCAN and item.record.id in committed)",
            "and item.record.id",
        ),
        tests=(
            "unit/test_judging.py::test_a_committed_row_stands_for_a_claim_that_was_dropped_later",
        ),
        vectors=("0008 an erased claim and its row",),
    ),
    Promise(
        said="Verify says how many scans nobody can judge again.",
        spec="0009 §4",
        without=(
            VERIFY,
            (
                "return sum(record is not None and record.claim_bytes is None "
                "for record in rows)"
            ),
            "return sum(record is None for record in rows)",
        ),
        tests=(
            "unit/test_judging.py::test_a_committed_row_stands_for_a_claim_that_was_dropped_later",
        ),
        vectors=("0009 a purchase by a scan that is erased",),
    ),
    Promise(
        said="An erased claim goes when it is settled, a note at once.",
        spec="0003 §5",
        without=(
            "p2pnode/services/erasing.py",
            "await self._feeds.drop(gone, claims=True)",
            "del gone",
        ),
        tests=(
            "integration/test_erasing.py::test_a_note_goes_at_once_and_a_claim_when_its_round_is_settled",
        ),
        silent=SERVICE,
    ),
    # Judging.
    Promise(
        said="A refused act is judged again in the next round.",
        spec="0008 §6",
        without=(
            SETTLE,
            "judge.run([*state.waiting, *new])",
            "judge.run(new)",
        ),
        tests=("unit/test_judging.py::test_what_is_attested_later_is_paid_later",),
        vectors=("0008 refunds",),
    ),
    Promise(
        said="A refused act uses nothing up.",
        spec="0008 §6",
        without=(
            JUDGE,
            "                refused[item.record.id] = (act, reason)",
            (
                "                refused[item.record.id] = (act, reason)\n"
                "                if act.row and act.person and act.stage:\n"
                "                    Judge._note_uses(self, act, act.person)"
            ),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a refused act uses nothing up",),
    ),
    Promise(
        said="1: who is not admitted is paid nothing.",
        spec="0008 §6",
        without=(
            JUDGE,
            "return self.admission.reason(header.author)",
            "return None if act.person else Reason.NOT_ADMITTED",
        ),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 a scan by who came too late for an invite",),
    ),
    Promise(
        said="2: a scan erased before it counted is not paid.",
        spec="0008 §6",
        without=(
            JUDGE,
            "return Reason.ERASED if gone else None",
            "return None",
        ),
        tests=(
            "unit/test_judging.py::test_a_scan_erased_before_it_counts_is_not_paid",
        ),
        vectors=("0008 a scan erased before it counted",),
    ),
    Promise(
        said="4: a refundable outcome is judged once its window is past.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(stage.refund_ms > 0, Judge._mature)",
            "(False, Judge._mature)",
        ),
        tests=(
            "unit/test_judging.py::test_a_refundable_outcome_is_paid_once_its_window_is_past",
        ),
        vectors=("0008 refunds",),
    ),
    Promise(
        said="5: a tag that is unknown, out of its time or revoked pays nothing.",
        spec="0008 §6",
        without=(JUDGE, "(scan, Judge._tag)", "(False, Judge._tag)"),
        tests=("unit/test_judging.py::test_a_tag_counts_within_its_own_times",),
        vectors=("0008 a revoked tag, an unknown stage",),
    ),
    Promise(
        said="6: an act outside its stage's times is refused.",
        spec="0008 §6",
        without=(JUDGE, "(True, Judge._window)", "(False, Judge._window)"),
        tests=(
            "unit/test_judging.py::test_an_act_outside_its_stages_times_is_refused",
        ),
        vectors=("0008 before a stage opens, and after",),
    ),
    Promise(
        said="7: evidence below the stage's grade is refused.",
        spec="0008 §6",
        without=(JUDGE, "(True, Judge._grade)", "(False, Judge._grade)"),
        tests=(
            "unit/test_judging.py::test_a_rotating_code_is_evidence_while_it_is_fresh",
        ),
        vectors=("0008 screens: fresh, stale, one a window",),
    ),
    Promise(
        said="8: a merchant's word about somebody without her card or scan is refused.",
        spec="0008 §6",
        without=(JUDGE, "(word, Judge._bound)", "(False, Judge._bound)"),
        tests=(
            "unit/test_judging.py::test_an_unbound_outcome_is_refused_even_where_no_grade_is_asked",
        ),
        vectors=("0008 outcomes with a card",),
    ),
    Promise(
        said="9: what comes after a stage waits for it.",
        spec="0008 §6",
        without=(JUDGE, "(bool(stage.after), Judge._after)", "(False, Judge._after)"),
        tests=("unit/test_judging.py::test_what_comes_after_a_stage_waits_for_it",),
        vectors=("0008 invited, attested, after",),
    ),
    Promise(
        said="10: what may be used once is used once.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(scan or first or stage.once != Once.NEVER, Judge._once)",
            "(False, Judge._once)",
        ),
        tests=("unit/test_settlement.py::test_second_finder_of_a_balloon_is_refused",),
        vectors=("0008 the first only",),
    ),
    Promise(
        said="11: a window pays only so many.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(scan and stage.per_window > 0, Judge._per_window)",
            "(False, Judge._per_window)",
        ),
        tests=("unit/test_judging.py::test_a_window_pays_only_so_many",),
        vectors=("0008 screens: fresh, stale, one a window",),
    ),
    Promise(
        said="12: two places cannot be visited at once.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(scan and limits.place_interval_ms > 0, Judge._velocity)",
            "(False, Judge._velocity)",
        ),
        tests=("unit/test_judging.py::test_two_places_cannot_be_visited_at_once",),
        vectors=("0008 days and places",),
    ),
    Promise(
        said="13: a day pays only so many.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(limits.per_person_per_day > 0, Judge._day_limit)",
            "(False, Judge._day_limit)",
        ),
        tests=("unit/test_judging.py::test_a_day_pays_only_so_many",),
        vectors=("0008 days and places",),
    ),
    Promise(
        said="14: a merchant is held to its caps.",
        spec="0008 §6",
        without=(
            JUDGE,
            "(stage.act == Act.OUTCOME, Judge._merchant_cap)",
            "(False, Judge._merchant_cap)",
        ),
        tests=("unit/test_judging.py::test_a_merchant_is_held_to_its_caps",),
        vectors=("0008 a merchant's caps",),
    ),
    Promise(
        said="15: nothing is granted once the budget is out.",
        spec="0008 §6",
        without=(JUDGE, "(True, Judge._budget)", "(False, Judge._budget)"),
        tests=(
            "unit/test_judging.py::test_the_budget_runs_out_in_order_and_the_last_grant_is_cut",
        ),
        vectors=("0008 the budget is out",),
    ),
    # Money.
    Promise(
        said="A refund makes the pool smaller.",
        spec="0008 §7",
        without=(
            MONEY,
            "(amount - reversed_amount) * reward.percent_bp // BP",
            "amount * reward.percent_bp // BP",
        ),
        tests=(
            "unit/test_judging.py::test_a_refundable_outcome_is_paid_once_its_window_is_past",
        ),
        vectors=("0008 refunds",),
    ),
    Promise(
        said="An act is granted its pool or what is left of the budget.",
        spec="0008 §7",
        without=(
            JUDGE,
            "pool = min(self._pool(act, stage), tally.budget_left)",
            "pool = self._pool(act, stage)",
        ),
        tests=(
            "unit/test_judging.py::test_the_budget_runs_out_in_order_and_the_last_grant_is_cut",
        ),
        vectors=("0008 the budget runs out",),
    ),
    Promise(
        said="Nothing is earned before every condition is met.",
        spec="0008 §7",
        without=(SETTLE, "all_met = all(state.met)", "all_met = True"),
        tests=("unit/test_settlement.py::test_nine_balloons_pay_nothing",),
        vectors=("0008 two balloons of three",),
    ),
    Promise(
        said="A condition that was met stays met.",
        spec="0008 §6",
        without=(
            SETTLE,
            "tuple(a or b for a, b in zip(state.met, met, strict=True))",
            "met",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a condition that was met stays met",),
    ),
    Promise(
        said="Earned shares, residue and what is unspent make the budget.",
        spec="0008 §7",
        without=(
            SETTLE,
            "unspent=terms.budget - pools,",
            "unspent=state.tally.budget_left,",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_shares_residue_and_what_is_left_always_make_the_budget",
            "unit/test_settlement.py::test_nine_balloons_pay_nothing",
        ),
        vectors=("0008 two balloons of three",),
    ),
    Promise(
        said="The residue is paid in the last close only.",
        spec="0008 §8",
        without=(SETTLE, "if last and residue:", "if residue:"),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 the first of two rounds pays no residue",),
    ),
    Promise(
        said="A line pays what was earned and not signed before.",
        spec="0008 §8",
        without=(
            SETTLE,
            "owed = amount - signed_by.get(key, 0)",
            "owed = amount",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_what_a_close_signed_too_much_is_not_paid_again",
        ),
        vectors=("0008 a second round pays only what is new",),
    ),
    Promise(
        said="No line is negative, whatever was signed too much.",
        spec="0008 §8",
        without=(SETTLE, "        if owed > 0:", "        if owed:"),
        tests=(
            "unit/test_settlement_reference.py::test_random_campaigns_settle_as_by_the_reference",
        ),
        vectors=("0008 a close that signed too much",),
    ),
    Promise(
        said="With nothing of the budget left a close is the last.",
        spec="0008 §8",
        without=(
            SETTLE,
            "last = number == len(terms.rounds) or nothing_left",
            "last = number == len(terms.rounds)",
        ),
        tests=(
            "unit/test_judging.py::test_conditions_are_judged_before_the_budget",
            "unit/test_settlement.py::test_rounds_fold_and_a_late_balloon_pays_all",
        ),
        vectors=("0008 the budget is out",),
    ),
    Promise(
        said="The forks list is what the named finals' feeds prove, the lowest first.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "lower = known is None or order < (known.seq, known.id_a, known.id_b)",
            "lower = known is None",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a fork that witnesses report at two places",),
    ),
    Promise(
        said="A fork withholds shares of acts at or above it.",
        spec="0008 §7",
        without=(
            JUDGE,
            "item.round >= since and item.record.seq >= seq for",
            "item.round >= since for",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_fork_above_an_act_takes_nothing_from_it",
        ),
        vectors=("0008 a fork above an act",),
    ),
    Promise(
        said="A fork takes nothing that counted before it was listed.",
        spec="0008 §7",
        without=(
            JUDGE,
            "item.round >= since and item.record.seq >= seq for",
            "item.record.seq >= seq for",
        ),
        tests=(
            "unit/test_judging.py::test_a_fork_listed_after_an_act_counted_withholds_nothing_of_it",
        ),
        vectors=("0008 a fork listed before its act is paid, after it counted",),
    ),
    Promise(
        said="A fork costs the forker, not who stands above.",
        spec="0008 §7",
        without=(
            MONEY,
            "            chain -= chain & LANE",
            "            chain = 0",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_forkers_own_shares_go_to_the_residue_and_no_others",
        ),
        vectors=("0008 a fork",),
    ),
    Promise(
        said="A merchant's fork costs no customer.",
        spec="0008 §7",
        without=(
            JUDGE,
            "tuple(Why) if item.record.author in actor.keys else (Why.HOST,)",
            "tuple(Why)",
        ),
        tests=("unit/test_judging.py::test_a_merchants_fork_costs_no_customer",),
        vectors=("0008 a merchant's fork",),
    ),
    Promise(
        said="A line is paid to the person's latest counted key.",
        spec="0008 §8",
        without=(
            SETTLE,
            "        return person.payee",
            "        return person.root",
        ),
        tests=(
            "unit/test_judging.py::test_a_further_key_is_the_same_person_and_the_latest_is_paid",
        ),
        vectors=("0008 a late round",),
    ),
    Promise(
        said="A second close of a round is proven; each of its lines is owed.",
        spec="0012 §2",
        without=(
            "protocols/proof.py",
            "ProofKind.DOUBLE_CLOSE: _double_close",
            "ProofKind.DOUBLE_CLOSE: _fork",
        ),
        tests=("unit/test_proofs.py::test_two_closes_that_both_stand_on_one_are_two",),
        vectors=("0012 double-close is proven",),
    ),
    Promise(
        said="A statement that does not follow from its cut is found.",
        spec="0009 §4",
        without=(
            VERIFY,
            "        if getattr(own, name) != getattr(claim, name):",
            "        if getattr(own, name) is getattr(claim, name, 0) is None:",
        ),
        tests=(
            "unit/test_settlement.py::test_close_verifies_and_a_lie_in_it_does_not",
        ),
        vectors=("0009 a close that lies: paid", "0012 statement is proven"),
    ),
    # Vouchers.
    Promise(
        said="A voucher proves its line, and no other amount.",
        spec="0009 §5",
        without=(
            "protocols/settlement/voucher.py",
            "    check_path(\n",
            "    (lambda *_: None)(\n",
        ),
        tests=(
            "unit/test_settlement.py::test_voucher_proves_itself_and_no_other_amount",
        ),
        vectors=("0009 a voucher with more money",),
    ),
    Promise(
        said="Only the payee redeems a line.",
        spec="0011 §2",
        without=(
            REDEEM,
            "if not one_person(signer, payee, vouched):",
            "if not signer:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 by another person",),
    ),
    Promise(
        said="No redeem goes beyond its line.",
        spec="0011 §2",
        without=(
            REDEEM,
            "if claim.total_before + claim.amount > purse.amount:",
            "if claim.total_before > purse.amount:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 beyond the line",),
    ),
    Promise(
        said="A slip is for one shop.",
        spec="0011 §2",
        without=(
            REDEEM,
            "if acceptors is not None and claim.acceptor not in acceptors:",
            "if acceptors is not None and not acceptors:",
        ),
        tests=(
            "integration/test_till.py::test_another_shop_another_network_another_issuer",
        ),
        vectors=("0011 redeemed at another shop",),
    ),
    Promise(
        said="After redeem_until nothing is accepted.",
        spec="0011 §2",
        without=(
            REDEEM,
            "if now_ms > found.purse.redeem_until and not owed:",
            "if not now_ms:",
        ),
        tests=(
            "integration/test_till.py::test_after_the_last_day_nothing_is_redeemed_accepted_or_owed",
        ),
        vectors=("0011 too late",),
    ),
    Promise(
        said="A slip is accepted once.",
        spec="0011 §2",
        without=(
            REDEEM,
            "one.record.id == found.record.id or one.claim.nonce == claim.nonce",
            "one.claim.nonce == claim.acceptor",
        ),
        tests=(
            "integration/test_till.py::test_an_accepted_slip_is_refused_the_second_time_also_later",
        ),
        vectors=("0011 accepted before", "0011 its nonce was accepted before"),
    ),
    Promise(
        said="Of overlapping parts an issuer recognises one.",
        spec="0011 §2",
        without=(
            REDEEM,
            "        if one.overlaps(found) and not owed:",
            "        if one is found:",
        ),
        tests=("unit/test_redeem.py::test_what_an_issuer_owes_never_exceeds_the_line",),
        vectors=("0011 all of it was spent before",),
    ),
    Promise(
        said="An offline slip is taken up to the shop's own limit.",
        spec="0011 §2",
        without=(TILL, "        if at_risk > self.limit:", "        if at_risk < 0:"),
        tests=(
            "integration/test_till.py::test_an_unfollowed_campaign_is_accepted_offline_within_the_limit",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Spending a part twice is a proof.",
        spec="0011 §3",
        without=(
            REDEEM,
            "return self.purse.place == other.purse.place and not apart",
            "return False",
        ),
        tests=(
            "unit/test_redeem.py::test_too_much_by_the_lines_key_is_always_a_proof",
        ),
        vectors=("0011 twice the same part",),
    ),
    Promise(
        said="Only a key of the sponsor owes.",
        spec="0011 §4",
        without=(LEDGER, "    if author not in sponsor:", "    if not author:"),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 one good of each, and what is refused",),
    ),
    Promise(
        said="Only the creditor says that it was paid.",
        spec="0011 §4",
        without=(
            LEDGER,
            "elif not desks.speaks(record.author, debt[1]):",
            "elif not record.author:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 one good of each, and what is refused",),
    ),
    Promise(
        said="Owes of one redeem to one shop are one debt.",
        spec="0011 §4",
        without=(
            LEDGER,
            "debt = (claim.redeem, claim.acceptor)",
            "debt = (RecordId(record.id), claim.acceptor)",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0011 four owes of one redeem, to two shops",),
    ),
    Promise(
        said="No fork takes an owe away.",
        spec="0011 §4",
        without=(
            LEDGER,
            "held = {one.id: one for one in records",
            "held = {one.seq: one for one in records",
        ),
        tests=("unit/test_redeem.py::test_a_fork_takes_no_owe_away",),
        vectors=("0011 a fork takes no owe away, and is a double spending",),
    ),
    *promises_seen.PROMISES,
    *promises_bound.PROMISES,
    *promises_begun.PROMISES,
    *promises_settled.PROMISES,
    *promises_spent.PROMISES,
)


FAILED: Final = 1
"""What pytest ends with where tests ran and one failed; else they did not run."""

MOVED: Final = 3
"""What `--vector` ends with where the answer is another than the stored one."""

HUNG: Final = -1
"""For what did not end in time: nobody can say whether it noticed."""

LIMIT_S: Final = 300.0


def left_out(promise: Promise, folder: Path) -> list[str]:
    """Leave a rule out of the copy in `folder`; return who did not notice."""
    name, old, new = promise.without
    file = folder / name
    text = file.read_text("utf-8")
    file.write_text(text.replace(old, new), "utf-8")
    try:
        still = [
            one
            for one in promise.vectors
            if _run(folder, "-m", "tests.promises", "--vector", one) != MOVED
        ]
        passed = [one for one in promise.tests if _test(folder, one) != FAILED]
        return [*still, *passed]
    finally:
        file.write_text(text, "utf-8")


def _test(folder: Path, *tests: str, limit_s: float | None = LIMIT_S) -> int:
    named = [f"tests/{test}" for test in tests]
    return _run(folder, "-m", "pytest", "-xq", *QUIET, *named, limit_s=limit_s)


QUIET: Final = ("-p", "no:cacheprovider", "-o", "faulthandler_timeout=120")


def _run(folder: Path, *command: str, limit_s: float | None = LIMIT_S) -> int:
    """What a command ends with; it finds no bytecode older than what was left out."""
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(folder),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return HUNG
    return done.returncode


def case(vector: str) -> dict[str, object]:
    """The stored case that is named.

    Raises:
        KeyError: there is none.
    """
    spec, _, name = vector.partition(" ")
    (file,) = VECTORS.glob(f"{spec}-*.json")
    cases = json.loads(file.read_text("utf-8"))["cases"]
    found: dict[str, dict[str, object]] = {one["name"]: one for one in cases}
    return found[name]


def answers(vector: str) -> bool:
    """Whether this program answers a stored case as it is written."""
    from tests.vectors import run

    asked = case(vector)
    said = {key: asked[key] for key in ("out", "reason", "missing") if key in asked}
    try:
        return run(asked) == said
    except Exception:  # noqa: BLE001 - without its rule a program may do anything
        return False


def lacks(promise: Promise) -> list[str]:
    """What a promise names and is not there."""
    found = []
    name, old, _ = promise.without
    if (ROOT / name).read_text("utf-8").count(old) != 1:
        found.append(f"{name} has not once: {old}")
    spec, section = promise.spec.split(" §")
    (page,) = (ROOT / "protocols/spec").glob(f"{spec}-*.md")
    if not re.search(rf"^## {section}\. ", page.read_text("utf-8"), re.MULTILINE):
        found.append(f"no section {promise.spec}")
    for test in promise.tests:
        file, _, function = test.partition("::")
        if not re.search(
            rf"^(async )?def {function}\(",
            (ROOT / "tests" / file).read_text("utf-8"),
            re.MULTILINE,
        ):
            found.append(f"no test {test}")
    for vector in promise.vectors:
        try:
            case(vector)
        except KeyError:
            found.append(f"no vector {vector}")
    if bool(promise.vectors) == bool(promise.silent):
        found.append("a vector, or why there is none")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Leave the rules out, one after the other; print who noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of rules")
    parser.add_argument("--vector", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.vector:
        return 0 if answers(chosen.vector) else MOVED
    unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        for part in COPIED:
            source, target = ROOT / part, Path(name) / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "node_modules")
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        asked = {
            number: promise
            for number, promise in enumerate(PROMISES, 1)
            if not chosen.only or number in chosen.only
        }
        tests = dict.fromkeys(test for one in asked.values() for test in one.tests)
        if _test(Path(name), *tests, limit_s=None):
            print("Its tests fail with every rule in its place: mend that first.")
            return 1
        for number, promise in asked.items():
            unmoved = left_out(promise, Path(name))
            unnoticed += len(unmoved)
            said = "; ".join(["not noticed by:", *unmoved]) if unmoved else "noticed"
            print(f"{number:3} {promise.spec:9} {promise.said} {said}", flush=True)
    print(f"{len(asked)} rules, {unnoticed} who did not notice")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
