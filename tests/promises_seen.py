"""Promises about witnesses, beside those of `tests/promises.py`. Spec 0009."""

from __future__ import annotations

from typing import Final

from tests.promise import (
    CUT,
    EVIDENCE,
    SERVICE,
    TESTIMONY,
    WITNESS,
    Promise,
)

PROMISES: Final[tuple[Promise, ...]] = (
    Promise(
        said="A round accepts evidence at least until it closes.",
        spec="0005 §7",
        without=(
            "protocols/terms.py",
            "not r.closes <= r.accept_until < r.final_from",
            "not r.accept_until < r.final_from",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0005 accepted before it closes",),
    ),
    Promise(
        said="Finals begin after the last moment that is accepted.",
        spec="0005 §7",
        without=(
            "protocols/terms.py",
            "not r.closes <= r.accept_until < r.final_from",
            "not r.closes <= r.accept_until",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0005 final when it still accepts",),
    ),
    Promise(
        said="A witness lists what moved once an interval.",
        spec="0005 §2",
        without=(
            WITNESS,
            "return rested and self.left > 0 and",
            "return self.left > 0 and",
        ),
        tests=(
            "integration/test_witness.py::test_what_moved_is_listed_once_and_once_an_interval",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="A witness speaks in the witness scope, and nowhere else.",
        spec="0009 §1",
        without=(
            EVIDENCE,
            "if last.author not in keys or last.scope != scope:",
            "if last.author not in keys:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a final in the campaign's scope",),
    ),
    Promise(
        said="Only those whom the terms name are witnesses.",
        spec="0009 §1",
        without=(
            EVIDENCE,
            "if last.author not in keys or last.scope != scope:",
            "if last.scope != scope:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a final by a stranger",),
    ),
    Promise(
        said="What a witness's feed holds besides `seen` and `fork` says nothing.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "elif record.kind == Kind.SEEN and record.header.time_ms",
            "elif record.header.time_ms",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a witness that says something else first",),
    ),
    Promise(
        said="Witnesses list heads of the campaign's own scope and network.",
        spec="0009 §1",
        without=(
            EVIDENCE,
            "return record if ours else None",
            "return record",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_record_of_another_network_or_scope_never_counts",
        ),
        vectors=("0009 a head of another scope",),
    ),
    Promise(
        said="A `seen` lists at most 500 heads.",
        spec="0009 §1",
        without=(
            "protocols/claims.py",
            "listof(HEAD, HEADS_MAX)",
            "listof(HEAD, 2 * HEADS_MAX)",
        ),
        tests=("unit/test_claims.py::test_each_bound_holds",),
        silent=(
            "501 heads are 75 kB of a file of vectors; `kinds.md` has "
            "the bound from the code"
        ),
    ),
    Promise(
        said="An honest witness lists a head that moved, once.",
        spec="0009 §1",
        without=(
            WITNESS,
            "self.listed[author] = max(seq, self.listed.get(author, -1))",
            "self.listed[author] = -1",
        ),
        tests=(
            "integration/test_witness.py::test_a_restarted_witness_goes_on_where_it_was",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="What a witness says is stored before anybody hears of it.",
        spec="0009 §1",
        without=(
            "p2pnode/services/feeds.py",
            (
                "            with self._committing():\n"
                "                await self.store.append(records, "
                "state=noted)\n"
                "            self.mark = mark\n"
            ),
            (
                "            self._notify(Change(records=records))\n"
                "            with self._committing():\n"
                "                await self.store.append(records, "
                "state=noted)\n"
                "            self.mark = mark\n"
            ),
        ),
        tests=("unit/test_feeds.py::test_nobody_hears_of_what_may_not_be_stored",),
        silent="persist before publish: what a crash leaves is no record",
    ),
    Promise(
        said="An honest witness covers a head only with the whole prefix.",
        spec="0009 §1",
        without=(
            "p2pnode/services/intake.py",
            "if record.seq >= stop or not is_next(head, record):",
            "if record.seq >= stop:",
        ),
        tests=("unit/test_feeds.py::test_a_gap_names_what_is_missing",),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness covers nobody whose genesis is badly signed.",
        spec="0009 §1",
        without=(
            WITNESS,
            (
                "                if not self._is_sound(author):\n"
                "                    continue\n"
            ),
            "",
        ),
        tests=(
            "integration/test_witness.py::test_a_genesis_without_its_work_is_not_listed",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="An honest witness keeps to the bytes a feed may have.",
        spec="0009 §1",
        without=(
            WITNESS,
            "and (spare or size <= reach.bytes_left)",
            "and (spare or size >= 0)",
        ),
        tests=(
            "integration/test_witness.py::test_a_feed_is_listed_up_to_the_bytes_it_may_have",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="A full feed has 64 records left to erase and to redeem.",
        spec="0009 §1",
        without=(
            WITNESS,
            "most = reach.records_max + (PART_SPARE if spare else 0)",
            "most = reach.records_max",
        ),
        tests=(
            "integration/test_witness.py::test_a_feed_is_listed_up_to_the_caps_and_spare_records_beyond",
        ),
        silent=SERVICE,
    ),
    Promise(
        said="A witness covers what it lists and all below it.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            "self._first_seen.update(dict.fromkeys(branch, time_ms))",
            "self._first_seen[head.id] = time_ms",
        ),
        tests=(
            "unit/test_evidence.py::test_a_head_covers_all_below_it_from_that_time_on",
        ),
        vectors=("0009 a join and a scan, seen one after the other",),
    ),
    Promise(
        said=(
            "A head on another branch voids what follows, also where it is no "
            "higher than the last."
        ),
        spec="0009 §1",
        without=(
            TESTIMONY,
            (
                "                head.id in self._first_seen\n"
                "                and record is not None\n"
                "                and (record.author, record.seq) == (author, "
                "head.seq)"
            ),
            (
                "                record is not None\n"
                "                and (record.author, record.seq) == (author, "
                "head.seq)"
            ),
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 a head on another branch, no higher than the last",),
    ),
    Promise(
        said="A head whose chain is not here decides nothing.",
        spec="0009 §1",
        without=(
            TESTIMONY,
            (
                "                    self._unknown[author] = "
                "RecordId(error.missing[0]), time_ms\n"
                "                    self._listed[author] = waiting[place:]\n"
                "                    break\n"
            ),
            (
                "                    self._unknown[author] = "
                "RecordId(error.missing[0]), time_ms\n"
                "                    continue\n"
            ),
        ),
        tests=(
            "unit/test_evidence.py::test_what_was_read_before_is_judged_as_if_it_was_read_anew",
        ),
        vectors=("0009 after a head whose chain is not here",),
    ),
    Promise(
        said="The finals a close names are of different witnesses.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            ("if len(set(finals)) != terms.quorum or len(authors) != terms.quorum:"),
            "if len(set(finals)) != terms.quorum:",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0009 two finals of one witness, on two branches",),
    ),
    Promise(
        said="A close of a round names finals of that round.",
        spec="0009 §2",
        without=(
            EVIDENCE,
            "if testimony.finals.get(number) != last.id:",
            "if last.id not in testimony.finals.values():",
        ),
        tests=(
            "unit/test_evidence.py::test_finals_are_two_f_plus_one_of_distinct_witnesses_in_time",
        ),
        vectors=("0009 finals of another round",),
    ),
    Promise(
        said=(
            "What f+1 of the named finals cover counts: so all that 2f+1 witnesses saw."
        ),
        spec="0009 §2",
        without=(
            EVIDENCE,
            ("        if len(seen_by) <= faults:\n            continue\n"),
            ("        if len(seen_by) <= 2 * faults:\n            continue\n"),
        ),
        tests=(
            "unit/test_evidence.py::test_what_f_plus_one_of_the_named_saw_counts",
            "unit/test_evidence.py::test_whatever_finals_are_named_the_guarantees_hold",
        ),
        vectors=("0009 what two of three named saw counts",),
    ),
    Promise(
        said=("Nor does a liar among f make witness time later than all honest ones."),
        spec="0009 §2",
        without=(
            EVIDENCE,
            "mine[record_id] = (header.seq, seen_by[faults])",
            "mine[record_id] = (header.seq, seen_by[-1])",
        ),
        tests=(
            "unit/test_evidence.py::test_witness_time_is_the_f_plus_first_smallest",
            "unit/test_evidence.py::test_whatever_finals_are_named_the_guarantees_hold",
        ),
        vectors=("0009 witness time is the second smallest of four",),
    ),
    Promise(
        said="What counted once counts for ever: a cut extends the cut before.",
        spec="0008 §1",
        without=(
            CUT,
            (
                "        if wanted != below:\n"
                '            raise ProtocolError(Reason.WRONG_CUT, "does not '
                'extend the cut before")\n'
            ),
            "",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_later_cut_stays_on_its_branch",
        ),
        vectors=("0008 a later cut on another branch",),
    ),
    Promise(
        said="A cut has one head an author, authors ascending.",
        spec="0008 §1",
        without=(
            CUT,
            "if authors != sorted(set(authors)):",
            "if None in authors:",
        ),
        tests=(
            "unit/test_settlement_hostile.py::test_a_cut_that_contradicts_itself_is_refused",
        ),
        vectors=("0008 entries descending",),
    ),
    Promise(
        said="Of one author, what stands first in her feed comes first.",
        spec="0008 §1",
        without=(
            CUT,
            "runs[-1].append(Counted(record, key, time_max))",
            "runs[-1].insert(0, Counted(record, key, time_max))",
        ),
        tests=("unit/test_judging.py::test_a_day_pays_only_so_many",),
        vectors=("0008 days and places",),
    ),
    Promise(
        said=(
            "Every first goes by the order key: so which eight further keys a "
            "person has."
        ),
        spec="0008 §1",
        without=(
            "protocols/settlement/admission.py",
            "key=lambda item: item.order",
            "key=lambda item: item.record.id",
        ),
        tests=("unit/test_vectors.py::test_every_stored_case_has_its_answer",),
        vectors=("0004 nine further keys",),
    ),
    Promise(
        said="A receipt says none, seen, can count from f+1 on, safe from 2f+1 on.",
        spec="0009 §2",
        without=(
            "p2pnode/services/documents.py",
            "if in_time >= faults + 1:",
            "if in_time > faults + 1:",
        ),
        tests=("unit/test_evidence.py::test_a_receipt_in_words",),
        silent="a receipt is what a node tells its owner; no close reads one",
    ),
    Promise(
        said="A campaign that stalls says whose finals it waits for.",
        spec="0009 §4",
        without=(
            "p2pnode/services/closing.py",
            "silent = waits = tuple(_silent(view, number))",
            "silent = waits = ()",
        ),
        tests=(
            "unit/test_evidence.py::test_without_a_close_the_evidence_speaks_or_says_whom_it_waits_for",
        ),
        silent="what a node tells its owner while there is no close",
    ),
)
