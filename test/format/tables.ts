/**
 * Tables in memory for the tests of `src/format/`: built by the builder, read as the engine reads them, and the naive
 * model that both are held against.
 */
import fc from 'fast-check';
import { BlockCursor } from '../../src/format/block-cursor.ts';
import { BlockEntry, searchBlock } from '../../src/format/block.ts';
import { filterMayContain } from '../../src/format/filter.ts';
import { hashBytes } from '../../src/format/hash.ts';
import { KEY_BYTES_MAX, KIND_PUT, KIND_TOMBSTONE, PAGE_BYTES } from '../../src/format/limits.ts';
import { TableBuilder } from '../../src/format/table-builder.ts';
import { decodeTableMeta } from '../../src/format/table-meta.ts';
import type { TableMeta } from '../../src/format/table-meta.ts';
import type { TableDescription } from '../../src/format/version-edit.ts';

export interface Entry {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: number;
  readonly value: Uint8Array;
}

export interface Table {
  readonly bytes: Uint8Array;
  readonly words: Uint16Array;
  readonly meta: TableMeta;
  readonly description: TableDescription;
  readonly fileNumber: number;
}

export interface TableOptions {
  readonly blockBytes?: number;
  readonly filterBitsPerKey?: number;
  readonly fileNumber?: number;
  /** Size of the buffers that the builder is drained through. */
  readonly drainBytes?: number;
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

export function put(key: string | Uint8Array, sequence: number, value: string | Uint8Array = ''): Entry {
  return {
    key: typeof key === 'string' ? bytesOf(key) : key,
    sequence,
    kind: KIND_PUT,
    value: typeof value === 'string' ? bytesOf(value) : value,
  };
}

export function tombstone(key: string | Uint8Array, sequence: number): Entry {
  return { ...put(key, sequence), kind: KIND_TOMBSTONE };
}

/** Internal-key order: user key ascending, sequence descending. */
export function compareEntries(a: Entry, b: Entry): number {
  return Buffer.compare(a.key, b.key) || b.sequence - a.sequence;
}

/** Builds a table of entries that are in order. Key and value memory is reused for every entry, as compactions do. */
export function buildTable(entries: readonly Entry[], options: TableOptions = {}): Table {
  const fileNumber = options.fileNumber ?? 7;
  const builder = new TableBuilder({
    fileNumber,
    level: 1,
    blockBytes: options.blockBytes ?? PAGE_BYTES,
    filterBitsPerKey: options.filterBitsPerKey ?? 10,
    createdAtSeconds: 1_700_000_000,
  });
  const parts: Uint8Array[] = [];
  const drain = (): void => {
    while (builder.pendingBytes > 0) {
      const part = new Uint8Array((options.drainBytes ?? 65_536) + 3);
      parts.push(part.subarray(3, 3 + builder.drain(part, 3, part.length)));
    }
  };
  const valueBytesMax = entries.reduce((most, entry) => Math.max(most, entry.value.length), 0);
  const key = new Uint8Array(KEY_BYTES_MAX + 5);
  const value = new Uint8Array(valueBytesMax + 9);
  for (const entry of entries) {
    key.set(entry.key, 5);
    value.set(entry.value, 9);
    const hash = hashBytes(entry.key, 0, entry.key.length);
    builder.add(key, 5, entry.key.length, hash, entry.sequence, entry.kind, value, 9, entry.value.length);
    drain();
    key.fill(0xee, 5, 5 + entry.key.length);
    value.fill(0xdd, 9, 9 + entry.value.length);
  }
  builder.finish();
  drain();
  const bytes = new Uint8Array(Buffer.concat(parts));
  return openTable(bytes, builder.description(), fileNumber);
}

export function openTable(bytes: Uint8Array, description: TableDescription, fileNumber: number): Table {
  const tail = bytes.subarray(description.metaOffset);
  const meta = decodeTableMeta(tail, fileNumber, description.metaOffset, bytes.length);
  return { bytes, words: new Uint16Array(bytes.buffer), meta, description, fileNumber };
}

/** The newest version visible at `visibleSequence`, found as the engine finds it; undefined when there is none. */
export function get(table: Table, key: Uint8Array, visibleSequence: number): Entry | undefined {
  const { index, filter } = table.meta;
  const hash = hashBytes(key, 0, key.length);
  if (filter !== null && !filterMayContain(filter, hash)) return undefined;
  const result = new BlockEntry();
  let block = index.locate(key, key.length);
  while (block >= 0) {
    if (index.sharesPrefix(block, key, key.length)) {
      const base = index.pageOf(block) * PAGE_BYTES;
      const bits = index.bucketBitsOf(block);
      const prefixLength = index.prefixLengthOf(block);
      const { bytes, words } = table;
      if (
        searchBlock(bytes, words, base, bits, prefixLength, key, key.length, hash, visibleSequence, result)
      ) {
        const value = bytes.slice(result.valueStart, result.valueStart + result.valueLength);
        return { key, sequence: result.sequence, kind: result.kind, value };
      }
    }
    block = index.isContinuedBy(block, key, key.length) ? block + 1 : -1;
  }
  return undefined;
}

/** What `get` must answer. */
export function getFromModel(
  entries: readonly Entry[],
  key: Uint8Array,
  visibleSequence: number,
): Entry | undefined {
  return entries.find((entry) => Buffer.compare(entry.key, key) === 0 && entry.sequence <= visibleSequence);
}

/** All entries of one block. */
export function blockEntries(bytes: Uint8Array, base: number): Entry[] {
  const found: Entry[] = [];
  const entry = new BlockCursor();
  const key = new Uint8Array(KEY_BYTES_MAX);
  entry.enter(bytes, base);
  for (let ordinal = 0; ordinal < entry.count; ordinal++) {
    entry.read(ordinal);
    const length = entry.copyKey(key);
    const value = bytes.slice(entry.valueStart, entry.valueStart + entry.valueLength);
    found.push({ key: key.slice(0, length), sequence: entry.sequence, kind: entry.kind, value });
  }
  return found;
}

/** All entries of the table in order. */
export function scan(table: Table): Entry[] {
  const found: Entry[] = [];
  for (let block = 0; block < table.meta.index.blockCount; block++) {
    found.push(...blockEntries(table.bytes, table.meta.index.pageOf(block) * PAGE_BYTES));
  }
  return found;
}

/** What of ava's assertions the helpers use. */
export interface Assertions {
  is(actual: unknown, expected: unknown, message?: string): boolean;
  true(actual: unknown, message?: string): boolean;
  deepEqual(actual: unknown, expected: unknown, message?: string): boolean;
}

function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.sequence !== b.sequence || a.kind !== b.kind) return false;
  return Buffer.compare(a.key, b.key) === 0 && Buffer.compare(a.value, b.value) === 0;
}

/** `t.deepEqual` for one entry or none; a thousand times faster as long as they are equal. */
export function expectEntry(t: Assertions, actual: Entry | undefined, expected: Entry | undefined): void {
  if (!sameEntry(actual, expected)) t.deepEqual(actual, expected);
}

/** `t.deepEqual` for many entries. */
export function expectEntries(t: Assertions, actual: readonly Entry[], expected: readonly Entry[]): void {
  t.is(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) expectEntry(t, actual[i], expected[i]);
}

/** Bytes of few different values, so that keys share prefixes, repeat and are each other's prefixes. */
export function crowdedKey(lengthMax: number): fc.Arbitrary<Uint8Array> {
  const crowded = fc.array(fc.constantFrom(0, 1, 0x61, 0x62, 0xff), { maxLength: lengthMax });
  return crowded.map((numbers) => Uint8Array.from(numbers));
}

/** Entries in order, no internal key twice. */
export function sortedEntries(
  key: fc.Arbitrary<Uint8Array>,
  options: { maxLength: number; valueBytesMax: number },
) {
  const entry = fc.record({
    key,
    sequence: fc.oneof(
      fc.nat(20),
      fc.nat(70_000),
      fc.maxSafeNat().map((number) => number % 2 ** 48),
    ),
    kind: fc.constantFrom(KIND_PUT, KIND_PUT, KIND_PUT, KIND_TOMBSTONE),
    valueLength: fc.oneof(fc.nat(3), fc.nat(options.valueBytesMax)),
    fill: fc.nat(255),
  });
  const identity = (one: { key: Uint8Array; sequence: number }): string =>
    `${Buffer.from(one.key).toString('hex')} ${one.sequence}`;
  return fc
    .uniqueArray(entry, { minLength: 1, maxLength: options.maxLength, selector: identity, size: 'max' })
    .map((many) =>
      many
        .map(({ key: bytes, sequence, kind, valueLength, fill }): Entry => {
          const value = new Uint8Array(kind === KIND_PUT ? valueLength : 0).fill(fill);
          return { key: bytes, sequence, kind, value };
        })
        .sort(compareEntries),
    );
}

/** Keys that are nearly the given one: cut, longer, one byte off. */
export function neighbours(key: Uint8Array): Uint8Array[] {
  const near = [new Uint8Array([...key, 0]), new Uint8Array([...key, 0xff])];
  for (let i = 0; i < key.length && i < 8; i++) {
    const at = i < 4 ? i : key.length - 1 - (i - 4);
    const changed = key.slice();
    changed[at] = (changed[at] + 1) & 255;
    near.push(changed, key.slice(0, at), new Uint8Array([...key.slice(0, at), ...key.slice(at + 1)]));
  }
  return near;
}
