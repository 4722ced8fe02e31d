/** quadring/level: the database as an abstract-level database. The public surface of that. Owner only. */
export { QuadringLevel } from './level/quadring-level.ts';
export type {
  BatchOptions,
  ChainedBatch,
  ChainedBatchWriteOptions,
  ClearOptions,
  DelOptions,
  Format,
  GetManyOptions,
  GetOptions,
  HasManyOptions,
  HasOptions,
  IteratorOptions,
  KeyIteratorOptions,
  LevelOptions,
  OpenOptions,
  PutOptions,
  SizeOptions,
  ValueIteratorOptions,
} from './level/types.ts';
