/**
 * What a database under a soak load must hold, and the bytes of its keys and values. Pure.
 *
 * Each key has a *word*: how often it has been written, times two, plus one if the last write was a put. The bytes of a
 * value follow from key and word, so that one number a key is all there is to remember.
 *
 * At most one write of a key is under way at a time. So a read finds the word that was acknowledged when it was asked,
 * the one that is under way, or one that came in between; and where nothing is under way, exactly one.
 */
import { valueOf } from './kill-workload.ts';
import { mix } from './random.ts';

const KEY_PADDING_MAX = 40;
const PADDING = '~'.repeat(KEY_PADDING_MAX);
const NEVER_WRITTEN = 0;

/** The database gave what it must not. */
export class SoakFailure extends Error {
  override readonly name = 'SoakFailure';
}

/** Bytes of the value that a write of this word has. Most are small; some fill pages, a few hundred a million are large. */
function sizeOf(number: number, word: number): number {
  const bits = mix(mix(number + 1) ^ word) >>> 0;
  const choice = bits % 10_000;
  const within = mix(bits) >>> 0;
  if (choice < 500) return within % 20;
  if (choice < 8500) return 20 + (within % 380);
  if (choice < 9800) return 400 + (within % 4600);
  if (choice < 9997) return 5000 + (within % 35_000);
  return 40_000 + (within % 1_500_000);
}

export class SoakModel {
  readonly keyCount: number;
  readonly #stream: number;
  readonly #acknowledged: Uint32Array;
  readonly #submitted: Uint32Array;
  #inFlight = 0;
  #liveEntries = 0;
  #liveBytes = 0;

  constructor(keyCount: number, seed: number) {
    this.keyCount = keyCount;
    this.#stream = seed >>> 0;
    this.#acknowledged = new Uint32Array(keyCount);
    this.#submitted = new Uint32Array(keyCount);
  }

  /** Keys with a write under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Keys that have a value, and the bytes of both, as acknowledged. */
  get liveEntries(): number {
    return this.#liveEntries;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Keys are in the order of their numbers. */
  keyOf(number: number): string {
    return `${this.boundaryOf(number)}/${PADDING.slice(0, mix(number + 7) & 31)}`;
  }

  /** Before the key, and behind all keys before it; also of the number behind the last key. */
  boundaryOf(number: number): string {
    return number.toString(16).padStart(8, '0');
  }

  numberOf(key: Uint8Array): number {
    const text = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
    const number = parseInt(text.slice(0, 8), 16);
    if (!(number < this.keyCount) || this.keyOf(number) !== text) {
      throw new SoakFailure(`there is a key that nobody wrote: ${JSON.stringify(text)}`);
    }
    return number;
  }

  isBusy(number: number): boolean {
    return this.#acknowledged[number] !== this.#submitted[number];
  }

  /** A write is about to be submitted: its value, or undefined for a deletion. REQUIRES: the key is not busy. */
  begin(number: number, isPut: boolean): Buffer | undefined {
    if (this.isBusy(number)) throw new Error(`key ${number} is being written`);
    const word = ((this.#acknowledged[number] >>> 1) + 1) * 2 + Number(isPut);
    this.#submitted[number] = word;
    this.#inFlight++;
    return this.valueOf(number, word);
  }

  acknowledge(number: number): void {
    this.#count(number, this.#acknowledged[number], -1);
    this.#acknowledged[number] = this.#submitted[number];
    this.#count(number, this.#acknowledged[number], 1);
    this.#inFlight--;
  }

  #count(number: number, word: number, sign: number): void {
    if ((word & 1) === 0) return;
    this.#liveEntries += sign;
    this.#liveBytes += sign * (this.keyOf(number).length + sizeOf(number, word));
  }

  /** What a key with this word has. */
  valueOf(number: number, word: number): Buffer | undefined {
    if ((word & 1) === 0) return undefined;
    return valueOf({ stream: this.#stream, index: word >>> 1, place: number, size: sizeOf(number, word) });
  }

  /** The word that a read which begins now finds at least. */
  acknowledged(number: number): number {
    return this.#acknowledged[number];
  }

  /** The words of all keys as they are. REQUIRES: nothing is in flight. */
  copy(): Uint32Array {
    if (this.#inFlight !== 0) throw new Error(`${this.#inFlight} writes are in flight`);
    return this.#acknowledged.slice();
  }

  /** Throws unless the key may have been read so by somebody who began when `least` was acknowledged. */
  checkRead(number: number, least: number, found: Uint8Array | undefined, how: string): void {
    const now = this.#acknowledged[number];
    const most = this.#submitted[number];
    if (this.#has(number, least, found) || this.#has(number, now, found) || this.#has(number, most, found)) {
      return;
    }
    // Writes that came and went between: whether they put or deleted is not known any more.
    for (let count = (least >>> 1) + 1; count < now >>> 1; count++) {
      if (this.#has(number, 2 * count, found) || this.#has(number, 2 * count + 1, found)) return;
    }
    throw new SoakFailure(
      `key ${number} has ${describe(found)} by ${how}; it was asked for at write ${least >>> 1}, ` +
        `${now >>> 1} is acknowledged, ${most >>> 1} submitted (words ${least}, ${now}, ${most})`,
    );
  }

  /** Throws unless the key has what the word says. */
  checkExactly(number: number, word: number, found: Uint8Array | undefined, how: string): void {
    if (this.#has(number, word, found)) return;
    throw new SoakFailure(
      `key ${number} has ${describe(found)} by ${how}, it must have ${describe(this.valueOf(number, word))} ` +
        (word === NEVER_WRITTEN ? '(never written)' : `(word ${word})`),
    );
  }

  #has(number: number, word: number, found: Uint8Array | undefined): boolean {
    if (found === undefined) return (word & 1) === 0;
    if ((word & 1) === 0 || found.length !== sizeOf(number, word)) return false;
    return this.valueOf(number, word)?.equals(found) === true;
  }
}

function describe(value: Uint8Array | undefined): string {
  if (value === undefined) return 'nothing';
  return `${value.length} bytes (${Buffer.from(value.subarray(0, 20)).toString('hex')})`;
}
