/**
 * abstract-level's three kinds of iterators over the core's. Owner only.
 *
 * abstract-level counts, decodes, and refuses calls that overlap or come after the limit; the cursor reads.
 */
import {
  AbstractIterator,
  AbstractKeyIterator,
  AbstractValueIterator,
  type AbstractIteratorOptions,
  type AbstractKeyIteratorOptions,
  type AbstractValueIteratorOptions,
} from 'abstract-level';
import type { Bytes, Database, IteratorOptions } from '../index.ts';
import { Cursor, type Source } from './cursor.ts';
import { iteratorOptions, type PrivateIteratorOptions } from './options.ts';
import type { Format } from './types.ts';

/** What is not asked for is undefined. */
type Entry = [key: Format | undefined, value: Format | undefined];

const CURSOR = Symbol('cursor');

interface Reader {
  readonly [CURSOR]: Cursor<unknown>;
  readonly limit: number;
  readonly count: number;
}

/** What abstract-level calls, the same for all three kinds. */
const reading = {
  _next(this: Reader): Promise<unknown> {
    return this[CURSOR].next();
  },

  _nextv(this: Reader, size: number): Promise<unknown[]> {
    return this[CURSOR].nextv(size);
  },

  _all(this: Reader): Promise<unknown[]> {
    return this[CURSOR].all(this.limit - this.count);
  },

  _seek(this: Reader, target: Bytes): void {
    this[CURSOR].seek(target);
  },

  _close(this: Reader): Promise<void> {
    return this[CURSOR].close();
  },
};

/** Entries. One that is asked for keys or values only reads nothing else. */
export class LevelIterator<TDatabase, K, V> extends AbstractIterator<TDatabase, K, V> {
  readonly [CURSOR]: Cursor<Entry>;

  constructor(level: TDatabase, database: Database, options: PrivateIteratorOptions) {
    const cursor = openCursor(options, (given) => entriesOf(database, options, given));
    super(level, options as AbstractIteratorOptions<K, V>);
    this[CURSOR] = cursor;
  }
}

export class LevelKeyIterator<TDatabase, K> extends AbstractKeyIterator<TDatabase, K> {
  readonly [CURSOR]: Cursor<Format>;

  constructor(level: TDatabase, database: Database, options: PrivateIteratorOptions) {
    const cursor = openCursor<Format>(options, (given) => database.keys(given));
    super(level, options as AbstractKeyIteratorOptions<K>);
    this[CURSOR] = cursor;
  }
}

export class LevelValueIterator<TDatabase, K, V> extends AbstractValueIterator<TDatabase, K, V> {
  readonly [CURSOR]: Cursor<Format>;

  constructor(level: TDatabase, database: Database, options: PrivateIteratorOptions) {
    const cursor = openCursor<Format>(options, (given) => database.values(given));
    super(level, options as AbstractValueIteratorOptions<K, V>);
    this[CURSOR] = cursor;
  }
}

for (const { prototype } of [LevelIterator, LevelKeyIterator, LevelValueIterator]) {
  Object.assign(prototype, reading);
}

/** Throws LEVEL_SNAPSHOT_NOT_OPEN, which abstract-level leaves to the first read, if the snapshot is closed already. */
function openCursor<Item>(
  options: PrivateIteratorOptions,
  open: (given: IteratorOptions) => Source<Item>,
): Cursor<Item> {
  options.snapshot?.ref();
  try {
    return new Cursor(open(iteratorOptions(options)), options);
  } finally {
    options.snapshot?.unref();
  }
}

function entriesOf(
  database: Database,
  options: PrivateIteratorOptions,
  given: IteratorOptions,
): Source<Entry> {
  if (options.values === false) {
    const withKeys = options.keys !== false;
    return new HalfEntries(database.keys(given), (key) => [withKeys ? key : undefined, undefined]);
  }
  if (options.keys === false) return new HalfEntries(database.values(given), (value) => [undefined, value]);
  return database.iterator(given);
}

/** An iterator of keys or of values that hands out entries. */
class HalfEntries implements Source<Entry> {
  readonly #source: Source<Format>;
  readonly #entry: (half: Format) => Entry;

  constructor(source: Source<Format>, entry: (half: Format) => Entry) {
    this.#source = source;
    this.#entry = entry;
  }

  async next(): Promise<Entry | undefined> {
    const half = await this.#source.next();
    return half === undefined ? undefined : this.#entry(half);
  }

  async nextv(count: number): Promise<Entry[]> {
    const halves = await this.#source.nextv(count);
    return halves.map(this.#entry);
  }

  seek(target: Bytes): void {
    this.#source.seek(target);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
