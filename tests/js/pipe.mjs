// A neighbour session over standard input and output: node tests/js/pipe.mjs NETWORK SCOPE dialler|listener FILE
//
// NETWORK and SCOPE are hex; FILE holds the records it has to begin with, framed. What happens is told on
// standard error, a JSON document a line.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { allFrames, unhex } from "./codec.mjs";
import { Feeds, Session, run } from "./session.mjs";

const [network, scope, side, file] = process.argv.slice(2);
const feeds = new Feeds(unhex(network), unhex(scope));
const { bodies } = allFrames(readFileSync(file));
feeds.meet(bodies);
for (const body of bodies) feeds.add(body);

const session = new Session({
  network: unhex(network),
  holdings: [feeds],
  dialled: side === "dialler",
  nonce: randomBytes(32),
  card: ["js", [], 0, Buffer.alloc(0)],
  tell: ({ wire, ...event }) => console.error(JSON.stringify(event)),
});
await run(session, process.stdin, (bytes) => process.stdout.write(bytes));
