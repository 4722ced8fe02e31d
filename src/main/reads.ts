/**
 * Reads of single keys, and of many at once, at a sequence number; and how a synchronous call waits. Owner only.
 *
 * What memory can answer is answered in the call. Otherwise the read goes on when its block has come, by itself or, for
 * a synchronous one, while this thread waits.
 */
import { QuadringError } from '../errors.ts';
import type { KeyScratch } from './bytes.ts';
import { type Bytes } from './bytes.ts';
import type { Engine } from './engine.ts';
import { copyOf, viewOf } from './materialize.ts';
import { MultiGet } from './multi-get.ts';
import { FOUND, PointLookup, type LookupHandler, type Outcome } from './point-reader.ts';
import type { Scan } from './scan.ts';

export type OnFound = LookupHandler['onFound'];

export class Reads {
  readonly #engine: Engine;
  readonly #key: KeyScratch;

  constructor(engine: Engine, key: KeyScratch) {
    this.#engine = engine;
    this.#key = key;
  }

  /** HOT. Looks in memory; the engine's reader then holds the value's place, or the block that is needed. */
  search(key: Bytes, sequence: number): Outcome {
    const scratch = this.#key;
    scratch.load(key);
    const { reader, versions } = this.#engine;
    const inMemtables = this.#searchMemtables(sequence);
    if (inMemtables !== undefined) return inMemtables;
    const { bytes, length, hash } = scratch;
    return reader.searchTables(versions.current, 0, -1, bytes, length, hash, sequence);
  }

  /** The value that `search` found. */
  takeValue(): Buffer {
    const { bytes, entry } = this.#engine.reader;
    return copyOf(bytes, entry.valueStart, entry.valueLength);
  }

  /** REQUIRES: `search` has just answered BLOCK_NEEDED. */
  lookup(sequence: number, keep: boolean, handler: LookupHandler): void {
    const { reader, versions } = this.#engine;
    new PointLookup(reader, versions.current, this.#key, sequence, keep, handler).begin();
  }

  /** The same, done when it returns. */
  lookupSync(sequence: number, keep: boolean, onFound: OnFound): void {
    const { scheduler, callerReads } = this.#engine;
    let done = false;
    let isGivenUp = false;
    let failure: Error | undefined;
    const settle = (error?: Error): void => {
      failure = error;
      done = true;
    };
    const handler: LookupHandler = {
      onFound: (bytes, start, length, isPrivate) => {
        // An answer that comes late finds a caller that has gone on, with the memory that it was meant for.
        if (isGivenUp) return;
        onFound(bytes, start, length, isPrivate);
        settle();
      },
      onAbsent: () => settle(),
      onError: settle,
    };
    try {
      if (callerReads !== undefined) callerReads.isWaiting = true;
      this.lookup(sequence, keep, handler);
      scheduler.waitUntil(() => done);
    } finally {
      if (callerReads !== undefined) callerReads.isWaiting = false;
      isGivenUp = !done;
    }
    if (failure !== undefined) throw failure;
    if (!done) throw this.#unanswered();
  }

  /** Waits for what a scan needs. Throws WORKER_FAILED, or why the database has failed. */
  awaitBlocks(scan: Scan): void {
    let isSettled = false;
    scan.whenSettled(() => {
      isSettled = true;
    });
    this.#engine.scheduler.waitUntil(() => isSettled);
    if (!isSettled) throw this.#unanswered();
  }

  /** What was asked for in this turn is on its way, however long the turn lasts. */
  handOver(): void {
    this.#engine.scheduler.publishGathered();
  }

  #unanswered(): QuadringError {
    return this.#engine.failure ?? new QuadringError('WORKER_FAILED', 'the read was not answered');
  }

  /** One result for each key: what `resultOf` makes of its value, or `absent`. Throws at once what a key is refused with. */
  many<Result>(
    keys: readonly Bytes[],
    sequence: number,
    keep: boolean,
    absent: Result,
    resultOf: (bytes: Uint8Array, start: number, length: number, isPrivate: boolean) => Result,
  ): Promise<Result[]> {
    const { reader, versions, cache } = this.#engine;
    // It grows with the keys that there are: an array may claim to be longer than any memory.
    const results: Result[] = [];
    let settle: (error: Error | undefined) => void = () => undefined;
    const tables = new MultiGet({
      cache,
      version: versions.current,
      visibleSequence: sequence,
      keep,
      handler: {
        onFound: (place, bytes, start, length, isPrivate) => {
          results[place] = resultOf(bytes, start, length, isPrivate);
        },
        onDeleted: (place) => {
          results[place] = absent;
        },
        onDone: (error) => settle(error),
      },
      handOver: () => this.handOver(),
    });
    try {
      for (let place = 0; place < keys.length; place++) {
        this.#key.load(keys[place]);
        results.push(absent);
        const outcome = this.#searchMemtables(sequence);
        if (outcome === undefined) {
          tables.add(place, this.#key);
        } else if (outcome === FOUND) {
          const { bytes, entry } = reader;
          results[place] = resultOf(bytes, entry.valueStart, entry.valueLength, false);
        }
      }
    } catch (error) {
      // What the keys before that one have asked for comes to nobody.
      tables.end();
      throw error;
    }
    return new Promise((resolve, reject) => {
      settle = (error) => {
        if (error === undefined) resolve(results);
        else reject(error);
      };
      tables.end();
    });
  }

  /** Of the key that was loaded; undefined when no memtable has it. */
  #searchMemtables(sequence: number): Outcome | undefined {
    const { reader, memtables } = this.#engine;
    const inActive = reader.searchMemtable(memtables.active, this.#key, sequence);
    if (inActive !== undefined) return inActive;
    const { frozen } = memtables;
    for (let i = frozen.length - 1; i >= 0; i--) {
      const inFrozen = reader.searchMemtable(frozen[i], this.#key, sequence);
      if (inFrozen !== undefined) return inFrozen;
    }
    return undefined;
  }
}

/** A value that was found, as a Buffer of the caller's own. A small one does not keep the memory of all that is beside it. */
export function bufferOf(bytes: Uint8Array, start: number, length: number, isPrivate: boolean): Buffer {
  const isMostOfIt = 2 * length >= bytes.length;
  return isPrivate && isMostOfIt ? viewOf(bytes, start, length) : copyOf(bytes, start, length);
}
