/**
 * What the engine must agree with: a sorted list of keys, each with all values that it ever had, so that every moment
 * can still be asked about.
 */
import type { Range } from '../../src/index.ts';

/** Undefined is a deletion. */
export interface ModelWrite {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

export type ModelEntry = readonly [key: Buffer, value: Buffer];

interface Version {
  readonly at: number;
  readonly value: Buffer | undefined;
}

export class VersionModel {
  /** Sorted by key. */
  readonly #keys: { readonly key: Buffer; readonly versions: Version[] }[] = [];
  /** Grows with every write. */
  now = 0;

  write({ key, value }: ModelWrite): void {
    const place = this.#placeOf(key);
    const at = ++this.now;
    if (this.#keys[place]?.key.equals(key) === true) this.#keys[place].versions.push({ at, value });
    else this.#keys.splice(place, 0, { key, versions: [{ at, value }] });
  }

  /** Deletes the keys of a range as they are now; its order and limit do not count. */
  deleteRange(range: Range): void {
    const isInside = membership(range);
    const at = ++this.now;
    for (const { key, versions } of this.#keys) {
      if (isInside(key)) versions.push({ at, value: undefined });
    }
  }

  /** Forgets what was written after that moment. */
  truncate(moment: number): void {
    this.now = moment;
    for (const { versions } of this.#keys) {
      while ((versions.at(-1)?.at ?? 0) > moment) versions.pop();
    }
  }

  get(key: Buffer, at = this.now): Buffer | undefined {
    const found = this.#keys[this.#placeOf(key)];
    return found?.key.equals(key) === true ? visible(found.versions, at) : undefined;
  }

  /** Every key that was ever written, in order. */
  keys(): Buffer[] {
    return this.#keys.map(({ key }) => key);
  }

  /** The entries of a range as they were then, in its direction; its limit does not count. */
  entries(range: Range, at = this.now): ModelEntry[] {
    const isInside = membership(range);
    const entries: ModelEntry[] = [];
    for (const { key, versions } of this.#keys) {
      const value = visible(versions, at);
      if (value !== undefined && isInside(key)) entries.push([key, value]);
    }
    return range.reverse === true ? entries.reverse() : entries;
  }

  /** Where the key is, or would be. */
  #placeOf(key: Buffer): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (Buffer.compare(this.#keys[middle].key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function visible(versions: readonly Version[], at: number): Buffer | undefined {
  return versions.findLast((version) => version.at <= at)?.value;
}

/** Whether a key is in a range. */
export function membership({ gt, gte, lt, lte }: Range): (key: Buffer) => boolean {
  const isAbove = boundary(gt, gte, (order, isOpen) => (isOpen ? order > 0 : order >= 0));
  const isBelow = boundary(lt, lte, (order, isOpen) => (isOpen ? order < 0 : order <= 0));
  return (key) => isAbove(key) && isBelow(key);
}

/** One side of a range; the open bound goes before the closed one. */
function boundary(
  open: Range['gt'],
  closed: Range['gt'],
  holds: (order: number, isOpen: boolean) => boolean,
): (key: Buffer) => boolean {
  const bound = open ?? closed;
  if (bound === undefined) return () => true;
  const bytes = Buffer.from(bound);
  return (key) => holds(Buffer.compare(key, bytes), open !== undefined);
}
