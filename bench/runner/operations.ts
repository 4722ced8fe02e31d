/**
 * A trace made ready: keys, and values where they are written, before any clock runs. Benchmarks only.
 *
 * Keys lie one behind the other in memory in the order in which they are used, for every engine, so that fetching the key is
 * not what is measured. Where few keys come again and again each is one object: a Buffer is seven times as large as such a key,
 * and a new one for each operation would put out of the processor's caches what is meant to be hot.
 */
import { KEY_BYTES, type NumberedEntries } from '../support/numbered-entries.ts';
import { OPERATION_GET, OPERATION_PUT, OPERATION_READ_MODIFY_WRITE, type Trace } from '../workload/trace.ts';

/** Values beyond this are made when they are needed, with the clock stopped. */
const READY_VALUES_BYTES_MAX = 256 << 20;
const HOT_KEYS_MAX = 4096;

function keysInOrder(trace: Trace, entries: NumberedEntries): Buffer[] {
  const slab = Buffer.allocUnsafeSlow(trace.length * KEY_BYTES);
  return Array.from({ length: trace.length }, (_, at) =>
    entries.writeKey(slab.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES), trace.number(at)),
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
  /** Of each operation, by its place in the trace. */
  readonly keys: readonly Buffer[];
  readonly areAllGets: boolean;
  readonly hasWrites: boolean;
  readonly #entries: NumberedEntries;
  readonly #values: (Buffer | undefined)[];

  constructor(trace: Trace, entries: NumberedEntries) {
    this.trace = trace;
    this.#entries = entries;
    this.keys = hotKeys(trace, entries) ?? keysInOrder(trace, entries);
    this.#values = this.#readyValues();
    const operations = Array.from({ length: trace.length }, (_, at) => trace.operation(at));
    this.areAllGets = operations.every((operation) => operation === OPERATION_GET);
    this.hasWrites = operations.some(isWrite);
  }

  get length(): number {
    return this.trace.length;
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
