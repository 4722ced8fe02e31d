/**
 * Shared memory that the kernel reads and writes: aligned for O_DIRECT, at the same address in every thread, registrable
 * as fixed buffers. Pure. A plain SharedArrayBuffer begins some bytes behind a page; a shared WebAssembly memory on one.
 */
import { assert } from '../assert.ts';

/** As much of WebAssembly as is used here; its types come with the DOM's, which Node has no use for. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => {
    readonly buffer: SharedArrayBuffer;
  };
};

const WASM_PAGE_BYTES = 65_536;

/** REQUIRES: a multiple of 64 KiB. */
export function alignedSharedMemory(bytes: number): Uint8Array<SharedArrayBuffer> {
  assert(bytes % WASM_PAGE_BYTES === 0, 'aligned memory comes in pages of 64 KiB');
  const pages = bytes / WASM_PAGE_BYTES;
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer);
}
