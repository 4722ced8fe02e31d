/**
 * What a database must give at a moment of the model: by one scan all that is there and nothing else, and by point reads
 * each key that any step may write, whether it is there, was deleted, or was never written, with what lies right beside it.
 */
import type { Database } from '../../src/index.ts';
import { boundAt, keyAt, KEYS } from '../support/scan-steps.ts';
import type { VersionModel } from '../support/version-model.ts';

/** Entries that one call of `nextv` asks for. */
const SCAN_ENTRIES = 1000;
/** Keys of steps lie below that; what reads may ask for beyond them is never written. */
const KEYS_READ = KEYS + 3;

/** Of what is beside keys most was never written, and some is another key. */
const ASKED: readonly Buffer[] = distinct(
  Array.from({ length: KEYS_READ }, (_, key) => [keyAt(key), boundAt({ key, nudge: 'longer' })]).flat(),
);

/** Throws unless one scan, and point reads, give exactly what the model has at the moment. */
export async function expectContents(database: Database, model: VersionModel, moment: number): Promise<void> {
  await expectScan(database, model, moment);
  const values = await database.getMany(ASKED);
  values.forEach((value, i) => {
    const key = ASKED[i];
    const expected = model.get(key, moment);
    const isSame =
      value === undefined || expected === undefined ? value === expected : value.equals(expected);
    if (!isSame)
      throw new Error(`get at ${moment} gave ${describe(key, value)} instead of ${describe(key, expected)}`);
  });
}

async function expectScan(database: Database, model: VersionModel, moment: number): Promise<void> {
  const entries = model.entries({}, moment);
  const iterator = database.iterator();
  let count = 0;
  for (;;) {
    const batch = await iterator.nextv(SCAN_ENTRIES);
    if (batch.length === 0) break;
    for (const [key, value] of batch) {
      const expected = entries[count++];
      if (expected === undefined || !expected[0].equals(key) || !expected[1].equals(value)) {
        throw new Error(
          `entry ${count - 1} at ${moment} is ${describe(key, value)} instead of ${describe(...(expected ?? []))}`,
        );
      }
    }
  }
  await iterator.close();
  if (count !== entries.length) throw new Error(`${count} of ${entries.length} entries at ${moment}`);
}

function distinct(keys: readonly Buffer[]): Buffer[] {
  return [...new Map(keys.map((key) => [key.toString('latin1'), key])).values()];
}

function describe(key?: Buffer, value?: Buffer): string {
  if (key === undefined) return 'nothing';
  return `${key.toString('latin1').slice(-24)}: ${value === undefined ? 'nothing' : `${value.length} bytes`}`;
}
