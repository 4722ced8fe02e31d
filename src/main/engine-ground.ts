/** What open found and took before the engine's parts exist. Owner only. */
import type { DirectoryContents } from './directory-contents.ts';
import type { Environment } from './environment.ts';
import type { Holdings } from './holdings.ts';
import type { Settings } from './options.ts';
import type { RecoveredLogs } from './recovery.ts';
import type { ManifestState } from './version-set.ts';

export interface EngineGround {
  readonly directory: string;
  readonly settings: Settings;
  readonly environment: Environment;
  readonly holdings: Holdings;
  readonly contents: DirectoryContents;
  readonly state: ManifestState;
  readonly recovered: RecoveredLogs;
  /** Names of tables of a recovery that was interrupted, which the logs need not account for after a power cut. */
  readonly unfinishedTables: readonly string[];
}
