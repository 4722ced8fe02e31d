/** Copies in words: every length and place, each kind of memory, and what is not to be held on to. */
import test, { type ExecutionContext } from 'ava';
import { randomFillSync } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { copyWords, copyWordsTo, forgetCopied } from '../../src/main/copy-words.ts';

const MEMORY_BYTES = 300;
const UNTOUCHED = 0xee;

function sharedMemory(bytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(bytes + 3), 3, bytes);
}

/** Not at the beginning of their memory, so that an offset that is left out shows. */
const SOURCES = {
  'private memory': () => new Uint8Array(new ArrayBuffer(MEMORY_BYTES + 5), 5, MEMORY_BYTES),
  'shared memory': () => sharedMemory(MEMORY_BYTES),
};
const TARGETS = {
  'private memory': () => new Uint8Array(new ArrayBuffer(MEMORY_BYTES + 7), 7, MEMORY_BYTES),
  'a Buffer': () => Buffer.alloc(MEMORY_BYTES),
  'shared memory': () => sharedMemory(MEMORY_BYTES),
  'large memory': () => new Uint8Array(new ArrayBuffer(2 << 20), 1 << 20, MEMORY_BYTES),
};

/** Every length at every alignment, and nothing beside it. */
function copiesAll(
  t: ExecutionContext,
  source: Uint8Array,
  target: Uint8Array,
  copy: (start: number, length: number, at: number) => void,
): void {
  source.set(randomFillSync(Buffer.alloc(MEMORY_BYTES)));
  for (let length = 0; length <= 200; length++) {
    for (const [start, at] of [
      [0, 0],
      [1, 2],
      [3, 5],
      [MEMORY_BYTES - length, MEMORY_BYTES - length],
    ]) {
      target.fill(UNTOUCHED);
      copy(start, length, at);
      const expected = Buffer.alloc(MEMORY_BYTES, UNTOUCHED);
      expected.set(source.subarray(start, start + length), at);
      if (!expected.equals(target)) t.fail(`${length} bytes from ${start} to ${at}`);
    }
  }
  t.pass();
}

for (const [sourceName, makeSource] of Object.entries(SOURCES)) {
  for (const [targetName, makeTarget] of Object.entries(TARGETS)) {
    test(`every length at every alignment, from ${sourceName} to ${targetName}`, (t) => {
      const [source, target] = [makeSource(), makeTarget()];
      copiesAll(t, source, target, (start, length, at) => copyWords(source, start, length, target, at));
    });
  }
  test(`every length at every alignment, from ${sourceName} to memory whose words are at hand`, (t) => {
    const [source, target] = [makeSource(), sharedMemory(MEMORY_BYTES)];
    const words = new DataView(target.buffer, target.byteOffset, MEMORY_BYTES);
    copiesAll(t, source, target, (start, length, at) =>
      copyWordsTo(source, start, length, target, words, at),
    );
  });
}

test('source and target may be others each time', (t) => {
  const sources = [1, 2, 3].map((byte) => Buffer.alloc(64, byte));
  const targets = [0, 0].map(() => Buffer.alloc(64));
  for (const source of sources) {
    for (const target of targets) {
      copyWords(source, 0, 64, target, 0);
      t.deepEqual(target, source);
    }
  }
  const written = [1, 2].map((byte) => sharedMemory(64).fill(byte));
  const target = sharedMemory(64);
  const words = new DataView(target.buffer, target.byteOffset, 64);
  for (const source of [...written, ...written]) {
    copyWordsTo(source, 0, 64, target, words, 0);
    t.deepEqual(target, source);
  }
});

test('a target is what it is, and not what it says of itself', (t) => {
  const elsewhere = new ArrayBuffer(64);
  const target = Object.defineProperties(new Uint8Array(64), {
    buffer: { value: elsewhere },
    byteOffset: { value: 16 },
    byteLength: { value: 1 << 30 },
  });
  copyWords(Buffer.alloc(48, 7), 0, 48, target, 8);
  t.deepEqual([...target.slice(0, 56)], [...Array<number>(8).fill(0), ...Array<number>(48).fill(7)]);
  t.true(new Uint8Array(elsewhere).every((byte) => byte === 0));
});

test('memory that was resized is written to where it is now', (t) => {
  const buffer = new (ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer)(64, {
    maxByteLength: 128,
  });
  const target = new Uint8Array(buffer);
  copyWords(Buffer.alloc(64, 1), 0, 64, target, 0);
  (buffer as ArrayBuffer & { resize(bytes: number): void }).resize(128);
  copyWords(Buffer.alloc(64, 2), 0, 64, target, 64);
  t.deepEqual([target[63], target[64], target[127]], [1, 2, 2]);
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('memory is let go of when it is forgotten', async (t) => {
  const areThere = ((): WeakRef<Uint8Array>[] => {
    const source = sharedMemory(64);
    const target = new Uint8Array(64);
    const written = sharedMemory(64);
    copyWords(source, 0, 64, target, 0);
    copyWordsTo(written, 0, 64, target, new DataView(target.buffer), 0);
    return [source, target, written].map((memory) => new WeakRef(memory));
  })();
  // A WeakRef keeps its target until the end of the turn.
  await setImmediate();
  collectGarbage();
  t.true(
    areThere.every((memory) => memory.deref() !== undefined),
    'the last ones are held on to',
  );
  forgetCopied();
  await setImmediate();
  collectGarbage();
  t.true(areThere.every((memory) => memory.deref() === undefined));
});
