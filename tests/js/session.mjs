// One neighbour session, from the nonce on: feeds are compared, fetched, verified, followed and served.
// Spec 0006. Pure: frames in, frames out. It finds forks and stops there; it proves none.

import { Refused, allFrames, encode, hex, same, unhex } from "./codec.mjs";
import { ZERO32, sha256, taggedHash } from "./keys.mjs";
import { KIND, checkClaimHere, checkSignature, dropped, readRecord } from "./records.mjs";
import { FRAMES, readFrame } from "./frames.mjs";

const TAG = Object.fromEntries(Object.entries(FRAMES).map(([tag, [name]]) => [name, Number(tag)]));
const DIGITS = [..."0123456789abcdef"];
const VERSION = 1;
const BUCKET_MAX = 4;
const RANGES_MAX = 256;
const BATCH_MAX = 61_440;
const COMPARE_MAX = 57_344;
const CREDIT = 1_048_576;

const frame = (name, ...fields) => encode([TAG[name], ...fields]);
const pathOf = (author) => hex(sha256(author));

/** The feeds of one scope: every record verified, chained from 0, in order. */
export class Feeds {
  constructor(network, scope) {
    this.network = network;
    this.scope = scope;
    this.byPath = new Map();
    this.erases = [];
  }

  /** Note the erases in a frame; return those that let a scan in it come without its claim (§5). */
  meet(frame) {
    const records = frame.map(readRecord);
    for (const [i, record] of records.entries()) {
      const data = frame[i];
      const known = this.erases.some((one) => one.key === record.key);
      if (record.kind !== KIND.erase || known) continue;
      checkSignature(record);
      this.erases.push({ ...record, data: Buffer.from(data) });
    }
    return new Set(records.filter((one) => !one.claim).map((one) => this.eraseOf(one)?.key));
  }

  eraseOf = (record) => this.erases.find((one) => dropped(one, record).claim);

  /** A record as it is sent: without its claim only after its erase. */
  group = (record) => (record.claim ? [record.data] : [this.eraseOf(record).data, record.data]);

  /** Keep a record; "new", "known", "gap" (its predecessor is not here) or "fork". */
  add(data) {
    const record = readRecord(data);
    if (!same(record.network, this.network)) throw new Refused("wrong-network");
    if (!same(record.scope, this.scope)) throw new Refused("unknown-scope");
    const feed = this.byPath.get(pathOf(record.author)) ?? [];
    const held = feed[record.seq];
    if (held && same(held.id, record.id)) return { record, became: "known" };
    checkSignature(record);
    if (record.seq > feed.length) return { record, became: "gap" };
    const before = record.seq ? feed[record.seq - 1].id : ZERO32;
    if (held || !same(record.backlink, before)) return { record, became: "fork" };
    checkClaimHere(record, this.eraseOf(record));
    feed.push({ ...record, data: Buffer.from(data) });
    this.byPath.set(pathOf(record.author), feed);
    return { record, became: "new" };
  }

  /** Each feed's head, by path. */
  leaves() {
    return [...this.byPath.keys()].sort().map((path) => {
      const head = this.byPath.get(path).at(-1);
      return { path, seq: head.seq, hash: taggedHash("frontier", [head.author, head.seq, head.id, false]) };
    });
  }
}

const hashOf = (leaves, depth) => {
  if (leaves.length === 0) return ZERO32;
  if (leaves.length === 1) return leaves[0].hash;
  return sha256(Buffer.of(1), ...DIGITS.map((digit) => hashOf(childOf(leaves, depth, digit), depth + 1)));
};
const childOf = (leaves, depth, digit) => leaves.filter(({ path }) => path[depth] === digit);

/** The feeds of a scope as one session shows them (§4). */
class View {
  constructor(leaves, salt) {
    this.leaves = leaves;
    this.salt = salt;
  }

  d = (data) => sha256(this.salt, data);
  below = (prefix) => this.leaves.filter(({ path }) => path.startsWith(prefix));
  hash = (prefix) => hashOf(this.below(prefix), prefix.length);
  root = () => this.d(this.hash("")).subarray(0, 8);
  digest = (prefix) => this.d(this.hash(prefix)).subarray(0, 6);
  handle = (path) => Buffer.concat([unhex(path.slice(0, 8)), this.d(unhex(path)).subarray(0, 4)]);
  find = (handle) => this.leaves.find(({ path }) => same(this.handle(path), handle));
  row = (leaf) => [Buffer.concat([this.handle(leaf.path), this.d(leaf.hash).subarray(0, 4)]), leaf.seq, false];
}

/** A leg being written, and what the leg it answers tells. */
class Leg {
  constructor(view, opener, start = "", stop = "") {
    Object.assign(this, { view, opener, start, stop, room: COMPARE_MAX });
    Object.assign(this, { nodes: [], buckets: [], heads: [], wants: [] });
  }

  get last() {
    return this.nodes.length + this.buckets.length === 0;
  }

  get empty() {
    return this.last && this.heads.length === 0;
  }

  outside = (prefix) =>
    prefix < this.start.slice(0, prefix.length) || (this.stop !== "" && prefix >= this.stop);
  covered = (prefix) => this.view.below(prefix).filter(({ path }) => path >= this.start && !this.outside(path));

  put(list, size, prefix, element) {
    if (this.outside(prefix)) return;
    this.room -= size;
    if (this.room < 0) this.stop = prefix;
    else list.push(element);
  }

  showTop() {
    for (const prefix of this.view.leaves.length > 64 ? DIGITS : [""]) this.show(prefix);
  }

  show(prefix) {
    if (this.outside(prefix)) return;
    if (this.view.below(prefix).length <= BUCKET_MAX) {
      const rows = this.covered(prefix).map(this.view.row);
      this.put(this.buckets, 72 + 24 * rows.length, prefix, [prefix, rows]);
      return;
    }
    const filled = DIGITS.map((digit) => prefix + digit).map((one) => (this.view.below(one).length ? one : null));
    const mask = filled.reduce((sum, one, bit) => sum + (one ? 1 << bit : 0), 0);
    const digests = Buffer.concat(filled.filter(Boolean).map(this.view.digest));
    this.put(this.nodes, 176, prefix, [prefix, mask, digests]);
  }

  showHead = (leaf) => this.put(this.heads, 24, leaf.path, [this.view.handle(leaf.path), leaf.seq, false]);

  takeNode({ prefix, mask, digests }) {
    let at = 0;
    DIGITS.forEach((digit, bit) => {
      const child = prefix + digit;
      const theirs = mask & (1 << bit) ? digests.subarray(at, (at += 6)) : null;
      if (theirs === null) this.covered(child).forEach(this.showHead);
      else if (!same(theirs, this.view.digest(child))) this.show(child);
    });
  }

  takeBucket({ prefix, rows }) {
    if (this.outside(prefix)) return;
    const theirs = new Map(rows.map((row) => [hex(row.name.subarray(0, 8)), row]));
    for (const leaf of this.covered(prefix)) {
      const handle = this.view.handle(leaf.path);
      const row = theirs.get(hex(handle));
      theirs.delete(hex(handle));
      if (!row) this.showHead(leaf);
      else if (!same(row.name, this.view.row(leaf)[0])) {
        this.learn(handle, leaf, row);
        if (row.forked || leaf.seq >= row.seq) this.showHead(leaf);
      }
    }
    for (const [handle, row] of theirs) this.learn(unhex(handle), null, row);
  }

  /** §4, 4 and 5: want what the peer has beyond mine, or its record at my head. */
  learn(handle, leaf, { seq, forked }) {
    const next = leaf ? leaf.seq + 1 : 0;
    const stop = forked ? seq : seq + 1;
    if (next < stop) this.wants.push([handle, next, stop]);
    else if (next === stop && !forked) this.wants.push([handle, seq, stop]);
  }
}

const isProbe = ({ opener, nodes, buckets, heads }) =>
  opener && nodes.length + buckets.length + heads.length === 0;

function answer(view, compare) {
  const leg = new Leg(view, !compare.opener, compare.start, compare.stop);
  if (isProbe(compare) && !same(compare.root, view.root())) leg.showTop();
  const shown = [...compare.nodes, ...compare.buckets].sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  for (const item of shown) item.rows ? leg.takeBucket(item) : leg.takeNode(item);
  for (const head of compare.heads) leg.learn(head.feed, view.find(head.feed), head);
  return leg;
}

/** What this side knows of one shared scope. */
class Shared {
  constructor(feeds) {
    Object.assign(this, { feeds, walking: false, cursor: "", open: new Map(), fetched: false, leftOut: false, lazy: false });
  }
}

export class Session {
  /**
   * @param network 16 bytes
   * @param holdings Feeds of every scope that is followed
   * @param dialled whether this side opened the stream
   * @param nonce 32 random bytes
   * @param card [peer, addresses, time_ms, signature]
   * @param tell called with what happened: {event, ...}
   */
  constructor({ network, holdings, dialled, nonce, card, tell = () => {} }) {
    Object.assign(this, { network, holdings, dialled, nonce, card, tell });
    Object.assign(this, { salt: null, greeted: false, closed: false, shared: new Map() });
    Object.assign(this, { out: [], serving: [], granted: CREDIT, dealt: 0, credit: Infinity });
  }

  /** The first frames. */
  start() {
    return this.flush(() => this.send("nonce", this.nonce));
  }

  /** The frames that answer one. A fault of the peer's ends the session with its reason. */
  receive(data) {
    return this.flush(() => {
      try {
        this.take(readFrame(data));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.send("bye", error.reason);
        this.end(error.message);
      }
    });
  }

  /** Pass records that are new here on. */
  offer(scope, wires) {
    return this.flush(() => {
      const shared = this.shared.get(hex(scope));
      if (!shared) return;
      if (shared.lazy) {
        const heads = wires.map((wire) => readRecord(wire)).map(({ author, seq, id }) => [author, seq, id]);
        this.send("have", scope, heads);
      } else if (this.hand("push", scope, this.grouped(shared, wires), []) < wires.length) shared.leftOut = true;
    });
  }

  grouped = ({ feeds }, wires) => wires.map((data) => feeds.group({ ...readRecord(data), data }));

  flush(act) {
    act();
    return this.out.splice(0);
  }

  send(name, ...fields) {
    this.out.push(frame(name, ...fields));
  }

  end(reason) {
    this.closed = true;
    this.tell({ event: "ended", reason });
  }

  take(got) {
    const { name } = got;
    const early = name === "nonce" ? !this.salt : name === "hello" ? this.salt && !this.greeted : name === "bye";
    if (!(early || (this.greeted && name !== "nonce" && name !== "hello"))) {
      throw new Refused("unexpected-frame", name);
    }
    const shared = got.scope && this.shared.get(hex(got.scope));
    if (got.scope && !shared) throw new Refused("unexpected-frame", "not a shared scope");
    this[`on_${name.replace("-", "_")}`](got, shared);
  }

  on_nonce({ nonce }) {
    if (same(nonce, this.nonce)) throw new Refused("unexpected-frame", "my own nonce");
    const [dialler, listener] = this.dialled ? [this.nonce, nonce] : [nonce, this.nonce];
    this.theirs = nonce;
    this.salt = taggedHash("neighbour", [dialler, listener]);
    const hashes = this.holdings.map(({ scope }) => this.nameOf(scope, this.nonce, nonce)).sort(Buffer.compare);
    this.send("hello", VERSION, this.network, hashes, CREDIT, this.card);
  }

  nameOf = (scope, sender, receiver) => taggedHash("scope", [scope, sender, receiver]).subarray(0, 16);

  on_hello(hello) {
    if (hello.version !== VERSION) throw new Refused("wrong-version");
    if (!same(hello.network, this.network)) throw new Refused("wrong-network");
    this.greeted = true;
    if (hello.credit) this.credit = hello.credit;
    this.tell({ event: "greeted", peer: hello.card.peer });
    this.on_scopes(hello);
  }

  on_scopes({ scopes }) {
    const named = new Set(scopes.map(hex));
    for (const feeds of this.holdings) {
      const key = hex(feeds.scope);
      const both = named.has(hex(this.nameOf(feeds.scope, this.theirs, this.nonce)));
      if (!both) this.shared.delete(key);
      else if (!this.shared.has(key)) {
        this.shared.set(key, new Shared(feeds));
        if (this.dialled) this.walk(this.shared.get(key), "");
      }
    }
  }

  view = (shared) => new View(shared.feeds.leaves(), this.salt);

  walk(shared, start, probe = false) {
    shared.walking = true;
    const leg = new Leg(this.view(shared), true, start);
    if (!probe) leg.showTop();
    this.compare(shared, leg);
  }

  compare({ feeds }, { view, opener, start, stop, nodes, buckets, heads }) {
    this.send("compare", feeds.scope, opener, view.root(), start, stop, nodes, buckets, heads);
  }

  on_compare(got, shared) {
    if (!got.opener && !shared.walking) throw new Refused("unexpected-frame", "no walk of mine");
    const view = this.view(shared);
    const leg = answer(view, got);
    if (got.opener) {
      if (got.nodes.length + got.buckets.length || isProbe(got)) this.compare(shared, leg);
    } else {
      if (!leg.empty) this.compare(shared, leg);
      if (leg.last) Object.assign(shared, { walking: false, cursor: leg.stop });
    }
    this.want(shared, leg.wants);
    this.goOn(shared);
    if (same(got.root, view.root())) this.tell({ event: "in-sync", scope: hex(shared.feeds.scope), feeds: view.leaves.length });
  }

  /** Ask for ranges, one a feed; what does not fit is found by the next walk. */
  want(shared, ranges) {
    const room = RANGES_MAX - shared.open.size;
    const chosen = ranges.filter(([handle]) => !shared.open.has(hex(handle))).slice(0, room);
    for (const [handle] of chosen) shared.open.set(hex(handle), true);
    if (chosen.length) this.send("want", shared.feeds.scope, chosen);
  }

  /** Once all that was wanted has come: walk on, or look whether that was all. */
  goOn(shared) {
    if (shared.walking || shared.open.size) return;
    if (shared.cursor) this.walk(shared, shared.cursor);
    else if (shared.fetched) {
      shared.fetched = false;
      this.walk(shared, "", true);
    }
  }

  on_records({ records, done }, shared) {
    this.keep(shared, records, "records");
    for (const handle of done) shared.open.delete(hex(handle));
    shared.fetched ||= records.length > 0;
    this.goOn(shared);
  }

  on_push({ records }, shared) {
    this.keep(shared, records, "push");
  }

  on_found() {
    throw new Refused("unexpected-frame", "nothing was wanted by id");
  }

  /** Verify and keep records; ask for what is missing before one; grant credit anew. */
  keep(shared, wires, how) {
    const size = wires.reduce((sum, wire) => sum + wire.length, 0);
    this.granted -= size;
    if (this.granted < 0) throw new Refused("too-much", "beyond the credit");
    const leads = shared.feeds.meet(wires);
    for (const wire of wires) {
      const { record, became } = shared.feeds.add(wire);
      if (became === "gap" && leads.has(record.key)) continue;
      this.tell({ event: became, how, id: record.key, author: record.by, seq: record.seq, wire });
      if (became === "gap") this.catchUp(shared, record.author, record.seq);
    }
    this.dealt += size;
    if (this.dealt >= CREDIT / 2) {
      this.send("credit", this.dealt);
      this.granted += this.dealt;
      this.dealt = 0;
    }
  }

  /** Want a feed's records from my head up to a seq. */
  catchUp(shared, author, stop) {
    const next = shared.feeds.byPath.get(pathOf(author))?.length ?? 0;
    if (next < stop) this.want(shared, [[this.view(shared).handle(pathOf(author)), next, stop]]);
  }

  on_have({ heads }, shared) {
    for (const { author, seq } of heads) this.catchUp(shared, author, seq + 1);
  }

  on_want({ ranges }, shared) {
    const view = this.view(shared);
    for (const { feed, start, stop } of ranges) {
      const leaf = view.find(feed);
      const records = leaf ? shared.feeds.byPath.get(leaf.path).slice(start, stop) : [];
      this.serving.push({ shared, feed, groups: records.map(shared.feeds.group) });
    }
    this.serve();
  }

  /** Send what was wanted, as far as the peer's credit goes. */
  serve() {
    while (this.serving.length) {
      const { shared, feed, groups } = this.serving[0];
      const now = this.hand("records", shared.feeds.scope, groups, [feed]);
      if (now < groups.length) {
        groups.splice(0, now);
        return;
      }
      this.serving.shift();
    }
  }

  /** Send groups of records in batches; how many the credit allowed. `done` goes with the last. */
  hand(name, scope, groups, done) {
    const more = (ended) => (name === "records" ? [ended ? done : []] : []);
    let [sent, batch, size] = [0, [], 0];
    for (const group of groups) {
      const bytes = group.reduce((sum, wire) => sum + wire.length, 0);
      const grown = size + bytes + 3 * group.length;
      if (bytes > this.credit) break;
      if (batch.length && (grown > BATCH_MAX || batch.length + group.length > 512)) {
        this.send(name, scope, batch, ...more(false));
        [batch, size] = [[], 0];
      }
      batch.push(...group);
      size += bytes + 3 * group.length;
      this.credit -= bytes;
      sent += 1;
    }
    const ended = sent === groups.length;
    if (batch.length || (ended && done.length)) this.send(name, scope, batch, ...more(ended));
    return sent;
  }

  on_credit({ size }) {
    this.credit += size;
    this.serve();
    for (const shared of this.shared.values()) {
      if (shared.leftOut && !shared.walking) this.walk(shared, "", true);
      shared.leftOut = false;
    }
  }

  on_want_ids({ scope }) {
    this.send("found", scope, []);
  }

  on_forks() {}
  on_graft(_, shared) {
    shared.lazy = false;
  }

  on_prune(_, shared) {
    shared.lazy = true;
  }

  on_peers() {}

  on_ping({ token }) {
    this.send("pong", token);
  }

  on_pong() {}

  on_bye({ reason }) {
    this.end(reason);
  }
}

/** Frames as they go over a stream (0001 §3). */
export const framed = (frames) =>
  Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(frame.length);
      return [length, frame];
    }),
  );

/** Run a session over chunks of bytes, until either side ends it. */
export async function run(session, chunks, write) {
  const flush = (frames) => frames.length && write(framed(frames));
  flush(session.start());
  let waiting = Buffer.alloc(0);
  for await (const chunk of chunks) {
    waiting = Buffer.concat([waiting, chunk]);
    const { bodies } = allFrames(waiting);
    waiting = waiting.subarray(bodies.reduce((sum, body) => sum + 4 + body.length, 0));
    for (const body of bodies) if (!session.closed) flush(session.receive(body));
    if (session.closed) return;
  }
}
