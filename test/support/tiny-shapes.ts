/** Options under which a small database goes through many compactions, in all compressions. */
import fc from 'fast-check';
import type { CompactionOptions, DatabaseOptions } from '../../src/index.ts';
import { isCompressionAvailable } from '../../src/format/compression.ts';

type Compression = NonNullable<DatabaseOptions['compression']>;

const zstd: Compression[] = isCompressionAvailable('zstd') ? ['zstd', ['lz4', 'zstd']] : [];

export const tinyCompression: fc.Arbitrary<Compression> = fc.constantFrom<Compression>(
  'none',
  'none',
  'lz4',
  ['none', 'lz4'],
  ['lz4', 'none', 'none', 'none', 'none', 'lz4', 'none'],
  ...zstd,
);

/** At every opportunity: two tables of level 0, and whenever nothing was written for some milliseconds. */
export const tinyCompaction: fc.Arbitrary<CompactionOptions> = fc.record({
  rateBytesPerSecond: fc.constantFrom(0, 'auto' as const),
  l0Trigger: fc.constantFrom(2, 2, 3),
  l0Slowdown: fc.constantFrom(4, 12),
  tableBytes: fc.constant(65_536),
  baseBytes: fc.constantFrom(65_536, 131_072, 1 << 20),
  multiplier: fc.constantFrom(2, 3, 10),
  idleMs: fc.constantFrom(0, 1, 5, 50),
  spareBytes: fc.constantFrom('auto' as const, 0, 100_000, 1 << 24),
});
