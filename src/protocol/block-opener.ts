/**
 * What a block that was read passes before it is searched: its checksum, its decompression, its bounds. Whoever reads blocks
 * into slots of the pool: the foreground thread, and the owner for what it reads itself.
 */
import { BlockBounds } from '../format/block-bounds.ts';
import { decompressBlock } from '../format/block-check.ts';
import { FormatError } from '../format/format-error.ts';
import { BLOCK_BYTES_MAX, PAGE_BYTES } from '../format/limits.ts';
import { RESULT_MALFORMED, RESULT_UNDECOMPRESSED, VERIFY_BOUNDS } from './requests.ts';

export class BlockOpener {
  readonly #bounds = new BlockBounds();
  /** Compressed bytes, while they are decompressed to where they were. */
  readonly #scratch = new Uint8Array(BLOCK_BYTES_MAX);

  /**
   * Makes a block whose checksum holds what it was before it was compressed, if it is, within its slot of `slotBytes`, and
   * looks at whether it can be searched, if nobody knows that yet (`verify`, a VERIFY_). Its pages then, or a RESULT_.
   */
  open(pool: Uint8Array, target: number, length: number, verify: number, slotBytes: number): number {
    let opened: number;
    try {
      opened = decompressBlock(pool, target, length, this.#scratch, slotBytes);
    } catch (error) {
      if (error instanceof FormatError) return RESULT_UNDECOMPRESSED;
      throw error;
    }
    if (verify === VERIFY_BOUNDS && !this.#bounds.hold(pool, target, opened)) return RESULT_MALFORMED;
    return opened / PAGE_BYTES;
  }
}
