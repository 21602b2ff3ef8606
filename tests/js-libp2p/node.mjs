// A js-libp2p node that speaks the neighbour protocol:
//
//   node tests/js-libp2p/node.mjs NETWORK SCOPE-IN-HEX [ADDRESS-TO-DIAL]
//
// It prints one JSON document a line for everything that happens, and runs until standard input ends.

import { randomBytes } from "node:crypto";

// libp2p 3.3 is made for Node 22; this is all that it misses in Node 20.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { createLibp2p } = await import("libp2p");
const { tcp } = await import("@libp2p/tcp");
const { noise } = await import("@chainsafe/libp2p-noise");
const { yamux } = await import("@chainsafe/libp2p-yamux");
const { identify } = await import("@libp2p/identify");
const { ping } = await import("@libp2p/ping");
const { multiaddr } = await import("@multiformats/multiaddr");
const { unhex } = await import("../js/codec.mjs");
const { networkId } = await import("../js/keys.mjs");
const { Feeds, Session, framed, run } = await import("../js/session.mjs");

const PROTOCOL = "/p2pnode/neighbour/1.0.0";
const [networkName, scopeText, address] = process.argv.slice(2);
const network = networkId(networkName);
const holdings = [new Feeds(network, unhex(scopeText))];
const sessions = new Map();
const say = (document) => console.log(JSON.stringify(document));

const node = await createLibp2p({
  addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping() },
});

/** What one session learnt goes to the others. */
function passOn(from, scope, wire) {
  for (const [session, stream] of sessions) {
    const frames = session === from ? [] : session.offer(scope, [wire]);
    if (frames.length) stream.send(framed(frames));
  }
}

async function* chunksOf(stream) {
  for await (const chunk of stream) yield chunk.subarray();
}

async function talk(stream, dialled) {
  const session = new Session({
    network,
    holdings,
    dialled,
    nonce: randomBytes(32),
    card: [node.peerId.toString(), node.getMultiaddrs().map(String), Date.now(), Buffer.alloc(0)],
    tell: ({ wire, ...event }) => {
      say(event);
      if (event.event === "new") passOn(session, holdings[0].scope, wire);
    },
  });
  sessions.set(session, stream);
  await run(session, chunksOf(stream), (bytes) => stream.send(bytes));
  sessions.delete(session);
  await stream.close();
}

const talkUntilItEnds = (stream, dialled) =>
  talk(stream, dialled).catch((error) => say({ event: "ended", reason: String(error) }));

await node.handle(PROTOCOL, (stream) => talkUntilItEnds(stream, false));
node.addEventListener("peer:identify", ({ detail }) =>
  say({ event: "identified", agent: detail.agentVersion, protocols: detail.protocols }),
);
say({ event: "listening", addresses: node.getMultiaddrs().map(String) });

if (address) {
  say({ event: "pinged", ms: await node.services.ping.ping(multiaddr(address)) });
  talkUntilItEnds(await node.dialProtocol(multiaddr(address), PROTOCOL), true);
}
process.stdin.resume();
process.stdin.on("end", () => node.stop().then(() => process.exit(0)));
