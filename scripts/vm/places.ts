/** Where the virtual machine's files are: all under one folder that git ignores, so that removing it begins anew. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutFile } from '../../test/support/children.ts';

export const CHECKOUT = checkoutFile();
/** Kernels, root images, and what the running machine's disks are. */
export const CACHE = join(CHECKOUT, '.vm');
/** What process 1 of the machine is. */
export const GUEST_INIT = join(CHECKOUT, 'scripts/vm/guest-init.sh');

/** A folder of the cache, made if it is not there. */
export function cacheFolder(...path: string[]): string {
  const folder = join(CACHE, ...path);
  mkdirSync(folder, { recursive: true });
  return folder;
}
