/**
 * What the disk gives without an engine: one system call after another, on this thread. Benchmarks only.
 *
 * A write is one pwritev2 with RWF_DSYNC into a file that was written through before, a read one pread; both O_DIRECT,
 * through the addon's system-call backend.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { native, type NativeRing } from '../../src/native.ts';
import { plainRing } from '../../src/protocol/plain-ring.ts';
import {
  COMPLETION_WORDS,
  FLAG_DSYNC,
  NAME_STRIDE_BYTES,
  OPCODE_READ,
  OPCODE_WRITE,
  RECORD_WORDS,
} from '../../src/workers/ring.ts';

const ENTRIES = 8;
const PAGE_BYTES = 4096;
const BLOCK_BYTES = 16_384;
const MEBIBYTE = 1 << 20;
const FILE_MEBIBYTES = 64;

/** One file, and one operation on it at a time. */
export class BareDisk {
  readonly #memory = alignedSharedMemory(MEBIBYTE);
  readonly #records = new Int32Array(ENTRIES * RECORD_WORDS);
  readonly #completions = new Int32Array(ENTRIES * 4 * COMPLETION_WORDS);
  readonly #eventfd = native.createEventfd();
  readonly #calls: NativeRing;
  readonly #file: number;

  constructor(path: string) {
    const names = new Uint8Array(ENTRIES * NAME_STRIDE_BYTES);
    const arrays = { records: this.#records, names, completions: this.#completions };
    this.#calls = new native.SystemCalls({
      entries: ENTRIES,
      ...arrays,
      eventfd: this.#eventfd,
      ...plainRing(),
    });
    this.#calls.attach(0, this.#memory, 0, 0, 0);
    this.#file = openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT);
    for (let i = 0; i < FILE_MEBIBYTES; i++) writeSync(this.#file, this.#memory, 0, MEBIBYTE, i * MEBIBYTE);
    fsyncSync(this.#file);
  }

  /** Durable writes of a page each, one behind the other; how many there were in a second. */
  writesPerSecond(count: number): number {
    return this.#perSecond(count, OPCODE_WRITE, PAGE_BYTES, FLAG_DSYNC, (i) => i);
  }

  /** Reads of 16 KiB at random places; how many there were in a second. */
  readsPerSecond(count: number, random: (limit: number) => number): number {
    return this.#perSecond(count, OPCODE_READ, BLOCK_BYTES, 0, random);
  }

  close(): void {
    this.#calls.close();
    native.closeDescriptor(this.#eventfd);
    closeSync(this.#file);
  }

  #perSecond(
    count: number,
    opcode: number,
    length: number,
    flags: number,
    place: (i: number) => number,
  ): number {
    const places = (FILE_MEBIBYTES * MEBIBYTE) / length;
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const offset = (place(opcode === OPCODE_READ ? places : i) % places) * length;
      this.#records.set([opcode, this.#file, 0, length, offset, 0, 0, flags]);
      if (this.#calls.turn(1, 0) !== 1 || this.#completions[1] !== length) {
        throw new Error(`a bare operation gave ${this.#completions[1]}`);
      }
    }
    return (count * 1000) / (performance.now() - start);
  }
}
