/**
 * The last 32 bytes of a table. Pure; any thread.
 *
 *    0 ┌───────────────────────────┐
 *      │ u32 meta page             │  page at which the index section begins; the data blocks end there
 *    4 │ u32 index length          │  lengths include each section's own checksum
 *    8 │ u32 filter length         │  0: no filter
 *   12 │ u32 properties length     │
 *   16 │ u16 format version        │  2
 *   18 │ u16 zero                  │
 *   20 │ u32 checksum              │  CRC-32C of bytes 0 to 20 and 24 to 32, seeded with salt 0, file nr, footer's offset
 *   24 │ u64 magic                 │  "quadsst\n" in ASCII
 *      └───────────────────────────┘
 */
import { checksum, checksumSeed } from './checksum.ts';
import { FormatError, UnknownVersionError } from './format-error.ts';
import { readU16, readU32, writeU16, writeU32 } from './integers.ts';

export const FOOTER_BYTES = 32;
export const TABLE_FORMAT_VERSION = 2;
const MAGIC_LOW = 0x64617571;
const MAGIC_HIGH = 0x0a747373;

export interface Footer {
  readonly metaPage: number;
  readonly indexLength: number;
  readonly filterLength: number;
  readonly propertiesLength: number;
}

/** A checksum that does not hold: it carries both sides of the comparison. */
export class ChecksumError extends FormatError {
  override readonly name: string = 'ChecksumError';
  readonly expected: number;
  readonly actual: number;

  constructor(what: string, at: number, expected: number, actual: number) {
    super(`the checksum of ${what} does not hold`, at);
    this.expected = expected;
    this.actual = actual;
  }
}

/** `offset` is the footer's place in the file. */
export function writeFooter(
  bytes: Uint8Array,
  at: number,
  footer: Footer,
  fileNumber: number,
  offset: number,
): void {
  writeU32(bytes, at, footer.metaPage);
  writeU32(bytes, at + 4, footer.indexLength);
  writeU32(bytes, at + 8, footer.filterLength);
  writeU32(bytes, at + 12, footer.propertiesLength);
  writeU16(bytes, at + 16, TABLE_FORMAT_VERSION);
  writeU16(bytes, at + 18, 0);
  writeU32(bytes, at + 24, MAGIC_LOW);
  writeU32(bytes, at + 28, MAGIC_HIGH);
  writeU32(bytes, at + 20, footerChecksum(bytes, at, fileNumber, offset));
}

/** Throws a `ChecksumError`, an `UnknownVersionError` (only when the checksum holds), or another `FormatError`. */
export function readFooter(bytes: Uint8Array, at: number, fileNumber: number, offset: number): Footer {
  if (at < 0 || at + FOOTER_BYTES > bytes.length)
    throw new FormatError('a table too short for its footer', at);
  if (readU32(bytes, at + 24) !== MAGIC_LOW || readU32(bytes, at + 28) !== MAGIC_HIGH) {
    throw new FormatError('a table without its magic', at + 24);
  }
  const expected = readU32(bytes, at + 20);
  const actual = footerChecksum(bytes, at, fileNumber, offset);
  if (expected !== actual) throw new ChecksumError('the footer', at, expected, actual);
  const version = readU16(bytes, at + 16);
  if (version !== TABLE_FORMAT_VERSION) throw new UnknownVersionError('the table', version, at + 16);
  if (readU16(bytes, at + 18) !== 0)
    throw new FormatError('a footer whose reserved field is not zero', at + 18);
  return {
    metaPage: readU32(bytes, at),
    indexLength: readU32(bytes, at + 4),
    filterLength: readU32(bytes, at + 8),
    propertiesLength: readU32(bytes, at + 12),
  };
}

function footerChecksum(bytes: Uint8Array, at: number, fileNumber: number, offset: number): number {
  const fields = checksum(bytes, at, at + 20, checksumSeed(0, fileNumber, offset));
  return checksum(bytes, at + 24, at + FOOTER_BYTES, fields);
}
