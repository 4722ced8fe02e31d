/** Gives a table that was changed checksums that hold, as somebody who knows the format could: what only structure gives away. */
import { checksum, checksumSeed } from '../../src/format/checksum.ts';
import { FOOTER_BYTES } from '../../src/format/footer.ts';
import { readU16, readU32, writeU32 } from '../../src/format/integers.ts';
import { PAGE_BYTES } from '../../src/format/limits.ts';

const INDEX_HEAD_BYTES = 8;
const INDEX_RECORD_BYTES = 12;

/** Where the sections of a table's tail begin in the file; each ends with its checksum where the next begins. */
export interface SectionPlaces {
  readonly index: number;
  readonly filter: number;
  readonly properties: number;
  readonly rangeTombstones: number;
  readonly footer: number;
}

export function sectionsOf(bytes: Uint8Array): SectionPlaces {
  const footer = bytes.length - FOOTER_BYTES;
  const index = readU32(bytes, footer) * PAGE_BYTES;
  const filter = index + readU32(bytes, footer + 4);
  const properties = filter + readU32(bytes, footer + 8);
  return { index, filter, properties, rangeTombstones: properties + readU32(bytes, footer + 12), footer };
}

/** Blocks first, then the index that has their checksums, the other sections, and the footer. */
export function reseal(bytes: Uint8Array, number: number): void {
  const { index, filter, properties, rangeTombstones, footer } = sectionsOf(bytes);
  let offset = 0;
  for (let block = 0; block < readU32(bytes, index); block++) {
    const record = index + INDEX_HEAD_BYTES + block * INDEX_RECORD_BYTES;
    const end = offset + readU16(bytes, record + 4) * PAGE_BYTES;
    const sum = checksum(bytes, offset, end - 4, checksumSeed(0, number, offset));
    writeU32(bytes, end - 4, sum);
    writeU32(bytes, record, sum);
    offset = end;
  }
  const sections = [
    [index, filter],
    [filter, properties],
    [properties, rangeTombstones],
  ];
  for (const [start, end] of sections) {
    if (end > start)
      writeU32(bytes, end - 4, checksum(bytes, start, end - 4, checksumSeed(0, number, start)));
  }
  const fields = checksum(bytes, footer, footer + 20, checksumSeed(0, number, footer));
  writeU32(bytes, footer + 20, checksum(bytes, footer + 24, footer + FOOTER_BYTES, fields));
}
