/**
 * The tail of a table of which parts may be damaged: what verifies of it, section by section. Pure; any thread.
 *
 * `decodeTableMeta` (table-meta.ts) is what every open of a table passes, and stops at the first thing that is wrong. This
 * is for verification and repair, which go on. Where the footer says where the sections are, each is looked at by itself.
 * Where the footer is damaged they are found one behind the other: the index says how long it is, and of the others the
 * first length at which a checksum holds is taken, if what it covers can be decoded.
 */
import { checksum, checksumSeed } from './checksum.ts';
import { COMPRESSION_NONE } from './compression.ts';
import { ChecksumError, FOOTER_BYTES, readFooter, type Footer } from './footer.ts';
import { FormatError, UnknownVersionError } from './format-error.ts';
import { readU32 } from './integers.ts';
import { KEY_BYTES_MAX, PAGE_BYTES, roundUpToPage } from './limits.ts';
import { decodeRangeTombstones, type RangeTombstones } from './range-tombstones.ts';
import { indexLength, TableIndex } from './table-index.ts';
import { agree, decodeFilter, FILTER_LINE_BYTES, SECTION_CHECKSUM_BYTES } from './table-meta.ts';
import { decodeTableProperties, type TableProperties } from './table-properties.ts';
import { VARINT_BYTES_MAX } from './varint.ts';

/** Undefined: damaged, or not found. Null: the table has none. */
export interface TableTail {
  readonly footer: Footer | undefined;
  readonly index: TableIndex | undefined;
  readonly filter: Int32Array | null | undefined;
  readonly properties: TableProperties | undefined;
  readonly rangeTombstones: RangeTombstones | null | undefined;
  /** Zeros between the last section and the footer, as far as it is known where the last section ends. */
  readonly paddingBytes: number;
  /** What is wrong, in bytes from the tail's beginning on; empty when the tail is whole. */
  readonly problems: readonly FormatError[];
}

/** A section with its checksum: `bytes[start, end)`. */
interface Section {
  readonly start: number;
  readonly end: number;
}

interface Sections {
  readonly index: Section;
  /** Undefined: the table has none. */
  readonly filter: Section | undefined;
  readonly properties: Section;
}

/** Numbers, lengths of keys among them. */
const PROPERTIES_FIELDS = 19;
const PROPERTIES_BYTES_MAX = PROPERTIES_FIELDS * VARINT_BYTES_MAX + 2 * KEY_BYTES_MAX;
const FILTER_PROBES_BYTES = 4;

/**
 * Looks at the bytes from `metaOffset` to the end of the file. Throws an `UnknownVersionError` where the footer is whole and
 * of another version: what is behind it means nothing here.
 */
export function inspectTableTail(bytes: Uint8Array, fileNumber: number, metaOffset: number): TableTail {
  return new TailInspection(bytes, fileNumber, metaOffset).inspect();
}

class TailInspection {
  readonly #bytes: Uint8Array;
  readonly #fileNumber: number;
  readonly #metaOffset: number;
  readonly #footerAt: number;
  readonly #problems: FormatError[] = [];
  #paddingBytes = 0;

  constructor(bytes: Uint8Array, fileNumber: number, metaOffset: number) {
    this.#bytes = bytes;
    this.#fileNumber = fileNumber;
    this.#metaOffset = metaOffset;
    this.#footerAt = bytes.length - FOOTER_BYTES;
  }

  inspect(): TableTail {
    const footer = this.#readFooter();
    const sections = footer === undefined ? this.#findSections() : sectionsOf(footer);
    const properties = this.#decode('the properties', sections?.properties, (start, end) =>
      decodeTableProperties(this.#bytes, start, end),
    );
    const index = this.#decode('the index', sections?.index, (start, end) => {
      // Without properties it is not known how large a block may become: as large as any.
      const { blockBytes, compression } = properties ?? { blockBytes: PAGE_BYTES * 16, compression: -1 };
      const pages = compression === COMPRESSION_NONE ? 0 : blockBytes / PAGE_BYTES;
      return new TableIndex(this.#bytes, start, end, this.#metaOffset, pages);
    });
    const filter =
      sections !== undefined && sections.filter === undefined
        ? null
        : this.#decode('the filter', sections?.filter, (start, end) => decodeFilter(this.#bytes, start, end));
    const rangeTombstones = this.#rangeTombstones(sections, properties);
    if (properties !== undefined && index !== undefined) this.#compare(properties, index, sections);
    const problems = this.#problems;
    return { footer, index, filter, properties, rangeTombstones, paddingBytes: this.#paddingBytes, problems };
  }

  #readFooter(): Footer | undefined {
    const at = this.#footerAt;
    const footer = this.#attempt(() => readFooter(this.#bytes, at, this.#fileNumber, this.#metaOffset + at));
    if (footer === undefined) return undefined;
    const { metaPage, indexLength: index, filterLength, propertiesLength } = footer;
    if (metaPage * PAGE_BYTES !== this.#metaOffset) {
      this.#problems.push(new FormatError(`a table whose tail begins at page ${metaPage}`, at));
      return undefined;
    }
    if (index + filterLength + propertiesLength <= at) return footer;
    this.#problems.push(new FormatError('a table whose sections do not fit its tail', at));
    return undefined;
  }

  #rangeTombstones(
    sections: Sections | undefined,
    properties: TableProperties | undefined,
  ): RangeTombstones | null | undefined {
    if (sections === undefined) return undefined;
    const start = sections.properties.end;
    if (properties === undefined) return this.#findRangeTombstones(start);
    const end = start + properties.rangeTombstoneBytes;
    if (end > this.#footerAt || roundUpToPage(end + FOOTER_BYTES) !== this.#bytes.length) {
      this.#problems.push(new FormatError('a table whose sections do not fit its tail', start));
      return undefined;
    }
    this.#checkPadding(end);
    if (start === end) return null;
    return this.#decode('the range tombstones', { start, end }, (dataStart, dataEnd) => {
      const tombstones = decodeRangeTombstones(this.#bytes, dataStart, dataEnd);
      if (agree(tombstones, properties)) return tombstones;
      throw new FormatError('a table whose properties contradict its range tombstones', dataStart);
    });
  }

  /** Without properties nobody says how long they are: none if there are only zeros, else what verifies. */
  #findRangeTombstones(start: number): RangeTombstones | null | undefined {
    if (this.#isZeroFrom(start)) return null;
    const end = this.#endOf(start, 1, 1, this.#footerAt);
    if (end === undefined || !this.#isZeroFrom(end)) return undefined;
    try {
      return decodeRangeTombstones(this.#bytes, start, end - SECTION_CHECKSUM_BYTES);
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  #isZeroFrom(start: number): boolean {
    for (let at = start; at < this.#footerAt; at++) if (this.#bytes[at] !== 0) return false;
    return true;
  }

  #checkPadding(start: number): void {
    this.#paddingBytes = this.#footerAt - start;
    for (let at = start; at < this.#footerAt; at++) {
      if (this.#bytes[at] === 0) continue;
      this.#problems.push(new FormatError('a table whose padding is not zero', at));
      return;
    }
  }

  #compare(properties: TableProperties, index: TableIndex, sections: Sections | undefined): void {
    if (properties.blocks === index.blockCount && properties.dataBytes === this.#metaOffset) return;
    const at = sections?.properties.start ?? 0;
    this.#problems.push(new FormatError('a table whose properties contradict its index', at));
  }

  /** What a section's data, whose checksum holds, says; undefined, and a problem, where it says nothing. */
  #decode<T>(
    what: string,
    section: Section | undefined,
    decode: (start: number, end: number) => T,
  ): T | undefined {
    if (section === undefined) return undefined;
    return this.#attempt(() => {
      const { start, end } = section;
      const dataEnd = end - SECTION_CHECKSUM_BYTES;
      if (dataEnd <= start) throw new FormatError(`a table without ${what}`, start);
      const expected = readU32(this.#bytes, dataEnd);
      const actual = checksum(this.#bytes, start, dataEnd, this.#seedAt(start));
      if (expected !== actual) throw new ChecksumError(what, start, expected, actual);
      return decode(start, dataEnd);
    });
  }

  #attempt<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof FormatError) || error instanceof UnknownVersionError) throw error;
      this.#problems.push(error);
      return undefined;
    }
  }

  /** The sections as they lie behind each other; undefined where one cannot be told from the next. */
  #findSections(): Sections | undefined {
    const length = indexLength(this.#bytes, 0, this.#footerAt);
    if (length === undefined) return undefined;
    const index = { start: 0, end: length + SECTION_CHECKSUM_BYTES };
    const bare = this.#findProperties(index.end);
    if (bare !== undefined) return { index, filter: undefined, properties: bare };
    const line = FILTER_LINE_BYTES;
    const filterEnd = this.#endOf(index.end, line + FILTER_PROBES_BYTES, line, this.#footerAt);
    if (filterEnd === undefined) return undefined;
    const properties = this.#findProperties(filterEnd);
    if (properties === undefined) return undefined;
    return { index, filter: { start: index.end, end: filterEnd }, properties };
  }

  #findProperties(start: number): Section | undefined {
    const limit = Math.min(this.#footerAt, start + PROPERTIES_BYTES_MAX + SECTION_CHECKSUM_BYTES);
    const end = this.#endOf(start, PROPERTIES_FIELDS, 1, limit);
    if (end === undefined) return undefined;
    try {
      decodeTableProperties(this.#bytes, start, end - SECTION_CHECKSUM_BYTES);
      return { start, end };
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }

  /** Where a section ends that begins at `start`: the first of the possible ends at which its checksum holds. */
  #endOf(start: number, firstLength: number, step: number, limit: number): number | undefined {
    let sum = this.#seedAt(start);
    let from = start;
    for (let end = start + firstLength; end + SECTION_CHECKSUM_BYTES <= limit; end += step) {
      sum = checksum(this.#bytes, from, end, sum);
      if (sum === readU32(this.#bytes, end)) return end + SECTION_CHECKSUM_BYTES;
      from = end;
    }
    return undefined;
  }

  #seedAt(start: number): number {
    return checksumSeed(0, this.#fileNumber, this.#metaOffset + start);
  }
}

function sectionsOf({ indexLength: index, filterLength, propertiesLength }: Footer): Sections {
  const propertiesStart = index + filterLength;
  return {
    index: { start: 0, end: index },
    filter: filterLength === 0 ? undefined : { start: index, end: propertiesStart },
    properties: { start: propertiesStart, end: propertiesStart + propertiesLength },
  };
}
