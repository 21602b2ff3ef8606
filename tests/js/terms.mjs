// The terms of a campaign. Spec 0005.

import { Refused, ascending, bin, bool, choice, encode, hex, list, option, str, struct, uint } from "./codec.mjs";
import { sha256, preimage } from "./keys.mjs";

const NAME = 192;
const DAYS400 = 400 * 86_400_000;
const TIME_MAX = 253_402_300_799_999;
const MILLION = 1_000_000;
export const ACT = { join: 2, scan: 5, attest: 6, outcome: 7 };
export const ROLE = { merchant: 1, host: 2, device: 4 };
export const RULE_TAG = { flat: 1, halving: 2 };

const enumeration = (...values) => (value) => {
  if (!values.includes(value)) throw new Refused("bad-shape", `one of ${values}`);
  return value;
};

const keys = ascending(bin(32), 4, 1);
const ratio = struct({ numerator: uint(MILLION), denominator: uint(MILLION, 1) });

const RULE = choice({
  1: struct({ first: uint() }),
  2: struct({}),
  3: struct({ gamma: ratio, delta: ratio }),
  4: struct({ a: ratio }),
  5: struct({ beta: ratio, levels: uint(1024, 1) }),
  6: struct({ beta: ratio }),
  7: struct({}),
});

const REWARD = struct({
  rule: RULE,
  amount: uint(),
  percentBp: uint(10_000),
  hostBp: uint(10_000),
  backBp: uint(10_000),
});

const STAGE = struct({
  id: str(64),
  line: enumeration(0, 1),
  act: uint(7, 2),
  tags: option(str(NAME)),
  grade: uint(7),
  once: uint(4),
  after: list(struct({ stage: uint(31), byInvitee: bool }), 8),
  opens: uint(),
  closes: uint(),
  lateMs: uint(DAYS400),
  freshMs: uint(DAYS400),
  perWindow: uint(MILLION),
  refundMs: uint(DAYS400),
  bindMs: uint(DAYS400),
  reward: option(REWARD),
});

const CAPS = struct({
  feeds: uint(MILLION, 1),
  recordsPerFeed: uint(MILLION, 1),
  bytesPerFeed: uint(),
  namedRecordsPerFeed: uint(MILLION, 1),
  namedBytesPerFeed: uint(),
});

export const TERMS = struct({
  title: str(NAME),
  network: bin(16),
  nonce: bin(16),
  unit: str(16),
  budget: uint(),
  sponsor: keys,
  witnesses: list(struct({ key: bin(32), owner: str(NAME) }), 7, 1),
  rounds: list(struct({ opens: uint(), closes: uint(), acceptUntil: uint(), finalFrom: uint() }), 100, 1),
  seenIntervalMs: uint(3_600_000, 100),
  redeemUntil: uint(),
  residue: struct({ key: bin(32), name: str(NAME) }),
  named: list(
    struct({ keys, role: uint(7, 1), name: str(NAME), amountMax: uint(), perDayMax: uint(), totalMax: uint() }),
    256,
  ),
  groups: list(struct({ name: str(NAME), count: uint(2 ** 20, 1), root: bin(32) }), 32),
  stages: list(STAGE, 32, 1),
  conditions: list(struct({ stage: uint(31), count: enumeration(1, 2, 3), least: uint(2 ** 20) }), 16),
  limits: struct({ paidLevels: uint(1024), perPersonPerDay: uint(MILLION), placeIntervalMs: uint(DAYS400) }),
  caps: CAPS,
  joinBits: uint(30),
  depth: uint(1024, 1),
  dayOffsetMin: uint(1440),
});

export const campaignId = (value) => sha256(preimage("campaign", encode(value)));

const parties = new WeakMap();

/** The merchant, host or device of `key` (hex), or null. */
export function partyOf(terms, key) {
  if (!parties.has(terms)) {
    const found = new Map();
    for (const party of terms.named) {
      const keys = party.keys.map(hex);
      for (const one of keys) found.set(one, { ...party, keys });
    }
    parties.set(terms, found);
  }
  return parties.get(terms).get(key) ?? null;
}

const distinct = (items) => new Set(items).size === items.length;
const rising = (items) => items.every((item, i) => i === 0 || Buffer.compare(items[i - 1], item) < 0);

/** The relations of §7, in order. */
export function checkTerms(terms) {
  const need = (good, words) => {
    if (!good) throw new Refused("bad-terms", words);
  };
  const { witnesses, named, rounds, stages, groups } = terms;
  const last = rounds[rounds.length - 1];
  need([1, 4, 7].includes(witnesses.length), "1, 4 or 7 witnesses");
  need(rising(witnesses.map((one) => one.key)), "witnesses ascend");
  need(rising(named.map((one) => one.keys[0])), "parties ascend");
  need(distinct(named.flatMap((one) => one.keys.map(hex))), "a key in two parties");
  need(distinct(stages.map((one) => one.id)), "stage ids differ");
  need(distinct(groups.map((one) => one.name)), "group names differ");
  rounds.forEach((one, i) => {
    need((i === 0 || rounds[i - 1].opens <= one.opens) && one.opens < one.closes, "opens");
  });
  rounds.forEach((one) => {
    need(one.closes <= one.acceptUntil && one.acceptUntil < one.finalFrom && one.finalFrom <= TIME_MAX, "accept_until, final_from");
  });
  rounds.forEach((one, i) => need(i === 0 || rounds[i - 1].closes < one.closes, "closes ascend"));
  for (const stage of stages) {
    const open = rounds[0].opens + stage.lateMs + stage.refundMs;
    need(open <= last.acceptUntil, "late and refund end in time");
  }
  need(terms.redeemUntil > last.finalFrom, "redeem_until");
  stages.forEach((stage, index) => checkStage(stage, index, need));
  for (const condition of terms.conditions) {
    const stage = stages[condition.stage];
    need(stage, "the condition's stage");
    if (condition.count !== 1) continue;
    const group = groups.find((one) => one.name === stage.tags);
    need(group && group.count >= condition.least, "the condition's group");
  }
}

function checkStage(stage, index, need) {
  need(Object.values(ACT).includes(stage.act), "act");
  need(stage.act !== ACT.scan || stage.tags, "a scan names its tags");
  need(stage.after.every((one) => one.stage < index), "after");
  need(stage.act === ACT.outcome || stage.refundMs === 0, "only outcomes are refunded");
  const { reward } = stage;
  if (!reward) return;
  need((reward.amount > 0) !== (reward.percentBp > 0), "one of amount and percent_bp");
  need(reward.percentBp === 0 || stage.act === ACT.outcome, "percent_bp");
  need(reward.hostBp + reward.backBp <= 10_000, "host_bp + back_bp");
}
