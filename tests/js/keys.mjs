// Tagged hashes, the one Ed25519 rule, HKDF, trees, text forms. Spec 0002.

import { createHash, createPublicKey, hkdfSync, verify as nodeVerify } from "node:crypto";
import { Refused, decode, encode, same, unhex } from "./codec.mjs";

export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const ZERO32 = Buffer.alloc(32);
export const EMPTY_HASH = sha256(Buffer.alloc(0));

/** What is hashed or signed: prefix, tag, 0x00, data. */
export const preimage = (tag, data) => Buffer.concat([Buffer.from(`p2pnode/1/${tag}\0`, "ascii"), data]);
export const taggedHash = (tag, value) => sha256(preimage(tag, encode(value)));

export const networkId = (name) => taggedHash("network", [name]).subarray(0, 16);
export const witnessScope = (campaign) => taggedHash("witness", [campaign]);
export const neighbourhoodScope = (network, name) => taggedHash("neighbourhood", [network, name]);

const SPKI = unhex("302a300506032b6570032100");

// y of the points of low order, little-endian, sign bit cleared; p and p+1 are 0 and 1 again.
const LOW_ORDER = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

const unsigned = (point) => {
  const copy = Buffer.from(point);
  copy[31] &= 0x7f;
  return copy;
};

const lowOrder = (point) => LOW_ORDER.has(unsigned(point).toString("hex"));

/** y below p = 2^255 - 19. */
function canonical(point) {
  const y = unsigned(point).reverse();
  return Buffer.compare(y, unhex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")) < 0;
}

const known = new Map();

function publicKey(author) {
  const id = author.toString("hex");
  if (!known.has(id)) {
    known.set(id, createPublicKey({ key: Buffer.concat([SPKI, author]), format: "der", type: "spki" }));
  }
  return known.get(id);
}

/** Whether a bare Ed25519 signature is valid by libsodium's rule. */
export function accepts(author, message, signature) {
  if (author.length !== 32 || signature.length !== 64) return false;
  const point = signature.subarray(0, 32);
  if (lowOrder(author) || lowOrder(point) || !canonical(author) || !canonical(point)) return false;
  try {
    return nodeVerify(null, message, publicKey(Buffer.from(author)), signature);
  } catch {
    return false;
  }
}

export function verify(author, tag, data, signature) {
  if (!accepts(author, preimage(tag, data), signature)) throw new Refused("bad-signature", tag);
}

export const verifyValue = (author, tag, value, signature) => verify(author, tag, encode(value), signature);

/** Run a check and give any BAD_SIGNATURE another reason. */
export function as(reason, run) {
  try {
    return run();
  } catch (error) {
    throw error instanceof Refused ? new Refused(reason, error.message) : error;
  }
}

export const derive = (secret, info) =>
  Buffer.from(hkdfSync("sha256", secret, Buffer.alloc(0), info, 32));

const u32 = (value) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};

export const personSeed = (root, campaign, index) =>
  derive(root, preimage("person-key", Buffer.concat([campaign, u32(index)])));

export const serialSeed = (secret, issuer, batch, tagIndex, serialIndex) =>
  derive(secret, preimage("serial", Buffer.concat([issuer, batch, u32(tagIndex), u32(serialIndex)])));

// Trees

export const TREE = { cut: 1, forks: 2, rows: 3, statement: 4, serials: 5, group: 6 };

export const leafHash = (tree, leaf) => sha256(Buffer.of(0), encode([tree, leaf]));
const node = (left, right) => sha256(Buffer.of(1), left, right);

function rootOf(hashes) {
  if (hashes.length === 0) return EMPTY_HASH;
  if (hashes.length === 1) return hashes[0];
  let half = 1;
  while (half * 2 < hashes.length) half *= 2;
  return node(rootOf(hashes.slice(0, half)), rootOf(hashes.slice(half)));
}

export const root = (tree, leaves) => rootOf(leaves.map((leaf) => leafHash(tree, leaf)));

/** Check that `leaf` is leaf `index` of `count` under `top`. */
export function checkPath(tree, leaf, index, count, path, top) {
  if (index < 0 || index >= count) throw new Refused("bad-proof", "index outside the tree");
  const hashes = [...path];
  const climb = (at, size) => {
    if (size === 1) return leafHash(tree, leaf);
    let half = 1;
    while (half * 2 < size) half *= 2;
    const inner = at < half ? climb(at, half) : climb(at - half, size - half);
    if (hashes.length === 0) throw new Refused("bad-proof", "too few hashes");
    const sibling = hashes.shift();
    return at < half ? node(inner, sibling) : node(sibling, inner);
  };
  const found = climb(index, count);
  if (hashes.length) throw new Refused("bad-proof", "too many hashes");
  if (!same(found, top)) throw new Refused("bad-proof", "another root");
}

// Text

const BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

function polymod(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (let i = 0; i < 5; i++) if ((top >>> i) & 1) sum ^= GENERATOR[i];
  }
  return sum >>> 0;
}

const expand = (prefix) => [
  ...[...prefix].map((c) => c.charCodeAt(0) >>> 5),
  0,
  ...[...prefix].map((c) => c.charCodeAt(0) & 31),
];

function regroup(values, from, to, pad) {
  const out = [];
  let bits = 0;
  let held = 0;
  for (const value of values) {
    held = (held << from) | value;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((held >>> bits) & (2 ** to - 1));
    }
    held &= 2 ** bits - 1;
  }
  if (pad && bits) out.push((held << (to - bits)) & (2 ** to - 1));
  if (!pad && (bits >= from || held)) throw new Refused("bad-code", "stray bits");
  return out;
}

/** bech32m of 32 bytes. */
export function idText(prefix, id) {
  const values = regroup(id, 8, 5, true);
  const sum = polymod([...expand(prefix), ...values, 0, 0, 0, 0, 0, 0]) ^ 0x2bc830a3;
  for (let i = 0; i < 6; i++) values.push((sum >>> (5 * (5 - i))) & 31);
  return `${prefix}1${values.map((value) => BECH32[value]).join("")}`;
}

export function readId(prefix, typed) {
  const bad = (detail) => new Refused("bad-code", detail);
  const text = typed.trim();
  if (text.length > 90 || /[^\x21-\x7e]/.test(text)) throw bad("length or ASCII");
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) throw bad("two cases");
  const lower = text.toLowerCase();
  const at = lower.lastIndexOf("1");
  if (at < 1 || lower.slice(0, at) !== prefix) throw bad("prefix");
  const values = [...lower.slice(at + 1)].map((c) => BECH32.indexOf(c));
  if (values.includes(-1) || values.length < 6) throw bad("character");
  if (polymod([...expand(prefix), ...values]) !== 0x2bc830a3) throw bad("checksum");
  const bytes = Buffer.from(regroup(values.slice(0, -6), 5, 8, false));
  if (bytes.length !== 32) throw bad("not 32 bytes");
  return bytes;
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LINK_MAX = 4296;

export const linkText = (letter, value) =>
  `P2PNODE:${letter}/${regroup(encode(value), 8, 5, true).map((v) => BASE32[v]).join("")}`;

export function readLink(letter, typed) {
  const bad = (detail) => new Refused("bad-code", detail);
  const text = typed.trim().toUpperCase();
  if (text.length > LINK_MAX || /[^\x00-\x7f]/.test(typed)) throw bad("length or ASCII");
  if (!text.startsWith("P2PNODE:")) throw bad("prefix");
  if (!text.startsWith(`P2PNODE:${letter}/`)) throw bad("letter");
  const values = [...text.slice(10)].map((c) => BASE32.indexOf(c));
  if (values.includes(-1)) throw bad("character");
  return as("bad-code", () => decode(Buffer.from(regroup(values, 5, 8, false)), LINK_MAX));
}
