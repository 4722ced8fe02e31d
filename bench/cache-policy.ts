/**
 * Which block should leave the cache: S3-FIFO of `src/main/cache-queues.ts`, CLOCK or LRU? Nothing is read or written;
 * caches of block numbers see the same sequences. Benchmarks only.
 *
 *     node dist/bench/cache-policy.js [--slots 2048] [--rounds 9]
 *
 * 2048 slots are 32 MiB of 16-KiB blocks; there are ten times as many blocks. Hit ratios are those of point reads after
 * a first fifth that fills the cache; a scan's own reads are made, not counted. They depend on no clock and come out
 * the same every time. CLOCK is one reference bit a slot and a hand; a new block's bit is clear. "no ghosts" is S3-FIFO
 * that remembers nothing. Times are for one operation, the policies taking turns in each round; "bare loop" is what the
 * loop around the operation costs.
 */
import Table from 'cli-table3';
import { commandLine } from '../scripts/command-line.ts';
import { CacheQueues, GhostStamps } from '../src/main/cache-queues.ts';
import { NOT_CACHED } from '../src/main/table.ts';
import { describeMachine, pseudoRandom, spreadOf } from './support/measure.ts';

const args = commandLine('bench:cache', { slots: { type: 'string' }, rounds: { type: 'string' } });
const SLOTS = Number(args.slots ?? 2048);
const ROUNDS = Number(args.rounds ?? 9);
const BLOCKS = 10 * SLOTS;
const READS = Math.max(200 * SLOTS, 400_000);
const WARM_READS = READS / 5;
/** Reads between two scans, and between two moves of the hot set. */
const PERIOD = 20 * SLOTS;
const ZIPF_EXPONENT = 0.99;
const RANDOM_MAX = 2 ** 30;
const TOUCHES = 2_000_000;
const CHURNS = 400_000;
const COUNT_MAX = 3;

interface Policy {
  readonly name: string;
  touch(slot: number): void;
  /** `word` is what the table held for the block. */
  insert(slot: number, word: number): void;
  evict(): number;
  /** What the table is to hold for the block that was put out last. */
  wordOfEvicted(): number;
}

class S3Fifo implements Policy {
  readonly name: string;
  readonly #queues: CacheQueues;
  readonly #ghosts: GhostStamps;

  constructor(slotCount: number, withGhosts: boolean) {
    this.name = withGhosts ? 'S3-FIFO' : 'no ghosts';
    this.#queues = new CacheQueues(slotCount);
    this.#ghosts = new GhostStamps(withGhosts ? this.#queues.mainTarget : 0);
  }

  touch(slot: number): void {
    this.#queues.touch(slot);
  }

  insert(slot: number, word: number): void {
    this.#queues.insert(slot, this.#ghosts.isRemembered(word));
  }

  evict(): number {
    return this.#queues.evict();
  }

  wordOfEvicted(): number {
    return this.#queues.lastEvictionWasSmall ? this.#ghosts.remember() : NOT_CACHED;
  }
}

class Clock implements Policy {
  readonly name = 'CLOCK';
  readonly #slotCount: number;
  readonly #cached: Uint8Array;
  readonly #referenced: Uint8Array;
  #hand = 0;

  constructor(slotCount: number) {
    this.#slotCount = slotCount;
    this.#cached = new Uint8Array(slotCount);
    this.#referenced = new Uint8Array(slotCount);
  }

  touch(slot: number): void {
    if (this.#referenced[slot] === 0) this.#referenced[slot] = 1;
  }

  insert(slot: number): void {
    this.#cached[slot] = 1;
    this.#referenced[slot] = 0;
  }

  evict(): number {
    for (let step = 0; step < 2 * this.#slotCount; step++) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.#slotCount ? 0 : slot + 1;
      if (this.#cached[slot] === 0) continue;
      if (this.#referenced[slot] === 0) {
        this.#cached[slot] = 0;
        return slot;
      }
      this.#referenced[slot] = 0;
    }
    return -1;
  }

  wordOfEvicted(): number {
    return NOT_CACHED;
  }
}

class Lru implements Policy {
  readonly name = 'LRU';
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #end: number;

  constructor(slotCount: number) {
    this.#next = new Int32Array(slotCount + 1);
    this.#previous = new Int32Array(slotCount + 1);
    this.#end = slotCount;
    this.#next[slotCount] = this.#previous[slotCount] = slotCount;
  }

  touch(slot: number): void {
    this.#unlink(slot);
    this.insert(slot);
  }

  insert(slot: number): void {
    const newest = this.#previous[this.#end];
    this.#next[newest] = slot;
    this.#previous[slot] = newest;
    this.#next[slot] = this.#end;
    this.#previous[this.#end] = slot;
  }

  evict(): number {
    const slot = this.#next[this.#end];
    this.#unlink(slot);
    return slot;
  }

  wordOfEvicted(): number {
    return NOT_CACHED;
  }

  #unlink(slot: number): void {
    this.#next[this.#previous[slot]] = this.#next[slot];
    this.#previous[this.#next[slot]] = this.#previous[slot];
  }
}

/** Numbers of blocks in the order in which they are read; a read that is not counted is −1 − block. */
interface Workload {
  readonly name: string;
  readonly reads: Int32Array;
}

function generate(name: string, count: number, read: (i: number) => number): Workload {
  return { name, reads: Int32Array.from({ length: count }, (_, i) => read(i)) };
}

/** Draws the n-th most popular block with a weight of n^−0.99. Popular blocks lie anywhere among the others. */
function zipf(seed: number): () => number {
  const random = pseudoRandom(seed);
  const blockOfRank = Int32Array.from({ length: BLOCKS }, (_, i) => i);
  for (let i = BLOCKS - 1; i > 0; i--) {
    const other = random(i + 1);
    [blockOfRank[i], blockOfRank[other]] = [blockOfRank[other], blockOfRank[i]];
  }
  const sums = new Float64Array(BLOCKS);
  let sum = 0;
  for (let i = 0; i < BLOCKS; i++) sums[i] = sum += (i + 1) ** -ZIPF_EXPONENT;
  return () => {
    const drawn = (random(RANDOM_MAX) / RANDOM_MAX) * sum;
    let low = 0;
    let high = BLOCKS - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] <= drawn) low = middle + 1;
      else high = middle;
    }
    return blockOfRank[low];
  };
}

function withScans({ reads }: Workload, name: string): Workload {
  const parts: number[] = [];
  reads.forEach((block, i) => {
    if (i > 0 && i % PERIOD === 0)
      for (let scanned = 0; scanned < BLOCKS; scanned++) parts.push(-1 - scanned);
    parts.push(block);
  });
  return { name, reads: Int32Array.from(parts) };
}

/** Nine reads of ten go to a hot set of half the cache, which is another one after every period. */
function shifting(name: string): Workload {
  const random = pseudoRandom(5);
  const hot = Math.ceil(SLOTS / 2);
  return generate(name, READS, (i) => {
    if (random(10) === 0) return random(BLOCKS);
    return (Math.floor(i / PERIOD) * hot + random(hot)) % BLOCKS;
  });
}

function loop(name: string, factor: number): Workload {
  const length = Math.ceil(factor * SLOTS);
  return generate(name, READS, (i) => i % length);
}

function workloads(): Workload[] {
  const skewed = generate('Zipf 0.99', READS, zipf(1));
  const random = pseudoRandom(3);
  return [
    skewed,
    withScans(skewed, 'Zipf 0.99, a full scan every 20 caches of reads'),
    generate('uniform', READS, () => random(BLOCKS)),
    loop('a loop of 1.05 caches', 1.05),
    loop('a loop of 1.5 caches', 1.5),
    loop('a loop of 2.5 caches', 2.5),
    shifting('a hot set of half a cache that moves every 20 caches of reads'),
  ];
}

/** Per cent of the counted reads that found their block. */
function hitRatio(policy: Policy, { reads }: Workload): number {
  const words = new Int32Array(BLOCKS).fill(NOT_CACHED);
  const blocks = new Int32Array(SLOTS);
  let filled = 0;
  let seen = 0;
  let hits = 0;
  let counted = 0;
  for (const read of reads) {
    const isPoint = read >= 0;
    const block = isPoint ? read : -1 - read;
    const word = words[block];
    if (isPoint && ++seen > WARM_READS) {
      counted++;
      if (word >= 0) hits++;
    }
    if (word >= 0) {
      policy.touch(word);
      continue;
    }
    let slot = filled;
    if (filled < SLOTS) filled++;
    else {
      slot = policy.evict();
      words[blocks[slot]] = policy.wordOfEvicted();
    }
    blocks[slot] = block;
    words[block] = slot;
    policy.insert(slot, word);
  }
  return (100 * hits) / counted;
}

function printTable(head: string[], rows: string[][]): void {
  const table = new Table({
    head,
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows);
  console.log(table.toString());
}

function policies(): Policy[] {
  return [new S3Fifo(SLOTS, true), new S3Fifo(SLOTS, false), new Clock(SLOTS), new Lru(SLOTS)];
}

/** Random slots, drawn beforehand. */
const randomSlot = pseudoRandom(7);
const order = Int32Array.from({ length: 1 << 16 }, () => randomSlot(SLOTS));

function nanosecondsEach(count: number, run: () => void): number {
  const begun = process.hrtime.bigint();
  run();
  return Number(process.hrtime.bigint() - begun) / count;
}

// Each policy is timed in loops of its own, so that its calls can be compiled into them.

let sink = 0;

function timeBare(add: (what: string, sample: number) => void): void {
  const mask = order.length - 1;
  const run = (): void => {
    let sum = 0;
    for (let i = 0; i < TOUCHES; i++) sum += order[i & mask];
    sink += sum;
  };
  add('touch', nanosecondsEach(TOUCHES, run));
}

function timeS3Fifo(add: (what: string, sample: number) => void): void {
  const mask = order.length - 1;
  const queues = new CacheQueues(SLOTS);
  const ghosts = new GhostStamps(queues.mainTarget);
  for (let slot = 0; slot < SLOTS; slot++) queues.insert(slot, false);
  const touchAll = (): void => {
    for (let slot = 0; slot < SLOTS; slot++) queues.touch(slot);
  };
  const touchRandom = (): void => {
    for (let i = 0; i < TOUCHES; i++) queues.touch(order[i & mask]);
  };
  const churn = (touches: number): void => {
    let at = 0;
    for (let i = 0; i < CHURNS; i++) {
      for (let j = 0; j < touches; j++) queues.touch(order[at++ & mask]);
      const slot = queues.evict();
      const word = queues.lastEvictionWasSmall ? ghosts.remember() : NOT_CACHED;
      queues.insert(slot, (i & 15) === 0 && ghosts.isRemembered(word));
    }
  };
  for (let i = 0; i < COUNT_MAX; i++) touchAll();
  add('touch', nanosecondsEach(TOUCHES, touchRandom));
  churn(0);
  add(
    'evict + insert',
    nanosecondsEach(CHURNS, () => churn(0)),
  );
  churn(4);
  add(
    'evict + insert after four touches',
    nanosecondsEach(CHURNS, () => churn(4)),
  );
  // The longest eviction: everything in main, and used as often as can be counted.
  for (let slot = 0; slot < SLOTS; slot++) {
    queues.remove(slot);
    queues.insert(slot, true);
  }
  for (let i = 0; i < COUNT_MAX; i++) touchAll();
  add(
    'the longest evict',
    nanosecondsEach(1, () => (sink += queues.evict())),
  );
}

function timeClock(add: (what: string, sample: number) => void): void {
  const mask = order.length - 1;
  const clock = new Clock(SLOTS);
  for (let slot = 0; slot < SLOTS; slot++) clock.insert(slot);
  const touchAll = (): void => {
    for (let slot = 0; slot < SLOTS; slot++) clock.touch(slot);
  };
  const touchRandom = (): void => {
    for (let i = 0; i < TOUCHES; i++) clock.touch(order[i & mask]);
  };
  const churn = (touches: number): void => {
    let at = 0;
    for (let i = 0; i < CHURNS; i++) {
      for (let j = 0; j < touches; j++) clock.touch(order[at++ & mask]);
      clock.insert(clock.evict());
    }
  };
  touchAll();
  add('touch', nanosecondsEach(TOUCHES, touchRandom));
  churn(0);
  add(
    'evict + insert',
    nanosecondsEach(CHURNS, () => churn(0)),
  );
  churn(4);
  add(
    'evict + insert after four touches',
    nanosecondsEach(CHURNS, () => churn(4)),
  );
  touchAll();
  add(
    'the longest evict',
    nanosecondsEach(1, () => (sink += clock.evict())),
  );
}

function printTimes(): void {
  const arms = [
    { name: 'S3-FIFO', time: timeS3Fifo },
    { name: 'CLOCK', time: timeClock },
    { name: 'bare loop', time: timeBare },
  ];
  const samples = new Map<string, Map<string, number[]>>();
  // Two rounds more at the beginning, in which the code is compiled.
  for (let round = -2; round < ROUNDS; round++) {
    const turns = round % 2 === 0 ? arms : arms.toReversed();
    for (const { name, time } of turns) {
      time((what, sample) => {
        if (round < 0) return;
        const ofArms = samples.get(what) ?? new Map<string, number[]>();
        samples.set(what, ofArms.set(name, [...(ofArms.get(name) ?? []), sample]));
      });
    }
  }
  printTable(
    ['ns: median (least to most)', ...arms.map(({ name }) => name)],
    [...samples].map(([what, ofArms]) => [what, ...arms.map(({ name }) => describe(ofArms.get(name)))]),
  );
}

function describe(samples: readonly number[] | undefined): string {
  if (samples === undefined) return '';
  const { min, median, max } = spreadOf(samples);
  const [middle, least, most] = [median, min, max].map((figure) => figure.toFixed(figure < 100 ? 1 : 0));
  return `${middle} (${least} to ${most})`;
}

const { node, cpu } = describeMachine();
console.log(`${SLOTS} slots, ${BLOCKS} blocks, ${READS} reads each; node ${node}, ${cpu}`);
printTable(
  ['hits, %', ...policies().map(({ name }) => name)],
  workloads().map((workload) => [
    workload.name,
    ...policies().map((policy) => hitRatio(policy, workload).toFixed(1)),
  ]),
);
printTimes();
if (Number.isNaN(sink)) throw new Error('a slot was not a number');
