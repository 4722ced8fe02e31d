/**
 * The properties section of a table: what it contains, so that it can be put back into a manifest from itself alone.
 * Pure; any thread.
 *
 * Varints in this order, then two keys, each a varint length and its bytes, then the section's checksum (table-meta.ts):
 *
 *   level · block bytes · filter bits a key · blocks · data bytes · entries · deletions · raw bytes · smallest sequence ·
 *   largest sequence · created at (seconds) · smallest key · largest key
 */
import { ByteReader } from './byte-reader.ts';
import { FormatError } from './format-error.ts';
import {
  BLOCK_BYTES_MAX,
  FILTER_BITS_PER_KEY_MAX,
  KEY_BYTES_MAX,
  LEVEL_MAX,
  SEQUENCE_MAX,
} from './limits.ts';
import { ByteWriter } from './varint.ts';

export interface TableProperties {
  /** The level that the table was written for. */
  readonly level: number;
  readonly blockBytes: number;
  readonly filterBitsPerKey: number;
  readonly blocks: number;
  /** Bytes of the data blocks as stored; also the offset of the index section. */
  readonly dataBytes: number;
  readonly entries: number;
  readonly deletions: number;
  /** Keys and values, before any encoding. */
  readonly rawBytes: number;
  readonly smallestSequence: number;
  readonly largestSequence: number;
  readonly createdAtSeconds: number;
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
}

/** The section without its checksum. */
export function encodeTableProperties(properties: TableProperties): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(properties.level);
  writer.varint(properties.blockBytes);
  writer.varint(properties.filterBitsPerKey);
  writer.varint(properties.blocks);
  writer.varint(properties.dataBytes);
  writer.varint(properties.entries);
  writer.varint(properties.deletions);
  writer.varint(properties.rawBytes);
  writer.varint(properties.smallestSequence);
  writer.varint(properties.largestSequence);
  writer.varint(properties.createdAtSeconds);
  writer.sized(properties.smallestKey);
  writer.sized(properties.largestKey);
  return writer.written();
}

/** Throws a `FormatError` unless `bytes[start, end)` is exactly one section, without its checksum. */
export function decodeTableProperties(bytes: Uint8Array, start: number, end: number): TableProperties {
  const reader = new ByteReader(bytes, start, end);
  // The literal's fields are read in this order, which is the order on disk.
  const properties: TableProperties = {
    level: reader.varint(LEVEL_MAX),
    blockBytes: reader.varint(BLOCK_BYTES_MAX),
    filterBitsPerKey: reader.varint(FILTER_BITS_PER_KEY_MAX),
    blocks: reader.varint(),
    dataBytes: reader.varint(),
    entries: reader.varint(),
    deletions: reader.varint(),
    rawBytes: reader.varint(),
    smallestSequence: reader.varint(SEQUENCE_MAX),
    largestSequence: reader.varint(SEQUENCE_MAX),
    createdAtSeconds: reader.varint(),
    smallestKey: reader.sized(KEY_BYTES_MAX),
    largestKey: reader.sized(KEY_BYTES_MAX),
  };
  reader.expectEnd('the properties of a table');
  if (properties.deletions > properties.entries || properties.smallestSequence > properties.largestSequence) {
    throw new FormatError('properties that contradict each other', start);
  }
  return properties;
}
