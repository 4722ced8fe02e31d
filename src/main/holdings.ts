/**
 * What an open database has taken of the world: a crew, the lock of its directory, handles of that directory. Owner only.
 *
 * Each is given back whatever becomes of the others, and once: a lock that a failure leaves behind would keep everybody
 * out for as long as the process lives.
 */
import { QuadringError } from '../errors.ts';
import { ROLE_IDS } from '../protocol/requests.ts';
import type { Crew, UnendedCrew } from './crew.ts';
import { takeLock } from './directory-lock.ts';
import type { Environment } from './environment.ts';
import type { DirectoryLock } from './file-system.ts';
import { translated } from './io-errors.ts';

export class Holdings {
  readonly crew: Crew;
  readonly #environment: Environment;
  #lock: DirectoryLock | undefined;
  readonly #directoryHandles: number[] = [];
  #isGivenBack = false;

  constructor(environment: Environment, crew: Crew) {
    this.#environment = environment;
    this.crew = crew;
  }

  /** Rejects with LOCKED, READ_ONLY or IO_ERROR. */
  async takeDirectory(directory: string, lockTimeoutMs: number): Promise<void> {
    const environment = this.#environment;
    this.#lock = await takeLock(directory, lockTimeoutMs, environment);
    for (const _ of ROLE_IDS) {
      const handle = translated(directory, () => environment.fileSystem.openDirectory(directory));
      this.#directoryHandles.push(handle);
    }
  }

  /**
   * One for each role, by role: that the directory could not be synced the kernel tells once to each handle, and every thread
   * that relies on names must hear of it. REQUIRES: `takeDirectory`.
   */
  get directoryHandles(): readonly number[] {
    return this.#directoryHandles;
  }

  /**
   * The lock last: who takes it finds nothing of ours at work. So it is kept, and the directory's handles, while a thread has
   * not ended that the disk does not let go: what it has still to do there it does by its handle. Asked again it does
   * nothing.
   */
  async giveBack(): Promise<void> {
    if (this.#isGivenBack) return;
    this.#isGivenBack = true;
    let unended: UnendedCrew | undefined;
    try {
      unended = await this.#environment.releaseCrew(this.crew);
    } finally {
      if (unended === undefined) this.#giveBackDirectory();
      else void unended.ended.then(() => this.#giveBackDirectory());
    }
  }

  #giveBackDirectory(): void {
    const handle = this.#directoryHandles.pop();
    try {
      if (handle !== undefined) this.#environment.fileSystem.closeDirectory(handle);
    } finally {
      // Each is given back whatever becomes of the others.
      if (handle === undefined) this.#lock?.release();
      else this.#giveBackDirectory();
    }
  }
}

/**
 * Undoes what an attempt to open has done, which `error` ended, and throws that error. One that comes on top of it hides
 * nothing: then an IO_ERROR, or the first one's code, has both as its cause.
 */
export async function undone(error: unknown, undo: () => Promise<void>): Promise<never> {
  try {
    await undo();
  } catch (second) {
    const code = error instanceof QuadringError ? error.code : 'IO_ERROR';
    const message = error instanceof Error ? error.message : String(error);
    throw new QuadringError(code, `${message}; and what was open could not all be closed`, {
      cause: new AggregateError([error, second], 'opening failed, and so did undoing it'),
    });
  }
  throw error;
}
