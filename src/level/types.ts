/**
 * What abstract-level's declarations do not say of this database: our options, and the public methods that take them.
 * Types only.
 */
import type {
  AbstractBatchOperation,
  AbstractBatchOptions,
  AbstractChainedBatch,
  AbstractChainedBatchWriteOptions,
  AbstractClearOptions,
  AbstractDatabaseOptions,
  AbstractDelOptions,
  AbstractGetManyOptions,
  AbstractGetOptions,
  AbstractHasManyOptions,
  AbstractHasOptions,
  AbstractIterator,
  AbstractIteratorOptions,
  AbstractKeyIterator,
  AbstractKeyIteratorOptions,
  AbstractLevel,
  AbstractOpenOptions,
  AbstractPutOptions,
  AbstractValueIterator,
  AbstractValueIteratorOptions,
  Transcoder,
} from 'abstract-level';
import type { DatabaseOptions } from '../index.ts';

/** What keys and values are between abstract-level's encodings and the core. */
export type Format = string | Buffer | Uint8Array;

/** Options of quadring that abstract-level does not know. */
type OwnOptions = {
  [Name in Exclude<keyof DatabaseOptions, keyof AbstractOpenOptions>]?: DatabaseOptions[Name] | undefined;
};

/** Options of the constructor. All but the encodings are those of `open()` as well, which take precedence. */
export interface LevelOptions<K, V> extends AbstractDatabaseOptions<K, V>, OwnOptions {}

/** Options of `open()`. */
export interface OpenOptions extends AbstractOpenOptions, OwnOptions {}

interface ReadExtras {
  /** Whether blocks that are read from the disk are kept in the cache. Default true, for iterators as well. */
  readonly fillCache?: boolean | undefined;
}

interface WriteExtras {
  /**
   * Whether what is written is durable when the promise resolves. The default is **true**, where classic-level's is
   * false. With false the promise resolves when the write is visible and on its way to the log; a crash can lose such
   * writes, though never an earlier one without all later ones.
   */
  readonly sync?: boolean | undefined;
}

export interface GetOptions<K, V> extends AbstractGetOptions<K, V>, ReadExtras {}
export interface GetManyOptions<K, V> extends AbstractGetManyOptions<K, V>, ReadExtras {}
export interface HasOptions<K> extends AbstractHasOptions<K>, ReadExtras {}
export interface HasManyOptions<K> extends AbstractHasManyOptions<K>, ReadExtras {}
export interface PutOptions<K, V> extends AbstractPutOptions<K, V>, WriteExtras {}
export interface DelOptions<K> extends AbstractDelOptions<K>, WriteExtras {}
export interface BatchOptions<K, V> extends AbstractBatchOptions<K, V>, WriteExtras {}
export interface ChainedBatchWriteOptions extends AbstractChainedBatchWriteOptions, WriteExtras {}
export interface ClearOptions<K> extends AbstractClearOptions<K>, WriteExtras {}
export interface IteratorOptions<K, V> extends AbstractIteratorOptions<K, V>, ReadExtras {}
export interface KeyIteratorOptions<K> extends AbstractKeyIteratorOptions<K>, ReadExtras {}
export interface ValueIteratorOptions<K, V> extends AbstractValueIteratorOptions<K, V>, ReadExtras {}

/** Options of `approximateSize()`. */
export interface SizeOptions<K> {
  /** Encoding of `start` and `end`, where it is not the database's. */
  readonly keyEncoding?: string | Transcoder.PartialEncoder<K> | undefined;
}

/** A batch that is filled operation by operation. Keys and values are copied as they are added. */
export interface ChainedBatch<TDatabase, K, V> extends AbstractChainedBatch<TDatabase, K, V> {
  write(): Promise<void>;
  write(options: ChainedBatchWriteOptions): Promise<void>;
}

/** abstract-level's public methods, with our options. */
export interface TypedLevel<KDefault, VDefault> extends AbstractLevel<Format, KDefault, VDefault> {
  open(): Promise<void>;
  open(options: OpenOptions): Promise<void>;

  get(key: KDefault): Promise<VDefault | undefined>;
  get<K = KDefault, V = VDefault>(key: K, options: GetOptions<K, V>): Promise<V | undefined>;

  getSync(key: KDefault): VDefault | undefined;
  getSync<K = KDefault, V = VDefault>(key: K, options: GetOptions<K, V>): V | undefined;

  getMany(keys: KDefault[]): Promise<(VDefault | undefined)[]>;
  getMany<K = KDefault, V = VDefault>(keys: K[], options: GetManyOptions<K, V>): Promise<(V | undefined)[]>;

  has(key: KDefault): Promise<boolean>;
  has<K = KDefault>(key: K, options: HasOptions<K>): Promise<boolean>;

  hasMany(keys: KDefault[]): Promise<boolean[]>;
  hasMany<K = KDefault>(keys: K[], options: HasManyOptions<K>): Promise<boolean[]>;

  put(key: KDefault, value: VDefault): Promise<void>;
  put<K = KDefault, V = VDefault>(key: K, value: V, options: PutOptions<K, V>): Promise<void>;

  del(key: KDefault): Promise<void>;
  del<K = KDefault>(key: K, options: DelOptions<K>): Promise<void>;

  batch(operations: AbstractBatchOperation<this, KDefault, VDefault>[]): Promise<void>;
  batch<K = KDefault, V = VDefault>(
    operations: AbstractBatchOperation<this, K, V>[],
    options: BatchOptions<K, V>,
  ): Promise<void>;
  batch(): ChainedBatch<this, KDefault, VDefault>;

  iterator(): AbstractIterator<this, KDefault, VDefault>;
  iterator<K = KDefault, V = VDefault>(options: IteratorOptions<K, V>): AbstractIterator<this, K, V>;

  keys(): AbstractKeyIterator<this, KDefault>;
  keys<K = KDefault>(options: KeyIteratorOptions<K>): AbstractKeyIterator<this, K>;

  values(): AbstractValueIterator<this, KDefault, VDefault>;
  values<K = KDefault, V = VDefault>(options: ValueIteratorOptions<K, V>): AbstractValueIterator<this, K, V>;

  clear(): Promise<void>;
  clear<K = KDefault>(options: ClearOptions<K>): Promise<void>;
}
