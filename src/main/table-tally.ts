/**
 * What a table has, counted as its entries pass, to be held against what its properties and the manifest say. Owner only.
 */
import { compareBytes } from '../format/compare.ts';
import { KIND_TOMBSTONE, SEQUENCE_MAX } from '../format/limits.ts';
import { compareWithEnd, type TombstoneFragment } from '../format/range-tombstones.ts';
import type { TableProperties } from '../format/table-properties.ts';
import type { TableDescription } from '../format/version-edit.ts';

/** What both properties and the manifest say of a table. */
const SHARED_FIELDS = [
  'entries',
  'deletions',
  'overwritten',
  'rangeTombstones',
  'rawBytes',
  'smallestSequence',
  'largestSequence',
  'createdAtSeconds',
  'createdAtSequence',
] as const;

export class TableTally {
  entries = 0;
  deletions = 0;
  overwritten = 0;
  rangeTombstones = 0;
  rawBytes = 0;
  smallestSequence: number = SEQUENCE_MAX;
  largestSequence = 0;
  smallestKey: Uint8Array | undefined;
  /** Of the entries; then also of the range tombstones. */
  largestKey: Uint8Array | undefined;
  largestKeyIsExclusive = false;

  /** Counts an entry; `isNewKey`: no newer version of its key came before. */
  note(keyLength: number, valueLength: number, sequence: number, kind: number, isNewKey: boolean): void {
    this.entries++;
    if (kind === KIND_TOMBSTONE) this.deletions++;
    if (!isNewKey) this.overwritten++;
    this.rawBytes += keyLength + valueLength;
    if (sequence < this.smallestSequence) this.smallestSequence = sequence;
    if (sequence > this.largestSequence) this.largestSequence = sequence;
  }

  /** Behind all entries, of which the first and the last have these keys. */
  noteKeys(smallest: Uint8Array | undefined, largest: Uint8Array | undefined): void {
    this.smallestKey = smallest;
    this.largestKey = largest;
  }

  /** Behind the keys. */
  noteFragments(fragments: readonly TombstoneFragment[]): void {
    for (const { start, end, sequences } of fragments) {
      this.rangeTombstones += sequences.length;
      this.rawBytes += start.length + end.length;
      this.smallestSequence = Math.min(this.smallestSequence, sequences[sequences.length - 1]);
      this.largestSequence = Math.max(this.largestSequence, sequences[0]);
      const smallest = this.smallestKey;
      if (smallest === undefined || compareBytes(start, 0, start.length, smallest, 0, smallest.length) < 0)
        this.smallestKey = start;
      const largest = this.largestKey;
      const isBehind =
        largest === undefined ||
        this.largestKeyIsExclusive ||
        compareWithEnd(largest, 0, largest.length, end) < 0;
      if (!isBehind) continue;
      this.largestKey = end;
      this.largestKeyIsExclusive = true;
    }
  }

  /** What the properties say otherwise, in words; undefined if they agree. */
  contradictionOf(properties: TableProperties): string | undefined {
    for (const name of SHARED_FIELDS.slice(0, 7) as readonly (keyof TableTally & keyof TableProperties)[]) {
      if (this[name] === properties[name]) continue;
      return `properties that say ${name} ${String(properties[name])} of a table with ${String(this[name])}`;
    }
    const hasKeys =
      areEqual(this.smallestKey, properties.smallestKey) &&
      areEqual(this.largestKey, properties.largestKey) &&
      this.largestKeyIsExclusive === properties.largestKeyIsExclusive;
    return hasKeys ? undefined : 'properties whose smallest or largest key is not that of the table';
  }
}

/** What the manifest says otherwise than the table itself, in words; undefined if they agree. */
export function contradictionBetween(
  description: TableDescription,
  properties: TableProperties,
  fileBytes: number,
): string | undefined {
  for (const name of SHARED_FIELDS) {
    if (description[name] === properties[name]) continue;
    return `the manifest says ${name} ${description[name]} of a table whose properties say ${properties[name]}`;
  }
  if (description.metaOffset !== properties.dataBytes || description.fileBytes !== fileBytes)
    return 'the manifest says another length of the table than its properties';
  const hasKeys =
    areEqual(description.smallestKey, properties.smallestKey) &&
    areEqual(description.largestKey, properties.largestKey) &&
    description.largestKeyIsExclusive === properties.largestKeyIsExclusive;
  return hasKeys ? undefined : 'the manifest says other keys of the table than its properties';
}

/** The table as a manifest has it, from what it says of itself. */
export function descriptionOf(
  number: number,
  level: number,
  fileBytes: number,
  properties: TableProperties,
): TableDescription {
  const { entries, deletions, overwritten, rangeTombstones, rawBytes } = properties;
  const { smallestKey, largestKey, largestKeyIsExclusive, smallestSequence, largestSequence } = properties;
  return {
    number,
    level,
    fileBytes,
    metaOffset: properties.dataBytes,
    entries,
    deletions,
    overwritten,
    rangeTombstones,
    smallestKey,
    largestKey,
    largestKeyIsExclusive,
    smallestSequence,
    largestSequence,
    rawBytes,
    createdAtSeconds: properties.createdAtSeconds,
    createdAtSequence: properties.createdAtSequence,
  };
}

function areEqual(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && compareBytes(a, 0, a.length, b, 0, b.length) === 0;
}
