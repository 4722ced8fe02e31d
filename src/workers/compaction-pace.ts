/**
 * How fast a compaction may go, and whether it may go on at all. Ring threads only.
 *
 * The rate stands in the crew's control words and is read again before every wait, none of which is longer than
 * TIMEOUT_MICROSECONDS_MAX: so a change, or a cancellation, takes effect within that.
 */
import type { SharedWords } from '../atomics-sync/words.ts';
import { COMPACTION_RATE_WORD } from '../protocol/crew-layout.ts';
import { faultOfStep } from './compaction-fault.ts';
import { TIMEOUT_MICROSECONDS_MAX } from './ring.ts';
import type { RoleIo, RoleTask } from './role-io.ts';
import { TokenBucket } from './token-bucket.ts';

const ECANCELED = 125;
const STEP_NONE = 0;
const KIBIBYTE = 1024;

export interface CompactionPaceOptions {
  readonly io: RoleIo;
  readonly control: SharedWords;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export class CompactionPace {
  readonly #options: CompactionPaceOptions;
  readonly #bucket: TokenBucket;
  #bytesCounted: number;
  #isCancelled = false;

  constructor(options: CompactionPaceOptions) {
    const { io, now } = options;
    this.#options = options;
    this.#bucket = new TokenBucket(now());
    this.#bytesCounted = io.bytesRead + io.bytesWritten;
  }

  /** The next `keep` fails. */
  cancel(): void {
    this.#isCancelled = true;
  }

  /**
   * Waits until what was read and written so far is within the rate; throws when the compaction is cancelled.
   * `beforePush` collects what has completed, since a push takes the place of a completed record.
   */
  *keep(beforePush: () => void): RoleTask {
    const { io, control, now } = this.#options;
    const bytes = io.bytesRead + io.bytesWritten;
    this.#bucket.take(bytes - this.#bytesCounted);
    this.#bytesCounted = bytes;
    for (;;) {
      if (this.#isCancelled) throw faultOfStep(-ECANCELED, STEP_NONE, 0);
      const rate = Atomics.load(control, COMPACTION_RATE_WORD) * KIBIBYTE;
      const wait = this.#bucket.waitMicroseconds(now(), rate);
      if (wait === 0) return;
      beforePush();
      const timer = io.timeout(Math.min(wait, TIMEOUT_MICROSECONDS_MAX));
      while (io.isPending(timer)) yield io.outstanding - 1;
      const result = io.result(timer);
      if (result < 0) throw faultOfStep(result, STEP_NONE, 0);
    }
  }
}
