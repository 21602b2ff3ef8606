// Runs the vector files it understands: node tests/js/vectors.mjs [FILE ...].
//
// Prints a JSON summary {files: {name: {passed, failed, skipped}}, failures} and exits with 0 or 1.

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { Refused, allFrames, decode, hex, unhex } from "./codec.mjs";
import * as keys from "./keys.mjs";
import { TERMS, campaignId, checkTerms } from "./terms.mjs";
import * as records from "./records.mjs";
import * as join from "./join.mjs";
import { ENTRY, EVIDENCE, publicOf, readCode, tagId } from "./tags.mjs";
import { CUT_ENTRY, FORK_ENTRY, LEAF, ROW, wire } from "./cut.mjs";
import { PEER_CARD, readFrame } from "./frames.mjs";
import { checkPeerCard } from "./peer-card.mjs";
import { makeRow } from "./rows.mjs";
import { settle } from "./settle.mjs";
import { checkVoucher, cover, readVoucher } from "./close.mjs";
import { checkSpending, keepLedger, purseOf, readDouble, readSlip, vouchedIn } from "./redeem.mjs";
import { checkProof } from "./proof.mjs";
import { findTerms, index, readBundle, verifyCloses } from "./verify.mjs";

const CLAIM_MAX = 49_152;
const read = (shape, text) => shape(decode(unhex(text), CLAIM_MAX));

/** A decoded value in JSON; bytes are {"bin": hex}. */
function shown(value) {
  if (Array.isArray(value)) return value.map(shown);
  return value instanceof Uint8Array ? { bin: hex(value) } : value;
}

function readTerms(text) {
  const terms = { ...read(TERMS, text), value: decode(unhex(text), CLAIM_MAX) };
  checkTerms(terms);
  return terms;
}

const recordsOf = (given) => given.records.map((one) => records.readRecord(unhex(one)));
const lookupIn = (given) => {
  const found = index(recordsOf(given));
  return (key) => found.get(key) ?? null;
};
const statementOf = (lines) => lines.map((line) => [hex(line.payee), line.amount]);

const OPS = {
  decode: ({ bytes, size_max: size }) => ({ value: shown(decode(unhex(bytes), size)) }),
  frames: ({ bytes }) => {
    const { bodies, rest } = allFrames(unhex(bytes));
    return { payloads: bodies.map(hex), rest };
  },
  hash: ({ tag, value }) => ({
    preimage: hex(keys.preimage(tag, unhex(value))),
    hash: hex(keys.taggedHash(tag, decode(unhex(value), CLAIM_MAX))),
  }),
  ids: ({ network, neighbourhood, campaign }) => ({
    network: hex(keys.networkId(network)),
    neighbourhood: hex(keys.neighbourhoodScope(keys.networkId(network), neighbourhood)),
    witness: hex(keys.witnessScope(unhex(campaign))),
  }),
  person: ({ root_seed: root, campaign, index: place }) => {
    const seed = keys.personSeed(unhex(root), unhex(campaign), place);
    return { seed: hex(seed), author: hex(publicOf(seed)) };
  },
  serial: ({ secret, issuer, batch, tag_index: tag, index: place }) => {
    const seed = keys.serialSeed(unhex(secret), unhex(issuer), unhex(batch), tag, place);
    return { seed: hex(seed), key: hex(publicOf(seed)) };
  },
  seed: ({ seed }) => {
    if (seed.length !== 64) throw new Refused("bad-key");
    return { author: hex(publicOf(unhex(seed))) };
  },
  verify: ({ author, tag, data, signature }) => {
    keys.verify(unhex(author), tag, unhex(data), unhex(signature));
    return {};
  },
  tree: ({ tree, leaves }) => ({
    root: hex(keys.root(tree, leaves.map((leaf) => decode(unhex(leaf), CLAIM_MAX)))),
  }),
  path: ({ tree, leaf, index: place, count, path, root }) => {
    keys.checkPath(tree, decode(unhex(leaf), CLAIM_MAX), place, count, path.map(unhex), unhex(root));
    return {};
  },
  "id-text": ({ prefix, text }) => {
    const id = keys.readId(prefix, text);
    return { id: hex(id), text: keys.idText(prefix, id) };
  },
  link: ({ letter, text }) => ({ value: shown(keys.readLink(letter, text)) }),
  record: ({ bytes }) => {
    const data = unhex(bytes);
    const record = records.readRecord(data);
    records.checkSignature(record);
    join.checkGenesis(record);
    const [header, claim, note] = decode(data, 57_760);
    return {
      id: record.key, author: record.by, scope: hex(record.scope), seq: record.seq, time_ms: record.timeMs,
      kind: record.kind, header: hex(header), claim: claim && hex(claim), note: note && hex(note),
    };
  },
  claim: ({ kind, bytes }) => {
    records.readClaim(kind, unhex(bytes));
    return {};
  },
  next: ({ head, bytes }) => {
    const record = records.readRecord(unhex(bytes));
    if (record.seq !== (head ? head.seq + 1 : 0)) throw new Refused("gap");
    if (head && hex(record.backlink) !== head.id) throw new Refused("wrong-backlink");
    return {};
  },
  fork: (given) => {
    const claim = {
      headerA: unhex(given.header_a), signatureA: unhex(given.signature_a),
      headerB: unhex(given.header_b), signatureB: unhex(given.signature_b),
    };
    const fork = records.checkFork(claim, unhex(given.network));
    return { author: hex(fork.author), scope: hex(fork.scope), seq: fork.seq, ids: [hex(fork.a), hex(fork.b)] };
  },
  erase: (given) => {
    const [record, erase] = [given.record, given.erase].map((one) => one && records.readRecord(unhex(one)));
    records.checkClaimHere(record, erase);
    return records.dropped(erase, record);
  },
  invite: ({ bytes }) => ({ id: hex(join.inviteId(read(records.INVITE, bytes))) }),
  join: ({ bytes, network, campaign, joiner, join_bits: bits }) => {
    join.checkJoin(read(records.JOIN, bytes), unhex(network), unhex(campaign), unhex(joiner), bits);
    return {};
  },
  continue: ({ bytes, network, campaign, author, join_bits: bits }) => {
    join.checkContinue(read(records.CONTINUE, bytes), unhex(network), unhex(campaign), unhex(author), bits);
    return {};
  },
  card: ({ bytes, network, campaign }) => {
    join.checkCard(read(records.CARD, bytes), unhex(network), unhex(campaign));
    return {};
  },
  work: ({ campaign, joiner, salt }) => ({
    bits: join.zeroBits(keys.taggedHash("work", [unhex(campaign), unhex(joiner), unhex(salt)])),
  }),
  "invite-link": ({ text }) => {
    const link = join.readInviteLink(text);
    return { invite: hex(join.inviteId(link.invite)), title: link.title, addresses: link.addresses };
  },
  terms: ({ bytes }) => ({ campaign: hex(campaignId(readTerms(bytes).value)) }),
  frame: ({ bytes }) => {
    const { tag, name } = readFrame(unhex(bytes));
    return { tag, name };
  },
  "peer-card": ({ bytes, network }) => checkPeerCard(read(PEER_CARD, bytes), unhex(network)),
  entry: ({ bytes }) => ({ id: hex(tagId(read(ENTRY, bytes))) }),
  code: ({ text }) => {
    const { entry } = readCode(text);
    return { tag: hex(tagId(entry)), issuer: hex(entry.issuer) };
  },
  evidence: (given) => {
    const terms = readTerms(given.terms);
    const record = records.readRecord(unhex(given.scan));
    const entry = read(ENTRY, given.entry);
    read(EVIDENCE, given.evidence);
    const listed = { entry, keyAt: (place) => (given.keys[place] ? unhex(given.keys[place]) : null) };
    const one = { record, wt: given.witness_time, largest: record.timeMs };
    const row = makeRow(terms, campaignId(terms.value), one, new Map([[hex(tagId(entry)), listed]]));
    const { grade, slot, window, counter, actTime } = row;
    return { grade, slot: slot && hex(slot), window, counter, act_time: actTime };
  },
  settle: (given) => {
    const terms = readTerms(given.terms);
    const rounds = given.rounds.map((one) => ({
      round: one.round,
      finals: one.finals.map(unhex),
      cut: one.cut.map((leaf) => read(CUT_ENTRY, leaf)),
      forks: one.forks.map((leaf) => read(FORK_ENTRY, leaf)),
      rows: one.rows.map((leaf) => read(ROW, leaf)),
      lines: one.lines.map((leaf) => read(LEAF, leaf)),
    }));
    return { rounds: settle(terms, campaignId(terms.value), rounds, lookupIn(given)).map(settled) };
  },
  cover: (given) => {
    const terms = readTerms(given.terms);
    const heads = new Map(given.heads.map(([author, seq, id]) => [author, { seq, id: unhex(id) }]));
    const scope = campaignId(terms.value);
    const found = cover(terms, scope, given.round, given.finals.map(unhex), lookupIn(given), heads);
    return {
      cut: found.cut.map((one) => shown(wire.cut(one))),
      forks: found.forks.map((one) => shown(wire.forks(one))),
      missing: [...new Set(found.unknown)].sort(),
    };
  },
  close: (given) => {
    const terms = readTerms(given.terms);
    const all = verifyCloses(terms, campaignId(terms.value), recordsOf(given));
    return reported(all.find((one) => one.id === given.close));
  },
  voucher: ({ text }) => {
    const { line, close, claim } = checkVoucher(readVoucher(text));
    return {
      payee: hex(line.payee), amount: line.amount, issuer: close.by, close: close.key,
      unit: claim.unit, redeem_until: claim.redeemUntil,
    };
  },
  slip: ({ text, acceptors, now, earlier, genesis, owed }) => {
    const found = readSlip(text, vouchedIn(recordsOf({ records: genesis })));
    checkSpending(found, acceptors && acceptors.map(unhex), now, earlier.map((one) => readSlip(one)), owed);
    return { ...spentOf(found), own_key: found.ownKey };
  },
  double: ({ bytes }) => ({ redeems: readDouble(unhex(bytes)).map(spentOf) }),
  ledger: (given) => {
    const purses = new Map(given.vouchers.map((text) => purseOf(readVoucher(text))).map((one) => [one.place, one]));
    const ledger = keepLedger(
      given.sponsor.map(unhex),
      purses,
      recordsOf(given),
      given.parties.map((keys) => keys.map(unhex)),
    );
    const open = new Map();
    for (const one of ledger.obligations.filter((each) => each.open)) {
      const pair = one.debtor + one.creditor;
      open.set(pair, (open.get(pair) ?? 0) + one.open);
    }
    return {
      spent: ledger.spent.map((one) => [one.record.key, one.ownKey]),
      obligations: ledger.obligations,
      outstanding: [...open].map(([pair, amount]) => [pair.slice(0, 64), pair.slice(64), amount]),
      doubles: ledger.doubles,
      refused: Object.fromEntries(ledger.refused),
    };
  },
  bundle: ({ base64 }) => {
    const { campaign, records: all } = readBundle(Buffer.from(base64, "base64"));
    const terms = findTerms(all, campaign);
    if (!terms) throw Object.assign(new Refused("incomplete"), { missing: [hex(campaign)] });
    return { records: all.length, closes: verifyCloses(terms, campaign, all).map(reported) };
  },
  proof: ({ base64 }) => checkProof(Buffer.from(base64, "base64")),
};

const spentOf = ({ record, claim, purse }) => ({
  redeem: record.key, close: purse.close.key, line: purse.line, payee: hex(purse.payee),
  amount: claim.amount, total_before: claim.totalBefore, acceptor: hex(claim.acceptor),
});

const sorted = (map) => Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));

function settled(result) {
  const { admission } = result;
  const level = (root) => admission.people.get(root).reason ?? admission.people.get(root).level;
  return {
    statement: statementOf(result.lines),
    statement_root: hex(result.statementRoot),
    rows: result.rows.map((row) => shown(wire.rows(row))),
    rows_root: hex(keys.root(keys.TREE.rows, result.rows.map(wire.rows))),
    paid: result.paid,
    residue: result.residue,
    unspent: result.unspent,
    last: result.last,
    granted: result.granted,
    refused: [...result.reasons],
    admitted: sorted(new Map([...admission.person].map(([key, root]) => [key, level(root)]))),
    not_entered: sorted(admission.refused),
  };
}

const reported = (one) => ({
  round: one.round, id: one.id, verdict: one.verdict, reason: one.reason, digest: one.digest,
  statement: one.statement, cut: one.cut, findings: one.findings.map((each) => [each.author, each.kind]),
  not_judged: one.notJudged, resting: one.resting,
});

/** The answer to a case: {out}, or {reason} and what is missing. */
function run(one) {
  try {
    return { out: OPS[one.op](one.in) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const missing = error.missing && { missing: [...error.missing].sort() };
    return { reason: error.reason, ...missing };
  }
}

function expected({ out, reason, missing }) {
  if (reason === undefined) return { out };
  return missing ? { reason, missing } : { reason };
}

const folder = new URL("../../protocols/vectors/", import.meta.url);
const files = process.argv.length > 2
  ? process.argv.slice(2)
  : readdirSync(folder).filter((name) => name.endsWith(".json")).sort().map((name) => fileURLToPath(new URL(name, folder)));
const summary = { files: {}, failures: [] };
for (const path of files) {
  const { format, cases } = JSON.parse(readFileSync(path, "utf8"));
  if (format !== "p2pnode.vectors/1") throw new Error(`${path}: format ${format}`);
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const one of cases) {
    if (!OPS[one.op]) {
      count.skipped++;
      continue;
    }
    let found;
    try {
      found = run(one);
    } catch (error) {
      found = { crash: error.stack };
    }
    if (isDeepStrictEqual(found, expected(one))) count.passed++;
    else {
      count.failed++;
      summary.failures.push({ file: path, name: one.name, found, expected: expected(one) });
    }
  }
  summary.files[path.replace(/.*\//, "")] = count;
}
console.log(JSON.stringify(summary, null, 1));
process.exitCode = summary.failures.length ? 1 : 0;
