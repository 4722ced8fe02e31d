/**
 * Which states a disk with a volatile cache can be in when its power goes, as far as a log of dm-log-writes tells. Pure.
 *
 * Such a disk keeps what a completed FUA write wrote, and what was written before a flush that has completed. Of
 * everything else that was issued it keeps what it likes: all of it, nothing, or any part, down to what it writes in one
 * piece. By the NVMe specification that is a logical block of 512 bytes; for a whole write of up to ATOMIC_BYTES it is
 * the write, as disks that are made of flash do it (and as ext4 expects of them when it rewrites its superblock).
 *
 * The log does not tell when a write was issued, only what had completed (see log-writes.ts). So there are two kinds
 * of moments whose states are certain to be possible:
 *
 *     'settled'    behind entry i, a FUA write, a flush or a mark: all FUA writes up to there are on the disk, and all
 *                  other writes up to the last flush. Nothing of what was in the cache is. If the next entry is a FUA
 *                  write, it may have been on its way to the disk: then a part of it is there ('in flight').
 *     'flushing'   a flush is under way: besides what is settled, any part of the writes that it is to make durable.
 *
 * What is left out, since it cannot be told from what is impossible: 'settled' with a part of the cache that had been
 * written by then; two FUA writes in flight at once.
 */
import { assert } from '../../src/assert.ts';
import type { Random } from '../support/random.ts';
import { FLAG_DISCARD, FLAG_FLUSH, FLAG_FUA, FLAG_MARK, type LogEntry } from './log-writes.ts';

export const SECTOR_BYTES = 512;
export const ATOMIC_BYTES = 4096;

/** What of the writes that the disk need not have kept it has kept. */
export const REMAINDERS = ['nothing', 'everything', 'whole writes', 'parts of writes'] as const;
export type Remainder = (typeof REMAINDERS)[number];

export interface PowerCut {
  /** Entries before this one are settled, as far as they are FUA writes or flushed. */
  readonly position: number;
  /** Entries that may be there in part: a FUA write in flight, or what the flush at their end was to make durable. */
  readonly from: number;
  readonly to: number;
  readonly remainder: Remainder;
}

/** A part of an entry, in bytes from its beginning. */
export interface Piece {
  readonly entry: LogEntry;
  readonly from: number;
  readonly to: number;
}

function is(entry: LogEntry | undefined, flag: number): boolean {
  return entry !== undefined && (entry.flags & flag) !== 0;
}

/** What neither is a FUA write nor a mark nor an empty flush: what a flush makes durable. */
export function isCached(entry: LogEntry): boolean {
  return (entry.flags & (FLAG_FUA | FLAG_MARK)) === 0 && entry.length > 0;
}

/**
 * The order in which entries up to `end` become settled, as their indexes, beginning behind those that `settledBefore`
 * were: FUA writes at their place, others at that of the flush behind them.
 */
export class SettledOrder {
  readonly #entries: readonly LogEntry[];
  /** Entries before this one are settled or in `#cached`. */
  #position: number;
  /** Those that no flush has reached. */
  #cached: number[] = [];

  constructor(entries: readonly LogEntry[], position = 0) {
    this.#entries = entries;
    this.#position = position;
  }

  /** REQUIRES: `position` is not less than before, and the log can be replayed as far. */
  *advance(position: number): Generator<LogEntry> {
    assert(position >= this.#position && position <= this.#entries.length, 'a log is replayed forwards');
    for (; this.#position < position; this.#position++) {
      const entry = this.#entries[this.#position];
      assert(entry !== undefined, 'positions are within the log');
      if (isCached(entry) && !is(entry, FLAG_FLUSH)) {
        this.#cached.push(this.#position);
        continue;
      }
      if (is(entry, FLAG_FLUSH)) {
        for (const index of this.#cached.splice(0)) yield this.#at(index);
      }
      if (entry.length > 0 && !is(entry, FLAG_MARK)) yield entry;
    }
  }

  #at(index: number): LogEntry {
    const entry = this.#entries[index];
    assert(entry !== undefined, 'positions are within the log');
    return entry;
  }
}

/**
 * How many entries can be replayed: as many as there are before one where between two flushes a FUA write and another one
 * went to the same place. The log has the second of them behind the first, whichever was later.
 */
export function replayable(entries: readonly LogEntry[]): number {
  let durable: LogEntry[] = [];
  for (const [i, entry] of entries.entries()) {
    if (is(entry, FLAG_FUA)) durable.push(entry);
    else if (isCached(entry)) {
      assert(!is(entry, FLAG_FLUSH), 'device-mapper makes two requests of a flush that writes');
      const { offset, length } = entry;
      if (durable.some((one) => one.offset < offset + length && offset < one.offset + one.length)) return i;
    }
    if (is(entry, FLAG_FLUSH)) durable = [];
  }
  return entries.length;
}

/** Moments by kind; each is a position and what may be there in part. */
export interface Moments {
  /** Behind a marker of the recording's (see history.ts): what it vouches for has to be there, and hardly anything else is. */
  readonly behindMarkers: readonly number[];
  readonly settled: readonly number[];
  /** FUA writes that are not markers. */
  readonly inFlight: readonly number[];
  readonly flushing: readonly { readonly from: number; readonly to: number }[];
}

/** All moments from entry `first` on. */
export function momentsOf(
  entries: readonly LogEntry[],
  first: number,
  markers: ReadonlySet<number>,
): Moments {
  const settled: number[] = [];
  const inFlight: number[] = [];
  const flushing: { from: number; to: number }[] = [];
  let cachedFrom: number | undefined;
  for (let i = first; i < entries.length; i++) {
    const entry = entries[i];
    assert(entry !== undefined, 'positions are within the log');
    if (is(entry, FLAG_FUA) && !markers.has(i)) inFlight.push(i);
    if (isCached(entry) && !is(entry, FLAG_FLUSH)) {
      cachedFrom ??= i;
      continue;
    }
    if (is(entry, FLAG_FLUSH) && cachedFrom !== undefined) {
      flushing.push({ from: cachedFrom, to: i });
      cachedFrom = undefined;
    }
    settled.push(i + 1);
  }
  const behindMarkers = [...markers].filter((i) => i >= first).map((i) => i + 1);
  return { behindMarkers, settled, inFlight, flushing };
}

/** A cut of any kind that there are moments of. */
export function chooseCut({ behindMarkers, settled, inFlight, flushing }: Moments, random: Random): PowerCut {
  assert(settled.length > 0, 'a log has an end');
  const choice = random.below(100);
  const any = <T>(of: readonly T[]): T | undefined => of[random.below(of.length)];
  const remainder = REMAINDERS[random.below(REMAINDERS.length)] ?? 'nothing';
  if (choice < 30) {
    const position = any(behindMarkers);
    if (position !== undefined) return { position, from: position, to: position, remainder: 'nothing' };
  }
  if (choice < 55) {
    const position = any(inFlight);
    if (position !== undefined)
      return { position, from: position, to: position + 1, remainder: 'parts of writes' };
  }
  if (choice < 90) {
    const moment = any(flushing);
    if (moment !== undefined) return { position: moment.from, ...moment, remainder };
  }
  const position = any(settled) ?? 0;
  return { position, from: position, to: position, remainder: 'nothing' };
}

/** What of the cut's uncertain writes is on the disk, in the order in which it got there. */
export function* remains(
  entries: readonly LogEntry[],
  { from, to, remainder }: PowerCut,
  random: Random,
): Generator<Piece> {
  if (remainder === 'nothing') return;
  const keptOfTen = random.between(1, 9);
  for (let i = from; i < to; i++) {
    const entry = entries[i];
    assert(entry !== undefined, 'positions are within the log');
    if (entry.length === 0) continue;
    const piece = { entry, from: 0, to: entry.length };
    if (remainder === 'everything') yield piece;
    else if (remainder === 'whole writes' || entry.length <= ATOMIC_BYTES) {
      if (random.below(10) < keptOfTen) yield piece;
    } else yield* parts(entry, keptOfTen, random);
  }
}

/** Mostly what a disk does: it stops somewhere; otherwise any sectors at all. */
function* parts(entry: LogEntry, keptOfTen: number, random: Random): Generator<Piece> {
  const sectors = entry.length / SECTOR_BYTES;
  if ((entry.flags & FLAG_DISCARD) !== 0 || random.oneIn(2)) {
    const kept = random.below(sectors + 1);
    if (kept > 0) yield { entry, from: 0, to: kept * SECTOR_BYTES };
    return;
  }
  let begin: number | undefined;
  for (let sector = 0; sector <= sectors; sector++) {
    const isKept = sector < sectors && random.below(10) < keptOfTen;
    if (isKept) begin ??= sector;
    else if (begin !== undefined) {
      yield { entry, from: begin * SECTOR_BYTES, to: sector * SECTOR_BYTES };
      begin = undefined;
    }
  }
}
