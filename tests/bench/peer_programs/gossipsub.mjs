// What js-libp2p's GossipSub takes to deliver a message: CPU of both ends.
//
//     node gossipsub.mjs COUNT      in `.peers`, which `make peers` sets up
//
// Two nodes in one process over TCP, Noise and yamux; messages of 400 bytes in bursts of
// 16. Prints JSON.
Promise.withResolvers ??= function () {
  const all = {};
  all.promise = new this((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
};
const { createLibp2p } = await import("libp2p");
const { tcp } = await import("@libp2p/tcp");
const { noise } = await import("@chainsafe/libp2p-noise");
const { yamux } = await import("@chainsafe/libp2p-yamux");
const { identify } = await import("@libp2p/identify");
const { gossipsub } = await import("@libp2p/gossipsub");

const TOPIC = "bench";
const BURST = 16;
const count = Number(process.argv[2]);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const node = () =>
  createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true }) },
  });

const [here, there] = [await node(), await node()];
here.services.pubsub.subscribe(TOPIC);
there.services.pubsub.subscribe(TOPIC);
await here.dial(there.getMultiaddrs()[0]);
while (here.services.pubsub.getMeshPeers(TOPIC).length === 0) await pause(50);

let delivered = 0;
there.services.pubsub.addEventListener("message", () => delivered++);
const data = () => crypto.getRandomValues(new Uint8Array(400));
const before = process.cpuUsage();
const begin = performance.now();
for (let sent = 0; sent < count; sent += BURST) {
  await Promise.all(Array.from({ length: BURST }, () => here.services.pubsub.publish(TOPIC, data())));
  while (delivered < sent + BURST) await pause(1);
}
const used = process.cpuUsage(before);
const seconds = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ count: delivered, seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
await Promise.all([here.stop(), there.stop()]);
process.exit(0);
