/**
 * Databases with random writes, closed or crashed, damaged at random: whatever it was, a repair makes something of it that
 * opens and verifies, and in which no key has a value that it never had. `QUADRING_REPAIR_RUNS` tries so many.
 *
 * After a crash nobody knows where the logs ended, and of several damages one can hide another (that the database was closed,
 * and a log that was needed): there more cannot be asked for. Of one damage to a database that was closed, it can.
 */
import test from 'ava';
import type { RepairOptions } from '../../src/index.ts';
import { COMPRESSIONS } from '../format/tables.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  contentsOn,
  copyOf,
  fileOn,
  openOn,
  readsNothingWrong,
  repairOn,
  SMALL,
  verifyOn,
  Writer,
} from '../support/offline-databases.ts';
import { Random, testSeed } from '../support/random.ts';
import { difference } from '../support/repaired.ts';
import { keyOf, valueOf } from '../support/values.ts';

const RUNS = Number(process.env['QUADRING_REPAIR_RUNS'] ?? '6');
/** Ways in which each database is damaged. */
const DAMAGES = 6;
const KEYS = 80;

async function written(random: Random): Promise<{ disk: SimulatedDisk; writer: Writer; isClosed: boolean }> {
  const disk = new SimulatedDisk();
  const compaction = {
    automatic: random.oneIn(2),
    l0Trigger: 2,
    tableBytes: 65_536,
    baseBytes: 65_536,
    multiplier: 2,
    idleMs: 0,
    spareBytes: random.oneIn(2) ? 0 : 1 << 24,
  };
  const compression = COMPRESSIONS[random.below(COMPRESSIONS.length)];
  const database = await openOn(disk, { ...SMALL, compaction: { ...compaction, l0Stop: 40 }, compression });
  const writer = new Writer(database);
  const count = random.between(20, 500);
  for (let i = 0; i < count; i++) {
    const key = keyOf(random.below(KEYS));
    const choice = random.below(100);
    if (choice < 15) await writer.del(key);
    else if (choice < 18) await writer.deleteRange(key, keyOf(random.below(KEYS) + KEYS));
    else if (choice < 20) await database.flush();
    else if (choice < 21) await database.compactRange();
    else await writer.put(key, valueOf(random.oneIn(20) ? 9000 : random.below(600), random.bits()));
  }
  const isClosed = random.oneIn(2);
  const image = isClosed ? disk : disk.crashed('everything');
  await database.close();
  return { disk: image, writer, isClosed };
}

/** Damages one file in one way; says how. */
function damage(disk: SimulatedDisk, random: Random): string {
  const names = [...disk.names.keys()].filter((name) => name !== 'LOCK');
  const name = names[random.below(names.length)];
  const file = fileOn(disk, name);
  const at = random.below(Math.max(file.size, 1));
  switch (random.below(6)) {
    case 0:
      disk.names.delete(name);
      return `${name} is gone`;
    case 1:
      file.truncate(at);
      return `${name} is cut to ${at}`;
    case 2: {
      const length = random.between(1, 10_000);
      const end = Math.min(at + length, file.size);
      file.write(new Uint8Array(end - at).fill(random.below(2) * 0xee), at, true);
      return `${name} is written over at ${at} for ${length}`;
    }
    default:
      if (file.size > 0) file.flip(at, random.between(1, 255));
      return `${name} is changed at ${at}`;
  }
}

test.serial(
  'whatever is damaged, what is left opens, verifies, and has no value that was not written',
  async (t) => {
    const seed = testSeed();
    t.log(`seed ${seed}`);
    const random = new Random(seed);
    let changed = 0;
    let lost = 0;
    for (let run = 0; run < RUNS; run++) {
      const { disk, writer, isClosed } = await written(random);
      const hasHeld = (key: string, value: string): boolean => writer.history.get(key)?.has(value) === true;
      for (let round = 0; round < DAMAGES; round++) {
        const copy = copyOf(disk);
        const damages = Array.from({ length: random.below(4) }, () => damage(copy, random));
        const name = `run ${run}, round ${round}: ${damages.join(', ')}`;
        const isExact = isClosed && damages.length <= 1;
        const options: RepairOptions = {
          hideOlder: (['likely', 'all', 'none'] as const)[random.below(3)],
          takeBehindGaps: random.oneIn(2),
        };
        const before = await verifyOn(copy);
        if (before.isSound) {
          const contents = await contentsOn(copyOf(copy));
          if (isExact) t.deepEqual(difference(contents, writer.contents), [], name);
          for (const [key, value] of contents) t.true(hasHeld(key, value), `${name}: ${key}`);
          t.false((await repairOn(copy, options)).isChanged, name);
          continue;
        }
        if (isExact) {
          await readsNothingWrong(copyOf(copy), writer.contents).catch((error: unknown) => {
            throw new Error(`${name}: ${(error as Error).message}`);
          });
        }
        let report;
        try {
          report = await repairOn(copy, options);
        } catch (error) {
          // Nothing is left that would be a database.
          t.regex(String(error), /holds no database/, name);
          continue;
        }
        changed++;
        lost += report.lost.length;
        t.deepEqual((await verifyOn(copy)).findings, [], name);
        const contents = await contentsOn(copy);
        for (const [key, value] of contents) t.true(hasHeld(key, value), `${name}: ${key}`);
        if (isExact && report.lost.length === 0)
          t.deepEqual(difference(contents, writer.contents), [], `${name}: nothing was said to be lost`);
      }
    }
    t.log(`${changed} repairs, ${lost} losses`);
    t.true(changed > 0);
  },
);
