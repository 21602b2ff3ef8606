// How fast ssb-db2 takes the messages of one feed: decode, verify, store durably.
//
//     node ssb.mjs COUNT      in `.peers`, which `make peers` sets up
//
// Prints JSON. The messages are signed beforehand, in another store.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import SecretStack from "secret-stack";
import ssbClassic from "ssb-classic";
import ssbDb from "ssb-db2/core.js";
import ssbKeys from "ssb-keys";

const caps = { shs: randomBytes(32).toString("base64") };
const count = Number(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), "ssb-"));

const open = (name) =>
  SecretStack({ appKey: caps.shs })
    .use(ssbDb)
    .use(ssbClassic)
    .call(null, { caps, path: join(folder, name), keys: ssbKeys.generate() });

const here = open("here");
const keys = ssbKeys.generate();
const create = promisify(here.db.create);
const messages = [];
for (let i = 0; i < count; i++) {
  const content = { type: "post", text: `note ${i}` };
  messages.push((await create({ keys, feedFormat: "classic", content })).value);
}
const there = open("there");
// What is said to be stored is: `onDrain` comes after the log was written.
const begin = performance.now();
await promisify(there.db.addBatch)(messages, {});
await promisify(there.db.onDrain)("base");
await promisify(there.db.getLog().onDrain)();
const seconds = (performance.now() - begin) / 1000;
await promisify(here.close)(true);
await promisify(there.close)(true);
rmSync(folder, { recursive: true, force: true });
console.log(JSON.stringify({ count, seconds }));
