/**
 * The properties section of a table: what it contains, so that it can be put back into a manifest from itself alone, and
 * where its range tombstones are. Pure; any thread.
 *
 * Varints in this order, but for the two keys, which are a varint length and their bytes; then the section's checksum
 * (table-meta.ts):
 *
 *   level · block bytes · compression · filter bits a key · blocks · data bytes · entries · deletions · overwritten ·
 *   range tombstones · bytes of their section · raw bytes · smallest sequence · largest sequence · created at (seconds) ·
 *   created at (sequence) · smallest key · largest key · whether that is exclusive
 */
import { ByteReader } from './byte-reader.ts';
import { COMPRESSION_ZSTD } from './compression.ts';
import { FormatError } from './format-error.ts';
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  FILTER_BITS_PER_KEY_MAX,
  KEY_BYTES_MAX,
  LEVEL_MAX,
  PAGE_BYTES,
  SEQUENCE_MAX,
} from './limits.ts';
import { isBehindTable } from './table-range.ts';
import { ByteWriter } from './varint.ts';

export interface TableProperties {
  /** The level that the table was written for. */
  readonly level: number;
  /** Of an ordinary data block; once decompressed, where it is compressed. */
  readonly blockBytes: number;
  /** What ordinary data blocks are compressed with, where that saves a page. */
  readonly compression: number;
  readonly filterBitsPerKey: number;
  readonly blocks: number;
  /** Bytes of the data blocks as stored; also the offset of the index section. */
  readonly dataBytes: number;
  readonly entries: number;
  readonly deletions: number;
  readonly overwritten: number;
  readonly rangeTombstones: number;
  /** Length of the section of range tombstones, its checksum included; 0: there is none. */
  readonly rangeTombstoneBytes: number;
  /** Keys and values, before any encoding. */
  readonly rawBytes: number;
  readonly smallestSequence: number;
  readonly largestSequence: number;
  readonly createdAtSeconds: number;
  readonly createdAtSequence: number;
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
  readonly largestKeyIsExclusive: boolean;
}

/** The section without its checksum. */
export function encodeTableProperties(properties: TableProperties): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(properties.level);
  writer.varint(properties.blockBytes);
  writer.varint(properties.compression);
  writer.varint(properties.filterBitsPerKey);
  writer.varint(properties.blocks);
  writer.varint(properties.dataBytes);
  writer.varint(properties.entries);
  writer.varint(properties.deletions);
  writer.varint(properties.overwritten);
  writer.varint(properties.rangeTombstones);
  writer.varint(properties.rangeTombstoneBytes);
  writer.varint(properties.rawBytes);
  writer.varint(properties.smallestSequence);
  writer.varint(properties.largestSequence);
  writer.varint(properties.createdAtSeconds);
  writer.varint(properties.createdAtSequence);
  writer.sized(properties.smallestKey);
  writer.sized(properties.largestKey);
  writer.varint(Number(properties.largestKeyIsExclusive));
  return writer.written();
}

/** Throws a `FormatError` unless `bytes[start, end)` is exactly one section, without its checksum. */
export function decodeTableProperties(bytes: Uint8Array, start: number, end: number): TableProperties {
  const reader = new ByteReader(bytes, start, end);
  // The literal's fields are read in this order, which is the order on disk.
  const properties: TableProperties = {
    level: reader.varint(LEVEL_MAX),
    blockBytes: reader.varint(BLOCK_BYTES_MAX),
    compression: reader.varint(COMPRESSION_ZSTD),
    filterBitsPerKey: reader.varint(FILTER_BITS_PER_KEY_MAX),
    blocks: reader.varint(),
    dataBytes: reader.varint(),
    entries: reader.varint(),
    deletions: reader.varint(),
    overwritten: reader.varint(),
    rangeTombstones: reader.varint(),
    rangeTombstoneBytes: reader.varint(),
    rawBytes: reader.varint(),
    smallestSequence: reader.varint(SEQUENCE_MAX),
    largestSequence: reader.varint(SEQUENCE_MAX),
    createdAtSeconds: reader.varint(),
    createdAtSequence: reader.varint(SEQUENCE_MAX),
    smallestKey: reader.sized(KEY_BYTES_MAX),
    largestKey: reader.sized(KEY_BYTES_MAX),
    largestKeyIsExclusive: reader.varint(1) === 1,
  };
  reader.expectEnd('the properties of a table');
  if (contradictsItself(properties)) throw new FormatError('properties that contradict each other', start);
  return properties;
}

function contradictsItself(properties: TableProperties): boolean {
  const { blockBytes, blocks, entries, rangeTombstones, smallestKey } = properties;
  const hasEntries = entries > 0;
  const hasRangeTombstones = rangeTombstones > 0;
  return (
    blockBytes < BLOCK_BYTES_MIN ||
    blockBytes % PAGE_BYTES !== 0 ||
    (!hasEntries && !hasRangeTombstones) ||
    blocks > entries ||
    hasEntries !== blocks > 0 ||
    hasRangeTombstones !== properties.rangeTombstoneBytes > 0 ||
    properties.deletions > entries ||
    // The first entry of a key is not overwritten.
    (hasEntries ? properties.overwritten >= entries : properties.overwritten > 0) ||
    properties.smallestSequence > properties.largestSequence ||
    (properties.largestKeyIsExclusive && !hasRangeTombstones) ||
    isBehindTable(smallestKey, 0, smallestKey.length, properties)
  );
}
