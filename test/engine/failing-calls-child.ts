/**
 * A process some of whose system calls fail while a file exists: `failing-calls-child <scenario> <directory> <file>`. It
 * works, makes the file, does what the scenario says, removes the file, closes, opens again and looks at everything. What it
 * saw it prints as JSON.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { Database, QuadringError, type DatabaseOptions } from '../../src/index.ts';
import { keyOf, valueOf } from '../support/values.ts';

export interface FailingCallsReport {
  /** Of what the scenario does: a code, or 'succeeded'; and the errno behind it. */
  readonly outcome: string;
  readonly cause: string;
  /** Of a write while calls fail, and of one when they do so no more. */
  readonly write: string;
  readonly writeAfterwards: string;
  readonly isFinal: boolean;
  readonly close: string;
  readonly missing: readonly string[];
  readonly writeAfterOpen: string;
}

const [, , scenario, directory, switchFile] = process.argv;
const OPTIONS: DatabaseOptions = {
  writeBufferBytes: 65_536,
  compaction: { automatic: false },
  io: { backend: 'syscall' },
};
const VALUE_BYTES = 1000;
const ENTRIES = 60;
const STEP = 7;

const acts: Record<string, (database: Database) => Promise<unknown>> = {
  write: (database) => database.put('another', 'one'),
  flush: (database) => database.flush(),
  compact: (database) => database.compactRange(),
};

async function outcomeOf(act: () => Promise<unknown>): Promise<{ code: string; cause: string }> {
  try {
    await act();
    return { code: 'succeeded', cause: '' };
  } catch (error) {
    if (!(error instanceof QuadringError)) throw error;
    let cause: unknown = error;
    while (cause instanceof QuadringError && cause.cause !== undefined) cause = cause.cause;
    return { code: error.code, cause: (cause as NodeJS.ErrnoException).code ?? '' };
  }
}

let database = await Database.open(directory, OPTIONS);
const written: string[] = [];
const write = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    // Tables then have ranges in common, and are not only moved by a compaction.
    const key = keyOf((written.length * STEP) % (ENTRIES + 1));
    await database.put(key, valueOf(VALUE_BYTES, written.length));
    written.push(key);
  }
};
const missingKeys = (): string[] =>
  written.filter((key, i) => !database.getSync(key)?.equals(valueOf(VALUE_BYTES, i)));

await write(ENTRIES / 2);
await database.flush();
await write(ENTRIES / 2);
if (scenario === 'compact') await database.flush();
writeFileSync(switchFile, '');
const { code: outcome, cause } = await outcomeOf(() => acts[scenario](database));
const { code: writeOutcome } = await outcomeOf(() => database.put('while calls fail', '1'));
const missingMeanwhile = missingKeys();
rmSync(switchFile);
const { code: writeAfterwards } = await outcomeOf(() => database.put('afterwards', '1'));
const isFinal = database.stats().failure !== null;
const { code: close } = await outcomeOf(() => database.close());
database = await Database.open(directory, OPTIONS);
const report: FailingCallsReport = {
  outcome,
  cause,
  write: writeOutcome,
  writeAfterwards,
  isFinal,
  close,
  missing: [...missingMeanwhile, ...missingKeys()],
  writeAfterOpen: (await outcomeOf(() => database.put('again', '1'))).code,
};
await database.compactRange();
if (missingKeys().length > 0) throw new Error('a compaction lost something');
await database.close();
process.stdout.write(JSON.stringify(report));
