/**
 * Does the operations of a trace on an open engine, and checks what it is given. Benchmarks only; HOT: every call that is
 * measured goes through here.
 *
 * There are four shapes of work: gets of one key that are answered synchronously, in a plain loop without a promise; the
 * same through promises; any operations, in as many lanes as are to be under way at once; and calls for groups of keys.
 */
import { strict as assert } from 'node:assert';
import type { OpenPeer } from '../peers/peer.ts';
import { isValueOf, RangeCheck } from '../support/numbered-entries.ts';
import type { Measured, RunStep } from '../workload/session.ts';
import {
  OPERATION_GET,
  OPERATION_PUT,
  OPERATION_RANGE,
  OPERATION_READ_MODIFY_WRITE,
} from '../workload/trace.ts';
import { collectGarbage } from '../support/cold.ts';
import type { Operations } from './operations.ts';
import { Stopwatch } from './stopwatch.ts';

/** Calls that take less are not timed one by one: reading the clock would be a good part of them. */
const TIMED_MICROSECONDS_MIN = 5;
/** Where there is a limit of the time, the clock is looked at after so many calls. */
const LOOK_EVERY = 64;
const LOOK_EVERY_PROMISES = 16;
/** A value that the engine copies into a buffer of ours. */
const TARGET_FILL = 0xff;

export class StepRunner {
  readonly #peer: OpenPeer;
  readonly #operations: Operations;
  readonly #step: RunStep;
  readonly #valueBytes: number;
  readonly #target: Buffer;

  constructor(peer: OpenPeer, operations: Operations, step: RunStep, valueBytes: number) {
    this.#peer = peer;
    this.#operations = operations;
    this.#step = step;
    this.#valueBytes = valueBytes;
    this.#target = Buffer.alloc(valueBytes, TARGET_FILL);
  }

  /** Null where the engine does not have the form. */
  async run(): Promise<Measured | null> {
    const { warmUp, row, endsDurable, group, inFlight, millisecondsMax } = this.#step;
    const { length, keys } = this.#operations;
    assert(warmUp < length, 'something is left to be measured');
    assert(group > 1 || keys.length === length, 'there are not too many operations one by one');
    if (!this.#hasForm) return null;
    // Not between the warm-up and what is measured: with the last object of a shape goes what was compiled for it.
    collectGarbage();
    const half = Math.floor(warmUp / 2 / group) * group;
    const warming = new Stopwatch();
    let warmed = half === 0 ? 0 : await this.#work(0, half, warming, null, millisecondsMax / 2);
    const microsecondsEach = (warming.seconds * 1e6 * group) / warmed;
    const isTimed = half === 0 || inFlight > 1 || microsecondsEach > TIMED_MICROSECONDS_MIN;
    const latencies = isTimed ? new Float64Array(Math.ceil(length / group)) : null;
    // The rest as it is measured.
    if (warmed < warmUp)
      warmed += await this.#work(warmed, warmUp, new Stopwatch(), latencies, millisecondsMax / 2);
    // Where time ended the warm-up, what it has not written must not be left out: it may be read.
    const from = this.#operations.hasWrites ? warmed : warmUp;
    const stopwatch = new Stopwatch();
    const done = await this.#work(from, length, stopwatch, latencies, millisecondsMax);
    if (endsDurable) await this.#peer.makeDurable();
    const calls = Math.ceil(done / group);
    return stopwatch.measured(row, done, calls, latencies?.subarray(0, calls) ?? null);
  }

  /** Does the operations from `from` on, up to `to` or the limit of the time; how many. */
  #work(
    from: number,
    to: number,
    stopwatch: Stopwatch,
    latencies: Float64Array | null,
    millisecondsMax: number,
  ): Promise<number> | number {
    const { group, inFlight } = this.#step;
    const limit = new Limit(stopwatch, millisecondsMax);
    if (group > 1) return this.#groups(from, to, stopwatch, latencies, limit);
    const get = this.#synchronousGet();
    if (get !== undefined && this.#operations.areAllGets) {
      return this.#synchronousGets(get, from, to, latencies, limit);
    }
    if (inFlight > 1 && this.#peer.putTogether !== undefined && !this.#operations.areAllGets) {
      return this.#together(from, to, latencies, limit);
    }
    return this.#lanes(from, to, latencies, limit);
  }

  get #hasForm(): boolean {
    const { form, inFlight, group } = this.#step;
    const isSynchronous = (form === 'borrowed' || form === 'owned') && inFlight === 1 && group === 1;
    return !isSynchronous || this.#synchronousGet() !== undefined || !this.#operations.areAllGets;
  }

  /** A get that gives a value at once, in the form wanted, or throws when it is the wrong one. */
  #synchronousGet(): ((at: number) => void) | undefined {
    const { form, inFlight } = this.#step;
    const peer = this.#peer;
    if (form === 'promise' || inFlight > 1) return undefined;
    const { keys, trace } = this.#operations;
    if (form === 'borrowed' && peer.getInto !== undefined) {
      const target = this.#target;
      return (at) => {
        if (peer.getInto!(keys[at], target) !== target.length) refuse(trace.number(at));
        this.#check(target, trace.number(at));
      };
    }
    if (form === 'borrowed' && peer.getBorrowed !== undefined) {
      return (at) => this.#check(peer.getBorrowed!(keys[at]), trace.number(at));
    }
    if (peer.getSync === undefined) return undefined;
    return (at) => this.#check(peer.getSync!(keys[at]), trace.number(at));
  }

  #check(value: Buffer | undefined, number: number): void {
    if (!isValueOf(value, number, this.#valueBytes)) refuse(number);
  }

  #synchronousGets(
    get: (at: number) => void,
    from: number,
    to: number,
    latencies: Float64Array | null,
    limit: Limit,
  ): number {
    let at = from;
    for (; at < to; at++) {
      if (at % LOOK_EVERY === 0 && limit.isReached) break;
      if (latencies === null) {
        get(at);
        continue;
      }
      const before = performance.now();
      get(at);
      latencies[at - from] = performance.now() - before;
    }
    return at - from;
  }

  /** So many chains of calls, each of which makes its next call when the one before has been answered. */
  async #lanes(from: number, to: number, latencies: Float64Array | null, limit: Limit): Promise<number> {
    const { keys, trace } = this.#operations;
    const peer = this.#peer;
    // Gets are called right here: a function between them and the engine would be one more promise each.
    const areGets = this.#step.form === 'promise' && this.#operations.areAllGets;
    let next = from;
    const lane = async (): Promise<void> => {
      while (next < to && !(next % LOOK_EVERY_PROMISES === 0 && limit.isReached)) {
        const at = next++;
        const before = latencies === null ? 0 : performance.now();
        if (areGets) this.#check(await peer.get(keys[at]), trace.number(at));
        else await this.#perform(at);
        if (latencies !== null) latencies[at - from] = performance.now() - before;
      }
    };
    await Promise.all(Array.from({ length: this.#step.inFlight }, lane));
    return next - from;
  }

  #perform(at: number): Promise<void> {
    const { trace, keys } = this.#operations;
    switch (trace.operation(at)) {
      case OPERATION_GET:
        return this.#get(at);
      case OPERATION_PUT:
        return this.#peer.put(keys[at], this.#operations.value(at));
      case OPERATION_RANGE: {
        const count = trace.argument(at);
        return this.#range(at, count);
      }
      case OPERATION_READ_MODIFY_WRITE:
        return this.#readModifyWrite(at);
      default:
        throw new Error(`operation ${trace.operation(at)} of a trace is not known`);
    }
  }

  async #get(at: number): Promise<void> {
    const { keys, trace } = this.#operations;
    const { getSync } = this.#peer;
    const isSynchronous = this.#step.form !== 'promise' && this.#step.inFlight === 1 && getSync !== undefined;
    const value = isSynchronous ? this.#peer.getSync!(keys[at]) : await this.#peer.get(keys[at]);
    this.#check(value, trace.number(at));
  }

  async #range(at: number, count: number): Promise<void> {
    const { keys, trace } = this.#operations;
    const check = new RangeCheck(trace.number(at), this.#valueBytes);
    const { form } = this.#step;
    const isBorrowed = (form === 'borrowed' || form === 'either') && this.#peer.rangeBorrowed !== undefined;
    if (isBorrowed) this.#peer.rangeBorrowed(keys[at], count, check);
    else await this.#peer.range(keys[at], count, check);
    check.finish(count);
  }

  async #readModifyWrite(at: number): Promise<void> {
    await this.#get(at);
    await this.#peer.put(this.#operations.keys[at], this.#operations.value(at));
  }

  /** What others have under way at once, in transactions of as many. */
  #together(from: number, to: number, latencies: Float64Array | null, limit: Limit): number {
    let at = from;
    while (at < to && !limit.isReached) {
      const end = Math.min(at + this.#step.inFlight, to);
      const values: Buffer[] = [];
      for (let i = at; i < end; i++) {
        assert.equal(this.#operations.trace.operation(i), OPERATION_PUT);
        values.push(this.#operations.value(i));
      }
      const before = performance.now();
      this.#peer.putTogether!(this.#operations.keys.slice(at, end), values);
      // Each of them has to wait for all.
      latencies?.fill(performance.now() - before, at - from, end - from);
      at = end;
    }
    return at - from;
  }

  async #groups(
    from: number,
    to: number,
    stopwatch: Stopwatch,
    latencies: Float64Array | null,
    limit: Limit,
  ): Promise<number> {
    const { group } = this.#step;
    const { trace } = this.#operations;
    let at = from;
    for (let call = 0; at < to && !limit.isReached; call++) {
      const end = Math.min(at + group, to);
      const isRead = trace.operation(at) === OPERATION_GET;
      stopwatch.stop();
      const keys = this.#operations.keysOf(at, end);
      const values = isRead ? [] : keys.map((_, i) => this.#operations.value(at + i));
      stopwatch.start();
      const before = performance.now();
      if (isRead) this.#checkMany(await this.#peer.getMany(keys), at);
      else await this.#peer.batch(keys, values);
      if (latencies !== null) latencies[call] = performance.now() - before;
      at = end;
    }
    return at - from;
  }

  #checkMany(values: readonly (Buffer | undefined)[], from: number): void {
    for (let i = 0; i < values.length; i++) {
      this.#check(values[i], this.#operations.trace.number(from + i));
    }
  }
}

/** So much time on the clock, or no limit. */
class Limit {
  readonly #stopwatch: Stopwatch;
  readonly #milliseconds: number;

  constructor(stopwatch: Stopwatch, milliseconds: number) {
    this.#stopwatch = stopwatch;
    this.#milliseconds = milliseconds;
  }

  get isReached(): boolean {
    return this.#milliseconds > 0 && this.#stopwatch.seconds * 1000 > this.#milliseconds;
  }
}

function refuse(number: number): never {
  throw new Error(`what was read for entry ${number} is not its value`);
}
