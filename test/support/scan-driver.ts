/** Runs the scan model's steps: the database beside the model, and the iterators and snapshots that are open. */
import type { BatchOperation, Database, QuadringError, Range, Snapshot } from '../../src/index.ts';
import { CheckedIterator, expectBytes, expectRefusal, HandedOut } from './checked-iterator.ts';
import { CursorIterator } from './cursor-iterator.ts';
import {
  boundAt,
  keyAt,
  KEYS,
  type MoveStep,
  type ReadStep,
  type Step,
  type StepBounds,
  type StepRange,
  type StepWrite,
  type WriteStep,
} from './scan-steps.ts';
import { valueOf } from './values.ts';
import { WriteHistory } from './write-history.ts';

const ITERATORS_MAX = 8;
const SNAPSHOTS_MAX = 6;

interface OpenSnapshot {
  readonly snapshot: Snapshot;
  /** The model's moment. */
  readonly at: number;
}

/** What a read is told, and the moment that it must see. */
interface Moment {
  readonly options: { readonly snapshot?: Snapshot; readonly fillCache: boolean };
  readonly at: number;
}

export class ScanDriver {
  readonly #open: () => Promise<Database>;
  readonly #history: WriteHistory;
  readonly #handedOut = new HandedOut();
  #database: Database | undefined;
  #iterators: CheckedIterator[] = [];
  #snapshots: OpenSnapshot[] = [];
  readonly #compactions: Promise<void>[] = [];
  /** Writes, reads of keys, and calls of iterators. */
  operations = 0;
  evictions = 0;
  readsAhead = 0;
  compactions = 0;

  /** The history is told what was written, and when it must survive. */
  constructor(open: () => Promise<Database>, history = new WriteHistory()) {
    this.#open = open;
    this.#history = history;
  }

  get #model(): WriteHistory['model'] {
    return this.#history.model;
  }

  get database(): Database {
    if (this.#database === undefined) throw new Error('the database is open between the steps');
    return this.#database;
  }

  async open(): Promise<void> {
    this.#database = await this.#open();
    this.#history.opened(this.#database.stats().lastSequence);
  }

  async run(step: Step): Promise<void> {
    await this.#run(step);
    const { readers } = this.database.stats();
    this.#iterators = this.#iterators.filter(({ isClosed }) => !isClosed);
    if (readers.iterators !== this.#iterators.length)
      throw new Error(`${readers.iterators} iterators are open instead of ${this.#iterators.length}`);
    if (readers.snapshots !== this.#snapshots.length)
      throw new Error(`${readers.snapshots} snapshots are open instead of ${this.#snapshots.length}`);
  }

  /** Reads everything in both directions, and every key, and looks at what was handed out. */
  async readAll(): Promise<void> {
    for (const [what, reverse] of [
      ['iterator', false],
      ['iterator', true],
      ['cursor', false],
      ['cursor', true],
    ] as const) {
      await this.#openIterator({
        kind: 'open',
        what,
        encoding: 'buffer',
        range: { reverse, limit: -1 },
        snapshot: undefined,
        fillCache: true,
      });
      const iterator = this.#iterators.at(-1)!;
      await iterator.move('loop', KEYS + 1);
      this.operations += iterator.given;
    }
    const keys = Array.from({ length: KEYS }, (_, key) => key);
    await this.#read({ kind: 'read', how: 'getMany', keys, snapshot: undefined, fillCache: true });
    this.#handedOut.check();
  }

  /** Closes the database, with whatever is open on it. */
  async close(): Promise<void> {
    const database = this.#database;
    if (database === undefined) return;
    const stats = database.stats();
    this.evictions += stats.cache.evictions;
    this.readsAhead += stats.readAhead.reads;
    this.compactions += stats.compactions.compactions;
    if (stats.compactions.lastFailure !== null)
      throw new Error(`a compaction failed: ${stats.compactions.lastFailure}`);
    this.#database = undefined;
    const moment = this.#model.now;
    await database.close();
    this.#history.durable(moment);
    await Promise.all(this.#compactions.splice(0));
    for (const iterator of this.#iterators) {
      await iterator.expectRefusal('CLOSED');
      await iterator.close();
    }
    this.#iterators = [];
  }

  async #run(step: Step): Promise<void> {
    switch (step.kind) {
      case 'write':
        return this.#write(step);
      case 'read':
        return this.#read(step);
      case 'flush':
        return this.#flush();
      case 'compact':
        return this.#compact(step.range, step.isAwaited);
      case 'reopen':
        return this.#reopen();
      case 'snapshot':
        if (this.#snapshots.length < SNAPSHOTS_MAX)
          this.#snapshots.push({ snapshot: this.database.snapshot(), at: this.#model.now });
        return;
      case 'release':
        return this.#release(step.which);
      case 'open':
        return this.#openIterator(step);
      case 'move':
        return this.#move(step, this.#iteratorOf(step.which));
      case 'seek':
        this.operations++;
        return this.#iteratorOf(step.which)?.seek(boundAt(step.target));
      case 'close':
        return this.#iteratorOf(step.which)?.close();
      case 'together':
        return this.#together(step);
    }
  }

  /** What has been taken, that is: a write that waits for room when it is asked for comes after it. */
  async #flush(): Promise<void> {
    const moment = this.database.stats().lastSequence;
    await this.database.flush();
    this.#history.durable(moment);
  }

  async #compact(bounds: StepBounds, isAwaited: boolean): Promise<void> {
    const moment = this.database.stats().lastSequence;
    const compacting = this.database.compactRange(boundsOf(bounds)).then(() => this.#history.durable(moment));
    if (isAwaited) return compacting;
    // One that is under way when the database is closed is given up.
    this.#compactions.push(
      compacting.catch((error: unknown) => {
        if ((error as QuadringError).code !== 'CLOSED') throw error;
      }),
    );
  }

  async #reopen(): Promise<void> {
    await this.close();
    const snapshots = this.#snapshots;
    this.#snapshots = [];
    await this.open();
    for (const { snapshot } of snapshots) {
      await expectRefusal('INVALID_ARGUMENT', () => this.database.get('key', { snapshot }));
      snapshot.close();
    }
  }

  async #release(which: number): Promise<void> {
    if (this.#snapshots.length === 0) return;
    const [{ snapshot }] = this.#snapshots.splice(which % this.#snapshots.length, 1) as [OpenSnapshot];
    snapshot.close();
    await expectRefusal('CLOSED', () => this.database.getMany(['key'], { snapshot }));
  }

  /** Begins at once: what is called before the first await sees the database as it is. */
  async #write({ writes, asBatch, sync }: WriteStep): Promise<void> {
    const { database } = this;
    this.operations += writes.length;
    const operations = writes.map(operationOf);
    const acknowledged = async (moment: number, written: Promise<void>): Promise<void> => {
      await written;
      if (sync) this.#history.durable(moment);
    };
    if (asBatch) return acknowledged(this.#history.submit(operations), database.batch(operations, { sync }));
    await Promise.all(
      operations.map((operation) =>
        acknowledged(this.#history.submit([operation]), this.#writeOne(operation, sync)),
      ),
    );
  }

  #writeOne(operation: BatchOperation, sync: boolean): Promise<void> {
    const { database } = this;
    switch (operation.type) {
      case 'put':
        return database.put(operation.key, operation.value, { sync });
      case 'del':
        return database.del(operation.key, { sync });
      case 'deleteRange': {
        const { type: _, ...range } = operation;
        return database.deleteRange(range, { sync });
      }
    }
  }

  #momentOf(which: number | undefined, fillCache: boolean): Moment {
    if (which === undefined || this.#snapshots.length === 0)
      return { options: { fillCache }, at: this.#model.now };
    const { snapshot, at } = this.#snapshots[which % this.#snapshots.length];
    return { options: { snapshot, fillCache }, at };
  }

  async #read({ how, keys, snapshot, fillCache }: ReadStep): Promise<void> {
    const { database } = this;
    const { options, at } = this.#momentOf(snapshot, fillCache);
    const asked = keys.map(keyAt);
    const expected = asked.map((key) => this.#model.get(key, at));
    this.operations += keys.length;
    const given =
      how === 'getMany'
        ? await database.getMany(asked, options)
        : how === 'get'
          ? await Promise.all(asked.map((key) => database.get(key, options)))
          : how === 'getSync'
            ? asked.map((key) => database.getSync(key, options))
            : how === 'hasMany'
              ? await database.hasMany(asked, options)
              : await Promise.all(asked.map((key) => database.has(key, options)));
    if (given.length !== keys.length) throw new Error(`${how} gave ${given.length} of ${keys.length}`);
    given.forEach((value, i) => {
      const name = `${how} of ${keys[i]} at ${at} of ${this.#model.now}`;
      if (typeof value === 'boolean') {
        if (value !== (expected[i] !== undefined)) throw new Error(`${name}: ${value}`);
      } else {
        expectBytes(name, value, expected[i]);
        if (value !== undefined) this.#handedOut.add(value, expected[i]!);
      }
    });
  }

  async #openIterator(step: Extract<Step, { kind: 'open' }>): Promise<void> {
    if (this.#iterators.length >= ITERATORS_MAX) await this.#iterators.shift()!.close();
    const { what, encoding } = step;
    const { options, at } = this.#momentOf(step.snapshot, step.fillCache);
    const range = rangeOf(step.range);
    const all = { ...options, ...range, keyEncoding: encoding, valueEncoding: encoding };
    const { database } = this;
    const iterator =
      what === 'iterator'
        ? database.iterator(all)
        : what === 'keys'
          ? database.keys(all)
          : what === 'values'
            ? database.values(all)
            : new CursorIterator(database.cursor({ ...options, ...range }), encoding);
    this.#iterators.push(
      new CheckedIterator({
        iterator,
        what,
        encoding,
        entries: this.#model.entries(range, at),
        isReverse: step.range.reverse,
        limit: step.range.limit,
        handedOut: this.#handedOut,
      }),
    );
  }

  #iteratorOf(which: number): CheckedIterator | undefined {
    return this.#iterators[which % Math.max(this.#iterators.length, 1)];
  }

  async #move({ how, count }: MoveStep, iterator: CheckedIterator | undefined): Promise<void> {
    if (iterator === undefined) return;
    const before = iterator.given;
    await iterator.move(how, count);
    this.operations += 1 + iterator.given - before;
  }

  async #together({ reads, moves, writes, flush }: Extract<Step, { kind: 'together' }>): Promise<void> {
    const moving = new Map<CheckedIterator | undefined, MoveStep>();
    for (const move of moves) moving.set(this.#iteratorOf(move.which), move);
    await Promise.all([
      ...[...moving].map(([iterator, move]) => this.#move(move, iterator)),
      ...reads.map((read) => this.#read(read)),
      ...writes.map((write) => this.#write(write)),
      flush ? this.#flush() : undefined,
    ]);
  }
}

export function operationOf(write: StepWrite): BatchOperation {
  if ('deleted' in write) return { type: 'deleteRange', ...boundsOf(write.deleted) };
  const key = keyAt(write.key);
  if (write.length === undefined) return { type: 'del', key };
  return { type: 'put', key, value: valueOf(write.length, write.seed) };
}

function rangeOf({ reverse, limit, ...bounds }: StepRange): Range {
  return { ...boundsOf(bounds), reverse, limit };
}

export function boundsOf({ gt, gte, lt, lte }: StepBounds): Range {
  return {
    ...(gt === undefined ? {} : { gt: boundAt(gt) }),
    ...(gte === undefined ? {} : { gte: boundAt(gte) }),
    ...(lt === undefined ? {} : { lt: boundAt(lt) }),
    ...(lte === undefined ? {} : { lte: boundAt(lte) }),
  };
}
