/** What is compared: groups of rows, each of which every engine does in one process on one opening. Pure; benchmarks only. */
import {
  datasetOf,
  KEY_BYTES,
  MILLISECONDS_MAX,
  roomy,
  RUN,
  SCAN_UNMEASURED,
  share,
  trace,
  UNMEASURED,
  type Group,
  type StepDefinition,
  type TraceDefinition,
  type Variant,
} from './group.ts';
import type { Dataset, Form, Opening } from './session.ts';
import {
  inSequence,
  OPERATION_GET,
  OPERATION_PUT,
  OPERATION_RANGE,
  shuffled,
  uniformly,
  type Draw,
} from './trace.ts';
import { YCSB_MIXES, ycsbTrace, type YcsbMix } from './ycsb.ts';

const MEBIBYTE = 1 << 20;
const SMALL_CACHE_BYTES = 8 * MEBIBYTE;
/** Cold reads go to each run of so many bytes once: no block is read a second time, whoever keeps it. */
const COLD_STRIDE_BYTES = 17_400;
/** Code that runs once for an operation takes thousands of them to be compiled, in several threads. */
const COLD_WARM_UP = 20_000;
/** What a warm-up is a multiple of, for all sizes of getMany. */
const WHOLE_CALLS = 800;
const COLD = { millisecondsMax: MILLISECONDS_MAX / 2 };
const HOT_ENTRIES = 1000;
const RANGE_ENTRIES = 100;
const BATCH_ENTRIES = 1000;
export const DEPTHS = [1, 4, 16, 64, 256] as const;

export interface Scale {
  /** Entries of 100 bytes that are loaded. */
  readonly entries: number;
  /** The same where the disk is meant: each block is read once, and a row has to last. */
  readonly coldEntries: number;
  /** Of the numbers of operations. */
  readonly factor: number;
}

/** All groups of a run. */
export class Workload {
  readonly #scale: Scale;
  readonly #main: Dataset;
  readonly #cold: Dataset;

  constructor(scale: Scale) {
    this.#scale = scale;
    this.#main = datasetOf(scale.entries, 100);
    this.#cold = datasetOf(scale.coldEntries, 100);
  }

  get main(): Dataset {
    return this.#main;
  }

  groups(): Group[] {
    return [
      this.#hot(),
      this.#cached(),
      this.#pageCache(),
      this.#coldSync(),
      ...DEPTHS.map((depth) => this.#coldGets(depth)),
      this.#coldGets(32),
      this.#coldMany(32),
      this.#coldMany(100),
      this.#coldScan(),
      this.#coldRanges(),
      ...DEPTHS.map((depth) => this.#durablePuts(depth)),
      this.#durablePuts(1000),
      this.#durableBatches(),
      this.#quickPuts('ordered', 1),
      this.#quickPuts('random', 1),
      this.#quickPuts('random', 1000),
      this.#load('random'),
      this.#load('ordered'),
      ...YCSB_MIXES.map((mix) => this.#ycsb(mix)),
      ...[1000, 16_000].flatMap((valueBytes) => [this.#largeGets(valueBytes), this.#largePuts(valueBytes)]),
      this.#open(),
      this.#memory(),
    ];
  }

  /** Loads what groups that begin with it find: in random order, compacted, at rest. */
  loading(dataset: Dataset): StepDefinition[] {
    return [
      this.#loadStep('random', dataset.entries),
      { step: 'compact', row: UNMEASURED },
      { step: 'settle' },
    ];
  }

  /** The rows of how cost grows with the number of entries. */
  growth(): Group[] {
    // Not all sizes fit into a cache of ours; what does not is then in the page cache, for every engine.
    const cached = this.#cached();
    const buffered = { ...cached, opening: { ...cached.opening, io: 'buffered' as const } };
    return [buffered, this.#coldGets(1), this.#coldGets(32), this.#coldRanges(), this.#memory()];
  }

  #times(count: number): number {
    return Math.max(Math.ceil(count * this.#scale.factor), 64);
  }

  #gets(name: string, draw: Draw, length: number): TraceDefinition {
    return trace(`get-${name}-${this.#main.entries}`, length, OPERATION_GET, draw);
  }

  #uniform(length: number, seed: number): TraceDefinition {
    return this.#gets(`uniform${seed}`, uniformly(this.#main.entries, seed), length);
  }

  #loaded(
    name: string,
    opening: Partial<Opening>,
    steps: StepDefinition[],
    more: Partial<Group> = {},
  ): Group {
    return {
      name,
      section: more.isCold ? 'Reads from the disk' : 'Reads from memory',
      dataset: more.isCold ? this.#cold : this.#main,
      start: 'loaded',
      isCold: false,
      opening: { cacheBytes: SMALL_CACHE_BYTES, io: 'direct', durable: false, inMemory: false, ...opening },
      steps,
      variants: [],
      ...more,
    };
  }

  #hot(): Group {
    const hot = Math.min(HOT_ENTRIES, this.#main.entries);
    const counted = this.#gets('hot', inSequence(hot), this.#times(1_000_000));
    const run = { ...RUN, trace: counted, warmUp: share(counted, 0.3) };
    return this.#loaded(
      'hot',
      {},
      (['borrowed', 'owned', 'promise'] as const).map((form) => ({ ...run, row: `hot-get-${form}`, form })),
      { variants: ['rocksdb-configurations'] },
    );
  }

  #cached(): Group {
    const uniform = this.#uniform(this.#times(500_000), 1);
    const gets = { ...RUN, trace: uniform, warmUp: share(uniform, 0.4) };
    const keys = this.#uniform(this.#times(400_000), 2);
    const ranges = this.#ranges(this.#times(15_000));
    const range = { ...RUN, trace: ranges, warmUp: share(ranges, 0.3) };
    const many = { ...RUN, trace: keys, warmUp: share(keys, 0.25, 100), group: 100 };
    const forms: Form[] = ['borrowed', 'owned', 'promise'];
    return this.#loaded('cached', { cacheBytes: roomy(this.#main) }, [
      { step: 'scan', row: 'scan-cached', form: 'borrowed', repeats: 1, warmUp: 2 },
      { step: 'scan', row: 'scan-cached-owned', form: 'owned', repeats: 1, warmUp: 2 },
      ...forms.map((form) => ({ ...gets, row: `uniform-get-${form}`, form })),
      { ...many, row: 'many-100-cached', form: 'promise' },
      { ...range, row: 'range-100-cached', form: 'borrowed' },
      { ...range, row: 'range-100-cached-owned', form: 'owned' },
    ]);
  }

  #ranges(length: number): TraceDefinition {
    const count = Math.min(RANGE_ENTRIES, this.#main.entries);
    const draw = uniformly(this.#main.entries - count + 1, 3);
    return trace(`range-${this.#main.entries}`, length, OPERATION_RANGE, draw, count);
  }

  #pageCache(): Group {
    const gets = this.#uniform(this.#times(200_000), 1);
    return this.#loaded('page-cache', { io: 'buffered' }, [
      SCAN_UNMEASURED,
      { ...RUN, row: 'page-cache-get', trace: gets, warmUp: share(gets, 0.25) },
    ]);
  }

  #coldSync(): Group {
    const step: StepDefinition = { ...RUN, ...this.#coldTrace(6), ...COLD, row: 'cold-get-sync' };
    return this.#loaded('cold-get-sync', { cacheBytes: 0 }, [step], {
      isCold: true,
      variants: ['rocksdb-configurations', 'spinning'],
    });
  }

  #coldGets(depth: number): Group {
    const run = { ...RUN, ...this.#coldTrace(4), ...COLD, inFlight: depth };
    const variants: Variant[] = depth === 1 ? ['spinning'] : depth === 32 ? ['fio'] : [];
    return this.#loaded(
      `cold-gets-${depth}`,
      { cacheBytes: 0 },
      [{ ...run, row: `cold-get-${depth}`, form: 'promise' }],
      { isCold: true, variants },
    );
  }

  #coldTrace(seed: number): { trace: TraceDefinition; warmUp: number } {
    return this.#oncePerRun(`cold-get${seed}`, OPERATION_GET, seed, 1);
  }

  /**
   * Any entries of the lower half to warm up with, and then one of so many times COLD_STRIDE_BYTES each of the upper half, in
   * random order.
   */
  #oncePerRun(
    name: string,
    operation: number,
    seed: number,
    strides: number,
    argument = 0,
  ): { trace: TraceDefinition; warmUp: number } {
    const { entries, valueBytes } = this.#cold;
    const stride = Math.floor(COLD_STRIDE_BYTES / (KEY_BYTES + valueBytes));
    const middle = Math.floor(entries / 2);
    const runs = Math.floor((entries - middle) / (stride * strides));
    const warmUp = Math.ceil(this.#times(COLD_WARM_UP) / WHOLE_CALLS) * WHOLE_CALLS;
    const [warm, order, within] = [
      uniformly(middle - argument, seed),
      shuffled(runs, seed),
      uniformly(stride, seed),
    ];
    let drawn = 0;
    const draw = (): number => (drawn++ < warmUp ? warm() : middle + order() * stride * strides + within());
    return { trace: trace(`${name}-${entries}`, warmUp + runs, operation, draw, argument), warmUp };
  }

  #coldMany(size: number): Group {
    const step: StepDefinition = {
      ...RUN,
      ...this.#coldTrace(5),
      ...COLD,
      row: `many-${size}-cold`,
      group: size,
      form: 'promise',
    };
    const more = { isCold: true, variants: ['rocksdb-async'] as const };
    return this.#loaded(`cold-many-${size}`, { cacheBytes: 0 }, [step], more);
  }

  #coldScan(): Group {
    const steps: StepDefinition[] = [
      { step: 'scan', row: 'scan-cold', form: 'borrowed', repeats: 1, warmUp: 0 },
    ];
    return this.#loaded('cold-scan', {}, steps, { isCold: true });
  }

  #coldRanges(): Group {
    const ranges = this.#oncePerRun('cold-range', OPERATION_RANGE, 9, 2, RANGE_ENTRIES);
    const step: StepDefinition = { ...RUN, ...ranges, ...COLD, row: 'range-100-cold', form: 'borrowed' };
    return this.#loaded('cold-ranges', { cacheBytes: 0 }, [step], { isCold: true });
  }

  #empty(
    name: string,
    dataset: Dataset,
    durable: boolean,
    steps: StepDefinition[],
    variants: Variant[] = [],
  ): Group {
    const opening: Opening = { cacheBytes: SMALL_CACHE_BYTES, io: 'direct', durable, inMemory: false };
    const section = dataset === this.#main ? 'Writes' : 'Larger values';
    return { name, section, dataset, start: 'empty', isCold: false, opening, steps, variants };
  }

  #puts(order: 'random' | 'ordered', dataset: Dataset, length: number): TraceDefinition {
    const limit = Math.min(length, dataset.capacity);
    const draw = order === 'random' ? shuffled(limit, 6) : inSequence(limit);
    return trace(`put-${order}-${dataset.valueBytes}-${dataset.capacity}`, length, OPERATION_PUT, draw);
  }

  /** What an engine prepares when it has been opened is behind it. */
  #durablePuts(depth: number): Group {
    const puts = this.#puts(
      'random',
      this.#main,
      this.#times(depth === 1 ? 15_000 : Math.max(depth * 500, 40_000)),
    );
    const run = {
      ...RUN,
      trace: puts,
      warmUp: share(puts, depth === 1 ? 0.6 : 0.25),
      inFlight: depth,
      threads: depth === 1000 ? 64 : depth,
      millisecondsMax: MILLISECONDS_MAX / 2,
    };
    const steps: StepDefinition[] = [
      { step: 'settle' },
      { ...run, row: `durable-put-${depth}`, form: 'promise' },
    ];
    return this.#empty(
      `durable-puts-${depth}`,
      this.#main,
      true,
      steps,
      depth === 1 ? ['spinning', 'bare-writes'] : [],
    );
  }

  /** What an engine without several puts under way does in their place, done by all. */
  #durableBatches(): Group {
    const puts = this.#puts('random', this.#main, this.#times(600_000));
    const steps: StepDefinition[] = [
      { step: 'settle' },
      {
        ...RUN,
        row: 'durable-batch',
        trace: puts,
        warmUp: share(puts, 0.25, BATCH_ENTRIES),
        group: BATCH_ENTRIES,
        form: 'promise',
        millisecondsMax: MILLISECONDS_MAX / 2,
      },
    ];
    return this.#empty('durable-batches', this.#main, true, steps);
  }

  #quickPuts(order: 'random' | 'ordered', depth: number): Group {
    const puts = this.#puts(order, this.#main, this.#times(400_000));
    const run = { ...RUN, trace: puts, warmUp: share(puts, 0.25), inFlight: depth, threads: 1 };
    const row = `quick-put-${order}-${depth}`;
    const steps: StepDefinition[] = [{ ...run, row, form: 'promise' }];
    return this.#empty(`quick-puts-${order}-${depth}`, this.#main, false, steps, ['rocksdb-in-memory']);
  }

  #loadStep(order: 'random' | 'ordered', entries: number): StepDefinition {
    const draw = order === 'random' ? shuffled(entries, 7) : inSequence(entries);
    return {
      ...RUN,
      row: `load-${order}`,
      trace: trace(`load-${order}`, entries, OPERATION_PUT, draw),
      warmUp: 0,
      group: BATCH_ENTRIES,
      endsDurable: true,
      millisecondsMax: 0,
    };
  }

  #load(order: 'random' | 'ordered'): Group {
    return this.#empty(`load-${order}`, this.#main, false, [this.#loadStep(order, this.#main.entries)]);
  }

  #ycsb(mix: YcsbMix): Group {
    const length = this.#times(mix.operations);
    const operations = {
      name: `ycsb-${mix.name}-${this.#main.entries}-${length}`,
      length,
      make: () => ycsbTrace(mix, this.#main, length),
    };
    const warmUp = share(operations, 0.25);
    const steps: StepDefinition[] = [
      SCAN_UNMEASURED,
      { ...RUN, row: `ycsb-${mix.name}`, trace: operations, warmUp, form: 'either' },
    ];
    const start = mix.writes ? 'copy' : 'loaded';
    return this.#loaded(`ycsb-${mix.name}`, { cacheBytes: roomy(this.#main) }, steps, {
      start,
      section: 'YCSB',
      variants: mix.writes ? ['rocksdb-in-memory'] : [],
    });
  }

  #largeGets(valueBytes: number): Group {
    const dataset = this.#largeDataset(valueBytes);
    const draw = uniformly(dataset.entries, 8);
    const gets = trace(`get-${valueBytes}-${dataset.entries}`, this.#times(200_000), OPERATION_GET, draw);
    const run = { ...RUN, trace: gets, warmUp: share(gets, 0.25) };
    const steps: StepDefinition[] = [
      SCAN_UNMEASURED,
      { ...run, row: `get-${valueBytes}-borrowed`, form: 'borrowed' },
      { ...run, row: `get-${valueBytes}-owned`, form: 'owned' },
    ];
    return this.#loaded(`gets-${valueBytes}`, { cacheBytes: roomy(dataset) }, steps, {
      dataset,
      section: 'Larger values',
    });
  }

  #largePuts(valueBytes: number): Group {
    const dataset = this.#largeDataset(valueBytes);
    const puts = this.#puts('random', dataset, this.#times(12_000));
    const run = { ...RUN, trace: puts, warmUp: share(puts, 0.6) };
    const steps: StepDefinition[] = [
      { step: 'settle' },
      { ...run, row: `durable-put-of-${valueBytes}`, form: 'promise', millisecondsMax: MILLISECONDS_MAX / 2 },
    ];
    return this.#empty(`durable-puts-of-${valueBytes}`, dataset, true, steps);
  }

  /** As many bytes as the small values have together. */
  #largeDataset(valueBytes: number): Dataset {
    return datasetOf(Math.max(Math.ceil((this.#scale.entries * 100) / valueBytes), 64), valueBytes);
  }

  #open(): Group {
    return this.#loaded('open', {}, [{ step: 'reopen', row: 'open-again', repeats: 10 }], {
      section: 'Opening and memory',
    });
  }

  /** After everything was read once, with a small cache. */
  #memory(): Group {
    return this.#loaded(
      'memory',
      { cacheBytes: 32 * MEBIBYTE },
      [SCAN_UNMEASURED, { step: 'memory', row: 'memory' }],
      { section: 'Opening and memory' },
    );
  }
}
