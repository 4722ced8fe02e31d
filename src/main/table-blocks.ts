/**
 * Where the data blocks of a table file are: as its index says, or, where that is damaged, as their trailers do. Owner only.
 *
 * A block ends with a page, and its trailer says how long it is; the checksum covers the table's number and the block's
 * place. So the pages are gone through, and what verifies as a block is one. A large value may hold what looks like a
 * block: where what verifies lies within another that does, the outer one counts.
 */
import { BLOCK_MAGIC, BLOCK_TRAILER_BYTES } from '../format/block-check.ts';
import { checksumSeed } from '../format/checksum.ts';
import { COMPRESSION_NONE } from '../format/compression.ts';
import { readU16, readU32 } from '../format/integers.ts';
import {
  BLOCK_BYTES_MAX,
  KEY_BYTES_MAX,
  PAGE_BYTES,
  VALUE_BYTES_MAX,
  roundUpToPage,
} from '../format/limits.ts';
import { INDEX_HEAD_BYTES, indexLength, type TableIndex } from '../format/table-index.ts';
import type { Breather } from './breather.ts';
import type { PieceReader } from './piece-reader.ts';

/** A block with the longest key and the largest value, and then some. */
export const LARGE_BLOCK_BYTES_MAX = roundUpToPage(VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX + PAGE_BYTES);

/** Trailers may claim large blocks that overlap: so many times a file's length is gone through for their checksums. */
const LARGE_CHECKS_MAX = 16;

/** Where nothing says where blocks are, no more than so much of a file is gone through to find them. */
const SCANNED_BYTES_MAX = 2 ** 32;

/** `[offset, offset + length)`, whole pages. */
export interface BlockPlace {
  readonly offset: number;
  readonly length: number;
}

/** Places in their order, without gaps. */
export function placesByIndex(index: TableIndex): BlockPlace[] {
  return Array.from({ length: index.blockCount }, (_, block) => ({
    offset: index.pageOf(block) * PAGE_BYTES,
    length: index.pageCountOf(block) * PAGE_BYTES,
  }));
}

/** What verifies as a block before `end`, in order, disjoint. */
export async function placesByTrailers(
  reader: PieceReader,
  fileNumber: number,
  end: number,
  breather: Breather,
): Promise<BlockPlace[]> {
  const found: BlockPlace[] = [];
  let largeBytesLeft = LARGE_CHECKS_MAX * end;
  for (let pageEnd = PAGE_BYTES; pageEnd <= Math.min(end, SCANNED_BYTES_MAX); pageEnd += PAGE_BYTES) {
    await breather.afterLongStep();
    const length = lengthByTrailer(reader, pageEnd);
    if (length === 0 || length > pageEnd) continue;
    const offset = pageEnd - length;
    if (cuts(found, offset)) continue;
    if (length > BLOCK_BYTES_MAX) {
      if (length > largeBytesLeft) continue;
      largeBytesLeft -= length;
    }
    if (!verifies(reader, fileNumber, { offset, length })) continue;
    while (found.length > 0 && found[found.length - 1].offset >= offset) found.pop();
    found.push({ offset, length });
  }
  return found;
}

/** Whether a block that begins there would share only some of its pages with one that was found. */
function cuts(found: readonly BlockPlace[], offset: number): boolean {
  const before = found.findLast((place) => place.offset < offset);
  return before !== undefined && before.offset + before.length > offset;
}

/** The length of the block that ends at `pageEnd`, 0 if none does. What cannot be read is none. */
function lengthByTrailer(reader: PieceReader, pageEnd: number): number {
  const page = readOr(reader, pageEnd - PAGE_BYTES, PAGE_BYTES);
  if (page === undefined) return 0;
  const trailer = PAGE_BYTES - BLOCK_TRAILER_BYTES;
  if (readU16(page, trailer + 6) !== BLOCK_MAGIC) return 0;
  const isCompressed = page[trailer + 4] !== COMPRESSION_NONE;
  const stored = isCompressed ? readU32(page, trailer + 8) : readU32(page, trailer);
  const length = roundUpToPage(stored + BLOCK_TRAILER_BYTES);
  return length <= LARGE_BLOCK_BYTES_MAX ? length : 0;
}

function verifies(reader: PieceReader, fileNumber: number, { offset, length }: BlockPlace): boolean {
  const sumAt = offset + length - 4;
  const sum = readOr(reader, sumAt, 4);
  if (sum === undefined) return false;
  const expected = readU32(sum, 0);
  return sumOf(reader, offset, sumAt, checksumSeed(0, fileNumber, offset)) === expected;
}

/** Undefined where the system cannot read it, or the file has less. */
export function readOr(reader: PieceReader, offset: number, length: number): Uint8Array | undefined {
  try {
    const view = reader.view(offset, length);
    return view.length === length ? view : undefined;
  } catch (error) {
    if (isReadFailure(error)) return undefined;
    throw error;
  }
}

/** Whether the system could not read something, as a damaged disk says it (EIO). */
export function isReadFailure(error: unknown): boolean {
  return (
    error instanceof Error &&
    typeof (error as { readonly code?: unknown }).code === 'string' &&
    'syscall' in error
  );
}

/** The page from `from` on at which the index of the table begins, if it verifies; the blocks end there. */
export function locateIndex(reader: PieceReader, fileNumber: number, from: number): number | undefined {
  for (let offset = from; offset < Math.min(reader.bytes, SCANNED_BYTES_MAX); offset += PAGE_BYTES) {
    const head = readOr(reader, offset, INDEX_HEAD_BYTES);
    const length = head && indexLength(head, 0, reader.bytes - offset);
    if (length === undefined) continue;
    const sum = readOr(reader, offset + length, 4);
    if (sum === undefined) continue;
    const expected = readU32(sum, 0);
    if (sumOf(reader, offset, offset + length, checksumSeed(0, fileNumber, offset)) === expected)
      return offset;
  }
  return undefined;
}

/** Undefined where the system cannot read all of it. */
function sumOf(reader: PieceReader, start: number, end: number, seed: number): number | undefined {
  try {
    return reader.checksum(start, end, seed);
  } catch (error) {
    if (isReadFailure(error)) return undefined;
    throw error;
  }
}
