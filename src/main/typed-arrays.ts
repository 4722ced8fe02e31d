/**
 * What a typed array of the caller's is, as the language has it: whatever properties the object or its class has been given, and
 * without running any code of the caller's. Owner only.
 */

type Getter = (this: unknown) => unknown;

const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object;
const tagOf = getterOf(Symbol.toStringTag);
const lengthOf = getterOf('length');
const bufferOf = getterOf('buffer');
const offsetOf = getterOf('byteOffset');

/** HOT. Whether it is a Uint8Array, of this realm or of another: `instanceof` is content with the prototype, and asks it. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return tagOf.call(value) === 'Uint8Array';
}

/** HOT. How many bytes a Uint8Array has; 0 of one whose memory is gone. */
export function byteLengthOf(view: Uint8Array): number {
  return lengthOf.call(view) as number;
}

/** The memory that a Uint8Array is a view of. */
export function memoryOf(view: Uint8Array): ArrayBufferLike {
  return bufferOf.call(view) as ArrayBufferLike;
}

/** Where in its memory a Uint8Array begins. */
export function byteOffsetOf(view: Uint8Array): number {
  return offsetOf.call(view) as number;
}

function getterOf(name: PropertyKey): Getter {
  return (Object.getOwnPropertyDescriptor(TYPED_ARRAY, name) as { readonly get: Getter }).get;
}
