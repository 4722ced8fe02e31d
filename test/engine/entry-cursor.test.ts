/** Cursors: entries in the call, cached or not, and what they refuse. The scan model has their order, bounds and moments. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Database, type CursorOptions, type DatabaseOptions, type EntryCursor } from '../../src/index.ts';
import { testBackends } from '../support/backends.ts';
import { openDatabase, temporaryDirectory } from '../support/directories.ts';
import { expectCode } from '../support/errors.ts';
import { ioOf } from '../support/io-setting.ts';
import { keyOf, valueOf } from '../support/values.ts';

const SMALL: DatabaseOptions = { writeBufferBytes: 65_536, blockBytes: 4096, blockCacheBytes: 0 };
const ENTRIES = 2000;
const VALUE_BYTES = 400;

async function fill(database: Database): Promise<void> {
  const operations = Array.from({ length: ENTRIES }, (_, i) => ({
    type: 'put' as const,
    key: keyOf(i),
    value: valueOf(VALUE_BYTES, i),
  }));
  await database.batch(operations);
  await database.flush();
}

/** Numbers of the entries that the cursor gives, each of which is looked at. */
function numbersOf(cursor: EntryCursor, most = Infinity): number[] {
  const numbers: number[] = [];
  while (numbers.length < most && cursor.next()) {
    const number = Number(cursor.keyString().slice(keyOf(0).search(/\d/)));
    if (cursor.keyString() !== keyOf(number) || !cursor.value.equals(valueOf(VALUE_BYTES, number)))
      throw new Error(`${cursor.keyString()} has another key's value`);
    numbers.push(number);
  }
  return numbers;
}

const counted = (first: number, count: number, step = 1): number[] =>
  Array.from({ length: count }, (_, i) => first + i * step);

testBackends('a cursor reads what is not cached, in both directions', async (t, backend) => {
  const directory = join(temporaryDirectory(t), 'db');
  const first = await openDatabase(t, directory, backend, SMALL);
  await fill(first);
  await first.close();
  for (const blockCacheBytes of [0, 1 << 20]) {
    const options = { ...SMALL, blockCacheBytes, io: ioOf(backend) };
    const database = await Database.open(directory, options);
    using forward = database.cursor();
    t.deepEqual(numbersOf(forward), counted(0, ENTRIES));
    t.false(forward.next(), 'the end is the end');
    using backward = database.cursor({ reverse: true, limit: 700 });
    t.deepEqual(numbersOf(backward), counted(ENTRIES - 1, 700, -1));
    const { reads } = database.stats().readAhead;
    t.true(reads > 100, `${reads} blocks were read ahead`);
    forward.close();
    backward.close();
    t.is(database.stats().readers.iterators, 0);
    t.is(database.stats().readAhead.slots, 0);
    await database.close();
  }
});

testBackends('a short cursor stays right while others take the slots of its blocks', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, {
    ...SMALL,
    blockBytes: 65_536,
    blockCacheBytes: 1 << 20,
  });
  await fill(database);
  t.deepEqual(numbersOf(database.cursor()), counted(0, ENTRIES));
  const cursors = counted(0, 10).map((i) => database.cursor({ gte: keyOf(100 * i), limit: 600 }));
  const given: number[][] = cursors.map(() => []);
  for (let turn = 0; turn < 60; turn++) {
    for (const [i, cursor] of cursors.entries()) given[i].push(...numbersOf(cursor, 7));
    if (turn % 10 === 9) await delay(1);
    database.getSync(keyOf((turn * 331) % ENTRIES), { fillCache: turn % 2 === 0 });
  }
  given.forEach((numbers, i) => t.deepEqual(numbers, counted(100 * i, 420)));
  for (const cursor of cursors) cursor.close();
});

testBackends(
  'an entry that a cursor stands at stays, whatever becomes of its memtable',
  async (t, backend) => {
    const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
    for (let i = 0; i < 30; i++) await database.put(keyOf(i), valueOf(VALUE_BYTES, i), { sync: false });
    using cursor = database.cursor();
    t.deepEqual(numbersOf(cursor, 3), [0, 1, 2]);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 30; i++) await database.put(keyOf(i), 'another');
      await database.flush();
    }
    t.is(cursor.keyString(), keyOf(2));
    t.true(cursor.value.equals(valueOf(VALUE_BYTES, 2)));
    t.deepEqual(numbersOf(cursor), counted(3, 27), 'and so does what comes behind it');
  },
);

testBackends('what is read of an entry', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  await database.put('grüße', Buffer.from([0xff, 0x41, 0xc3, 0xa9]));
  await database.put('leer', '');
  await database.put('weit', valueOf(500_000, 1));
  for (const place of ['memtable', 'table']) {
    if (place === 'table') await database.flush();
    using cursor = database.cursor();
    t.true(cursor.next());
    t.is(cursor.keyString(), 'grüße', place);
    t.is(cursor.keyString('latin1'), Buffer.from('grüße').toString('latin1'));
    t.is(cursor.valueString('latin1'), 'ÿAÃ©');
    t.is(cursor.valueString(), '\ufffdAé');
    t.deepEqual([cursor.keyLength, cursor.valueLength], [7, 4]);
    t.is(cursor.memory[cursor.valueStart], 0xff);
    const little = Buffer.alloc(3, 0x2e);
    t.is(cursor.valueInto(little), 4, 'the whole length');
    t.deepEqual([...little], [0xff, 0x41, 0xc3]);
    const large = Buffer.alloc(9, 0x2e);
    t.is(cursor.keyInto(large), 7);
    t.is(large.toString(), 'grüße..');
    const { key, value } = cursor;
    t.true(cursor.next());
    t.deepEqual([cursor.key.toString(), cursor.value.length, cursor.valueLength], ['leer', 0, 0]);
    t.true(cursor.next());
    t.is(cursor.valueLength, 500_000);
    t.true(cursor.value.equals(valueOf(500_000, 1)));
    t.false(cursor.next());
    t.deepEqual(
      [key.toString(), [...value]],
      ['grüße', [0xff, 0x41, 0xc3, 0xa9]],
      'they are the caller’s own',
    );
  }
});

testBackends('where a cursor stands at nothing, and what it refuses', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, SMALL);
  await database.put('a', '1');
  const wrong: readonly unknown[] = [{ keyEncoding: 'utf8' }, { limit: -2 }, { gt: 5 }, { signal: {} }, null];
  for (const options of wrong as readonly CursorOptions[])
    await expectCode(t, 'INVALID_ARGUMENT', () => database.cursor(options));
  await expectCode(t, 'ABORTED', () => database.cursor({ signal: AbortSignal.abort() }));
  t.is(database.stats().readers.iterators, 0, 'nothing that was refused is open');
  const cursor = database.cursor();
  const reads: readonly (() => unknown)[] = [
    () => cursor.key,
    () => cursor.value,
    () => cursor.memory,
    () => cursor.keyStart,
    () => cursor.valueStart,
    () => cursor.keyLength,
    () => cursor.valueLength,
    () => cursor.keyString(),
    () => cursor.valueString(),
    () => cursor.valueInto(Buffer.alloc(1)),
  ];
  for (const read of reads) await expectCode(t, 'NO_ENTRY', read);
  t.true(cursor.next());
  await expectCode(t, 'INVALID_ARGUMENT', () => cursor.valueString('hex' as 'utf8'));
  await expectCode(t, 'INVALID_ARGUMENT', () => cursor.keyInto('a' as unknown as Buffer));
  await expectCode(t, 'INVALID_ARGUMENT', () => cursor.seek(5 as unknown as string));
  t.is(cursor.keyString(), 'a', 'a refusal changes nothing');
  t.false(cursor.next());
  for (const read of reads) await expectCode(t, 'NO_ENTRY', read);
  cursor.seek('');
  for (const read of reads) await expectCode(t, 'NO_ENTRY', read);
  t.true(cursor.next());
  cursor.close();
  cursor.close();
  for (const read of [...reads, () => cursor.next(), () => cursor.seek('a')])
    await expectCode(t, 'CLOSED', read);
  const left = database.cursor();
  t.true(left.next());
  await database.close();
  await expectCode(t, 'CLOSED', () => left.next());
  t.is(left.valueString(), '1', 'the entry that it stands at is in its own memory');
  left.close();
});

testBackends('in reverse a value stays that versions in other blocks come behind', async (t, backend) => {
  const database = await openDatabase(t, join(temporaryDirectory(t), 'db'), backend, {
    ...SMALL,
    writeBufferBytes: 1 << 20,
  });
  for (const key of ['a', 'b', 'c']) await database.put(key, `first of ${key}`.padEnd(1500, '.'));
  const snapshot = database.snapshot();
  // Each of them is held, so that all stay: several blocks of versions that the snapshot does not see.
  const later = [];
  for (let i = 0; i < 12; i++) {
    for (const key of ['a', 'b', 'c']) await database.put(key, `${i} of ${key}`.padEnd(1500, '.'));
    later.push(database.snapshot());
  }
  await database.flush();
  for (const at of [snapshot, ...later]) {
    using cursor = database.cursor({ reverse: true, snapshot: at });
    for (const key of ['c', 'b', 'a']) {
      t.true(cursor.next());
      const expected = database.getSync(key, { snapshot: at });
      t.true(expected?.equals(cursor.value));
    }
    t.false(cursor.next());
    at.close();
  }
});
