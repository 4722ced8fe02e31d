/**
 * The way of a write: admitted, given sequence numbers, put into the active memtable and the gathering log frame.
 * Owner only.
 *
 * A write is admitted when an active memtable, a staging buffer and a log file have room for it, and then takes effect
 * at once, in this turn. Otherwise it waits, in order; later writes queue behind it. What ends the wait: a frame is
 * durable, a log file is prepared, a memtable is flushed, or, where compactions do not keep up, time or a compaction
 * (write-throttle.ts). Where the file system is full the writes that wait are
 * refused, nothing of them has happened, and later ones may succeed.
 *
 * Bounds: WAITING_WRITES_MAX writes with WAITING_BYTES_MAX bytes may wait; what is more is refused with OVERLOADED.
 */
import { assert, must } from '../assert.ts';
import { QuadringError } from '../errors.ts';
import { FRAME_PAYLOAD_BYTES_MAX } from '../format/frame.ts';
import { hashBytes } from '../format/hash.ts';
import { KIND_PUT, KIND_RANGE_TOMBSTONE, KIND_TOMBSTONE } from '../format/limits.ts';
import { logRecordLength, LogRecordReader, writeLogRecord } from '../format/log-record.ts';
import { RangeTombstones, type IsSeen, type RangeTombstone } from '../format/range-tombstones.ts';
import { valueLengthOf, type KeyScratch } from './bytes.ts';
import type { Environment, Timer } from './environment.ts';
import { Fifo } from './fifo.ts';
import type { LogFiles } from './log-files.ts';
import { LogWriter } from './log-writer.ts';
import type { Memtable } from './memtable.ts';
import type { Memtables } from './memtables.ts';
import type { SnapshotList } from './snapshots.ts';
import type { EncodedWrites } from './write-batch.ts';
import { WriteStalls, type StallReason, type StallStatistics } from './write-stalls.ts';
import type { WriteThrottle } from './write-throttle.ts';

const WAITING_WRITES_MAX = 1 << 20;
const WAITING_BYTES_MAX = 1 << 30;
/** Whether it is the next write's turn is looked at so often, at least. */
const TURN_MS_MAX = 1000;
const ACCEPTED = Promise.resolve();
const NOTHING = new Uint8Array(0);

interface WaitingWrite {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly rawBytes: number;
  readonly sync: boolean;
  readonly signal: AbortSignal | undefined;
  /** Attempts to make room that had begun when it came; a later one is its own. */
  readonly flushAttempts: number;
  readonly logAttempts: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface WritePathOptions {
  readonly memtables: Memtables;
  readonly logs: LogFiles;
  readonly writer: LogWriter;
  readonly lastSequence: number;
  readonly liveLogBytesMax: number;
  /** Sequence numbers that are read at. */
  readonly snapshots: SnapshotList;
  /** A memtable was frozen, or a write waits for one to be flushed. */
  readonly onFlushWanted: () => void;
  /** Attempts to flush that have begun. */
  readonly flushAttempts: () => number;
  readonly throttle: WriteThrottle;
  /** No arena is free behind the active memtable: the throttle wants to know how full that is. */
  readonly onLastArena: () => void;
  readonly environment: Pick<Environment, 'after' | 'now'>;
}

export class WritePath {
  readonly #memtables: Memtables;
  readonly #logs: LogFiles;
  readonly #writer: LogWriter;
  readonly #liveLogBytesMax: number;
  readonly #isSeen: IsSeen;
  readonly #onFlushWanted: () => void;
  readonly #flushAttempts: () => number;
  readonly #waiting = new Fifo<WaitingWrite>();
  readonly #reader = new LogRecordReader(new Uint8Array(0), 0, 0);
  #waitingBytes = 0;
  /** What the write that waits longest last found no room in. */
  #blockedOn: StallReason = 'staging';
  /** Settles when the large batch that is being written is visible, or has failed. */
  #writingLarge: Promise<void> | undefined;
  #lastSequence: number;
  #stalls = 0;
  readonly #stallClock: WriteStalls;
  readonly #throttle: WriteThrottle;
  readonly #onLastArena: () => void;
  readonly #environment: Pick<Environment, 'after' | 'now'>;
  /** While writes are slowed down and one waits. */
  #turnTimer: Timer | undefined;

  constructor(options: WritePathOptions) {
    this.#memtables = options.memtables;
    this.#logs = options.logs;
    this.#writer = options.writer;
    this.#lastSequence = options.lastSequence;
    this.#liveLogBytesMax = options.liveLogBytesMax;
    this.#isSeen = seenBeside(options.snapshots, options.writer);
    this.#onFlushWanted = options.onFlushWanted;
    this.#flushAttempts = options.flushAttempts;
    this.#throttle = options.throttle;
    this.#onLastArena = options.onLastArena;
    this.#environment = options.environment;
    this.#stallClock = new WriteStalls(() => options.environment.now());
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Writes that have not been admitted. */
  get waiting(): number {
    return this.#waiting.length + (this.#writingLarge === undefined ? 0 : 1);
  }

  /** Whether a large batch is half written. */
  get isWritingLarge(): boolean {
    return this.#writingLarge !== undefined;
  }

  /** How many writes had to wait, and what for. */
  statistics(): { readonly stalls: number; readonly stalled: StallStatistics } {
    return { stalls: this.#stalls, stalled: this.#stallClock.statistics() };
  }

  /** One put or, with a value of null, one deletion. The key and the value are copied before this returns. */
  write(
    key: KeyScratch,
    value: Uint8Array | null,
    sync: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const kind = value === null ? KIND_TOMBSTONE : KIND_PUT;
    const bytes = value ?? key.bytes;
    const valueLength = value === null ? 0 : valueLengthOf(value);
    const length = logRecordLength(kind, key.length, valueLength);
    const rawBytes = key.length + valueLength;
    if (this.waiting === 0 && this.#admit(1, rawBytes, length)) {
      const { pool, position } = this.#writer;
      const end = writeLogRecord(pool, position, kind, key.bytes, 0, key.length, bytes, 0, valueLength);
      const sequence = ++this.#lastSequence;
      const memtable = this.#memtables.active;
      if (memtable.entries === 0) memtable.firstLog = this.#logs.active.number;
      // The value from there: what may be changing meanwhile, in shared memory, is looked at once.
      const valueStart = end - valueLength;
      memtable.insert(key.bytes, 0, key.length, key.hash, kind, sequence, pool, valueStart, valueLength);
      this.#writer.appended(end, 1, sequence);
      return sync ? this.#durability() : ACCEPTED;
    }
    const record = new Uint8Array(length);
    writeLogRecord(record, 0, kind, key.bytes, 0, key.length, bytes, 0, valueLength);
    return this.#enqueue(record, 1, rawBytes, sync, signal);
  }

  /** All operations of a batch, as one. The batch's bytes are copied before this returns, or not needed any more. */
  writeBatch(batch: EncodedWrites, sync: boolean, signal: AbortSignal | undefined): Promise<void> {
    if (batch.count === 0) return ACCEPTED;
    if (this.waiting === 0 && this.#admit(batch.count, batch.rawBytes, batch.length)) {
      this.#append(batch.bytes, batch.length, batch.count);
      return sync ? this.#durability() : ACCEPTED;
    }
    const { bytes, length, count, rawBytes } = batch;
    return this.#enqueue(bytes.slice(0, length), count, rawBytes, sync, signal);
  }

  /**
   * Takes over what recovery found in a log: the records of one frame, or of one batch, from `start` in the payload on. All
   * of them go into one memtable, and so into one table: what can be read of a log need not be durable, and a power cut
   * must not leave a part of a batch. False: a flush must make room first.
   */
  replay(payload: Uint8Array, start: number, firstSequence: number, log: number): boolean {
    const reader = this.#reader;
    let count = 0;
    let rawBytes = 0;
    reader.reset(payload, start, payload.length);
    for (; reader.next(); count++) rawBytes += reader.keyLength + reader.valueLength;
    if (!this.#memtables.makeRoom(count, rawBytes)) return false;
    const memtable = this.#memtables.active;
    if (memtable.entries === 0) memtable.firstLog = log;
    this.#insert(payload, start, payload.length, firstSequence);
    this.#lastSequence = firstSequence + count - 1;
    return true;
  }

  /** Something that writes wait for may have come. */
  resume(): void {
    this.#admitWaiting();
    this.#stallClock.note(this.#waiting.length === 0 ? undefined : this.#blockedOn);
  }

  #admitWaiting(): void {
    while (this.#waiting.length > 0 && this.#writingLarge === undefined) {
      const write = must(this.#waiting.peek(), 'a write waits');
      try {
        if (write.signal?.aborted === true) throw abortError(write.signal);
        if (!this.#begin(write)) return;
      } catch (error) {
        if (!(error instanceof QuadringError)) throw error;
        this.#dequeue().reject(error);
      }
    }
  }

  /** Lets the write that has waited longest take effect, or begin to; false if there is no room for it yet. */
  #begin(write: WaitingWrite): boolean {
    const { bytes, count, rawBytes } = write;
    if (this.#isLarge(count, rawBytes, bytes.length)) return this.#startLarge(write);
    if (!this.#admit(count, rawBytes, bytes.length)) return false;
    this.#dequeue();
    this.#append(bytes, bytes.length, count);
    if (write.sync) this.#writer.whenDurable(write);
    else write.resolve();
    return true;
  }

  /** Resolves when no large batch is half written. */
  async largeWritten(): Promise<void> {
    while (this.#writingLarge !== undefined) await this.#writingLarge;
  }

  /**
   * An attempt to make room met a full file system: refuses what was waiting for such room when it began. What came
   * later gets an attempt of its own: there may be space by then.
   */
  refuseBlockedOn(kind: 'memtable' | 'log file', error: QuadringError, attempt: number): void {
    while (this.#waiting.length > 0 && this.#blockedOn === kind) {
      const { flushAttempts, logAttempts } = must(this.#waiting.peek(), 'a write waits');
      if ((kind === 'memtable' ? flushAttempts : logAttempts) >= attempt) break;
      this.#dequeue().reject(error);
    }
    this.resume();
  }

  /** A compaction failed that writes wait for: they learn why. Later ones wait until it has been tried again. */
  refuseStopped(error: QuadringError): void {
    if (this.#blockedOn !== 'stop') return;
    this.refuse(error);
  }

  /** Refuses every write that waits. */
  refuse(error: QuadringError): void {
    for (const write of this.#waiting.takeAll()) write.reject(error);
    this.#waitingBytes = 0;
    this.#turnTimer?.cancel();
    this.#turnTimer = undefined;
    this.#stallClock.note(undefined);
  }

  #isLarge(count: number, rawBytes: number, length: number): boolean {
    return length > FRAME_PAYLOAD_BYTES_MAX || !this.#memtables.fitsArena(count, rawBytes);
  }

  /** Whether there is room for a write now; if not, sees to it that there will be. */
  #admit(count: number, rawBytes: number, length: number): boolean {
    if (this.#isLarge(count, rawBytes, length) || !this.#isItsTurn()) return false;
    if (!this.#makeMemtableRoom(count, rawBytes) || !this.#reserveLog(length)) return false;
    this.#throttle.take(length);
    return true;
  }

  /** False while writes are slowed down and the next one has to wait, or while they are stopped. */
  #isItsTurn(): boolean {
    if (!this.#memtables.hasFreeArena) this.#onLastArena();
    const delay = this.#throttle.delay();
    if (delay === 0) return true;
    this.#blockedOn = delay === Infinity ? 'stop' : 'slowdown';
    if (this.#turnTimer === undefined) {
      // Writes that wait keep the process alive, also while a compaction is going to be tried again.
      this.#turnTimer = this.#environment.after(Math.min(delay, TURN_MS_MAX), true, () => {
        this.#turnTimer = undefined;
        this.resume();
      });
    }
    return false;
  }

  #makeMemtableRoom(count: number, rawBytes: number): boolean {
    const memtables = this.#memtables;
    const before = memtables.active;
    // A memtable that keeps too many log files from being used again is flushed, however small it is.
    const holdsLogs = before.entries > 0 && before.firstLog < this.#logs.active.number;
    if (holdsLogs && this.#logs.liveBytes > this.#liveLogBytesMax) memtables.rotate();
    const hasRoom = memtables.makeRoom(count, rawBytes);
    if (memtables.active !== before || !hasRoom) this.#onFlushWanted();
    if (!hasRoom) this.#blockedOn = 'memtable';
    return hasRoom;
  }

  #reserveLog(length: number): boolean {
    const reservation = this.#writer.reserve(length);
    if (reservation === 'ready') return true;
    this.#blockedOn = reservation === 'log-full' ? 'log file' : 'staging';
    if (reservation === 'log-full') this.#logs.prepare(length);
    return false;
  }

  #append(records: Uint8Array, length: number, count: number): void {
    const { pool, position } = this.#writer;
    const memtable = this.#memtables.active;
    if (memtable.entries === 0) memtable.firstLog = this.#logs.active.number;
    pool.set(length === records.length ? records : records.subarray(0, length), position);
    this.#insert(pool, position, position + length, this.#lastSequence + 1);
    this.#lastSequence += count;
    this.#writer.appended(position + length, count, this.#lastSequence);
  }

  /** Puts records into the active memtable, in order. */
  #insert(records: Uint8Array, start: number, end: number, firstSequence: number): void {
    const reader = this.#reader;
    const memtable = this.#memtables.active;
    let ranges: RangeTombstones | undefined;
    let sequence = firstSequence;
    reader.reset(records, start, end);
    while (reader.next()) {
      const tombstone = insertRecord(memtable, records, reader, sequence++);
      // Nobody sees what is between the records of a write: of all ranges that a key is in, the last one is enough.
      if (tombstone !== undefined) (ranges ??= new RangeTombstones()).add(tombstone, () => false);
    }
    if (ranges !== undefined) memtable.showRanges(ranges, this.#isSeen);
    // A large batch's memory is not held on to.
    reader.reset(NOTHING, 0, 0);
  }

  #durability(): Promise<void> {
    return new Promise((resolve, reject) => this.#writer.whenDurable({ resolve, reject }));
  }

  /** Keeps records, which from now on are its own, until there is room for them. */
  #enqueue(
    bytes: Uint8Array,
    count: number,
    rawBytes: number,
    sync: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (this.#waiting.length >= WAITING_WRITES_MAX || this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      const message = `${this.#waiting.length} writes with ${this.#waitingBytes} bytes are waiting already`;
      return Promise.reject(new QuadringError('OVERLOADED', message));
    }
    this.#stalls++;
    this.#waitingBytes += bytes.length;
    return new Promise((resolve, reject) => {
      const attempts = { flushAttempts: this.#flushAttempts(), logAttempts: this.#logs.attempts };
      this.#waiting.push({ bytes, count, rawBytes, sync, signal, ...attempts, resolve, reject });
      if (this.#waiting.length === 1) this.resume();
    });
  }

  #dequeue(): WaitingWrite {
    const write = this.#waiting.shift();
    this.#waitingBytes -= write.bytes.length;
    return write;
  }

  /** A batch that is larger than a frame or an arena: written alone, frame by frame, then made visible as one. */
  #startLarge(write: WaitingWrite): boolean {
    if (!this.#isItsTurn()) return false;
    const logBytes = LogWriter.largeBatchBytes(write.bytes.length);
    const log = this.#logs.active;
    if (!this.#writer.isIdle) {
      this.#blockedOn = 'staging';
      return false;
    }
    if (log.end + logBytes > log.bytes && !this.#logs.switch(logBytes)) {
      this.#blockedOn = 'log file';
      this.#logs.prepare(logBytes);
      return false;
    }
    if (!this.#makeMemtableRoom(write.count, write.rawBytes)) return false;
    this.#throttle.take(write.bytes.length);
    this.#dequeue();
    // What comes behind it waits for its end, and for no room that somebody may fail to make meanwhile.
    this.#blockedOn = 'staging';
    this.#writingLarge = this.#writeLarge(write).finally(() => {
      this.#writingLarge = undefined;
      this.resume();
    });
    return true;
  }

  async #writeLarge(write: WaitingWrite): Promise<void> {
    const firstSequence = this.#lastSequence + 1;
    const memtable = this.#memtables.active;
    if (memtable.entries === 0) memtable.firstLog = this.#logs.active.number;
    try {
      await this.#writer.writeLarge(write.bytes, write.count, firstSequence);
    } catch (error) {
      write.reject(error as QuadringError);
      return;
    }
    assert(this.#memtables.active === memtable, 'nothing else writes beside a large batch');
    this.#insert(write.bytes, 0, write.bytes.length, firstSequence);
    this.#lastSequence += write.count;
    write.resolve();
  }
}

/** Gives back a range tombstone: reads do not see it yet. */
function insertRecord(
  memtable: Memtable,
  records: Uint8Array,
  { kind, keyStart, keyLength, valueStart, valueLength }: LogRecordReader,
  sequence: number,
): RangeTombstone | undefined {
  if (kind === KIND_RANGE_TOMBSTONE)
    return memtable.insertRange(records, keyStart, keyLength, valueStart, valueLength, sequence);
  const hash = hashBytes(records, keyStart, keyLength);
  memtable.insert(records, keyStart, keyLength, hash, kind, sequence, records, valueStart, valueLength);
  return undefined;
}

/** Who may see an older range tombstone of a memtable where there is a newer one. */
function seenBeside(snapshots: SnapshotList, writer: LogWriter): IsSeen {
  return (sequence, newerSequence) => {
    const { durableSequence, issuedSequence } = writer;
    // Should the log fail, reads go on at what is durable then: what is now, or with the frame that is under way.
    const isSeenIn = (moment: number): boolean => moment >= sequence && moment < newerSequence;
    return (
      isSeenIn(durableSequence) || isSeenIn(issuedSequence) || snapshots.hasBetween(sequence, newerSequence)
    );
  };
}

export function abortError(signal: AbortSignal): QuadringError {
  return new QuadringError('ABORTED', 'the signal was aborted before the operation had begun', {
    cause: signal.reason,
  });
}
