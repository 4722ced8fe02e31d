/**
 * How fast compactions may read and write: a number of bytes a second, or one that follows what is written. Owner only;
 * pure but for the word that the compaction thread reads.
 *
 * The automatic rate is what the writes of late ask of compactions, and enough more to work off what has piled up within
 * some seconds: no faster, so that reads meet an even load instead of bursts; and no limit at all once writes would have
 * to be slowed down, or while somebody waits for a compaction that was asked for.
 */
import type { SharedWords } from '../atomics-sync/words.ts';
import { COMPACTION_RATE_WORD } from '../protocol/crew-layout.ts';

/** A byte that is flushed is read and written about so often until it lies in the lowest level. */
const TRAFFIC_PER_BYTE = 24;
/** What has piled up is to be gone after so long. */
const CATCH_UP_SECONDS = 5;
const AUTOMATIC_MIN = 64 * 1024 * 1024;
/** The rate of writes is averaged over about so many seconds. */
const AVERAGED_SECONDS = 5;
const KIBIBYTE = 1024;
const RATE_WORD_MAX = 0x7fff_ffff;

export type RateSetting = number | 'auto';

export interface Load {
  /** Bytes that compactions have to write until all levels are at their targets. */
  readonly pendingBytes: number;
  /** Whether writes are, or will soon be, slowed down. */
  readonly isPressing: boolean;
}

export class CompactionRate {
  readonly #control: SharedWords;
  readonly #now: () => number;
  #setting: RateSetting;
  #load: Load = { pendingBytes: 0, isPressing: false };
  #isAwaited = false;
  /** Bytes a second that were flushed of late, as of the last flush. */
  #flushedRate = 0;
  #lastFlushAt = 0;

  /** `now`: milliseconds. */
  constructor(control: SharedWords, setting: RateSetting, now: () => number) {
    this.#control = control;
    this.#setting = setting;
    this.#now = now;
    this.#lastFlushAt = now();
    this.#publish();
  }

  /** Takes effect within a tenth of a second. */
  set setting(setting: RateSetting) {
    this.#setting = setting;
    this.#publish();
  }

  /** Bytes a second; 0: no limit. */
  get bytesPerSecond(): number {
    if (this.#setting !== 'auto') return this.#setting;
    const { pendingBytes, isPressing } = this.#load;
    if (isPressing || this.#isAwaited) return 0;
    const asked = this.#flushedRateNow() * TRAFFIC_PER_BYTE + (2 * pendingBytes) / CATCH_UP_SECONDS;
    return Math.max(AUTOMATIC_MIN, asked);
  }

  /** Whether somebody waits for a compaction that was asked for. */
  set isAwaited(isAwaited: boolean) {
    this.#isAwaited = isAwaited;
    this.#publish();
  }

  noteFlush(bytes: number): void {
    const now = this.#now();
    const seconds = Math.max((now - this.#lastFlushAt) / 1000, 0.001);
    const weight = 1 - Math.exp(-seconds / AVERAGED_SECONDS);
    this.#flushedRate += (bytes / seconds - this.#flushedRate) * weight;
    this.#lastFlushAt = now;
    this.#publish();
  }

  noteLoad(load: Load): void {
    this.#load = load;
    this.#publish();
  }

  /** Falls while nothing is flushed. */
  #flushedRateNow(): number {
    const seconds = (this.#now() - this.#lastFlushAt) / 1000;
    return this.#flushedRate * Math.exp(-seconds / AVERAGED_SECONDS);
  }

  #publish(): void {
    const rate = this.bytesPerSecond;
    const word = rate === 0 ? 0 : Math.min(Math.max(Math.round(rate / KIBIBYTE), 1), RATE_WORD_MAX);
    Atomics.store(this.#control, COMPACTION_RATE_WORD, word);
  }
}
