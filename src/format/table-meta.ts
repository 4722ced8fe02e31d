/**
 * The tail of a table, everything behind its data blocks, read with one read. Pure; any thread.
 *
 *   meta offset                                                                                 file end
 *   (a page) ▼                                                                                         ▼
 *            ┌───────┬─────┬────────┬─────┬────────────┬─────┬──────────────────┬─────┬───────┬────────┐
 *            │ index │ crc │ filter │ crc │ properties │ crc │ range tombstones │ crc │ zeros │ footer │
 *            └───────┴─────┴────────┴─────┴────────────┴─────┴──────────────────┴─────┴───────┴────────┘
 *
 * Each section ends with a u32 CRC-32C of its bytes, seeded with salt 0, the file number and the section's offset in the
 * file. A table without a filter, or without range tombstones, has no such section, not even its checksum. The footer
 * has the lengths of the first three sections, the properties have that of the range tombstones. The file's length is a
 * multiple of 4096.
 */
import { QuadringError } from '../errors.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { COMPRESSION_NONE, compressionNames, isCompressionAvailable } from './compression.ts';
import { tableName } from './file-names.ts';
import { FILTER_PROBES_MAX } from './filter.ts';
import { ChecksumError, FOOTER_BYTES, readFooter, writeFooter } from './footer.ts';
import { FormatError, UnknownVersionError } from './format-error.ts';
import { readU32, writeU32 } from './integers.ts';
import { PAGE_BYTES, roundUpToPage } from './limits.ts';
import { decodeRangeTombstones, type RangeTombstones } from './range-tombstones.ts';
import { TableIndex } from './table-index.ts';
import { decodeTableProperties } from './table-properties.ts';
import type { TableProperties } from './table-properties.ts';
import { compareLargest, isBeforeTable } from './table-range.ts';

export const SECTION_CHECKSUM_BYTES = 4;
export const FILTER_LINE_BYTES = 64;

export interface TableMeta {
  readonly index: TableIndex;
  /** For `filterMayContain`; null when the table has no filter. */
  readonly filter: Int32Array | null;
  readonly properties: TableProperties;
  /** Null when the table has none. */
  readonly rangeTombstones: RangeTombstones | null;
}

/** The sections without their checksums. A filter or range tombstones of no bytes are left out. */
export interface TableSections {
  readonly index: Uint8Array;
  readonly filter: Uint8Array;
  readonly properties: Uint8Array;
  readonly rangeTombstones: Uint8Array;
}

/** What a section takes in the file. */
export function sectionLength(section: Uint8Array): number {
  return section.length === 0 ? 0 : section.length + SECTION_CHECKSUM_BYTES;
}

/** The whole tail as bytes. */
export function encodeTableMeta(
  { index, filter, properties, rangeTombstones }: TableSections,
  fileNumber: number,
  metaOffset: number,
): Uint8Array {
  const sections = [index, filter, properties, rangeTombstones];
  const length = sections.reduce((sum, section) => sum + sectionLength(section), 0);
  const bytes = new Uint8Array(roundUpToPage(length + FOOTER_BYTES));
  let at = 0;
  for (const section of sections) {
    if (section.length === 0) continue;
    bytes.set(section, at);
    const end = at + section.length;
    writeU32(bytes, end, checksum(bytes, at, end, checksumSeed(0, fileNumber, metaOffset + at)));
    at = end + SECTION_CHECKSUM_BYTES;
  }
  const footer = {
    metaPage: metaOffset / PAGE_BYTES,
    indexLength: sectionLength(index),
    filterLength: sectionLength(filter),
    propertiesLength: sectionLength(properties),
  };
  const footerAt = bytes.length - FOOTER_BYTES;
  writeFooter(bytes, footerAt, footer, fileNumber, metaOffset + footerAt);
  return bytes;
}

/**
 * Decodes the bytes from `metaOffset` to the end of the file. Throws `TABLE_CORRUPT` with the offset in the file and,
 * where a checksum did not hold, both checksums; `UNKNOWN_FORMAT` when the table is whole and of another version, or
 * compressed with what this Node does not have. The result keeps nothing of `bytes`.
 */
export function decodeTableMeta(
  bytes: Uint8Array,
  fileNumber: number,
  metaOffset: number,
  fileBytes: number,
  /** What errors call the file. */
  file = tableName(fileNumber),
): TableMeta {
  try {
    const meta = decode(bytes, fileNumber, metaOffset, fileBytes);
    const compression = compressionNames[meta.properties.compression];
    if (isCompressionAvailable(compression)) return meta;
    const message = `${tableName(fileNumber)} is compressed with ${compression}, which Node ${process.version} does not have`;
    throw new QuadringError('UNKNOWN_FORMAT', message, { file });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const fields = { cause: error, file, offset: metaOffset + error.at };
    if (error instanceof UnknownVersionError)
      throw new QuadringError('UNKNOWN_FORMAT', `${tableName(fileNumber)}: ${error.message}`, fields);
    const sums = error instanceof ChecksumError ? { expected: error.expected, actual: error.actual } : {};
    throw new QuadringError('TABLE_CORRUPT', `${tableName(fileNumber)} is damaged: ${error.message}`, {
      ...fields,
      ...sums,
    });
  }
}

function decode(bytes: Uint8Array, fileNumber: number, metaOffset: number, fileBytes: number): TableMeta {
  if (metaOffset % PAGE_BYTES !== 0 || fileBytes % PAGE_BYTES !== 0)
    throw new FormatError('a table of odd length', 0);
  if (metaOffset + bytes.length !== fileBytes) {
    throw new FormatError(
      `a table whose tail has ${bytes.length} bytes instead of ${fileBytes - metaOffset}`,
      0,
    );
  }
  const footerAt = bytes.length - FOOTER_BYTES;
  const footer = readFooter(bytes, footerAt, fileNumber, metaOffset + footerAt);
  if (footer.metaPage * PAGE_BYTES !== metaOffset) {
    throw new FormatError(`a table whose tail begins at page ${footer.metaPage}`, footerAt);
  }
  const filterStart = footer.indexLength;
  const propertiesStart = filterStart + footer.filterLength;
  const tombstonesStart = propertiesStart + footer.propertiesLength;
  if (tombstonesStart > footerAt)
    throw new FormatError('a table whose sections do not fit its tail', footerAt);
  /** Where the data of the section in `bytes[start, end)` ends and its checksum, which holds, begins. */
  const verified = (start: number, end: number, what: string): number => {
    const dataEnd = end - SECTION_CHECKSUM_BYTES;
    if (dataEnd <= start) throw new FormatError(`a table without ${what}`, start);
    const expected = readU32(bytes, dataEnd);
    const actual = checksum(bytes, start, dataEnd, checksumSeed(0, fileNumber, metaOffset + start));
    if (expected !== actual) throw new ChecksumError(what, start, expected, actual);
    return dataEnd;
  };

  const propertiesEnd = verified(propertiesStart, tombstonesStart, 'the properties');
  const properties = decodeTableProperties(bytes, propertiesStart, propertiesEnd);
  const sectionsEnd = tombstonesStart + properties.rangeTombstoneBytes;
  if (sectionsEnd > footerAt || roundUpToPage(sectionsEnd + FOOTER_BYTES) !== bytes.length) {
    throw new FormatError('a table whose sections do not fit its tail', footerAt);
  }
  for (let at = sectionsEnd; at < footerAt; at++) {
    if (bytes[at] !== 0) throw new FormatError('a table whose padding is not zero', at);
  }
  const indexEnd = verified(0, filterStart, 'the index');
  let filter: Int32Array | null = null;
  if (footer.filterLength > 0) {
    filter = decodeFilter(bytes, filterStart, verified(filterStart, propertiesStart, 'the filter'));
  }
  let rangeTombstones: RangeTombstones | null = null;
  if (properties.rangeTombstoneBytes > 0) {
    const end = verified(tombstonesStart, sectionsEnd, 'the range tombstones');
    rangeTombstones = decodeRangeTombstones(bytes, tombstonesStart, end);
    if (!agree(rangeTombstones, properties)) {
      throw new FormatError('a table whose properties contradict its range tombstones', tombstonesStart);
    }
  }
  const decompressedPages =
    properties.compression === COMPRESSION_NONE ? 0 : properties.blockBytes / PAGE_BYTES;
  const index = new TableIndex(bytes, 0, indexEnd, metaOffset, decompressedPages);
  if (properties.blocks !== index.blockCount || properties.dataBytes !== metaOffset) {
    throw new FormatError('a table whose properties contradict its index', propertiesStart);
  }
  return { index, filter, properties, rangeTombstones };
}

/** Whether the properties say of the range tombstones what is so: how many there are, between which keys. */
export function agree(rangeTombstones: RangeTombstones, properties: TableProperties): boolean {
  const first = rangeTombstones.fragments.at(0);
  const last = rangeTombstones.fragments.at(-1);
  if (first === undefined || last === undefined) return false;
  const bounds = { smallestKey: first.start, largestKey: last.end, largestKeyIsExclusive: true };
  return (
    rangeTombstones.tombstoneCount === properties.rangeTombstones &&
    !isBeforeTable(first.start, 0, first.start.length, properties) &&
    compareLargest(bounds, properties) <= 0
  );
}

/** Throws a `FormatError`. */
export function decodeFilter(bytes: Uint8Array, start: number, end: number): Int32Array {
  const length = end - start;
  if (length % FILTER_LINE_BYTES !== 4 || length < FILTER_LINE_BYTES) {
    throw new FormatError(`a filter of ${length} bytes`, start);
  }
  const words = new Int32Array(length / 4);
  new Uint8Array(words.buffer).set(bytes.subarray(start, end));
  const probes = words[words.length - 1];
  if (probes < 1 || probes > FILTER_PROBES_MAX)
    throw new FormatError(`a filter of ${probes} probes`, end - 4);
  return words;
}
