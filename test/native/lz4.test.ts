/** LZ4: the block format by its definition, round trips, exact fits, hostile blocks, arguments, threads. */
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/native.ts';
import { Random, testSeed } from '../support/random.ts';
import type { Lz4WorkerData } from './lz4-worker.ts';
import { sharedMemory } from './ring-fixture.ts';

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const LENGTH_MAX = 2_113_929_216;
const CANARY = 0xc5;

/**
 * A block's bytes by the definition of the format. Throws where it is malformed; null for an offset of 0, which is so too,
 * but which the library lets stand for whatever the target had.
 */
function decodeByDefinition(block: Uint8Array): number[] | null {
  const output: number[] = [];
  let at = 0;
  const byte = (): number => {
    if (at >= block.length) throw new Error('the block ends too early');
    return block[at++];
  };
  const extended = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; length += more) more = byte();
    return length;
  };
  while (at < block.length) {
    const token = byte();
    for (let literals = extended(token >> 4); literals > 0; literals--) output.push(byte());
    if (at === block.length) return output;
    const offset = byte() | (byte() << 8);
    if (offset === 0) return null;
    if (offset > output.length) throw new Error(`offset ${offset}`);
    for (let left = extended(token & 15) + 4; left > 0; left--) output.push(output[output.length - offset]);
  }
  throw new Error('the block does not end with literals');
}

function compress(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(native.lz4CompressBound(bytes.length));
  return target.subarray(0, native.lz4Compress(bytes, 0, bytes.length, target, 0, target.length));
}

function jsonText(random: Random, bytes: number): Uint8Array {
  let text = '';
  while (text.length < bytes) {
    text += JSON.stringify({
      id: random.bits(),
      name: `user ${random.below(5000)}`,
      tags: ['a', 'b'],
      active: random.oneIn(2),
    });
  }
  return Buffer.from(text).subarray(0, bytes);
}

/** Of every kind, and of lengths about those where the format or the library change their ways. */
function samples(random: Random): [string, Uint8Array][] {
  const lengths = [
    0, 1, 4, 11, 12, 13, 14, 15, 16, 19, 20, 255, 256, 270, 4096, 16_384, 65_535, 65_548, 200_000,
  ];
  return lengths.flatMap((length): [string, Uint8Array][] => [
    [`${length} random`, Uint8Array.from({ length }, () => random.bits())],
    [`${length} alike`, new Uint8Array(length).fill(random.bits())],
    [`${length} of a short period`, Uint8Array.from({ length }, (_, i) => i % 7)],
    [`${length} of few kinds`, Uint8Array.from({ length }, () => random.below(3))],
    [`${length} of JSON`, jsonText(random, length)],
  ]);
}

function isAll(bytes: Uint8Array, value: number): boolean {
  return bytes.every((byte) => byte === value);
}

test('what is compressed is a block by the definition, and comes back', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  for (const [what, bytes] of samples(new Random(seed))) {
    const bound = native.lz4CompressBound(bytes.length);
    // In the middle of larger arrays, with something around everything.
    const source = new Uint8Array(bytes.length + 20).fill(CANARY);
    source.set(bytes, 7);
    const target = new Uint8Array(bound + 30).fill(CANARY);
    const written = native.lz4Compress(source, 7, 7 + bytes.length, target, 11, 11 + bound);
    t.true(written > 0 && written <= bound, what);
    t.deepEqual(source.slice(7, 7 + bytes.length), Uint8Array.from(bytes), `${what}: the source stays`);
    t.true(isAll(target.subarray(0, 11), CANARY) && isAll(target.subarray(11 + bound), CANARY), what);
    t.deepEqual(decodeByDefinition(target.subarray(11, 11 + written)), [...bytes], what);

    const back = new Uint8Array(bytes.length + 9).fill(CANARY);
    t.is(native.lz4Decompress(target, 11, 11 + written, back, 5, 5 + bytes.length), bytes.length, what);
    t.is(Buffer.compare(back.subarray(5, 5 + bytes.length), bytes), 0, what);
    t.true(isAll(back.subarray(0, 5), CANARY) && isAll(back.subarray(5 + bytes.length), CANARY), what);
  }
});

test('what repeats becomes small, and text smaller', (t) => {
  t.true(compress(new Uint8Array(16_384)).length < 100);
  t.true(compress(jsonText(new Random(1), 16_384)).length < 10_000);
  t.deepEqual(compress(new Uint8Array(0)), Uint8Array.of(0));
});

test('the bound is that of the format', (t) => {
  for (const length of [0, 1, 254, 255, 256, 16_384, LENGTH_MAX]) {
    t.is(native.lz4CompressBound(length), length + Math.floor(length / 255) + 16);
  }
  for (const length of [-1, LENGTH_MAX + 1, NaN, Infinity]) {
    t.throws(() => native.lz4CompressBound(length), { instanceOf: RangeError });
  }
  t.throws(() => native.lz4CompressBound('1' as unknown as number), { instanceOf: TypeError });
});

test('compressing into exactly as much as is needed works, into less gives 0', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  for (const [what, bytes] of samples(new Random(seed))) {
    const expected = compress(bytes);
    const needed = expected.length;
    const target = new Uint8Array(needed + 10).fill(CANARY);
    t.is(native.lz4Compress(bytes, 0, bytes.length, target, 3, 3 + needed), needed, what);
    t.is(Buffer.compare(target.subarray(3, 3 + needed), expected), 0, what);
    for (const capacity of [0, 1, needed >> 1, needed - 2, needed - 1]) {
      if (capacity < 0 || capacity >= needed) continue;
      target.fill(CANARY);
      t.is(
        native.lz4Compress(bytes, 0, bytes.length, target, 3, 3 + capacity),
        0,
        `${what} into ${capacity}`,
      );
      t.true(isAll(target.subarray(0, 3), CANARY) && isAll(target.subarray(3 + capacity), CANARY), what);
    }
  }
});

test('decompressing into more than is needed says how much it was, into less gives -1', (t) => {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  for (const [what, bytes] of samples(new Random(seed))) {
    const block = compress(bytes);
    const target = new Uint8Array(bytes.length + 100).fill(CANARY);
    t.is(native.lz4Decompress(block, 0, block.length, target, 3, target.length - 3), bytes.length, what);
    t.is(Buffer.compare(target.subarray(3, 3 + bytes.length), bytes), 0, what);
    for (const capacity of [0, 1, bytes.length >> 1, bytes.length - 1]) {
      if (capacity < 0 || capacity >= bytes.length) continue;
      target.fill(CANARY);
      t.is(
        native.lz4Decompress(block, 0, block.length, target, 3, 3 + capacity),
        -1,
        `${what} into ${capacity}`,
      );
      t.true(isAll(target.subarray(0, 3), CANARY) && isAll(target.subarray(3 + capacity), CANARY), what);
    }
  }
});

// ---- blocks that are none

/** Source at the very end of its memory, which pages that nobody may touch follow; target within canaries. */
class Hostile {
  readonly #source = sharedMemory(2 * 65_536);
  readonly #target = sharedMemory(2 * 65_536).fill(CANARY);

  /** What the addon says, and whether it stayed within its bounds. */
  decompress(
    block: Uint8Array,
    capacity: number,
  ): { readonly produced: number; readonly output: Uint8Array | null } {
    const source = this.#source;
    source.set(block, source.length - block.length);
    const target = this.#target;
    // Before the range lie bytes that a match could reach back to.
    const start = 65_536;
    const end = start + capacity;
    const produced = native.lz4Decompress(
      source,
      source.length - block.length,
      source.length,
      target,
      start,
      end,
    );
    const output = target.slice(start, Math.max(start, start + produced));
    target.fill(CANARY, start, end);
    const isIntact =
      isAll(target.subarray(start - 64, start), CANARY) && isAll(target.subarray(end, end + 64), CANARY);
    return { produced, output: isIntact ? output : null };
  }
}

const malformed: [string, number[]][] = [
  ['a block of no bytes', []],
  ['a token without its literals', [0x40, 1, 2]],
  ['a length without an end', [0xf0, 255, 255]],
  ['a match that begins before the output', [0x41, 1, 2, 3, 4, 5, 0, 0x50, 1, 2, 3, 4, 5]],
  ['a match in empty output', [0x01, 1, 0, 0x50, 1, 2, 3, 4, 5]],
  ['an offset of half', [0x41, 1, 2, 3, 4, 1]],
  ['an end that is a match', [0x40, 1, 2, 3, 4, 1, 0]],
  ['a length beyond everything', [0xff, ...new Array<number>(60_000).fill(255), 1]],
];

for (const [what, bytes] of malformed) {
  test(`${what} is malformed`, (t) => {
    const { produced, output } = new Hostile().decompress(Uint8Array.from(bytes), 4096);
    t.is(produced, -1);
    t.truthy(output);
  });
}

test('an offset that reaches to the beginning of the output, and no further, is good', (t) => {
  const block = [0x4b, 1, 2, 3, 4, 4, 0, 0x50, 5, 6, 7, 8, 9];
  const { produced, output } = new Hostile().decompress(Uint8Array.from(block), 24);
  t.is(produced, 24);
  t.deepEqual([...output!], decodeByDefinition(Uint8Array.from(block)));
  t.is(new Hostile().decompress(Uint8Array.from(block.with(5, 5)), 24).produced, -1);
});

function tryHostile(t: ExecutionContext, blockOf: (random: Random) => Uint8Array): void {
  const seed = testSeed();
  t.log(`seed ${seed}`);
  const random = new Random(seed);
  const hostile = new Hostile();
  let [refused, taken] = [0, 0];
  for (let round = 0; round < 3000; round++) {
    const block = blockOf(random);
    const capacity = random.below(20_000);
    const { produced, output } = hostile.decompress(block, capacity);
    if (output === null || produced < -1 || produced > capacity) {
      t.fail(`round ${round}: ${block.length} bytes gave ${produced} of ${capacity}`);
      return;
    }
    if (produced === -1) {
      refused++;
      continue;
    }
    taken++;
    // What is taken for a block is one, and means what the definition says.
    const meant = decodeByDefinition(block);
    if (meant !== null && Buffer.compare(Buffer.from(meant), output) !== 0) {
      t.fail(`round ${round}: ${block.length} bytes mean something else`);
      return;
    }
  }
  t.log(`${refused} refused, ${taken} taken`);
  t.true(refused > 100);
}

test('random bytes stay within their bounds', (t) => {
  tryHostile(t, (random) =>
    Uint8Array.from({ length: random.below(300) }, () =>
      random.oneIn(3) ? random.below(20) : random.bits(),
    ),
  );
});

test('damaged and cut blocks stay within their bounds', (t) => {
  const random = new Random(3);
  const blocks = [jsonText(random, 16_384), jsonText(random, 300), new Uint8Array(10_000)].map(compress);
  tryHostile(t, (choices) => {
    const block = blocks[choices.below(blocks.length)].slice();
    for (let changes = choices.below(4); changes > 0; changes--)
      block[choices.below(block.length)] = choices.bits();
    return choices.oneIn(3) ? block.subarray(0, choices.below(block.length)) : block;
  });
});

// ---- arguments

for (const name of ['lz4Compress', 'lz4Decompress'] as const) {
  test(`arguments that do not fit are refused (${name})`, (t) => {
    const call = native[name].bind(native) as (...values: unknown[]) => number;
    const bytes = new Uint8Array(8);
    const bad = [
      [0, 9],
      [-1, 4],
      [5, 4],
      [9, 9],
      [0, -1],
      [0, Infinity],
      [NaN, 4],
      [0, 2 ** 53],
    ];
    for (const [start, end] of bad) {
      t.throws(() => call(bytes, start, end, bytes, 0, 8), {
        instanceOf: RangeError,
        message: /^(start|end) /,
      });
      t.throws(() => call(bytes, 0, 8, bytes, start, end), {
        instanceOf: RangeError,
        message: /^(targetStart|targetEnd) /,
      });
    }
    for (const wrong of [
      [],
      new Float32Array(8),
      new ArrayBuffer(8),
      undefined,
      null,
      'bytes',
      new DataView(new ArrayBuffer(8)),
    ]) {
      t.throws(() => call(wrong, 0, 0, bytes, 0, 8), { instanceOf: TypeError, message: /^source / });
      t.throws(() => call(bytes, 0, 8, wrong, 0, 0), { instanceOf: TypeError, message: /^target / });
    }
    for (const wrong of ['0', undefined, null, {}, 0n]) {
      t.throws(() => call(bytes, wrong, 8, bytes, 0, 8), { instanceOf: TypeError });
      t.throws(() => call(bytes, 0, wrong, bytes, 0, 8), { instanceOf: TypeError });
      t.throws(() => call(bytes, 0, 8, bytes, wrong, 8), { instanceOf: TypeError });
      t.throws(() => call(bytes, 0, 8, bytes, 0, wrong), { instanceOf: TypeError });
    }
    t.throws(() => call(), { instanceOf: TypeError });
  });
}

test('empty arrays are ranges of nothing', (t) => {
  const nothing = new Uint8Array(0);
  const one = new Uint8Array(1);
  t.is(native.lz4Compress(nothing, 0, 0, nothing, 0, 0), 0);
  t.is(native.lz4Compress(nothing, 0, 0, one, 0, 1), 1);
  t.is(native.lz4Decompress(one, 0, 1, nothing, 0, 0), 0);
  t.is(native.lz4Decompress(nothing, 0, 0, nothing, 0, 0), -1);
  t.is(native.lz4Decompress(nothing, 0, 0, one, 0, 1), -1);
});

test('views of ordinary and of shared memory do alike, both ways', (t) => {
  const bytes = jsonText(new Random(5), 16_384);
  const block = compress(bytes);
  const memories = [
    (length: number) => new Uint8Array(new SharedArrayBuffer(length)),
    (length: number) => new Uint8Array(length),
  ];
  for (const sourceMemory of memories) {
    for (const targetMemory of memories) {
      // Views that do not begin where their memory does.
      const source = sourceMemory(bytes.length + 100).subarray(13, 13 + bytes.length);
      const target = targetMemory(bytes.length + 100).subarray(29);
      source.set(bytes);
      t.is(native.lz4Compress(source, 0, source.length, target, 1, target.length), block.length);
      t.is(Buffer.compare(target.subarray(1, 1 + block.length), block), 0);
      source.set(block);
      t.is(native.lz4Decompress(source, 0, block.length, target, 0, bytes.length), bytes.length);
      t.is(Buffer.compare(target.subarray(0, bytes.length), bytes), 0);
    }
  }
});

test('several threads at once do not disturb each other', async (t) => {
  const threads = 4;
  const rounds = 2000;
  const source = sharedMemory(65_536);
  source.set(jsonText(new Random(9), 65_536));
  const running = new Int32Array(new SharedArrayBuffer(4));
  const right = await Promise.all(
    Array.from({ length: threads }, (_, index) => {
      const workspace = sharedMemory(4 * 65_536);
      const workerData: Lz4WorkerData = { source, workspace, rounds, seed: index * 4099, running, threads };
      const worker = new Worker(new URL(`./lz4-worker${EXTENSION}`, import.meta.url), { workerData });
      return new Promise((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
      });
    }),
  );
  t.deepEqual(right, new Array<number>(threads).fill(rounds));
});
