// Frames of the neighbour protocol. Spec 0006 §2.

import { INT_MAX, Refused, ascending, bin, bool, choice, decode, list, str, struct, uint } from "./codec.mjs";

const FRAME_MAX = 65_536;
const DIGEST_SIZE = 6;

/** A shape whose value must also pass a test. */
const checked = (shape, passes, what) => (value) => {
  const item = shape(value);
  if (!passes(item)) throw new Refused("bad-frame", what);
  return item;
};

const ones = (mask) => mask.toString(2).replaceAll("0", "").length;
const hex = (max) => checked(str(max), (text) => /^[0-9a-f]*$/.test(text), "not hex");
const prefixes = (shape, max) => ascending(shape, max, 0, ({ prefix }) => Buffer.from(prefix));

const scope = bin(32);
const handle = bin(8);
const seq = uint(INT_MAX - 1);
const records = list(bin(1, 57_760), 512);
const hashes = ascending(bin(16), 128);
const header = bin(1, 320);
const signature = bin(64);

const NODE = checked(
  struct({ prefix: hex(63), mask: uint(65_535, 1), digests: bin(DIGEST_SIZE, 16 * DIGEST_SIZE) }),
  ({ mask, digests }) => digests.length === DIGEST_SIZE * ones(mask),
  "digests do not match the mask",
);
const ROW = struct({ name: bin(12), seq, forked: bool });
const BUCKET = struct({ prefix: hex(64), rows: list(ROW, 4) });
const HEAD = struct({ feed: handle, seq, forked: bool });
const RANGE = checked(
  struct({ feed: handle, start: seq, stop: uint() }),
  ({ start, stop }) => start < stop,
  "an empty range",
);
const PROOF = struct({ headerA: header, signatureA: signature, headerB: header, signatureB: signature });
export const PEER_CARD = struct({
  peer: str(256),
  addresses: list(str(256), 8),
  timeMs: uint(),
  signature: checked(bin(0, 64), ({ length }) => length === 0 || length === 64, "not 0 or 64"),
});

/** Every frame: its name and its fields, by tag. */
export const FRAMES = {
  0: ["nonce", { nonce: bin(32) }],
  1: ["hello", { version: uint(), network: bin(16), scopes: hashes, credit: uint(), card: PEER_CARD }],
  2: ["scopes", { scopes: hashes }],
  3: ["compare", {
    scope,
    opener: bool,
    root: bin(8),
    start: hex(64),
    stop: hex(64),
    nodes: prefixes(NODE, 512),
    buckets: prefixes(BUCKET, 4_096),
    heads: list(HEAD, 4_096),
  }],
  4: ["want", { scope, ranges: list(RANGE, 256, 1) }],
  5: ["records", { scope, records, done: list(handle, 256) }],
  6: ["want-ids", { scope, ids: ascending(bin(32), 256, 1) }],
  7: ["found", { scope, records }],
  8: ["push", { scope, records }],
  9: ["forks", { scope, proofs: list(PROOF, 64, 1) }],
  10: ["have", { scope, heads: list(struct({ author: bin(32), seq, id: bin(32) }), 512) }],
  11: ["graft", { scope }],
  12: ["prune", { scope }],
  13: ["credit", { size: uint(INT_MAX, 1) }],
  14: ["peers", { cards: list(PEER_CARD, 16) }],
  15: ["ping", { token: bin(8) }],
  16: ["pong", { token: bin(8) }],
  17: ["bye", { reason: str(64) }],
};

const SHAPES = Object.fromEntries(
  Object.entries(FRAMES).map(([tag, [, fields]]) => [tag, struct(fields)]),
);

/** A frame as {tag, name, ...fields}; another shape is refused as "bad-frame". */
export function readFrame(data) {
  const value = decode(data, FRAME_MAX);
  try {
    const frame = choice(SHAPES)(value);
    return { ...frame, name: FRAMES[frame.tag][0] };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new Refused("bad-frame", error.message);
  }
}
