/**
 * Deletes a range. Owner only.
 *
 * A whole range is one deletion, atomic and of one record. What a limit or a snapshot leaves out of it is not a range: then
 * the keys are read from one snapshot, and deleted in batches of bounded size. Of these only the last is waited for on the
 * disk: what is logged is durable with all that was logged before.
 */
import type { Database } from '../index.ts';
import { boundsOf, iteratorOptions, writeOptions, type PrivateClearOptions } from './options.ts';

/** With keys of the greatest length this makes a batch of 16 MiB. */
const BATCH_KEYS_MAX = 256;
const LATER = { sync: false } as const;

export async function clearRange(database: Database, options: PrivateClearOptions): Promise<void> {
  const { limit, snapshot } = options;
  const isWhole = (limit === -1 || limit === Infinity) && (snapshot === undefined || snapshot === null);
  if (isWhole) await database.deleteRange(boundsOf(options), writeOptions(options));
  else await clearKeys(database, options);
}

async function clearKeys(database: Database, options: PrivateClearOptions): Promise<void> {
  const keys = database.keys(iteratorOptions({ ...options, keyEncoding: 'buffer', fillCache: false }));
  try {
    let found = await keys.nextv(BATCH_KEYS_MAX);
    while (found.length > 0) {
      const more = await keys.nextv(BATCH_KEYS_MAX);
      const batch = database.batch();
      for (const key of found) batch.del(key);
      await batch.write(more.length > 0 ? LATER : writeOptions(options));
      found = more;
    }
  } finally {
    await keys.close();
  }
}
