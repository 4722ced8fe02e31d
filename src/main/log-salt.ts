/**
 * The number that the checksums of a database's logs are seeded with, found out from the logs: for when the manifest, which
 * has it, is lost. Owner only; pure but for what the reader reads.
 *
 * CRC-32C is linear: with s the salt, the checksum of a frame is c(0) ⊕ L(s), where L depends on nothing but the frame's
 * length. Its columns are c(2^i) ⊕ c(0); so each frame's checksum names the one salt under which it holds. That is no proof
 * of the frame. But frames that were changed name salts at random, and those that were not all name the same one.
 */
import { checksum, checksumSeed } from '../format/checksum.ts';
import { FRAME_FORMAT_VERSION, FRAME_HEADER_BYTES, FRAME_MAGIC } from '../format/frame.ts';
import { readU16, readU32, readU48 } from '../format/integers.ts';
import { FILE_NUMBER_MAX, LOG_BYTES_MAX, PAGE_BYTES } from '../format/limits.ts';
import type { Breather } from './breather.ts';
import type { PieceReader } from './piece-reader.ts';
import { readOr } from './table-blocks.ts';

const SALT_BITS = 32;
/** Each frame is gone through 33 times: what is longer is left out, since there are shorter ones. */
const FRAME_BYTES_MAX = 64 * 1024;
/** So many frames are looked at. */
const FRAMES_MAX = 1024;
/** By chance two of a thousand frames that were changed name the same salt once in ten thousand such logs. */
const VOTES_MIN = 2;

export class SaltVotes {
  readonly #votes = new Map<number, number>();
  #frames = 0;

  /** Takes in the frames of one log, those that an earlier log left in its file among them. */
  async add(reader: PieceReader, breather: Breather): Promise<void> {
    const end = Math.min(reader.bytes, LOG_BYTES_MAX);
    for (let offset = 0; offset < end && this.#frames < FRAMES_MAX; offset += PAGE_BYTES) {
      if (breather.isDue) await breather.breathe();
      const salt = saltOfFrame(reader, offset);
      if (salt === undefined) continue;
      this.#frames++;
      this.#votes.set(salt, (this.#votes.get(salt) ?? 0) + 1);
    }
  }

  /** The salt that most frames name; undefined where no two name the same. */
  get winner(): number | undefined {
    const [first] = [...this.#votes].sort(([, a], [, b]) => b - a);
    return first !== undefined && first[1] >= VOTES_MIN ? first[0] : undefined;
  }
}

/** Undefined where no frame begins. */
function saltOfFrame(reader: PieceReader, offset: number): number | undefined {
  const header = readOr(reader, offset, FRAME_HEADER_BYTES);
  if (header === undefined || readU16(header, 4) !== FRAME_MAGIC) return undefined;
  if (header[6] !== FRAME_FORMAT_VERSION || readU48(header, 8) > FILE_NUMBER_MAX) return undefined;
  const length = FRAME_HEADER_BYTES + readU32(header, 28);
  const fileNumber = readU48(header, 8);
  const frame = length > FRAME_BYTES_MAX ? undefined : readOr(reader, offset, length);
  if (frame === undefined) return undefined;
  const sumWith = (salt: number): number =>
    checksum(frame, 4, length, checksumSeed(salt, fileNumber, offset));
  const base = sumWith(0);
  const columns = Array.from({ length: SALT_BITS }, (_, bit) => (sumWith((1 << bit) >>> 0) ^ base) >>> 0);
  return solve(columns, (readU32(frame, 0) ^ base) >>> 0);
}

/** The number whose bits choose columns that add up (exclusive or) to `target`; undefined if none does. */
function solve(columns: readonly number[], target: number): number | undefined {
  // Gauss: by its highest bit, a column and the bits that made it of the original ones.
  const basis = new Map<number, { readonly value: number; readonly bits: number }>();
  const reduced = (value: number, bits: number): { value: number; bits: number } => {
    let left = value;
    let made = bits;
    while (left !== 0) {
      const found = basis.get(31 - Math.clz32(left));
      if (found === undefined) break;
      left = (left ^ found.value) >>> 0;
      made = (made ^ found.bits) >>> 0;
    }
    return { value: left, bits: made };
  };
  for (const [bit, column] of columns.entries()) {
    const rest = reduced(column, (1 << bit) >>> 0);
    if (rest.value !== 0) basis.set(31 - Math.clz32(rest.value), rest);
  }
  const { value, bits } = reduced(target, 0);
  return value === 0 ? bits : undefined;
}
