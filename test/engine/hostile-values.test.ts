/**
 * Keys and values of somebody who means harm: they are bytes, whatever they look like. Names of files outside, ends of
 * strings, and above all what looks like the database's own files: frames, footers and blocks of every number to come.
 */
import type { ExecutionContext } from 'ava';
import { join } from 'node:path';
import type { Database, DatabaseOptions } from '../../src/index.ts';
import { FRAME_FULL, FRAME_PAYLOAD_BYTES_MAX, sealFrame, writeFrameHeader } from '../../src/format/frame.ts';
import { KIND_PUT, PAGE_BYTES } from '../../src/format/limits.ts';
import { logRecordLength } from '../../src/format/log-record.ts';
import { testBackends } from '../support/backends.ts';
import { crashImage, openDatabase, temporaryDirectory } from '../support/directories.ts';
import { saltOf } from '../support/damage.ts';
import { Random, testSeed } from '../support/random.ts';
import { expectValue } from '../support/values.ts';

const OPTIONS: DatabaseOptions = { writeBufferBytes: 262_144, blockBytes: 4096 };
/** Numbers that the next logs and manifests may get. */
const FILE_NUMBERS = 24;
const PAGES_PER_VALUE = 16;

function oddKeys(): Buffer[] {
  const texts = [
    '',
    '\0',
    '\0\0\0',
    '../../../../etc/passwd',
    '/dev/full',
    'CURRENT',
    '000001.sst',
    '__proto__',
    'constructor',
    '\n\r\t',
    '\u{1f4a3}',
    '\ud800',
    'a'.repeat(65_535),
  ];
  const bytes = [[0xff], [0xff, 0xff, 0xff, 0xff], [0xc0, 0x80], [0x7f], [0x80], [0, 0xff, 0]];
  return [...texts.map((text) => Buffer.from(text)), ...bytes.map((each) => Buffer.from(each))];
}

async function expectAll(
  t: ExecutionContext,
  database: Database,
  entries: ReadonlyMap<string, Buffer>,
): Promise<void> {
  for (const [key, value] of entries) await expectValue(t, database, Buffer.from(key, 'latin1'), value);
  let found = 0;
  for await (const _ of database.keys()) found++;
  t.is(found, entries.size);
}

testBackends('keys and values of any bytes come back as they are', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const entries = new Map<string, Buffer>();
  for (const key of oddKeys()) {
    entries.set(key.toString('latin1'), Buffer.from(oddKeys()[entries.size % oddKeys().length]));
  }
  let database = await openDatabase(t, directory, backend, OPTIONS);
  for (const [key, value] of entries) await database.put(Buffer.from(key, 'latin1'), value);
  await expectAll(t, database, entries);
  const image = await crashImage(t, database, directory);
  await database.flush();
  await expectAll(t, database, entries);
  await database.compactRange();
  await expectAll(t, database, entries);
  await database.close();
  database = await openDatabase(t, directory, backend, OPTIONS);
  await expectAll(t, database, entries);
  await expectAll(t, await openDatabase(t, image, backend, OPTIONS), entries);
});

testBackends(
  'values that imitate the frames of logs to come neither replay nor end a log',
  async (t, backend) => {
    const seed = testSeed();
    t.log(`QUADRING_TEST_SEED=${seed}`);
    const random = new Random(seed);
    const directory = join(temporaryDirectory(t), 'db');
    let database = await openDatabase(t, directory, backend, OPTIONS);
    await database.put('first', '1');
    // Not that anybody could know it: without the salt none of them would verify.
    const salts = [0, saltOf(directory)];
    const entries = new Map<string, Buffer>([['first', Buffer.from('1')]]);
    for (let i = 0; i < 150; i++) {
      const value = imitation(random, salts);
      // At any distance from the pages of the log that they will lie in.
      const key = `key ${i % 40} ${'x'.repeat(random.below(64))}`;
      entries.set(key, value);
      void database.put(key, value);
      if (!random.oneIn(30)) continue;
      const image = await afterWrites(t, database, directory);
      await expectAll(t, await openDatabase(t, image, backend, OPTIONS), entries);
    }
    const image = await afterWrites(t, database, directory);
    await expectAll(t, await openDatabase(t, image, backend, OPTIONS), entries);
    await database.close();
    database = await openDatabase(t, directory, backend, OPTIONS);
    await expectAll(t, database, entries);
  },
);

async function afterWrites(t: ExecutionContext, database: Database, directory: string): Promise<string> {
  await database.put('first', '1');
  return crashImage(t, database, directory);
}

/** Pages each of which is a whole frame of some file, at some place of it, or of none. */
function imitation(random: Random, salts: readonly number[]): Buffer<ArrayBuffer> {
  const value = Buffer.alloc(PAGES_PER_VALUE * PAGE_BYTES);
  for (let page = 0; page < PAGES_PER_VALUE; page++) {
    const frame = new Uint8Array(PAGE_BYTES);
    writeFrameHeader(frame, 0, {
      kind: FRAME_FULL,
      fileNumber: random.between(1, FILE_NUMBERS),
      firstSequence: random.between(1, 1000),
      count: 1,
      payloadLength: random.below(PAGE_BYTES - 32),
    });
    const salt = salts[random.below(salts.length)];
    sealFrame(frame, 0, salt, random.below(256) * PAGE_BYTES);
    value.set(frame, page * PAGE_BYTES);
  }
  // So that its pages may come to lie on pages of the log.
  return value.subarray(random.below(64));
}

/** Bytes that say of themselves what is not so, and the database's name for what they are. */
const LENGTHS: Readonly<Record<string, unknown>> = {
  'fewer than none': -1,
  'more than there are': 50,
  'many more than there are': 100_000,
  fewer: 3,
  'a part of one': 3.5,
  'a string': '5',
  'not a number': NaN,
};

function saying(bytes: number, length: unknown): Uint8Array {
  const array = new Uint8Array(bytes).fill(7);
  return Object.defineProperty(array, 'length', { get: () => length });
}

testBackends('keys and values are what they are, and not what they say of themselves', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend, OPTIONS);
  const entries = new Map<string, Buffer>();
  const expect = (key: Uint8Array | string, value: Uint8Array): unknown =>
    entries.set(Buffer.from(key).toString('latin1'), Buffer.alloc(value.byteLength, 7));
  for (const bytes of [10, 70, 1000]) {
    for (const [name, length] of Object.entries(LENGTHS)) {
      const value = saying(bytes, length);
      // All of them in one frame, with neighbours.
      void database.put(`before ${bytes} ${name}`, Buffer.from('b'));
      void database.put(`put ${bytes} ${name}`, value);
      void database.batch([{ type: 'put', key: `batch ${bytes} ${name}`, value }]);
      const chained = database.batch().put(`chained ${bytes} ${name}`, value);
      t.is(chained.length, 1);
      void chained.write();
      await database.put(`after ${bytes} ${name}`, Buffer.from('a'));
      for (const how of ['put', 'batch', 'chained']) expect(`${how} ${bytes} ${name}`, value);
      entries.set(`before ${bytes} ${name}`, Buffer.from('b'));
      entries.set(`after ${bytes} ${name}`, Buffer.from('a'));
      t.is(database.getInto(`put ${bytes} ${name}`, saying(bytes, length)), bytes);
    }
  }
  for (const [at, length] of Object.values(LENGTHS).entries()) {
    const key = Object.defineProperty(new Uint8Array(20 + at).fill(9), 'length', { get: () => length });
    await database.put(key, new Uint8Array(4).fill(7));
    t.is(database.getSync(key)?.length, 4);
    entries.set(Buffer.alloc(20 + at, 9).toString('latin1'), Buffer.alloc(4, 7));
  }
  await expectAll(t, database, entries);
  await expectAll(
    t,
    await openDatabase(t, await crashImage(t, database, directory), backend, OPTIONS),
    entries,
  );
  await database.close();
  await expectAll(t, await openDatabase(t, directory, backend, OPTIONS), entries);
});

testBackends('values around the longest that a frame holds come back', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const options = { ...OPTIONS, writeBufferBytes: 8 << 20 };
  const database = await openDatabase(t, directory, backend, options);
  const entries = new Map<string, Buffer>();
  const head = logRecordLength(KIND_PUT, 1, FRAME_PAYLOAD_BYTES_MAX) - FRAME_PAYLOAD_BYTES_MAX;
  const writes: Promise<void>[] = [];
  for (const [at, more] of [-1, 0, 1, 0, -1, 0].entries()) {
    const value = Buffer.alloc(FRAME_PAYLOAD_BYTES_MAX - head + more, at + 1);
    for (const [key, bytes] of [
      [String(at), value],
      [`small ${at}`, Buffer.from('s')],
    ] as const) {
      entries.set(key, bytes);
      writes.push(database.put(key, bytes));
    }
  }
  await Promise.all(writes);
  await expectAll(t, database, entries);
  const image = await crashImage(t, database, directory);
  await expectAll(t, await openDatabase(t, image, backend, options), entries);
});
