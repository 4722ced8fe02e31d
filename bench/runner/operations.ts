/**
 * A trace made ready: keys, and values where they are written, before any clock runs. Benchmarks only.
 *
 * Keys lie one behind the other in memory in the order in which they are used, for every engine, so that fetching the key is
 * not what is measured. Where few keys come again and again each is one object: a Buffer is seven times as large as such a key,
 * and a new one for each operation would put out of the processor's caches what is meant to be hot. And where there are very many
 * they are made for each call of a group, with the clock stopped: collecting garbage would go through all of them.
 */
import { KEY_BYTES, type NumberedEntries } from '../support/numbered-entries.ts';
import { OPERATION_GET, OPERATION_PUT, OPERATION_READ_MODIFY_WRITE, type Trace } from '../workload/trace.ts';

/** Values beyond this are made when they are needed, with the clock stopped. */
const READY_VALUES_BYTES_MAX = 256 << 20;
const READY_KEYS_MAX = 2_000_000;
const HOT_KEYS_MAX = 4096;

/** Of the operations from `from` on and before `end`. */
function keysInOrder(trace: Trace, entries: NumberedEntries, from: number, end: number): Buffer[] {
  const slab = Buffer.allocUnsafeSlow((end - from) * KEY_BYTES);
  return Array.from({ length: end - from }, (_, i) =>
    entries.writeKey(slab.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), trace.number(from + i)),
  );
}

/** Undefined where there are more than HOT_KEYS_MAX. */
function hotKeys(trace: Trace, entries: NumberedEntries): Buffer[] | undefined {
  const keys = new Map<number, Buffer>();
  for (let at = 0; at < trace.length; at++) {
    const number = trace.number(at);
    if (!keys.has(number)) keys.set(number, entries.key(number));
    if (keys.size > HOT_KEYS_MAX) return undefined;
  }
  return Array.from({ length: trace.length }, (_, at) => keys.get(trace.number(at))!);
}

function isWrite(operation: number): boolean {
  return operation === OPERATION_PUT || operation === OPERATION_READ_MODIFY_WRITE;
}

export class Operations {
  readonly trace: Trace;
  /** Of each operation, by its place in the trace; none where there are more than READY_KEYS_MAX, which only groups have. */
  readonly keys: readonly Buffer[];
  readonly areAllGets: boolean;
  readonly hasWrites: boolean;
  readonly #entries: NumberedEntries;
  readonly #values: (Buffer | undefined)[];

  constructor(trace: Trace, entries: NumberedEntries) {
    this.trace = trace;
    this.#entries = entries;
    this.keys =
      hotKeys(trace, entries) ??
      (trace.length > READY_KEYS_MAX ? [] : keysInOrder(trace, entries, 0, trace.length));
    this.#values = this.#readyValues();
    let [gets, writes] = [0, 0];
    for (let at = 0; at < trace.length; at++) {
      if (trace.operation(at) === OPERATION_GET) gets++;
      else if (isWrite(trace.operation(at))) writes++;
    }
    this.areAllGets = gets === trace.length;
    this.hasWrites = writes > 0;
  }

  get length(): number {
    return this.trace.length;
  }

  /** Keys of the operations from `from` on and before `end`. */
  keysOf(from: number, end: number): Buffer[] {
    return this.keys.length === 0
      ? keysInOrder(this.trace, this.#entries, from, end)
      : this.keys.slice(from, end);
  }

  /** What a writing operation writes. */
  value(at: number): Buffer {
    return this.#values[at] ?? this.#entries.value(this.trace.number(at), this.trace.argument(at));
  }

  #readyValues(): (Buffer | undefined)[] {
    const { trace } = this;
    const { valueBytes } = this.#entries;
    let count = 0;
    for (let at = 0; at < trace.length; at++) if (isWrite(trace.operation(at))) count += 1;
    if (count * valueBytes > READY_VALUES_BYTES_MAX) return [];
    const slab = Buffer.allocUnsafeSlow(count * valueBytes);
    let from = 0;
    return Array.from({ length: trace.length }, (_, at) => {
      if (!isWrite(trace.operation(at))) return undefined;
      const value = slab.subarray(from, from + valueBytes);
      from += valueBytes;
      return this.#entries.writeValue(value, trace.number(at), trace.argument(at));
    });
  }
}
