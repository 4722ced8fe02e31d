/**
 * What the owner needs of the world: files for open and recovery, a crew, time, randomness. Owner only.
 *
 * One seam for all of it, so that tests can drive owner and roles in one thread with no file, timer or worker, and a
 * seed reproduces a run.
 */
import type { Settings } from './options.ts';
import type { Crew, UnendedCrew } from './crew.ts';
import type { FileSystem } from './file-system.ts';

/** A call that is to come. */
export interface Timer {
  cancel(): void;
}

export interface Environment {
  readonly fileSystem: FileSystem;
  /** A crew that fits the settings: an idle one, or a new one. */
  acquireCrew(settings: Settings): Promise<Crew>;
  /**
   * Hands a crew back when its database is closed. A crew that failed is dismissed: what comes back then is one that has not
   * ended.
   */
  releaseCrew(crew: Crew): Promise<UnendedCrew | undefined>;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Seconds since 1970. */
  wallClockSeconds(): number;
  /** 32 random bits, unsigned. */
  random32(): number;
  /** Calls back after a while, in a turn of its own; with `keepsAlive` the process lives until then. */
  after(milliseconds: number, keepsAlive: boolean, callback: () => void): Timer;
  /** Waits; used only between attempts to take the directory's lock. */
  delay(milliseconds: number): Promise<void>;
}
