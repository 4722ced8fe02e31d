/**
 * The engine against a Map: random operations, with flushes, reopenings and crashes between them, in a database whose
 * limits are all tiny. A failure prints fast-check's seed; `QUADRING_TEST_SEED=<seed>` repeats a run.
 */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Database, type BatchOperation, type DatabaseOptions } from '../../src/index.ts';
import { testBackends, type Backend } from '../support/backends.ts';
import { crashImage, temporaryDirectory } from '../support/directories.ts';
import { testSeed } from '../support/random.ts';
import { valueOf } from '../support/values.ts';

const KEYS = 120;

/** Keys that share prefixes, one of them empty, one long. */
function keyAt(index: number): Buffer {
  if (index === 0) return Buffer.alloc(0);
  if (index === 1) return Buffer.alloc(5000, 'long');
  return Buffer.from(`${'shared/'.repeat(index % 4)}${index.toString(2)}`);
}

/** Undefined is a deletion. */
interface Write {
  readonly key: number;
  readonly length: number | undefined;
  readonly seed: number;
}

type Step =
  | { readonly kind: 'write'; readonly write: Write }
  | { readonly kind: 'burst'; readonly writes: readonly Write[] }
  | { readonly kind: 'batch'; readonly writes: readonly Write[]; readonly chained: boolean }
  | { readonly kind: 'read'; readonly key: number; readonly room: number }
  | { readonly kind: 'flush' | 'reopen' | 'crash' };

const write: fc.Arbitrary<Write> = fc.record({
  key: fc.nat(KEYS - 1),
  length: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 15 },
    { arbitrary: fc.nat(40), weight: 30 },
    { arbitrary: fc.nat(4200), weight: 15 },
    { arbitrary: fc.constantFrom(4096, 70_000, 1_200_000), weight: 1 },
  ),
  seed: fc.nat(1 << 30),
});

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
    arbitrary: fc.constantFrom('reopen' as const, 'crash' as const).map((kind): Step => ({ kind })),
    weight: 7,
  },
);

const options: fc.Arbitrary<DatabaseOptions> = fc.record({
  writeBufferBytes: fc.constant(65_536),
  blockBytes: fc.constant(4096),
  blockCacheBytes: fc.constantFrom(0, 65_536),
  filterBitsPerKey: fc.constantFrom(0, 10),
});

/** The database beside the Map that it must agree with. */
class Pair {
  readonly #t: ExecutionContext;
  readonly #backend: Backend;
  readonly #options: DatabaseOptions;
  readonly #model = new Map<number, Buffer>();
  #directory: string;
  #database: Database | undefined;
  operations = 0;

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
      io: { backend: this.#backend },
    });
  }

  async close(): Promise<void> {
    await this.#database?.close();
    this.#database = undefined;
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

  #note({ key, length, seed }: Write): Buffer | undefined {
    const value = length === undefined ? undefined : valueOf(length, seed);
    if (value === undefined) this.#model.delete(key);
    else this.#model.set(key, value);
    return value;
  }

  #write(one: Write): Promise<void> {
    const value = this.#note(one);
    const key = keyAt(one.key);
    return value === undefined ? this.database.del(key) : this.database.put(key, value);
  }

  #batch(writes: readonly Write[], chained: boolean): Promise<void> {
    const operations = writes.map((one): BatchOperation => {
      const value = this.#note(one);
      const key = keyAt(one.key);
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
    });
    if (!chained) return this.database.batch(operations);
    const batch = this.database.batch();
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
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
      }
    },
  );
  await fc.assert(agrees, {
    seed,
    numRuns: 5,
    interruptAfterTimeLimit: 60_000,
    markInterruptAsFailure: false,
  });
  t.log(`${operations} operations`);
  t.true(operations > 2000);
});
