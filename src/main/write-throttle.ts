/**
 * Holds writes back when compactions or flushes do not keep up: first a little, then more, and at last altogether, so that
 * nobody meets a wall. Owner only; pure, time comes from outside.
 *
 * Three things can pile up: tables of level 0 (every read looks at each), bytes that compactions still have to write, and
 * frozen memtables. Each has a mark from which on writes slow down and one at which they wait. How far the worst of them
 * has come from the one to the other is the *pressure*, 0 to 1; the rate that writes are let in at falls with it, from one
 * and a half times what flushes and compactions were seen to work off to half of it. So it settles where as much comes in
 * as goes out.
 *
 *     pressure     0 ────────────── ½ ─────────────── 1
 *     rate        1½ ·drained      1 ·drained        none
 */
import { assert } from '../assert.ts';

export interface ThrottleLimits {
  readonly l0Slowdown: number;
  readonly l0Stop: number;
  readonly pendingSlowdownBytes: number;
  readonly pendingStopBytes: number;
}

/** Why writes are held back. */
export type ThrottleReason = 'level-0' | 'pending-bytes' | 'memtables';

/** What has piled up. */
export interface Backlog {
  readonly l0Tables: number;
  readonly pendingBytes: number;
  /** 0 while an arena is free to go on in; then how full the active one is, 0 to 1. */
  readonly memtableFill: number;
}

/** Guessed, until it has been seen: bytes a second, as much as this many bytes and milliseconds of work. */
const FIRST_DRAINED = 32 * 1024 * 1024;
const FIRST_MILLISECONDS = 1000;
/** Below it nobody is slowed down: a write of a few bytes now and then does no harm. */
const RATE_MIN = 256 * 1024;
/** What may go at once after a pause. */
const BURST_SECONDS = 0.01;
/** What was seen before weighs so much less with each time that more is seen. */
const DECAY = 0.8;
/** Of an arena, from which on a memtable that no arena waits behind slows writes down. */
const MEMTABLE_FILL_SLOWDOWN = 0.5;

export class WriteThrottle {
  readonly #limits: ThrottleLimits;
  readonly #now: () => number;
  #pressure = 0;
  #isOpen = false;
  #reason: ThrottleReason = 'level-0';
  readonly #flushes = new Drain();
  readonly #compactions = new Drain();
  /** Bytes that may go now; below zero: how many have gone too early. */
  #tokens = 0;
  #refilledAt = 0;

  /** `now`: milliseconds. */
  constructor(limits: ThrottleLimits, now: () => number) {
    assert(
      limits.l0Slowdown < limits.l0Stop && limits.pendingSlowdownBytes < limits.pendingStopBytes,
      'writes slow down before they stop',
    );
    this.#limits = limits;
    this.#now = now;
  }

  /** 0: writes go as they come; 1: they wait. */
  get pressure(): number {
    return this.#pressure;
  }

  /** Why, while there is pressure. */
  get reason(): ThrottleReason {
    return this.#reason;
  }

  /** Bytes a second that writes are let in at; Infinity without pressure. */
  get bytesPerSecond(): number {
    if (this.#pressure <= 0) return Infinity;
    if (this.#pressure >= 1) return 0;
    const drain = this.#reason === 'memtables' ? this.#flushes : this.#compactions;
    return Math.max(RATE_MIN, drain.bytesPerSecond * (1.5 - this.#pressure));
  }

  /** From now on writes go as they come: what waits is the last that comes. */
  open(): void {
    this.#isOpen = true;
    this.#pressure = 0;
  }

  update({ l0Tables, pendingBytes, memtableFill }: Backlog): void {
    if (this.#isOpen) return;
    const { l0Slowdown, l0Stop, pendingSlowdownBytes, pendingStopBytes } = this.#limits;
    const before = this.#pressure;
    this.#pressure = between(l0Tables, l0Slowdown, l0Stop);
    this.#reason = 'level-0';
    this.#take(between(pendingBytes, pendingSlowdownBytes, pendingStopBytes), 'pending-bytes');
    // A full memtable waits for an arena by itself.
    this.#take(Math.min(between(memtableFill, MEMTABLE_FILL_SLOWDOWN, 1), 0.9), 'memtables');
    if (before <= 0 && this.#pressure > 0) {
      this.#tokens = 0;
      this.#refilledAt = this.#now();
    }
  }

  /** A flush of so many bytes of entries took so long. */
  noteFlush(bytes: number, milliseconds: number): void {
    this.#flushes.note(bytes, milliseconds);
  }

  /** A compaction took so long and so many bytes out of level 0. */
  noteCompaction(l0Bytes: number, milliseconds: number): void {
    this.#compactions.note(l0Bytes, milliseconds);
  }

  /** Milliseconds until a write may go; 0: now, Infinity: not before something was worked off. */
  delay(): number {
    if (this.#pressure <= 0) return 0;
    const rate = this.bytesPerSecond;
    if (rate === 0) return Infinity;
    const now = this.#now();
    const earned = ((now - this.#refilledAt) * rate) / 1000;
    this.#tokens = Math.min(this.#tokens + earned, rate * BURST_SECONDS);
    this.#refilledAt = now;
    return this.#tokens > 0 ? 0 : Math.max((-this.#tokens * 1000) / rate, 1);
  }

  /** A write of so many bytes goes. */
  take(bytes: number): void {
    if (this.#pressure > 0) this.#tokens -= bytes;
  }

  #take(pressure: number, reason: ThrottleReason): void {
    if (pressure <= this.#pressure) return;
    this.#pressure = pressure;
    this.#reason = reason;
  }
}

/** How fast something was worked off of late. */
class Drain {
  #bytes = FIRST_DRAINED;
  #milliseconds = FIRST_MILLISECONDS;

  get bytesPerSecond(): number {
    return (this.#bytes * 1000) / this.#milliseconds;
  }

  note(bytes: number, milliseconds: number): void {
    this.#bytes = this.#bytes * DECAY + bytes;
    this.#milliseconds = this.#milliseconds * DECAY + milliseconds;
  }
}

/** How far a value has come from one mark to the other, 0 to 1. */
function between(value: number, from: number, to: number): number {
  return Math.min(Math.max((value - from) / (to - from), 0), 1);
}
