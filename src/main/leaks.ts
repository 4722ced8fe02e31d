/**
 * Snapshots and iterators that were never closed: when one is collected, what it held is let go. Owner only.
 *
 * That is a net, not a way to work: the collector comes when it likes. Outside production a process warning says so.
 */
const LEAK_WARNING = 'QuadringLeakWarning';

interface Leak {
  readonly what: string;
  /** Must not refer to what is watched: it would never be collected. False: there was nothing to let go any more. */
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

/** `release` runs when `object` is collected, unless `forgetLeak` came first. */
export function watchForLeak(object: object, what: string, release: () => boolean): void {
  registry.register(object, { what, release }, object);
}

export function forgetLeak(object: object): void {
  registry.unregister(object);
}
