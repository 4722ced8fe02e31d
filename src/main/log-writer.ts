/**
 * The write-ahead log's owner side: gathers records into frames and has them written, here (caller-frames.ts) or by the wal
 * thread. Owner only.
 *
 * Group commit by natural batching: while one frame is being written, the next gathers in the other staging buffer and
 * is handed over when the first completes. No timers; a lone write is handed over when its turn of the event loop ends.
 *
 *     reserve ─► append ─► (microtask, or the frame before is durable) ─► handed over ─► durable: promises resolve
 *
 * Bounds: two staging buffers of STAGING_BYTES; one frame in flight.
 */
import { assert } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { logName } from '../format/file-names.ts';
import {
  FRAME_FULL,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  frameKindOf,
  writeFrameHeader,
} from '../format/frame.ts';
import { PAGE_BYTES, roundUpToPage } from '../format/limits.ts';
import { LOG_STAGING_AT, STAGING_BYTES } from '../protocol/crew-layout.ts';
import { ROLE_WAL, WRITE_FRAME } from '../protocol/requests.ts';
import type { CallerFrames } from './caller-frames.ts';
import type { CompletionHandler, IoScheduler } from './io-scheduler.ts';
import type { LogFile, LogFiles } from './log-files.ts';

export type Reservation = 'ready' | 'busy' | 'log-full';

/** Who waits for a group to be durable. */
export interface DurabilityWaiter {
  resolve(): void;
  reject(error: QuadringError): void;
}

export interface LogWriterListener {
  /** A frame is durable, so that there may be room again. */
  onDurable(): void;
  /** A frame could not be written: final. */
  onFailure(error: QuadringError): void;
}

export class LogWriter {
  /** Where records are encoded: `pool[position, …)`. */
  readonly pool: Uint8Array<SharedArrayBuffer>;
  position = LOG_STAGING_AT + FRAME_HEADER_BYTES;
  readonly #scheduler: IoScheduler;
  readonly #logs: LogFiles;
  /** Undefined: the wal thread writes everything. */
  readonly #callerFrames: CallerFrames | undefined;
  readonly #listener: LogWriterListener;
  #stagingAt = LOG_STAGING_AT;
  #count = 0;
  #firstSequence = 0;
  #lastSequence = 0;
  #waiters: DurabilityWaiter[] = [];
  #writing = false;
  #writingWaiters: DurabilityWaiter[] = [];
  #idleWaiters: (() => void)[] = [];
  #handOverScheduled = false;
  #failure: QuadringError | undefined;
  #durableSequence: number;
  #issuedSequence: number;
  #frames = 0;
  #records = 0;
  #frameBytes = 0;
  readonly #handOverInMicrotask = (): void => {
    this.#handOverScheduled = false;
    if (!this.#writing && this.#count > 0 && this.#failure === undefined) this.#handOver();
  };

  constructor(
    scheduler: IoScheduler,
    pool: Uint8Array<SharedArrayBuffer>,
    logs: LogFiles,
    callerFrames: CallerFrames | undefined,
    lastSequence: number,
    listener: LogWriterListener,
  ) {
    this.#scheduler = scheduler;
    this.pool = pool;
    this.#logs = logs;
    this.#callerFrames = callerFrames;
    this.#durableSequence = lastSequence;
    this.#issuedSequence = lastSequence;
    this.#listener = listener;
  }

  /** Every write up to this one survives a crash. */
  get durableSequence(): number {
    return this.#durableSequence;
  }

  /** The same once the frame that is under way is on the disk. What is gathered behind it becomes durable as one. */
  get issuedSequence(): number {
    return this.#issuedSequence;
  }

  /** Whether nothing is gathered or under way. */
  get isIdle(): boolean {
    return !this.#writing && this.#count === 0;
  }

  /** Resolves when nothing is gathered or under way, or nothing will be written any more. */
  whenIdle(): Promise<void> {
    if (this.isIdle || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #resolveIdleWaiters(): void {
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  statistics(): { readonly frames: number; readonly records: number; readonly bytes: number } {
    return { frames: this.#frames, records: this.#records, bytes: this.#frameBytes };
  }

  /**
   * Makes room for `bytes` of records: 'ready' (append now), 'busy' (after onDurable) or 'log-full' (after a log file
   * has been prepared). REQUIRES: at most FRAME_PAYLOAD_BYTES_MAX.
   */
  reserve(bytes: number): Reservation {
    assert(bytes <= FRAME_PAYLOAD_BYTES_MAX, 'larger batches go through writeLarge');
    for (;;) {
      const frameBytes = this.position + bytes - this.#stagingAt;
      const log = this.#logs.active;
      const fitsLog = log.end + roundUpToPage(frameBytes) <= log.bytes;
      if (frameBytes <= STAGING_BYTES && fitsLog) return 'ready';
      if (this.#count > 0) {
        if (this.#writing) return 'busy';
        this.#handOver();
      } else if (!this.#logs.switch(roundUpToPage(frameBytes))) {
        return 'log-full';
      }
    }
  }

  /** The records written at `position` end at `end`; they were given sequence numbers up to `lastSequence`. */
  appended(end: number, count: number, lastSequence: number): void {
    if (this.#count === 0) this.#firstSequence = lastSequence - count + 1;
    this.position = end;
    this.#count += count;
    this.#lastSequence = lastSequence;
    if (!this.#writing && !this.#handOverScheduled) {
      this.#handOverScheduled = true;
      queueMicrotask(this.#handOverInMicrotask);
    }
  }

  /** Tells `waiter` when what was appended so far is durable. */
  whenDurable(waiter: DurabilityWaiter): void {
    this.#waiters.push(waiter);
  }

  /** Has the gathered frame written. */
  #handOver(): void {
    assert(!this.#writing && this.#count > 0, 'one frame in flight at a time');
    const log = this.#logs.active;
    const payloadLength = this.position - this.#stagingAt - FRAME_HEADER_BYTES;
    const waiters = this.#waiters;
    this.#waiters = this.#writingWaiters;
    this.#writingWaiters = waiters;
    const lastSequence = this.#lastSequence;
    this.#issuedSequence = lastSequence;
    this.#issue(log, this.#stagingAt, FRAME_FULL, this.#firstSequence, this.#count, payloadLength, () => {
      this.#durableSequence = Math.max(this.#durableSequence, lastSequence);
      for (const waiter of waiters) waiter.resolve();
      waiters.length = 0;
      if (this.#count > 0) this.#handOver();
      else this.#resolveIdleWaiters();
      this.#listener.onDurable();
    });
    this.#stagingAt = this.#stagingAt === LOG_STAGING_AT ? LOG_STAGING_AT + STAGING_BYTES : LOG_STAGING_AT;
    this.position = this.#stagingAt + FRAME_HEADER_BYTES;
    this.#count = 0;
  }

  #issue(
    log: LogFile,
    stagingAt: number,
    kind: number,
    firstSequence: number,
    count: number,
    payloadLength: number,
    onDurable: () => void,
  ): void {
    const fileNumber = log.number;
    writeFrameHeader(this.pool, stagingAt, { kind, fileNumber, firstSequence, count, payloadLength });
    const frameBytes = roundUpToPage(FRAME_HEADER_BYTES + payloadLength);
    const offset = log.end;
    assert(offset + frameBytes <= log.bytes, 'a frame fits the log it was reserved in');
    log.end += frameBytes;
    this.#writing = true;
    this.#frames++;
    this.#records += count;
    this.#frameBytes += frameBytes;
    const onWritten: CompletionHandler = (result, detail0, detail1) => {
      this.#writing = false;
      if (result < 0) {
        const answer = { result, detail0, detail1 };
        this.#listener.onFailure(this.#scheduler.errorOf('writing', logName(fileNumber), answer, offset));
      } else if (this.#failure === undefined) {
        log.durableEnd = offset + frameBytes;
        onDurable();
      }
    };
    const ask = (): void =>
      this.#scheduler.request(
        ROLE_WAL,
        WRITE_FRAME,
        onWritten,
        fileNumber,
        offset / PAGE_BYTES,
        stagingAt / PAGE_BYTES,
      );
    const frame = { log: fileNumber, offset, at: stagingAt, payloadLength };
    if (this.#callerFrames?.write(frame, onWritten, ask) !== true) ask();
  }

  /** Bytes of log that a batch of so many bytes of records takes, as frames of its own. */
  static largeBatchBytes(bytes: number): number {
    const whole = Math.floor(bytes / FRAME_PAYLOAD_BYTES_MAX);
    return whole * STAGING_BYTES + roundUpToPage(FRAME_HEADER_BYTES + (bytes % FRAME_PAYLOAD_BYTES_MAX));
  }

  /**
   * Writes a batch that is larger than a frame as first, middle and last frames. REQUIRES: idle, and an active log with
   * room for `largeBatchBytes`. Resolves when all of it is durable; rejects after a failure, which is final.
   */
  async writeLarge(records: Uint8Array, count: number, firstSequence: number): Promise<void> {
    assert(this.isIdle, 'a large batch is written alone');
    const log = this.#logs.active;
    for (let start = 0; start < records.length;) {
      // Something else may have failed since the frame before was durable: nobody would tell who waits from now on.
      if (this.#failure !== undefined) throw this.#failure;
      const end = Math.min(start + FRAME_PAYLOAD_BYTES_MAX, records.length);
      const isFirst = start === 0;
      const isLast = end === records.length;
      const kind = frameKindOf(isFirst, isLast);
      this.pool.set(records.subarray(start, end), this.#stagingAt + FRAME_HEADER_BYTES);
      const length = end - start;
      await new Promise<void>((resolve, reject) => {
        this.#waiters.push({ resolve, reject });
        this.#issue(log, this.#stagingAt, kind, firstSequence, isFirst ? count : 0, length, () => {
          this.#waiters.pop();
          // At once: should something else fail before the caller goes on, reads go on at what is durable by then.
          if (isLast) this.#issuedSequence = this.#durableSequence = firstSequence + count - 1;
          resolve();
        });
      });
      start = end;
    }
    this.#resolveIdleWaiters();
  }

  /** Nothing will be written any more: everybody who waits learns why. */
  fail(error: QuadringError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const waiter of [...this.#writingWaiters, ...this.#waiters]) waiter.reject(error);
    this.#writingWaiters = [];
    this.#waiters = [];
    this.#count = 0;
    this.#resolveIdleWaiters();
  }
}
