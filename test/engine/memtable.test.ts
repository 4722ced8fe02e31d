/** The order of a memtable's nodes, linked in lots, at any moment: against a sorted array. Seeds as in support/random.ts. */
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

function orderOf(memtable: Memtable): string[] {
  const order: string[] = [];
  for (let node = memtable.firstNode; node !== 0; node = memtable.nodeAfter(node)) {
    order.push(textOf(memtable.keyOf(node), memtable.sequenceOf(node)));
  }
  return order;
}

const textsOf = (versions: readonly Version[]): string[] =>
  versions.map(({ key, sequence }) => textOf(key, sequence));

for (const [shape, keyOf] of Object.entries(SHAPES)) {
  for (const [arenaBytes, entries] of [
    [65_536, 400],
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
          const first = memtable.firstNodeFrom(from, from.length);
          t.is(Buffer.compare(memtable.keyOf(first), from), 0);
          const before = versions.findLast(({ key }) => Buffer.compare(key, from) < 0);
          const last = memtable.lastNodeBefore(from, 0, from.length);
          t.deepEqual(last === 0 ? undefined : Buffer.from(memtable.keyOf(last)), before?.key);
          t.is(Buffer.compare(memtable.keyOf(memtable.lastNode), versions.at(-1)!.key), 0);
          if (random.oneIn(2)) t.deepEqual(orderOf(memtable), textsOf(versions));
        }
        while (!memtable.finish(random.between(1, 3000)));
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
        t.is(memtable.firstNode, 0);
      }
    });
  }
}
