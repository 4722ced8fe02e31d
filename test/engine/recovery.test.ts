/**
 * Recovery: what a crash leaves is replayed, what it cut short is cut and counted, and anything else that is missing or
 * damaged in the log is refused with the directory untouched. A crash is a copy of the files of an open database.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Database } from '../../src/index.ts';
import { type DatabaseOptions } from '../../src/index.ts';
import { FRAME_FIRST, FRAME_HEADER_BYTES, FRAME_LAST, FRAME_MAGIC } from '../../src/format/frame.ts';
import { readU16, readU48 } from '../../src/format/integers.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import {
  flipByte,
  logFrames,
  manifestPath,
  patch,
  truncate,
  zero,
  type PlacedFrame,
} from '../support/damage.ts';
import {
  contentsOf,
  crashImage,
  namesEnding,
  openDatabase,
  temporaryDirectory,
} from '../support/directories.ts';
import { expectRefused } from '../support/refusals.ts';
import { expectValue, keyOf, valueOf } from '../support/values.ts';

/** Logs of one MiB, and memtables that hold more than that. */
const OPTIONS: DatabaseOptions = { writeBufferBytes: 2 << 20, blockBytes: 4096, blockCacheBytes: 65_536 };
/** Memtables and tables so small that logs are let go and used again all the time. */
const TINY: DatabaseOptions = { ...OPTIONS, writeBufferBytes: 65_536 };
/** Room for a batch of several frames in the log and the memtable that have what was written before it. */
const ROOMY: DatabaseOptions = { ...OPTIONS, writeBufferBytes: 8 << 20 };
const VALUE_BYTES = 9000;

type Writes = (database: Database) => Promise<void>;

/** Writes into a new database; the crash image of it. */
async function imageAfter(
  t: ExecutionContext,
  backend: Backend,
  write: Writes,
  options = OPTIONS,
): Promise<string> {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, options);
  await write(database);
  const image = await crashImage(t, database, directory);
  await database.close();
  return image;
}

/** A frame of three pages for each of `count` keys. */
function frameEach(count: number): Writes {
  return async (database) => {
    for (let i = 0; i < count; i++) await database.put(keyOf(i), valueOf(VALUE_BYTES, i));
  };
}

async function expectKeys(t: ExecutionContext, database: Database, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await expectValue(t, database, keyOf(i), valueOf(VALUE_BYTES, i));
}

testBackends('everything acknowledged is replayed after a crash', async (t, backend) => {
  const image = await imageAfter(t, backend, async (database) => {
    await frameEach(20)(database);
    await database.del(keyOf(3));
    await database.batch([
      { type: 'put', key: 'a', value: '1' },
      { type: 'del', key: keyOf(4) },
      { type: 'put', key: 'a', value: '2' },
    ]);
  });
  const database = await openDatabase(t, image, backend, OPTIONS);
  t.deepEqual(database.stats().recovery, { replayedRecords: 24, tornFrames: 0, tornBytes: 0 });
  t.is(database.stats().lastSequence, 24);
  await expectKeys(t, database, 5, 20);
  await expectValue(t, database, keyOf(3), undefined);
  await expectValue(t, database, keyOf(4), undefined);
  await expectValue(t, database, 'a', '2');
});

testBackends('records that are in tables already are not replayed', async (t, backend) => {
  const image = await imageAfter(t, backend, async (database) => {
    await frameEach(5)(database);
    await database.flush();
    await database.put(keyOf(0), 'newer');
  });
  const database = await openDatabase(t, image, backend, OPTIONS);
  t.is(database.stats().recovery.replayedRecords, 1);
  await expectValue(t, database, keyOf(0), 'newer');
  await expectKeys(t, database, 1, 5);
});

const TORN_TAILS: Record<string, (frame: PlacedFrame) => void> = {
  'the file ends within it': ({ file, offset }) => truncate(file, offset + 5000),
  'the file ends within its header': ({ file, offset }) => truncate(file, offset + 20),
  'its later pages are zeros': ({ file, offset, paddedBytes }) =>
    zero(file, offset + 4096, offset + paddedBytes),
  'a byte in its last page is wrong': ({ file, offset, bytes }) => flipByte(file, offset + bytes - 1),
  'its checksum is wrong': ({ file, offset }) => flipByte(file, offset),
  'its length is beyond the file': ({ file, offset }) =>
    patch(file, (bytes) => bytes.fill(0xff, offset + 28, offset + 32)),
};

for (const [name, tear] of Object.entries(TORN_TAILS)) {
  testBackends(`a torn last frame is cut and counted: ${name}`, async (t, backend) => {
    const image = await imageAfter(t, backend, frameEach(6));
    const frames = logFrames(image);
    t.is(frames.length, 6);
    tear(frames[5]);
    let database = await openDatabase(t, image, backend, OPTIONS);
    const { replayedRecords, tornFrames, tornBytes } = database.stats().recovery;
    t.is(replayedRecords, 5);
    t.is(tornFrames, 1);
    t.true(tornBytes > 0);
    await expectKeys(t, database, 0, 5);
    await expectValue(t, database, keyOf(5), undefined);
    await database.put(keyOf(6), valueOf(VALUE_BYTES, 6));
    await database.close();
    // What was cut stays cut, and is counted once.
    for (let i = 0; i < 2; i++) {
      database = await openDatabase(t, image, backend, OPTIONS);
      t.is(database.stats().recovery.tornFrames, 0);
      await expectKeys(t, database, 0, 5);
      await expectValue(t, database, keyOf(5), undefined);
      await expectKeys(t, database, 6, 7);
      await database.close();
    }
  });
}

testBackends('a last frame that never reached the disk leaves no trace', async (t, backend) => {
  const image = await imageAfter(t, backend, frameEach(4));
  const { file, offset, paddedBytes } = logFrames(image)[3];
  zero(file, offset, offset + paddedBytes);
  const database = await openDatabase(t, image, backend, OPTIONS);
  t.deepEqual(database.stats().recovery, { replayedRecords: 3, tornFrames: 0, tornBytes: 0 });
  await expectKeys(t, database, 0, 3);
});

/** Two acknowledged puts, then a batch of several frames. */
const putsAndLargeBatch: Writes = async (database) => {
  await frameEach(2)(database);
  const batch = database.batch().put(keyOf(0), 'of the batch');
  for (let i = 2; i < 9; i++) batch.put(keyOf(i), valueOf(500_000, i));
  await batch.write();
};

const TORN_BATCHES: Record<string, (frames: readonly PlacedFrame[]) => void> = {
  'its last frame is damaged': (frames) => flipByte(frames.at(-1)!.file, frames.at(-1)!.offset + 100),
  'its last frame is missing': (frames) =>
    zero(frames.at(-1)!.file, frames.at(-1)!.offset, frames.at(-1)!.offset + frames.at(-1)!.paddedBytes),
  'the file ends after its first frame': (frames) => truncate(frames[0].file, frames[1].offset),
  'the file ends within its second frame': (frames) => truncate(frames[0].file, frames[1].offset + 10_000),
};

for (const [name, tear] of Object.entries(TORN_BATCHES)) {
  testBackends(`a batch that a crash cut short is gone as a whole: ${name}`, async (t, backend) => {
    const image = await imageAfter(t, backend, putsAndLargeBatch, ROOMY);
    const frames = logFrames(image);
    const batch = frames.slice(frames.findIndex(({ kind }) => kind === FRAME_FIRST));
    t.true(batch.length >= 4);
    t.is(batch.at(-1)!.kind, FRAME_LAST);
    tear(batch);
    let database = await openDatabase(t, image, backend, ROOMY);
    const { recovery } = database.stats();
    t.is(recovery.replayedRecords, 2);
    t.is(recovery.tornFrames, 1);
    t.true(recovery.tornBytes >= batch[0].paddedBytes);
    for (let round = 0; round < 2; round++) {
      await expectKeys(t, database, 0, 2);
      for (let i = 2; i < 9; i++) await expectValue(t, database, keyOf(i), undefined);
      await database.close();
      database = await openDatabase(t, image, backend, ROOMY);
    }
  });
}

testBackends('a damaged frame before a valid one is corruption', async (t, backend) => {
  const image = await imageAfter(t, backend, frameEach(6));
  const { file, offset } = logFrames(image)[3];
  flipByte(file, offset + 4000);
  const error = await expectRefused(t, image, backend, 'LOG_CORRUPT', OPTIONS);
  t.is(error.file, file);
  t.is(error.offset, offset);
  t.is(typeof error.expected, 'number');
  t.not(error.expected, error.actual);
  flipByte(file, offset + 4000);
  const database = await openDatabase(t, image, backend, OPTIONS);
  await expectKeys(t, database, 0, 6);
});

testBackends('a damaged middle frame of a batch before its last one is corruption', async (t, backend) => {
  const image = await imageAfter(t, backend, putsAndLargeBatch, ROOMY);
  const { file, offset } = logFrames(image).find(({ kind }) => kind === FRAME_LAST - 1)!;
  flipByte(file, offset + FRAME_HEADER_BYTES + 77);
  const error = await expectRefused(t, image, backend, 'LOG_CORRUPT', OPTIONS);
  t.is(error.file, file);
  t.is(error.offset, offset);
});

const DAMAGED_AFTER_CLOSE: Record<string, (frame: PlacedFrame) => void> = {
  'a byte is wrong': ({ file, offset, bytes }) => flipByte(file, offset + bytes - 1),
  'it is zeros': ({ file, offset, paddedBytes }) => zero(file, offset, offset + paddedBytes),
  'the file ends before it': ({ file, offset }) => truncate(file, offset),
};

for (const [name, damage] of Object.entries(DAMAGED_AFTER_CLOSE)) {
  testBackends(`after a clean close the last frame is no torn tail: ${name}`, async (t, backend) => {
    const directory = join(temporaryDirectory(t), 'db');
    const closed = await openDatabase(t, directory, backend, OPTIONS);
    await frameEach(4)(closed);
    await closed.close();
    const frame = logFrames(directory)[3];
    damage(frame);
    const error = await expectRefused(t, directory, backend, 'LOG_CORRUPT', OPTIONS);
    t.is(error.file, frame.file);
    t.is(error.offset, frame.offset);
  });
}

testBackends('a log whose end was recorded and that is missing is corruption', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const closed = await openDatabase(t, directory, backend, OPTIONS);
  await frameEach(3)(closed);
  await closed.close();
  const { file } = logFrames(directory)[0];
  rmSync(file);
  const error = await expectRefused(t, directory, backend, 'LOG_CORRUPT', OPTIONS);
  t.is(error.file, file);
  t.regex(error.message, new RegExp(basename(file)));
});

/** Frames in at least two logs, none of them in tables. */
const twoLogs = frameEach(140);

async function imageOfTwoLogs(
  t: ExecutionContext,
  backend: Backend,
): Promise<{ image: string; frames: PlacedFrame[] }> {
  const image = await imageAfter(t, backend, twoLogs);
  const frames = logFrames(image);
  t.is(new Set(frames.map(({ file }) => file)).size, 2, 'the frames lie in two logs');
  return { image, frames };
}

testBackends('sequence numbers go on from one log to the next', async (t, backend) => {
  const { image, frames } = await imageOfTwoLogs(t, backend);
  t.deepEqual(
    frames.map(({ firstSequence }) => firstSequence),
    Array.from({ length: 140 }, (_, i) => i + 1),
  );
  const database = await openDatabase(t, image, backend, OPTIONS);
  t.is(database.stats().recovery.replayedRecords, 140);
  await expectKeys(t, database, 0, 140);
});

testBackends('a log that is missing before another one is corruption', async (t, backend) => {
  const { image, frames } = await imageOfTwoLogs(t, backend);
  rmSync(frames[0].file);
  const error = await expectRefused(t, image, backend, 'LOG_CORRUPT', OPTIONS);
  t.is(error.file, frames.at(-1)!.file);
  t.is(error.offset, 0);
});

testBackends('the end of a log that is missing before another one is corruption', async (t, backend) => {
  const { image, frames } = await imageOfTwoLogs(t, backend);
  const last = frames.filter(({ file }) => file === frames[0].file).at(-1)!;
  zero(last.file, last.offset, last.offset + last.paddedBytes);
  const error = await expectRefused(t, image, backend, 'LOG_CORRUPT', OPTIONS);
  t.is(error.file, frames.at(-1)!.file);
});

/** Whether a page behind the last valid frame has a frame of another file: what a recycled log looks like. */
function staleFrames(image: string): number {
  let stale = 0;
  const ends = new Map<string, number>();
  for (const { file, offset, paddedBytes } of logFrames(image)) ends.set(file, offset + paddedBytes);
  for (const [file, end] of ends) {
    const number = Number(basename(file, '.wal'));
    patch(file, (bytes) => {
      for (let at = end; at < bytes.length; at += 4096) {
        if (readU16(bytes, at + 4) === FRAME_MAGIC && readU48(bytes, at + 8) !== number) stale++;
      }
    });
  }
  return stale;
}

testBackends('frames that a recycled log still has from before never replay', async (t, backend) => {
  const model = new Map<string, Buffer>();
  const image = await imageAfter(
    t,
    backend,
    async (database) => {
      // Keys come again and again, so that an old frame that is replayed shows.
      let i = 0;
      while (database.stats().log.recycled < 3 || database.stats().memtables.activeEntries < 5) {
        const value = valueOf(VALUE_BYTES, i);
        await database.put(keyOf(i % 40), value);
        model.set(keyOf(i % 40), value);
        if (++i === 5000) t.fail('logs are used again');
      }
    },
    TINY,
  );
  t.true(staleFrames(image) > 0, 'the log has frames of an earlier one behind its own');
  const database = await openDatabase(t, image, backend, TINY);
  t.is(database.stats().recovery.tornFrames, 0);
  for (const [key, value] of model) await expectValue(t, database, key, value);
});

testBackends('thirty crashes and clean closes, with writes after each', async (t, backend) => {
  let directory = join(temporaryDirectory(t), 'db');
  const model = new Map<string, Buffer | undefined>();
  for (let cycle = 0; cycle < 30; cycle++) {
    const database = await openDatabase(t, directory, backend, TINY);
    for (const [key, value] of model) {
      const read = database.getSync(key);
      if (value === undefined ? read !== undefined : !read?.equals(value)) t.fail(`${key} in cycle ${cycle}`);
    }
    for (let i = 0; i < 12; i++) {
      const key = keyOf((cycle * 7 + i) % 90);
      const value = i % 5 === 4 ? undefined : valueOf(i === 3 ? 30_000 : 400, cycle * 100 + i);
      await (value === undefined ? database.del(key) : database.put(key, value));
      model.set(key, value);
    }
    if (cycle % 4 === 1) await database.flush();
    const image = cycle % 3 === 2 ? undefined : await crashImage(t, database, directory);
    await database.close();
    directory = image ?? directory;
  }
  const names = Object.keys(contentsOf(directory));
  t.true(namesEnding(directory, '.wal').length <= 6, names.join(' '));
  t.is(names.filter((name) => name.startsWith('MANIFEST')).length, 1);
});

testBackends('files that no version names are removed at open', async (t, backend) => {
  const image = await imageAfter(t, backend, async (database) => {
    await frameEach(3)(database);
    await database.flush();
    await frameEach(2)(database);
  });
  const orphans = [
    '000800.sst',
    '000801.sst.tmp',
    '000802.wal',
    '000001.wal',
    'CURRENT.tmp',
    'MANIFEST-000803',
  ];
  for (const name of orphans) writeFileSync(join(image, name), Buffer.alloc(8192));
  const before = basename(manifestPath(image));
  const database = await openDatabase(t, image, backend, OPTIONS);
  const names = Object.keys(contentsOf(image));
  t.deepEqual(
    names.filter((name) => orphans.includes(name) || name === before),
    [],
  );
  await expectKeys(t, database, 0, 3);
  await database.put('after', 'wards');
  await database.flush();
  t.true(
    namesEnding(image, '.sst').every(
      (name) => name > '000803.sst' || statSync(join(image, name)).size > 8192,
    ),
    'numbers are not given twice',
  );
});

testBackends(
  'a crash while the database is created leaves a directory that can be opened',
  async (t, backend) => {
    const directory = temporaryDirectory(t);
    writeFileSync(join(directory, 'LOCK'), '');
    writeFileSync(join(directory, 'MANIFEST-000001'), Buffer.alloc(4096));
    writeFileSync(join(directory, 'CURRENT.tmp'), 'quadr');
    const database = await openDatabase(t, directory, backend, OPTIONS);
    await database.put('a', '1');
    await expectValue(t, database, 'a', '1');
    t.false(Object.keys(contentsOf(directory)).includes('CURRENT.tmp'));
  },
);
