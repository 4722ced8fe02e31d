/**
 * What the other rings do meanwhile: so many bytes a second of each kind, and no more in flight than beside a busy database.
 * Owner of benchmarks only; it is the same thread as the one that is measured, as in a database.
 */
import type { Traffic } from './traffic.ts';

export interface LoadShare {
  readonly traffic: Traffic;
  readonly inFlightMax: number;
  readonly bytesPerSecond: number;
}

/** Requests that are made up for, where the disk or the owner fell behind. */
const OVERDUE_MAX = 16;
/** A timer has no finer steps. */
const TICK_MS = 1;

class Pace {
  /** Requests that were answered. */
  answered = 0;
  readonly #share: LoadShare;
  readonly #began: number;
  readonly #freeLanes: number[];
  readonly #handlers: ((result: number, detail0: number, detail1: number) => void)[];
  #made = 0;
  #forgone = 0;
  #isOver = false;
  #onIdle: () => void = () => undefined;

  constructor(share: LoadShare, began: number) {
    this.#share = share;
    this.#began = began;
    this.#freeLanes = Array.from({ length: share.inFlightMax }, (_, lane) => lane);
    this.#handlers = this.#freeLanes.map((lane) => (result, detail0, detail1) => {
      const failure = share.traffic.failureOf({ result, detail0, detail1 });
      if (failure !== undefined) throw failure;
      this.answered++;
      this.#freeLanes.push(lane);
      // What has come due since the last tick does not wait for the next one: with one in flight that would be the pace.
      if (!this.#isOver) this.pump();
      if (this.#isOver && this.#isIdle) this.#onIdle();
    });
  }

  pump(): void {
    const { traffic, bytesPerSecond } = this.#share;
    const elapsedMs = performance.now() - this.#began;
    const due = Math.floor((elapsedMs * bytesPerSecond) / (1000 * traffic.bytes));
    this.#forgone = Math.max(this.#forgone, due - this.#made - OVERDUE_MAX);
    while (this.#made + this.#forgone < due) {
      const lane = this.#freeLanes.pop();
      if (lane === undefined) return;
      this.#made++;
      traffic.request(lane, this.#handlers[lane]);
    }
  }

  get #isIdle(): boolean {
    return this.#freeLanes.length === this.#share.inFlightMax;
  }

  end(): Promise<void> {
    this.#isOver = true;
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }
}

export class PacedLoad {
  readonly #paces: readonly Pace[];
  readonly #began = performance.now();
  readonly #timer: NodeJS.Timeout;

  /** Begins. */
  constructor(shares: readonly LoadShare[]) {
    this.#paces = shares.map((share) => new Pace(share, this.#began));
    this.#timer = setInterval(this.pump, TICK_MS);
  }

  /** Asks for what is due; also to be called where timers do not run. */
  readonly pump = (): void => {
    for (const pace of this.#paces) pace.pump();
  };

  /** Ends; how many requests a second were answered, of each share, when everything has been. */
  async end(): Promise<number[]> {
    clearInterval(this.#timer);
    const seconds = (performance.now() - this.#began) / 1000;
    const answered = this.#paces.map((pace) => pace.answered);
    await Promise.all(this.#paces.map((pace) => pace.end()));
    return answered.map((count) => count / seconds);
  }
}
