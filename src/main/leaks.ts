/**
 * Snapshots, iterators and cursors that were never closed: when one is collected, what it held is let go. Owner only.
 *
 * That is a net, not a way to work: the collector comes when it likes. Outside production a process warning says so.
 *
 * Having the collector watch an object takes it several microseconds, as long as a short scan, and most are closed in the turn
 * of the event loop in which they are made. So they are young first, and watched when the turn is over or YOUNG_MAX are young.
 */
const LEAK_WARNING = 'QuadringLeakWarning';
const YOUNG_MAX = 1024;

interface Leak {
  readonly what: string;
  readonly release: () => boolean;
}

const registry = new FinalizationRegistry<Leak>(({ what, release }) => {
  if (!release()) return;
  if (process.env['NODE_ENV'] === 'production') return;
  process.emitWarning(
    `${what} was collected that nobody had closed; until then it kept old versions and files. Close it, or use \`using\`.`,
    LEAK_WARNING,
  );
});

let young: LeakWatch[] = [];
let isTurnAwaited = false;

function watchYoung(): void {
  const watches = young;
  young = [];
  for (const watch of watches) watch.begin();
}

/** Watches one object until `end`. The object has it, and nobody else. */
export class LeakWatch {
  /** As long as it is young: what is closed must not be kept by its watch. */
  #object: object | undefined;
  #leak: Leak | undefined;
  #isWatched = false;

  /**
   * `release` runs when the object is collected, unless `end` came first. It must not refer to the object, which would then
   * never be collected; false: there was nothing to let go any more.
   */
  constructor(object: object, what: string, release: () => boolean) {
    this.#object = object;
    this.#leak = { what, release };
    if (young.push(this) >= YOUNG_MAX) watchYoung();
    if (isTurnAwaited) return;
    isTurnAwaited = true;
    setImmediate(() => {
      isTurnAwaited = false;
      watchYoung();
    }).unref();
  }

  begin(): void {
    if (this.#object === undefined || this.#leak === undefined) return;
    registry.register(this.#object, this.#leak, this);
    this.#isWatched = true;
    this.#forget();
  }

  end(): void {
    if (this.#isWatched) registry.unregister(this);
    else if (young.at(-1) === this) young.pop();
    this.#isWatched = false;
    this.#forget();
  }

  #forget(): void {
    this.#object = undefined;
    this.#leak = undefined;
  }
}
