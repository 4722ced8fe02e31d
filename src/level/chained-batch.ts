/**
 * A chained batch over the core's: what is added is encoded and copied at once, and written as it lies there. Owner
 * only.
 */
import { AbstractChainedBatch } from 'abstract-level';
import type { WriteBatch } from '../index.ts';
import { writeOptions, type PrivateWriteOptions } from './options.ts';
import type { Format } from './types.ts';

export class LevelChainedBatch<TDatabase, K, V> extends AbstractChainedBatch<TDatabase, K, V> {
  readonly #batch: WriteBatch;

  constructor(database: TDatabase, batch: WriteBatch) {
    super(database);
    this.#batch = batch;
  }

  /** @internal */
  _put(key: Format, value: Format): void {
    this.#batch.put(key, value);
  }

  /** @internal */
  _del(key: Format): void {
    this.#batch.del(key);
  }

  /** @internal */
  _clear(): void {
    this.#batch.clear();
  }

  /** @internal */
  _write(options: PrivateWriteOptions): Promise<void> {
    return this.#batch.write(writeOptions(options));
  }
}
