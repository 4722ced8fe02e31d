/**
 * The hash of a user key. Pure; any thread.
 *
 * MurmurHash3_x86_32 with seed 0 (Austin Appleby, public domain), returned as a signed 32-bit integer. One hash is made
 * for a key and serves everything that looks the key up: the memtable's index, the filters (high bits choose the line)
 * and the blocks (low bits choose the bucket). Filters and blocks store what it implies, so it is part of the format.
 *
 * It is chosen for what it costs in plain JavaScript: only 32-bit multiplications, shifts and exclusive ors, each of
 * which the compiler turns into one instruction, and no table. It is not keyed: whoever may choose all keys can make
 * them collide, which costs them longer probes and no correctness.
 */

/** HOT. Hash of `bytes[start, start + length)`. */
export function hashBytes(bytes: Uint8Array, start: number, length: number): number {
  let hash = 0;
  let at = start;
  const wordsEnd = start + (length & ~3);
  for (; at < wordsEnd; at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    hash = mixWord(hash, word);
  }
  return finishHash(hash, bytes, at, length);
}

/** HOT. Copies `source[0, length)` to the beginning of `target` and returns its hash: each byte is read once. */
export function copyAndHash(source: Uint8Array, length: number, target: Uint8Array): number {
  let hash = 0;
  let at = 0;
  for (const wordsEnd = length & ~3; at < wordsEnd; at += 4) {
    const byte0 = source[at];
    const byte1 = source[at + 1];
    const byte2 = source[at + 2];
    const byte3 = source[at + 3];
    target[at] = byte0;
    target[at + 1] = byte1;
    target[at + 2] = byte2;
    target[at + 3] = byte3;
    hash = mixWord(hash, byte0 | (byte1 << 8) | (byte2 << 16) | (byte3 << 24));
  }
  for (let i = at; i < length; i++) target[i] = source[i];
  return finishHash(hash, target, at, length);
}

function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  const next = hash ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0;
}

/** Up to three bytes from `at` on are left of `length`. */
function finishHash(mixed: number, bytes: Uint8Array, at: number, length: number): number {
  let hash = mixed;
  const left = length & 3;
  if (left !== 0) {
    let word = bytes[at];
    if (left > 1) word |= bytes[at + 1] << 8;
    if (left > 2) word |= bytes[at + 2] << 16;
    word = Math.imul(word, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
  }
  // The length, and then the finalizer, which makes every bit of the result depend on every bit of the state.
  hash ^= length;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
