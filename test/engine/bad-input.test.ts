/** What callers can get wrong in an argument: each a `QuadringError` with its own code, and nothing is changed. */
import { join } from 'node:path';
import { readdirSync } from 'node:fs';
import {
  Database,
  ERROR_CODES,
  type BatchOperation,
  type Bytes,
  type DatabaseOptions,
} from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { detachedView, outOfBoundsView } from '../support/fuzz/hostile-values.ts';
import { expectValue, valueOf } from '../support/values.ts';

const MEBIBYTE = 1 << 20;
const VALUE_BYTES_MAX = 64 * MEBIBYTE;

const NOT_BYTES: readonly unknown[] = [
  undefined,
  null,
  5,
  5n,
  true,
  Symbol('key'),
  {},
  [],
  [1, 2],
  () => 'key',
  new ArrayBuffer(4),
  new DataView(new ArrayBuffer(4)),
  new Uint16Array(2),
  new String('key'),
];

testBackends('keys and values of wrong types', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  for (const wrong of NOT_BYTES as readonly Bytes[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.get(wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getSync(wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getString(wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getInto(wrong, new Uint8Array(4)));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put(wrong, 'value'));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put('key', wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.del(wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () =>
      database.batch([{ type: 'put', key: wrong, value: 'value' }]),
    );
    await expectCode(t, 'INVALID_ARGUMENT', () =>
      database.batch([{ type: 'put', key: 'key', value: wrong }]),
    );
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch([{ type: 'del', key: wrong }]));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch().put(wrong, 'value'));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch().put('key', wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch().del(wrong));
    const target = wrong as Uint8Array;
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getInto('key', target));
  }
  t.is(database.stats().lastSequence, 0);
  await expectValue(t, database, 'key', undefined);
});

testBackends('views whose memory is gone are no empty keys and no empty values', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  for (const gone of [detachedView(), outOfBoundsView()]) {
    t.is(gone.length, 0);
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put(gone, 'value'));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put('key', gone));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.get(gone));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getInto('key', gone));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.deleteRange({ gte: gone }));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch([{ type: 'put', key: 'key', value: gone }]));
  }
  t.is(database.stats().lastSequence, 0);
  await database.put(new Uint8Array(0), Buffer.alloc(0));
  await expectValue(t, database, '', '');
});

testBackends('what only has the prototype of a Uint8Array is none', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const pretenders = [new Proxy(new Uint8Array(3), {}), Object.create(Uint8Array.prototype) as Uint8Array];
  for (const wrong of pretenders) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put(wrong, 'value'));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put('key', wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getSync(wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getInto('key', wrong));
  }
  t.is(database.stats().lastSequence, 0);
});

testBackends(
  'an array of keys that claims to be longer than any memory is refused at once',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
    const endless = Object.assign([] as Bytes[], { length: 2 ** 32 - 1 });
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getMany(endless));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.hasMany(endless));
  },
);

testBackends('a list by level that leaves levels out has the defaults there', async (t, backend) => {
  const filterBitsPerKey = Object.assign([] as number[], { 1: 4 });
  const compression = Object.assign([] as 'lz4'[], { 1: 'lz4' });
  const options = { filterBitsPerKey, compression };
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, options);
  await database.put('key', 'value');
  await database.flush();
  await database.compactRange();
  await expectValue(t, database, 'key', 'value');
});

testBackends('batches, encodings and options of wrong types', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const batches: readonly unknown[] = [
    undefined,
    null,
    5,
    'put',
    {},
    [null],
    [5],
    [{}],
    [{ type: 'set', key: 'a', value: 'b' }],
  ];
  for (const wrong of batches as readonly BatchOperation[][]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch(wrong));
  }
  for (const encoding of ['utf-16', '', null, 5] as readonly unknown[] as readonly 'utf8'[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.getString('key', encoding));
  }
  const writeOptions: readonly unknown[] = [
    null,
    5,
    'sync',
    { sync: 'no' },
    { sync: 0 },
    { signal: 5 },
    { signal: {} },
  ];
  for (const wrong of writeOptions as readonly { sync: boolean }[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.put('key', 'value', wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () => database.del('key', wrong));
    await expectCode(t, 'INVALID_ARGUMENT', () =>
      database.batch([{ type: 'put', key: 'key', value: '' }], wrong),
    );
    await expectCode(t, 'INVALID_ARGUMENT', () => database.batch().put('key', '').write(wrong));
  }
  const readOptions: readonly unknown[] = [null, 5, 'signal', { signal: 5 }];
  for (const wrong of readOptions as readonly object[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => database.get('key', wrong));
  }
  t.is(database.stats().lastSequence, 0);
});

testBackends('keys that are too large', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const tooLarge: readonly Bytes[] = [
    new Uint8Array(65_536),
    new Uint8Array(10 * MEBIBYTE),
    'x'.repeat(65_536),
    'ž'.repeat(32_768),
    '🚲'.repeat(16_384),
    'x'.repeat(65_534) + 'ž',
  ];
  for (const key of tooLarge) {
    await expectCode(t, 'KEY_TOO_LARGE', () => database.get(key));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.getSync(key));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.getString(key));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.getInto(key, new Uint8Array(4)));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.put(key, ''));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.del(key));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.batch([{ type: 'put', key, value: '' }]));
    await expectCode(t, 'KEY_TOO_LARGE', () => database.batch().del(key));
  }
  t.is(database.stats().lastSequence, 0);
});

testBackends('values and batches at their limits and beyond', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const database = await openDatabase(t, directory, backend);
  const largest = Buffer.alloc(VALUE_BYTES_MAX, 'largest');
  const tooLarge = Buffer.alloc(VALUE_BYTES_MAX + 1);
  await expectCode(t, 'VALUE_TOO_LARGE', () => database.put('key', tooLarge));
  await expectCode(t, 'VALUE_TOO_LARGE', () => database.put('key', 'x'.repeat(VALUE_BYTES_MAX + 1)));
  await expectCode(t, 'VALUE_TOO_LARGE', () =>
    database.batch([{ type: 'put', key: 'key', value: tooLarge }]),
  );
  const operations: BatchOperation[] = [
    { type: 'put', key: 'first', value: largest },
    { type: 'put', key: 'second', value: largest },
  ];
  await expectCode(t, 'BATCH_TOO_LARGE', () => database.batch(operations));
  const chained = database.batch().put('first', largest);
  await expectCode(t, 'BATCH_TOO_LARGE', () => chained.put('second', largest));
  t.is(chained.length, 1);
  t.is(database.stats().lastSequence, 0);
  await chained.put('third', 'fits').write();
  t.is(database.getInto('first', new Uint8Array(0)), VALUE_BYTES_MAX);
  t.true(database.getSync('first')?.equals(largest));
  await expectValue(t, database, 'second', undefined);
  await expectValue(t, database, 'third', 'fits');
});

const WRONG_OPTIONS: readonly unknown[] = [
  null,
  5,
  'options',
  [],
  { blockCacheByte: 1 },
  { compression: 'gzip' },
  { compression: [] },
  { compression: ['none', 'none', 'none', 'none', 'none', 'none', 'none', 'none'] },
  { compression: ['none', 5] },
  { compaction: null },
  { compaction: 'off' },
  { compaction: { trigger: 4 } },
  { io: { backends: 'uring' } },
  { io: null },
  { io: 'uring' },
  { io: { backend: 'aio' } },
  { io: { direct: 'yes' } },
  { io: { singleIssuer: 1 } },
  { io: { queueDepth: 32 } },
  { io: { queueDepth: 100 } },
  { io: { queueDepth: 512 } },
  { io: { workers: 4 } },
  { io: { workers: { max: 0 } } },
  { io: { workers: { cpus: 1 } } },
  { io: { workers: { cpus: [-1] } } },
  { io: { workers: { cpus: [undefined] } } },
  { io: { iopoll: 'auto' } },
  { io: { sqpoll: 1 } },
  { io: { sqpoll: null } },
  { io: { sqpoll: { idle: 1 } } },
  { io: { sqpoll: { idleMs: 0 } } },
  { io: { sqpoll: { cpu: -1 } } },
  { io: { spinMicroseconds: -1 } },
  { io: { spinMicroseconds: 1001 } },
  { createIfMissing: 'true' },
  { errorIfExists: 0 },
  { lockTimeoutMs: -1 },
  { lockTimeoutMs: Infinity },
  { blockCacheBytes: -1 },
  { blockCacheBytes: 1.5 },
  { blockCacheBytes: '32' },
  { blockCacheBytes: 2 ** 32 },
  { blockBytes: 2048 },
  { blockBytes: 5000 },
  { blockBytes: 131_072 },
  { writeBufferBytes: 65_535 },
  { writeBufferBytes: 2 ** 30 + 1 },
  { writeBufferBytes: NaN },
  { filterBitsPerKey: -1 },
  { filterBitsPerKey: 31 },
  { hugePages: true },
];

testBackends('options that do not exist or are out of range', async (t) => {
  const parent = temporaryDirectory(t);
  for (const wrong of WRONG_OPTIONS) {
    const error = await expectCode(t, 'INVALID_ARGUMENT', () =>
      Database.open(join(parent, 'db'), wrong as DatabaseOptions),
    );
    const name = Object.keys((wrong as object | null) ?? {})[0];
    if (name !== undefined && !Array.isArray(wrong) && typeof wrong === 'object') {
      t.true(error.message.includes(name), `"${error.message}" names ${name}`);
    }
  }
  t.deepEqual(readdirSync(parent), []);
});

testBackends('a directory that is not a path', async (t) => {
  for (const wrong of [undefined, null, 5, '', 'a\0b', {}, new URL('file:///tmp')] as readonly unknown[]) {
    await expectCode(t, 'INVALID_ARGUMENT', () => Database.open(wrong as string));
  }
});

testBackends('a database goes on working after every one of these mistakes', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend);
  const value = valueOf(100, 1);
  const writes = Array.from({ length: 50 }, (_, i) => {
    const wrong = expectCode(t, 'INVALID_ARGUMENT', () => database.put('wrong', i as unknown as string));
    return [database.put(`key ${i}`, value), wrong];
  });
  await Promise.all(writes.flat());
  for (let i = 0; i < 50; i++) await expectValue(t, database, `key ${i}`, value);
  t.is(database.stats().lastSequence, 50);
  t.true(
    Object.values(ERROR_CODES).every((meaning) => meaning.length > 10),
    'every code says what it means',
  );
});

testBackends('arguments that other calls refuse are refused by all', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  t.throws(() => new (Database as unknown as new () => Database)(), { code: 'INVALID_ARGUMENT' });
  const database = await openDatabase(t, directory, backend);
  await database.put('key', 'old');
  const snapshot = database.snapshot();
  await database.put('key', 'new');
  const target = Buffer.alloc(3);
  t.is(database.getInto('key', target, { snapshot }), 3);
  t.is(target.toString(), 'old');
  t.is(database.getString('key', 'utf8', { snapshot }), 'old');
  t.throws(() => database.getInto('key', target, { snap: snapshot } as object), { code: 'INVALID_ARGUMENT' });
  t.throws(() => database.getString('key', 'utf8', [] as object), { code: 'INVALID_ARGUMENT' });
  t.throws(() => database.setCompactionRate(100), { message: /'auto', 0, or a whole number/ });
  snapshot.close();
  await database.close();
  const misspelt = { takeBehindGap: true } as object;
  await expectCode(t, 'INVALID_ARGUMENT', () => Database.verify(directory, misspelt));
  await expectCode(t, 'INVALID_ARGUMENT', () => Database.repair(directory, misspelt));
  const error = await expectCode(t, 'INVALID_ARGUMENT', () =>
    Database.open(directory, { nope: 1 } as object),
  );
  t.is(error.message, 'option nope does not exist');
});
