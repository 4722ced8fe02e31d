/**
 * Entry after entry of a data block, in either direction. Pure; any thread.
 *
 * What all entries share (where the offset table is, the prefix, the base sequence number) is read once, when the block
 * is entered; see block.ts for the bytes. A user key is the block's prefix followed by the entry's suffix.
 */
import { BLOCK_HEADER_BYTES, LONG_SUFFIX } from './block.ts';
import { readU16, readU48 } from './integers.ts';
import { SEQUENCE_MAX } from './limits.ts';

const NOTHING = new Uint8Array(0);

export class BlockCursor {
  /** The memory that all places below are in. */
  bytes: Uint8Array = NOTHING;
  /** How many entries the block has. */
  count = 0;
  prefixStart = 0;
  prefixLength = 0;
  kind = 0;
  /** Begins as a number that needs a double, so that the field never has to change its representation. */
  sequence: number = SEQUENCE_MAX;
  suffixStart = 0;
  suffixLength = 0;
  valueStart = 0;
  valueLength = 0;
  #base = 0;
  #offsets = 0;
  #baseSequence: number = SEQUENCE_MAX;

  /** REQUIRES: a verified block at `base`. */
  enter(bytes: Uint8Array, base: number): void {
    this.bytes = bytes;
    this.#base = base;
    this.count = readU16(bytes, base);
    this.#offsets = base + BLOCK_HEADER_BYTES + (2 << bytes[base + 2]);
    this.prefixStart = this.#offsets + 2 * this.count;
    this.prefixLength = readU16(bytes, base + 4);
    this.#baseSequence = readU48(bytes, base + 8);
  }

  /** Where entry `ordinal` begins; behind it come those behind it. */
  startOf(ordinal: number): number {
    return this.#base + readU16(this.bytes, this.#offsets + 2 * ordinal);
  }

  /**
   * HOT (scans). Reads entry `ordinal`. REQUIRES: 0 <= ordinal < count. What follows the suffix is decoded as in block.ts,
   * written out once more: shared, it would see two classes, on the hottest path of either.
   */
  read(ordinal: number): void {
    const bytes = this.bytes;
    const offsetAt = this.#offsets + 2 * ordinal;
    let at = this.#base + (bytes[offsetAt] | (bytes[offsetAt + 1] << 8));
    let suffixLength = bytes[at];
    const tag = bytes[at + 1];
    at += 2;
    if (suffixLength === LONG_SUFFIX) {
      suffixLength = bytes[at] | (bytes[at + 1] << 8);
      at += 2;
    }
    this.suffixStart = at;
    this.suffixLength = suffixLength;
    at += suffixLength;
    let valueLength = bytes[at++];
    if (valueLength >= 128) {
      valueLength &= 127;
      let shift = 7;
      let byte = 128;
      while (byte >= 128) {
        byte = bytes[at++];
        valueLength |= (byte & 127) << shift;
        shift += 7;
      }
    }
    const deltaEnd = at + (tag >>> 4);
    let sequence = this.#baseSequence;
    let scale = 1;
    while (at < deltaEnd) {
      sequence += bytes[at++] * scale;
      scale *= 256;
    }
    this.kind = tag & 15;
    this.sequence = sequence;
    this.valueStart = at;
    this.valueLength = valueLength;
  }

  /** HOT (scans). Copies the user key to the beginning of `target` and returns its length. Plain loops: keys are short. */
  copyKey(target: Uint8Array): number {
    const { bytes, prefixStart, prefixLength, suffixStart, suffixLength } = this;
    for (let i = 0; i < prefixLength; i++) target[i] = bytes[prefixStart + i];
    for (let i = 0; i < suffixLength; i++) target[prefixLength + i] = bytes[suffixStart + i];
    return prefixLength + suffixLength;
  }

  /** Whether the entry's suffix is the one at `start`, an entry's of the same block: then both have the same user key. */
  hasSuffix(start: number, length: number): boolean {
    if (this.suffixLength !== length) return false;
    const { bytes, suffixStart } = this;
    // From the end: neighbours differ there first.
    for (let i = length - 1; i >= 0; i--) if (bytes[suffixStart + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Whether the entry's user key is `key`. */
  hasKey(key: Uint8Array, keyLength: number): boolean {
    const { bytes, prefixStart, prefixLength, suffixStart, suffixLength } = this;
    if (prefixLength + suffixLength !== keyLength) return false;
    for (let i = 0; i < prefixLength; i++) if (bytes[prefixStart + i] !== key[i]) return false;
    for (let i = 0; i < suffixLength; i++) if (bytes[suffixStart + i] !== key[prefixLength + i]) return false;
    return true;
  }
}
