/**
 * The directories that sessions work in: what is loaded once for all rounds, copies of it for those that write, and empty
 * ones. Benchmarks only.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Arm } from '../peers/arms.ts';
import { syncDisks } from '../support/cold.ts';
import type { Start } from '../workload/group.ts';
import type { Dataset } from '../workload/session.ts';

export class Databases {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Where an engine's loaded database of a dataset is, or will be. */
  loaded({ engine }: Arm, { entries, valueBytes }: Dataset): string {
    return join(this.#root, `${engine}-${entries}-${valueBytes}`);
  }

  isLoaded(arm: Arm, dataset: Dataset): boolean {
    return existsSync(this.loaded(arm, dataset));
  }

  /** It counts as loaded when `load` has filled the directory, and not before. */
  async load(arm: Arm, dataset: Dataset, load: (directory: string) => Promise<void>): Promise<void> {
    const directory = join(this.#root, 'unfinished');
    mkdirSync(directory);
    try {
      await load(directory);
      renameSync(directory, this.loaded(arm, dataset));
    } finally {
      this.#remove(directory);
    }
  }

  /** Takes away what was loaded. */
  removeAll(): void {
    this.#remove(this.#root);
    mkdirSync(this.#root);
  }

  /** Calls `use` with a directory that begins as it has to; what it wrote is taken away. */
  async with<T>(
    arm: Arm,
    dataset: Dataset,
    start: Start,
    use: (directory: string) => Promise<T>,
  ): Promise<T> {
    const loaded = this.loaded(arm, dataset);
    if (start === 'loaded') return use(loaded);
    const directory = join(this.#root, 'scratch');
    if (start === 'copy') cpSync(loaded, directory, { recursive: true });
    else mkdirSync(directory);
    // What was copied, and what the one before left, is not written while this one is measured.
    syncDisks();
    try {
      return await use(directory);
    } finally {
      this.#remove(directory);
    }
  }

  #remove(directory: string): void {
    rmSync(directory, { recursive: true, force: true });
    syncDisks();
  }
}
