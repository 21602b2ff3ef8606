// Tag entries, evidence, codes. Spec 0007.

import { Refused, bin, choice, encode, option, same, str, struct, uint } from "./codec.mjs";
import { TREE, as, readLink, root, serialSeed, sha256, preimage, verify, verifyValue } from "./keys.mjs";
import { createPrivateKey, createPublicKey } from "node:crypto";

const U32 = 2 ** 32 - 1;
export const SERIALS_MAX = 2 ** 20;

export const ROTATING = 3;

export const PUBLIC = choice({
  1: struct({}),
  2: struct({ count: uint(SERIALS_MAX, 1), root: bin(32) }),
  [ROTATING]: struct({ device: bin(32), windowMs: uint(3_600_000, 1000) }),
  4: struct({ first: uint(2 ** 24), count: uint(SERIALS_MAX, 1), root: bin(32) }),
  5: struct({ device: bin(32) }),
  6: struct({ key: str(192) }),
});

const ENTRY_FIELDS = struct({
  issuer: bin(32),
  batch: bin(16),
  index: uint(U32),
  public: PUBLIC,
  host: option(bin(32)),
  label: str(192),
  place: str(192),
  validFrom: uint(),
  validUntil: uint(),
});

/** An entry with the value it was read from. */
export const ENTRY = (value) => ({ ...ENTRY_FIELDS(value), value });

export const EVIDENCE = choice({
  0: struct({}),
  1: struct({ signature: bin(64) }),
  2: struct({ index: uint(2 ** 20), key: bin(32), signature: bin(64) }),
  3: struct({ windowStart: uint(), signature: bin(64) }),
  4: struct({ counter: uint(2 ** 24), key: bin(32), signature: bin(64) }),
  6: struct({ key: str(192) }),
});

export const tagId = (entry) => sha256(preimage("tag", encode(entry.value)));
export const serialRoot = (keys) => root(TREE.serials, keys.map((key, i) => [i, key]));
export const groupRoot = (entries) => root(TREE.group, entries.map((entry) => entry.value));

const NOTHING = { grade: 0, slot: null, window: null, counter: null };

/**
 * What evidence proves by itself: grade, slot, window start, counter.
 *
 * `keyAt(index)` gives the listed key; `fresh(windowStart)` is asked of a rotating code.
 */
export function prove({ entry, evidence, network, campaign, author, keyAt, fresh }) {
  const id = tagId(entry);
  const shown = entry.public;
  if (shown.tag === 5 && evidence.tag === 0 && same(shown.device, author)) return { ...NOTHING, grade: 4 };
  if (shown.tag !== evidence.tag) return NOTHING;
  try {
    if (shown.tag === 1) {
      verify(entry.issuer, "tag", encode(entry.value), evidence.signature);
      return { ...NOTHING, grade: 1 };
    }
    if (shown.tag === 2 || shown.tag === 4) {
      const index = shown.tag === 2 ? evidence.index : evidence.counter - shown.first;
      const key = index >= 0 && index < shown.count ? keyAt(index) : null;
      if (!key || !same(key, evidence.key)) return NOTHING;
      verifyValue(key, "serial", [network, campaign, author, id], evidence.signature);
      const counter = shown.tag === 4 ? evidence.counter : null;
      return { grade: shown.tag, slot: key, window: null, counter };
    }
    if (shown.tag === 3) {
      if (evidence.windowStart % shown.windowMs) return NOTHING;
      verifyValue(shown.device, "code", [id, evidence.windowStart], evidence.signature);
      const grade = fresh(evidence.windowStart, shown.windowMs) ? 3 : 1;
      return { grade, slot: null, window: evidence.windowStart, counter: null };
    }
    return shown.tag === 6 && shown.key === evidence.key ? { ...NOTHING, grade: 1 } : NOTHING;
  } catch (error) {
    if (error instanceof Refused) return NOTHING;
    throw error;
  }
}

const CODE = choice({
  1: struct({ entry: ENTRY, signature: bin(64) }),
  2: struct({ entry: ENTRY, signature: bin(64), index: uint(2 ** 20), secret: bin(16) }),
});

const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** The public key of a seed. */
export function publicOf(seed) {
  const secret = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  return createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(12);
}

/** The content of a tag's code, checked as in §5. */
export function readCode(text) {
  const code = as("bad-code", () => CODE(readLink("T", text)));
  const { entry } = code;
  if (entry.public.tag !== code.tag) throw new Refused("bad-code", "another carrier");
  if (code.tag === 2) {
    if (code.index >= entry.public.count) throw new Refused("bad-code", "no such serial");
    const key = publicOf(serialSeed(code.secret, entry.issuer, entry.batch, entry.index, code.index));
    if (entry.public.count === 1 && !same(serialRoot([key]), entry.public.root)) {
      throw new Refused("bad-code", "the secret is another's");
    }
    code.key = key;
  }
  verify(entry.issuer, "tag", encode(entry.value), code.signature);
  return code;
}

