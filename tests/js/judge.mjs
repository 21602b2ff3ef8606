// Judging acts, in order key. Spec 0008 §6.

import { hex, same } from "./codec.mjs";
import { isWord, mayVouch } from "./bind.mjs";
import { KIND } from "./records.mjs";
import { actTime } from "./rows.mjs";
import { ROTATING } from "./tags.mjs";
import { ACT, RULE_TAG, partyOf } from "./terms.mjs";

/**
 * One round's pass. `fold` is {grants, left}: grants are appended, `left` goes down.
 *
 * Returns {reasons: record key -> reason, short: acts refused only for want of budget}.
 */
export function judge(world, fold) {
  const reasons = new Map();
  const short = [];
  const done = new Set(fold.grants.map((grant) => grant.key));
  const book = new Book(world, fold.grants);
  for (const one of world.counted) {
    if (done.has(one.record.key)) continue;
    const act = actOf(world, one);
    if (!act) continue;
    const reason = firstFailure(world, book, fold, act);
    if (reason) {
      reasons.set(act.key, reason);
      if (reason === "budget") short.push(act);
    } else {
      const wanted = poolOf(act);
      act.pool = wanted < fold.left ? wanted : fold.left;
      fold.left -= act.pool;
      fold.grants.push(act);
      book.add(act);
    }
  }
  return { reasons, short };
}

/** A counted record as an act: a scan, an outcome, an attest with a stage, a join if a stage is. */
function actOf(world, one) {
  const { record } = one;
  if (record.kind === KIND.scan) {
    const row = world.rows.get(record.key);
    return describe(world, one, row.stage, record.by, row, world.tags.get(hex(row.tag)) ?? null);
  }
  if (record.kind === KIND.join) {
    const stage = world.terms.stages.findIndex((each) => each.act === ACT.join);
    return stage < 0 ? null : describe(world, one, stage, record.by, null, null);
  }
  if (!isWord(record) || record.claim.stage === null) return null;
  const scan = world.rows.get(world.binding.bound.get(record.key));
  const listed = scan ? world.tags.get(hex(scan.tag)) ?? null : null;
  return describe(world, one, record.claim.stage, hex(record.claim.author), null, listed);
}

function describe({ terms, admission, binding }, one, stage, actor, row, listed) {
  const { record } = one;
  const rule = terms.stages[stage] ?? null;
  const time = row ? row.actTime : actTime(one, rule?.lateMs ?? 0);
  const person = admission.person.get(actor) ?? null;
  return {
    key: record.key, one, record, stage, rule, row, listed, time, person,
    day: Math.floor((time + terms.dayOffsetMin * 60_000) / 86_400_000),
    amount: isWord(record) ? record.claim.amount : 0,
    reversed: binding.reversed.get(record.key) ?? 0,
  };
}

/** The pool before the budget. */
function poolOf({ rule, amount, reversed }) {
  const { reward } = rule;
  if (!reward) return 0n;
  if (!reward.percentBp) return BigInt(reward.amount);
  return (BigInt(amount - reversed) * BigInt(reward.percentBp)) / 10_000n;
}

function firstFailure(world, book, fold, act) {
  const { terms, round, binding } = world;
  const { record, rule, row, time } = act;
  const word = isWord(record);
  if (word && !mayVouch(terms, record.by) && !binding.bound.has(act.key)) return "not-named";
  const out = admitted(world.admission, act, word);
  if (out) return out;
  if (world.erased.get(act.key) <= act.one.round) return "erased";
  if (!rule || rule.act !== record.kind) return "unknown-stage";
  const bounds = terms.rounds[round - 1];
  if (rule.refundMs && act.one.wt + rule.refundMs > bounds.acceptUntil) return "not-mature";
  if (row && !tagGood(world, act)) return "unknown-tag";
  const closes = rule.closes ? Math.min(rule.closes, bounds.closes) : bounds.closes;
  if (time < Math.max(terms.rounds[0].opens, rule.opens) || time > closes) return "stage-window";
  if (gradeOf(world, act) < rule.grade || (act.amount && act.reversed >= act.amount)) return "grade";
  if (word && !binding.bound.has(act.key)) return "not-bound";
  return book.refuses(act) ?? (poolOf(act) > 0n && fold.left === 0n ? "budget" : null);
}

function admitted(admission, act, word) {
  if (act.person !== null) return admission.people.get(act.person).reason;
  return (word ? null : admission.refused.get(act.record.by)) ?? "not-admitted";
}

function tagGood({ fixed }, { listed, rule, one, time }) {
  if (!listed || listed.group !== rule.tags) return false;
  const { validFrom, validUntil } = listed.entry;
  if (time < validFrom || (validUntil && time > validUntil)) return false;
  return !listed.revoked || listed.revoked.index > one.index || fixed.has(listed.group);
}

/** The grade by the table of §4. */
function gradeOf(world, { record, key, row, rule, amount, reversed }) {
  const { binding } = world;
  if (row) {
    const own = row.grade === 4 && row.counter !== null && harvested(world, row) ? 1 : row.grade;
    return own >= 1 && binding.attested.has(key) ? 5 : own;
  }
  if (record.kind === KIND.join) return binding.attested.has(key) ? 5 : 0;
  if (!binding.bound.has(key) || (amount && reversed >= amount)) return 0;
  return record.kind === KIND.outcome && rule.refundMs ? 7 : 5;
}

function harvested({ terms, rows, at }, row) {
  const lateMs = terms.stages[row.stage]?.lateMs ?? 0;
  const mine = at.get(hex(row.id)).wt;
  for (const [key, other] of rows) {
    if (other.counter === null || other.counter <= row.counter || !same(other.tag, row.tag)) continue;
    if (at.get(key).wt < mine - lateMs) return true;
  }
  return false;
}

/** The tag's place; a tag without one is a place of its own. */
const placeOf = ({ listed, row }) =>
  listed.entry.place ? `at ${listed.entry.place}` : hex(row.tag);

/** What granted acts use up: tests 9 to 14. */
class Book {
  constructor({ terms, admission }, grants) {
    this.terms = terms;
    this.people = admission.people;
    this.used = new Set();
    this.sums = new Map();
    this.granted = [];
    for (const grant of grants) this.add(grant);
  }

  sum(...name) {
    return this.sums.get(name.join("/")) ?? 0n;
  }

  plus(by, ...name) {
    this.sums.set(name.join("/"), this.sum(...name) + BigInt(by));
  }

  refuses(act) {
    const { rule, row, person, stage } = act;
    const { limits } = this.terms;
    if (!rule.after.every((needed) => this.came(act, needed))) return "after";
    if (this.uses(act).some((name) => this.used.has(name))) return "once";
    const first = rule.reward?.rule.tag === RULE_TAG.flat ? rule.reward.rule.first : 0;
    if (first && this.sum("stage", stage) >= first) return "once";
    const rotates = act.listed?.entry.public.tag === ROTATING;
    const windowed = rule.perWindow && rotates && row && row.window !== null;
    if (windowed && this.sum("window", hex(row.tag), row.window) >= rule.perWindow) return "per-window";
    if (limits.placeIntervalMs && row && this.tooFast(act)) return "velocity";
    const most = limits.perPersonPerDay;
    if (most && this.sum("day", person, act.day) >= most) return "day";
    return this.overCap(act) ? "merchant-cap" : null;
  }

  came(act, { stage, byInvitee }) {
    return this.granted.some((other) => {
      if (other.stage !== stage || other.one.index >= act.one.index) return false;
      const who = byInvitee ? this.people.get(other.person).inviter : other.person;
      return who === act.person;
    });
  }

  /** A one-time slot always; and what the stage's `once` says. */
  uses({ row, rule, stage, person, day }) {
    const slot = row?.slot ? hex(row.slot) : null;
    const tag = slot ?? (row ? hex(row.tag) : "");
    const names = slot ? [`${stage}/tag/${slot}`] : [];
    if (rule.once === 1) names.push(`${stage}/tag/${tag}`);
    if (rule.once === 2) names.push(`${stage}/person/${person}`);
    if (rule.once === 3) names.push(`${stage}/both/${person}/${tag}`);
    if (rule.once === 4) names.push(`${stage}/day/${person}/${day}`);
    return names;
  }

  tooFast(act) {
    const { placeIntervalMs } = this.terms.limits;
    return this.granted.some(
      (other) =>
        other.row && other.person === act.person && placeOf(other) !== placeOf(act) &&
        Math.abs(other.time - act.time) < placeIntervalMs,
    );
  }

  overCap({ record, amount, day }) {
    const party = record.kind === KIND.outcome ? partyOf(this.terms, record.by) : null;
    if (!party) return false;
    const [desk] = party.keys;
    const more = BigInt(amount);
    if (amount > party.amountMax || this.sum("desk", desk, day) + more > party.perDayMax) return true;
    return this.sum("desk", desk) + more > party.totalMax;
  }

  add(act) {
    const { record, row, person, stage, day, amount } = act;
    for (const name of this.uses(act)) this.used.add(name);
    this.plus(1, "stage", stage);
    this.plus(1, "day", person, day);
    if (row && row.window !== null) this.plus(1, "window", hex(row.tag), row.window);
    const party = record.kind === KIND.outcome ? partyOf(this.terms, record.by) : null;
    if (party) {
      this.plus(amount, "desk", party.keys[0], day);
      this.plus(amount, "desk", party.keys[0]);
    }
    this.granted.push(act);
  }
}
