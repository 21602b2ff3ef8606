// Vouchers spent, debts, double spendings. Spec 0011.

import { Refused, bin, decode, hex, same, struct } from "./codec.mjs";
import { readLink } from "./keys.mjs";
import { KIND, checkSignature, fromParts } from "./records.mjs";
import { checkContinue } from "./join.mjs";
import { VOUCHER, checkVoucher } from "./close.mjs";

const SIGNED = struct({ header: bin(1, 320), claim: bin(1, 256), signature: bin(64) });
const SLIP = struct({ voucher: VOUCHER, redeem: SIGNED });
const DOUBLE = struct({ voucher: VOUCHER, first: SIGNED, second: SIGNED });
const DOUBLE_MAX = 4296;

const bad = (detail) => new Refused("bad-proof", detail);
const placeOf = (close, line) => `${hex(close)}/${line}`;

/** §1: the line of a voucher, proven. */
export function purseOf(voucher) {
  const { line, close, claim } = checkVoucher(voucher);
  const place = placeOf(close.id, voucher.index);
  return { close, place, line: voucher.index, payee: line.payee, amount: line.amount, until: claim.redeemUntil };
}

/** §2, 3 to 5. */
function judgeRedeem(purse, record, roots) {
  const { claim } = record;
  if (claim.amount === 0) throw new Refused("no-amount");
  if (BigInt(claim.totalBefore) + BigInt(claim.amount) > BigInt(purse.amount)) throw new Refused("over-line");
  const rootOf = (key) => roots.get(hex(key)) ?? hex(key);
  if (rootOf(record.author) !== rootOf(purse.payee)) throw new Refused("not-payee");
  return { record, claim, purse, ownKey: same(record.author, purse.payee) };
}

function spending(purse, signed, roots) {
  const record = fromParts(signed.header, signed.claim, null, signed.signature);
  checkSignature(record);
  if (record.kind !== KIND.redeem) throw bad("no redeem");
  const { close } = purse;
  if (!same(record.network, close.network) || !same(record.scope, close.scope)) throw bad("another campaign");
  if (placeOf(record.claim.close, record.claim.line) !== purse.place) throw bad("another line");
  return judgeRedeem(purse, record, roots);
}

export function readSlip(text, roots = new Map()) {
  const slip = SLIP(readLink("R", text));
  return spending(purseOf(slip.voucher), slip.redeem, roots);
}

const endOf = ({ claim }) => claim.totalBefore + claim.amount;

function overlap(one, other) {
  const apart = endOf(one) <= other.claim.totalBefore || endOf(other) <= one.claim.totalBefore;
  return one.purse.place === other.purse.place && !apart;
}

/** §2, 6 to 9; `acceptors` is null for the issuer. */
export function checkSpending(found, acceptors, now, earlier) {
  if (acceptors && !acceptors.some((key) => same(key, found.claim.acceptor))) throw new Refused("wrong-acceptor");
  if (now > found.purse.until) throw new Refused("voucher-expired");
  const before = earlier.filter((one) => one.purse.place === found.purse.place);
  const taken = (one) => one.record.key === found.record.key || same(one.claim.nonce, found.claim.nonce);
  if (before.some(taken)) throw new Refused("redeemed");
  if (before.some((one) => overlap(one, found))) throw new Refused("overspent");
}

/** §3: the two redeems of a proof. */
export function readDouble(data) {
  const proof = DOUBLE(decode(data, DOUBLE_MAX));
  const purse = purseOf(proof.voucher);
  const [first, second] = [proof.first, proof.second].map((one) => spending(purse, one, new Map()));
  if (first.record.key >= second.record.key) throw bad("not ascending");
  if (!overlap(first, second)) throw bad("no overlap");
  return [first, second];
}

export function rootsOf(records) {
  const roots = new Map();
  for (const record of byId(records)) {
    if (record.kind !== KIND.continue || !record.claim) continue;
    try {
      checkContinue(record.claim, record.network, record.scope, record.author, 0);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      continue;
    }
    if (!roots.has(record.by)) roots.set(record.by, hex(record.claim.root));
  }
  return roots;
}

const byId = (records) => [...new Map(records.map((one) => [one.key, one])).values()].sort((a, b) => (a.key < b.key ? -1 : 1));

/** §4: what a set of records says of redeems, debts and payments. */
export function keepLedger(sponsor, purses, all, parties = []) {
  const records = byId(all).filter((one) => one.claim);
  const roots = rootsOf(records);
  const desks = new Map(roots);
  for (const keys of [...parties, sponsor]) for (const key of keys) desks.set(hex(key), hex(keys[0]));
  const desk = (key) => desks.get(hex(key)) ?? hex(key);
  const refused = new Map();
  const spent = [];
  const debts = new Map();
  const debtOf = new Map();
  for (const record of records) {
    const { claim, kind, key } = record;
    if (kind === KIND.redeem) {
      const purse = purses.get(placeOf(claim.close, claim.line));
      try {
        if (!purse) throw new Refused("unknown-line");
        spent.push(judgeRedeem(purse, record, roots));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused.set(key, error.reason);
      }
    } else if (kind === KIND.owe) {
      if (!sponsor.some((one) => same(one, record.author))) refused.set(key, "not-issuer");
      else if (claim.amount === 0) refused.set(key, "no-amount");
      else {
        const name = hex(claim.redeem) + hex(claim.acceptor);
        if (!debts.has(name)) debts.set(name, { owes: [], paid: 0n });
        debts.get(name).owes.push(record);
        debtOf.set(key, debts.get(name));
      }
    }
  }
  for (const record of records.filter((one) => one.kind === KIND.paid)) {
    const debt = debtOf.get(hex(record.claim.owe));
    if (!debt) refused.set(record.key, "unknown-owe");
    else if (desk(record.author) !== desk(debt.owes[0].claim.acceptor)) refused.set(record.key, "not-creditor");
    else if (record.claim.amount === 0) refused.set(record.key, "no-amount");
    else debt.paid += BigInt(record.claim.amount);
  }
  return { spent, obligations: obligations(debts), doubles: doubles(spent), refused };
}

function obligations(debts) {
  const order = (one) => one.debtor + one.creditor + one.redeem;
  return [...debts.values()]
    .map(({ owes, paid }) => {
      owes.sort((a, b) => b.claim.amount - a.claim.amount || (a.key < b.key ? -1 : 1));
      const [first] = owes;
      const { amount } = first.claim;
      return {
        debtor: first.by,
        creditor: hex(first.claim.acceptor),
        redeem: hex(first.claim.redeem),
        amount,
        paid: paid < BigInt(amount) ? Number(paid) : amount,
        owes: owes.map((one) => one.key),
      };
    })
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function doubles(spent) {
  const lines = new Map();
  for (const one of spent.filter((each) => each.ownKey)) {
    lines.set(one.purse.place, [...(lines.get(one.purse.place) ?? []), one]);
  }
  const found = [];
  for (const [place, line] of lines) {
    line.sort((a, b) => a.claim.totalBefore - b.claim.totalBefore || (a.record.key < b.record.key ? -1 : 1));
    const at = line.findIndex((one, i) => i > 0 && overlap(line[i - 1], one));
    if (at > 0) found.push({ place, pair: [line[at - 1].record.key, line[at].record.key].sort() });
  }
  const [close, index] = [(one) => one.place.slice(0, 64), (one) => Number(one.place.slice(65))];
  found.sort((a, b) => (close(a) === close(b) ? index(a) - index(b) : close(a) < close(b) ? -1 : 1));
  return found.map((one) => one.pair);
}
