/**
 * What the comparison needs of an engine for Node, each in the cheapest form that its interface offers. Benchmarks only.
 *
 * Configured alike: blocks of 16 KiB, filters of 10 bits a key, no compression, where there is such a thing. A method that
 * is not there is a form that the engine does not have.
 */
import type { Opening } from '../workload/session.ts';
import type { EntryCheck, ScanCheck } from '../support/numbered-entries.ts';

export const BLOCK_BYTES = 16_384;

export interface OpenPeer {
  /** Into the target, which has room for it; the value's length, -1 where there is none. */
  readonly getInto?: (key: Buffer, target: Buffer) => number;
  /** A value that is valid until the next call. */
  readonly getBorrowed?: (key: Buffer) => Buffer | undefined;
  /** A value of the caller's own. */
  readonly getSync?: (key: Buffer) => Buffer | undefined;
  readonly get: (key: Buffer) => Promise<Buffer | undefined>;
  readonly getMany: (keys: Buffer[]) => Promise<(Buffer | undefined)[]>;
  /** Durable as the opening said. */
  readonly put: (key: Buffer, value: Buffer) => Promise<void>;
  /** The same where the engine's writes are synchronous: what others have under way at once, in one transaction. */
  readonly putTogether?: (keys: Buffer[], values: Buffer[]) => void;
  /** All or nothing. */
  readonly batch: (keys: Buffer[], values: Buffer[]) => Promise<void>;
  /** Everything, in order, each entry as something of the caller's own. */
  readonly scan: (check: ScanCheck) => Promise<void>;
  /** `count` entries from a key on, fewer at the end. */
  readonly range: (from: Buffer, count: number, check: EntryCheck) => Promise<void>;
  /** The same of entries that are valid until the next is asked for. */
  readonly scanBorrowed?: (check: ScanCheck) => void;
  readonly rangeBorrowed?: (from: Buffer, count: number, check: EntryCheck) => void;
  /** All that was written before is on the disk. */
  readonly makeDurable: () => Promise<void>;
  /** Memtables flushed, all compacted, where the engine has that. */
  readonly compact: () => Promise<void>;
  /** Resolves when nothing is flushed or compacted in the background. */
  readonly settle: () => Promise<void>;
  readonly describe: () => Record<string, unknown>;
  readonly close: () => Promise<void>;
}

export interface Peer {
  /** As in `npm install`. */
  readonly packageName: string;
  /** Whether writes of the kind can be had at all. */
  readonly canBeDurable: boolean;
  open(directory: string, opening: Opening): Promise<OpenPeer>;
}
