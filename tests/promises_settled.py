"""Promises about closes, judging and money, beside those of `tests/promises.py`."""

from __future__ import annotations

from typing import Final

from tests.promise import (
    CLOSE,
    CUT,
    EVIDENCE,
    JUDGE,
    LEDGER,
    ROWS,
    SERVICE,
    SETTLE,
    TESTIMONY,
    VERIFY,
    Promise,
)

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        said=(
            "Only authors that moved stand in a cut, from their first new record on."
        ),
        spec="0008 §1",
        without=(
            CUT,
            "if not seqs or seqs[0] != first or seqs[-1] > entry.seq:",
            "if not seqs or seqs[-1] > entry.seq:",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_cut_may_only_grow_round_after_round",
        ),
        vectors=(
            "0008 steps that begin above seq 0",
            "0008 the same records again",
        ),
    ),
    Promise(
        said="Steps of a cut end at or below the head.",
        spec="0008 §1",
        without=(
            CUT,
            "if not seqs or seqs[0] != first or seqs[-1] > entry.seq:",
            "if not seqs or seqs[0] != first:",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_cut_that_contradicts_itself_is_refused",
        ),
        vectors=("0008 steps beyond the head",),
    ),
    Promise(
        said="Witness times of an entry ascend.",
        spec="0008 §1",
        without=(
            CUT,
            "if times != sorted(set(times)):",
            "if not times:",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_cut_that_contradicts_itself_is_refused",
        ),
        vectors=("0008 times that stand still",),
    ),
    Promise(
        said="No witness time of a cut is after the round's `accept_until`.",
        spec="0008 §1",
        without=(
            CUT,
            (
                "    if times[-1] > terms.rounds[number - 1].accept_until:\n"
                '        raise ProtocolError(Reason.WRONG_CUT, "seen after '
                'accept_until")\n'
            ),
            "",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_cut_that_contradicts_itself_is_refused",
        ),
        vectors=("0008 seen after accept_until",),
    ),
    Promise(
        said=(
            "What a close lists travels before it as parts; without them there "
            "is no answer."
        ),
        spec="0009 §3",
        without=(
            CLOSE,
            ("    if missing:\n        raise Incomplete(missing)\n    try:\n"),
            "    try:\n",
        ),
        tests=("unit/test_bundle.py::test_a_list_that_is_not_the_roots_is_incomplete",),
        vectors=("0009 a close whose part holds another list",),
    ),
    Promise(
        said="Closes are chained: a round is settled on those before it.",
        spec="0009 §3",
        without=(
            VERIFY,
            "        if claim.previous == scope:\n",
            "        if claim.previous:\n",
        ),
        tests=(
            "unit/test_settlement.py::test_rounds_fold_and_a_late_balloon_pays_all",
        ),
        vectors=("0009 the second of two rounds",),
    ),
    Promise(
        said=(
            "`settle` reads terms, cuts and the records under them, and nothing else."
        ),
        spec="0008 §1",
        without=(
            CUT,
            ("        _check_declared(self.terms, declared)\n        finals: list"),
            (
                "        _check_declared(self.terms, declared)\n"
                "        lost = [one for one in declared.finals if "
                "self.lookup(one) is None]\n"
                "        if lost:\n"
                "            raise Incomplete(lost)\n"
                "        finals: list"
            ),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=(
            "0008 three balloons",
            "0008 a late round",
        ),
    ),
    Promise(
        said=(
            "A record under the cut that is not here makes the answer "
            "incomplete, with its id."
        ),
        spec="0008 §1",
        without=(
            CUT,
            "raise Incomplete([wanted])",
            'raise ProtocolError(Reason.WRONG_CUT, "missing")',
        ),
        tests=("unit/test_settlement.py::test_missing_records_give_no_digest",),
        vectors=("0008 a record that is missing",),
    ),
    Promise(
        said="What is incomplete is never called wrong.",
        spec="0009 §4",
        without=(
            VERIFY,
            ("return _report(close, claim, Verdict.INCOMPLETE, missing=error.missing)"),
            ("return _report(close, claim, Verdict.WRONG, missing=error.missing)"),
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_absent_records_make_no_accusation",
        ),
        vectors=(
            "0009 a close without its parts",
            "0009 a close without a scan",
        ),
    ),
    Promise(
        said="What a witness lists is kept whatever a node's own limits say.",
        spec="0006 §9",
        without=(
            "p2pnode/services/room.py",
            "return genesis.author in self._seen",
            "return False",
        ),
        tests=("integration/test_room.py::test_what_a_witness_lists_is_kept",),
        silent=SERVICE,
    ),
    Promise(
        said=(
            "An omission is proven: f+1 finals cover more, in time, than the cut has."
        ),
        spec="0009 §4",
        without=(
            VERIFY,
            (
                "        if said is None or (own is not None and own.seq > "
                "said.seq):\n"
                '            kind = "omitted"'
            ),
            (
                "        if said is None or (own is not None and own.seq > "
                "said.seq):\n"
                "            continue"
            ),
        ),
        tests=("unit/test_settlement.py::test_a_cut_that_pads_or_omits_is_found",),
        vectors=(
            "0009 an omitting cut",
            "0012 omitted is proven",
        ),
    ),
    Promise(
        said=(
            "Padding is proven: a cut with more than f+1 finals cover, or with "
            "what came too late."
        ),
        spec="0009 §4",
        without=(
            VERIFY,
            (
                "        elif own is None or own.seq < said.seq:\n"
                '            kind = "padded"'
            ),
            ("        elif own is None or own.seq < said.seq:\n            continue"),
        ),
        tests=("unit/test_evidence.py::test_padding_and_misdating_are_found",),
        vectors=(
            "0009 a padded cut",
            "0009 a cut with what came too late",
        ),
    ),
    Promise(
        said="A wrong witness time, or another branch, is proven.",
        spec="0009 §4",
        without=(
            VERIFY,
            '            kind = "misdated"\n',
            "            continue\n",
        ),
        tests=("unit/test_evidence.py::test_padding_and_misdating_are_found",),
        vectors=(
            "0012 misdated is proven",
            "0009 a padded branch of a forked feed",
        ),
    ),
    Promise(
        said="A forks list that is not its finals' is proven.",
        spec="0009 §4",
        without=(
            VERIFY,
            "return (*findings, *_compare_forks(declared, supported))",
            "return tuple(findings)",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_sponsor_that_spares_or_invents_a_fork_is_found",
        ),
        vectors=("0012 forks-list is proven",),
    ),
    Promise(
        said=(
            "No witness time that a missing chain could still make right is "
            "called wrong."
        ),
        spec="0009 §4",
        without=(
            EVIDENCE,
            (
                "            if latest is not None and steps[-1][1] > "
                "latest:\n"
                "                return False\n"
                "            wanted"
            ),
            (
                "            if latest is not None and steps[-1][1] != "
                "latest:\n"
                "                return False\n"
                "            wanted"
            ),
        ),
        tests=(
            "unit/test_evidence.py::test_no_misdating_is_proven_while_a_chain_of_hers_is_missing",
        ),
        vectors=("0009 witness times that a chain makes right that is not here",),
    ),
    Promise(
        said=(
            "A cut extends what the one before declared, not what its finals supported."
        ),
        spec="0008 §1",
        without=(
            VERIFY,
            "    before = heads_of(rounds[:-1])\n",
            (
                "    before = {}\n"
                "    for one in rounds[:-1]:\n"
                "        found = cover(terms, one.round, one.finals, "
                "evidence.lookup, before)\n"
                "        before.update({e.author: Head(e.seq, e.id) for e in "
                "found.cut})\n"
            ),
        ),
        tests=("unit/test_settlement.py::test_what_was_padded_stays_counted",),
        vectors=("0009 a padded round, and an honest one after it",),
    ),
    Promise(
        said=(
            "What a round left out heals: a later round counts and pays what "
            "happened before it opened."
        ),
        spec="0008 §6",
        without=(
            JUDGE,
            "opens = max(self.terms.rounds[0].opens, stage.opens)",
            ("opens = max(self.terms.rounds[self.round - 1].opens, stage.opens)"),
        ),
        tests=(
            "integration/test_disputes.py::test_settlement_ignores_a_dispute_and_the_next_round_heals",
        ),
        vectors=("0009 an omission heals in the next round",),
    ),
    Promise(
        said="A row is written once, in the round in which its scan first counts.",
        spec="0008 §4",
        without=(
            SETTLE,
            "rows = _new_rows(terms, book, new, declared, state)",
            "rows = _new_rows(terms, book, counted.all, declared, state)",
        ),
        tests=(
            "unit/test_settlement.py::test_rounds_fold_and_a_late_balloon_pays_all",
        ),
        vectors=("0008 a late round",),
    ),
    Promise(
        said="A row's slot is the serial's or tap's key.",
        spec="0008 §4",
        without=(
            ROWS,
            "isinstance(evidence, SerialProof | TapProof) else None",
            "isinstance(evidence, SerialProof) else None",
        ),
        tests=("unit/test_judging.py::test_each_tap_of_a_chip_is_good_once",),
        vectors=("0008 chips: a harvested tap",),
    ),
    Promise(
        said="A row's window is where the rotating code's begins.",
        spec="0008 §4",
        without=(
            ROWS,
            (
                "window=evidence.window_start if isinstance(evidence, "
                "RotatingCode) else None,"
            ),
            "window=None,",
        ),
        tests=("unit/test_judging.py::test_a_window_pays_only_so_many",),
        vectors=("0008 screens: fresh, stale, one a window",),
    ),
    Promise(
        said="`verify` says what money rests on scans that nobody can judge again.",
        spec="0009 §4",
        without=(
            VERIFY,
            ("return act.id in bare or (\n        by_scan"),
            ("return (\n        by_scan"),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a close with an erased claim",),
    ),
    Promise(
        said="That money includes what words bound by such a scan pay.",
        spec="0009 §4",
        without=(
            VERIFY,
            "return act.id in bare or (\n",
            "return act.id in bare and (\n",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a purchase by a scan that is erased",),
    ),
    Promise(
        said="An erasable claim is kept while somebody may need it to settle.",
        spec="0003 §5",
        without=(
            "p2pnode/services/erasing.py",
            "if at.ended or never or _counts(view, at, record):",
            "if record:",
        ),
        tests=(
            "integration/test_erasing.py::test_a_note_goes_at_once_and_a_claim_when_its_round_is_settled",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An erasable claim goes once no `seen` can make it count.",
        spec="0003 §5",
        without=(
            "p2pnode/services/erasing.py",
            "if at.ended or never or _counts(view, at, record):",
            "if at.ended or _counts(view, at, record):",
        ),
        tests=(
            "integration/test_erasing.py::test_what_can_never_count_is_dropped_after_the_last_finals",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Round k starts from the grants of round k-1.",
        spec="0008 §6",
        without=(
            SETTLE,
            ("        tally=state.tally,\n        taps"),
            (
                "        tally=Tally(\n"
                "            accounts=Accounts(limits=terms.limits), "
                "budget_left=terms.budget\n"
                "        ),\n"
                "        taps"
            ),
        ),
        tests=(
            "unit/test_settlement.py::test_rounds_fold_and_a_late_balloon_pays_all",
        ),
        vectors=("0008 a late round",),
    ),
    Promise(
        said="The first test that fails is the reason.",
        spec="0008 §6",
        without=(
            JUDGE,
            ("in asked if is_asked)\n\n    def _admitted"),
            ("in reversed(asked) if is_asked)\n\n    def _admitted"),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=(
            "0008 refunds",
            "0008 days and places",
        ),
    ),
    Promise(
        said="1: the word of somebody who may not vouch counts for nothing.",
        spec="0008 §6",
        without=(
            JUDGE,
            "if not bound and not may_vouch(self.terms, header.author):",
            "if header is None:",
        ),
        tests=(
            "unit/test_judging.py::test_an_outcome_by_somebody_the_terms_do_not_name_is_refused",
        ),
        vectors=("0008 outcomes with a card",),
    ),
    Promise(
        said="2: a scan erased no later than it counted is not paid.",
        spec="0008 §6",
        without=(
            JUDGE,
            "gone = since is not None and since <= act.item.round",
            "gone = since is None and self.round < 0",
        ),
        tests=(
            "unit/test_judging.py::test_a_scan_erased_before_it_counts_is_not_paid",
        ),
        vectors=("0008 a scan erased before it counted",),
    ),
    Promise(
        said="2: an erase that counts later takes nothing back.",
        spec="0008 §6",
        without=(
            JUDGE,
            "gone = since is not None and since <= act.item.round",
            "gone = since is not None",
        ),
        tests=(
            "unit/test_judging.py::test_an_erase_that_counts_later_than_the_scan_changes_nothing",
        ),
        vectors=("0008 an erase that counts after its scan",),
    ),
    Promise(
        said="3: an act is of a stage for its kind of act.",
        spec="0008 §6",
        without=(
            JUDGE,
            ("if stage is None or stage.act != act.item.record.header.kind:"),
            "if stage is None:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a scan for purchases, a purchase for visits",),
    ),
    Promise(
        said="5: a tag of another group pays nothing.",
        spec="0008 §6",
        without=(
            JUDGE,
            "if act.tag is None or act.tag.group != stage.tags:",
            "if act.tag is None:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a tag of another group",),
    ),
    Promise(
        said="What bound a word in an earlier round binds no other in a later one.",
        spec="0008 §5",
        without=(
            SETTLE,
            "    state.bindings = binder.judge()\n",
            "    binder.before = Bindings()\n    state.bindings = binder.judge()\n",
        ),
        tests=("unit/test_judging.py::test_a_scan_binds_one_purchase_over_all_rounds",),
        vectors=("0008 an earlier word that fits from round 2 on",),
    ),
    Promise(
        said="A reversal counts within the refund window only.",
        spec="0008 §5",
        without=(
            "protocols/settlement/bind.py",
            "if same and item.witness_time <= until:",
            "if same and until:",
        ),
        tests=("unit/test_judging.py::test_a_refund_after_its_window_changes_nothing",),
        vectors=("0008 the last moment of a refund",),
    ),
    Promise(
        said="Only who signed an outcome takes it back.",
        spec="0008 §5",
        without=(
            "protocols/settlement/bind.py",
            "if same and item.witness_time <= until:",
            "if item.witness_time <= until:",
        ),
        tests=("unit/test_judging.py::test_somebody_elses_refund_changes_nothing",),
        vectors=("0008 a refund by another merchant",),
    ),
    Promise(
        said="What is earned, as a close says it, is without the residue.",
        spec="0008 §7",
        without=(
            SETTLE,
            "earned=pools - residue,",
            "earned=pools,",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_forkers_own_shares_go_to_the_residue_and_no_others",
        ),
        vectors=("0008 three balloons",),
    ),
    Promise(
        said="A line once signed is owed, in a wrong close too.",
        spec="0012 §4",
        without=(
            "p2pnode/services/closing.py",
            "    for report in reports:  # a line",
            "    for report in [x for x in reports if x.statement == 'ok']:  # a line",
        ),
        tests=(
            "integration/test_disputes.py::test_what_a_wrong_close_signed_is_owed_all_the_same",
        ),
        silent=("what is owed is what was signed: vectors of vouchers read no verdict"),
    ),
    Promise(
        said="Of one round and key the first closes are judged, not thousands.",
        spec="0009 §4",
        without=(
            VERIFY,
            "if count[close.claim().round] <= CLOSES_MAX:",
            "if count[close.claim().round]:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0010 ten closes of one round",),
    ),
    Promise(
        said="A close is not the last while a condition is open.",
        spec="0008 §8",
        without=(
            SETTLE,
            "nothing_left = state.tally.budget_left == 0 and all_met",
            "nothing_left = state.tally.budget_left == 0",
        ),
        tests=(
            "unit/test_judging.py::test_a_close_is_not_the_last_while_a_condition_is_open",
        ),
        vectors=("0008 the budget is granted, a condition is open",),
    ),
    Promise(
        said=(
            "A rule whose shares move with later acts is not settled in this version."
        ),
        spec="0008 §7",
        without=(
            "protocols/settlement/rules.py",
            ('raise ProtocolError(Reason.BAD_TERMS, f"rule {rule.tag} is reserved")'),
            "return Fraction(distance == 0)",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_rule_that_is_not_paid_yet_refuses_the_settlement",
        ),
        vectors=("0008 a rule of a later version",),
    ),
    Promise(
        said="The forks list is the union over the named finals, up to them.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "if seq <= final.seq and lower:",
            "if lower:",
        ),
        tests=(
            "unit/test_evidence.py::test_a_fork_that_is_reported_after_the_named_finals_is_not_in_their_list",
        ),
        silent=("a vector is judged from its own bytes, with nothing read before"),
    ),
    Promise(
        said="Only a proven fork of this campaign is listed.",
        spec="0009 §2",
        without=(
            TESTIMONY,
            ("    if proof.scope != campaign_id(terms):\n        return None\n"),
            "",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a fork in another scope",),
    ),
    Promise(
        said="A fork of her feed costs the actor her own share.",
        spec="0008 §7",
        without=(
            JUDGE,
            ("return tuple(Why) if item.record.author in actor.keys else (Why.HOST,)"),
            "return (Why.HOST,)",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_forkers_own_shares_go_to_the_residue_and_no_others",
        ),
        vectors=("0008 a fork",),
    ),
    Promise(
        said="A fork in an act's feed costs its host's share.",
        spec="0008 §7",
        without=(
            JUDGE,
            ("return tuple(Why) if item.record.author in actor.keys else (Why.HOST,)"),
            ("return tuple(Why)[1:] if item.record.author in actor.keys else ()"),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a merchant's fork, and its host's share",),
    ),
    Promise(
        said="Of two closes of a round each line is owed.",
        spec="0009 §3",
        without=(
            LEDGER,
            ("        if close.id not in named:\n            continue\n"),
            (
                "        if close.id not in named or close.id != "
                "max(named):\n"
                "            continue\n"
            ),
        ),
        tests=(
            "unit/test_redeem.py::test_the_lines_of_two_closes_of_a_round_are_owed_both",
        ),
        silent=(
            "which closes are read is a node's doing; the ledger's "
            "vectors are given the lines"
        ),
    ),
    Promise(
        said="A voucher proves who owes it by the close's signature.",
        spec="0009 §5",
        without=(
            "protocols/settlement/voucher.py",
            "    check_signature(close)\n",
            "",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a voucher with another's signature",),
    ),
    Promise(
        said="A close says in which unit, and until when, its lines are redeemed.",
        spec="0009 §3",
        without=(
            VERIFY,
            "    for name in Close.__dataclass_fields__:\n",
            "    for name in [*Close.__dataclass_fields__][:-2]:\n",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a close that lies: another unit",),
    ),
    Promise(
        said="`explain` computes the reasons again.",
        spec="0008 §6",
        without=(
            "p2pnode/services/explaining.py",
            "        for act, reason in settlement.refused\n",
            "        for act, reason in settlement.refused[:0]\n",
        ),
        tests=("cli/test_explaining.py::test_of_a_person_only_what_concerns_her",),
        silent="words for people, made of what the vectors hold as `refused`",
    ),
    Promise(
        said=(
            "Where the sponsor never closes, the finals at hand show what the "
            "evidence says."
        ),
        spec="0009 §4",
        without=(
            "p2pnode/services/closing.py",
            ("        return declare(view.terms, number, before, view.evidence), ()\n"),
            "        return None, ()\n",
        ),
        tests=(
            "unit/test_evidence.py::test_without_a_close_the_evidence_speaks_or_says_whom_it_waits_for",
        ),
        silent="what nobody signed is no record",
    ),
    Promise(
        said="A dispute changes nothing, whatever close it names.",
        spec="0012 §5",
        without=(
            SETTLE,
            ("    _check_claims(new, declared)\n    admission"),
            (
                "    _check_claims(new, declared)\n"
                "    for item in counted.of(Kind.DISPUTE):\n"
                "        if counted.lookup(item.claim.close) is None:\n"
                "            raise Incomplete([item.claim.close])\n"
                "    admission"
            ),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0008 a dispute among the records",),
    ),
    Promise(
        said="A dispute says what follows from the cut by its author's reckoning.",
        spec="0012 §5",
        without=(
            "p2pnode/services/proofs.py",
            "root(Tree.STATEMENT, []) if settled is None else settled.statement_root",
            "root(Tree.STATEMENT, [])",
        ),
        tests=(
            "integration/test_disputes.py::test_what_a_wrong_close_signed_is_owed_all_the_same",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="Nobody believes a dispute: each node computes the close itself.",
        spec="0012 §5",
        without=(
            "p2pnode/services/proofs.py",
            "        if close in wrong:\n            verdict = Verdict.WRONG",
            "        if close:\n            verdict = Verdict.WRONG",
        ),
        tests=(
            "integration/test_disputes.py::test_nobody_believes_a_dispute_of_a_right_close",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="No forged record passes in a bundle.",
        spec="0010 §2",
        without=(
            "protocols/bundle.py",
            "check_signature(record)",
            "assert record",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0010 a bundle with a wrong signature",),
    ),
)
