/**
 * Small closed databases on a disk in memory that have everything a file can have, and what verification, repair and a new
 * open make of them.
 */
import { QuadringError, type Database, type DatabaseOptions, type VerifyReport } from '../../src/index.ts';
import { Database as OpenDatabase } from '../../src/main/database.ts';
import type { CompressionName } from '../../src/format/compression.ts';
import { parseFileName, type FileKind } from '../../src/format/file-names.ts';
import { repairDatabase, type RepairOptions } from '../../src/main/repair.ts';
import type { RepairReport } from '../../src/main/repair-report.ts';
import { verifyDatabase } from '../../src/main/verify.ts';
import { resolveOptions } from '../../src/main/options.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import type { SimulatedFile } from './simulated-file.ts';
import { SIMULATED_DIRECTORY, simulatedWorld, type SimulatedWorld } from './simulated-environment.ts';
import { simulatedRepairFiles } from './simulated-repair-files.ts';
import { Random } from './random.ts';
import { keyOf, valueOf } from './values.ts';

/** Keys and values as latin1. */
export type Contents = Map<string, string>;

export const SMALL: DatabaseOptions = {
  blockBytes: 4096,
  writeBufferBytes: 65_536,
  blockCacheBytes: 16_384,
  compaction: { automatic: false },
};

/** One for all: databases in memory are open one after the other. */
const pool = new Uint8Array(new SharedArrayBuffer(resolveOptions(SMALL).poolBytes));

export function worldOf(disk: SimulatedDisk): SimulatedWorld {
  const random = new Random(1);
  disk.present = true;
  return simulatedWorld({ disk, random: () => random.fraction(), pool });
}

export function openOn(disk: SimulatedDisk, options: DatabaseOptions = SMALL): Promise<Database> {
  return OpenDatabase.openIn(worldOf(disk).environment, SIMULATED_DIRECTORY, options);
}

export function verifyOn(disk: SimulatedDisk): Promise<VerifyReport> {
  return verifyDatabase(worldOf(disk).environment, SIMULATED_DIRECTORY, { lockTimeoutMs: 0 });
}

export function repairOn(
  disk: SimulatedDisk,
  options: RepairOptions = {},
  onStep?: (step: string) => void,
): Promise<RepairReport> {
  const environment = { ...worldOf(disk).environment, files: simulatedRepairFiles(disk, onStep) };
  return repairDatabase(environment, SIMULATED_DIRECTORY, { lockTimeoutMs: 0, ...options });
}

/** A file of the database by its name. */
export function fileOn(disk: SimulatedDisk, name: string): SimulatedFile {
  const file = disk.names.get(name);
  if (file === undefined) throw new Error(`there is no ${name}`);
  return file;
}

export function bytesOn(disk: SimulatedDisk, name: string): Uint8Array {
  return fileOn(disk, name).bytes();
}

/** Names of a kind, by number. */
export function namesOn(disk: SimulatedDisk, kind: FileKind): string[] {
  const numberOf = (name: string): number => parseFileName(name)?.number ?? 0;
  return [...disk.names.keys()]
    .filter((name) => parseFileName(name)?.kind === kind)
    .sort((a, b) => numberOf(a) - numberOf(b));
}

/** What the disk looks like to whoever comes next. A lock that nobody holds any more is gone. */
export function copyOf(disk: SimulatedDisk): SimulatedDisk {
  return disk.crashed('everything');
}

/** Everything a database has, by an iterator and by gets, which must agree. Throws what a read rejects with. */
export async function contentsOn(disk: SimulatedDisk): Promise<Contents> {
  const database = await openOn(disk);
  try {
    const contents: Contents = new Map();
    for await (const [key, value] of database.iterator())
      contents.set(key.toString('latin1'), value.toString('latin1'));
    for (const [key, value] of contents) {
      const got = await database.get(Buffer.from(key, 'latin1'));
      if (got?.toString('latin1') !== value) throw new Error(`get and iterator differ on ${key}`);
    }
    return contents;
  } finally {
    await database.close();
  }
}

/**
 * Whether everything that a damaged database gives is right: it does not open, or a read fails, with an error that says so; or
 * the value is the one that was written. Throws where it is not; gives the codes of errors.
 */
export async function readsNothingWrong(disk: SimulatedDisk, expected: Contents): Promise<Set<string>> {
  const codes = new Set<string>();
  const note = (error: unknown): void => {
    if (!(error instanceof QuadringError)) throw error;
    codes.add(error.code);
  };
  let database: Database;
  try {
    database = await openOn(disk);
  } catch (error) {
    note(error);
    return codes;
  }
  try {
    const keys = new Set(expected.keys());
    try {
      for await (const [key] of database.iterator()) keys.add(key.toString('latin1'));
    } catch (error) {
      note(error);
    }
    for (const key of keys) {
      try {
        const value = await database.get(Buffer.from(key, 'latin1'));
        if (value?.toString('latin1') === expected.get(key)) continue;
        throw new Error(`${key} reads as ${value?.toString('latin1')}, not ${expected.get(key)}`);
      } catch (error) {
        note(error);
      }
    }
  } finally {
    await database.close();
  }
  return codes;
}

/** Writes, and remembers what was written: every value that a key ever had, and what it has now. */
export class Writer {
  readonly contents: Contents = new Map();
  readonly history = new Map<string, Set<string>>();
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async put(key: string, value: Buffer): Promise<void> {
    const text = value.toString('latin1');
    this.contents.set(key, text);
    const values = this.history.get(key) ?? new Set();
    this.history.set(key, values.add(text));
    await this.#database.put(Buffer.from(key, 'latin1'), value);
  }

  async del(key: string): Promise<void> {
    this.contents.delete(key);
    await this.#database.del(Buffer.from(key, 'latin1'));
  }

  async deleteRange(gte: string, lt: string): Promise<void> {
    for (const key of [...this.contents.keys()]) if (key >= gte && key < lt) this.contents.delete(key);
    await this.#database.deleteRange({ gte, lt });
  }
}

const KEYS = 120;
/** So many writes fill two logs, which are then used again. */
const FIRST_WRITES = 600;

/**
 * Three tables, one of them of the last level; range tombstones, deletions, a large value; a log that is one used again, with
 * some frames. Closed cleanly.
 */
export async function smallDatabase(
  disk: SimulatedDisk,
  compression: CompressionName = 'none',
): Promise<Writer> {
  const database = await openOn(disk, { ...SMALL, compression });
  const writer = new Writer(database);
  const value = (i: number): Buffer => Buffer.concat([Buffer.alloc(60, 'value '), valueOf(20, i)]);
  for (let i = 0; i < FIRST_WRITES; i++) await writer.put(keyOf(i % KEYS), value(i));
  await database.compactRange();
  for (let i = 0; i < KEYS; i += 3) await writer.put(keyOf(i), value(1000 + i));
  for (let i = 1; i < KEYS; i += 5) await writer.del(keyOf(i));
  await writer.put('large', valueOf(9000, 7));
  await writer.deleteRange(keyOf(40), keyOf(47));
  await database.flush();
  for (let i = 0; i < KEYS; i += 7) await writer.put(keyOf(i), value(2000 + i));
  await writer.deleteRange(keyOf(90), keyOf(93));
  await writer.put(keyOf(91), value(3000));
  await database.flush();
  for (let i = 0; i < 6; i++) await writer.put(keyOf(10 * i), value(4000 + i));
  await writer.del(keyOf(2));
  await writer.deleteRange(keyOf(100), keyOf(104));
  await database.close();
  return writer;
}
