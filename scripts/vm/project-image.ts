/**
 * The project as the machine has it: what is compiled, the addon, and the packages that it needs, under /project. It is
 * made anew for each boot, so that nothing that happens to it there matters. A mutation changes what is compiled on the way; the checkout stays as it is.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MachineError } from './commands.ts';
import { makeImageOf } from './disk-image.ts';
import type { Mutation } from './mutations.ts';
import { cacheFolder, CHECKOUT } from './places.ts';

/** 'production': what a user installs; 'all': also what tests need. */
export type Modules = 'production' | 'all';

const PARTS = ['dist', 'build/Release/quadring.node', 'package.json', 'ava.config.js'];

export function makeProjectImage(modules: Modules, mutation?: Mutation): string {
  const folder = cacheFolder('project');
  const stage = join(folder, 'stage');
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage);
  for (const part of [...PARTS, ...modulesOf(modules)]) copyPart(stage, part);
  if (mutation !== undefined) mutate(join(stage, 'dist'), mutation);
  const image = join(folder, 'project.img');
  makeImageOf(stage, image);
  rmSync(stage, { recursive: true });
  return image;
}

function copyPart(stage: string, part: string): void {
  const from = join(CHECKOUT, part);
  if (!existsSync(from)) throw new MachineError(`${part} is missing; npm run build makes it`);
  mkdirSync(dirname(join(stage, part)), { recursive: true });
  cpSync(from, join(stage, part), { recursive: true, dereference: true });
}

/** Folders, by what the lock file says of them; optional packages as far as they are installed. */
function modulesOf(modules: Modules): string[] {
  if (modules === 'all') return ['node_modules'];
  interface Locked {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
  }
  const { packages } = JSON.parse(readFileSync(join(CHECKOUT, 'package-lock.json'), 'utf8')) as Locked;
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .filter(([path, { optional }]) => optional !== true || existsSync(join(CHECKOUT, path)))
    .map(([path]) => path);
}

/** Throws MachineError unless the text to be replaced is there, once: a mutation that changes nothing would prove nothing. */
export function mutate(dist: string, { name, edits }: Mutation): void {
  for (const { file, from, to } of edits) {
    const path = join(dist, file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2) {
      throw new MachineError(`mutation ${name}: ${file} has "${from}" ${parts.length - 1} times, not once`);
    }
    writeFileSync(path, parts.join(to));
  }
}
