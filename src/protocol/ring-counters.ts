/** What the addon counts of a ring, by its place in `counters`; `native/ring_queue.h` has the same. Pure. */

/** Times that the kernel was entered. */
export const COUNTER_ENTERS = 0;
/** Of these, to wake the kernel’s thread that polls for submissions. */
export const COUNTER_POLL_WAKE_UPS = 1;
/** Operations whose completion was polled for. */
export const COUNTER_POLLED = 2;
/** Operations whose file was in the ring’s table. */
export const COUNTER_FIXED_FILES = 3;
export const RING_COUNTERS = 4;
