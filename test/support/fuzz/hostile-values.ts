/** Arguments of any kind: what callers pass by mistake, and what only somebody would pass who means harm. Pure. */
import fc from 'fast-check';
import type { Bytes } from '../../../src/index.ts';

/** What getters of hostile objects throw; whoever reads them may hand it on. */
export class ThrownByArgument extends Error {}

/** Newer than the oldest TypeScript library that the sources are compiled with. */
interface ResizableArrayBuffer extends ArrayBuffer {
  resize(length: number): void;
}
const Resizable = ArrayBuffer as unknown as new (
  length: number,
  options: { maxByteLength: number },
) => ResizableArrayBuffer;

export function resizable(length: number, maxByteLength: number): ResizableArrayBuffer {
  return new Resizable(length, { maxByteLength });
}

/** A view whose memory has gone to another thread. */
export function detachedView(length = 8): Uint8Array<ArrayBuffer> {
  const view = new Uint8Array(length).fill(7);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return named(view, 'a view of detached memory');
}

/** A view of memory that has shrunk, so that nothing of the view is left. */
export function outOfBoundsView(): Uint8Array<ArrayBuffer> {
  const buffer = resizable(8, 16);
  const view = new Uint8Array(buffer, 4, 4);
  buffer.resize(2);
  return named(view, 'a view out of bounds');
}

/** For reports: what cannot be read cannot be shown. */
function named<T extends object>(value: T, name: string): T {
  return Object.defineProperty(value, fc.toStringMethod, { value: () => name });
}

/** Passes for a Uint8Array wherever nobody looks closely. */
function pretenders(): unknown[] {
  return [
    named(new Proxy(new Uint8Array(3), {}), 'a proxy of an array'),
    named(Object.create(Uint8Array.prototype) as object, 'an object with the prototype of an array'),
  ];
}

/** Neither key nor value. */
export const notBytes: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: anything() },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      ...pretenders(),
      detachedView(),
      outOfBoundsView(),
      new Uint16Array(2),
      new DataView(new ArrayBuffer(4)),
      new ArrayBuffer(4),
      new SharedArrayBuffer(4),
      new String('key'),
      Symbol('key'),
    ),
  },
);

/** Values of every type of the language, some with getters that throw or arrays that claim to be long. */
function anything(): fc.Arbitrary<unknown> {
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.anything({
        maxDepth: 2,
        maxKeys: 4,
        withBigInt: true,
        withBoxedValues: true,
        withDate: true,
        withMap: true,
        withNullPrototype: true,
        withObjectString: true,
        withSet: true,
        withSparseArray: true,
        withTypedArray: true,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<unknown>(
        ...[NaN, Infinity, -Infinity, -0, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e300],
        ...[null, undefined, true, false, '', 'auto', 10n, Symbol.iterator],
        () => 'function',
        Object.assign([], { length: 2 ** 32 - 1 }),
        new Proxy([], {}),
        throwing('sync'),
        throwing('snapshot'),
        throwing('gte'),
        throwing('length'),
      ),
    },
  );
}

/** An object whose property of that name throws. */
function throwing(name: string): object {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw new ThrownByArgument(name);
    },
  });
}

/** Bytes of any kind that are legal: few, so that keys meet. */
export const bytes: fc.Arbitrary<Bytes> = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'key', '', 'ž', '\ud800', '\u0000'),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.uint8Array({ maxLength: 3, max: 3 }),
  fc.uint8Array({ maxLength: 200 }),
  fc.uint8Array({ maxLength: 9 }).map((array) => Buffer.from(array)),
  fc.uint8Array({ minLength: 1, maxLength: 9 }).map((array) => array.subarray(1)),
  fc.uint8Array({ maxLength: 9 }).map((array) => {
    const shared = new Uint8Array(new SharedArrayBuffer(array.length));
    shared.set(array);
    return shared;
  }),
  fc.uint8Array({ maxLength: 9 }).map((array) => {
    const tracking = new Uint8Array(resizable(array.length, 32));
    tracking.set(array);
    return tracking;
  }),
);

/** Legal more often than not. */
export function mostly<Legal>(
  legal: fc.Arbitrary<Legal>,
  other: fc.Arbitrary<unknown> = hostile,
): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 5, arbitrary: legal }, { weight: 1, arbitrary: other });
}

export const hostile: fc.Arbitrary<unknown> = fc.oneof(anything(), notBytes);

/** An object with some of these properties, or with others, or no object at all. */
export function optionsOf(known: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const values = Object.fromEntries(
    Object.entries(known).map(([name, legal]) => [name, mostly(fc.oneof(legal, fc.constant(undefined)))]),
  );
  const record: fc.Arbitrary<unknown> = fc.record(values, { requiredKeys: [] });
  const withOthers = fc
    .tuple(fc.record(values, { requiredKeys: [] }), fc.string({ maxLength: 9 }), hostile)
    .map(([options, name, value]) =>
      Object.assign(Object.create(null) as object, options, { [name]: value }),
    );
  return fc.oneof(
    { weight: 8, arbitrary: record },
    { weight: 1, arbitrary: withOthers },
    { weight: 2, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: hostile },
  );
}

/** What a key or value means, or undefined if it is none. */
export function meaningOf(value: unknown): Buffer | undefined {
  if (typeof value === 'string') return Buffer.from(value);
  if (!ArrayBuffer.isView(value) || !(value instanceof Uint8Array)) return undefined;
  try {
    // Of what is detached or out of bounds there is no copy.
    return Buffer.from(Uint8Array.prototype.slice.call(value));
  } catch {
    return undefined;
  }
}
