/**
 * Begins new manifests: at open, and when the one in force has grown long. Owner only; manifest-writer.ts writes them.
 */
import type { QuadringError } from '../errors.ts';
import { manifestName } from '../format/file-names.ts';
import type { VersionEdit } from '../format/version-edit.ts';
import { FILE_MANIFEST, REMOVE_FILE, ROLE_FLUSH } from '../protocol/requests.ts';
import { isRefusal } from './io-errors.ts';
import type { IoScheduler } from './io-scheduler.ts';
import type { ManifestWriter } from './manifest-writer.ts';

const ENOENT = 2;

/** A manifest that grew by this, and to twice what it began with, is replaced by one that begins with the version of the moment. */
const MANIFEST_GROWTH_BYTES = 4 * 1024 * 1024;

export interface ManifestRenewalOptions {
  readonly scheduler: IoScheduler;
  readonly manifest: ManifestWriter;
  readonly takeFileNumber: () => number;
  /** Edits that, in an empty manifest, give the version of the moment. */
  readonly snapshot: () => readonly VersionEdit[];
  /** Final. */
  readonly onFailure: (error: QuadringError) => void;
}

export class ManifestRenewal {
  readonly #options: ManifestRenewalOptions;
  #current: Promise<void> | undefined;
  /** What the manifest began with. */
  #firstBytes = 0;

  constructor(options: ManifestRenewalOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#current === undefined;
  }

  /** Resolves when no manifest is being replaced. */
  async whenIdle(): Promise<void> {
    await this.#current;
  }

  /** Replaces the manifest if it has grown long. */
  renewIfLong(): void {
    const { manifest } = this.#options;
    const growth = Math.max(MANIFEST_GROWTH_BYTES, this.#firstBytes);
    if (manifest.bytes <= this.#firstBytes + growth || this.#current !== undefined) return;
    this.#current = this.#renew().finally(() => {
      this.#current = undefined;
    });
  }

  /** Resolves with the number of the manifest that it replaces. One that finds no space is not left half written. */
  async create(number: number, makeEdits: () => readonly VersionEdit[]): Promise<number> {
    const { manifest } = this.#options;
    try {
      const old = await manifest.create(number, makeEdits);
      this.#firstBytes = manifest.bytes;
      return old;
    } catch (error) {
      if (isRefusal(error)) await this.#remove(number);
      throw error;
    }
  }

  async #renew(): Promise<void> {
    const { takeFileNumber, snapshot, onFailure } = this.#options;
    try {
      const old = await this.create(takeFileNumber(), snapshot);
      await this.#remove(old);
    } catch (error) {
      // Without space the old manifest goes on growing where it has room, and the next change of the version tries again.
      if (!isRefusal(error)) onFailure(error as QuadringError);
    }
  }

  async #remove(number: number): Promise<void> {
    const { scheduler } = this.#options;
    const answer = await scheduler.ask(ROLE_FLUSH, REMOVE_FILE, number, FILE_MANIFEST);
    // Where there was not even room for its name it was never made.
    if (answer.result >= 0 || answer.result === -ENOENT) return;
    throw scheduler.errorOf('removing', manifestName(number), answer);
  }
}
