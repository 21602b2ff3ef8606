// Records, claims, forks. Spec 0003 and kinds.md.

import { INT_MAX, Refused, ascending, bin, bool, decode, hex, list, option, same, str, struct, uint } from "./codec.mjs";
import { EMPTY_HASH, ZERO32, as, preimage, sha256, verify } from "./keys.mjs";
import { TERMS } from "./terms.mjs";
import { ENTRY, EVIDENCE } from "./tags.mjs";

export const KIND = {
  terms: 0, enter: 1, join: 2, continue: 3, tags: 4, scan: 5, attest: 6, outcome: 7, reversal: 8,
  part: 9, close: 10, erase: 11, redeem: 12, owe: 13, paid: 14, net: 15, seen: 16, fork: 17,
  profile: 18, announce: 19, dispute: 20,
};

const HEADER_MAX = 320;
const CLAIM_MAX = 49_152;
const NOTE_MAX = 8_192;
const RECORD_MAX = 57_760;
const U32 = 2 ** 32 - 1;

const salt = bin(16);
const id = bin(32);
const signature = bin(64);

const INVITE_FIELDS = struct({
  network: bin(16),
  campaign: id,
  inviter: id,
  inviteKey: id,
  uses: uint(1_000_000),
  expiresMs: uint(),
});

/** An invite with the value it was read from. */
export const INVITE = (value) => ({ ...INVITE_FIELDS(value), value });

export const JOIN = struct({ salt, invite: INVITE, inviteSignature: signature, joinSignature: signature });
export const CONTINUE = struct({ salt, root: id, join: JOIN, rootSignature: signature });

export const CARD = struct({
  author: id,
  windowMs: uint(),
  nonce: bin(8),
  merchant: option(id),
  signature,
});

const HEAD = struct({ author: id, seq: uint(), id });

export const CLAIMS = {
  0: struct({ salt, terms: (value) => ({ ...TERMS(value), value }) }),
  1: struct({ salt }),
  2: JOIN,
  3: CONTINUE,
  4: struct({
    salt,
    group: str(192),
    offset: uint(U32),
    tags: list(struct({ entry: ENTRY, keys: option(list(id, 1024, 1)) }), 128),
    revoked: list(id, 128),
  }),
  5: struct({ salt, stage: uint(31), tag: id, evidence: EVIDENCE }),
  6: struct({ salt, author: id, act: id, stage: option(uint(31)), amount: uint(), card: option(CARD) }),
  7: struct({ salt, stage: uint(31), author: id, amount: uint(), after: list(id, 8), card: option(CARD) }),
  8: struct({ salt, outcome: id, amount: uint() }),
  9: struct({ salt, tree: uint(6, 1), root: id, index: uint(U32), data: bin(1, 32_768) }),
  10: struct({
    salt,
    round: uint(100, 1),
    previous: id,
    finals: ascending(id, 7, 1),
    cutRoot: id,
    cutCount: uint(),
    forksRoot: id,
    forksCount: uint(),
    rowsRoot: id,
    rowsCount: uint(),
    statementRoot: id,
    lines: uint(),
    paid: uint(),
    residue: uint(),
    unspent: uint(),
    last: bool,
    unit: str(16),
    redeemUntil: uint(),
  }),
  11: struct({ salt, record: id, claim: bool }),
  12: struct({ salt, close: id, line: uint(), amount: uint(), totalBefore: uint(), acceptor: id, nonce: bin(16) }),
  13: struct({ salt, redeem: id, acceptor: id, amount: uint() }),
  14: struct({ salt, owe: id, amount: uint() }),
  16: struct({ salt, final: option(uint(100, 1)), heads: ascending(HEAD, 500, 0, (head) => head.author) }),
  17: struct({ salt, headerA: bin(1, 320), signatureA: signature, headerB: bin(1, 320), signatureB: signature }),
  18: struct({ salt, name: str(192), trade: str(192), place: str(192), peer: str(128), peerSignature: signature }),
  19: struct({ salt, campaign: id, title: str(192), link: str(1024) }),
  20: struct({ salt, close: id, statementRoot: id }),
};

/** A claim or note of no declared kind: an array that begins with a salt. */
function salted(value) {
  if (!Array.isArray(value) || value.length === 0) throw new Refused("bad-claim", "no salt");
  as("bad-claim", () => salt(value[0]));
  return value;
}

export function readClaim(kind, data) {
  const value = decode(data, CLAIM_MAX);
  if (!CLAIMS[kind]) return salted(value);
  try {
    return CLAIMS[kind](value);
  } catch (error) {
    if (error.reason === "bad-shape") throw new Refused("bad-claim", error.message);
    throw error;
  }
}

const HEADER = struct({
  version: uint(),
  network: bin(16),
  author: id,
  scope: id,
  seq: uint(INT_MAX),
  backlink: id,
  timeMs: uint(),
  kind: uint(63),
  claimSize: uint(CLAIM_MAX, 1),
  claimHash: id,
  noteSize: uint(NOTE_MAX),
  noteHash: id,
});

const WIRE = struct({
  header: bin(1, HEADER_MAX),
  claim: option(bin(1, CLAIM_MAX)),
  note: option(bin(1, NOTE_MAX)),
  signature,
});

export const recordId = (header) => sha256(preimage("record", header));

/** §2, 2 to 6. */
export function readHeader(data) {
  const header = HEADER(decode(data, HEADER_MAX));
  if (header.version !== 1) throw new Refused("wrong-version", String(header.version));
  const first = header.seq === 0;
  if (header.kind <= 3 ? !first : header.kind <= 15 && first) {
    throw new Refused("wrong-genesis", `kind ${header.kind} at seq ${header.seq}`);
  }
  if (first && !same(header.backlink, ZERO32)) throw new Refused("wrong-backlink", "seq 0 links");
  if (header.noteSize === 0 && !same(header.noteHash, EMPTY_HASH)) {
    throw new Refused("wrong-hash", "no note, but a hash");
  }
  return header;
}

/** §2, 1 to 9; the signature is not checked here. */
export function readRecord(data) {
  const wire = WIRE(decode(data, RECORD_MAX));
  return fromParts(wire.header, wire.claim, wire.note, wire.signature);
}

/** A record of its four parts; `key` and `by` are id and author in hex. */
export function fromParts(headerBytes, claim, note, sealed) {
  const header = readHeader(headerBytes);
  const id = recordId(headerBytes);
  const names = { id, key: hex(id), by: hex(header.author) };
  const record = { ...header, ...names, header: headerBytes, signature: sealed, claim: null, note: null };
  if (claim !== null) {
    part("claim", claim, header.claimHash, header.claimSize);
    record.claim = readClaim(header.kind, claim);
  }
  if (note !== null) {
    part("note", note, header.noteHash, header.noteSize);
    record.note = salted(decode(note, NOTE_MAX));
  }
  return record;
}

function part(name, data, hash, size) {
  if (!same(sha256(data), hash)) throw new Refused("wrong-hash", name);
  if (data.length !== size) throw new Refused("wrong-hash", `${name} size`);
}

export const checkSignature = (record) =>
  verify(record.author, "record", record.header, record.signature);

/** §4: the place and the two ids of a fork. */
export function checkFork(claim, network) {
  const a = readHeader(claim.headerA);
  const b = readHeader(claim.headerB);
  if (!same(a.network, network) || !same(b.network, network)) throw new Refused("wrong-network");
  const [idA, idB] = [recordId(claim.headerA), recordId(claim.headerB)];
  const place = same(a.author, b.author) && same(a.scope, b.scope) && a.seq === b.seq;
  if (!place || Buffer.compare(idA, idB) >= 0) throw new Refused("not-a-fork");
  verify(a.author, "record", claim.headerA, claim.signatureA);
  verify(b.author, "record", claim.headerB, claim.signatureB);
  return { author: a.author, scope: a.scope, seq: a.seq, a: idA, b: idB };
}


/** §5: which parts of a record an erase, whose signature holds, drops. */
export function dropped(erase, record) {
  const mine = erase?.kind === KIND.erase && erase.claim && same(erase.claim.record, record.id) &&
    same(erase.network, record.network) && same(erase.author, record.author) && same(erase.scope, record.scope);
  return { note: Boolean(mine), claim: Boolean(mine && erase.claim.claim && record.kind === KIND.scan) };
}

/** A new record has its claim, or the erase that drops it is here. */
export function checkClaimHere(record, erase) {
  if (!record.claim && !dropped(erase, record).claim) throw new Refused("bad-claim", "the claim is absent");
}
