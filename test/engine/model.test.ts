/**
 * The engine against a Map: random operations, with flushes, reopenings and crashes between them, in a database whose
 * limits are all tiny. A failure prints fast-check's seed; `QUADRING_TEST_SEED=<seed>` repeats a run.
 */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  Database,
  type BatchOperation,
  type Bytes,
  type DatabaseOptions,
  type QuadringError,
  type Range,
} from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { crashImage, temporaryDirectory } from '../support/directories.ts';
import { ioOf } from '../support/io-setting.ts';
import { testSeed } from '../support/random.ts';
import { tinyCompaction, tinyCompression } from '../support/tiny-shapes.ts';
import { valueOf } from '../support/values.ts';
import { membership } from '../support/version-model.ts';

const KEYS = 120;

/** Keys that share prefixes, one of them empty, one long. */
function keyAt(index: number): Buffer {
  if (index === 0) return Buffer.alloc(0);
  if (index === 1) return Buffer.alloc(5000, 'long');
  return Buffer.from(`${'shared/'.repeat(index % 4)}${index.toString(2)}`);
}

/** A length of undefined is a deletion. Or the keys from one to another are deleted, if there are any between them. */
type Write =
  | { readonly key: number; readonly length: number | undefined; readonly seed: number }
  | { readonly from: number; readonly to: number };

type Step =
  | { readonly kind: 'write'; readonly write: Write }
  | { readonly kind: 'burst'; readonly writes: readonly Write[] }
  | { readonly kind: 'batch'; readonly writes: readonly Write[]; readonly chained: boolean }
  | { readonly kind: 'read'; readonly key: number; readonly room: number }
  | { readonly kind: 'compact'; readonly from: number; readonly to: number; readonly isAwaited: boolean }
  | { readonly kind: 'flush' | 'reopen' | 'crash' };

const keyWrite: fc.Arbitrary<Write> = fc.record({
  key: fc.nat(KEYS - 1),
  length: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 15 },
    { arbitrary: fc.nat(40), weight: 30 },
    { arbitrary: fc.nat(4200), weight: 15 },
    { arbitrary: fc.constantFrom(4096, 70_000, 1_200_000), weight: 1 },
  ),
  seed: fc.nat(1 << 30),
});

/** Numbers with the same remainder of four have keys close to each other. */
const rangeDeletion: fc.Arbitrary<Write> = fc
  .tuple(fc.nat(KEYS - 1), fc.nat(5))
  .map(([from, others]): Write => ({ from, to: from + 4 * others }));

const write = fc.oneof({ arbitrary: keyWrite, weight: 25 }, { arbitrary: rangeDeletion, weight: 1 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: write.map((one): Step => ({ kind: 'write', write: one })), weight: 200 },
  {
    arbitrary: fc
      .array(write, { maxLength: 40, size: 'max' })
      .map((writes): Step => ({ kind: 'burst', writes })),
    weight: 60,
  },
  {
    arbitrary: fc
      .record({ writes: fc.array(write, { maxLength: 30, size: 'max' }), chained: fc.boolean() })
      .map(({ writes, chained }): Step => ({ kind: 'batch', writes, chained })),
    weight: 40,
  },
  {
    arbitrary: fc
      .record({ key: fc.nat(KEYS + 3), room: fc.nat(5000) })
      .map(({ key, room }): Step => ({ kind: 'read', key, room })),
    weight: 400,
  },
  { arbitrary: fc.constantFrom('flush' as const).map((kind): Step => ({ kind })), weight: 15 },
  {
    arbitrary: fc
      .record({ from: fc.nat(KEYS), to: fc.nat(KEYS), isAwaited: fc.boolean() })
      .map((range): Step => ({ kind: 'compact', ...range })),
    weight: 8,
  },
  {
    arbitrary: fc.constantFrom('reopen' as const, 'crash' as const).map((kind): Step => ({ kind })),
    weight: 7,
  },
);

const options: fc.Arbitrary<DatabaseOptions> = fc.record({
  writeBufferBytes: fc.constant(65_536),
  blockBytes: fc.constant(4096),
  blockCacheBytes: fc.constantFrom(0, 65_536),
  filterBitsPerKey: fc.constantFrom<DatabaseOptions['filterBitsPerKey'] & {}>(0, 10, [10, 6, 0]),
  compression: tinyCompression,
  compaction: tinyCompaction,
});

/** The database beside the Map that it must agree with. */
class Pair {
  readonly #t: ExecutionContext;
  readonly #backend: Backend;
  readonly #options: DatabaseOptions;
  readonly #model = new Map<number, Buffer>();
  #directory: string;
  #database: Database | undefined;
  readonly #compactions: Promise<void>[] = [];
  operations = 0;
  compactions = 0;
  moves = 0;

  constructor(t: ExecutionContext, backend: Backend, settings: DatabaseOptions) {
    this.#t = t;
    this.#backend = backend;
    this.#options = settings;
    this.#directory = join(temporaryDirectory(t), 'db');
  }

  get database(): Database {
    if (this.#database === undefined) throw new Error('the database is open between the steps');
    return this.#database;
  }

  async open(): Promise<void> {
    this.#database = await Database.open(this.#directory, {
      ...this.#options,
      io: ioOf(this.#backend),
    });
  }

  async close(): Promise<void> {
    this.#noteCompactions();
    await this.#database?.close();
    this.#database = undefined;
    await Promise.all(this.#compactions.splice(0));
  }

  #noteCompactions(): void {
    const compactions = this.#database?.stats().compactions;
    if (compactions === undefined) return;
    this.compactions += compactions.compactions;
    this.moves += compactions.movedTables;
    if (compactions.lastFailure !== null) throw new Error(`a compaction failed: ${compactions.lastFailure}`);
  }

  /** The keys from one to the other, or all of them. */
  async #compact(from: number, to: number, isAwaited: boolean): Promise<void> {
    const range = from < to ? { gte: keyAt(from), lt: keyAt(to) } : {};
    const compacting = this.database.compactRange(range);
    if (isAwaited) return compacting;
    // One that is under way when the database is closed is given up.
    this.#compactions.push(compacting.catch((error: unknown) => expectClosed(error)));
  }

  async run(one: Step): Promise<void> {
    switch (one.kind) {
      case 'write':
        this.operations++;
        return this.#write(one.write);
      case 'burst':
        this.operations += one.writes.length;
        await Promise.all(one.writes.map((each) => this.#write(each)));
        return;
      case 'batch':
        this.operations += one.writes.length;
        return this.#batch(one.writes, one.chained);
      case 'read':
        this.operations++;
        return this.#read(one.key, one.room);
      case 'flush':
        return this.database.flush();
      case 'compact':
        return this.#compact(one.from, one.to, one.isAwaited);
      case 'reopen':
        await this.close();
        return this.open();
      case 'crash': {
        const image = await crashImage(this.#t, this.database, this.#directory);
        await this.close();
        this.#directory = image;
        return this.open();
      }
    }
  }

  #note(one: Write): BatchOperation {
    if ('from' in one) {
      const range = { gte: keyAt(one.from), lte: keyAt(one.to) };
      const isInside = membership(range);
      for (const key of this.#model.keys()) if (isInside(keyAt(key))) this.#model.delete(key);
      return { type: 'deleteRange', ...range };
    }
    const key = keyAt(one.key);
    if (one.length === undefined) {
      this.#model.delete(one.key);
      return { type: 'del', key };
    }
    const value = valueOf(one.length, one.seed);
    this.#model.set(one.key, value);
    return { type: 'put', key, value };
  }

  #write(one: Write): Promise<void> {
    return applied(this.database, this.#note(one));
  }

  #batch(writes: readonly Write[], chained: boolean): Promise<void> {
    const operations = writes.map((one) => this.#note(one));
    if (!chained) return this.database.batch(operations);
    const batch = this.database.batch();
    for (const operation of operations) applied(batch, operation);
    return batch.write();
  }

  async #read(index: number, room: number): Promise<void> {
    const key = keyAt(index);
    const expected = this.#model.get(index);
    const target = new Uint8Array(room);
    const length = this.database.getInto(key, target);
    const copied = Buffer.from(target.subarray(0, Math.min(room, Math.max(length, 0))));
    expectSame(`getInto ${index}`, copied, expected?.subarray(0, room) ?? Buffer.alloc(0));
    if (length !== (expected?.length ?? -1)) throw new Error(`getInto ${index} gave length ${length}`);
    expectSame(`get ${index}`, await this.database.get(key), expected);
    expectSame(`getSync ${index}`, this.database.getSync(key), expected);
  }

  async readAll(): Promise<void> {
    for (let index = 0; index < KEYS; index++) await this.#read(index, 5000);
  }
}

/** The operation as a call of its own method. */
function applied<Result>(
  target: {
    put(key: Bytes, value: Bytes): Result;
    del(key: Bytes): Result;
    deleteRange(range: Range): Result;
  },
  operation: BatchOperation,
): Result {
  switch (operation.type) {
    case 'put':
      return target.put(operation.key, operation.value);
    case 'del':
      return target.del(operation.key);
    case 'deleteRange': {
      const { type: _, ...range } = operation;
      return target.deleteRange(range);
    }
  }
}

function expectClosed(error: unknown): void {
  if ((error as QuadringError).code !== 'CLOSED') throw error;
}

function expectSame(what: string, actual: Buffer | undefined, expected: Buffer | undefined): void {
  if (actual === undefined || expected === undefined ? actual === expected : actual.equals(expected)) return;
  throw new Error(`${what}: ${describe(actual)} instead of ${describe(expected)}`);
}

function describe(value: Buffer | undefined): string {
  return value === undefined ? 'nothing' : `${value.length} bytes ${value.subarray(0, 8).toString('hex')}`;
}

testBackends('random operations give what a Map gives', async (t, backend) => {
  const seed = testSeed();
  t.log(`QUADRING_TEST_SEED=${seed}`);
  let operations = 0;
  let compactions = 0;
  let moves = 0;
  const agrees = fc.asyncProperty(
    options,
    fc.array(step, { minLength: 150, maxLength: 400, size: 'max' }),
    async (settings, steps) => {
      const pair = new Pair(t, backend, settings);
      await pair.open();
      try {
        for (const one of steps) await pair.run(one);
        await pair.readAll();
        await pair.run({ kind: 'reopen' });
        await pair.readAll();
      } finally {
        operations += pair.operations;
        await pair.close();
        compactions += pair.compactions;
        moves += pair.moves;
      }
    },
  );
  await fc.assert(agrees, {
    seed,
    numRuns: 5,
    interruptAfterTimeLimit: 60_000,
    markInterruptAsFailure: false,
  });
  t.log(`${operations} operations, ${compactions} compactions, ${moves} tables moved`);
  t.true(operations > 2000, 'much was done');
  // How many there are depends on how the threads take turns.
  t.true(compactions > 5, 'there were compactions');
});
