/**
 * A process that uses up its descriptors, all but a few, and lets them go again: `descriptor-child <scenario> <backend>
 * <directory>`. Its limit is set from outside, low enough to be reached soon. What it saw it prints as JSON.
 */
import { closeSync, openSync } from 'node:fs';
import { Database, QuadringError, type DatabaseOptions } from '../../src/index.ts';
import { eventually } from '../support/at-rest.ts';
import type { Backend } from '../support/backends.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

/** What came of an attempt: a code, or that it succeeded. */
export type Outcome = string;

export interface OpeningReport {
  /** By descriptors that were left, from none on. */
  readonly outcomes: readonly Outcome[];
}

export interface WorkingReport {
  /** Files that are opened take none; see `stats().rings`. */
  readonly needsNone: boolean;
  readonly acknowledged: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly flush: Outcome;
  readonly compaction: Outcome;
  readonly failure: string | null;
  readonly afterwards: Outcome;
}

const [, , scenario, backend, directory] = process.argv as [string, string, string, Backend, string];
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 65_536,
  blockCacheBytes: 1 << 20,
  compaction: { automatic: false, tableBytes: 65_536 },
  io: ioOf(backend),
};
const VALUE_BYTES = 4000;
/** More than a log file of the smallest size holds. */
const WRITES = 500;
/** An open needs no more than so many, with the tables that there are. */
const LEFT_MAX = 60;

let taken: number[] = [];

/** Takes every descriptor that there is, but so many. */
function takeAllBut(left: number): void {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
  }
  for (const descriptor of taken.splice(taken.length - left)) closeSync(descriptor);
}

function letGo(): void {
  for (const descriptor of taken) closeSync(descriptor);
  taken = [];
}

async function outcomeOf(act: () => Promise<unknown>): Promise<Outcome> {
  try {
    await act();
    return 'succeeded';
  } catch (error) {
    if (error instanceof QuadringError) return error.code;
    throw error;
  }
}

/** All writes at once; how often which outcome. */
async function putAll(database: Database): Promise<Record<Outcome, number>> {
  const outcomes: Record<Outcome, number> = {};
  const writes = Array.from({ length: WRITES }, async (_, i) => {
    const outcome = await outcomeOf(() => database.put(keyOf(i), valueOf(VALUE_BYTES, i)));
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  });
  await Promise.all(writes);
  return outcomes;
}

/** Every value of the first `count` keys. */
async function expectAll(database: Database, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const value = await database.get(keyOf(i));
    if (value?.equals(valueOf(VALUE_BYTES, i)) !== true) throw new Error(`${keyOf(i)} is missing`);
  }
}

const scenarios: Record<string, () => Promise<OpeningReport | WorkingReport>> = {
  /** Opens with none left, one, two …; then with all of them. */
  async opening() {
    const outcomes: Outcome[] = [];
    for (let left = 0; left <= LEFT_MAX; left++) {
      takeAllBut(left);
      const outcome = await outcomeOf(async () => {
        const database = await Database.open(directory, OPTIONS);
        await database.close();
      });
      letGo();
      outcomes.push(outcome);
      // With more it succeeds as well.
      if (outcome === 'succeeded') break;
    }
    const database = await Database.open(directory, OPTIONS);
    await expectAll(database, 100);
    await database.put('again', 'and again');
    await database.close();
    return { outcomes };
  },

  /** Writes more than a log holds, flushes and compacts with none left; reads meanwhile. Then goes on with all of them. */
  async working() {
    const database = await Database.open(directory, OPTIONS);
    await expectAll(database, 100);
    takeAllBut(0);
    const { succeeded: acknowledged = 0, ...refusals } = await putAll(database);
    await expectAll(database, 100);
    const flush = await outcomeOf(() => database.flush());
    const compaction = await outcomeOf(() => database.compactRange());
    const { failure, rings } = database.stats();
    const needsNone = rings.every(({ fixedFiles }) => fixedFiles > 0);
    letGo();
    const afterwards = await outcomeOf(async () => {
      const { succeeded } = await putAll(database);
      if (succeeded !== WRITES) throw new Error(`${succeeded} of ${WRITES} writes succeeded`);
      await database.flush();
      await database.compactRange();
      await expectAll(database, WRITES);
      await eventually(() => database.stats().tableFiles.removing === 0);
    });
    await database.close();
    return { needsNone, acknowledged, refusals, flush, compaction, failure, afterwards };
  },

  /** Closes with none left. */
  async closing() {
    const database = await Database.open(directory, OPTIONS);
    for (let i = 0; i < 10; i++) await database.put(keyOf(i), valueOf(VALUE_BYTES, i));
    takeAllBut(0);
    const outcome = await outcomeOf(() => database.close());
    letGo();
    return { outcomes: [outcome] };
  },
};

process.stdout.write(JSON.stringify(await scenarios[scenario]()));
