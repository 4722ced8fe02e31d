/** A scan as a caller's options want it. Owner only. */
import type { KeyScratch } from './bytes.ts';
import type { CursorOptions } from './call-options.ts';
import type { Engine } from './engine.ts';
import { isReverseOf, keyRangeOf, limitOf } from './range.ts';
import { Scan } from './scan.ts';

/** Throws INVALID_ARGUMENT, KEY_TOO_LARGE or CLOSED. `keepsBlocks`: see `TableCursorOptions`. */
export function openScan(
  engine: Engine,
  options: CursorOptions,
  key: KeyScratch,
  keepsBlocks: boolean,
): Scan {
  return new Scan(engine, {
    range: keyRangeOf(options, key),
    isReverse: isReverseOf(options),
    limit: limitOf(options),
    sequence: engine.readableSequenceOf(options.snapshot),
    fillCache: options.fillCache !== false,
    keepsBlocks,
  });
}
