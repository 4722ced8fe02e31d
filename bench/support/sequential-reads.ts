/**
 * What the disk gives to a loop over the addon's ring that reads files from front to back, in blocks, with a fixed number of
 * reads in flight: O_DIRECT, from one thread. Benchmarks only.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { native } from '../../src/native.ts';
import { plainRing } from '../../src/protocol/plain-ring.ts';
import {
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  NAME_STRIDE_BYTES,
  OPCODE_READ,
  RECORD_WORDS,
} from '../../src/workers/ring.ts';

const RUN_SECONDS = 2;
const RING_ENTRIES = 64;
const COMPLETIONS_PER_ENTRY = 4;
const WAIT_MICROSECONDS = 100_000;

export interface SequentialRead {
  readonly files: readonly string[];
  readonly blockBytes: number;
  readonly depth: number;
}

/** Bytes a second; it goes through the files again and again for two seconds. */
export function ringBytesPerSecond({ files, blockBytes, depth }: SequentialRead): number {
  const memory = alignedSharedMemory(Math.ceil((depth * blockBytes) / 65_536) * 65_536);
  const records = new Int32Array(RING_ENTRIES * RECORD_WORDS);
  const completions = new Int32Array(RING_ENTRIES * COMPLETIONS_PER_ENTRY * COMPLETION_WORDS);
  const names = new Uint8Array(RING_ENTRIES * NAME_STRIDE_BYTES);
  const eventfd = native.createEventfd();
  const ring = new native.Ring({
    entries: RING_ENTRIES,
    records,
    names,
    completions,
    eventfd,
    ...plainRing(),
  });
  const descriptors = files.map((file) => openSync(file, constants.O_RDONLY | constants.O_DIRECT));
  try {
    ring.attach(0, memory, 0, 0, 0);
    const places = blockPlaces(descriptors, blockBytes);
    const free = Array.from({ length: depth }, (_, slot) => slot);
    const start = performance.now();
    const end = start + RUN_SECONDS * 1000;
    let bytes = 0;
    while (performance.now() < end || free.length < depth) {
      let count = 0;
      if (performance.now() < end) {
        for (let slot = free.pop(); slot !== undefined; slot = free.pop()) {
          const { descriptor, offset } = places.next().value;
          const low = offset | 0;
          const high = Math.floor(offset / 2 ** 32);
          records.set(
            [OPCODE_READ, descriptor, slot * blockBytes, blockBytes, low, high, slot, 0],
            count * RECORD_WORDS,
          );
          count += 1;
        }
      }
      const done = ring.turn(count, WAIT_MICROSECONDS);
      for (let i = 0; i < done; i++) {
        const at = i * COMPLETION_WORDS;
        const result = completions[at + COMPLETION_RESULT];
        if (result !== blockBytes) throw new Error(`a read of the bare loop gave ${result}`);
        free.push(completions[at + COMPLETION_USER_DATA]);
        bytes += result;
      }
    }
    return (bytes * 1000) / (performance.now() - start);
  } finally {
    ring.close();
    native.closeDescriptor(eventfd);
    for (const descriptor of descriptors) closeSync(descriptor);
  }
}

/** Whole blocks, file after file, without end. */
function* blockPlaces(
  descriptors: readonly number[],
  blockBytes: number,
): Generator<{ descriptor: number; offset: number }, never> {
  const sizes = descriptors.map((descriptor) => fstatSync(descriptor).size);
  if (sizes.every((size) => size < blockBytes)) throw new Error('no file has a whole block');
  for (;;) {
    for (const [i, descriptor] of descriptors.entries()) {
      for (let offset = 0; offset + blockBytes <= sizes[i]; offset += blockBytes)
        yield { descriptor, offset };
    }
  }
}
