/**
 * A model of a disk with a volatile cache under dm-log-writes, for tests of what reads such a log. Pure. It issues and
 * completes writes at moments of its own, says at each moment what the disk must and what it may have, and writes the log
 * as the kernel would.
 */
import {
  END_MARK,
  FLAG_FLUSH,
  FLAG_FUA,
  FLAG_MARK,
  hasData,
  LOG_MAGIC,
  LOG_VERSION,
  type LogEntry,
} from './log-writes.ts';
import type { Random } from '../support/random.ts';

export const LOG_SECTOR_BYTES = 512;

/** An entry as it is to be written; `data` has `length` bytes where there are any. */
export interface SyntheticEntry {
  readonly flags: number;
  readonly offset?: number;
  readonly length?: number;
  readonly data?: Buffer;
  readonly mark?: string;
}

/** The log's bytes, with the end that the kernel writes. */
export function encodeLog(entries: readonly SyntheticEntry[], hasEnd = true): Buffer {
  const all = hasEnd ? [...entries, { flags: FLAG_MARK, mark: END_MARK }] : entries;
  const head = Buffer.alloc(LOG_SECTOR_BYTES);
  head.writeBigUInt64LE(LOG_MAGIC, 0);
  head.writeBigUInt64LE(LOG_VERSION, 8);
  head.writeBigUInt64LE(BigInt(all.length), 16);
  head.writeUInt32LE(LOG_SECTOR_BYTES, 24);
  const pieces = all.flatMap((entry: SyntheticEntry) => {
    const { flags, offset = 0, length = 0, data = Buffer.alloc(0), mark = '' } = entry;
    const sector = Buffer.alloc(LOG_SECTOR_BYTES);
    sector.writeBigUInt64LE(BigInt(offset / LOG_SECTOR_BYTES), 0);
    sector.writeBigUInt64LE(BigInt(length / LOG_SECTOR_BYTES), 8);
    sector.writeBigUInt64LE(BigInt(flags), 16);
    sector.writeBigUInt64LE(BigInt(mark.length), 24);
    sector.write(mark, 32, 'latin1');
    return [sector, data];
  });
  return Buffer.concat([head, ...pieces]);
}

export function readerOf(log: Buffer): (offset: number, length: number) => Buffer {
  return (offset, length) => log.subarray(offset, offset + length);
}

interface ModelWrite {
  readonly isFua: boolean;
  readonly length: number;
  /** Its place; no two are written to the same. */
  readonly offset: number;
  readonly issuedAt: number;
  completedAt: number;
  /** From when on it must be on the disk. */
  durableAt: number;
}

/** A run of the model: what it wrote, and the log of it. */
export class ModelDisk {
  readonly writes: ModelWrite[] = [];
  readonly log: SyntheticEntry[] = [];
  #now = 0;
  #nextOffset = 0;
  readonly #inFlight: ModelWrite[] = [];
  /** Completed, and in no log yet. */
  #cached: ModelWrite[] = [];
  /** What the flush that is under way will make durable. */
  #flushing: ModelWrite[] | undefined;

  run(random: Random, steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.#now++;
      const choice = random.below(10);
      if (choice < 4) this.#issue(random);
      else if (choice < 8) this.#complete(random);
      else if (this.#flushing === undefined) {
        this.#flushing = this.#cached;
        this.#cached = [];
      } else this.#completeFlush(this.#flushing);
    }
    // When the target goes, what is in the cache is put down behind everything else.
    for (const write of this.#cached) this.#put(write);
  }

  get end(): number {
    return this.#now;
  }

  #issue(random: Random): void {
    const length = LOG_SECTOR_BYTES * random.between(1, 24);
    const write = {
      isFua: random.oneIn(2),
      length,
      offset: this.#nextOffset,
      issuedAt: this.#now,
      completedAt: Infinity,
      durableAt: Infinity,
    };
    this.#nextOffset += length;
    this.writes.push(write);
    this.#inFlight.push(write);
  }

  #complete(random: Random): void {
    const [write] = this.#inFlight.splice(random.below(this.#inFlight.length), 1);
    if (write === undefined) return;
    write.completedAt = this.#now;
    if (!write.isFua) {
      this.#cached.push(write);
      return;
    }
    write.durableAt = this.#now;
    this.#put(write);
  }

  #completeFlush(flushed: readonly ModelWrite[]): void {
    for (const write of flushed) {
      write.durableAt = this.#now;
      this.#put(write);
    }
    this.log.push({ flags: FLAG_FLUSH });
    this.#flushing = undefined;
  }

  #put({ isFua, offset, length }: ModelWrite): void {
    const data = Buffer.alloc(length, 1 + (offset % 251));
    this.log.push({ flags: isFua ? FLAG_FUA : 0, offset, length, data });
  }
}

/** Which sectors of the disk have been written. */
export class WrittenSectors {
  readonly #sectors: Uint8Array;

  constructor(length: number) {
    this.#sectors = new Uint8Array(length / LOG_SECTOR_BYTES);
  }

  write({ offset }: LogEntry, from: number, to: number): void {
    this.#sectors.fill(1, (offset + from) / LOG_SECTOR_BYTES, (offset + to) / LOG_SECTOR_BYTES);
  }

  /** How many of the write's bytes are there. */
  of({ offset, length }: { offset: number; length: number }): number {
    let count = 0;
    const end = (offset + length) / LOG_SECTOR_BYTES;
    for (let i = offset / LOG_SECTOR_BYTES; i < end; i++) count += this.#sectors[i] ?? 0;
    return count * LOG_SECTOR_BYTES;
  }
}

/** The data of an entry, as it stands in the log. */
export function dataOf(log: Buffer, entry: LogEntry): Buffer {
  return hasData(entry) ? log.subarray(entry.dataAt, entry.dataAt + entry.length) : Buffer.alloc(0);
}
