/** Copies in words: every length and place, each kind of memory, and what is not to be held on to. */
import test from 'ava';
import { randomFillSync } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { copyWords, forgetCopied } from '../../src/main/copy-words.ts';

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

for (const [sourceName, makeSource] of Object.entries(SOURCES)) {
  for (const [targetName, makeTarget] of Object.entries(TARGETS)) {
    test(`every length at every alignment, from ${sourceName} to ${targetName}`, (t) => {
      const source = makeSource();
      source.set(randomFillSync(Buffer.alloc(MEMORY_BYTES)));
      const target = makeTarget();
      for (let length = 0; length <= 200; length++) {
        for (const [start, at] of [
          [0, 0],
          [1, 2],
          [3, 5],
          [MEMORY_BYTES - length, MEMORY_BYTES - length],
        ]) {
          target.fill(UNTOUCHED);
          copyWords(source, start, length, target, at);
          const expected = Buffer.alloc(MEMORY_BYTES, UNTOUCHED);
          expected.set(source.subarray(start, start + length), at);
          if (!expected.equals(target)) t.fail(`${length} bytes from ${start} to ${at}`);
        }
      }
      t.pass();
    });
  }
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
  const isThere = ((): WeakRef<Uint8Array> => {
    const target = new Uint8Array(64);
    copyWords(Buffer.alloc(64), 0, 64, target, 0);
    return new WeakRef(target);
  })();
  // A WeakRef keeps its target until the end of the turn.
  await setImmediate();
  collectGarbage();
  t.truthy(isThere.deref(), 'the last target is held on to');
  forgetCopied();
  await setImmediate();
  collectGarbage();
  t.is(isThere.deref(), undefined);
});
