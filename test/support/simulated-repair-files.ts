/** What a repair writes, to a disk in memory: the seam `RepairFiles` with a hook before each step. */
import type { RepairFiles } from '../../src/main/repair-files.ts';
import type { SimulatedDisk } from './simulated-disk.ts';
import { nameOf, SIMULATED_DIRECTORY } from './simulated-environment.ts';
import { SimulatedFile } from './simulated-file.ts';

/** `onStep` is called before each step, and may throw: then nothing of the step has happened. */
export function simulatedRepairFiles(
  disk: SimulatedDisk,
  onStep: (step: string) => void = () => undefined,
): RepairFiles {
  const existing = (path: string): SimulatedFile => {
    const file = disk.names.get(nameOf(path));
    if (file === undefined) throw Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT' });
    return file;
  };
  const expectFree = (path: string): void => {
    if (!disk.names.has(nameOf(path)) && !disk.directories.has(nameOf(path))) return;
    throw Object.assign(new Error(`${path} exists`), { code: 'EEXIST' });
  };
  return {
    makeDirectory(path) {
      onStep(`make directory ${nameOf(path)}`);
      expectFree(path);
      disk.directories.add(nameOf(path));
    },

    create(path) {
      onStep(`create ${nameOf(path)}`);
      expectFree(path);
      const file = new SimulatedFile();
      disk.names.set(nameOf(path), file);
      return {
        write(bytes) {
          onStep(`write ${nameOf(path)}`);
          file.write(bytes, file.size, false);
        },
        sync() {
          onStep(`sync ${nameOf(path)}`);
          file.sync();
        },
        close: () => undefined,
      };
    },

    link(from, path) {
      onStep(`link ${nameOf(path)}`);
      const file = existing(from);
      expectFree(path);
      disk.names.set(nameOf(path), file);
    },

    rename(from, to) {
      onStep(`rename ${nameOf(from)}`);
      const file = existing(from);
      disk.names.delete(nameOf(from));
      disk.names.set(nameOf(to), file);
    },

    remove(path) {
      onStep(`remove ${nameOf(path)}`);
      existing(path);
      disk.names.delete(nameOf(path));
    },

    syncDirectory(path) {
      onStep(`sync directory ${path === SIMULATED_DIRECTORY ? '' : nameOf(path)}`);
      disk.syncDirectory(path === SIMULATED_DIRECTORY ? '' : `${nameOf(path)}/`);
    },
  };
}
