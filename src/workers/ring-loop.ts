/**
 * A ring thread's loop: serve requests until told to stop. Ring threads only.
 *
 * It never blocks without bound: in Atomics.wait when nothing is in flight, in the kernel when something is. Before either
 * it announces the park and looks at its queue and its stop flag once more (see atomics-sync/doorbell).
 */
import { AdaptiveSpin } from '../atomics-sync/adaptive-spin.ts';
import {
  DoorbellRinger,
  DoorbellSleeper,
  PARKED_IN_KERNEL,
  PARKED_IN_WAIT,
} from '../atomics-sync/doorbell.ts';
import type { SharedWords } from '../atomics-sync/words.ts';
import { native } from '../native.ts';
import { OWNER_EVENT_WORD, OWNER_SYNC_WORD, roleWords } from '../protocol/crew-layout.ts';
import type { RoleId } from '../protocol/requests.ts';
import { STATISTIC_PARKS, STATISTIC_SPIN_HITS } from '../protocol/ring-statistics.ts';
import type { Ring } from './ring.ts';
import type { RoleHost } from './role-host.ts';

/** Longest sleep with nothing in flight. It can be interrupted, so it only bounds how old a heartbeat gets. */
const IDLE_WAIT_MS_MAX = 5_000;
/** Longest wait inside the addon, where nothing can interrupt the thread: what a process exit may have to wait for. */
const KERNEL_WAIT_MICROSECONDS_MAX = 250_000;

export interface RingLoopOptions {
  readonly role: RoleId;
  readonly control: SharedWords;
  readonly statistics: Float64Array;
  readonly ring: Pick<Ring, 'asynchronous'>;
  /** Runs the role over that ring. */
  readonly host: RoleHost;
  readonly owner: OwnerBells;
  /** 0: never spins. */
  readonly spinMicroseconds: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export class RingLoop {
  readonly #control: SharedWords;
  readonly #role: RoleId;
  readonly #statistics: Float64Array;
  readonly #host: RoleHost;
  readonly #isAsynchronous: boolean;
  readonly #sleeper: DoorbellSleeper;
  readonly #spin: AdaptiveSpin;
  readonly #owner: OwnerBells;

  constructor({ role, control, statistics, ring, host, owner, spinMicroseconds, now }: RingLoopOptions) {
    this.#control = control;
    this.#role = role;
    this.#statistics = statistics;
    this.#host = host;
    this.#isAsynchronous = ring.asynchronous;
    this.#sleeper = new DoorbellSleeper(control, roleWords(control, role).doorbell);
    this.#spin = new AdaptiveSpin({ budgetMicroseconds: spinMicroseconds, now });
    this.#owner = owner;
  }

  /** Returns when the stop flag is set. */
  serve(): void {
    const host = this.#host;
    const { stop, heartbeat } = roleWords(this.#control, this.#role);
    const hasRequest = (): boolean => host.hasRequest;
    for (let beat = 1; Atomics.load(this.#control, stop) === 0; beat++) {
      Atomics.store(this.#control, heartbeat, beat);
      host.advance();
      if (host.publish()) this.#owner.ring();
      if (host.hasWork || host.inFlight > 0) {
        this.#turn();
        if (host.publish()) this.#owner.ring();
      } else if (this.#spin.spin(hasRequest)) {
        this.#statistics[STATISTIC_SPIN_HITS] += 1;
      } else {
        this.#park();
      }
    }
  }

  /** One call of the addon. It may wait in the kernel when there is nothing else to do. */
  #turn(): void {
    const host = this.#host;
    // Tasks that can go on do so after this turn; a ring that completes everything at once never waits.
    if (!this.#isAsynchronous || host.hasReadyTask) return host.turn(0);
    this.#sleeper.announce(PARKED_IN_KERNEL);
    const mustNotWait = host.canTakeRequest || this.#stopping;
    if (mustNotWait) this.#sleeper.cancel();
    host.turn(mustNotWait ? 0 : KERNEL_WAIT_MICROSECONDS_MAX);
    if (!mustNotWait) this.#sleeper.cancel();
  }

  #park(): void {
    this.#sleeper.announce(PARKED_IN_WAIT);
    if (this.#host.hasRequest || this.#stopping) {
      this.#sleeper.cancel();
      return;
    }
    this.#statistics[STATISTIC_PARKS] += 1;
    this.#sleeper.wait(IDLE_WAIT_MS_MAX);
  }

  get #stopping(): boolean {
    return Atomics.load(this.#control, roleWords(this.#control, this.#role).stop) !== 0;
  }
}

/** The owner may sleep in a synchronous call or in its event loop; each has a word of its own. */
export class OwnerBells {
  readonly #synchronous: DoorbellRinger;
  readonly #eventLoop: DoorbellRinger;

  /** `signal` wakes the owner's event loop; see `Native.createSignal`. */
  constructor(control: SharedWords, signal: number) {
    const wake = (): void => native.signal(signal);
    this.#synchronous = new DoorbellRinger(control, OWNER_SYNC_WORD, wake);
    this.#eventLoop = new DoorbellRinger(control, OWNER_EVENT_WORD, wake);
  }

  ring(): void {
    this.#synchronous.ring();
    this.#eventLoop.ring();
  }
}
