// Closes, the lists behind their roots, what witnesses support, vouchers. Spec 0009.

import { Incomplete, Refused, bin, decode, encode, hex, list, same, struct, uint } from "./codec.mjs";
import { TREE, as, checkPath, readLink, root, witnessScope } from "./keys.mjs";
import { CUT_ENTRY, FORK_ENTRY, LEAF, ROW, wire } from "./cut.mjs";
import { KIND, checkFork, checkSignature, fromParts } from "./records.mjs";
import { settle } from "./settle.mjs";

const STEPS_MAX = 2000;
const wrongClose = (words) => new Refused("wrong-close", words);
const wrongCut = (words) => new Refused("wrong-cut", words);

/** A feed from seq 0 to the record `last`, along the backlinks, every claim here. */
export function feedUpTo(last, lookup) {
  const feed = [];
  for (let at = last; ; at = feed[0].backlink) {
    const record = lookup(hex(at));
    if (!record || !record.claim) throw new Incomplete([hex(at)]);
    if (feed.length && !extendsFeed(record, feed[0])) throw new Refused("wrong-backlink", "another feed");
    feed.unshift(record);
    if (record.seq === 0) return feed;
  }
}

const extendsFeed = (below, above) =>
  same(below.network, above.network) && below.by === above.by && same(below.scope, above.scope) &&
  below.seq === above.seq - 1;

const LISTS = [
  ["cut", CUT_ENTRY, "cutRoot", "cutCount"],
  ["forks", FORK_ENTRY, "forksRoot", "forksCount"],
  ["rows", ROW, "rowsRoot", "rowsCount"],
  ["statement", LEAF, "statementRoot", "lines"],
];

/** What a close declares, from the parts before it in its feed; lists that are not asked for are empty. */
export function readLists(claim, before, asked = LISTS.map(([name]) => name)) {
  const parts = new Map();
  for (const record of before) {
    if (record.kind !== KIND.part || !record.claim) continue;
    const { tree, root: top, index, data } = record.claim;
    const name = `${tree}/${hex(top)}`;
    if (!parts.has(name)) parts.set(name, new Map());
    parts.get(name).set(index, data);
  }
  const missing = [];
  const raw = {};
  for (const [name, , top, count] of LISTS) {
    const tree = TREE[name];
    raw[name] = [];
    if (!asked.includes(name)) continue;
    raw[name] = leavesOf(parts.get(`${tree}/${hex(claim[top])}`) ?? new Map());
    if (raw[name].length !== claim[count] || !same(root(tree, raw[name]), claim[top])) missing.push(hex(claim[top]));
  }
  if (missing.length) throw new Incomplete(missing);
  const read = Object.fromEntries(
    LISTS.map(([name, shape]) => [name, as("wrong-close", () => raw[name].map(shape))]));
  return { round: claim.round, finals: claim.finals, cut: read.cut, forks: read.forks, rows: read.rows, lines: read.statement };
}

function leavesOf(chunks) {
  const leaves = [];
  for (let index = 0; index < chunks.size; index++) {
    if (!chunks.has(index)) return [];
    try {
      const value = decode(chunks.get(index), 32_768);
      if (!Array.isArray(value)) return [];
      leaves.push(...value);
    } catch (error) {
      if (error instanceof Refused) return [];
      throw error;
    }
  }
  return leaves;
}

/** What `close` and the closes before it declare, rounds ascending. */
export function declaredChain(terms, campaign, close, lookup, read = null) {
  const chain = [];
  for (let here = close; ; ) {
    const sponsor = terms.sponsor.some((key) => same(key, here.author));
    if (here.kind !== KIND.close || !sponsor || !same(here.scope, campaign)) throw wrongClose("not the sponsor's");
    const { claim } = here;
    chain.unshift(read ? read(here) : readLists(claim, feedUpTo(here.id, lookup).slice(0, -1)));
    if (same(claim.previous, campaign)) return chain;
    const before = lookup(hex(claim.previous));
    if (!before || !before.claim) throw new Incomplete([hex(claim.previous)]);
    if (before.kind !== KIND.close || before.claim.round >= claim.round) throw wrongClose("rounds ascend");
    here = before;
  }
}

/** The first question: {verdict, reason, missing, result, declared}. */
export function judgeStatement(terms, campaign, close, lookup) {
  try {
    const declared = declaredChain(terms, campaign, close, lookup);
    const result = settle(terms, campaign, declared, lookup).at(-1);
    const reason = difference(terms, close.claim, declared.at(-1), result);
    return { verdict: reason ? "wrong" : "ok", reason, missing: [], result, declared };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const unknown = error instanceof Incomplete || error.reason === "bad-terms";
    const missing = error.missing ?? [];
    return { verdict: unknown ? "incomplete" : "wrong", reason: error.reason, missing, result: null, declared: null };
  }
}

function difference(terms, claim, declared, result) {
  const { statementRoot, lines, rows, paid, residue, unspent, last } = result;
  if (!same(statementRoot, claim.statementRoot) || lines.length !== claim.lines) return "wrong-statement";
  const leaves = rows.map(wire.rows);
  const good =
    same(root(TREE.rows, leaves), claim.rowsRoot) && rows.length === claim.rowsCount &&
    paid === claim.paid && residue === claim.residue && unspent === claim.unspent && last === claim.last &&
    terms.unit === claim.unit && terms.redeemUntil === claim.redeemUntil;
  return good ? null : "wrong-close";
}

// What witnesses support, §1 and §2

/** The `seen`s of a witness feed; one not later than the last is void. */
function seens(feed) {
  const found = [];
  for (const record of feed) {
    if (record.kind === KIND.seen && (!found.length || record.timeMs > found.at(-1).timeMs)) found.push(record);
  }
  return found;
}

const findFinal = (terms, number, feed) =>
  seens(feed).find((one) => one.claim.final === number && one.timeMs >= terms.rounds[number - 1].finalFrom);

/** {first: record key -> first-cover time, unknown: author -> missing record, since: author -> when it was listed}. */
function view(feed, ours) {
  const first = new Map();
  const unknown = new Map();
  const since = new Map();
  const top = new Map();
  const done = new Set();
  for (const seen of seens(feed)) {
    for (const { author, seq, id } of seen.claim.heads) {
      const by = hex(author);
      if (done.has(by)) continue;
      const before = top.get(by) ?? null;
      if (before && seq <= before.seq) {
        const record = first.has(hex(id)) ? ours(hex(id)) : null;
        if (!record || record.by !== by || record.seq !== seq) done.add(by);
        continue;
      }
      const branch = branchOf(by, seq, id, before, ours, (missing) => unknown.set(by, missing));
      if (!branch) {
        if (unknown.has(by)) since.set(by, seen.timeMs);
        done.add(by);
        continue;
      }
      top.set(by, { seq, id });
      for (const record of branch) first.set(record.key, seen.timeMs);
    }
  }
  return { first, unknown, since };
}

/** The records from a head down to above `before`, lowest first; null if they do not join. */
function branchOf(by, seq, id, before, ours, lacks) {
  const found = [];
  let at = id;
  for (let place = seq; place > (before ? before.seq : -1); place--) {
    const record = ours(hex(at));
    if (!record) {
      lacks(hex(at));
      return null;
    }
    if (record.by !== by || record.seq !== place) return null;
    found.unshift(record);
    at = record.backlink;
  }
  return !before || same(at, before.id) ? found : null;
}

/** The cut and forks that the named finals support: {cut, forks, unknown, lacks, views}. */
export function cover(terms, campaign, number, finals, lookup, heads) {
  const f = (terms.witnesses.length - 1) / 3;
  if (!(number >= 1 && number <= terms.rounds.length)) throw wrongCut("no such round");
  const ours = (key) => {
    const record = lookup(key);
    return record && same(record.scope, campaign) && same(record.network, terms.network) ? record : null;
  };
  const sorted = [...finals].sort(Buffer.compare);
  const feeds = sorted.map((id) => feedUpTo(id, lookup));
  checkFinals(terms, campaign, number, finals, feeds, f);
  const views = feeds.map((feed) => view(feed, ours));
  const times = new Map();
  for (const { first } of views) {
    for (const [key, time] of first) times.set(key, [...(times.get(key) ?? []), time]);
  }
  const counts = new Map();
  for (const [key, seen] of times) {
    seen.sort((a, b) => a - b);
    if (seen.length <= f || seen[f] > terms.rounds[number - 1].acceptUntil) continue;
    const record = ours(key);
    if (!counts.has(record.by)) counts.set(record.by, new Map());
    counts.get(record.by).set(key, { record, wt: seen[f] });
  }
  const cut = [...counts.keys()].sort()
    .map((by) => entryOf(by, counts.get(by), heads.get(by) ?? null, ours))
    .filter(Boolean);
  return { cut, forks: forksListed(terms, campaign, feeds), unknown: vouched(views, f), lacks: new Map(views.flatMap((one) => [...one.unknown])), views };
}

function checkFinals(terms, campaign, number, finals, feeds, f) {
  const scope = witnessScope(campaign);
  const quorum = 2 * f + 1;
  const authors = new Set(feeds.map((feed) => feed[0].by));
  if (new Set(finals.map(hex)).size !== quorum || authors.size !== quorum) throw wrongCut("distinct witnesses");
  for (const feed of feeds) {
    const last = feed.at(-1);
    const named = terms.witnesses.some((one) => same(one.key, last.author));
    if (!named || !same(last.scope, scope)) throw wrongCut("not a witness");
    if (findFinal(terms, number, feed)?.key !== last.key) throw wrongCut("not a final of that round");
  }
}

/** Missing records of authors whom f+1 finals list: an honest witness has them. */
function vouched(views, f) {
  const found = new Map();
  for (const { unknown } of views) {
    for (const [by, missing] of unknown) found.set(by, [...(found.get(by) ?? []), missing]);
  }
  return [...found.values()].filter((each) => each.length > f).flat();
}

function entryOf(by, counting, before, ours) {
  const first = before ? before.seq + 1 : 0;
  const tops = [...counting.values()].map((one) => one.record)
    .sort((a, b) => b.seq - a.seq || Buffer.compare(b.id, a.id));
  for (const record of tops) {
    if (record.seq < first) return null;
    const branch = branchOf(by, record.seq, record.id, before, ours, () => {});
    if (!branch) continue;
    const steps = [];
    for (const one of branch) {
      const { wt } = counting.get(one.key);
      if (!steps.length || wt > steps.at(-1).time) steps.push({ seq: one.seq, time: wt });
    }
    const last = steps.length <= STEPS_MAX ? record.seq : steps[STEPS_MAX].seq - 1;
    const head = branch[last - first];
    return { author: head.author, seq: last, id: head.id, steps: steps.slice(0, STEPS_MAX) };
  }
  return null;
}

function forksListed(terms, campaign, feeds) {
  const lowest = new Map();
  for (const record of feeds.flat()) {
    if (record.kind !== KIND.fork) continue;
    try {
      const fork = checkFork(record.claim, terms.network);
      if (!same(fork.scope, campaign)) continue;
      const known = lowest.get(hex(fork.author));
      const order = known &&
        (fork.seq - known.seq || Buffer.compare(fork.a, known.a) || Buffer.compare(fork.b, known.b));
      if (!known || order < 0) lowest.set(hex(fork.author), fork);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return [...lowest.keys()].sort().map((by) => lowest.get(by));
}

/** Whether records that are missing could make a declared entry right. */
function maySupport(f, views, entry, before, lookup) {
  const by = hex(entry.author);
  const time = (times) => (times.length > f ? times.sort((a, b) => a - b)[f] : null);
  const steps = [...entry.steps];
  let at = entry.id;
  for (let seq = entry.seq; seq > (before ? before.seq : -1); seq--) {
    const record = lookup(hex(at));
    if (!record) return true;
    while (steps.length > 1 && steps.at(-1).seq > seq) steps.pop();
    const wt = steps.at(-1).time;
    const known = views.filter((one) => one.first.has(record.key)).map((one) => one.first.get(record.key));
    const hoped = views.filter((one) => !one.first.has(record.key) && one.since.has(by)).map((one) => one.since.get(by));
    const earliest = time([...known, ...hoped]);
    const latest = time(known);
    if (earliest === null || wt < earliest || (latest !== null && wt > latest)) return false;
    at = record.backlink;
  }
  return true;
}

/** The second question, of all authors or `only` one: {verdict, findings: [{author, kind}], missing}. */
export function judgeCut(terms, campaign, declared, lookup, only = null) {
  const heads = new Map();
  for (const one of declared.slice(0, -1)) {
    for (const entry of one.cut) heads.set(hex(entry.author), { seq: entry.seq, id: entry.id });
  }
  const last = declared.at(-1);
  let supported;
  try {
    supported = cover(terms, campaign, last.round, last.finals, lookup, heads);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const lost = error instanceof Incomplete;
    return { verdict: lost ? "incomplete" : "wrong", reason: error.reason, findings: [], missing: error.missing ?? [] };
  }
  let findings = [...compare(last.cut, supported.cut, wire.cut, kindOf), ...compare(last.forks, supported.forks, wire.forks, () => "fork")];
  if (only) findings = findings.filter((one) => one.author === only);
  const { lacks, views } = supported;
  const unknown = only ? [...lacks].flatMap(([by, missing]) => (by === only ? [missing] : [])) : supported.unknown;
  const f = (terms.witnesses.length - 1) / 3;
  const saidOf = (author) => last.cut.find((entry) => hex(entry.author) === author);
  const isOpen = (one) => {
    const said = one.kind !== "fork" && lacks.has(one.author) && saidOf(one.author);
    if (!said) return false;
    if (one.kind === "omitted") return said.steps.length === STEPS_MAX;
    return maySupport(f, views, said, heads.get(one.author) ?? null, lookup);
  };
  const named = findings.filter(isOpen).map((one) => lacks.get(one.author));
  const missing = [...new Set([...unknown, ...named])].sort();
  findings = findings.filter((one) => !isOpen(one));
  const verdict = findings.length ? "wrong" : missing.length ? "incomplete" : "ok";
  return { verdict, reason: null, findings, missing };
}

function kindOf(said, own) {
  if (!said || (own && own.seq > said.seq)) return "omitted";
  return !own || own.seq < said.seq ? "padded" : "misdated";
}

function compare(said, own, write, kind) {
  const [theirs, ours] = [said, own].map((items) => new Map(items.map((one) => [hex(one.author), one])));
  return [...new Set([...theirs.keys(), ...ours.keys()])].sort().flatMap((author) => {
    const [a, b] = [theirs.get(author), ours.get(author)];
    const equal = a && b && same(encode(write(a)), encode(write(b)));
    return equal ? [] : [{ author, kind: kind(a, b) }];
  });
}

// Vouchers, §5

export const VOUCHER = struct({
  line: LEAF,
  index: uint(),
  path: list(bin(32), 32),
  header: bin(1, 1024),
  claim: bin(1, 2048),
  signature: bin(64),
});

/** A voucher, checked: {line, close, claim}. */
export function checkVoucher(voucher) {
  const close = fromParts(voucher.header, voucher.claim, null, voucher.signature);
  checkSignature(close);
  if (close.kind !== KIND.close) throw new Refused("bad-proof", "not a close");
  const { claim } = close;
  checkPath(TREE.statement, wire.statement(voucher.line), voucher.index, claim.lines, voucher.path, claim.statementRoot);
  return { line: voucher.line, close, claim };
}

/** A voucher's text, checked. */
export const readVoucher = (text) => VOUCHER(readLink("V", text));
