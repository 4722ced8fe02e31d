/**
 * A repair that ends at each of its steps in turn: the process is killed and everything stays, or power goes and only what
 * was made durable does. Then it is run again, and must come to the same, with nothing lost in between.
 */
import test, { type ExecutionContext } from 'ava';
import type { RepairOptions } from '../../src/index.ts';
import { unitsOf } from '../support/checked-units.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  contentsOn,
  copyOf,
  namesOn,
  openOn,
  readsNothingWrong,
  repairOn,
  SMALL,
  smallDatabase,
  verifyOn,
  Writer,
  type Contents,
} from '../support/offline-databases.ts';
import { Random } from '../support/random.ts';
import { difference, flip } from '../support/repaired.ts';
import { keyOf, valueOf } from '../support/values.ts';

class Interruption extends Error {}

/** Thrown at one step, and at each that would follow. */
function interruptAt(step: number): { onStep: () => void; steps: () => number } {
  let count = 0;
  return {
    onStep: () => {
      if (++count >= step) throw new Interruption();
    },
    steps: () => count,
  };
}

async function expectInterrupted(t: ExecutionContext, repairing: Promise<unknown>): Promise<void> {
  const error = await t.throwsAsync(repairing);
  t.true(error instanceof Interruption, String(error));
}

/** What is on the disk, whichever of its files hold it: content of the files that there were in the beginning. */
function originalsOn(disk: SimulatedDisk): Set<string> {
  return new Set([...disk.names.values()].map((file) => Buffer.from(file.bytes()).toString('latin1')));
}

async function interruptEverywhere(
  t: ExecutionContext,
  damaged: SimulatedDisk,
  options: RepairOptions,
  afterwards: (disk: SimulatedDisk) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const whole = copyOf(damaged);
  const counter = interruptAt(Infinity);
  const report = await repairOn(whole, options, counter.onStep);
  const expected: Contents = await contentsOn(copyOf(whole));
  const originals = originalsOn(damaged);
  const steps = counter.steps();
  t.log(`${steps} steps`);
  t.true(steps > 20);
  for (let step = 1; step <= steps; step++) {
    for (const keep of ['everything', 'durable'] as const) {
      const first = copyOf(damaged);
      await expectInterrupted(t, repairOn(first, options, interruptAt(step).onStep));
      const left = first.crashed(keep);
      const still = originalsOn(left);
      t.true(
        [...originals].every((content) => still.has(content)),
        `${keep} ${step}: nothing is gone`,
      );
      await afterwards(left);
      // Killed once more, somewhere else.
      const second = copyOf(left);
      await repairOn(second, options, interruptAt(1 + ((step * 7) % steps)).onStep).catch(
        (error: unknown) => {
          if (!(error instanceof Interruption)) throw error;
        },
      );
      const again = second.crashed(keep);
      await repairOn(again, options);
      const verified = await verifyOn(again);
      t.deepEqual(verified.findings, [], `${keep} ${step}`);
      t.deepEqual(difference(await contentsOn(again), expected), [], `${keep} ${step}`);
    }
  }
  t.true(report.isChanged);
}

test.serial(
  'a repair of a damaged block, with a log and something to hide, that ends anywhere',
  async (t) => {
    const disk = new SimulatedDisk();
    const { contents } = await smallDatabase(disk);
    const newest = namesOn(disk, 'table').at(-1);
    const block = unitsOf(disk).find(({ kind, file }) => kind === 'block' && file === newest)!;
    flip(disk, block.file, block.start + 99);
    // Whoever opens it before it is repaired to the end gets errors, and never wrong data.
    await interruptEverywhere(t, disk, {}, async (left) => {
      const hidden = new Map(contents);
      await readsNothingWrong(copyOf(left), hidden).catch((error: unknown) => {
        // What was in the block is lost, and hidden, once that is committed.
        if (!/reads as undefined/.test(String(error))) throw error;
      });
    });
  },
);

test.serial(
  'a repair of a lost manifest, with tables to be merged and a log, that ends anywhere',
  async (t) => {
    const disk = new SimulatedDisk();
    const compaction = {
      l0Trigger: 2,
      tableBytes: 65_536,
      baseBytes: 65_536,
      multiplier: 2,
      idleMs: 0,
      spareBytes: 0,
    };
    const database = await openOn(disk, { ...SMALL, compaction });
    const writer = new Writer(database);
    const random = new Random(7);
    for (let i = 0; i < 300; i++) {
      const key = keyOf(random.below(80));
      if (random.oneIn(8)) await writer.del(key);
      else await writer.put(key, valueOf(1000, i));
    }
    await database.close();
    const [manifest] = namesOn(disk, 'manifest');
    disk.names.delete(manifest);
    await interruptEverywhere(t, disk, {});
  },
);
