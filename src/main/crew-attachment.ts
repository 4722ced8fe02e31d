/**
 * Lends a database's directory and memory to the ring threads, and takes them back. Owner only.
 *
 * What the records of a request cannot hold (a directory's handle, shared memory) travels through the threads' ports;
 * an ATTACH request tells the role to take it. A crew keeps its own memory from one database to the next.
 */
import { REGION_FIRST_ARENA, REGION_POOL } from '../protocol/crew-layout.ts';
import {
  ATTACH,
  DETACH,
  ROLE_FLUSH,
  ROLE_FOREGROUND,
  ROLE_IDS,
  type Attachment,
  type RoleId,
} from '../protocol/requests.ts';
import { must } from '../assert.ts';
import type { Crew } from './crew.ts';
import { roleError } from './io-errors.ts';
import type { IoScheduler } from './io-scheduler.ts';

export interface AttachedPlace extends Pick<
  Attachment,
  'salt' | 'directIo' | 'polledBytesMax' | 'slotBytes'
> {
  /** Handles of the directory, by role. */
  readonly directories: readonly number[];
}

export class CrewAttachment {
  readonly #crew: Crew;
  readonly #scheduler: IoScheduler;
  readonly #place: AttachedPlace;
  readonly #onFailure: (error: Error) => void;

  constructor(crew: Crew, scheduler: IoScheduler, place: AttachedPlace, onFailure: (error: Error) => void) {
    this.#crew = crew;
    this.#scheduler = scheduler;
    this.#place = place;
    this.#onFailure = onFailure;
  }

  /** Before anything else is asked of the crew. */
  async begin(): Promise<void> {
    const { pool, arenas } = this.#crew.memory;
    const memory = [
      { region: REGION_POOL, buffer: pool.buffer },
      ...arenas.map((buffer, i) => ({ region: REGION_FIRST_ARENA + i, buffer })),
    ];
    const added = this.#crew.memoryAttached ? [] : memory;
    // The cache last: where little memory may be locked, the log's buffers are registered, and the cache as far as it goes.
    const first = ROLE_IDS.filter((role) => role !== ROLE_FOREGROUND);
    await Promise.all(first.map((role) => this.#attach(role, added, true)));
    await this.#attach(ROLE_FOREGROUND, added, true);
    this.#crew.memoryAttached = true;
  }

  /** Makes an arena of its own, for an oversize batch, known to the flush thread; or an empty one in its place. */
  arena(region: number, buffer: SharedArrayBuffer): void {
    this.#attach(ROLE_FLUSH, [{ region, buffer }], false).catch(this.#onFailure);
  }

  /** After everything else. A role answers when its files are closed; a crew that failed is not waited for. */
  async end(): Promise<void> {
    await Promise.all(ROLE_IDS.map((role) => this.#scheduler.ask(role, DETACH)));
  }

  async #attach(role: RoleId, memory: Attachment['memory'], isFirst: boolean): Promise<void> {
    const { directories, ...place } = this.#place;
    const directory = must(directories[role], 'each role has a handle of the directory');
    this.#crew.post(role, { ...place, directory, memory, isFirst });
    const { result, detail0, detail1 } = await this.#scheduler.ask(role, ATTACH);
    if (result < 0) throw roleError('attaching a ring thread', result, detail0, detail1);
  }
}
