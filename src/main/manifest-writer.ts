/**
 * Appends version edits to the manifest, and begins new manifests. Owner only; the flush thread does the writing.
 *
 * An edit that is larger than one frame becomes first, middle and last frames. Edits are appended one after another.
 * The first append that fails after its space was reserved is final: what is on the disk is then not known. After that, and
 * after whatever else is final for the database, nothing is appended.
 */
import { QuadringError } from '../errors.ts';
import { CURRENT_NAME, manifestName } from '../format/file-names.ts';
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  frameKindOf,
  writeFrameHeader,
} from '../format/frame.ts';
import { PAGE_BYTES } from '../format/limits.ts';
import { encodeVersionEdit, type VersionEdit } from '../format/version-edit.ts';
import { MANIFEST_STAGING_AT } from '../protocol/crew-layout.ts';
import {
  APPEND_MANIFEST,
  INSTALL_CURRENT,
  ROLE_FLUSH,
  STEP_DIRECTORY_FSYNC,
  STEP_FALLOCATE,
  STEP_RENAME,
} from '../protocol/requests.ts';
import { isRefusal } from './io-errors.ts';
import type { IoScheduler } from './io-scheduler.ts';

export class ManifestWriter {
  readonly #scheduler: IoScheduler;
  readonly #pool: Uint8Array;
  /** Told of the first failure that is final. */
  readonly #onFinalFailure: (error: QuadringError) => void;
  #number = 0;
  /** While a new manifest is written that CURRENT does not name. */
  #creating = false;
  #bytes = 0;
  #failure: QuadringError | undefined;
  /** Why nothing is begun any more: that, or what else is final for the database. */
  #stopped: QuadringError | undefined;
  #queue: Promise<void> = Promise.resolve();

  constructor(scheduler: IoScheduler, pool: Uint8Array, onFinalFailure: (error: QuadringError) => void) {
    this.#scheduler = scheduler;
    this.#pool = pool;
    this.#onFinalFailure = onFinalFailure;
  }

  get number(): number {
    return this.#number;
  }

  /** Whether what is on the disk is not known any more. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Nothing that waits, and nothing that comes, is written any more: of names that could not be synced some may be of files
   * that it would name.
   */
  stop(error: QuadringError): void {
    this.#stopped ??= error;
  }

  /** Bytes of the manifest so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Writes a new manifest that begins with what `makeEdits` gives and makes CURRENT name it. Whatever fails before that
   * leaves the old one in force; for want of space or of descriptors it may be tried again. Resolves with the old manifest's
   * number, which nothing names any more.
   */
  create(number: number, makeEdits: () => readonly VersionEdit[]): Promise<number> {
    return this.#enqueue(async () => {
      const old = this.#number;
      const oldBytes = this.#bytes;
      this.#number = number;
      this.#bytes = 0;
      this.#creating = true;
      try {
        for (const edit of makeEdits()) await this.#writeEdit(edit);
        this.#mustNotBeStopped();
        await this.#install(number);
        return old;
      } catch (error) {
        this.#number = old;
        this.#bytes = oldBytes;
        throw error;
      } finally {
        this.#creating = false;
      }
    });
  }

  async #install(number: number): Promise<void> {
    const answer = await this.#scheduler.ask(ROLE_FLUSH, INSTALL_CURRENT, number);
    if (answer.result >= 0) return;
    const error = this.#scheduler.errorOf('installing', CURRENT_NAME, answer);
    const mayBeInstalled = answer.detail0 === STEP_RENAME || answer.detail0 === STEP_DIRECTORY_FSYNC;
    throw isRefusal(error) && !mayBeInstalled ? error : this.#final(error);
  }

  /**
   * Durable when it resolves; `onDurable` is called before any other edit is made. Rejects with NO_SPACE where nothing
   * was written and a later append may succeed.
   */
  append(makeEdit: () => VersionEdit, onDurable: (edit: VersionEdit) => void): Promise<void> {
    return this.#enqueue(async () => {
      const edit = makeEdit();
      await this.#writeEdit(edit);
      onDurable(edit);
    });
  }

  #enqueue<T>(write: () => Promise<T>): Promise<T> {
    const written = this.#queue.then(() => {
      this.#mustNotBeStopped();
      return write();
    });
    this.#queue = written.then(
      () => undefined,
      // Whoever asked for the write is told; the next one in the queue looks at what is final.
      () => undefined,
    );
    return written;
  }

  #mustNotBeStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  async #writeEdit(edit: VersionEdit): Promise<void> {
    const payload = encodeVersionEdit(edit);
    let start = 0;
    do {
      const end = Math.min(start + FRAME_PAYLOAD_BYTES_MAX, payload.length);
      await this.#writeFrame(payload, start, end);
      start = end;
    } while (start < payload.length);
  }

  async #writeFrame(payload: Uint8Array, start: number, end: number): Promise<void> {
    const isFirst = start === 0;
    const isLast = end === payload.length;
    const kind = frameKindOf(isFirst, isLast);
    const fileNumber = this.#number;
    writeFrameHeader(this.#pool, MANIFEST_STAGING_AT, {
      kind,
      fileNumber,
      firstSequence: 0,
      count: isFirst ? 1 : 0,
      payloadLength: end - start,
    });
    this.#pool.set(payload.subarray(start, end), MANIFEST_STAGING_AT + FRAME_HEADER_BYTES);
    const create = this.#bytes === 0 ? 1 : 0;
    const answer = await this.#scheduler.ask(
      ROLE_FLUSH,
      APPEND_MANIFEST,
      fileNumber,
      this.#bytes / PAGE_BYTES,
      MANIFEST_STAGING_AT / PAGE_BYTES,
      create,
    );
    if (answer.result < 0) {
      const error = this.#scheduler.errorOf('appending to', manifestName(fileNumber), answer, this.#bytes);
      // No space is met before an edit is written, or in a manifest that nothing names yet.
      const nothingWritten = this.#creating || (answer.detail0 === STEP_FALLOCATE && isFirst);
      throw isRefusal(error) && nothingWritten ? error : this.#final(error);
    }
    this.#bytes += answer.result * PAGE_BYTES;
  }

  /** What is final is no refusal, whatever the system called it: whoever is refused removes what they made. */
  #final(met: QuadringError): QuadringError {
    const { message, cause, file, offset } = met;
    const error = isRefusal(met)
      ? new QuadringError('IO_ERROR', message, {
          cause,
          ...(file === undefined ? {} : { file }),
          ...(offset === undefined ? {} : { offset }),
        })
      : met;
    this.#failure = error;
    this.stop(error);
    this.#onFinalFailure(error);
    return error;
  }
}
