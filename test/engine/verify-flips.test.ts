/**
 * One byte of one file changed, at every place or at some of each kind: verification says where, and no read gives wrong
 * data. `QUADRING_FLIPS=all` tries every byte, which takes long; a number, so many bytes of each kind of place in each file.
 */
import test, { type ExecutionContext } from 'ava';
import type { VerifyReport } from '../../src/index.ts';
import type { CompressionName } from '../../src/format/compression.ts';
import { unitsOf, type Unit } from '../support/checked-units.ts';
import { COMPRESSIONS } from '../format/tables.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { nameOf } from '../support/simulated-environment.ts';
import {
  copyOf,
  fileOn,
  readsNothingWrong,
  smallDatabase,
  verifyOn,
  type Contents,
} from '../support/offline-databases.ts';
import { Random, testSeed } from '../support/random.ts';

const FLIPS = process.env['QUADRING_FLIPS'] ?? '3';
/** Of every byte that is tried, one in so many is also read past; where only some are tried, each. */
const READS_ONE_IN = FLIPS === 'all' ? 101 : 1;

/** Places in a file, each with the unit that it is in. */
function* placesOf(units: readonly Unit[], random: Random): Generator<{ unit: Unit; at: number }> {
  if (FLIPS === 'all') {
    for (const unit of units) {
      // What means nothing is not gone through to its end.
      const end = unit.kind === 'stale' ? Math.min(unit.end, unit.start + 4096) : unit.end;
      for (let at = unit.start; at < end; at++) yield { unit, at };
    }
    return;
  }
  const groups = new Map<string, Unit[]>();
  for (const unit of units) {
    const name = `${unit.file} ${unit.kind}`;
    groups.set(name, [...(groups.get(name) ?? []), unit]);
  }
  for (const group of groups.values()) {
    for (let i = 0; i < Number(FLIPS); i++) {
      const unit = group[random.below(group.length)];
      yield { unit, at: random.between(unit.start, unit.end - 1) };
    }
    const last = group[group.length - 1];
    yield { unit: last, at: last.end - 1 };
  }
}

/** What is wrong with what verification says of a byte that was changed; undefined if nothing is. */
function mistakeIn(report: VerifyReport, { file, start, kind }: Unit, at: number): string | undefined {
  const describe = ({ file: path, offset, code }: { file: string; offset?: number; code: string }): string =>
    `${code} ${nameOf(path)}@${offset}`;
  const found = report.findings.map(describe).join(', ');
  if (kind === 'stale' || kind === 'padding of a frame') {
    if (!report.isSound) return `it is taken for damage: ${found}`;
    const isNoted = report.notes.some(
      ({ code, file: path, offset }) => code === 'PADDING' && nameOf(path) === file && offset === at,
    );
    return isNoted === (kind !== 'stale') ? undefined : 'its notes say otherwise';
  }
  const isFound = report.findings.some(
    ({ file: path, offset }) =>
      nameOf(path) === file && offset !== undefined && offset >= start && offset <= at,
  );
  return isFound && !report.isSound ? undefined : `it is not found: ${found}`;
}

interface Tally {
  readonly counts: Map<Unit['kind'], number>;
  readonly codes: Set<string>;
  reads: number;
}

async function flip(
  t: ExecutionContext,
  disk: SimulatedDisk,
  expected: Contents,
  { unit, at }: { unit: Unit; at: number },
  bits: number,
  tally: Tally,
): Promise<void> {
  const file = fileOn(disk, unit.file);
  file.flip(at, bits);
  try {
    const mistake = mistakeIn(await verifyOn(disk), unit, at);
    if (mistake !== undefined)
      t.fail(`${unit.file}, byte ${at} (${unit.kind} from ${unit.start}), bits ${bits}: ${mistake}`);
    tally.counts.set(unit.kind, (tally.counts.get(unit.kind) ?? 0) + 1);
    if (at % READS_ONE_IN !== 0) return;
    tally.reads++;
    try {
      for (const code of await readsNothingWrong(copyOf(disk), expected)) tally.codes.add(code);
    } catch (error) {
      t.fail(`${unit.file}, byte ${at} (${unit.kind}), bits ${bits}: ${(error as Error).message}`);
    }
  } finally {
    file.flip(at, bits);
  }
}

async function flipBytes(t: ExecutionContext, compression: CompressionName): Promise<void> {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  if (FLIPS === 'all') t.timeout(8 * 3600 * 1000);
  const random = new Random(seed);
  const disk = new SimulatedDisk();
  const { contents } = await smallDatabase(disk, compression);
  const sound = await verifyOn(disk);
  t.true(sound.isSound);
  const tally: Tally = { counts: new Map(), codes: new Set(), reads: 0 };
  for (const place of placesOf(unitsOf(disk), random))
    await flip(t, disk, contents, place, random.between(1, 255), tally);
  t.true((await verifyOn(disk)).isSound, 'everything has been put back');
  const total = [...tally.counts.values()].reduce((sum, count) => sum + count, 0);
  const parts = [...tally.counts].map(([kind, count]) => `${kind} ${count}`).join(', ');
  t.log(
    `${total} bytes changed, read past ${tally.reads} of them; ${parts}; reads said ${[...tally.codes].join(', ')}`,
  );
  const kinds = new Set(unitsOf(disk).map(({ kind }) => kind));
  t.is(kinds.size, 12, 'the database has every kind of place');
  t.is(tally.counts.size, kinds.size);
}

for (const compression of COMPRESSIONS) {
  test.serial(`${compression}: a byte that changed is found where it is, and never read as data`, (t) =>
    flipBytes(t, compression),
  );
}
