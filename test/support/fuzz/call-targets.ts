/**
 * Calls of an open database with arguments of any kind, beside a model: a typed error and nothing has changed, or what
 * the arguments mean has been done.
 */
import fc from 'fast-check';
import { QuadringError, type ErrorCode } from '../../../src/errors.ts';
import { Database } from '../../../src/main/database.ts';
import type { DatabaseOptions } from '../../../src/main/options.ts';
import { SimulatedDisk } from '../simulated-disk.ts';
import { SIMULATED_DIRECTORY, simulatedWorld } from '../simulated-environment.ts';
import { Random } from '../random.ts';
import {
  bytes,
  hostile,
  meaningOf,
  mostly,
  notBytes,
  optionsOf,
  ThrownByArgument,
} from './hostile-values.ts';
import { expect, fuzzTarget, type Counter, type FuzzTarget } from './target.ts';

const OPTIONS: DatabaseOptions = { writeBufferBytes: 1 << 18, blockBytes: 4096, blockCacheBytes: 1 << 16 };

/** What callers can be told. */
const REFUSALS = new Set<ErrorCode>([
  'INVALID_ARGUMENT',
  'KEY_TOO_LARGE',
  'VALUE_TOO_LARGE',
  'BATCH_TOO_LARGE',
  'ABORTED',
]);

interface Ground {
  readonly database: Database;
  /** Keys and values as latin1. */
  readonly model: Map<string, string>;
}

const live = new AbortController().signal;
const aborted = AbortSignal.abort();
const anyBytes = mostly(bytes, notBytes);
const bound = mostly(bytes, notBytes);
const signal = fc.constantFrom(live, live, aborted);

const writeOptions = optionsOf({ sync: fc.boolean(), signal });
const readOptions = optionsOf({ fillCache: fc.boolean(), signal, snapshot: fc.constant(undefined) });
const bounds = { gt: bound, gte: bound, lt: bound, lte: bound };
const rangeOptions = optionsOf(bounds);
const scanOptions = optionsOf({
  ...bounds,
  reverse: fc.boolean(),
  limit: fc.oneof(fc.nat(5), fc.constantFrom(-1, Infinity)),
  fillCache: fc.boolean(),
  signal,
  keyEncoding: fc.constantFrom('buffer', 'utf8', 'latin1'),
  valueEncoding: fc.constantFrom('buffer', 'utf8', 'latin1'),
});
const operation = mostly(
  fc.oneof(
    fc.record({ type: fc.constant('put'), key: anyBytes, value: anyBytes }),
    fc.record({ type: fc.constant('del'), key: anyBytes }),
    fc.record({ type: fc.constant('deleteRange'), gte: anyBytes, lt: anyBytes }),
    fc.record({ type: fc.string({ maxLength: 4 }), key: anyBytes }),
  ),
  hostile,
);

interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
}

const call = (name: string, ...args: fc.Arbitrary<unknown>[]): fc.Arbitrary<Call> =>
  fc.tuple(...args).map((values) => ({ name, args: values }));

const calls: fc.Arbitrary<Call> = fc.oneof(
  call('put', anyBytes, anyBytes, writeOptions),
  call('put', anyBytes, anyBytes, writeOptions),
  call('del', anyBytes, writeOptions),
  call('deleteRange', rangeOptions, writeOptions),
  call('batch', mostly(fc.array(operation, { maxLength: 5 })), writeOptions),
  call('get', anyBytes, readOptions),
  call('getSync', anyBytes, readOptions),
  call('has', anyBytes, readOptions),
  call('getString', anyBytes, mostly(fc.constantFrom('latin1', 'utf8', undefined))),
  call('getInto', anyBytes, mostly(fc.nat(9).map((length) => new Uint8Array(length)))),
  call('getMany', mostly(fc.array(anyBytes, { maxLength: 5 })), readOptions),
  call('hasMany', mostly(fc.array(anyBytes, { maxLength: 5 })), readOptions),
  call('iterator', scanOptions),
  call('keys', scanOptions),
  call('values', scanOptions),
  call('seek', anyBytes),
  call('nextv', mostly(fc.nat(9))),
  call('approximateSize', rangeOptions),
  call('compactRange', rangeOptions),
  call('setCompactionRate', mostly(fc.constantFrom('auto', 0, 1 << 20))),
);

async function openGround(): Promise<Ground> {
  const random = new Random(1);
  const { environment } = simulatedWorld({ disk: new SimulatedDisk(), random: () => random.fraction() });
  return { database: await Database.openIn(environment, SIMULATED_DIRECTORY, OPTIONS), model: new Map() };
}

/** What a call does on the database; iterators are read to their end. */
async function perform({ database }: Ground, { name, args }: Call): Promise<unknown> {
  if (name === 'iterator' || name === 'keys' || name === 'values') {
    const open = database[name].bind(database) as (options: unknown) => ReturnType<Database['iterator']>;
    const items: unknown[] = [];
    for await (const item of open(args[0])) items.push(item);
    return items;
  }
  if (name === 'seek' || name === 'nextv') {
    await using iterator = database.keys({ keyEncoding: 'latin1' });
    if (name === 'nextv') return await iterator.nextv(args[0] as number);
    iterator.seek(args[0] as string);
    return await iterator.next();
  }
  // `batch()` without an argument is another method.
  const method = database[name as 'get'].bind(database) as (...given: readonly unknown[]) => unknown;
  return await method(...args);
}

const hex = (value: unknown): string | undefined => meaningOf(value)?.toString('latin1');

/** What a key means; that the call was accepted says that it is one. */
function accepted(value: unknown): string {
  const meaning = hex(value);
  expect(meaning !== undefined, 'what is no key or value was taken for one');
  return meaning;
}

type Bounds = Partial<Record<'gt' | 'gte' | 'lt' | 'lte', unknown>>;

function isWithin(key: string, { gt, gte, lt, lte }: Bounds): boolean {
  if (gt !== undefined ? key <= accepted(gt) : gte !== undefined && key < accepted(gte)) return false;
  return lt !== undefined ? key < accepted(lt) : lte === undefined || key <= accepted(lte);
}

function written(model: Map<string, string>, { name, args }: Call): void {
  const [first, second] = args;
  if (name === 'put') model.set(accepted(first), accepted(second));
  else if (name === 'del') model.delete(accepted(first));
  else if (name === 'deleteRange') {
    for (const key of [...model.keys()]) if (isWithin(key, first as Bounds)) model.delete(key);
  } else if (name === 'batch') {
    for (const one of first as { type: string; key: unknown; value: unknown }[]) {
      expect(['put', 'del', 'deleteRange'].includes(one.type), `an operation ${one.type}`);
      const args = one.type === 'deleteRange' ? [one] : [one.key, one.value];
      written(model, { name: one.type, args });
    }
  }
}

interface ScanOptions extends Bounds {
  readonly reverse?: boolean;
  readonly limit?: number;
  readonly keyEncoding?: BufferEncoding | 'buffer';
  readonly valueEncoding?: BufferEncoding | 'buffer';
}

/** As the iterator hands it out, with a Buffer as a latin1 string. */
function encoded(text: string, encoding: BufferEncoding | 'buffer' | undefined): string {
  return encoding === undefined || encoding === 'buffer'
    ? text
    : Buffer.from(text, 'latin1').toString(encoding);
}

function scanned(model: Map<string, string>, name: string, options: ScanOptions = {}): unknown[] {
  const { reverse = false, limit = -1, keyEncoding, valueEncoding } = options;
  const keys = [...model.keys()].filter((key) => isWithin(key, options)).sort(compare);
  if (reverse) keys.reverse();
  return keys.slice(0, limit < 0 ? Infinity : limit).map((key) => {
    const value = encoded(model.get(key) ?? '', valueEncoding);
    if (name === 'values') return value;
    return name === 'keys' ? encoded(key, keyEncoding) : [encoded(key, keyEncoding), value];
  });
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const shown = (value: unknown): unknown => {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  return Array.isArray(value) ? value.map(shown) : value;
};

/** What the call must answer; undefined where only the database's size says. */
function answer(model: Map<string, string>, { name, args }: Call): readonly [unknown] | undefined {
  const [first, second] = args;
  const valueOf = (key: unknown): string | undefined => model.get(accepted(key));
  switch (name) {
    case 'get':
    case 'getSync':
      return [valueOf(first)];
    case 'has':
      return [valueOf(first) !== undefined];
    case 'getString': {
      const value = valueOf(first);
      return [value === undefined ? undefined : encoded(value, (second ?? 'utf8') as BufferEncoding)];
    }
    case 'getInto':
      accepted(second);
      return [valueOf(first)?.length ?? -1];
    case 'getMany':
      return [(first as unknown[]).map(valueOf)];
    case 'hasMany':
      return [(first as unknown[]).map((key) => valueOf(key) !== undefined)];
    case 'iterator':
    case 'keys':
    case 'values':
      return [scanned(model, name, first as ScanOptions | undefined)];
    case 'seek':
      return [scanned(model, 'keys', { gte: first })[0]];
    default:
      return undefined;
  }
}

async function check(one: Call, count: Counter, ground: Ground): Promise<void> {
  const { database, model } = ground;
  const before = database.stats().lastSequence;
  let result: unknown;
  try {
    result = shown(await perform(ground, one));
  } catch (error) {
    if (!(error instanceof ThrownByArgument)) {
      expect(
        error instanceof QuadringError && REFUSALS.has(error.code),
        `${one.name} threw ${String(error)}`,
      );
      count(error.code);
    }
    expect(database.stats().lastSequence === before, `${one.name} was refused and has changed something`);
    return;
  }
  count('done');
  const expected = answer(model, one);
  written(model, one);
  if (expected !== undefined) {
    const [given, wanted] = [JSON.stringify(result), JSON.stringify(expected[0])];
    expect(given === wanted, `${one.name} gave ${given}, not ${wanted}`);
  }
  const [key] = model.keys();
  if (key === undefined) return;
  const value = database.getString(Buffer.from(key, 'latin1'), 'latin1');
  expect(value === model.get(key), `${one.name} has changed another key`);
}

export const callTargets: readonly FuzzTarget[] = [
  fuzzTarget({
    name: 'arguments of calls of an open database',
    runs: 1500,
    open: openGround,
    arbitrary: calls,
    check,
    async close(ground) {
      const { database, model } = ground;
      const all = shown(await perform(ground, { name: 'iterator', args: [] }));
      const wanted = JSON.stringify(scanned(model, 'iterator'));
      expect(JSON.stringify(all) === wanted, 'what is left is what was written');
      await database.close();
    },
  }),
];
