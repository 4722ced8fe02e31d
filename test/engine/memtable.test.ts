/** The order of a memtable's keys, merged in lots, at any moment: against a sorted array. Seeds as in support/random.ts. */
import test from 'ava';
import { hashBytes } from '../../src/format/hash.ts';
import { KIND_PUT } from '../../src/format/limits.ts';
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
};

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
  const position = { node: 0, block: 0, at: 0 };
  for (memtable.order.toFirst(position); position.node !== 0; memtable.order.toNext(position)) {
    let node = memtable.newestVersion(position.node);
    for (; node !== 0; node = memtable.olderVersion(node)) {
      order.push(textOf(memtable.keyOf(node), memtable.sequenceOf(node)));
    }
  }
  return order;
}

/** All keys, backward. */
function keysBackward(memtable: Memtable): string[] {
  const keys: string[] = [];
  const position = { node: 0, block: 0, at: 0 };
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
          const from = versions[random.below(versions.length)].key;
          const position = { node: 0, block: 0, at: 0 };
          memtable.order.toFirstFrom(position, from, 0, from.length);
          t.is(Buffer.compare(memtable.keyOf(position.node), from), 0);
          const before = versions.findLast(({ key }) => Buffer.compare(key, from) < 0);
          memtable.order.toLastBefore(position, from, 0, from.length);
          t.deepEqual(
            position.node === 0 ? undefined : Buffer.from(memtable.keyOf(position.node)),
            before?.key,
          );
          t.is(Buffer.compare(memtable.keyOf(memtable.order.last), versions.at(-1)!.key), 0);
          if (!random.oneIn(2)) continue;
          t.deepEqual(orderOf(memtable), textsOf(versions));
          t.deepEqual(keysBackward(memtable), keysOf(versions).toReversed());
        }
        while (!memtable.finish());
        const flushed: string[] = [];
        const cursor = new ArenaCursor(new Int32Array(memtable.buffer));
        while (cursor.next()) {
          const key = memtable.bytes.slice(cursor.keyStart, cursor.keyStart + cursor.keyLength);
          flushed.push(textOf(key, cursor.sequence));
        }
        versions = versions.toSorted(byKeyNewestFirst);
        t.deepEqual(flushed, textsOf(versions));
        t.deepEqual(orderOf(memtable), flushed, 'and nothing is there twice');
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
    const position = { node: 0, block: 0, at: 0 };
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
