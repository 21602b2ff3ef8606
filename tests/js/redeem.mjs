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

/** §1: one key vouched for the other, or a third for both. */
function onePerson(one, other, vouched) {
  const theirs = [other, ...(vouched.get(other) ?? [])];
  return [one, ...(vouched.get(one) ?? [])].some((key) => theirs.includes(key));
}

/** §2, 3 to 5. */
function judgeRedeem(purse, record, vouched) {
  const { claim } = record;
  if (claim.amount === 0) throw new Refused("no-amount");
  if (BigInt(claim.totalBefore) + BigInt(claim.amount) > BigInt(purse.amount)) throw new Refused("over-line");
  if (!onePerson(record.by, hex(purse.payee), vouched)) throw new Refused("not-payee");
  return { record, claim, purse, ownKey: same(record.author, purse.payee) };
}

function spending(purse, signed, vouched) {
  const record = fromParts(signed.header, signed.claim, null, signed.signature);
  checkSignature(record);
  if (record.kind !== KIND.redeem) throw bad("no redeem");
  const { close } = purse;
  if (!same(record.network, close.network) || !same(record.scope, close.scope)) throw bad("another campaign");
  if (placeOf(record.claim.close, record.claim.line) !== purse.place) throw bad("another line");
  return judgeRedeem(purse, record, vouched);
}

export function readSlip(text, vouched = new Map()) {
  const slip = SLIP(readLink("R", text));
  return spending(purseOf(slip.voucher), slip.redeem, vouched);
}

const endOf = ({ claim }) => claim.totalBefore + claim.amount;

function overlap(one, other) {
  const apart = endOf(one) <= other.claim.totalBefore || endOf(other) <= one.claim.totalBefore;
  return one.purse.place === other.purse.place && !apart;
}

/** §2, 6 to 9; `acceptors` is null for the issuer. */
export function checkSpending(found, acceptors, now, earlier, owed) {
  if (acceptors && !acceptors.some((key) => same(key, found.claim.acceptor))) throw new Refused("wrong-acceptor");
  if (now > found.purse.until && !owed) throw new Refused("voucher-expired");
  const before = earlier.filter((one) => one.purse.place === found.purse.place);
  const taken = (one) => one.record.key === found.record.key || same(one.claim.nonce, found.claim.nonce);
  if (before.some(taken)) throw new Refused("redeemed");
  if (!owed && before.some((one) => overlap(one, found))) throw new Refused("overspent");
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

export function vouchedIn(records) {
  const vouched = new Map();
  for (const record of byId(records)) {
    if (record.kind !== KIND.continue || !record.claim) continue;
    try {
      checkContinue(record.claim, record.network, record.scope, record.author, 0);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      continue;
    }
    vouched.set(record.by, [...(vouched.get(record.by) ?? []), hex(record.claim.root)]);
  }
  return vouched;
}

const byId = (records) => [...new Map(records.map((one) => [one.key, one])).values()].sort((a, b) => (a.key < b.key ? -1 : 1));

/** §4: what a set of records says of redeems, debts and payments. */
export function keepLedger(sponsor, purses, all, parties = []) {
  const records = byId(all).filter((one) => one.claim);
  const vouched = vouchedIn(records);
  const among = (key, keys) => keys.some((one) => hex(one) === key);
  const speaks = (signer, creditor) =>
    signer === creditor ||
    (!among(signer, sponsor) &&
      (parties.some((keys) => among(signer, keys) && among(creditor, keys)) || onePerson(signer, creditor, vouched)));
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
        spent.push(judgeRedeem(purse, record, vouched));
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
    else if (!speaks(record.by, hex(debt.owes[0].claim.acceptor))) refused.set(record.key, "not-creditor");
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
      const creditor = hex(first.claim.acceptor);
      const received = paid < BigInt(amount) ? Number(paid) : amount;
      return {
        debtor: first.by,
        creditor,
        redeem: hex(first.claim.redeem),
        amount,
        paid: received,
        open: creditor === first.by ? 0 : amount - received,
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
