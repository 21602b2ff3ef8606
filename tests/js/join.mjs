// Invites, joins, further keys, cards, admission. Spec 0004.

import { Refused, bin, encode, hex, list, same, str, struct, uint } from "./codec.mjs";
import { as, preimage, readLink, sha256, taggedHash, verify, verifyValue } from "./keys.mjs";
import { INVITE, KIND } from "./records.mjs";
import { publicOf } from "./tags.mjs";
import { campaignId, checkTerms } from "./terms.mjs";

export const inviteId = (invite) => sha256(preimage("invite-id", encode(invite.value)));

/** Leading zero bits of a hash. */
export function zeroBits(hash) {
  let bits = 0;
  for (const byte of hash) {
    bits += byte ? Math.clz32(byte) - 24 : 8;
    if (byte) break;
  }
  return bits;
}

/** §2: WRONG_CAMPAIGN, TOO_LITTLE_WORK, BAD_INVITE. */
export function checkJoin(join, network, campaign, joiner, joinBits) {
  const { invite } = join;
  if (!same(invite.network, network) || !same(invite.campaign, campaign)) throw new Refused("wrong-campaign");
  if (invite.uses === 0 && zeroBits(taggedHash("work", [campaign, joiner, join.salt])) < joinBits) {
    throw new Refused("too-little-work");
  }
  as("bad-invite", () => {
    verify(invite.inviter, "invite", encode(invite.value), join.inviteSignature);
    verifyValue(invite.inviteKey, "join", [network, campaign, joiner, inviteId(invite)], join.joinSignature);
  });
}

/** §3: the root's join, then the root's signature. */
export function checkContinue(claim, network, campaign, author, joinBits) {
  checkJoin(claim.join, network, campaign, claim.root, joinBits);
  as("bad-invite", () =>
    verifyValue(claim.root, "continue", [network, campaign, author], claim.rootSignature));
}

export function checkCard(card, network, campaign) {
  const value = [network, campaign, card.author, card.windowMs, card.nonce, card.merchant];
  verifyValue(card.author, "card", value, card.signature);
}

/** 0003 §2, 14: what the bytes of a genesis show; work is left to settlement. */
export function checkGenesis(record) {
  const { kind, claim, author, scope, network } = record;
  if (!claim) return;
  if (kind === KIND.terms) {
    const { terms } = claim;
    checkTerms(terms);
    if (!same(terms.network, network)) throw new Refused("wrong-network");
    if (!same(campaignId(terms.value), scope)) throw new Refused("wrong-campaign");
    if (!terms.sponsor.some((key) => same(key, author))) throw new Refused("not-named");
  }
  if (kind === KIND.join) checkJoin(claim, network, scope, author, 0);
  if (kind === KIND.continue) checkContinue(claim, network, scope, author, 0);
}

const address = (value) => {
  const text = str(192)(value);
  if (!text.startsWith("/")) throw new Refused("bad-shape", "a multiaddr");
  return text;
};

const LINK = struct({
  version: uint(1, 1),
  invite: INVITE,
  signature: bin(64),
  secret: bin(32),
  title: str(192),
  addresses: list(address, 4),
});

/** §2: an invite link, checked. */
export function readInviteLink(text) {
  const link = as("bad-code", () => LINK(readLink("I", text)));
  const { invite } = link;
  if (!same(publicOf(link.secret), invite.inviteKey)) throw new Refused("bad-code", "another secret");
  as("bad-invite", () => verify(invite.inviter, "invite", encode(invite.value), link.signature));
  return link;
}

const CONTINUES_MAX = 8;

/** The keys that may `enter`. */
function namedKeys(terms) {
  const keys = [...terms.sponsor, ...terms.witnesses.map((one) => one.key), terms.residue.key];
  return new Set([...keys, ...terms.named.flatMap((party) => party.keys)].map(hex));
}

/**
 * Who is admitted, from counted seq-0 records in order key.
 *
 * Returns {person: key -> root, people: root -> {level, inviter, keys, reason}, refused: key -> reason,
 * entered: keys in order}.
 */
export function admit(terms, campaign, counted) {
  const named = namedKeys(terms);
  const out = { person: new Map(), people: new Map(), refused: new Map(), entered: [] };
  for (const { record, wt } of counted) {
    if (record.seq !== 0) continue;
    try {
      enter(out, terms, campaign, named, record, wt);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      out.refused.set(record.by, error.reason);
    }
  }
  useUp(out);
  climb(out, terms);
  return out;
}

function enter(out, terms, campaign, named, record, wt) {
  const { claim } = record;
  if (record.kind === KIND.terms || record.kind === KIND.enter) {
    const sponsor = terms.sponsor.some((key) => same(key, record.author));
    if (record.kind === KIND.terms ? !sponsor : !named.has(record.by)) throw new Refused("not-named");
    if (record.kind === KIND.terms && !same(sha256(preimage("campaign", encode(claim.terms.value))), campaign)) {
      throw new Refused("wrong-campaign");
    }
    out.entered.push(record.by);
    return;
  }
  const further = record.kind === KIND.continue;
  if (!further && record.kind !== KIND.join) throw new Refused("wrong-genesis");
  if (further) checkContinue(claim, terms.network, campaign, record.author, terms.joinBits);
  else checkJoin(claim, terms.network, campaign, record.author, terms.joinBits);
  const { invite } = further ? claim.join : claim;
  const rootKey = further ? hex(claim.root) : record.by;
  onePerson(out, named, record.by, rootKey);
  let person = out.people.get(rootKey);
  if (!person) {
    if (wt > invite.expiresMs) throw new Refused("invite-expired");
    person = { root: rootKey, invite, keys: [], further: [], level: null, inviter: null, reason: "not-admitted" };
  } else if (record.by !== rootKey && person.further.length >= CONTINUES_MAX) {
    throw new Refused("too-many-keys");
  }
  if (record.by !== rootKey) person.further.push(record.by);
  person.keys.push(record.by);
  out.people.set(rootKey, person);
  out.person.set(record.by, rootKey);
}

/** A key is one person's for ever, and a named key neither continues nor is continued. */
function onePerson(out, named, author, root) {
  const owner = out.person.get(root);
  const another = author !== root && (named.has(author) || named.has(root) || out.people.has(author));
  if (another || (owner !== undefined && owner !== root)) throw new Refused("wrong-genesis", "two persons");
}

function useUp(out) {
  const used = new Map();
  for (const person of out.people.values()) {
    const { invite } = person;
    if (invite.uses === 0) continue;
    const name = hex(inviteId(invite));
    used.set(name, (used.get(name) ?? 0) + 1);
    if (used.get(name) > invite.uses) person.reason = "invite-used-up";
  }
}

function climb(out, terms) {
  const level0 = new Set([...terms.sponsor.map(hex), ...out.entered]);
  for (let moved = true; moved; ) {
    moved = false;
    for (const person of out.people.values()) {
      if (person.level !== null || person.reason !== "not-admitted") continue;
      const inviter = hex(person.invite.inviter);
      const above = out.people.get(out.person.get(inviter));
      const level = level0.has(inviter) ? 0 : above?.level ?? null;
      if (level === null) continue;
      moved = true;
      if (level + 1 > terms.depth) {
        person.reason = "too-deep";
        continue;
      }
      person.level = level + 1;
      person.inviter = level0.has(inviter) ? null : above.root;
      person.reason = null;
    }
  }
}
