/** What a single call may be told, checked. Owner only; pure. */
import { QuadringError } from '../errors.ts';
import type { Encoding } from './materialize.ts';
import { RANGE_OPTION_NAMES, type Range } from './range.ts';
import { Snapshot } from './snapshots.ts';
import type { WriteOptions } from './write-batch.ts';
import { abortError } from './write-path.ts';

export interface ReadOptions {
  /** Read what the database was when the snapshot was made. Default: what it is now. */
  readonly snapshot?: Snapshot;
  /** Whether blocks that have to be read stay in the cache. Default true. */
  readonly fillCache?: boolean;
  /** Aborted before a read begins: it is not begun. An iterator whose signal is aborted is closed. */
  readonly signal?: AbortSignal;
}

export interface IteratorOptions<K extends Encoding = Encoding, V extends Encoding = Encoding>
  extends Range, ReadOptions {
  /** What keys are handed out as. Default 'buffer'. */
  readonly keyEncoding?: K;
  /** What values are handed out as. Default 'buffer': a view of memory that the entries of a block share. */
  readonly valueEncoding?: V;
}

const WRITE_OPTION_NAMES = new Set<string>(['sync', 'signal'] satisfies (keyof WriteOptions)[]);
const READ_OPTION_NAMES = new Set<string>([
  'snapshot',
  'fillCache',
  'signal',
] satisfies (keyof ReadOptions)[]);
const ITERATOR_OPTION_NAMES = new Set<string>([
  ...READ_OPTION_NAMES,
  ...RANGE_OPTION_NAMES,
  'keyEncoding',
  'valueEncoding',
]);

/** Throws INVALID_ARGUMENT, or ABORTED for a signal that has been. */
export function checkWriteOptions(options: WriteOptions): void {
  checkNames(options, WRITE_OPTION_NAMES);
  checkBoolean('sync', options.sync);
  checkSignal(options.signal);
}

/** The same for a read, or an iterator; the range and the encodings are checked where they are used. */
export function checkReadOptions(options: ReadOptions, isIterator: boolean): void {
  checkNames(options, isIterator ? ITERATOR_OPTION_NAMES : READ_OPTION_NAMES);
  checkBoolean('fillCache', options.fillCache);
  if (options.snapshot !== undefined && !(options.snapshot instanceof Snapshot)) {
    throw new QuadringError('INVALID_ARGUMENT', 'snapshot must be a Snapshot');
  }
  checkSignal(options.signal);
}

function checkNames(options: object, names: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null) {
    throw new QuadringError('INVALID_ARGUMENT', 'options must be an object');
  }
  for (const name in options) {
    if (!names.has(name)) throw new QuadringError('INVALID_ARGUMENT', `option ${name} does not exist`);
  }
}

function checkBoolean(name: string, value: boolean | undefined): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw new QuadringError('INVALID_ARGUMENT', `${name} must be true or false`);
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal))
    throw new QuadringError('INVALID_ARGUMENT', 'signal must be an AbortSignal');
  if (signal.aborted) throw abortError(signal);
}
