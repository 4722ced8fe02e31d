/**
 * A process that is stopped and let go on while it works: `stopped-child <backend> <directory>`. Lanes write, read, and read
 * while they block the thread; once a compaction is always under way. It prints which threads its database has, then how
 * many writes have been acknowledged whenever that has changed, and when its standard input ends it closes and prints how
 * many there were in all. Whatever goes wrong ends it with an error.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Database } from '../../src/index.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const LANES = 8;
const VALUE_BYTES = 1000;
const REPORT_MS = 20;
/** A lane rests after each of its writes: others have something to do on this machine. */
const REST_MS = 5;

const [, , backend, directory] = process.argv;
/** Without the kernel's workers for the rings, which come and go. */
const threads = (): string[] =>
  readdirSync('/proc/self/task').filter(
    (id) => !readFileSync(`/proc/self/task/${id}/comm`, 'latin1').startsWith('iou-'),
  );
const before = new Set(threads());
const database = await Database.open(directory, {
  writeBufferBytes: 262_144,
  // Every read goes to the disk, and so to a ring thread.
  blockCacheBytes: 0,
  compaction: { tableBytes: 262_144, baseBytes: 524_288 },
  io: ioOf(backend as Backend),
});
let acknowledged = 0;
let next = 0;
let isEnding = false;

async function lane(): Promise<void> {
  while (!isEnding) {
    const i = next++;
    await database.put(keyOf(i), valueOf(VALUE_BYTES, i));
    acknowledged++;
    expectOwn(Math.max(0, i - 100 * LANES), await database.get(keyOf(Math.max(0, i - 100 * LANES))));
    const early = Math.floor(i / 2);
    if (i % 16 === 0 && early < acknowledged - LANES) expectOwn(early, database.getSync(keyOf(early)));
    await delay(REST_MS);
  }
}

function expectOwn(i: number, value: Buffer | undefined): void {
  if (i >= acknowledged - LANES) return;
  if (value?.equals(valueOf(VALUE_BYTES, i)) !== true) throw new Error(`${keyOf(i)} is not what it was`);
}

const lanes = Promise.all(Array.from({ length: LANES }, lane));
process.stdin.once('end', () => (isEnding = true)).resume();
process.stdout.write(`threads ${JSON.stringify(threads().filter((id) => !before.has(id)))}\n`);
for (let reported = -1; !isEnding;) {
  await Promise.race([lanes, delay(REPORT_MS)]);
  if (reported === acknowledged) continue;
  reported = acknowledged;
  process.stdout.write(`acknowledged ${reported}\n`);
}
await lanes;
if (database.stats().failure !== null) throw new Error(database.stats().failure ?? '');
await database.close();
process.stdout.write(`closed ${next}\n`);
