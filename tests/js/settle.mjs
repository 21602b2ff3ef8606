// From declared rounds to the statement. Spec 0008.

import { Incomplete, Refused, hex, same, unhex } from "./codec.mjs";
import { TREE, root } from "./keys.mjs";
import { admit } from "./join.mjs";
import { bind } from "./bind.mjs";
import { addRound, nothing, wire } from "./cut.mjs";
import { judge } from "./judge.mjs";
import { actTime, makeRow, readTags } from "./rows.mjs";
import { KIND } from "./records.mjs";
import { RULE_TAG, partyOf } from "./terms.mjs";

/**
 * Settle declared rounds [{round, finals, cut, forks, rows, lines}] over `lookup(id hex)`.
 *
 * `rows` is read for erased scans, `lines` are what the close signed. Returns one result a round.
 */
export function settle(terms, campaign, rounds, lookup) {
  const state = nothing();
  const rows = new Map();
  const fold = { grants: [], left: BigInt(terms.budget), met: new Set(), signed: [], forks: [], binding: null };
  return rounds.map((declared) => {
    const fresh = addRound(terms, campaign, state, declared, lookup);
    for (const fork of declared.forks) {
      fold.forks.push({ by: hex(fork.author), seq: fork.seq, round: declared.round });
    }
    const world = gather(terms, campaign, state, fresh, declared, rows, fold.binding);
    fold.binding = world.binding;
    const { reasons, short } = judge(world, fold);
    for (const grant of fold.grants) {
      grant.round ??= declared.round;
      grant.shares ??= shares(world, grant, fold.forks);
    }
    const result = total(world, fold, short);
    fold.signed.push(...declared.lines);
    const granted = [...fold.grants].sort((a, b) => a.one.index - b.one.index)
      .map((grant) => [grant.key, Number(grant.pool)]);
    const believed = { notJudged: fresh.filter((one) => !one.record.claim).length, resting: resting(world, fold) };
    return { ...result, ...believed, reasons, granted, rows: newRows(fresh, rows), admission: world.admission };
  });
}

/** What this round's grants pay because of scans without their claim: such acts, and words that name one and have its tag. */
function resting(world, { grants }) {
  const bare = new Set(world.counted.filter((one) => !one.record.claim).map((one) => one.record.key));
  const rests = ({ key, record, row, listed, round }) => {
    if (round !== world.round) return false;
    if (bare.has(key)) return true;
    const named = row ? [] : record.claim.after ?? (record.claim.act ? [record.claim.act] : []);
    return listed !== null && named.some((id) => bare.has(hex(id)));
  };
  return Number(grants.filter(rests).flatMap((grant) => grant.shares).reduce((sum, one) => sum + one.amount, 0n));
}

function newRows(fresh, rows) {
  const mine = fresh.map((one) => rows.get(one.record.key)).filter(Boolean);
  return mine.sort((a, b) => Buffer.compare(a.author, b.author) || a.seq - b.seq);
}

/** Everything that judging reads, over all rounds so far. */
function gather(terms, campaign, state, fresh, declared, rows, before) {
  const { counted, at } = state;
  const committed = new Map(declared.rows.map((row) => [hex(row.id), row]));
  const missing = fresh
    .map((one) => one.record)
    .filter((record) => !record.claim && !(record.kind === KIND.scan && committed.has(record.key)));
  if (missing.length) throw new Incomplete(missing.map((record) => record.key));
  const admission = admit(terms, campaign, counted);
  const tags = readTags(terms, counted);
  for (const one of fresh) {
    const { record } = one;
    if (record.kind !== KIND.scan) continue;
    const row = record.claim
      ? makeRow(terms, campaign, one, tags)
      : believed(terms, one, committed.get(record.key));
    rows.set(record.key, row);
  }
  const fixed = new Set(terms.conditions.map((one) => terms.stages[one.stage].tags));
  const world = { terms, campaign, counted, at, admission, tags, rows, fixed, round: declared.round };
  world.erased = erasures(counted, at);
  world.binding = bind(world, before);
  return world;
}

/** The committed row of an erased scan: what it says beside the claim must be the headers'. */
function believed(terms, one, row) {
  const { record } = one;
  const time = actTime(one, terms.stages[row.stage]?.lateMs ?? 0);
  if (!same(row.author, record.author) || row.seq !== record.seq || row.actTime !== time) {
    throw new Refused("wrong-cut", "a row of another record");
  }
  return row;
}

/** Scan -> the round in which its author's erasure of the claim first counted. */
function erasures(counted, at) {
  const found = new Map();
  for (const { record, round } of counted) {
    if (record.kind !== KIND.erase || !record.claim.claim) continue;
    const target = at.get(hex(record.claim.record))?.record;
    if (target?.kind !== KIND.scan || target.by !== record.by || found.has(target.key)) continue;
    found.set(target.key, round);
  }
  return found;
}

// Money, §7 and §8

/** Under which key earnings are kept: a root, a party's first key, or the key. */
function account({ terms, admission }, key) {
  return admission.person.get(key) ?? partyOf(terms, key)?.keys[0] ?? key;
}

function payeeOf({ terms, admission }, name) {
  const person = admission.people.get(name);
  if (person) return person.further.at(-1) ?? person.root;
  const party = partyOf(terms, name);
  return admission.entered.findLast((key) => party?.keys.includes(key)) ?? name;
}

/** The shares of a new grant that are paid: [{to, amount}]. */
function shares(world, grant, forks) {
  const { terms, admission } = world;
  const { reward } = grant.rule;
  if (!reward) return [];
  if (reward.rule.tag > RULE_TAG.halving) throw new Refused("bad-terms", "a rule of a later version");
  const actor = admission.people.get(grant.person);
  const { record, round } = grant.one;
  const forked = forks.some((one) => one.by === record.by && one.seq <= record.seq && one.round <= round);
  const own = forked && actor.keys.includes(record.by);
  const part = (bp) => (grant.pool * BigInt(bp)) / 10_000n;
  const [toHost, back] = [part(reward.hostBp), part(reward.backBp)];
  const host = grant.listed?.entry.host ? partyOf(terms, hex(grant.listed.entry.host)) : null;
  const out = [];
  if (host && !forked && !host.keys.some((key) => actor.keys.includes(key))) {
    out.push({ to: host.keys[0], amount: toHost });
  }
  if (!own) out.push({ to: actor.root, amount: back });
  const rest = grant.pool - toHost - back;
  const levels = terms.limits.paidLevels || Infinity;
  let member = actor;
  for (let n = 0; member && n < levels; n++) {
    const halved = rest / (1n << BigInt(n + 1));
    const flat = n ? 0n : rest;
    const amount = reward.rule.tag === RULE_TAG.flat ? flat : halved;
    if (n || !own) out.push({ to: member.root, amount });
    member = admission.people.get(member.inviter);
  }
  return out.filter((share) => share.amount > 0n);
}

function conditionsMet({ terms }, fold, short) {
  const acts = [...fold.grants, ...short];
  terms.conditions.forEach((condition, i) => {
    const mine = acts.filter((act) => act.stage === condition.stage);
    const tags = mine.filter((act) => act.row).map((act) => hex(act.row.tag));
    const persons = mine.map((act) => act.person);
    const count = [new Set(tags).size, mine.length, new Set(persons).size][condition.count - 1];
    if (count >= condition.least) fold.met.add(i);
  });
  return fold.met.size === terms.conditions.length;
}

function total(world, fold, short) {
  const { terms, round } = world;
  const met = conditionsMet(world, fold, short);
  const earned = new Map();
  const plus = (map, key, amount) => map.set(key, (map.get(key) ?? 0n) + amount);
  let pools = 0n;
  let paid = 0n;
  for (const grant of met ? fold.grants : []) {
    pools += grant.pool;
    for (const share of grant.shares) {
      paid += share.amount;
      plus(earned, account(world, share.to), share.amount);
    }
  }
  const residue = pools - paid;
  const last = round === terms.rounds.length || (met && fold.left === 0n);
  if (last && residue) plus(earned, account(world, hex(terms.residue.key)), residue);
  const signed = new Map();
  for (const line of fold.signed) plus(signed, account(world, hex(line.payee)), BigInt(line.amount));
  const lines = [...earned]
    .map(([to, amount]) => ({ payee: unhex(payeeOf(world, to)), amount: Number(amount - (signed.get(to) ?? 0n)) }))
    .filter((line) => line.amount > 0)
    .sort((a, b) => Buffer.compare(a.payee, b.payee));
  return {
    round, lines, last,
    statementRoot: root(TREE.statement, lines.map(wire.statement)),
    paid: Number(paid),
    residue: Number(residue),
    unspent: Number(BigInt(terms.budget) - pools),
  };
}
