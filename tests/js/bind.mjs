// Which words are bound to whom, and what is refunded. Spec 0008 §5.

import { Refused, hex } from "./codec.mjs";
import { checkCard } from "./join.mjs";
import { KIND } from "./records.mjs";
import { ROLE, partyOf } from "./terms.mjs";

/** One key for all keys of a party, or of the sponsor. */
function desk(terms, key) {
  const sponsors = terms.sponsor.map(hex);
  if (sponsors.includes(key)) return sponsors[0];
  return partyOf(terms, key)?.keys[0] ?? key;
}

export const mayVouch = (terms, key) =>
  terms.sponsor.some((one) => hex(one) === key) ||
  ((partyOf(terms, key)?.role ?? 0) & (ROLE.merchant | ROLE.device)) !== 0;

export const isWord = (record) => record.kind === KIND.attest || record.kind === KIND.outcome;

/**
 * {bound: word -> scan or null (a card), attested: acts, reversed: outcome -> amount}; `before` is the same of the
 * round before, or null: what was bound stays bound.
 */
export function bind(world, before) {
  const kept = before ?? { bound: new Map(), used: new Set(), spent: new Set() };
  const state = { ...kept, attested: new Set(), reversed: new Map() };
  for (const one of world.counted) {
    if (one.record.kind === KIND.reversal) reverse(world, state, one);
    if (isWord(one.record)) bindWord(world, state, one);
  }
  return state;
}

function bindWord(world, state, one) {
  const { record } = one;
  const { claim } = record;
  const hers = hex(claim.author);
  if (!state.bound.has(record.key) && !binds(world, state, one, hers)) return;
  const act = record.kind === KIND.attest ? world.at.get(hex(claim.act)) : null;
  if (act && samePerson(world.admission, act.record.by, hers)) state.attested.add(act.record.key);
}

/** Whether a word that was not bound so far is now. */
function binds(world, state, one, hers) {
  const { terms, rows } = world;
  const { record } = one;
  const { claim } = record;
  const names = (record.kind === KIND.attest ? [claim.act] : claim.after).map(hex);
  const signer = desk(terms, record.by);
  const hosts = record.kind === KIND.attest && names.some((name) => hostOf(world, rows.get(name)) === signer);
  if (!mayVouch(terms, record.by) && !hosts) return false;
  const pair = (name) => `${name}/${signer}/${record.kind}`;
  const scan = names.find((name) => !state.used.has(pair(name)) && fits(world, one, signer, hers, name));
  if (scan) state.used.add(pair(scan));
  else if (!spend(world, state, claim.card, signer, hers)) return false;
  state.bound.set(record.key, scan ?? null);
  return true;
}

function samePerson(admission, a, b) {
  const person = admission.person.get(a);
  return a === b || (person !== undefined && person === admission.person.get(b));
}

function hostOf({ terms, tags }, row) {
  const host = row && tags.get(hex(row.tag))?.entry.host;
  return host ? desk(terms, hex(host)) : null;
}

function fits(world, one, signer, hers, name) {
  const { terms, tags, rows, admission } = world;
  const row = rows.get(name);
  const listed = row && tags.get(hex(row.tag));
  if (!listed || !samePerson(admission, hex(row.author), hers)) return false;
  const owners = [desk(terms, hex(listed.entry.issuer)), hostOf(world, row)];
  const stage = terms.stages[row.stage];
  if (!owners.includes(signer) || !stage) return false;
  return stage.bindMs === 0 || one.wt <= row.actTime + stage.bindMs;
}

function spend({ terms, campaign }, state, card, signer, hers) {
  if (!card || hex(card.author) !== hers) return false;
  if (card.merchant !== null && desk(terms, hex(card.merchant)) !== signer) return false;
  const name = `${hers}/${hex(card.nonce)}`;
  if (state.spent.has(name)) return false;
  try {
    checkCard(card, terms.network, campaign);
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
  state.spent.add(name);
  return true;
}

function reverse({ terms, at }, state, one) {
  const name = hex(one.record.claim.outcome);
  const outcome = at.get(name);
  if (outcome?.record.kind !== KIND.outcome) return;
  const stage = terms.stages[outcome.record.claim.stage];
  if (!stage || desk(terms, one.record.by) !== desk(terms, outcome.record.by)) return;
  if (one.wt > outcome.wt + stage.refundMs) return;
  const sum = (state.reversed.get(name) ?? 0) + one.record.claim.amount;
  state.reversed.set(name, Math.min(outcome.record.claim.amount, sum));
}
