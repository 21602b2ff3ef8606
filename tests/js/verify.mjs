// Verify a bundle: node tests/js/verify.mjs FILE.bundle [...]. Spec 0010, 0009 §4.
//
// Prints {verdict, reason, closes: [{round, id, digest, statement, cut, ...}], lines} and exits with 0 if
// every close holds, 3 if not. Of several files {files: {name: answer}}.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Refused, allFrames, bin, decode, hex, same, str, struct, uint } from "./codec.mjs";
import { campaignId, checkTerms } from "./terms.mjs";
import { KIND, checkSignature, readRecord } from "./records.mjs";
import { judgeCut, judgeStatement } from "./close.mjs";

const FORMAT = "p2pnode.bundle/1";
const CLOSES_MAX = 8;
const HEADER = struct({ format: str(32), network: bin(16), campaign: bin(32), count: uint() });

/** {network, campaign, records} of a bundle, every record decoded and its signature checked. */
export const readBundle = (data) => readRecords(data, HEADER, FORMAT, "bad-bundle");

/** A file of frames, a head of this shape and the records it counts: the head's fields and the records. */
export function readRecords(data, shape, format, reason) {
  const bad = (words) => new Refused(reason, words);
  const { bodies, rest } = allFrames(data);
  let head = null;
  const records = [];
  for (const body of bodies) {
    if (head) {
      const record = readRecord(body);
      if (!same(record.network, head.network)) throw new Refused("wrong-network");
      checkSignature(record);
      records.push(record);
      continue;
    }
    try {
      head = shape(decode(body, 256));
    } catch {
      throw bad("another head");
    }
    if (head.format !== format) throw bad("another format");
  }
  if (!head || rest) throw bad("ends too early");
  if (records.length !== head.count) throw bad(`${records.length} records of ${head.count}`);
  return { ...head, records };
}

/** One lookup over records; of two copies the one with its claim. */
export function index(records) {
  const found = new Map();
  for (const record of records) if (!found.get(record.key)?.claim) found.set(record.key, record);
  return found;
}

/** The terms whose hash is the campaign id, or null. */
export function findTerms(records, campaign) {
  for (const { kind, claim, scope, author, network } of records) {
    if (kind !== KIND.terms || !claim || !same(scope, campaign)) continue;
    const { terms } = claim;
    if (!same(campaignId(terms.value), campaign) || !same(terms.network, network)) continue;
    if (!terms.sponsor.some((key) => same(key, author))) continue;
    try {
      checkTerms(terms);
    } catch (error) {
      if (error instanceof Refused) continue;
      throw error;
    }
    return terms;
  }
  return null;
}

/** Every close of the sponsor, judged, by (round, id). */
export function verifyCloses(terms, campaign, records) {
  const found = index(records);
  const lookup = (key) => found.get(key) ?? null;
  const sponsors = new Set(terms.sponsor.map(hex));
  const count = new Map();
  const closes = [...found.values()]
    .filter((one) => one.kind === KIND.close && one.claim && sponsors.has(one.by) && same(one.scope, campaign))
    .sort((a, b) => a.seq - b.seq || Buffer.compare(a.id, b.id))
    .filter((one) => {
      const place = `${one.by}/${one.claim.round}`;
      count.set(place, (count.get(place) ?? 0) + 1);
      return count.get(place) <= CLOSES_MAX;
    })
    .sort((a, b) => a.claim.round - b.claim.round || Buffer.compare(a.id, b.id));
  return closes.map((close) => report(terms, campaign, close, lookup));
}

function report(terms, campaign, close, lookup) {
  const { verdict, reason, missing, result, declared } = judgeStatement(terms, campaign, close, lookup);
  const cut = declared && result ? judgeCut(terms, campaign, declared, lookup) : null;
  return {
    round: close.claim.round,
    id: close.key,
    verdict,
    reason,
    missing,
    digest: result ? hex(result.statementRoot) : null,
    statement: result ? result.lines.map((line) => [hex(line.payee), line.amount]) : null,
    paid: result?.paid ?? null,
    residue: result?.residue ?? null,
    unspent: result?.unspent ?? null,
    last: result?.last ?? null,
    cut: cut?.verdict ?? "incomplete",
    findings: cut?.findings ?? [],
    notJudged: result?.notJudged ?? 0,
    resting: result?.resting ?? 0,
  };
}

/** The whole answer for a file's bytes. */
export function verifyBundle(data) {
  try {
    const { campaign, records } = readBundle(data);
    const terms = findTerms(records, campaign);
    if (!terms) return { verdict: "incomplete", reason: "incomplete", closes: [], lines: 0 };
    const closes = verifyCloses(terms, campaign, records);
    const worst = closes.find((one) => one.verdict === "wrong") ?? closes.find((one) => one.verdict !== "ok");
    const lines = closes.reduce((sum, one) => sum + (one.statement?.length ?? 0), 0);
    return { verdict: worst?.verdict ?? "ok", reason: worst?.reason ?? null, closes, lines };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { verdict: "refused", reason: error.reason, detail: error.message, closes: [], lines: 0 };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const paths = process.argv.slice(2);
  const answers = paths.map((path) => [path.replace(/.*\//, ""), verifyBundle(readFileSync(path))]);
  const answer = paths.length === 1 ? answers[0][1] : { files: Object.fromEntries(answers) };
  console.log(JSON.stringify(answer, null, 1));
  process.exitCode = answers.every(([, one]) => one.verdict === "ok") ? 0 : 3;
}
