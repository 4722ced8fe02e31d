/** From nothing to a machine that has run a command: packages, kernel, images, disks, and what it left. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MachineError } from './commands.ts';
import { makeEmptyDisk } from './disk-image.ts';
import { ensureKernel, type KernelVersion } from './kernel.ts';
import { runMachine, type MachineResult } from './machine.ts';
import type { Mutation } from './mutations.ts';
import { cacheFolder } from './places.ts';
import { makeProjectImage, type Modules } from './project-image.ts';
import { ensureRootImage } from './root-image.ts';
import { ensureSystemPackages } from './system-packages.ts';

export interface RunTask {
  readonly kernel: KernelVersion;
  readonly modules: Modules;
  readonly mutation?: Mutation;
  /** Empty disks, by name: their sizes in MiB. In the machine they are /dev/disk/<name>. */
  readonly disks: Readonly<Record<string, number>>;
  readonly command: string;
  readonly timeoutMs: number;
}

const MEBIBYTE = 1024 * 1024;

export function say(text: string): void {
  console.error(`[vm] ${text}`);
}

/** Throws MachineError when something that it needs is not to be had, or when the machine does not end well. */
export async function runInNewMachine(task: RunTask): Promise<MachineResult> {
  claimMachine();
  ensureSystemPackages(say);
  const kernel = ensureKernel(task.kernel, say);
  const rootImage = ensureRootImage(kernel, say);
  const projectImage = makeProjectImage(task.modules, task.mutation);
  const folder = diskFolder();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const disks = Object.entries(task.disks).map(([name, mebibytes]) => ({
    name,
    path: join(folder, `${name}.img`),
    mebibytes,
  }));
  for (const { path, mebibytes } of disks) makeEmptyDisk(path, mebibytes * MEBIBYTE);
  const { command, timeoutMs } = task;
  const onOutput = (text: string): void => {
    process.stdout.write(text);
  };
  return await runMachine({ kernel, rootImage, projectImage, disks, command, timeoutMs, onOutput });
}

/** Puts the last machine's disks and results where the next one does not remove them, and says where. */
export function keepEvidence(name: string): string {
  const folder = join(cacheFolder('kept'), name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  renameSync(diskFolder(), join(folder, 'disks'));
  renameSync(join(cacheFolder('machine'), 'results'), join(folder, 'results'));
  return folder;
}

/** One machine at a time: two would write to the same disks, and each would be as slow as two. */
function claimMachine(): void {
  const path = join(cacheFolder('machine'), 'owner');
  const owner = existsSync(path) ? Number(readFileSync(path, 'utf8')) : process.pid;
  if (owner !== process.pid && existsSync(`/proc/${owner}`)) {
    throw new MachineError(
      `process ${owner} runs the machine of this checkout; if it does not, remove ${path}`,
    );
  }
  writeFileSync(path, String(process.pid));
}

function diskFolder(): string {
  return join(cacheFolder('machine'), 'disks');
}
