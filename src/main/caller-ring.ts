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

/** Reads (see caller-reads.ts), a frame of the log, and the opening and closing of files. */
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

  /** Or why there is none. `onReadable`: there are completions. */
  static of(io: Settings['io'], pool: Uint8Array, onReadable: () => void): NativeCallerRing | string {
    const refusal = callerRingRefusal(io);
    if (refusal !== null) return refusal;
    try {
      return new NativeCallerRing(io, pool, onReadable);
    } catch (error) {
      // Refused like the rings of the threads, or for want of descriptors.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      return (error as Error).message;
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
        workers: io.workers,
        pollsCompletions: false,
        notifiedEventfd,
        counters: statistics.subarray(at, at + RING_COUNTERS),
      });
    } catch (error) {
      closeDescriptors(this.#eventfds);
      throw error;
    }
    try {
      this.#ring.attach(REGION_POOL, pool, 0, 0, 0);
      this.fixedFiles = this.#ring.describe().fixedFiles;
      this.#watch = native.watchEventfd(notifiedEventfd, onReadable);
    } catch (error) {
      this.#closeRing();
      throw error;
    }
  }

  turn(count: number, waitMicroseconds: number): number {
    return this.#ring.turn(count, waitMicroseconds);
  }

  describe(): RingDescription {
    return { ...this.#ring.describe(), backend: 'uring', reason: null };
  }

  close(): void {
    native.unwatch(this.#watch);
    this.#closeRing();
  }

  #closeRing(): void {
    try {
      this.#ring.close();
    } catch (error) {
      // Something is still under way: the addon counts such rings, and whoever owns the memory keeps it (undrainedRings).
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    } finally {
      closeDescriptors(this.#eventfds);
    }
  }
}

/** Why settings are not for a ring of the owner's own; null: they are. */
export function callerRingRefusal(io: Settings['io']): string | null {
  if (!io.callerRing) return 'io.callerRing is false';
  if (io.polling !== 'off') return 'io.sqpoll is for rings that threads have';
  if (io.pollsCompletions) return 'io.iopoll is for rings that threads have';
  return io.backend === 'syscall' ? 'io.backend is syscall' : null;
}
