// Which Ed25519 edge cases are accepted: node tests/js/edges.mjs FILE.

import { readFileSync } from "node:fs";
import { unhex } from "./codec.mjs";
import { accepts } from "./keys.mjs";

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const accepted = cases
  .filter((one) => accepts(unhex(one.key), Buffer.from(one.msg, "utf8"), unhex(one.sig)))
  .map((one) => one.number);
console.log(JSON.stringify({ cases: cases.length, accepted }));
