/** The order of a memtable's keys, merged in lots, at any moment: against a sorted array. Seeds as in support/random.ts. */
import test, { type ExecutionContext } from 'ava';
import { hashBytes } from '../../src/format/hash.ts';
import { KIND_PUT } from '../../src/format/limits.ts';
import type { KeyPosition } from '../../src/main/key-order.ts';
import { Memtable } from '../../src/main/memtable.ts';
import { ArenaCursor } from '../../src/protocol/arena.ts';
import { Random, testSeed } from '../support/random.ts';

interface Version {
  readonly key: Buffer;
  readonly sequence: number;
}

/** Keys of one kind: what lots are sorted by differs. */
const SHAPES: Readonly<Record<string, (random: Random, at: number) => Buffer>> = {
  'random bytes': (random) => Buffer.from(Array.from({ length: 12 }, () => random.below(256))),
  'few keys, many versions': (random) => Buffer.from(`key ${random.below(7)}`),
  'none to three bytes, zeros among them': (random) =>
    Buffer.from(Array.from({ length: random.below(4) }, () => random.below(3))),
  'a long prefix, and little behind it': (random) => Buffer.from(`${'p'.repeat(40)}${random.below(5000)}`),
  'groups with long prefixes of their own': (random) =>
    Buffer.from(`${random.below(3)}${'-'.repeat(12)}${random.below(100_000)}`),
  'long keys in two groups': (random) =>
    Buffer.from(`${random.below(2)}${'g'.repeat(random.below(50))}${random.below(900)}`),
  'in order, now and then late': (random, at) =>
    Buffer.from(String(random.oneIn(50) ? at - random.below(at + 1) : at).padStart(9, '0')),
  'in decreasing order': (_random, at) => Buffer.from(String(1e8 - at)),
  'between two keys that were there first': (random, at) =>
    Buffer.from(at < 300 ? `${'az'[at % 2]}${at}` : `m${random.below(1_000_000)}`),
  'a long prefix that a few do not have': (random) =>
    Buffer.from(random.oneIn(300) ? `${random.below(1e9)}` : `${'5'.repeat(20)}${random.below(1e9)}`),
  'parts, each shared by some': (random) =>
    Buffer.from(
      `tenant0${random.below(10)}/table0${random.below(10)}/part0${random.below(9)}/row${random.below(1e6)}`,
    ),
};

/** Behind, before or beside a key that is there, or nowhere near one. */
function probeNear(random: Random, key: Buffer): Buffer {
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([key, Buffer.from([random.below(256)])]);
    case 1:
      return key.subarray(0, random.below(key.length + 1));
    case 2: {
      const other = Buffer.from(key);
      if (other.length > 0) other[random.below(other.length)] = random.below(256);
      return other;
    }
    case 3:
      return Buffer.alloc(random.below(9), 0xff);
    case 4:
      return Buffer.alloc(0);
    default:
      return key;
  }
}

function nowhere(): KeyPosition {
  return { node: 0, block: 0, at: 0 };
}

function keyAt(memtable: Memtable, { node }: KeyPosition): string | undefined {
  return node === 0 ? undefined : Buffer.from(memtable.keyOf(node)).toString('latin1');
}

function byKeyNewestFirst(a: Version, b: Version): number {
  return Buffer.compare(a.key, b.key) || b.sequence - a.sequence;
}

function insert(memtable: Memtable, { key, sequence }: Version): void {
  const hash = hashBytes(key, 0, key.length);
  memtable.insert(key, 0, key.length, hash, KIND_PUT, sequence, key, 0, key.length);
}

function textOf(key: Uint8Array, sequence: number): string {
  return `${Buffer.from(key).toString('latin1')} ${sequence}`;
}

/** All versions, by walking the keys forward. */
function orderOf(memtable: Memtable): string[] {
  const order: string[] = [];
  const position = nowhere();
  for (memtable.order.toFirst(position); position.node !== 0; memtable.order.toNext(position)) {
    let node = memtable.newestVersion(position.node);
    for (; node !== 0; node = memtable.olderVersion(node)) {
      order.push(textOf(memtable.keyOf(node), memtable.sequenceOf(node)));
    }
  }
  return order;
}

/** What the flush thread reads. */
function flushedFrom(memtable: Memtable): string[] {
  const flushed: string[] = [];
  const cursor = new ArenaCursor(new Int32Array(memtable.buffer));
  while (cursor.next()) {
    const key = memtable.bytes.slice(cursor.keyStart, cursor.keyStart + cursor.keyLength);
    flushed.push(textOf(key, cursor.sequence));
  }
  return flushed;
}

/** All keys, backward. */
function keysBackward(memtable: Memtable): string[] {
  const keys: string[] = [];
  const position = nowhere();
  for (memtable.order.toLast(position); position.node !== 0; memtable.order.toPrevious(position)) {
    keys.push(Buffer.from(memtable.keyOf(position.node)).toString('latin1'));
  }
  return keys;
}

const textsOf = (versions: readonly Version[]): string[] =>
  versions.map(({ key, sequence }) => textOf(key, sequence));

/** Each once. */
const keysOf = (versions: readonly Version[]): string[] => [
  ...new Set(versions.map(({ key }) => key.toString('latin1'))),
];

/** Shown only where they differ: of tens of thousands that takes long. */
function expectSame(t: ExecutionContext, actual: readonly string[], expected: readonly string[]): void {
  const isSame = actual.length === expected.length && actual.every((text, at) => text === expected[at]);
  if (isSame) t.pass();
  else t.deepEqual(actual, expected);
}

for (const [shape, keyOf] of Object.entries(SHAPES)) {
  for (const [arenaBytes, entries] of [
    [65_536, 400],
    [2 << 20, 8000],
    [24 << 20, 30_000],
  ] as const) {
    test(`${entries} nodes are in order: ${shape}`, (t) => {
      const seed = testSeed();
      t.log(`seed ${seed}`);
      const random = new Random(seed);
      const memtable = new Memtable(new SharedArrayBuffer(arenaBytes), 1);
      for (let use = 0; use < 2; use++) {
        let versions: Version[] = [];
        for (let at = 0; at < entries; at++) {
          const version = { key: keyOf(random, at), sequence: at + 1 };
          insert(memtable, version);
          versions.push(version);
          if (!random.oneIn(entries / 6)) continue;
          versions = versions.toSorted(byKeyNewestFirst);
          for (let probes = 0; probes < 10; probes++) {
            const key = probeNear(random, versions[random.below(versions.length)].key);
            const position = nowhere();
            memtable.order.toFirstFrom(position, key, 0, key.length);
            const from = versions.find((version) => Buffer.compare(version.key, key) >= 0);
            t.is(keyAt(memtable, position), from?.key.toString('latin1'));
            memtable.order.toLastBefore(position, key, 0, key.length);
            const before = versions.findLast((version) => Buffer.compare(version.key, key) < 0);
            t.is(keyAt(memtable, position), before?.key.toString('latin1'));
          }
          t.is(Buffer.compare(memtable.keyOf(memtable.order.last), versions.at(-1)!.key), 0);
          if (!random.oneIn(2)) continue;
          expectSame(t, orderOf(memtable), textsOf(versions));
          expectSame(t, keysBackward(memtable), keysOf(versions).toReversed());
        }
        versions = versions.toSorted(byKeyNewestFirst);
        // Somebody stands there while it is finished.
        const standing = nowhere();
        memtable.order.toFirst(standing);
        while (!memtable.finish()) memtable.order.toNext(standing);
        expectSame(t, flushedFrom(memtable), textsOf(versions));
        // A flush that was refused is tried again.
        while (!memtable.finish());
        expectSame(t, flushedFrom(memtable), textsOf(versions));
        expectSame(t, orderOf(memtable), textsOf(versions));
        memtable.reset();
        t.is(memtable.order.first, 0);
      }
    });
  }
}

test('who stands at a key goes on from there while keys are added', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  for (const isReverse of [false, true]) {
    const memtable = new Memtable(new SharedArrayBuffer(8 << 20), 1);
    let sequence = 0;
    const add = (key: Buffer): void => insert(memtable, { key, sequence: ++sequence });
    const keyOf = (): Buffer => Buffer.from(`key ${random.below(1_000_000)}`);
    const initial = Array.from({ length: 8000 }, keyOf);
    initial.forEach(add);
    const expected = [...new Set(initial.toSorted(Buffer.compare).map(String))];
    const known = new Set(expected);
    const seen: string[] = [];
    const position = nowhere();
    if (isReverse) memtable.order.toLast(position);
    else memtable.order.toFirst(position);
    while (position.node !== 0) {
      const key = String(Buffer.from(memtable.keyOf(position.node)));
      if (known.has(key)) seen.push(key);
      for (let i = random.below(8); i > 0 && sequence < 3 * initial.length; i--) add(keyOf());
      if (isReverse) memtable.order.toPrevious(position);
      else memtable.order.toNext(position);
    }
    t.true(sequence > 2 * initial.length, 'enough was added for several lots');
    t.deepEqual(seen, isReverse ? expected.toReversed() : expected);
  }
});

test('an order without keys has no places', (t) => {
  const memtable = new Memtable(new SharedArrayBuffer(65_536), 1);
  const key = Buffer.from('k');
  const position = nowhere();
  memtable.order.toFirst(position);
  t.is(position.node, 0);
  memtable.order.toLast(position);
  t.is(position.node, 0);
  memtable.order.toFirstFrom(position, key, 0, 1);
  t.is(position.node, 0);
  memtable.order.toLastBefore(position, key, 0, 1);
  t.is(position.node, 0);
  // Range tombstones are no keys.
  memtable.insertRange(Buffer.from('az'), 0, 1, 1, 1, 1);
  while (!memtable.finish());
  t.deepEqual(flushedFrom(memtable), []);
  t.is(memtable.order.first, 0);
});

test('keys of tens of thousands of bytes that differ at their ends are in order', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const memtable = new Memtable(new SharedArrayBuffer(64 << 20), 1);
  const prefixes = ['a', 'b', 'c'].map((letter) => letter.repeat(60_000));
  const nothing = new Uint8Array(0);
  const keys = new Set<string>();
  for (let sequence = 1; sequence <= 800; sequence++) {
    const text = `${prefixes[random.below(3)]}${random.below(1e6)}`;
    keys.add(text);
    const key = Buffer.from(text);
    memtable.insert(key, 0, key.length, hashBytes(key, 0, key.length), KIND_PUT, sequence, nothing, 0, 0);
  }
  t.deepEqual(keysBackward(memtable), [...keys].sort().toReversed());
});

test('the order has room behind the nodes of a memtable that is full', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  for (const arenaBytes of [65_536, Memtable.arenaBytesFor(5000, 5000 * 22)]) {
    const memtable = new Memtable(new SharedArrayBuffer(arenaBytes), 1);
    const value = new Uint8Array(21);
    let sequence = 0;
    for (;;) {
      // One byte more than whole words, the most padding.
      const length = 1 + 4 * random.below(5);
      const key = Buffer.alloc(4);
      key.writeUInt32BE(random.below(2 ** 32));
      if (!memtable.hasRoom(1, key.length + length)) break;
      sequence++;
      memtable.insert(key, 0, 4, hashBytes(key, 0, 4), KIND_PUT, sequence, value, 0, length);
    }
    const slots = memtable.bytes.slice(arenaBytes - arenaBytes / 16);
    while (!memtable.finish());
    t.is(flushedFrom(memtable).length, sequence);
    t.deepEqual(memtable.bytes.slice(arenaBytes - arenaBytes / 16), slots);
  }
});
