/**
 * What a ring thread is started with, what it says when it has started, and what it leaves behind. Pure; types only.
 */
import type { MessagePort } from 'node:worker_threads';
import type { SharedWords } from '../atomics-sync/words.ts';
import type { NativeRingDescription, NativeWorkers } from '../native.ts';
import type { RoleId } from './requests.ts';

export interface RingThreadTask {
  readonly role: RoleId;
  readonly control: SharedWords;
  readonly statistics: Float64Array;
  /** Attachments come in. Out goes the ring's description, when it is there and again when memory was registered. */
  readonly port: MessagePort;
  /** Wakes the owner's event loop; see `Native.createSignal`. */
  readonly signal: number;
  /** 0: never spins. */
  readonly spinMicroseconds: number;
  readonly ring: {
    readonly backend: 'auto' | 'uring' | 'syscall';
    readonly entries: number;
    readonly eventfd: number;
    readonly singleIssuer: boolean;
    /** A thread of the kernel polls for what all rings submit; null: each enters the kernel itself. */
    readonly polling: PollingTask | null;
    /** Of the kernel's own threads; null: as it likes. */
    readonly workers: NativeWorkers | null;
    /** Completions of reads and writes are polled for, where the disk can. */
    readonly pollsCompletions: boolean;
  };
}

export interface PollingTask {
  readonly idleMilliseconds: number;
  /** The core that it is bound to, or −1. */
  readonly cpu: number;
}

/** An error as data: one that crosses threads as an Error loses its code. */
export interface FailureData {
  readonly message: string;
  readonly code: string | null;
  readonly stack: string | null;
}

/** What stats() says of a ring. */
export interface RingDescription extends NativeRingDescription {
  readonly backend: 'uring' | 'syscall' | 'simulated';
  /** Why this backend and not io_uring, or null. */
  readonly reason: string | null;
}

export type RingThreadEnd =
  { readonly kind: 'stopped' } | { readonly kind: 'failed'; readonly failure: FailureData };
