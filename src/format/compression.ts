/**
 * Compression of data blocks: what is behind each name. Pure; any thread. (How blocks are stored is in block-check.ts.)
 *
 * LZ4 is the addon's. Zstandard is that of `node:zlib`, which has it from Node 22.15 and 23.8 on: a database written with
 * it can only be read where it is. zlib makes new memory for each result and knows nothing of shared memory: what comes
 * from there is copied. LZ4 writes where it is told.
 */
import * as zlib from 'node:zlib';
import { assert, must } from '../assert.ts';
import { native } from '../native.ts';

/** What a block's trailer says. */
export const COMPRESSION_NONE = 0;
export const COMPRESSION_LZ4 = 1;
export const COMPRESSION_ZSTD = 2;

export type CompressionName = 'none' | 'lz4' | 'zstd';

/** Name by kind. */
export const compressionNames: readonly CompressionName[] = ['none', 'lz4', 'zstd'];

/** What `decompress` answers when the bytes are no compressed block. */
export const MALFORMED = -1;

/** What newer Nodes have beside the types of the oldest one that quadring runs on. */
interface Zstd {
  readonly zstdCompressSync?: (
    source: Uint8Array,
    options: { readonly params: Readonly<Record<number, number>> },
  ) => Uint8Array;
  readonly zstdDecompressSync?: (
    source: Uint8Array,
    options: {
      readonly maxOutputLength: number;
      readonly info: true;
      readonly params: Readonly<Record<number, number>>;
    },
  ) => { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };
  readonly constants: { readonly ZSTD_c_windowLog?: number; readonly ZSTD_d_windowLogMax?: number };
}
const zstd = zlib as unknown as Zstd;

/** Nothing is further back in a block than its own size: 2^16. A larger window only costs memory to set up each time. */
const ZSTD_WINDOW_LOG = 16;

/** The kind that a name is for. */
export function compressionOf(name: CompressionName): number {
  return compressionNames.indexOf(name);
}

/** Whether this Node can compress and decompress so. */
export function isCompressionAvailable(name: CompressionName): boolean {
  return name !== 'zstd' || (zstd.zstdCompressSync !== undefined && zstd.zstdDecompressSync !== undefined);
}

/**
 * Compresses `source[start, end)` to the beginning of `target[targetStart, targetEnd)`; the length, or 0 if it does not fit.
 * REQUIRES: a kind that is available, and not COMPRESSION_NONE.
 */
export function compress(
  kind: number,
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetStart: number,
  targetEnd: number,
): number {
  if (kind === COMPRESSION_LZ4) return native.lz4Compress(source, start, end, target, targetStart, targetEnd);
  assert(kind === COMPRESSION_ZSTD, 'a kind of compression is known');
  const compressSync = must(zstd.zstdCompressSync, 'this Node has Zstandard');
  const windowLog = must(zstd.constants.ZSTD_c_windowLog, 'a Node with Zstandard has its constants');
  const params = { [windowLog]: ZSTD_WINDOW_LOG };
  const compressed = compressSync(unshared(source, start, end), { params });
  if (compressed.length > targetEnd - targetStart) return 0;
  target.set(compressed, targetStart);
  return compressed.length;
}

/**
 * Decompresses `source[start, end)` to the beginning of `target[targetStart, targetEnd)`; the length, or MALFORMED, also
 * when it does not fit or when the kind is not known here. Never writes outside of that part of the target.
 */
export function decompress(
  kind: number,
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  targetStart: number,
  targetEnd: number,
): number {
  if (kind === COMPRESSION_LZ4)
    return native.lz4Decompress(source, start, end, target, targetStart, targetEnd);
  if (kind !== COMPRESSION_ZSTD || zstd.zstdDecompressSync === undefined) return MALFORMED;
  const maxOutputLength = targetEnd - targetStart;
  if (maxOutputLength === 0) return MALFORMED;
  // What begins the bytes can claim a larger window, of up to 128 MiB, which would be made before anything is looked at.
  const windowLogMax = must(zstd.constants.ZSTD_d_windowLogMax, 'a Node with Zstandard has its constants');
  const params = { [windowLogMax]: ZSTD_WINDOW_LOG };
  try {
    const input = unshared(source, start, end);
    const result = zstd.zstdDecompressSync(input, { maxOutputLength, info: true, params });
    // It ends with the frame, and passes over what follows.
    if (result.engine.bytesWritten !== end - start) return MALFORMED;
    target.set(result.buffer, targetStart);
    return result.buffer.length;
  } catch (error) {
    if (isAboutInput(error)) return MALFORMED;
    throw error;
  }
}

/** Whether zlib says that its input is wrong, ends too early, or makes more than it may. */
function isAboutInput(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (typeof code !== 'string') return false;
  return code.startsWith('ZSTD_') || code === 'Z_BUF_ERROR' || code === 'ERR_BUFFER_TOO_LARGE';
}

/** Part of an array that zlib may see: a view, or a copy of what is shared between threads. */
function unshared(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const part = bytes.subarray(start, end);
  return bytes.buffer instanceof SharedArrayBuffer ? new Uint8Array(part) : part;
}
