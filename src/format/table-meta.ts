/**
 * The tail of a table, everything behind its data blocks, read with one read. Pure; any thread.
 *
 *   meta offset                                                                          file end
 *   (a page) ▼                                                                           ▼
 *            ┌─────────┬─────┬──────────┬─────┬──────────────┬─────┬──────────┬──────────┐
 *            │ index   │ crc │ filter   │ crc │ properties   │ crc │ zeros    │ footer   │
 *            └─────────┴─────┴──────────┴─────┴──────────────┴─────┴──────────┴──────────┘
 *
 * Each section ends with a u32 CRC-32C of its bytes, seeded with salt 0, the file number and the section's offset in the
 * file. A table without a filter has no filter section, not even its checksum. The file's length is a multiple of 4096.
 */
import { QuadringError } from '../errors.ts';
import { checksum, checksumSeed } from './checksum.ts';
import { tableName } from './file-names.ts';
import { FILTER_PROBES_MAX } from './filter.ts';
import { ChecksumError, FOOTER_BYTES, readFooter, writeFooter } from './footer.ts';
import { FormatError, UnknownVersionError } from './format-error.ts';
import { readU32, writeU32 } from './integers.ts';
import { PAGE_BYTES, roundUpToPage } from './limits.ts';
import { TableIndex } from './table-index.ts';
import { decodeTableProperties } from './table-properties.ts';
import type { TableProperties } from './table-properties.ts';

const SECTION_CHECKSUM_BYTES = 4;
const FILTER_LINE_BYTES = 64;

export interface TableMeta {
  readonly index: TableIndex;
  /** For `filterMayContain`; null when the table has no filter. */
  readonly filter: Int32Array | null;
  readonly properties: TableProperties;
}

/** The whole tail as bytes. The sections come without their checksums; an empty filter is left out. */
export function encodeTableMeta(
  index: Uint8Array,
  filter: Uint8Array,
  properties: Uint8Array,
  fileNumber: number,
  metaOffset: number,
): Uint8Array {
  const sections = [index, filter, properties];
  const lengths = sections.map((section) =>
    section.length === 0 ? 0 : section.length + SECTION_CHECKSUM_BYTES,
  );
  const [indexLength, filterLength, propertiesLength] = lengths as [number, number, number];
  const bytes = new Uint8Array(roundUpToPage(indexLength + filterLength + propertiesLength + FOOTER_BYTES));
  let at = 0;
  for (const section of sections) {
    if (section.length === 0) continue;
    bytes.set(section, at);
    const end = at + section.length;
    writeU32(bytes, end, checksum(bytes, at, end, checksumSeed(0, fileNumber, metaOffset + at)));
    at = end + SECTION_CHECKSUM_BYTES;
  }
  const footer = { metaPage: metaOffset / PAGE_BYTES, indexLength, filterLength, propertiesLength };
  const footerAt = bytes.length - FOOTER_BYTES;
  writeFooter(bytes, footerAt, footer, fileNumber, metaOffset + footerAt);
  return bytes;
}

/**
 * Decodes the bytes from `metaOffset` to the end of the file. Throws `TABLE_CORRUPT` with the offset in the file and,
 * where a checksum did not hold, both checksums; `UNKNOWN_FORMAT` when the table is whole and of another version. The
 * result keeps nothing of `bytes`.
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
    return decode(bytes, fileNumber, metaOffset, fileBytes);
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
  const indexEnd = footer.indexLength;
  const filterEnd = indexEnd + footer.filterLength;
  const propertiesEnd = filterEnd + footer.propertiesLength;
  if (propertiesEnd > footerAt || roundUpToPage(propertiesEnd + FOOTER_BYTES) !== bytes.length) {
    throw new FormatError('a table whose sections do not fit its tail', footerAt);
  }
  for (let at = propertiesEnd; at < footerAt; at++) {
    if (bytes[at] !== 0) throw new FormatError('a table whose padding is not zero', at);
  }
  const indexData = verifiedSection(bytes, 0, indexEnd, fileNumber, metaOffset, 'the index');
  const propertiesData = verifiedSection(
    bytes,
    filterEnd,
    propertiesEnd,
    fileNumber,
    metaOffset,
    'the properties',
  );
  let filter: Int32Array | null = null;
  if (footer.filterLength > 0) {
    const filterData = verifiedSection(bytes, indexEnd, filterEnd, fileNumber, metaOffset, 'the filter');
    filter = decodeFilter(bytes, indexEnd, filterData);
  }
  const properties = decodeTableProperties(bytes, filterEnd, propertiesData);
  const index = new TableIndex(bytes, 0, indexData, metaOffset);
  if (properties.blocks !== index.blockCount || properties.dataBytes !== metaOffset) {
    throw new FormatError('a table whose properties contradict its index', filterEnd);
  }
  return { index, filter, properties };
}

/** Where the section's data ends and its checksum, which holds, begins. */
function verifiedSection(
  bytes: Uint8Array,
  start: number,
  end: number,
  fileNumber: number,
  metaOffset: number,
  what: string,
): number {
  const dataEnd = end - SECTION_CHECKSUM_BYTES;
  if (dataEnd <= start) throw new FormatError(`a table without ${what}`, start);
  const expected = readU32(bytes, dataEnd);
  const actual = checksum(bytes, start, dataEnd, checksumSeed(0, fileNumber, metaOffset + start));
  if (expected !== actual) throw new ChecksumError(what, start, expected, actual);
  return dataEnd;
}

function decodeFilter(bytes: Uint8Array, start: number, end: number): Int32Array {
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
