/** What a large batch takes goes when it is in tables: its records, and the arena that was made for it. */
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Database } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectValue } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const VALUES = 32;
/** One arena: the flush thread's view of it goes when that thread collects its garbage next. Not the records, nor a second arena. */
const LEFT_BYTES_MAX = 48 * MEBIBYTE;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heldBytes(): Promise<number> {
  // Twice: what is let go of in one turn may have held on to more.
  for (let i = 0; i < 2; i++) {
    await setImmediate();
    collectGarbage();
  }
  return process.memoryUsage().arrayBuffers;
}

/** What it writes is nobody's when it returns. */
async function writeLarge(database: Database, isChained: boolean): Promise<void> {
  const operations = Array.from({ length: VALUES }, (_, i) => ({
    type: 'put' as const,
    key: `large ${i}`,
    value: Buffer.alloc(MEBIBYTE, i),
  }));
  const small = { type: 'put' as const, key: 'small', value: Buffer.alloc(100, 1) };
  if (!isChained) return database.batch([small, ...operations]);
  const batch = database.batch();
  for (const { key, value } of [small, ...operations]) batch.put(key, value);
  await batch.write();
}

testBackends('a large batch leaves no memory behind', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, { writeBufferBytes: MEBIBYTE });
  await database.put('first', '1');
  for (const isChained of [false, true]) {
    // Of each batch by itself: that thread may collect nothing between the two, and then it has two views.
    const before = await heldBytes();
    await writeLarge(database, isChained);
    // Out of the arena that is the batch's own.
    await expectValue(t, database, 'small', Buffer.alloc(100, 1));
    t.is(database.getInto('small', new Uint8Array(100)), 100);
    await database.flush();
    await database.put('last', '1');
    t.is(database.getString('last'), '1');
    const left = (await heldBytes()) - before;
    t.true(left < LEFT_BYTES_MAX, `${left} bytes are left`);
  }
});
