/**
 * One compaction of everything, in quadring and in RocksDB: entries that were overwritten several times lie in overlapping
 * tables of level 0, and one thread merges them into the lowest level. Benchmarks only.
 *
 * Keys of 16 bytes, values of 100, blocks of 16 KiB, 10 filter bits, no compression, tables of 32 MiB, O_DIRECT, no limit of
 * the rate. Both sides get the same bytes, and what a full scan finds afterwards is held against what must be there.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Database, type DatabaseStats } from '../../src/index.ts';
import { collectGarbage, syncDisks } from './cold.ts';
import { hashEntry, KEY_BYTES, OverwrittenEntries, type Checksum } from './overwritten-entries.ts';
import { describeQuadring } from './quadring.ts';
import { compactInRocksDb } from './rocksdb-program.ts';
import { cpuTimes } from './thread-times.ts';

const MEBIBYTE = 1 << 20;
const VALUE_BYTES = 100;
const SEED = 1;
const TABLE_BYTES = 32 * MEBIBYTE;
const BATCH_ENTRIES = 1000;
const SCAN_ENTRIES = 1000;
/** An entry takes so much of a memtable at most, so that a run is flushed when it is complete and not before. */
const MEMTABLE_BYTES_PER_ENTRY = 224;
/** Writes are not held back while the runs are made. */
const L0_TABLES_MAX = 48;

export interface CompactionTask {
  readonly entries: number;
  /** How often each key is written, in another order each time. */
  readonly overwrites: number;
  /** Tables that each time makes. */
  readonly runs: number;
  /** For the databases, one at a time. */
  readonly root: string;
}

export interface CompactionResult {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly compactionThreadSeconds: number;
  /** Of the caller's thread; null where there is none that matters. */
  readonly ownerSeconds: number | null;
  readonly fileBytesRead: number;
  readonly fileBytesWritten: number;
  /** Of the engine, and of what it did. */
  readonly details: Readonly<Record<string, unknown>>;
}

export class OneCompaction {
  /** What was written, keys and values without what either format adds: so it is the same on both sides. */
  readonly inputBytes: number;
  readonly #task: CompactionTask;
  readonly #entries: OverwrittenEntries;
  readonly #expected: Checksum;

  constructor(task: CompactionTask) {
    this.#task = task;
    this.#entries = new OverwrittenEntries(task.entries, VALUE_BYTES, SEED);
    this.inputBytes = task.entries * task.overwrites * this.#entries.entryBytes;
    this.#expected = this.#entries.checksum(task.overwrites - 1);
  }

  /** How many tables lie in level 0. */
  get runs(): number {
    return this.#task.overwrites * this.#task.runs;
  }

  async inQuadring(backend: 'auto' | 'uring' | 'syscall'): Promise<CompactionResult> {
    const directory = join(this.#task.root, 'compaction');
    const runBytes = Math.ceil(this.#entries.count / this.#task.runs) * MEMTABLE_BYTES_PER_ENTRY;
    const database = await Database.open(directory, {
      writeBufferBytes: Math.max(Math.ceil(runBytes / MEBIBYTE), 1) * MEBIBYTE,
      compaction: {
        automatic: false,
        rateBytesPerSecond: 0,
        tableBytes: TABLE_BYTES,
        l0Slowdown: L0_TABLES_MAX - 1,
        l0Stop: L0_TABLES_MAX,
      },
      io: { backend },
    });
    try {
      await this.#load(database);
      this.#expectRuns(database.stats());
      syncDisks();
      collectGarbage();
      const cpu = cpuTimes();
      const before = performance.now();
      await database.compactRange();
      const seconds = (performance.now() - before) / 1000;
      const { processSeconds, ownerSeconds, busiestSeconds } = cpu();
      const { compactions, levels } = database.stats();
      if (levels.length !== 1 || levels[0].level === 0 || levels[0].entries !== this.#entries.count) {
        throw new Error(`everything was to lie in one lower level, not ${JSON.stringify(levels)}`);
      }
      this.#expectContents('quadring', await scan(database));
      return {
        seconds,
        cpuSeconds: processSeconds,
        compactionThreadSeconds: busiestSeconds,
        ownerSeconds,
        fileBytesRead: compactions.bytesRead,
        fileBytesWritten: compactions.bytesWritten,
        details: { ...describeQuadring(database), compactions },
      };
    } finally {
      await database.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** REQUIRES: its program was built. */
  inRocksDb(): CompactionResult {
    const directory = join(this.#task.root, 'compaction');
    syncDisks();
    const result = compactInRocksDb({
      directory,
      entries: this.#entries.count,
      rounds: this.#task.overwrites,
      runsPerRound: this.#task.runs,
      valueBytes: VALUE_BYTES,
      seed: SEED,
      tableBytes: TABLE_BYTES,
    });
    rmSync(directory, { recursive: true, force: true });
    if (result.inputFiles !== this.runs) throw new Error(`RocksDB compacted ${result.inputFiles} tables`);
    this.#expectContents('RocksDB', result);
    return {
      seconds: result.seconds,
      cpuSeconds: result.cpuSeconds,
      compactionThreadSeconds: result.threadCpuSeconds,
      ownerSeconds: null,
      fileBytesRead: result.inputBytes,
      fileBytesWritten: result.outputBytes,
      details: { ...result },
    };
  }

  async #load(database: Database): Promise<void> {
    const { overwrites, runs } = this.#task;
    const entries = this.#entries;
    for (let round = 0; round < overwrites; round++) {
      let batch = database.batch();
      let written = 0;
      for (const number of entries.order(round)) {
        batch.put(entries.key(number), entries.value(number, round));
        written++;
        const run = Math.floor((written * runs) / entries.count);
        const isRunEnd = run !== Math.floor(((written - 1) * runs) / entries.count);
        if (!isRunEnd && written % BATCH_ENTRIES !== 0) continue;
        await batch.write({ sync: false });
        batch = database.batch();
        if (isRunEnd) await database.flush();
      }
    }
  }

  /** Level 0 has the runs and no other level has anything. */
  #expectRuns({ levels }: DatabaseStats): void {
    if (levels.length === 1 && levels[0].level === 0 && levels[0].tables === this.runs) return;
    throw new Error(`${this.runs} tables were to lie in level 0, not ${JSON.stringify(levels)}`);
  }

  #expectContents(engine: string, { entries, sum }: Checksum): void {
    const expected = this.#expected;
    if (entries === expected.entries && sum === expected.sum) return;
    throw new Error(
      `${engine}: ${entries} entries with the sum ${sum}, expected ${expected.entries} with ${expected.sum}`,
    );
  }
}

async function scan(database: Database): Promise<Checksum> {
  const iterator = database.iterator();
  let sum = 0;
  let count = 0;
  let last: Buffer | undefined;
  for (;;) {
    const batch = await iterator.nextv(SCAN_ENTRIES);
    if (batch.length === 0) break;
    for (const [key, value] of batch) {
      if (last !== undefined && Buffer.compare(last, key) >= 0)
        throw new Error('keys came in the wrong order');
      if (key.length !== KEY_BYTES || value.length !== VALUE_BYTES)
        throw new Error('an entry has a wrong size');
      sum = (sum + hashEntry(key, value)) | 0;
      last = key;
    }
    count += batch.length;
  }
  await iterator.close();
  return { entries: count, sum: sum >>> 0 };
}
