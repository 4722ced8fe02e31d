/** A scan as a caller's options want it. Owner only. */
import type { KeyScratch } from './bytes.ts';
import type { CursorOptions } from './call-options.ts';
import type { Engine } from './engine.ts';
import { isReverseOf, keyRangeOf, limitOf, type KeyRange } from './range.ts';
import { Scan } from './scan.ts';

export interface OpenedScan {
  readonly scan: Scan;
  readonly range: KeyRange;
  readonly isReverse: boolean;
  /** Infinity: none. */
  readonly limit: number;
}

/** Throws INVALID_ARGUMENT, KEY_TOO_LARGE or CLOSED. `keepsBlocks`: see `TableCursorOptions`. */
export function openScan(
  engine: Engine,
  options: CursorOptions,
  key: KeyScratch,
  keepsBlocks: boolean,
): OpenedScan {
  const range = keyRangeOf(options, key);
  const isReverse = isReverseOf(options);
  const limit = limitOf(options);
  const scan = new Scan(engine, {
    range,
    isReverse,
    limit,
    sequence: engine.readableSequenceOf(options.snapshot),
    fillCache: options.fillCache !== false,
    keepsBlocks,
  });
  return { scan, range, isReverse, limit };
}
