/**
 * The seam of a scan's sources: one memtable or one table, key after key in one direction. Owner only.
 *
 * A cursor gives each user key at most once, with its newest version at or below the scan's sequence number, deletions
 * included. It may have to wait for a block; whoever drives it learns that it goes on through `onSettled`. And it pauses
 * where it passes over much that the scan does not see, so that the event loop gets its turn.
 */
import type { QuadringError } from '../errors.ts';
import { headOf } from '../format/key-head.ts';
import { KEY_BYTES_MAX, SEQUENCE_MAX } from '../format/limits.ts';
import type { EntryBatch } from './entry-batch.ts';

export const READY = 0;
export const WAITING = 1;
export const ENDED = 2;
export const FAILED = 3;
/** It has passed over as much as it may at a time; `resume` goes on. */
export const PAUSED = 4;
export type CursorState = typeof READY | typeof WAITING | typeof ENDED | typeof FAILED | typeof PAUSED;

/** Keys longer than this make a cursor's key buffer grow. */
const KEY_BYTES_FIRST = 64;
const NOTHING = new Uint8Array(0);

export abstract class Cursor {
  state: CursorState = ENDED;
  /** FAILED: why. */
  error: QuadringError | undefined;
  /** READY: the entry. The key is `key[0, keyLength)`, the value `bytes[valueStart, + valueLength)`. */
  key = Buffer.allocUnsafe(KEY_BYTES_FIRST);
  keyLength = 0;
  /** The key before, once the cursor has moved on; a length of −1: there is none. */
  previousKey = Buffer.allocUnsafe(KEY_BYTES_FIRST);
  previousKeyLength = -1;
  kind = 0;
  /** Begins as a number that needs a double, so that the field never has to change its representation. */
  sequence: number = SEQUENCE_MAX;
  bytes: Uint8Array = NOTHING;
  valueStart = 0;
  valueLength = 0;
  /** Whether `bytes` may be handed out as they are: nobody will write to them, and they may be kept. */
  abstract isPrivate: boolean;
  /** The key's first bytes behind what the scan's keys have in common, as a number that sorts like them. */
  head = 0;
  /** How many bytes that is. */
  headSkip = 0;

  /** No entry where the cursor is, in this memtable or table, has a number above. */
  abstract get newestSequence(): number;

  /** Whether it neither stands at a key nor has come to its end. */
  get isUnsettled(): boolean {
    return this.state !== READY && this.state !== ENDED;
  }

  /** HOT. Goes to the next key. REQUIRES: READY. */
  advance(): void {
    const { key } = this;
    this.key = this.previousKey;
    this.previousKey = key;
    this.previousKeyLength = this.keyLength;
    this.step();
  }

  /** Goes to the next key, if it need not wait. */
  protected abstract step(): void;

  /**
   * HOT. Gives a batch at most `count` entries at one go, from the one where it stands on, all before the key where `bound`
   * stands, and goes to the next. False, and nothing is done, where that is not worth it. REQUIRES: READY; nothing that a
   * range tombstone deletes.
   */
  takeRun(_batch: EntryBatch, _bound: Cursor | undefined, _count: number): boolean {
    return false;
  }

  /**
   * Goes on, without what lies between, to the first key that is not before `bound`, of which no bytes are behind all keys;
   * in reverse to the last key before it. REQUIRES: READY; it is not there yet.
   */
  abstract skipTo(bound: Uint8Array): void;

  /** Goes on with the step that was interrupted. REQUIRES: PAUSED. */
  abstract resume(): void;

  /** The turn of the event loop ends: from now on the cache may put other blocks where this cursor stands. */
  abstract detach(): void;

  /** Lets go what it holds. */
  abstract close(): void;

  /** Makes room for a key. */
  protected reserveKey(length: number): Uint8Array {
    if (length > this.key.length) this.key = Buffer.allocUnsafeSlow(Math.min(2 * length, KEY_BYTES_MAX));
    this.keyLength = length;
    return this.key;
  }

  /** Makes room for the key that was given last. */
  protected reservePreviousKey(length: number): Uint8Array {
    if (length > this.previousKey.length)
      this.previousKey = Buffer.allocUnsafeSlow(Math.min(2 * length, KEY_BYTES_MAX));
    this.previousKeyLength = length;
    return this.previousKey;
  }

  protected ready(): void {
    this.head = headOf(this.key, this.headSkip, this.keyLength);
    this.state = READY;
  }
}
