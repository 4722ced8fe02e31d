/**
 * What the process that will be killed writes, and how it reports. Each operation follows from the seed and its index,
 * so that whoever checks knows what to expect without being told.
 */
import { writeSync } from 'node:fs';

/** One put, or a batch of them: there after a crash as a whole, or not at all. */
export interface Operation {
  readonly isBatch: boolean;
  readonly entries: readonly { readonly key: string; readonly value: Buffer }[];
}

/** Operations that are under way at once. */
export const IN_FLIGHT = 64;
/** The child's end of the pipe. */
export const REPORT_DESCRIPTOR = 3;
/** A report is a 32-bit word: an operation's index, and whether it is about to be submitted or has been acknowledged. */
export const REPORT_BYTES = 4;
const ACKNOWLEDGED_BIT = 2 ** 31;

const VALUE_BYTES = [0, 16, 100, 100, 100, 1000, 1000, 4096, 20_000, 100_000];
const BATCH_ENTRIES_MAX = 50;

export function operationAt(seed: number, index: number): Operation {
  const random = randomWords(seed, index);
  const isBatch = index % 4 === 3;
  const count = isBatch ? 2 + (random() % (BATCH_ENTRIES_MAX - 1)) : 1;
  const entries = Array.from({ length: count }, (_, place) => ({
    key: `${isBatch ? 'batch' : 'single'}/${index}/${place}`,
    // Large values make few operations a second, and more operations make a better moment to be killed in.
    value: randomBytes(
      random,
      VALUE_BYTES[random() % (isBatch ? VALUE_BYTES.length - 2 : VALUE_BYTES.length)],
    ),
  }));
  return { isBatch, entries };
}

/** Blocks until the report is in the pipe, where it outlives this process. */
export function report(index: number, acknowledged: boolean): void {
  const bytes = Buffer.alloc(REPORT_BYTES);
  bytes.writeUInt32LE(index + (acknowledged ? ACKNOWLEDGED_BIT : 0));
  for (let at = 0; at < REPORT_BYTES;) at += writeSync(REPORT_DESCRIPTOR, bytes, at);
}

/** Reads the report at `at`. */
export function readReport(
  bytes: Buffer,
  at: number,
): { readonly index: number; readonly acknowledged: boolean } {
  const word = bytes.readUInt32LE(at);
  const acknowledged = word >= ACKNOWLEDGED_BIT;
  return { index: acknowledged ? word - ACKNOWLEDGED_BIT : word, acknowledged };
}

/** Unsigned 32-bit numbers that follow from the seed and the index (xorshift32 over a mixed start). */
export function randomWords(seed: number, index: number): () => number {
  let state = Math.imul(seed ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b) || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  // The first numbers of neighbouring starts are alike.
  for (let i = 0; i < 4; i++) next();
  return next;
}

function randomBytes(random: () => number, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = random();
  return Buffer.from(words.buffer, 0, length);
}
