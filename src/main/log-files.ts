/**
 * The log files: the one being written, those still needed, those prepared ahead, those to be used again. Owner only;
 * the flush thread creates, recycles and removes them.
 *
 *     prepared ──► active ──► live (a memtable still needs it) ──► recycled under a new number, or removed
 *
 * A log file is written through once before it is handed over: appends into written extents need no journal commit
 * (1.6 to 3 times faster), and opened. Space and descriptors are met here: where none is left no file is prepared, and the
 * write that needed it is refused before anything has changed.
 */
import { assert, must } from '../assert.ts';
import type { QuadringError } from '../errors.ts';
import { logName } from '../format/file-names.ts';
import { pagesOf } from '../format/limits.ts';
import {
  CLOSE_LOG,
  FILE_LOG,
  OPEN_LOG,
  PREPARE_LOG,
  REMOVE_FILE,
  ROLE_FLUSH,
  ROLE_WAL,
} from '../protocol/requests.ts';
import type { CallerFrames } from './caller-frames.ts';
import { isRefusal } from './io-errors.ts';
import type { Answer, IoScheduler } from './io-scheduler.ts';

export interface LogFile {
  readonly number: number;
  readonly bytes: number;
  /** Where the next frame goes. */
  end: number;
  /** Where the last frame that is durable ends. */
  durableEnd: number;
  /** Whether its file may be used again: nobody else can still be writing to it. */
  readonly reusable: boolean;
}

export interface LogFilesOptions {
  /** Bytes of an ordinary log file. */
  readonly logBytes: number;
  readonly takeFileNumber: () => number;
  /** Whether a file may have another name as well: then nothing may be written over it. */
  readonly mayBeShared: (fileName: string) => boolean;
  /** A file has been prepared. */
  readonly onPrepared: () => void;
  /** No file could be prepared for want of space or of a descriptor, at the attempt of that number; it may be tried again. */
  readonly onRefused: (error: QuadringError, attempt: number) => void;
  /** Anything else that went wrong. */
  readonly onFailure: (error: QuadringError) => void;
}

const ENOENT = 2;
/** Obsolete files that are kept to be used again. */
const RECYCLABLE_MAX = 2;

export class LogFiles {
  readonly #scheduler: IoScheduler;
  readonly #callerFrames: CallerFrames | undefined;
  readonly #options: LogFilesOptions;
  #active: LogFile | undefined;
  readonly #live: LogFile[] = [];
  readonly #prepared: LogFile[] = [];
  readonly #recyclable: number[] = [];
  #preparing = false;
  #attempts = 0;
  #created = 0;
  #recycled = 0;

  /** `callerFrames`: who may write to logs as well. */
  constructor(scheduler: IoScheduler, callerFrames: CallerFrames | undefined, options: LogFilesOptions) {
    this.#scheduler = scheduler;
    this.#callerFrames = callerFrames;
    this.#options = options;
  }

  get active(): LogFile {
    return must(this.#active, 'an open database has an active log');
  }

  /** Attempts to prepare a file that have begun. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Undefined until the first one has been prepared. */
  get activeNumber(): number | undefined {
    return this.#active?.number;
  }

  /** Bytes of all files that recovery would have to read. */
  get liveBytes(): number {
    return this.#live.reduce((bytes, log) => bytes + log.bytes, this.#active?.bytes ?? 0);
  }

  /** Ends of logs that can be recorded: a log's last frame may still be on its way while the next log is filled. */
  recordableEnds(): { readonly number: number; readonly end: number }[] {
    const ended = this.needed.slice(0, -1).filter(({ end, durableEnd }) => end === durableEnd);
    return ended.map(({ number, end }) => ({ number, end }));
  }

  /** Live logs and the active one, oldest first. */
  get needed(): readonly LogFile[] {
    return this.#active === undefined ? this.#live : [...this.#live, this.#active];
  }

  statistics(): {
    readonly active: string;
    readonly live: number;
    readonly prepared: number;
    readonly recyclable: number;
    readonly created: number;
    readonly recycled: number;
  } {
    return {
      active: this.#active === undefined ? '' : logName(this.#active.number),
      live: this.#live.length,
      created: this.#created,
      recycled: this.#recycled,
      prepared: this.#prepared.length + Number(this.#preparing),
      recyclable: this.#recyclable.length,
    };
  }

  /** A log that recovery found and whose entries are in memtables now. */
  addRecovered(log: LogFile): void {
    this.#live.push(log);
  }

  /** A file that nobody needs any more; it is used again or removed. */
  addObsolete(number: number, bytes: number): void {
    if (bytes === this.#options.logBytes && this.#recyclable.length < RECYCLABLE_MAX)
      this.#recyclable.push(number);
    else this.#remove(number);
  }

  /** Makes a prepared file with room for `bytes` the active one; false if there is none (`prepare` gets one). */
  switch(bytes: number): boolean {
    const at = this.#prepared.findIndex((log) => log.bytes >= bytes);
    if (at < 0) return false;
    // Recovery replays logs in the order of their numbers: a file that is passed over comes back under a later one.
    const passedOver = this.#prepared.splice(0, at);
    const next = this.#prepared.shift();
    for (const { number, bytes: length } of passedOver) {
      this.#close(number);
      this.addObsolete(number, length);
    }
    if (this.#active !== undefined) {
      assert(
        must(next, 'a prepared log').number > this.#active.number,
        'log numbers grow in the order of use',
      );
      this.#live.push(this.#active);
    }
    this.#active = next;
    if (this.#prepared.length === 0) this.prepare(this.#options.logBytes);
    return true;
  }

  /** Has a file of at least `bytes` prepared, unless one is on its way. */
  prepare(bytes: number): void {
    if (this.#preparing) return;
    this.#preparing = true;
    const attempt = ++this.#attempts;
    const number = this.#options.takeFileNumber();
    const size = Math.max(bytes, this.#options.logBytes);
    const old = size === this.#options.logBytes ? this.#takeRecyclable() : undefined;
    this.#scheduler.request(
      ROLE_FLUSH,
      PREPARE_LOG,
      (result, detail0, detail1) => {
        if (result >= 0) return this.#open(number, size, old !== undefined, attempt);
        if (old !== undefined) this.#recyclable.push(old);
        this.#onNotPrepared('preparing', number, { result, detail0, detail1 }, attempt);
      },
      number,
      pagesOf(size),
      old ?? 0,
    );
  }

  /** Before anything depends on it: a descriptor may be what is missing. */
  #open(number: number, bytes: number, isRecycled: boolean, attempt: number): void {
    this.#scheduler.request(
      ROLE_WAL,
      OPEN_LOG,
      (result, detail0, detail1) => {
        if (result < 0) {
          this.addObsolete(number, bytes);
          return this.#onNotPrepared('opening', number, { result, detail0, detail1 }, attempt);
        }
        this.#preparing = false;
        if (isRecycled) this.#recycled++;
        else this.#created++;
        this.#callerFrames?.openLog(number);
        this.#prepared.push({ number, bytes, end: 0, durableEnd: 0, reusable: true });
        this.#options.onPrepared();
      },
      number,
    );
  }

  #onNotPrepared(act: string, number: number, answer: Answer, attempt: number): void {
    this.#preparing = false;
    const error = this.#scheduler.errorOf(act, logName(number), answer);
    if (isRefusal(error)) this.#options.onRefused(error, attempt);
    else this.#options.onFailure(error);
  }

  /** One that still is nobody else's. */
  #takeRecyclable(): number | undefined {
    for (let number = this.#recyclable.pop(); number !== undefined; number = this.#recyclable.pop()) {
      if (!this.#options.mayBeShared(logName(number))) return number;
      this.#remove(number);
    }
    return undefined;
  }

  /** Lets go of live logs below `number`: all that they hold is in tables. */
  releaseBelow(number: number): void {
    while (this.#live.length > 0 && this.#live[0].number < number) {
      const log = must(this.#live.shift(), 'a live log');
      this.#close(log.number);
      if (log.reusable) this.addObsolete(log.number, log.bytes);
      else this.#remove(log.number);
    }
  }

  /** What closing a file says that nobody needs any more changes nothing. */
  #close(number: number): void {
    this.#callerFrames?.logs.close(number);
    this.#scheduler.request(ROLE_WAL, CLOSE_LOG, () => undefined, number);
  }

  #remove(number: number): void {
    this.#scheduler.request(
      ROLE_FLUSH,
      REMOVE_FILE,
      (result, detail0, detail1) => {
        // Somebody else has removed it.
        if (result >= 0 || result === -ENOENT) return;
        const answer = { result, detail0, detail1 };
        this.#options.onFailure(this.#scheduler.errorOf('removing', logName(number), answer));
      },
      number,
      FILE_LOG,
    );
  }
}
