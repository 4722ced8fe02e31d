/**
 * The packages that quadring is compared with. They are dependencies of bench/package.json and lie in bench/node_modules:
 * whoever installs or tests quadring does without them, and compiles without their types. Benchmarks only.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Benchmarks are compiled to dist/bench/, from where bench/node_modules would not be found. */
const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const FOLDER = join(ROOT, 'bench');
const require = createRequire(join(FOLDER, 'package.json'));

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** `npm ci` where the lock file is newer than the last installation. Throws when that fails. */
export function installPeers(): void {
  const installed = changedAt(join(FOLDER, 'node_modules/.package-lock.json'));
  if (installed > 0 && installed >= changedAt(join(FOLDER, 'package-lock.json'))) return;
  process.stderr.write(
    'installing the engines to compare with; where one must be compiled it takes minutes\n',
  );
  // What npm says goes to stderr, so that stdout stays the benchmark's.
  const { status, error } = spawnSync('npm', ['ci'], { cwd: FOLDER, stdio: ['ignore', 2, 2] });
  if (error !== undefined)
    throw new Error('npm, which installs the engines, cannot be run', { cause: error });
  if (status !== 0) throw new Error(`npm ci in bench/ ended with ${status}: the engines are not installed`);
}

/** What the package exports. REQUIRES: T is what the adapter uses of it, and `installPeers` was called once. */
export async function loadPeer<T>(name: string): Promise<T> {
  const module = (await import(pathToFileURL(require.resolve(name)).href)) as { readonly default: T };
  return module.default;
}

export function installedPeerVersion(name: string): string {
  const text = readFileSync(join(FOLDER, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
