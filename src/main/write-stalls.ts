/** Counts and times what writes wait for. Owner only; pure, time comes from outside. */

/** What the write that has waited longest waits for. */
export type StallReason =
  /** A log staging buffer: a frame is being written. */
  | 'staging'
  /** A log file to be prepared. */
  | 'log file'
  /** A memtable to be flushed. */
  | 'memtable'
  /** Its turn, while writes are slowed down. */
  | 'slowdown'
  /** A compaction: writes are stopped. */
  | 'stop';

export interface Stall {
  /** Times that writes began to wait for it. */
  readonly count: number;
  readonly milliseconds: number;
}

export type StallStatistics = Readonly<Record<StallReason, Stall>>;

export class WriteStalls {
  readonly #now: () => number;
  readonly #counts: Record<StallReason, number> = zeros();
  readonly #milliseconds: Record<StallReason, number> = zeros();
  #reason: StallReason | undefined;
  #since = 0;

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** From now on writes wait for `reason`; undefined: none waits. */
  note(reason: StallReason | undefined): void {
    if (reason === this.#reason) return;
    const now = this.#now();
    if (this.#reason !== undefined) this.#milliseconds[this.#reason] += now - this.#since;
    if (reason !== undefined) this.#counts[reason]++;
    this.#reason = reason;
    this.#since = now;
  }

  statistics(): StallStatistics {
    const running = this.#reason === undefined ? 0 : this.#now() - this.#since;
    const stall = (reason: StallReason): Stall => ({
      count: this.#counts[reason],
      milliseconds: this.#milliseconds[reason] + (reason === this.#reason ? running : 0),
    });
    return {
      staging: stall('staging'),
      'log file': stall('log file'),
      memtable: stall('memtable'),
      slowdown: stall('slowdown'),
      stop: stall('stop'),
    };
  }
}

function zeros(): Record<StallReason, number> {
  return { staging: 0, 'log file': 0, memtable: 0, slowdown: 0, stop: 0 };
}
