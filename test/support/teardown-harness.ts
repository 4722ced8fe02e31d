/**
 * Teardown cycles: a process brings a database into a situation and ends, in one of many ways. It must end in bounded
 * time, as it is told to and by no other signal; then the database is opened here, at once: no lock is left, and all that
 * was acknowledged is there. A directory is used for an era of some cycles.
 *
 * The order of cycles follows from a seed; the exact moments depend on the machine as well.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/index.ts';
import type { Backend } from './backends.ts';
import { PATIENCE, runChild, scriptBeside, type ChildEnd, type ChildOwner } from './children.ts';
import { ioOf } from './io-setting.ts';
import { checkFiles } from './kill-files.ts';
import { Random } from './random.ts';
import {
  ENDING_LINE,
  ENDING_NAMES,
  ENDINGS,
  SITUATIONS,
  type Ending,
  type Situation,
  type TeardownTask,
} from './teardown-protocol.ts';
import { valueOf } from './values.ts';

const CHILD = scriptBeside(import.meta.url, 'teardown-child');
const CYCLES_PER_ERA = 12;
const DELAY_MS_MAX = 40;
/**
 * From the moment at which it begins to end; where a thread ends, until its process has opened and closed the database
 * again and ended too. A ring waits up to 10 s for what is in flight; what closes writes everything
 * that is waiting, on whatever disk there is.
 */
const ENDING_MS_MAX = 20_000 * PATIENCE;
/** Always the same, so that opens hand their threads on. */
const OPTIONS = { writeBufferBytes: 1 << 18, blockCacheBytes: 1 << 20 };

export interface TeardownOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly backends: readonly Backend[];
  readonly owner: ChildOwner;
  readonly onCycle?: (cycle: number, totals: TeardownTotals) => void;
}

export interface EndingTotals {
  cycles: number;
  endingMsMax: number;
  endingMsSum: number;
}

export interface TeardownTotals {
  cycles: number;
  acknowledged: number;
  replayedRecords: number;
  readonly endings: Map<Ending, EndingTotals>;
  readonly situations: Map<Situation, number>;
}

/** A cycle failed; the directory is kept. */
export class TeardownFailure extends Error {
  override readonly name = 'TeardownFailure';
}

/** Every situation with every ending, in an order that the seed decides, again and again. */
function* combinations(random: Random): Generator<{ situation: Situation; ending: Ending }, never> {
  for (;;) {
    const all = SITUATIONS.flatMap((situation) => ENDING_NAMES.map((ending) => ({ situation, ending })));
    while (all.length > 0) yield* all.splice(random.below(all.length), 1);
  }
}

export async function runTeardownCycles(options: TeardownOptions): Promise<TeardownTotals> {
  const { cycles, seed, backends, owner, onCycle } = options;
  const random = new Random(seed);
  const totals: TeardownTotals = {
    cycles: 0,
    acknowledged: 0,
    replayedRecords: 0,
    endings: new Map(),
    situations: new Map(),
  };
  const order = combinations(random);
  while (totals.cycles < cycles) {
    const root = mkdtempSync(join(tmpdir(), 'quadring-teardown-'));
    const directory = join(root, 'database');
    const acknowledged = new Set<string>();
    for (let i = 0; i < CYCLES_PER_ERA && totals.cycles < cycles; i++) {
      const generation = totals.cycles++;
      const task: TeardownTask = {
        ...order.next().value,
        backend: backends[generation % backends.length],
        directory,
        journal: join(root, `journal-${generation}`),
        generation,
        delayMs: random.below(DELAY_MS_MAX),
      };
      try {
        const end = await runChild(owner, CHILD, [JSON.stringify(task)]);
        noteEnding(totals, task, checkEnd(task, end));
        for (const key of journalOf(task)) if (!key.startsWith(ENDING_LINE)) acknowledged.add(key);
        totals.replayedRecords += await checkContents(task, acknowledged);
      } catch (error) {
        const about = `cycle ${generation} of seed ${seed}: ${JSON.stringify(task)}`;
        throw new TeardownFailure(
          `${about}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
      }
      totals.acknowledged += journalOf(task).length - 1;
      onCycle?.(totals.cycles, totals);
    }
    rmSync(root, { recursive: true });
  }
  return totals;
}

function journalOf({ journal }: TeardownTask): string[] {
  return readFileSync(journal, 'utf8').trimEnd().split('\n');
}

/** How long the process took to end, in milliseconds. */
function checkEnd(task: TeardownTask, end: ChildEnd): number {
  const { code, signal } = ENDINGS[task.ending];
  if (end.code !== code || end.signal !== signal) {
    throw new Error(
      `it ended with ${end.code ?? end.signal}, not with ${code ?? signal}:\n${end.stdout}${end.stderr}`,
    );
  }
  const line = journalOf(task).find((one) => one.startsWith(ENDING_LINE));
  const began = Number(line?.replace(ENDING_LINE, ''));
  const took = end.at - began;
  if (!(took <= ENDING_MS_MAX)) throw new Error(`it took ${took} ms to end`);
  return took;
}

function noteEnding(
  { endings, situations }: TeardownTotals,
  { ending, situation }: TeardownTask,
  ms: number,
): void {
  const so = endings.get(ending) ?? { cycles: 0, endingMsMax: 0, endingMsSum: 0 };
  so.cycles++;
  so.endingMsMax = Math.max(so.endingMsMax, ms);
  so.endingMsSum += ms;
  endings.set(ending, so);
  situations.set(situation, (situations.get(situation) ?? 0) + 1);
}

/** Opens the database at once and reads what was acknowledged; gives how many records had to be replayed. */
async function checkContents(task: TeardownTask, acknowledged: ReadonlySet<string>): Promise<number> {
  const { directory, backend } = task;
  const database = await Database.open(directory, { ...OPTIONS, io: ioOf(backend) });
  const { replayedRecords } = database.stats().recovery;
  const keys = [...acknowledged];
  const values = await database.getMany(keys);
  const wrong = keys.filter((key, i) => {
    const number = Number(key.slice(key.lastIndexOf('-') + 1));
    return values[i]?.equals(valueOf(300, number)) !== true;
  });
  await database.close();
  if (wrong.length > 0)
    throw new Error(`${wrong.length} acknowledged writes are missing: ${wrong.slice(0, 5).join(', ')}`);
  checkFiles(directory, 4);
  return replayedRecords;
}

export function describeTeardown({
  cycles,
  acknowledged,
  replayedRecords,
  endings,
  situations,
}: TeardownTotals): string[] {
  return [
    `${cycles} cycles, ${acknowledged} acknowledged writes, none lost; ${replayedRecords} records replayed`,
    ...[...endings].map(([ending, { cycles: times, endingMsMax, endingMsSum }]) => {
      const mean = Math.round(endingMsSum / times);
      return `${String(times).padStart(5)} × ${ending}: ended after ${mean} ms on average, ${endingMsMax} ms at most`;
    }),
    [...situations].map(([situation, times]) => `${times} × ${situation}`).join(', '),
  ];
}
