/**
 * Opens a database: checks that change nothing first, then the crew, the directory, the lock, and what the directory
 * holds. Owner only.
 */
import { resolve } from 'node:path';
import { QuadringError } from '../errors.ts';
import { inspectDirectory, type DirectoryContents } from './directory-contents.ts';
import { Engine } from './engine.ts';
import type { EngineGround } from './engine-ground.ts';
import type { Environment } from './environment.ts';
import { Holdings, undone } from './holdings.ts';
import { translated, translatedError } from './io-errors.ts';
import { checkSequencesLeft } from './manifest-checks.ts';
import type { Settings } from './options.ts';
import { checkUnnamedTables, freshState, readLogs, readManifest } from './recovery.ts';

export async function openEngine(
  path: string,
  settings: Settings,
  environment: Environment,
): Promise<Engine> {
  const { fileSystem } = environment;
  const directory = resolve(path);
  const before = translated(directory, () => inspectDirectory(fileSystem, directory));
  checkPresence(before, settings, directory);
  const crew = await environment.acquireCrew(settings).catch((error: unknown) => {
    throw translatedError(directory, error);
  });
  const holdings = new Holdings(environment, crew);
  try {
    // Also one that is there: who made it may have ended before its name was durable.
    if (!before.database) translated(directory, () => fileSystem.makeDirectory(directory));
    await holdings.takeDirectory(directory, settings.lockTimeoutMs);
    const found = translated(directory, () => readDirectory(directory, settings, environment));
    const engine = new Engine({ directory, settings, environment, holdings, ...found });
    return await engine.start();
  } catch (error) {
    // An engine that had begun has given them back, once nothing of it was at work any more.
    return await undone(error, () => holdings.giveBack());
  }
}

/** Looks again under the lock (somebody may have changed the directory before it was ours), and reads what is there. */
function readDirectory(
  directory: string,
  settings: Settings,
  environment: Environment,
): Pick<EngineGround, 'contents' | 'state' | 'recovered' | 'unfinishedTables'> {
  const { fileSystem } = environment;
  const contents = inspectDirectory(fileSystem, directory);
  checkPresence(contents, settings, directory);
  const state = contents.database
    ? readManifest(fileSystem, directory, contents)
    : freshState(environment.random32(), contents);
  const recovered = readLogs(fileSystem, directory, contents, state);
  const { lastSequence } = recovered;
  checkSequencesLeft(state, lastSequence, directory);
  const unfinishedTables = checkUnnamedTables(fileSystem, directory, contents, state, lastSequence);
  return { contents, state, recovered, unfinishedTables };
}

function checkPresence({ database }: DirectoryContents, settings: Settings, directory: string): void {
  if (database && settings.errorIfExists) {
    throw new QuadringError('EXISTS', `${directory} holds a database already`, { path: directory });
  }
  if (!database && !settings.createIfMissing) {
    throw new QuadringError('NOT_FOUND', `${directory} holds no database`, { path: directory });
  }
}
