/**
 * The seam `Crew`: four ring threads, their queues, shared memory and wake-up, and the owner's own ring. Owner only.
 *
 * Implementations: `ThreadCrew` (worker threads under piscina) and, in tests, one that plays all four roles in the
 * caller's thread. A crew serves one open database at a time and is handed on when that is closed.
 */
import type { SharedWords } from '../atomics-sync/words.ts';
import type { Attachment, RoleId } from '../protocol/requests.ts';
import type { RingDescription } from '../protocol/ring-thread-task.ts';

/** Memory that a crew is started with and keeps. */
export interface CrewMemory {
  /** Staging, write buffers, mailbox and cache slots; see protocol/crew-layout.ts. */
  readonly pool: Uint8Array<SharedArrayBuffer>;
  /** Memtable arenas, by region from REGION_FIRST_ARENA on. */
  readonly arenas: readonly SharedArrayBuffer[];
}

export interface CrewListener {
  /** Completions may be waiting. Runs in a turn of the event loop of its own. */
  onWake(): void;
  /** A ring thread died. Nothing will be answered any more, and lent buffers stay lent. */
  onFailure(error: Error): void;
}

/** A crew that was dismissed, some of whose threads have not ended in time. */
export interface UnendedCrew {
  /** Resolves when they have: until then they may use whatever they were lent, a directory's handle included. */
  readonly ended: Promise<void>;
}

/** A ring of the owner's own (see caller-io.ts); the pool is attached to it. One database at a time has it. */
export interface CallerRing {
  readonly entries: number;
  /** See protocol/ring-records.ts. */
  readonly records: Int32Array;
  readonly names: Uint8Array;
  readonly completions: Int32Array;
  /** Its owner counts here; see protocol/ring-statistics.ts. */
  readonly statistics: Float64Array;
  /** Files that may be open in its own table; 0: each takes a descriptor. */
  readonly fixedFiles: number;
  describe(): RingDescription;
  /** See `NativeRing.turn`. While it has completions that no turn has taken the listener's `onWake` is called. */
  turn(count: number, waitMicroseconds: number): number;
}

export interface Crew {
  readonly control: SharedWords;
  readonly statistics: readonly Float64Array[];
  readonly rings: readonly RingDescription[];
  readonly memory: CrewMemory;
  /** Undefined where there is none, and why. */
  readonly callerRing: CallerRing | undefined;
  readonly callerRingRefusal: string | null;
  /** Whether this crew was handed on by a database that was closed. */
  readonly adopted: boolean;
  /**
   * Why it is not to be used again: a ring thread ended that nobody told to, or a database could not take back what it had
   * lent. Undefined while all is well.
   */
  failure: Error | undefined;
  /** Set while a database is open. */
  listener: CrewListener | undefined;
  /** Wakes a ring thread if it sleeps. */
  ring(role: RoleId): void;
  /** Puts an attachment where the role's next ATTACH request finds it. */
  post(role: RoleId, attachment: Attachment): void;
  /** Whether this crew's memory was attached already, by an earlier database. */
  memoryAttached: boolean;
  /** Whether pending work keeps the process alive. */
  keepAlive(alive: boolean): void;
  /** Calls back in the next turn of the event loop, after whatever else waits there. */
  inNextTurn(run: () => void): void;
  /** Sleeps in this thread until a completion may have come, or the time is over; throws if a ring thread died. */
  waitForCompletions(hasCompletions: () => boolean, timeoutMs: number): void;
}
