/**
 * What the tests of the addon share: one ring with its arrays and 4 MiB of shared memory, a way to fill records by
 * name, child processes, and directories that go away.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { native, type NativePolling, type NativeRing, type NativeWorkers } from '../../src/native.ts';
import { RING_COUNTERS } from '../../src/protocol/ring-counters.ts';
import {
  COMPLETION_BUFFER,
  COMPLETION_RESULT,
  COMPLETION_USER_DATA,
  COMPLETION_WORDS,
  FLAG_SELECT,
  NAME_STRIDE_BYTES,
  NO_BUFFER,
  OPCODE_READ,
  RECORD_WORDS,
  SECOND_NAME_BYTES,
  WORD_BUFFER_OFFSET,
  WORD_FILE,
  WORD_FLAGS,
  WORD_LENGTH,
  WORD_OFFSET_HIGH,
  WORD_OFFSET_LOW,
  WORD_OPCODE,
  WORD_USER_DATA,
} from '../../src/workers/ring.ts';
import { PATIENCE } from '../support/children.ts';
import { IO_SETTING } from '../support/io-setting.ts';

export const BACKENDS = ['Ring', 'SystemCalls'] as const;
export type Backend = (typeof BACKENDS)[number];

/** A thread of the kernel polls, and sleeps as soon as it may. */
export const POLLING: NativePolling = { idleMilliseconds: 1, cpu: -1, sharedWith: -1 };

/** What rings get whose tests do not say: see support/io-setting.ts. */
const ASKED_POLLING = (IO_SETTING.sqpoll ?? false) === false ? null : POLLING;
const ASKED_POLLS_COMPLETIONS = IO_SETTING.iopoll === true;

export const MIB = 1 << 20;
export const MEMORY_BYTES = 4 * MIB;

export interface Operation {
  readonly opcode: number;
  readonly file?: number;
  readonly bufferOffset?: number;
  readonly length?: number;
  /** Non-negative; `offsetHigh` overrides the upper half. */
  readonly offset?: number;
  readonly offsetHigh?: number;
  readonly flags?: number;
  readonly name?: string;
  readonly secondName?: string;
}

/** Size of the buffers that tests of selecting reads lend, if they do not care. */
export const SELECT_BYTES = 16_384;

/** A read of a whole buffer with FLAG_SELECT. */
export function selectRead(file: number, bufferOffset: number, change: Partial<Operation> = {}): Operation {
  return { opcode: OPCODE_READ, file, bufferOffset, length: SELECT_BYTES, flags: FLAG_SELECT, ...change };
}

export interface FixtureOptions {
  readonly entries?: number;
  readonly singleIssuer?: boolean;
  readonly polling?: NativePolling | null;
  readonly workers?: NativeWorkers | null;
  readonly pollsCompletions?: boolean;
  /** Bytes to register as fixed buffers, from the memory's beginning. */
  readonly fixedLength?: number;
  /** Size of the buffers that reads with FLAG_SELECT lend. */
  readonly selectBytes?: number;
}

export interface Completion {
  readonly userData: number;
  readonly result: number;
  readonly buffer: number;
}

/** As much of WebAssembly as is used here; its types come with the DOM's, which Node has no use for. */
declare const WebAssembly: {
  Memory: new (limits: { initial: number; maximum: number; shared: true }) => {
    readonly buffer: SharedArrayBuffer;
  };
};

/** Memory that the kernel may write to while JavaScript looks: shared, 64 KiB-aligned, good for O_DIRECT. */
export function sharedMemory(bytes: number): Uint8Array {
  const pages = bytes / 65536;
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer);
}

export class Fixture {
  readonly entries: number;
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  readonly counters = new Float64Array(RING_COUNTERS);
  readonly eventfd = native.createEventfd();
  readonly memory = sharedMemory(MEMORY_BYTES);
  readonly ring: NativeRing;
  #filled = 0;

  constructor(
    backend: Backend,
    {
      entries = 8,
      singleIssuer = true,
      polling = backend === 'Ring' ? ASKED_POLLING : null,
      workers = null,
      pollsCompletions = backend === 'Ring' && ASKED_POLLS_COMPLETIONS,
      fixedLength = 0,
      selectBytes = 0,
    }: FixtureOptions = {},
  ) {
    this.entries = entries;
    this.records = new Int32Array(new SharedArrayBuffer(entries * RECORD_WORDS * 4));
    this.names = new Uint8Array(new SharedArrayBuffer(entries * NAME_STRIDE_BYTES));
    this.completions = new Int32Array(new SharedArrayBuffer(entries * 4 * COMPLETION_WORDS * 4));
    const { records, names, completions, counters, eventfd } = this;
    const arrays = { records, names, completions, counters };
    this.ring = new native[backend]({
      entries,
      ...arrays,
      eventfd,
      singleIssuer,
      polling,
      workers,
      pollsCompletions,
    });
    this.ring.attach(0, this.memory, 0, fixedLength, selectBytes);
  }

  /** Fills the next record; its user data is its index in the batch, or what is given. */
  add(operation: Operation, userData = this.#filled): void {
    const base = this.#filled * RECORD_WORDS;
    const { records } = this;
    const offset = operation.offset ?? 0;
    records[base + WORD_OPCODE] = operation.opcode;
    records[base + WORD_FILE] = operation.file ?? -1;
    records[base + WORD_BUFFER_OFFSET] = operation.bufferOffset ?? 0;
    records[base + WORD_LENGTH] = operation.length ?? 0;
    records[base + WORD_OFFSET_LOW] = offset % 2 ** 32;
    records[base + WORD_OFFSET_HIGH] = operation.offsetHigh ?? Math.floor(offset / 2 ** 32);
    records[base + WORD_USER_DATA] = userData;
    records[base + WORD_FLAGS] = operation.flags ?? 0;
    this.#writeName(this.#filled * NAME_STRIDE_BYTES, operation.name ?? '');
    this.#writeName(this.#filled * NAME_STRIDE_BYTES + SECOND_NAME_BYTES, operation.secondName ?? '');
    this.#filled++;
  }

  #writeName(at: number, name: string): void {
    this.names.fill(0, at, at + SECOND_NAME_BYTES);
    this.names.set(Buffer.from(name).subarray(0, SECOND_NAME_BYTES), at);
  }

  /** Submits what was added; returns the completions there are. */
  complete(waitMicroseconds = 0): Completion[] {
    const count = this.#filled;
    this.#filled = 0;
    const { completions } = this;
    const written = this.ring.turn(count, waitMicroseconds);
    return Array.from({ length: written }, (_, i) => ({
      userData: completions[i * COMPLETION_WORDS + COMPLETION_USER_DATA],
      result: completions[i * COMPLETION_WORDS + COMPLETION_RESULT],
      buffer: completions[i * COMPLETION_WORDS + COMPLETION_BUFFER],
    }));
  }

  /** The same, as [user data, result], of operations that select no buffer. */
  turn(waitMicroseconds = 0): [number, number][] {
    return this.complete(waitMicroseconds).map(({ userData, result, buffer }) => {
      if (buffer !== NO_BUFFER) throw new Error(`completion ${userData} names buffer ${buffer}`);
      return [userData, result];
    });
  }

  /** Carries out one batch; the results in the order of the operations. */
  run(...operations: Operation[]): number[] {
    return this.runWithBuffers(...operations).map(({ result, buffer }) => {
      if (buffer !== NO_BUFFER) throw new Error(`a completion names buffer ${buffer}`);
      return result;
    });
  }

  /** The same, with what reads that select have taken. */
  runWithBuffers(...operations: Operation[]): Completion[] {
    for (const operation of operations) this.add(operation);
    const results = new Array<Completion>(operations.length);
    let remaining = operations.length;
    // The bound is for a ring that hangs. A turn may bring nothing: who polls is interrupted.
    for (const begun = performance.now(); remaining > 0;) {
      if (performance.now() - begun > 30_000) throw new Error(`${remaining} operations did not complete`);
      for (const completion of this.complete(1_000_000)) {
        results[completion.userData] = completion;
        remaining--;
      }
    }
    return results;
  }

  close(): void {
    this.ring.close();
    native.closeDescriptor(this.eventfd);
  }
}

/** A fixture that is closed when the test ends, however it ends. */
export function openFixture(t: ExecutionContext, backend: Backend, options: FixtureOptions = {}): Fixture {
  const fixture = new Fixture(backend, options);
  t.teardown(() => {
    fixture.close();
  });
  return fixture;
}

export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'quadring-native-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** The two ends of a named pipe; a read of it stays in flight until something is written. */
export function openPipe(t: ExecutionContext): { readonly reader: number; readonly writer: number } {
  const path = join(temporaryDirectory(t), 'pipe');
  execFileSync('mkfifo', [path]);
  // Opened for both, so that neither open waits for the other end.
  const reader = openSync(path, constants.O_RDWR);
  const writer = openSync(path, constants.O_WRONLY);
  t.teardown(() => {
    closeSync(reader);
    closeSync(writer);
  });
  return { reader, writer };
}

const SYS_IO_URING_ENTER = 426;

/** How many threads of this process sleep in io_uring_enter at this moment. */
export function threadsWaitingInRings(): number {
  const tasks = '/proc/self/task';
  return readdirSync(tasks).filter((task) => {
    try {
      return readFileSync(join(tasks, task, 'syscall'), 'utf8').startsWith(`${SYS_IO_URING_ENTER} `);
    } catch {
      return false; // the thread has ended
    }
  }).length;
}

export interface ChildResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const REFUSE_IO_URING = fileURLToPath(
  new URL(
    import.meta.url.includes('/dist/')
      ? '../../../test/support/refuse-io-uring.py'
      : '../support/refuse-io-uring.py',
    import.meta.url,
  ),
);

/** Runs `body` (with `native` and `Fixture` in scope) in a process of its own; with `hostile` under refuse-io-uring.py. */
export function runChild(
  body: string,
  {
    hostile = null,
    nodeArguments = [],
  }: { hostile?: readonly string[] | null; nodeArguments?: readonly string[] } = {},
): ChildResult {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const at = (path: string): string => JSON.stringify(new URL(path + extension, import.meta.url).href);
  const script = `
    const { native } = await import(${at('../../src/native')});
    const { Fixture, MIB, sharedMemory } = await import(${at('./ring-fixture')});
    const ring = await import(${at('../../src/workers/ring')});
    ${body}`;
  const node = [process.execPath, ...nodeArguments, '--input-type=module', '-e', script];
  const [command, ...rest] = hostile === null ? node : ['python3', REFUSE_IO_URING, ...hostile, ...node];
  const result = spawnSync(command, rest, { encoding: 'utf8', timeout: 60_000 * PATIENCE });
  return { status: result.status, signal: result.signal, stdout: result.stdout, stderr: result.stderr };
}

/** What a child printed as JSON, having ended well. */
export function childAnswer(t: ExecutionContext, ...argumentsOfRun: Parameters<typeof runChild>): unknown {
  const result = runChild(...argumentsOfRun);
  if (result.status !== 0)
    t.fail(`the child ended with ${result.status ?? result.signal}:\n${result.stderr}`);
  return JSON.parse(result.stdout);
}
