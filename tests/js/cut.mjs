// What a close declares, and the records under it. Spec 0008 §1.

import { Incomplete, Refused, bin, hex, list, option, same, struct, uint } from "./codec.mjs";
import { ZERO32, taggedHash } from "./keys.mjs";

const id = bin(32);
const STEP = struct({ seq: uint(), time: uint() });
export const CUT_ENTRY = struct({ author: id, seq: uint(), id, steps: list(STEP, 2000, 1) });
export const FORK_ENTRY = struct({ author: id, seq: uint(), a: id, b: id });
export const ROW = struct({
  author: id,
  seq: uint(),
  id,
  stage: uint(),
  tag: id,
  grade: uint(4),
  slot: option(id),
  window: option(uint()),
  counter: option(uint()),
  actTime: uint(),
});
export const LEAF = struct({ payee: id, amount: uint() });
export const wire = {
  cut: (one) => [one.author, one.seq, one.id, one.steps.map((step) => [step.seq, step.time])],
  forks: (one) => [one.author, one.seq, one.a, one.b],
  rows: (one) => [
    one.author, one.seq, one.id, one.stage, one.tag, one.grade, one.slot, one.window, one.counter, one.actTime,
  ],
  statement: (one) => [one.payee, one.amount],
};

const rises = (items) => items.every((item, i) => i === 0 || Buffer.compare(items[i - 1], item) < 0);

/** -1, 0 or 1 by order key. */
export const byOrder = (a, b) =>
  a.round - b.round ||
  a.wt - b.wt ||
  Buffer.compare(a.tie, b.tie) ||
  Buffer.compare(a.record.author, b.record.author) ||
  a.record.seq - b.record.seq ||
  Buffer.compare(a.record.id, b.record.id);

/** What counts so far: `counted` in order key, `at` by id, and where the feeds stand. */
export const nothing = () => ({ counted: [], at: new Map(), feeds: new Map(), before: 0 });

/**
 * Count the records of the next declared round: [{record, round, wt, tie, largest}], where `largest` is
 * the largest time_ms of the feed up to the record. Missing records are Incomplete.
 */
export function addRound(terms, campaign, state, one, lookup) {
  checkDeclared(terms, state, one);
  const finals = [...one.finals].sort(Buffer.compare);
  const { acceptUntil } = terms.rounds[one.round - 1];
  const found = [];
  const missing = [];
  for (const entry of one.cut) {
    const by = hex(entry.author);
    const before = state.feeds.get(by) ?? null;
    checkSteps(entry, before ? before.seq + 1 : 0, acceptUntil);
    const records = walk(terms, campaign, entry, before, lookup, missing);
    if (!records) continue;
    const tie = taggedHash("tie", [finals, entry.author]);
    let largest = before?.largest ?? 0;
    for (const record of records) {
      largest = Math.max(largest, record.timeMs);
      const step = entry.steps.findLast((each) => each.seq <= record.seq);
      found.push({ record, round: one.round, wt: step.time, tie, largest });
    }
    state.feeds.set(by, { seq: entry.seq, id: entry.id, largest });
  }
  if (missing.length) throw new Incomplete(missing);
  state.before = one.round;
  for (const each of found) state.at.set(each.record.key, each);
  state.counted = [...state.counted, ...found].sort(byOrder);
  state.counted.forEach((each, i) => (each.index = i));
  return found;
}

const wrong = (words) => new Refused("wrong-cut", words);

function checkDeclared(terms, state, one) {
  const quorum = (2 * (terms.witnesses.length - 1)) / 3 + 1;
  if (one.round <= state.before || one.round > terms.rounds.length) throw wrong("rounds");
  if (!rises(one.cut.map((entry) => entry.author))) throw wrong("entries ascend");
  if (!rises(one.forks.map((entry) => entry.author))) throw wrong("forks ascend");
  if (one.finals.length !== quorum || new Set(one.finals.map(hex)).size !== quorum) throw wrong("finals");
}

function checkSteps(entry, first, acceptUntil) {
  const { steps } = entry;
  const last = steps[steps.length - 1];
  if (steps[0].seq !== first || last.seq > entry.seq) throw wrong("steps");
  for (let i = 1; i < steps.length; i++) {
    if (steps[i].seq <= steps[i - 1].seq || steps[i].time <= steps[i - 1].time) throw wrong("steps ascend");
  }
  if (last.time > acceptUntil) throw wrong("accept_until");
}

function walk(terms, campaign, entry, before, lookup, missing) {
  const found = [];
  const floor = before ? before.seq + 1 : 0;
  let at = entry.id;
  for (let seq = entry.seq; seq >= floor; seq--) {
    const record = lookup(hex(at));
    if (!record) {
      missing.push(hex(at));
      return null;
    }
    const here = same(record.network, terms.network) && same(record.scope, campaign);
    if (!here || !same(record.author, entry.author) || record.seq !== seq) {
      throw wrong("another feed");
    }
    found.push(record);
    at = record.backlink;
  }
  if (!same(at, before ? before.id : ZERO32)) throw wrong("another branch");
  return found.reverse();
}
