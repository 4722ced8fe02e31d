/**
 * Entry after entry of a table file, without a cache or a ring: what verification and repair read by when they have
 * examined it. Owner only.
 */
import { join } from 'node:path';
import { QuadringError } from '../errors.ts';
import { BlockCursor } from '../format/block-cursor.ts';
import { BLOCK_TRAILER_BYTES, decompressBlock, verifyBlock } from '../format/block-check.ts';
import { COMPRESSION_NONE } from '../format/compression.ts';
import { tableName } from '../format/file-names.ts';
import { BLOCK_BYTES_MAX } from '../format/limits.ts';
import type { FileSystem } from './file-system.ts';
import { PieceReader } from './piece-reader.ts';
import type { BlockPlace } from './table-blocks.ts';

const NOTHING = new Uint8Array(0);
const KEY_BYTES_FIRST = 256;

/** Walks the blocks of one table, in order. The fields are those of the entry that `next` has gone to. */
export class TableWalk {
  key: Uint8Array = new Uint8Array(KEY_BYTES_FIRST);
  keyLength = 0;
  sequence = 0;
  kind = 0;
  /** The memory that the value is in, until the next call of `next`. */
  bytes: Uint8Array = NOTHING;
  valueStart = 0;
  valueLength = 0;
  readonly #number: number;
  readonly #file: string;
  readonly #places: readonly BlockPlace[];
  readonly #reader: PieceReader;
  readonly #cursor = new BlockCursor();
  #room = NOTHING;
  #scratch = NOTHING;
  #nextPlace = 0;
  #ordinal = 0;

  /** REQUIRES: blocks that were examined and are sound. Throws what the system says. */
  constructor(fileSystem: FileSystem, directory: string, number: number, places: readonly BlockPlace[]) {
    this.#number = number;
    this.#file = join(directory, tableName(number));
    this.#places = places;
    this.#reader = new PieceReader(fileSystem.openFile(this.#file));
  }

  /** Goes to the next entry; false behind the last one. Throws TABLE_CORRUPT where a block is not sound any more. */
  next(): boolean {
    const cursor = this.#cursor;
    if (this.#ordinal === cursor.count && !this.#enterBlock()) return false;
    cursor.read(this.#ordinal++);
    this.sequence = cursor.sequence;
    this.kind = cursor.kind;
    this.bytes = cursor.bytes;
    this.valueStart = cursor.valueStart;
    this.valueLength = cursor.valueLength;
    this.keyLength = cursor.prefixLength + cursor.suffixLength;
    if (this.keyLength > this.key.length) this.key = new Uint8Array(2 * this.keyLength);
    cursor.copyKey(this.key);
    return true;
  }

  close(): void {
    this.#reader.close();
  }

  #enterBlock(): boolean {
    if (this.#nextPlace === this.#places.length) return false;
    const { offset, length } = this.#places[this.#nextPlace++];
    const bytes = this.#reader.view(offset, length);
    const verified = bytes.length === length && verifyBlock(bytes, 0, length, this.#number, offset);
    if (verified === false || !verified.ok) {
      const sums = verified === false ? {} : { expected: verified.expected, actual: verified.actual };
      const message = `${tableName(this.#number)} has changed since it was looked at`;
      throw new QuadringError('TABLE_CORRUPT', message, { file: this.#file, offset, ...sums });
    }
    this.#cursor.enter(this.#plain(bytes), 0);
    this.#ordinal = 0;
    return true;
  }

  #plain(bytes: Uint8Array): Uint8Array {
    if (bytes[bytes.length - BLOCK_TRAILER_BYTES + 4] === COMPRESSION_NONE) return bytes;
    if (this.#room.length === 0) {
      this.#room = new Uint8Array(BLOCK_BYTES_MAX);
      this.#scratch = new Uint8Array(BLOCK_BYTES_MAX);
    }
    this.#room.set(bytes);
    decompressBlock(this.#room, 0, bytes.length, this.#scratch);
    return this.#room;
  }
}
