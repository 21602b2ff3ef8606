// Check a proof: node tests/js/proof.mjs FILE.proof. Spec 0012.
//
// Prints {kind, culprits, standing, ...} and exits with 0, or {refused} and 3.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Incomplete, Refused, bin, hex, list, same, str, struct, uint } from "./codec.mjs";
import { witnessScope } from "./keys.mjs";
import { KIND } from "./records.mjs";
import { cover, declaredChain, judgeCut, judgeStatement, readLists } from "./close.mjs";
import { findTerms, index, readRecords } from "./verify.mjs";

const FORMAT = "p2pnode.proof/1";
const PROOF_MAX = 268_435_456;
const KINDS = [
  null, "double-close", "statement", "finals", "omitted", "padded", "misdated", "forks-list", "fork",
];
const TWO = ["double-close", "omitted", "padded", "misdated", "forks-list"];
const FIELDS = struct({
  format: str(32), kind: uint(8, 1), network: bin(16), campaign: bin(32), subjects: list(bin(32), 2, 1), count: uint(),
});

const not = (words) => new Refused("not-proven", words);

function head(value) {
  const found = FIELDS(value);
  const kind = KINDS[found.kind];
  if (found.subjects.length !== (TWO.includes(kind) ? 2 : 1)) throw new Refused("bad-shape", "subjects");
  return { ...found, kind };
}

/** The file's head and records, every signature checked; nothing is proven yet. */
export function readProof(data) {
  if (data.length > PROOF_MAX) throw new Refused("too-large");
  const proof = readRecords(data, head, FORMAT, "bad-proof");
  const scopes = [proof.campaign, witnessScope(proof.campaign)];
  if (!proof.records.every((one) => scopes.some((scope) => same(scope, one.scope)))) {
    throw new Refused("bad-proof", "another campaign's record");
  }
  const ascends = (a, b) =>
    Buffer.compare(a.scope, b.scope) || Buffer.compare(a.author, b.author) || a.seq - b.seq || Buffer.compare(a.id, b.id);
  if (proof.records.some((one, at) => at && ascends(proof.records[at - 1], one) >= 0)) {
    throw new Refused("bad-proof", "records do not ascend");
  }
  return proof;
}

/** What a proof file proves, from its bytes alone. */
export function checkProof(data) {
  const proof = readProof(data);
  const terms = findTerms(proof.records, proof.campaign);
  if (!terms) throw new Refused("bad-proof", "no terms");
  const found = index(proof.records);
  const lookup = (key) => found.get(key) ?? null;
  try {
    return { ...NOTHING, kind: proof.kind, campaign: hex(proof.campaign), ...CHECKS[proof.kind](proof, terms, lookup) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new Refused(error.reason === "incomplete" ? "incomplete" : "not-proven", error.message);
  }
}

const NOTHING = { standing: "sponsor", rounds: [], records: [], author: null, seq: null, why: null };

function fork(proof, terms) {
  const place = (one) => `${hex(one.scope)}/${one.by}`;
  const feeds = new Map();
  for (const [at, one] of proof.records.entries()) {
    const before = proof.records[at - 1];
    const forks = before && place(before) === place(one) && before.seq === one.seq;
    if (forks && !feeds.has(place(one))) feeds.set(place(one), [before, one]);
  }
  const [pair] = feeds.values();
  if (feeds.size !== 1 || !same(pair[0].author, proof.subjects[0])) throw not("not one fork of that author");
  const [{ author, by, scope, seq }] = pair;
  const standing = standingOf(terms, same(scope, proof.campaign), author);
  return { culprits: [by], standing, records: pair.map((one) => one.key), seq };
}

function standingOf(terms, inCampaign, author) {
  const among = (keys) => keys.some((key) => same(key, author));
  const witness = among(terms.witnesses.map((one) => one.key));
  if (!inCampaign && !witness) throw not("no witness's feed");
  if (inCampaign && among(terms.sponsor)) return "sponsor";
  if (witness) return "witness";
  if (terms.named.some((party) => among(party.keys))) return "party";
  return same(terms.residue.key, author) ? "payee" : "participant";
}

function closeOf(proof, terms, lookup, subject) {
  const close = lookup(hex(subject));
  if (!close?.claim) throw new Incomplete([hex(subject)]);
  const ours = terms.sponsor.some((key) => same(key, close.author)) && same(close.scope, proof.campaign);
  if (!ours || close.kind !== KIND.close) throw not("no close of the sponsor's");
  return close;
}

const about = (close, more) => ({
  culprits: [close.by], rounds: [close.claim.round], records: [close.key], ...more,
});

function doubleClose(proof, terms, lookup) {
  const [one, other] = proof.subjects.map((subject) => closeOf(proof, terms, lookup, subject));
  if (Buffer.compare(one.id, other.id) >= 0) throw not("not two closes, ascending");
  const rounds = [one.claim.round, other.claim.round];
  if (rounds[0] !== rounds[1] && !same(one.claim.previous, other.claim.previous)) throw not("two rounds, two closes");
  return {
    culprits: [...new Set([one.by, other.by])].sort(),
    rounds: [...new Set(rounds)].sort((a, b) => a - b),
    records: [one.key, other.key],
  };
}

function statement(proof, terms, lookup) {
  const close = closeOf(proof, terms, lookup, proof.subjects[0]);
  const { verdict, reason, missing } = judgeStatement(terms, proof.campaign, close, lookup);
  if (verdict === "incomplete") throw new Incomplete(missing);
  if (verdict !== "wrong") throw not("it follows");
  return about(close, { why: reason });
}

function finals(proof, terms, lookup) {
  const close = closeOf(proof, terms, lookup, proof.subjects[0]);
  try {
    cover(terms, proof.campaign, close.claim.round, close.claim.finals, lookup, new Map());
  } catch (error) {
    if (!(error instanceof Refused) || error instanceof Incomplete) throw error;
    return about(close, { why: error.reason });
  }
  throw not("they are finals of that round");
}

const cut = (word) => (proof, terms, lookup) => {
  const close = closeOf(proof, terms, lookup, proof.subjects[0]);
  const author = hex(proof.subjects[1]);
  const read = (here) =>
    readLists(here.claim, proof.records, word === "fork" && here === close ? ["cut", "forks"] : ["cut"]);
  const declared = declaredChain(terms, proof.campaign, close, lookup, read);
  const { verdict, findings, missing } = judgeCut(terms, proof.campaign, declared, lookup, author);
  if (findings.some((one) => one.kind === word)) return about(close, { author });
  if (verdict === "incomplete") throw new Incomplete(missing);
  throw not(`nothing ${word} of that author`);
};

const CHECKS = {
  "double-close": doubleClose, statement, finals, fork,
  omitted: cut("omitted"), padded: cut("padded"), misdated: cut("misdated"), "forks-list": cut("fork"),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let answer;
  try {
    answer = checkProof(readFileSync(process.argv[2]));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    answer = { refused: error.reason, detail: error.message };
    process.exitCode = 3;
  }
  console.log(JSON.stringify(answer, null, 1));
}
