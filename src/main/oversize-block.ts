/**
 * Blocks that are larger than a cache slot: verified, and decompressed if they are compressed, on the owner's thread. Owner
 * only. Such a block has one large value, or is of a table that was written with larger blocks than the database has now.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { BlockBounds } from '../format/block-bounds.ts';
import { decompressBlock, verifyBlock } from '../format/block-check.ts';
import { FormatError } from '../format/format-error.ts';
import { BLOCK_BYTES_MAX, PAGE_BYTES } from '../format/limits.ts';
import { VERIFY_BOUNDS } from '../protocol/requests.ts';
import type { Table } from './table.ts';

let bounds: BlockBounds | undefined;

/** The block that was read into memory of its own, as it is searched; or what is wrong with it. */
export function openOversizeBlock(
  table: Table,
  block: number,
  stored: Uint8Array,
  directory: string,
): Uint8Array | QuadringError {
  const { fileName, index } = table;
  const offset = index.pageOf(block) * PAGE_BYTES;
  const place = { file: join(directory, fileName), offset };
  const { ok, expected, actual } = verifyBlock(stored, 0, stored.length, table.number, offset);
  if (!ok) {
    const message = `reading ${fileName}: the checksum does not hold`;
    return new QuadringError('TABLE_CORRUPT', message, { ...place, expected, actual });
  }
  try {
    const { bytes, length } = decompressed(stored, index.memoryPagesOf(block) * PAGE_BYTES);
    const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
    const isUnknown = table.verificationOf(block) === VERIFY_BOUNDS;
    const isWithin = !isUnknown || (bounds ??= new BlockBounds()).hold(bytes, 0, length);
    if (isWithin && table.admits(block, words, 0, length / PAGE_BYTES)) return bytes;
    const message = `reading ${fileName}: the block's checksum holds, but it is no block`;
    return new QuadringError('TABLE_CORRUPT', message, place);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    return new QuadringError('TABLE_CORRUPT', `reading ${fileName}: ${cause.message}`, { ...place, cause });
  }
}

/** Memory for as many bytes as the index says, and how many of them the block has. */
function decompressed(stored: Uint8Array, memoryBytes: number): { bytes: Uint8Array; length: number } {
  if (memoryBytes === stored.length) return { bytes: stored, length: stored.length };
  if (memoryBytes < stored.length)
    throw new FormatError('a compressed block that is larger than others are', 0);
  const bytes = Buffer.allocUnsafeSlow(memoryBytes);
  bytes.set(stored);
  const scratch = new Uint8Array(BLOCK_BYTES_MAX);
  return { bytes, length: decompressBlock(bytes, 0, stored.length, scratch, memoryBytes) };
}
