/** Which version of quadring this is. Benchmarks only. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version of the checkout that this program was compiled in. */
export function ownVersion(): string {
  return versionAbove(fileURLToPath(import.meta.url));
}

/** The nearest package.json that has a version: some packages keep smaller ones in their folders. */
function versionAbove(file: string): string {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, 'package.json');
    if (!existsSync(path)) continue;
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version?: string };
    if (version !== undefined) return version;
  }
  return 'unknown';
}
