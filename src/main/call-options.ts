/** What a single call may be told, checked. Owner only; pure. */
import { QuadringError } from '../errors.ts';
import { isByteArray } from './bytes.ts';
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

/** A cursor does everything in the call: once it is made, no signal reaches it. */
export interface CursorOptions extends Range, ReadOptions {}

const WRITE_OPTION_NAMES = new Set<string>(['sync', 'signal'] satisfies (keyof WriteOptions)[]);
const READ_OPTION_NAMES = new Set<string>([
  'snapshot',
  'fillCache',
  'signal',
] satisfies (keyof ReadOptions)[]);
const RANGE_NAMES = new Set<string>(RANGE_OPTION_NAMES);
const CURSOR_OPTION_NAMES = new Set<string>([...READ_OPTION_NAMES, ...RANGE_OPTION_NAMES]);
const ITERATOR_OPTION_NAMES = new Set<string>([...CURSOR_OPTION_NAMES, 'keyEncoding', 'valueEncoding']);

/** Throws INVALID_ARGUMENT, or ABORTED for a signal that has been. */
export function checkWriteOptions(options: WriteOptions): void {
  checkNames(options, WRITE_OPTION_NAMES);
  checkBoolean('sync', options.sync);
  checkSignal(options.signal);
}

/** The same for a read. */
export function checkReadOptions(options: ReadOptions): void {
  checkNames(options, READ_OPTION_NAMES);
  checkRead(options);
}

/** The same for an iterator; the range is checked where it is used. Returns the encodings. */
export function checkIteratorOptions(options: IteratorOptions): {
  keyEncoding: Encoding;
  valueEncoding: Encoding;
} {
  checkNames(options, ITERATOR_OPTION_NAMES);
  checkRead(options);
  return {
    keyEncoding: encodingOf('keyEncoding', options.keyEncoding),
    valueEncoding: encodingOf('valueEncoding', options.valueEncoding),
  };
}

/** The same for a cursor. */
export function checkCursorOptions(options: CursorOptions): void {
  checkNames(options, CURSOR_OPTION_NAMES);
  checkRead(options);
}

/** The same for a range alone. */
export function checkRange(range: Range): void {
  checkNames(range, RANGE_NAMES, 'the range');
}

/** The same for a range that is to be deleted, all of it: an order or a limit would make it less. */
export function checkDeletedRange(range: Range): void {
  if (Array.isArray(range) || ArrayBuffer.isView(range)) {
    throw new QuadringError('INVALID_ARGUMENT', 'the range must be an object with bounds');
  }
  checkNames(range, RANGE_NAMES, 'the range');
  if (range.reverse === undefined && range.limit === undefined) return;
  throw new QuadringError('INVALID_ARGUMENT', 'a range that is deleted has no order and no limit');
}

function checkRead({ snapshot, fillCache, signal }: ReadOptions): void {
  checkBoolean('fillCache', fillCache);
  if (snapshot !== undefined && !(snapshot instanceof Snapshot)) {
    throw new QuadringError('INVALID_ARGUMENT', 'snapshot must be a Snapshot');
  }
  checkSignal(signal);
}

function encodingOf(name: string, encoding: Encoding | undefined): Encoding {
  if (encoding === undefined) return 'buffer';
  if (encoding === 'buffer' || encoding === 'utf8' || encoding === 'latin1') return encoding;
  throw new QuadringError('INVALID_ARGUMENT', `${name} must be 'buffer', 'utf8' or 'latin1'`);
}

/** Throws INVALID_ARGUMENT for what nothing can be copied to. */
export function checkTarget(target: Uint8Array): void {
  if (!isByteArray(target)) throw new QuadringError('INVALID_ARGUMENT', 'the target must be a Uint8Array');
}

/** Throws INVALID_ARGUMENT for what no string is made by. */
export function checkStringEncoding(encoding: 'utf8' | 'latin1'): void {
  if (encoding === 'utf8' || encoding === 'latin1') return;
  throw new QuadringError('INVALID_ARGUMENT', "the encoding must be 'utf8' or 'latin1'");
}

/** Throws INVALID_ARGUMENT. `what` is the argument that they are the fields of. */
export function checkNames(options: object, names: ReadonlySet<string>, what = 'options'): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new QuadringError('INVALID_ARGUMENT', `${what} must be an object`);
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
