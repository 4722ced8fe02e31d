/**
 * A trace made ready: keys, and values where they are written, before any clock runs. Benchmarks only.
 *
 * Keys lie one behind the other in memory in the order in which they are used, for every engine, so that fetching the key is
 * not what is measured.
 */
import { KEY_BYTES, type NumberedEntries } from '../support/numbered-entries.ts';
import { OPERATION_GET, OPERATION_PUT, OPERATION_READ_MODIFY_WRITE, type Trace } from '../workload/trace.ts';

/** Values beyond this are made when they are needed, with the clock stopped. */
const READY_VALUES_BYTES_MAX = 256 << 20;

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
    const slab = Buffer.allocUnsafeSlow(trace.length * KEY_BYTES);
    this.keys = Array.from({ length: trace.length }, (_, at) =>
      entries.writeKey(slab.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES), trace.number(at)),
    );
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
