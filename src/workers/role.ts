/**
 * What every role shares: the shape of a role, the memory it was lent, and the requests that all answer. Ring threads
 * only. A role is written against `Ring` and this module, never against the addon or worker_threads, so that a ring
 * thread's loop, a simulator and a single-threaded caller run the same code.
 */
import { assert, must } from '../assert.ts';
import { ATTACH, DETACH, ROLE_FOREGROUND, STEP_CLOSE, type Attachment } from '../protocol/requests.ts';
import { registeredRange, REGION_POOL } from '../protocol/crew-layout.ts';
import type { RoleId } from '../protocol/requests.ts';
import { FLAG_POLLED, type Ring } from './ring.ts';
import type { RoleIo, RoleTask } from './role-io.ts';

const EOPNOTSUPP = 95;

/** Five arguments of a request; see protocol/requests.ts for what they mean. */
export type RequestArguments = readonly [number, number, number, number, number];

export interface Role {
  readonly id: RoleId;
  start(opcode: number, args: RequestArguments): RoleTask;
}

/** How a role receives what the records of a request cannot hold: through a thread's port, or an array in tests. */
export type AttachmentSource = () => Attachment | undefined;

/** Memory and directory of the database that the crew serves now. */
export class RoleMemory {
  readonly #regions: (Uint8Array<SharedArrayBuffer> | undefined)[] = [];
  directory = -1;
  salt = 0;
  directIo = false;
  /** Size of a block-cache slot. */
  slotBytes = 0;
  /** The kernel has buffers that were lent to reads ahead and did not come back. */
  hasKeptBuffers = false;
  #selectBytes = 0;
  /** Longest read or write whose completion is polled for. */
  #polledBytesMax = 0;

  /** True if memory was attached to the ring. */
  adopt(attachment: Attachment, ring: Ring, role: RoleId): boolean {
    this.directory = attachment.directory;
    this.salt = attachment.salt;
    this.directIo = attachment.directIo;
    this.#polledBytesMax = ring.polls && attachment.directIo ? attachment.polledBytesMax : 0;
    this.slotBytes = attachment.slotBytes;
    let isPoolNew = false;
    for (const { region, buffer } of attachment.memory) {
      this.#regions[region] = new Uint8Array(buffer);
      if (region === REGION_POOL) isPoolNew = true;
    }
    const selectBytes = role === ROLE_FOREGROUND ? attachment.slotBytes : 0;
    if (!isPoolNew && selectBytes === this.#selectBytes && !this.hasKeptBuffers) return false;
    // Attaching also takes back the buffers that an earlier database lent and never saw again.
    const { pool } = this;
    const range = registeredRange(role, pool.length);
    ring.attach(REGION_POOL, pool, range.offset, range.length, selectBytes);
    this.#selectBytes = selectBytes;
    this.hasKeptBuffers = false;
    return true;
  }

  region(region: number): Uint8Array<SharedArrayBuffer> {
    return must(this.#regions[region], 'a request names a region that is attached');
  }

  /** FLAG_POLLED for a read or a write of so many bytes that others wait for, or 0. */
  pollFlag(bytes: number): number {
    return bytes <= this.#polledBytesMax ? FLAG_POLLED : 0;
  }

  /** Whether an operation is to be tried again without polling: the disk says that it cannot, and is believed. */
  stopsPolling(result: number, flags: number): boolean {
    if (result !== -EOPNOTSUPP || (flags & FLAG_POLLED) === 0) return false;
    this.#polledBytesMax = 0;
    return true;
  }

  get pool(): Uint8Array<SharedArrayBuffer> {
    return this.region(REGION_POOL);
  }
}

/** Handles of open files by file number. */
export class OpenFiles {
  readonly #handles = new Map<number, number>();

  get(number: number): number | undefined {
    return this.#handles.get(number);
  }

  set(number: number, handle: number): void {
    assert(!this.#handles.has(number), 'a file is opened once');
    this.#handles.set(number, handle);
  }

  /** The handle, which the caller now closes; undefined if it is not open. */
  take(number: number): number | undefined {
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    return handle;
  }

  first(): number | undefined {
    for (const number of this.#handles.keys()) return number;
    return undefined;
  }
}

export interface RoleBasicsOptions {
  readonly ring: Ring;
  readonly io: RoleIo;
  readonly role: RoleId;
  readonly files: OpenFiles;
  readonly statistics: Float64Array;
  readonly takeAttachment: AttachmentSource;
  /** New memory was attached to the ring. */
  readonly onAttached: () => void;
}

/** ATTACH and DETACH, which every role answers the same way. */
export class RoleBasics {
  readonly memory = new RoleMemory();
  readonly files: OpenFiles;
  readonly io: RoleIo;
  readonly #options: RoleBasicsOptions;

  constructor(options: RoleBasicsOptions) {
    this.#options = options;
    this.io = options.io;
    this.files = options.files;
  }

  start(opcode: number, args: RequestArguments): RoleTask {
    switch (opcode) {
      case ATTACH:
        return this.#attach();
      case DETACH:
        return this.#detach();
      default:
        assert(false, `no role answers request ${opcode} (${args.join(', ')})`);
    }
  }

  /** Closes a file by number; responds with what the kernel said. Not being open is no error. */
  *closeFile(number: number): RoleTask {
    const handle = this.files.take(number);
    if (handle === undefined) return this.io.respond(0);
    const closed = this.io.close(handle);
    yield 0;
    this.io.respond(this.io.result(closed), STEP_CLOSE);
  }

  // eslint-disable-next-line require-yield -- a request that needs no I/O is still a task
  *#attach(): RoleTask {
    const attachment = must(this.#options.takeAttachment(), 'an ATTACH request follows its attachment');
    const { ring, role, statistics, onAttached } = this.#options;
    if (this.memory.adopt(attachment, ring, role)) onAttached();
    if (attachment.isFirst) {
      statistics.fill(0);
      this.io.bytesRead = 0;
      this.io.bytesWritten = 0;
    }
    this.io.respond(0);
  }

  *#detach(): RoleTask {
    for (let number = this.files.first(); number !== undefined; number = this.files.first()) {
      yield* this.closeFile(number);
    }
    this.memory.directory = -1;
    this.io.respond(0);
  }
}
