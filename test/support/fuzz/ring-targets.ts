/**
 * Rings made, given memory and given records of any kind, by io_uring and by plain system calls alike: every record has
 * one completion, refusals are the same for both, and no byte outside of the attached memory's named part changes.
 */
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { native, type NativeRingOptions } from '../../../src/native.ts';
import * as ring from '../../../src/workers/ring.ts';
import { BACKENDS, Fixture, MEMORY_BYTES, MIB, type Backend } from '../../native/ring-fixture.ts';
import { detachedView, hostile, mostly, outOfBoundsView } from './hostile-values.ts';
import { expect, fuzzTarget, type Counter, type FuzzTarget } from './target.ts';

const EINVAL = -22;
const ECANCELED = -125;

/** Runs a call; an error must be one that the addon makes. */
function attempt(call: () => unknown, count: Counter): boolean {
  try {
    call();
    count('done');
    return true;
  } catch (error) {
    const { code } = error as { code?: unknown };
    expect(error instanceof Error && typeof code === 'string', `threw ${String(error)}`);
    count(code);
    return false;
  }
}

/** For one of many arguments, which are to be right together now and then. */
function usually(legal: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const gone = fc.constantFrom(detachedView(), outOfBoundsView());
  const odd = fc.constantFrom(-1, 1, NaN, Infinity, 2 ** 32, 2 ** 53, new Uint8Array(3));
  return fc.oneof({ weight: 12, arbitrary: legal }, { weight: 1, arbitrary: fc.oneof(hostile, gone, odd) });
}

const words = (length: number): fc.Arbitrary<unknown> =>
  fc.constantFrom(length, length, length, length - 1).map((count) => new Int32Array(count));

const creation = fuzzTarget({
  name: 'options of a ring',
  runs: 250,
  arbitrary: fc.record({
    backend: fc.constantFrom(...BACKENDS),
    options: mostly(
      fc.record({
        entries: usually(fc.constantFrom(8, 16)),
        records: usually(words(16 * ring.RECORD_WORDS)),
        names: usually(fc.constant(new Uint8Array(16 * ring.NAME_STRIDE_BYTES))),
        completions: usually(words(16 * 4 * ring.COMPLETION_WORDS)),
        eventfd: usually(fc.constant(1 << 20)),
        singleIssuer: usually(fc.boolean()),
      }),
    ),
  }),
  check({ backend, options }, count) {
    attempt(() => {
      const made = new native[backend](options as NativeRingOptions);
      made.describe();
      made.close();
    }, count);
  },
});

interface Ground {
  readonly fixtures: readonly { readonly backend: Backend; readonly fixture: Fixture }[];
  readonly folder: string;
  readonly directory: number;
  readonly file: number;
}

function openGround(): Ground {
  const folder = mkdtempSync(join(tmpdir(), 'quadring-fuzz-'));
  const directory = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  const file = openSync(join(folder, 'data'), constants.O_RDWR | constants.O_CREAT, 0o600);
  const fixtures = BACKENDS.map((backend) => ({ backend, fixture: new Fixture(backend, { entries: 8 }) }));
  return { fixtures, folder, directory, file };
}

function closeGround({ fixtures, folder, directory, file }: Ground): void {
  for (const { fixture } of fixtures) fixture.close();
  closeSync(file);
  closeSync(directory);
  rmSync(folder, { recursive: true });
}

const attachment = fuzzTarget({
  name: 'memory that is attached to a ring',
  runs: 400,
  arbitrary: fc.record({
    // Region 0 is the fixture's own.
    region: usually(fc.integer({ min: 1, max: 15 })).filter(
      (value) => typeof value !== 'number' || Math.trunc(value) !== 0,
    ),
    memory: usually(
      fc.constantFrom(
        new Uint8Array(new SharedArrayBuffer(2 * MIB)),
        new Uint8Array(new SharedArrayBuffer(100)),
      ),
    ),
    fixedOffset: usually(fc.constantFrom(0, MIB)),
    fixedLength: usually(fc.constantFrom(0, 0, MIB, 2 * MIB)),
    selectBytes: usually(fc.constantFrom(0, 0, 4096, MIB)),
  }),
  open: openGround,
  close: closeGround,
  check({ region, memory, fixedOffset, fixedLength, selectBytes }, count, { fixtures }) {
    for (const { fixture } of fixtures) {
      const args = [region, memory, fixedOffset, fixedLength, selectBytes] as unknown;
      const isDone = attempt(
        () => fixture.ring.attach(...(args as Parameters<typeof fixture.ring.attach>)),
        count,
      );
      // What was attached is given back, so that the next run finds no selecting region.
      if (isDone) fixture.ring.attach(Math.trunc(region as number), new Uint8Array(0), 0, 0, 0);
      expect(fixture.run({ opcode: ring.OPCODE_NOP })[0] === 0, 'the ring works');
    }
  },
});

interface Place {
  readonly file: 'none' | 'directory' | 'data' | 'unused';
  readonly words: readonly number[];
  readonly name: string;
  readonly secondName: string;
}

const word = fc.oneof(
  fc.nat({ max: 0xffffffff }),
  fc.nat(64),
  fc.constantFrom(0, 1, 4096, MIB, 4 * MIB, 4 * MIB - 1, 0x7fffffff, 0x80000000, 0xffffffff),
);
/** Nothing outside of the ring's own folder can be named so. */
const name = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', 'ž'), minLength: 1, maxLength: 6 }).map((text) => `f${text}`),
  fc.constant('f'.repeat(64)),
);
const opcode = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(0, 1, 2, 3, 6, 8, 7, 9) },
  { weight: 1, arbitrary: word.filter((value) => value !== ring.OPCODE_CLOSE && value !== ring.OPCODE_OPEN) },
);
const flags = fc.oneof(
  fc.constantFrom(0, 0, 0, ring.FLAG_LINK, ring.FLAG_DSYNC, ring.FLAG_SELECT, ring.FLAG_LINK | 0x80),
  word,
);
/** A file's size, and so the time that writing to it takes, stays small. */
const offset = fc.oneof(fc.nat(1 << 20), fc.constantFrom(2 ** 32 - 1, 0));

const record: fc.Arbitrary<Place> = fc
  .record({
    file: fc.constantFrom('none' as const, 'directory' as const, 'data' as const, 'unused' as const),
    opcode,
    bufferOffset: word,
    length: fc.oneof({ weight: 6, arbitrary: fc.nat(20_000) }, { weight: 1, arbitrary: word }),
    offsetLow: offset,
    offsetHigh: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: word }),
    flags,
    name,
    secondName: name,
  })
  .map(({ file, opcode: code, bufferOffset, length, offsetLow, offsetHigh, flags: set, ...names }) => {
    // A timeout, whose length is its time, would only make the test slow; and space is not to be had for the asking.
    const bounded = code === ring.OPCODE_TIMEOUT || code === ring.OPCODE_FALLOCATE ? length % 5000 : length;
    return { file, words: [code, 0, bufferOffset, bounded, offsetLow, offsetHigh, 0, set], ...names };
  });

function fill(fixture: Fixture, places: readonly Place[], ground: Ground): void {
  const files = { none: -1, directory: ground.directory, data: ground.file, unused: 1 << 20 };
  fixture.names.fill(0);
  places.forEach((place, i) => {
    const at = i * ring.RECORD_WORDS;
    fixture.records.set(
      place.words.map((value) => value | 0),
      at,
    );
    fixture.records[at + ring.WORD_FILE] = files[place.file];
    fixture.records[at + ring.WORD_USER_DATA] = i;
    const namesAt = i * ring.NAME_STRIDE_BYTES;
    fixture.names.set(Buffer.from(place.name).subarray(0, 64), namesAt);
    fixture.names.set(Buffer.from(place.secondName).subarray(0, 64), namesAt + ring.SECOND_NAME_BYTES);
  });
}

/** Results by record. */
function carryOut(fixture: Fixture, count: number): number[] {
  const results: number[] = [];
  const { completions } = fixture;
  let left = count;
  let submit = count;
  for (let turns = 0; left > 0; turns++) {
    expect(turns < 30, `${left} records have no completion`);
    const written = fixture.ring.turn(submit, 1_000_000);
    submit = 0;
    for (let i = 0; i < written; i++) {
      const at = i * ring.COMPLETION_WORDS;
      const id = completions[at + ring.COMPLETION_USER_DATA];
      expect(id >= 0 && id < count && results[id] === undefined, `completion of record ${id}`);
      results[id] = completions[at + ring.COMPLETION_RESULT];
      left--;
    }
  }
  return results;
}

const FILL = 0x5a;

/** Bytes that no record may write to have not changed. */
function expectMemory({ memory }: Fixture, places: readonly Place[], results: readonly number[]): void {
  const reads = places.flatMap(({ words: [code, , start, length] }, i) =>
    code === ring.OPCODE_READ && results[i] > 0 ? [{ start, end: start + length }] : [],
  );
  reads.sort((a, b) => a.start - b.start);
  let at = 0;
  for (const { start, end } of [...reads, { start: memory.length, end: memory.length }]) {
    if (start > at) expectFilled(memory.subarray(at, start));
    at = Math.max(at, end);
  }
}

const untouched = new Uint8Array(MEMORY_BYTES).fill(FILL);

function expectFilled(memory: Uint8Array): void {
  expect(
    Buffer.compare(memory, untouched.subarray(0, memory.length)) === 0,
    'bytes that nobody named have changed',
  );
}

const records = fuzzTarget({
  name: 'records of a ring',
  runs: 150,
  open: openGround,
  close: closeGround,
  arbitrary: fc.array(record, { minLength: 1, maxLength: 8 }),
  check(places, count, ground) {
    const refusals = ground.fixtures.map(({ fixture }) => {
      fixture.memory.fill(FILL);
      fill(fixture, places, ground);
      const results = carryOut(fixture, places.length);
      expectMemory(fixture, places, results);
      for (const result of results) count(result >= 0 ? 'done' : 'refused');
      return results.map((result) => result === EINVAL || result === ECANCELED);
    });
    // Who refuses what is the records' matter, as far as they stand alone: what the kernel refuses may differ.
    const isLinked = places.some(({ words: [, , , , , , , set] }) => (set & ring.FLAG_LINK) !== 0);
    const isKnown = places.every(
      ({ words: [code] }) => code === ring.OPCODE_READ || code === ring.OPCODE_NOP,
    );
    if (isKnown && !isLinked) expect(String(refusals[0]) === String(refusals[1]), 'both refuse the same');
  },
});

export const ringTargets: readonly FuzzTarget[] = [creation, attachment, records];
