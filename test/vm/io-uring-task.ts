/** What the two sides of `io-uring` agree on: what is to be done, and what comes back. Pure. */
import type { IoOptions } from '../../src/index.ts';
import type { RoleName } from '../../src/protocol/requests.ts';
import type { RingCounters } from '../../src/protocol/ring-statistics.ts';
import type { KernelCounters } from './kernel-counters.ts';

export const PARTS = ['tests', 'figures'] as const;
export type Part = (typeof PARTS)[number];

/** Given as JSON in the first argument. */
export interface IoUringTask {
  readonly parts: readonly Part[];
}

/** IoUringReport as JSON, and the summary that people read, among the machine's results. */
export const REPORT_FILE = 'io-uring.json';
export const SUMMARY_FILE = 'io-uring.txt';

export interface Setting {
  readonly name: string;
  readonly io: IoOptions;
}

/** The first is what the others are held against. */
export const SETTINGS: readonly Setting[] = [
  // As with the others, threads have all that is measured.
  { name: 'plain', io: { callerRing: false } },
  { name: 'iopoll', io: { iopoll: true } },
  { name: 'sqpoll+iopoll', io: { sqpoll: true, iopoll: true } },
];

/** How the tests ended on one setting. */
export interface TestRun {
  readonly passed: number;
  readonly skipped: number;
  /** Titles, with what ava said of each. */
  readonly failures: readonly string[];
  /** Of ava itself: 0, or it says that something failed, which need not be a test. */
  readonly exitCode: number;
  readonly seconds: number;
  readonly kernel: KernelCounters;
}

/** What a ring counted in a phase. */
export type RingDelta = Pick<
  RingCounters,
  'operations' | 'polledOperations' | 'enters' | 'pollWakeUps' | 'parks'
>;

/** 'prepare': fills, flushes, compacts; the others are gets that the cache has nothing of, and durable puts. */
export type PhaseKind = 'prepare' | 'read' | 'put';

/** A stretch of work of one kind. */
export interface Phase {
  readonly name: string;
  readonly kind: PhaseKind;
  /** How many are under way at once. */
  readonly depth: number;
  /** What was done, as a user counts it: gets, puts, entries. */
  readonly operations: number;
  readonly seconds: number;
  /** Of all threads of the process, the kernel's own for its rings among them. */
  readonly cpuSeconds: number;
  readonly rings: Readonly<Record<RoleName, RingDelta>>;
  readonly kernel: KernelCounters;
}

export interface RingFlags {
  readonly flags: readonly string[];
  readonly pollerFlags: readonly string[];
}

/** What one setting's figures come with. */
export interface FiguresRun {
  readonly iopoll: boolean;
  readonly iopollRefusal: string | null;
  readonly rings: Readonly<Record<RoleName, RingFlags>>;
  /** The same of every setting, in the same order. */
  readonly phases: readonly Phase[];
  /** Values that were compared, those of the phases included. */
  readonly valuesChecked: number;
}

export interface SettingReport {
  readonly setting: Setting;
  /** Undefined: not asked for. */
  readonly tests: TestRun | undefined;
  readonly figures: FiguresRun | undefined;
  /** Bytes of values that were written, flushed and read back, and how that ended. */
  readonly largeValues: readonly LargeValue[];
}

export interface LargeValue {
  readonly bytes: number;
  /** 'hung': its time was up, long after it should have been done. */
  readonly end: 'right' | 'hung' | 'failed';
}

/** Below and above what the emulated disk takes in one command, 512 KiB. */
export const LARGE_VALUES: readonly number[] = [256 * 1024, 2 * 1024 * 1024];

export interface IoUringReport {
  /** As `uname -r` says it. */
  readonly kernel: string;
  /** Of the disk. */
  readonly ioPoll: string;
  readonly settings: readonly SettingReport[];
  /** What is not as it has to be, a sentence each. */
  readonly broken: readonly string[];
}
