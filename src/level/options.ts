/**
 * abstract-level's options as the core wants them. Pure.
 *
 * abstract-level hands on every option it was given, with those of other layers and of the user among them, and an
 * option that nobody knows is no error there. The core refuses what it does not know. So options are picked by name,
 * and nothing is allocated where none is given.
 */
import type { AbstractSnapshot } from 'abstract-level';
import type {
  Bytes,
  DatabaseOptions,
  Encoding,
  IteratorOptions,
  Range,
  ReadOptions,
  WriteOptions,
} from '../index.ts';
import { LevelSnapshot } from './snapshot.ts';
import type { Format, OpenOptions } from './types.ts';

/** How abstract-level names what it wants to get: a Buffer is a view. */
export type FormatName = 'buffer' | 'view' | 'utf8';

export interface PrivateReadOptions {
  readonly keyEncoding: FormatName;
  readonly valueEncoding?: FormatName;
  readonly snapshot?: AbstractSnapshot | null;
  readonly fillCache?: boolean;
}

export interface PrivateWriteOptions {
  readonly sync?: boolean;
}

export interface PrivateRangeOptions {
  readonly gt?: Format;
  readonly gte?: Format;
  readonly lt?: Format;
  readonly lte?: Format;
  readonly reverse: boolean;
  /** −1 is none. */
  readonly limit: number;
}

export interface PrivateClearOptions extends PrivateRangeOptions, PrivateWriteOptions {
  readonly keyEncoding: FormatName;
  readonly snapshot?: AbstractSnapshot | null;
}

export interface PrivateIteratorOptions extends PrivateRangeOptions, PrivateReadOptions {
  /** Both true unless an iterator of entries was asked for keys or values only. */
  readonly keys?: boolean;
  readonly values?: boolean;
  readonly signal?: AbortSignal | null;
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Every option of the core's `open`; the compiler sees that none is missing. */
const DATABASE_OPTIONS = Object.keys({
  createIfMissing: true,
  errorIfExists: true,
  lockTimeoutMs: true,
  blockCacheBytes: true,
  blockBytes: true,
  writeBufferBytes: true,
  filterBitsPerKey: true,
  compression: true,
  compaction: true,
  hugePages: true,
  readAhead: true,
  io: true,
} satisfies Record<keyof DatabaseOptions, true>) as readonly (keyof DatabaseOptions)[];

export function databaseOptions(options: OpenOptions): DatabaseOptions {
  const isOurs = (name: keyof DatabaseOptions): boolean =>
    // Other stores have an option of this name that is true or false.
    options[name] !== undefined && !(name === 'compression' && typeof options[name] === 'boolean');
  return Object.fromEntries(DATABASE_OPTIONS.filter(isOurs).map((name) => [name, options[name]]));
}

/** Undefined where there is nothing to say. Throws INVALID_ARGUMENT for a snapshot that is not ours. */
export function readOptions(options: PrivateReadOptions): ReadOptions | undefined {
  const { snapshot, fillCache } = options;
  const hasSnapshot = snapshot !== undefined && snapshot !== null;
  if (!hasSnapshot && fillCache === undefined) return undefined;
  const given: Mutable<ReadOptions> = {};
  if (hasSnapshot) given.snapshot = LevelSnapshot.coreOf(snapshot);
  if (fillCache !== undefined) given.fillCache = fillCache;
  return given;
}

const SYNC: WriteOptions = Object.freeze({ sync: true });
const NO_SYNC: WriteOptions = Object.freeze({ sync: false });

export function writeOptions({ sync }: PrivateWriteOptions): WriteOptions | undefined {
  if (sync === undefined) return undefined;
  if (sync === false) return NO_SYNC;
  // Anything but true is the core's to refuse.
  return sync === true ? SYNC : { sync };
}

export function rangeOf(options: PrivateRangeOptions): Range {
  const { reverse, limit } = options;
  return { ...boundsOf(options), reverse, limit };
}

/** `gte` and `lte` take precedence. */
export function boundsOf({ gt, gte, lt, lte }: PrivateRangeOptions): Range {
  const range: Mutable<Range> = {};
  if (gte !== undefined) range.gte = gte;
  else if (gt !== undefined) range.gt = gt;
  if (lte !== undefined) range.lte = lte;
  else if (lt !== undefined) range.lt = lt;
  return range;
}

/** As `readOptions`. */
export function iteratorOptions(options: PrivateIteratorOptions): IteratorOptions {
  const { keyEncoding, valueEncoding, signal } = options;
  const given: Mutable<IteratorOptions> = { ...rangeOf(options), ...readOptions(options) };
  given.keyEncoding = coreEncoding(keyEncoding);
  given.valueEncoding = coreEncoding(valueEncoding);
  // abstract-level refuses every read of an iterator whose signal is aborted already.
  if (signal !== undefined && signal !== null && !signal.aborted) given.signal = signal;
  return given;
}

function coreEncoding(format: FormatName | undefined): Encoding {
  return format === 'utf8' ? 'utf8' : 'buffer';
}

/** Bytes of a key or bound, to compare with others. */
export function bytesOf(data: Bytes): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data;
}

export function isInRange(key: Uint8Array, options: PrivateRangeOptions): boolean {
  const { gt, gte, lt, lte } = rangeOf(options);
  return (
    (gt === undefined || Buffer.compare(key, bytesOf(gt)) > 0) &&
    (gte === undefined || Buffer.compare(key, bytesOf(gte)) >= 0) &&
    (lt === undefined || Buffer.compare(key, bytesOf(lt)) < 0) &&
    (lte === undefined || Buffer.compare(key, bytesOf(lte)) <= 0)
  );
}
