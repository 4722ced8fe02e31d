/**
 * Doorbell: how a thread goes to sleep without missing work, and how others wake it. Any thread, Atomics only.
 *
 * One *parked word* per sleeper, on a cache line of its own, says AWAKE or in which way its thread sleeps. The thread
 * is its only sleeper; any number of threads may ring.
 *
 * The protocol
 *
 *     sleeper                                        ringer
 *     S1  announce   parked := PARKED_…              R1  publish   tail := …     (or a stop flag := 1)
 *     S2  look       is there work? a stop flag?     R2  look      is parked ≠ AWAKE?
 *         yes: cancel (parked := AWAKE), go on       R3  claim     compare-and-exchange parked → AWAKE
 *     S3  no: sleep                                  R4  wake      only the winner of R3
 *
 * Why no wake-up is lost
 *
 * Every access above is sequentially consistent: there is one order of all of them that every thread agrees on, and
 * each load returns the last store before it in that order. Take any one piece of work, stored by R1.
 *
 * 1. S2 comes after R1 in the order. Then S2 sees the work and the thread does not sleep.
 * 2. S2 comes before R1. Then S1 < S2 < R1 < R2, so R2 finds the sleeper announced, unless something has stored AWAKE
 *    since. That can only have been another ringer's R3, whose winner wakes the thread, or the sleeper itself, which
 *    does so only when it is up and will look at its queues again: its next S1 and S2 fall under this same argument.
 *    So either we claim the word, or somebody else has, or the sleeper is awake.
 *
 * Either half alone is not enough: a sleeper that looks first and announces later, or a ringer that looks at the word
 * before it publishes, can each pass the other. Nor is release-acquire ordering: a store followed by a load of another
 * word is the one pair that processors reorder, and here both sides depend on it (this is Dekker's pattern).
 *
 * R3 can fail although R2 found the sleeper parked. Then the word changed between the two: another ringer claimed it
 * (and wakes), or the sleeper stored AWAKE, or it has even announced anew, in the other way of sleeping. Such an
 * announcement comes after R2, hence after R1, and its S2 sees the work. If it announced anew in the same way, R3
 * succeeds and the wake-up is merely unneeded.
 *
 * Why a wake-up between S2 and S3 sticks
 *
 * - PARKED_IN_WAIT: R3 has changed the word, so `Atomics.wait(word, PARKED_IN_WAIT)` returns 'not-equal' at once. The
 *   comparison and the going to sleep are one step under the lock that R4's notify takes as well.
 * - PARKED_IN_KERNEL: `wakeFromKernel` must leave something behind that ends a sleep which has not begun yet: the count
 *   of an eventfd, the queue entry of a threadsafe function. A wake-up without memory would be lost here.
 *
 * Stickiness has a price: a wake-up that arrives late (R3 won, then R4 came only after the sleeper had found the work by
 * itself and parked again) ends the next sleep early. So a sleeper treats every return as "look again", and never
 * concludes from a wake-up that there is work, or from a timeout that there is none.
 *
 * Both directions
 *
 * Owner → ring thread: the ring thread has a word and sleeps in `Atomics.wait` with nothing in flight, or in the kernel
 * with I/O in flight; the owner publishes to its request queue and rings. Ring thread → owner: the owner has a word for
 * its event loop (slept in "the kernel", woken by a threadsafe function) and one for a synchronous call (slept in
 * `Atomics.wait`); every ring thread publishes to its own completion queue and rings both. The sleeper's S2 looks at all
 * of its queues. Four ringers race for one word; R3 lets one of them wake, and that is enough, because the owner looks
 * at all queues after it.
 *
 * A producer that waits for room in a full queue sleeps the same way: S2 is another `reserve()`, and the consumer's
 * `release()` is the R1 after which it rings.
 *
 * A stop flag is work like any other: store it, then ring; S2 looks at it too. A bare notify without R2 and R3 does
 * nothing to a thread that stands between S2 and S3, and it would sleep on.
 */
import { assert } from '../assert.ts';
import type { SharedWords } from './words.ts';

export const AWAKE = 0;
/** Asleep, or about to be, in `Atomics.wait` on the word itself. */
export const PARKED_IN_WAIT = 1;
/** Asleep, or about to be, in a place where only `wakeFromKernel` reaches it. */
export const PARKED_IN_KERNEL = 2;

/** The thread that sleeps. One per word. */
export class DoorbellSleeper {
  readonly #words: SharedWords;
  readonly #at: number;

  constructor(words: SharedWords, at: number) {
    assert(Number.isInteger(at) && at >= 0 && at < words.length, 'the parked word lies outside its memory');
    this.#words = words;
    this.#at = at;
  }

  /** Says that this thread is about to sleep. After it the thread looks at its queues once more before it does. */
  announce(how: typeof PARKED_IN_WAIT | typeof PARKED_IN_KERNEL): void {
    Atomics.store(this.#words, this.#at, how);
  }

  /** Found work after all, or came back from the kernel. */
  cancel(): void {
    Atomics.store(this.#words, this.#at, AWAKE);
  }

  /**
   * Sleeps until rung, for `timeoutMs` at most (Infinity: without bound), and is AWAKE afterwards. REQUIRES:
   * `announce(PARKED_IN_WAIT)`. Returns false only if the time passed and nobody rang; a late notification from an
   * earlier ring counts as being rung.
   */
  wait(timeoutMs: number): boolean {
    const outcome = Atomics.wait(this.#words, this.#at, PARKED_IN_WAIT, timeoutMs);
    // An exchange, not a store: a ringer may claim the word after the time has passed and before this line, and its
    // caller has been told that it woke somebody.
    const parked = Atomics.exchange(this.#words, this.#at, AWAKE);
    assert(parked !== PARKED_IN_KERNEL, 'a thread that announced the kernel must not sleep in Atomics.wait');
    return outcome !== 'timed-out' || parked === AWAKE;
  }
}

/** A thread that wakes the sleeper. Any number per word. */
export class DoorbellRinger {
  readonly #words: SharedWords;
  readonly #at: number;
  readonly #wakeFromKernel: () => void;

  /** `wakeFromKernel` ends the sleep of a thread that is PARKED_IN_KERNEL, also if that sleep has not begun yet. */
  constructor(words: SharedWords, at: number, wakeFromKernel: () => void) {
    assert(Number.isInteger(at) && at >= 0 && at < words.length, 'the parked word lies outside its memory');
    this.#words = words;
    this.#at = at;
    this.#wakeFromKernel = wakeFromKernel;
  }

  /**
   * Wakes the sleeper if it is parked and no other ringer has done so; true if this call did. REQUIRES: what the
   * sleeper is to find has been published. Costs one atomic load when the sleeper is awake.
   */
  ring(): boolean {
    const parked = Atomics.load(this.#words, this.#at);
    if (parked === AWAKE) return false;
    if (Atomics.compareExchange(this.#words, this.#at, parked, AWAKE) !== parked) return false;
    if (parked === PARKED_IN_WAIT) Atomics.notify(this.#words, this.#at, 1);
    else this.#wakeFromKernel();
    return true;
  }
}
