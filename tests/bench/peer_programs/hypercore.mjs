// How fast a hypercore is replicated: fetched, verified by its tree, stored.
//
//     node hypercore.mjs COUNT      in `.peers`, which `make peers` sets up
//
// Two cores in one process over a stream, as our own `catchup`. Prints JSON.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Hypercore from "hypercore";

const count = Number(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), "hyper-"));

const here = new Hypercore(join(folder, "here"));
await here.ready();
const block = Buffer.alloc(300, 7);
for (let i = 0; i < count; i += 256) {
  await here.append(Array.from({ length: Math.min(256, count - i) }, () => block));
}
const there = new Hypercore(join(folder, "there"), here.key);
await there.ready();
const begin = performance.now();
const [a, b] = [here.replicate(true), there.replicate(false)];
a.pipe(b).pipe(a);
await there.update({ wait: true });
await there.download({ start: 0, end: count }).done();
const seconds = (performance.now() - begin) / 1000;
if (there.contiguousLength !== count) throw new Error(`${there.contiguousLength} came`);
a.destroy();
b.destroy();
await here.close();
await there.close();
rmSync(folder, { recursive: true, force: true });
console.log(JSON.stringify({ count, seconds }));
