/**
 * Checksums: CRC-32C that also covers where the bytes belong. Pure; any thread (each thread loads the addon itself).
 *
 * The seed is the CRC-32C of
 *
 *   ┌──────────┬─────────────┬──────────────────┐
 *   │ u32 salt │ u32 file nr │ u64 offset       │  little-endian, 16 bytes
 *   └──────────┴─────────────┴──────────────────┘
 *
 * and the checksum goes on from it over the bytes: it is the CRC of place and bytes together. A block that was written
 * to, or read from, the wrong place does not verify, and neither does a page of zeros. The salt is the database's own
 * for logs (what another database left in a recycled file does not verify) and 0 for manifests, which the salt is read
 * from, and for tables, which can be verified alone.
 */
import { native } from '../native.ts';
import { writeU32 } from './integers.ts';

/** Scratch for the 16 bytes of the place; one for each thread, because each thread has its own modules. */
const place = new Uint8Array(16);

/** REQUIRES: salt and fileNumber below 2^32, offset below 2^53. */
export function checksumSeed(salt: number, fileNumber: number, offset: number): number {
  writeU32(place, 0, salt);
  writeU32(place, 4, fileNumber);
  writeU32(place, 8, offset >>> 0);
  writeU32(place, 12, Math.floor(offset / 0x1_0000_0000));
  return native.crc32c(place, 0, 16, 0);
}

/** CRC-32C of `bytes[start, end)` continued from `seed`, which may be the checksum of the bytes before; unsigned. */
export function checksum(bytes: Uint8Array, start: number, end: number, seed: number): number {
  return native.crc32c(bytes, start, end, seed);
}
