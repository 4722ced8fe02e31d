/** A compaction whose disk fails at any one of its steps: it says so, leaves nothing behind, and the next one goes well. */
import test, { type ExecutionContext } from 'ava';
import { tableName } from '../../src/format/file-names.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';
import {
  RESULT_CHECKSUM,
  RESULT_SHORT_READ,
  RESULT_SHORT_WRITE,
  STEP_CLOSE,
  STEP_DIRECTORY_FSYNC,
  STEP_FSYNC,
  STEP_OPEN,
  STEP_READ,
  STEP_RENAME,
  STEP_TRUNCATE,
  STEP_WRITE,
  type CompactionFailure,
  type CompactionInput,
} from '../../src/protocol/requests.ts';
import { expectEntries, put, type Entry } from '../format/tables.ts';
import { CompactionRig, type Completion } from '../support/compaction-rig.ts';
import { FailingDisk, type DiskOperation } from '../support/failing-disk.ts';
import { SimulatedFile } from '../support/simulated-file.ts';
import { Random, testSeed } from '../support/random.ts';
import { keyOf, valueOf } from '../support/values.ts';

const ENOENT = 2;
const EIO = 5;
const ENOSPC = 28;
const seed = testSeed();

/** Entries of which every `every`-th is there, with a value of 600,000 bytes among them. */
function entriesOf(count: number, every: number, sequence: number): Entry[] {
  const entries: Entry[] = [];
  for (let i = 0; i < count; i += every) {
    const bytes = i === 12 ? 600_000 : 300 + (i % 50);
    entries.push(put(keyOf(i), sequence + i, new Uint8Array(valueOf(bytes, i + sequence))));
  }
  return entries;
}

interface World {
  readonly disk: FailingDisk;
  readonly rig: CompactionRig;
  readonly runs: CompactionInput[][];
  readonly expected: Entry[];
  /** Old tables that the output is written over, one after the other. */
  readonly spares: readonly number[];
}

function newWorld(hasSpares = false): World {
  const disk = new FailingDisk();
  const rig = new CompactionRig({ random: new Random(seed), disk });
  const newer = entriesOf(400, 2, 1000);
  const older = entriesOf(600, 3, 100);
  const runs = [[rig.addTable(newer)], [rig.addTable(older.slice(0, 60)), rig.addTable(older.slice(60))]];
  const newest = new Map(older.map((entry) => [Buffer.from(entry.key).toString(), entry]));
  for (const entry of newer) newest.set(Buffer.from(entry.key).toString(), entry);
  const expected = [...newest.values()]
    .map((entry) => ({ ...entry, sequence: 0 }))
    .sort((a, b) => Buffer.compare(a.key, b.key));
  // Shorter and longer than what is written.
  const spares = hasSpares ? [10, 300, 40].map((count) => rig.addTable(entriesOf(count, 1, 7)).number) : [];
  return { disk, rig, runs, expected, spares };
}

interface Attempt {
  readonly written: TableDescription[];
  /** The first request that failed. */
  readonly failed: Completion | undefined;
  readonly failure: CompactionFailure | undefined;
  /** Number of the table that was to be written then; 0 if none. */
  readonly table: number;
  readonly ended: Completion;
}

/** A compaction that may fail, up to its END. */
function attempt({ rig, runs, spares }: World): Attempt {
  const written: TableDescription[] = [];
  let answer = rig.begin({ runs, tableBytes: 60_000 });
  let table = 0;
  let writes = 0;
  for (let hasMore = true; hasMore && answer.result >= 0;) {
    table = rig.newTable();
    answer = rig.write(table, spares[writes++] ?? 0);
    if (answer.result > 0) written.push(rig.described(answer));
    hasMore = answer.detail0 === 1;
  }
  const failed = answer.result < 0 ? answer : undefined;
  const failure = failed === undefined ? undefined : rig.failure();
  return { written, failed, failure, table: failed === undefined ? 0 : table, ended: rig.end() };
}

/** Of the step that failed only what a directory leaves that was not synced: that is told before anything is done about it. */
function leftBehind({ failed, table }: Attempt): string[] {
  return failed?.detail0 === STEP_DIRECTORY_FSYNC ? [tableName(table)] : [];
}

function expectNothingLeft(
  t: ExecutionContext,
  world: World,
  { written }: Attempt,
  left: string[] = [],
): void {
  const { disk, rig, runs, spares } = world;
  t.is(rig.host.inFlight, 0, 'nothing is in flight');
  t.is(disk.openHandles.size, 0, 'every file is closed');
  const names = [...[...runs.flat(), ...written].map(({ number }) => tableName(number)), ...left].sort();
  const spareNames = new Set(spares.map(tableName));
  t.deepEqual(
    [...disk.names.keys()].filter((name) => !spareNames.has(name)).sort(),
    names,
    'no temporary file and no output of the step that failed',
  );
}

/** Without faults the same role goes on to do it right. */
function expectRecovery(t: ExecutionContext, world: World, before: Attempt): void {
  world.disk.arm({});
  const again = attempt(world);
  t.is(again.failed, undefined);
  t.is(again.ended.result, 0);
  expectEntries(t, world.rig.entriesOf(again.written), world.expected);
  const written = [...before.written, ...again.written];
  expectNothingLeft(t, world, { ...again, written }, leftBehind(before));
}

function stepOf(operation: DiskOperation, { detail0 }: Completion): boolean {
  switch (operation) {
    case 'open':
      return detail0 === STEP_OPEN;
    case 'close':
      return detail0 === STEP_CLOSE;
    case 'read':
      return detail0 === STEP_READ;
    case 'write':
      return detail0 === STEP_WRITE;
    case 'sync':
      return detail0 === STEP_FSYNC || detail0 === STEP_DIRECTORY_FSYNC;
    case 'rename':
      return detail0 === STEP_RENAME;
    case 'truncate':
      return detail0 === STEP_TRUNCATE;
    case 'unlink':
      return false;
  }
}

function expectAnyFault(t: ExecutionContext, hasSpares: boolean): void {
  t.log(`seed ${seed}`);
  const seen = new Map<DiskOperation, number>();
  for (let at = 1; ; at++) {
    const world = newWorld(hasSpares);
    world.disk.arm({ at, fault: { errno: at % 2 === 0 ? EIO : ENOSPC } });
    const result = attempt(world);
    const { failed: operation } = world.disk;
    if (operation === undefined) break;
    seen.set(operation, (seen.get(operation) ?? 0) + 1);
    expectNothingLeft(t, world, result, leftBehind(result));
    const { failed, failure, table, ended } = result;
    if (failed === undefined) {
      t.is(operation, 'close', 'only the closing of an input can fail without a request that writes failing');
      t.is(ended.detail0, STEP_CLOSE);
      t.is(ended.result, at % 2 === 0 ? -EIO : -ENOSPC);
    } else {
      t.is(failed.result, at % 2 === 0 ? -EIO : -ENOSPC);
      t.true(stepOf(operation, failed), `${operation} gives step ${failed.detail0}`);
      const isInput = world.runs.flat().some(({ number }) => number === failure?.table);
      t.true(isInput || failure?.table === table, 'the table is an input or the output');
      t.is(failure !== undefined && failure.offset >= 0, operation === 'read');
    }
    expectRecovery(t, world, result);
  }
  const truncated: readonly DiskOperation[] = hasSpares ? ['truncate'] : [];
  for (const operation of ['open', 'close', 'read', 'write', 'sync', 'rename', ...truncated] as const) {
    t.true((seen.get(operation) ?? 0) >= 2, `${operation} failed ${seen.get(operation)} times`);
  }
}

test('an error at any one step is answered with the step and the file, and leaves nothing behind', (t) => {
  expectAnyFault(t, false);
});

test('the same of tables that are written over old ones', (t) => {
  expectAnyFault(t, true);
});

test('over files that are longer or shorter, or gone, the same is written', (t) => {
  const whole = newWorld();
  const { written } = attempt(whole);
  t.true(written.length >= 3, 'there are as many tables as spare files');
  const world = newWorld(true);
  world.disk.names.delete(tableName(world.spares[2]));
  const over = attempt(world);
  t.is(over.failed, undefined);
  t.deepEqual(
    over.written.map(({ fileBytes }) => fileBytes),
    written.map(({ fileBytes }) => fileBytes),
  );
  for (const { number, fileBytes } of over.written) {
    t.is(world.disk.names.get(tableName(number))?.size, fileBytes, 'nothing of the old table follows');
  }
  expectEntries(t, world.rig.entriesOf(over.written), world.expected);
  t.false(world.spares.some((spare) => world.disk.names.has(tableName(spare))));
  expectNothingLeft(t, world, over);
});

test('a read or write that comes back short once is continued', (t) => {
  for (const operation of ['read', 'write'] as const) {
    for (const fault of ['part', 'nothing'] as const) {
      for (let at = 1; ; at++) {
        const world = newWorld();
        world.disk.arm({ at, fault, operation });
        const result = attempt(world);
        if (world.disk.failed === undefined) break;
        t.is(result.failed, undefined, `${operation} ${at} ${fault}`);
        expectEntries(t, world.rig.entriesOf(result.written), world.expected);
        expectNothingLeft(t, world, result);
      }
    }
  }
});

test('a file that ends early, and a disk that takes nothing any more', (t) => {
  for (const operation of ['read', 'write'] as const) {
    for (let at = 1; ; at++) {
      const world = newWorld();
      world.disk.arm({ at, fault: 'nothing', operation, isLasting: true });
      const result = attempt(world);
      if (world.disk.failed === undefined) break;
      t.is(result.failed?.result, operation === 'read' ? RESULT_SHORT_READ : RESULT_SHORT_WRITE);
      expectNothingLeft(t, world, result);
      expectRecovery(t, world, result);
    }
  }
});

test('everything comes back short, every time', (t) => {
  const world = newWorld();
  world.disk.arm({ at: 1, fault: 'part', isLasting: true, operation: 'write' });
  const result = attempt(world);
  if (result.failed === undefined) expectEntries(t, world.rig.entriesOf(result.written), world.expected);
  else t.is(result.failed.result, RESULT_SHORT_WRITE);
  expectNothingLeft(t, world, result);
});

test('a full disk gives the space back', (t) => {
  const world = newWorld();
  const used = [...world.disk.names.values()].reduce((sum, { size }) => sum + size, 0);
  for (const room of [0, 4096, 70_000, 300_000, 700_000]) {
    world.disk.capacityBytes = used + room;
    const result = attempt(world);
    t.is(result.failed?.result, -ENOSPC);
    t.is(result.failure?.table, result.table);
    expectNothingLeft(t, world, result);
    for (const { number } of result.written) world.disk.names.delete(tableName(number));
  }
  world.disk.capacityBytes = Infinity;
  const whole = attempt(world);
  expectEntries(t, world.rig.entriesOf(whole.written), world.expected);
});

test('a sync beside the writes that fails fails the table, though the last one would go well', (t) => {
  const disk = new FailingDisk();
  const rig = new CompactionRig({ random: new Random(seed), disk });
  const entries = Array.from({ length: 3000 }, (_, i) =>
    put(keyOf(i), i + 1, new Uint8Array(valueOf(1000, i))),
  );
  const runs = [[rig.addTable(entries)]];
  for (const at of [1, 2]) {
    disk.arm({ at, fault: { errno: EIO }, operation: 'sync' });
    t.true(rig.begin({ runs, tableBytes: 1 << 30 }).result >= 0);
    const answer = rig.write(rig.newTable());
    t.is(disk.failed, 'sync');
    t.is(answer.result, -EIO);
    t.is(rig.failure().table, rig.newTable() - 1);
    t.is(answer.detail0, STEP_FSYNC);
    rig.end();
    t.is(rig.host.inFlight, 0);
    t.is(disk.openHandles.size, 0);
    t.deepEqual([...disk.names.keys()], [tableName(runs[0][0].number)]);
  }
  disk.arm({ operation: 'sync' });
  rig.begin({ runs, tableBytes: 1 << 30 });
  const answer = rig.write(rig.newTable());
  t.true(answer.result > 0);
  t.true(disk.counted > 3, `${disk.counted} syncs of file and directory`);
  expectEntries(
    t,
    rig.entriesOf([rig.described(answer)]),
    entries.map((entry) => ({ ...entry, sequence: 0 })),
  );
  rig.end();
});

test('a block that is damaged anywhere is named with its table and its offset', (t) => {
  const { runs } = newWorld();
  for (const [run, inputs] of runs.entries()) {
    for (const [i, { metaOffset }] of inputs.entries()) {
      for (let block = 0; block < metaOffset; block += 17 * PAGE_BYTES) {
        const world = newWorld();
        const input = world.runs[run][i];
        const file = world.disk.names.get(tableName(input.number)) ?? new SimulatedFile();
        file.flip(block + 1234, 4);
        const result = attempt(world);
        t.is(result.failed?.result, RESULT_CHECKSUM);
        const { table, offset = -1, expected, actual } = result.failure ?? {};
        t.is(table, input.number);
        t.true(offset <= block && offset % PAGE_BYTES === 0);
        t.not(expected, actual);
        t.is(result.failed?.detail0, (expected ?? 0) | 0);
        t.is(result.failed?.detail1, (actual ?? 0) | 0);
        expectNothingLeft(t, world, result);
        file.flip(block + 1234, 4);
        expectRecovery(t, world, result);
      }
    }
  }
});

test('a tail that is damaged is named with what is wrong', (t) => {
  const { runs } = newWorld();
  const { metaOffset, fileBytes } = runs[1][1];
  for (let at = metaOffset; at < fileBytes; at += 61) {
    const world = newWorld();
    const input = world.runs[1][1];
    const file = world.disk.names.get(tableName(input.number)) ?? new SimulatedFile();
    file.flip(at, 0x40);
    const result = attempt(world);
    t.is(result.failed?.result, RESULT_CHECKSUM);
    t.is(result.failure?.table, input.number);
    t.true((result.failure?.offset ?? -1) >= metaOffset);
    t.regex(result.failure?.message ?? '', /\.sst/);
    t.is(result.written.length, 0);
    expectNothingLeft(t, world, result);
  }
});

test('a table that is another one under this name, or is not there', (t) => {
  const world = newWorld();
  const [[first]] = world.runs;
  const other = { ...first, number: world.rig.newTable() };
  const missing = attempt({ ...world, runs: [[other]] });
  t.is(missing.failed?.result, -ENOENT);
  t.is(missing.failed?.detail0, STEP_OPEN);
  t.is(missing.failure?.table, other.number);
  world.disk.names.set(
    tableName(other.number),
    world.disk.names.get(tableName(first.number)) ?? new SimulatedFile(),
  );
  const foreign = attempt({ ...world, runs: [[other]] });
  t.is(foreign.failed?.result, RESULT_CHECKSUM);
  t.is(foreign.failure?.table, other.number);
});
