/**
 * The two rings of production: io_uring, and the same operations as plain system calls. Ring threads only.
 *
 * Both are thin: the addon consumes the records. Which one a thread gets is settled when the crew starts.
 */
import { native, type NativePolling, type NativeRing, type NativeWorkers } from '../native.ts';
import type { RingDescription } from '../protocol/ring-thread-task.ts';
import { COMPLETION_WORDS, NAME_STRIDE_BYTES, RECORD_WORDS, type Ring } from './ring.ts';

export interface RingOptions {
  readonly backend: 'auto' | 'uring' | 'syscall';
  /** A power of two from 8 to 256. */
  readonly entries: number;
  readonly eventfd: number;
  readonly singleIssuer: boolean;
  readonly polling: NativePolling | null;
  readonly workers: NativeWorkers | null;
  readonly pollsCompletions: boolean;
  /** RING_COUNTERS of them; see protocol/ring-counters.ts. */
  readonly counters: Float64Array;
}

/** Completions that one turn can bring for each entry. */
const COMPLETIONS_PER_ENTRY = 4;

class NativeBackedRing implements Ring {
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  readonly asynchronous: boolean;
  readonly polls: boolean;
  readonly #native: NativeRing;
  readonly #reason: string | null;

  constructor(backend: 'uring' | 'syscall', options: RingOptions, reason: string | null) {
    const { entries, eventfd, singleIssuer, polling, workers, pollsCompletions, counters } = options;
    this.entries = entries;
    this.records = new Int32Array(entries * RECORD_WORDS);
    this.names = new Uint8Array(entries * NAME_STRIDE_BYTES);
    this.completions = new Int32Array(entries * COMPLETIONS_PER_ENTRY * COMPLETION_WORDS);
    this.asynchronous = backend === 'uring';
    this.#reason = reason;
    const { records, names, completions } = this;
    const Constructor = backend === 'uring' ? native.Ring : native.SystemCalls;
    this.#native = new Constructor({
      entries,
      records,
      names,
      completions,
      eventfd,
      singleIssuer,
      polling,
      workers,
      pollsCompletions,
      counters,
    });
    this.polls = this.#native.describe().pollerFlags.length > 0;
  }

  attach(
    region: number,
    memory: Uint8Array,
    fixedOffset: number,
    fixedLength: number,
    selectBytes: number,
  ): void {
    this.#native.attach(region, memory, fixedOffset, fixedLength, selectBytes);
  }

  turn(count: number, waitMicroseconds: number): number {
    return this.#native.turn(count, waitMicroseconds);
  }

  describe(): RingDescription {
    const backend = this.asynchronous ? 'uring' : 'syscall';
    return { ...this.#native.describe(), backend, reason: this.#reason };
  }

  close(): void {
    this.#native.close();
  }
}

/** The ring asked for. With 'auto' a kernel that refuses io_uring gets system calls, and the reason is kept. */
export function createRing(options: RingOptions): Ring {
  switch (options.backend) {
    case 'syscall':
      return new NativeBackedRing('syscall', options, 'asked for by io.backend');
    case 'uring':
      return new NativeBackedRing('uring', options, null);
    case 'auto':
      try {
        return new NativeBackedRing('uring', options, null);
      } catch (error) {
        return new NativeBackedRing(
          'syscall',
          options,
          error instanceof Error ? error.message : String(error),
        );
      }
  }
}
