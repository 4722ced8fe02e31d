/**
 * The machine's root file system: this machine's own programs with the libraries that they need, the kernel's modules,
 * and process 1. It has nothing of the project, so it is made once for each kernel and kept until something in it changes.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findProgram, MachineError, run } from './commands.ts';
import { makeImageOf } from './disk-image.ts';
import type { Kernel } from './kernel.ts';
import { cacheFolder, GUEST_INIT } from './places.ts';

const PROGRAMS = ['dmsetup', 'mke2fs', 'mkfs.xfs', 'modprobe', 'busybox'];
/** Loaded by process 1, in this order; others that they need are found. */
const MODULES = ['xfs', 'dm-log-writes', 'dm-flakey', 'dm-delay', 'dm-snapshot', 'loop'];
/** What busybox is called by, besides what has a program of its own. */
const APPLETS = (
  'awk basename blockdev cat chmod chown cp cut date dd df dirname dmesg du echo env expr false find free grep head hostname ' +
  'id kill ln ls mkdir mkfifo mknod mount mv nproc ps poweroff printf pwd readlink reboot rm rmdir sed seq sh sleep sort stat stty ' +
  'sync tail tar tee test timeout touch tr true umount uname uniq wc which xargs'
).split(' ');
/** How mke2fs makes file systems here. */
const SETTINGS = ['/etc/mke2fs.conf'];
/** Changes when what is made of the same things changes. */
const RECIPE = 2;
const FOLDERS = ['dev', 'proc', 'sys', 'tmp', 'run', 'etc', 'mnt', 'exchange', 'project', 'bin', 'sbin'];

/** From the cache, or made. */
export function ensureRootImage(kernel: Kernel, say: (text: string) => void): string {
  const programs = [process.execPath, ...PROGRAMS.map(programFile)];
  const folder = cacheFolder('roots');
  const key = fingerprint(kernel, programs);
  const image = join(folder, `${kernel.release}-${key}.img`);
  if (existsSync(image)) return image;
  say(`making the root file system for ${kernel.release}`);
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`${kernel.release}-`)) rmSync(join(folder, name), { recursive: true });
  }
  const stage = join(folder, `${kernel.release}-stage`);
  for (const name of FOLDERS) mkdirSync(join(stage, name), { recursive: true });
  for (const path of programs) copyProgram(stage, path);
  for (const name of APPLETS) symlinkSync('busybox', join(stage, 'bin', name));
  for (const path of SETTINGS) if (existsSync(path)) copyTo(stage, path, path);
  copyModules(stage, kernel);
  writeFileSync(join(stage, 'etc/modules'), MODULES.join('\n') + '\n');
  writeFileSync(join(stage, 'etc/passwd'), 'root:x:0:0:root:/tmp:/bin/sh\n');
  copyFileSync(GUEST_INIT, join(stage, 'init'));
  chmodSync(join(stage, 'init'), 0o755);
  makeImageOf(stage, image, { isBootable: true });
  rmSync(stage, { recursive: true });
  return image;
}

function programFile(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new MachineError(`there is no ${name} to put into the machine`);
  return path;
}

/** Programs are told apart by size and time: hashing all of them would take longer than it may save. */
function fingerprint(kernel: Kernel, programs: readonly string[]): string {
  const hash = createHash('sha256').update(kernel.release);
  for (const path of programs) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  hash.update(JSON.stringify([RECIPE, MODULES, APPLETS, SETTINGS, FOLDERS]));
  hash.update(readFileSync(GUEST_INIT));
  return hash.digest('hex').slice(0, 16);
}

/** Under /bin by its own name, and its libraries where the loader looks for them. */
function copyProgram(stage: string, path: string): void {
  copyTo(stage, path, join('bin', basename(path)));
  for (const library of sharedLibraries(path)) copyTo(stage, library, library);
}

/** Absolute paths, the loader among them; none for a program that is linked statically. */
export function sharedLibraries(path: string): string[] {
  // Asking a static program what it is linked with fails, and so does asking about something that is no program.
  if (isStatic(path)) return [];
  return [...run('ldd', [path]).matchAll(/(?:=> )?(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
}

/** Without PT_INTERP among the program headers of the (64-bit) ELF file, unless it is a library. */
function isStatic(path: string): boolean {
  const bytes = readFileSync(path);
  if (bytes.readUInt32BE(0) !== 0x7f454c46) throw new MachineError(`${path} is no ELF file`);
  const PT_DYNAMIC = 2;
  const at = Number(bytes.readBigUInt64LE(0x20));
  const size = bytes.readUInt16LE(0x36);
  const count = bytes.readUInt16LE(0x38);
  return !Array.from({ length: count }, (_, i) => bytes.readUInt32LE(at + i * size)).includes(PT_DYNAMIC);
}

/** Follows links: what is copied is a file under the name that it is asked for by. */
function copyTo(stage: string, from: string, to: string): void {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
}

/** Only those that are loaded, and an index of these for modprobe. */
function copyModules(stage: string, { root, release }: Kernel): void {
  run('depmod', ['-b', root, release]);
  const at = ['-d', root, '-S', release, '--show-depends'];
  const files = MODULES.flatMap((name) => run('modprobe', [...at, name]).split('\n'))
    .map((line) => /^insmod (\S+)/.exec(line)?.[1])
    .filter((path) => path !== undefined);
  for (const path of new Set(files)) copyTo(stage, path, path.slice(root.length));
  for (const name of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo']) {
    const path = join('lib/modules', release, name);
    copyTo(stage, join(root, path), path);
  }
  run('depmod', ['-b', stage, release]);
}
