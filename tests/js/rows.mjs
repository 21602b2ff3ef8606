// Tags of a campaign and the rows of its scans. Spec 0008 §3, §4.

import { Refused, decode, hex, same } from "./codec.mjs";
import { TREE } from "./keys.mjs";
import { KIND } from "./records.mjs";
import { groupRoot, prove, serialRoot, tagId } from "./tags.mjs";

/** The tags that counted records list: {byId: id -> {entry, group, keyAt, revoked}}. */
export function readTags(terms, counted) {
  const sponsors = new Set(terms.sponsor.map(hex));
  const mine = counted.filter((one) => sponsors.has(one.record.by));
  const lists = serialParts(mine);
  const places = new Map();
  const order = [];
  const revoked = new Map();
  mine.forEach((one) => {
    if (one.record.kind !== KIND.tags) return;
    const { group, offset, tags, revoked: gone } = one.record.claim;
    tags.forEach((tag, i) => {
      const place = `${offset + i}/${group}`;
      if (places.has(place)) return;
      const listed = { ...tag, group, id: hex(tagId(tag.entry)) };
      places.set(place, listed);
      order.push(listed);
    });
    for (const id of gone) if (!revoked.has(hex(id))) revoked.set(hex(id), one);
  });
  const byId = new Map();
  const take = (listed) => {
    if (byId.has(listed.id)) return;
    byId.set(listed.id, { ...listed, keyAt: keysOf(listed, lists), revoked: revoked.get(listed.id) ?? null });
  };
  for (const group of terms.groups) {
    const whole = Array.from({ length: group.count }, (_, i) => places.get(`${i}/${group.name}`));
    if (whole.includes(undefined)) continue;
    if (!same(groupRoot(whole.map((one) => one.entry)), group.root)) continue;
    whole.forEach(take);
  }
  const named = new Set(terms.groups.map((one) => one.name));
  order.filter((listed) => !named.has(listed.group)).forEach(take);
  return byId;
}

function serialParts(mine) {
  const lists = new Map();
  for (const { record } of mine) {
    if (record.kind !== KIND.part || record.claim.tree !== TREE.serials) continue;
    const name = hex(record.claim.root);
    if (!lists.has(name)) lists.set(name, new Map());
    const parts = lists.get(name);
    if (!parts.has(record.claim.index)) parts.set(record.claim.index, record.claim.data);
  }
  return lists;
}

function keysOf(listed, lists) {
  const shown = listed.entry.public;
  let keys = null;
  return (index) => {
    keys ??= findKeys(shown, listed.keys, lists);
    return keys[index] ?? null;
  };
}

function findKeys(shown, beside, lists) {
  if (!shown.root) return [];
  const parts = lists.get(hex(shown.root)) ?? new Map();
  try {
    const keys = beside ?? inParts(parts, shown.count);
    return keys.length === shown.count && same(serialRoot(keys), shown.root) ? keys : [];
  } catch (error) {
    if (error instanceof Refused) return [];
    throw error;
  }
}

/** The first keys in the parts of one root, by index; what is no bin is passed over. */
function inParts(parts, count) {
  const keys = [];
  for (let index = 0; keys.length < count && parts.has(index); index += 1) {
    const value = decode(parts.get(index), 32_768);
    if (Array.isArray(value)) keys.push(...value.filter((key) => key instanceof Uint8Array));
  }
  return keys.slice(0, count);
}

/** clamp(largest time_ms in the feed, witness time - late_ms, witness time). */
export const actTime = (one, lateMs) => Math.min(Math.max(one.largest, one.wt - lateMs), one.wt);

/** The row of one scan whose claim is here. */
export function makeRow(terms, campaign, one, tags) {
  const { record } = one;
  const { claim } = record;
  const stage = terms.stages[claim.stage];
  const time = actTime(one, stage?.lateMs ?? 0);
  const listed = tags.get(hex(claim.tag));
  const fresh = (start, windowMs) =>
    start - 60_000 <= time && time <= start + windowMs + (stage?.freshMs ?? 0);
  const proof = listed
    ? prove({
        entry: listed.entry,
        evidence: claim.evidence,
        network: terms.network,
        campaign,
        author: record.author,
        keyAt: listed.keyAt,
        fresh,
      })
    : { grade: 0, slot: null, window: null, counter: null };
  return {
    author: record.author,
    seq: record.seq,
    id: record.id,
    stage: claim.stage,
    tag: claim.tag,
    ...proof,
    actTime: time,
  };
}
