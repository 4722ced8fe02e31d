/**
 * Tables in memory for the tests of `src/format/`: built by the builder, read as the engine reads them, and the naive
 * model that both are held against.
 */
import fc from 'fast-check';
import { BlockCursor } from '../../src/format/block-cursor.ts';
import { BlockEntry, searchBlock } from '../../src/format/block.ts';
import { decompressBlock } from '../../src/format/block-check.ts';
import { isCompressionAvailable, compressionNames } from '../../src/format/compression.ts';
import type { CompressionName } from '../../src/format/compression.ts';
import { filterMayContain } from '../../src/format/filter.ts';
import { hashBytes } from '../../src/format/hash.ts';
import {
  BLOCK_BYTES_MAX,
  KEY_BYTES_MAX,
  KIND_PUT,
  KIND_TOMBSTONE,
  PAGE_BYTES,
} from '../../src/format/limits.ts';
import type { RangeTombstone, TombstoneFragment } from '../../src/format/range-tombstones.ts';
import { TableBuilder } from '../../src/format/table-builder.ts';
import type { TableIndex } from '../../src/format/table-index.ts';
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
  /** The file. */
  readonly bytes: Uint8Array;
  /** Its blocks in memory, as they are searched, and where each of them begins. */
  readonly memory: Uint8Array;
  readonly words: Uint16Array;
  readonly bases: readonly number[];
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
  readonly compression?: CompressionName;
  readonly rangeTombstones?: readonly TombstoneFragment[];
}

/** Those that this Node has. */
export const COMPRESSIONS: readonly CompressionName[] = compressionNames.filter(isCompressionAvailable);

export const CREATED_AT_SEQUENCE = 1000;

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
    compression: options.compression ?? 'none',
    createdAtSeconds: 1_700_000_000,
    createdAtSequence: CREATED_AT_SEQUENCE,
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
  builder.finish(options.rangeTombstones);
  drain();
  const bytes = new Uint8Array(Buffer.concat(parts));
  return openTable(bytes, builder.description(), fileNumber);
}

export function openTable(bytes: Uint8Array, description: TableDescription, fileNumber: number): Table {
  const tail = bytes.subarray(description.metaOffset);
  const meta = decodeTableMeta(tail, fileNumber, description.metaOffset, bytes.length);
  const blocks = loadBlocks(bytes, meta.index);
  return { bytes, ...blocks, words: new Uint16Array(blocks.memory.buffer), meta, description, fileNumber };
}

/** Each block in as much memory as the index says, decompressed in place, as in a slot of the cache. */
function loadBlocks(bytes: Uint8Array, index: TableIndex): { memory: Uint8Array; bases: number[] } {
  const bases: number[] = [];
  let pages = 0;
  for (let block = 0; block < index.blockCount; block++) {
    bases.push(pages * PAGE_BYTES);
    pages += index.memoryPagesOf(block);
  }
  const memory = new Uint8Array(pages * PAGE_BYTES).fill(0xa5);
  const scratch = new Uint8Array(BLOCK_BYTES_MAX);
  for (let block = 0; block < index.blockCount; block++) {
    const start = index.pageOf(block) * PAGE_BYTES;
    const length = index.pageCountOf(block) * PAGE_BYTES;
    memory.set(bytes.subarray(start, start + length), bases[block]);
    decompressBlock(memory, bases[block], length, scratch, index.memoryPagesOf(block) * PAGE_BYTES);
  }
  return { memory, bases };
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
      const base = table.bases[block];
      const bits = index.bucketBitsOf(block);
      const prefixLength = index.prefixLengthOf(block);
      const { memory, words } = table;
      if (
        searchBlock(memory, words, base, bits, prefixLength, key, key.length, hash, visibleSequence, result)
      ) {
        const value = memory.slice(result.valueStart, result.valueStart + result.valueLength);
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
    found.push(...blockEntries(table.memory, table.bases[block]));
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

/** Range tombstones that overlap, adjoin and repeat each other, some without an end. */
export function rangeTombstones(
  key: fc.Arbitrary<Uint8Array>,
  maxLength: number,
): fc.Arbitrary<RangeTombstone[]> {
  const sequence = fc.oneof(
    fc.nat(8),
    fc.maxSafeNat().map((number) => number % 2 ** 48),
  );
  const tombstone = fc.tuple(key, key, sequence).map(([a, b, number]): RangeTombstone => {
    const order = Buffer.compare(a, b);
    // No end of no bytes but as no end: a range before the empty key has no keys.
    if (order === 0) return { start: a, end: new Uint8Array(0), sequence: number };
    return { start: order < 0 ? a : b, end: order < 0 ? b : a, sequence: number };
  });
  return fc.array(tombstone, { maxLength });
}

/** Whether a range tombstone deletes keys from `start` on and before `end` that `key` is among. */
export function isWithin({ start, end }: Pick<RangeTombstone, 'start' | 'end'>, key: Uint8Array): boolean {
  return Buffer.compare(start, key) <= 0 && (end.length === 0 || Buffer.compare(key, end) < 0);
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
