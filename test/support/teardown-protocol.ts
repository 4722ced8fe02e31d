/** What the teardown harness and its children say to each other. Pure. */
import type { Backend } from './backends.ts';

/** What a database is in the middle of when its process or thread ends. */
export const SITUATIONS = [
  'opening',
  'writing',
  'writing a large batch',
  'flushing',
  'compacting',
  'reading from the disk',
  'iterating',
  'closing',
  'nothing',
] as const;
export type Situation = (typeof SITUATIONS)[number];

/** How it ends: the process, or with 'thread' the worker thread that has the database open. */
export const ENDINGS = {
  close: { code: 0, signal: null },
  'nothing more to do': { code: 0, signal: null },
  'process.exit': { code: 7, signal: null },
  'uncaught exception': { code: 1, signal: null },
  'unhandled rejection': { code: 1, signal: null },
  SIGTERM: { code: null, signal: 'SIGTERM' },
  'thread: terminate': { code: 0, signal: null },
  'thread: process.exit': { code: 0, signal: null },
  'thread: uncaught exception': { code: 0, signal: null },
} as const satisfies Record<string, { code: number | null; signal: NodeJS.Signals | null }>;
export type Ending = keyof typeof ENDINGS;
export const ENDING_NAMES = Object.keys(ENDINGS) as Ending[];

/** What a child is told, as JSON. */
export interface TeardownTask {
  readonly situation: Situation;
  readonly ending: Ending;
  readonly backend: Backend;
  readonly directory: string;
  /** Where it notes what was acknowledged, a line each, and the moment at which it begins to end. */
  readonly journal: string;
  /** No two processes of a directory write the same keys. */
  readonly generation: number;
  /** How long it goes on once it is where it should be, in milliseconds. */
  readonly delayMs: number;
}

export const ENDING_LINE = 'ending';

/** The key of the write of that number, and what its value is made from. */
export function countedKey(generation: number, number: number): string {
  return `counted-${generation}-${number}`;
}
