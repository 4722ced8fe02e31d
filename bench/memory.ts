/**
 * What an open database costs in resident memory, part by part, and that opening and closing grows nothing. Benchmarks
 * only; a process of its own, so that nothing else has grown before.
 *
 *     node --expose-gc dist/bench/memory.js
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { residentMebibytes } from './support/measure.ts';

const OPENS = 3000;
const SETTLED_AFTER = 2000;

const root = mkdtempSync(join(tmpdir(), 'quadring-memory-'));
const rows: { part: string; MiB: string }[] = [];
let last = residentMebibytes();
const bare = last;
rows.push({ part: 'bare Node', MiB: bare.toFixed(1) });

function note(part: string): void {
  const now = residentMebibytes();
  rows.push({ part: `+ ${part}`, MiB: (now - last).toFixed(1) });
  last = now;
}

function countOf(directory: string): number {
  return readdirSync(directory).length;
}

try {
  const { Database } = await import('../src/index.ts');
  note('the library and its addon');
  const { acquireCrew, releaseCrew } = await import('../src/main/crew-pool.ts');
  const { resolveOptions } = await import('../src/main/options.ts');
  await releaseCrew(await acquireCrew(resolveOptions()));
  note('a crew: four threads with their isolates, rings and queues');
  const database = await Database.open(join(root, 'one'));
  note('an open database: 32 MiB of cache and 6 MiB of buffers, registered with the kernel');
  const total = last - bare;
  rows.push({ part: '= one idle database beyond bare Node', MiB: total.toFixed(1) });
  rows.push({ part: '= the same beyond its 32 MiB cache', MiB: (total - 32).toFixed(1) });
  const second = await Database.open(join(root, 'two'));
  note('a second database open at once, with a crew of its own');
  await Promise.all([database.put('key', 'one'), second.put('key', 'two')]);
  if (database.getString('key') !== 'one' || second.getString('key') !== 'two')
    throw new Error('wrong value');
  await Promise.all([database.close(), second.close()]);
  let threads = 0;
  let descriptors = 0;
  for (let i = 0; i < OPENS; i++) {
    if (i === SETTLED_AFTER) {
      note(`${SETTLED_AFTER} opens and closes in a row`);
      threads = countOf('/proc/self/task');
      descriptors = countOf('/proc/self/fd');
    }
    await (await Database.open(join(root, 'one'))).close();
  }
  note(`${OPENS - SETTLED_AFTER} more opens and closes`);
  console.table(rows);
  const grown = {
    threads: countOf('/proc/self/task') - threads,
    descriptors: countOf('/proc/self/fd') - descriptors,
  };
  console.log(
    `grown in the last ${OPENS - SETTLED_AFTER}: ${grown.threads} threads, ${grown.descriptors} descriptors`,
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
