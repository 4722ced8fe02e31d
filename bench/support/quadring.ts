/** quadring in benchmarks of its own: how it is filled, and what it says of itself. Benchmarks only. */
import { Database } from '../../src/index.ts';
import { BLOCK_BYTES } from '../peers/peer.ts';
import type { NumberedEntries } from './numbered-entries.ts';

const LOAD_BATCH = 20_000;

/** What whoever reads the figures must know. */
export function describeQuadring(database: Database): Record<string, unknown> {
  const { backend, backendReason, directIo, checksum, rings, levels, storage } = database.stats();
  const flags = rings.find(({ role }) => role === 'foreground')?.flags ?? [];
  return { backend, backendReason, directIo, checksum, flags, levels, storage };
}

/** Fills a database in random order and leaves everything in tables. */
export async function loadQuadring(directory: string, entries: NumberedEntries): Promise<void> {
  const database = await Database.open(directory, { blockBytes: BLOCK_BYTES });
  try {
    for (const numbers of entries.shuffled(LOAD_BATCH)) {
      const batch = database.batch();
      for (const number of numbers) batch.put(entries.key(number), entries.value(number));
      await batch.write({ sync: false });
    }
    await database.flush();
  } finally {
    await database.close();
  }
}
