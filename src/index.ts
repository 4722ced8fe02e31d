/** quadring: an embedded, ordered, durable key-value store on four io_uring rings. The public surface. */
export { Database, type ReadOptions } from './main/database.ts';
export { ERROR_CODES, QuadringError, type ErrorCode } from './errors.ts';
export type { Bytes } from './main/bytes.ts';
export type { DatabaseOptions, IoOptions } from './main/options.ts';
export type { DatabaseStats, LevelStatistics, RingStatistics } from './main/statistics.ts';
export type { BatchOperation, WriteBatch, WriteOptions } from './main/write-batch.ts';
