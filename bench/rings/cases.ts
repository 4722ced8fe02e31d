/**
 * What is measured: each ring by what it does, how much of that is in flight, and whether the other three are at work as well.
 * Owner of benchmarks only.
 */
import { assert } from '../../src/assert.ts';
import { ROLE_NAMES } from '../../src/protocol/requests.ts';
import { runBlocked, runInEventLoop, type LoopOptions, type Woken } from './measured-loop.ts';
import { PacedLoad, type LoadShare } from './paced-load.ts';
import type { Rig } from './rig.ts';
import { StageSamples } from './stages.ts';
import type { Traffic } from './traffic.ts';

const MEBIBYTE = 1 << 20;
const KIBIBYTE = 1024;
const BLOCK_READS = 4000;
const PIECES = 1000;
const FRAMES = 1000;
/** Of the requests of a round, before the first one. */
const WARM_UP_SHARE = 0.5;

export interface Kind {
  /** The ring, and what it is asked for. */
  readonly name: string;
  readonly depths: readonly number[];
  /** Also one at a time for whose answer the owner sleeps in a synchronous wait. */
  readonly isAlsoBlocking: boolean;
  /** Requests of one round. */
  readonly count: number;
  traffic(rig: Rig): Traffic;
}

export const KINDS: readonly Kind[] = [
  {
    name: 'foreground: reads of 16 KiB',
    depths: [1, 4, 16, 64],
    isAlsoBlocking: true,
    count: BLOCK_READS,
    traffic: (rig) => rig.blockReads(),
  },
  {
    name: 'flush: writes of 256 KiB',
    depths: [1, 4, 16],
    isAlsoBlocking: false,
    count: PIECES,
    traffic: (rig) => rig.flushWrites(),
  },
  {
    name: 'compaction: reads of 256 KiB',
    depths: [1, 4, 16],
    isAlsoBlocking: false,
    count: PIECES,
    traffic: (rig) => rig.compactionReads(),
  },
  {
    name: 'compaction: writes of 256 KiB',
    depths: [1, 4, 16],
    isAlsoBlocking: false,
    count: PIECES,
    traffic: (rig) => rig.compactionWrites(),
  },
  {
    name: 'WAL: durable appends of 4 KiB',
    depths: [1],
    isAlsoBlocking: false,
    count: FRAMES,
    traffic: (rig) => rig.frameWrites(4 * KIBIBYTE),
  },
];

/** As they were beside random overwrites at full rate (docs/benchmarks.md), with as much in flight as their roles have. */
function sharesOfAll(rig: Rig): LoadShare[] {
  return [
    { traffic: rig.blockReads(), inFlightMax: 16, bytesPerSecond: 32 * MEBIBYTE },
    { traffic: rig.flushWrites(), inFlightMax: 2, bytesPerSecond: 32 * MEBIBYTE },
    { traffic: rig.compactionReads(), inFlightMax: 2, bytesPerSecond: 192 * MEBIBYTE },
    { traffic: rig.compactionWrites(), inFlightMax: 2, bytesPerSecond: 160 * MEBIBYTE },
    { traffic: rig.frameWrites(16 * KIBIBYTE), inFlightMax: 1, bytesPerSecond: 32 * MEBIBYTE },
  ];
}

/** What the load was asked for and what it did, in requests a second. */
export interface LoadRate {
  readonly ring: string;
  readonly bytes: number;
  readonly asked: number;
  readonly done: number;
}

/** One row: a kind, a depth, with or without the others. */
export class Case {
  readonly kind: Kind;
  readonly depth: number;
  readonly isBlocking: boolean;
  readonly isLoaded: boolean;
  readonly samples: StageSamples;
  readonly woken: Woken = { inWait: 0, inKernel: 0 };
  /** Of each round. */
  readonly perSecond: number[] = [];
  /** Of the last round. */
  loadRates: LoadRate[] = [];
  readonly #rig: Rig;
  readonly #count: number;
  readonly #traffic: Traffic;
  readonly #others: readonly LoadShare[];

  constructor(rig: Rig, kind: Kind, variant: Variant, rounds: number, scale: number) {
    this.kind = kind;
    this.depth = variant.depth;
    this.isBlocking = variant.isBlocking;
    this.isLoaded = variant.isLoaded;
    this.#rig = rig;
    this.#count = Math.ceil(kind.count * scale);
    this.samples = new StageSamples(this.#count * rounds);
    this.#traffic = kind.traffic(rig);
    const { role } = this.#traffic;
    this.#others = this.isLoaded ? sharesOfAll(rig).filter(({ traffic }) => traffic.role !== role) : [];
  }

  /** Once before the rounds: code that has not run yet, files that have not been read. */
  async warmUp(): Promise<void> {
    await this.#run({ count: Math.ceil(this.#count * WARM_UP_SHARE) });
  }

  async round(): Promise<void> {
    const { samples, woken } = this;
    this.perSecond.push(await this.#run({ count: this.#count, samples, woken }));
  }

  async #run(what: Omit<LoopOptions, 'scheduler' | 'traffic'>): Promise<number> {
    const { scheduler } = this.#rig;
    assert(scheduler.outstanding === 0, 'a case begins when the one before it has ended');
    const options = { ...what, scheduler, traffic: this.#traffic };
    const load = new PacedLoad(this.#others);
    let perSecond: number;
    let rates: number[];
    try {
      perSecond = this.isBlocking
        ? runBlocked(options, load.pump)
        : await runInEventLoop(options, this.depth);
    } finally {
      rates = await load.end();
    }
    this.loadRates = this.#others.map(({ traffic, bytesPerSecond }, i) => ({
      ring: ROLE_NAMES[traffic.role],
      bytes: traffic.bytes,
      asked: bytesPerSecond / traffic.bytes,
      done: rates[i],
    }));
    // A sync of what was written may be under way.
    await scheduler.whenIdle();
    return perSecond;
  }
}

interface Variant {
  readonly depth: number;
  readonly isBlocking: boolean;
  readonly isLoaded: boolean;
}

/** Each depth without and with the others, in this order. */
export function casesOf(rig: Rig, kind: Kind, rounds: number, scale: number): Case[] {
  const depths = kind.depths.map((depth) => ({ depth, isBlocking: false }));
  const ways = kind.isAlsoBlocking ? [{ depth: 1, isBlocking: true }, ...depths] : depths;
  const variants = ways.flatMap((way) => [false, true].map((isLoaded) => ({ ...way, isLoaded })));
  return variants.map((variant) => new Case(rig, kind, variant, rounds, scale));
}
