/**
 * Copies out of the engine's memory, and within it: of little in words of 32 bits, of more by the addon. Owner only.
 *
 * `set` wants a view to be made of what it copies, and copies shared memory, which others might be writing to, in small
 * steps of its own. Out of a shared WebAssembly memory that is not in the processor's cache (Node 20), nanoseconds:
 *
 *     bytes                                                            100    256   1000   4000   16,000
 *     `set`                                                            180    304    392    926    2,427
 *     a loop over words that a DataView reads and writes at any place   54    181    348  1,364    5,242
 *     the addon                                                         86     78    226    446    1,178
 */
import { copyBytes } from './bytes.ts';
import { byteLengthOf, byteOffsetOf, memoryOf } from './typed-arrays.ts';

const NOTHING = new Uint8Array(0);
/** Fewer than these are a loop over bytes. */
const WORDS_BYTES_MIN = 12;
/** More than these are the addon's. */
const WORDS_BYTES_MAX = 160;
/** Larger memory is not held on to unless it is shared, which is the engine's, who says when it lets go of some. */
const HELD_BYTES_MAX = 1 << 20;

/** Two: gets that find now a memtable and now a block go back and forth. */
let lastSource: Uint8Array = NOTHING;
let sourceWords: DataView = new DataView(NOTHING.buffer);
let otherSource: Uint8Array = NOTHING;
let otherSourceWords: DataView = sourceWords;
let lastTarget: Uint8Array = NOTHING;
let targetWords: DataView = new DataView(NOTHING.buffer);
/** What writes come from: a frame's memory, beside which gets go on in theirs. */
let writtenSource: Uint8Array = NOTHING;
let writtenWords: DataView = sourceWords;

/**
 * HOT. Copies `source[start, start + length)` to `target` at `at`. REQUIRES: both have room for it, and memory that is not
 * resized. Fast where the source is one of the last two, and the target the last one.
 */
export function copyWords(
  source: Uint8Array,
  start: number,
  length: number,
  target: Uint8Array,
  at: number,
): void {
  if (length < WORDS_BYTES_MIN) {
    for (let i = 0; i < length; i++) target[at + i] = source[start + i];
    return;
  }
  if (
    length > WORDS_BYTES_MAX ||
    (source !== lastSource && !rememberSource(source)) ||
    (target !== lastTarget && !rememberTarget(target))
  ) {
    copyBytes(source, start, length, target, at);
    return;
  }
  copyEachWord(source, sourceWords, start, length, target, targetWords, at);
}

/** HOT. The same to the engine's own memory, whose words the caller has. Fast where the source is shared and the last one. */
export function copyWordsTo(
  source: Uint8Array,
  start: number,
  length: number,
  target: Uint8Array,
  words: DataView,
  at: number,
): void {
  const isOdd = length < WORDS_BYTES_MIN || length > WORDS_BYTES_MAX;
  if (isOdd || (source !== writtenSource && !rememberWritten(source)))
    copyBytes(source, start, length, target, at);
  else copyEachWord(source, writtenWords, start, length, target, words, at);
}

function copyEachWord(
  source: Uint8Array,
  from: DataView,
  start: number,
  length: number,
  target: Uint8Array,
  to: DataView,
  at: number,
): void {
  const end = start + length;
  let read = start;
  let write = at;
  for (; read + 16 <= end; read += 16, write += 16) {
    to.setInt32(write, from.getInt32(read, true), true);
    to.setInt32(write + 4, from.getInt32(read + 4, true), true);
    to.setInt32(write + 8, from.getInt32(read + 8, true), true);
    to.setInt32(write + 12, from.getInt32(read + 12, true), true);
  }
  for (; read + 4 <= end; read += 4, write += 4) to.setInt32(write, from.getInt32(read, true), true);
  for (; read < end; read++, write++) target[write] = source[read];
}

/** Lets go of memory that is held on to. */
export function forgetCopied(): void {
  lastSource = otherSource = lastTarget = writtenSource = NOTHING;
  sourceWords = otherSourceWords = targetWords = writtenWords = new DataView(NOTHING.buffer);
}

/** False for what is not the engine's. */
function rememberWritten(source: Uint8Array): boolean {
  if (source.buffer instanceof ArrayBuffer) return false;
  writtenSource = source;
  writtenWords = new DataView(source.buffer, source.byteOffset, source.byteLength);
  return true;
}

/** False for one that is not to be held on to. */
function rememberSource(source: Uint8Array): boolean {
  const { buffer } = source;
  const isOther = source === otherSource;
  if (!isOther && buffer instanceof ArrayBuffer && buffer.byteLength > HELD_BYTES_MAX) return false;
  const words = isOther ? otherSourceWords : new DataView(buffer, source.byteOffset, source.byteLength);
  otherSource = lastSource;
  otherSourceWords = sourceWords;
  lastSource = source;
  sourceWords = words;
  return true;
}

/** The target may be the caller's: what it says of itself is not asked. */
function rememberTarget(target: Uint8Array): boolean {
  const buffer = memoryOf(target);
  const isFixed = buffer instanceof ArrayBuffer && !isResizable(buffer);
  if (!isFixed || buffer.byteLength > HELD_BYTES_MAX) return false;
  targetWords = new DataView(buffer, byteOffsetOf(target), byteLengthOf(target));
  lastTarget = target;
  return true;
}

/** Newer than the library that this is compiled with. */
function isResizable(buffer: ArrayBuffer): boolean {
  return (buffer as ArrayBuffer & { readonly resizable?: boolean }).resizable === true;
}
