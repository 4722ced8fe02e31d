/**
 * Reads iterators of quadring and classic-level to their end by `nextv`, and quadring's cursors, and holds everything against
 * a check. One function for each kind of item, and no call in between: what they cost is the same for all. Benchmarks only.
 */
import type { EntryCheck, ScanCheck } from './numbered-entries.ts';

/** Entries that one call of `nextv` asks for. */
const NEXTV_ENTRIES = 1000;

export interface BatchIterator<Item> {
  /** At most `count`, and none only at the end. */
  nextv(count: number): Promise<Item[]>;
  close(): Promise<void>;
}

export async function drainEntries(
  iterator: BatchIterator<[Buffer, Buffer]>,
  check: ScanCheck,
): Promise<void> {
  for (;;) {
    const batch = await iterator.nextv(NEXTV_ENTRIES);
    if (batch.length === 0) break;
    for (const entry of batch) check.entry(entry[0], entry[1]);
  }
  await iterator.close();
}

export async function drainKeys(iterator: BatchIterator<Buffer>, check: ScanCheck): Promise<void> {
  for (;;) {
    const batch = await iterator.nextv(NEXTV_ENTRIES);
    if (batch.length === 0) break;
    for (const key of batch) check.key(key);
  }
  await iterator.close();
}

export async function drainValues(iterator: BatchIterator<Buffer>, check: ScanCheck): Promise<void> {
  for (;;) {
    const batch = await iterator.nextv(NEXTV_ENTRIES);
    if (batch.length === 0) break;
    for (const value of batch) check.value(value);
  }
  await iterator.close();
}

/** What a cursor of quadring's is, as far as it is read here. */
export interface BorrowingCursor {
  next(): boolean;
  readonly memory: Buffer;
  readonly keyStart: number;
  readonly keyLength: number;
  readonly valueStart: number;
  readonly valueLength: number;
  close(): void;
}

/** To the end of the cursor, without an object for each entry. */
export function drainCursor(cursor: BorrowingCursor, check: EntryCheck): void {
  while (cursor.next()) {
    check.entryIn(cursor.memory, cursor.keyStart, cursor.keyLength, cursor.valueStart, cursor.valueLength);
  }
  cursor.close();
}

/** As many entries as there are, up to `count`. */
export async function drainRange(
  iterator: BatchIterator<[Buffer, Buffer]>,
  count: number,
  check: EntryCheck,
): Promise<void> {
  for (let left = count; left > 0;) {
    const batch = await iterator.nextv(left);
    if (batch.length === 0) break;
    for (const entry of batch) check.entry(entry[0], entry[1]);
    left -= batch.length;
  }
  await iterator.close();
}
