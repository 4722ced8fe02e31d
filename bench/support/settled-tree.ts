/**
 * When a tree has come to rest, and what it takes then. Benchmarks and tests only.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database, DatabaseStats } from '../../src/index.ts';

const POLL_MS = 50;

export interface Settling {
  /** Nothing must have been compacted for so long: longer than the database waits before it brings levels to rest. */
  readonly quietMs: number;
  /** It has not settled if it takes longer. */
  readonly limitMs: number;
}

/**
 * Flushes and waits until nothing is compacted any more and no file is kept that is no table. Throws when that takes too
 * long and when compactions fail. REQUIRES: nobody writes.
 */
export async function settle(database: Database, { quietMs, limitMs }: Settling): Promise<void> {
  await database.flush();
  const begun = performance.now();
  let quietSince = begun;
  let before = -1;
  for (;;) {
    const { compactions, levels, tableFiles } = database.stats();
    const now = performance.now();
    const done = compactions.compactions + compactions.movedTables;
    if (compactions.running !== null || done !== before || tableFiles.spare > 0) quietSince = now;
    before = done;
    if (compactions.failures > 0) throw new Error(`a compaction failed: ${compactions.lastFailure}`);
    if (now - quietSince >= quietMs) return;
    if (now - begun > limitMs) {
      throw new Error(`not settled after ${limitMs} ms: ${JSON.stringify({ levels, compactions })}`);
    }
    await delay(POLL_MS);
  }
}

export interface Space {
  /** Bytes of all files of tables in the directory, whether a version names them or not. */
  readonly tableFileBytes: number;
  /** That for each byte of the keys and values that are live. */
  readonly perRawByte: number;
  /**
   * That for each byte that the live entries take in tables of this form: all bytes of tables, less the share of entries
   * that are not live.
   */
  readonly perStoredByte: number;
}

export function spaceOf(
  directory: string,
  { levels }: DatabaseStats,
  liveEntries: number,
  entryBytes: number,
): Space {
  let tableFileBytes = 0;
  for (const name of readdirSync(directory)) {
    if (name.endsWith('.sst')) tableFileBytes += statSync(join(directory, name)).size;
  }
  const tableBytes = levels.reduce((sum, { bytes }) => sum + bytes, 0);
  const entries = levels.reduce((sum, level) => sum + level.entries, 0);
  return {
    tableFileBytes,
    perRawByte: tableFileBytes / (liveEntries * entryBytes),
    perStoredByte: tableFileBytes / ((tableBytes * liveEntries) / entries),
  };
}
