/**
 * Makes tables of level 0 of log records, as flushes do of memtables. Owner only.
 *
 * Records come in the order of their numbers, are gathered up to a bound and sorted; so the tables' numbers do not overlap,
 * and later tables are newer, key by key. They are published in that order: at any instant, what is there is a beginning.
 */
import { compareBytes } from '../format/compare.ts';
import { KIND_RANGE_TOMBSTONE } from '../format/limits.ts';
import type { LogRecordReader } from '../format/log-record.ts';
import { RangeTombstones } from '../format/range-tombstones.ts';
import type { TableDescription } from '../format/version-edit.ts';
import type { Breather } from './breather.ts';
import type { TableFileWriter, WalkedEntry } from './table-file-writer.ts';

/** A table is made of so many bytes of records at most, but for one that has more by itself; of so many records, and ranges. */
const BYTES_MAX = 32 * 1024 * 1024;
const RECORDS_MAX = 256 * 1024;
const RANGES_MAX = 4096;

/** Where records go. */
export interface RecordSink {
  /** In the order of their numbers. The memory of the payload stays as it is. */
  take(payload: Uint8Array, record: LogRecordReader, sequence: number): Promise<void>;
}

export class LogTables implements RecordSink {
  readonly tables: TableDescription[] = [];
  readonly #begin: (createdAtSequence: number) => TableFileWriter;
  readonly #breather: Breather;
  #entries: WalkedEntry[] = [];
  #tombstones = new RangeTombstones();
  #ranges = 0;
  #bytes = 0;
  #lastSequence = 0;

  /** `begin`: a new table of level 0, created when everything up to that number was in tables. */
  constructor(begin: (createdAtSequence: number) => TableFileWriter, breather: Breather) {
    this.#begin = begin;
    this.#breather = breather;
  }

  async take(payload: Uint8Array, record: LogRecordReader, sequence: number): Promise<void> {
    const { kind, keyStart, keyLength, valueStart, valueLength } = record;
    const bytes = keyLength + valueLength;
    const isFull =
      this.#bytes + bytes > BYTES_MAX || this.#entries.length === RECORDS_MAX || this.#ranges === RANGES_MAX;
    if (isFull) await this.flush();
    this.#bytes += bytes;
    this.#lastSequence = sequence;
    const key = payload.subarray(keyStart, keyStart + keyLength);
    if (kind === KIND_RANGE_TOMBSTONE) {
      this.#ranges++;
      const end = payload.slice(valueStart, valueStart + valueLength);
      // Nobody reads at an older number: of those that cover a key the newest is enough.
      this.#tombstones.add({ start: key.slice(), end, sequence }, () => false);
    } else {
      this.#entries.push({ key, keyLength, sequence, kind, bytes: payload, valueStart, valueLength });
    }
  }

  /** Makes a table of what is gathered, if anything is. */
  async flush(): Promise<void> {
    if (this.#entries.length === 0 && this.#tombstones.isEmpty) return;
    const entries = this.#entries.sort(compareEntries);
    const writer = this.#begin(this.#lastSequence);
    try {
      for (const entry of entries) {
        writer.add(entry);
        if (this.#breather.isDue) await this.#breather.breathe();
      }
      this.tables.push(writer.publish(this.#tombstones.fragments));
    } finally {
      writer.abandon();
    }
    this.#entries = [];
    this.#tombstones = new RangeTombstones();
    this.#ranges = 0;
    this.#bytes = 0;
  }
}

function compareEntries(a: WalkedEntry, b: WalkedEntry): number {
  return compareBytes(a.key, 0, a.keyLength, b.key, 0, b.keyLength) || b.sequence - a.sequence;
}
