/**
 * A copy of a recorded disk that goes through what the disk went through, and stops where the power is to go. Only inside
 * of the virtual machine, but for what is pure in disk-states.ts.
 *
 * The copy has only what is settled; what may or may not be there is written to a snapshot of it, as is everything that
 * whoever looks at it does. So the copy goes on from one cut to the next, and no cut costs more than the writes since the
 * one before.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { bytesOf, MappedDevice, readAt, sectorsOf, writeAt } from './devices.ts';
import { remains, SettledOrder, type Piece, type PowerCut } from './disk-states.ts';
import { hasData, type LogEntry } from './log-writes.ts';
import { Random } from '../support/random.ts';

const CHUNK_BYTES = 1024 * 1024;
/** What a snapshot keeps apart, in sectors of 512 bytes. */
const SNAPSHOT_CHUNK_SECTORS = 32;

export interface ReplayPlaces {
  readonly log: string;
  readonly copy: string;
  /** Holds what is written to a snapshot. */
  readonly snapshots: string;
}

/** Makes the copy, which is nothing but zeros yet, what the disk is. */
export function copyDisk(from: string, to: string): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'r+');
  try {
    const zeros = Buffer.alloc(CHUNK_BYTES);
    const length = bytesOf(from);
    for (let at = 0; at < length; at += CHUNK_BYTES) {
      const bytes = readAt(source, at, Math.min(CHUNK_BYTES, length - at));
      if (!bytes.equals(zeros.subarray(0, bytes.length))) writeAt(target, bytes, at);
    }
    fsyncSync(target);
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

/** Makes one disk what another is. REQUIRES: they differ only in what the entries wrote. */
export function copyWritten(entries: readonly LogEntry[], from: string, to: string): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'r+');
  try {
    for (const { offset, length } of mergedRanges(entries)) {
      for (let done = 0; done < length; done += CHUNK_BYTES) {
        const bytes = readAt(source, offset + done, Math.min(CHUNK_BYTES, length - done));
        writeAt(target, bytes, offset + done);
      }
    }
    fsyncSync(target);
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

/** What the entries wrote, in order and without overlaps. Pure. */
export function mergedRanges(entries: readonly LogEntry[]): { offset: number; length: number }[] {
  const merged: { offset: number; length: number }[] = [];
  const written = entries.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  for (const { offset, length } of written) {
    const last = merged.at(-1);
    if (last === undefined || offset > last.offset + last.length) merged.push({ offset, length });
    else last.length = Math.max(last.length, offset + length - last.offset);
  }
  return merged;
}

export class Replay {
  readonly #places: ReplayPlaces;
  readonly #entries: readonly LogEntry[];
  readonly #settled: SettledOrder;

  constructor(places: ReplayPlaces, entries: readonly LogEntry[]) {
    this.#places = places;
    this.#entries = entries;
    this.#settled = new SettledOrder(entries);
  }

  /** REQUIRES: cuts come in the order of their positions. */
  advance({ position }: PowerCut): void {
    this.#write(this.#places.copy, wholeEntries(this.#settled.advance(position)));
  }

  /** Gives the disk as the cut left it while `use` runs; nothing that is done to it stays. */
  async whileCut<T>(cut: PowerCut, seed: number, use: (device: string) => Promise<T>): Promise<T> {
    const { copy, snapshots } = this.#places;
    const target = `snapshot ${copy} ${snapshots} N ${SNAPSHOT_CHUNK_SECTORS}`;
    const snapshot = new MappedDevice('cut', sectorsOf(copy), target);
    let result: T;
    try {
      this.#write(snapshot.path, remains(this.#entries, cut, new Random(seed)));
      result = await use(snapshot.path);
    } catch (error) {
      // What went wrong first is what is to be heard of.
      snapshot.abandon();
      throw error;
    }
    snapshot.remove();
    return result;
  }

  /** Makes the copy what the cut left. */
  keep(cut: PowerCut, seed: number): void {
    this.#write(this.#places.copy, remains(this.#entries, cut, new Random(seed)));
  }

  #write(device: string, pieces: Iterable<Piece>): void {
    const log = openSync(this.#places.log, 'r');
    const target = openSync(device, 'r+');
    try {
      for (const { entry, from, to } of pieces) {
        for (let at = from; at < to; at += CHUNK_BYTES) {
          const length = Math.min(CHUNK_BYTES, to - at);
          // What a disk gives for discarded blocks is zeros here, as the emulated one does.
          const bytes = hasData(entry) ? readAt(log, entry.dataAt + at, length) : Buffer.alloc(length);
          writeAt(target, bytes, entry.offset + at);
        }
      }
      // What reads the device next does so beside the page cache.
      fsyncSync(target);
    } finally {
      closeSync(log);
      closeSync(target);
    }
  }
}

function* wholeEntries(entries: Iterable<LogEntry>): Generator<Piece> {
  for (const entry of entries) yield { entry, from: 0, to: entry.length };
}
