/** A snapshot of the core as one of abstract-level. Owner only. */
import { AbstractSnapshot } from 'abstract-level';
import { QuadringError, type Snapshot } from '../index.ts';

/** What `_snapshot` is given: the database or sublevel that closes the snapshot when it is closed itself. */
export interface SnapshotOptions {
  readonly owner: object;
}

/** The declarations leave out the constructor. */
const SnapshotBase = AbstractSnapshot as unknown as new (options: SnapshotOptions) => AbstractSnapshot;

export class LevelSnapshot extends SnapshotBase {
  readonly #snapshot: Snapshot;

  constructor(snapshot: Snapshot, options: SnapshotOptions) {
    super(options);
    this.#snapshot = snapshot;
  }

  /** @internal abstract-level calls it once, when no read uses the snapshot any more. */
  _close(): Promise<void> {
    this.#snapshot.close();
    return Promise.resolve();
  }

  /** What the core calls it. Throws INVALID_ARGUMENT for a snapshot that another kind of database has made. */
  static coreOf(snapshot: AbstractSnapshot): Snapshot {
    if (snapshot instanceof LevelSnapshot) return snapshot.#snapshot;
    throw new QuadringError('INVALID_ARGUMENT', 'the snapshot is not one of this database');
  }
}
