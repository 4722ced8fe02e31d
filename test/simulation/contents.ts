/**
 * What a database must give at a moment of the model: by one scan all that is there and nothing else, and by point reads
 * each key that any step may write, whether it is there, was deleted, or was never written, with what lies right beside it.
 */
import type { Database } from '../../src/index.ts';
import { boundAt, keyAt, KEYS } from '../support/scan-steps.ts';
import type { ModelEntry, VersionModel } from '../support/version-model.ts';

/** Entries that one call of `nextv` asks for. */
const SCAN_ENTRIES = 1000;
/** Keys of steps lie below that; what reads may ask for beyond them is never written. */
const KEYS_READ = KEYS + 3;

/** Of what is beside keys most was never written, and some is another key. */
const ASKED: readonly Buffer[] = distinct(
  Array.from({ length: KEYS_READ }, (_, key) => [keyAt(key), boundAt({ key, nudge: 'longer' })]).flat(),
);

/** What reads gave, whatever the moment was that they saw. Gives what is wrong if it was that one. */
export type Observation = (model: VersionModel, moment: number) => string | undefined;

/** Throws unless one scan, and point reads, give exactly what the model has at the moment. */
export async function expectContents(database: Database, model: VersionModel, moment: number): Promise<void> {
  for (const observe of [scanAll, getAll]) {
    const difference = (await observe(database))(model, moment);
    if (difference !== undefined) throw new Error(difference);
  }
}

export function getAll(database: Database): Promise<Observation> {
  return getKeys(database, ASKED);
}

export async function getKeys(database: Database, keys: readonly Buffer[]): Promise<Observation> {
  return observationOf(keys, await database.getMany(keys));
}

/** In one turn, in which whatever the threads answer meanwhile is heard. */
export function getSynchronously(database: Database, key: Buffer): Observation {
  return observationOf([key], [database.getSync(key)]);
}

function observationOf(keys: readonly Buffer[], values: readonly (Buffer | undefined)[]): Observation {
  return (model, moment) => {
    for (const [i, key] of keys.entries()) {
      const value = values[i];
      const expected = model.get(key, moment);
      const isSame =
        value === undefined || expected === undefined ? value === expected : value.equals(expected);
      if (!isSame)
        return `get at ${moment} gave ${describe(key, value)} instead of ${describe(key, expected)}`;
    }
    return undefined;
  };
}

export async function scanAll(database: Database): Promise<Observation> {
  const found: ModelEntry[] = [];
  const iterator = database.iterator();
  for (;;) {
    const batch = await iterator.nextv(SCAN_ENTRIES);
    if (batch.length === 0) break;
    found.push(...batch);
  }
  await iterator.close();
  return (model, moment) => {
    const entries = model.entries({}, moment);
    for (const [i, [key, value]] of found.entries()) {
      const expected = entries[i] as ModelEntry | undefined;
      if (expected?.[0].equals(key) !== true || !expected[1].equals(value))
        return `entry ${i} at ${moment} is ${describe(key, value)} instead of ${describe(...(expected ?? []))}`;
    }
    return found.length === entries.length
      ? undefined
      : `${found.length} of ${entries.length} entries at ${moment}`;
  };
}

function distinct(keys: readonly Buffer[]): Buffer[] {
  return [...new Map(keys.map((key) => [key.toString('latin1'), key])).values()];
}

function describe(key?: Buffer, value?: Buffer): string {
  if (key === undefined) return 'nothing';
  return `${key.toString('latin1').slice(-24)}: ${value === undefined ? 'nothing' : `${value.length} bytes`}`;
}
