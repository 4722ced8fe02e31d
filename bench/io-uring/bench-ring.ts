/**
 * A ring of the addon that benchmarks drive from this thread: so many operations, so many of them in flight, and how long
 * each took. Benchmarks only.
 */
import { alignedSharedMemory } from '../../src/main/aligned-memory.ts';
import { native, type NativePolling, type NativeRing } from '../../src/native.ts';
import { RING_COUNTERS } from '../../src/protocol/ring-counters.ts';
import {
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  NAME_STRIDE_BYTES,
  RECORD_WORDS,
  SECOND_NAME_BYTES,
} from '../../src/workers/ring.ts';

export interface BenchRingOptions {
  readonly backend?: 'Ring' | 'SystemCalls';
  readonly singleIssuer?: boolean;
  /** The memory is registered. */
  readonly fixed?: boolean;
  /** Size of the buffers that reads lend, or 0. */
  readonly selectBytes?: number;
  /** A thread of the kernel polls for what is submitted. */
  readonly polling?: NativePolling | null;
}

export interface Operation {
  readonly opcode: number;
  readonly file: number;
  readonly bufferOffset?: number;
  readonly length?: number;
  readonly offset?: number;
  readonly flags?: number;
  readonly name?: string;
  readonly secondName?: string;
}

/** What a run took. */
export interface Run {
  readonly operationsPerSecond: number;
  /** From the turn that submitted an operation to the one that brought its completion. */
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  /** Of all threads of the process, the kernel's workers for the ring among them. */
  readonly cpuMicrosecondsPerOperation: number;
}

const ENTRIES = 256;
const MEMORY_BYTES = 16 << 20;
const WAIT_MICROSECONDS = 1_000_000;
const TWO_32 = 2 ** 32;

/** A run that counted more, or what the kernel refused, the errno's name first. */
export type Outcome =
  (Run & { readonly counted?: Readonly<Record<string, number>>; readonly note?: string }) | Refused;

export interface Refused {
  readonly refused: string;
}

/** What was done since `began`, with how many milliseconds each took, which are put in order. */
export function runOf(latencies: Float64Array, began: number, cpuBefore: NodeJS.CpuUsage): Run {
  const milliseconds = performance.now() - began;
  const { user, system } = process.cpuUsage(cpuBefore);
  const count = latencies.length;
  latencies.sort();
  return {
    operationsPerSecond: (count * 1000) / milliseconds,
    p50Microseconds: latencies[Math.floor(count * 0.5)] * 1000,
    p99Microseconds: latencies[Math.floor(count * 0.99)] * 1000,
    cpuMicrosecondsPerOperation: (user + system) / count,
  };
}

export class BenchRing {
  readonly memory = alignedSharedMemory(MEMORY_BYTES);
  readonly #records = new Int32Array(ENTRIES * RECORD_WORDS);
  readonly #names = new Uint8Array(ENTRIES * NAME_STRIDE_BYTES);
  readonly #completions = new Int32Array(ENTRIES * 4 * COMPLETION_WORDS);
  readonly #eventfd = native.createEventfd();
  readonly #ring: NativeRing;

  constructor({
    backend = 'Ring',
    singleIssuer = true,
    fixed = true,
    selectBytes = 0,
    polling = null,
  }: BenchRingOptions = {}) {
    this.#ring = new native[backend]({
      entries: ENTRIES,
      records: this.#records,
      names: this.#names,
      completions: this.#completions,
      eventfd: this.#eventfd,
      singleIssuer,
      polling,
      workers: null,
      pollsCompletions: false,
      counters: new Float64Array(RING_COUNTERS),
    });
    // As the engine's: where pages happen to lie beside each other makes a difference of a third, by chance, otherwise.
    native.adviseHugePages(this.memory);
    this.memory.fill(1);
    this.#ring.attach(0, this.memory, 0, fixed ? MEMORY_BYTES : 0, selectBytes);
  }

  /**
   * Carries out `count` operations, `depth` of them in flight, and submits as many at once as there is room for. `next` says
   * which; it is given the operation's number and its lane, of which there are as many as `depth`. Throws where one fails.
   */
  run(count: number, depth: number, next: (i: number, lane: number) => Operation): Run {
    const latencies = new Float64Array(count);
    const submittedAt = new Float64Array(depth);
    const freeLanes = Array.from({ length: depth }, (_, lane) => lane);
    let submitted = 0;
    let completed = 0;
    const cpuBefore = process.cpuUsage();
    const began = performance.now();
    while (completed < count) {
      const now = performance.now();
      let batch = 0;
      while (submitted < count && freeLanes.length > 0) {
        const lane = freeLanes.pop()!;
        this.#fill(batch++, next(submitted++, lane), lane);
        submittedAt[lane] = now;
      }
      const written = this.#ring.turn(batch, WAIT_MICROSECONDS);
      const after = performance.now();
      for (let i = 0; i < written; i++) {
        const lane = this.#take(i);
        latencies[completed++] = after - submittedAt[lane];
        freeLanes.push(lane);
      }
    }
    return runOf(latencies, began, cpuBefore);
  }

  /** Carries out these in one turn, chained where their flags say so, and waits for all. Throws where one fails. */
  together(operations: readonly Operation[]): void {
    operations.forEach((operation, i) => this.#fill(i, operation, i));
    let batch = operations.length;
    for (let completed = 0; completed < operations.length; batch = 0) {
      const written = this.#ring.turn(batch, WAIT_MICROSECONDS);
      for (let i = 0; i < written; i++) this.#take(i);
      completed += written;
    }
  }

  close(): void {
    this.#ring.close();
    native.closeDescriptor(this.#eventfd);
  }

  /** Its lane. */
  #take(i: number): number {
    const at = i * COMPLETION_WORDS;
    const result = this.#completions[at + COMPLETION_RESULT];
    if (result < 0) throw new Error(`an operation failed with errno ${-result}`);
    return this.#completions[at + COMPLETION_USER_DATA];
  }

  #fill(i: number, operation: Operation, lane: number): void {
    const { opcode, file, bufferOffset = 0, length = 0, offset = 0, flags = 0 } = operation;
    const { name, secondName } = operation;
    const high = Math.floor(offset / TWO_32);
    const words = [opcode, file, bufferOffset, length, offset % TWO_32, high, lane, flags];
    this.#records.set(words, i * RECORD_WORDS);
    if (name !== undefined) this.#writeName(i * NAME_STRIDE_BYTES, name);
    if (secondName !== undefined) this.#writeName(i * NAME_STRIDE_BYTES + SECOND_NAME_BYTES, secondName);
  }

  #writeName(at: number, name: string): void {
    const length = Buffer.from(this.#names.buffer).write(name, at, 'latin1');
    this.#names[at + length] = 0;
  }
}
