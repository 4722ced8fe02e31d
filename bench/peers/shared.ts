/** What the adapters of several engines have in common. Benchmarks only. */
import { readFileSync, readdirSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

export const WRITE_BUFFER_BYTES = 32 * (1 << 20);
/** Entries that are fetched at once by a scan, where the engine can be told. */
export const SCAN_ENTRIES = 1000;

const POLL_MILLIS = 20;

/** What the operating system has of a file goes to the disk. A file that is gone has nothing left to lose. */
export async function syncFile(path: string): Promise<void> {
  try {
    await using file = await open(path);
    await file.datasync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * The logs of a LevelDB or RocksDB. Neither binding can sync them without writing an entry; and a synchronous write of
 * LevelDB's leaves out the log before the current one, while the memtable of that is still being flushed.
 */
export async function syncLogs(directory: string): Promise<void> {
  const logs = (await readdir(directory)).filter((name) => name.endsWith('.log'));
  await Promise.all(logs.map((name) => syncFile(join(directory, name))));
}

const ROCKSDB_BACKGROUND_WORK = [
  'rocksdb.mem-table-flush-pending',
  'rocksdb.num-running-flushes',
  'rocksdb.compaction-pending',
  'rocksdb.num-running-compactions',
];

type PropertyReader = (name: string) => string | Promise<string>;

async function isRocksDbIdle(property: PropertyReader): Promise<boolean> {
  for (const name of ROCKSDB_BACKGROUND_WORK) {
    if ((await property(name)) !== '0') return false;
  }
  return true;
}

/** Waits until RocksDB neither flushes nor compacts, nor means to. */
export async function untilRocksDbIsIdle(property: PropertyReader): Promise<void> {
  while (!(await isRocksDbIdle(property))) await setTimeout(POLL_MILLIS);
}

const ROCKSDB_OPTIONS = new Set([
  'rocksdb_version',
  'use_direct_reads',
  'use_direct_io_for_flush_and_compaction',
  'max_background_jobs',
  'write_buffer_size',
  'compression',
  'block_size',
  'no_block_cache',
  'filter_policy',
]);

/** What a RocksDB was opened with, from the file that it keeps of that: not all that a binding takes gets so far. */
export function rocksDbOptions(directory: string): Record<string, string> {
  const files = readdirSync(directory).filter((name) => name.startsWith('OPTIONS-'));
  const newest = files.sort().at(-1);
  if (newest === undefined) return {};
  const lines = readFileSync(join(directory, newest), 'utf8').split('\n');
  const options = lines.flatMap((line) => {
    const [name, value] = line.trim().split('=', 2);
    return ROCKSDB_OPTIONS.has(name) ? [[name, value] as const] : [];
  });
  return Object.fromEntries(options);
}
