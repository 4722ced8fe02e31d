/**
 * The owner's own ring in production: one io_uring, and a watch of it in the event loop. Owner only.
 *
 * There is none on plain system calls, where a read would hold up the caller, nor where the settings name who polls for
 * submissions or completions: then that is what reads go to.
 */
import { native, type NativeRing } from '../native.ts';
import { REGION_POOL } from '../protocol/crew-layout.ts';
import { RING_COUNTERS } from '../protocol/ring-counters.ts';
import { COMPLETION_WORDS, NAME_STRIDE_BYTES, RECORD_WORDS } from '../protocol/ring-records.ts';
import { STATISTIC_ADDON_COUNTERS, STATISTICS_DOUBLES } from '../protocol/ring-statistics.ts';
import type { RingDescription } from '../protocol/ring-thread-task.ts';
import type { CallerRing } from './crew.ts';
import { closeDescriptors, createEventfds } from './eventfds.ts';
import type { Settings } from './options.ts';

/** The reads of the owner (see caller-reads.ts), one more for whoever sits waiting, and opening and closing tables. */
const ENTRIES = 128;
/** Completions that one turn can bring for each entry. */
const COMPLETIONS_PER_ENTRY = 4;

export class NativeCallerRing implements CallerRing {
  readonly entries = ENTRIES;
  readonly records = new Int32Array(ENTRIES * RECORD_WORDS);
  readonly names = new Uint8Array(ENTRIES * NAME_STRIDE_BYTES);
  readonly completions = new Int32Array(ENTRIES * COMPLETIONS_PER_ENTRY * COMPLETION_WORDS);
  readonly statistics = new Float64Array(STATISTICS_DOUBLES);
  readonly fixedFiles: number;
  readonly #ring: NativeRing;
  /** One that would wake a wait, which nobody does; and one that the kernel wakes the event loop by. */
  readonly #eventfds: readonly number[];
  readonly #watch: number;

  /** Undefined where there can be none. `onReadable`: there are completions. */
  static of({ io }: Settings, pool: Uint8Array, onReadable: () => void): NativeCallerRing | undefined {
    if (io.backend === 'syscall' || io.polling !== 'off' || io.pollsCompletions || !io.callerReads)
      return undefined;
    try {
      return new NativeCallerRing(io, pool, onReadable);
    } catch (error) {
      // Refused like those of the threads, which say why; these go on with system calls, or have ended.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      return undefined;
    }
  }

  private constructor(io: Settings['io'], pool: Uint8Array, onReadable: () => void) {
    const { entries, records, names, completions, statistics } = this;
    const at = STATISTIC_ADDON_COUNTERS;
    this.#eventfds = createEventfds(2);
    const [eventfd, notifiedEventfd] = this.#eventfds;
    try {
      this.#ring = new native.Ring({
        entries,
        records,
        names,
        completions,
        eventfd,
        singleIssuer: io.singleIssuer,
        polling: null,
        workers: null,
        pollsCompletions: false,
        notifiedEventfd,
        counters: statistics.subarray(at, at + RING_COUNTERS),
      });
    } catch (error) {
      closeDescriptors(this.#eventfds);
      throw error;
    }
    this.#ring.attach(REGION_POOL, pool, 0, 0, 0);
    this.fixedFiles = this.#ring.describe().fixedFiles;
    this.#watch = native.watchEventfd(notifiedEventfd, onReadable);
  }

  turn(count: number, waitMicroseconds: number): number {
    return this.#ring.turn(count, waitMicroseconds);
  }

  describe(): RingDescription {
    return { ...this.#ring.describe(), backend: 'uring', reason: null };
  }

  close(): void {
    native.unwatch(this.#watch);
    this.#ring.close();
    closeDescriptors(this.#eventfds);
  }
}
