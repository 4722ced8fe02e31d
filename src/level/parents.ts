/** The folders above a database, which the core leaves to its caller. Owner only. */
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Creates the folder and those above it, as far as they are missing, so that a power cut leaves either nothing of a new
 * database or all of it.
 */
export async function makeFolders(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first || made === dirname(made)) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
