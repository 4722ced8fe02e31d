/**
 * What the four rings do over time beside a mixed load: durable puts that overwrite, and gets that mostly have to read. The
 * time lines of the report. Benchmarks only.
 */
import { setImmediate } from 'node:timers/promises';
import { Database } from '../../src/index.ts';
import type { NamedTimeline } from '../report/report.ts';
import { pseudoRandom } from '../support/measure.ts';
import { isValueOf, NumberedEntries } from '../support/numbered-entries.ts';
import type { Dataset } from '../workload/session.ts';

const MEBIBYTE = 1 << 20;
const MEGABYTE = 1e6;
const SAMPLE_MS = 40;
const PUTS_IN_FLIGHT = 64;
const GETS_IN_FLIGHT = 8;
/** Small, so that memtables fill and are flushed and compacted while it lasts. */
const WRITE_BUFFER_BYTES = 8 * MEBIBYTE;
const CACHE_BYTES = 8 * MEBIBYTE;
const GETS_PER_TURN = 64;
const SEED = 31;

interface Moment {
  readonly seconds: number;
  readonly puts: number;
  readonly gets: number;
  /** Of each ring, in MB since the beginning. */
  readonly read: ReadonlyMap<string, number>;
  readonly written: ReadonlyMap<string, number>;
}

/** On a database of the dataset, which it writes to. */
export async function recordMixedLoad(
  directory: string,
  dataset: Dataset,
  seconds: number,
): Promise<NamedTimeline> {
  const database = await Database.open(directory, {
    writeBufferBytes: WRITE_BUFFER_BYTES,
    blockCacheBytes: CACHE_BYTES,
  });
  try {
    const load = new MixedLoad(database, dataset);
    const moments = await load.run(seconds);
    return {
      name: 'mixed-load',
      title: `${PUTS_IN_FLIGHT} durable puts and ${GETS_IN_FLIGHT} gets in flight, any key of ${dataset.entries.toLocaleString('en')}`,
      timeline: {
        seconds: moments.slice(1).map((moment) => moment.seconds),
        lanes: [
          {
            title: 'Caller',
            unit: '/s',
            series: [
              { label: 'puts', values: ratesOf(moments, ({ puts }) => puts) },
              { label: 'gets', values: ratesOf(moments, ({ gets }) => gets) },
            ],
          },
          ...[...moments[0].read.keys()].map((role) => ({
            title: `${role} ring`,
            unit: 'MB/s',
            series: [
              { label: 'read', values: ratesOf(moments, ({ read }) => read.get(role)!) },
              { label: 'written', values: ratesOf(moments, ({ written }) => written.get(role)!) },
            ],
          })),
        ],
      },
    };
  } finally {
    await database.close();
  }
}

/** From each moment to the next, a second. */
function ratesOf(moments: readonly Moment[], valueOf: (moment: Moment) => number): number[] {
  return moments.slice(1).map((moment, i) => {
    const before = moments[i];
    return (valueOf(moment) - valueOf(before)) / (moment.seconds - before.seconds);
  });
}

class MixedLoad {
  readonly #database: Database;
  readonly #dataset: Dataset;
  readonly #entries: NumberedEntries;
  readonly #random = pseudoRandom(SEED);
  readonly #begun = performance.now();
  #puts = 0;
  #gets = 0;
  #isOver = false;

  constructor(database: Database, dataset: Dataset) {
    this.#database = database;
    this.#dataset = dataset;
    this.#entries = new NumberedEntries(dataset.capacity, dataset.valueBytes);
  }

  async run(seconds: number): Promise<Moment[]> {
    const moments = [this.#moment()];
    const timer = setInterval(() => {
      moments.push(this.#moment());
      this.#isOver = moments[moments.length - 1].seconds >= seconds;
    }, SAMPLE_MS);
    try {
      await Promise.all([
        ...Array.from({ length: PUTS_IN_FLIGHT }, () => this.#putInALoop()),
        ...Array.from({ length: GETS_IN_FLIGHT }, () => this.#getInALoop()),
      ]);
    } finally {
      clearInterval(timer);
    }
    return moments;
  }

  #moment(): Moment {
    const { rings } = this.#database.stats();
    const byRing = (bytes: (ring: (typeof rings)[number]) => number): Map<string, number> =>
      new Map(rings.map((ring) => [ring.role, bytes(ring) / MEGABYTE]));
    return {
      seconds: (performance.now() - this.#begun) / 1000,
      puts: this.#puts,
      gets: this.#gets,
      read: byRing(({ bytesRead }) => bytesRead),
      written: byRing(({ bytesWritten }) => bytesWritten),
    };
  }

  async #putInALoop(): Promise<void> {
    while (!this.#isOver) {
      const number = this.#random(this.#dataset.entries);
      const version = this.#puts + 1;
      await this.#database.put(this.#entries.key(number), this.#entries.value(number, version));
      this.#puts += 1;
    }
  }

  async #getInALoop(): Promise<void> {
    while (!this.#isOver) {
      const number = this.#random(this.#dataset.entries);
      const value = await this.#database.get(this.#entries.key(number));
      if (!isValueOf(value, number, this.#dataset.valueBytes)) {
        throw new Error(`what was read for entry ${number} is not its value`);
      }
      this.#gets += 1;
      // Gets that are answered from the cache would keep the event loop from everything else.
      if (this.#gets % GETS_PER_TURN === 0) await setImmediate();
    }
  }
}
