/**
 * Whether what is newer stands above what is older: all tables of a version gone through together. Owner only.
 *
 * A place is a table of level 0, or a sorted level. Of one key, everything in a place is newer than what places below have
 * of it, range tombstones that cover it among them. Reads rely on it: they stop at the first place that has the key.
 */
import { join } from 'node:path';
import { tableName } from '../format/file-names.ts';
import { SEQUENCE_MAX } from '../format/limits.ts';
import { RangeTombstones } from '../format/range-tombstones.ts';
import { describeKey } from '../format/version-edit.ts';
import type { TableDescription } from '../format/version-edit.ts';
import { placesByIndex, type BlockPlace } from './table-blocks.ts';
import type { ExaminationGround } from './table-examination.ts';
import { TableMerge, type MergeSource } from './table-merge.ts';
import { readMeta } from './table-tails.ts';

/** A table with its place: the lower, the newer. */
export interface PlacedTable {
  readonly description: TableDescription;
  readonly place: number;
}

/** The places of a version's tables. */
export function placed(tables: readonly TableDescription[]): PlacedTable[] {
  const overlapping = tables
    .filter(({ level }) => level === 0)
    .sort((a, b) => b.largestSequence - a.largestSequence);
  const sorted = tables.filter(({ level }) => level > 0);
  return [
    ...overlapping.map((description, place) => ({ description, place })),
    ...sorted.map((description) => ({ description, place: overlapping.length + description.level })),
  ];
}

/** REQUIRES: tables that were examined and are intact. */
export async function verifyOrder(ground: ExaminationGround, tables: readonly PlacedTable[]): Promise<void> {
  const { fileSystem, directory, breather } = ground;
  const check = new OrderCheck(ground);
  const sources = tables.map(({ description, place }): MergeSource => {
    const { number, smallestKey, rangeTombstones } = description;
    const tombstones =
      rangeTombstones > 0 ? readMeta(fileSystem, directory, description).rangeTombstones : null;
    if (tombstones !== null) check.addTombstones(place, tombstones);
    const places = (): readonly BlockPlace[] =>
      placesByIndex(readMeta(fileSystem, directory, description).index);
    return { number, smallestKey, rank: place, places };
  });
  const merge = new TableMerge(fileSystem, directory, sources);
  try {
    while (merge.next()) {
      check.note(merge);
      if (breather.isDue) await breather.breathe();
    }
  } finally {
    merge.close();
  }
}

class OrderCheck {
  readonly #ground: ExaminationGround;
  /** By place. */
  readonly #tombstones = new Map<number, RangeTombstones>();
  #key: Uint8Array = new Uint8Array(0);
  #keyLength = -1;
  #place = 0;
  #sequence = 0;

  constructor(ground: ExaminationGround) {
    this.#ground = ground;
  }

  addTombstones(place: number, { fragments }: RangeTombstones): void {
    const all = this.#tombstones.get(place) ?? new RangeTombstones();
    for (const { start, end, sequences } of fragments) all.add({ start, end, sequence: sequences[0] });
    this.#tombstones.set(place, all);
  }

  /** REQUIRES: entries as a merge gives them. */
  note({ entry, source }: TableMerge): void {
    const { key, keyLength, sequence } = entry;
    const place = source.rank;
    if (this.#isSameKey(key, keyLength)) {
      if (sequence === this.#sequence)
        this.#add(source.number, 'has a version of a key that another table has too');
      else if (place < this.#place)
        this.#add(source.number, 'has an older version of a key above a newer one');
    } else {
      this.#remember(key, keyLength);
    }
    this.#place = place;
    this.#sequence = sequence;
    for (const [below, tombstones] of this.#tombstones) {
      if (below <= place || tombstones.covering(key, 0, keyLength, SEQUENCE_MAX) <= sequence) continue;
      this.#add(source.number, 'has a version of a key above a newer range tombstone');
    }
  }

  #isSameKey(key: Uint8Array, keyLength: number): boolean {
    if (keyLength !== this.#keyLength) return false;
    const last = this.#key;
    for (let i = keyLength - 1; i >= 0; i--) if (key[i] !== last[i]) return false;
    return true;
  }

  #remember(key: Uint8Array, keyLength: number): void {
    if (keyLength > this.#key.length) this.#key = new Uint8Array(2 * keyLength);
    this.#key.set(key.subarray(0, keyLength));
    this.#keyLength = keyLength;
  }

  #add(number: number, what: string): void {
    const { directory, findings } = this.#ground;
    const key = describeKey(this.#key.subarray(0, this.#keyLength));
    const file = join(directory, tableName(number));
    findings.add({ code: 'TABLE_CORRUPT', message: `${tableName(number)} ${what}: ${key}`, file });
  }
}
