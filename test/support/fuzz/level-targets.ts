/** What abstract-level hands on: it passes every option that a caller gave. What comes of it the core takes or refuses. */
import fc from 'fast-check';
import { QuadringError } from '../../../src/errors.ts';
import {
  boundsOf,
  isInRange,
  iteratorOptions,
  readOptions,
  writeOptions,
  type PrivateIteratorOptions,
  type PrivateReadOptions,
} from '../../../src/level/options.ts';
import { checkIteratorOptions, checkReadOptions, checkWriteOptions } from '../../../src/main/call-options.ts';
import { keyRangeOf, limitOf, type Range } from '../../../src/main/range.ts';
import { KeyScratch } from '../../../src/main/bytes.ts';
import { bytes, hostile, meaningOf, optionsOf, ThrownByArgument } from './hostile-values.ts';
import { expect, fuzzTarget, type Counter, type FuzzTarget } from './target.ts';

const scratch = new KeyScratch();

/** Undefined when it was refused as the public surface refuses things. */
function taken<Result>(act: () => Result, count: Counter): Result | undefined {
  try {
    const result = act();
    count('taken');
    return result;
  } catch (error) {
    if (error instanceof ThrownByArgument) return undefined;
    expect(error instanceof QuadringError, `refused with ${String(error)}`);
    count(error.code);
    return undefined;
  }
}

const handedOn = fuzzTarget({
  name: 'options that an abstract-level hands on',
  runs: 1500,
  arbitrary: fc.record({
    options: optionsOf({
      gt: bytes,
      gte: bytes,
      lt: bytes,
      lte: bytes,
      keyEncoding: fc.constantFrom('buffer', 'view', 'utf8'),
      valueEncoding: fc.constantFrom('buffer', 'view', 'utf8'),
      fillCache: fc.boolean(),
      snapshot: fc.constant(null),
      sync: fc.boolean(),
      signal: fc.constantFrom(new AbortController().signal, AbortSignal.abort(), null),
    }),
    // These two abstract-level has made sense of.
    reverse: fc.boolean(),
    limit: fc.oneof(fc.nat(9), fc.constantFrom(-1, Infinity)),
    key: bytes,
    other: hostile,
  }),
  check({ options, reverse, limit, key, other }, count) {
    // abstract-level has made an object of whatever it was given.
    if (typeof options !== 'object' || options === null) return;
    const given = (): object => ({ ...options, reverse, limit, other });
    taken(() => {
      const core = iteratorOptions(given() as PrivateIteratorOptions);
      checkIteratorOptions(core);
      expect(limitOf(core) === (limit < 0 ? Infinity : limit), 'another limit');
      expect(!('other' in core), 'an option that is not ours is handed on');
    }, count);
    taken(() => {
      const core = readOptions(given() as PrivateReadOptions);
      if (core !== undefined) checkReadOptions(core);
    }, count);
    taken(() => {
      const core = writeOptions(given());
      if (core !== undefined) checkWriteOptions(core);
    }, count);
    const range = taken(() => keyRangeOf(boundsOf(given() as PrivateIteratorOptions), scratch), count);
    if (range !== undefined) expectSameRange(range, given() as PrivateIteratorOptions, key);
  },
});

/** A key is in the range that the core got just if the cursor, which asks for itself, says so. */
function expectSameRange(
  { lower, upper }: ReturnType<typeof keyRangeOf>,
  options: PrivateIteratorOptions,
  key: Range['gte'],
): void {
  const meaning = meaningOf(key) ?? Buffer.alloc(0);
  const isBehindLower = lower === undefined || Buffer.compare(meaning, lower) >= 0;
  const isBeforeUpper = upper === undefined || Buffer.compare(meaning, upper) < 0;
  expect(isInRange(meaning, options) === (isBehindLower && isBeforeUpper), 'the ranges differ');
}

export const levelTargets: readonly FuzzTarget[] = [handedOn];
